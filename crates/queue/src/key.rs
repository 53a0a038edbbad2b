//! Which keys the service uses, all in the space `sqs`.
//!
//! A queue's messages lie under its *serial*, a number that is never used again: a queue that is made anew under an
//! old name has nothing to do with what was left of the old one. The serial's first byte is the cell.

use store::{Key, KeyReader};

use crate::QueueName;

const QUEUE: u8 = 1;
const BODY: u8 = 2;
const STATE: u8 = 3;
const DEDUPLICATION: u8 = 4;
const ATTEMPT: u8 = 5;
const GARBAGE: u8 = 6;
const TASK: u8 = 7;
const COUNTER: u8 = 8;
const SECRET: u8 = 9;

const CELL_SHIFT: u32 = 56;

fn kind(kind: u8) -> Key {
    Key::new("sqs").u8(kind)
}

/// The serial of number `n` in `cell`.
pub(crate) fn serial(cell: u8, n: u64) -> u64 {
    assert!(n < 1 << CELL_SHIFT, "numbers of a cell fit in seven bytes");
    (u64::from(cell) << CELL_SHIFT) | n
}

pub(crate) fn cell_of_serial(serial: u64) -> u8 {
    (serial >> CELL_SHIFT) as u8
}

pub(crate) fn queue(name: &QueueName) -> Key {
    queues(name.account(), name.region()).str(name.name())
}

/// What the keys of all queues of one account and region begin with.
pub(crate) fn queues(account: &str, region: &str) -> Key {
    all_queues().str(account).str(region)
}

pub(crate) fn all_queues() -> Key {
    kind(QUEUE)
}

pub(crate) fn read_queue(key: &[u8]) -> Result<QueueName, store::Error> {
    let mut parts = KeyReader::new(&key[all_queues().as_bytes().len()..]);
    let (account, region, name) = (parts.str()?, parts.str()?, parts.str()?);
    Ok(QueueName::new(&base::Scope::new(&account, &region), &name))
}

pub(crate) fn body(serial: u64, seq: u64) -> Vec<u8> {
    kind(BODY).u64(serial).u64(seq).build()
}

pub(crate) fn state(serial: u64, seq: u64) -> Vec<u8> {
    kind(STATE).u64(serial).u64(seq).build()
}

/// What follows the serial in a body's or state's key.
pub(crate) fn read_seq(key: &[u8]) -> Result<u64, store::Error> {
    let tail = key.last_chunk::<8>().ok_or_else(|| store::Error::Corrupt("malformed message key".to_owned()))?;
    Ok(u64::from_be_bytes(*tail))
}

pub(crate) fn deduplication(serial: u64, hash: [u8; 16]) -> Vec<u8> {
    let mut key = deduplications(serial);
    key.extend_from_slice(&hash);
    key
}

pub(crate) fn deduplications(serial: u64) -> Vec<u8> {
    kind(DEDUPLICATION).u64(serial).build()
}

pub(crate) fn read_hash(key: &[u8]) -> Result<[u8; 16], store::Error> {
    let tail = key.last_chunk::<16>().ok_or_else(|| store::Error::Corrupt("malformed deduplication key".to_owned()))?;
    Ok(*tail)
}

pub(crate) fn attempt(serial: u64, id: &str) -> Vec<u8> {
    kind(ATTEMPT).u64(serial).str(id).build()
}

pub(crate) fn attempts(serial: u64) -> Vec<u8> {
    kind(ATTEMPT).u64(serial).build()
}

pub(crate) fn read_attempt(key: &[u8]) -> Result<String, store::Error> {
    Ok(KeyReader::new(&key[attempts(0).len()..]).str()?)
}

pub(crate) fn garbage(serial: u64) -> Vec<u8> {
    kind(GARBAGE).u64(serial).build()
}

pub(crate) fn all_garbage() -> Vec<u8> {
    kind(GARBAGE).build()
}

pub(crate) fn read_garbage(key: &[u8]) -> Result<u64, store::Error> {
    read_seq(key)
}

pub(crate) fn task(serial: u64, number: u64) -> Vec<u8> {
    kind(TASK).u64(serial).u64(number).build()
}

pub(crate) fn tasks(serial: u64) -> Vec<u8> {
    kind(TASK).u64(serial).build()
}

pub(crate) fn counter(cell: u8) -> Vec<u8> {
    kind(COUNTER).u8(cell).build()
}

pub(crate) fn secret() -> Vec<u8> {
    kind(SECRET).build()
}
