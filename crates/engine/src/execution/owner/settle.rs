//! What a turn has made of an execution is written at the turn's end.

use bytes::Bytes;
use cell::Turn;
use interp::{Effect, EventType};
use store::Key;

use super::{Live, Owner, Watcher, child};
use crate::execution::index::{self, RUNNING};
use crate::execution::redrive::{Facts, Redrive};
use crate::execution::{Started, StatusChange, Work};
use crate::keys::{self, ExecutionId};
use crate::record::{EndRecord, HaltedRecord, Record};
use base::Timestamp;

/// A longer snapshot is stored in parts, for the store bounds values.
const SNAPSHOT_PART_BYTES: usize = 4 * 1024 * 1024;
/// An execution that holds more than this at once fails.
const SNAPSHOT_BYTES_MAX: usize = 16 * 1024 * 1024;

impl Live {
    fn put_events(&mut self, id: ExecutionId, turn: &mut Turn<'_>) {
        for (first, bytes) in self.events.take() {
            turn.put(keys::history(id).u64(first), bytes);
        }
    }

    fn put_snapshot(&mut self, id: ExecutionId, snapshot: Bytes, turn: &mut Turn<'_>) {
        let bytes = snapshot.len();
        let parts = put_parts(&snapshot, |part| snapshot_key(id, part), turn);
        (parts..self.snapshot.1).for_each(|part| turn.delete(snapshot_key(id, part)));
        self.snapshot = (bytes, parts);
    }

    /// Keeps what a redrive of an execution starts from that did not succeed.
    fn put_halted(&self, id: ExecutionId, turn: &mut Turn<'_>) -> HaltedRecord {
        let map_run = !self.execution.is_redrivable();
        let snapshot = if map_run { Vec::new() } else { self.execution.snapshot() };
        let parts = match snapshot.len() {
            1..=SNAPSHOT_BYTES_MAX => put_parts(&snapshot.into(), |part| keys::halted_part(id, part), turn),
            _ => 0,
        };
        let record = HaltedRecord { events: self.execution.last_event_id(), map_run, parts };
        turn.put(keys::halted(id), record.encode());
        record
    }
}

fn put_parts(snapshot: &Bytes, key: impl Fn(u8) -> Key, turn: &mut Turn<'_>) -> u8 {
    let mut parts = 0;
    for start in (0..snapshot.len()).step_by(SNAPSHOT_PART_BYTES) {
        turn.put(key(parts), snapshot.slice(start..snapshot.len().min(start + SNAPSHOT_PART_BYTES)));
        parts += 1;
    }
    parts
}

fn snapshot_key(id: ExecutionId, part: u8) -> Key {
    if part == 0 { keys::run(id) } else { keys::run(id).u8(part) }
}

impl Owner {
    /// Writes what the turn has made of one execution.
    pub(super) fn settle_one(&mut self, number: u64, turn: &mut Turn<'_>) {
        let id = self.id(number);
        let Some(live) = self.live.get_mut(&number) else { return };
        if live.ended.is_none() {
            if live.express() {
                return;
            }
            let snapshot = live.execution.snapshot();
            if snapshot.len() <= SNAPSHOT_BYTES_MAX {
                if !std::mem::replace(&mut live.listed, true) {
                    index::put_status(&live.head, id, RUNNING, live.running_ms, turn);
                }
                live.put_snapshot(id, snapshot.into(), turn);
                live.put_events(id, turn);
                return;
            }
            self.fail_for_size(number, turn);
        }
        let Some(mut live) = self.live.remove(&number) else { return };
        live.put_events(id, turn);
        for (timer, at) in std::mem::take(&mut live.timers) {
            self.timers.remove(&(at, number, timer));
        }
        self.unfinished.remove(&number);
        let Some(end) = live.ended.take() else { return };
        if live.express() {
            if live.snapshot.1 > 0 {
                self.uses.remove(live.head.revision.definition_id);
            }
        } else {
            self.put_end(&live, id, &end, turn);
        }
        (0..live.snapshot.1).for_each(|part| turn.delete(snapshot_key(id, part)));
        if let Some(child) = &live.express_child {
            self.express_children.remove(child);
        }
        for watcher in live.watchers {
            match watcher {
                Watcher::End(reply) => turn.reply(reply, Some(end.clone())),
                Watcher::Sync(reply) => {
                    let start = Timestamp::from_millis(live.head.start_ms);
                    turn.reply(reply, Ok((Started { arn: live.arn.to_string(), start }, end.clone())));
                }
                Watcher::Child(reply) => turn.reply(reply, Ok(child::child_end(&live.head, &end))),
                Watcher::StoppedChild(reply) => turn.reply(reply, Some(child::child_end(&live.head, &end))),
            }
        }
    }

    fn put_end(&self, live: &Live, id: ExecutionId, end: &EndRecord, turn: &mut Turn<'_>) {
        turn.put(keys::end(id), end.encode());
        if live.listed {
            index::delete_status(&live.head, id, RUNNING, live.running_ms, turn);
        }
        index::put_status(&live.head, id, end.status, end.stop_ms, turn);
        let halted = (end.status != EndRecord::SUCCEEDED).then(|| live.put_halted(id, turn));
        self.announce(live, Some(end), halted.as_ref(), turn);
    }

    /// Tells the default bus how an execution stands, if anybody wants to know. Express ones tell nothing, as on AWS.
    pub(super) fn announce(
        &self,
        live: &Live,
        end: Option<&EndRecord>,
        halted: Option<&HaltedRecord>,
        turn: &mut Turn<'_>,
    ) {
        if !self.announces || live.express() {
            return;
        }
        let events_max = self.options.standard_limits.history_events_max;
        let facts = Facts { end, halted, redriven: live.redriven.as_ref(), events_max, now: turn.now() };
        let redrive = Redrive::of(&live.head, &facts);
        let change = Box::new(StatusChange::of(&live.head, end, redrive, turn.now()));
        let outside = self.outside.clone();
        turn.effect(move || outside(Work::Announce(change)));
    }

    /// Ends an execution that holds more than can be stored.
    fn fail_for_size(&mut self, number: u64, turn: &mut Turn<'_>) {
        let cause = format!("The execution holds more than {SNAPSHOT_BYTES_MAX} bytes of inputs and results at once.");
        let stop = interp::Input::Stop { error: Some("States.DataLimitExceeded".into()), cause: Some(cause.into()) };
        let Some(mut step) = self.step(number, stop, turn.now()) else { return };
        for event in &mut step.history {
            if event.event_type == EventType::ExecutionAborted {
                event.event_type = EventType::ExecutionFailed;
            }
        }
        for effect in &mut step.effects {
            if let Effect::Ended(outcome) = effect {
                outcome.status = interp::ExecutionStatus::Failed;
            }
        }
        self.take(number, step, turn);
        self.changed.remove(&number);
    }
}
