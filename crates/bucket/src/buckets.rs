//! The service as other crates hold it.

use std::path::Path;
use std::sync::Arc;

use base::{Clock, Entropy};
use cell::{CellOptions, Cells, Reply};
use service::{Call, Fault};
use store::{BlobId, Blobs, Store};
use tokio::sync::Semaphore;
use tracing::warn;

use crate::bucket_record::Bucket;
use crate::content::Opener;
use crate::fault::{self, of_cell};
use crate::keeper::Keeper;
use crate::machine::{Answer, CELLS, Command, Input, Owner};
use crate::stage::Stager;
use crate::view;

/// How S3 uses memory and threads.
#[derive(Clone, Debug)]
pub struct Options {
    /// Changes that may wait for one of the cells.
    pub changes_waiting_max: usize,
    /// Uploads at once; each holds about 2 MiB. One more is told to slow down.
    pub uploads_max: usize,
    /// Threads that wait for files of objects at once.
    pub file_threads_max: usize,
}

impl Default for Options {
    fn default() -> Options {
        Options { changes_waiting_max: 4096, uploads_max: 512, file_threads_max: 16 }
    }
}

/// All buckets and objects. Clones are the same.
#[derive(Clone)]
pub struct Buckets {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<Entropy>,
    pub(crate) stager: Stager,
    pub(crate) opener: Opener,
    keeper: Arc<Keeper>,
    cells: Cells<Input>,
}

impl Buckets {
    /// Starts the cells on the current runtime. `blobs_dir` is for files of objects alone.
    ///
    /// Files that a crash left unnamed are deleted in the background.
    pub async fn start(
        store: Arc<dyn Store>,
        blobs_dir: &Path,
        clock: Arc<dyn Clock>,
        entropy: Arc<Entropy>,
        options: Options,
    ) -> Result<Buckets, store::Error> {
        let dir = blobs_dir.to_owned();
        let opening = tokio::task::spawn_blocking(move || Blobs::open(&dir).and_then(Keeper::start));
        let opened = opening.await.unwrap_or_else(|e| Err(std::io::Error::other(e)));
        let keeper = opened.map_err(|e| store::Error::Retryable(format!("open {}: {e}", blobs_dir.display())))?;
        let cell_options = CellOptions { inputs_waiting_max: options.changes_waiting_max, ..CellOptions::default() };
        let make = |index| Owner::new(index, keeper.clone());
        let cells = Cells::start("s3", CELLS, make, &store, &clock, &cell_options).await?;
        let io = Arc::new(Semaphore::new(options.file_threads_max));
        let uploads = Arc::new(Semaphore::new(options.uploads_max));
        let stager = Stager { keeper: keeper.clone(), entropy: entropy.clone(), io: io.clone(), uploads };
        let opener = Opener { keeper: keeper.clone(), store: store.clone(), io };
        let buckets = Buckets { inner: Arc::new(Inner { store, clock, entropy, stager, opener, keeper, cells }) };
        let collector = buckets.clone();
        tokio::spawn(async move {
            if let Err(error) = collector.collect_orphans().await {
                warn!(%error, "files that no object names could not be collected");
            }
        });
        Ok(buckets)
    }

    /// Deletes files that nothing names and nobody is about to name; returns how many. Done at every start.
    pub async fn collect_orphans(&self) -> Result<u64, store::Error> {
        let inner = self.inner.clone();
        let collecting = tokio::task::spawn_blocking(move || inner.keeper.collect_orphans(&*inner.store));
        collecting.await.unwrap_or_else(|e| Err(store::Error::Retryable(format!("collect files: {e}"))))
    }

    pub(crate) fn store(&self) -> &dyn Store {
        &*self.inner.store
    }

    pub(crate) fn now(&self) -> base::Timestamp {
        self.inner.clock.now()
    }

    pub(crate) fn nonce(&self) -> [u8; 16] {
        self.new_id().0
    }

    pub(crate) fn new_id(&self) -> BlobId {
        BlobId::from_random(self.inner.entropy.next_u64(), self.inner.entropy.next_u64())
    }

    /// The bucket, if the caller may use it.
    pub(crate) fn bucket(&self, call: &Call, name: &str) -> Result<Bucket, Fault> {
        if !crate::name::is_bucket_name(name) {
            return Err(crate::name::invalid_bucket_name(name));
        }
        Ok(view::bucket(self.store(), name, call.scope.account())?)
    }

    /// As [`Buckets::bucket`], before a change; the cell decides about an effect, which may have happened already.
    pub(crate) fn check_bucket(&self, call: &Call, name: &str) -> Result<(), Fault> {
        if call.effect.is_some() && crate::name::is_bucket_name(name) {
            return Ok(());
        }
        self.bucket(call, name).map(|_| ())
    }

    /// What was answered to the call's effect when it was delivered before.
    pub(crate) async fn recall(&self, call: &Call, bucket: &str) -> Result<Option<Answer>, Fault> {
        if call.effect.is_none() {
            return Ok(None);
        }
        match self.send(call, bucket, Command::Recall).await? {
            Answer::NotYet => Ok(None),
            answer => Ok(Some(answer)),
        }
    }

    /// Has the bucket's cell do `command`; the answer is durable.
    pub(crate) async fn send(&self, call: &Call, bucket: &str, command: Command) -> Result<Answer, Fault> {
        let make = |reply: Reply<Result<Answer, Fault>>| Input {
            bucket: bucket.to_owned(),
            account: call.scope.account().to_owned(),
            effect: call.effect.clone(),
            command,
            reply,
        };
        let cell = self.inner.cells.of(bucket.as_bytes());
        cell.call(make).await.unwrap_or_else(|error| Err(of_cell(&error)))
    }

    /// Runs reads that may take a while on a thread for them.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&dyn Store) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        let store = self.inner.store.clone();
        let reading = tokio::task::spawn_blocking(move || read(&*store));
        reading.await.unwrap_or_else(|e| Err(fault::internal(&format!("read: {e}"))))
    }
}

pub(crate) fn unexpected<T>(answer: Answer) -> Result<T, Fault> {
    Err(fault::internal(&format!("a cell answered {answer:?} to another question")))
}
