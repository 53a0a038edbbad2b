//! The canonical request of Signature Version 4.
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>

use std::borrow::Cow;

use http::HeaderMap;
use http::request::Parts;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode, utf8_percent_encode};

use super::Signature;

const UNRESERVED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
const PATH: AsciiSet = UNRESERVED.remove(b'/');

/// Method, path, query, headers, signed headers, payload hash; each on a line.
pub(crate) fn request(parts: &Parts, signature: &Signature<'_>, payload_hash: &str) -> String {
    let mut out = String::with_capacity(512);
    out.push_str(parts.method.as_str());
    out.push('\n');
    out.push_str(&path(parts.uri.path()));
    out.push('\n');
    out.push_str(&query(parts.uri.query().unwrap_or("")));
    out.push('\n');
    for name in &signature.signed_headers {
        out.push_str(name);
        out.push(':');
        push_values(&mut out, &parts.headers, name);
        out.push('\n');
    }
    out.push('\n');
    out.push_str(&signature.signed_headers.join(";"));
    out.push('\n');
    out.push_str(payload_hash);
    out
}

/// Every service but S3 signs the path normalised and encoded once more than it is sent.
fn path(sent: &str) -> String {
    let mut segments: Vec<&str> = Vec::new();
    for segment in sent.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(segments.pop()),
            segment => segments.push(segment),
        }
    }
    let mut out = String::with_capacity(sent.len() + 8);
    for segment in &segments {
        out.push('/');
        out.extend(utf8_percent_encode(segment, &PATH));
    }
    if segments.is_empty() || sent.ends_with('/') {
        out.push('/');
    }
    out
}

/// Parameters sorted by name, then value, both in strict encoding; the signature itself stays out.
fn query(sent: &str) -> String {
    let strict = |part: &str| -> String { percent_encode(&Cow::from(percent_decode_str(part)), &UNRESERVED).collect() };
    let mut pairs: Vec<(String, String)> = sent
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .filter(|(name, _)| *name != "X-Amz-Signature")
        .map(|(name, value)| (strict(name), strict(value)))
        .collect();
    pairs.sort_unstable();
    let mut out = String::with_capacity(sent.len());
    for (i, (name, value)) in pairs.iter().enumerate() {
        if i > 0 {
            out.push('&');
        }
        out.push_str(name);
        out.push('=');
        out.push_str(value);
    }
    out
}

/// All values of one header, blanks folded, with commas between.
fn push_values(out: &mut String, headers: &HeaderMap, name: &str) {
    for (i, value) in headers.get_all(name).iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        let text = String::from_utf8_lossy(value.as_bytes());
        for (j, word) in text.split(' ').filter(|w| !w.is_empty()).enumerate() {
            if j > 0 {
                out.push(' ');
            }
            out.push_str(word);
        }
    }
}
