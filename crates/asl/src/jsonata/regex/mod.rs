//! Regular expressions of ECMAScript, with look-around and back references, by bounded backtracking.
//!
//! Each instruction is paid for, so a pattern that multiplies ends in the evaluation's time bound; the backtracking
//! stack lies on the heap.

mod matcher;
mod parse;

use std::ops::Range;

use super::error::Result;
use super::meter::Meter;

/// A compiled pattern.
#[derive(Debug)]
pub(super) struct Regex {
    source: Box<str>,
    program: Box<[Instruction]>,
    /// Groups, without the whole match.
    groups: usize,
    /// Places that remember where an iteration began.
    marks: usize,
    ignore_case: bool,
    multiline: bool,
}

/// Where a pattern matched, in bytes.
#[derive(Debug, Clone)]
pub(super) struct Match {
    pub range: Range<usize>,
    pub groups: Vec<Option<Range<usize>>>,
}

#[derive(Debug, Clone)]
enum Instruction {
    Char(char),
    Any,
    Class(Box<Class>),
    Start,
    End,
    WordBoundary {
        negated: bool,
    },
    BackReference(usize),
    /// Tries `first`, then `second`.
    Split {
        first: usize,
        second: usize,
    },
    Jump(usize),
    /// Notes the position as the start (even) or end (odd) of a group.
    Save(usize),
    /// Forgets the groups `.0..=.1`, as each iteration does.
    Forget(usize, usize),
    /// Notes where an iteration begins, and refuses one that went nowhere.
    Mark(usize),
    Progress(usize),
    /// What follows until `end` must match here, or (behind) end here.
    Look {
        behind: bool,
        negated: bool,
        end: usize,
    },
    Matched,
}

#[derive(Debug, Clone, Default)]
struct Class {
    negated: bool,
    ranges: Vec<(char, char)>,
    /// `\d`, `\w`, `\s` and their opposites (upper case).
    shorthands: Vec<char>,
}

impl Regex {
    pub fn parse(source: &str, ignore_case: bool, multiline: bool) -> Result<Regex> {
        let (program, groups, marks) = parse::compile(source)?;
        Ok(Regex { source: source.into(), program: program.into(), groups, marks, ignore_case, multiline })
    }

    pub fn source(&self) -> &str {
        &self.source
    }

    /// The first match that begins at byte `from` or later.
    pub fn find(&self, meter: &Meter<'_>, text: &str, from: usize) -> Result<Option<Match>> {
        matcher::find(self, meter, text, from)
    }
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

fn is_newline(c: char) -> bool {
    matches!(c, '\n' | '\r' | '\u{2028}' | '\u{2029}')
}

#[cfg(test)]
mod tests {
    use super::super::JsonataLimits;
    use super::*;

    fn find(pattern: &str, flags: &str, text: &str) -> Option<Vec<String>> {
        let regex = Regex::parse(pattern, flags.contains('i'), flags.contains('m')).expect(pattern);
        let found = regex.find(&Meter::new(JsonataLimits::default()), text, 0).expect(pattern)?;
        let groups = found.groups.iter().map(|group| group.clone().map_or("-", |range| &text[range]).to_owned());
        Some(std::iter::once(text[found.range.clone()].to_owned()).chain(groups).collect())
    }

    #[test]
    fn matches_as_ecmascript_does() {
        for (pattern, flags, text, expected) in [
            ("a(b+)c?", "", "xabbd", Some("abb bb")),
            ("(a|ab)(c|bcd)(d*)", "", "abcd", Some("abcd a bcd ")),
            ("(z)((a+)?(b+)?(c))*", "", "zaacbbbcac", Some("zaacbbbcac z ac a - c")),
            ("a.c", "", "a\nc", None),
            ("^b", "m", "a\nb", Some("b")),
            ("^b", "", "a\nb", None),
            ("HELLO", "i", "say hello", Some("hello")),
            ("[^a-c\\d]+", "", "abc12-_x", Some("-_x")),
            ("\\bfoo\\b", "", "a foo.", Some("foo")),
            ("(?=.*\\d)[a-z\\d]{4,6}", "", "abcd abc1", Some("abcd")),
            ("x(?!y).", "", "xyxz", Some("xz")),
            ("(?<=\\$)\\d+", "", "5 $42", Some("42")),
            ("(?<!\\$)\\b\\d+", "", "$42 17", Some("17")),
            ("(\\w)\\1", "", "abccd", Some("cc c")),
            ("(?<year>\\d{4})-\\k<year>", "", "2024-2024", Some("2024-2024 2024")),
            ("a{2}", "", "aaa", Some("aa")),
            ("a{,2}", "", "a{,2}", Some("a{,2}")),
            ("a+?", "", "aaa", Some("a")),
            ("(?:)*x", "", "x", Some("x")),
            ("(a*)*", "", "b", Some(" -")),
            ("\\u0041\\x42\\t", "", "AB\t", Some("AB\t")),
            ("[\\]\\-x]+", "", "]-x", Some("]-x")),
            ("é", "i", "É", Some("É")),
            ("\\/", "", "a/b", Some("/")),
        ] {
            let found = find(pattern, flags, text).map(|parts| parts.join(" "));
            assert_eq!(found.as_deref(), expected, "{pattern}");
        }
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for pattern in ["(", ")", "a**", "[b", "(?<n", "a{2,1}", "*", "[b-a]", "\\"] {
            assert!(Regex::parse(pattern, false, false).is_err(), "{pattern}");
        }
        let deep = "(".repeat(10_000) + &")".repeat(10_000);
        assert!(Regex::parse(&deep, false, false).is_err());
        assert!(Regex::parse("((a{1000}){1000}){1000}", false, false).is_err());
    }

    #[test]
    fn a_pattern_that_multiplies_is_cut_off() {
        let regex = Regex::parse("(a+)+$", false, false).expect("a pattern");
        let meter = Meter::new(JsonataLimits { steps_max: 100_000, ..JsonataLimits::default() });
        assert!(regex.find(&meter, &("a".repeat(50) + "!"), 0).is_err());
    }
}
