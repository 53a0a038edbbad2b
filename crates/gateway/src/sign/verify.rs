use base::Timestamp;
use hmac::{Hmac, Mac};
use http::request::Parts;
use sha2::{Digest, Sha256};

use super::{Refusal, Signature, canonical};
use crate::options::Credential;

/// How far a signature's time may lie from ours: the JSON services' window.
const SKEW_SECONDS_MAX: i64 = 5 * 60;
/// The window of the Query services (STS, IAM, CloudFormation).
const SKEW_SECONDS_MAX_QUERY: i64 = 15 * 60;

const MISMATCH: &str = "The request signature we calculated does not match the signature you provided. Check your AWS \
                        Secret Access Key and signing method. Consult the service documentation for details.";

/// One request's signature against the key it names.
pub(crate) struct Verifier<'a> {
    pub signature: &'a Signature<'a>,
    pub credential: &'a Credential,
}

impl Verifier<'_> {
    /// What can be refused before the body is read: form, time, token, scope.
    pub fn check_head(&self, parts: &Parts, is_query: bool, now: Timestamp) -> Result<(), Refusal> {
        let Verifier { signature, credential } = self;
        signature.check_form()?;
        if credential.expires.is_some_and(|at| at <= now) {
            return Err(Refusal::TokenExpired);
        }
        if signature.token.as_deref() != credential.session_token.as_deref() {
            return Err(Refusal::UnknownKey);
        }
        self.check_time(is_query, now)?;
        if signature.terminator != "aws4_request" {
            let got = &signature.terminator;
            return Err(invalid(format!(
                "Credential should be scoped with a valid terminator: 'aws4_request', not '{got}'."
            )));
        }
        self.check_signed_headers(parts)
    }

    /// The signature itself.
    pub fn check_signature(&self, parts: &Parts, body: &[u8]) -> Result<(), Refusal> {
        let Verifier { signature, credential } = self;
        let hash = payload_hash(parts, body)?;
        let canonical = canonical::request(parts, signature, &hash);
        let scope = format!("{}/{}/{}/aws4_request", signature.date, signature.region, signature.service);
        let timestamp = &signature.timestamp;
        let text = format!("AWS4-HMAC-SHA256\n{timestamp}\n{scope}\n{}", hex_hash(canonical.as_bytes()));
        let mut key = mac(format!("AWS4{}", credential.secret_access_key).as_bytes(), signature.date.as_bytes());
        for part in [&signature.region, &signature.service] {
            key = mac(&key, part.as_bytes());
        }
        key = mac(&key, b"aws4_request");
        let given = hex::decode(signature.signature.as_bytes()).map_err(|_| invalid(MISMATCH))?;
        let mut expected = new_mac(&key);
        expected.update(text.as_bytes());
        // Compares in constant time.
        expected.verify_slice(&given).map_err(|_| invalid(MISMATCH))
    }

    fn check_time(&self, is_query: bool, now: Timestamp) -> Result<(), Refusal> {
        let signature = self.signature;
        let sent = &signature.timestamp;
        let Some(signed_at) = parse_basic(sent) else {
            return Err(Refusal::Incomplete(format!(
                "Date must be in ISO-8601 'basic format'. Got '{}'. See http://en.wikipedia.org/wiki/ISO_8601",
                sent.chars().take(64).collect::<String>()
            )));
        };
        if !sent.starts_with(&*signature.date) || signature.date.len() != 8 {
            return Err(invalid(format!(
                "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '{}' != \
                 '{}', from '{sent}'.",
                signature.date,
                sent.get(..8).unwrap_or("")
            )));
        }
        let now = now.as_seconds();
        let skew = if is_query { SKEW_SECONDS_MAX_QUERY } else { SKEW_SECONDS_MAX };
        let (clock, minutes) = (basic(now), skew / 60);
        if signed_at > now + skew {
            let edge = basic(now + skew);
            return Err(invalid(format!(
                "Signature not yet current: {sent} is still later than {edge} ({clock} + {minutes} min.)"
            )));
        }
        if let Some(expires) = signature.expires_seconds {
            let over = signed_at.saturating_add(i64::try_from(expires).unwrap_or(i64::MAX)) < now;
            return if over { Err(Refusal::UrlExpired) } else { Ok(()) };
        }
        if signed_at < now - skew {
            let edge = basic(now - skew);
            return Err(invalid(format!(
                "Signature expired: {sent} is now earlier than {edge} ({clock} - {minutes} min.)"
            )));
        }
        Ok(())
    }

    /// `host` and all `x-amz-*` headers must be signed: whatever decides what the request does.
    fn check_signed_headers(&self, parts: &Parts) -> Result<(), Refusal> {
        let is_signed = |name: &str| self.signature.signed_headers.iter().any(|s| s == name);
        if !is_signed("host") {
            let message = "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.";
            return Err(invalid(message));
        }
        for name in parts.headers.keys() {
            let name = name.as_str();
            // Some SDKs add this one after signing; it decides nothing.
            if name.starts_with("x-amz-") && name != "x-amz-user-agent" && !is_signed(name) {
                return Err(invalid(format!("'{name}' must be a 'SignedHeader' in the AWS Authorization.")));
            }
        }
        Ok(())
    }
}

/// The scope's service must be the one that is called, or a signature for one service would open another.
pub(crate) fn check_scope(signature: &Signature<'_>, signing_names: &[String]) -> Result<(), Refusal> {
    if signing_names.iter().any(|name| *name == signature.service) {
        return Ok(());
    }
    let expected = signing_names.first().map_or("", String::as_str);
    Err(invalid(format!("Credential should be scoped to correct service: '{expected}'. ")))
}

fn invalid(message: impl Into<String>) -> Refusal {
    Refusal::Invalid(message.into())
}

/// What the client says of the body's hash must be true, or be that the body is not signed.
fn payload_hash(parts: &Parts, body: &[u8]) -> Result<String, Refusal> {
    let claimed = parts.headers.get("x-amz-content-sha256").and_then(|v| v.to_str().ok());
    if claimed == Some("UNSIGNED-PAYLOAD") {
        return Ok("UNSIGNED-PAYLOAD".to_owned());
    }
    let hash = hex_hash(body);
    match claimed {
        Some(claimed) if claimed != hash => Err(invalid(MISMATCH)),
        _ => Ok(hash),
    }
}

fn new_mac(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("HMAC takes keys of any length")
}

fn mac(key: &[u8], data: &[u8]) -> [u8; 32] {
    let mut mac = new_mac(key);
    mac.update(data);
    mac.finalize().into_bytes().into()
}

fn hex_hash(data: &[u8]) -> String {
    hex::encode(Sha256::digest(data))
}

/// Seconds of `20240115T093000Z`.
fn parse_basic(text: &str) -> Option<i64> {
    let bytes = text.as_bytes();
    if !text.is_ascii() || bytes.len() != 16 || bytes[8] != b'T' || bytes[15] != b'Z' {
        return None;
    }
    let (y, mo, d) = (&text[..4], &text[4..6], &text[6..8]);
    let (h, mi, s) = (&text[9..11], &text[11..13], &text[13..15]);
    Timestamp::parse_rfc3339(&format!("{y}-{mo}-{d}T{h}:{mi}:{s}Z")).ok().map(Timestamp::as_seconds)
}

/// `20240115T093000Z` of seconds.
fn basic(seconds: i64) -> String {
    let text = Timestamp::from_millis(seconds.saturating_mul(1000)).to_rfc3339();
    let mut out: String = text.chars().take(19).filter(|c| *c != '-' && *c != ':').collect();
    out.push('Z');
    out
}
