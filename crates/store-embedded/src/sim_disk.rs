use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base::Entropy;

use crate::io::{Io, LogFile};

/// What a disk writes as one.
const SECTOR_BYTES: usize = 512;

/// What goes wrong with one operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It fails. A write does nothing; a failed sync loses what it should have saved, but reads still show it.
    Error(io::ErrorKind),
    /// A write does so many bytes, then fails; other operations do their work, then fail.
    ErrorAfter(usize),
    /// The machine stops before it.
    Crash,
    /// The machine stops after so many bytes of a write, or after any other operation.
    CrashAfter(usize),
}

/// What a crash takes of the things that were not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// Nothing: the process was killed, the machine runs on.
    Nothing,
    /// All of it.
    Everything,
    /// Each sector by chance, and of names the later ones.
    Chance(u64),
    /// As [`Loss::Chance`], and what is left of them may have bits flipped.
    Damage(u64),
}

/// A disk in memory that can fail at any operation and lose power. All clones are the same disk.
#[derive(Clone, Default)]
pub struct SimDisk {
    state: Arc<Mutex<State>>,
}

#[derive(Clone, Default)]
struct State {
    files: BTreeMap<u64, Content>,
    names: BTreeMap<PathBuf, u64>,
    durable_names: BTreeMap<PathBuf, u64>,
    /// Changes of names since the folder was synced, as the names were after each.
    pending_names: Vec<BTreeMap<PathBuf, u64>>,
    next_file: u64,
    operations: u64,
    faults: BTreeMap<u64, Fault>,
    failing_syncs: u64,
    broken: bool,
    full: bool,
    stopped: bool,
}

#[derive(Clone, Default)]
struct Content {
    cached: Vec<u8>,
    durable: Vec<u8>,
    pending: Vec<(usize, Vec<u8>)>,
}

fn write_into(content: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    if content.len() < offset + bytes.len() {
        content.resize(offset + bytes.len(), 0);
    }
    content[offset..offset + bytes.len()].copy_from_slice(bytes);
}

impl SimDisk {
    pub fn new() -> SimDisk {
        SimDisk::default()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Operations so far; the next one has this number.
    pub fn operations(&self) -> u64 {
        self.lock().operations
    }

    /// Lets an operation fail.
    pub fn fail(&self, operation: u64, fault: Fault) {
        self.lock().faults.insert(operation, fault);
    }

    /// Lets the next syncs of files fail, as many as `count`.
    pub fn fail_syncs(&self, count: u64) {
        self.lock().failing_syncs = count;
    }

    /// Whether every operation that changes the disk fails.
    pub fn set_broken(&self, broken: bool) {
        self.lock().broken = broken;
    }

    /// Whether new files and bytes are refused for lack of space.
    pub fn set_full(&self, full: bool) {
        self.lock().full = full;
    }

    /// Whether the machine has stopped.
    pub fn has_crashed(&self) -> bool {
        self.lock().stopped
    }

    /// The disk as the next start finds it.
    pub fn after_crash(&self, loss: Loss) -> SimDisk {
        let mut state = self.lock().clone();
        let by_chance = match loss {
            Loss::Chance(seed) | Loss::Damage(seed) => Some(seed),
            Loss::Nothing | Loss::Everything => None,
        };
        let chance = Entropy::from_seed(by_chance.unwrap_or_default());
        for file in state.files.values_mut() {
            for (offset, bytes) in std::mem::take(&mut file.pending) {
                let first = offset / SECTOR_BYTES * SECTOR_BYTES;
                for sector in (first..offset + bytes.len()).step_by(SECTOR_BYTES) {
                    let from = sector.max(offset);
                    let to = (sector + SECTOR_BYTES).min(offset + bytes.len());
                    if by_chance.is_some() && chance.below(2) == 0 {
                        let mut kept = bytes[from - offset..to - offset].to_vec();
                        if matches!(loss, Loss::Damage(_)) && chance.below(4) == 0 {
                            let at = chance.below(kept.len() as u64) as usize;
                            kept[at] ^= 1 << chance.below(8);
                        }
                        write_into(&mut file.durable, from, &kept);
                    }
                }
            }
            if loss == Loss::Nothing {
                file.durable = file.cached.clone();
            }
            file.cached = file.durable.clone();
        }
        let kept = match loss {
            Loss::Nothing => state.pending_names.len(),
            Loss::Everything => 0,
            Loss::Chance(_) | Loss::Damage(_) => chance.below(state.pending_names.len() as u64 + 1) as usize,
        };
        if let Some(names) = kept.checked_sub(1).map(|last| state.pending_names[last].clone()) {
            state.durable_names = names;
        }
        state.names = state.durable_names.clone();
        state.pending_names.clear();
        state.faults.clear();
        (state.operations, state.stopped, state.full, state.broken) = (0, false, false, false);
        state.failing_syncs = 0;
        SimDisk { state: Arc::new(Mutex::new(state)) }
    }

    /// Names and contents of all files, for tests that damage them.
    pub fn files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let state = self.lock();
        state.names.iter().map(|(path, file)| (path.clone(), state.files[file].cached.clone())).collect()
    }

    /// Sets the durable content of a file.
    pub fn set_file(&self, path: &Path, content: Vec<u8>) {
        let mut state = self.lock();
        let file = match state.names.get(path) {
            Some(file) => *file,
            None => state.add(path),
        };
        state.durable_names.insert(path.to_owned(), file);
        state.files.insert(file, Content { cached: content.clone(), durable: content, pending: Vec::new() });
    }

    /// A disk with the same content that goes its own way.
    pub fn copy(&self) -> SimDisk {
        SimDisk { state: Arc::new(Mutex::new(self.lock().clone())) }
    }
}

/// What is to happen to an operation: it is done, `bytes` of it are done, then `error`.
struct Verdict {
    bytes: usize,
    done: bool,
    error: Option<io::Error>,
}

impl State {
    fn begin(&mut self) -> Verdict {
        let stopped = || Some(io::Error::other("the machine has stopped"));
        if self.stopped {
            return Verdict { bytes: 0, done: false, error: stopped() };
        }
        self.operations += 1;
        if self.broken {
            return Verdict { bytes: 0, done: false, error: Some(io::Error::other("simulated failure")) };
        }
        match self.faults.remove(&(self.operations - 1)) {
            None => Verdict { bytes: usize::MAX, done: true, error: None },
            Some(Fault::Error(kind)) => Verdict { bytes: 0, done: false, error: Some(kind.into()) },
            Some(Fault::ErrorAfter(bytes)) => {
                Verdict { bytes, done: true, error: Some(io::Error::other("simulated failure")) }
            }
            Some(fault) => {
                self.stopped = true;
                let bytes = if let Fault::CrashAfter(bytes) = fault { bytes } else { 0 };
                Verdict { bytes, done: matches!(fault, Fault::CrashAfter(_)), error: stopped() }
            }
        }
    }

    /// An operation that is done or not.
    fn whole<T>(&mut self, f: impl FnOnce(&mut State) -> io::Result<T>) -> io::Result<T> {
        let verdict = self.begin();
        let done = if verdict.done { f(self)? } else { return Err(verdict.error.expect("it was not done")) };
        verdict.error.map_or(Ok(done), Err)
    }

    fn add(&mut self, path: &Path) -> u64 {
        self.next_file += 1;
        self.files.insert(self.next_file, Content::default());
        self.names.insert(path.to_owned(), self.next_file);
        self.pending_names.push(self.names.clone());
        self.next_file
    }

    fn find(&self, path: &Path) -> io::Result<u64> {
        self.names.get(path).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl Io for SimDisk {
    fn list(&self, dir: &Path) -> io::Result<Vec<(String, u64)>> {
        let state = self.lock();
        let files = state.names.iter().filter(|(path, _)| path.parent() == Some(dir));
        Ok(files
            .filter_map(|(path, file)| {
                Some((path.file_name()?.to_str()?.to_owned(), state.files[file].cached.len() as u64))
            })
            .collect())
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn LogFile>> {
        let file = self.lock().whole(|state| {
            if state.full {
                return Err(io::ErrorKind::StorageFull.into());
            }
            Ok(state.add(path))
        })?;
        Ok(Box::new(SimFile { disk: self.clone(), file }))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn LogFile>> {
        let file = self.lock().find(path)?;
        Ok(Box::new(SimFile { disk: self.clone(), file }))
    }

    fn read(&self, path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
        let state = self.lock();
        let content = &state.files[&state.find(path)?].cached;
        Ok(content[..content.len().min(bytes_max as usize)].to_vec())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.lock().whole(|state| {
            let file = state.find(from)?;
            state.names.remove(from);
            state.names.insert(to.to_owned(), file);
            state.pending_names.push(state.names.clone());
            Ok(())
        })
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.lock().whole(|state| {
            state.find(path)?;
            state.names.remove(path);
            state.pending_names.push(state.names.clone());
            Ok(())
        })
    }

    fn sync_dir(&self, _dir: &Path) -> io::Result<()> {
        self.lock().whole(|state| {
            state.durable_names = state.names.clone();
            state.pending_names.clear();
            Ok(())
        })
    }
}

struct SimFile {
    disk: SimDisk,
    file: u64,
}

impl LogFile for SimFile {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.disk.lock();
        let verdict = state.begin();
        let full = state.full;
        let content = state.files.get_mut(&self.file).expect("an open file exists");
        let bytes = &bytes[..bytes.len().min(verdict.bytes)];
        if full && offset as usize + bytes.len() > content.cached.len() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        if !bytes.is_empty() {
            write_into(&mut content.cached, offset as usize, bytes);
            content.pending.push((offset as usize, bytes.to_vec()));
        }
        verdict.error.map_or(Ok(()), Err)
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut state = self.disk.lock();
        let mut verdict = state.begin();
        if verdict.done && state.failing_syncs > 0 {
            state.failing_syncs -= 1;
            verdict = Verdict { bytes: 0, done: false, error: Some(io::Error::other("simulated failure")) };
        }
        let stopped = state.stopped;
        let content = state.files.get_mut(&self.file).expect("an open file exists");
        if verdict.done {
            for (offset, bytes) in std::mem::take(&mut content.pending) {
                write_into(&mut content.durable, offset, &bytes);
            }
        } else if !stopped {
            // As Linux does: the pages are clean now, and the next sync says all is well.
            content.pending.clear();
        }
        verdict.error.map_or(Ok(()), Err)
    }
}
