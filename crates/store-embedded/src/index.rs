//! The ordered index behind the log: fjall's tree, written a frozen layer at a time.
//!
//! Sorted layers go straight into new tables, which are synced and registered as one step. Nothing rests on a journal
//! of the index: there is none. A step that a crash cuts short never happened, and the log still has its batches.

use std::collections::BTreeMap;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use crc32c::{crc32c, crc32c_append};
use lsm_tree::compaction::Leveled;
use lsm_tree::config::CompressionPolicy;
use lsm_tree::{AbstractTree, AnyTree, Cache, CompressionType, Guard, SeqNo, SequenceNumberCounter, Slice};
use store::{Entry, Error, Range};

use crate::overlay::Layer;
use crate::{Applied, OpenError};

/// Keys of our own, and keys of users, by their first byte.
const OWN: u8 = 0;
const USER: u8 = 1;
const APPLIED_KEY: &[u8] = &[OWN, b'a'];
const APPLIED_VERSION: u8 = 1;
const CRC_BYTES: usize = 4;
/// Values up to this are copied out of their block; larger ones keep it in memory instead.
const VALUE_BYTES_COPIED: usize = 16 << 10;
/// Keys up to this are looked up without an allocation.
const KEY_BYTES_ON_STACK: usize = 256;
/// Runs in the first level at which applying waits for compaction.
pub(crate) const RUNS_MAX: usize = 16;

pub(crate) struct Index {
    tree: AnyTree,
    dir: PathBuf,
    visible: SequenceNumberCounter,
    /// Sequence numbers (the tree's, not the log's) that scans read at, and how many do.
    snapshots: Arc<Mutex<BTreeMap<SeqNo, usize>>>,
    /// Held while tables are merged.
    compacting: Mutex<()>,
}

/// A point in time of the index, which compaction leaves alone.
pub(crate) struct Snapshot {
    seqno: SeqNo,
    open: Arc<Mutex<BTreeMap<SeqNo, usize>>>,
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        let mut open = lock(&self.open);
        if let Some(count) = open.get_mut(&self.seqno) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.seqno);
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Why the index did not do something.
#[derive(Debug)]
pub(crate) enum IndexError {
    Io(io::Error),
    Corrupt(String),
}

impl From<lsm_tree::Error> for IndexError {
    fn from(error: lsm_tree::Error) -> IndexError {
        match error {
            lsm_tree::Error::Io(e) => IndexError::Io(e),
            other => IndexError::Corrupt(format!("{other:?}")),
        }
    }
}

impl From<IndexError> for Error {
    fn from(error: IndexError) -> Error {
        /// The device could not read: later it will not either.
        const EIO: i32 = 5;
        match error {
            IndexError::Corrupt(what) => Error::Corrupt(format!("index: {what}")),
            IndexError::Io(e)
                if matches!(e.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::NotFound)
                    || e.raw_os_error() == Some(EIO) =>
            {
                Error::Corrupt(format!("read index: {e}"))
            }
            IndexError::Io(e) => Error::Retryable(format!("read index: {e}")),
        }
    }
}

/// Runs `f`; a panic of the tree, which damaged files can cause, is corruption like any other it finds.
fn guard<T>(f: impl FnOnce() -> Result<T, IndexError>) -> Result<T, IndexError> {
    catch_unwind(AssertUnwindSafe(f)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
        Err(IndexError::Corrupt(format!("damaged tables: {}", text.unwrap_or("unknown"))))
    })
}

impl Index {
    /// Opens the index in `dir`, or makes it; also says what it holds.
    pub(crate) fn open(dir: &Path, cache_bytes: u64) -> Result<(Index, Option<Applied>), OpenError> {
        let failed = |e| match e {
            IndexError::Io(source) if source.kind() != io::ErrorKind::UnexpectedEof => {
                OpenError::Io { doing: "open index", file: dir.to_owned(), source }
            }
            IndexError::Io(e) => OpenError::Corrupt { file: dir.to_owned(), offset: 0, what: format!("index: {e}") },
            IndexError::Corrupt(what) => {
                OpenError::Corrupt { file: dir.to_owned(), offset: 0, what: format!("index: {what}") }
            }
        };
        let tables = dir.join("tables");
        if !dir.join("current").exists() && tables.exists() && tables.read_dir().is_ok_and(|mut d| d.next().is_some()) {
            return Err(failed(IndexError::Corrupt("there are tables, but the file `current` is missing".to_owned())));
        }
        check_manifest(dir).map_err(failed)?;
        let (seqno, visible) = (SequenceNumberCounter::default(), SequenceNumberCounter::default());
        let tree = guard(|| {
            let tree = lsm_tree::Config::new(dir, seqno.clone(), visible.clone())
                .use_cache(Arc::new(Cache::with_capacity_bytes(cache_bytes)))
                .data_block_compression_policy(CompressionPolicy::new([
                    CompressionType::None,
                    CompressionType::None,
                    CompressionType::Lz4,
                ]))
                .open()?;
            let next = tree.get_highest_seqno().map_or(0, |highest| highest + 1);
            seqno.fetch_max(next);
            visible.fetch_max(next);
            Ok(tree)
        })
        .map_err(failed)?;
        let index = Index { tree, dir: dir.to_owned(), visible, snapshots: Arc::default(), compacting: Mutex::new(()) };
        let applied = index.applied().map_err(failed)?;
        Ok((index, applied))
    }

    fn applied(&self) -> Result<Option<Applied>, IndexError> {
        let Some(record) = guard(|| Ok(self.tree.get(APPLIED_KEY, SeqNo::MAX)?))? else { return Ok(None) };
        let record = checked(APPLIED_KEY, &record)?;
        let field = |i: usize| u64::from_le_bytes(std::array::from_fn(|n| record[i + n]));
        match (record.first(), record.len()) {
            (Some(&APPLIED_VERSION), 17) => Ok(Some(Applied { store_id: field(1), seq: field(9) })),
            (Some(&version), _) if version > APPLIED_VERSION => {
                Err(IndexError::Corrupt(format!("it has format {version}: use a newer release")))
            }
            _ => Err(IndexError::Corrupt("its record of what is applied has an unknown form".to_owned())),
        }
    }

    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<Bytes>, IndexError> {
        with_user_key(key, |stored_key| {
            guard(|| {
                let Some(stored) = self.tree.get(stored_key, SeqNo::MAX)? else { return Ok(None) };
                value_of(stored_key, stored).map(Some)
            })
        })
    }

    /// Whether the index may have the key: damage is no reason to say no.
    pub(crate) fn may_have(&self, key: &[u8]) -> bool {
        with_user_key(key, |stored_key| self.may_have_stored(stored_key))
    }

    fn may_have_stored(&self, stored_key: &[u8]) -> bool {
        guard(|| Ok(self.tree.contains_key(stored_key, SeqNo::MAX)?)).unwrap_or(true)
    }

    /// A point in time to scan at.
    pub(crate) fn snapshot(&self) -> Snapshot {
        let mut open = lock(&self.snapshots);
        let seqno = self.visible.get();
        *open.entry(seqno).or_insert(0) += 1;
        Snapshot { seqno, open: self.snapshots.clone() }
    }

    /// Hands `f` the entries of a range at a point in time, in the scan's direction.
    pub(crate) fn scan<T>(
        &self,
        snapshot: &Snapshot,
        range: &Range,
        f: impl FnOnce(&mut dyn Iterator<Item = Result<Entry, IndexError>>) -> Result<T, IndexError>,
    ) -> Result<T, IndexError> {
        guard(|| {
            let mut entries = self.tree.range(user_key(&range.start)..user_key(&range.end), snapshot.seqno, None);
            f(&mut std::iter::from_fn(|| {
                let entry = if range.reverse { entries.next_back() } else { entries.next() }?;
                Some(entry.into_inner().map_err(IndexError::from).and_then(|(stored_key, stored)| {
                    let value = value_of(&stored_key, stored)?;
                    Ok((Bytes::copy_from_slice(&stored_key[1..]), value))
                }))
            }))
        })
    }

    /// Reads every entry, and looks each one up by its key too. Returns how many there are.
    pub(crate) fn read_all(&self) -> Result<u64, IndexError> {
        let everything = Range::between(Vec::new(), vec![0xff; store::KEY_BYTES_MAX + 1]);
        self.scan(&self.snapshot(), &everything, |entries| {
            let mut count = 0;
            for entry in entries {
                let (key, value) = entry?;
                if self.get(&key)? != Some(value) {
                    return Err(IndexError::Corrupt("a scan shows an entry that a lookup does not".to_owned()));
                }
                count += 1;
            }
            Ok(count)
        })
    }

    /// Writes a layer and what it brings the index up to, durably and as one step. Returns how many writes were made
    /// and how many deletes had nothing to delete.
    pub(crate) fn apply(&self, layer: &Layer, applied: Applied) -> Result<(u64, u64), IndexError> {
        let first_table = self.tree.get_next_table_id();
        let done = guard(|| {
            let (mut writes, mut skipped) = (0, 0);
            let mut ingestion = self.tree.ingestion()?;
            let mut stored = vec![APPLIED_VERSION];
            stored.extend_from_slice(&applied.store_id.to_le_bytes());
            stored.extend_from_slice(&applied.seq.to_le_bytes());
            with_crc(APPLIED_KEY, &mut stored);
            ingestion.write(APPLIED_KEY, stored.as_slice())?;
            let mut stored_key = vec![USER];
            for (key, value) in layer {
                stored_key.truncate(1);
                stored_key.extend_from_slice(key);
                match value {
                    Some(value) => {
                        stored.clear();
                        stored.extend_from_slice(value);
                        with_crc(&stored_key, &mut stored);
                        ingestion.write(stored_key.as_slice(), stored.as_slice())?;
                    }
                    // Put and deleted before it ever came here: most of what passes through queues and inboxes.
                    None if !self.may_have_stored(&stored_key) => {
                        skipped += 1;
                        continue;
                    }
                    None => ingestion.write_tombstone(stored_key.as_slice())?,
                }
                writes += 1;
            }
            ingestion.finish()?;
            Ok((writes, skipped))
        });
        if done.is_err() {
            self.remove_unfinished_tables(first_table);
        }
        done
    }

    /// A failed write leaves its files, which would be removed at the next start; on a full disk that is too late.
    fn remove_unfinished_tables(&self, first: u64) {
        let _alone = lock(&self.compacting);
        let removed = guard(|| {
            if !lock(&self.snapshots).is_empty() {
                return Ok(());
            }
            let end = self.tree.get_next_table_id();
            let version = self.tree.current_version();
            for id in (first..end).filter(|id| version.iter_tables().all(|table| table.id() != *id)) {
                let _ = std::fs::remove_file(self.dir.join("tables").join(id.to_string()));
            }
            Ok(())
        });
        if let Err(e) = removed {
            tracing::warn!(error = ?e, "unfinished tables not removed");
        }
    }

    /// Merges tables where that is due; `false`: nothing is due.
    pub(crate) fn compact(&self) -> Result<bool, IndexError> {
        let _alone = lock(&self.compacting);
        guard(|| {
            let before = self.tree.current_version().id();
            let oldest = {
                let open = lock(&self.snapshots);
                open.keys().next().copied().unwrap_or_else(|| self.visible.get())
            };
            self.tree.compact(Arc::new(Leveled::default()), oldest.saturating_sub(1))?;
            Ok(self.tree.current_version().id() != before)
        })
    }

    /// Runs in the first level: what every read has to look through.
    pub(crate) fn runs(&self) -> usize {
        guard(|| Ok(self.tree.l0_run_count())).unwrap_or(0)
    }

    /// Tables and their bytes.
    pub(crate) fn sizes(&self) -> (u64, u64) {
        guard(|| Ok((self.tree.table_count() as u64, self.tree.disk_space()))).unwrap_or((0, 0))
    }
}

/// The tree reads its list of tables without looking at the checksum that stands beside it, and a wrong list can make
/// it show wrong values or ask for all the memory there is.
fn check_manifest(dir: &Path) -> Result<(), IndexError> {
    let current = match std::fs::read(dir.join("current")) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        read => read.map_err(IndexError::Io)?,
    };
    // A version's number, its checksum, the kind of checksum.
    let Ok(current) = <[u8; 25]>::try_from(current) else {
        return Err(IndexError::Corrupt("the file `current` has a wrong length".to_owned()));
    };
    let version = u64::from_le_bytes(std::array::from_fn(|i| current[i]));
    let checksum = u128::from_le_bytes(std::array::from_fn(|i| current[8 + i]));
    let manifest = std::fs::read(dir.join(format!("v{version}"))).map_err(|e| match e.kind() {
        io::ErrorKind::NotFound => IndexError::Corrupt(format!("the file `v{version}` is missing")),
        _ => IndexError::Io(e),
    })?;
    if current[24] != 0 || xxhash_rust::xxh3::xxh3_128(&manifest) != checksum {
        return Err(IndexError::Corrupt(format!("the file `v{version}` does not match the checksum in `current`")));
    }
    Ok(())
}

fn user_key(key: &[u8]) -> Vec<u8> {
    let mut stored = Vec::with_capacity(key.len() + 1);
    stored.push(USER);
    stored.extend_from_slice(key);
    stored
}

fn with_user_key<T>(key: &[u8], f: impl FnOnce(&[u8]) -> T) -> T {
    if key.len() >= KEY_BYTES_ON_STACK {
        return f(&user_key(key));
    }
    let mut stored = [0; KEY_BYTES_ON_STACK];
    stored[0] = USER;
    stored[1..=key.len()].copy_from_slice(key);
    f(&stored[..=key.len()])
}

/// The checksum also covers the key, so that a value under another's key is found out.
fn with_crc(stored_key: &[u8], value: &mut Vec<u8>) {
    let crc = crc32c_append(crc32c(stored_key), value);
    value.extend_from_slice(&crc.to_le_bytes());
}

fn checked<'a>(stored_key: &[u8], stored: &'a [u8]) -> Result<&'a [u8], IndexError> {
    let whole = stored.split_last_chunk::<CRC_BYTES>();
    match whole {
        Some((value, crc)) if crc32c_append(crc32c(stored_key), value).to_le_bytes() == *crc => Ok(value),
        _ => Err(IndexError::Corrupt("a value's checksum does not match".to_owned())),
    }
}

fn value_of(stored_key: &[u8], stored: Slice) -> Result<Bytes, IndexError> {
    let bytes = checked(stored_key, &stored)?.len();
    Ok(if bytes <= VALUE_BYTES_COPIED {
        Bytes::copy_from_slice(&stored[..bytes])
    } else {
        Bytes::from_owner(stored).slice(..bytes)
    })
}
