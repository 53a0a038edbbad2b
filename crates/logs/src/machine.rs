//! The log groups of one cell, and what each input does to them. Holds next to nothing in memory.

mod sweep;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use base::Timestamp;
use cell::{Machine, Turn, shard_of};
use service::Fault;
use store::{Error, Range};
use tokio::sync::broadcast;

use crate::input::{Input, NewEvent, NewGroup, Origin, Rejected};
use crate::record::{ChunkRecord, EventTimes, GroupRecord, StreamRecord, decode_number, encode_number};
use crate::{GroupName, fault, key};

use sweep::Sweep;

/// Over how many cells groups are spread. Part of the stored state: it never changes.
pub const CELLS: usize = 8;
/// Time and bytes that one chunk spans at most. The time is what readers rely on: it never shrinks.
pub(crate) const CHUNK_SPAN: Duration = Duration::from_secs(60);
const CHUNK_BYTES_MAX: usize = 64 * 1024;
/// Numbers that are reserved at once; after a restart the rest of them is skipped.
const NUMBERS_RESERVED: u64 = 1 << 20;
const TAGS_MAX: usize = 50;
/// How old and how new an event may be that comes over the API.
const AGE_MAX: Duration = Duration::from_secs(14 * 86_400);
const FUTURE_MAX: Duration = Duration::from_secs(2 * 3_600);

/// Chunks that were stored just now, for those who follow.
#[derive(Debug)]
pub(crate) struct Announcement {
    pub group: GroupName,
    pub stream: Arc<str>,
    pub chunks: Vec<Vec<u8>>,
}

/// The state of one cell.
pub(crate) struct LogsCell {
    cell: u8,
    announcements: broadcast::Sender<Arc<Announcement>>,
    next_number: u64,
    numbers_reserved: u64,
    /// Deleted groups and streams whose events still have keys.
    garbage: BTreeSet<(u64, u64)>,
    sweep: Sweep,
}

pub(crate) fn is_of_cell(name: &GroupName, cell: u8) -> bool {
    shard_of(name.arn().as_bytes(), CELLS) == usize::from(cell)
}

impl LogsCell {
    pub fn new(cell: usize, announcements: broadcast::Sender<Arc<Announcement>>) -> LogsCell {
        LogsCell {
            cell: u8::try_from(cell).expect("few cells"),
            announcements,
            next_number: 0,
            numbers_reserved: 0,
            garbage: BTreeSet::new(),
            sweep: Sweep::default(),
        }
    }

    /// The first of `count` numbers that this cell has never used: for groups, streams and events.
    fn numbers(&mut self, count: u64, turn: &mut Turn<'_>) -> u64 {
        let first = self.next_number;
        self.next_number += count;
        if self.next_number > self.numbers_reserved {
            self.numbers_reserved = self.next_number + NUMBERS_RESERVED;
            turn.put(key::counter(self.cell), encode_number(self.numbers_reserved));
        }
        first
    }

    fn create_group(&mut self, name: &GroupName, new: NewGroup, turn: &mut Turn<'_>) -> GroupRecord {
        let number = self.numbers(1, turn);
        let record = GroupRecord {
            serial: key::serial(self.cell, number),
            created_ms: turn.now().as_millis(),
            retention_days: None,
            kms_key_id: new.kms_key_id,
            class: new.class.unwrap_or_else(|| "STANDARD".to_owned()),
            tags: new.tags,
        };
        turn.put(key::group(name), record.encode());
        record
    }

    fn create_stream(&mut self, group: u64, name: &str, turn: &mut Turn<'_>) -> StreamRecord {
        let serial = self.numbers(1, turn);
        let record = StreamRecord { serial, created_ms: turn.now().as_millis(), events: None };
        turn.put(key::stream(group, name), record.encode());
        record
    }

    fn put(
        &mut self,
        group: GroupName,
        stream: String,
        events: Vec<NewEvent>,
        origin: Origin,
        turn: &mut Turn<'_>,
    ) -> Result<Result<Rejected, Fault>, Error> {
        let group_record = match (find_group(&group, turn)?, origin) {
            (Some(record), _) => record,
            (None, Origin::Process) => self.create_group(&group, NewGroup::default(), turn),
            (None, Origin::Api) => return Ok(Err(fault::no_group())),
        };
        let serial = group_record.serial;
        let mut stream_record = match (turn.get(&key::stream(serial, &stream))?, origin) {
            (Some(value), _) => StreamRecord::decode(&value)?,
            (None, Origin::Process) => self.create_stream(serial, &stream, turn),
            (None, Origin::Api) => return Ok(Err(fault::no_stream())),
        };
        let now = turn.now();
        let (accepted, rejected) = match origin {
            Origin::Api => judge(events, group_record.expired_before(now), now),
            Origin::Process => (events, Rejected::default()),
        };
        let (Some((first, _)), Some((last, _))) = (accepted.first(), accepted.last()) else {
            return Ok(Ok(rejected));
        };
        let (first_ms, last_ms) = (first.as_millis(), last.as_millis());
        let number = self.numbers(accepted.len() as u64, turn);
        let chunks = write_chunks(serial, stream_record.serial, number, &accepted, turn);
        stream_record.events = Some(EventTimes {
            first_ms: stream_record.events.map_or(first_ms, |e| e.first_ms.min(first_ms)),
            last_ms: stream_record.events.map_or(last_ms, |e| e.last_ms.max(last_ms)),
            ingested_ms: now.as_millis(),
        });
        turn.put(key::stream(serial, &stream), stream_record.encode());
        let bytes: u64 = accepted.iter().map(|(_, message)| message.len() as u64).sum();
        add_bytes(serial, bytes, turn)?;
        self.announce(group, stream, chunks, turn);
        Ok(Ok(rejected))
    }

    /// Tells those who follow, if there are any, once the events are durable.
    fn announce(&self, group: GroupName, stream: String, chunks: Vec<Vec<u8>>, turn: &mut Turn<'_>) {
        if self.announcements.receiver_count() > 0 {
            let announcement = Arc::new(Announcement { group, stream: stream.into(), chunks });
            let announcements = self.announcements.clone();
            turn.effect(move || drop(announcements.send(announcement)));
        }
    }

    fn delete_group(&mut self, name: &GroupName, turn: &mut Turn<'_>) -> Result<Result<(), Fault>, Error> {
        let Some(record) = find_group(name, turn)? else {
            return Ok(Err(fault::no_group()));
        };
        turn.delete(key::group(name));
        turn.delete(key::bytes(record.serial));
        self.discard(record.serial, 0, turn);
        Ok(Ok(()))
    }

    fn delete_stream(
        &mut self,
        group: &GroupName,
        stream: &str,
        turn: &mut Turn<'_>,
    ) -> Result<Result<(), Fault>, Error> {
        let Some(group) = find_group(group, turn)? else {
            return Ok(Err(fault::no_group()));
        };
        let key = key::stream(group.serial, stream);
        let Some(value) = turn.get(&key)? else {
            return Ok(Err(fault::no_stream()));
        };
        turn.delete(key);
        self.discard(group.serial, StreamRecord::decode(&value)?.serial, turn);
        Ok(Ok(()))
    }

    fn discard(&mut self, group: u64, stream: u64, turn: &mut Turn<'_>) {
        turn.put(key::garbage(group, stream), encode_number(0));
        self.garbage.insert((group, stream));
    }
}

/// Changes a group's record, if it is there.
fn change_group(
    name: &GroupName,
    turn: &mut Turn<'_>,
    change: impl FnOnce(&mut GroupRecord) -> Result<(), Fault>,
) -> Result<Result<(), Fault>, Error> {
    let Some(mut record) = find_group(name, turn)? else {
        return Ok(Err(fault::no_group()));
    };
    Ok(change(&mut record).map(|()| turn.put(key::group(name), record.encode())))
}

fn find_group(name: &GroupName, turn: &Turn<'_>) -> Result<Option<GroupRecord>, Error> {
    turn.get(&key::group(name))?.map(|value| GroupRecord::decode(&value)).transpose()
}

/// Sorts out what is too old, expired or too new; events are in the order of time.
fn judge(events: Vec<NewEvent>, expired_before: Timestamp, now: Timestamp) -> (Vec<NewEvent>, Rejected) {
    let count_before = |at: Timestamp| events.partition_point(|(t, _)| *t < at);
    let (too_old, expired) = (count_before(now - AGE_MAX), count_before(expired_before));
    let too_new = events.partition_point(|(t, _)| *t <= now + FUTURE_MAX);
    let rejected = Rejected {
        too_new_start: (too_new < events.len()).then_some(too_new),
        too_old_end: (too_old > 0).then_some(too_old),
        expired_end: (expired > 0).then_some(expired),
    };
    let from = too_old.max(expired).min(too_new);
    (events.into_iter().take(too_new).skip(from).collect(), rejected)
}

/// Stores events as chunks, none longer or wider than allowed; answers their keys.
fn write_chunks(group: u64, stream: u64, number: u64, events: &[NewEvent], turn: &mut Turn<'_>) -> Vec<Vec<u8>> {
    let mut keys = Vec::new();
    let mut start = 0;
    while start < events.len() {
        let first = events[start].0;
        let mut bytes = 0;
        let fits = |(at, message): &&NewEvent| {
            bytes += message.len();
            at.since(first) <= CHUNK_SPAN && bytes <= CHUNK_BYTES_MAX
        };
        // One event goes in whatever its size.
        let count = events[start..].iter().take_while(fits).count().max(1);
        let chunk = &events[start..start + count];
        let offset = |at: Timestamp| at.since(first).as_millis() as u64;
        let record = ChunkRecord {
            ingested_ms: turn.now().as_millis(),
            events: chunk.iter().map(|(at, message)| (offset(*at), message.as_str())).collect(),
        };
        let key = key::chunk(group, stream, first, number + start as u64);
        turn.put(key.clone(), record.encode());
        keys.push(key);
        start += count;
    }
    keys
}

fn add_bytes(group: u64, bytes: u64, turn: &mut Turn<'_>) -> Result<(), Error> {
    let old = turn.get(&key::bytes(group))?.map_or(Ok(0), |value| decode_number(&value))?;
    turn.put(key::bytes(group), encode_number(old + bytes));
    Ok(())
}

impl Machine for LogsCell {
    type Input = Input;

    fn load(&mut self, turn: &mut Turn<'_>) -> Result<(), Error> {
        self.next_number = turn.get(&key::counter(self.cell))?.map_or(Ok(1), |value| decode_number(&value))?;
        self.numbers_reserved = self.next_number;
        self.garbage.clear();
        for (key, _) in turn.scan(&Range::prefix(&key::all_garbage()))? {
            let (group, stream) = key::read_garbage(&key)?;
            if key::cell_of_serial(group) == self.cell {
                self.garbage.insert((group, stream));
            }
        }
        self.sweep = Sweep::default();
        Ok(())
    }

    fn apply(&mut self, input: Input, turn: &mut Turn<'_>) -> Result<(), Error> {
        match input {
            Input::CreateGroup { name, new, reply } => {
                let answer = match find_group(&name, turn)? {
                    Some(_) => Err(fault::group_exists()),
                    None => {
                        self.create_group(&name, new, turn);
                        Ok(())
                    }
                };
                turn.reply(reply, answer);
            }
            Input::DeleteGroup { name, reply } => {
                let answer = self.delete_group(&name, turn)?;
                turn.reply(reply, answer);
            }
            Input::SetRetention { name, days, reply } => {
                let answer = change_group(&name, turn, |group| {
                    group.retention_days = days;
                    Ok(())
                })?;
                turn.reply(reply, answer);
            }
            Input::Tag { name, tags, reply } => {
                let answer = change_group(&name, turn, |group| tag(&mut group.tags, tags))?;
                turn.reply(reply, answer);
            }
            Input::Untag { name, keys, reply } => {
                let answer = change_group(&name, turn, |group| {
                    group.tags.retain(|key, _| !keys.contains(key));
                    Ok(())
                })?;
                turn.reply(reply, answer);
            }
            Input::CreateStream { group, stream, reply } => {
                let answer = match find_group(&group, turn)? {
                    None => Err(fault::no_group()),
                    Some(group) if turn.get(&key::stream(group.serial, &stream))?.is_some() => {
                        Err(fault::stream_exists())
                    }
                    Some(group) => {
                        self.create_stream(group.serial, &stream, turn);
                        Ok(())
                    }
                };
                turn.reply(reply, answer);
            }
            Input::DeleteStream { group, stream, reply } => {
                let answer = self.delete_stream(&group, &stream, turn)?;
                turn.reply(reply, answer);
            }
            Input::Put { group, stream, events, origin, reply } => {
                let answer = self.put(group, stream, events, origin, turn)?;
                turn.reply(reply, answer);
            }
        }
        Ok(())
    }

    fn wake_at(&self) -> Option<Timestamp> {
        if !self.garbage.is_empty() {
            return Some(Timestamp::MIN);
        }
        Some(self.sweep.due())
    }

    fn wake(&mut self, turn: &mut Turn<'_>) -> Result<(), Error> {
        self.collect_garbage(turn)?;
        self.sweep.step(self.cell, turn)
    }
}

fn tag(all: &mut BTreeMap<String, String>, new: BTreeMap<String, String>) -> Result<(), Fault> {
    all.extend(new);
    check_tag_count(all.len())
}

pub(crate) fn check_tag_count(count: usize) -> Result<(), Fault> {
    if count > TAGS_MAX { Err(fault::too_many_tags()) } else { Ok(()) }
}
