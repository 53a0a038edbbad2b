use std::sync::atomic::{AtomicU64, Ordering};

/// A number that only grows.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn set(&self, n: u64) {
        self.0.store(n, Ordering::Relaxed);
    }
}

#[derive(Debug, Default)]
pub(crate) struct Metrics {
    pub(crate) commits: Counter,
    pub(crate) fenced: Counter,
    pub(crate) refused: Counter,
    pub(crate) groups: Counter,
    pub(crate) log_bytes: Counter,
    pub(crate) log_syncs: Counter,
    pub(crate) log_failovers: Counter,
    pub(crate) segments_created: Counter,
    pub(crate) segments_recycled: Counter,
    pub(crate) overlay_waits: Counter,
    pub(crate) committed_seq: Counter,
    pub(crate) applied_seq: Counter,
    pub(crate) applies: Counter,
    pub(crate) applied_writes: Counter,
    pub(crate) applied_deletes_skipped: Counter,
    pub(crate) compactions: Counter,
    pub(crate) background_errors: Counter,
    pub(crate) batches_replayed: Counter,
}

/// Counters since the store was opened, and sizes now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Batches acknowledged.
    pub commits: u64,
    /// Batches refused because of their fence.
    pub fenced: u64,
    /// Batches refused as `Retryable`.
    pub refused: u64,
    /// Groups of batches that shared one sync.
    pub groups: u64,
    /// Bytes of frames written to the log.
    pub log_bytes: u64,
    pub log_syncs: u64,
    /// Times a group went to a new segment because the old one could not be written.
    pub log_failovers: u64,
    pub segments_created: u64,
    pub segments_recycled: u64,
    /// Bytes of log segments that are not being written, and of spares.
    pub log_idle_bytes: u64,
    /// Times the committer waited for the index to catch up.
    pub overlay_waits: u64,
    pub overlay_bytes: u64,
    pub overlay_entries: u64,
    /// The last batch acknowledged.
    pub committed_seq: u64,
    /// The last batch that is durable in the index; the distance to `committed_seq` is what a crash would replay.
    pub applied_seq: u64,
    /// Times the index was brought up to date.
    pub applies: u64,
    pub applied_writes: u64,
    /// Deletes of keys that the index never had.
    pub applied_deletes_skipped: u64,
    pub compactions: u64,
    /// Failed attempts to write the index or compact it; each was logged and repeated.
    pub background_errors: u64,
    /// Batches read back from the log when the store was opened.
    pub batches_replayed: u64,
    pub index_tables: u64,
    pub index_bytes: u64,
}
