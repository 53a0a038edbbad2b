//! Readers that bring chunks into the order of events: by time, then number.
//!
//! A chunk begins at its key's time and spans at most [`CHUNK_SPAN`], so that a reader knows which chunks may hold
//! events of a time, and when no further chunk can hold an earlier (or later) one.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use base::Timestamp;
use store::{Entry, Error, Range, Store};

use crate::input::EventPosition;
use crate::key;
use crate::machine::CHUNK_SPAN;
use crate::record::ChunkRecord;

/// Chunks that one scan reads.
const PAGE: usize = 8;

/// An event as it is read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Event {
    pub position: EventPosition,
    pub ingested_at: Timestamp,
    pub message: String,
}

/// The events of one chunk.
pub(crate) fn open(key: &[u8], value: &[u8]) -> Result<Vec<Event>, Error> {
    let (first, number) = key::read_chunk(key)?;
    let chunk = ChunkRecord::decode(value)?;
    let ingested_at = Timestamp::from_millis(chunk.ingested_ms);
    let event = |(n, (offset, message)): (u64, (u64, &str))| Event {
        position: EventPosition { at: first + std::time::Duration::from_millis(offset), number: number + n },
        ingested_at,
        message: message.to_owned(),
    };
    Ok((0..).zip(chunk.events).map(event).collect())
}

/// Pages through a stream's chunks in key order, or against it.
struct Chunks<'a> {
    store: &'a dyn Store,
    range: Range,
    page: VecDeque<Entry>,
    end: bool,
}

impl<'a> Chunks<'a> {
    fn new(store: &'a dyn Store, range: Range, page: usize) -> Chunks<'a> {
        Chunks { store, range: range.limit(page), page: VecDeque::new(), end: false }
    }

    /// Where the next chunk begins, if there is one.
    fn peek(&mut self) -> Result<Option<EventPosition>, Error> {
        if self.page.is_empty() && !self.end {
            self.page = self.store.scan(&self.range)?.into();
            self.end = self.page.len() < self.range.limit;
            if let Some((last, _)) = self.page.back() {
                self.range = self.range.clone().after(last);
            }
        }
        let first = self.page.front().map(|(key, _)| key::read_chunk(key)).transpose()?;
        Ok(first.map(|(at, number)| EventPosition { at, number }))
    }

    fn take(&mut self) -> Result<Vec<Event>, Error> {
        self.page.pop_front().map_or(Ok(Vec::new()), |(key, value)| open(&key, &value))
    }
}

/// A stream's events from a position on.
pub(crate) struct Forward<'a> {
    chunks: Chunks<'a>,
    from: EventPosition,
    waiting: BinaryHeap<Reverse<Event>>,
}

impl<'a> Forward<'a> {
    pub fn new(store: &'a dyn Store, group: u64, stream: u64, from: EventPosition) -> Forward<'a> {
        Forward::with_page(store, group, stream, from, PAGE)
    }

    fn with_page(store: &'a dyn Store, group: u64, stream: u64, from: EventPosition, page: usize) -> Forward<'a> {
        let start = key::chunk(group, stream, from.at - CHUNK_SPAN, 0);
        let end = store::successor(&key::chunks(group, stream));
        Forward { chunks: Chunks::new(store, Range::between(start, end), page), from, waiting: BinaryHeap::new() }
    }

    pub fn next(&mut self) -> Result<Option<Event>, Error> {
        loop {
            let chunk = self.chunks.peek()?;
            match (self.waiting.peek(), chunk) {
                (Some(Reverse(event)), chunk) if chunk.is_none_or(|begin| event.position < begin) => {
                    return Ok(self.waiting.pop().map(|Reverse(event)| event));
                }
                (None, None) => return Ok(None),
                _ => {
                    let events = self.chunks.take()?.into_iter().filter(|e| e.position >= self.from);
                    self.waiting.extend(events.map(Reverse));
                }
            }
        }
    }
}

/// A stream's events before a position, the latest first.
pub(crate) struct Backward<'a> {
    chunks: Chunks<'a>,
    before: EventPosition,
    waiting: BinaryHeap<Event>,
}

impl<'a> Backward<'a> {
    pub fn new(store: &'a dyn Store, group: u64, stream: u64, before: EventPosition) -> Backward<'a> {
        let end = key::chunk(group, stream, before.at, before.number);
        let range = Range::between(key::chunks(group, stream), end).reverse();
        Backward { chunks: Chunks::new(store, range, PAGE), before, waiting: BinaryHeap::new() }
    }

    pub fn next(&mut self) -> Result<Option<Event>, Error> {
        loop {
            let chunk = self.chunks.peek()?;
            match (self.waiting.peek(), chunk) {
                (Some(event), chunk) if chunk.is_none_or(|begin| begin.at + CHUNK_SPAN < event.position.at) => {
                    return Ok(self.waiting.pop());
                }
                (None, None) => return Ok(None),
                _ => {
                    let events = self.chunks.take()?.into_iter().filter(|e| e.position < self.before);
                    self.waiting.extend(events);
                }
            }
        }
    }
}

/// The events of several streams, interleaved. A stream is opened only when its time has come.
pub(crate) struct Merged<'a> {
    store: &'a dyn Store,
    group: u64,
    from: EventPosition,
    page: usize,
    streams: Vec<MergedStream<'a>>,
    order: BinaryHeap<Reverse<(EventPosition, usize)>>,
}

struct MergedStream<'a> {
    serial: u64,
    reader: Option<Forward<'a>>,
    next: Option<Event>,
}

impl<'a> Merged<'a> {
    /// `streams` by serial, with the time of the first event of each.
    pub fn new(
        store: &'a dyn Store,
        group: u64,
        from: EventPosition,
        streams: impl IntoIterator<Item = (u64, Timestamp)>,
    ) -> Merged<'a> {
        let mut order = BinaryHeap::new();
        let mut all = Vec::new();
        for (index, (serial, first)) in streams.into_iter().enumerate() {
            order.push(Reverse((EventPosition::before(first).max(from), index)));
            all.push(MergedStream { serial, reader: None, next: None });
        }
        // Many streams at once must not hold many chunks each.
        let page = if all.len() > PAGE { 1 } else { PAGE };
        Merged { store, group, from, page, streams: all, order }
    }

    /// The next event, with the index of its stream.
    pub fn next(&mut self) -> Result<Option<(usize, Event)>, Error> {
        while let Some(Reverse((_, index))) = self.order.pop() {
            let stream = &mut self.streams[index];
            let event = stream.next.take();
            let reader = stream
                .reader
                .get_or_insert_with(|| Forward::with_page(self.store, self.group, stream.serial, self.from, self.page));
            stream.next = reader.next()?;
            if let Some(next) = &stream.next {
                self.order.push(Reverse((next.position, index)));
            }
            if let Some(event) = event {
                return Ok(Some((index, event)));
            }
        }
        Ok(None)
    }
}
