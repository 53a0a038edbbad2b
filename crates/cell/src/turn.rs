use std::collections::BTreeMap;
use std::collections::btree_map;
use std::ops::Bound;

use base::Timestamp;
use bytes::Bytes;
use store::{Batch, Entry, Error, Key, Range, Store};

use crate::core::TURN_BYTES_MAX;
use crate::handle::Reply;

/// What runs after the commit, told whether it stands.
pub(crate) type After = Box<dyn FnOnce(Result<(), &Error>) + Send>;

/// One turn of a cell's loop: the view of the store and the writes, replies and effects that gather in it.
///
/// Reads see the writes of the same turn. The first error that a read meets is kept and fails the whole turn, so that
/// a machine may use `?` or ignore it.
pub struct Turn<'a> {
    now: Timestamp,
    cell: &'a str,
    store: &'a dyn Store,
    writes: BTreeMap<Bytes, Option<Bytes>>,
    /// About how many bytes the batch will have.
    bytes: usize,
    after: Vec<After>,
}

/// The key of entry `seq` in the outbox of the cell named `cell`; it is the effect's id for ever, so a `seq` is never
/// used twice.
pub fn outbox_key(cell: &str, seq: u64) -> Vec<u8> {
    Key::new("outbox").str(cell).u64(seq).build()
}

/// What all keys of that outbox begin with.
pub fn outbox_prefix(cell: &str) -> Vec<u8> {
    Key::new("outbox").str(cell).build()
}

pub(crate) fn inbox_prefix(cell: &str) -> Vec<u8> {
    Key::new("inbox").str(cell).build()
}

fn inbox_key(cell: &str, effect: &[u8]) -> Vec<u8> {
    Key::new("inbox").str(cell).bytes(effect).build()
}

impl<'a> Turn<'a> {
    pub(crate) fn new(now: Timestamp, cell: &'a str, store: &'a dyn Store) -> Turn<'a> {
        Turn { now, cell, store, writes: BTreeMap::new(), bytes: 0, after: Vec::new() }
    }

    /// The time of this turn: all its inputs happen at it.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// The cell's name.
    pub fn cell(&self) -> &str {
        self.cell
    }

    /// The value of `key`, as this turn has left it.
    pub fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Error> {
        match self.writes.get(key) {
            Some(value) => Ok(value.clone()),
            None => self.store.get(key),
        }
    }

    /// The entries of `range`, as this turn has left them.
    pub fn scan(&self, range: &Range) -> Result<Vec<Entry>, Error> {
        if range.start >= range.end {
            return Ok(Vec::new());
        }
        let bounds = (Bound::Included(range.start.as_slice()), Bound::Excluded(range.end.as_slice()));
        let mut own = self.writes.range::<[u8], _>(bounds).peekable();
        if own.peek().is_none() {
            return self.store.scan(range);
        }
        self.scan_merged(range, own)
    }

    fn scan_merged(
        &self,
        range: &Range,
        own: std::iter::Peekable<btree_map::Range<'_, Bytes, Option<Bytes>>>,
    ) -> Result<Vec<Entry>, Error> {
        // Each own write can hide at most one stored entry, so this many stored ones are enough.
        let own: Vec<_> = own.collect();
        let stored = self.store.scan(&range.clone().limit(range.limit.saturating_add(own.len())))?;
        let complete = stored.len() < range.limit.saturating_add(own.len());
        let edge = stored.last().map(|(k, _)| k.clone());
        let mut merged: BTreeMap<Bytes, Bytes> = stored.into_iter().collect();
        for (key, value) in own {
            let beyond = edge.as_ref().is_some_and(|e| if range.reverse { key < e } else { key > e });
            match value {
                // Behind the last stored entry read there may be further stored ones that come first.
                Some(_) if beyond && !complete => {}
                Some(value) => drop(merged.insert(key.clone(), value.clone())),
                None => drop(merged.remove(key)),
            }
        }
        let entries = merged.into_iter();
        Ok(if range.reverse { entries.rev().take(range.limit).collect() } else { entries.take(range.limit).collect() })
    }

    pub fn put(&mut self, key: impl Into<Bytes>, value: impl Into<Bytes>) {
        let (key, value) = (key.into(), value.into());
        self.bytes += key.len() + value.len();
        self.writes.insert(key, Some(value));
    }

    pub fn delete(&mut self, key: impl Into<Bytes>) {
        let key = key.into();
        self.bytes += key.len();
        self.writes.insert(key, None);
    }

    /// Counts bytes that the machine will write only when the turn is settled.
    pub fn expect_bytes(&mut self, bytes: usize) {
        self.bytes += bytes;
    }

    /// Whether the turn writes so much that what is left to do is left to the next one.
    pub fn is_full(&self) -> bool {
        self.bytes >= TURN_BYTES_MAX
    }

    /// Answers a caller once the turn is durable; if it cannot be made so, the caller is told that instead.
    pub fn reply<T: Send + 'static>(&mut self, reply: Reply<T>, value: T) {
        self.after.push(Box::new(move |outcome| match outcome {
            Ok(()) => reply.send(value),
            Err(error) => reply.fail(error),
        }));
    }

    /// Lets something out of the cell once the turn is durable, and never if it is not.
    ///
    /// Runs on the cell's loop: it must not block. What must survive a crash has an outbox entry beside it.
    pub fn effect(&mut self, effect: impl FnOnce() + Send + 'static) {
        self.after.push(Box::new(move |outcome| {
            if outcome.is_ok() {
                effect();
            }
        }));
    }

    /// The answer that this cell gave when `effect` was delivered before, if it was.
    ///
    /// A receiver of effects asks this first; if there is an answer it gives that again and does nothing. Otherwise it
    /// acts and calls [`Turn::remember_answer`] in the same turn. The record lives as long as the sender's outbox
    /// entry, whose key the id is, and is swept by the loop afterwards.
    pub fn earlier_answer(&self, effect: &[u8]) -> Result<Option<Bytes>, Error> {
        self.get(&inbox_key(self.cell, effect))
    }

    /// Keeps the answer to `effect`, so that a repeated delivery gets it again.
    pub fn remember_answer(&mut self, effect: &[u8], answer: impl Into<Bytes>) {
        self.put(inbox_key(self.cell, effect), answer);
    }

    /// Drops inbox records whose outbox entry is gone, of the next `records_max` ones behind `after`; returns the last
    /// of these if there may be more.
    pub(crate) fn sweep_inbox(&mut self, after: Option<Bytes>, records_max: usize) -> Result<Option<Bytes>, Error> {
        let prefix = inbox_prefix(self.cell);
        let mut range = Range::prefix(&prefix).limit(records_max);
        if let Some(after) = after {
            range = range.after(&after);
        }
        let records = self.store.scan(&range)?;
        for (key, _) in &records {
            let effect = store::KeyReader::new(&key[prefix.len()..]).bytes()?;
            if self.store.get(&effect)?.is_none() {
                self.delete(key.clone());
            }
        }
        Ok(records.last().filter(|_| records.len() == records_max).map(|(last, _)| last.clone()))
    }

    /// Whether anything would be written.
    pub fn is_clean(&self) -> bool {
        self.writes.is_empty()
    }

    pub(crate) fn finish(self) -> (Batch, Vec<After>) {
        let mut batch = Batch::new();
        for (key, value) in self.writes {
            match value {
                Some(value) => batch.put(key, value),
                None => batch.delete(key),
            };
        }
        (batch, self.after)
    }
}
