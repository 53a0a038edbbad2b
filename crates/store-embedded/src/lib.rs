//! The storage contract on local disk: a write-ahead log with an ordered index behind it.
//!
//! A commit is framed, checksummed and written to the log with all others that wait; one sync makes the group durable;
//! then it shows in the overlay (memory) and is acknowledged. In the background the overlay is frozen a layer at a
//! time and written to the index, sorted, as new tables that are synced and registered in one step together with the
//! number of the last batch in them. Then the log's segments up to that batch are cut. Reads look into the overlay,
//! then into the index. A start replays the log behind the index's last batch.
//!
//! Refuses to start on damage, and says which file and where: see [`OpenError`] and `docs/formats.md`. Does not repair,
//! compress the log, encrypt, or share a folder with another process.
//!
//! **Invariants**
//! - The log is the authority: what was acknowledged is in a synced segment until it is in synced tables.
//! - After a failed write or sync a segment is never written again; the group goes to a new one or is refused, and a
//!   refused group is never replayed.
//! - A key is never missing from overlay and index both.
//! - Nobody but the one applier thread writes the index; layers reach it in the order of their batches.
//! - Memory is bounded by the queue's and the overlay's limits; when the index lags, commits wait, then are refused.
//! - A panic inside the index's tree, as damaged tables can cause, is caught and is `Corrupt` (so build without
//!   `panic = "abort"`).

mod applier;
mod committer;
mod error;
mod index;
mod io;
mod log;
mod metrics;
mod options;
mod overlay;
mod sim_disk;
mod stepped;
mod store;
#[cfg(test)]
mod tests;
mod verify;

pub use error::OpenError;
pub use io::{DiskIo, Io, LogFile};
pub use metrics::Stats;
pub use options::Options;
pub use sim_disk::{Fault, Loss, SimDisk};
pub use stepped::SteppedStore;
pub use store::EmbeddedStore;
pub use verify::{Problem, Report, verify};

/// What the index says of itself: whose it is, and the last batch it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Applied {
    pub(crate) store_id: u64,
    pub(crate) seq: u64,
}
