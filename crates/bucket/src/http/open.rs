//! Requests to a server that lets everybody in: signatures are taken off before s3s, which refuses to read what it
//! cannot verify. And headers that a presigned URL carries in its query.

use base::Timestamp;
use http::header::{AUTHORIZATION, HeaderName, HeaderValue};
use http::request::Parts;
use http::uri::{PathAndQuery, Uri};
use percent_encoding::percent_decode_str;
use service::Fault;

use crate::fault::invalid_argument;

const PRESIGNED_SECONDS_MAX: i64 = 7 * 24 * 60 * 60;
/// What belongs to a signature and not to the operation.
const OF_SIGNATURE: [&str; 10] = [
    "X-Amz-Algorithm",
    "X-Amz-Credential",
    "X-Amz-Date",
    "X-Amz-Expires",
    "X-Amz-SignedHeaders",
    "X-Amz-Signature",
    "X-Amz-Security-Token",
    "AWSAccessKeyId",
    "Signature",
    "Expires",
];

/// The query's names and values, decoded.
pub(super) fn query(parts: &Parts) -> Vec<(String, String)> {
    let decoded = |text: &str| percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned();
    let pairs = parts.uri.query().unwrap_or("").split('&').filter(|pair| !pair.is_empty());
    pairs.map(|pair| pair.split_once('=').unwrap_or((pair, ""))).map(|(n, v)| (decoded(n), decoded(v))).collect()
}

/// A presigned URL may carry headers of the operation in its query; they count as if they were headers.
///
/// Checksums do not: SDKs presign the checksum of an empty body without knowing the body.
pub(super) fn hoist(parts: &mut Parts) -> Result<(), Fault> {
    let query = query(parts);
    if !query.iter().any(|(name, _)| name == "X-Amz-Signature") {
        return Ok(());
    }
    for (name, value) in query {
        let lower = name.to_ascii_lowercase();
        let is_checksum = lower.starts_with("x-amz-checksum-") || lower == "x-amz-sdk-checksum-algorithm";
        let is_signature = OF_SIGNATURE.iter().any(|n| n.eq_ignore_ascii_case(&name));
        if !lower.starts_with("x-amz-") || is_signature || is_checksum {
            continue;
        }
        let (Ok(header), Ok(content)) = (HeaderName::try_from(&lower), HeaderValue::try_from(&value)) else {
            return Err(invalid_argument("invalid header in the query", &name, value));
        };
        parts.headers.entry(header).or_insert(content);
    }
    Ok(())
}

/// Takes the signature off, and refuses presigned URLs that have expired.
pub(super) fn strip(parts: &mut Parts, now: Timestamp) -> Result<(), Fault> {
    parts.headers.remove(AUTHORIZATION);
    // S3 ignores a Range that it cannot read, s3s refuses it.
    let range = parts.headers.get(http::header::RANGE).and_then(|v| v.to_str().ok());
    if range.is_some_and(|text| s3s::dto::Range::parse(text).is_err()) {
        parts.headers.remove(http::header::RANGE);
    }
    let query = query(parts);
    let get = |name: &str| query.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str());
    if get("X-Amz-Signature").is_none() && get("Signature").is_none() {
        return Ok(());
    }
    check_expiry(&get, now)?;
    let is_kept = |pair: &&str| {
        let name = percent_decode_str(pair.split('=').next().unwrap_or("")).decode_utf8_lossy();
        !OF_SIGNATURE.contains(&&*name)
    };
    let kept: Vec<&str> = parts.uri.query().unwrap_or("").split('&').filter(is_kept).collect();
    let target = match kept.as_slice() {
        [] => parts.uri.path().to_owned(),
        kept => format!("{}?{}", parts.uri.path(), kept.join("&")),
    };
    let mut uri = std::mem::take(&mut parts.uri).into_parts();
    uri.path_and_query = PathAndQuery::try_from(target).ok();
    parts.uri = Uri::from_parts(uri).map_err(|_| Fault::client("InvalidURI", "Couldn't parse the specified URI."))?;
    Ok(())
}

fn check_expiry<'q>(get: &impl Fn(&str) -> Option<&'q str>, now: Timestamp) -> Result<(), Fault> {
    let expired = || Fault::with_status(403, "AccessDenied", "Request has expired");
    if let Some(at) = get("Expires").and_then(|e| e.parse::<i64>().ok()) {
        return if now.as_seconds() > at { Err(expired()) } else { Ok(()) };
    }
    let malformed = |message: &str| Fault::client("AuthorizationQueryParametersError", message);
    let seconds: i64 = get("X-Amz-Expires")
        .and_then(|e| e.parse().ok())
        .ok_or_else(|| malformed("X-Amz-Expires should be a number"))?;
    if !(0..=PRESIGNED_SECONDS_MAX).contains(&seconds) {
        return Err(malformed(
            "X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires \
                              must be less than 604800 seconds",
        ));
    }
    let date = get("X-Amz-Date").and_then(signed_at);
    let date =
        date.ok_or_else(|| malformed("X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\""))?;
    if now.as_seconds() > date.as_seconds() + seconds { Err(expired()) } else { Ok(()) }
}

/// `20260114T093000Z`
fn signed_at(text: &str) -> Option<Timestamp> {
    let part = |from: usize, to: usize| text.get(from..to);
    let full = format!(
        "{}-{}-{}T{}:{}:{}Z",
        part(0, 4)?,
        part(4, 6)?,
        part(6, 8)?,
        part(9, 11)?,
        part(11, 13)?,
        part(13, 15)?
    );
    Timestamp::parse_rfc3339(&full).ok()
}
