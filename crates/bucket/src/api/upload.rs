//! Multipart uploads.

use base::Timestamp;
use service::{Call, Fault};

use super::object::check_attributes;
use crate::Buckets;
use crate::PARTS_MAX;
use crate::bucket_record::{Part, Upload};
use crate::buckets::unexpected;
use crate::checksum::{Algorithm, Checksum, ChecksumKind};
use crate::fault::{Error, invalid_argument, invalid_request, no_such_upload};
use crate::machine::{Answer, Command, Completion, NewPart, NewUpload, Written, kind_mismatch};
use crate::name::check_key;
use crate::record::{Attributes, Tags};
use crate::settings::check_object_tags;
use crate::stage::{Expected, Source};
use crate::view;

/// The largest part.
const PART_BYTES_MAX: u64 = 5 * 1024 * 1024 * 1024;

pub(crate) struct CreateUpload {
    pub(crate) bucket: String,
    pub(crate) key: String,
    pub(crate) attributes: Attributes,
    pub(crate) tags: Tags,
    pub(crate) algorithm: Option<Algorithm>,
    pub(crate) kind: Option<ChecksumKind>,
}

pub(crate) struct PutPart {
    pub(crate) bucket: String,
    pub(crate) key: String,
    pub(crate) upload_id: String,
    pub(crate) number: u32,
    pub(crate) expected: Expected,
}

/// A part of a listing.
pub(crate) type UploadedPart = (u32, Part);

impl Buckets {
    /// Begins an upload; returns its id and how its checksum is made.
    pub(crate) async fn create_upload(&self, call: &Call, new: CreateUpload) -> Result<(String, Upload), Fault> {
        check_key(&new.key)?;
        let mut attributes = new.attributes;
        check_attributes(&attributes)?;
        check_object_tags(&new.tags)?;
        self.bucket(call, &new.bucket)?;
        self.encrypt_by_default(&new.bucket, &mut attributes)?;
        let kind = kind_of(new.algorithm, new.kind)?;
        let upload = Upload { initiated: Timestamp::MIN, attributes, tags: new.tags, algorithm: new.algorithm, kind };
        // Ids of one key sort by their beginning, as listings do.
        let millis = u64::try_from(self.inner.clock.now().as_millis()).unwrap_or(0);
        let upload_id = format!("{millis:012x}{}", self.new_id());
        let command = NewUpload { key: new.key, upload_id: upload_id.clone(), upload: upload.clone() };
        self.send(call, &new.bucket, Command::CreateUpload(Box::new(command))).await?;
        Ok((upload_id, upload))
    }

    /// Writes a part; also returns the checksum of the algorithm that the caller used, if it is not the upload's.
    pub(crate) async fn put_part(
        &self,
        call: &Call,
        part: PutPart,
        source: Source,
    ) -> Result<(Written, Option<Checksum>), Fault> {
        check_key(&part.key)?;
        if part.number == 0 || part.number as usize > PARTS_MAX {
            let message = "Part number must be an integer between 1 and 10000, inclusive";
            return Err(invalid_argument(message, "partNumber", part.number.to_string()));
        }
        self.bucket(call, &part.bucket)?;
        let upload = self.upload(&part.bucket, &part.key, &part.upload_id)?;
        let used = part.expected.algorithm();
        if let (Some(used), Some(algorithm)) = (used, upload.algorithm)
            && used != algorithm
        {
            return Err(kind_mismatch(&upload, used.name()));
        }
        let staged = self.inner.stager.stage(source, PART_BYTES_MAX, upload.effective(), part.expected).await?;
        let told = used.filter(|used| *used != upload.effective()).and_then(|used| staged.checksum_of(used));
        let new = NewPart {
            key: part.key,
            upload_id: part.upload_id,
            number: part.number,
            size: staged.size,
            md5: staged.md5,
            checksum: staged.checksum.clone(),
            naming: staged.naming(),
        };
        match self.send(call, &part.bucket, Command::PutPart(Box::new(new))).await? {
            Answer::Written(written) => Ok((written, told)),
            other => unexpected(other),
        }
    }

    pub(crate) async fn complete_upload(
        &self,
        call: &Call,
        bucket: &str,
        completion: Completion,
    ) -> Result<Written, Fault> {
        check_key(&completion.key)?;
        self.bucket(call, bucket)?;
        if completion.parts.len() > PARTS_MAX {
            return Err(crate::fault::malformed_xml());
        }
        match self.send(call, bucket, Command::CompleteUpload(Box::new(completion))).await? {
            Answer::Written(written) => Ok(written),
            other => unexpected(other),
        }
    }

    pub(crate) async fn abort_upload(
        &self,
        call: &Call,
        bucket: &str,
        key: &str,
        upload_id: &str,
    ) -> Result<(), Fault> {
        self.bucket(call, bucket)?;
        let command = Command::AbortUpload { key: key.to_owned(), upload_id: upload_id.to_owned() };
        self.send(call, bucket, command).await?;
        Ok(())
    }

    pub(crate) fn upload(&self, bucket: &str, key: &str, upload_id: &str) -> Result<Upload, Fault> {
        let upload = view::upload(self.store(), bucket, key, upload_id).map_err(Error::from)?;
        upload.ok_or_else(|| no_such_upload(upload_id))
    }

    /// Parts behind number `after`, at most `max`, and whether there are more.
    pub(crate) async fn list_parts(
        &self,
        call: &Call,
        bucket: &str,
        key: &str,
        upload_id: &str,
        (after, max): (u32, usize),
    ) -> Result<(Upload, Vec<UploadedPart>, bool), Fault> {
        self.bucket(call, bucket)?;
        let upload = self.upload(bucket, key, upload_id)?;
        let (bucket, upload_id) = (bucket.to_owned(), upload_id.to_owned());
        let read = move |store: &dyn store::Store| {
            Ok(view::parts(store, &bucket, &upload_id, after, max.saturating_add(1)).map_err(Error::from)?)
        };
        let mut parts = self.read(read).await?;
        let more = parts.len() > max;
        parts.truncate(max);
        Ok((upload, parts, more))
    }
}

fn kind_of(algorithm: Option<Algorithm>, kind: Option<ChecksumKind>) -> Result<ChecksumKind, Fault> {
    let Some(algorithm) = algorithm else {
        return match kind {
            None => Ok(ChecksumKind::FullObject),
            Some(_) => Err(invalid_request(
                "The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header.",
            )),
        };
    };
    let kind = kind.unwrap_or(algorithm.default_kind());
    let is_possible = match kind {
        ChecksumKind::FullObject => algorithm.can_be_full_object(),
        ChecksumKind::Composite => algorithm.can_be_composite(),
    };
    if is_possible {
        return Ok(kind);
    }
    Err(invalid_request(format!(
        "The {} checksum type cannot be used with the {} checksum algorithm.",
        kind.name(),
        algorithm.name().to_ascii_lowercase()
    )))
}
