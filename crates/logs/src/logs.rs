use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use base::{Clock, Timestamp};
use cell::{CellOptions, Cells};
use service::{Fault, Service};
use store::{Error, Range, Store};
use tokio::sync::{Semaphore, SemaphorePermit, broadcast};
use tracing::error;

use crate::buffer::Buffer;
use crate::input::{Answer, EventPosition, Input};
use crate::machine::{Announcement, CELLS, LogsCell};
use crate::read::Merged;
use crate::record::{GroupRecord, StreamRecord};
use crate::{GroupName, Pattern, Tail, fault, key, operations};

/// What one call of a filter looks at before it answers with what it has.
const SCAN_BYTES_MAX: usize = 16 * 1024 * 1024;
/// What one answer carries.
pub(crate) const ANSWER_BYTES_MAX: usize = 1024 * 1024;
pub(crate) const ANSWER_EVENTS_MAX: usize = 10_000;
/// Announcements that a follower may be behind before it reads from the store again.
const ANNOUNCEMENTS_MAX: usize = 4096;
const STREAMS_PAGE: usize = 1024;
const BYTES_PER_PERMIT: usize = 1024;

/// How the service is bounded.
#[derive(Clone, Debug)]
pub struct Options {
    pub cell: CellOptions,
    /// Bytes of events over the API that may wait to be stored before callers are told to try again.
    pub put_bytes_waiting_max: usize,
    /// Bytes of them that are handed to the cells at a time: what one turn's batch can hold of them, which must stay
    /// well below what the store takes in one batch.
    pub put_bytes_storing_max: usize,
    /// Bytes of the process's own lines that may wait to be written; what comes beyond is dropped and counted.
    pub buffer_bytes_max: usize,
    /// For how long lines gather before they are written.
    pub linger: Duration,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            cell: CellOptions { inputs_per_turn_max: 256, ..CellOptions::default() },
            put_bytes_waiting_max: 128 * 1024 * 1024,
            put_bytes_storing_max: 24 * 1024 * 1024,
            buffer_bytes_max: 32 * 1024 * 1024,
            linger: Duration::from_millis(20),
        }
    }
}

/// The running service. Clones are the same service.
#[derive(Clone)]
pub struct Logs {
    inner: Arc<Inner>,
}

struct Inner {
    cells: Cells<Input>,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    announcements: broadcast::Sender<Arc<Announcement>>,
    buffer: Buffer,
    waiting_room: Semaphore,
    storing_room: Semaphore,
}

/// Which events to look for.
#[derive(Clone, Debug, Default)]
pub struct FilterQuery {
    /// Only these streams; empty means all.
    pub streams: Vec<String>,
    pub stream_prefix: Option<String>,
    /// First and last time, both inclusive.
    pub start: Option<Timestamp>,
    pub end: Option<Timestamp>,
    pub pattern: Option<Pattern>,
    /// Where an earlier page ended.
    pub from: Option<EventPosition>,
    pub limit: Option<usize>,
}

/// An event that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilteredEvent {
    pub stream: Arc<str>,
    pub position: EventPosition,
    pub ingested_at: Timestamp,
    pub message: String,
}

/// A page of events, and from where to go on if there may be more.
#[derive(Clone, Debug)]
pub struct FilteredPage {
    pub events: Vec<FilteredEvent>,
    pub next: Option<EventPosition>,
}

/// A stream with its name.
pub(crate) struct NamedStream {
    pub name: Arc<str>,
    pub record: StreamRecord,
}

impl Logs {
    /// Starts the cells and the writer of the process's own lines on the current runtime.
    pub async fn start(store: Arc<dyn Store>, clock: Arc<dyn Clock>, options: Options) -> Result<Logs, Error> {
        let (announcements, _) = broadcast::channel(ANNOUNCEMENTS_MAX);
        let make = |index: usize| LogsCell::new(index, announcements.clone());
        let cells = Cells::start("logs", CELLS, make, &store, &clock, &options.cell).await?;
        let buffer = Buffer::start(cells.clone(), clock.clone(), options.buffer_bytes_max, options.linger);
        let inner = Inner {
            cells,
            store,
            clock,
            announcements,
            buffer,
            waiting_room: Semaphore::new(options.put_bytes_waiting_max / BYTES_PER_PERMIT),
            storing_room: Semaphore::new(options.put_bytes_storing_max / BYTES_PER_PERMIT),
        };
        Ok(Logs { inner: Arc::new(inner) })
    }

    /// The service's operations, for a registry.
    pub fn service(&self) -> Service {
        operations::service(self)
    }

    /// Hands lines of the process's own parts over to be written soon, making group and stream if they are missing.
    ///
    /// Never waits. What does not fit into the buffer is dropped, and the stream says how much.
    pub fn put(&self, group: &GroupName, stream: &str, events: Vec<(Timestamp, String)>) {
        self.inner.buffer.put(group, stream, events);
    }

    /// Waits until everything that was put before is durable, or the cells have stopped.
    pub async fn flush(&self) {
        self.inner.buffer.flush().await;
    }

    /// Follows a group: events from `from` on, then those that come.
    pub fn tail(&self, group: &GroupName, from: Timestamp) -> Tail {
        Tail::new(self.clone(), self.inner.announcements.subscribe(), group.clone(), from)
    }

    /// Finds events; the answer may be empty though there are more to look at.
    ///
    /// Reads from disk: the work is done off the runtime's workers.
    pub async fn filter(&self, group: &GroupName, query: FilterQuery) -> Result<FilteredPage, Fault> {
        let (logs, group) = (self.clone(), group.clone());
        self.blocking(move || logs.filter_now(&group, &query)).await
    }

    /// Runs a read that may take long.
    pub(crate) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        let done = tokio::task::spawn_blocking(work).await;
        done.unwrap_or_else(|e| {
            error!(error = %e, "a read of logs failed");
            Err(Fault::internal("a read of logs failed"))
        })
    }

    fn filter_now(&self, group: &GroupName, query: &FilterQuery) -> Result<FilteredPage, Fault> {
        let record = self.group(group)?.ok_or_else(fault::no_group)?;
        let shown_from = record.expired_before(self.now());
        let start = query.start.map_or(shown_from, |start| start.max(shown_from));
        let end = query.end.unwrap_or(Timestamp::MAX);
        let from = query.from.map_or(EventPosition::before(start), |from| from.max(EventPosition::before(start)));
        let streams = self.streams_for(record.serial, query)?;
        let streams: Vec<_> = streams
            .into_iter()
            .filter_map(|s| s.record.events.map(|times| (s, times)))
            .filter(|(_, times)| times.last_ms >= from.at.as_millis() && times.first_ms <= end.as_millis())
            .collect();
        let serials = streams.iter().map(|(s, times)| (s.record.serial, Timestamp::from_millis(times.first_ms)));
        let mut merged = Merged::new(self.store(), record.serial, from, serials);
        let limit = query.limit.unwrap_or(ANSWER_EVENTS_MAX).min(ANSWER_EVENTS_MAX);
        let (mut events, mut answer_bytes, mut scanned_bytes) = (Vec::new(), 0, 0);
        while let Some((index, event)) = merged.next().map_err(|e| fault::of_store(&e))? {
            if event.position.at > end {
                break;
            }
            if events.len() == limit || answer_bytes > ANSWER_BYTES_MAX || scanned_bytes > SCAN_BYTES_MAX {
                return Ok(FilteredPage { events, next: Some(event.position) });
            }
            scanned_bytes += event.message.len() + EVENT_OVERHEAD_BYTES;
            if query.pattern.as_ref().is_none_or(|pattern| pattern.matches(&event.message)) {
                answer_bytes += event.message.len() + EVENT_OVERHEAD_BYTES;
                events.push(FilteredEvent {
                    stream: streams[index].0.name.clone(),
                    position: event.position,
                    ingested_at: event.ingested_at,
                    message: event.message,
                });
            }
        }
        Ok(FilteredPage { events, next: None })
    }

    fn streams_for(&self, group: u64, query: &FilterQuery) -> Result<Vec<NamedStream>, Fault> {
        if query.streams.is_empty() {
            return self.streams(group, query.stream_prefix.as_deref().unwrap_or_default());
        }
        let mut streams = BTreeMap::new();
        for name in &query.streams {
            let record = self.stream(group, name)?.ok_or_else(fault::no_stream)?;
            streams.insert(name.clone(), NamedStream { name: name.as_str().into(), record });
        }
        Ok(streams.into_values().collect())
    }

    pub(crate) fn group(&self, name: &GroupName) -> Result<Option<GroupRecord>, Fault> {
        let value = self.store().get(&key::group(name)).map_err(|e| fault::of_store(&e))?;
        value.map(|v| GroupRecord::decode(&v)).transpose().map_err(|e| fault::of_store(&e))
    }

    pub(crate) fn stream(&self, group: u64, name: &str) -> Result<Option<StreamRecord>, Fault> {
        let value = self.store().get(&key::stream(group, name)).map_err(|e| fault::of_store(&e))?;
        value.map(|v| StreamRecord::decode(&v)).transpose().map_err(|e| fault::of_store(&e))
    }

    /// All streams of a group whose names begin with `prefix`, by name.
    pub(crate) fn streams(&self, group: u64, prefix: &str) -> Result<Vec<NamedStream>, Fault> {
        let mut found = Vec::new();
        let mut range = Range::prefix(&key::streams(group)).limit(STREAMS_PAGE);
        // Names lie in order, so that those with the prefix are one run.
        range.start = range.start.max(key::stream(group, prefix));
        loop {
            let page = self.store().scan(&range).map_err(|e| fault::of_store(&e))?;
            for (key, value) in &page {
                let name = key::read_stream(key).map_err(|e| fault::of_store(&e))?;
                if !name.starts_with(prefix) {
                    return Ok(found);
                }
                let record = StreamRecord::decode(value).map_err(|e| fault::of_store(&e))?;
                found.push(NamedStream { name: name.into(), record });
            }
            match page.last() {
                Some((last, _)) if page.len() == STREAMS_PAGE => range = range.after(last),
                _ => return Ok(found),
            }
        }
    }

    pub(crate) fn store(&self) -> &dyn Store {
        &*self.inner.store
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.inner.clock.now()
    }

    /// A place for so many bytes of events until they are stored.
    pub(crate) async fn put_room(&self, bytes: usize) -> Result<[SemaphorePermit<'_>; 2], Fault> {
        let permits = u32::try_from(bytes / BYTES_PER_PERMIT).unwrap_or(u32::MAX);
        let refused = || Fault::throttling("too many log events wait to be stored, try again");
        let waiting = self.inner.waiting_room.try_acquire_many(permits).map_err(|_| refused())?;
        let storing = self.inner.storing_room.acquire_many(permits).await.map_err(|_| refused())?;
        Ok([waiting, storing])
    }

    /// Asks the cell that owns the group.
    pub(crate) async fn ask<T: Send + 'static>(
        &self,
        group: &GroupName,
        input: impl FnOnce(Answer<T>) -> Input,
    ) -> Result<T, Fault> {
        self.inner.cells.of(group.arn().as_bytes()).call(input).await.map_err(fault::of_cell)?
    }
}

/// What AWS counts for each event beside its message.
pub(crate) const EVENT_OVERHEAD_BYTES: usize = 26;
