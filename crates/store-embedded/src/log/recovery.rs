//! Reading the log back, and telling what a crash may leave from what only damage can.
//!
//! A group of batches is written behind the last one and synced before anything follows it. So a crash can harm only
//! the last group, and that one was never acknowledged. Each frame says which batch was durable when it was written;
//! a frame that is damaged although a later one says so was acknowledged: that is damage, and an error.

use std::path::{Path, PathBuf};

use store::Write;

use super::frame::{FRAME_ALIGNMENT, Frame, Kind, Salt, decode_writes, read_frame};
use super::segment::{LogName, SEGMENT_HEADER_BYTES, SegmentHeader, segment_path, spare_path};
use crate::io::Io;
use crate::{Applied, OpenError};

/// A segment that takes no more frames.
#[derive(Clone, Debug)]
pub(crate) struct Sealed {
    pub(crate) path: PathBuf,
    /// Once the index has this batch the segment can go.
    pub(crate) last_seq: u64,
    pub(crate) bytes: u64,
    /// Its file has failed us before: not to be used again.
    pub(crate) suspect: bool,
}

/// A preallocated file.
#[derive(Clone, Debug)]
pub(crate) struct Spare {
    pub(crate) path: PathBuf,
    pub(crate) id: u64,
    pub(crate) bytes: u64,
}

/// What the log's folder holds.
#[derive(Debug, Default)]
pub(crate) struct Recovered {
    /// `None`: there is no log yet.
    pub(crate) store_id: Option<u64>,
    pub(crate) next_seq: u64,
    /// In the order of their ids.
    pub(crate) segments: Vec<Sealed>,
    pub(crate) spares: Vec<Spare>,
    /// Files that a crash left half made.
    pub(crate) unfinished: Vec<PathBuf>,
    pub(crate) next_segment_id: u64,
    pub(crate) batches_replayed: u64,
    /// The log itself proves that all of it was synced, as it does after a clean shutdown.
    pub(crate) proven: bool,
    /// Damaged marks: they carry nothing, but tell of a disk that does.
    pub(crate) marks_damaged: u64,
}

/// Takes a store's id, a batch's number and its writes.
pub(crate) type Sink<'a> = dyn FnMut(u64, u64, Vec<Write>) -> Result<(), OpenError> + 'a;

/// Reads the log in `dir`, hands every batch behind `applied` to `sink`, in order, and makes them durable.
pub(crate) fn recover(
    io: &dyn Io,
    dir: &Path,
    applied: Option<Applied>,
    sink: &mut Sink<'_>,
) -> Result<Recovered, OpenError> {
    let found = read(io, dir, applied, sink)?;
    sync_what_was_replayed(io, &found, applied.map_or(0, |a| a.seq))?;
    Ok(found)
}

/// What an index would have to hold for the log to begin where it does; `None`: there is no log.
pub(crate) fn least_applied(io: &dyn Io, dir: &Path) -> Result<Option<Applied>, OpenError> {
    let names = io.list(dir).map_err(OpenError::io("list", dir))?;
    let segment = |(name, _): &(String, u64)| match LogName::parse(name) {
        LogName::Segment(id) => Some(id),
        _ => None,
    };
    let Some(id) = names.iter().filter_map(segment).min() else { return Ok(None) };
    let file = segment_path(dir, id);
    let header = SegmentHeader::decode(&file, &io.read(&file, 4096).map_err(OpenError::io("read", &file))?)?;
    Ok(Some(Applied { store_id: header.store_id, seq: header.base_seq.saturating_sub(1) }))
}

/// Reads the log in `dir` and hands every batch behind `applied` to `sink`, in order. Changes nothing.
pub(crate) fn read(
    io: &dyn Io,
    dir: &Path,
    applied: Option<Applied>,
    sink: &mut Sink<'_>,
) -> Result<Recovered, OpenError> {
    let applied_seq = applied.map_or(0, |a| a.seq);
    let mut found = Recovered { next_seq: applied_seq + 1, next_segment_id: 1, ..Recovered::default() };
    let mut ids = Vec::new();
    for (name, bytes) in io.list(dir).map_err(OpenError::io("list", dir))? {
        match LogName::parse(&name) {
            LogName::Segment(id) => ids.push((id, bytes)),
            LogName::Spare(id) => found.spares.push(Spare { path: spare_path(dir, id), id, bytes }),
            LogName::Unfinished => found.unfinished.push(dir.join(name)),
            LogName::Foreign => {}
        }
    }
    ids.sort_unstable();
    let headers = headers(io, dir, &ids, applied)?;
    if headers.is_empty() && applied_seq > 0 {
        let what = format!("the index holds batches up to {applied_seq}, but there is no log segment");
        return Err(OpenError::Corrupt { file: dir.to_owned(), offset: 0, what });
    }
    // Segments that the index has whole are about to be cut, or a crash came between: their content does not matter.
    let first = headers.iter().rposition(|(header, _)| header.base_seq <= applied_seq + 1).unwrap_or(0);
    for (header, bytes) in &headers[..first] {
        let path = segment_path(dir, header.segment_id);
        found.segments.push(Sealed { path, last_seq: applied_seq, bytes: *bytes, suspect: false });
    }
    for (i, (header, bytes)) in headers.iter().enumerate().skip(first) {
        let path = segment_path(dir, header.segment_id);
        let until = headers.get(i + 1).map(|(next, _)| next.base_seq);
        let content = io.read(&path, u64::MAX).map_err(OpenError::io("read", &path))?;
        let walk = walk(&path, &content, header, until, &mut |offset, frame| {
            if frame.seq <= applied_seq {
                return Ok(());
            }
            let Some(writes) = decode_writes(frame.payload) else {
                let what = format!("batch {} has a valid checksum but an unknown form", frame.seq);
                return Err(OpenError::Corrupt { file: path.clone(), offset, what });
            };
            found.batches_replayed += 1;
            sink(header.store_id, frame.seq, writes)
        })?;
        found.store_id = Some(header.store_id);
        found.next_seq = walk.next_seq;
        found.next_segment_id = header.segment_id + 1;
        found.proven = walk.proven_seq + 1 == walk.next_seq;
        found.marks_damaged += walk.marks_damaged;
        let last_seq = walk.next_seq - 1;
        found.segments.push(Sealed { path, last_seq, bytes: *bytes, suspect: false });
    }
    if found.next_seq <= applied_seq {
        let file = found.segments.last().map_or(dir.to_owned(), |s| s.path.clone());
        let last = found.next_seq - 1;
        let what = format!("the log ends with batch {last}, but the index holds {applied_seq}: its end is missing");
        return Err(OpenError::Corrupt { file, offset: 0, what });
    }
    Ok(found)
}

/// What the killed process wrote last may be in the page cache only; readers must not see it before it is durable.
fn sync_what_was_replayed(io: &dyn Io, found: &Recovered, applied_seq: u64) -> Result<(), OpenError> {
    for segment in found.segments.iter().filter(|s| s.last_seq > applied_seq) {
        io.open(&segment.path).and_then(|mut f| f.sync()).map_err(OpenError::io("sync", &segment.path))?;
    }
    Ok(())
}

/// Reads all headers and checks that they belong together, to the index, and leave no gap before the first.
fn headers(
    io: &dyn Io,
    dir: &Path,
    ids: &[(u64, u64)],
    applied: Option<Applied>,
) -> Result<Vec<(SegmentHeader, u64)>, OpenError> {
    let mut headers: Vec<(SegmentHeader, u64)> = Vec::with_capacity(ids.len());
    let mut store_id = applied.map(|a| a.store_id);
    for &(id, bytes) in ids {
        let file = segment_path(dir, id);
        let content = io.read(&file, 4096).map_err(OpenError::io("read", &file))?;
        let header = SegmentHeader::decode(&file, &content)?;
        let (previous_base, store) =
            (headers.last().map(|(h, _)| h.base_seq), *store_id.get_or_insert(header.store_id));
        let applied_seq = applied.map_or(0, |a| a.seq);
        let what = if header.segment_id != id {
            format!("its header says segment {:016x}: the file was renamed", header.segment_id)
        } else if header.store_id != store {
            format!("it belongs to store {:016x}, not to {store:016x}", header.store_id)
        } else if header.base_seq == 0 || previous_base.is_some_and(|base| header.base_seq < base) {
            format!("it begins with batch {}, before the segment in front of it", header.base_seq)
        } else if previous_base.is_none() && header.base_seq > applied_seq + 1 {
            let (from, to) = (applied_seq + 1, header.base_seq - 1);
            format!("it begins with batch {}, but the index lacks batches {from} to {to}: a segment is missing", to + 1)
        } else {
            headers.push((header, bytes));
            continue;
        };
        return Err(OpenError::Corrupt { file, offset: 0, what });
    }
    Ok(headers)
}

/// How far a segment's frames go.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Walk {
    pub(crate) next_seq: u64,
    /// Everything up to here was synced, by the segment's own word.
    pub(crate) proven_seq: u64,
    pub(crate) marks_damaged: u64,
}

/// Hands the batches of one segment to `sink`, each with its offset. `until` is the first batch of the next segment, `None` for the last.
pub(crate) fn walk(
    file: &Path,
    bytes: &[u8],
    header: &SegmentHeader,
    until: Option<u64>,
    sink: &mut dyn FnMut(u64, Frame<'_>) -> Result<(), OpenError>,
) -> Result<Walk, OpenError> {
    let salt = Salt::new(header.salt, header.segment_id);
    let mut at = SEGMENT_HEADER_BYTES;
    let mut walk = Walk { next_seq: header.base_seq, proven_seq: header.base_seq - 1, marks_damaged: 0 };
    // What lies behind the next segment's first batch was refused, or never finished: it does not count.
    while until != Some(walk.next_seq) {
        let corrupt = |what| OpenError::Corrupt { file: file.to_owned(), offset: at as u64, what };
        let next = walk.next_seq;
        // An earlier batch here is a leftover of the file's former use.
        match read_frame(bytes.get(at..).unwrap_or_default(), salt, next - 1) {
            Some(frame) if frame.kind == Kind::Batch && frame.seq == next && frame.synced_seq < next => {
                sink(at as u64, frame)?;
                walk.next_seq += 1;
                walk.proven_seq = walk.proven_seq.max(frame.synced_seq);
                at += frame.bytes;
            }
            Some(frame) if frame.kind == Kind::Mark && frame.seq + 1 == next => {
                walk.proven_seq = frame.seq;
                at += frame.bytes;
            }
            Some(frame) => return Err(corrupt(format!("batch {} stands where batch {next} belongs", frame.seq))),
            None => match (look_ahead(bytes, at, salt, next), until) {
                (Ahead::Resume(offset), _) => {
                    walk.marks_damaged += 1;
                    at = offset;
                }
                (Ahead::Acknowledged(later), _) => {
                    let what = format!("batch {next} was acknowledged (batch {later} came after it) and is damaged");
                    return Err(corrupt(what));
                }
                (Ahead::Nothing, Some(base)) => {
                    let what = format!("batch {next} is damaged or missing; the next segment begins with batch {base}");
                    return Err(corrupt(what));
                }
                (Ahead::Nothing, None) => break,
            },
        }
    }
    Ok(walk)
}

enum Ahead {
    /// No sign that the batch was ever acknowledged: the log ends here.
    Nothing,
    /// The very next batch stands here, first of its group: only a mark was lost.
    Resume(usize),
    /// This later frame was written after the batch had been synced.
    Acknowledged(u64),
}

/// Searches behind a place where no valid frame stands although batch `next` belongs there.
fn look_ahead(bytes: &[u8], at: usize, salt: Salt, next: u64) -> Ahead {
    let mut first = true;
    let mut offset = at + FRAME_ALIGNMENT;
    while offset < bytes.len() {
        match read_frame(&bytes[offset..], salt, next) {
            Some(frame) => {
                if first && frame.kind == Kind::Batch && frame.seq == next && frame.synced_seq + 1 == next {
                    return Ahead::Resume(offset);
                }
                if frame.synced_seq >= next {
                    return Ahead::Acknowledged(frame.seq);
                }
                first = false;
                offset += frame.bytes;
            }
            None => offset += FRAME_ALIGNMENT,
        }
    }
    Ahead::Nothing
}
