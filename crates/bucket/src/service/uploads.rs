//! Multipart uploads, for callers in the same process.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Map, Value};
use service::{Call, Fault};

use super::objects::{WriteHeaders, check_owner, source};
use super::{CONTENT_BYTES_MAX, Output, Registration, iso};
use crate::api::{CreateUpload, PutPart};
use crate::fault::{invalid_argument, invalid_request, too_large};
use crate::list::{self, After, LIST_KEYS_MAX, Query};
use crate::machine::{CompletedPart, Completion, Condition};
use crate::stage::Expected;
use crate::{Buckets, PARTS_MAX};

pub(super) fn register(registration: &mut Registration) {
    registration.operation("CreateMultipartUpload", |b, call, input| async move { create(&b, &call, input).await });
    registration.operation("UploadPart", |b, call, input| async move { put_part(&b, &call, input).await });
    registration.operation("CompleteMultipartUpload", |b, call, input| async move { complete(&b, &call, input).await });
    registration.operation("AbortMultipartUpload", |b, call, input| async move { abort(&b, &call, input).await });
    registration.operation("ListMultipartUploads", |b, call, input| async move { list(&b, &call, input).await });
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CreateInput {
    bucket: String,
    key: String,
    #[serde(flatten)]
    headers: WriteHeaders,
}

async fn create(buckets: &Buckets, call: &Call, input: CreateInput) -> Result<Map<String, Value>, Fault> {
    input.headers.check(buckets, call, &input.bucket)?;
    let new = CreateUpload {
        attributes: input.headers.attributes(),
        tags: input.headers.tags()?,
        algorithm: input.headers.algorithm()?,
        kind: None,
        bucket: input.bucket.clone(),
        key: input.key.clone(),
    };
    let (upload_id, upload) = buckets.create_upload(call, new).await?;
    let mut output = Output::default();
    output.put("Bucket", input.bucket);
    output.put_some("ChecksumAlgorithm", upload.algorithm.map(|a| a.name()));
    output.put("Key", input.key);
    output.put("UploadId", upload_id);
    Ok(output.0)
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PartInput {
    bucket: String,
    key: String,
    upload_id: String,
    part_number: u32,
    body: Option<Value>,
    body_base64: Option<String>,
    expected_bucket_owner: Option<String>,
}

async fn put_part(buckets: &Buckets, call: &Call, input: PartInput) -> Result<Map<String, Value>, Fault> {
    check_owner(call, input.expected_bucket_owner.as_deref())?;
    let content: Bytes = match (input.body, input.body_base64) {
        (Some(_), Some(_)) => return Err(invalid_request("Body and BodyBase64 exclude each other")),
        (None, Some(text)) => BASE64_STANDARD
            .decode(text)
            .map_err(|_| invalid_argument("BodyBase64 is no base64", "BodyBase64", ""))?
            .into(),
        (None | Some(Value::Null), None) => Bytes::new(),
        (Some(Value::String(text)), None) => text.into(),
        (Some(value), None) => value.to_string().into(),
    };
    if content.len() as u64 > CONTENT_BYTES_MAX {
        return Err(too_large(content.len() as u64, CONTENT_BYTES_MAX));
    }
    let part = PutPart {
        bucket: input.bucket,
        key: input.key,
        upload_id: input.upload_id,
        number: input.part_number,
        expected: Expected { length: Some(content.len() as u64), ..Expected::default() },
    };
    let (written, _) = buckets.put_part(call, part, source(content)).await?;
    let mut output = Output::default();
    output.put("ETag", format!("\"{}\"", written.etag));
    Ok(output.0)
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CompleteInput {
    bucket: String,
    key: String,
    upload_id: String,
    multipart_upload: Option<Parts>,
    expected_bucket_owner: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Parts {
    parts: Vec<Part>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Part {
    part_number: u32,
    #[serde(rename = "ETag")]
    etag: String,
}

async fn complete(buckets: &Buckets, call: &Call, input: CompleteInput) -> Result<Map<String, Value>, Fault> {
    check_owner(call, input.expected_bucket_owner.as_deref())?;
    let parts = input.multipart_upload.map_or_else(Vec::new, |upload| upload.parts);
    if parts.len() > PARTS_MAX {
        return Err(crate::fault::malformed_xml());
    }
    let part = |Part { part_number, etag }| CompletedPart {
        number: part_number,
        etag: etag.trim_matches('"').to_owned(),
        checksum: None,
    };
    let completion = Completion {
        key: input.key.clone(),
        upload_id: input.upload_id,
        parts: parts.into_iter().map(part).collect(),
        condition: Condition::Always,
        size: None,
        checksum: None,
        kind: None,
        manifest: buckets.new_id(),
        nonce: buckets.nonce(),
    };
    let written = buckets.complete_upload(call, &input.bucket, completion).await?;
    let path = percent_encoding::utf8_percent_encode(&input.key, percent_encoding::NON_ALPHANUMERIC);
    let mut output = Output::default();
    output.put("Bucket", input.bucket.as_str());
    output.put("ETag", format!("\"{}\"", written.etag));
    output.put("Key", input.key.as_str());
    output.put("Location", format!("{}/{}/{path}", call.endpoint, input.bucket));
    output.put_some("VersionId", written.version.map(|v| v.to_string()));
    Ok(output.0)
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct AbortInput {
    bucket: String,
    key: String,
    upload_id: String,
    expected_bucket_owner: Option<String>,
}

async fn abort(buckets: &Buckets, call: &Call, input: AbortInput) -> Result<Map<String, Value>, Fault> {
    check_owner(call, input.expected_bucket_owner.as_deref())?;
    buckets.abort_upload(call, &input.bucket, &input.key, &input.upload_id).await?;
    Ok(Map::new())
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListInput {
    bucket: String,
    prefix: Option<String>,
    delimiter: Option<String>,
    key_marker: Option<String>,
    upload_id_marker: Option<String>,
    max_uploads: Option<i64>,
    expected_bucket_owner: Option<String>,
}

async fn list(buckets: &Buckets, call: &Call, input: ListInput) -> Result<Map<String, Value>, Fault> {
    check_owner(call, input.expected_bucket_owner.as_deref())?;
    buckets.bucket(call, &input.bucket)?;
    let (prefix, marker) = (input.prefix.unwrap_or_default(), input.key_marker.unwrap_or_default());
    let max = usize::try_from(input.max_uploads.unwrap_or(LIST_KEYS_MAX as i64))
        .map_err(|_| invalid_argument("MaxUploads must not be negative", "MaxUploads", ""))?
        .min(LIST_KEYS_MAX);
    let after = After::marker(&marker, &prefix, input.delimiter.as_deref());
    let query = Query { prefix: prefix.clone(), delimiter: input.delimiter, after, max };
    let id_marker = input.upload_id_marker.filter(|id| !id.is_empty() && !marker.is_empty());
    let (bucket, resume) = (input.bucket.clone(), id_marker.map(|id| (marker, id)));
    let read = move |store: &dyn store::Store| {
        let after = resume.as_ref().map(|(key, id)| (key.as_str(), id.as_str()));
        Ok(list::uploads(store, &bucket, &query, after)?)
    };
    let page = buckets.read(read).await?;
    let more = page.next.is_some();
    let last = page.entries.last().map(|(key, id, _)| (key.clone(), id.clone())).filter(|_| more);
    let upload = |(key, id, upload): (String, String, crate::bucket_record::Upload)| {
        let mut told = Output::default();
        told.put("Initiated", iso(upload.initiated));
        told.put("Key", key);
        told.put("UploadId", id);
        Value::Object(told.0)
    };
    let uploads: Vec<Value> = page.entries.into_iter().map(upload).collect();
    let mut output = Output::default();
    output.put("Bucket", input.bucket);
    output.put("IsTruncated", more);
    output.put("MaxUploads", max);
    output.put_some("NextKeyMarker", last.as_ref().map(|(key, _)| key.as_str()));
    output.put_some("NextUploadIdMarker", last.as_ref().map(|(_, id)| id.as_str()));
    output.put("Prefix", prefix);
    output.put_some("Uploads", Some(uploads).filter(|u| !u.is_empty()));
    Ok(output.0)
}
