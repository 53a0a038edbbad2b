//! Numbers: doubles as in the reference, but an integer of the input stays exact while nothing is done to it.

use std::cmp::Ordering;

/// A number. Whole numbers that a double holds exactly are always `Int`.
#[derive(Debug, Clone, Copy)]
pub(super) enum Number {
    Int(i64),
    Float(f64),
}

/// Up to here every whole number is a double of its own.
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;

impl From<f64> for Number {
    fn from(number: f64) -> Number {
        if number.fract() == 0.0 && number.abs() <= EXACT_MAX {
            Number::Int(number as i64)
        } else {
            Number::Float(number)
        }
    }
}

impl PartialEq for Number {
    fn eq(&self, other: &Number) -> bool {
        self.partial_cmp(other) == Some(Ordering::Equal)
    }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Number) -> Option<Ordering> {
        match (self, other) {
            (Number::Int(a), Number::Int(b)) => Some(a.cmp(b)),
            _ => self.as_f64().partial_cmp(&other.as_f64()),
        }
    }
}

impl Number {
    pub fn from_json(number: &serde_json::Number) -> Number {
        match number.as_i64() {
            Some(int) => Number::Int(int),
            None => Number::from(number.as_f64().unwrap_or(f64::NAN)),
        }
    }

    pub fn as_f64(self) -> f64 {
        match self {
            Number::Int(int) => int as f64,
            Number::Float(float) => float,
        }
    }

    /// The integer that it is; `None` for fractions and what lies beyond 64 bits.
    pub fn as_integer(self) -> Option<i64> {
        match self {
            Number::Int(int) => Some(int),
            Number::Float(float) => {
                let whole = float.fract() == 0.0 && float.abs() < i64::MAX as f64;
                whole.then_some(float as i64)
            }
        }
    }

    /// Towards negative infinity, held to 64 bits.
    pub fn floor(self) -> i64 {
        match self {
            Number::Int(int) => int,
            Number::Float(float) => float.floor() as i64,
        }
    }

    pub fn is_finite(self) -> bool {
        self.as_f64().is_finite()
    }

    /// As `$string` writes it: whole numbers in full, others with fifteen significant digits.
    pub fn to_text(self) -> String {
        match self {
            Number::Int(int) => int.to_string(),
            Number::Float(float) if float.fract() == 0.0 => shortest(float),
            Number::Float(float) => shortest(to_precision_15(float)),
        }
    }
}

/// The nearest double of fifteen significant digits.
fn to_precision_15(number: f64) -> f64 {
    if !number.is_finite() {
        return number;
    }
    format!("{number:.14e}").parse().unwrap_or(number)
}

/// The shortest digits that read back as the same double, in the notation of ECMAScript.
pub(super) fn shortest(number: f64) -> String {
    if number.is_nan() {
        return "NaN".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "Infinity" } else { "-Infinity" }.to_owned();
    }
    if number == 0.0 {
        return "0".to_owned();
    }
    let scientific = format!("{number:e}");
    let Some((mantissa, exponent)) = scientific.split_once('e') else { return scientific };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-7..21).contains(&exponent) && number.abs() >= 1e-6 {
        return format!("{number}");
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{}", exponent.abs())
}

/// What `$number` makes of a text.
pub(super) fn parse(text: &str) -> Option<Number> {
    if let Some(digits) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        return radix(digits, 16);
    }
    if let Some(digits) = text.strip_prefix("0o").or_else(|| text.strip_prefix("0O")) {
        return radix(digits, 8);
    }
    if let Some(digits) = text.strip_prefix("0b").or_else(|| text.strip_prefix("0B")) {
        return radix(digits, 2);
    }
    is_decimal(text).then(|| decimal(text)).flatten()
}

/// A decimal number that fits a double; whole ones within 64 bits are exact.
pub(super) fn decimal(text: &str) -> Option<Number> {
    if let Ok(int) = text.parse::<i64>() {
        return Some(Number::Int(int));
    }
    text.parse::<f64>().ok().filter(|number| number.is_finite()).map(Number::from)
}

fn radix(digits: &str, radix: u32) -> Option<Number> {
    if digits.is_empty() || !digits.chars().all(|c| c.is_digit(radix)) {
        return None;
    }
    let value =
        digits.chars().fold(0.0, |value, c| value * f64::from(radix) + f64::from(c.to_digit(radix).unwrap_or(0)));
    Some(Number::from(value)).filter(|number| number.is_finite())
}

/// `-?digits(.digits)?([eE][+-]?digits)?`
fn is_decimal(text: &str) -> bool {
    let digits = |text: &str| text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let mut rest = text.strip_prefix('-').unwrap_or(text);
    let whole = digits(rest);
    if whole == 0 {
        return false;
    }
    rest = &rest[whole..];
    if let Some(fraction) = rest.strip_prefix('.') {
        let length = digits(fraction);
        if length == 0 {
            return false;
        }
        rest = &fraction[length..];
    }
    if let Some(exponent) = rest.strip_prefix(['e', 'E']) {
        let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        return !exponent.is_empty() && digits(exponent) == exponent.len();
    }
    rest.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_written_as_ecmascript_does() {
        for (number, text) in [
            (1e20, "100000000000000000000"),
            (1e21, "1e+21"),
            (-1.5e22, "-1.5e+22"),
            (1e-6, "0.000001"),
            (1e-7, "1e-7"),
            (0.1 + 0.2, "0.30000000000000004"),
            (999_999_999_999_999_868_928.0, "999999999999999900000"),
        ] {
            assert_eq!(shortest(number), text);
        }
        assert_eq!(Number::from(1.0 / 3.0).to_text(), "0.333333333333333");
        assert_eq!(Number::from(0.1 + 0.2).to_text(), "0.3");
        assert_eq!(Number::Int(i64::MAX).to_text(), "9223372036854775807");
        assert_eq!(Number::from(9_223_372_036_854_775_808.0).to_text(), "9223372036854776000");
    }

    #[test]
    fn is_read_in_every_notation() {
        assert_eq!(parse("0x1F"), Some(Number::Int(31)));
        assert_eq!(parse("0b101"), Some(Number::Int(5)));
        assert_eq!(parse("-1.5e2"), Some(Number::Int(-150)));
        for text in ["", "-", "1.", ".5", "1e", "0x", "1 ", "+1", "Infinity", "1e999"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
