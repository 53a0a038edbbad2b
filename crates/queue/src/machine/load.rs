use std::collections::VecDeque;
use std::sync::Arc;

use cell::{Turn, outbox_key, outbox_prefix};
use store::{Error, Range};

use super::{Departure, Queue, QueueCell, is_of_cell};
use crate::index::{Entry, Index};
use crate::settings::Settings;
use crate::stored::{
    AttemptRecord, DeduplicationRecord, QueueRecord, StateRecord, TaskRecord, TaskStatus, decode_number,
};
use crate::{QueueName, fault, key};

/// Entries that one scan reads.
const PAGE: usize = 4096;

impl QueueCell {
    /// Reads all queues of this cell. Bodies stay where they are.
    pub(super) fn load_all(&mut self, turn: &mut Turn<'_>) -> Result<(), Error> {
        self.serials.clear();
        self.queues.clear();
        self.timers.clear();
        self.cache.clear();
        self.garbage.clear();
        self.outbox.clear();
        self.message_count = 0;
        let counter = turn.get(&key::counter(self.cell))?;
        self.next_number = counter.map_or(Ok(1), |value| decode_number(&value, "counter"))?;
        self.numbers_reserved = self.next_number;

        for_each(turn, Range::prefix(key::all_queues().as_bytes()), |turn, key, value| {
            let name = key::read_queue(key)?;
            let arn: Arc<str> = name.arn().into();
            if is_of_cell(&arn, self.cell) {
                let queue = load_queue(name, arn, value, turn)?;
                self.message_count += queue.index.len();
                self.serials.insert(queue.arn.clone(), queue.record.serial);
                self.queues.insert(queue.record.serial, queue);
            }
            Ok(())
        })?;
        for_each(turn, Range::prefix(&key::all_garbage()), |_, key, _| {
            let serial = key::read_garbage(key)?;
            if key::cell_of_serial(serial) == self.cell {
                self.garbage.insert(serial);
            }
            Ok(())
        })?;
        self.load_outbox(turn)?;
        // Callers that wait are none of the store's business; they wait on, if their queue is still there.
        for waiter in self.waiters.take_all() {
            match self.serials.get(&waiter.arn) {
                Some(serial) => self.waiters.add(*serial, waiter),
                None => turn.reply(waiter.reply, Err(fault::queue_does_not_exist())),
            }
        }
        self.touched = self.queues.keys().copied().collect();
        self.attend_touched(turn)
    }

    /// Tells the courier of every message that may not have arrived yet.
    fn load_outbox(&mut self, turn: &mut Turn<'_>) -> Result<(), Error> {
        let prefix = outbox_prefix(turn.cell());
        // Entries hold whole messages: only their keys matter here, so pages are small.
        let mut range = Range::prefix(&prefix).limit(16);
        loop {
            let page = turn.scan(&range)?;
            for (key, _) in &page {
                self.outbox.insert(key::read_seq(key)?);
            }
            match page.last() {
                Some((last, _)) if page.len() == 16 => range = range.after(last),
                _ => break,
            }
        }
        for number in &self.outbox {
            let departure = Departure { key: outbox_key(turn.cell(), *number), number: *number };
            let departures = self.departures.clone();
            turn.effect(move || drop(departures.send(departure)));
        }
        Ok(())
    }
}

fn load_queue(name: QueueName, arn: Arc<str>, value: &[u8], turn: &mut Turn<'_>) -> Result<Queue, Error> {
    let record = QueueRecord::decode(value)?;
    let serial = record.serial;
    let settings = Settings::create(&record.attributes)
        .map_err(|fault| Error::Corrupt(format!("attributes of queue {arn}: {}", fault.message)))?;
    let mut index = Index::new(settings.fifo.is_some());
    index.settle(turn.now());
    let states = Range::between(key::state(serial, record.purged_below), key::state(serial, u64::MAX));
    for_each(turn, states, |_, key, value| {
        let state = StateRecord::decode(value)?;
        let visible_at = visible_at(&settings, &state);
        let entry = Entry::new(state.sent_at, visible_at, state.received);
        index.insert(key::read_seq(key)?, entry, state.group.as_deref());
        Ok(())
    })?;
    let mut queue = Queue {
        name,
        arn,
        settings,
        record,
        index,
        known: std::collections::HashMap::new(),
        known_order: VecDeque::new(),
        attempts: VecDeque::new(),
        task: None,
        retry_at: None,
        timer: None,
    };
    if queue.settings.fifo.is_some() {
        load_ids(&mut queue, turn)?;
    }
    let now = turn.now();
    for_each(turn, Range::prefix(&key::tasks(serial)), |_, key, value| {
        if TaskRecord::decode(value)?.status == TaskStatus::Running {
            queue.task = Some((key::read_seq(key)?, now));
        }
        Ok(())
    })?;
    Ok(queue)
}

/// FIFO queues delay by what the queue says now, not by what it said when the message was sent.
pub(super) fn visible_at(settings: &Settings, state: &StateRecord) -> base::Timestamp {
    if settings.fifo.is_some() && state.received == 0 {
        return state.sent_at + std::time::Duration::from_secs(u64::from(settings.delay_seconds));
    }
    state.visible_at
}

fn load_ids(queue: &mut Queue, turn: &mut Turn<'_>) -> Result<(), Error> {
    let serial = queue.record.serial;
    let mut known = Vec::new();
    for_each(turn, Range::prefix(&key::deduplications(serial)), |_, key, value| {
        known.push((DeduplicationRecord::decode(value)?.expires_at, key::read_hash(key)?));
        Ok(())
    })?;
    known.sort_unstable();
    queue.known = known.iter().map(|(at, hash)| (*hash, *at)).collect();
    queue.known_order = known.into();
    let mut attempts = Vec::new();
    for_each(turn, Range::prefix(&key::attempts(serial)), |_, key, value| {
        attempts.push((AttemptRecord::decode(value)?.expires_at, key::read_attempt(key)?));
        Ok(())
    })?;
    attempts.sort_unstable();
    queue.attempts = attempts.into();
    Ok(())
}

/// Reads a range page by page.
fn for_each(
    turn: &mut Turn<'_>,
    range: Range,
    mut entry: impl FnMut(&mut Turn<'_>, &[u8], &[u8]) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut range = range.limit(PAGE);
    loop {
        let page = turn.scan(&range)?;
        for (key, value) in &page {
            entry(turn, key, value)?;
        }
        match page.last() {
            Some((last, _)) if page.len() == PAGE => range = range.after(last),
            _ => return Ok(()),
        }
    }
}
