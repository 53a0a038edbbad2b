use std::fs::File;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use store::{Batch, Commit, Entry, Error, Range, Store};

use crate::committer::Committer;
use crate::io::Io;
use crate::store::{Opened, Shared, open};
use crate::{OpenError, Options, Stats};

/// A store without threads, for the simulator: whoever holds it decides when the log is written and when the background
/// works. The same code as [`crate::EmbeddedStore`]'s does it. Dropping it is a crash.
pub struct SteppedStore {
    shared: Arc<Shared>,
    committer: Mutex<Committer>,
    immediate: AtomicBool,
    _lock: File,
}

impl SteppedStore {
    /// Opens the store in `dir` with its log on `io`. It commits at once until [`SteppedStore::set_immediate`].
    ///
    /// `outage` is called again and again while a group's fate is open and the disk cannot be written; `false` gives the
    /// group up, as closing a store does.
    pub fn open(
        dir: &Path,
        options: Options,
        io: Arc<dyn Io>,
        outage: impl Fn() -> bool + Send + Sync + 'static,
    ) -> Result<SteppedStore, OpenError> {
        let Opened { shared, wal, next_seq, lock } = open(dir, options, io, Some(Box::new(outage)))?;
        let committer = Mutex::new(Committer::new(shared.clone(), wal, next_seq));
        Ok(SteppedStore { shared, committer, immediate: AtomicBool::new(true), _lock: lock })
    }

    /// Whether a batch is committed before [`Store::commit`] returns, rather than with [`SteppedStore::write_group`].
    pub fn set_immediate(&self, immediate: bool) {
        self.immediate.store(immediate, Ordering::SeqCst);
    }

    /// Commits the batches that wait with one sync and answers them; with none waiting, notes that all is synced.
    /// Returns how many there were.
    pub fn write_group(&self) -> usize {
        self.committer.lock().unwrap_or_else(PoisonError::into_inner).step()
    }

    /// Lets the background do one thing: merge tables, bring the index up to date and cut the log, make a spare file.
    /// `false`: it has nothing to do.
    pub fn work_once(&self) -> bool {
        self.shared.work_once()
    }

    /// Asks for the index to be brought up to date.
    pub fn checkpoint(&self) {
        self.shared.apply_now();
    }

    /// Ends the log and brings the index up to date, as a clean shutdown does.
    pub fn close(&self) {
        let closed = self.committer.lock().unwrap_or_else(PoisonError::into_inner).close();
        if closed.is_ok() {
            self.shared.apply_now();
            while self.shared.work_once() {}
        }
    }

    pub fn stats(&self) -> Stats {
        self.shared.stats()
    }
}

impl Store for SteppedStore {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Error> {
        self.shared.get(key)
    }

    fn scan(&self, range: &Range) -> Result<Vec<Entry>, Error> {
        self.shared.scan(range)
    }

    fn commit(&self, batch: Batch) -> Commit {
        let commit = self.shared.queue.push(batch, &self.shared);
        if self.immediate.load(Ordering::SeqCst) {
            while self.write_group() > 0 {}
        }
        commit
    }
}
