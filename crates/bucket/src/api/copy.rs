//! Copying an object, whole or as a part of an upload.

use base::Timestamp;
use service::{Call, Fault};

use super::object::{Get, Headers, PUT_BYTES_MAX, PutObject, Wanted};
use super::upload::PutPart;
use crate::Buckets;
use crate::checksum::Algorithm;
use crate::fault::{invalid_argument, invalid_request};
use crate::machine::{Answer, Condition, Written};
use crate::name::check_key;
use crate::record::{Attributes, Header, Tags, VersionId};
use crate::stage::Expected;

/// What is copied.
#[derive(Clone, Debug, Default)]
pub(crate) struct CopySource {
    pub(crate) bucket: String,
    pub(crate) key: String,
    pub(crate) version: Option<VersionId>,
    pub(crate) conditions: CopyConditions,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct CopyConditions {
    pub(crate) if_match: Option<Condition>,
    pub(crate) if_none_match: Option<Condition>,
    pub(crate) if_modified_since: Option<Timestamp>,
    pub(crate) if_unmodified_since: Option<Timestamp>,
}

/// Where to, and what changes on the way.
pub(crate) struct Copy {
    pub(crate) source: CopySource,
    pub(crate) bucket: String,
    pub(crate) key: String,
    /// What the request's headers say.
    pub(crate) attributes: Attributes,
    /// Whether the request's metadata replaces the source's.
    pub(crate) replaces_metadata: bool,
    /// Tags that replace the source's.
    pub(crate) tags: Option<Tags>,
    pub(crate) algorithm: Option<Algorithm>,
    pub(crate) condition: Condition,
}

impl CopySource {
    fn get(&self, wanted: Wanted) -> Get {
        Get {
            bucket: self.bucket.clone(),
            key: self.key.clone(),
            version: self.version,
            wanted,
            if_match: self.conditions.if_match.clone(),
            if_none_match: self.conditions.if_none_match.clone(),
            if_modified_since: self.conditions.if_modified_since,
            if_unmodified_since: self.conditions.if_unmodified_since,
        }
    }
}

/// A source that did not change is not a reason to answer 304 to a copy.
fn of_source(mut fault: Fault) -> Fault {
    match fault.code.as_str() {
        "NotModified" => crate::fault::precondition_failed("x-amz-copy-source-If-None-Match"),
        "MethodNotAllowed" => {
            invalid_request("The source of a copy request may not specifically refer to a delete marker by version id.")
        }
        _ => {
            fault.members.shift_remove("DeleteMarker");
            fault
        }
    }
}

impl Buckets {
    pub(crate) async fn copy_object(&self, call: &Call, copy: Copy) -> Result<Written, Fault> {
        check_key(&copy.key)?;
        self.check_bucket(call, &copy.bucket)?;
        if let Some(Answer::Written(written)) = self.recall(call, &copy.bucket).await? {
            return Ok(written);
        }
        let get = copy.source.get(Wanted::Whole);
        let (found, source) = self.get_object(call, &get).map_err(of_source)?;
        if found.body.size > PUT_BYTES_MAX {
            let message = format!(
                "The specified copy source is larger than the maximum allowable size for a copy source: {PUT_BYTES_MAX}"
            );
            return Err(invalid_request(message));
        }
        let is_same = copy.source.bucket == copy.bucket && copy.source.key == copy.key && copy.source.version.is_none();
        if is_same && !changes_anything(&copy, &found) {
            let message = "This copy request is illegal because it is trying to copy an object to itself without \
                           changing the object's metadata, storage class, website redirect location or encryption \
                           attributes.";
            return Err(invalid_request(message));
        }
        let algorithm = copy.algorithm.or(found.body.checksum.as_ref().map(|c| c.algorithm));
        let put = PutObject {
            attributes: attributes_of(&copy, &found),
            tags: copy.tags.unwrap_or(found.body.tags),
            bucket: copy.bucket,
            key: copy.key,
            condition: copy.condition,
            algorithm: algorithm.unwrap_or(Algorithm::Crc64Nvme),
            expected: Expected { length: Some(found.body.size), ..Expected::default() },
            source: found.version,
        };
        self.put_object(call, put, source).await
    }

    /// Copies bytes of an object into a part; returns which version of the source it was.
    pub(crate) async fn copy_part(
        &self,
        call: &Call,
        source: &CopySource,
        range: Option<&str>,
        bucket: &str,
        key: &str,
        (upload_id, number): (&str, u32),
    ) -> Result<(Written, Option<VersionId>), Fault> {
        let wanted = match range {
            None => Wanted::Whole,
            Some(text) => Wanted::Range(copy_range(text)?),
        };
        let (found, content) = self.get_object(call, &source.get(wanted)).map_err(of_source)?;
        if let Some(text) = range
            && let s3s::dto::Range::Int { last: Some(last), .. } = copy_range(text)?
            && last >= found.body.size
        {
            let message = format!("Range specified is not valid for source object of size: {}", found.body.size);
            return Err(invalid_argument(&message, "x-amz-copy-source-range", text));
        }
        let length = found.range.end - found.range.start;
        let part = PutPart {
            bucket: bucket.to_owned(),
            key: key.to_owned(),
            upload_id: upload_id.to_owned(),
            number,
            expected: Expected { length: Some(length), ..Expected::default() },
        };
        let (written, _) = self.put_part(call, part, content).await?;
        Ok((written, found.version))
    }
}

/// `bytes=first-last`, both there: S3 takes nothing else here.
fn copy_range(text: &str) -> Result<s3s::dto::Range, Fault> {
    match s3s::dto::Range::parse(text) {
        Ok(range @ s3s::dto::Range::Int { last: Some(_), .. }) => Ok(range),
        _ => {
            let message = "The x-amz-copy-source-range value must be of the form bytes=first-last where first and \
                           last are the zero-based offsets of the first and last bytes to copy";
            Err(invalid_argument(message, "x-amz-copy-source-range", text))
        }
    }
}

/// What a copy takes from the request even if the metadata is the source's.
const OF_REQUEST: [Header; 5] = [
    Header::StorageClass,
    Header::ServerSideEncryption,
    Header::KmsKeyId,
    Header::BucketKeyEnabled,
    Header::WebsiteRedirectLocation,
];

fn changes_anything(copy: &Copy, found: &Headers) -> bool {
    let differs = |header: &Header| {
        copy.attributes.get(*header).is_some_and(|value| Some(value) != found.body.attributes.get(*header))
    };
    copy.replaces_metadata || copy.tags.is_some() || copy.algorithm.is_some() || OF_REQUEST.iter().any(differs)
}

fn attributes_of(copy: &Copy, found: &Headers) -> Attributes {
    if copy.replaces_metadata {
        return copy.attributes.clone();
    }
    let mut attributes = found.body.attributes.clone();
    for header in OF_REQUEST {
        attributes.set(header, copy.attributes.get(header));
    }
    attributes
}
