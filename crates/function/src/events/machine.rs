use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use base::Timestamp;
use bytes::Bytes;
use cell::{Machine, Reply, Turn, outbox_key, outbox_prefix};
use service::EffectId;
use store::{Error, Key, KeyReader, Range};
use tokio::sync::mpsc;

use super::record::EventRecord;

/// The cell's name, which is part of every stored key.
pub(super) const CELL: &str = "lambda-events";
/// Numbers that are taken at once, so that not every accepted event writes the counter.
const NUMBERS_RESERVED: u64 = 1024;
/// Entries that are read at a time at the start, for each comes with its payload.
const LOAD_ENTRIES: usize = 64;

/// What happens to the queue of asynchronous invocations.
pub(super) enum Input {
    Accept {
        record: EventRecord,
        payload: Bytes,
        effect: Option<EffectId>,
        reply: Reply<Accepted>,
    },
    /// An attempt is over: the entry goes (`None`) or is tried again as it stands now.
    Attempted {
        number: u64,
        next: Option<(EventRecord, Bytes)>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Accepted {
    Yes,
    /// Too many are waiting.
    Full,
}

/// The queue: which entries are due when, and which are being attempted. Their content is in the store.
pub(super) struct Queue {
    due: BTreeSet<(Timestamp, u64)>,
    entries: BTreeSet<u64>,
    running: BTreeSet<u64>,
    /// Those of `running` that the runner has really got: a turn that is not committed starts none.
    handed: Arc<Mutex<BTreeSet<u64>>>,
    next: u64,
    reserved: u64,
    entries_max: usize,
    running_max: usize,
    /// To the one who runs them; never more than `running_max` are in it.
    start: mpsc::UnboundedSender<u64>,
}

impl Queue {
    pub fn new(entries_max: usize, running_max: usize, start: mpsc::UnboundedSender<u64>) -> Queue {
        Queue {
            due: BTreeSet::new(),
            entries: BTreeSet::new(),
            running: BTreeSet::new(),
            handed: Arc::default(),
            next: 0,
            reserved: 0,
            entries_max,
            running_max: running_max.max(1),
            start,
        }
    }

    fn start_due(&mut self, turn: &mut Turn<'_>) {
        while self.running.len() < self.running_max {
            let Some(&(at, number)) = self.due.first() else { return };
            if at > turn.now() {
                return;
            }
            self.due.pop_first();
            self.running.insert(number);
            let (start, handed) = (self.start.clone(), self.handed.clone());
            turn.effect(move || {
                handed.lock().unwrap_or_else(PoisonError::into_inner).insert(number);
                // Without a receiver the server is stopping; the entry is there for the next.
                let _ = start.send(number);
            });
        }
    }

    fn number(&mut self, turn: &mut Turn<'_>) -> u64 {
        if self.next >= self.reserved {
            self.reserved = self.next + NUMBERS_RESERVED;
            turn.put(counter_key(), self.reserved.to_be_bytes().to_vec());
        }
        self.next += 1;
        self.next - 1
    }
}

fn counter_key() -> Vec<u8> {
    Key::new("lambda").str("events-next").build()
}

impl Machine for Queue {
    type Input = Input;

    fn load(&mut self, turn: &mut Turn<'_>) -> Result<(), Error> {
        self.reserved = match turn.get(&counter_key())? {
            None => 0,
            Some(value) => {
                let bytes = value[..].try_into().map_err(|_| Error::Corrupt("events counter".to_owned()))?;
                u64::from_be_bytes(bytes)
            }
        };
        // Numbers that an earlier owner may have used are not used again.
        self.next = self.reserved;
        self.due.clear();
        self.entries.clear();
        self.running = self.handed.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let prefix = outbox_prefix(CELL);
        let mut range = Range::prefix(&prefix).limit(LOAD_ENTRIES);
        loop {
            let page = turn.scan(&range)?;
            for (key, value) in &page {
                let number = KeyReader::new(&key[prefix.len()..]).u64()?;
                let (record, _) = EventRecord::decode(value)?;
                self.entries.insert(number);
                // What is being attempted in this process goes on.
                if !self.running.contains(&number) {
                    self.due.insert((record.due(), number));
                }
            }
            match page.last() {
                Some((last, _)) if page.len() == LOAD_ENTRIES => range = range.after(last),
                _ => break,
            }
        }
        self.start_due(turn);
        Ok(())
    }

    fn apply(&mut self, input: Input, turn: &mut Turn<'_>) -> Result<(), Error> {
        match input {
            Input::Accept { mut record, payload, effect, reply } => {
                if let Some(effect) = &effect
                    && turn.earlier_answer(&effect.0)?.is_some()
                {
                    turn.reply(reply, Accepted::Yes);
                    return Ok(());
                }
                if self.entries.len() >= self.entries_max {
                    turn.reply(reply, Accepted::Full);
                    return Ok(());
                }
                let now = turn.now();
                record.accepted_ms = now.as_millis();
                record.due_ms = now.as_millis();
                let number = self.number(turn);
                turn.put(outbox_key(CELL, number), record.encode(&payload));
                if let Some(effect) = &effect {
                    turn.remember_answer(&effect.0, Bytes::from_static(&[1]));
                }
                self.entries.insert(number);
                self.due.insert((now, number));
                turn.reply(reply, Accepted::Yes);
            }
            Input::Attempted { number, next } => {
                self.running.remove(&number);
                self.handed.lock().unwrap_or_else(PoisonError::into_inner).remove(&number);
                match next {
                    Some((record, payload)) => {
                        turn.put(outbox_key(CELL, number), record.encode(&payload));
                        self.due.insert((record.due(), number));
                    }
                    None => {
                        turn.delete(outbox_key(CELL, number));
                        self.entries.remove(&number);
                    }
                }
            }
        }
        self.start_due(turn);
        Ok(())
    }

    fn wake_at(&self) -> Option<Timestamp> {
        if self.running.len() >= self.running_max {
            return None;
        }
        self.due.first().map(|(at, _)| *at)
    }

    fn wake(&mut self, turn: &mut Turn<'_>) -> Result<(), Error> {
        self.start_due(turn);
        Ok(())
    }
}
