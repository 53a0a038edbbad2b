use memchr::memchr;

use super::RECORD_BYTES_FACTOR;
use super::scan::{Scanner, check};
use crate::Error;

/// JSON Lines: one value on each line; blank lines do not count.
pub(crate) struct JsonLines {
    lines: Split,
    scanner: Scanner,
}

/// A list of objects, one S3 URI on each line.
pub(crate) struct Lines(Split);

/// Splits at line feeds; white space around a line does not belong to it.
struct Split {
    line: Vec<u8>,
    bytes_max: usize,
    item_bytes_max: usize,
}

impl JsonLines {
    pub(crate) fn new(item_bytes_max: usize) -> JsonLines {
        JsonLines { lines: Split::new(item_bytes_max), scanner: Scanner::new(item_bytes_max) }
    }

    pub(crate) fn decode(&mut self, input: &[u8]) -> Result<(usize, Option<String>), Error> {
        let scanner = &mut self.scanner;
        self.lines.decode(input, |line| value(scanner, line))
    }

    pub(crate) fn finish(&mut self) -> Result<Option<String>, Error> {
        let scanner = &mut self.scanner;
        self.lines.finish(|line| value(scanner, line))
    }
}

impl Lines {
    pub(crate) fn new(line_bytes_max: usize) -> Lines {
        Lines(Split::new(line_bytes_max))
    }

    pub(crate) fn decode(&mut self, input: &[u8]) -> Result<(usize, Option<String>), Error> {
        self.0.decode(input, text)
    }

    pub(crate) fn finish(&mut self) -> Result<Option<String>, Error> {
        self.0.finish(text)
    }
}

impl Split {
    fn new(item_bytes_max: usize) -> Split {
        let bytes_max = item_bytes_max.saturating_mul(RECORD_BYTES_FACTOR);
        Split { line: Vec::new(), bytes_max, item_bytes_max }
    }

    fn decode(
        &mut self,
        input: &[u8],
        mut item: impl FnMut(&[u8]) -> Result<String, Error>,
    ) -> Result<(usize, Option<String>), Error> {
        let mut at = 0;
        while at < input.len() {
            let Some(length) = memchr(b'\n', &input[at..]) else {
                self.hold(&input[at..])?;
                return Ok((input.len(), None));
            };
            let end = at + length;
            if self.line.is_empty() {
                // The whole line is here: it need not be copied.
                let line = input[at..end].trim_ascii();
                at = end + 1;
                if !line.is_empty() {
                    return Ok((at, Some(item(line)?)));
                }
            } else {
                self.hold(&input[at..end])?;
                at = end + 1;
                if let Some(found) = self.finish(&mut item)? {
                    return Ok((at, Some(found)));
                }
            }
        }
        Ok((at, None))
    }

    fn finish(&mut self, mut item: impl FnMut(&[u8]) -> Result<String, Error>) -> Result<Option<String>, Error> {
        let held = std::mem::take(&mut self.line);
        let line = held.trim_ascii();
        if line.is_empty() { Ok(None) } else { item(line).map(Some) }
    }

    fn hold(&mut self, part: &[u8]) -> Result<(), Error> {
        let part = if self.line.is_empty() { part.trim_ascii_start() } else { part };
        if self.line.len() + part.len() > self.bytes_max {
            return Err(Error::item_too_large(self.item_bytes_max));
        }
        self.line.extend_from_slice(part);
        Ok(())
    }
}

fn value(scanner: &mut Scanner, line: &[u8]) -> Result<String, Error> {
    scanner.begin(true);
    let (used, _) = scanner.scan(line)?;
    if used < line.len() {
        return Err(Error::malformed_json("a line has more than one value"));
    }
    check(scanner.take())
}

fn text(line: &[u8]) -> Result<String, Error> {
    let line = line.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")).unwrap_or(line);
    String::from_utf8(line.to_vec()).map_err(|_| Error::Reader("The manifest is not UTF-8.".to_owned()))
}
