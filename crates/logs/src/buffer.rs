//! Lines of the process's own parts on their way to the store.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base::{Clock, Timestamp};
use cell::{CellError, Cells};
use tokio::sync::{Notify, watch};
use tracing::{error, warn};

use crate::GroupName;
use crate::input::{Input, NewEvent, Origin};
use crate::logs::EVENT_OVERHEAD_BYTES;

/// Longer lines are cut into events of this size, as AWS does with its largest event.
const MESSAGE_BYTES_MAX: usize = 1024 * 1024 - EVENT_OVERHEAD_BYTES;
/// Events of one stream, and bytes of them, that one write takes.
const WRITE_EVENTS_MAX: usize = 10_000;
const WRITE_BYTES_MAX: usize = 1024 * 1024;
/// Streams that are written at the same time; with the bytes of a write this bounds what a turn can hold of them.
const WRITES_MAX: usize = 16;
const RETRY_PAUSE: Duration = Duration::from_millis(50);
/// A write that fails so often is given up: its events count as dropped.
const TRIES_MAX: usize = 100;

type StreamName = (GroupName, Arc<str>);

/// Takes lines without waiting and writes them behind.
pub(crate) struct Buffer {
    shared: Arc<Shared>,
    /// How many puts have been written, or given up.
    written: watch::Receiver<u64>,
}

struct Shared {
    waiting: Mutex<Waiting>,
    wakes: Notify,
    bytes_max: usize,
}

#[derive(Default)]
struct Waiting {
    streams: BTreeMap<StreamName, Lines>,
    /// Of all lines that are not written yet, those under way included.
    bytes: usize,
    /// Puts so far.
    puts: u64,
    closed: bool,
}

#[derive(Default)]
struct Lines {
    events: Vec<NewEvent>,
    dropped: u64,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Buffer {
    /// Starts the writer on the current runtime; it ends when the buffer is gone and everything is written.
    pub fn start(cells: Cells<Input>, clock: Arc<dyn Clock>, bytes_max: usize, linger: Duration) -> Buffer {
        let shared = Arc::new(Shared { waiting: Mutex::default(), wakes: Notify::new(), bytes_max });
        let (done, written) = watch::channel(0);
        tokio::spawn(write_all(shared.clone(), cells, clock, done, linger));
        Buffer { shared, written }
    }

    pub fn put(&self, group: &GroupName, stream: &str, events: Vec<NewEvent>) {
        let mut waiting = self.shared.lock();
        waiting.puts += 1;
        let room = self.shared.bytes_max.saturating_sub(waiting.bytes);
        let mut added = 0;
        let lines = waiting.streams.entry((group.clone(), stream.into())).or_default();
        for (at, message) in events {
            let size = message.len() + EVENT_OVERHEAD_BYTES;
            if added + size > room {
                lines.dropped += 1;
            } else {
                added += size;
                lines.events.push((at, message));
            }
        }
        waiting.bytes += added;
        drop(waiting);
        self.shared.wakes.notify_one();
    }

    pub async fn flush(&self) {
        let puts = self.shared.lock().puts;
        // An error means that the writer has ended, with everything that it could write.
        let _ = self.written.clone().wait_for(|written| *written >= puts).await;
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.wakes.notify_one();
    }
}

async fn write_all(
    shared: Arc<Shared>,
    cells: Cells<Input>,
    clock: Arc<dyn Clock>,
    done: watch::Sender<u64>,
    linger: Duration,
) {
    loop {
        let (streams, puts, closed) = {
            let mut waiting = shared.lock();
            (std::mem::take(&mut waiting.streams), waiting.puts, waiting.closed)
        };
        if streams.is_empty() {
            done.send_replace(puts);
            if closed {
                return;
            }
            shared.wakes.notified().await;
            // What comes within this time is written together.
            tokio::time::sleep(linger).await;
            continue;
        }
        let mut writes = tokio::task::JoinSet::new();
        for (name, lines) in streams {
            if writes.len() >= WRITES_MAX {
                writes.join_next().await;
            }
            writes.spawn(write(shared.clone(), cells.clone(), clock.now(), name, lines));
        }
        while writes.join_next().await.is_some() {}
        done.send_replace(puts);
    }
}

/// Writes one stream's lines, and gives their room back.
async fn write(shared: Arc<Shared>, cells: Cells<Input>, now: Timestamp, (group, stream): StreamName, lines: Lines) {
    let bytes: usize = lines.events.iter().map(|(_, message)| message.len() + EVENT_OVERHEAD_BYTES).sum();
    let mut events: Vec<NewEvent> = Vec::with_capacity(lines.events.len() + 1);
    for (at, message) in lines.events {
        cut(at, message, &mut events);
    }
    if lines.dropped > 0 {
        warn!(group = group.name(), stream = &*stream, dropped = lines.dropped, "log events dropped");
        events.push((
            now,
            format!(
                "[stepwell] {} log events were dropped: they came faster than they could be written",
                lines.dropped
            ),
        ));
    }
    events.sort_by_key(|(at, _)| *at);
    let mut dropped = 0;
    while !events.is_empty() {
        let mut bytes = 0;
        let fits = |(_, message): &&NewEvent| {
            bytes += message.len() + EVENT_OVERHEAD_BYTES;
            bytes <= WRITE_BYTES_MAX
        };
        let count = events.iter().take(WRITE_EVENTS_MAX).take_while(fits).count().max(1);
        let rest = events.split_off(count);
        let part = std::mem::replace(&mut events, rest);
        match write_part(&cells, &group, &stream, part).await {
            Written::Yes => {}
            Written::No => dropped += count as u64,
            Written::Stopped => break,
        }
    }
    let mut waiting = shared.lock();
    waiting.bytes = waiting.bytes.saturating_sub(bytes);
    if dropped > 0 {
        waiting.streams.entry((group, stream)).or_default().dropped += dropped;
    }
}

enum Written {
    Yes,
    /// The store has refused for long enough.
    No,
    /// Nobody will ever write it.
    Stopped,
}

async fn write_part(cells: &Cells<Input>, group: &GroupName, stream: &str, part: Vec<NewEvent>) -> Written {
    for _ in 0..TRIES_MAX {
        let put = |reply| Input::Put {
            group: group.clone(),
            stream: stream.to_owned(),
            events: part.clone(),
            origin: Origin::Process,
            reply,
        };
        match cells.of(group.arn().as_bytes()).call(put).await {
            Ok(_) => return Written::Yes,
            Err(CellError::Stopped) => return Written::Stopped,
            Err(error) => {
                warn!(%error, group = group.name(), "write log events again");
                tokio::time::sleep(RETRY_PAUSE).await;
            }
        }
    }
    error!(group = group.name(), stream, events = part.len(), "log events could not be written");
    Written::No
}

/// Splits a message that is too long for one event, between characters.
fn cut(at: Timestamp, message: String, events: &mut Vec<NewEvent>) {
    let mut rest = message.as_str();
    while rest.len() > MESSAGE_BYTES_MAX {
        let end = rest.floor_char_boundary(MESSAGE_BYTES_MAX);
        events.push((at, rest[..end].to_owned()));
        rest = &rest[end..];
    }
    if rest.len() == message.len() {
        events.push((at, message));
    } else {
        events.push((at, rest.to_owned()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_messages_become_several_events() {
        let mut events = Vec::new();
        cut(Timestamp::from_millis(1), "short".to_owned(), &mut events);
        cut(Timestamp::from_millis(2), "ü".repeat(MESSAGE_BYTES_MAX), &mut events);
        assert_eq!(events.len(), 1 + 2);
        assert!(events.iter().all(|(_, message)| message.len() <= MESSAGE_BYTES_MAX));
        assert_eq!(events[1..].iter().map(|(_, m)| m.len()).sum::<usize>(), 2 * MESSAGE_BYTES_MAX);
    }
}
