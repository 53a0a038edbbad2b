//! The extent of a JSON value in a stream, without insignificant white space.

use std::fmt;

use memchr::memchr2;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use super::json::JSON_DEPTH_MAX;
use crate::Error;

/// Finds where a JSON value ends. It looks at quotes and brackets only; [`check`] tells whether the text is JSON.
pub(super) struct Scanner {
    depth: usize,
    in_string: bool,
    escaped: bool,
    /// White space was left out before this place.
    space: bool,
    /// The value so far, if it is kept.
    kept: Option<Vec<u8>>,
    bytes_max: usize,
}

impl Scanner {
    pub(super) fn new(bytes_max: usize) -> Scanner {
        Scanner { depth: 0, in_string: false, escaped: false, space: false, kept: None, bytes_max }
    }

    /// Begins a value: one whose text is wanted, or one to pass over.
    pub(super) fn begin(&mut self, keep: bool) {
        let capacity = self.kept.take().map_or(0, |before| before.len());
        *self = Scanner { kept: keep.then(|| Vec::with_capacity(capacity)), ..Scanner::new(self.bytes_max) };
    }

    /// The text of the value that ended; empty if it was passed over.
    pub(super) fn take(&mut self) -> Vec<u8> {
        let text = self.kept.take().unwrap_or_default();
        // The next value is likely as long.
        self.kept = Some(Vec::with_capacity(text.len()));
        text
    }

    /// Goes on through the value; the first byte of it is no white space. Gives the bytes used and whether it ended.
    pub(super) fn scan(&mut self, input: &[u8]) -> Result<(usize, bool), Error> {
        let mut from = 0;
        let mut at = 0;
        while at < input.len() {
            if self.in_string {
                let closed = self.scan_string(input, &mut at);
                if closed && self.depth == 0 {
                    self.keep(&input[from..at])?;
                    return Ok((at, true));
                }
                continue;
            }
            let byte = input[at];
            let spaced = std::mem::take(&mut self.space);
            match byte {
                b' ' | b'\t' | b'\n' | b'\r' => {
                    self.keep(&input[from..at])?;
                    if self.depth == 0 {
                        return Ok((at, true));
                    }
                    self.space = true;
                    from = at + 1;
                }
                b',' | b':' | b']' | b'}' if self.depth == 0 => {
                    self.keep(&input[from..at])?;
                    return Ok((at, true));
                }
                b'"' => self.in_string = true,
                b'{' | b'[' => {
                    self.depth += 1;
                    if self.depth > JSON_DEPTH_MAX {
                        return Err(Error::malformed_json(&format!(
                            "it is nested deeper than {JSON_DEPTH_MAX} levels"
                        )));
                    }
                }
                b']' | b'}' => {
                    self.depth -= 1;
                    if self.depth == 0 {
                        self.keep(&input[from..=at])?;
                        return Ok((at + 1, true));
                    }
                }
                // Two words that white space separates stay apart, so that they do not become one valid word.
                _ if spaced && self.ends_in_word() && byte != b',' && byte != b':' => self.keep(b" ")?,
                _ => {}
            }
            at += 1;
        }
        self.keep(&input[from..])?;
        Ok((at, false))
    }

    /// Passes the rest of a string; true if its closing quote was found.
    fn scan_string(&mut self, input: &[u8], at: &mut usize) -> bool {
        if self.escaped {
            self.escaped = false;
            *at += 1;
            return false;
        }
        match memchr2(b'"', b'\\', &input[*at..]) {
            None => *at = input.len(),
            Some(found) => {
                *at += found + 1;
                if input[*at - 1] == b'"' {
                    self.in_string = false;
                    return true;
                }
                self.escaped = true;
            }
        }
        false
    }

    fn ends_in_word(&self) -> bool {
        let last = self.kept.as_ref().and_then(|kept| kept.last());
        last.is_some_and(|byte| !matches!(byte, b'{' | b'}' | b'[' | b']' | b',' | b':' | b'"'))
    }

    fn keep(&mut self, bytes: &[u8]) -> Result<(), Error> {
        if bytes.is_empty() {
            return Ok(());
        }
        if let Some(kept) = &mut self.kept {
            if kept.len() + bytes.len() > self.bytes_max {
                return Err(Error::item_too_large(self.bytes_max));
            }
            kept.extend_from_slice(bytes);
        }
        Ok(())
    }
}

/// The text as an item, if it is JSON that a value can be built of.
pub(super) fn check(text: Vec<u8>) -> Result<String, Error> {
    let text = String::from_utf8(text).map_err(|_| Error::malformed_json("it is not UTF-8"))?;
    serde_json::from_str::<Valid>(&text).map_err(|error| Error::malformed_json(&error.to_string()))?;
    Ok(text)
}

/// Takes whatever `serde_json::Value` takes, and keeps nothing.
struct Valid;

impl<'de> Deserialize<'de> for Valid {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Valid, D::Error> {
        deserializer.deserialize_any(Valid)
    }
}

impl<'de> Visitor<'de> for Valid {
    type Value = Valid;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Valid, E> {
        Ok(Valid)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Valid, E> {
        Ok(Valid)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Valid, E> {
        Ok(Valid)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Valid, E> {
        Ok(Valid)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Valid, E> {
        Ok(Valid)
    }

    fn visit_str<E>(self, _: &str) -> Result<Valid, E> {
        Ok(Valid)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Valid, A::Error> {
        while elements.next_element::<Valid>()?.is_some() {}
        Ok(Valid)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Valid, A::Error> {
        while members.next_entry::<Valid, Valid>()?.is_some() {}
        Ok(Valid)
    }
}
