//! Definitions that nobody needs leave: no machine or version has them, and no execution.

use std::collections::BTreeSet;
use std::time::Duration;

use base::Timestamp;
use cell::Turn;
use store::{Error, Key, KeyReader, Range};

use super::owner::Owner;
use super::read;
use crate::execution::CELLS;
use crate::keys;

/// Between two passes over all definitions.
const INTERVAL: Duration = Duration::from_secs(3600);
/// Between two steps of one pass.
const PAUSE: Duration = Duration::from_millis(100);
/// Definitions that one step looks at: their texts are read.
const DEFINITIONS_MAX: usize = 8;

/// How far the present pass is.
#[derive(Default)]
pub(super) struct Sweep {
    pub next_at: Option<Timestamp>,
    /// The definition that the pass goes on behind.
    done: Option<u64>,
    /// Those that no machine or version had in the pass before. A start that was about to begin then has begun by now,
    /// so that its cell counts it.
    unused_before: BTreeSet<u64>,
    unused: BTreeSet<u64>,
}

impl Sweep {
    /// The first pass comes when what was in work at the start has long been taken up.
    pub fn begin(now: Timestamp) -> Sweep {
        Sweep { next_at: Some(now + INTERVAL), ..Sweep::default() }
    }
}

impl Owner {
    /// Does one step of a pass, if it is due.
    pub(super) fn sweep_definitions(&mut self, turn: &mut Turn<'_>) -> Result<(), Error> {
        let prefix = Key::new("definition").build();
        let mut range = Range::prefix(&prefix).limit(DEFINITIONS_MAX);
        if let Some(done) = self.sweep.done {
            range = range.after(keys::definition(done).as_bytes());
        }
        let entries = turn.scan(&range)?;
        let needed = self.needed();
        for (key, _) in &entries {
            let id = KeyReader::new(&key[prefix.len()..]).u64()?;
            self.sweep.done = Some(id);
            if needed.contains(&id) || id >= self.newest() || is_used(id, turn)? {
                continue;
            }
            if self.sweep.unused_before.contains(&id) {
                turn.delete(keys::definition(id));
            } else {
                self.sweep.unused.insert(id);
            }
        }
        let complete = entries.len() < DEFINITIONS_MAX;
        self.sweep.next_at = Some(turn.now() + if complete { INTERVAL } else { PAUSE });
        if complete {
            self.sweep.done = None;
            self.sweep.unused_before = std::mem::take(&mut self.sweep.unused);
        }
        Ok(())
    }

    /// What machines and versions have.
    fn needed(&self) -> BTreeSet<u64> {
        let machines = read(self.machines());
        let own = machines.values().map(|m| m.record.revision.definition_id);
        let versions = machines.values().flat_map(|m| m.versions.values().map(|v| v.revision.definition_id));
        own.chain(versions).collect()
    }
}

fn is_used(definition: u64, turn: &Turn<'_>) -> Result<bool, Error> {
    for cell in 0..CELLS {
        let cell = u8::try_from(cell).expect("few cells");
        if turn.get(keys::uses(cell, definition).as_bytes())?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}
