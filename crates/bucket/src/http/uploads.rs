//! Operations on multipart uploads.

use std::sync::Arc;

use s3s::dto::*;
use s3s::{S3Request, S3Response};
use service::Fault;

use super::convert::{self, *};
use super::exchange::Exchange;
use super::objects::{copy_source, expected_part, is_plain_acl, told_modified};
use super::s3::Api;
use crate::api::{self, PutPart};
use crate::checksum::{Algorithm, Checksum as StoredChecksum, ChecksumKind};
use crate::fault::{self, invalid_argument, not_implemented};
use crate::machine::{CompletedPart as NamedPart, Completion, Written};
use crate::record::Header;
use crate::view;

type Answered<T> = Result<S3Response<T>, Fault>;

fn number(part: i32) -> Result<u32, Fault> {
    u32::try_from(part).ok().filter(|n| (1..=crate::PARTS_MAX).contains(&(*n as usize))).ok_or_else(|| {
        let message = "Part number must be an integer between 1 and 10000, inclusive";
        invalid_argument(message, "partNumber", part.to_string())
    })
}

fn kind(kind: Option<&ChecksumType>) -> Result<Option<ChecksumKind>, Fault> {
    let Some(kind) = kind else { return Ok(None) };
    ChecksumKind::of_name(kind.as_str()).map(Some).ok_or_else(|| {
        invalid_argument("Value for x-amz-checksum-type header is invalid.", "x-amz-checksum-type", kind.as_str())
    })
}

impl Api {
    pub(super) async fn create_upload(
        &self,
        x: &Arc<Exchange>,
        request: S3Request<CreateMultipartUploadInput>,
    ) -> Answered<CreateMultipartUploadOutput> {
        let headers = request.headers;
        let mut input = request.input;
        check_owner(x, input.expected_bucket_owner.as_ref())?;
        refuse_unsupported!(input);
        let is_plain = is_plain_acl(input.acl.as_ref().map(ObjectCannedACL::as_str));
        self.buckets.check_acl(&x.call, &input.bucket, is_plain)?;
        let new = api::CreateUpload {
            attributes: attributes!(input, &headers),
            tags: convert::tags(input.tagging.as_deref())?,
            algorithm: algorithm(input.checksum_algorithm.as_ref().map(ChecksumAlgorithm::as_str))?,
            kind: kind(input.checksum_type.as_ref())?,
            bucket: input.bucket.clone(),
            key: input.key.clone(),
        };
        let (upload_id, upload) = self.buckets.create_upload(&x.call, new).await?;
        let mut output = CreateMultipartUploadOutput {
            upload_id: Some(upload_id),
            checksum_algorithm: upload.algorithm.map(|a| ChecksumAlgorithm::from_static(a.name())),
            checksum_type: upload.algorithm.map(|_| ChecksumType::from_static(upload.kind.name())),
            ..CreateMultipartUploadOutput::default()
        };
        if let Some(lifecycle) = view::lifecycle(self.buckets.store(), &input.bucket).map_err(fault::Error::from)?
            && let Some((at, rule)) = lifecycle.abort(&input.key, self.buckets.now())
        {
            output.abort_date = told_time(at);
            output.abort_rule_id = Some(rule.to_owned());
        }
        set_encryption!(output, upload.attributes);
        output.bucket = Some(input.bucket);
        output.key = Some(input.key);
        Ok(S3Response::new(output))
    }

    pub(super) async fn upload_part(
        &self,
        x: &Arc<Exchange>,
        request: S3Request<UploadPartInput>,
    ) -> Answered<UploadPartOutput> {
        let length = (request.input.content_length, request.input.body.as_ref());
        let expected = expected_part(&request, x, length.0, length.1)?;
        let input = request.input;
        check_owner(x, input.expected_bucket_owner.as_ref())?;
        if input.sse_customer_key.is_some() {
            return Err(not_implemented("server-side encryption with customer-provided keys (SSE-C)"));
        }
        let used = expected.algorithm();
        let upload = self.buckets.upload(&input.bucket, &input.key, &input.upload_id);
        let part = PutPart {
            number: number(input.part_number)?,
            bucket: input.bucket,
            key: input.key,
            upload_id: input.upload_id,
            expected,
        };
        let (written, told) = self.buckets.put_part(&x.call, part, source(input.body, x)).await?;
        let mut output = UploadPartOutput { e_tag: etag(&written.etag), ..UploadPartOutput::default() };
        // The caller is told the checksum that it used, or that the upload is made with.
        let algorithm = upload.as_ref().ok().and_then(|u| u.algorithm).or(used);
        let checksum: Option<StoredChecksum> =
            told.or(written.checksum).filter(|c| algorithm.is_none_or(|a| a == c.algorithm));
        set_checksum!(output, &checksum);
        let attributes = upload.map(|u| u.attributes).unwrap_or_default();
        set_encryption!(output, attributes);
        Ok(S3Response::new(output))
    }

    pub(super) async fn copy_part(
        &self,
        x: &Arc<Exchange>,
        request: S3Request<UploadPartCopyInput>,
    ) -> Answered<UploadPartCopyOutput> {
        let input = request.input;
        check_owner(x, input.expected_bucket_owner.as_ref())?;
        check_owner(x, input.expected_source_bucket_owner.as_ref())?;
        let mut source = copy_source(&input.copy_source)?;
        source.conditions = api::CopyConditions {
            if_match: if_match(input.copy_source_if_match.as_ref()),
            if_none_match: if_match(input.copy_source_if_none_match.as_ref()),
            if_modified_since: time(input.copy_source_if_modified_since.as_ref()),
            if_unmodified_since: time(input.copy_source_if_unmodified_since.as_ref()),
        };
        let upload = self.buckets.upload(&input.bucket, &input.key, &input.upload_id);
        let range = input.copy_source_range.as_deref();
        let target = (input.upload_id.as_str(), number(input.part_number)?);
        let (written, of) = self.buckets.copy_part(&x.call, &source, range, &input.bucket, &input.key, target).await?;
        let mut result = CopyPartResult { e_tag: etag(&written.etag), ..CopyPartResult::default() };
        result.last_modified = told_modified(&written);
        if upload.as_ref().is_ok_and(|u| u.algorithm.is_some()) {
            set_checksum!(result, &written.checksum);
        }
        let mut output = UploadPartCopyOutput { copy_part_result: Some(result), ..UploadPartCopyOutput::default() };
        output.copy_source_version_id = of.map(|v| v.to_string());
        let attributes = upload.map(|u| u.attributes).unwrap_or_default();
        set_encryption!(output, attributes);
        Ok(S3Response::new(output))
    }

    pub(super) async fn complete_upload(
        &self,
        x: &Arc<Exchange>,
        request: S3Request<CompleteMultipartUploadInput>,
    ) -> Answered<CompleteMultipartUploadOutput> {
        let mut input = request.input;
        check_owner(x, input.expected_bucket_owner.as_ref())?;
        let mut parts = Vec::new();
        for mut part in input.multipart_upload.take().and_then(|u| u.parts).unwrap_or_default() {
            parts.push(NamedPart {
                number: part.part_number.and_then(|n| u32::try_from(n).ok()).ok_or_else(fault::malformed_xml)?,
                etag: part.e_tag.take().map(ETag::into_value).unwrap_or_default(),
                checksum: member_checksum(checksum_members!(part))?,
            });
        }
        let completion = Completion {
            key: input.key.clone(),
            upload_id: input.upload_id.clone(),
            parts,
            condition: write_condition(input.if_match.as_ref(), input.if_none_match.as_ref())?,
            size: input.mpu_object_size.and_then(|n| u64::try_from(n).ok()),
            checksum: member_checksum(checksum_members!(input))?,
            kind: kind(input.checksum_type.as_ref())?,
            manifest: self.buckets.new_id(),
            nonce: self.buckets.nonce(),
        };
        let upload = self.buckets.upload(&input.bucket, &input.key, &input.upload_id);
        let written: Written = self.buckets.complete_upload(&x.call, &input.bucket, completion).await?;
        let path = percent_encoding::utf8_percent_encode(&input.key, percent_encoding::NON_ALPHANUMERIC);
        let mut output = CompleteMultipartUploadOutput {
            location: Some(format!("{}/{}/{path}", x.call.endpoint, input.bucket)),
            e_tag: etag(&written.etag),
            version_id: written.version.map(|v| v.to_string()),
            expiration: self.expiration_of(&input.bucket, &input.key, written.version, x)?,
            ..CompleteMultipartUploadOutput::default()
        };
        set_checksum!(output, &written.checksum);
        output.checksum_type = checksum_kind(written.checksum.as_ref());
        let attributes = upload.map(|u| u.attributes).unwrap_or_default();
        set_encryption!(output, attributes);
        output.bucket = Some(input.bucket);
        output.key = Some(input.key);
        Ok(S3Response::new(output))
    }

    pub(super) async fn abort_upload(
        &self,
        x: &Arc<Exchange>,
        request: S3Request<AbortMultipartUploadInput>,
    ) -> Answered<AbortMultipartUploadOutput> {
        let input = request.input;
        check_owner(x, input.expected_bucket_owner.as_ref())?;
        self.buckets.abort_upload(&x.call, &input.bucket, &input.key, &input.upload_id).await?;
        Ok(S3Response::new(AbortMultipartUploadOutput::default()))
    }

    pub(super) async fn parts(
        &self,
        x: &Arc<Exchange>,
        request: S3Request<ListPartsInput>,
    ) -> Answered<ListPartsOutput> {
        let input = request.input;
        check_owner(x, input.expected_bucket_owner.as_ref())?;
        let max = count(input.max_parts, "max-parts", 1000)?;
        let after = input.part_number_marker.unwrap_or(0);
        let page = (u32::try_from(after).unwrap_or(0), max);
        let (upload, parts, more) =
            self.buckets.list_parts(&x.call, &input.bucket, &input.key, &input.upload_id, page).await?;
        let account = x.call.scope.account();
        let told = |(number, part): api::UploadedPart| {
            let mut told = Part {
                part_number: i32::try_from(number).ok(),
                size: i64::try_from(part.size).ok(),
                last_modified: told_time(part.modified),
                e_tag: etag(&crate::record::ETag { md5: part.md5, parts: 0 }),
                ..Part::default()
            };
            if upload.algorithm.is_some() {
                set_checksum!(told, &part.checksum);
            }
            told
        };
        let parts: Vec<Part> = parts.into_iter().map(told).collect();
        let class = upload.attributes.get(Header::StorageClass).unwrap_or("STANDARD");
        Ok(S3Response::new(ListPartsOutput {
            bucket: Some(input.bucket),
            key: Some(input.key),
            upload_id: Some(input.upload_id),
            initiator: Some(Initiator { display_name: None, id: Some(canonical_user(account)) }),
            owner: owner(account),
            storage_class: Some(StorageClass::from(class.to_owned())),
            part_number_marker: Some(after),
            next_part_number_marker: Some(parts.last().and_then(|p| p.part_number).unwrap_or(0)),
            max_parts: i32::try_from(max).ok(),
            is_truncated: Some(more),
            checksum_algorithm: upload.algorithm.map(|a| ChecksumAlgorithm::from_static(a.name())),
            checksum_type: upload.algorithm.map(|_| ChecksumType::from_static(upload.kind.name())),
            parts: Some(parts),
            ..ListPartsOutput::default()
        }))
    }
}
