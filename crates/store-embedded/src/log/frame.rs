//! Frames: one batch each, or a mark. `docs/formats.md` has the layout byte by byte.

use bytes::Bytes;
use crc32c::{crc32c, crc32c_append};
use store::{Batch, Write};

pub(crate) const FRAME_HEADER_BYTES: usize = 32;
/// Frames begin at multiples of this, which bounds the search for what follows a damaged one.
pub(crate) const FRAME_ALIGNMENT: usize = 8;
/// The largest payload of a frame, and so the largest batch.
pub(crate) const PAYLOAD_BYTES_MAX: u64 = 64 * 1024 * 1024;

const OP_PUT: u8 = 1;
const OP_DELETE: u8 = 2;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Batch = 0,
    /// Says only that everything up to `synced_seq` was durable when it was written.
    Mark = 1,
}

/// A frame whose checksums hold.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame<'a> {
    pub(crate) kind: Kind,
    pub(crate) seq: u64,
    /// The last batch that was known to be durable when this frame was written: the one before its group's first.
    pub(crate) synced_seq: u64,
    pub(crate) payload: &'a [u8],
    /// Header, payload and padding.
    pub(crate) bytes: usize,
}

/// What a segment mixes into every checksum, so that bytes of other segments and of users never pass for its frames.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Salt(u32);

impl Salt {
    pub(crate) fn new(salt: u64, segment_id: u64) -> Salt {
        Salt(crc32c_append(crc32c(&salt.to_le_bytes()), &segment_id.to_le_bytes()))
    }
}

fn padded(bytes: usize) -> usize {
    bytes.next_multiple_of(FRAME_ALIGNMENT)
}

fn payload_bytes(batch: &Batch) -> u64 {
    let writes = batch.writes.iter().map(|write| match write {
        Write::Put(key, value) => 7 + key.len() + value.len(),
        Write::Delete(key) => 3 + key.len(),
    });
    4 + writes.sum::<usize>() as u64
}

/// How much of a segment a batch takes.
pub(crate) fn frame_bytes(batch: &Batch) -> u64 {
    FRAME_HEADER_BYTES as u64 + payload_bytes(batch).next_multiple_of(FRAME_ALIGNMENT as u64)
}

/// Appends the frame of a batch whose keys, values and size are within the limits.
pub(crate) fn encode_batch(buffer: &mut Vec<u8>, salt: Salt, seq: u64, synced_seq: u64, batch: &Batch) {
    let start = buffer.len();
    buffer.extend_from_slice(&[0; FRAME_HEADER_BYTES]);
    buffer.extend_from_slice(&(batch.writes.len() as u32).to_le_bytes());
    for write in &batch.writes {
        let (op, key, value) = match write {
            Write::Put(key, value) => (OP_PUT, key, Some(value)),
            Write::Delete(key) => (OP_DELETE, key, None),
        };
        buffer.push(op);
        buffer.extend_from_slice(&(key.len() as u16).to_le_bytes());
        if let Some(value) = value {
            buffer.extend_from_slice(&(value.len() as u32).to_le_bytes());
        }
        buffer.extend_from_slice(key);
        buffer.extend_from_slice(value.map_or(&[][..], |v| v));
    }
    let payload_bytes = buffer.len() - start - FRAME_HEADER_BYTES;
    buffer.resize(start + FRAME_HEADER_BYTES + padded(payload_bytes), 0);
    finish(&mut buffer[start..], salt, Kind::Batch, seq, synced_seq, payload_bytes as u32);
}

pub(crate) fn encode_mark(salt: Salt, synced_seq: u64) -> [u8; FRAME_HEADER_BYTES] {
    let mut frame = [0; FRAME_HEADER_BYTES];
    finish(&mut frame, salt, Kind::Mark, synced_seq, synced_seq, 0);
    frame
}

fn finish(frame: &mut [u8], salt: Salt, kind: Kind, seq: u64, synced_seq: u64, payload_bytes: u32) {
    let payload_crc = payload_crc(salt, seq, &frame[FRAME_HEADER_BYTES..]);
    frame[0..8].copy_from_slice(&seq.to_le_bytes());
    frame[8..16].copy_from_slice(&synced_seq.to_le_bytes());
    frame[16..20].copy_from_slice(&payload_bytes.to_le_bytes());
    frame[20..24].copy_from_slice(&payload_crc.to_le_bytes());
    frame[24..28].copy_from_slice(&(kind as u32).to_le_bytes());
    let header_crc = crc32c_append(salt.0, &frame[..28]);
    frame[28..32].copy_from_slice(&header_crc.to_le_bytes());
}

fn payload_crc(salt: Salt, seq: u64, padded_payload: &[u8]) -> u32 {
    crc32c_append(crc32c_append(salt.0, &seq.to_le_bytes()), padded_payload)
}

/// The frame at the start of `bytes`, if there is one, of batch `least_seq` or a later one.
pub(crate) fn read_frame(bytes: &[u8], salt: Salt, least_seq: u64) -> Option<Frame<'_>> {
    let header: &[u8; FRAME_HEADER_BYTES] = bytes.first_chunk()?;
    let u32_at = |i: usize| u32::from_le_bytes([header[i], header[i + 1], header[i + 2], header[i + 3]]);
    let u64_at = |i: usize| u64::from(u32_at(i)) | u64::from(u32_at(i + 4)) << 32;
    // Cheap refusals first: the search looks at every eighth byte of a segment.
    let (seq, synced_seq, payload_bytes) = (u64_at(0), u64_at(8), u32_at(16) as usize);
    let kind = match u32_at(24) {
        0 => Kind::Batch,
        1 => Kind::Mark,
        _ => return None,
    };
    let end = FRAME_HEADER_BYTES + padded(payload_bytes);
    if seq < least_seq || synced_seq > seq || bytes.len() < end || crc32c_append(salt.0, &header[..28]) != u32_at(28) {
        return None;
    }
    let payload = &bytes[FRAME_HEADER_BYTES..end];
    if payload_crc(salt, seq, payload) != u32_at(20) {
        return None;
    }
    Some(Frame { kind, seq, synced_seq, payload: &payload[..payload_bytes], bytes: end })
}

/// The writes in a batch frame's payload; `None` where it is not what this version writes.
pub(crate) fn decode_writes(payload: &[u8]) -> Option<Vec<Write>> {
    fn take<'a>(rest: &mut &'a [u8], bytes: usize) -> Option<&'a [u8]> {
        let (head, tail) = rest.split_at_checked(bytes)?;
        *rest = tail;
        Some(head)
    }
    let mut rest = payload;
    let count = u32::from_le_bytes(take(&mut rest, 4)?.try_into().ok()?) as usize;
    // A write takes at least three bytes, so a wrong count cannot ask for more memory than the payload has.
    let mut writes = Vec::with_capacity(count.min(rest.len() / 3));
    for _ in 0..count {
        let op = take(&mut rest, 1)?[0];
        let key_bytes = u16::from_le_bytes(take(&mut rest, 2)?.try_into().ok()?) as usize;
        writes.push(match op {
            OP_PUT => {
                let value_bytes = u32::from_le_bytes(take(&mut rest, 4)?.try_into().ok()?) as usize;
                let key = Bytes::copy_from_slice(take(&mut rest, key_bytes)?);
                Write::Put(key, Bytes::copy_from_slice(take(&mut rest, value_bytes)?))
            }
            OP_DELETE => Write::Delete(Bytes::copy_from_slice(take(&mut rest, key_bytes)?)),
            _ => return None,
        });
    }
    rest.is_empty().then_some(writes)
}
