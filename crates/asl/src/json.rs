//! Strict JSON with a span for every value, for definitions: bounded in size and depth, duplicate keys noticed.

use std::collections::HashSet;

use serde_json::{Map, Number, Value};

use crate::limits::DEFINITION_DEPTH_MAX;

/// Bytes `start..end` of the text.
pub(crate) type Range = std::ops::Range<usize>;

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    pub json: Json,
    pub range: Range,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Json {
    Null,
    Bool(bool),
    Number(Number),
    String(String),
    Array(Vec<Node>),
    Object(Vec<Member>),
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Member {
    pub key: String,
    pub key_range: Range,
    pub value: Node,
}

impl Node {
    pub(crate) fn as_str(&self) -> Option<&str> {
        match &self.json {
            Json::String(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn as_members(&self) -> Option<&[Member]> {
        match &self.json {
            Json::Object(members) => Some(members),
            _ => None,
        }
    }

    pub(crate) fn as_items(&self) -> Option<&[Node]> {
        match &self.json {
            Json::Array(items) => Some(items),
            _ => None,
        }
    }

    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        self.as_members()?.iter().find(|member| member.key == key).map(|member| &member.value)
    }

    pub(crate) fn to_value(&self) -> Value {
        match &self.json {
            Json::Null => Value::Null,
            Json::Bool(value) => Value::Bool(*value),
            Json::Number(number) => Value::Number(number.clone()),
            Json::String(text) => Value::String(text.clone()),
            Json::Array(items) => items.iter().map(Node::to_value).collect(),
            Json::Object(members) => {
                let members = members.iter().map(|member| (member.key.clone(), member.value.to_value()));
                Value::Object(members.collect::<Map<_, _>>())
            }
        }
    }
}

/// Why a text is not JSON, in Jackson's words where they are known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SyntaxFault {
    pub message: String,
    pub range: Range,
    /// It is JSON, but nests too deeply.
    pub too_deep: bool,
}

/// The value, and the keys that stand twice in one object.
pub(crate) fn parse(text: &str) -> Result<(Node, Vec<Member>), SyntaxFault> {
    let mut parser = Parser { text, at: 0, depth: 0, duplicates: Vec::new() };
    parser.skip_space();
    let node = parser.value()?;
    parser.skip_space();
    if parser.at < text.len() {
        return Err(parser.unexpected("expected nothing after the definition"));
    }
    Ok((node, parser.duplicates))
}

struct Parser<'t> {
    text: &'t str,
    at: usize,
    depth: usize,
    duplicates: Vec<Member>,
}

impl Parser<'_> {
    fn value(&mut self) -> Result<Node, SyntaxFault> {
        let start = self.at;
        let json =
            match self.peek() {
                Some(b'{') => self.nested(Parser::object)?,
                Some(b'[') => self.nested(Parser::array)?,
                Some(b'"') => Json::String(self.string()?),
                Some(b'-' | b'0'..=b'9') => Json::Number(self.number()?),
                Some(c) if c.is_ascii_alphabetic() || c == b'_' => self.keyword()?,
                _ => return Err(self.unexpected(
                    "expected a valid value (JSON String, Number, Array, Object or token 'null', 'true' or 'false')",
                )),
            };
        Ok(Node { json, range: start..self.at })
    }

    fn nested(&mut self, parse: fn(&mut Self) -> Result<Json, SyntaxFault>) -> Result<Json, SyntaxFault> {
        if self.depth == DEFINITION_DEPTH_MAX {
            let message = format!("The definition nests deeper than {DEFINITION_DEPTH_MAX} levels");
            return Err(SyntaxFault { message, range: self.at..self.at + 1, too_deep: true });
        }
        self.depth += 1;
        let result = parse(self);
        self.depth -= 1;
        result
    }

    fn object(&mut self) -> Result<Json, SyntaxFault> {
        self.at += 1;
        let mut members: Vec<Member> = Vec::new();
        let mut keys = HashSet::new();
        self.skip_space();
        if self.eat(b'}') {
            return Ok(Json::Object(members));
        }
        loop {
            self.skip_space();
            if self.peek() != Some(b'"') {
                return Err(self.unexpected("was expecting double-quote to start field name"));
            }
            let start = self.at;
            let key = self.string()?;
            let key_range = start..self.at;
            self.skip_space();
            if !self.eat(b':') {
                return Err(self.unexpected("was expecting a colon to separate field name and value"));
            }
            self.skip_space();
            let value = self.value()?;
            let member = Member { key, key_range, value };
            if keys.insert(member.key.clone()) {
                members.push(member);
            } else {
                self.duplicates.push(member);
            }
            self.skip_space();
            if self.eat(b',') {
                continue;
            }
            if self.eat(b'}') {
                return Ok(Json::Object(members));
            }
            return Err(self.unexpected("was expecting comma to separate Object entries"));
        }
    }

    fn array(&mut self) -> Result<Json, SyntaxFault> {
        self.at += 1;
        let mut items = Vec::new();
        self.skip_space();
        if self.eat(b']') {
            return Ok(Json::Array(items));
        }
        loop {
            self.skip_space();
            items.push(self.value()?);
            self.skip_space();
            if self.eat(b',') {
                continue;
            }
            if self.eat(b']') {
                return Ok(Json::Array(items));
            }
            return Err(self.unexpected("was expecting comma to separate Array entries"));
        }
    }

    fn keyword(&mut self) -> Result<Json, SyntaxFault> {
        let start = self.at;
        while self.peek().is_some_and(|c| c.is_ascii_alphanumeric() || c == b'_' || c == b'$') {
            self.at += 1;
        }
        match &self.text[start..self.at] {
            "null" => Ok(Json::Null),
            "true" => Ok(Json::Bool(true)),
            "false" => Ok(Json::Bool(false)),
            token => Err(SyntaxFault {
                message: format!(
                    "Unrecognized token '{token}': was expecting (JSON String, Number, Array, Object or token 'null', 'true' or 'false')"
                ),
                range: start..self.at,
                too_deep: false,
            }),
        }
    }

    fn number(&mut self) -> Result<Number, SyntaxFault> {
        let start = self.at;
        while self.peek().is_some_and(|c| c.is_ascii_digit() || matches!(c, b'-' | b'+' | b'.' | b'e' | b'E')) {
            self.at += 1;
        }
        match &self.text[start..self.at] {
            // An integer in Java, not the double -0.0.
            "-0" => Ok(Number::from(0)),
            text => serde_json::from_str(text).map_err(|_| SyntaxFault {
                message: format!("Invalid numeric value: '{text}'"),
                range: start..self.at,
                too_deep: false,
            }),
        }
    }

    fn string(&mut self) -> Result<String, SyntaxFault> {
        let start = self.at;
        self.at += 1;
        let mut out = String::new();
        loop {
            let run = self.at;
            while self.peek().is_some_and(|c| c != b'"' && c != b'\\' && c >= b' ') {
                self.at += 1;
            }
            out.push_str(&self.text[run..self.at]);
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(out);
                }
                Some(b'\\') => out.push(self.escape()?),
                Some(control) => {
                    return Err(self.fault(format!(
                        "Illegal unquoted character ((CTRL-CHAR, code {control})): has to be escaped using backslash to be included in string value"
                    )));
                }
                None => {
                    return Err(SyntaxFault {
                        message: "Unexpected end-of-input: was expecting closing quote for a string value".to_owned(),
                        range: start..self.at,
                        too_deep: false,
                    });
                }
            }
        }
    }

    fn escape(&mut self) -> Result<char, SyntaxFault> {
        let start = self.at;
        self.at += 2;
        let c = match self.text.as_bytes().get(start + 1) {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.unicode_escape(start),
            _ => {
                self.at = start;
                return Err(self.fault("Unrecognized character escape".to_owned()));
            }
        };
        Ok(c)
    }

    fn unicode_escape(&mut self, start: usize) -> Result<char, SyntaxFault> {
        let unit = |at: usize| -> Option<u32> {
            let digits = self.text.get(at..at + 4)?;
            digits.bytes().all(|c| c.is_ascii_hexdigit()).then(|| u32::from_str_radix(digits, 16).ok())?
        };
        let (c, len) = match unit(start + 2) {
            Some(high @ 0xd800..=0xdbff) if self.text.get(start + 6..start + 8) == Some("\\u") => {
                let low = unit(start + 8).filter(|low| (0xdc00..=0xdfff).contains(low));
                (low.and_then(|low| char::from_u32(0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00))), 12)
            }
            unit => (unit.and_then(char::from_u32), 6),
        };
        match c {
            Some(c) => {
                self.at = start + len;
                Ok(c)
            }
            None => {
                self.at = start;
                Err(self.fault("expected four hexadecimal digits, or a pair of surrogates, after '\\u'".to_owned()))
            }
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn eat(&mut self, wanted: u8) -> bool {
        let found = self.peek() == Some(wanted);
        self.at += usize::from(found);
        found
    }

    fn skip_space(&mut self) {
        while self.peek().is_some_and(|c| matches!(c, b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn fault(&self, message: String) -> SyntaxFault {
        let len = self.text[self.at..].chars().next().map_or(0, char::len_utf8);
        SyntaxFault { message, range: self.at..self.at + len, too_deep: false }
    }

    fn unexpected(&self, wanted: &str) -> SyntaxFault {
        self.fault(match self.text[self.at..].chars().next() {
            Some(c) => format!("Unexpected character ('{c}' (code {})): {wanted}", c as u32),
            None => format!("Unexpected end-of-input: {wanted}"),
        })
    }
}
