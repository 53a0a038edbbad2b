//! Commands on multipart uploads.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use cell::Turn;
use service::Fault;
use store::Range;

use super::object::{check_condition, name};
use super::{Answer, CompletedPart, Completion, NewPart, NewUpload, Owner, PAGE, answer};
use crate::PARTS_MAX;
use crate::bucket_record::{Bucket, Part, Upload};
use crate::checksum::{Checksum, ChecksumKind, md5};
use crate::codec::{Reader, Writer};
use crate::fault::{self, Error, bad_digest, invalid_request, no_such_upload};
use crate::keys;
use crate::record::{Body, Content, ETag, Segment, encode_manifest};
use crate::view;

/// Every part but the last has at least so many bytes.
pub const PART_BYTES_MIN: u64 = 5 * 1024 * 1024;
/// An object of parts has at most so many bytes.
pub const OBJECT_BYTES_MAX: u64 = 5 * 1024 * 1024 * 1024 * 1024;

const COMPLETED_VERSION: u8 = 1;

/// A completed upload: what it was, what was answered, and when.
pub(super) struct Completed {
    pub(super) at: base::Timestamp,
    key: String,
    parts_md5: [u8; 16],
    answer: Bytes,
}

impl Completed {
    fn encode(&self) -> Bytes {
        let mut writer = Writer::new(COMPLETED_VERSION);
        writer.i64(self.at.as_millis()).str(&self.key).fixed(&self.parts_md5).bytes(&self.answer);
        writer.finish()
    }

    pub(super) fn decode(record: &[u8]) -> Result<Completed, store::Error> {
        let mut reader = Reader::open("completed upload", record, COMPLETED_VERSION)?;
        Ok(Completed {
            at: base::Timestamp::from_millis(reader.i64()?),
            key: reader.str()?,
            parts_md5: reader.fixed()?,
            answer: Bytes::copy_from_slice(reader.bytes()?),
        })
    }
}

pub(super) fn create(turn: &mut Turn<'_>, bucket: &str, new: &NewUpload) -> Result<Answer, Error> {
    let upload = Upload { initiated: turn.now(), ..new.upload.clone() };
    turn.put(keys::upload(bucket, &new.key, &new.upload_id), upload.encode());
    Ok(Answer::Done)
}

impl Owner {
    pub(super) fn put_part(&self, turn: &mut Turn<'_>, bucket: &str, new: NewPart) -> Result<Answer, Error> {
        if view::upload(turn, bucket, &new.key, &new.upload_id)?.is_none() {
            return Err(no_such_upload(&new.upload_id).into());
        }
        let place = keys::part(bucket, &new.upload_id, new.number);
        if let Some(old) = turn.get(&place)? {
            let content = Part::decode(&old)?.content;
            self.release(turn, content)?;
        }
        let part = Part {
            size: new.size,
            md5: new.md5,
            modified: turn.now(),
            content: new.naming.content,
            checksum: Some(new.checksum),
        };
        turn.put(place, part.encode());
        name(turn, new.naming);
        Ok(Answer::Written(super::Written {
            etag: ETag { md5: part.md5, parts: 0 },
            size: part.size,
            modified: part.modified,
            checksum: part.checksum,
            version: None,
            source: None,
        }))
    }

    pub(super) fn abort(&self, turn: &mut Turn<'_>, bucket: &str, key: &str, upload_id: &str) -> Result<Answer, Error> {
        if view::upload(turn, bucket, key, upload_id)?.is_none() {
            return Err(no_such_upload(upload_id).into());
        }
        self.drop_upload(turn, bucket, key, upload_id)?;
        Ok(Answer::Done)
    }

    pub(super) fn drop_upload(
        &self,
        turn: &mut Turn<'_>,
        bucket: &str,
        key: &str,
        upload_id: &str,
    ) -> Result<(), store::Error> {
        let range = Range::prefix(&keys::parts(bucket, upload_id)).limit(PAGE);
        loop {
            let entries = turn.scan(&range)?;
            for (place, record) in &entries {
                let content = Part::decode(record)?.content;
                self.release(turn, content)?;
                turn.delete(place.clone());
            }
            if entries.len() < PAGE {
                break;
            }
        }
        turn.delete(keys::upload(bucket, key, upload_id));
        Ok(())
    }

    pub(super) fn complete(
        &self,
        turn: &mut Turn<'_>,
        bucket: &str,
        record: &Bucket,
        wanted: &Completion,
    ) -> Result<Answer, Error> {
        let Some(upload) = view::upload(turn, bucket, &wanted.key, &wanted.upload_id)? else {
            return self.completed_before(turn, bucket, wanted);
        };
        let parts = chosen_parts(turn, bucket, &upload, wanted)?;
        let size = parts.iter().map(|(_, part)| part.size).sum();
        check_sizes(wanted, &parts, size)?;
        let checksum = checksum_of(&upload, wanted, &parts)?;
        let current = view::latest(turn, bucket, &wanted.key)?;
        check_condition(&wanted.condition, &wanted.key, current.as_ref())?;

        let chosen: BTreeSet<u32> = parts.iter().map(|(number, _)| *number).collect();
        for (number, part) in all_parts(turn, bucket, &wanted.upload_id)? {
            turn.delete(keys::part(bucket, &wanted.upload_id, number));
            if !chosen.contains(&number) {
                self.release(turn, part.content)?;
            }
        }
        turn.delete(keys::upload(bucket, &wanted.key, &wanted.upload_id));
        let body = Body {
            size,
            etag: etag_of(&parts),
            content: Content::Parts(wanted.manifest),
            checksum,
            attributes: upload.attributes,
            tags: upload.tags,
        };
        let segments: Vec<Segment> = parts
            .into_iter()
            .map(|(number, part)| Segment { number, size: part.size, content: part.content, checksum: part.checksum })
            .collect();
        turn.put(keys::manifest(wanted.manifest), encode_manifest(&segments));
        let written = self.write(turn, bucket, record, &wanted.key, current, body, wanted.nonce)?;
        let answer = Answer::Written(written);
        let completed = Completed {
            at: turn.now(),
            key: wanted.key.clone(),
            parts_md5: parts_md5(&wanted.parts),
            answer: answer::encode(&Ok(answer.clone())),
        };
        turn.put(keys::completed(self.index, bucket, &wanted.upload_id), completed.encode());
        Ok(answer)
    }

    /// A caller who did not get the answer completes again: it is the same answer.
    fn completed_before(&self, turn: &Turn<'_>, bucket: &str, wanted: &Completion) -> Result<Answer, Error> {
        let missing = || Error::from(no_such_upload(&wanted.upload_id));
        if wanted.upload_id.len() > 64 {
            return Err(missing());
        }
        let record = turn.get(&keys::completed(self.index, bucket, &wanted.upload_id))?.ok_or_else(missing)?;
        let completed = Completed::decode(&record)?;
        if completed.key != wanted.key || completed.parts_md5 != parts_md5(&wanted.parts) {
            return Err(missing());
        }
        answer::decode(&completed.answer)?.map_err(Error::from)
    }
}

fn parts_md5(parts: &[CompletedPart]) -> [u8; 16] {
    let mut text = String::new();
    for part in parts {
        text.push_str(&format!("{}:{}\n", part.number, part.etag));
    }
    md5(text.as_bytes())
}

fn all_parts(turn: &Turn<'_>, bucket: &str, upload_id: &str) -> Result<Vec<(u32, Part)>, store::Error> {
    view::parts(turn, bucket, upload_id, 0, PARTS_MAX)
}

fn invalid_part() -> Fault {
    let message = "One or more of the specified parts could not be found. The part may not have been uploaded, or the \
                   specified entity tag may not match the part's entity tag.";
    Fault::client("InvalidPart", message)
}

/// The parts that the caller names, each as it was uploaded.
fn chosen_parts(
    turn: &Turn<'_>,
    bucket: &str,
    upload: &Upload,
    wanted: &Completion,
) -> Result<Vec<(u32, Part)>, Error> {
    if wanted.parts.is_empty() {
        return Err(fault::malformed_xml().into());
    }
    if wanted.parts.windows(2).any(|pair| pair[0].number >= pair[1].number) {
        let message = "The list of parts was not in ascending order. Parts must be ordered by part number.";
        return Err(Fault::client("InvalidPartOrder", message).into());
    }
    let mut chosen = Vec::with_capacity(wanted.parts.len());
    for named in &wanted.parts {
        let fault = || invalid_part().member("PartNumber", named.number.to_string()).member("ETag", &*named.etag);
        let record = turn.get(&keys::part(bucket, &wanted.upload_id, named.number))?.ok_or_else(fault)?;
        let part = Part::decode(&record)?;
        if (ETag { md5: part.md5, parts: 0 }).to_string() != named.etag {
            return Err(fault().into());
        }
        match (&named.checksum, &part.checksum) {
            (Some((algorithm, text)), Some(checksum)) if checksum.algorithm == *algorithm => {
                if checksum.text() != *text {
                    return Err(fault().into());
                }
            }
            (Some((algorithm, _)), _) => return Err(kind_mismatch(upload, algorithm.name()).into()),
            (None, _) if upload.algorithm.is_some() && upload.kind == ChecksumKind::Composite => {
                let algorithm = upload.effective().name().to_ascii_lowercase();
                return Err(invalid_request(format!(
                    "The upload was created using a {algorithm} checksum. The complete request must include the \
                     checksum for each part. It was missing for part {} in the request.",
                    named.number
                ))
                .into());
            }
            (None, _) => {}
        }
        chosen.push((named.number, part));
    }
    Ok(chosen)
}

/// A checksum of another algorithm than the upload's.
pub(crate) fn kind_mismatch(upload: &Upload, actual: &str) -> Fault {
    let expected = upload.algorithm.map_or("null".to_owned(), |a| a.name().to_ascii_lowercase());
    invalid_request(format!(
        "Checksum Type mismatch occurred, expected checksum Type: {expected}, actual checksum Type: {}",
        actual.to_ascii_lowercase()
    ))
}

fn check_sizes(wanted: &Completion, parts: &[(u32, Part)], size: u64) -> Result<(), Fault> {
    if let Some((_, before_last)) = parts.split_last()
        && let Some((number, small)) = before_last.iter().find(|(_, part)| part.size < PART_BYTES_MIN)
    {
        let message = "Your proposed upload is smaller than the minimum allowed size";
        return Err(Fault::client("EntityTooSmall", message)
            .member("ETag", ETag { md5: small.md5, parts: 0 }.to_string())
            .member("MinSizeAllowed", PART_BYTES_MIN.to_string())
            .member("PartNumber", number.to_string())
            .member("ProposedSize", small.size.to_string()));
    }
    if size > OBJECT_BYTES_MAX {
        return Err(fault::too_large(size, OBJECT_BYTES_MAX));
    }
    if wanted.size.is_some_and(|s| s != size) {
        return Err(invalid_request(format!(
            "The provided 'x-amz-mp-object-size' header value {} does not match what was computed: {size}",
            wanted.size.unwrap_or_default()
        )));
    }
    Ok(())
}

fn etag_of(parts: &[(u32, Part)]) -> ETag {
    let md5s: Vec<u8> = parts.iter().flat_map(|(_, part)| part.md5).collect();
    ETag { md5: md5(&md5s), parts: u32::try_from(parts.len()).unwrap_or(u32::MAX) }
}

fn checksum_of(upload: &Upload, wanted: &Completion, parts: &[(u32, Part)]) -> Result<Option<Checksum>, Fault> {
    let algorithm = upload.effective();
    if wanted.kind.is_some_and(|kind| kind != upload.kind) {
        let told = wanted.kind.map_or("", ChecksumKind::name);
        return Err(invalid_request(format!(
            "The upload was created using the {} checksum mode. The complete request must use the same checksum mode, \
             not {told}.",
            upload.kind.name()
        )));
    }
    let values: Option<Vec<(&[u8], u64)>> = parts
        .iter()
        .map(|(_, part)| {
            let checksum = part.checksum.as_ref().filter(|c| c.algorithm == algorithm)?;
            Some((checksum.value.as_slice(), part.size))
        })
        .collect();
    let Some(values) = values else { return Ok(None) };
    let count = u32::try_from(parts.len()).unwrap_or(u32::MAX);
    let checksum = match upload.kind {
        ChecksumKind::FullObject => algorithm.combined(values.into_iter()).map(|v| Checksum::full(algorithm, v)),
        ChecksumKind::Composite => {
            let value = algorithm.composite(values.into_iter().map(|(v, _)| v));
            Some(Checksum { algorithm, kind: ChecksumKind::Composite, value, parts: count })
        }
    };
    if let (Some((claimed, text)), Some(checksum)) = (&wanted.checksum, &checksum) {
        if *claimed != algorithm {
            return Err(kind_mismatch(upload, claimed.name()));
        }
        // A composite value may be told with or without the number of parts.
        if *text != checksum.text() && *text != BASE64_STANDARD.encode(&checksum.value) {
            return Err(bad_digest(algorithm.name()));
        }
    }
    Ok(checksum)
}
