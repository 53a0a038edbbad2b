//! Objects as item readers want them, through the registry's S3 operations.

use std::sync::Arc;

use async_trait::async_trait;
use base::Timestamp;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures::{StreamExt, stream};
use items::{Listed, Listing, ListingPage, ObjectError, ObjectRef, Opened};
use serde_json::{Value, json};

use super::Run;
use super::driver::{Driver, Refused};

/// Bytes that are fetched at once.
const PIECE_BYTES: u64 = 1024 * 1024;

/// The objects that a Map Run's role sees.
pub(super) struct S3Objects {
    pub driver: Arc<Driver>,
    pub run: Arc<Run>,
}

/// An object that is being read: which bytes come next.
struct Reading {
    driver: Arc<Driver>,
    run: Arc<Run>,
    object: ObjectRef,
    etag: String,
    offset: u64,
    size: u64,
}

#[async_trait]
impl items::Objects for S3Objects {
    async fn open(&self, object: &ObjectRef, offset: u64) -> Result<Opened, ObjectError> {
        let (size, etag) = self.head(object).await?;
        let reading = Reading {
            driver: self.driver.clone(),
            run: self.run.clone(),
            object: object.clone(),
            etag: etag.clone(),
            offset,
            size,
        };
        let pieces = stream::unfold(Some(reading), |reading| async {
            let mut reading = reading.filter(|r| r.offset < r.size)?;
            let length = PIECE_BYTES.min(reading.size - reading.offset);
            let Reading { driver, run, object, etag, offset, .. } = &reading;
            match get(driver, run, object, Some(etag), *offset, length).await {
                Ok(piece) => {
                    reading.offset += piece.len() as u64;
                    Some((Ok(piece), Some(reading)))
                }
                Err(error) => Some((Err(error), None)),
            }
        });
        Ok(Opened { size, etag, source: pieces.boxed() })
    }

    async fn read(&self, object: &ObjectRef, offset: u64, length: u64) -> Result<Bytes, ObjectError> {
        let (size, etag) = self.head(object).await?;
        let end = size.min(offset.saturating_add(length));
        let mut whole = Vec::with_capacity(usize::try_from(end.saturating_sub(offset)).unwrap_or(0));
        let mut at = offset;
        while at < end {
            let piece = get(&self.driver, &self.run, object, Some(&etag), at, PIECE_BYTES.min(end - at)).await?;
            at += piece.len() as u64;
            whole.extend_from_slice(&piece);
        }
        Ok(whole.into())
    }

    async fn list(&self, listing: &Listing, start_after: Option<&str>) -> Result<ListingPage, ObjectError> {
        let mut input = json!({"Bucket": listing.bucket});
        put(&mut input, "Prefix", listing.prefix.as_deref());
        put(&mut input, "StartAfter", start_after.or(listing.start_after.as_deref()));
        let answer = self.driver.call(&self.run, "s3", "ListObjectsV2", input).await.map_err(failed)?;
        let contents = answer.get("Contents").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let objects = contents.iter().map(listed).collect::<Option<Vec<_>>>();
        let objects = objects.ok_or_else(|| ObjectError("The objects of the bucket cannot be listed.".to_owned()))?;
        Ok(ListingPage { objects, more: answer.get("IsTruncated").and_then(Value::as_bool).unwrap_or(false) })
    }
}

impl S3Objects {
    async fn head(&self, object: &ObjectRef) -> Result<(u64, String), ObjectError> {
        let answer = self.driver.call(&self.run, "s3", "HeadObject", named(object)).await.map_err(failed)?;
        let size = answer.get("ContentLength").and_then(Value::as_u64);
        let etag = answer.get("ETag").and_then(Value::as_str);
        match (size, etag) {
            (Some(size), Some(etag)) => Ok((size, etag.to_owned())),
            _ => Err(ObjectError(format!("The object {} cannot be read.", object.key))),
        }
    }
}

/// At least one byte, at most `length`; the object must still be the one with that ETag.
async fn get(
    driver: &Driver,
    run: &Run,
    object: &ObjectRef,
    etag: Option<&str>,
    offset: u64,
    length: u64,
) -> Result<Bytes, ObjectError> {
    let mut input = named(object);
    input["Range"] = format!("bytes={offset}-{}", offset + length - 1).into();
    put(&mut input, "IfMatch", etag);
    let mut answer = driver.call(run, "s3", "GetObject", input).await.map_err(failed)?;
    let bytes = match (answer.get_mut("Body").map(Value::take), answer.get("BodyBase64")) {
        (Some(Value::String(text)), _) => Bytes::from(text),
        (_, Some(Value::String(text))) => STANDARD.decode(text).unwrap_or_default().into(),
        _ => Bytes::new(),
    };
    if bytes.is_empty() {
        return Err(ObjectError(format!("The object {} cannot be read.", object.key)));
    }
    Ok(bytes)
}

fn named(object: &ObjectRef) -> Value {
    let mut input = json!({"Bucket": object.bucket, "Key": object.key});
    put(&mut input, "VersionId", object.version_id.as_deref());
    input
}

fn put(input: &mut Value, name: &str, value: Option<&str>) {
    if let Some(value) = value {
        input[name] = value.into();
    }
}

fn listed(entry: &Value) -> Option<Listed> {
    let text = |name: &str| entry.get(name).and_then(Value::as_str);
    Some(Listed {
        key: text("Key")?.to_owned(),
        etag: text("ETag")?.to_owned(),
        size: entry.get("Size").and_then(Value::as_u64)?,
        modified: Timestamp::parse_rfc3339(text("LastModified")?).ok()?,
        storage_class: text("StorageClass").unwrap_or("STANDARD").to_owned(),
    })
}

/// As AWS's SDK words it.
pub(super) fn wording(Refused { fault, request_id }: &Refused) -> String {
    format!(
        "{} (Service: Amazon S3; Status Code: {}; Error Code: {}; Request ID: {request_id}; S3 Extended Request ID: {request_id}; Proxy: null)",
        fault.message, fault.status, fault.code
    )
}

fn failed(refused: Refused) -> ObjectError {
    ObjectError(wording(&refused))
}
