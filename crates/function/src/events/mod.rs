//! Asynchronous invocations: stored before they are accepted, tried again where they fail, and told to a destination.

mod destination;
mod machine;
mod record;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use base::{Clock, Timestamp};
use bytes::Bytes;
use cell::{Cell, CellOptions, outbox_key};
use service::{EffectId, Fault};
use store::Store;
use tokio::sync::mpsc;
use tracing::{error, warn};

use crate::catalogue::record::EventInvokeRecord;
use crate::fault::not_committed;
use crate::invoke::or_empty_object;
use crate::name::{LATEST, Named};
use crate::{Functions, Options};
use destination::Ending;
use machine::{Accepted, CELL, Input, Queue};
use record::EventRecord;

/// How often a failed function is run again, where its configuration does not say.
const RETRIES_DEFAULT: u32 = 2;
/// How long an event may wait and be tried, where the configuration does not say.
const AGE_MAX: Duration = Duration::from_secs(6 * 3600);
/// The pause after the first failure of the function; it doubles with each.
const FAILURE_PAUSE: Duration = Duration::from_secs(60);
/// The pause after the first time that the function could not be run; it doubles with each, up to the bound.
const REFUSAL_PAUSE: Duration = Duration::from_secs(1);
const REFUSAL_PAUSE_MAX: Duration = Duration::from_secs(300);

/// The way to the queue.
pub(crate) struct Events {
    store: Arc<dyn Store>,
    cell: Cell<Input>,
    starts: Mutex<Option<mpsc::UnboundedReceiver<u64>>>,
    stopping: AtomicBool,
}

impl Events {
    pub async fn open(store: Arc<dyn Store>, clock: Arc<dyn Clock>, options: &Options) -> Result<Events, store::Error> {
        let (start, starts) = mpsc::unbounded_channel();
        let queue = Queue::new(options.async_events_max, options.async_running_max, start);
        let cell = Cell::start(CELL, queue, store.clone(), clock, CellOptions::default()).await?;
        Ok(Events { store, cell, starts: Mutex::new(Some(starts)), stopping: AtomicBool::new(false) })
    }

    /// Stores an invocation; when this returns it will be run.
    pub async fn accept(
        &self,
        named: &Named,
        request_id: &str,
        payload: Bytes,
        client_context: Option<Arc<str>>,
        effect: Option<EffectId>,
    ) -> Result<(), Fault> {
        let record = EventRecord {
            account: named.key.scope.account().to_owned(),
            region: named.key.scope.region().to_owned(),
            name: named.key.name.clone(),
            qualifier: named.qualifier.clone(),
            request_id: request_id.to_owned(),
            client_context: client_context.map(|c| c.to_string()),
            accepted_ms: 0,
            due_ms: 0,
            failures: 0,
            refusals: 0,
            delivery: None,
        };
        let payload = or_empty_object(payload);
        let answer = self.cell.call(|reply| Input::Accept { record, payload, effect, reply }).await;
        match answer.map_err(|e| not_committed(&e))? {
            Accepted::Yes => Ok(()),
            Accepted::Full => Err(Fault::with_status(429, "TooManyRequestsException", "Rate Exceeded.")
                .member("Reason", "CallerRateLimitExceeded")
                .member("Type", "User")),
        }
    }

    /// Runs what is due, from now on until the functions are gone.
    pub fn run(&self, functions: &Arc<Functions>) {
        let starts = self.starts.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut starts) = starts else { return };
        let functions: Weak<Functions> = Arc::downgrade(functions);
        tokio::spawn(async move {
            while let Some(number) = starts.recv().await {
                let Some(functions) = functions.upgrade() else { return };
                tokio::spawn(async move { attempt(&functions, number).await });
            }
        });
    }

    /// Starts no more attempts; what is not done is done by the next server.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    fn read(&self, number: u64) -> Result<Option<(EventRecord, Bytes)>, store::Error> {
        self.store.get(&outbox_key(CELL, number))?.map(|value| EventRecord::decode(&value)).transpose()
    }
}

/// One attempt to run an event's function, or to deliver its record.
async fn attempt(functions: &Arc<Functions>, number: u64) {
    let events = &functions.events;
    if events.stopping.load(Ordering::Relaxed) {
        return;
    }
    let next = match events.read(number) {
        Ok(Some((record, payload))) if record.delivery.is_some() => deliver(functions, number, record, payload).await,
        Ok(Some((record, payload))) => run(functions, record, payload).await,
        Ok(None) => None,
        Err(error) => {
            // It stays stored, and stays out of the queue: an operator must look.
            error!(number, %error, "asynchronous invocation not read");
            return;
        }
    };
    // A server that stops has answered nobody: the next one tries again.
    if !events.stopping.load(Ordering::Relaxed) {
        let _ = events.cell.send_waiting(Input::Attempted { number, next }).await;
    }
}

async fn run(functions: &Functions, mut record: EventRecord, payload: Bytes) -> Option<(EventRecord, Bytes)> {
    let named = record.named();
    let now = functions.clock.now();
    let config = configuration(functions, &named);
    let age_max = config.age_s_max.map_or(AGE_MAX, |s| Duration::from_secs(u64::from(s)));
    let old = |at: Timestamp| at.since(record.accepted()) >= age_max;
    if old(now) && record.due() > record.accepted() {
        return finish(functions, &config, record, payload, &Ending::Aged);
    }
    let result = match functions.resolve(&named) {
        Ok(resolved) => {
            let context = record.client_context.as_deref().map(Arc::from);
            let outcome = functions.run(&resolved, record.request_id.as_str().into(), payload.clone(), context, false);
            outcome.await.map(|outcome| (resolved.version.clone(), outcome))
        }
        Err(fault) => Err(fault),
    };
    match result {
        Ok((version, outcome)) if !outcome.failed => {
            finish(functions, &config, record, payload, &Ending::Succeeded { version, response: outcome.payload })
        }
        Ok((version, outcome)) => {
            record.failures += 1;
            let pause = FAILURE_PAUSE * 2u32.pow(record.failures.min(8) - 1);
            let again = functions.clock.now() + pause;
            if record.failures > config.retries_max.unwrap_or(RETRIES_DEFAULT) {
                finish(functions, &config, record, payload, &Ending::Failed { version, response: outcome.payload })
            } else if again.since(record.accepted()) >= age_max {
                finish(functions, &config, record, payload, &Ending::Aged)
            } else {
                record.due_ms = again.as_millis();
                Some((record, payload))
            }
        }
        // Throttled, or the server's own trouble: that counts against the age alone.
        Err(fault) if fault.is_retryable() => {
            let again = functions.clock.now() + refusal_pause(record.refusals);
            record.refusals += 1;
            if again.since(record.accepted()) >= age_max {
                return finish(functions, &config, record, payload, &Ending::Aged);
            }
            record.due_ms = again.as_millis();
            Some((record, payload))
        }
        Err(fault) => {
            warn!(function = %named.arn(), request_id = record.request_id, %fault, "asynchronous invocation dropped");
            None
        }
    }
}

fn refusal_pause(refusals: u32) -> Duration {
    (REFUSAL_PAUSE * 2u32.pow(refusals.min(16))).min(REFUSAL_PAUSE_MAX)
}

/// The function is done with: its record goes to a destination, if there is one.
fn finish(
    functions: &Functions,
    config: &EventInvokeRecord,
    record: EventRecord,
    payload: Bytes,
    ending: &Ending,
) -> Option<(EventRecord, Bytes)> {
    let function = functions.catalogue.function(&record.named().key);
    let dead_letters = function.and_then(|f| f.record.latest.dead_letter_arn.clone());
    let sent = destination::choose(config, dead_letters, &record, &payload, ending, functions.clock.now());
    if sent.is_none() && !ending.succeeded() {
        let function = record.named().arn();
        warn!(%function, request_id = record.request_id, condition = ending.condition(), "asynchronous invocation dropped");
    }
    let (delivery, body) = sent?;
    let due_ms = functions.clock.now().as_millis();
    Some((EventRecord { delivery: Some(delivery), due_ms, refusals: 0, ..record }, body))
}

async fn deliver(
    functions: &Functions,
    number: u64,
    mut record: EventRecord,
    payload: Bytes,
) -> Option<(EventRecord, Bytes)> {
    let effect = EffectId::new(&outbox_key(CELL, number));
    let fault = destination::send(functions, &record, &payload, effect).await.err()?;
    let now = functions.clock.now();
    let target = record.delivery.as_ref().map(|d| d.target.clone()).unwrap_or_default();
    if !fault.is_retryable() || now.since(record.accepted()) >= 2 * AGE_MAX {
        error!(%target, request_id = record.request_id, %fault, "record of an asynchronous invocation not delivered");
        return None;
    }
    warn!(%target, request_id = record.request_id, %fault, "delivery is tried again");
    record.due_ms = (now + refusal_pause(record.refusals)).as_millis();
    record.refusals += 1;
    Some((record, payload))
}

fn configuration(functions: &Functions, named: &Named) -> EventInvokeRecord {
    let place = named.qualifier.as_deref().unwrap_or(LATEST);
    let function = functions.catalogue.function(&named.key);
    function.and_then(|f| f.record.event_invoke.get(place).cloned()).unwrap_or_default()
}
