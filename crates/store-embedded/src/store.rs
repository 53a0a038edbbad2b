use std::cmp::Ordering as Order;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::iter::Peekable;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use store::{Batch, Commit, Entry, Error, Range, Store};

use crate::applier::{Background, Stop};
use crate::committer::{Committer, Queue};
use crate::index::{Index, IndexError, Snapshot};
use crate::io::{DiskIo, Io};
use crate::log::recovery::{Recovered, recover};
use crate::log::segments::Segments;
use crate::log::wal::{Wal, WalOptions};
use crate::metrics::{Metrics, Stats};
use crate::overlay::{Overlay, View};
use crate::{Applied, OpenError, Options};

/// Log segments that are not cut before a start brings the index up to date.
const SEGMENTS_AT_START_MAX: usize = 8;

pub(crate) const LOG_DIR: &str = "log";
pub(crate) const INDEX_DIR: &str = "index";
const LOCK_FILE: &str = "LOCK";
const LOCK_ATTEMPTS_MAX: u32 = 20;
const LOCK_RETRY_DELAY: Duration = Duration::from_millis(10);

/// A store in a folder of this machine. Dropping it closes it.
pub struct EmbeddedStore {
    shared: Arc<Shared>,
    threads: Option<Threads>,
    _lock: File,
}

struct Threads {
    committer: JoinHandle<()>,
    applier: JoinHandle<()>,
    compaction: JoinHandle<()>,
    preallocation: JoinHandle<()>,
}

/// What the threads of a store share.
pub(crate) struct Shared {
    pub(crate) options: Options,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) store_id: u64,
    pub(crate) queue: Queue,
    pub(crate) overlay: Overlay,
    pub(crate) index: Index,
    pub(crate) segments: Arc<Segments>,
    pub(crate) background: Background,
    /// Bytes in the log when the growing layer began.
    pub(crate) frozen_at_log_bytes: AtomicU64,
    /// Called instead of waiting while the disk cannot be written; `false` gives up, as closing the store does.
    pub(crate) outage: Option<Outage>,
}

/// Decides what comes of a disk that cannot be written.
pub(crate) type Outage = Box<dyn Fn() -> bool + Send + Sync>;

impl EmbeddedStore {
    /// Opens the store in `dir`, making it if need be. Blocks while the log is replayed.
    pub fn open(dir: impl AsRef<Path>, options: Options) -> Result<EmbeddedStore, OpenError> {
        let (dir, log_dir) = (dir.as_ref(), dir.as_ref().join(LOG_DIR));
        if !log_dir.exists() {
            fs::create_dir_all(&log_dir).map_err(OpenError::io("create", &log_dir))?;
        }
        EmbeddedStore::open_with_io(dir, options, Arc::new(DiskIo))
    }

    /// Opens a store whose log goes through `io`: for tests and the simulator. The index is on the real disk all the
    /// same.
    pub fn open_with_io(dir: &Path, options: Options, io: Arc<dyn Io>) -> Result<EmbeddedStore, OpenError> {
        let Opened { shared, wal, next_seq, lock } = open(dir, options, io, None)?;
        let threads = spawn(&shared, wal, next_seq).map_err(OpenError::io("start threads for", dir))?;
        Ok(EmbeddedStore { shared, threads: Some(threads), _lock: lock })
    }

    /// Commits what is queued, brings the index up to date and stops. Blocks.
    pub fn close(mut self) {
        self.stop(Stop::Finish);
    }

    /// Stops without writing anything more, as a crash would; for tests and the simulator.
    pub fn abandon(mut self) {
        self.stop(Stop::Abandon);
    }

    /// Brings the index up to date in the background, as happens by itself as the log grows.
    pub fn checkpoint(&self) {
        self.shared.apply_now();
    }

    /// Counters and sizes.
    pub fn stats(&self) -> Stats {
        self.shared.stats()
    }

    fn stop(&mut self, how: Stop) {
        let Some(threads) = self.threads.take() else { return };
        if how == Stop::Abandon {
            self.shared.background.stop(how);
        }
        self.shared.queue.close();
        self.shared.segments.stop();
        let join = |thread: JoinHandle<()>| {
            if thread.join().is_err() {
                tracing::error!("a thread of the store panicked");
            }
        };
        // The committer first: what it still takes from the queue belongs in the index too.
        join(threads.committer);
        self.shared.background.stop(how);
        join(threads.applier);
        self.shared.background.stop_compacting();
        join(threads.compaction);
        join(threads.preallocation);
    }
}

impl Drop for EmbeddedStore {
    fn drop(&mut self) {
        self.stop(Stop::Finish);
    }
}

impl std::fmt::Debug for EmbeddedStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EmbeddedStore").field("stats", &self.stats()).finish()
    }
}

impl Store for EmbeddedStore {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Error> {
        self.shared.get(key)
    }

    fn scan(&self, range: &Range) -> Result<Vec<Entry>, Error> {
        self.shared.scan(range)
    }

    fn commit(&self, batch: Batch) -> Commit {
        self.shared.queue.push(batch, &self.shared)
    }
}

/// A store that nobody works for yet.
pub(crate) struct Opened {
    pub(crate) shared: Arc<Shared>,
    pub(crate) wal: Wal,
    pub(crate) next_seq: u64,
    pub(crate) lock: File,
}

/// Reads what there is and begins a log segment. `outage`: see [`Shared::outage`].
pub(crate) fn open(dir: &Path, options: Options, io: Arc<dyn Io>, outage: Option<Outage>) -> Result<Opened, OpenError> {
    fs::create_dir_all(dir).map_err(OpenError::io("create", dir))?;
    let lock = lock_dir(dir)?;
    let log_dir = dir.join(LOG_DIR);
    let index_dir = dir.join(INDEX_DIR);
    let made = !index_dir.exists();
    let (index, applied) = Index::open(&index_dir, options.cache_bytes)?;
    if made {
        // The names of the folders must be durable before anything rests on what is in them.
        for dir in [Some(dir), dir.parent()].into_iter().flatten().filter(|d| !d.as_os_str().is_empty()) {
            DiskIo.sync_dir(dir).map_err(OpenError::io("sync", dir))?;
        }
    }
    let (found, overlay, applied) = replay(&*io, &log_dir, &index, applied, &options)?;
    for path in &found.unfinished {
        // In nobody's way if it stays.
        let _ = io.remove(path);
    }
    let metrics = Arc::new(Metrics::default());
    metrics.batches_replayed.add(found.batches_replayed);
    metrics.applied_seq.set(applied.seq);
    metrics.committed_seq.set(found.next_seq - 1);
    if found.marks_damaged > 0 {
        tracing::warn!(marks = found.marks_damaged, "the log has damaged marks; no data is lost, check the disk");
    }
    let next_seq = found.next_seq;
    // A process that was killed may leave pages that it could not sync and that look clean: see `Wal`.
    let doubtful = found.batches_replayed > 0 && !found.proven;
    let segments = Arc::new(Segments::new(io.clone(), &log_dir, metrics.clone(), found.segments, found.spares));
    let wal_options = WalOptions {
        dir: log_dir.clone(),
        store_id: applied.store_id,
        segment_bytes: options.segment_bytes,
        skip_sync: options.lose_acknowledged_data_on_power_cut,
        next_segment_id: found.next_segment_id,
        entropy: options.entropy.clone(),
    };
    let wal = Wal::open(io, segments.clone(), metrics.clone(), wal_options, next_seq)
        .map_err(OpenError::io("begin a log segment in", &log_dir))?;
    // Not before the new segment is durable: an index without any log is damage.
    segments.cut(applied.seq);
    let shared = Arc::new(Shared {
        options,
        metrics,
        store_id: applied.store_id,
        queue: Queue::default(),
        overlay,
        index,
        segments,
        background: Background::default(),
        frozen_at_log_bytes: AtomicU64::new(0),
        outage,
    });
    if doubtful || shared.segments.sealed_count() > SEGMENTS_AT_START_MAX {
        shared.apply_now();
    }
    Ok(Opened { shared, wal, next_seq, lock })
}

impl Shared {
    pub(crate) fn stats(&self) -> Stats {
        let (shared, m) = (self, &self.metrics);
        let (index_tables, index_bytes) = shared.index.sizes();
        Stats {
            commits: m.commits.get(),
            fenced: m.fenced.get(),
            refused: m.refused.get(),
            groups: m.groups.get(),
            log_bytes: m.log_bytes.get(),
            log_syncs: m.log_syncs.get(),
            log_failovers: m.log_failovers.get(),
            segments_created: m.segments_created.get(),
            segments_recycled: m.segments_recycled.get(),
            log_idle_bytes: shared.segments.bytes(),
            overlay_waits: m.overlay_waits.get(),
            overlay_bytes: shared.overlay.bytes() as u64,
            overlay_entries: shared.overlay.sizes().1 as u64,
            committed_seq: m.committed_seq.get(),
            applied_seq: m.applied_seq.get(),
            applies: m.applies.get(),
            applied_writes: m.applied_writes.get(),
            applied_deletes_skipped: m.applied_deletes_skipped.get(),
            compactions: m.compactions.get(),
            background_errors: m.background_errors.get(),
            batches_replayed: m.batches_replayed.get(),
            index_tables,
            index_bytes,
        }
    }

    /// See [`Store::scan`].
    pub(crate) fn scan(&self, range: &Range) -> Result<Vec<Entry>, Error> {
        if range.start >= range.end || range.limit == 0 {
            return Ok(Vec::new());
        }
        let view = self.overlay.view(range, || self.index.snapshot());
        let snapshot = &view.below;
        Ok(self.index.scan(snapshot, range, |entries| merge(range, &view, entries))?)
    }

    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Error> {
        match self.overlay.get(key) {
            Some(value) => Ok(value),
            None => Ok(self.index.get(key)?),
        }
    }
}

/// Merges the overlay's layers over the index's entries; all in the scan's direction.
fn merge(
    range: &Range,
    view: &View<Snapshot>,
    entries: &mut dyn Iterator<Item = Result<Entry, IndexError>>,
) -> Result<Vec<Entry>, IndexError> {
    let bounds = (Bound::Included(range.start.as_slice()), Bound::Excluded(range.end.as_slice()));
    let active = view.active.iter().map(|(k, v)| (k, v));
    let frozen = view.frozen.iter().flat_map(|layer| layer.range::<[u8], _>(bounds));
    let frozen: &mut dyn Iterator<Item = (&Bytes, &Option<Bytes>)> =
        if range.reverse { &mut frozen.rev() } else { &mut { frozen } };
    let (mut active, mut frozen, mut entries) = (active.peekable(), frozen.peekable(), entries.peekable());
    let mut answer = Vec::new();
    while answer.len() < range.limit {
        let over = next_over(&mut active, &mut frozen, range.reverse);
        let Some((key, value)) = over else {
            match entries.next() {
                Some(entry) => answer.push(entry?),
                None => break,
            }
            continue;
        };
        // What the index has before this key comes first; what it has of this key is hidden.
        while answer.len() < range.limit
            && let Some(below) = entries
                .next_if(|e| e.as_ref().map_or(true, |(k, _)| direction(k, key, range.reverse) != Order::Greater))
        {
            let below = below?;
            if below.0 != *key {
                answer.push(below);
            }
        }
        if let Some(value) = value
            && answer.len() < range.limit
        {
            answer.push((key.clone(), value.clone()));
        }
    }
    Ok(answer)
}

type OverlayEntry<'a> = (&'a Bytes, &'a Option<Bytes>);

/// The next entry of the two layers; the growing one hides the frozen one.
fn next_over<'a>(
    active: &mut Peekable<impl Iterator<Item = OverlayEntry<'a>>>,
    frozen: &mut Peekable<impl Iterator<Item = OverlayEntry<'a>>>,
    reverse: bool,
) -> Option<OverlayEntry<'a>> {
    let order = match (active.peek(), frozen.peek()) {
        (Some((a, _)), Some((f, _))) => direction(a, f, reverse),
        (Some(_), None) => Order::Less,
        (None, _) => Order::Greater,
    };
    if order == Order::Equal {
        frozen.next();
    }
    if order == Order::Greater { frozen.next() } else { active.next() }
}

fn direction(a: &[u8], b: &[u8], reverse: bool) -> Order {
    if reverse { b.cmp(a) } else { a.cmp(b) }
}

/// Takes the folder for this store alone; the system lets go of it when the process ends, however it ends.
pub(crate) fn lock_dir(dir: &Path) -> Result<File, OpenError> {
    let path = dir.join(LOCK_FILE);
    let mut file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(OpenError::io("open", &path))?;
    for attempt in 1.. {
        match file.try_lock() {
            Ok(()) => break,
            // A process that the last owner was just starting holds its files too, until it runs its own program.
            Err(fs::TryLockError::WouldBlock) if attempt < LOCK_ATTEMPTS_MAX => std::thread::sleep(LOCK_RETRY_DELAY),
            Err(fs::TryLockError::WouldBlock) => return Err(OpenError::Locked { dir: dir.to_owned() }),
            Err(fs::TryLockError::Error(e)) => return Err(OpenError::io("lock", &path)(e)),
        }
    }
    // For people who look; nothing reads it.
    let _ = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
    Ok(file)
}

/// Reads the log into an overlay on the index. Where that outgrows its bound, the index is written in between.
fn replay(
    io: &dyn Io,
    log_dir: &Path,
    index: &Index,
    applied: Option<Applied>,
    options: &Options,
) -> Result<(Recovered, Overlay, Applied), OpenError> {
    let mut seq = applied.map_or(0, |a| a.seq);
    let overlay = Overlay::new(seq);
    let found = recover(io, log_dir, applied, &mut |store_id, batch_seq, writes| {
        overlay.insert(batch_seq, vec![Batch { writes, fence: None }]);
        if overlay.bytes() < options.overlay_bytes_max {
            return Ok(());
        }
        let Some(frozen) = overlay.freeze(seq) else { return Ok(()) };
        let index_dir = || PathBuf::from(INDEX_DIR);
        index.apply(&frozen.layer, Applied { store_id, seq: frozen.last_seq }).map_err(|e| match e {
            IndexError::Io(source) => OpenError::Io { doing: "write index", file: index_dir(), source },
            IndexError::Corrupt(what) => OpenError::Corrupt { file: index_dir(), offset: 0, what },
        })?;
        seq = frozen.last_seq;
        overlay.thaw();
        Ok(())
    })?;
    let store_id = found.store_id.unwrap_or_else(|| options.entropy.next_u64());
    Ok((found, overlay, Applied { store_id, seq }))
}

fn spawn(shared: &Arc<Shared>, wal: Wal, next_seq: u64) -> io::Result<Threads> {
    let named = |name: &str, f: Box<dyn FnOnce() + Send>| std::thread::Builder::new().name(name.to_owned()).spawn(f);
    let (applier, compaction, segments) = (shared.clone(), shared.clone(), shared.segments.clone());
    let committer = Committer::new(shared.clone(), wal, next_seq);
    let start = || {
        Ok(Threads {
            applier: named("store-apply", Box::new(|| applier.run_applier()))?,
            compaction: named("store-compact", Box::new(|| compaction.run_compaction()))?,
            preallocation: named("store-space", Box::new(move || segments.run_preallocation()))?,
            committer: named("store-commit", Box::new(|| committer.run()))?,
        })
    };
    start().inspect_err(|_: &io::Error| {
        shared.background.stop(Stop::Abandon);
        shared.background.stop_compacting();
        shared.segments.stop();
    })
}
