//! Segments: their names and headers. `docs/formats.md` has the layout byte by byte.

use std::path::{Path, PathBuf};

use crc32c::crc32c;

use crate::OpenError;

pub(crate) const SEGMENT_HEADER_BYTES: usize = 64;
/// The version of the log's format that this build writes, and the newest that it reads.
pub(crate) const LOG_FORMAT_VERSION: u16 = 1;

const MAGIC: &[u8; 8] = b"STEPLOG\n";
/// No version's header is longer.
const HEADER_BYTES_MAX: usize = 4096;

/// The first bytes of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    /// Chosen by chance when the store was made; the index has it too.
    pub(crate) store_id: u64,
    pub(crate) segment_id: u64,
    /// The first batch that may stand in this segment; of earlier segments, frames from here on do not count.
    pub(crate) base_seq: u64,
    pub(crate) salt: u64,
}

impl SegmentHeader {
    pub(crate) fn encode(&self) -> [u8; SEGMENT_HEADER_BYTES] {
        let mut bytes = [0; SEGMENT_HEADER_BYTES];
        bytes[0..8].copy_from_slice(MAGIC);
        bytes[8..10].copy_from_slice(&LOG_FORMAT_VERSION.to_le_bytes());
        bytes[10..12].copy_from_slice(&(SEGMENT_HEADER_BYTES as u16).to_le_bytes());
        bytes[16..24].copy_from_slice(&self.store_id.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.segment_id.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.base_seq.to_le_bytes());
        bytes[40..48].copy_from_slice(&self.salt.to_le_bytes());
        let crc = crc32c(&bytes[..SEGMENT_HEADER_BYTES - 4]);
        bytes[SEGMENT_HEADER_BYTES - 4..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads the header of the segment in `file`, which a segment under its final name always has whole.
    pub(crate) fn decode(file: &Path, bytes: &[u8]) -> Result<SegmentHeader, OpenError> {
        let corrupt = |offset, what: &str| OpenError::Corrupt { file: file.to_owned(), offset, what: what.to_owned() };
        if bytes.len() < SEGMENT_HEADER_BYTES || bytes[..8] != *MAGIC {
            return Err(corrupt(0, "this is no log segment: its first bytes are wrong"));
        }
        let u16_at = |i: usize| u16::from_le_bytes([bytes[i], bytes[i + 1]]);
        let u64_at = |i: usize| u64::from_le_bytes(std::array::from_fn(|n| bytes[i + n]));
        let (found, header_bytes) = (u16_at(8), u16_at(10) as usize);
        let whole = (SEGMENT_HEADER_BYTES..=HEADER_BYTES_MAX.min(bytes.len())).contains(&header_bytes);
        if !whole || crc32c(&bytes[..header_bytes - 4]).to_le_bytes() != bytes[header_bytes - 4..header_bytes] {
            return Err(corrupt(8, "the segment's header is damaged: its checksum does not match"));
        }
        if found > LOG_FORMAT_VERSION {
            return Err(OpenError::NewerFormat { file: file.to_owned(), found, supported: LOG_FORMAT_VERSION });
        }
        if found == 0 || header_bytes != SEGMENT_HEADER_BYTES {
            return Err(corrupt(8, "the segment's header has an unknown form"));
        }
        Ok(SegmentHeader { store_id: u64_at(16), segment_id: u64_at(24), base_seq: u64_at(32), salt: u64_at(40) })
    }
}

/// What a file in the log's folder is, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogName {
    Segment(u64),
    /// Preallocated, or used up: its content means nothing.
    Spare(u64),
    /// Left over from making a file.
    Unfinished,
    Foreign,
}

impl LogName {
    pub(crate) fn parse(name: &str) -> LogName {
        let id = |digits: &str| u64::from_str_radix(digits, 16).ok().filter(|_| digits.len() == 16);
        if name.ends_with(".tmp") {
            return LogName::Unfinished;
        }
        let Some(stem) = name.strip_suffix(".log") else { return LogName::Foreign };
        match stem.strip_prefix("spare-") {
            Some(digits) => id(digits).map_or(LogName::Foreign, LogName::Spare),
            None => id(stem).map_or(LogName::Foreign, LogName::Segment),
        }
    }
}

pub(crate) fn segment_path(dir: &Path, id: u64) -> PathBuf {
    dir.join(format!("{id:016x}.log"))
}

pub(crate) fn spare_path(dir: &Path, id: u64) -> PathBuf {
    dir.join(format!("spare-{id:016x}.log"))
}
