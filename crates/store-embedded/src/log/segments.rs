use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::recovery::{Sealed, Spare};
use super::segment::spare_path;
use crate::io::Io;
use crate::metrics::Metrics;

/// Preallocated files to keep. One is being filled while another is made.
const SPARES_MAX: usize = 2;
static ZEROS: [u8; 256 * 1024] = [0; 256 * 1024];

/// The files of the log but the one that is written: shared by the committer, who seals them, the applier, who cuts
/// them, and the thread that makes new ones ahead of time.
pub(crate) struct Segments {
    io: Arc<dyn Io>,
    dir: PathBuf,
    metrics: Arc<Metrics>,
    state: Mutex<State>,
    wanted: Condvar,
}

#[derive(Default)]
struct State {
    sealed: VecDeque<Sealed>,
    spares: Vec<Spare>,
    next_spare_id: u64,
    wanted_bytes: Option<u64>,
    stopped: bool,
}

impl Segments {
    pub(crate) fn new(
        io: Arc<dyn Io>,
        dir: &Path,
        metrics: Arc<Metrics>,
        sealed: Vec<Sealed>,
        spares: Vec<Spare>,
    ) -> Segments {
        let next_spare_id = spares.iter().map(|s| s.id + 1).max().unwrap_or(0);
        let state = State { sealed: sealed.into(), spares, next_spare_id, ..State::default() };
        Segments { io, dir: dir.to_owned(), metrics, state: Mutex::new(state), wanted: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a segment that takes no more frames.
    pub(crate) fn seal(&self, segment: Sealed) {
        self.lock().sealed.push_back(segment);
    }

    /// A preallocated file with room for `bytes`. The caller owns it from here.
    pub(crate) fn take_spare(&self, bytes: u64) -> Option<Spare> {
        let mut state = self.lock();
        let i = state.spares.iter().position(|s| s.bytes >= bytes)?;
        Some(state.spares.swap_remove(i))
    }

    /// Asks for a preallocated file, if there is none.
    pub(crate) fn want_spare(&self, bytes: u64) {
        let mut state = self.lock();
        if !state.spares.iter().any(|s| s.bytes >= bytes) && state.wanted_bytes != Some(bytes) {
            state.wanted_bytes = Some(bytes);
            self.wanted.notify_all();
        }
    }

    /// Drops the segments that hold nothing behind `applied_seq`, which is durable in the index.
    pub(crate) fn cut(&self, applied_seq: u64) {
        let (cut, mut next_id) = {
            let mut state = self.lock();
            let mut cut = Vec::new();
            while state.sealed.front().is_some_and(|s| s.last_seq <= applied_seq) {
                cut.extend(state.sealed.pop_front());
            }
            // The last ones are the largest: the first segments of a store are small.
            let room = SPARES_MAX.saturating_sub(state.spares.len());
            let largest = state.spares.iter().map(|s| s.bytes).max().unwrap_or(0);
            let keep_from = cut.len().saturating_sub(room);
            let cut: Vec<(Sealed, bool)> = (cut.into_iter().enumerate())
                .map(|(i, s)| {
                    let keep = i >= keep_from && !s.suspect && s.bytes >= largest;
                    (s, keep)
                })
                .collect();
            let first = state.next_spare_id;
            state.next_spare_id += cut.len() as u64;
            (cut, first)
        };
        if cut.is_empty() {
            return;
        }
        let mut spares = Vec::new();
        for (segment, keep) in cut {
            let path = spare_path(&self.dir, next_id);
            let done = if keep { self.io.rename(&segment.path, &path) } else { self.io.remove(&segment.path) };
            match done {
                Ok(()) if keep => spares.push(Spare { path, id: next_id, bytes: segment.bytes }),
                Ok(()) => {}
                // It is found to be applied at the next start, and cut then.
                Err(e) => tracing::warn!(file = %segment.path.display(), error = %e, "log segment not cut"),
            }
            next_id += 1;
        }
        // A spare is overwritten only once its old name is durably gone: else a crash could bring the old name back
        // with the new content.
        match self.io.sync_dir(&self.dir) {
            Ok(()) => {
                self.metrics.segments_recycled.add(spares.len() as u64);
                self.lock().spares.extend(spares);
            }
            Err(e) => tracing::warn!(dir = %self.dir.display(), error = %e, "log folder not synced after cutting"),
        }
    }

    /// Makes spares when they are wanted, until [`Segments::stop`].
    pub(crate) fn run_preallocation(&self) {
        loop {
            let (bytes, id) = {
                let mut state = self.lock();
                loop {
                    if state.stopped {
                        return;
                    }
                    if let Some(bytes) = state.wanted_bytes {
                        state.next_spare_id += 1;
                        break (bytes, state.next_spare_id - 1);
                    }
                    state = self.wanted.wait(state).unwrap_or_else(PoisonError::into_inner);
                }
            };
            self.make_spare(id, bytes);
        }
    }

    /// Without a thread: makes the spare that is wanted, if one is.
    pub(crate) fn preallocate_wanted(&self) -> bool {
        let (bytes, id) = {
            let mut state = self.lock();
            let Some(bytes) = state.wanted_bytes else { return false };
            state.next_spare_id += 1;
            (bytes, state.next_spare_id - 1)
        };
        self.make_spare(id, bytes);
        true
    }

    fn make_spare(&self, id: u64, bytes: u64) {
        let made = self.preallocate(id, bytes);
        let mut state = self.lock();
        state.wanted_bytes = None;
        match made {
            Ok(spare) if state.spares.len() < SPARES_MAX => state.spares.push(spare),
            // The committer will make its own, and report what is wrong.
            Err(e) => tracing::debug!(error = %e, "log segment not preallocated"),
            Ok(spare) => drop(self.io.remove(&spare.path)),
        }
    }

    fn preallocate(&self, id: u64, bytes: u64) -> io::Result<Spare> {
        let path = spare_path(&self.dir, id);
        let unfinished = path.with_extension("tmp");
        let made = self.write_zeros(&unfinished, bytes).and_then(|()| self.io.rename(&unfinished, &path));
        if let Err(e) = made {
            let _ = self.io.remove(&unfinished);
            return Err(e);
        }
        Ok(Spare { path, id, bytes })
    }

    /// Writes the whole file, so that later syncs have neither length nor extents to write: half the time.
    fn write_zeros(&self, path: &Path, bytes: u64) -> io::Result<()> {
        let mut file = self.io.create(path)?;
        let mut at = 0;
        while at < bytes {
            if self.lock().stopped {
                return Err(io::Error::other("the store has stopped"));
            }
            let piece = (bytes - at).min(ZEROS.len() as u64);
            file.write_at(at, &ZEROS[..piece as usize])?;
            at += piece;
            // In pieces, or the committer's sync would wait behind one great burst.
            if at % (4 << 20) == 0 {
                file.sync()?;
            }
        }
        file.sync()
    }

    pub(crate) fn stop(&self) {
        self.lock().stopped = true;
        self.wanted.notify_all();
    }

    /// Bytes of sealed segments and spares.
    pub(crate) fn bytes(&self) -> u64 {
        let state = self.lock();
        state.sealed.iter().map(|s| s.bytes).sum::<u64>() + state.spares.iter().map(|s| s.bytes).sum::<u64>()
    }

    pub(crate) fn sealed_count(&self) -> usize {
        self.lock().sealed.len()
    }
}
