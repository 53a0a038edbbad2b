//! Objects: writing, reading, deleting, tags.

use std::ops;

use base::Timestamp;
use serde_json::Value;
use service::{Call, Fault};

use crate::Buckets;
use crate::bucket_record::{Bucket, Versioning};
use crate::buckets::unexpected;
use crate::checksum::Algorithm;
use crate::fault::{self, Error, no_such_key, precondition_failed};
use crate::machine::{Answer, Command, Condition, Deleted, Deletion, NewObject, Written, fault_on_marker};
use crate::model::http_date;
use crate::name::check_key;
use crate::record::{Attributes, Body, Header, Object, Tags, VersionId};
use crate::settings::{Setting, check_object_tags};
use crate::stage::{Expected, Source};
use crate::view;

/// The largest object that one request writes.
pub const PUT_BYTES_MAX: u64 = 5 * 1024 * 1024 * 1024;
/// Names and values of an object's user metadata together.
pub const METADATA_BYTES_MAX: usize = 2 * 1024;
/// What is escaped in a rule's id.
const RULE_ID: &percent_encoding::AsciiSet =
    &percent_encoding::NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
/// A read whose object is replaced meanwhile is tried so often.
const READ_TRIES_MAX: usize = 16;

/// An object to be written.
pub(crate) struct PutObject {
    pub(crate) bucket: String,
    pub(crate) key: String,
    pub(crate) attributes: Attributes,
    pub(crate) tags: Tags,
    pub(crate) condition: Condition,
    /// Of the checksum that is stored.
    pub(crate) algorithm: Algorithm,
    pub(crate) expected: Expected,
    /// Of which version it is a copy.
    pub(crate) source: Option<VersionId>,
}

/// Which bytes of an object are asked for.
#[derive(Clone, Debug, Default)]
pub(crate) enum Wanted {
    #[default]
    Whole,
    Range(s3s::dto::Range),
    Part(u32),
}

/// An object to be read.
#[derive(Clone, Debug, Default)]
pub(crate) struct Get {
    pub(crate) bucket: String,
    pub(crate) key: String,
    pub(crate) version: Option<VersionId>,
    pub(crate) wanted: Wanted,
    pub(crate) if_match: Option<Condition>,
    pub(crate) if_none_match: Option<Condition>,
    pub(crate) if_modified_since: Option<Timestamp>,
    pub(crate) if_unmodified_since: Option<Timestamp>,
}

/// What is told of an object beside its bytes.
#[derive(Debug)]
pub(crate) struct Headers {
    pub(crate) body: Body,
    pub(crate) modified: Timestamp,
    pub(crate) version: Option<VersionId>,
    /// Which bytes the answer has.
    pub(crate) range: ops::Range<u64>,
    /// Whether these are told to be a part of the object.
    pub(crate) is_partial: bool,
    pub(crate) parts_count: Option<u32>,
    /// As in `x-amz-expiration`.
    pub(crate) expiration: Option<String>,
}

impl Buckets {
    pub(crate) async fn put_object(&self, call: &Call, put: PutObject, source: Source) -> Result<Written, Fault> {
        check_key(&put.key)?;
        let mut attributes = put.attributes;
        check_attributes(&attributes)?;
        check_object_tags(&put.tags)?;
        self.check_bucket(call, &put.bucket)?;
        if let Some(Answer::Written(written)) = self.recall(call, &put.bucket).await? {
            return Ok(written);
        }
        self.encrypt_by_default(&put.bucket, &mut attributes)?;
        if put.condition != Condition::Always && call.effect.is_none() {
            // Told before the content arrives; decided when it is written.
            let current = view::latest(self.store(), &put.bucket, &put.key).map_err(Error::from)?;
            check_condition(&put.condition, &put.key, current.as_ref())?;
        }
        let staged = self.inner.stager.stage(source, PUT_BYTES_MAX, put.algorithm, put.expected).await?;
        let new = NewObject {
            key: put.key,
            size: staged.size,
            md5: staged.md5,
            checksum: staged.checksum.clone(),
            attributes,
            tags: put.tags,
            condition: put.condition,
            naming: staged.naming(),
            nonce: self.nonce(),
            source: put.source,
        };
        match self.send(call, &put.bucket, Command::PutObject(Box::new(new))).await? {
            Answer::Written(written) => Ok(written),
            other => unexpected(other),
        }
    }

    /// What the bucket's default encryption says, if the caller said nothing.
    pub(crate) fn encrypt_by_default(&self, bucket: &str, attributes: &mut Attributes) -> Result<(), Fault> {
        if attributes.get(Header::ServerSideEncryption).is_some() {
            return Ok(());
        }
        let stored = view::stored_setting(self.store(), bucket, Setting::Encryption).map_err(Error::from)?;
        let Some(stored) = stored else { return Ok(()) };
        let rule = &stored["Rules"][0];
        let default = &rule["ApplyServerSideEncryptionByDefault"];
        if let Some(kms) = default["SSEAlgorithm"].as_str().filter(|a| *a != "AES256") {
            attributes.set(Header::ServerSideEncryption, Some(kms));
            attributes.set(Header::KmsKeyId, default["KMSMasterKeyID"].as_str());
            attributes.set(Header::BucketKeyEnabled, rule["BucketKeyEnabled"].as_bool().filter(|b| *b).map(|_| "true"));
        }
        Ok(())
    }

    /// Everything about an object but its bytes.
    pub(crate) fn head_object(&self, call: &Call, get: &Get) -> Result<Headers, Fault> {
        check_key(&get.key)?;
        let bucket = self.bucket(call, &get.bucket)?;
        let object = self.find(get)?;
        let (range, is_partial, parts_count) = {
            let body = live(&object, get)?;
            check_read(get, body, object.modified)?;
            self.choose(&get.wanted, body)?
        };
        let expiration = self.expiration(&get.bucket, &get.key, &object);
        let version = told_version(&bucket, &object);
        let modified = object.modified;
        let body = object.body.ok_or_else(|| no_such_key(&get.key))?;
        Ok(Headers { body, modified, version, range, is_partial, parts_count, expiration })
    }

    /// An object with its bytes.
    pub(crate) fn get_object(&self, call: &Call, get: &Get) -> Result<(Headers, Source), Fault> {
        for _ in 0..READ_TRIES_MAX {
            let headers = self.head_object(call, get)?;
            if let Some(opened) = self.inner.opener.open(headers.body.content, headers.range.clone())? {
                return Ok((headers, opened.into_source()));
            }
        }
        tracing::error!(bucket = get.bucket, "the content of an object was not found");
        Err(fault::internal("We encountered an internal error. Please try again. (content not found)"))
    }

    fn find(&self, get: &Get) -> Result<Object, Fault> {
        let found = match get.version {
            None => view::latest(self.store(), &get.bucket, &get.key).map_err(Error::from)?,
            Some(version) => {
                let found = view::version(self.store(), &get.bucket, &get.key, version).map_err(Error::from)?;
                Some(found.ok_or_else(|| fault::no_such_version(&get.key, version))?.0)
            }
        };
        found.ok_or_else(|| no_such_key(&get.key))
    }

    fn choose(&self, wanted: &Wanted, body: &Body) -> Result<(ops::Range<u64>, bool, Option<u32>), Fault> {
        let size = body.size;
        let unsatisfiable = |requested: String| {
            Fault::with_status(416, "InvalidRange", "The requested range is not satisfiable")
                .member("RangeRequested", requested)
                .member("ActualObjectSize", size.to_string())
        };
        match wanted {
            Wanted::Whole => Ok((0..size, false, None)),
            Wanted::Range(range) => {
                let chosen = range.check(size).ok().filter(|r| !r.is_empty());
                chosen.map(|r| (r, true, None)).ok_or_else(|| unsatisfiable(range.to_header_string()))
            }
            Wanted::Part(number) => {
                let invalid = || {
                    Fault::with_status(416, "InvalidPartNumber", "The requested partnumber is not satisfiable")
                        .member("PartNumberRequested", number.to_string())
                        .member("ActualPartCount", body.etag.parts.max(1).to_string())
                };
                let crate::record::Content::Parts(id) = body.content else {
                    return if *number == 1 { Ok((0..size, size > 0, None)) } else { Err(invalid()) };
                };
                let record = self.store().get(&crate::keys::manifest(id)).map_err(Error::from)?;
                let record = record.ok_or_else(fault::slow_down)?;
                let segments = crate::record::decode_manifest(&record).map_err(Error::from)?;
                let mut start = 0;
                // A completed object's parts are counted anew.
                for (index, segment) in segments.iter().enumerate() {
                    if index + 1 == *number as usize {
                        return Ok((start..start + segment.size, segment.size > 0, Some(body.etag.parts)));
                    }
                    start += segment.size;
                }
                Err(invalid())
            }
        }
    }

    /// `expiry-date="...", rule-id="..."`, if a lifecycle rule names the object.
    pub(crate) fn expiration(&self, bucket: &str, key: &str, object: &Object) -> Option<String> {
        self.expiration_of(bucket, key, object.body.as_ref()?, object.modified)
    }

    pub(crate) fn expiration_of(&self, bucket: &str, key: &str, body: &Body, modified: Timestamp) -> Option<String> {
        let lifecycle = view::lifecycle(self.store(), bucket).ok().flatten()?;
        let (at, rule) = lifecycle.expiry(key, body, modified)?;
        let rule = percent_encoding::utf8_percent_encode(rule, RULE_ID);
        Some(format!("expiry-date=\"{}\", rule-id=\"{rule}\"", http_date(at)))
    }

    pub(crate) async fn delete_object(&self, call: &Call, bucket: &str, deletion: Deletion) -> Result<Deleted, Fault> {
        check_key(&deletion.key)?;
        self.check_bucket(call, bucket)?;
        match self.send(call, bucket, Command::Delete(deletion)).await? {
            Answer::Deleted(deleted) => Ok(deleted),
            other => unexpected(other),
        }
    }

    pub(crate) async fn delete_objects(
        &self,
        call: &Call,
        bucket: &str,
        deletions: Vec<Deletion>,
    ) -> Result<Vec<Result<Deleted, Fault>>, Fault> {
        self.check_bucket(call, bucket)?;
        if deletions.is_empty() || deletions.len() > crate::DELETE_OBJECTS_MAX {
            return Err(fault::malformed_xml());
        }
        for deletion in &deletions {
            check_key(&deletion.key)?;
        }
        match self.send(call, bucket, Command::DeleteMany(deletions)).await? {
            Answer::DeletedMany(results) => Ok(results),
            other => unexpected(other),
        }
    }

    pub(crate) async fn put_tags(
        &self,
        call: &Call,
        bucket: &str,
        key: &str,
        version: Option<VersionId>,
        tags: Tags,
    ) -> Result<Option<VersionId>, Fault> {
        check_key(key)?;
        check_object_tags(&tags)?;
        self.check_bucket(call, bucket)?;
        match self.send(call, bucket, Command::PutTags { key: key.to_owned(), version, tags }).await? {
            Answer::Tagged(version) => Ok(version),
            other => unexpected(other),
        }
    }

    pub(crate) fn deletion(&self, key: &str, version: Option<VersionId>) -> Deletion {
        Deletion {
            key: key.to_owned(),
            version,
            condition: Condition::Always,
            size: None,
            modified: None,
            nonce: self.nonce(),
        }
    }
}

fn told_version(bucket: &Bucket, object: &Object) -> Option<VersionId> {
    (bucket.versioning != Versioning::Off).then(|| object.version_id())
}

/// The object's body; a delete marker has none, which callers are told in different ways.
fn live<'o>(object: &'o Object, get: &Get) -> Result<&'o Body, Fault> {
    object.body.as_ref().ok_or_else(|| {
        let fault = match get.version {
            Some(_) => fault_on_marker().member("LastModified", http_date(object.modified)),
            None => no_such_key(&get.key),
        };
        fault.member("DeleteMarker", true).member("VersionId", object.version_id().to_string())
    })
}

fn check_condition(condition: &Condition, key: &str, current: Option<&Object>) -> Result<(), Fault> {
    let body = current.and_then(|object| object.body.as_ref());
    match (condition, body) {
        (Condition::Absent, Some(_)) => Err(precondition_failed("If-None-Match")),
        (Condition::Present | Condition::Matches(_), None) => Err(no_such_key(key)),
        (Condition::Matches(etag), Some(body)) if body.etag.to_string() != *etag => {
            Err(precondition_failed("If-Match"))
        }
        _ => Ok(()),
    }
}

fn is_match(condition: &Condition, body: &Body) -> bool {
    match condition {
        Condition::Matches(etag) => body.etag.to_string() == *etag,
        Condition::Always | Condition::Absent | Condition::Present => true,
    }
}

/// Conditions on reading, in the order that RFC 9110 gives them.
fn check_read(get: &Get, body: &Body, modified: Timestamp) -> Result<(), Fault> {
    let modified_seconds = modified.as_seconds();
    match (&get.if_match, get.if_unmodified_since) {
        (Some(condition), _) if !is_match(condition, body) => return Err(precondition_failed("If-Match")),
        (None, Some(at)) if modified_seconds > at.as_seconds() => {
            return Err(precondition_failed("If-Unmodified-Since"));
        }
        _ => {}
    }
    let is_unchanged = match (&get.if_none_match, get.if_modified_since) {
        (Some(condition), _) => is_match(condition, body),
        (None, Some(at)) => modified_seconds <= at.as_seconds(),
        (None, None) => false,
    };
    if is_unchanged {
        return Err(Fault::with_status(304, "NotModified", "Not Modified")
            .member("ETag", format!("\"{}\"", body.etag))
            .member("LastModified", http_date(modified)));
    }
    Ok(())
}

const STORAGE_CLASSES: [&str; 11] = [
    "STANDARD",
    "REDUCED_REDUNDANCY",
    "STANDARD_IA",
    "ONEZONE_IA",
    "INTELLIGENT_TIERING",
    "GLACIER",
    "DEEP_ARCHIVE",
    "OUTPOSTS",
    "GLACIER_IR",
    "SNOW",
    "EXPRESS_ONEZONE",
];

pub(crate) fn check_attributes(attributes: &Attributes) -> Result<(), Fault> {
    attributes.check_characters()?;
    let size: usize = attributes.metadata.iter().map(|(name, value)| name.len() + value.len()).sum();
    if size > METADATA_BYTES_MAX {
        let message = "Your metadata headers exceed the maximum allowed metadata size";
        return Err(Fault::client("MetadataTooLarge", message)
            .member("Size", size.to_string())
            .member("MaxSizeAllowed", METADATA_BYTES_MAX.to_string()));
    }
    let class = attributes.get(Header::StorageClass).unwrap_or("STANDARD");
    if !STORAGE_CLASSES.contains(&class) {
        let message = "The storage class you specified is not valid";
        return Err(Fault::client("InvalidStorageClass", message).member("StorageClassRequested", class));
    }
    let encryption = attributes.get(Header::ServerSideEncryption).unwrap_or("AES256");
    if !matches!(encryption, "AES256" | "aws:kms" | "aws:kms:dsse") {
        let message = "The encryption method specified is not supported";
        return Err(Fault::client("InvalidEncryptionAlgorithmError", message)
            .member("ArgumentName", "x-amz-server-side-encryption")
            .member("ArgumentValue", Value::from(encryption)));
    }
    Ok(())
}
