//! Executions that ended long ago leave.

use std::time::Duration;

use base::Timestamp;
use cell::Turn;
use store::{Error, KeyReader, Range};

use super::Owner;
use crate::execution::index;
use crate::keys::{self, ExecutionId};
use crate::map_run;
use crate::record::{EndRecord, HaltedRecord, HeadRecord, Record};

/// How long at most until it is looked again whether an execution is to leave.
const INTERVAL: Duration = Duration::from_secs(3600);
/// Between two steps of one pass, so that it does not hold up callers.
const PAUSE: Duration = Duration::from_millis(100);
/// Executions that one step looks at: each brings its input along.
const EXECUTIONS_MAX: usize = 16;
/// Values of histories that one step deletes.
const HISTORY_VALUES_MAX: usize = 1024;

/// How far the present pass over the cell's executions is. Their numbers grow with the time of their start.
pub(super) struct Sweep {
    next_at: Timestamp,
    done: Option<u64>,
}

impl Sweep {
    pub fn new(now: Timestamp) -> Sweep {
        Sweep { next_at: now + PAUSE, done: None }
    }

    pub fn next_at(&self) -> Timestamp {
        self.next_at
    }
}

/// What is to be done with an execution that a pass meets.
enum Fate {
    Stays,
    Leaves(EndRecord),
    /// It and all that follow began too late to be old enough.
    EndsPass(Timestamp),
}

impl Owner {
    /// Does one step of a pass, if it is due.
    pub(super) fn sweep(&mut self, turn: &mut Turn<'_>) -> Result<(), Error> {
        if self.sweep.next_at > turn.now() {
            return Ok(());
        }
        let heads = keys::heads_of_cell(self.cell).build();
        let mut range = Range::prefix(&heads).limit(EXECUTIONS_MAX);
        if let Some(done) = self.sweep.done {
            range = range.after(keys::head(self.id(done)).as_bytes());
        }
        let entries = turn.scan(&range)?;
        let complete = entries.len() < EXECUTIONS_MAX;
        self.sweep.next_at = turn.now() + PAUSE;
        for (key, value) in entries {
            let id = self.id(KeyReader::new(&key[heads.len()..]).u64()?);
            let head = HeadRecord::decode(&value)?;
            match self.fate(id, &head, turn)? {
                Fate::Stays => {}
                Fate::EndsPass(at) => {
                    let at = at.clamp(turn.now() + PAUSE, turn.now() + INTERVAL);
                    self.sweep = Sweep { next_at: at, done: None };
                    return Ok(());
                }
                Fate::Leaves(end) => {
                    if !self.remove(id, &head, &end, turn)? {
                        return Ok(()); // The next step goes on with its history.
                    }
                }
            }
            self.sweep.done = Some(id.number);
        }
        if complete {
            self.sweep = Sweep { next_at: turn.now() + INTERVAL, done: None };
        }
        Ok(())
    }

    fn fate(&self, id: ExecutionId, head: &HeadRecord, turn: &Turn<'_>) -> Result<Fate, Error> {
        let leaves_at = |ms: i64| Timestamp::from_millis(ms) + self.options.execution_retention;
        if leaves_at(head.start_ms) > turn.now() {
            return Ok(Fate::EndsPass(leaves_at(head.start_ms)));
        }
        if self.live.contains_key(&id.number) {
            return Ok(Fate::Stays);
        }
        let end = turn.get(keys::end(id).as_bytes())?.map(|end| EndRecord::decode(&end)).transpose()?;
        Ok(match end {
            Some(end) if leaves_at(end.stop_ms) <= turn.now() => Fate::Leaves(end),
            _ => Fate::Stays,
        })
    }

    /// Removes all that is stored of an execution that ended; false if there is more of its history.
    fn remove(
        &mut self,
        id: ExecutionId,
        head: &HeadRecord,
        end: &EndRecord,
        turn: &mut Turn<'_>,
    ) -> Result<bool, Error> {
        let history = Range::prefix(keys::history(id).as_bytes()).limit(HISTORY_VALUES_MAX);
        let history = turn.scan(&history)?;
        let complete = history.len() < HISTORY_VALUES_MAX;
        history.into_iter().for_each(|(key, _)| turn.delete(key));
        if !complete {
            return Ok(false);
        }
        // The name may belong to a later execution by now.
        let name = keys::execution_name(&head.scope(), &head.machine, &head.name);
        if turn.get(name.as_bytes())?.is_some_and(|number| *number == id.number.to_be_bytes()) {
            turn.delete(name);
        }
        index::delete_ended(head, id, end, turn);
        turn.delete(keys::execution_child(id));
        map_run::delete_runs(id, turn)?;
        turn.delete(keys::redriven(id));
        if let Some(halted) = turn.get(keys::halted(id).as_bytes())? {
            let parts = HaltedRecord::decode(&halted)?.parts;
            (0..parts).for_each(|part| turn.delete(keys::halted_part(id, part)));
            turn.delete(keys::halted(id));
        }
        turn.delete(keys::head(id));
        turn.delete(keys::end(id));
        self.uses.remove(head.revision.definition_id);
        Ok(true)
    }
}
