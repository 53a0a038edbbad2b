//! What callers ask of a cell.

use std::collections::BTreeMap;

use base::Timestamp;
use cell::Reply;
use service::Fault;

use crate::GroupName;

pub(crate) type Answer<T> = Reply<Result<T, Fault>>;

pub(crate) enum Input {
    CreateGroup { name: GroupName, new: NewGroup, reply: Answer<()> },
    DeleteGroup { name: GroupName, reply: Answer<()> },
    SetRetention { name: GroupName, days: Option<u32>, reply: Answer<()> },
    Tag { name: GroupName, tags: BTreeMap<String, String>, reply: Answer<()> },
    Untag { name: GroupName, keys: Vec<String>, reply: Answer<()> },
    CreateStream { group: GroupName, stream: String, reply: Answer<()> },
    DeleteStream { group: GroupName, stream: String, reply: Answer<()> },
    Put { group: GroupName, stream: String, events: Vec<NewEvent>, origin: Origin, reply: Answer<Rejected> },
}

/// What a log group is made with.
#[derive(Clone, Debug, Default)]
pub(crate) struct NewGroup {
    pub kms_key_id: Option<String>,
    pub class: Option<String>,
    pub tags: BTreeMap<String, String>,
}

/// An event as it comes; events of one put are in the order of time.
pub(crate) type NewEvent = (Timestamp, String);

/// Who puts events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// PutLogEvents: group and stream must be there, and events neither too old nor too new.
    Api,
    /// Our own functions and executions: what is missing is made, every event is taken.
    Process,
}

/// Which events of a put were not taken, by index.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rejected {
    /// From this one on: too far in the future.
    pub too_new_start: Option<usize>,
    /// Before this one: more than 14 days old.
    pub too_old_end: Option<usize>,
    /// Before this one: beyond the group's retention.
    pub expired_end: Option<usize>,
}

/// The place of an event in its group: by time, then by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventPosition {
    pub at: Timestamp,
    pub number: u64,
}

impl EventPosition {
    /// Before all events at `at` and later.
    pub(crate) fn before(at: Timestamp) -> EventPosition {
        EventPosition { at, number: 0 }
    }

    /// The position that follows at once.
    pub(crate) fn next(self) -> EventPosition {
        EventPosition { number: self.number + 1, ..self }
    }

    /// As 56 digits, which is what AWS's event ids and tokens look like.
    pub(crate) fn digits(self) -> String {
        format!("{:036}{:020}", self.at.as_millis().max(0), self.number)
    }

    pub(crate) fn of_digits(text: &str) -> Option<EventPosition> {
        if text.len() != 56 || !text.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let (at, number) = text.split_at(36);
        Some(EventPosition { at: Timestamp::from_millis(at.parse().ok()?), number: number.parse().ok()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_as_digits() {
        let position = EventPosition { at: Timestamp::from_millis(1_700_000_000_123), number: u64::MAX };
        assert_eq!(EventPosition::of_digits(&position.digits()), Some(position));
        for text in ["", "1", &"x".repeat(56), &"9".repeat(56)] {
            assert_eq!(EventPosition::of_digits(text), None);
        }
    }
}
