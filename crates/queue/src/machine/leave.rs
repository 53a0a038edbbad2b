//! Messages that leave one queue for another: dead letters and move tasks.
//!
//! Within the cell both ends change in one turn. To another cell the message goes through the outbox: taken out here
//! and stored there in one commit, put into its queue once, whatever is delivered twice, and given back if that queue
//! is gone. The courier carries it.

use std::sync::Arc;
use std::time::Duration;

use base::Timestamp;
use bytes::Bytes;
use cell::{Turn, outbox_key};
use service::EffectId;
use store::Error;

use super::{Departure, QueueCell, is_of_cell};
use crate::index::Entry;
use crate::message::Message;
use crate::stored::{LeavingRecord, StateRecord};
use crate::{QueueName, key};

/// Messages of one cell that may be on their way to others.
const OUTBOX_MAX: usize = 4_096;

const ARRIVED: &[u8] = &[1, 1];
const NO_QUEUE: &[u8] = &[1, 0];

/// A message that was taken out of its queue's index, and nothing else yet.
pub(super) struct Leaver {
    pub seq: u64,
    pub entry: Entry,
    pub group: Option<Arc<str>>,
    pub record: Bytes,
}

impl QueueCell {
    pub(super) fn outbox_room(&self) -> usize {
        OUTBOX_MAX.saturating_sub(self.outbox.len())
    }

    /// Sends a message to `target`; says whether it is there already.
    pub(super) fn move_out(
        &mut self,
        serial: u64,
        leaver: Leaver,
        target: &QueueName,
        task: Option<u64>,
        turn: &mut Turn<'_>,
    ) -> Result<bool, Error> {
        let Leaver { seq, entry, group, record } = leaver;
        let source = self.queue(serial).arn.clone();
        let mut message = Message::decode(&record)?;
        // A dead letter says where it failed; one that goes back is a message like any other.
        message.dead_letter_source = task.is_none().then(|| source.to_string());
        let stored = self.queue(serial).state(seq, turn)?;
        let state = StateRecord { visible_at: entry.visible_at, group: group.map(|g| (*g).to_owned()), ..stored };
        let leaving = LeavingRecord { destination: target.arn(), serial, seq, state, task, body: message.encode() };
        self.forget(serial, seq, turn);
        if is_of_cell(&leaving.destination, self.cell) {
            let arrived = self.arrive(&leaving, turn)?;
            if !arrived {
                self.put_back(leaving, turn)?;
            }
            return Ok(arrived);
        }
        let number = self.number(turn);
        let key = outbox_key(turn.cell(), number);
        turn.put(key.clone(), leaving.encode());
        self.outbox.insert(number);
        let departures = self.departures.clone();
        turn.effect(move || drop(departures.send(Departure { key, number })));
        Ok(false)
    }

    pub(super) fn arrive_all(
        &mut self,
        messages: Vec<(EffectId, LeavingRecord)>,
        turn: &mut Turn<'_>,
    ) -> Result<Vec<bool>, Error> {
        let mut arrived = Vec::with_capacity(messages.len());
        for (effect, leaving) in messages {
            arrived.push(match turn.earlier_answer(&effect.0)? {
                Some(answer) => answer == ARRIVED,
                None => {
                    let answer = self.arrive(&leaving, turn)?;
                    turn.remember_answer(&effect.0, if answer { ARRIVED } else { NO_QUEUE });
                    answer
                }
            });
        }
        Ok(arrived)
    }

    /// Puts a message from another queue into one of ours; false if that is gone.
    fn arrive(&mut self, leaving: &LeavingRecord, turn: &mut Turn<'_>) -> Result<bool, Error> {
        let Ok(serial) = self.serial(&leaving.destination) else {
            return Ok(false);
        };
        let now = turn.now();
        let seq = self.number(turn);
        let queue = self.queue(serial);
        queue.index.settle(now);
        let fifo = queue.settings.fifo.is_some();
        let delay = Duration::from_secs(u64::from(queue.settings.delay_seconds));
        let state = StateRecord {
            // A dead letter's retention counts from when it was first sent, but in FIFO queues from now.
            sent_at: if fifo { now } else { leaving.state.sent_at },
            visible_at: if fifo { now + delay } else { now },
            received: 0,
            first_received_at: Timestamp::default(),
            last_received_at: Timestamp::default(),
            group: leaving.state.group.clone().filter(|_| fifo),
        };
        turn.put(key::state(serial, seq), state.encode());
        turn.put(key::body(serial, seq), leaving.body.clone());
        self.remember(serial, seq, &state);
        self.touch(serial);
        Ok(true)
    }

    /// The fate of an outbox entry is known.
    pub(super) fn departed(&mut self, number: u64, arrived: bool, turn: &mut Turn<'_>) -> Result<(), Error> {
        if !self.outbox.remove(&number) {
            return Ok(());
        }
        let key = outbox_key(turn.cell(), number);
        let Some(value) = turn.get(&key)? else {
            return Ok(());
        };
        turn.delete(key);
        let leaving = LeavingRecord::decode(&value)?;
        let (serial, task) = (leaving.serial, leaving.task);
        if !arrived {
            self.put_back(leaving, turn)?;
        }
        if let Some(task) = task {
            self.moved(serial, task, arrived, turn)?;
        }
        self.touch(serial);
        Ok(())
    }

    /// The queue it should have gone to is gone: the message is again where it was, unless that is gone as well.
    fn put_back(&mut self, leaving: LeavingRecord, turn: &mut Turn<'_>) -> Result<(), Error> {
        let LeavingRecord { serial, seq, state, body, .. } = leaving;
        let purged = |queue: &super::Queue| seq < queue.record.purged_below;
        if self.queues.get(&serial).is_none_or(purged) {
            return Ok(());
        }
        turn.put(key::state(serial, seq), state.encode());
        turn.put(key::body(serial, seq), body);
        self.remember(serial, seq, &state);
        Ok(())
    }
}
