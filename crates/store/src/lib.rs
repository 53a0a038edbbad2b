//! The storage contract: ordered keys, atomic batches, a durable acknowledgement.
//!
//! Semantics of every service are written once over [`Store`]; a backend only has to keep this contract, and the
//! [`suite`] checks that it does. Knows nothing of AWS.
//!
//! **Invariants of every backend**
//! - A batch is applied whole or not at all.
//! - [`Commit`] resolves to `Ok` only when the batch would survive a power cut, and no reader sees a write before that.
//! - Batches become visible in the order of their sequence numbers. Whoever saw one sees all earlier ones.
//! - A batch with a [`Fence`] is refused unless the fence's key holds exactly the fence's value.
//! - What cannot be read back intact is [`Error::Corrupt`], never a wrong value, never a missing one.
//!
//! **Stored values** carry a format version as their first byte; the owner of a key decides what follows. Structs that
//! are stored are made for that purpose and never a domain type's derived form.

mod batch;
mod blobs;
mod error;
mod key;
mod memory;
pub mod suite;

use bytes::Bytes;

pub use batch::{Batch, Commit, CommitSender, Fence, Write, commit_channel};
pub use blobs::{BLOB_ID_BYTES, BlobId, BlobWriter, Blobs};
pub use error::Error;
pub use key::{Key, KeyError, KeyReader, successor};
pub use memory::MemoryStore;

/// The longest key a backend has to take.
pub const KEY_BYTES_MAX: usize = 8 * 1024;
/// The largest value a backend has to take; larger things are blobs.
pub const VALUE_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Which keys a scan returns, and in which order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Range {
    /// First key, inclusive.
    pub start: Vec<u8>,
    /// Last key, exclusive.
    pub end: Vec<u8>,
    /// From the end towards the start.
    pub reverse: bool,
    /// At most so many entries.
    pub limit: usize,
}

impl Range {
    /// All keys that begin with `prefix`.
    pub fn prefix(prefix: &[u8]) -> Range {
        Range { start: prefix.to_vec(), end: successor(prefix), reverse: false, limit: usize::MAX }
    }

    /// Keys from `start` (inclusive) to `end` (exclusive).
    pub fn between(start: impl Into<Vec<u8>>, end: impl Into<Vec<u8>>) -> Range {
        Range { start: start.into(), end: end.into(), reverse: false, limit: usize::MAX }
    }

    pub fn limit(mut self, limit: usize) -> Range {
        self.limit = limit;
        self
    }

    pub fn reverse(mut self) -> Range {
        self.reverse = true;
        self
    }

    /// Goes on behind `key`, the last one a page returned, in the scan's direction.
    pub fn after(mut self, key: &[u8]) -> Range {
        if self.reverse {
            self.end = key.to_vec();
        } else {
            self.start = [key, &[0]].concat();
        }
        self
    }
}

/// One entry of a scan.
pub type Entry = (Bytes, Bytes);

/// Ordered, durable keys and values. Reads are quick and do not wait for writers.
pub trait Store: Send + Sync + 'static {
    /// The committed value of `key`.
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Error>;

    /// The committed entries of a range, in order. The whole answer is one point in time.
    fn scan(&self, range: &Range) -> Result<Vec<Entry>, Error>;

    /// Takes a batch in; the returned [`Commit`] resolves when it is durable and visible, or refused.
    ///
    /// Batches are taken in the order of the calls. Dropping the `Commit` does not withdraw the batch.
    fn commit(&self, batch: Batch) -> Commit;
}
