//! The filter pattern language: unstructured terms, JSON patterns, space-delimited patterns.
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntax.html>

mod condition;
mod delimited;
mod json;
mod scanner;
mod terms;

use std::collections::BTreeMap;

use delimited::Delimited;
use json::JsonPattern;
use terms::Terms;

/// The longest pattern.
pub(crate) const PATTERN_CHARS_MAX: usize = 1024;
/// Regular expressions in one pattern.
const REGEXES_MAX: usize = 2;
/// Parentheses within parentheses.
const DEPTH_MAX: usize = 32;
/// What a compiled regular expression may take.
const REGEX_BYTES_MAX: usize = 256 * 1024;

/// Why a text is no filter pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PatternError(pub String);

impl std::fmt::Display for PatternError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for PatternError {}

pub(crate) fn refuse<T>(message: impl Into<String>) -> Result<T, PatternError> {
    Err(PatternError(message.into()))
}

/// A filter pattern, ready to be held against messages.
#[derive(Clone, Debug)]
pub struct Pattern(Kind);

#[derive(Clone, Debug)]
enum Kind {
    Everything,
    Terms(Terms),
    Json(JsonPattern),
    Delimited(Delimited),
}

impl Pattern {
    pub fn parse(text: &str) -> Result<Pattern, PatternError> {
        if text.chars().count() > PATTERN_CHARS_MAX {
            return refuse(format!("a filter pattern has at most {PATTERN_CHARS_MAX} characters"));
        }
        let trimmed = text.trim();
        Ok(Pattern(match trimmed.chars().next() {
            None => Kind::Everything,
            Some('{') => Kind::Json(JsonPattern::parse(trimmed)?),
            Some('[') => Kind::Delimited(Delimited::parse(trimmed)?),
            Some(_) => Kind::Terms(Terms::parse(trimmed)?),
        }))
    }

    pub fn matches(&self, message: &str) -> bool {
        match &self.0 {
            Kind::Everything => true,
            Kind::Terms(terms) => terms.matches(message),
            Kind::Json(pattern) => pattern.matches(message),
            Kind::Delimited(pattern) => pattern.matches(message),
        }
    }

    /// If the message matches: the fields that the pattern names, and what the message holds there.
    pub fn extract(&self, message: &str) -> Option<BTreeMap<String, String>> {
        match &self.0 {
            Kind::Json(pattern) => pattern.extract(message),
            Kind::Delimited(pattern) => pattern.extract(message),
            _ => self.matches(message).then(BTreeMap::new),
        }
    }
}
