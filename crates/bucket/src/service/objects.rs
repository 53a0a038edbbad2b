//! Operations on objects and listings, for callers in the same process.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use futures::StreamExt as _;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use service::{Call, Fault};

use super::{CONTENT_BYTES_MAX, Output, Registration, iso};
use crate::Buckets;
use crate::api::{Copy, CopyConditions, CopySource, Get, Headers, PutObject, Wanted};
use crate::checksum::{Algorithm, Checksum};
use crate::fault::{access_denied, invalid_argument, invalid_request, invalid_version, not_implemented};
use crate::list::{self, After, LIST_KEYS_MAX, Query};
use crate::machine::Condition;
use crate::record::{Attributes, Header, Object, Tags, VersionId};
use crate::stage::{Expected, Source};

pub(super) fn register(registration: &mut Registration) {
    registration.operation("PutObject", |buckets, call, input| async move { put(&buckets, &call, input).await });
    registration.operation("GetObject", |buckets, call, input| async move { get(&buckets, &call, input).await });
    registration.operation("HeadObject", |buckets, call, input| async move { head(&buckets, &call, input) });
    registration.operation("DeleteObject", |buckets, call, input| async move { delete(&buckets, &call, input).await });
    registration
        .operation("DeleteObjects", |buckets, call, input| async move { delete_many(&buckets, &call, input).await });
    registration.operation("CopyObject", |buckets, call, input| async move { copy(&buckets, &call, input).await });
    registration.operation("ListObjectsV2", |buckets, call, input| async move { list(&buckets, &call, input).await });
    registration.operation("GetObjectTagging", |buckets, call, input| async move { tags(&buckets, &call, &input) });
    registration
        .operation("PutObjectTagging", |buckets, call, input| async move { put_tags(&buckets, &call, input).await });
}

/// What writes have in common.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct WriteHeaders {
    #[serde(rename = "ACL")]
    acl: Option<String>,
    content_type: Option<String>,
    cache_control: Option<String>,
    content_disposition: Option<String>,
    content_encoding: Option<String>,
    content_language: Option<String>,
    expires: Option<String>,
    #[serde(default)]
    metadata: BTreeMap<String, String>,
    storage_class: Option<String>,
    server_side_encryption: Option<String>,
    #[serde(rename = "SSEKMSKeyId")]
    kms_key_id: Option<String>,
    #[serde(rename = "SSECustomerAlgorithm")]
    customer_algorithm: Option<String>,
    website_redirect_location: Option<String>,
    object_lock_mode: Option<String>,
    tagging: Option<String>,
    checksum_algorithm: Option<String>,
    if_match: Option<String>,
    if_none_match: Option<String>,
    expected_bucket_owner: Option<String>,
}

impl WriteHeaders {
    pub(super) fn check(&self, buckets: &Buckets, call: &Call, bucket: &str) -> Result<(), Fault> {
        check_owner(call, self.expected_bucket_owner.as_deref())?;
        if self.customer_algorithm.is_some() {
            return Err(not_implemented("server-side encryption with customer-provided keys (SSE-C)"));
        }
        if self.object_lock_mode.is_some() {
            return Err(not_implemented("object lock"));
        }
        let is_plain = matches!(self.acl.as_deref(), None | Some("private" | "bucket-owner-full-control"));
        buckets.check_acl(call, bucket, is_plain)
    }

    pub(super) fn attributes(&self) -> Attributes {
        let mut attributes = Attributes::default();
        attributes.set(Header::ContentType, self.content_type.clone());
        attributes.set(Header::CacheControl, self.cache_control.clone());
        attributes.set(Header::ContentDisposition, self.content_disposition.clone());
        attributes.set(Header::ContentEncoding, self.content_encoding.clone());
        attributes.set(Header::ContentLanguage, self.content_language.clone());
        attributes.set(Header::Expires, self.expires.clone());
        attributes.set(Header::WebsiteRedirectLocation, self.website_redirect_location.clone());
        attributes.set(Header::StorageClass, self.storage_class.clone().filter(|c| c != "STANDARD"));
        attributes.set(Header::ServerSideEncryption, self.server_side_encryption.clone());
        attributes.set(Header::KmsKeyId, self.kms_key_id.clone());
        let metadata = self.metadata.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.clone()));
        attributes.metadata = metadata.collect();
        attributes
    }

    pub(super) fn tags(&self) -> Result<Tags, Fault> {
        let mut tags = Tags::new();
        let decoded = |text: &str| {
            let text = text.replace('+', " ");
            percent_encoding::percent_decode_str(&text).decode_utf8_lossy().into_owned()
        };
        for pair in self.tagging.as_deref().unwrap_or("").split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            if tags.insert(decoded(key), decoded(value)).is_some() {
                return Err(invalid_argument("Tagging names a key twice", "Tagging", ""));
            }
        }
        Ok(tags)
    }

    fn condition(&self) -> Result<Condition, Fault> {
        match (self.if_match.as_deref(), self.if_none_match.as_deref()) {
            (None, None) => Ok(Condition::Always),
            (None, Some("*")) => Ok(Condition::Absent),
            (Some(etag), None) => Ok(matches(etag)),
            _ => Err(not_implemented("IfNoneMatch with anything but *, or together with IfMatch")),
        }
    }

    pub(super) fn algorithm(&self) -> Result<Option<Algorithm>, Fault> {
        let Some(name) = self.checksum_algorithm.as_deref() else { return Ok(None) };
        Algorithm::of_name(name)
            .map(Some)
            .ok_or_else(|| invalid_argument("the checksum algorithm is not known", "ChecksumAlgorithm", name))
    }
}

fn matches(etag: &str) -> Condition {
    match etag {
        "*" => Condition::Present,
        etag => Condition::Matches(etag.trim_matches('"').to_owned()),
    }
}

pub(super) fn check_owner(call: &Call, expected: Option<&str>) -> Result<(), Fault> {
    if expected.is_some_and(|e| e != call.scope.account()) { Err(access_denied()) } else { Ok(()) }
}

/// Content that is here already.
pub(crate) fn source(content: Bytes) -> Source {
    futures::stream::once(async move { Ok(content) }).boxed()
}

fn version(text: Option<&str>) -> Result<Option<VersionId>, Fault> {
    text.map(|text| VersionId::parse(text).ok_or_else(invalid_version)).transpose()
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PutInput {
    bucket: String,
    key: String,
    body: Option<Value>,
    body_base64: Option<String>,
    #[serde(flatten)]
    headers: WriteHeaders,
}

async fn put(buckets: &Buckets, call: &Call, input: PutInput) -> Result<Map<String, Value>, Fault> {
    input.headers.check(buckets, call, &input.bucket)?;
    let content: Bytes = match (input.body, input.body_base64) {
        (Some(_), Some(_)) => return Err(invalid_request("Body and BodyBase64 exclude each other")),
        (None, Some(text)) => BASE64_STANDARD
            .decode(text)
            .map_err(|_| invalid_argument("BodyBase64 is no base64", "BodyBase64", ""))?
            .into(),
        (None | Some(Value::Null), None) => Bytes::new(),
        (Some(Value::String(text)), None) => text.into(),
        // Anything else is written as JSON.
        (Some(value), None) => value.to_string().into(),
    };
    if content.len() as u64 > CONTENT_BYTES_MAX {
        return Err(crate::fault::too_large(content.len() as u64, CONTENT_BYTES_MAX));
    }
    let attributes = input.headers.attributes();
    let put = PutObject {
        // What the SDK that AWS calls S3 with computes if it is not told which.
        algorithm: input.headers.algorithm()?.unwrap_or(Algorithm::Crc32),
        attributes: attributes.clone(),
        tags: input.headers.tags()?,
        condition: input.headers.condition()?,
        expected: Expected { length: Some(content.len() as u64), ..Expected::default() },
        source: None,
        bucket: input.bucket.clone(),
        key: input.key,
    };
    let written = buckets.put_object(call, put, source(content)).await?;
    let mut output = Output::default();
    put_checksum(&mut output, written.checksum.as_ref());
    output.put("ETag", format!("\"{}\"", written.etag));
    put_encryption(buckets, &input.bucket, attributes, &mut output)?;
    output.put_some("VersionId", written.version.map(|v| v.to_string()));
    Ok(output.0)
}

fn put_checksum(output: &mut Output, checksum: Option<&Checksum>) {
    if let Some(checksum) = checksum {
        output.put(&format!("Checksum{}", checksum.algorithm.name()), checksum.text());
        output.put("ChecksumType", checksum.kind.name());
    }
}

fn put_encryption(
    buckets: &Buckets,
    bucket: &str,
    mut attributes: Attributes,
    output: &mut Output,
) -> Result<(), Fault> {
    buckets.encrypt_by_default(bucket, &mut attributes)?;
    output.put_some("SSEKMSKeyId", attributes.get(Header::KmsKeyId));
    output.put("ServerSideEncryption", attributes.get(Header::ServerSideEncryption).unwrap_or("AES256"));
    Ok(())
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GetInput {
    bucket: String,
    key: String,
    version_id: Option<String>,
    range: Option<String>,
    part_number: Option<u32>,
    if_match: Option<String>,
    if_none_match: Option<String>,
    checksum_mode: Option<String>,
    expected_bucket_owner: Option<String>,
}

impl GetInput {
    fn read(self, call: &Call) -> Result<(Get, bool), Fault> {
        check_owner(call, self.expected_bucket_owner.as_deref())?;
        let wanted = match (self.range, self.part_number) {
            (Some(_), Some(_)) => return Err(invalid_request("Cannot specify both Range and PartNumber")),
            (None, Some(number)) => Wanted::Part(number),
            // S3 ignores a range that it cannot read.
            (Some(range), None) => s3s::dto::Range::parse(&range).map_or(Wanted::Whole, Wanted::Range),
            (None, None) => Wanted::Whole,
        };
        let get = Get {
            version: version(self.version_id.as_deref())?,
            wanted,
            if_match: self.if_match.as_deref().map(matches),
            if_none_match: self.if_none_match.as_deref().map(matches),
            bucket: self.bucket,
            key: self.key,
            ..Get::default()
        };
        Ok((get, self.checksum_mode.as_deref() == Some("ENABLED")))
    }
}

fn head(buckets: &Buckets, call: &Call, input: GetInput) -> Result<Map<String, Value>, Fault> {
    let (get, with_checksum) = input.read(call)?;
    let headers = buckets.head_object(call, &get)?;
    Ok(told(&headers, with_checksum).0)
}

async fn get(buckets: &Buckets, call: &Call, input: GetInput) -> Result<Map<String, Value>, Fault> {
    let (get, with_checksum) = input.read(call)?;
    let (headers, source) = buckets.get_object(call, &get)?;
    let content = collect(source, headers.range.end - headers.range.start, CONTENT_BYTES_MAX).await?;
    let mut output = told(&headers, with_checksum);
    match String::from_utf8(content.into()) {
        Ok(text) => output.put("Body", text),
        Err(error) => output.put("BodyBase64", BASE64_STANDARD.encode(error.into_bytes())),
    }
    Ok(output.0)
}

/// The whole of a content whose size is known.
pub(crate) async fn collect(mut source: Source, size: u64, bytes_max: u64) -> Result<Bytes, Fault> {
    if size > bytes_max {
        let message = format!("the object has {size} bytes; at most {bytes_max} are handed over within the product");
        return Err(Fault::client("EntityTooLarge", message));
    }
    let mut whole = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
    let mut first = None;
    while let Some(piece) = source.next().await {
        let piece = piece?;
        if whole.is_empty() && first.is_none() && piece.len() as u64 == size {
            first = Some(piece);
            continue;
        }
        whole.extend_from_slice(&piece);
    }
    Ok(first.unwrap_or_else(|| whole.into()))
}

fn told(headers: &Headers, with_checksum: bool) -> Output {
    let (body, range) = (&headers.body, &headers.range);
    let header = |header| body.attributes.get(header);
    let mut output = Output::default();
    output.put("AcceptRanges", "bytes");
    output.put_some("CacheControl", header(Header::CacheControl));
    if with_checksum && !headers.is_partial {
        put_checksum(&mut output, body.checksum.as_ref());
    }
    output.put_some("ContentDisposition", header(Header::ContentDisposition));
    output.put_some("ContentEncoding", header(Header::ContentEncoding));
    output.put_some("ContentLanguage", header(Header::ContentLanguage));
    output.put("ContentLength", range.end - range.start);
    if headers.is_partial {
        let content_range = format!("bytes {}-{}/{}", range.start, range.end.saturating_sub(1), body.size);
        output.put("ContentRange", content_range);
    }
    output.put("ContentType", body.content_type());
    output.put("ETag", format!("\"{}\"", body.etag));
    output.put_some("Expiration", headers.expiration.clone());
    output.put_some("Expires", header(Header::Expires));
    output.put("LastModified", iso(headers.modified));
    output.put("Metadata", json!(body.attributes.metadata));
    output.put_some("PartsCount", headers.parts_count);
    output.put_some("SSEKMSKeyId", header(Header::KmsKeyId));
    output.put("ServerSideEncryption", header(Header::ServerSideEncryption).unwrap_or("AES256"));
    output.put_some("StorageClass", header(Header::StorageClass));
    output.put_some("TagCount", Some(body.tags.len()).filter(|n| *n > 0));
    output.put_some("VersionId", headers.version.map(|v| v.to_string()));
    output.put_some("WebsiteRedirectLocation", header(Header::WebsiteRedirectLocation));
    output
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DeleteInput {
    bucket: String,
    key: String,
    version_id: Option<String>,
    if_match: Option<String>,
    expected_bucket_owner: Option<String>,
}

async fn delete(buckets: &Buckets, call: &Call, input: DeleteInput) -> Result<Map<String, Value>, Fault> {
    check_owner(call, input.expected_bucket_owner.as_deref())?;
    let mut deletion = buckets.deletion(&input.key, version(input.version_id.as_deref())?);
    deletion.condition = input.if_match.as_deref().map(matches).unwrap_or_default();
    let deleted = buckets.delete_object(call, &input.bucket, deletion).await?;
    let mut output = Output::default();
    output.put_some("DeleteMarker", deleted.marker.then_some(true));
    output.put_some("VersionId", deleted.version.map(|v| v.to_string()));
    Ok(output.0)
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DeleteManyInput {
    bucket: String,
    delete: DeleteList,
    expected_bucket_owner: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DeleteList {
    objects: Vec<DeleteEntry>,
    #[serde(default)]
    quiet: bool,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DeleteEntry {
    key: String,
    version_id: Option<String>,
}

async fn delete_many(buckets: &Buckets, call: &Call, input: DeleteManyInput) -> Result<Map<String, Value>, Fault> {
    check_owner(call, input.expected_bucket_owner.as_deref())?;
    let mut deletions = Vec::new();
    for entry in &input.delete.objects {
        deletions.push(buckets.deletion(&entry.key, version(entry.version_id.as_deref())?));
    }
    let results = buckets.delete_objects(call, &input.bucket, deletions).await?;
    let (mut deleted, mut errors) = (Vec::new(), Vec::new());
    for (entry, result) in input.delete.objects.into_iter().zip(results) {
        let mut told = Output::default();
        match result {
            Ok(_) if input.delete.quiet => {}
            Ok(done) => {
                told.put_some("DeleteMarker", done.marker.then_some(true));
                told.put_some("DeleteMarkerVersionId", done.version.filter(|_| done.marker).map(|v| v.to_string()));
                told.put("Key", entry.key);
                told.put_some("VersionId", entry.version_id);
                deleted.push(Value::Object(told.0));
            }
            Err(fault) => {
                told.put("Code", fault.code);
                told.put("Key", entry.key);
                told.put("Message", fault.message);
                told.put_some("VersionId", entry.version_id);
                errors.push(Value::Object(told.0));
            }
        }
    }
    let mut output = Output::default();
    output.put_some("Deleted", Some(deleted).filter(|d| !d.is_empty()));
    output.put_some("Errors", Some(errors).filter(|e| !e.is_empty()));
    Ok(output.0)
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CopyInput {
    bucket: String,
    key: String,
    copy_source: String,
    metadata_directive: Option<String>,
    tagging_directive: Option<String>,
    copy_source_if_match: Option<String>,
    copy_source_if_none_match: Option<String>,
    #[serde(flatten)]
    headers: WriteHeaders,
}

async fn copy(buckets: &Buckets, call: &Call, input: CopyInput) -> Result<Map<String, Value>, Fault> {
    input.headers.check(buckets, call, &input.bucket)?;
    let parsed = s3s::dto::CopySource::parse(&input.copy_source);
    let Ok(s3s::dto::CopySource::Bucket { bucket, key, version_id }) = parsed else {
        return Err(invalid_argument(
            "Copy Source must mention the source bucket and key: sourcebucket/sourcekey",
            "x-amz-copy-source",
            input.copy_source,
        ));
    };
    let replaces = |directive: Option<&str>, name: &str| match directive {
        None | Some("COPY") => Ok(false),
        Some("REPLACE") => Ok(true),
        Some(other) => Err(invalid_argument(&format!("Unknown {name}."), name, other)),
    };
    let replaces_tags = replaces(input.tagging_directive.as_deref(), "TaggingDirective")?;
    let attributes = input.headers.attributes();
    let copy = Copy {
        source: CopySource {
            bucket: bucket.into(),
            key: key.into(),
            version: version(version_id.as_deref())?,
            conditions: CopyConditions {
                if_match: input.copy_source_if_match.as_deref().map(matches),
                if_none_match: input.copy_source_if_none_match.as_deref().map(matches),
                ..CopyConditions::default()
            },
        },
        replaces_metadata: replaces(input.metadata_directive.as_deref(), "MetadataDirective")?,
        tags: if replaces_tags { Some(input.headers.tags()?) } else { None },
        algorithm: input.headers.algorithm()?,
        condition: input.headers.condition()?,
        attributes: attributes.clone(),
        bucket: input.bucket.clone(),
        key: input.key,
    };
    let written = buckets.copy_object(call, copy).await?;
    let mut result = Output::default();
    put_checksum(&mut result, written.checksum.as_ref());
    result.put("ETag", format!("\"{}\"", written.etag));
    result.put("LastModified", iso(written.modified));
    let mut output = Output::default();
    output.put("CopyObjectResult", Value::Object(result.0));
    output.put_some("CopySourceVersionId", written.source.map(|v| v.to_string()));
    put_encryption(buckets, &input.bucket, attributes, &mut output)?;
    output.put_some("VersionId", written.version.map(|v| v.to_string()));
    Ok(output.0)
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListInput {
    bucket: String,
    prefix: Option<String>,
    delimiter: Option<String>,
    start_after: Option<String>,
    continuation_token: Option<String>,
    max_keys: Option<i64>,
    expected_bucket_owner: Option<String>,
}

async fn list(buckets: &Buckets, call: &Call, input: ListInput) -> Result<Map<String, Value>, Fault> {
    check_owner(call, input.expected_bucket_owner.as_deref())?;
    buckets.bucket(call, &input.bucket)?;
    let prefix = input.prefix.unwrap_or_default();
    let max = usize::try_from(input.max_keys.unwrap_or(LIST_KEYS_MAX as i64))
        .map_err(|_| invalid_argument("MaxKeys must not be negative", "MaxKeys", ""))?
        .min(LIST_KEYS_MAX);
    let after = match (&input.continuation_token, &input.start_after) {
        (Some(token), _) => After::of_token(token)?,
        (None, Some(start)) => After::marker(start, &prefix, input.delimiter.as_deref()),
        (None, None) => After::Nothing,
    };
    let query = Query { prefix: prefix.clone(), delimiter: input.delimiter.clone(), after, max };
    let bucket = input.bucket.clone();
    let page = buckets.read(move |store| Ok(list::objects(store, &bucket, &query)?)).await?;
    let mut output = Output::default();
    if !page.prefixes.is_empty() {
        let prefixes: Vec<Value> = page.prefixes.iter().map(|p| json!({ "Prefix": p })).collect();
        output.put("CommonPrefixes", prefixes);
    }
    let contents: Vec<Value> = page.entries.iter().map(|(key, object)| entry(key, object)).collect();
    let count = contents.len() + page.prefixes.len();
    if !contents.is_empty() {
        output.put("Contents", contents);
    }
    output.put_some("ContinuationToken", input.continuation_token);
    output.put_some("Delimiter", input.delimiter);
    output.put("IsTruncated", page.next.is_some());
    output.put("KeyCount", count);
    output.put("MaxKeys", max);
    output.put("Name", input.bucket);
    output.put_some("NextContinuationToken", page.next.as_ref().map(After::token));
    output.put("Prefix", prefix);
    output.put_some("StartAfter", input.start_after);
    Ok(output.0)
}

fn entry(key: &str, object: &Object) -> Value {
    let mut told = Output::default();
    if let Some(body) = &object.body {
        told.put_some("ChecksumAlgorithm", body.checksum.as_ref().map(|c| vec![c.algorithm.name()]));
        told.put_some("ChecksumType", body.checksum.as_ref().map(|c| c.kind.name()));
        told.put("ETag", format!("\"{}\"", body.etag));
        told.put("Key", key);
        told.put("LastModified", iso(object.modified));
        told.put("Size", body.size);
        told.put("StorageClass", body.storage_class());
    }
    Value::Object(told.0)
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct TagsInput {
    bucket: String,
    key: String,
    version_id: Option<String>,
    tagging: Option<Value>,
    expected_bucket_owner: Option<String>,
}

fn tags(buckets: &Buckets, call: &Call, input: &TagsInput) -> Result<Map<String, Value>, Fault> {
    check_owner(call, input.expected_bucket_owner.as_deref())?;
    let version = version(input.version_id.as_deref())?;
    let get = Get { bucket: input.bucket.clone(), key: input.key.clone(), version, ..Get::default() };
    let headers = buckets.head_object(call, &get)?;
    let mut output = Output::default();
    output.put("TagSet", crate::settings::tag_set(&headers.body.tags));
    output.put_some("VersionId", headers.version.map(|v| v.to_string()));
    Ok(output.0)
}

async fn put_tags(buckets: &Buckets, call: &Call, input: TagsInput) -> Result<Map<String, Value>, Fault> {
    check_owner(call, input.expected_bucket_owner.as_deref())?;
    let tags = crate::settings::tags_of(&input.tagging.unwrap_or_default()["TagSet"])?;
    let version = version(input.version_id.as_deref())?;
    let told = buckets.put_tags(call, &input.bucket, &input.key, version, tags).await?;
    let mut output = Output::default();
    output.put_some("VersionId", told.map(|v| v.to_string()));
    Ok(output.0)
}
