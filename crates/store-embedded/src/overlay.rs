use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::Bound;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;
use store::{Batch, Range, Write};

/// What an entry takes besides its key and value.
const ENTRY_BYTES: usize = 96;
/// Writes inserted under one hold of the lock, so that readers get in between the batches of a large group.
const WRITES_PER_HOLD: usize = 64;

/// Newest values of keys; `None`: deleted.
pub(crate) type Layer = BTreeMap<Bytes, Option<Bytes>>;

/// What is acknowledged and not yet in the index: a layer that grows, and one that is being written to the index.
///
/// Newer hides older: first the growing layer, then the frozen one, then the index. The frozen layer goes away only
/// after the index shows all of it, under the same lock that readers take, so nothing is ever missing from both.
#[derive(Default)]
pub(crate) struct Overlay {
    state: RwLock<State>,
    bytes: AtomicUsize,
}

#[derive(Default)]
struct State {
    active: Layer,
    active_bytes: usize,
    /// Counts growing layers.
    generation: u64,
    /// The last batch in `active`, or in what lies below it.
    last_seq: u64,
    frozen: Option<Arc<Layer>>,
    frozen_bytes: usize,
}

/// A frozen layer and the last batch in it.
#[derive(Clone)]
pub(crate) struct Frozen {
    pub(crate) layer: Arc<Layer>,
    pub(crate) last_seq: u64,
}

/// Keys of a growing layer that were put and deleted there: to be forgotten where nothing lies below them.
#[derive(Default)]
pub(crate) struct Passed {
    generation: u64,
    keys: Vec<Bytes>,
}

/// The overlay's part of a scan, at one point in time, with what `below` took at that same point.
pub(crate) struct View<T> {
    /// Of the growing layer, in the scan's order: enough to fill the scan's limit.
    pub(crate) active: Vec<(Bytes, Option<Bytes>)>,
    pub(crate) frozen: Option<Arc<Layer>>,
    pub(crate) below: T,
}

fn entry_bytes(key: &[u8], value: Option<&Bytes>) -> usize {
    ENTRY_BYTES + key.len() + value.map_or(0, |v| v.len())
}

impl Overlay {
    /// An overlay on an index that has everything up to `applied_seq`.
    pub(crate) fn new(applied_seq: u64) -> Overlay {
        let state = State { last_seq: applied_seq, ..State::default() };
        Overlay { state: RwLock::new(state), bytes: AtomicUsize::new(0) }
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The value of `key` here; `None`: ask the index.
    pub(crate) fn get(&self, key: &[u8]) -> Option<Option<Bytes>> {
        let state = self.read();
        if let Some(value) = state.active.get(key) {
            return Some(value.clone());
        }
        state.frozen.as_ref()?.get(key).cloned()
    }

    /// Makes batches visible, whole and in order; `first_seq` is the first one's number.
    pub(crate) fn insert(&self, first_seq: u64, batches: Vec<Batch>) -> Passed {
        let mut passed = Passed::default();
        let mut batches = (first_seq..).zip(batches).peekable();
        while batches.peek().is_some() {
            let mut state = self.write();
            if state.generation != passed.generation {
                passed = Passed { generation: state.generation, keys: Vec::new() };
            }
            let mut writes = 0;
            while writes < WRITES_PER_HOLD
                && let Some((seq, batch)) = batches.next()
            {
                writes += batch.writes.len() + 1;
                state.last_seq = seq;
                for write in batch.writes {
                    passed.keys.extend(self.insert_write(&mut state, write));
                }
            }
        }
        passed
    }

    /// Returns the key if this deleted what the same layer had put.
    fn insert_write(&self, state: &mut State, write: Write) -> Option<Bytes> {
        let (key, value) = match write {
            Write::Put(key, value) => (key, Some(value)),
            Write::Delete(key) => (key, None),
        };
        let added = entry_bytes(&key, value.as_ref());
        let deletes = value.is_none();
        let (removed, passed) = match state.active.entry(key) {
            Entry::Vacant(slot) => {
                slot.insert(value);
                (0, None)
            }
            Entry::Occupied(mut slot) => {
                let old = slot.insert(value);
                let passed = (deletes && old.is_some()).then(|| slot.key().clone());
                (entry_bytes(slot.key(), old.as_ref()), passed)
            }
        };
        state.active_bytes = state.active_bytes + added - removed;
        self.bytes.fetch_add(added, Ordering::Relaxed);
        self.bytes.fetch_sub(removed, Ordering::Relaxed);
        passed
    }

    /// Drops the notes that keys are deleted, where the layer below and the index (`may_have`) have nothing to hide:
    /// else a queue's head would soon be a long row of them, for every scan to walk.
    pub(crate) fn forget(&self, passed: Passed, may_have: impl Fn(&[u8]) -> bool) {
        let Passed { generation, mut keys } = passed;
        if keys.is_empty() {
            return;
        }
        let frozen = {
            let state = self.read();
            if state.generation != generation {
                return;
            }
            state.frozen.clone()
        };
        keys.retain(|key| frozen.as_ref().is_none_or(|f| !f.contains_key(key)) && !may_have(key));
        for keys in keys.chunks(WRITES_PER_HOLD) {
            let mut state = self.write();
            // Frozen meanwhile: then the index may come to have the key, or is told that it is deleted.
            if state.generation != generation {
                return;
            }
            for key in keys {
                if let Some(None) = state.active.get(key) {
                    state.active.remove(key);
                    let removed = entry_bytes(key, None);
                    state.active_bytes -= removed;
                    self.bytes.fetch_sub(removed, Ordering::Relaxed);
                }
            }
        }
    }

    /// Closes the growing layer for writing to the index. `None`: there is nothing new since the last one.
    pub(crate) fn freeze(&self, applied_seq: u64) -> Option<Frozen> {
        let mut state = self.write();
        assert!(state.frozen.is_none(), "one layer is written at a time");
        if state.last_seq == applied_seq {
            return None;
        }
        let layer = Arc::new(std::mem::take(&mut state.active));
        state.generation += 1;
        state.frozen_bytes = std::mem::take(&mut state.active_bytes);
        state.frozen = Some(layer.clone());
        Some(Frozen { layer, last_seq: state.last_seq })
    }

    /// Takes the frozen layer away, which the index shows by now.
    pub(crate) fn thaw(&self) {
        let mut state = self.write();
        let frozen = state.frozen.take();
        self.bytes.fetch_sub(std::mem::take(&mut state.frozen_bytes), Ordering::Relaxed);
        drop(state);
        // Freed outside the lock.
        drop(frozen);
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Bytes of the growing layer, and entries of both.
    pub(crate) fn sizes(&self) -> (usize, usize) {
        let state = self.read();
        (state.active_bytes, state.active.len() + state.frozen.as_ref().map_or(0, |f| f.len()))
    }

    /// The overlay's part of a scan of a range that is not empty; `below` is called at the same point in time.
    pub(crate) fn view<T>(&self, range: &Range, below: impl FnOnce() -> T) -> View<T> {
        let state = self.read();
        let bounds = (Bound::Included(range.start.as_slice()), Bound::Excluded(range.end.as_slice()));
        let entries = state.active.range::<[u8], _>(bounds);
        let active =
            if range.reverse { up_to_limit(entries.rev(), range.limit) } else { up_to_limit(entries, range.limit) };
        View { active, frozen: state.frozen.clone(), below: below() }
    }
}

/// Entries until `limit` of them are values. All of these appear in the scan's answer, so it never goes further.
fn up_to_limit<'a>(
    entries: impl Iterator<Item = (&'a Bytes, &'a Option<Bytes>)>,
    limit: usize,
) -> Vec<(Bytes, Option<Bytes>)> {
    let mut taken = Vec::new();
    let mut values = 0;
    for (key, value) in entries {
        if values == limit {
            break;
        }
        values += usize::from(value.is_some());
        taken.push((key.clone(), value.clone()));
    }
    taken
}
