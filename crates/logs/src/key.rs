//! Which keys the service uses, all in the space `logs`.
//!
//! Streams and events lie under their group's *serial*, a number that is never used again; its first byte is the cell.

use base::Timestamp;
use store::{Error, Key, KeyReader};

use crate::GroupName;

const GROUP: u8 = 1;
const STREAM: u8 = 2;
const CHUNK: u8 = 3;
const BYTES: u8 = 4;
const GARBAGE: u8 = 5;
const COUNTER: u8 = 6;

const CELL_SHIFT: u32 = 56;

fn kind(kind: u8) -> Key {
    Key::new("logs").u8(kind)
}

/// The serial of number `n` in `cell`.
pub(crate) fn serial(cell: u8, n: u64) -> u64 {
    assert!(n < 1 << CELL_SHIFT, "numbers of a cell fit in seven bytes");
    (u64::from(cell) << CELL_SHIFT) | n
}

pub(crate) fn cell_of_serial(serial: u64) -> u8 {
    (serial >> CELL_SHIFT) as u8
}

pub(crate) fn group(name: &GroupName) -> Vec<u8> {
    kind(GROUP).str(name.account()).str(name.region()).str(name.name()).build()
}

/// What the keys of all groups of one account and region begin with.
pub(crate) fn groups(account: &str, region: &str) -> Vec<u8> {
    kind(GROUP).str(account).str(region).build()
}

pub(crate) fn all_groups() -> Vec<u8> {
    kind(GROUP).build()
}

pub(crate) fn read_group(key: &[u8]) -> Result<GroupName, Error> {
    let mut parts = KeyReader::new(&key[all_groups().len()..]);
    let (account, region, name) = (parts.str()?, parts.str()?, parts.str()?);
    Ok(GroupName::new(&base::Scope::new(&account, &region), &name))
}

pub(crate) fn stream(group: u64, name: &str) -> Vec<u8> {
    kind(STREAM).u64(group).str(name).build()
}

pub(crate) fn streams(group: u64) -> Vec<u8> {
    kind(STREAM).u64(group).build()
}

pub(crate) fn read_stream(key: &[u8]) -> Result<String, Error> {
    Ok(KeyReader::new(&key[streams(0).len()..]).str()?)
}

/// A chunk by the timestamp and number of its first event.
pub(crate) fn chunk(group: u64, stream: u64, first: Timestamp, number: u64) -> Vec<u8> {
    kind(CHUNK).u64(group).u64(stream).i64(first.as_millis()).u64(number).build()
}

pub(crate) fn chunks(group: u64, stream: u64) -> Vec<u8> {
    kind(CHUNK).u64(group).u64(stream).build()
}

pub(crate) fn chunks_of_group(group: u64) -> Vec<u8> {
    kind(CHUNK).u64(group).build()
}

pub(crate) fn read_chunk(key: &[u8]) -> Result<(Timestamp, u64), Error> {
    let mut parts = KeyReader::new(&key[chunks(0, 0).len()..]);
    Ok((Timestamp::from_millis(parts.i64()?), parts.u64()?))
}

/// How many bytes a group holds.
pub(crate) fn bytes(group: u64) -> Vec<u8> {
    kind(BYTES).u64(group).build()
}

/// A deleted group (`stream` 0) or stream whose keys are still there.
pub(crate) fn garbage(group: u64, stream: u64) -> Vec<u8> {
    kind(GARBAGE).u64(group).u64(stream).build()
}

pub(crate) fn all_garbage() -> Vec<u8> {
    kind(GARBAGE).build()
}

pub(crate) fn read_garbage(key: &[u8]) -> Result<(u64, u64), Error> {
    let mut parts = KeyReader::new(&key[all_garbage().len()..]);
    Ok((parts.u64()?, parts.u64()?))
}

pub(crate) fn counter(cell: u8) -> Vec<u8> {
    kind(COUNTER).u8(cell).build()
}
