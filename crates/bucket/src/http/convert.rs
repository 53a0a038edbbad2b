//! Between s3s's types and ours.

use std::sync::Arc;

use base::Timestamp;
use futures::StreamExt as _;
use http::HeaderMap;
use percent_encoding::percent_decode_str;
use s3s::dto::{self, ETagCondition, StreamingBlob};
use s3s::stream::ByteStream as _;
use s3s::{S3Request, StdError};
use service::Fault;

use super::digest::{checksum_claim, md5_claim, sha256_mismatch};
use super::exchange::Exchange;
use super::header_text;
use crate::checksum::{Algorithm, Checksum, sha256};
use crate::fault::{self, invalid_argument, invalid_request, invalid_version, not_implemented};
use crate::machine::Condition;
use crate::model::{from_timestamp, timestamp};
use crate::record::{Tags, VersionId};
use crate::stage::{Expected, Source, Trailer, invalid_value};

/// The owner that the caller expects the bucket to have.
pub(super) fn check_owner(exchange: &Exchange, expected: Option<&String>) -> Result<(), Fault> {
    match expected {
        Some(account) if account != exchange.call.scope.account() => Err(fault::access_denied()),
        _ => Ok(()),
    }
}

pub(super) fn version(text: Option<&str>) -> Result<Option<VersionId>, Fault> {
    match text {
        None => Ok(None),
        Some("") => Err(invalid_argument("Version id cannot be the empty string", "versionId", "")),
        Some(text) => VersionId::parse(text).map(Some).ok_or_else(invalid_version),
    }
}

pub(super) fn if_match(condition: Option<&ETagCondition>) -> Option<Condition> {
    condition.map(|condition| match condition {
        ETagCondition::Any => Condition::Present,
        ETagCondition::ETag(etag) => Condition::Matches(etag.value().to_owned()),
    })
}

/// Conditions on writing: S3 knows `If-None-Match: *` and `If-Match` with an ETag.
pub(super) fn write_condition(
    if_match: Option<&ETagCondition>,
    if_none_match: Option<&ETagCondition>,
) -> Result<Condition, Fault> {
    match (self::if_match(if_match), if_none_match) {
        (None, None) => Ok(Condition::Always),
        (None, Some(ETagCondition::Any)) => Ok(Condition::Absent),
        (Some(condition), None) => Ok(condition),
        (_, Some(_)) => Err(not_implemented("If-None-Match with anything but *, or together with If-Match")),
    }
}

pub(super) fn time(time: Option<&dto::Timestamp>) -> Option<Timestamp> {
    time.map(from_timestamp)
}

pub(super) fn told_time(time: Timestamp) -> Option<dto::Timestamp> {
    // S3 tells whole seconds.
    Some(timestamp(Timestamp::from_millis(time.as_seconds() * 1000)))
}

pub(super) fn etag(etag: &crate::record::ETag) -> Option<dto::ETag> {
    Some(dto::ETag::Strong(etag.to_string()))
}

/// A number of entries; `max` at most.
pub(super) fn count(asked: Option<i32>, name: &str, max: usize) -> Result<usize, Fault> {
    match asked {
        None => Ok(max),
        Some(n) => usize::try_from(n).map(|n| n.min(max)).map_err(|_| {
            let message = format!("Argument {name} must be an integer between 0 and 2147483647");
            invalid_argument(&message, name, n.to_string())
        }),
    }
}

/// Tags as in the header `x-amz-tagging`: `a=1&b=2`.
pub(super) fn tags(header: Option<&str>) -> Result<Tags, Fault> {
    let decoded = |text: &str| {
        let text = text.replace('+', " ");
        percent_decode_str(&text).decode_utf8().map(|t| t.into_owned()).map_err(|_| {
            invalid_argument(
                "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query \
                              parameters without tag name duplicates.",
                "x-amz-tagging",
                "",
            )
        })
    };
    let mut tags = Tags::new();
    for pair in header.unwrap_or("").split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        if tags.insert(decoded(key)?, decoded(value)?).is_some() {
            let message = "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query parameters \
                           without tag name duplicates.";
            return Err(invalid_argument(message, "x-amz-tagging", header.unwrap_or("")));
        }
    }
    Ok(tags)
}

pub(super) fn tag_set(tags: &Tags) -> Vec<dto::Tag> {
    tags.iter().map(|(key, value)| dto::Tag { key: Some(key.clone()), value: Some(value.clone()) }).collect()
}

pub(super) fn tags_of(set: Vec<dto::Tag>) -> Result<Tags, Fault> {
    let mut tags = Tags::new();
    for tag in set {
        let (Some(key), value) = (tag.key, tag.value.unwrap_or_default()) else { return Err(fault::malformed_xml()) };
        if tags.insert(key, value).is_some() {
            return Err(Fault::client("InvalidTag", "Cannot provide multiple Tags with the same key"));
        }
    }
    Ok(tags)
}

/// The content encoding of the object: without what only the transport had.
pub(super) fn content_encoding(header: Option<String>) -> Option<String> {
    let kept: Vec<&str> = header.as_deref()?.split(',').map(str::trim).filter(|e| *e != "aws-chunked").collect();
    (!kept.is_empty() && kept != [""]).then(|| kept.join(","))
}

/// The `Expires` header as it was sent.
pub(super) fn expires(headers: &HeaderMap, parsed: Option<&dto::Timestamp>) -> Option<String> {
    let parsed = parsed?;
    Some(header_text(headers, "expires").map_or_else(|| crate::model::http_date(from_timestamp(parsed)), str::to_owned))
}

/// Takes what is kept of a write's headers out of its input.
macro_rules! attributes {
    ($input:expr, $headers:expr) => {{
        let mut attributes = $crate::record::Attributes::default();
        let input = &mut $input;
        attributes.set(Header::ContentType, input.content_type.take());
        attributes.set(Header::CacheControl, input.cache_control.take());
        attributes.set(Header::ContentDisposition, input.content_disposition.take());
        attributes.set(Header::ContentEncoding, content_encoding(input.content_encoding.take()));
        attributes.set(Header::ContentLanguage, input.content_language.take());
        attributes.set(Header::Expires, expires($headers, input.expires.as_ref()));
        attributes.set(Header::WebsiteRedirectLocation, input.website_redirect_location.take());
        let class = input.storage_class.take().filter(|c| c.as_str() != "STANDARD");
        attributes.set(Header::StorageClass, class.map(|c| c.as_str().to_owned()));
        let encryption = input.server_side_encryption.take().map(|e| e.as_str().to_owned());
        attributes.set(Header::ServerSideEncryption, encryption);
        attributes.set(Header::KmsKeyId, input.ssekms_key_id.take());
        attributes.set(Header::BucketKeyEnabled, input.bucket_key_enabled.filter(|b| *b).map(|_| "true"));
        attributes.metadata = input.metadata.take().unwrap_or_default().into_iter().collect();
        attributes
    }};
}
pub(super) use attributes;

/// Refuses what a write asks for and we do not do.
macro_rules! refuse_unsupported {
    ($input:expr) => {
        if $input.sse_customer_key.is_some() || $input.sse_customer_algorithm.is_some() {
            return Err(not_implemented("server-side encryption with customer-provided keys (SSE-C)"));
        }
        if $input.object_lock_mode.is_some()
            || $input.object_lock_legal_hold_status.is_some()
            || $input.object_lock_retain_until_date.is_some()
        {
            return Err(not_implemented("object lock"));
        }
    };
}
pub(super) use refuse_unsupported;

/// Writes a checksum into the member of its algorithm.
macro_rules! set_checksum {
    ($output:expr, $checksum:expr) => {
        if let Some(checksum) = $checksum {
            let text = Some(checksum.text());
            match checksum.algorithm {
                Algorithm::Crc32 => $output.checksum_crc32 = text,
                Algorithm::Crc32c => $output.checksum_crc32c = text,
                Algorithm::Sha1 => $output.checksum_sha1 = text,
                Algorithm::Sha256 => $output.checksum_sha256 = text,
                Algorithm::Crc64Nvme => $output.checksum_crc64nvme = text,
            }
        }
    };
}
pub(super) use set_checksum;

pub(super) fn checksum_kind(checksum: Option<&Checksum>) -> Option<dto::ChecksumType> {
    checksum.map(|c| dto::ChecksumType::from_static(c.kind.name()))
}

/// Writes how an object is encrypted.
macro_rules! set_encryption {
    ($output:expr, $attributes:expr) => {
        let encryption = $attributes.get(Header::ServerSideEncryption).unwrap_or("AES256");
        $output.server_side_encryption = Some(s3s::dto::ServerSideEncryption::from(encryption.to_owned()));
        $output.ssekms_key_id = $attributes.get(Header::KmsKeyId).map(str::to_owned);
        $output.bucket_key_enabled = $attributes.get(Header::BucketKeyEnabled).map(|_| true);
    };
}
pub(super) use set_encryption;

pub(super) fn algorithm(name: Option<&str>) -> Result<Option<Algorithm>, Fault> {
    let Some(name) = name else { return Ok(None) };
    Algorithm::of_name(name).map(Some).ok_or_else(|| {
        invalid_request(
            "Checksum algorithm provided is unsupported. Please try again with any of the valid types: \
                         [CRC32, CRC32C, CRC64NVME, SHA1, SHA256]",
        )
    })
}

/// What the request claims about its content, in headers and behind it.
pub(super) fn expected<T>(request: &S3Request<T>, exchange: &Arc<Exchange>) -> Result<Expected, Fault> {
    let headers = &request.headers;
    let checksum = checksum_claim(headers)?;
    let trailer = trailer(request, exchange)?;
    let named = algorithm(header_text(headers, "x-amz-sdk-checksum-algorithm"))?;
    let claimed = checksum.as_ref().map(|(a, _)| *a).or(trailer.as_ref().map(|(a, _)| *a));
    match (named, claimed) {
        (Some(_), None) => Err(invalid_request(
            "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer headers \
             were found.",
        )),
        (Some(named), Some(claimed)) if named != claimed => {
            Err(invalid_request("Value for x-amz-sdk-checksum-algorithm header is invalid."))
        }
        _ => Ok(Expected { length: None, md5: md5_claim(headers)?, checksum, trailer }),
    }
}

fn trailer<T>(request: &S3Request<T>, exchange: &Arc<Exchange>) -> Result<Option<(Algorithm, Trailer)>, Fault> {
    let Some(names) = header_text(&request.headers, "x-amz-trailer") else { return Ok(None) };
    let mut algorithms = names.split(',').map(str::trim).filter(|n| n.starts_with("x-amz-checksum-")).map(|name| {
        let known = Algorithm::ALL.into_iter().find(|a| a.header() == name);
        known.ok_or_else(|| invalid_request("The value specified in the x-amz-trailer header is not supported"))
    });
    let Some(algorithm) = algorithms.next().transpose()? else { return Ok(None) };
    let (verified, exchange) = (request.trailing_headers.clone(), exchange.clone());
    let read = move || {
        let of_s3s = verified.and_then(|t| t.read(|h| header_text(h, algorithm.header()).map(str::to_owned)).flatten());
        of_s3s.or_else(|| exchange.trailer(algorithm.header()))
    };
    Ok(Some((algorithm, Box::new(read))))
}

/// Makes the checksum that parts of a form or an XML document claim out of its members.
pub(super) fn member_checksum(members: [(Algorithm, Option<String>); 5]) -> Result<Option<(Algorithm, String)>, Fault> {
    let mut given = members.into_iter().filter_map(|(algorithm, text)| Some((algorithm, text?)));
    let first = given.next();
    match given.next() {
        Some(_) => {
            Err(invalid_request("Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed."))
        }
        None => Ok(first),
    }
}

/// The five members of a type of s3s that carry checksums.
macro_rules! checksum_members {
    ($input:expr) => {
        [
            (Algorithm::Crc32, $input.checksum_crc32.take()),
            (Algorithm::Crc32c, $input.checksum_crc32c.take()),
            (Algorithm::Sha1, $input.checksum_sha1.take()),
            (Algorithm::Sha256, $input.checksum_sha256.take()),
            (Algorithm::Crc64Nvme, $input.checksum_crc64nvme.take()),
        ]
    };
}
pub(super) use checksum_members;

/// The value of a checksum that a form claims.
pub(super) fn member_claim(claim: Option<(Algorithm, String)>) -> Result<Option<(Algorithm, Vec<u8>)>, Fault> {
    let Some((algorithm, text)) = claim else { return Ok(None) };
    Ok(Some((algorithm, algorithm.parse(&text).ok_or_else(|| invalid_value(algorithm))?)))
}

/// The length that the content must have; S3 takes none without.
pub(super) fn length(content_length: Option<i64>, body: Option<&StreamingBlob>) -> Result<u64, Fault> {
    let told = content_length.and_then(|n| u64::try_from(n).ok());
    let known = told.or_else(|| body.and_then(|b| b.remaining_length().exact()).map(|n| n as u64));
    known.ok_or_else(|| {
        Fault::with_status(411, "MissingContentLength", "You must provide the Content-Length HTTP header.")
    })
}

/// The request's content; what goes wrong with it in S3's words.
pub(super) fn source(body: Option<StreamingBlob>, exchange: &Arc<Exchange>) -> Source {
    let exchange = exchange.clone();
    match body {
        Some(body) => body.map(move |chunk| chunk.map_err(|error| body_fault(&error, &exchange))).boxed(),
        None => futures::stream::empty().boxed(),
    }
}

/// s3s keeps its errors' types to itself, so their texts are all there is.
fn body_fault(error: &StdError, exchange: &Exchange) -> Fault {
    if let Some(fault) = exchange.take_fault() {
        return fault;
    }
    let text = error.to_string();
    let has = |what: &str| text.contains(what);
    if has("Sha256Mismatch") {
        return sha256_mismatch();
    }
    if has("SignatureMismatch") {
        let message = "The request signature we calculated does not match the signature you provided. Check your key \
                       and signing method.";
        return Fault::with_status(403, "SignatureDoesNotMatch", message);
    }
    if has("Incomplete") || has("LengthMismatch") {
        return fault::incomplete_body();
    }
    if has("FormatError") || has("TooLarge") || has("TooMany") {
        return invalid_request("The body is not in the aws-chunked encoding");
    }
    let message = "Your socket connection to the server was not read from or written to within the timeout period.";
    Fault::client("RequestTimeout", message)
}

/// S3's id of an account: 64 hexadecimal digits, the same for ever.
pub(crate) fn canonical_user(account: &str) -> String {
    hex::encode(sha256(format!("canonical user of account {account}").as_bytes()))
}

pub(super) fn owner(account: &str) -> Option<dto::Owner> {
    Some(dto::Owner { display_name: None, id: Some(canonical_user(account)) })
}
