use regex_lite::{Regex, RegexBuilder};

use super::condition::Operand;
use super::{DEPTH_MAX, PatternError, REGEX_BYTES_MAX, REGEXES_MAX, refuse};

/// Walks over a pattern's text.
pub(super) struct Scanner<'a> {
    text: &'a str,
    at: usize,
    regexes: usize,
    depth: usize,
}

impl<'a> Scanner<'a> {
    pub fn new(text: &'a str) -> Scanner<'a> {
        Scanner { text, at: 0, regexes: 0, depth: 0 }
    }

    pub fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    pub fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    pub fn bump(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }

    pub fn skip_space(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
    }

    /// Goes over `token` if it comes next, after space.
    pub fn eat(&mut self, token: &str) -> bool {
        self.skip_space();
        let found = self.rest().starts_with(token);
        if found {
            self.at += token.len();
        }
        found
    }

    /// Goes over a word in any case, if it comes next and ends there.
    pub fn eat_word(&mut self, word: &str) -> bool {
        self.skip_space();
        let rest = self.rest();
        let found = rest.get(..word.len()).is_some_and(|head| head.eq_ignore_ascii_case(word))
            && !rest[word.len()..].starts_with(|c: char| c.is_alphanumeric() || c == '_');
        if found {
            self.at += word.len();
        }
        found
    }

    pub fn expect(&mut self, token: &str) -> Result<(), PatternError> {
        if self.eat(token) { Ok(()) } else { self.unexpected(&format!("expected '{token}'")) }
    }

    pub fn at_end(&mut self) -> bool {
        self.skip_space();
        self.rest().is_empty()
    }

    pub fn unexpected<T>(&self, what: &str) -> Result<T, PatternError> {
        let near: String = self.rest().chars().take(20).collect();
        let near = if near.is_empty() { "the end".to_owned() } else { format!("'{near}'") };
        refuse(format!("Invalid filter pattern: {what} at {near}"))
    }

    /// Takes characters while `keep` says so.
    pub fn take_while(&mut self, keep: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let end = rest.find(|c| !keep(c)).unwrap_or(rest.len());
        self.at += end;
        &rest[..end]
    }

    /// The content of a text in quotes; the opening quote is next.
    pub fn quoted(&mut self) -> Result<String, PatternError> {
        let quote = self.bump();
        let mut content = String::new();
        loop {
            match self.bump() {
                None => return self.unexpected("a quote is not closed"),
                c if c == quote => return Ok(content),
                Some('\\') => match self.bump() {
                    Some(c) if Some(c) == quote || c == '\\' => content.push(c),
                    Some(c) => content.extend(['\\', c]),
                    None => return self.unexpected("a quote is not closed"),
                },
                Some(c) => content.push(c),
            }
        }
    }

    /// A regular expression between percent signs; the opening one is next.
    pub fn regex(&mut self) -> Result<Regex, PatternError> {
        self.bump();
        let Some(end) = self.rest().find('%') else {
            return self.unexpected("a regular expression is not closed");
        };
        let source = &self.rest()[..end];
        self.at += end + 1;
        self.regexes += 1;
        if self.regexes > REGEXES_MAX {
            return refuse(format!("a filter pattern has at most {REGEXES_MAX} regular expressions"));
        }
        let built = RegexBuilder::new(source).size_limit(REGEX_BYTES_MAX).nest_limit(32).build();
        built.map_err(|error| PatternError(format!("Invalid regular expression in filter pattern: {error}")))
    }

    /// Goes into parentheses, which must not be too deep, or out of them.
    pub fn nest(&mut self, into: bool) -> Result<(), PatternError> {
        if !into {
            self.depth -= 1;
            return Ok(());
        }
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return refuse(format!("a filter pattern has at most {DEPTH_MAX} parentheses within each other"));
        }
        Ok(())
    }

    /// A value to compare with; bare ones end where `ends` says.
    pub fn operand(&mut self, ends: impl Fn(char) -> bool) -> Result<Operand, PatternError> {
        self.skip_space();
        match self.peek() {
            Some('"') => Ok(Operand::quoted(self.quoted()?)),
            Some('%') => Ok(Operand::Regex(self.regex()?)),
            _ => {
                let text = self.take_while(|c| !c.is_whitespace() && !ends(c));
                if text.is_empty() {
                    return self.unexpected("expected a value");
                }
                Ok(Operand::bare(text))
            }
        }
    }
}
