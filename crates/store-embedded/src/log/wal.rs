use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base::Entropy;
use store::Batch;

use super::frame::{FRAME_HEADER_BYTES, Salt, encode_batch, encode_mark, frame_bytes};
use super::recovery::Sealed;
use super::segment::{SEGMENT_HEADER_BYTES, SegmentHeader, segment_path};
use super::segments::Segments;
use crate::io::{Io, LogFile};
use crate::metrics::Metrics;

/// A new store begins with this, so that opening it does not wait for the disk.
const FIRST_SEGMENT_BYTES: u64 = 1 << 20;
/// Each segment is so many times as large as the one before, up to the configured size.
const SEGMENT_GROWTH: u64 = 4;
/// The least segment, used when the disk is nearly full.
const SEGMENT_BYTES_MIN: u64 = 64 << 10;
/// An encoding buffer that grew beyond this is given back.
const BUFFER_BYTES_KEPT: usize = 16 << 20;

/// Why a group was not written.
#[derive(Debug)]
pub(crate) enum AppendError {
    /// Nothing of the group can ever be replayed.
    Refused(io::Error),
    /// It may be replayed after a crash, until [`Wal::bury`] succeeds.
    Unknown(io::Error),
}

/// The writing end of the log.
///
/// After a failed write or sync the segment is never written again. What the failed sync left in the page cache is
/// unknown: Linux marks such pages clean, so that a second sync would report success for data that never reached the
/// disk. The group goes to a new segment instead, whose header's `base_seq` says, once durable, that the frames from
/// there on in the old segment do not count.
pub(crate) struct Wal {
    io: Arc<dyn Io>,
    dir: PathBuf,
    segments: Arc<Segments>,
    metrics: Arc<Metrics>,
    entropy: Arc<Entropy>,
    store_id: u64,
    segment_bytes_max: u64,
    skip_sync: bool,
    next_id: u64,
    active: Option<Active>,
    /// Nothing may be written to the active segment any more.
    suspect: bool,
    buffer: Vec<u8>,
}

struct Active {
    file: Box<dyn LogFile>,
    path: PathBuf,
    salt: Salt,
    at: u64,
    bytes: u64,
}

/// A file that is about to become the active segment.
struct Made {
    file: Box<dyn LogFile>,
    path: PathBuf,
    bytes: u64,
    salt: u64,
}

pub(crate) struct WalOptions {
    pub(crate) dir: PathBuf,
    pub(crate) store_id: u64,
    pub(crate) segment_bytes: u64,
    pub(crate) skip_sync: bool,
    pub(crate) next_segment_id: u64,
    pub(crate) entropy: Arc<Entropy>,
}

impl Wal {
    /// Begins a new segment: one that a crash may have torn is never continued.
    pub(crate) fn open(
        io: Arc<dyn Io>,
        segments: Arc<Segments>,
        metrics: Arc<Metrics>,
        options: WalOptions,
        next_seq: u64,
    ) -> io::Result<Wal> {
        let mut wal = Wal {
            io,
            dir: options.dir,
            segments,
            metrics,
            entropy: options.entropy,
            store_id: options.store_id,
            segment_bytes_max: options.segment_bytes.max(SEGMENT_HEADER_BYTES as u64),
            skip_sync: options.skip_sync,
            next_id: options.next_segment_id,
            active: None,
            suspect: false,
            buffer: Vec::new(),
        };
        wal.roll(next_seq, 0)?;
        Ok(wal)
    }

    /// Writes a group of batches and syncs it. `first_seq` is the first one's number.
    pub(crate) fn append(&mut self, first_seq: u64, batches: &[Batch]) -> Result<(), AppendError> {
        let need = batches.iter().map(frame_bytes).sum();
        let room = self.active.as_ref().map_or(0, |a| a.bytes - a.at);
        if self.suspect || room < need {
            self.roll(first_seq, need).map_err(AppendError::Refused)?;
        }
        let Err(first) = self.write_group(first_seq, batches) else { return Ok(()) };
        tracing::error!(error = %first, "log segment failed; going on in a new one");
        if self.roll(first_seq, need).is_err() {
            return Err(AppendError::Unknown(first));
        }
        self.metrics.log_failovers.add(1);
        let Err(second) = self.write_group(first_seq, batches) else { return Ok(()) };
        match self.roll(first_seq, 0) {
            Ok(()) => Err(AppendError::Refused(second)),
            Err(_) => Err(AppendError::Unknown(second)),
        }
    }

    /// Makes sure that what was written from `next_seq` on is never replayed.
    pub(crate) fn bury(&mut self, next_seq: u64) -> io::Result<()> {
        self.roll(next_seq, 0)
    }

    /// Notes, without a sync, that everything up to `synced_seq` is durable: so that damage to the last group is told
    /// from a torn write once the note has reached the disk.
    pub(crate) fn mark(&mut self, synced_seq: u64) {
        let Some(active) = self.active.as_mut().filter(|_| !self.suspect) else { return };
        if active.at + FRAME_HEADER_BYTES as u64 <= active.bytes
            && active.file.write_at(active.at, &encode_mark(active.salt, synced_seq)).is_ok()
        {
            active.at += FRAME_HEADER_BYTES as u64;
        }
    }

    /// Ends the log with a small new segment, so that the next start has little to read once the index has the rest.
    pub(crate) fn close(&mut self, next_seq: u64) -> io::Result<()> {
        self.mark(next_seq - 1);
        if let Some(active) = self.active.as_mut().filter(|_| !self.suspect && !self.skip_sync) {
            active.file.sync()?;
        }
        let made = self.create(next_seq, 0, SEGMENT_BYTES_MIN)?;
        self.begin(made, next_seq)
    }

    fn write_group(&mut self, first_seq: u64, batches: &[Batch]) -> io::Result<()> {
        let active = self.active.as_mut().expect("a log has a segment");
        self.buffer.clear();
        for (seq, batch) in (first_seq..).zip(batches) {
            encode_batch(&mut self.buffer, active.salt, seq, first_seq - 1, batch);
        }
        // Until both have succeeded nothing may rest on this segment's end.
        self.suspect = true;
        active.file.write_at(active.at, &self.buffer)?;
        if !self.skip_sync {
            active.file.sync()?;
        }
        self.suspect = false;
        active.at += self.buffer.len() as u64;
        self.metrics.log_bytes.add(self.buffer.len() as u64);
        self.metrics.log_syncs.add(1);
        if active.at > active.bytes / 2 {
            self.segments.want_spare((active.bytes * SEGMENT_GROWTH).min(self.segment_bytes_max));
        }
        if self.buffer.capacity() > BUFFER_BYTES_KEPT {
            self.buffer = Vec::new();
        }
        Ok(())
    }

    /// Seals the active segment and begins a new one with batch `base_seq`, with room for `need` bytes.
    fn roll(&mut self, base_seq: u64, need: u64) -> io::Result<()> {
        let need = need + SEGMENT_HEADER_BYTES as u64;
        let made = match self.segments.take_spare(need) {
            Some(spare) => {
                let header = self.header(base_seq);
                let file = self.write_header(self.io.open(&spare.path), &spare.path, &header)?;
                Made { file, path: spare.path, bytes: spare.bytes, salt: header.salt }
            }
            None => {
                let last = self.active.as_ref().map_or(0, |a| a.bytes * SEGMENT_GROWTH);
                self.create(base_seq, need, last.max(FIRST_SEGMENT_BYTES))?
            }
        };
        self.begin(made, base_seq)
    }

    /// Gives a file with a header its final name and goes on in it.
    fn begin(&mut self, made: Made, base_seq: u64) -> io::Result<()> {
        let id = self.next_id;
        let path = segment_path(&self.dir, id);
        // From here on the new name may be durable or not; frames must not go to the old segment behind its back.
        let failed = std::mem::replace(&mut self.suspect, true);
        self.next_id += 1;
        self.io.rename(&made.path, &path)?;
        let seal = |path, bytes, suspect| Sealed { path, last_seq: base_seq - 1, bytes, suspect };
        if let Err(e) = self.io.sync_dir(&self.dir) {
            self.segments.seal(seal(path, made.bytes, true));
            return Err(e);
        }
        self.suspect = false;
        let (salt, at) = (Salt::new(made.salt, id), SEGMENT_HEADER_BYTES as u64);
        let active = Active { file: made.file, path, salt, at, bytes: made.bytes };
        if let Some(old) = self.active.replace(active) {
            self.segments.seal(seal(old.path, old.bytes, failed));
        }
        self.metrics.segments_created.add(1);
        Ok(())
    }

    fn header(&self, base_seq: u64) -> SegmentHeader {
        let salt = self.entropy.next_u64();
        SegmentHeader { store_id: self.store_id, segment_id: self.next_id, base_seq, salt }
    }

    fn write_header(
        &self,
        file: io::Result<Box<dyn LogFile>>,
        path: &Path,
        header: &SegmentHeader,
    ) -> io::Result<Box<dyn LogFile>> {
        let written = file.and_then(|mut file| {
            file.write_at(0, &header.encode())?;
            file.sync()?;
            Ok(file)
        });
        if written.is_err() {
            let _ = self.io.remove(path);
        }
        written
    }

    /// A new file with the header, whole and synced, under a temporary name; smaller than `usual` if the disk is full.
    fn create(&self, base_seq: u64, need: u64, usual: u64) -> io::Result<Made> {
        let header = self.header(base_seq);
        let path = segment_path(&self.dir, header.segment_id).with_extension("tmp");
        let least = need.max(SEGMENT_BYTES_MIN.min(self.segment_bytes_max));
        let usual = usual.min(self.segment_bytes_max).max(need);
        let mut made = self.create_sized(&path, usual, &header);
        if made.as_ref().is_err_and(|e| e.kind() == io::ErrorKind::StorageFull) && least < usual {
            made = self.create_sized(&path, least, &header);
        }
        if made.is_err() {
            let _ = self.io.remove(&path);
        }
        made
    }

    fn create_sized(&self, path: &Path, bytes: u64, header: &SegmentHeader) -> io::Result<Made> {
        let mut file = self.io.create(path)?;
        let mut content = header.encode().to_vec();
        let mut at = 0;
        while at < bytes {
            content.resize((bytes - at).min(FIRST_SEGMENT_BYTES) as usize, 0);
            file.write_at(at, &content)?;
            at += content.len() as u64;
            content.clear();
        }
        file.sync()?;
        Ok(Made { file, path: path.to_owned(), bytes, salt: header.salt })
    }
}
