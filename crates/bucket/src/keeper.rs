//! Who may delete a file when: an upload that has not committed yet, a reader, and the thread that deletes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use store::{BlobId, Blobs, Store};
use tracing::{info, warn};

use crate::keys;

/// Files that may wait to be deleted; beyond that they stay until the next start collects them.
const WAITING_MAX: usize = 64 * 1024;

/// Owns the files' lives.
///
/// A file is named by a record of its own ([`keys::blob`]), written and removed in the same batch as whatever needs
/// it. So a file without that record is garbage, unless an upload of this process is about to name it.
pub(crate) struct Keeper {
    pub(crate) blobs: Blobs,
    state: Mutex<State>,
    deletions: SyncSender<BlobId>,
}

#[derive(Default)]
struct State {
    /// Files that an upload is writing or about to name.
    in_flight: BTreeSet<BlobId>,
    /// Contents that are being read.
    pins: BTreeMap<BlobId, usize>,
    /// Files of contents that nothing names any more but somebody reads.
    doomed: BTreeMap<BlobId, Vec<BlobId>>,
}

impl Keeper {
    pub(crate) fn start(blobs: Blobs) -> std::io::Result<Arc<Keeper>> {
        let (deletions, waiting) = sync_channel(WAITING_MAX);
        let files = blobs.clone();
        std::thread::Builder::new().name("s3-delete".to_owned()).spawn(move || delete_all(&files, &waiting))?;
        Ok(Arc::new(Keeper { blobs, state: Mutex::default(), deletions }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Announces a file that is going to be written and named.
    pub(crate) fn announce(self: &Arc<Keeper>, id: BlobId) -> InFlight {
        self.state().in_flight.insert(id);
        InFlight { keeper: self.clone(), id, is_named: false }
    }

    /// Keeps the files of a content while the result lives. Look again afterwards whether it is still there.
    pub(crate) fn pin(self: &Arc<Keeper>, id: BlobId) -> Pin {
        *self.state().pins.entry(id).or_insert(0) += 1;
        Pin { keeper: self.clone(), id }
    }

    /// Deletes the files of a content that nothing names any more, when nobody reads it.
    pub(crate) fn dispose(&self, content: BlobId, files: Vec<BlobId>) {
        let mut state = self.state();
        if state.pins.contains_key(&content) {
            state.doomed.insert(content, files);
        } else {
            drop(state);
            self.delete(files);
        }
    }

    fn delete(&self, files: Vec<BlobId>) {
        for id in files {
            if self.deletions.try_send(id).is_err() {
                warn!("too many files wait to be deleted, the next start collects the rest");
                return;
            }
        }
    }

    /// Deletes files that nothing names: what uploads left that a crash cut short. Blocks.
    pub(crate) fn collect_orphans(&self, store: &dyn Store) -> Result<u64, store::Error> {
        let listed =
            self.blobs.list().map_err(|e| store::Error::Retryable(format!("list the files of objects: {e}")))?;
        let mut orphans = 0;
        for id in listed {
            // In this order: an upload ends being in flight only after its file is named.
            let is_in_flight = self.state().in_flight.contains(&id);
            if is_in_flight || store.get(&keys::blob(id))?.is_some() || self.state().is_read(id) {
                continue;
            }
            match self.blobs.delete(id) {
                Ok(()) => orphans += 1,
                Err(error) => warn!(%error, blob = %id, "a file that nothing names could not be deleted"),
            }
        }
        if orphans > 0 {
            info!(orphans, "files that no object names were deleted");
        }
        Ok(orphans)
    }
}

impl State {
    fn is_read(&self, id: BlobId) -> bool {
        self.doomed.values().any(|files| files.contains(&id))
    }
}

fn delete_all(blobs: &Blobs, waiting: &Receiver<BlobId>) {
    while let Ok(id) = waiting.recv() {
        if let Err(error) = blobs.delete(id) {
            warn!(%error, blob = %id, "a file that nothing names could not be deleted");
        }
    }
}

/// A file on its way to being named. Dropped before that, the file goes.
pub(crate) struct InFlight {
    keeper: Arc<Keeper>,
    id: BlobId,
    is_named: bool,
}

impl InFlight {
    pub(crate) fn id(&self) -> BlobId {
        self.id
    }

    /// A batch that names the file is being committed: from here on the file stays, whatever becomes of the batch.
    ///
    /// What is returned must live until the outcome is known.
    pub(crate) fn named(mut self) -> InFlight {
        self.is_named = true;
        self
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.keeper.state().in_flight.remove(&self.id);
        if !self.is_named {
            self.keeper.delete(vec![self.id]);
        }
    }
}

/// Keeps the files of a content from being deleted.
pub(crate) struct Pin {
    keeper: Arc<Keeper>,
    id: BlobId,
}

impl Drop for Pin {
    fn drop(&mut self) {
        let mut state = self.keeper.state();
        let Some(count) = state.pins.get_mut(&self.id) else { return };
        *count -= 1;
        if *count > 0 {
            return;
        }
        state.pins.remove(&self.id);
        if let Some(files) = state.doomed.remove(&self.id) {
            drop(state);
            self.keeper.delete(files);
        }
    }
}
