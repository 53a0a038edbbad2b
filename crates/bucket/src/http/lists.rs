//! Listings of a bucket.

use std::sync::Arc;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use s3s::dto::*;
use s3s::{S3Request, S3Response};
use service::Fault;

use super::convert::*;
use super::exchange::Exchange;
use super::s3::Api;
use crate::fault::{Error as ReadError, invalid_argument};
use crate::list::{self, After, LIST_KEYS_MAX, Page, Query};
use crate::record::Object as StoredObject;

type Answered<T> = Result<S3Response<T>, Fault>;

/// What S3 leaves as it is in keys of listings with `encoding-type=url`.
const KEPT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'*').remove(b'/');

/// How keys are written.
#[derive(Clone, Copy)]
struct Encoding(bool);

impl Encoding {
    fn of(asked: Option<&EncodingType>) -> Result<Encoding, Fault> {
        match asked.map(EncodingType::as_str) {
            None => Ok(Encoding(false)),
            Some("url") => Ok(Encoding(true)),
            Some(other) => {
                Err(invalid_argument("Invalid Encoding Method specified in Request", "encoding-type", other))
            }
        }
    }

    fn text(self, text: &str) -> String {
        if self.0 { utf8_percent_encode(text, KEPT).to_string().replace("%20", "+") } else { text.to_owned() }
    }

    fn prefixes(self, prefixes: Vec<String>) -> Option<Vec<CommonPrefix>> {
        let told: Vec<CommonPrefix> =
            prefixes.iter().map(|prefix| CommonPrefix { prefix: Some(self.text(prefix)) }).collect();
        Some(told).filter(|p| !p.is_empty())
    }

    fn told(self) -> Option<EncodingType> {
        self.0.then(|| EncodingType::from_static(EncodingType::URL))
    }
}

fn checksum_algorithms(object: &StoredObject) -> (Option<Vec<ChecksumAlgorithm>>, Option<ChecksumType>) {
    let checksum = object.body.as_ref().and_then(|b| b.checksum.as_ref());
    let algorithm = checksum.map(|c| vec![ChecksumAlgorithm::from_static(c.algorithm.name())]);
    (algorithm, checksum_kind(checksum))
}

fn told_object(key: &str, object: &StoredObject, owner: Option<Owner>, encoding: Encoding) -> Object {
    let (checksum_algorithm, checksum_type) = checksum_algorithms(object);
    let body = object.body.as_ref();
    Object {
        key: Some(encoding.text(key)),
        e_tag: body.and_then(|b| etag(&b.etag)),
        size: body.and_then(|b| i64::try_from(b.size).ok()),
        storage_class: body.map(|b| ObjectStorageClass::from(b.storage_class().to_owned())),
        last_modified: told_time(object.modified),
        checksum_algorithm,
        checksum_type,
        owner,
        ..Object::default()
    }
}

impl Api {
    async fn page(&self, x: &Exchange, bucket: &str, query: Query) -> Result<Page<(String, StoredObject)>, Fault> {
        self.buckets.bucket(&x.call, bucket)?;
        let bucket = bucket.to_owned();
        self.buckets.read(move |store| Ok(list::objects(store, &bucket, &query)?)).await
    }

    pub(super) async fn list_v2(
        &self,
        x: &Arc<Exchange>,
        request: S3Request<ListObjectsV2Input>,
    ) -> Answered<ListObjectsV2Output> {
        let input = request.input;
        check_owner(x, input.expected_bucket_owner.as_ref())?;
        let encoding = Encoding::of(input.encoding_type.as_ref())?;
        let max = count(input.max_keys, "maxKeys", LIST_KEYS_MAX)?;
        let prefix = input.prefix.clone().unwrap_or_default();
        let after = match (&input.continuation_token, &input.start_after) {
            (Some(token), _) => After::of_token(token)?,
            (None, Some(start)) => After::marker(start, &prefix, input.delimiter.as_deref()),
            (None, None) => After::Nothing,
        };
        let query = Query { prefix: prefix.clone(), delimiter: input.delimiter.clone(), after, max };
        let page = self.page(x, &input.bucket, query).await?;
        let owner = owner(x.call.scope.account()).filter(|_| input.fetch_owner == Some(true));
        let contents: Vec<Object> =
            page.entries.iter().map(|(key, object)| told_object(key, object, owner.clone(), encoding)).collect();
        Ok(S3Response::new(ListObjectsV2Output {
            name: Some(input.bucket),
            prefix: Some(encoding.text(&prefix)),
            max_keys: i32::try_from(max).ok(),
            key_count: i32::try_from(contents.len() + page.prefixes.len()).ok(),
            continuation_token: input.continuation_token,
            is_truncated: Some(page.next.is_some()),
            next_continuation_token: page.next.as_ref().map(After::token),
            contents: Some(contents).filter(|c| !c.is_empty()),
            common_prefixes: encoding.prefixes(page.prefixes),
            delimiter: input.delimiter.map(|d| encoding.text(&d)),
            encoding_type: encoding.told(),
            start_after: input.start_after.map(|s| encoding.text(&s)),
            request_charged: None,
        }))
    }

    pub(super) async fn list_v1(
        &self,
        x: &Arc<Exchange>,
        request: S3Request<ListObjectsInput>,
    ) -> Answered<ListObjectsOutput> {
        let input = request.input;
        check_owner(x, input.expected_bucket_owner.as_ref())?;
        let encoding = Encoding::of(input.encoding_type.as_ref())?;
        let max = count(input.max_keys, "maxKeys", LIST_KEYS_MAX)?;
        let prefix = input.prefix.clone().unwrap_or_default();
        let marker = input.marker.clone().unwrap_or_default();
        let after = After::marker(&marker, &prefix, input.delimiter.as_deref());
        let query = Query { prefix: prefix.clone(), delimiter: input.delimiter.clone(), after, max };
        let page = self.page(x, &input.bucket, query).await?;
        let owner = owner(x.call.scope.account());
        let contents: Vec<Object> =
            page.entries.iter().map(|(key, object)| told_object(key, object, owner.clone(), encoding)).collect();
        // Without a delimiter the last key is the marker, and S3 does not repeat it.
        let next_marker = page.next.as_ref().filter(|_| input.delimiter.is_some()).map(|next| match next {
            After::Nothing => String::new(),
            After::Key(key) => encoding.text(key),
            After::Prefix(prefix) => encoding.text(prefix),
        });
        Ok(S3Response::new(ListObjectsOutput {
            name: Some(input.bucket),
            prefix: Some(encoding.text(&prefix)),
            marker: Some(encoding.text(&marker)),
            max_keys: i32::try_from(max).ok(),
            is_truncated: Some(page.next.is_some()),
            contents: Some(contents).filter(|c| !c.is_empty()),
            common_prefixes: encoding.prefixes(page.prefixes),
            delimiter: input.delimiter.map(|d| encoding.text(&d)),
            next_marker,
            encoding_type: encoding.told(),
            request_charged: None,
        }))
    }

    pub(super) async fn list_versions(
        &self,
        x: &Arc<Exchange>,
        request: S3Request<ListObjectVersionsInput>,
    ) -> Answered<ListObjectVersionsOutput> {
        let input = request.input;
        check_owner(x, input.expected_bucket_owner.as_ref())?;
        let encoding = Encoding::of(input.encoding_type.as_ref())?;
        let max = count(input.max_keys, "maxKeys", LIST_KEYS_MAX)?;
        let prefix = input.prefix.clone().unwrap_or_default();
        let marker = input.key_marker.clone().unwrap_or_default();
        let version_marker = version(input.version_id_marker.as_deref().filter(|v| !v.is_empty()))?;
        if version_marker.is_some() && marker.is_empty() {
            let message = "A version-id marker cannot be specified without a key marker.";
            return Err(invalid_argument(message, "version-id-marker", ""));
        }
        let after = After::marker(&marker, &prefix, input.delimiter.as_deref());
        let query = Query { prefix: prefix.clone(), delimiter: input.delimiter.clone(), after, max };
        self.buckets.bucket(&x.call, &input.bucket)?;
        let (bucket, resume) = (input.bucket.clone(), version_marker.map(|v| (marker.clone(), v)));
        let page = self
            .buckets
            .read(move |store| {
                let after = resume.as_ref().map(|(key, version)| (key.as_str(), *version));
                Ok(list::versions(store, &bucket, &query, after)?)
            })
            .await?;
        let last = page.entries.last().map(|v| (v.key.clone(), v.object.version_id().to_string()));
        let (next_key, next_version) = match &page.next {
            None | Some(After::Nothing) => (None, None),
            Some(After::Prefix(prefix)) => (Some(prefix.clone()), None),
            Some(After::Key(_)) => last.unzip(),
        };
        let (mut versions, mut markers) = (Vec::new(), Vec::new());
        let owner = owner(x.call.scope.account());
        for entry in &page.entries {
            match told_version(entry, owner.clone(), encoding) {
                Ok(version) => versions.push(version),
                Err(marker) => markers.push(marker),
            }
        }
        Ok(S3Response::new(ListObjectVersionsOutput {
            name: Some(input.bucket),
            prefix: Some(encoding.text(&prefix)),
            key_marker: Some(encoding.text(&marker)),
            version_id_marker: Some(input.version_id_marker.unwrap_or_default()),
            max_keys: i32::try_from(max).ok(),
            is_truncated: Some(page.next.is_some()),
            next_key_marker: next_key.map(|k| encoding.text(&k)),
            next_version_id_marker: next_version,
            versions: Some(versions).filter(|v| !v.is_empty()),
            delete_markers: Some(markers).filter(|m| !m.is_empty()),
            common_prefixes: encoding.prefixes(page.prefixes),
            delimiter: input.delimiter.map(|d| encoding.text(&d)),
            encoding_type: encoding.told(),
            request_charged: None,
        }))
    }

    pub(super) async fn list_uploads(
        &self,
        x: &Arc<Exchange>,
        request: S3Request<ListMultipartUploadsInput>,
    ) -> Answered<ListMultipartUploadsOutput> {
        let input = request.input;
        check_owner(x, input.expected_bucket_owner.as_ref())?;
        let encoding = Encoding::of(input.encoding_type.as_ref())?;
        let max = count(input.max_uploads, "max-uploads", LIST_KEYS_MAX)?;
        let prefix = input.prefix.clone().unwrap_or_default();
        let marker = input.key_marker.clone().unwrap_or_default();
        let id_marker = input.upload_id_marker.clone().filter(|id| !id.is_empty() && !marker.is_empty());
        let after = After::marker(&marker, &prefix, input.delimiter.as_deref());
        let query = Query { prefix: prefix.clone(), delimiter: input.delimiter.clone(), after, max };
        self.buckets.bucket(&x.call, &input.bucket)?;
        let (bucket, resume) = (input.bucket.clone(), id_marker.map(|id| (marker.clone(), id)));
        let read = move |store: &dyn store::Store| {
            let after = resume.as_ref().map(|(key, id)| (key.as_str(), id.as_str()));
            list::uploads(store, &bucket, &query, after).map_err(|e: ReadError| e.into())
        };
        let page = self.buckets.read(read).await?;
        let (next_key, next_id) = match &page.next {
            None | Some(After::Nothing) => (None, None),
            Some(After::Prefix(prefix)) => (Some(prefix.clone()), None),
            Some(After::Key(_)) => page.entries.last().map(|(key, id, _)| (key.clone(), id.clone())).unzip(),
        };
        let account = x.call.scope.account();
        let uploads: Vec<MultipartUpload> = page
            .entries
            .into_iter()
            .map(|(key, id, upload)| MultipartUpload {
                key: Some(encoding.text(&key)),
                upload_id: Some(id),
                initiated: told_time(upload.initiated),
                initiator: Some(Initiator { display_name: None, id: Some(canonical_user(account)) }),
                owner: owner(account),
                storage_class: Some(StorageClass::from(
                    upload.attributes.get(crate::record::Header::StorageClass).unwrap_or("STANDARD").to_owned(),
                )),
                checksum_algorithm: upload.algorithm.map(|a| ChecksumAlgorithm::from_static(a.name())),
                checksum_type: upload.algorithm.map(|_| ChecksumType::from_static(upload.kind.name())),
            })
            .collect();
        Ok(S3Response::new(ListMultipartUploadsOutput {
            bucket: Some(input.bucket),
            prefix: Some(encoding.text(&prefix)),
            key_marker: Some(encoding.text(&marker)),
            upload_id_marker: Some(input.upload_id_marker.unwrap_or_default()),
            max_uploads: i32::try_from(max).ok(),
            is_truncated: Some(page.next.is_some()),
            next_key_marker: next_key.map(|k| encoding.text(&k)),
            next_upload_id_marker: next_id,
            uploads: Some(uploads).filter(|u| !u.is_empty()),
            common_prefixes: encoding.prefixes(page.prefixes),
            delimiter: input.delimiter.map(|d| encoding.text(&d)),
            encoding_type: encoding.told(),
            request_charged: None,
        }))
    }
}

/// A version, or a delete marker.
fn told_version(
    entry: &list::Version,
    owner: Option<Owner>,
    encoding: Encoding,
) -> Result<ObjectVersion, DeleteMarkerEntry> {
    let object = &entry.object;
    let (key, version_id) = (Some(encoding.text(&entry.key)), Some(object.version_id().to_string()));
    let (is_latest, last_modified) = (Some(entry.is_latest), told_time(object.modified));
    let Some(body) = &object.body else {
        return Err(DeleteMarkerEntry { is_latest, key, last_modified, owner, version_id });
    };
    let (checksum_algorithm, checksum_type) = checksum_algorithms(object);
    Ok(ObjectVersion {
        checksum_algorithm,
        checksum_type,
        e_tag: etag(&body.etag),
        is_latest,
        key,
        last_modified,
        owner,
        size: i64::try_from(body.size).ok(),
        storage_class: Some(ObjectVersionStorageClass::from(body.storage_class().to_owned())),
        version_id,
        restore_status: None,
    })
}
