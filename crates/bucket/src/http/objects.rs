//! Operations on objects.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::Stream;
use s3s::dto::*;
use s3s::stream::{ByteStream, RemainingLength};
use s3s::{S3Request, S3Response, StdError};
use service::Fault;

use super::convert::{self, *};
use super::exchange::Exchange;
use super::s3::Api;
use crate::api::{self, Get, Headers, PutObject, Wanted};
use crate::checksum::Algorithm;
use crate::fault::{self, invalid_request, not_implemented};
use crate::machine::{Condition, Written};
use crate::record::{Attributes, Header};
use crate::stage::{Expected, Source};

type Answered<T> = Result<S3Response<T>, Fault>;

/// Content on its way out.
struct Outgoing {
    // The mutex is never locked; it makes the stream shareable, which s3s asks for.
    source: Mutex<Source>,
    left: u64,
}

impl Stream for Outgoing {
    type Item = Result<Bytes, StdError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Ok(source) = self.source.get_mut() else { return Poll::Ready(None) };
        let polled = source.as_mut().poll_next(cx);
        if let Poll::Ready(Some(Ok(data))) = &polled {
            self.left = self.left.saturating_sub(data.len() as u64);
        }
        polled.map(|item| item.map(|piece| piece.map_err(|fault| fault.to_string().into())))
    }
}

impl ByteStream for Outgoing {
    fn remaining_length(&self) -> RemainingLength {
        RemainingLength::new_exact(usize::try_from(self.left).unwrap_or(usize::MAX))
    }
}

/// Canned ACLs that say no more than "the owner may".
pub(super) fn is_plain_acl(acl: Option<&str>) -> bool {
    matches!(acl, None | Some("private" | "bucket-owner-full-control"))
}

/// What reads ask for, of GetObject's and HeadObject's inputs.
macro_rules! get {
    ($input:expr) => {
        Get {
            wanted: match ($input.range, $input.part_number) {
                (Some(_), Some(_)) => {
                    return Err(invalid_request("Cannot specify both Range header and partNumber query parameter"))
                }
                (Some(range), None) => Wanted::Range(range),
                (None, Some(number)) => Wanted::Part(u32::try_from(number).unwrap_or(0)),
                (None, None) => Wanted::Whole,
            },
            version: version($input.version_id.as_deref())?,
            if_match: if_match($input.if_match.as_ref()),
            if_none_match: if_match($input.if_none_match.as_ref()),
            if_modified_since: time($input.if_modified_since.as_ref()),
            if_unmodified_since: time($input.if_unmodified_since.as_ref()),
            bucket: $input.bucket,
            key: $input.key,
        }
    };
}

/// What GetObject and HeadObject tell alike.
macro_rules! set_headers {
    ($output:expr, $headers:expr, $with_checksum:expr) => {
        let Headers { body, modified, version, range, is_partial, parts_count, expiration } = $headers;
        $output.accept_ranges = Some("bytes".to_owned());
        $output.cache_control = body.attributes.get(Header::CacheControl).map(str::to_owned);
        $output.content_disposition = body.attributes.get(Header::ContentDisposition).map(str::to_owned);
        $output.content_encoding = body.attributes.get(Header::ContentEncoding).map(str::to_owned);
        $output.content_language = body.attributes.get(Header::ContentLanguage).map(str::to_owned);
        $output.content_type = Some(body.content_type().to_owned());
        $output.content_length = i64::try_from(range.end - range.start).ok();
        if is_partial {
            $output.content_range =
                Some(format!("bytes {}-{}/{}", range.start, range.end.saturating_sub(1), body.size));
        }
        $output.e_tag = etag(&body.etag);
        $output.expires = body
            .attributes
            .get(Header::Expires)
            .and_then(|text| Timestamp::parse(TimestampFormat::HttpDate, text).ok());
        $output.last_modified = told_time(modified);
        $output.metadata = Some(body.attributes.metadata.clone().into_iter().collect::<HashMap<_, _>>());
        $output.parts_count = parts_count.and_then(|n| i32::try_from(n).ok());
        $output.version_id = version.map(|v| v.to_string());
        $output.expiration = expiration;
        $output.website_redirect_location = body.attributes.get(Header::WebsiteRedirectLocation).map(str::to_owned);
        if body.storage_class() != "STANDARD" {
            $output.storage_class = Some(StorageClass::from(body.storage_class().to_owned()));
        }
        set_encryption!($output, body.attributes);
        if $with_checksum && !is_partial {
            set_checksum!($output, &body.checksum);
            $output.checksum_type = checksum_kind(body.checksum.as_ref());
        }
    };
}

fn wants_checksum(mode: Option<&ChecksumMode>) -> bool {
    mode.is_some_and(|m| m.as_str().eq_ignore_ascii_case("ENABLED"))
}

impl Api {
    pub(super) async fn get(&self, x: &Arc<Exchange>, request: S3Request<GetObjectInput>) -> Answered<GetObjectOutput> {
        let input = request.input;
        check_owner(x, input.expected_bucket_owner.as_ref())?;
        if input.sse_customer_key.is_some() {
            return Err(not_implemented("server-side encryption with customer-provided keys (SSE-C)"));
        }
        let with_checksum = wants_checksum(input.checksum_mode.as_ref());
        let get = get!(input);
        let (headers, source) = self.buckets.get_object(&x.call, &get)?;
        let mut output = GetObjectOutput::default();
        let left = headers.range.end - headers.range.start;
        output.body = Some(StreamingBlob::new(Outgoing { source: Mutex::new(source), left }));
        output.tag_count = i32::try_from(headers.body.tags.len()).ok().filter(|n| *n > 0);
        set_headers!(output, headers, with_checksum);
        Ok(S3Response::new(output))
    }

    pub(super) async fn head(
        &self,
        x: &Arc<Exchange>,
        request: S3Request<HeadObjectInput>,
    ) -> Answered<HeadObjectOutput> {
        let input = request.input;
        check_owner(x, input.expected_bucket_owner.as_ref())?;
        let overrides = response_headers(&input)?;
        let with_checksum = wants_checksum(input.checksum_mode.as_ref());
        let headers = self.buckets.head_object(&x.call, &get!(input))?;
        let mut output = HeadObjectOutput::default();
        set_headers!(output, headers, with_checksum);
        let mut response = S3Response::new(output);
        response.headers = overrides;
        Ok(response)
    }

    pub(super) async fn put(&self, x: &Arc<Exchange>, request: S3Request<PutObjectInput>) -> Answered<PutObjectOutput> {
        let mut expected = expected(&request, x)?;
        let headers = request.headers;
        let mut input = request.input;
        check_owner(x, input.expected_bucket_owner.as_ref())?;
        refuse_unsupported!(input);
        if input.write_offset_bytes.is_some() {
            return Err(not_implemented("appending to objects (x-amz-write-offset-bytes)"));
        }
        let has_grants = input.grant_full_control.is_some() || input.grant_read.is_some();
        let is_plain = is_plain_acl(input.acl.as_ref().map(ObjectCannedACL::as_str)) && !has_grants;
        self.buckets.check_acl(&x.call, &input.bucket, is_plain)?;
        if expected.checksum.is_none() && expected.trailer.is_none() {
            expected.checksum = member_claim(member_checksum(checksum_members!(input))?)?;
        }
        expected.length = Some(length(input.content_length, input.body.as_ref())?);
        let attributes = attributes!(input, &headers);
        let algorithm = expected.algorithm().unwrap_or(Algorithm::Crc64Nvme);
        let put = PutObject {
            tags: convert::tags(input.tagging.as_deref())?,
            condition: write_condition(input.if_match.as_ref(), input.if_none_match.as_ref())?,
            attributes: attributes.clone(),
            algorithm,
            expected,
            source: None,
            bucket: input.bucket.clone(),
            key: input.key.clone(),
        };
        let written = self.buckets.put_object(&x.call, put, source(input.body, x)).await?;
        let mut output = PutObjectOutput { e_tag: etag(&written.etag), ..PutObjectOutput::default() };
        set_checksum!(output, &written.checksum);
        output.checksum_type = checksum_kind(written.checksum.as_ref());
        output.version_id = written.version.map(|v| v.to_string());
        output.expiration = self.expiration_of(&input.bucket, &input.key, written.version, x)?;
        let attributes = self.effective(&input.bucket, attributes)?;
        set_encryption!(output, attributes);
        Ok(S3Response::new(output))
    }

    /// The attributes with what the bucket adds by default.
    pub(super) fn effective(&self, bucket: &str, mut attributes: Attributes) -> Result<Attributes, Fault> {
        self.buckets.encrypt_by_default(bucket, &mut attributes)?;
        Ok(attributes)
    }

    /// When a lifecycle rule is going to delete what was just written.
    pub(super) fn expiration_of(
        &self,
        bucket: &str,
        key: &str,
        version: Option<crate::record::VersionId>,
        x: &Exchange,
    ) -> Result<Option<String>, Fault> {
        if crate::view::lifecycle(self.buckets.store(), bucket).map_err(fault::Error::from)?.is_none() {
            return Ok(None);
        }
        let get = Get { bucket: bucket.to_owned(), key: key.to_owned(), version, ..Get::default() };
        // It may have been replaced already: then there is nothing to tell.
        Ok(self.buckets.head_object(&x.call, &get).ok().and_then(|headers| headers.expiration))
    }

    pub(super) async fn copy(
        &self,
        x: &Arc<Exchange>,
        request: S3Request<CopyObjectInput>,
    ) -> Answered<CopyObjectOutput> {
        let headers = request.headers;
        let mut input = request.input;
        check_owner(x, input.expected_bucket_owner.as_ref())?;
        check_owner(x, input.expected_source_bucket_owner.as_ref())?;
        refuse_unsupported!(input);
        let is_plain = is_plain_acl(input.acl.as_ref().map(ObjectCannedACL::as_str));
        self.buckets.check_acl(&x.call, &input.bucket, is_plain)?;
        let mut source = copy_source(&input.copy_source)?;
        source.conditions = api::CopyConditions {
            if_match: if_match(input.copy_source_if_match.as_ref()),
            if_none_match: if_match(input.copy_source_if_none_match.as_ref()),
            if_modified_since: time(input.copy_source_if_modified_since.as_ref()),
            if_unmodified_since: time(input.copy_source_if_unmodified_since.as_ref()),
        };
        let directive = |value: Option<&str>, name: &str| match value {
            None | Some("COPY") => Ok(false),
            Some("REPLACE") => Ok(true),
            Some(other) => Err(fault::invalid_argument(&format!("Unknown {name} directive."), name, other)),
        };
        let replaces_metadata =
            directive(input.metadata_directive.as_ref().map(MetadataDirective::as_str), "metadata")?;
        let replaces_tags = directive(input.tagging_directive.as_ref().map(TaggingDirective::as_str), "tagging")?;
        let tags = if replaces_tags { Some(convert::tags(input.tagging.as_deref())?) } else { None };
        let condition = copy_condition(&headers)?;
        let copy = api::Copy {
            source,
            replaces_metadata,
            tags,
            algorithm: algorithm(input.checksum_algorithm.as_ref().map(ChecksumAlgorithm::as_str))?,
            attributes: attributes!(input, &headers),
            condition,
            bucket: input.bucket.clone(),
            key: input.key.clone(),
        };
        let attributes = copy.attributes.clone();
        let written = self.buckets.copy_object(&x.call, copy).await?;
        let mut result = CopyObjectResult { e_tag: etag(&written.etag), ..CopyObjectResult::default() };
        result.last_modified = told_time(written.modified);
        set_checksum!(result, &written.checksum);
        result.checksum_type = checksum_kind(written.checksum.as_ref());
        let mut output = CopyObjectOutput { copy_object_result: Some(result), ..CopyObjectOutput::default() };
        output.version_id = written.version.map(|v| v.to_string());
        output.copy_source_version_id = written.source.map(|v| v.to_string());
        output.expiration = self.expiration_of(&input.bucket, &input.key, written.version, x)?;
        let attributes = self.effective(&input.bucket, attributes)?;
        set_encryption!(output, attributes);
        Ok(S3Response::new(output))
    }

    pub(super) async fn delete(
        &self,
        x: &Arc<Exchange>,
        request: S3Request<DeleteObjectInput>,
    ) -> Answered<DeleteObjectOutput> {
        let input = request.input;
        check_owner(x, input.expected_bucket_owner.as_ref())?;
        let mut deletion = self.buckets.deletion(&input.key, version(input.version_id.as_deref())?);
        deletion.condition = if_match(input.if_match.as_ref()).unwrap_or_default();
        deletion.size = input.if_match_size.and_then(|n| u64::try_from(n).ok());
        deletion.modified = time(input.if_match_last_modified_time.as_ref());
        let deleted = self.buckets.delete_object(&x.call, &input.bucket, deletion).await?;
        Ok(S3Response::new(DeleteObjectOutput {
            delete_marker: deleted.marker.then_some(true),
            version_id: deleted.version.map(|v| v.to_string()),
            ..DeleteObjectOutput::default()
        }))
    }

    pub(super) async fn delete_many(
        &self,
        x: &Arc<Exchange>,
        request: S3Request<DeleteObjectsInput>,
    ) -> Answered<DeleteObjectsOutput> {
        let input = request.input;
        check_owner(x, input.expected_bucket_owner.as_ref())?;
        let is_quiet = input.delete.quiet.unwrap_or(false);
        let mut deletions = Vec::with_capacity(input.delete.objects.len());
        for object in &input.delete.objects {
            let mut deletion = self.buckets.deletion(&object.key, version(object.version_id.as_deref())?);
            if let Some(etag) = &object.e_tag {
                deletion.condition = match etag.value() {
                    "*" => Condition::Present,
                    value => Condition::Matches(value.to_owned()),
                };
            }
            deletion.size = object.size.and_then(|n| u64::try_from(n).ok());
            deletion.modified = time(object.last_modified_time.as_ref());
            deletions.push(deletion);
        }
        let results = self.buckets.delete_objects(&x.call, &input.bucket, deletions).await?;
        let (mut deleted, mut errors) = (Vec::new(), Vec::new());
        for (object, result) in input.delete.objects.into_iter().zip(results) {
            match result {
                Ok(_) if is_quiet => {}
                Ok(done) => deleted.push(DeletedObject {
                    delete_marker: done.marker.then_some(true),
                    delete_marker_version_id: done.version.filter(|_| done.marker).map(|v| v.to_string()),
                    version_id: object.version_id,
                    key: Some(object.key),
                }),
                Err(fault) => errors.push(Error {
                    code: Some(fault.code),
                    message: Some(fault.message),
                    key: Some(object.key),
                    version_id: object.version_id,
                }),
            }
        }
        let output = DeleteObjectsOutput {
            deleted: Some(deleted),
            errors: Some(errors).filter(|e| !e.is_empty()),
            ..DeleteObjectsOutput::default()
        };
        Ok(S3Response::new(output))
    }

    pub(super) async fn attributes(
        &self,
        x: &Arc<Exchange>,
        request: S3Request<GetObjectAttributesInput>,
    ) -> Answered<GetObjectAttributesOutput> {
        let input = request.input;
        check_owner(x, input.expected_bucket_owner.as_ref())?;
        // Several may come in one header.
        let wanted: Vec<&str> =
            input.object_attributes.iter().flat_map(|a| a.as_str().split(',')).map(str::trim).collect();
        let wants = |name: &str| wanted.contains(&name);
        let version = version(input.version_id.as_deref())?;
        let get = Get { bucket: input.bucket.clone(), key: input.key.clone(), version, ..Get::default() };
        let headers = self.buckets.head_object(&x.call, &get)?;
        let body = &headers.body;
        let mut output = GetObjectAttributesOutput {
            last_modified: told_time(headers.modified),
            version_id: headers.version.map(|v| v.to_string()),
            ..GetObjectAttributesOutput::default()
        };
        output.e_tag = etag(&body.etag).filter(|_| wants("ETag"));
        output.object_size = i64::try_from(body.size).ok().filter(|_| wants("ObjectSize"));
        output.storage_class = wants("StorageClass").then(|| StorageClass::from(body.storage_class().to_owned()));
        if wants("Checksum") && body.checksum.is_some() {
            let mut checksum = Checksum::default();
            set_checksum!(checksum, &body.checksum);
            checksum.checksum_type = checksum_kind(body.checksum.as_ref());
            output.checksum = Some(checksum);
        }
        if wants("ObjectParts") && body.etag.parts > 0 {
            output.object_parts = Some(self.parts_of(&input, body)?);
        }
        Ok(S3Response::new(output))
    }

    fn parts_of(
        &self,
        input: &GetObjectAttributesInput,
        body: &crate::record::Body,
    ) -> Result<GetObjectAttributesParts, Fault> {
        let mut told = GetObjectAttributesParts {
            total_parts_count: i32::try_from(body.etag.parts).ok(),
            ..GetObjectAttributesParts::default()
        };
        let crate::record::Content::Parts(id) = body.content else { return Ok(told) };
        let record = self.buckets.store().get(&crate::keys::manifest(id)).map_err(fault::Error::from)?;
        let record = record.ok_or_else(fault::slow_down)?;
        let segments = crate::record::decode_manifest(&record).map_err(fault::Error::from)?;
        let max = count(input.max_parts, "max-parts", 1000)?;
        let after = input.part_number_marker.unwrap_or(0);
        let behind = |n: &u32| i64::from(*n) > i64::from(after);
        let mut numbered = segments.iter().filter(|s| behind(&s.number));
        let parts: Vec<ObjectPart> = numbered.by_ref().take(max).map(object_part).collect();
        told.is_truncated = Some(numbered.next().is_some());
        told.part_number_marker = Some(after);
        told.next_part_number_marker = parts.last().and_then(|p| p.part_number);
        told.max_parts = i32::try_from(max).ok();
        // S3 lists them only if they have checksums of their own.
        let is_composite = body.checksum.as_ref().is_some_and(|c| c.kind == crate::checksum::ChecksumKind::Composite);
        told.parts = is_composite.then_some(parts);
        Ok(told)
    }
}

fn object_part(segment: &crate::record::Segment) -> ObjectPart {
    let mut part = ObjectPart {
        part_number: i32::try_from(segment.number).ok(),
        size: i64::try_from(segment.size).ok(),
        ..ObjectPart::default()
    };
    set_checksum!(part, &segment.checksum);
    part
}

/// `If-Match` and `If-None-Match` of a copy are about its target; s3s does not read them.
fn copy_condition(headers: &http::HeaderMap) -> Result<Condition, Fault> {
    let read = |name: http::HeaderName| match headers.get(name) {
        None => Ok(None),
        Some(value) => ETagCondition::parse_http_header(value.as_bytes())
            .map(Some)
            .map_err(|_| invalid_request("the condition is not an ETag")),
    };
    write_condition(read(http::header::IF_MATCH)?.as_ref(), read(http::header::IF_NONE_MATCH)?.as_ref())
}

pub(super) fn copy_source(source: &CopySource) -> Result<api::CopySource, Fault> {
    match source {
        CopySource::Bucket { bucket, key, version_id } => Ok(api::CopySource {
            bucket: bucket.to_string(),
            key: key.to_string(),
            version: version(version_id.as_deref())?,
            conditions: api::CopyConditions::default(),
        }),
        _ => Err(not_implemented("access points as the source of a copy")),
    }
}

/// Headers that the caller of HeadObject wants to see instead of the object's.
fn response_headers(input: &HeadObjectInput) -> Result<http::HeaderMap, Fault> {
    let mut headers = http::HeaderMap::new();
    for (name, value) in [
        (http::header::CACHE_CONTROL, &input.response_cache_control),
        (http::header::CONTENT_DISPOSITION, &input.response_content_disposition),
        (http::header::CONTENT_ENCODING, &input.response_content_encoding),
        (http::header::CONTENT_LANGUAGE, &input.response_content_language),
        (http::header::CONTENT_TYPE, &input.response_content_type),
    ] {
        if let Some(value) = value {
            let value = value.parse().map_err(|_| invalid_request(format!("invalid value for {name}")))?;
            headers.insert(name, value);
        }
    }
    Ok(headers)
}

/// A part that was written, as UploadPart's answer.
pub(super) fn expected_part<T>(
    request: &S3Request<T>,
    x: &Arc<Exchange>,
    content_length: Option<i64>,
    body: Option<&StreamingBlob>,
) -> Result<Expected, Fault> {
    let mut expected = expected(request, x)?;
    expected.length = Some(length(content_length, body)?);
    Ok(expected)
}

pub(super) fn told_modified(written: &Written) -> Option<Timestamp> {
    told_time(written.modified)
}
