use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Weak};

use base::Timestamp;
use cell::Reply;
use service::Fault;

use crate::input::{Taken, Want};

/// A receive that waits for messages.
#[derive(Debug)]
pub(crate) struct Waiter {
    pub arn: Arc<str>,
    pub want: Want,
    pub until: Timestamp,
    /// Gone when the caller has gone.
    pub caller: Weak<()>,
    pub reply: Reply<Result<Taken, Fault>>,
}

/// All long polls of a cell: first come, first served. Not part of the stored state.
#[derive(Debug, Default)]
pub(crate) struct Waiters {
    /// By queue and order of arrival.
    waiting: BTreeMap<(u64, u64), Waiter>,
    deadlines: BTreeSet<(Timestamp, u64, u64)>,
    arrivals: u64,
}

impl Waiters {
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    pub fn add(&mut self, serial: u64, waiter: Waiter) {
        self.arrivals += 1;
        self.deadlines.insert((waiter.until, serial, self.arrivals));
        self.waiting.insert((serial, self.arrivals), waiter);
    }

    pub fn is_waiting(&self, serial: u64) -> bool {
        self.first_key(serial).is_some()
    }

    /// What the first caller of this queue wants; callers that went away are forgotten.
    pub fn first(&mut self, serial: u64) -> Option<Want> {
        while let Some(key) = self.first_key(serial) {
            let waiter = &self.waiting[&key];
            if waiter.caller.strong_count() > 0 {
                return Some(waiter.want.clone());
            }
            self.remove(key);
        }
        None
    }

    /// Takes the first waiter of this queue.
    pub fn take_first(&mut self, serial: u64) -> Option<Waiter> {
        let key = self.first_key(serial)?;
        self.remove(key)
    }

    /// Takes a waiter whose time is over.
    pub fn take_due(&mut self, now: Timestamp) -> Option<Waiter> {
        let &(_, serial, arrival) = self.deadlines.first().filter(|(until, ..)| *until <= now)?;
        self.remove((serial, arrival))
    }

    /// Takes all, in the order in which they came.
    pub fn take_all(&mut self) -> Vec<Waiter> {
        self.deadlines.clear();
        let mut all: Vec<_> = std::mem::take(&mut self.waiting).into_iter().collect();
        all.sort_by_key(|((_, arrival), _)| *arrival);
        all.into_iter().map(|(_, waiter)| waiter).collect()
    }

    pub fn next_deadline(&self) -> Option<Timestamp> {
        self.deadlines.first().map(|(until, ..)| *until)
    }

    fn first_key(&self, serial: u64) -> Option<(u64, u64)> {
        self.waiting.range((serial, 0)..=(serial, u64::MAX)).next().map(|(key, _)| *key)
    }

    fn remove(&mut self, key: (u64, u64)) -> Option<Waiter> {
        let waiter = self.waiting.remove(&key)?;
        self.deadlines.remove(&(waiter.until, key.0, key.1));
        Some(waiter)
    }
}
