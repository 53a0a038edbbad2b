//! The functions on strings.

use base64::Engine as _;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use serde_json::{Number, Value};
use sha2::Digest as _;

use super::{Failure, TextPart};
use crate::limits::Budget;
use crate::text::{json_text, plain_text};

/// AWS's limit of the argument of `States.Base64Encode`, `States.Base64Decode` and `States.Hash`.
const TEXT_CHARS_MAX: usize = 10_000;

/// Takes base64 with and without padding, like Java's.
const DECODER: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

pub(super) fn format(parts: &[TextPart], values: &[Value], budget: &mut Budget) -> Result<Value, Failure> {
    let placeholders = parts.iter().filter(|part| **part == TextPart::Placeholder).count();
    if placeholders != values.len() {
        return Err(Failure::Refused(format!(
            "the template has {placeholders} placeholders {{}} for {} arguments",
            values.len()
        )));
    }
    let mut values = values.iter();
    let mut text = String::new();
    for part in parts {
        let before = text.len();
        match part {
            TextPart::Text(part) => text.push_str(part),
            TextPart::Placeholder => text.extend(values.next().map(plain_text)),
        }
        budget.charge_bytes(text.len() - before)?;
    }
    Ok(Value::String(text))
}

/// Blank text is null, as Java's parser has it.
pub(super) fn string_to_json(text: &str) -> Result<Value, Failure> {
    match text.trim() {
        "" => Ok(Value::Null),
        // An integer in Java, not the double -0.0.
        "-0" => Ok(Value::Number(Number::from(0))),
        trimmed => {
            serde_json::from_str(trimmed).map_err(|error| Failure::Refused(format!("the string is not JSON: {error}")))
        }
    }
}

pub(super) fn json_to_string(value: &Value, budget: &mut Budget) -> Result<Value, Failure> {
    let text = json_text(value);
    budget.charge_bytes(text.len())?;
    Ok(Value::String(text))
}

fn within_limit(text: &str) -> Result<(), Failure> {
    if text.chars().nth(TEXT_CHARS_MAX).is_some() {
        return Err(Failure::Refused(format!("the string must not exceed {TEXT_CHARS_MAX} characters")));
    }
    Ok(())
}

pub(super) fn base64_encode(text: &str) -> Result<Value, Failure> {
    within_limit(text)?;
    Ok(Value::String(STANDARD.encode(text)))
}

pub(super) fn base64_decode(text: &str) -> Result<Value, Failure> {
    within_limit(text)?;
    let bytes = DECODER.decode(text).map_err(|error| Failure::Refused(format!("the string is not base64: {error}")))?;
    Ok(Value::String(String::from_utf8_lossy(&bytes).into_owned()))
}

pub(super) fn hash(text: &str, algorithm: &str) -> Result<Value, Failure> {
    within_limit(text)?;
    let digest = match algorithm {
        "MD5" => hex::encode(md5::Md5::digest(text)),
        "SHA-1" => hex::encode(sha1::Sha1::digest(text)),
        "SHA-256" => hex::encode(sha2::Sha256::digest(text)),
        "SHA-384" => hex::encode(sha2::Sha384::digest(text)),
        "SHA-512" => hex::encode(sha2::Sha512::digest(text)),
        _ => {
            return Err(Failure::Refused(format!(
                "the algorithm '{algorithm}' is not one of MD5, SHA-1, SHA-256, SHA-384, SHA-512"
            )));
        }
    };
    Ok(Value::String(digest))
}

/// Splits at every character of `delimiters`; empty parts go.
pub(super) fn string_split(text: &str, delimiters: &str, budget: &mut Budget) -> Result<Value, Failure> {
    let mut parts = Vec::new();
    for part in text.split(|c| delimiters.contains(c)).filter(|part| !part.is_empty()) {
        budget.charge_bytes(part.len() + 8)?;
        parts.push(Value::from(part));
    }
    Ok(Value::Array(parts))
}
