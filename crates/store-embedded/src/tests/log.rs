//! What the log makes of damage, byte by byte.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use base::Entropy;
use proptest::prelude::*;
use store::{Batch, Write};

use super::{put, random_batch};
use crate::io::Io;
use crate::log::frame::{FRAME_HEADER_BYTES, Salt, decode_writes, encode_batch, frame_bytes, read_frame};
use crate::log::recovery::{Recovered, recover};
use crate::log::segment::{SEGMENT_HEADER_BYTES, SegmentHeader};
use crate::log::segments::Segments;
use crate::log::wal::{Wal, WalOptions};
use crate::metrics::Metrics;
use crate::{Applied, OpenError, SimDisk};

const DIR: &str = "/log";

/// A log written group by group.
struct Written {
    disk: SimDisk,
    groups: Vec<Vec<Batch>>,
    /// Whether a mark follows each group.
    marks: bool,
}

fn write_log(groups: Vec<Vec<Batch>>, segment_bytes: u64, marks: bool) -> Written {
    let disk = SimDisk::new();
    let (io, metrics): (Arc<dyn Io>, _) = (Arc::new(disk.clone()), Arc::new(Metrics::default()));
    let dir = PathBuf::from(DIR);
    let segments = Arc::new(Segments::new(io.clone(), &dir, metrics.clone(), Vec::new(), Vec::new()));
    let entropy = Arc::new(Entropy::from_seed(5));
    let options = WalOptions { dir, store_id: 7, segment_bytes, skip_sync: false, next_segment_id: 1, entropy };
    let mut wal = Wal::open(io, segments, metrics, options, 1).unwrap();
    let mut next = 1;
    for group in &groups {
        wal.append(next, group).unwrap();
        next += group.len() as u64;
        if marks {
            wal.mark(next - 1);
        }
    }
    Written { disk, groups, marks }
}

fn groups(count: usize, seed: u64) -> Vec<Vec<Batch>> {
    let chance = Entropy::from_seed(seed);
    (0..count).map(|_| (0..=chance.below(2)).map(|_| random_batch(&chance)).collect()).collect()
}

fn read_log(disk: &SimDisk, applied: Option<Applied>) -> Result<(Recovered, Vec<Vec<Write>>), OpenError> {
    let mut batches = Vec::new();
    let found = recover(disk, Path::new(DIR), applied, &mut |_, _, writes| {
        batches.push(writes);
        Ok(())
    })?;
    Ok((found, batches))
}

impl Written {
    fn writes(&self) -> Vec<Vec<Write>> {
        self.groups.iter().flatten().map(|b| b.writes.clone()).collect()
    }

    /// Where the last group's frames begin and end in the one segment.
    fn last_group(&self) -> (usize, usize) {
        let mark = if self.marks { FRAME_HEADER_BYTES } else { 0 };
        let bytes = |group: &Vec<Batch>| group.iter().map(frame_bytes).sum::<u64>() as usize;
        let before: usize = self.groups[..self.groups.len() - 1].iter().map(|g| bytes(g) + mark).sum();
        let start = SEGMENT_HEADER_BYTES + before;
        (start, start + bytes(self.groups.last().unwrap()))
    }

    /// The log's only segment, without the long rest that was never written.
    fn only_segment(&self) -> (PathBuf, Vec<u8>) {
        let (path, mut content) = self.disk.files().remove(0);
        content.truncate(self.last_group().1 + 2048);
        (path, content)
    }

    fn with_byte(&self, path: &Path, content: &[u8], at: usize, flip: u8) -> SimDisk {
        let mut content = content.to_vec();
        content[at] ^= flip;
        let disk = self.disk.copy();
        disk.set_file(path, content);
        disk
    }
}

#[test]
fn a_log_reads_back() {
    for marks in [false, true] {
        let written = write_log(groups(40, 1), 4096, marks);
        let (found, batches) = read_log(&written.disk, None).unwrap();
        assert_eq!(batches, written.writes());
        assert_eq!((found.next_seq as usize, found.store_id), (batches.len() + 1, Some(7)));
        assert!(found.segments.len() > 2 && found.proven == marks);
        let applied = Some(Applied { store_id: 7, seq: 20 });
        assert_eq!(read_log(&written.disk, applied).unwrap().1, written.writes()[20..]);
    }
}

#[test]
fn a_log_cut_at_any_byte_of_its_last_group_keeps_all_before() {
    let written = write_log(groups(6, 2), 1 << 20, false);
    let (path, content) = written.only_segment();
    let all = written.writes();
    let (start, end) = written.last_group();
    let acknowledged = all.len() - written.groups.last().unwrap().len();
    for at in start..=end {
        for rest in [0, content.len() - at] {
            let mut cut = content[..at].to_vec();
            cut.resize(at + rest, 0);
            let disk = written.disk.copy();
            disk.set_file(&path, cut);
            let (_, batches) = read_log(&disk, None).unwrap_or_else(|e| panic!("cut at {at}: {e}"));
            assert!(batches.len() >= acknowledged && batches[..] == all[..batches.len()], "cut at {at}");
        }
    }
}

#[test]
fn a_flipped_bit_in_acknowledged_batches_is_an_error_never_a_loss() {
    let written = write_log(groups(8, 3), 1 << 20, false);
    let (path, content) = written.only_segment();
    let all = written.writes();
    let (start, end) = written.last_group();
    let acknowledged = all.len() - written.groups.last().unwrap().len();
    for at in 0..end + 64 {
        match read_log(&written.with_byte(&path, &content, at, 1 << (at % 8)), None) {
            Err(OpenError::Corrupt { file, .. }) => assert!(file == path && at < end, "byte {at}"),
            Err(e) => panic!("byte {at}: {e}"),
            // The last group may not have been acknowledged: nothing in the log says that it was.
            Ok((_, batches)) => {
                assert!(
                    at >= start && batches.len() >= acknowledged && batches[..] == all[..batches.len()],
                    "byte {at}"
                )
            }
        }
    }
}

#[test]
fn with_a_mark_behind_it_even_the_last_group_is_safe_from_silence() {
    let written = write_log(groups(5, 4), 1 << 20, true);
    let (path, content) = written.only_segment();
    let (_, end) = written.last_group();
    for at in 0..end + FRAME_HEADER_BYTES + 8 {
        match read_log(&written.with_byte(&path, &content, at, 0x10), None) {
            Err(OpenError::Corrupt { file, offset, what }) => {
                assert!(file == path && offset as usize <= at && !what.is_empty());
                assert!(at < end, "byte {at}: a damaged mark loses nothing");
            }
            Err(e) => panic!("byte {at}: {e}"),
            Ok((_, batches)) => assert_eq!(batches, written.writes(), "byte {at}"),
        }
    }
}

#[test]
fn flips_in_any_segment_of_many_are_found() {
    let written = write_log(groups(40, 6), 4096, true);
    let files = written.disk.files();
    let last = files.len() - 1;
    for (n, (path, content)) in files.iter().enumerate() {
        for at in (0..content.len()).step_by(7) {
            match read_log(&written.with_byte(path, content, at, 0xff), None) {
                Ok((_, batches)) => assert_eq!(batches, written.writes(), "segment {n} of {last} byte {at}"),
                Err(OpenError::Corrupt { file, .. }) => assert!(file == *path, "segment {n} byte {at}"),
                Err(e) => panic!("segment {n} byte {at}: {e}"),
            }
        }
    }
}

#[test]
fn a_missing_segment_is_found() {
    let written = write_log(groups(40, 7), 4096, true);
    let files = written.disk.files();
    assert!(files.len() > 3);
    for (n, (path, _)) in files.iter().enumerate() {
        let disk = written.disk.copy();
        disk.remove(path).unwrap();
        let found = read_log(&disk, None);
        // Of a missing end only the index can tell.
        if n + 1 < files.len() {
            assert!(matches!(found, Err(OpenError::Corrupt { .. })), "segment {n}");
        }
        let applied = Some(Applied { store_id: 7, seq: written.writes().len() as u64 });
        if n + 1 == files.len() {
            assert!(matches!(read_log(&disk, applied), Err(OpenError::Corrupt { .. })), "segment {n}");
        }
    }
    let applied = Some(Applied { store_id: 7, seq: 3 });
    assert!(matches!(read_log(&SimDisk::new(), applied), Err(OpenError::Corrupt { .. })));
    let another = Some(Applied { store_id: 8, seq: 3 });
    assert!(matches!(read_log(&written.disk, another), Err(OpenError::Corrupt { .. })));
}

#[test]
fn segments_that_the_index_has_may_be_damaged_or_gone() {
    let written = write_log(groups(40, 8), 4096, true);
    let files = written.disk.files();
    let (found, _) = read_log(&written.disk, None).unwrap();
    let applied = Some(Applied { store_id: 7, seq: found.segments[1].last_seq });
    let disk = written.disk.copy();
    let mut damaged = files[0].1.clone();
    damaged[SEGMENT_HEADER_BYTES + 3] ^= 1;
    disk.set_file(&files[0].0, damaged);
    disk.remove(&files[1].0).unwrap();
    let (_, batches) = read_log(&disk, applied).unwrap();
    assert_eq!(batches[..], written.writes()[found.segments[1].last_seq as usize..]);
}

#[test]
fn a_newer_format_is_refused_by_name() {
    let written = write_log(groups(2, 9), 4096, true);
    let (path, mut content) = written.disk.files().remove(0);
    content[8] = 2;
    let crc = crc32c::crc32c(&content[..SEGMENT_HEADER_BYTES - 4]);
    content[SEGMENT_HEADER_BYTES - 4..SEGMENT_HEADER_BYTES].copy_from_slice(&crc.to_le_bytes());
    written.disk.set_file(&path, content);
    let error = read_log(&written.disk, None).unwrap_err();
    assert!(matches!(error, OpenError::NewerFormat { found: 2, supported: 1, .. }));
    assert!(error.to_string().contains("use a newer release"), "{error}");
}

#[test]
fn a_frame_of_another_segment_is_no_frame() {
    let mut bytes = Vec::new();
    encode_batch(&mut bytes, Salt::new(1, 1), 5, 4, &put(b"k", b"v"));
    assert!(read_frame(&bytes, Salt::new(1, 1), 0).is_some());
    assert!(read_frame(&bytes, Salt::new(1, 2), 0).is_none());
    assert_eq!(bytes.len() as u64, frame_bytes(&put(b"k", b"v")));
}

/// The layout is a promise: this is the frame and the header as `docs/formats.md` describes them.
#[test]
fn the_layout_is_as_documented() {
    let header = SegmentHeader { store_id: 0x1111, segment_id: 2, base_seq: 3, salt: 4 }.encode();
    assert_eq!(&header[..16], b"STEPLOG\n\x01\x00\x40\x00\x00\x00\x00\x00");
    assert_eq!((header[16], header[17], header[24], header[32], header[40]), (0x11, 0x11, 2, 3, 4));
    assert_eq!(header[60..], crc32c::crc32c(&header[..60]).to_le_bytes());
    let mut batch = put(b"key", b"value");
    batch.delete(&b"gone"[..]);
    let mut frame = Vec::new();
    encode_batch(&mut frame, Salt::new(4, 2), 9, 8, &batch);
    let payload = b"\x02\0\0\0\x01\x03\0\x05\0\0\0keyvalue\x02\x04\0gone";
    assert_eq!(frame[0..8], 9u64.to_le_bytes());
    assert_eq!(frame[8..16], 8u64.to_le_bytes());
    assert_eq!(frame[16..20], (payload.len() as u32).to_le_bytes());
    assert_eq!(frame[24..28], [0; 4]);
    assert_eq!(&frame[32..32 + payload.len()], payload);
    assert_eq!(frame.len(), 32 + payload.len().next_multiple_of(8));
    let salt = crc32c::crc32c_append(crc32c::crc32c(&4u64.to_le_bytes()), &2u64.to_le_bytes());
    let payload_crc = crc32c::crc32c_append(crc32c::crc32c_append(salt, &9u64.to_le_bytes()), &frame[32..]);
    assert_eq!(frame[20..24], payload_crc.to_le_bytes());
    assert_eq!(frame[28..32], crc32c::crc32c_append(salt, &frame[..28]).to_le_bytes());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = read_frame(&bytes, Salt::new(1, 1), 0);
        let _ = decode_writes(&bytes);
        let _ = SegmentHeader::decode(Path::new("x"), &bytes);
    }

    #[test]
    fn any_damage_is_an_error_or_a_shorter_log(
        seed in 0..50u64,
        spots in proptest::collection::vec((0..5000usize, any::<u8>()), 1..6),
    ) {
        let written = write_log(groups(12, seed), 4096, seed % 2 == 0);
        let all = written.writes();
        let files = written.disk.files();
        for (at, byte) in spots {
            let (path, content) = &files[at % files.len()];
            let mut content = content.clone();
            let at = at % content.len();
            content[at] = byte;
            written.disk.set_file(path, content);
        }
        match read_log(&written.disk, None) {
            Ok((_, batches)) => prop_assert!(batches.len() <= all.len() && batches[..] == all[..batches.len()]),
            Err(e) => prop_assert!(matches!(e, OpenError::Corrupt { .. } | OpenError::NewerFormat { .. }), "{}", e),
        }
    }
}
