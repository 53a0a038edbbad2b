use std::sync::{Arc, Weak};
use std::time::Duration;

use base::Timestamp;
use cell::{Reply, Turn};
use service::Fault;
use store::Error;

use super::leave::Leaver;
use super::{MOVE_PAUSE, Queue, QueueCell, WAITERS_MAX};
use crate::index::{Cursor, Entry};
use crate::input::{ReceiptOutcome, Taken, TakenMessage, Want};
use crate::receipt::Receipt;
use crate::settings::VISIBILITY_TIMEOUT_SECONDS_MAX;
use crate::stored::{AttemptRecord, StateRecord};
use crate::waiters::Waiter;
use crate::{QueueName, fault, key};

/// Messages of one queue that may be in flight.
pub(crate) const IN_FLIGHT_MAX: usize = 120_000;
/// Messages that one receive sends to the dead-letter queue, or drops as expired, before it gives up.
const ASIDE_MAX: usize = 100;
/// How long a receive request attempt can be repeated, and how many are remembered for one queue.
const ATTEMPT_INTERVAL: Duration = Duration::from_secs(300);
const ATTEMPTS_MAX: usize = 10_000;

/// What a walk over the receivable messages found.
#[derive(Default)]
struct Found {
    taken: Vec<(u64, Entry)>,
    expired: Vec<u64>,
    dead: Vec<Leaver>,
}

impl QueueCell {
    pub(super) fn receive_or_wait(
        &mut self,
        arn: &Arc<str>,
        want: Want,
        wait_seconds: Option<u32>,
        caller: Weak<()>,
        reply: Reply<Result<Taken, Fault>>,
        turn: &mut Turn<'_>,
    ) -> Result<(), Error> {
        let serial = match self.serial(arn) {
            Ok(serial) => serial,
            Err(fault) => {
                turn.reply(reply, Err(fault));
                return Ok(());
            }
        };
        let messages = self.receive(serial, &want, turn)?;
        let queue = self.queue(serial);
        let wait_seconds = wait_seconds.unwrap_or(queue.settings.wait_seconds);
        if !messages.is_empty() || wait_seconds == 0 {
            let full = messages.is_empty()
                && queue.settings.fifo.is_none()
                && queue.index.in_flight() >= IN_FLIGHT_MAX
                && queue.index.visible() > 0;
            let answer = if full {
                Err(fault::over_limit(format!(
                    "Too many messages are in flight for the queue: at most {IN_FLIGHT_MAX} are allowed."
                )))
            } else {
                Ok(Taken { serial, messages })
            };
            turn.reply(reply, answer);
        } else if self.waiters.len() >= WAITERS_MAX {
            turn.reply(reply, Err(fault::throttled("Too many calls wait for messages; try again.")));
        } else {
            let until = turn.now() + Duration::from_secs(u64::from(wait_seconds));
            self.waiters.add(serial, Waiter { arn: arn.clone(), want, until, caller, reply });
        }
        self.touch(serial);
        Ok(())
    }

    /// Takes what may be received now, at most what is wanted.
    pub(super) fn receive(
        &mut self,
        serial: u64,
        want: &Want,
        turn: &mut Turn<'_>,
    ) -> Result<Vec<TakenMessage>, Error> {
        let now = turn.now();
        let queue = self.queue(serial);
        queue.index.settle(now);
        let seconds = want.visibility_timeout_seconds.unwrap_or(queue.settings.visibility_timeout_seconds);
        let visible_at = now + Duration::from_secs(u64::from(seconds));
        let attempt = want.attempt_id.as_deref().filter(|_| queue.settings.fifo.is_some());
        if let Some(id) = attempt
            && let Some(taken) = queue.earlier_attempt(id, now, turn)?
        {
            let mut again = |(seq, entry)| self.take(serial, seq, entry, visible_at, true, turn);
            return taken.into_iter().map(&mut again).collect();
        }
        let found = self.walk(serial, want.max, turn)?;
        for seq in found.expired {
            self.forget(serial, seq, turn);
        }
        let mut messages = Vec::with_capacity(found.taken.len());
        for (seq, entry) in found.taken {
            let entry = Entry { received: entry.received.saturating_add(1), ..entry };
            messages.push(self.take(serial, seq, entry, visible_at, false, turn)?);
        }
        if let Some(id) = attempt.filter(|_| !messages.is_empty()) {
            let taken = messages.iter().map(|m| (m.seq, m.received)).collect();
            self.queue(serial).remember_attempt(id, AttemptRecord { expires_at: now + ATTEMPT_INTERVAL, taken }, turn);
        }
        let target = self.queue(serial).settings.redrive.as_ref().map(|r| r.target.clone());
        if let Some(target) = target {
            for leaver in found.dead {
                self.move_out(serial, leaver, &target, None, turn)?;
            }
        }
        Ok(messages)
    }

    /// Finds what to take; what has expired or was received too often is out of the index already.
    fn walk(&mut self, serial: u64, max: usize, turn: &mut Turn<'_>) -> Result<Found, Error> {
        let now = turn.now();
        let outbox_room = self.outbox_room();
        let cell = self.cell;
        let queue = self.queue(serial);
        queue.retry_at = None;
        let max = max.min(IN_FLIGHT_MAX.saturating_sub(queue.index.in_flight()));
        let retention = queue.settings.retention();
        let target = queue.settings.redrive.as_ref().map(|redrive| redrive.target.arn());
        let elsewhere = target.is_some_and(|target| !super::is_of_cell(&target, cell));
        let mut redrive: Option<Option<u32>> = None;
        let mut found = Found::default();
        let mut cursor = Cursor::default();
        while found.taken.len() < max {
            let queue = self.queue(serial);
            if found.expired.len() + found.dead.len() >= ASIDE_MAX {
                queue.retry_at = Some(now);
                break;
            }
            let Some(seq) = queue.index.next_ready(&mut cursor) else {
                break;
            };
            let entry = *queue.index.get(seq).expect("the index gives what it has");
            if entry.sent_at + retention <= now {
                queue.index.remove(seq);
                found.expired.push(seq);
                continue;
            }
            // Only messages that were received before are worth the look at the dead-letter queue.
            if entry.received > 0 && redrive.is_none() {
                redrive = Some(queue.receive_count_max(turn)?);
            }
            if redrive.flatten().is_none_or(|max| entry.received < max) {
                found.taken.push((seq, entry));
                continue;
            }
            if elsewhere && found.dead.len() >= outbox_room {
                queue.retry_at = Some(now + MOVE_PAUSE);
                break;
            }
            let record = self.body(serial, seq, turn)?;
            let fits = self.may_move(record.len());
            let queue = self.queue(serial);
            if !fits {
                queue.retry_at = Some(now);
                break;
            }
            let group = queue.index.group_of(&entry);
            queue.index.remove(seq);
            found.dead.push(Leaver { seq, entry, group, record });
        }
        Ok(found)
    }

    /// Marks a message as received `entry.received` times and hidden until `visible_at`.
    fn take(
        &mut self,
        serial: u64,
        seq: u64,
        entry: Entry,
        visible_at: Timestamp,
        again: bool,
        turn: &mut Turn<'_>,
    ) -> Result<TakenMessage, Error> {
        let now = turn.now();
        let record = self.cache.get(serial, seq);
        let queue = self.queue(serial);
        let first = entry.received <= 1 && !again;
        let first_received_at = if first { now } else { queue.state(seq, turn)?.first_received_at };
        queue.index.change(seq, visible_at, entry.received);
        let state = StateRecord {
            sent_at: entry.sent_at,
            visible_at,
            received: entry.received,
            first_received_at,
            last_received_at: now,
            group: queue.index.group_of(&entry).map(|g| (*g).to_owned()),
        };
        turn.put(key::state(serial, seq), state.encode());
        Ok(TakenMessage { seq, received: entry.received, sent_at: entry.sent_at, first_received_at, record })
    }

    pub(super) fn delete(
        &mut self,
        arn: &str,
        receipts: &[Receipt],
        turn: &mut Turn<'_>,
    ) -> Result<Result<Vec<ReceiptOutcome>, Fault>, Error> {
        let serial = match self.serial(arn) {
            Ok(serial) => serial,
            Err(fault) => return Ok(Err(fault)),
        };
        self.queue(serial).index.settle(turn.now());
        let outcomes = receipts.iter().map(|receipt| self.delete_one(serial, *receipt, turn)).collect();
        self.touch(serial);
        Ok(Ok(outcomes))
    }

    fn delete_one(&mut self, serial: u64, receipt: Receipt, turn: &mut Turn<'_>) -> ReceiptOutcome {
        if receipt.serial != serial {
            return ReceiptOutcome::OtherQueue;
        }
        let queue = self.queue(serial);
        let Some(entry) = queue.index.get(receipt.seq).copied() else {
            return ReceiptOutcome::Done;
        };
        let newest = entry.received == receipt.epoch;
        if queue.settings.fifo.is_some() && !(newest && queue.index.is_hidden(&entry)) {
            return ReceiptOutcome::Expired;
        }
        // A standard queue says yes to an older handle, and keeps the message for who received it since.
        if newest {
            queue.index.remove(receipt.seq);
            self.forget(serial, receipt.seq, turn);
        }
        ReceiptOutcome::Done
    }

    pub(super) fn change_visibility(
        &mut self,
        arn: &str,
        changes: &[(Receipt, u32)],
        turn: &mut Turn<'_>,
    ) -> Result<Result<Vec<ReceiptOutcome>, Fault>, Error> {
        let serial = match self.serial(arn) {
            Ok(serial) => serial,
            Err(fault) => return Ok(Err(fault)),
        };
        self.queue(serial).index.settle(turn.now());
        let mut outcomes = Vec::with_capacity(changes.len());
        for (receipt, seconds) in changes {
            outcomes.push(self.queue(serial).change_visibility(*receipt, *seconds, turn)?);
        }
        self.touch(serial);
        Ok(Ok(outcomes))
    }
}

impl Queue {
    /// How often a message may be received, if its dead-letter queue is there to take it.
    fn receive_count_max(&self, turn: &Turn<'_>) -> Result<Option<u32>, Error> {
        let Some(redrive) = &self.settings.redrive else {
            return Ok(None);
        };
        Ok(exists(&redrive.target, turn)?.then_some(redrive.receive_count_max))
    }

    pub(super) fn state(&self, seq: u64, turn: &Turn<'_>) -> Result<StateRecord, Error> {
        match turn.get(&key::state(self.record.serial, seq))? {
            Some(value) => StateRecord::decode(&value),
            None => Err(Error::Corrupt(format!("message {seq} of {} has no state", self.arn))),
        }
    }

    /// What the same attempt took before, if all of it is still in flight.
    fn earlier_attempt(&self, id: &str, now: Timestamp, turn: &Turn<'_>) -> Result<Option<Vec<(u64, Entry)>>, Error> {
        let Some(value) = turn.get(&key::attempt(self.record.serial, id))? else {
            return Ok(None);
        };
        let record = AttemptRecord::decode(&value)?;
        if record.expires_at <= now {
            return Ok(None);
        }
        let still = |(seq, epoch): (u64, u32)| {
            let entry = self.index.get(seq).filter(|e| e.received == epoch && self.index.is_hidden(e));
            entry.map(|e| (seq, *e))
        };
        Ok(record.taken.into_iter().map(still).collect())
    }

    fn remember_attempt(&mut self, id: &str, record: AttemptRecord, turn: &mut Turn<'_>) {
        let serial = self.record.serial;
        if self.attempts.len() >= ATTEMPTS_MAX
            && let Some((_, oldest)) = self.attempts.pop_front()
        {
            turn.delete(key::attempt(serial, &oldest));
        }
        self.attempts.push_back((record.expires_at, id.to_owned()));
        turn.put(key::attempt(serial, id), record.encode());
    }

    fn change_visibility(
        &mut self,
        receipt: Receipt,
        seconds: u32,
        turn: &mut Turn<'_>,
    ) -> Result<ReceiptOutcome, Error> {
        if receipt.serial != self.record.serial {
            return Ok(ReceiptOutcome::OtherQueue);
        }
        let Some(entry) = self.index.get(receipt.seq).copied().filter(|e| e.received == receipt.epoch) else {
            return Ok(ReceiptOutcome::NotAvailable);
        };
        // Standard queues hide a message again that nobody has received since; in a FIFO queue that would reorder.
        if self.settings.fifo.is_some() && !self.index.is_hidden(&entry) {
            return Ok(ReceiptOutcome::NotInFlight);
        }
        let now = turn.now();
        let mut state = self.state(receipt.seq, turn)?;
        let visible_at = now + Duration::from_secs(u64::from(seconds));
        if visible_at.since(state.last_received_at) > Duration::from_secs(u64::from(VISIBILITY_TIMEOUT_SECONDS_MAX)) {
            return Ok(ReceiptOutcome::BeyondLimit);
        }
        state.visible_at = visible_at;
        turn.put(key::state(self.record.serial, receipt.seq), state.encode());
        self.index.change(receipt.seq, visible_at, entry.received);
        Ok(ReceiptOutcome::Done)
    }
}

/// Whether a queue is there, in whichever cell.
pub(super) fn exists(name: &QueueName, turn: &Turn<'_>) -> Result<bool, Error> {
    Ok(turn.get(key::queue(name).as_bytes())?.is_some())
}
