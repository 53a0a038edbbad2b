use std::path::{Path, PathBuf};

use crate::error::OpenError;
use crate::index::{Index, IndexError};
use crate::io::DiskIo;
use crate::log::recovery::{least_applied, read};
use crate::store::{INDEX_DIR, LOG_DIR, lock_dir};

/// Memory for reading an index once.
const CACHE_BYTES: u64 = 16 << 20;

/// What a folder's store holds, and what is wrong with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    pub log_segments: u64,
    pub log_bytes: u64,
    /// Batches in the log that the index does not have yet.
    pub batches_to_replay: u64,
    /// The last batch in the log.
    pub last_seq: u64,
    /// Notes of what is durable that cannot be read. They carry no data, but the disk is not well.
    pub marks_damaged: u64,
    /// The last batch in the index.
    pub applied_seq: u64,
    pub index_entries: u64,
    pub index_bytes: u64,
    /// Empty: everything can be read back.
    pub problems: Vec<Problem>,
}

/// Something that cannot be read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub file: PathBuf,
    pub offset: u64,
    pub what: String,
}

/// Reads all of a store that is not open: every frame of the log, every entry of the index.
///
/// Changes no data. Fails only where the store cannot be looked at, as when another process has it open.
pub fn verify(dir: impl AsRef<Path>) -> Result<Report, OpenError> {
    let dir = dir.as_ref();
    let (log_dir, index_dir) = (dir.join(LOG_DIR), dir.join(INDEX_DIR));
    log_dir.read_dir().map_err(OpenError::io("read", &log_dir))?;
    let _lock = lock_dir(dir)?;
    let mut report = Report::default();
    let index = if index_dir.exists() {
        match Index::open(&index_dir, CACHE_BYTES) {
            Ok((index, applied)) => {
                report.read_index(&index, &index_dir);
                // A store that never cut its log may have an index that was never written.
                Some(applied)
            }
            Err(e) => {
                report.add(&index_dir, e);
                None
            }
        }
    } else {
        Some(None)
    };
    // A log is read even where the index cannot say from where on it counts.
    let applied = match index {
        Some(applied) => Ok(applied),
        None => least_applied(&DiskIo, &log_dir),
    };
    report.applied_seq = index.flatten().map_or(0, |a| a.seq);
    match applied.and_then(|applied| read(&DiskIo, &log_dir, applied, &mut |_, _, _| Ok(()))) {
        Ok(found) => {
            report.log_segments = found.segments.len() as u64;
            report.log_bytes = found.segments.iter().map(|s| s.bytes).sum();
            report.batches_to_replay = found.batches_replayed;
            report.last_seq = found.next_seq - 1;
            report.marks_damaged = found.marks_damaged;
        }
        Err(e) => report.add(&log_dir, e),
    }
    Ok(report)
}

impl Report {
    /// Whether everything can be read back.
    pub fn is_sound(&self) -> bool {
        self.problems.is_empty()
    }

    fn read_index(&mut self, index: &Index, dir: &Path) {
        self.index_bytes = index.sizes().1;
        match index.read_all() {
            Ok(entries) => self.index_entries = entries,
            Err(e) => {
                let what = match e {
                    IndexError::Io(e) => format!("index: {e}"),
                    IndexError::Corrupt(what) => format!("index: {what}"),
                };
                self.problems.push(Problem { file: dir.to_owned(), offset: 0, what });
            }
        }
    }

    fn add(&mut self, dir: &Path, error: OpenError) {
        self.problems.push(match error {
            OpenError::Corrupt { file, offset, what } => Problem { file, offset, what },
            other => Problem { file: dir.to_owned(), offset: 0, what: other.to_string() },
        });
    }
}
