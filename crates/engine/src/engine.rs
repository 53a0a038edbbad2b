use std::sync::{Arc, OnceLock};

use base::{Clock, Entropy};
use cell::{CellOptions, Cells};
use service::{Fault, Registry};
use store::{Batch, Error, Fence, Key, Store};
use tracing::warn;

use crate::activity::Activities;
use crate::catalog::Catalog;
use crate::execution::{CELLS, Input, Outside, Owner, Work};
use crate::invoker::Invoker;
use crate::map_run::{self, Driver, Processors};
use crate::mock::{MockConfig, Mocks};
use crate::task::{Dispatcher, LogSink, StatusSink};
use crate::token::Tokens;
use crate::{HttpClient, Options, fault};

/// Payloads are stored within events and heads, and these in values that the store bounds.
const PAYLOAD_BYTES_MAX: usize = store::VALUE_BYTES_MAX / 2;

/// State machines, executions, activities and task tokens of one store.
#[derive(Clone)]
pub struct Engine {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub store: Arc<dyn Store>,
    pub clock: Arc<dyn Clock>,
    pub entropy: Arc<Entropy>,
    pub catalog: Catalog,
    pub tokens: Tokens,
    pub activities: Activities,
    pub dispatcher: Arc<Dispatcher>,
    pub options: Options,
    map_runs: Arc<Driver>,
    cells: OnceLock<Cells<Input>>,
    map_run_cells: OnceLock<Cells<map_run::Input>>,
}

impl Engine {
    /// Reads state machines and activities. Payloads are bounded by what the store takes whatever `options` say.
    /// Executions go on with [`Engine::run`], when everything they call is there.
    pub async fn new(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        entropy: Arc<Entropy>,
        invoker: Arc<dyn Invoker>,
        mut options: Options,
    ) -> Result<Engine, Error> {
        for limits in [&mut options.standard_limits, &mut options.express_limits] {
            if limits.payload_bytes_max > PAYLOAD_BYTES_MAX {
                warn!(asked = limits.payload_bytes_max, bound = PAYLOAD_BYTES_MAX, "payloads are bounded lower");
                limits.payload_bytes_max = PAYLOAD_BYTES_MAX;
            }
        }
        let catalog = Catalog::start(store.clone(), clock.clone()).await?;
        let tokens = Tokens::new(token_key(&*store, &entropy).await?);
        let activities = Activities::new(catalog.clone(), options.activity_pollers_max);
        let dispatcher =
            Dispatcher::new(store.clone(), invoker, activities.clone(), entropy.clone(), clock.clone(), options);
        let dispatcher = Arc::new(dispatcher);
        let map_runs = Arc::new(Driver::new(dispatcher.clone(), clock.clone()));
        let inner = Inner {
            store,
            clock,
            entropy,
            catalog,
            tokens,
            activities,
            dispatcher,
            options,
            map_runs,
            cells: OnceLock::new(),
            map_run_cells: OnceLock::new(),
        };
        Ok(Engine { inner: Arc::new(inner) })
    }

    /// Where executions are logged whose machines ask for it; without it, nowhere.
    pub fn log_to(&self, sink: LogSink) {
        // The first one stays.
        let _ = self.inner.dispatcher.log.set(sink);
    }

    /// Where events of changed statuses go; without it, nowhere. To be called before [`Engine::run`].
    pub fn announce_to(&self, sink: StatusSink) {
        let _ = self.inner.dispatcher.announce.set(sink);
    }

    /// Lets executions be started as test cases, whose tasks have mocked answers.
    pub fn mock(&self, config: MockConfig) {
        let _ = self.inner.dispatcher.mocks.set(Mocks::new(config));
    }

    /// What `http:invoke` calls the outside with; without it, a client that refuses local addresses.
    pub fn call_http_with(&self, client: Arc<dyn HttpClient>) {
        // The first one stays.
        let _ = self.inner.dispatcher.http.set(client);
    }

    /// Lets executions run: new ones, and those that were running when the store was last used.
    ///
    /// `registry` holds the operations that tasks call, `endpoint` is what URLs in their answers begin with.
    ///
    /// # Panics
    /// If called twice.
    pub async fn run(&self, registry: Registry, endpoint: &str) -> Result<(), Error> {
        let Inner { store, clock, entropy, catalog, tokens, dispatcher, map_runs, options, .. } = &*self.inner;
        assert!(dispatcher.registry.set(registry).is_ok(), "an engine runs once");
        crate::execution::upgrade(&**store).await?;
        let _ = dispatcher.endpoint.set(endpoint.into());
        let outside: Outside = {
            let (dispatcher, map_runs) = (dispatcher.clone(), map_runs.clone());
            Arc::new(move |work| match work {
                Work::MapRun(new) => map_runs.begin(new),
                Work::CancelMapRun(id) => map_runs.cancel(id),
                work => dispatcher.take(work),
            })
        };
        let processors = Processors::new(catalog.clone());
        let announces = dispatcher.announce.get().is_some();
        let owner = |cell| {
            let (catalog, processors, tokens) = (catalog.clone(), processors.clone(), tokens.clone());
            Owner::new(cell, catalog, processors, tokens, entropy.clone(), outside.clone(), *options)
                .announcing(announces)
        };
        let cells = Cells::start("execution", CELLS, owner, store, clock, &CellOptions::default()).await?;
        let _ = dispatcher.cells.set(cells.clone());
        let _ = self.inner.cells.set(cells);
        let outside: map_run::Outside = {
            let map_runs = map_runs.clone();
            Arc::new(move |work| map_runs.take(work))
        };
        let children_max = options.map_run_children_max;
        let owner = |cell| map_run::Owner::new(cell, processors.clone(), outside.clone(), children_max);
        let options = CellOptions::default();
        let cells = Cells::start("map-run", map_run::CELLS, owner, store, clock, &options).await?;
        map_runs.set_cells(cells.clone());
        let _ = self.inner.map_run_cells.set(cells);
        Ok(())
    }

    /// To be called before functions are stopped: what fails because of that is not the executions' failure. Their
    /// tasks stay open and run again after the next start.
    pub fn stop(&self) {
        self.inner.dispatcher.stop();
    }
}

impl Inner {
    pub fn cells(&self) -> Result<&Cells<Input>, Fault> {
        self.cells.get().ok_or_else(|| fault::from_cell(cell::CellError::Stopped))
    }

    pub fn map_run_cells(&self) -> Result<&Cells<map_run::Input>, Fault> {
        self.map_run_cells.get().ok_or_else(|| fault::from_cell(cell::CellError::Stopped))
    }
}

/// The key that task tokens are made with: made once, then stored.
async fn token_key(store: &dyn Store, entropy: &Entropy) -> Result<[u8; 32], Error> {
    const VERSION: u8 = 1;
    let key = Key::new("engine-token-key").build();
    loop {
        if let Some(value) = store.get(&key)? {
            let secret = value.strip_prefix(&[VERSION]).and_then(|s| s.try_into().ok());
            return secret.ok_or_else(|| Error::Corrupt("token key record".to_owned()));
        }
        let mut value = vec![VERSION];
        value.extend_from_slice(&entropy.secret_bytes::<32>());
        let mut batch = Batch::new().fenced(Fence { key: key.clone().into(), value: None });
        batch.put(key.clone(), value);
        match store.commit(batch).await {
            Ok(_) | Err(Error::Fenced) => {}
            Err(error) => return Err(error),
        }
    }
}
