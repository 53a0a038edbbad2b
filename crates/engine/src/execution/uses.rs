//! How many executions of a cell need each definition: what nobody needs is swept.

use std::collections::{BTreeMap, BTreeSet};

use cell::Turn;
use store::{Error, KeyReader, Range};

use crate::keys;

const VERSION: u8 = 1;

/// The number in a stored record.
pub(super) fn read(record: &[u8]) -> Result<u64, Error> {
    let count = record.strip_prefix(&[VERSION]).and_then(|count| count.try_into().ok());
    count.map(u64::from_be_bytes).ok_or_else(|| Error::Corrupt("definition use record".to_owned()))
}

pub(super) fn write(count: u64) -> Vec<u8> {
    [&[VERSION][..], &count.to_be_bytes()].concat()
}

#[derive(Default)]
pub(super) struct Uses {
    counts: BTreeMap<u64, u64>,
    changed: BTreeSet<u64>,
}

impl Uses {
    pub fn load(cell: u8, turn: &Turn<'_>) -> Result<Uses, Error> {
        let prefix = keys::uses_of_cell(cell).build();
        let mut counts = BTreeMap::new();
        for (key, value) in turn.scan(&Range::prefix(&prefix))? {
            counts.insert(KeyReader::new(&key[prefix.len()..]).u64()?, read(&value)?);
        }
        Ok(Uses { counts, changed: BTreeSet::new() })
    }

    pub fn add(&mut self, definition: u64) {
        *self.counts.entry(definition).or_default() += 1;
        self.changed.insert(definition);
    }

    pub fn remove(&mut self, definition: u64) {
        if let Some(count) = self.counts.get_mut(&definition) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&definition);
            }
        }
        self.changed.insert(definition);
    }

    /// Writes what the turn has changed.
    pub fn settle(&mut self, cell: u8, turn: &mut Turn<'_>) {
        for definition in std::mem::take(&mut self.changed) {
            let key = keys::uses(cell, definition);
            match self.counts.get(&definition) {
                Some(count) => turn.put(key, write(*count)),
                None => turn.delete(key),
            }
        }
    }
}
