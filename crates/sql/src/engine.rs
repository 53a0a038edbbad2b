//! Runs statements of the embedded engine: on a bounded number of threads, one writer for each database at a time.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use service::Fault;
use sha2::{Digest, Sha256};
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard, OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::embedded::{Session, Sources, Work};
use crate::fault::{database_state, internal, timeout, unavailable};
use crate::outcome::Outcome;

/// Connections that stay open for the next statement, for each database.
const IDLE_SESSIONS_MAX: usize = 8;

/// All embedded databases.
pub(crate) struct Engine {
    folder: PathBuf,
    sources: Sources,
    threads: Arc<Semaphore>,
    databases: Mutex<BTreeMap<PathBuf, Arc<Database>>>,
}

/// One database: its file, its idle connections and the place of its writer.
pub(crate) struct Database {
    path: PathBuf,
    sources: Sources,
    threads: Arc<Semaphore>,
    idle: Mutex<Vec<Session>>,
    writer: Arc<AsyncMutex<()>>,
}

/// Until when a statement may run, and whether it may go on after that.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline {
    pub at: Instant,
    pub run_on: bool,
}

/// What a transaction has begun in the engine.
pub(crate) struct Transaction {
    database: Arc<Database>,
    session: Option<Session>,
    begun: bool,
    writer: Option<OwnedMutexGuard<()>>,
}

impl Deadline {
    pub fn after(timeout: Duration, run_on: bool) -> Deadline {
        Deadline { at: Instant::now() + timeout, run_on }
    }
}

impl Engine {
    /// Keeps databases in `folder`; those of clusters not in `clusters` are what a crash left of deleted ones.
    pub fn open(folder: &Path, clusters: &[String], sources: Sources, threads: usize) -> std::io::Result<Engine> {
        std::fs::create_dir_all(folder)?;
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with("cluster-") && !clusters.contains(&name) {
                std::fs::remove_dir_all(entry.path())?;
            }
        }
        Ok(Engine {
            folder: folder.to_owned(),
            sources,
            threads: Arc::new(Semaphore::new(threads)),
            databases: Mutex::default(),
        })
    }

    fn path(&self, resource_id: &str, name: &str) -> PathBuf {
        let digest = Sha256::digest(name.as_bytes());
        let file: String = digest.iter().take(16).map(|b| format!("{b:02x}")).collect();
        self.folder.join(resource_id).join(format!("{file}.db"))
    }

    /// The database of that name; `None` if it is not there and not to be made.
    pub fn database(&self, resource_id: &str, name: &str, make: bool) -> Result<Option<Arc<Database>>, Fault> {
        let path = self.path(resource_id, name);
        let mut databases = self.databases.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(database) = databases.get(&path) {
            return Ok(Some(database.clone()));
        }
        if !make && !path.exists() {
            return Ok(None);
        }
        let folder = self.folder.join(resource_id);
        if !folder.exists() {
            let made = std::fs::create_dir(&folder).and_then(|()| std::fs::File::open(&self.folder)?.sync_all());
            made.map_err(|e| internal(format!("create {}: {e}", folder.display())))?;
        }
        let database = Arc::new(Database {
            path: path.clone(),
            sources: self.sources.clone(),
            threads: self.threads.clone(),
            idle: Mutex::default(),
            writer: Arc::default(),
        });
        databases.insert(path, database.clone());
        Ok(Some(database))
    }

    /// Removes everything of a cluster.
    pub fn remove(&self, resource_id: &str) -> std::io::Result<()> {
        let folder = self.folder.join(resource_id);
        self.databases.lock().unwrap_or_else(PoisonError::into_inner).retain(|path, _| !path.starts_with(&folder));
        if folder.exists() { std::fs::remove_dir_all(&folder) } else { Ok(()) }
    }
}

impl Database {
    /// Opens the file once, so that it is there.
    pub async fn make(self: &Arc<Self>, deadline: Deadline) -> Result<(), Fault> {
        let session = self.session(deadline).await?;
        self.give_back(session);
        Ok(())
    }

    /// Runs a statement in a transaction of its own.
    pub async fn execute(
        self: &Arc<Self>,
        work: Work,
        writes: bool,
        deadline: Deadline,
    ) -> Result<Vec<Outcome>, Fault> {
        let writer = if writes { Some(self.place_of_writer(deadline).await?) } else { None };
        let session = self.session(deadline).await?;
        let thread = self.thread(deadline).await?;
        let (session, result) = self.run(thread, session, work, writer, deadline).await?;
        self.give_back(session);
        result
    }

    pub async fn begin(self: &Arc<Self>, deadline: Deadline) -> Result<Transaction, Fault> {
        let session = Some(self.session(deadline).await?);
        Ok(Transaction { database: self.clone(), session, begun: false, writer: None })
    }

    async fn place_of_writer(&self, deadline: Deadline) -> Result<OwnedMutexGuard<()>, Fault> {
        let place = self.writer.clone().lock_owned();
        tokio::time::timeout_at(deadline.at, place).await.map_err(|_| timeout())
    }

    async fn session(self: &Arc<Self>, deadline: Deadline) -> Result<Session, Fault> {
        if let Some(session) = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop() {
            return Ok(session);
        }
        let (database, thread) = (self.clone(), self.thread(deadline).await?);
        on_thread(thread, move || Session::open(&database.path, &database.sources)).await?
    }

    fn give_back(&self, session: Session) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE_SESSIONS_MAX {
            idle.push(session);
        }
    }

    /// One of the threads, when one is free.
    async fn thread(&self, deadline: Deadline) -> Result<OwnedSemaphorePermit, Fault> {
        let permit = tokio::time::timeout_at(deadline.at, self.threads.clone().acquire_owned()).await;
        permit.map_err(|_| timeout())?.map_err(|_| unavailable("the server is stopping"))
    }

    /// Runs `work`; stops it at the deadline. The writer's place is given back when the thread is done.
    async fn run(
        &self,
        thread: OwnedSemaphorePermit,
        session: Session,
        work: Work,
        writer: Option<OwnedMutexGuard<()>>,
        deadline: Deadline,
    ) -> Result<(Session, Result<Vec<Outcome>, Fault>), Fault> {
        let stop = Arc::new(session.stopper());
        let at_work = stop.clone();
        let running = on_thread(thread, move || {
            let result = session.work(&work, &at_work);
            drop(writer);
            (session, result)
        });
        tokio::pin!(running);
        match tokio::time::timeout_at(deadline.at, &mut running).await {
            Ok(done) => done,
            Err(_) if deadline.run_on => Err(timeout()),
            Err(_) => {
                stop.stop();
                running.await
            }
        }
    }
}

impl Transaction {
    /// Runs a statement within the transaction; the first one that writes takes the place of the writer.
    pub async fn execute(&mut self, work: Work, writes: bool, deadline: Deadline) -> Result<Vec<Outcome>, Fault> {
        if writes && self.writer.is_none() {
            self.writer = Some(self.database.place_of_writer(deadline).await?);
        }
        if !self.begun {
            self.begin(writes, deadline).await?;
        }
        let thread = self.database.thread(deadline).await?;
        let session = self.session.take().ok_or_else(lost)?;
        // A statement of a transaction is always stopped: nobody could go on with a session that is still at work.
        let deadline = Deadline { run_on: false, ..deadline };
        let (session, result) = self.database.run(thread, session, work, None, deadline).await?;
        self.session = Some(session);
        result
    }

    async fn begin(&mut self, writes: bool, deadline: Deadline) -> Result<(), Fault> {
        let thread = self.database.thread(deadline).await?;
        let session = self.session.take().ok_or_else(lost)?;
        let begun = on_thread(thread, move || {
            let begun = session.begin(writes);
            (session, begun)
        });
        let (session, begun) = begun.await?;
        self.session = Some(session);
        self.begun = begun.is_ok();
        begun
    }

    /// Ends the transaction.
    pub async fn end(mut self, commit: bool, deadline: Deadline) -> Result<(), Fault> {
        let thread = self.database.thread(deadline).await?;
        let session = self.session.take().ok_or_else(lost)?;
        let begun = self.begun;
        let ended = on_thread(thread, move || {
            let result = match (begun, commit) {
                (false, _) => Ok(()),
                (true, true) => session.commit(),
                (true, false) => session.rollback(),
            };
            (session, result)
        });
        let (session, result) = ended.await?;
        if result.is_ok() {
            self.database.give_back(session);
        }
        result
    }
}

/// Runs something that blocks on the thread that was got.
async fn on_thread<T: Send + 'static>(
    thread: OwnedSemaphorePermit,
    job: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Fault> {
    let job = tokio::task::spawn_blocking(move || {
        let result = job();
        drop(thread);
        result
    });
    job.await.map_err(|e| internal(format!("database thread: {e}")))
}

fn lost() -> Fault {
    database_state("the connection of the transaction is lost", "08006")
}
