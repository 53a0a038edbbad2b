use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{PoisonError, RwLock};

use bytes::Bytes;

use crate::{Batch, Commit, Entry, Error, Range, Store, Write};

/// The contract without a disk: for tests and the simulator. Nothing outlives the value.
#[derive(Debug, Default)]
pub struct MemoryStore {
    state: RwLock<State>,
}

#[derive(Debug, Default)]
struct State {
    entries: BTreeMap<Bytes, Bytes>,
    seq: u64,
}

impl MemoryStore {
    pub fn new() -> MemoryStore {
        MemoryStore::default()
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.state.read().unwrap_or_else(PoisonError::into_inner).entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Store for MemoryStore {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Error> {
        Ok(self.state.read().unwrap_or_else(PoisonError::into_inner).entries.get(key).cloned())
    }

    fn scan(&self, range: &Range) -> Result<Vec<Entry>, Error> {
        if range.start >= range.end {
            return Ok(Vec::new());
        }
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        let bounds = (Bound::Included(range.start.as_slice()), Bound::Excluded(range.end.as_slice()));
        let entries = state.entries.range::<[u8], _>(bounds).map(|(k, v)| (k.clone(), v.clone()));
        Ok(if range.reverse { entries.rev().take(range.limit).collect() } else { entries.take(range.limit).collect() })
    }

    fn commit(&self, batch: Batch) -> Commit {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(fence) = &batch.fence
            && state.entries.get(&fence.key) != fence.value.as_ref()
        {
            return Commit::done(Err(Error::Fenced));
        }
        for write in batch.writes {
            match write {
                Write::Put(key, value) => state.entries.insert(key, value),
                Write::Delete(key) => state.entries.remove(&key),
            };
        }
        state.seq += 1;
        Commit::done(Ok(state.seq))
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn keeps_the_contract() {
        crate::suite::run(&mut super::MemoryStore::new);
    }
}
