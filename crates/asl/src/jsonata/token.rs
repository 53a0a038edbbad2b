//! Text to tokens.

use super::error::{Failure, Result};
use super::number::{self, Number};
use super::regex::Regex;

#[derive(Debug)]
pub(super) enum Token {
    Operator(&'static str),
    Name(String),
    Variable(String),
    Text(String),
    Number(Number),
    Bool(bool),
    Null,
    Regex(Box<Regex>),
    End,
}

impl Token {
    /// As a message names it.
    pub fn shown(&self) -> String {
        match self {
            Token::Operator(operator) => (*operator).to_owned(),
            Token::Name(text) | Token::Variable(text) | Token::Text(text) => text.clone(),
            Token::Number(number) => number.to_text(),
            Token::Bool(value) => value.to_string(),
            Token::Null => "null".to_owned(),
            Token::Regex(regex) => regex.source().to_owned(),
            Token::End => "(end)".to_owned(),
        }
    }

    pub fn is(&self, operator: &str) -> bool {
        matches!(self, Token::Operator(found) if *found == operator)
    }
}

/// Operators of two characters before those of one.
const OPERATORS: [&str; 35] = [
    "..", ":=", "!=", ">=", "<=", "**", "~>", "?:", "??", ".", "[", "]", "{", "}", "(", ")", ",", "@", "#", ";", ":",
    "?", "+", "-", "*", "/", "%", "|", "=", "<", ">", "^", "&", "!", "~",
];

pub(super) struct Lexer<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Lexer<'t> {
    pub fn new(text: &'t str) -> Lexer<'t> {
        Lexer { text, at: 0 }
    }

    /// The next token and where it starts. `infix`: after an operand, where `/` divides.
    pub fn next(&mut self, infix: bool) -> Result<(Token, usize)> {
        self.skip_space()?;
        let start = self.at;
        let rest = &self.text[start..];
        let Some(first) = rest.chars().next() else { return Ok((Token::End, start)) };
        if first == '/' && !infix {
            self.at += 1;
            return Ok((Token::Regex(Box::new(self.regex(start)?)), start));
        }
        if let Some(operator) = OPERATORS.iter().find(|operator| rest.starts_with(**operator)) {
            self.at += operator.len();
            return Ok((Token::Operator(operator), start));
        }
        let token = match first {
            '"' | '\'' => Token::Text(self.quoted(first)?),
            '0'..='9' => Token::Number(self.number()?),
            '`' => {
                let length = rest[1..].find('`').ok_or_else(|| Failure::new("S0105").at(start))?;
                self.at += length + 2;
                Token::Name(rest[1..=length].to_owned())
            }
            _ => self.word(),
        };
        Ok((token, start))
    }

    fn skip_space(&mut self) -> Result<()> {
        loop {
            let rest = &self.text[self.at..];
            let trimmed = rest.trim_start_matches(is_space);
            self.at += rest.len() - trimmed.len();
            if !trimmed.starts_with("/*") {
                return Ok(());
            }
            let length = trimmed.find("*/").ok_or_else(|| Failure::new("S0106").at(self.at))?;
            self.at += length + 2;
        }
    }

    fn word(&mut self) -> Token {
        let rest = &self.text[self.at..];
        let word = &rest[..rest.find(ends_word).unwrap_or(rest.len())];
        self.at += word.len();
        match word {
            "and" => Token::Operator("and"),
            "or" => Token::Operator("or"),
            "in" => Token::Operator("in"),
            "true" => Token::Bool(true),
            "false" => Token::Bool(false),
            "null" => Token::Null,
            _ => match word.strip_prefix('$') {
                Some(name) => Token::Variable(name.to_owned()),
                None => Token::Name(word.to_owned()),
            },
        }
    }

    fn number(&mut self) -> Result<Number> {
        let rest = &self.text.as_bytes()[self.at..];
        let digits = |from: usize| rest[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        let mut length = if rest[0] == b'0' { 1 } else { digits(0) };
        if rest.get(length) == Some(&b'.') && digits(length + 1) > 0 {
            length += 1 + digits(length + 1);
        }
        if matches!(rest.get(length), Some(b'e' | b'E')) {
            let sign = usize::from(matches!(rest.get(length + 1), Some(b'+' | b'-')));
            if rest.len() > length + 1 + sign && digits(length + 1 + sign) > 0 {
                length += 1 + sign + digits(length + 1 + sign);
            }
        }
        let text = &self.text[self.at..self.at + length];
        let number = number::decimal(text).ok_or_else(|| Failure::new("S0102").at(self.at).token(text))?;
        self.at += length;
        Ok(number)
    }

    fn quoted(&mut self, quote: char) -> Result<String> {
        let start = self.at;
        let mut text = String::new();
        self.at += 1;
        while let Some(c) = self.text[self.at..].chars().next() {
            self.at += c.len_utf8();
            match c {
                '\\' => text.push(self.escape()?),
                c if c == quote => return Ok(text),
                c => text.push(c),
            }
        }
        Err(Failure::new("S0101").at(start))
    }

    /// What follows a backslash.
    fn escape(&mut self) -> Result<char> {
        let start = self.at - 1;
        let c = self.text[self.at..].chars().next().ok_or_else(|| Failure::new("S0101").at(start))?;
        self.at += c.len_utf8();
        Ok(match c {
            '"' | '\'' | '\\' | '/' => c,
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => {
                let unit = self.hex4().ok_or_else(|| Failure::new("S0104").at(start))?;
                self.surrogate_pair(unit)
            }
            c => return Err(Failure::new("S0103").at(start).token(c.encode_utf8(&mut [0; 4]))),
        })
    }

    /// A pair written as two escapes is one character; half a pair is none, as a text here is always Unicode.
    fn surrogate_pair(&mut self, unit: u32) -> char {
        if (0xd800..0xdc00).contains(&unit) && self.text[self.at..].starts_with("\\u") {
            let before = self.at;
            self.at += 2;
            match self.hex4() {
                Some(low @ 0xdc00..=0xdfff) => {
                    let code = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
                    return char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
                }
                _ => self.at = before,
            }
        }
        char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER)
    }

    fn hex4(&mut self) -> Option<u32> {
        let digits = self.text.get(self.at..self.at + 4)?;
        if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        self.at += 4;
        u32::from_str_radix(digits, 16).ok()
    }

    /// The rest of a regular expression, behind its first slash.
    fn regex(&mut self, start: usize) -> Result<Regex> {
        let begin = self.at;
        let mut brackets = 0i32;
        let mut escaped = false;
        for (index, c) in self.text[begin..].char_indices() {
            match c {
                '/' if !escaped && brackets == 0 => {
                    let source = &self.text[begin..begin + index];
                    if source.is_empty() {
                        return Err(Failure::new("S0301").at(start));
                    }
                    self.at = begin + index + 1;
                    let rest = &self.text[self.at..];
                    let flags = &rest[..rest.len() - rest.trim_start_matches(['i', 'm']).len()];
                    self.at += flags.len();
                    let (ignore_case, multiline) = (flags.contains('i'), flags.contains('m'));
                    return Regex::parse(source, ignore_case, multiline).map_err(|failure| failure.at(start));
                }
                '(' | '[' | '{' if !escaped => brackets += 1,
                ')' | ']' | '}' if !escaped => brackets -= 1,
                _ => {}
            }
            escaped = c == '\\' && !escaped;
        }
        Err(Failure::new("S0302").at(start))
    }
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r' | '\u{b}')
}

fn ends_word(c: char) -> bool {
    is_space(c) || OPERATORS[9..].iter().any(|operator| operator.starts_with(c))
}
