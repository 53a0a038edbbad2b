use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use base::Timestamp;

/// Of messages of standard queues, which have no group to keep order in.
const NO_GROUP: u32 = u32::MAX;

/// What is held in memory of one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub sent_at: Timestamp,
    /// Hidden before this: delayed if never received, in flight otherwise.
    pub visible_at: Timestamp,
    pub received: u32,
    /// Where its group is kept; the index alone sets it.
    pub group: u32,
}

impl Entry {
    pub fn new(sent_at: Timestamp, visible_at: Timestamp, received: u32) -> Entry {
        Entry { sent_at, visible_at, received, group: NO_GROUP }
    }
}

/// The messages of one queue by number, and which of them may be received, in which order.
///
/// Standard queues give the lowest number first. FIFO queues give a message only if no other of its group is in
/// flight and none before it is hidden.
#[derive(Debug)]
pub(crate) struct Index {
    messages: BTreeMap<u64, Entry>,
    /// Visible messages of a standard queue.
    ready: BTreeSet<u64>,
    /// Exactly the messages that are not visible at `now`, by when they will be.
    hidden: BTreeSet<(Timestamp, u64)>,
    /// Messages that are older than one with a lower number, as moved ones are: the others lie in order of their age.
    older: BTreeSet<(Timestamp, u64)>,
    newest_sent_at: Timestamp,
    groups: Option<Groups>,
    in_flight: usize,
    now: Timestamp,
}

#[derive(Debug, Default)]
struct Groups {
    by_name: HashMap<Arc<str>, u32>,
    slots: Vec<Option<Group>>,
    free: Vec<u32>,
    /// Groups of which a message may be received, by the number of their first.
    ready: BTreeSet<(u64, u32)>,
}

#[derive(Debug)]
struct Group {
    name: Arc<str>,
    messages: BTreeSet<u64>,
    in_flight: u32,
    /// The first message's number, where the group is among the ready ones.
    ready_head: Option<u64>,
}

/// Where a walk over the receivable messages stands.
#[derive(Debug, Default)]
pub(crate) struct Cursor {
    next: u64,
    group: Option<u32>,
    visited: BTreeSet<u32>,
}

impl Index {
    pub fn new(fifo: bool) -> Index {
        Index {
            messages: BTreeMap::new(),
            ready: BTreeSet::new(),
            hidden: BTreeSet::new(),
            older: BTreeSet::new(),
            newest_sent_at: Timestamp::MIN,
            groups: fifo.then(Groups::default),
            in_flight: 0,
            now: Timestamp::MIN,
        }
    }

    pub fn len(&self) -> usize {
        self.messages.len()
    }

    pub fn in_flight(&self) -> usize {
        self.in_flight
    }

    pub fn delayed(&self) -> usize {
        self.hidden.len() - self.in_flight
    }

    pub fn visible(&self) -> usize {
        self.messages.len() - self.hidden.len()
    }

    pub fn get(&self, seq: u64) -> Option<&Entry> {
        self.messages.get(&seq)
    }

    /// Whether the message is hidden at the time of the last [`Index::settle`].
    pub fn is_hidden(&self, entry: &Entry) -> bool {
        entry.visible_at > self.now
    }

    /// When the next hidden message becomes visible.
    pub fn next_visible_at(&self) -> Option<Timestamp> {
        self.hidden.first().map(|(at, _)| *at)
    }

    /// The message that was sent first.
    pub fn oldest(&self) -> Option<(Timestamp, u64)> {
        let first = self.messages.first_key_value().map(|(seq, entry)| (entry.sent_at, *seq));
        [first, self.older.first().copied()].into_iter().flatten().min()
    }

    pub fn group_of(&self, entry: &Entry) -> Option<Arc<str>> {
        self.groups.as_ref()?.slots.get(entry.group as usize)?.as_ref().map(|g| g.name.clone())
    }

    /// Lets appear what has become visible by `now`; time does not run backwards.
    pub fn settle(&mut self, now: Timestamp) {
        self.now = self.now.max(now);
        while let Some(&(at, seq)) = self.hidden.first()
            && at <= self.now
        {
            self.hidden.pop_first();
            let entry = self.messages[&seq];
            self.in_flight -= usize::from(entry.received > 0);
            match &mut self.groups {
                None => drop(self.ready.insert(seq)),
                Some(groups) => {
                    groups.in_flight(entry.group, entry.received > 0, -1);
                    groups.refresh(entry.group, &self.messages, self.now);
                }
            }
        }
    }

    /// Adds a message; `group` counts for FIFO queues alone.
    pub fn insert(&mut self, seq: u64, mut entry: Entry, group: Option<&str>) {
        if let Some(groups) = &mut self.groups {
            entry.group = groups.join(group.unwrap_or_default(), seq);
        }
        if entry.sent_at < self.newest_sent_at {
            self.older.insert((entry.sent_at, seq));
        }
        self.newest_sent_at = self.newest_sent_at.max(entry.sent_at);
        let old = self.messages.insert(seq, entry);
        assert!(old.is_none(), "a message's number is used once");
        self.show(seq, entry);
    }

    pub fn remove(&mut self, seq: u64) -> Option<Entry> {
        let entry = *self.messages.get(&seq)?;
        self.hide(seq, entry);
        self.messages.remove(&seq);
        self.older.remove(&(entry.sent_at, seq));
        if let Some(groups) = &mut self.groups {
            groups.leave(entry.group, seq, &self.messages, self.now);
        }
        Some(entry)
    }

    /// Changes when a message is visible and how often it was received.
    pub fn change(&mut self, seq: u64, visible_at: Timestamp, received: u32) {
        let Some(&entry) = self.messages.get(&seq) else {
            return;
        };
        self.hide(seq, entry);
        let entry = Entry { visible_at, received, ..entry };
        self.messages.insert(seq, entry);
        self.show(seq, entry);
    }

    /// Puts a message that is in `messages` among the ready or the hidden ones.
    fn show(&mut self, seq: u64, entry: Entry) {
        let hidden = self.is_hidden(&entry);
        if hidden {
            self.hidden.insert((entry.visible_at, seq));
            self.in_flight += usize::from(entry.received > 0);
        }
        match &mut self.groups {
            None if hidden => {}
            None => drop(self.ready.insert(seq)),
            Some(groups) => {
                groups.in_flight(entry.group, hidden && entry.received > 0, 1);
                groups.refresh(entry.group, &self.messages, self.now);
            }
        }
    }

    /// Takes it out of there.
    fn hide(&mut self, seq: u64, entry: Entry) {
        let hidden = self.hidden.remove(&(entry.visible_at, seq));
        self.in_flight -= usize::from(hidden && entry.received > 0);
        match &mut self.groups {
            None => drop(self.ready.remove(&seq)),
            Some(groups) => groups.in_flight(entry.group, hidden && entry.received > 0, -1),
        }
    }

    /// The next message that one receive may take, behind those it was given before.
    ///
    /// Between two calls the last message given may have been removed, no other change is allowed.
    pub fn next_ready(&self, cursor: &mut Cursor) -> Option<u64> {
        let Some(groups) = &self.groups else {
            let seq = *self.ready.range(cursor.next..).next()?;
            cursor.next = seq + 1;
            return Some(seq);
        };
        loop {
            // As many as possible of one group, up to the first that is hidden.
            let group = cursor.group.and_then(|g| groups.slots[g as usize].as_ref());
            let seq = group.and_then(|g| g.messages.range(cursor.next..).next().copied());
            if let Some(seq) = seq.filter(|seq| !self.is_hidden(&self.messages[seq])) {
                cursor.next = seq + 1;
                return Some(seq);
            }
            let (head, group) = *groups.ready.iter().find(|(_, group)| !cursor.visited.contains(group))?;
            cursor.visited.insert(group);
            cursor.group = Some(group);
            cursor.next = head;
        }
    }

    /// Gives each message that was never received the delay of the queue, as FIFO queues do when it changes.
    pub fn delay_all(&mut self, delay: std::time::Duration) {
        let waiting: Vec<_> = self.messages.iter().filter(|(_, e)| e.received == 0).map(|(s, e)| (*s, *e)).collect();
        for (seq, entry) in waiting {
            self.change(seq, entry.sent_at + delay, 0);
        }
    }
}

impl Groups {
    fn join(&mut self, name: &str, seq: u64) -> u32 {
        let slot = match self.by_name.get(name) {
            Some(slot) => *slot,
            None => {
                let name: Arc<str> = name.into();
                let group = Group { name: name.clone(), messages: BTreeSet::new(), in_flight: 0, ready_head: None };
                let slot = self.free.pop().unwrap_or_else(|| {
                    self.slots.push(None);
                    u32::try_from(self.slots.len() - 1).expect("fewer groups than four thousand million")
                });
                self.slots[slot as usize] = Some(group);
                self.by_name.insert(name, slot);
                slot
            }
        };
        self.group(slot).messages.insert(seq);
        slot
    }

    fn group(&mut self, slot: u32) -> &mut Group {
        self.slots[slot as usize].as_mut().expect("a message's group is there")
    }

    fn in_flight(&mut self, slot: u32, is_in_flight: bool, change: i32) {
        if is_in_flight {
            let group = self.group(slot);
            group.in_flight = group.in_flight.checked_add_signed(change).expect("counted up before down");
        }
    }

    fn leave(&mut self, slot: u32, seq: u64, messages: &BTreeMap<u64, Entry>, now: Timestamp) {
        let group = self.group(slot);
        group.messages.remove(&seq);
        let empty = group.messages.is_empty();
        self.refresh(slot, messages, now);
        if empty && let Some(group) = self.slots[slot as usize].take() {
            self.by_name.remove(&group.name);
            self.free.push(slot);
        }
    }

    /// Finds out anew whether the group is ready.
    fn refresh(&mut self, slot: u32, messages: &BTreeMap<u64, Entry>, now: Timestamp) {
        let group = self.slots[slot as usize].as_mut().expect("a message's group is there");
        let head = group.messages.first().copied();
        let head = head.filter(|seq| group.in_flight == 0 && messages[seq].visible_at <= now);
        if head != group.ready_head {
            let old = std::mem::replace(&mut group.ready_head, head);
            if let Some(old) = old {
                self.ready.remove(&(old, slot));
            }
            if let Some(head) = head {
                self.ready.insert((head, slot));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millis(ms)
    }

    fn all(index: &Index) -> Vec<u64> {
        let mut cursor = Cursor::default();
        std::iter::from_fn(|| index.next_ready(&mut cursor)).collect()
    }

    #[test]
    fn standard_queues_give_what_is_visible() {
        let mut index = Index::new(false);
        index.settle(at(10));
        for seq in 0..5 {
            index.insert(seq, Entry::new(at(10), at(10), 0), None);
        }
        index.insert(5, Entry::new(at(10), at(30), 0), None);
        assert_eq!((all(&index), index.delayed()), (vec![0, 1, 2, 3, 4], 1));
        index.change(1, at(20), 1);
        index.remove(2);
        assert_eq!((all(&index), index.in_flight(), index.visible()), (vec![0, 3, 4], 1, 3));
        index.settle(at(19));
        assert_eq!(index.next_visible_at(), Some(at(20)));
        index.settle(at(30));
        assert_eq!((all(&index), index.in_flight(), index.delayed()), (vec![0, 1, 3, 4, 5], 0, 0));
        assert_eq!(index.oldest(), Some((at(10), 0)));
    }

    #[test]
    fn the_oldest_need_not_have_the_lowest_number() {
        let mut index = Index::new(false);
        for (seq, sent_at) in [(1, 20), (2, 5), (3, 25), (4, 7), (5, 30)] {
            index.insert(seq, Entry::new(at(sent_at), at(0), 0), None);
        }
        let mut ages = Vec::new();
        while let Some((sent_at, seq)) = index.oldest() {
            ages.push(sent_at.as_millis());
            index.remove(seq);
        }
        assert_eq!(ages, [5, 7, 20, 25, 30]);
    }

    #[test]
    fn a_group_in_flight_is_blocked() {
        let mut index = Index::new(true);
        index.settle(at(10));
        for (seq, group) in [(1, "a"), (2, "b"), (3, "a"), (4, "b"), (5, "c")] {
            index.insert(seq, Entry::new(at(10), at(10), 0), Some(group));
        }
        assert_eq!(all(&index), [1, 3, 2, 4, 5]);
        index.change(1, at(20), 1);
        assert_eq!(all(&index), [2, 4, 5]);
        index.change(2, at(25), 1);
        index.change(4, at(30), 1);
        assert_eq!(all(&index), [5]);
        index.remove(1);
        assert_eq!(all(&index), [3, 5]);
        index.settle(at(25));
        assert_eq!(all(&index), [3, 5]);
        index.remove(4);
        assert_eq!(all(&index), [2, 3, 5]);
        for seq in [2, 3, 5] {
            index.remove(seq);
        }
        assert_eq!((index.len(), index.groups.as_ref().unwrap().free.len()), (0, 3));
    }

    #[test]
    fn a_delayed_head_holds_its_group_back() {
        let mut index = Index::new(true);
        index.settle(at(10));
        index.insert(1, Entry::new(at(10), at(40), 0), Some("a"));
        index.insert(2, Entry::new(at(10), at(10), 0), Some("a"));
        assert!(all(&index).is_empty());
        index.delay_all(std::time::Duration::from_millis(5));
        assert_eq!((all(&index), index.delayed()), (vec![], 2));
        index.settle(at(15));
        assert_eq!(all(&index), [1, 2]);
    }

    #[test]
    fn a_message_that_leaves_during_the_walk_does_not_bring_its_group_back() {
        let mut index = Index::new(true);
        index.settle(at(10));
        for (seq, group) in [(1, "a"), (2, "a"), (3, "b")] {
            index.insert(seq, Entry::new(at(10), at(10), 0), Some(group));
        }
        let mut cursor = Cursor::default();
        assert_eq!(index.next_ready(&mut cursor), Some(1));
        index.remove(1);
        let rest: Vec<u64> = std::iter::from_fn(|| index.next_ready(&mut cursor)).collect();
        assert_eq!(rest, [2, 3]);
    }
}
