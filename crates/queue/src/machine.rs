//! The queues of one cell, and what each input does to them.

mod admin;
mod leave;
mod load;
mod receive;
mod send;
mod task;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use base::Timestamp;
use bytes::Bytes;
use cell::{Machine, Turn, shard_of};
use service::Fault;
use store::Error;
use tokio::sync::mpsc;

use crate::cache::BodyCache;
use crate::index::{Entry, Index};
use crate::input::{Counts, Input, Taken};
use crate::settings::Settings;
use crate::stored::{QueueRecord, StateRecord, encode_number};
use crate::waiters::Waiters;
use crate::{QueueName, fault, key};

pub(crate) use admin::check_tag_count;
pub(crate) use task::source_does_not_exist;

/// Over how many cells queues are spread. Part of the stored state: it never changes.
pub const CELLS: usize = 8;
/// Messages of one cell; each costs about 120 bytes of memory.
const MESSAGES_MAX: usize = 20_000_000;
/// Long polls of one cell.
const WAITERS_MAX: usize = 10_000;
/// Numbers that are reserved at once; after a restart the rest of them is skipped.
const NUMBERS_RESERVED: u64 = 65_536;
/// Messages that expire, and keys that are cleaned up, in one turn.
const SWEEP_MAX: usize = 1_000;
/// Queues that one wake attends to.
const QUEUES_PER_WAKE_MAX: usize = 64;
/// Bytes of messages that one turn moves between queues, beside one message of any size.
const MOVED_BYTES_MAX: usize = 8 * 1024 * 1024;
/// How soon a move is tried again for which the outbox has no room.
const MOVE_PAUSE: Duration = Duration::from_millis(100);
/// Deduplication ids are forgotten up to this much later than they could be, many at once.
const FORGET_SLACK: Duration = Duration::from_secs(30);

/// A message in our outbox, for the courier to bring to its cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Departure {
    pub key: Vec<u8>,
    pub number: u64,
}

/// One queue in memory.
pub(crate) struct Queue {
    name: QueueName,
    arn: Arc<str>,
    settings: Settings,
    record: QueueRecord,
    index: Index,
    /// Deduplication ids in use, and in the order in which they expire.
    known: HashMap<[u8; 16], Timestamp>,
    known_order: VecDeque<(Timestamp, [u8; 16])>,
    /// Receive request attempts in the order in which they expire.
    attempts: VecDeque<(Timestamp, String)>,
    /// The running move task's number and when it goes on.
    task: Option<(u64, Timestamp)>,
    /// When a receive that could not look at all messages should be tried again for those who wait.
    retry_at: Option<Timestamp>,
    timer: Option<Timestamp>,
}

/// The state of one cell.
pub(crate) struct QueueCell {
    cell: u8,
    departures: mpsc::UnboundedSender<Departure>,
    serials: HashMap<Arc<str>, u64>,
    queues: BTreeMap<u64, Queue>,
    timers: BTreeSet<(Timestamp, u64)>,
    waiters: Waiters,
    cache: BodyCache,
    next_number: u64,
    numbers_reserved: u64,
    /// Serials whose purged or deleted messages still have keys.
    garbage: BTreeSet<u64>,
    outbox: BTreeSet<u64>,
    /// Queues that an input changed, to be attended to at its end.
    touched: BTreeSet<u64>,
    /// Bytes that this turn has moved between queues.
    moved_bytes: usize,
    message_count: usize,
}

/// Whether the queue belongs to `cell`.
pub(crate) fn is_of_cell(arn: &str, cell: u8) -> bool {
    shard_of(arn.as_bytes(), CELLS) == usize::from(cell)
}

impl QueueCell {
    /// Cell number `cell`; what leaves for other cells is told to `departures`.
    pub fn new(cell: usize, departures: mpsc::UnboundedSender<Departure>) -> QueueCell {
        QueueCell {
            cell: u8::try_from(cell).expect("few cells"),
            departures,
            serials: HashMap::new(),
            queues: BTreeMap::new(),
            timers: BTreeSet::new(),
            waiters: Waiters::default(),
            cache: BodyCache::default(),
            next_number: 0,
            numbers_reserved: 0,
            garbage: BTreeSet::new(),
            outbox: BTreeSet::new(),
            touched: BTreeSet::new(),
            moved_bytes: 0,
            message_count: 0,
        }
    }

    /// A number that this cell has never used: for queues, messages, outbox entries and tasks.
    fn number(&mut self, turn: &mut Turn<'_>) -> u64 {
        if self.next_number >= self.numbers_reserved {
            self.numbers_reserved = self.next_number + NUMBERS_RESERVED;
            turn.put(key::counter(self.cell), encode_number(self.numbers_reserved));
        }
        self.next_number += 1;
        self.next_number - 1
    }

    fn serial(&self, arn: &str) -> Result<u64, Fault> {
        self.serials.get(arn).copied().ok_or_else(fault::queue_does_not_exist)
    }

    fn queue(&mut self, serial: u64) -> &mut Queue {
        self.queues.get_mut(&serial).expect("a serial that was looked up in this turn")
    }

    /// Takes a message that left the index out of the store and the cache.
    fn forget(&mut self, serial: u64, seq: u64, turn: &mut Turn<'_>) {
        turn.delete(key::body(serial, seq));
        turn.delete(key::state(serial, seq));
        self.cache.remove(serial, seq);
        self.message_count -= 1;
    }

    /// Adds a message, whose body and state the caller has put or which are there.
    fn remember(&mut self, serial: u64, seq: u64, state: &StateRecord) {
        let entry = Entry::new(state.sent_at, state.visible_at, state.received);
        self.queue(serial).index.insert(seq, entry, state.group.as_deref());
        self.message_count += 1;
    }

    /// A turn that has written nothing yet is a new one, for all that is bounded by turn.
    fn begin(&mut self, turn: &Turn<'_>) {
        if turn.is_clean() {
            self.moved_bytes = 0;
        }
    }

    /// Whether this turn may move so many bytes more; counts them if so.
    fn may_move(&mut self, bytes: usize) -> bool {
        let fits = self.moved_bytes == 0 || self.moved_bytes + bytes <= MOVED_BYTES_MAX;
        self.moved_bytes += if fits { bytes } else { 0 };
        fits
    }

    /// A message's stored record.
    fn body(&self, serial: u64, seq: u64, turn: &Turn<'_>) -> Result<Bytes, Error> {
        let record = match self.cache.get(serial, seq) {
            Some(record) => Some(record),
            None => turn.get(&key::body(serial, seq))?,
        };
        record.ok_or_else(|| Error::Corrupt(format!("message {seq} has no body")))
    }

    /// Every change of a queue ends here, so that those who wait for messages are served and its timer is set.
    ///
    /// Not at once: serving one queue can move messages to another.
    fn touch(&mut self, serial: u64) {
        self.touched.insert(serial);
    }

    fn attend_touched(&mut self, turn: &mut Turn<'_>) -> Result<(), Error> {
        while let Some(serial) = self.touched.pop_first() {
            self.attend(serial, turn)?;
        }
        Ok(())
    }

    fn attend(&mut self, serial: u64, turn: &mut Turn<'_>) -> Result<(), Error> {
        if !self.queues.contains_key(&serial) {
            return Ok(());
        }
        while let Some(want) = self.waiters.first(serial) {
            let messages = self.receive(serial, &want, turn)?;
            if messages.is_empty() {
                break;
            }
            if let Some(waiter) = self.waiters.take_first(serial) {
                turn.reply(waiter.reply, Ok(Taken { serial, messages }));
            }
        }
        let is_waited_for = self.waiters.is_waiting(serial);
        let queue = self.queue(serial);
        let due = queue.due(is_waited_for);
        let old = std::mem::replace(&mut queue.timer, due);
        if old != due {
            if let Some(old) = old {
                self.timers.remove(&(old, serial));
            }
            if let Some(due) = due {
                self.timers.insert((due, serial));
            }
        }
        Ok(())
    }

    /// What has come due for one queue.
    fn wake_queue(&mut self, serial: u64, turn: &mut Turn<'_>) -> Result<(), Error> {
        let now = turn.now();
        let queue = self.queue(serial);
        queue.retry_at = None;
        queue.index.settle(now);
        let mut expired = Vec::new();
        while expired.len() < SWEEP_MAX
            && let Some((_, seq)) = queue.index.oldest().filter(|(at, _)| *at + queue.settings.retention() <= now)
        {
            queue.index.remove(seq);
            expired.push(seq);
        }
        for seq in expired {
            self.forget(serial, seq, turn);
        }
        self.queue(serial).forget_ids(now, SWEEP_MAX, turn);
        self.step_task(serial, turn)?;
        self.touch(serial);
        Ok(())
    }

    /// Removes keys that purges and deleted queues left, some at a time.
    fn sweep_garbage(&mut self, turn: &mut Turn<'_>) -> Result<(), Error> {
        let Some(&serial) = self.garbage.first() else {
            return Ok(());
        };
        let below = match turn.get(&key::garbage(serial))? {
            Some(value) => crate::stored::decode_number(&value, "garbage record")?,
            None => 0,
        };
        // States are small, bodies need not be: the one's keys name the other's.
        let range = store::Range::between(key::state(serial, 0), key::state(serial, below)).limit(SWEEP_MAX);
        let states = turn.scan(&range)?;
        for (state, _) in &states {
            turn.delete(key::body(serial, key::read_seq(state)?));
            turn.delete(state.clone());
        }
        let mut left = SWEEP_MAX - states.len();
        if below == u64::MAX {
            for prefix in [key::deduplications(serial), key::attempts(serial), key::tasks(serial)] {
                for (key, _) in turn.scan(&store::Range::prefix(&prefix).limit(left))? {
                    turn.delete(key);
                    left -= 1;
                }
            }
        }
        if left > 0 {
            turn.delete(key::garbage(serial));
            self.garbage.remove(&serial);
        }
        Ok(())
    }

    fn count(&mut self, arn: &str, now: Timestamp) -> Result<Counts, Fault> {
        let serial = self.serial(arn)?;
        let index = &mut self.queue(serial).index;
        index.settle(now);
        Ok(Counts {
            visible: index.visible(),
            in_flight: index.in_flight(),
            delayed: index.delayed(),
            oldest_sent_at: index.oldest().map(|(at, _)| at),
        })
    }
}

impl Queue {
    /// When the queue needs attention though nobody calls.
    fn due(&self, is_waited_for: bool) -> Option<Timestamp> {
        let visible = self.index.next_visible_at().filter(|_| is_waited_for);
        let retry = self.retry_at.filter(|_| is_waited_for);
        let expiry = self.index.oldest().map(|(at, _)| at + self.settings.retention());
        let known = self.known_order.front().map(|(at, _)| *at + FORGET_SLACK);
        let attempt = self.attempts.front().map(|(at, _)| *at + FORGET_SLACK);
        let task = self.task.map(|(_, at)| at);
        [visible, retry, expiry, known, attempt, task].into_iter().flatten().min()
    }

    /// Drops deduplication ids and receive attempts that have expired, at most `max` of each.
    fn forget_ids(&mut self, now: Timestamp, max: usize, turn: &mut Turn<'_>) {
        let serial = self.record.serial;
        for _ in 0..max {
            let Some((_, hash)) = self.known_order.pop_front_if(|(at, _)| *at <= now) else {
                break;
            };
            self.known.remove(&hash);
            turn.delete(key::deduplication(serial, hash));
        }
        for _ in 0..max {
            let Some((_, id)) = self.attempts.pop_front_if(|(at, _)| *at <= now) else {
                break;
            };
            // The same id may have been used anew since.
            if !self.attempts.iter().any(|(_, other)| *other == id) {
                turn.delete(key::attempt(serial, &id));
            }
        }
    }
}

impl Machine for QueueCell {
    type Input = Input;

    fn load(&mut self, turn: &mut Turn<'_>) -> Result<(), Error> {
        self.load_all(turn)
    }

    fn apply(&mut self, input: Input, turn: &mut Turn<'_>) -> Result<(), Error> {
        self.begin(turn);
        match input {
            Input::Create { name, settings, new, reply } => {
                let answer = self.create(name, *settings, *new, turn)?;
                turn.reply(reply, answer);
            }
            Input::Alter { arn, alteration, reply } => {
                let answer = self.alter(&arn, alteration, turn)?;
                turn.reply(reply, answer);
            }
            Input::DeleteQueue { arn, reply } => {
                let answer = self.delete_queue(&arn, turn);
                turn.reply(reply, answer);
            }
            Input::Purge { arn, reply } => {
                let answer = self.purge(&arn, turn)?;
                turn.reply(reply, answer);
            }
            Input::Send { arn, messages, effect, reply } => {
                let answer = self.send_once(&arn, messages, effect, turn)?;
                turn.reply(reply, answer);
            }
            Input::Receive { arn, want, wait_seconds, caller, reply } => {
                self.receive_or_wait(&arn, want, wait_seconds, caller, reply, turn)?;
            }
            Input::Delete { arn, receipts, reply } => {
                let answer = self.delete(&arn, &receipts, turn)?;
                turn.reply(reply, answer);
            }
            Input::ChangeVisibility { arn, changes, reply } => {
                let answer = self.change_visibility(&arn, &changes, turn)?;
                turn.reply(reply, answer);
            }
            Input::Count { arn, reply } => {
                let answer = self.count(&arn, turn.now());
                turn.reply(reply, answer);
            }
            Input::StartTask { arn, destination, per_second_max, reply } => {
                let answer = self.start_task(&arn, destination, per_second_max, turn)?;
                turn.reply(reply, answer);
            }
            Input::CancelTask { arn, number, reply } => {
                let answer = self.cancel_task(&arn, number, turn)?;
                turn.reply(reply, answer);
            }
            Input::Arrive { messages, reply } => {
                let arrived = self.arrive_all(messages, turn)?;
                turn.reply(reply, arrived);
            }
            Input::Departed { outcomes, reply } => {
                for (number, arrived) in outcomes {
                    self.departed(number, arrived, turn)?;
                }
                turn.reply(reply, ());
            }
        }
        self.attend_touched(turn)
    }

    fn wake_at(&self) -> Option<Timestamp> {
        if !self.garbage.is_empty() {
            return Some(Timestamp::MIN);
        }
        let timer = self.timers.first().map(|(at, _)| *at);
        [timer, self.waiters.next_deadline()].into_iter().flatten().min()
    }

    fn wake(&mut self, turn: &mut Turn<'_>) -> Result<(), Error> {
        self.begin(turn);
        let now = turn.now();
        // First what has come due for the queues: a waiter's last chance.
        for _ in 0..QUEUES_PER_WAKE_MAX {
            let Some(&(at, serial)) = self.timers.first().filter(|(at, _)| *at <= now) else {
                break;
            };
            self.timers.remove(&(at, serial));
            self.queue(serial).timer = None;
            self.wake_queue(serial, turn)?;
        }
        self.attend_touched(turn)?;
        while let Some(waiter) = self.waiters.take_due(now) {
            let serial = self.serials.get(&waiter.arn).copied();
            let answer = serial.map(|serial| Taken { serial, messages: Vec::new() });
            turn.reply(waiter.reply, answer.ok_or_else(fault::queue_does_not_exist));
        }
        self.sweep_garbage(turn)
    }
}
