use super::scan::{Scanner, check};
use crate::Error;

/// Depth of an item; a batch and a child's input put some levels around it.
pub const JSON_DEPTH_MAX: usize = 100;
/// Where in a file the target of an `ItemsPointer` must begin at the latest.
pub const ITEMS_POINTER_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Size of an object's key.
const KEY_BYTES_MAX: usize = 256 * 1024;

/// The elements of a JSON array; with an `ItemsPointer` also the members of an object.
///
/// Text after a top-level array is an error; behind the target of a pointer nothing is read.
pub(crate) struct Json {
    pointer: Option<String>,
    /// The steps of the pointer that are still to go, next one last.
    steps: Vec<String>,
    state: State,
    /// Whether the container that is being read is the one with the items.
    found: bool,
    container: Container,
    /// Of the element that comes, where a step is the index of one.
    element: u64,
    scanner: Scanner,
    /// The key of the member that is being read, as text with quotes.
    key: String,
    consumed: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before the document, or before the value that the next step leads to.
    Start,
    /// Behind an opening bracket.
    Open,
    /// Behind an element or member.
    Between,
    /// Behind a comma.
    Next,
    InKey,
    Colon,
    /// Before a member's value.
    Member,
    InValue,
    /// Behind a top-level array.
    Trailing,
    /// Behind the target of a pointer.
    Done,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Container {
    Array,
    Object,
}

impl Json {
    pub(crate) fn new(pointer: Option<&str>, item_bytes_max: usize) -> Result<Json, Error> {
        let steps = pointer.map(steps).transpose()?.unwrap_or_default();
        Ok(Json {
            pointer: pointer.map(str::to_owned),
            steps,
            state: State::Start,
            found: false,
            container: Container::Array,
            element: 0,
            scanner: Scanner::new(item_bytes_max),
            key: String::new(),
            consumed: 0,
        })
    }

    pub(crate) fn decode(&mut self, input: &[u8]) -> Result<(usize, Option<String>), Error> {
        let mut at = 0;
        while at < input.len() && self.state != State::Done {
            if matches!(self.state, State::InKey | State::InValue) {
                let (used, ended) = self.scanner.scan(&input[at..])?;
                at += used;
                if ended && let Some(item) = self.scanned()? {
                    self.consumed += at as u64;
                    return Ok((at, Some(item)));
                }
                continue;
            }
            let byte = input[at];
            if matches!(byte, b' ' | b'\t' | b'\n' | b'\r') || self.token(byte)? {
                at += 1;
            }
        }
        self.consumed += at as u64;
        if !self.found && self.pointer.is_some() && self.consumed > ITEMS_POINTER_BYTES_MAX {
            return Err(self.not_found("within the first 16 MB of the file"));
        }
        Ok((at, None))
    }

    pub(crate) fn finish(&mut self) -> Result<(), Error> {
        match self.state {
            State::Trailing | State::Done => Ok(()),
            State::Start if self.consumed == 0 => Err(Error::malformed_json("it is empty")),
            _ => Err(Error::malformed_json("it ends within a value")),
        }
    }

    pub(crate) fn is_done(&self) -> bool {
        self.state == State::Done
    }

    pub(crate) fn mark(&self) -> u8 {
        match (self.found, self.container) {
            (false, _) => 0,
            (true, Container::Array) => 1,
            (true, Container::Object) => 2,
        }
    }

    pub(crate) fn resume(&mut self, mark: u8) -> Result<(), Error> {
        self.container = match mark {
            0 => return Ok(()),
            1 => Container::Array,
            2 => Container::Object,
            _ => return Err(Error::Reader("The position in the JSON file is damaged.".to_owned())),
        };
        self.found = true;
        self.state = State::Between;
        Ok(())
    }

    /// Takes a byte outside values, no white space; false if it belongs to the value that begins with it.
    fn token(&mut self, byte: u8) -> Result<bool, Error> {
        match self.state {
            State::Start => self.enter(byte),
            State::Open | State::Next if self.container == Container::Object && byte == b'"' => {
                self.scanner.begin(true);
                self.state = State::InKey;
                Ok(false)
            }
            State::Open | State::Between if byte == self.closing() => {
                self.close()?;
                Ok(true)
            }
            State::Open | State::Next if self.container == Container::Array => {
                if !begins_value(byte) {
                    return Err(unexpected(byte));
                }
                self.begin_value()
            }
            State::Between if byte == b',' => {
                self.state = State::Next;
                Ok(true)
            }
            State::Colon if byte == b':' => {
                self.state = State::Member;
                Ok(true)
            }
            State::Member if begins_value(byte) => self.begin_value(),
            _ => Err(unexpected(byte)),
        }
    }

    /// Begins an element or a member's value: an item, the way to the target, or something to pass over.
    fn begin_value(&mut self) -> Result<bool, Error> {
        if !self.found && self.leads_on() {
            self.steps.pop();
            self.state = State::Start;
        } else {
            self.scanner.begin(self.found);
            self.state = State::InValue;
        }
        Ok(false)
    }

    /// Whether the value that begins is the one of the next step.
    fn leads_on(&self) -> bool {
        let Some(step) = self.steps.last() else { return false };
        match self.container {
            Container::Array => *step == self.element.to_string(),
            Container::Object => *step == self.key,
        }
    }

    /// Enters the document, or a value on the way to the target.
    fn enter(&mut self, byte: u8) -> Result<bool, Error> {
        let target = self.steps.is_empty();
        self.container = match byte {
            b'[' => Container::Array,
            b'{' if !target || self.pointer.is_some() => Container::Object,
            _ if !begins_value(byte) => return Err(unexpected(byte)),
            _ if target => return Err(Error::not_iterable()),
            _ => return Err(self.not_found("in the file")),
        };
        self.found = target;
        self.element = 0;
        self.state = State::Open;
        Ok(true)
    }

    fn close(&mut self) -> Result<(), Error> {
        if !self.found {
            return Err(self.not_found("in the file"));
        }
        self.state = if self.pointer.is_some() { State::Done } else { State::Trailing };
        Ok(())
    }

    /// Deals with a key or value that ended.
    fn scanned(&mut self) -> Result<Option<String>, Error> {
        if self.state == State::InKey {
            let text = self.scanner.take();
            if text.len() > KEY_BYTES_MAX {
                return Err(Error::item_too_large(KEY_BYTES_MAX));
            }
            self.key = check(text)?;
            if !self.found {
                self.key = serde_json::from_str(&self.key).map_err(|e| Error::malformed_json(&e.to_string()))?;
            }
            self.state = State::Colon;
            return Ok(None);
        }
        self.state = State::Between;
        self.element += 1;
        if !self.found {
            return Ok(None);
        }
        let value = check(self.scanner.take())?;
        Ok(Some(match self.container {
            Container::Array => value,
            Container::Object => format!(r#"{{"Key":{},"Value":{value}}}"#, self.key),
        }))
    }

    fn closing(&self) -> u8 {
        match self.container {
            Container::Array => b']',
            Container::Object => b'}',
        }
    }

    fn not_found(&self, place: &str) -> Error {
        let pointer = self.pointer.as_deref().unwrap_or("");
        Error::Reader(format!("The ItemsPointer '{pointer}' does not lead to an array or object {place}."))
    }
}

/// The steps of a JSON pointer, last one first.
fn steps(pointer: &str) -> Result<Vec<String>, Error> {
    if pointer.is_empty() {
        return Ok(Vec::new());
    }
    let path = pointer.strip_prefix('/').ok_or_else(|| {
        Error::Field(format!("The ItemsPointer '{pointer}' is not a JSON pointer: it begins with '/'."))
    })?;
    Ok(path.split('/').rev().map(|step| step.replace("~1", "/").replace("~0", "~")).collect())
}

fn begins_value(byte: u8) -> bool {
    matches!(byte, b'"' | b'{' | b'[' | b'-' | b'0'..=b'9' | b't' | b'f' | b'n')
}

fn unexpected(byte: u8) -> Error {
    Error::malformed_json(&format!("unexpected character '{}'", char::from(byte).escape_default()))
}
