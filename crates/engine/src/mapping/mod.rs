//! Event source mappings: queues whose messages a function gets in batches.
//!
//! <https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html>

mod api;
mod pattern;
mod poller;

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base::{Clock, Entropy};
use bytes::Bytes;
use cell::{Cell, CellOptions, Machine, Reply, Turn};
use serde_json::Value;
use service::Fault;
use store::{Error, Key, Range, Store};
use tokio::sync::watch;

use crate::invoker::Invoker;
use crate::record::{MappingRecord, Record};
use crate::{fault, keys};

type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A queue as mappings use it. The binary puts the queue service behind it.
pub trait SourceQueue: Send + Sync + 'static {
    /// The queue's visibility timeout; a fault if there is no such queue.
    fn visibility(&self, queue_arn: &str) -> BoxFuture<Result<Duration, Fault>>;
    /// Up to `max` messages, waiting up to `wait` for the first; they are hidden for `hidden` from then on.
    fn receive(
        &self,
        queue_arn: &str,
        max: usize,
        wait: Duration,
        hidden: Duration,
    ) -> BoxFuture<Result<Vec<ReceivedMessage>, Fault>>;
    /// Deletes messages, durably.
    fn delete(&self, queue_arn: &str, receipt_handles: Vec<String>) -> BoxFuture<Result<(), Fault>>;
    /// Hides messages for so long from now on.
    fn hide(&self, queue_arn: &str, receipt_handles: Vec<String>, how_long: Duration) -> BoxFuture<Result<(), Fault>>;
}

/// One message as a function's event shows it.
#[derive(Clone, Debug)]
pub struct ReceivedMessage {
    pub message_id: String,
    pub receipt_handle: String,
    pub body: String,
    pub md5_of_body: String,
    /// System attributes: `SentTimestamp`, `ApproximateReceiveCount`, ...
    pub attributes: BTreeMap<String, String>,
    /// Message attributes in the event's shape (`stringValue`, `binaryValue`, `dataType`).
    pub message_attributes: Value,
}

/// All mappings of one store, and the pollers that serve them.
#[derive(Clone)]
pub struct Mappings {
    inner: Arc<Inner>,
}

struct Inner {
    cell: Cell<Change>,
    shared: Arc<Shared>,
    clock: Arc<dyn Clock>,
    entropy: Arc<Entropy>,
}

/// What the cell and its readers share.
struct Shared {
    queues: Arc<dyn SourceQueue>,
    invoker: Arc<dyn Invoker>,
    running: Mutex<BTreeMap<String, Running>>,
}

/// A mapping and its poller, which goes when the sender does.
struct Running {
    record: Arc<MappingRecord>,
    _stop: Option<watch::Sender<()>>,
}

type Change = Box<dyn FnOnce(&mut Owner, &mut Turn<'_>) -> Result<(), Error> + Send>;

struct Owner {
    shared: Arc<Shared>,
}

impl Mappings {
    /// Reads the stored mappings and starts their pollers.
    pub async fn start(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        entropy: Arc<Entropy>,
        queues: Arc<dyn SourceQueue>,
        invoker: Arc<dyn Invoker>,
    ) -> Result<Mappings, Error> {
        let shared = Arc::new(Shared { queues, invoker, running: Mutex::default() });
        let owner = Owner { shared: shared.clone() };
        let cell = Cell::start("mapping", owner, store, clock.clone(), CellOptions::default()).await?;
        Ok(Mappings { inner: Arc::new(Inner { cell, shared, clock, entropy }) })
    }

    fn find(&self, uuid: &str) -> Option<Arc<MappingRecord>> {
        lock(&self.inner.shared.running).get(uuid).map(|r| r.record.clone())
    }

    fn all(&self) -> Vec<Arc<MappingRecord>> {
        lock(&self.inner.shared.running).values().map(|r| r.record.clone()).collect()
    }

    /// Stores a new mapping and starts its poller; the one that serves the same queue and function is a conflict.
    async fn create(&self, record: MappingRecord) -> Result<Result<Arc<MappingRecord>, Arc<MappingRecord>>, Fault> {
        let done = self.inner.cell.call(|reply: Reply<_>| -> Change {
            Box::new(move |owner, turn| {
                let same =
                    |m: &MappingRecord| m.source_arn == record.source_arn && m.function_arn == record.function_arn;
                let answer = match stored(turn)?.into_iter().find(|m| same(m)) {
                    Some(taken) => Err(taken),
                    None => Ok(owner.put(record, turn)),
                };
                turn.reply(reply, answer);
                Ok(())
            })
        });
        done.await.map_err(fault::from_cell)
    }

    /// Changes a mapping as the cell has it, so that changes at the same time are not lost, and its poller.
    async fn update(
        &self,
        uuid: String,
        edit: impl FnOnce(&mut MappingRecord) -> Result<(), Fault> + Send + 'static,
    ) -> Result<Option<Arc<MappingRecord>>, Fault> {
        let done = self.inner.cell.call(|reply: Reply<_>| -> Change {
            Box::new(move |owner, turn| {
                let answer = match turn.get(keys::mapping(&uuid).as_bytes())? {
                    None => Ok(None),
                    Some(value) => {
                        let mut record = MappingRecord::decode(&value)?;
                        edit(&mut record).map(|()| Some(owner.put(record, turn)))
                    }
                };
                turn.reply(reply, answer);
                Ok(())
            })
        });
        done.await.map_err(fault::from_cell)?
    }

    async fn remove(&self, uuid: String) -> Result<(), Fault> {
        let done = self.inner.cell.call(|reply: Reply<()>| -> Change {
            Box::new(move |owner, turn| {
                turn.delete(keys::mapping(&uuid));
                let shared = owner.shared.clone();
                turn.effect(move || drop(lock(&shared.running).remove(&uuid)));
                turn.reply(reply, ());
                Ok(())
            })
        });
        done.await.map_err(fault::from_cell)
    }
}

impl Shared {
    /// Replaces whatever runs for this mapping.
    fn run(self: &Arc<Self>, record: Arc<MappingRecord>) {
        let stop = record.enabled.then(|| {
            let (stop, stopped) = watch::channel(());
            let poller = poller::Poller::new(record.clone(), self.queues.clone(), self.invoker.clone());
            tokio::spawn(poller.run(stopped));
            stop
        });
        lock(&self.running).insert(record.uuid.clone(), Running { record, _stop: stop });
    }
}

impl Owner {
    fn put(&mut self, record: MappingRecord, turn: &mut Turn<'_>) -> Arc<MappingRecord> {
        turn.put(keys::mapping(&record.uuid), record.encode());
        let record = Arc::new(record);
        let (shared, changed) = (self.shared.clone(), record.clone());
        turn.effect(move || shared.run(changed));
        record
    }
}

/// All mappings, as this turn has left them.
fn stored(turn: &Turn<'_>) -> Result<Vec<Arc<MappingRecord>>, Error> {
    let entries = turn.scan(&Range::prefix(Key::new("mapping").as_bytes()))?;
    entries.iter().map(|(_, value)| Ok(Arc::new(MappingRecord::decode(value)?))).collect()
}

impl Machine for Owner {
    type Input = Change;

    fn load(&mut self, turn: &mut Turn<'_>) -> Result<(), Error> {
        let records = stored(turn)?;
        let shared = self.shared.clone();
        turn.effect(move || {
            lock(&shared.running).clear();
            records.into_iter().for_each(|record| shared.run(record));
        });
        Ok(())
    }

    fn apply(&mut self, change: Change, turn: &mut Turn<'_>) -> Result<(), Error> {
        change(self, turn)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn event(record: &MappingRecord, messages: &[ReceivedMessage]) -> Bytes {
    let records: Vec<Value> = messages
        .iter()
        .map(|m| {
            serde_json::json!({
                "messageId": m.message_id,
                "receiptHandle": m.receipt_handle,
                "body": m.body,
                "attributes": m.attributes,
                "messageAttributes": m.message_attributes,
                "md5OfBody": m.md5_of_body,
                "eventSource": "aws:sqs",
                "eventSourceARN": record.source_arn,
                "awsRegion": record.region,
            })
        })
        .collect();
    serde_json::json!({ "Records": records }).to_string().into()
}
