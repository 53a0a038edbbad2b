use memchr::memchr2;

use super::RECORD_BYTES_FACTOR;
use crate::Error;
use crate::config::{CSV_HEADER_BYTES_MAX, CsvDelimiter, CsvHeaders};
use crate::text::{java_map_order, push_json_string};

/// Records of delimited fields as objects of strings, as AWS reads them.
///
/// A field that begins with a double quote goes on to the closing one, over delimiters and line ends; two quotes within
/// are one. A backslash makes the delimiter, a quote or a backslash behind it part of the field, and is left out before
/// anything else. A record ends with LF, CR LF or CR; lines without a character are no records. Missing fields are empty
/// strings, fields without a header are dropped.
pub(crate) struct Csv {
    delimiter: u8,
    header: Option<Header>,
    state: State,
    /// Behind a backslash.
    escaped: bool,
    /// The fields of the record so far, one after the other.
    fields: Vec<u8>,
    /// Where each complete field ends.
    ends: Vec<usize>,
    /// Whether a quote or an escaped character was seen, so that the line is not blank.
    marked: bool,
    item_bytes_max: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    FieldStart,
    Plain,
    Quoted,
    /// Behind a quote within a quoted field: it closes the field, or another one follows.
    QuoteInQuoted,
}

/// The columns in the order in which an item has them.
struct Header {
    columns: Vec<Column>,
}

struct Column {
    /// `{"name":` or `,"name":`.
    opening: Vec<u8>,
    /// Which field of the record is the value.
    field: usize,
}

impl Csv {
    pub(crate) fn new(delimiter: CsvDelimiter, headers: &CsvHeaders, item_bytes_max: usize) -> Result<Csv, Error> {
        let header = match headers {
            CsvHeaders::FirstRow => None,
            CsvHeaders::Given(names) => {
                let bytes: usize = names.iter().map(String::len).sum();
                Some(Header::new(names.iter().map(String::as_str).collect(), bytes)?)
            }
        };
        Ok(Csv {
            delimiter: delimiter.byte(),
            header,
            state: State::FieldStart,
            escaped: false,
            fields: Vec::new(),
            ends: Vec::new(),
            marked: false,
            item_bytes_max,
        })
    }

    pub(crate) fn needs_header(&self) -> bool {
        self.header.is_none()
    }

    /// Goes on at the start of a record; what was seen behind the header does not count.
    pub(crate) fn resume(&mut self) {
        self.escaped = false;
        self.clear();
    }

    pub(crate) fn decode(&mut self, input: &[u8]) -> Result<(usize, Option<String>), Error> {
        let mut at = 0;
        while at < input.len() {
            let byte = input[at];
            if self.escaped {
                self.escaped = false;
                if byte == b'\\' || byte == b'"' || byte == self.delimiter {
                    self.fields.push(byte);
                    self.marked = true;
                    at += 1;
                }
                if self.state == State::FieldStart {
                    self.state = State::Plain;
                }
                continue;
            }
            match self.state {
                State::Quoted => at += self.quoted(&input[at..]),
                State::QuoteInQuoted if byte == b'"' => {
                    self.fields.push(b'"');
                    self.state = State::Quoted;
                    at += 1;
                }
                State::QuoteInQuoted => self.state = State::Plain,
                State::FieldStart if byte == b'"' => {
                    self.state = State::Quoted;
                    self.marked = true;
                    at += 1;
                }
                State::FieldStart | State::Plain => {
                    let (used, ended) = self.plain(&input[at..]);
                    at += used;
                    if ended && let Some(item) = self.end_record()? {
                        return Ok((at, Some(item)));
                    }
                }
            }
            self.bound()?;
        }
        Ok((at, None))
    }

    pub(crate) fn finish(&mut self) -> Result<Option<String>, Error> {
        if self.state == State::Quoted {
            return Err(Error::Reader("The CSV file ends within a quoted field.".to_owned()));
        }
        self.escaped = false;
        self.end_record()
    }

    /// Bytes within quotes, up to a quote or a backslash.
    fn quoted(&mut self, input: &[u8]) -> usize {
        let Some(length) = memchr2(b'"', b'\\', input) else {
            self.fields.extend_from_slice(input);
            return input.len();
        };
        self.fields.extend_from_slice(&input[..length]);
        if input[length] == b'"' {
            self.state = State::QuoteInQuoted;
        } else {
            self.escaped = true;
        }
        length + 1
    }

    /// Bytes outside quotes, up to something that is more than itself; tells whether the record ended.
    fn plain(&mut self, input: &[u8]) -> (usize, bool) {
        let delimiter = self.delimiter;
        let special = |byte: &u8| *byte == delimiter || matches!(byte, b'\n' | b'\r' | b'\\');
        let Some(length) = input.iter().position(special) else {
            self.fields.extend_from_slice(input);
            self.state = State::Plain;
            return (input.len(), false);
        };
        self.fields.extend_from_slice(&input[..length]);
        if length > 0 {
            self.state = State::Plain;
        }
        match input[length] {
            b'\\' => self.escaped = true,
            byte if byte == delimiter => {
                self.ends.push(self.fields.len());
                self.state = State::FieldStart;
            }
            _ => return (length + 1, true),
        }
        (length + 1, false)
    }

    /// Ends the record: the header, an item, or a blank line, such as the one between CR and LF.
    fn end_record(&mut self) -> Result<Option<String>, Error> {
        let blank = self.ends.is_empty() && self.fields.is_empty() && !self.marked;
        let mut item = None;
        if !blank {
            self.ends.push(self.fields.len());
            match &self.header {
                Some(header) => item = Some(header.item(&self.fields, &self.ends, self.item_bytes_max)?),
                None => self.header = Some(Header::of_record(&self.fields, &self.ends)?),
            }
        }
        self.clear();
        Ok(item)
    }

    fn clear(&mut self) {
        self.fields.clear();
        self.ends.clear();
        self.marked = false;
        self.state = State::FieldStart;
    }

    fn bound(&self) -> Result<(), Error> {
        let bytes = self.fields.len() + self.ends.len();
        if self.header.is_none() && bytes > CSV_HEADER_BYTES_MAX {
            return Err(header_too_large());
        }
        if bytes > self.item_bytes_max.saturating_mul(RECORD_BYTES_FACTOR) {
            return Err(Error::item_too_large(self.item_bytes_max));
        }
        Ok(())
    }
}

impl Header {
    fn of_record(fields: &[u8], ends: &[usize]) -> Result<Header, Error> {
        let mut from = 0;
        let names: Vec<String> = ends
            .iter()
            .map(|end| String::from_utf8_lossy(&fields[std::mem::replace(&mut from, *end)..*end]).into_owned())
            .collect();
        Header::new(names.iter().map(String::as_str).collect(), fields.len())
    }

    fn new(names: Vec<&str>, bytes: usize) -> Result<Header, Error> {
        if bytes > CSV_HEADER_BYTES_MAX {
            return Err(header_too_large());
        }
        // Of columns with the same name the last one counts.
        let mut unique: Vec<(&str, usize)> = Vec::with_capacity(names.len());
        let mut places = std::collections::BTreeMap::new();
        for (field, name) in names.into_iter().enumerate() {
            let place = *places.entry(name).or_insert(unique.len());
            match unique.get_mut(place) {
                Some(before) => before.1 = field,
                None => unique.push((name, field)),
            }
        }
        let mut columns = Vec::with_capacity(unique.len());
        for index in java_map_order(unique.iter().map(|(name, _)| *name)) {
            let (name, field) = unique[index];
            let mut opening = vec![if columns.is_empty() { b'{' } else { b',' }];
            push_json_string(&mut opening, name.as_bytes());
            opening.push(b':');
            columns.push(Column { opening, field });
        }
        Ok(Header { columns })
    }

    fn item(&self, fields: &[u8], ends: &[usize], item_bytes_max: usize) -> Result<String, Error> {
        let names: usize = self.columns.iter().map(|column| column.opening.len() + 2).sum();
        let mut item = Vec::with_capacity(names + fields.len() + 1);
        for column in &self.columns {
            item.extend_from_slice(&column.opening);
            let from = column.field.checked_sub(1).map_or(Some(0), |before| ends.get(before).copied());
            let value = from.zip(ends.get(column.field)).map_or(&[][..], |(from, end)| &fields[from..*end]);
            push_json_string(&mut item, value);
        }
        item.push(b'}');
        if item.len() > item_bytes_max {
            return Err(Error::item_too_large(item_bytes_max));
        }
        // Nothing but JSON punctuation and strings that are UTF-8 was written.
        String::from_utf8(item).map_err(|_| Error::Reader("The CSV file is not UTF-8.".to_owned()))
    }
}

fn header_too_large() -> Error {
    Error::Reader(format!("The CSV header exceeds the maximum size of {CSV_HEADER_BYTES_MAX} bytes."))
}
