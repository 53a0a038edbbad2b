use bytes::Bytes;
use interp::HistoryEvent;
use store::{Error, KeyReader, Range, Store};

use crate::keys::{self, ExecutionId};

const VERSION: u8 = 1;

/// A value holds events up to this size; the store bounds values, and readers take several at once.
const CHUNK_BYTES_MAX: usize = 1024 * 1024;

/// The events of one turn as values: a version byte, then each event behind its length (four bytes).
#[derive(Default)]
pub(super) struct Chunks(Vec<(u64, Vec<u8>)>);

impl Chunks {
    /// Adds an event; returns its size.
    pub fn push(&mut self, event: &HistoryEvent) -> usize {
        let encoded = event.encode();
        if self.0.last().is_none_or(|(_, bytes)| bytes.len() + encoded.len() > CHUNK_BYTES_MAX) {
            self.0.push((event.id, vec![VERSION]));
        }
        let (_, bytes) = self.0.last_mut().expect("there is one now");
        let len = u32::try_from(encoded.len()).expect("an event is far below 4 GiB");
        bytes.extend_from_slice(&len.to_be_bytes());
        bytes.extend_from_slice(&encoded);
        encoded.len()
    }

    /// The values, each with the id of its first event.
    pub fn take(&mut self) -> Vec<(u64, Vec<u8>)> {
        std::mem::take(&mut self.0)
    }
}

/// The events of a value, each with its size.
fn decode(value: &Bytes, id: ExecutionId) -> Result<Vec<(HistoryEvent, usize)>, Error> {
    let corrupt = |what: &str| Error::Corrupt(format!("history of execution {}/{}: {what}", id.cell, id.number));
    let Some((&VERSION, mut rest)) = value.split_first() else { return Err(corrupt("unknown version")) };
    let mut events = Vec::new();
    while let Some((len, tail)) = rest.split_first_chunk::<4>() {
        let len = u32::from_be_bytes(*len) as usize;
        let event = tail.get(..len).ok_or_else(|| corrupt("cut off"))?;
        events.push((HistoryEvent::decode(event).map_err(|e| corrupt(&e.to_string()))?, event.len()));
        rest = &tail[len..];
    }
    if rest.is_empty() { Ok(events) } else { Err(corrupt("cut off")) }
}

/// How much a page of a history holds.
pub(crate) struct PageBounds {
    pub events_max: usize,
    /// The first event comes however large it is.
    pub bytes_max: usize,
}

/// Some events of a history, and the id to go on with.
pub(crate) struct HistoryPage {
    pub events: Vec<HistoryEvent>,
    pub next: Option<u64>,
}

/// The events from `from` on (1 is the first), or from `from` backwards; `None`: from the last one.
pub(crate) fn history_page(
    store: &dyn Store,
    id: ExecutionId,
    from: Option<u64>,
    reverse: bool,
    bounds: &PageBounds,
) -> Result<HistoryPage, Error> {
    const CHUNKS_PER_READ: usize = 16;
    let prefix = keys::history(id).build();
    let mut range = Range::prefix(&prefix).limit(CHUNKS_PER_READ);
    if reverse {
        range = range.reverse();
        if let Some(from) = from {
            range.end = keys::history(id).u64(from.saturating_add(1)).build();
        }
    } else if let Some(from) = from {
        // The chunk that holds `from` begins at it or before it.
        let before = Range {
            end: keys::history(id).u64(from.saturating_add(1)).build(),
            ..Range::prefix(&prefix).reverse().limit(1)
        };
        if let Some((key, _)) = store.scan(&before)?.first() {
            range.start = key.to_vec();
        }
    }
    let is_wanted = |event: &HistoryEvent| match from {
        Some(from) if reverse => event.id <= from,
        Some(from) => event.id >= from,
        None => true,
    };
    let (mut events, mut bytes) = (Vec::new(), 0);
    loop {
        let chunks = store.scan(&range)?;
        for (key, value) in &chunks {
            KeyReader::new(&key[prefix.len()..]).u64()?;
            let mut chunk = decode(value, id)?;
            if reverse {
                chunk.reverse();
            }
            for (event, size) in chunk.into_iter().filter(|(event, _)| is_wanted(event)) {
                bytes += size;
                if events.len() == bounds.events_max || (bytes > bounds.bytes_max && !events.is_empty()) {
                    return Ok(HistoryPage { events, next: Some(event.id) });
                }
                events.push(event);
            }
        }
        match chunks.last() {
            Some((last, _)) if chunks.len() == CHUNKS_PER_READ => range = range.after(last),
            _ => return Ok(HistoryPage { events, next: None }),
        }
    }
}
