use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::time::Duration;

use base::{Clock, Entropy};
use cell::{Cell, CellOptions};
use serde_json::Value;
use service::{Call, OperationFuture, Service};
use store::Store;

use crate::embedded::Sources;
use crate::engine::Engine;
use crate::machine::{ClusterMachine, Input};
use crate::postgres::Server;
use crate::transactions::Transactions;
use crate::{operations, rds};

/// How often transactions that nobody uses are looked for.
const SWEEP_INTERVAL: Duration = Duration::from_secs(5);

/// Calls an operation of Secrets Manager: `GetSecretValue`, `CreateSecret`, `DeleteSecret`.
pub type SecretsCaller = Arc<dyn Fn(Call, &'static str, Value) -> OperationFuture<Value> + Send + Sync>;

/// Where databases are and how the service is bounded.
#[derive(Clone, Debug)]
pub struct SqlOptions {
    /// The embedded databases lie in a folder `sql` in this one.
    pub data_dir: PathBuf,
    /// The PostgreSQL server behind every cluster that has none of its own; without it clusters are embedded.
    pub postgres_url: Option<String>,
    /// PostgreSQL servers of single clusters, by identifier.
    pub postgres_urls: BTreeMap<String, String>,
    /// Threads that statements of the embedded engine run on.
    pub threads_max: usize,
    /// Connections to each PostgreSQL server.
    pub connections_max: usize,
    /// Transactions that may be open at once.
    pub transactions_max: usize,
    /// How long a statement may take. AWS: 45 seconds.
    pub statement_timeout_ms: u64,
    pub cell: CellOptions,
}

impl SqlOptions {
    /// The defaults, with databases below `data_dir`.
    pub fn new(data_dir: impl Into<PathBuf>) -> SqlOptions {
        SqlOptions {
            data_dir: data_dir.into(),
            postgres_url: None,
            postgres_urls: BTreeMap::new(),
            threads_max: 8,
            connections_max: 16,
            transactions_max: 256,
            statement_timeout_ms: 45_000,
            cell: CellOptions::default(),
        }
    }
}

/// Why the service does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error("open {}: {source}", path.display())]
    Folder { path: PathBuf, source: std::io::Error },
    #[error("PostgreSQL URL of {of}: {message}")]
    Url { of: String, message: String },
}

/// RDS and its Data API, running.
#[derive(Clone)]
pub struct Sql {
    state: Arc<State>,
}

/// What every operation works with.
pub(crate) struct State {
    pub store: Arc<dyn Store>,
    pub entropy: Arc<Entropy>,
    pub cell: Cell<Input>,
    pub secrets: SecretsCaller,
    pub engine: Arc<Engine>,
    pub servers: BTreeMap<String, Arc<Server>>,
    pub default_server: Option<Arc<Server>>,
    pub transactions: Transactions,
    pub statement_timeout: Duration,
}

impl Sql {
    /// Opens the folder of databases and starts the cell of clusters on the current runtime.
    pub async fn start(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        entropy: Arc<Entropy>,
        secrets: SecretsCaller,
        options: SqlOptions,
    ) -> Result<Sql, StartError> {
        let cell = Cell::start("rds/0", ClusterMachine, store.clone(), clock.clone(), options.cell.clone()).await?;
        let folder = options.data_dir.join("sql");
        let clusters = rds::resource_ids(&*store)?;
        let sources = Sources { clock: clock.clone(), entropy: entropy.clone() };
        let engine = Engine::open(&folder, &clusters, sources, options.threads_max.max(1))
            .map_err(|source| StartError::Folder { path: folder, source })?;
        let server = |of: &str, url: &str| {
            let made = Server::new(url, options.connections_max.max(1));
            made.map(Arc::new).map_err(|message| StartError::Url { of: of.to_owned(), message })
        };
        let default_server = options.postgres_url.as_deref().map(|url| server("all clusters", url)).transpose()?;
        let mut servers = BTreeMap::new();
        for (identifier, url) in &options.postgres_urls {
            servers.insert(identifier.to_lowercase(), server(identifier, url)?);
        }
        let state = Arc::new(State {
            transactions: Transactions::new(options.transactions_max, clock, entropy.clone()),
            store,
            entropy,
            cell,
            secrets,
            engine: Arc::new(engine),
            servers,
            default_server,
            statement_timeout: Duration::from_millis(options.statement_timeout_ms),
        });
        tokio::spawn(sweep(Arc::downgrade(&state)));
        Ok(Sql { state })
    }

    /// The operations of `rds` and of `rds-data`, to be added to a registry.
    pub fn services(&self) -> [Service; 2] {
        [self.rds(), self.rds_data()]
    }

    fn rds(&self) -> Service {
        let mut service = Service::new("rds");
        macro_rules! operations {
            ($($name:literal => $function:path),* $(,)?) => {
                $({
                    let state = self.state.clone();
                    service.operation($name, move |call: Call, input| {
                        let state = state.clone();
                        async move { $function(&state, call, input).await }
                    });
                })*
            };
        }
        operations! {
            "AddTagsToResource" => rds::add_tags_to_resource,
            "CreateDBCluster" => rds::create,
            "DeleteDBCluster" => rds::delete,
            "DescribeDBClusters" => rds::describe,
            "ListTagsForResource" => rds::list_tags_for_resource,
            "ModifyDBCluster" => rds::modify,
            "RemoveTagsFromResource" => rds::remove_tags_from_resource,
        }
        service
    }

    fn rds_data(&self) -> Service {
        let mut service = Service::new("rds-data");
        macro_rules! operations {
            ($($name:literal => $function:path),* $(,)?) => {
                $({
                    let state = self.state.clone();
                    service.operation($name, move |call: Call, input| {
                        let state = state.clone();
                        async move { $function(&state, call, input).await }
                    });
                })*
            };
        }
        operations! {
            "BatchExecuteStatement" => operations::batch_execute_statement,
            "BeginTransaction" => operations::begin_transaction,
            "CommitTransaction" => operations::commit_transaction,
            "ExecuteSql" => operations::execute_sql,
            "ExecuteStatement" => operations::execute_statement,
            "RollbackTransaction" => operations::rollback_transaction,
        }
        service
    }
}

/// Ends idle transactions, for as long as the service is there.
async fn sweep(state: Weak<State>) {
    let mut interval = tokio::time::interval(SWEEP_INTERVAL);
    loop {
        interval.tick().await;
        let Some(state) = state.upgrade() else {
            return;
        };
        state.transactions.sweep();
    }
}
