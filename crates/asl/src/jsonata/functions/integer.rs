//! Whole numbers as digits, letters, Roman numerals and words.

use std::sync::LazyLock;

use super::super::error::{Failure, Result};
use super::super::evaluate::Evaluator;
use super::super::function::Arguments;
use super::super::number::{self, Number};
use super::super::value::Val;

const FEW: [&str; 20] = [
    "Zero",
    "One",
    "Two",
    "Three",
    "Four",
    "Five",
    "Six",
    "Seven",
    "Eight",
    "Nine",
    "Ten",
    "Eleven",
    "Twelve",
    "Thirteen",
    "Fourteen",
    "Fifteen",
    "Sixteen",
    "Seventeen",
    "Eighteen",
    "Nineteen",
];
const ORDINALS: [&str; 20] = [
    "Zeroth",
    "First",
    "Second",
    "Third",
    "Fourth",
    "Fifth",
    "Sixth",
    "Seventh",
    "Eighth",
    "Ninth",
    "Tenth",
    "Eleventh",
    "Twelfth",
    "Thirteenth",
    "Fourteenth",
    "Fifteenth",
    "Sixteenth",
    "Seventeenth",
    "Eighteenth",
    "Nineteenth",
];
const DECADES: [&str; 8] = ["Twenty", "Thirty", "Forty", "Fifty", "Sixty", "Seventy", "Eighty", "Ninety"];
const MAGNITUDES: [&str; 4] = ["Thousand", "Million", "Billion", "Trillion"];
const ROMAN: [(f64, &str); 13] = [
    (1000.0, "m"),
    (900.0, "cm"),
    (500.0, "d"),
    (400.0, "cd"),
    (100.0, "c"),
    (90.0, "xc"),
    (50.0, "l"),
    (40.0, "xl"),
    (10.0, "x"),
    (9.0, "ix"),
    (5.0, "v"),
    (4.0, "iv"),
    (1.0, "i"),
];

/// The words of numbers and what stands between them.
static WORDS_PATTERN: LazyLock<String> = LazyLock::new(|| {
    let decades = DECADES.iter().map(|decade| format!("{}(?:y|ieth)", &decade[..decade.len() - 1]));
    let large = MAGNITUDES.iter().chain(&["Hundred"]).map(|word| format!("{word}(?:th)?"));
    let small = ORDINALS.iter().chain(&FEW).map(|word| (*word).to_owned());
    let words: Vec<String> = small.chain(decades).chain(large).collect();
    format!("(?:{}|and|[\\-, ])+", words.join("|").to_lowercase())
});

/// The zeros of Unicode's decimal digits.
const ZEROS: [u32; 37] = [
    0x30, 0x660, 0x6f0, 0x7c0, 0x966, 0x9e6, 0xa66, 0xae6, 0xb66, 0xbe6, 0xc66, 0xce6, 0xd66, 0xde6, 0xe50, 0xed0,
    0xf20, 0x1040, 0x1090, 0x17e0, 0x1810, 0x1946, 0x19d0, 0x1a80, 0x1a90, 0x1b50, 0x1bb0, 0x1c40, 0x1c50, 0xa620,
    0xa8d0, 0xa900, 0xa9d0, 0xa9f0, 0xaa50, 0xabf0, 0xff10,
];

/// How wide a number may be padded, and how long its numeral may get.
const WIDTH_MAX: usize = 10_000;

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Case {
    Lower,
    Upper,
    Title,
}

/// An integer picture, as XPath's `format-integer` has it.
#[derive(Debug, Clone)]
pub(super) struct Picture {
    pub primary: Primary,
    pub case: Case,
    pub ordinal: bool,
}

#[derive(Debug, Clone)]
pub(super) enum Primary {
    Letters,
    Roman,
    Words,
    Decimal(Decimal),
    /// A numbering that begins with this, which nothing here knows.
    Sequence(String),
}

#[derive(Debug, Clone)]
pub(super) struct Decimal {
    zero: u32,
    pub mandatory: usize,
    pub optional: usize,
    grouping: Grouping,
    /// Exactly so many digits, as more of them follow directly.
    pub parse_width: Option<usize>,
}

#[derive(Debug, Clone)]
enum Grouping {
    Every(usize, char),
    /// Positions from the right.
    At(Vec<(usize, char)>),
}

impl Picture {
    pub fn parse(picture: &str) -> Result<Picture> {
        let (primary, modifier) = picture.rsplit_once(';').unwrap_or((picture, ""));
        let ordinal = modifier.starts_with('o');
        let (primary, case) = match primary {
            "A" => (Primary::Letters, Case::Upper),
            "a" => (Primary::Letters, Case::Lower),
            "I" => (Primary::Roman, Case::Upper),
            "i" => (Primary::Roman, Case::Lower),
            "W" => (Primary::Words, Case::Upper),
            "Ww" => (Primary::Words, Case::Title),
            "w" => (Primary::Words, Case::Lower),
            digits => (decimal(digits)?, Case::Lower),
        };
        Ok(Picture { primary, case, ordinal })
    }

    pub fn decimal(&self) -> Option<&Decimal> {
        match &self.primary {
            Primary::Decimal(decimal) => Some(decimal),
            _ => None,
        }
    }

    pub fn decimal_mut(&mut self) -> Option<&mut Decimal> {
        match &mut self.primary {
            Primary::Decimal(decimal) => Some(decimal),
            _ => None,
        }
    }

    pub fn format(&self, value: f64) -> Result<String> {
        let absolute = value.abs();
        let text = match &self.primary {
            Primary::Letters => cased(letters(absolute), self.case),
            Primary::Roman => cased(roman(absolute)?, self.case),
            Primary::Words => cased(words(absolute, self.ordinal), self.case),
            Primary::Decimal(decimal) => decimal.format(absolute, self.ordinal),
            Primary::Sequence(start) => return Err(Failure::new("D3130").text(start)),
        };
        Ok(if value < 0.0 { format!("-{text}") } else { text })
    }

    /// A pattern for what [`Picture::read`] takes.
    pub fn pattern(&self) -> Result<String> {
        Ok(match &self.primary {
            Primary::Letters => "[a-z]+".to_owned(),
            Primary::Roman => "[mdclxvi]+".to_owned(),
            Primary::Words => WORDS_PATTERN.clone(),
            Primary::Decimal(decimal) => {
                let width = decimal.parse_width.map_or("+".to_owned(), |width| format!("{{{width}}}"));
                format!("[0-9]{width}{}", if self.ordinal { "(?:th|st|nd|rd)" } else { "" })
            }
            Primary::Sequence(start) => return Err(Failure::new("D3130").text(start)),
        })
    }

    /// The number that a text of this picture says; NaN where it says none.
    pub fn read(&self, text: &str) -> Result<f64> {
        Ok(match &self.primary {
            Primary::Letters => text.chars().fold(0.0, |value, c| {
                let first = if self.case == Case::Upper { 'A' } else { 'a' };
                value * 26.0 + f64::from(c as u32) - f64::from(first as u32) + 1.0
            }),
            Primary::Roman => read_roman(text),
            Primary::Words => read_words(&text.to_lowercase()),
            Primary::Decimal(decimal) => decimal.read(text, self.ordinal),
            Primary::Sequence(start) => return Err(Failure::new("D3130").text(start)),
        })
    }
}

fn decimal(picture: &str) -> Result<Primary> {
    let (mut zero, mut mandatory, mut optional) = (None, 0, 0);
    let mut separators = Vec::new();
    for c in picture.chars().rev() {
        let code = u32::from(c);
        if let Some(group) = ZEROS.iter().find(|zero| (**zero..**zero + 10).contains(&code)) {
            mandatory += 1;
            if *zero.get_or_insert(*group) != *group {
                return Err(Failure::new("D3131"));
            }
        } else if c == '#' {
            optional += 1;
        } else {
            separators.push((mandatory + optional, c));
        }
    }
    let Some(zero) = zero else { return Ok(Primary::Sequence(picture.to_owned())) };
    let grouping = match regular(&separators) {
        Some((interval, character)) => Grouping::Every(interval, character),
        None => Grouping::At(separators),
    };
    Ok(Primary::Decimal(Decimal { zero, mandatory: mandatory.min(WIDTH_MAX), optional, grouping, parse_width: None }))
}

/// The interval, if the same separator stands at each multiple of it.
fn regular(separators: &[(usize, char)]) -> Option<(usize, char)> {
    let (_, character) = *separators.first()?;
    if separators.iter().any(|(_, other)| *other != character) {
        return None;
    }
    let interval = separators.iter().fold(0, |interval, (position, _)| common_divisor(interval, *position));
    let all = (1..=separators.len()).all(|index| separators.iter().any(|(at, _)| *at == index * interval));
    (all && interval > 0).then_some((interval, character))
}

pub(super) fn common_divisor(a: usize, b: usize) -> usize {
    if b == 0 { a } else { common_divisor(b, a % b) }
}

impl Decimal {
    /// Whether the same separator stands at each multiple of an interval.
    pub fn is_grouped(&self) -> bool {
        matches!(self.grouping, Grouping::Every(..))
    }

    /// That separator.
    pub fn separator(&self) -> Option<char> {
        match &self.grouping {
            Grouping::Every(_, separator) => Some(*separator),
            Grouping::At(_) => None,
        }
    }

    fn format(&self, value: f64, ordinal: bool) -> String {
        let plain = number::shortest(value);
        let mut digits: Vec<char> = std::iter::repeat_n('0', self.mandatory.saturating_sub(plain.len()))
            .chain(plain.chars())
            .map(|digit| match digit.to_digit(10) {
                Some(value) => char::from_u32(self.zero + value).unwrap_or(digit),
                None => digit,
            })
            .collect();
        let length = digits.len();
        match &self.grouping {
            Grouping::Every(interval, character) => {
                (1..=(length - 1) / interval).for_each(|n| digits.insert(length - n * interval, *character));
            }
            Grouping::At(separators) => {
                for (position, character) in separators.iter().filter(|(position, _)| *position <= length) {
                    digits.insert(length - position, *character);
                }
            }
        }
        let mut text: String = digits.iter().collect();
        if ordinal {
            let before = digits.len().checked_sub(2).map(|index| digits[index]);
            text.push_str(match digits.last() {
                _ if before == Some('1') => "th",
                Some('1') => "st",
                Some('2') => "nd",
                Some('3') => "rd",
                _ => "th",
            });
        }
        text
    }

    fn read(&self, text: &str, ordinal: bool) -> f64 {
        let end = text.char_indices().rev().nth(1).map_or(0, |(at, _)| at);
        let text = if ordinal { &text[..end] } else { text };
        let is_separator = |c: char| match &self.grouping {
            Grouping::Every(_, character) => c == *character,
            Grouping::At(separators) => separators.iter().any(|(_, character)| c == *character),
        };
        let digit = |c: char| match u32::from(c).checked_sub(self.zero) {
            Some(value @ 0..10) => char::from_digit(value, 10).unwrap_or(c),
            _ => c,
        };
        let digits: String = text.chars().filter(|c| !is_separator(*c)).map(digit).collect();
        parse_int(&digits)
    }
}

/// As `parseInt`: the digits that a text begins with.
pub(super) fn parse_int(text: &str) -> f64 {
    let text = text.trim_start();
    let sign = usize::from(text.starts_with(['-', '+']));
    let digits = text[sign..].bytes().take_while(u8::is_ascii_digit).count();
    let text = text[..sign + digits].trim_start_matches('+');
    text.parse().unwrap_or(f64::NAN)
}

fn cased(text: String, case: Case) -> String {
    match case {
        Case::Lower => text.to_lowercase(),
        Case::Upper => text.to_uppercase(),
        Case::Title => text,
    }
}

fn letters(mut value: f64) -> String {
    let mut letters = Vec::new();
    while value >= 1.0 && letters.len() < WIDTH_MAX {
        letters.push(char::from(b'a' + ((value - 1.0) % 26.0) as u8));
        value = ((value - 1.0) / 26.0).floor();
    }
    letters.iter().rev().collect()
}

fn roman(mut value: f64) -> Result<String> {
    if value > 1000.0 * WIDTH_MAX as f64 {
        return Err(Failure::new("D3130").text("i"));
    }
    let mut text = String::new();
    for (worth, numeral) in ROMAN {
        while value >= worth {
            text.push_str(numeral);
            value -= worth;
        }
    }
    Ok(text)
}

fn read_roman(text: &str) -> f64 {
    let (mut value, mut most) = (0.0, 1.0);
    for c in text.chars().rev() {
        let numeral = c.to_ascii_lowercase();
        let worth = ROMAN.iter().find(|(_, known)| known.chars().eq([numeral])).map_or(f64::NAN, |(worth, _)| *worth);
        if worth < most {
            value -= worth;
        } else {
            most = worth;
            value += worth;
        }
    }
    value
}

fn words(value: f64, ordinal: bool) -> String {
    let mut text = String::new();
    write_words(&mut text, value, false, ordinal);
    text
}

/// `follows`: something larger stands before it.
fn write_words(text: &mut String, value: f64, follows: bool, ordinal: bool) {
    if value < 20.0 {
        let names = if ordinal { ORDINALS } else { FEW };
        text.push_str(if follows { " and " } else { "" });
        text.push_str(names.get(value as usize).copied().unwrap_or_default());
    } else if value < 100.0 {
        let (tens, rest) = ((value / 10.0).floor(), value % 10.0);
        let decade = DECADES[(tens as usize - 2).min(7)];
        text.push_str(if follows { " and " } else { "" });
        if rest > 0.0 {
            text.push_str(decade);
            text.push('-');
            write_words(text, rest, false, ordinal);
        } else if ordinal {
            text.push_str(&decade[..decade.len() - 1]);
            text.push_str("ieth");
        } else {
            text.push_str(decade);
        }
    } else {
        let (unit, name) = if value < 1000.0 {
            (100.0, "Hundred")
        } else {
            let magnitude = ((value.log10() / 3.0 + 1e-12).floor() as usize).clamp(1, MAGNITUDES.len());
            (1000f64.powi(magnitude as i32), MAGNITUDES[magnitude - 1])
        };
        let count = (value / unit).floor();
        let rest = value - count * unit;
        text.push_str(if follows { ", " } else { "" });
        write_words(text, count, false, false);
        text.push(' ');
        text.push_str(name);
        if rest > 0.0 {
            write_words(text, rest, true, ordinal);
        } else if ordinal {
            text.push_str("th");
        }
    }
}

fn word_value(word: &str) -> f64 {
    let position = |names: &[&str]| names.iter().position(|name| name.eq_ignore_ascii_case(word));
    if let Some(value) = position(&FEW).or_else(|| position(&ORDINALS)) {
        return value as f64;
    }
    let singular = word.strip_suffix("ieth").map(|stem| format!("{stem}y"));
    let decade = |word: &str| DECADES.iter().position(|name| name.eq_ignore_ascii_case(word));
    if let Some(index) = decade(word).or_else(|| decade(singular.as_deref()?)) {
        return (index + 2) as f64 * 10.0;
    }
    let stem = word.strip_suffix("th").unwrap_or(word);
    if stem == "hundred" {
        return 100.0;
    }
    let magnitude = MAGNITUDES.iter().position(|name| name.eq_ignore_ascii_case(stem));
    magnitude.map_or(f64::NAN, |index| 1000f64.powi(index as i32 + 1))
}

fn read_words(text: &str) -> f64 {
    let mut segments: Vec<f64> = vec![0.0];
    let words = text.split([' ', '-', ',', '\t', '\n']).filter(|word| !word.is_empty() && *word != "and");
    for value in words.map(word_value) {
        let top = segments.pop().unwrap_or(0.0);
        if value < 100.0 {
            if top >= 1000.0 {
                segments.push(top);
                segments.push(value);
            } else {
                segments.push(top + value);
            }
        } else {
            segments.push(top * value);
        }
    }
    segments.iter().sum()
}

pub(super) fn format_integer<'a>(evaluator: &Evaluator<'a, '_>, mut arguments: Arguments<'a>) -> Result<Val<'a>> {
    let (number, picture) = (arguments.next(), arguments.next());
    let (Val::Number(number), Val::Text(picture)) = (number, picture) else { return Ok(Val::Undefined) };
    evaluator.meter.step(picture.len() as u64)?;
    evaluator.text(Picture::parse(&picture)?.format(number.as_f64().floor())?)
}

pub(super) fn parse_integer<'a>(evaluator: &Evaluator<'a, '_>, mut arguments: Arguments<'a>) -> Result<Val<'a>> {
    let (text, picture) = (arguments.next(), arguments.next());
    let (Val::Text(text), Val::Text(picture)) = (text, picture) else { return Ok(Val::Undefined) };
    evaluator.meter.step((text.len() + picture.len()) as u64)?;
    let number = Picture::parse(&picture)?.read(&text)?;
    Ok(Val::Number(Number::from(number)))
}
