use std::sync::Arc;

use base::Entropy;

/// How a store uses memory and disk. Every member is a bound.
#[derive(Clone, Debug)]
pub struct Options {
    /// The size to which log segments grow; the first ones of a store are smaller.
    pub segment_bytes: u64,
    /// Batches that may wait for the log; one more is refused as `Retryable`.
    pub queue_batches_max: usize,
    /// Bytes that may wait for the log; a batch beyond is refused as `Retryable`.
    pub queue_bytes_max: usize,
    /// Batches that share one sync of the log.
    pub group_batches_max: usize,
    /// Bytes that share one sync of the log (a single larger batch goes alone).
    pub group_bytes_max: u64,
    /// Memory for what is in the log and not yet in the index. Commits wait while it is full.
    pub overlay_bytes_max: usize,
    /// The index is brought up to date, and the log cut, at the latest after so many logged bytes. Bounds the replay
    /// after a crash.
    pub checkpoint_bytes: u64,
    /// Memory for blocks of the index.
    pub cache_bytes: u64,
    /// Never syncs the log. Only for showing that a power-cut test notices.
    pub lose_acknowledged_data_on_power_cut: bool,
    /// For ids and salts.
    pub entropy: Arc<Entropy>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            segment_bytes: 64 << 20,
            queue_batches_max: 64 << 10,
            queue_bytes_max: 256 << 20,
            group_batches_max: 4096,
            group_bytes_max: 8 << 20,
            overlay_bytes_max: 64 << 20,
            checkpoint_bytes: 64 << 20,
            cache_bytes: 64 << 20,
            lose_acknowledged_data_on_power_cut: false,
            entropy: Arc::new(Entropy::from_os()),
        }
    }
}
