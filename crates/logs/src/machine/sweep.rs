use std::collections::VecDeque;
use std::time::Duration;

use base::Timestamp;
use cell::Turn;
use store::{Error, Range};

use super::{CHUNK_SPAN, LogsCell, is_of_cell};
use crate::key;
use crate::record::{ChunkRecord, GroupRecord, StreamRecord, decode_number, encode_number};

/// How often expired events are looked for; readers do not show them even before.
const INTERVAL: Duration = Duration::from_secs(600);
/// Groups that are looked at, streams that are looked at, and chunks that are removed, in one turn.
const GROUPS_PAGE: usize = 256;
const STREAMS_PAGE: usize = 64;
const CHUNKS_PAGE: usize = 64;

/// The removal of expired events: some in every turn until all groups were visited, then a pause.
#[derive(Debug, Default)]
pub(super) struct Sweep {
    /// When the next round begins; a round under way is always due.
    next_round: Option<Timestamp>,
    round: Option<Round>,
}

#[derive(Debug, Default)]
struct Round {
    /// The last group's key that was looked at, until there are no more.
    groups_after: Option<Vec<u8>>,
    groups_done: bool,
    /// Groups with a retention, and before when their events are expired.
    groups: VecDeque<(u64, Timestamp)>,
    /// The last stream's key of the first group that is done.
    streams_after: Option<Vec<u8>>,
}

impl Sweep {
    pub fn due(&self) -> Timestamp {
        match &self.round {
            Some(_) => Timestamp::MIN,
            None => self.next_round.unwrap_or(Timestamp::MIN),
        }
    }

    pub fn step(&mut self, cell: u8, turn: &mut Turn<'_>) -> Result<(), Error> {
        if self.due() > turn.now() {
            return Ok(());
        }
        let round = self.round.get_or_insert_default();
        if let Some(&(group, expired_before)) = round.groups.front() {
            if round.sweep_group(group, expired_before, turn)? {
                round.groups.pop_front();
                round.streams_after = None;
            }
        } else if !round.groups_done {
            round.find_groups(cell, turn)?;
        } else {
            self.round = None;
            self.next_round = Some(turn.now() + INTERVAL);
        }
        Ok(())
    }
}

impl Round {
    fn find_groups(&mut self, cell: u8, turn: &mut Turn<'_>) -> Result<(), Error> {
        let mut range = Range::prefix(&key::all_groups()).limit(GROUPS_PAGE);
        if let Some(last) = &self.groups_after {
            range = range.after(last);
        }
        let page = turn.scan(&range)?;
        for (key, value) in &page {
            let record = GroupRecord::decode(value)?;
            if record.retention_days.is_some() && is_of_cell(&key::read_group(key)?, cell) {
                self.groups.push_back((record.serial, record.expired_before(turn.now())));
            }
        }
        self.groups_done = page.len() < GROUPS_PAGE;
        self.groups_after = page.last().map(|(key, _)| key.to_vec());
        Ok(())
    }

    /// Removes some of a group's expired events; says whether it was the rest of them.
    fn sweep_group(&mut self, group: u64, expired_before: Timestamp, turn: &mut Turn<'_>) -> Result<bool, Error> {
        let mut range = Range::prefix(&key::streams(group)).limit(STREAMS_PAGE);
        if let Some(last) = &self.streams_after {
            range = range.after(last);
        }
        let page = turn.scan(&range)?;
        for (stream_key, value) in &page {
            let mut stream = StreamRecord::decode(value)?;
            let Some(times) = stream.events.as_mut().filter(|e| e.first_ms < expired_before.as_millis()) else {
                self.streams_after = Some(stream_key.to_vec());
                continue;
            };
            let (removed, next) = remove_chunks(group, stream.serial, expired_before, turn)?;
            if removed < CHUNKS_PAGE {
                self.streams_after = Some(stream_key.to_vec());
            }
            if removed > 0 {
                times.first_ms = next.map_or(times.last_ms, Timestamp::as_millis);
                turn.put(stream_key.clone(), stream.encode());
                // Enough for one turn.
                return Ok(false);
            }
        }
        Ok(page.len() < STREAMS_PAGE)
    }
}

/// Removes chunks all of whose events are expired; answers how many, and where the first that is left begins.
fn remove_chunks(
    group: u64,
    stream: u64,
    expired_before: Timestamp,
    turn: &mut Turn<'_>,
) -> Result<(usize, Option<Timestamp>), Error> {
    let start = key::chunk(group, stream, Timestamp::MIN, 0);
    let end = key::chunk(group, stream, expired_before - CHUNK_SPAN, 0);
    let expired = turn.scan(&Range::between(start, end).limit(CHUNKS_PAGE))?;
    let mut bytes = 0;
    for (key, value) in &expired {
        bytes += ChunkRecord::decode(value)?.events.iter().map(|(_, message)| message.len() as u64).sum::<u64>();
        turn.delete(key.clone());
    }
    if bytes > 0
        && let Some(value) = turn.get(&key::bytes(group))?
    {
        turn.put(key::bytes(group), encode_number(decode_number(&value)?.saturating_sub(bytes)));
    }
    let next = turn.scan(&Range::prefix(&key::chunks(group, stream)).limit(1))?;
    let next = next.first().map(|(key, _)| key::read_chunk(key)).transpose()?;
    Ok((expired.len(), next.map(|(at, _)| at)))
}

impl LogsCell {
    /// Removes keys that deleted groups and streams left, some at a time.
    pub(super) fn collect_garbage(&mut self, turn: &mut Turn<'_>) -> Result<(), Error> {
        let Some(&(group, stream)) = self.garbage.first() else {
            return Ok(());
        };
        let prefixes = match stream {
            0 => vec![key::chunks_of_group(group), key::streams(group)],
            stream => vec![key::chunks(group, stream)],
        };
        for prefix in prefixes {
            let page = turn.scan(&Range::prefix(&prefix).limit(CHUNKS_PAGE))?;
            let full = page.len() == CHUNKS_PAGE;
            for (key, _) in page {
                turn.delete(key);
            }
            if full {
                return Ok(());
            }
        }
        turn.delete(key::garbage(group, stream));
        self.garbage.remove(&(group, stream));
        Ok(())
    }
}
