//! Base64 and URLs.

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use percent::{Set, decode, encode};

use super::super::error::{Failure, Result};
use super::super::evaluate::Evaluator;
use super::super::function::Arguments;
use super::super::value::Val;

/// Padding may be left out.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

pub(super) fn base64_encode<'a>(evaluator: &Evaluator<'a, '_>, mut arguments: Arguments<'a>) -> Result<Val<'a>> {
    let Val::Text(text) = arguments.next() else { return Ok(Val::Undefined) };
    evaluator.text(BASE64.encode(text.as_bytes()))
}

pub(super) fn base64_decode<'a>(evaluator: &Evaluator<'a, '_>, mut arguments: Arguments<'a>) -> Result<Val<'a>> {
    let Val::Text(text) = arguments.next() else { return Ok(Val::Undefined) };
    let bytes = BASE64.decode(text.as_bytes()).map_err(|_| Failure::message("D3137", "Invalid Base64"))?;
    evaluator.text(String::from_utf8_lossy(&bytes).into_owned())
}

pub(super) fn encode_url<'a>(evaluator: &Evaluator<'a, '_>, mut arguments: Arguments<'a>) -> Result<Val<'a>> {
    let Val::Text(text) = arguments.next() else { return Ok(Val::Undefined) };
    evaluator.text(encode(&text, Set::Url))
}

pub(super) fn encode_url_component<'a>(evaluator: &Evaluator<'a, '_>, mut arguments: Arguments<'a>) -> Result<Val<'a>> {
    let Val::Text(text) = arguments.next() else { return Ok(Val::Undefined) };
    evaluator.text(encode(&text, Set::Component))
}

pub(super) fn decode_url<'a>(evaluator: &Evaluator<'a, '_>, mut arguments: Arguments<'a>) -> Result<Val<'a>> {
    let Val::Text(text) = arguments.next() else { return Ok(Val::Undefined) };
    match decode(&text, Set::Url) {
        Some(decoded) => evaluator.text(decoded),
        None => Err(Failure::new("D3140").text(&text).token("decodeUrl")),
    }
}

pub(super) fn decode_url_component<'a>(evaluator: &Evaluator<'a, '_>, mut arguments: Arguments<'a>) -> Result<Val<'a>> {
    let Val::Text(text) = arguments.next() else { return Ok(Val::Undefined) };
    match decode(&text, Set::Component) {
        Some(decoded) => evaluator.text(decoded),
        None => Err(Failure::new("D3140").text(&text).token("decodeUrlComponent")),
    }
}

/// Percent-encoding as ECMAScript's `encodeURI` and `encodeURIComponent` do it.
mod percent {
    /// What stays as it is.
    #[derive(Clone, Copy, PartialEq)]
    pub enum Set {
        Url,
        Component,
    }

    const RESERVED: &[u8] = b";/?:@&=+$,#";

    pub fn encode(text: &str, set: Set) -> String {
        let mut encoded = String::with_capacity(text.len());
        for byte in text.bytes() {
            let plain = byte.is_ascii_alphanumeric()
                || b"-_.!~*'()".contains(&byte)
                || set == Set::Url && RESERVED.contains(&byte);
            match plain {
                true => encoded.push(char::from(byte)),
                false => encoded.push_str(&format!("%{byte:02X}")),
            }
        }
        encoded
    }

    pub fn decode(text: &str, set: Set) -> Option<String> {
        let bytes = text.as_bytes();
        let mut decoded = Vec::with_capacity(bytes.len());
        let mut at = 0;
        while at < bytes.len() {
            if bytes[at] != b'%' {
                decoded.push(bytes[at]);
                at += 1;
                continue;
            }
            let digits = bytes.get(at + 1..at + 3).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))?;
            let byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
            match set == Set::Url && RESERVED.contains(&byte) {
                true => decoded.extend_from_slice(&bytes[at..at + 3]),
                false => decoded.push(byte),
            }
            at += 3;
        }
        String::from_utf8(decoded).ok()
    }
}
