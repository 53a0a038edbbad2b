//! JSON with positions. The YAML reader would take most JSON, but not tabs before members, `\/` and surrogate pairs.

use super::diagnostic::Diagnostic;
use super::limits::{DEPTH_MAX, NODES_MAX};
use super::node::{Entry, Kind, Node, Position};

/// Reads one JSON document.
pub(super) fn parse(text: &str) -> Result<Node, Diagnostic> {
    let mut reader = Reader { bytes: text.as_bytes(), text, next: 0, line: 1, line_start: 0, nodes: 0 };
    reader.space();
    let node = reader.value(0)?;
    reader.space();
    if reader.next < reader.bytes.len() {
        return Err(reader.error("text after the end of the document"));
    }
    Ok(node)
}

struct Reader<'a> {
    text: &'a str,
    bytes: &'a [u8],
    next: usize,
    line: u32,
    line_start: usize,
    nodes: usize,
}

impl Reader<'_> {
    fn at(&self) -> Position {
        let column = self.text.get(self.line_start..self.next).map_or(0, |t| t.chars().count());
        Position { line: self.line, column: u32::try_from(column + 1).unwrap_or(u32::MAX) }
    }

    fn error(&self, what: &str) -> Diagnostic {
        Diagnostic::new(format!("Template format error: JSON not well-formed: {what}."), self.at())
    }

    fn space(&mut self) {
        while let Some(b) = self.bytes.get(self.next) {
            match b {
                b'\n' => {
                    self.next += 1;
                    self.line += 1;
                    self.line_start = self.next;
                }
                b' ' | b'\t' | b'\r' => self.next += 1,
                _ => break,
            }
        }
    }

    fn value(&mut self, depth: usize) -> Result<Node, Diagnostic> {
        let at = self.at();
        self.nodes += 1;
        if depth > DEPTH_MAX {
            return Err(self.error(&format!("nested deeper than {DEPTH_MAX}")));
        }
        if self.nodes > NODES_MAX {
            return Err(self.error(&format!("more than {NODES_MAX} values")));
        }
        let kind = match self.bytes.get(self.next) {
            Some(b'{') => self.object(depth)?,
            Some(b'[') => self.array(depth)?,
            Some(b'"') => Kind::Text(self.string()?),
            Some(b'-' | b'0'..=b'9') => self.number()?,
            Some(b't') => self.word("true", Kind::Bool(true))?,
            Some(b'f') => self.word("false", Kind::Bool(false))?,
            Some(b'n') => self.word("null", Kind::Null)?,
            Some(_) => return Err(self.error("expected a value")),
            None => return Err(self.error("unexpected end of the document")),
        };
        Ok(Node { kind, at })
    }

    fn object(&mut self, depth: usize) -> Result<Kind, Diagnostic> {
        self.next += 1;
        let mut entries: Vec<Entry> = Vec::new();
        let mut seen = std::collections::BTreeSet::new();
        self.space();
        if self.eat(b'}') {
            return Ok(Kind::Map(entries));
        }
        loop {
            let key_at = self.at();
            if self.bytes.get(self.next) != Some(&b'"') {
                return Err(self.error("expected a member name in double quotes"));
            }
            let key = self.string()?;
            if !seen.insert(key.clone()) {
                return Err(Diagnostic::new(format!("Template format error: duplicate key \"{key}\"."), key_at));
            }
            self.space();
            if !self.eat(b':') {
                return Err(self.error("expected ':'"));
            }
            self.space();
            let value = self.value(depth + 1)?;
            entries.push(Entry { key, key_at, value });
            self.space();
            if self.eat(b'}') {
                return Ok(Kind::Map(entries));
            }
            if !self.eat(b',') {
                return Err(self.error("expected ',' or '}'"));
            }
            self.space();
        }
    }

    fn array(&mut self, depth: usize) -> Result<Kind, Diagnostic> {
        self.next += 1;
        let mut items = Vec::new();
        self.space();
        if self.eat(b']') {
            return Ok(Kind::List(items));
        }
        loop {
            items.push(self.value(depth + 1)?);
            self.space();
            if self.eat(b']') {
                return Ok(Kind::List(items));
            }
            if !self.eat(b',') {
                return Err(self.error("expected ',' or ']'"));
            }
            self.space();
        }
    }

    fn eat(&mut self, byte: u8) -> bool {
        let found = self.bytes.get(self.next) == Some(&byte);
        self.next += usize::from(found);
        found
    }

    fn word(&mut self, word: &str, kind: Kind) -> Result<Kind, Diagnostic> {
        if !self.bytes[self.next..].starts_with(word.as_bytes()) {
            return Err(self.error("expected a value"));
        }
        self.next += word.len();
        Ok(kind)
    }

    fn number(&mut self) -> Result<Kind, Diagnostic> {
        let rest = &self.bytes[self.next..];
        let len = rest.iter().take_while(|b| matches!(b, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E')).count();
        let text = &self.text[self.next..self.next + len];
        if !is_json_number(text) {
            return Err(self.error("invalid number"));
        }
        self.next += len;
        Ok(Kind::Number(text.to_owned()))
    }

    /// A string: its end is found first, then serde_json reads the escapes.
    fn string(&mut self) -> Result<String, Diagnostic> {
        let mut end = self.next + 1;
        loop {
            match self.bytes.get(end) {
                Some(b'"') => break,
                Some(b'\\') => end += 2,
                Some(0..=0x1f) => return Err(self.error("a control character in a string")),
                Some(_) => end += 1,
                None => return Err(self.error("a string without its end")),
            }
        }
        let text = serde_json::from_slice(&self.bytes[self.next..=end])
            .map_err(|_| self.error("an invalid escape in a string"))?;
        self.next = end + 1;
        Ok(text)
    }
}

/// Whether `text` is a number by JSON's grammar.
pub(super) fn is_json_number(text: &str) -> bool {
    let mut rest = text.strip_prefix('-').unwrap_or(text);
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let whole = digits(rest);
    if whole == 0 || (whole > 1 && rest.starts_with('0')) {
        return false;
    }
    rest = &rest[whole..];
    if let Some(fraction) = rest.strip_prefix('.') {
        let len = digits(fraction);
        if len == 0 {
            return false;
        }
        rest = &fraction[len..];
    }
    if let Some(exponent) = rest.strip_prefix(['e', 'E']) {
        let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        let len = digits(exponent);
        if len == 0 {
            return false;
        }
        rest = &exponent[len..];
    }
    rest.is_empty()
}
