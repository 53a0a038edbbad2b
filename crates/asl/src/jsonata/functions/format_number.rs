//! `$formatNumber`: numbers by a picture, as XPath's `format-number` has it.

use super::super::error::{Failure, Result};
use super::super::evaluate::Evaluator;
use super::super::function::Arguments;
use super::super::value::Val;
use super::integer::common_divisor;
use super::numeric::round_to;

/// How long a picture may be.
const PICTURE_MAX: usize = 1000;

/// The characters with a meaning.
struct Symbols {
    decimal: char,
    grouping: char,
    exponent: char,
    minus: String,
    percent: char,
    per_mille: char,
    zero: char,
    digit: char,
    pattern: char,
}

impl Symbols {
    fn new(options: &Val<'_>) -> Symbols {
        let option = |name: &str, default: &str| match options {
            Val::Object(object) => match object.get(name) {
                Val::Text(text) if !text.is_empty() => text.to_string(),
                _ => default.to_owned(),
            },
            _ => default.to_owned(),
        };
        let character = |name: &str, default: &str| option(name, default).chars().next().unwrap_or('?');
        Symbols {
            decimal: character("decimal-separator", "."),
            grouping: character("grouping-separator", ","),
            exponent: character("exponent-separator", "e"),
            minus: option("minus-sign", "-"),
            percent: character("percent", "%"),
            per_mille: character("per-mille", "\u{2030}"),
            zero: character("zero-digit", "0"),
            digit: character("digit", "#"),
            pattern: character("pattern-separator", ";"),
        }
    }

    fn is_decimal(&self, c: char) -> bool {
        (u32::from(self.zero)..u32::from(self.zero) + 10).contains(&u32::from(c))
    }

    fn is_active(&self, c: char) -> bool {
        self.is_decimal(c) || [self.decimal, self.exponent, self.grouping, self.digit, self.pattern].contains(&c)
    }

    fn is_digit(&self, c: char) -> bool {
        self.is_decimal(c) || c == self.digit
    }

    /// ASCII digits in this family.
    fn digits(&self, text: &str) -> Vec<char> {
        let digit = |c: char| c.to_digit(10).and_then(|value| char::from_u32(u32::from(self.zero) + value));
        text.chars().map(|c| digit(c).unwrap_or(c)).collect()
    }
}

/// A sub-picture taken apart.
struct Parts<'p> {
    whole: &'p [char],
    prefix: &'p [char],
    suffix: &'p [char],
    active: &'p [char],
    mantissa: &'p [char],
    exponent: Option<&'p [char]>,
    integer: &'p [char],
    fraction: &'p [char],
}

impl<'p> Parts<'p> {
    fn new(whole: &'p [char], symbols: &Symbols) -> Parts<'p> {
        let begins = |c: &char| symbols.is_active(*c) && *c != symbols.exponent;
        let start = whole.iter().position(begins).unwrap_or(0);
        let end = whole.iter().rposition(begins).map_or(whole.len(), |last| last + 1);
        let (prefix, suffix) = (&whole[..start], &whole[end..]);
        let active = &whole[start..end];
        let (mantissa, exponent) = match active.iter().position(|c| *c == symbols.exponent) {
            Some(at) => (&active[..at], Some(&active[at + 1..])),
            None => match suffix.first() {
                // The separator alone, with no digit behind it.
                Some(c) if *c == symbols.exponent => (active, Some(&suffix[..0])),
                _ => (active, None),
            },
        };
        let (integer, fraction) = match mantissa.iter().position(|c| *c == symbols.decimal) {
            Some(at) => (&mantissa[..at], &mantissa[at + 1..]),
            None => (mantissa, suffix),
        };
        Parts { whole, prefix, suffix, active, mantissa, exponent, integer, fraction }
    }

    /// The rule that it breaks; of several the last, as in the reference.
    fn broken_rule(&self, symbols: &Symbols) -> Option<&'static str> {
        let count = |sought: char| self.whole.iter().filter(|c| **c == sought).count();
        let has_decimal = |part: &[char]| part.iter().any(|c| symbols.is_decimal(*c));
        let beside_decimal = || {
            let at = self.whole.iter().position(|c| *c == symbols.decimal)?;
            let neighbour =
                |index: Option<usize>| index.and_then(|index| self.whole.get(index)) == Some(&symbols.grouping);
            Some(neighbour(at.checked_sub(1)) || neighbour(Some(at + 1)))
        };
        let optional_after = self.integer.iter().position(|c| *c == symbols.digit);
        let optional_before = self.fraction.iter().rposition(|c| *c == symbols.digit);
        let scaled = count(symbols.percent) > 0 || count(symbols.per_mille) > 0;
        let rules = [
            (count(symbols.decimal) > 1, "D3081"),
            (count(symbols.percent) > 1, "D3082"),
            (count(symbols.per_mille) > 1, "D3083"),
            (count(symbols.percent) > 0 && count(symbols.per_mille) > 0, "D3084"),
            (!self.mantissa.iter().any(|c| symbols.is_digit(*c)), "D3085"),
            (self.active.iter().any(|c| !symbols.is_active(*c)), "D3086"),
            (beside_decimal() == Some(true), "D3087"),
            (beside_decimal().is_none() && self.integer.last() == Some(&symbols.grouping), "D3088"),
            (self.whole.windows(2).any(|pair| pair == [symbols.grouping; 2]), "D3089"),
            (optional_after.is_some_and(|at| has_decimal(&self.integer[..at])), "D3090"),
            (optional_before.is_some_and(|at| has_decimal(&self.fraction[at..])), "D3091"),
            (self.exponent.is_some_and(|exponent| !exponent.is_empty()) && scaled, "D3092"),
            (self.exponent.is_some_and(|e| e.is_empty() || e.iter().any(|c| !symbols.is_decimal(*c))), "D3093"),
        ];
        rules.iter().rev().find(|(broken, _)| *broken).map(|(_, code)| *code)
    }
}

/// What a sub-picture asks for.
struct Layout {
    integer_groups: Vec<usize>,
    regular_grouping: usize,
    fraction_groups: Vec<usize>,
    integer_min: usize,
    scaling: i32,
    fraction_min: usize,
    fraction_max: usize,
    exponent_min: usize,
    has_decimal: bool,
    factor: f64,
    prefix: String,
    suffix: String,
}

impl Layout {
    fn new(parts: &Parts<'_>, symbols: &Symbols) -> Layout {
        let count = |part: &[char], wanted: &dyn Fn(char) -> bool| part.iter().filter(|c| wanted(**c)).count();
        let is_digit = |c: char| symbols.is_digit(c);
        let is_decimal = |c: char| symbols.is_decimal(c);
        let separators = |part: &[char]| -> Vec<usize> {
            part.iter().enumerate().filter(|(_, c)| **c == symbols.grouping).map(|(at, _)| at).collect()
        };
        let integer_groups: Vec<usize> =
            separators(parts.integer).into_iter().map(|at| count(&parts.integer[at..], &is_digit)).collect();
        let fraction_groups: Vec<usize> =
            separators(parts.fraction).into_iter().map(|at| count(&parts.fraction[..at], &is_digit)).collect();
        let mut integer_min = count(parts.integer, &is_decimal);
        let scaling = integer_min as i32;
        let mut fraction_min = count(parts.fraction, &is_decimal);
        let mut fraction_max = count(parts.fraction, &is_digit);
        if integer_min == 0 && fraction_max == 0 {
            match parts.exponent {
                Some(_) => (fraction_min, fraction_max) = (1, 1),
                None => integer_min = 1,
            }
        }
        if parts.exponent.is_some() && integer_min == 0 && parts.integer.contains(&symbols.digit) {
            integer_min = 1;
        }
        if integer_min == 0 && fraction_min == 0 {
            fraction_min = 1;
        }
        Layout {
            regular_grouping: regular(&integer_groups),
            integer_groups,
            fraction_groups,
            integer_min,
            scaling,
            fraction_min,
            fraction_max,
            exponent_min: parts.exponent.map_or(0, |exponent| count(exponent, &is_decimal)),
            has_decimal: parts.whole.contains(&symbols.decimal),
            factor: match () {
                () if parts.whole.contains(&symbols.percent) => 100.0,
                () if parts.whole.contains(&symbols.per_mille) => 1000.0,
                () => 1.0,
            },
            prefix: parts.prefix.iter().collect(),
            suffix: parts.suffix.iter().collect(),
        }
    }
}

fn regular(positions: &[usize]) -> usize {
    let interval = positions.iter().fold(0, |interval, position| common_divisor(interval, *position));
    let all = (1..=positions.len()).all(|index| positions.contains(&(index * interval)));
    if all { interval } else { 0 }
}

pub(super) fn format_number<'a>(evaluator: &Evaluator<'a, '_>, mut arguments: Arguments<'a>) -> Result<Val<'a>> {
    let (number, picture, options) = (arguments.next(), arguments.next(), arguments.next());
    let (Val::Number(number), Val::Text(picture)) = (number, picture) else { return Ok(Val::Undefined) };
    evaluator.meter.step(picture.len() as u64)?;
    let symbols = Symbols::new(&options);
    let characters: Vec<char> = picture.chars().collect();
    let pictures: Vec<&[char]> = characters.split(|c| *c == symbols.pattern).collect();
    if pictures.len() > 2 || characters.len() > PICTURE_MAX {
        return Err(Failure::new("D3080"));
    }
    let mut layouts = Vec::with_capacity(2);
    for picture in pictures {
        let parts = Parts::new(picture, &symbols);
        if let Some(code) = parts.broken_rule(&symbols) {
            return Err(Failure::new(code));
        }
        layouts.push(Layout::new(&parts, &symbols));
    }
    let value = number.as_f64();
    let negative = value < 0.0;
    let own = negative && layouts.len() == 2;
    let layout = &layouts[usize::from(own)];
    let minus = if negative && !own { symbols.minus.as_str() } else { "" };
    let digits = layout.format(value.abs(), &symbols);
    evaluator.text(format!("{minus}{}{digits}{}", layout.prefix, layout.suffix))
}

impl Layout {
    fn format(&self, value: f64, symbols: &Symbols) -> String {
        let (mantissa, exponent) = self.scale(value * self.factor);
        let fixed = format!("{:.*}", self.fraction_max, round_to(mantissa, self.fraction_max as i64));
        let (integer, fraction) = fixed.split_once('.').unwrap_or((&fixed, ""));
        let mut integer = symbols.digits(integer.trim_start_matches('0'));
        let mut fraction = symbols.digits(fraction.trim_end_matches('0'));
        let missing = self.integer_min.saturating_sub(integer.len());
        integer.splice(0..0, std::iter::repeat_n(symbols.zero, missing));
        fraction.resize(fraction.len().max(self.fraction_min), symbols.zero);
        let length = integer.len();
        if let Some(groups) = length.saturating_sub(1).checked_div(self.regular_grouping) {
            for group in 1..=groups {
                integer.insert(length - group * self.regular_grouping, symbols.grouping);
            }
        } else {
            for position in self.integer_groups.iter().rev().filter(|position| **position < length) {
                integer.insert(length - position, symbols.grouping);
            }
        }
        for (inserted, position) in self.fraction_groups.iter().enumerate() {
            if position + inserted < fraction.len() {
                fraction.insert(position + inserted, symbols.grouping);
            }
        }
        let mut text: String = integer.iter().collect();
        if self.has_decimal && !fraction.is_empty() {
            text.push(symbols.decimal);
            text.extend(&fraction);
        }
        if let Some(exponent) = exponent {
            let digits = symbols.digits(&exponent.unsigned_abs().to_string());
            text.push(symbols.exponent);
            text.push_str(if exponent < 0 { &symbols.minus } else { "" });
            text.extend(std::iter::repeat_n(symbols.zero, self.exponent_min.saturating_sub(digits.len())));
            text.extend(&digits);
        }
        text
    }

    /// Mantissa and exponent, where the picture has one.
    fn scale(&self, value: f64) -> (f64, Option<i32>) {
        if self.exponent_min == 0 {
            return (value, None);
        }
        let (most, least) = (10f64.powi(self.scaling), 10f64.powi(self.scaling - 1));
        let (mut mantissa, mut exponent) = (value, 0);
        if value == 0.0 || !value.is_finite() {
            return (value, Some(0));
        }
        while mantissa < least {
            mantissa *= 10.0;
            exponent -= 1;
        }
        while mantissa > most {
            mantissa /= 10.0;
            exponent += 1;
        }
        (mantissa, Some(exponent))
    }
}
