use std::cmp::Ordering;
use std::fmt;

/// Significant digits a number may have.
const DIGITS_MAX: u32 = 38;
/// Exponent of the first digit, at most: 9.99…E+125.
const MAGNITUDE_MAX: i32 = 125;
/// Exponent of the first digit, at least: 1E-130.
const MAGNITUDE_MIN: i32 = -130;
/// Longest text that is read as a number: DynamoDB takes leading and trailing zeros, but not without end.
const TEXT_BYTES_MAX: usize = 1024;

/// DynamoDB's number: 38 significant decimal digits, magnitude 1E-130 to 9.99…E+125, exact.
///
/// Kept normalised (no trailing zeros, one zero), so that equal numbers are equal values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Number {
    negative: bool,
    /// Power of ten of the last digit.
    exponent: i16,
    /// All digits; below 10^38.
    coefficient: u128,
}

/// Why a text is no number, or a sum has no representation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NumberError {
    #[error("The parameter cannot be converted to a numeric value{}", suffix(.0))]
    NotNumeric(String),
    #[error("Number overflow. Attempting to store a number with magnitude larger than supported range")]
    Overflow,
    #[error("Number underflow. Attempting to store a number with magnitude smaller than supported range")]
    Underflow,
    #[error("Attempting to store more than 38 significant digits in a Number")]
    TooPrecise,
}

fn suffix(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!(": {text}") }
}

impl Number {
    pub const ZERO: Number = Number { negative: false, exponent: 0, coefficient: 0 };

    /// Reads what DynamoDB takes: digits with sign, point and exponent, no spaces, no NaN, no infinity.
    pub fn parse(text: &str) -> Result<Number, NumberError> {
        let not_numeric = || NumberError::NotNumeric(text.chars().take(64).collect());
        let bytes = text.as_bytes();
        if bytes.len() > TEXT_BYTES_MAX {
            return Err(not_numeric());
        }
        let (negative, digits) = match bytes.first() {
            Some(b'-') => (true, &bytes[1..]),
            Some(b'+') => (false, &bytes[1..]),
            _ => (false, bytes),
        };
        let (mantissa, exponent) = match digits.iter().position(|b| matches!(b, b'e' | b'E')) {
            Some(at) => (&digits[..at], parse_exponent(&digits[at + 1..]).ok_or_else(not_numeric)?),
            None => (digits, 0),
        };
        let mut scan = Scan::default();
        for &b in mantissa {
            match b {
                b'0'..=b'9' => scan.digit(b - b'0'),
                b'.' if !scan.point => scan.point = true,
                _ => return Err(not_numeric()),
            }
        }
        if !scan.any {
            return Err(not_numeric());
        }
        if scan.significant == 0 {
            return Ok(Number::ZERO);
        }
        // Zeros that follow the last non-zero digit are not significant; they only move the exponent.
        Number::checked(negative, scan.coefficient, exponent - scan.fraction + scan.pending, scan.significant)
    }

    pub fn is_zero(&self) -> bool {
        self.coefficient == 0
    }

    /// Whole number as `i64`, if it is one that fits (fractions are cut off).
    pub fn to_i64(self) -> Option<i64> {
        if self.exponent < 0 {
            let power = 10u128.checked_pow(u32::from(self.exponent.unsigned_abs()));
            let whole = power.map_or(0, |p| self.coefficient / p);
            return signed(self.negative, whole);
        }
        let power = 10u128.checked_pow(u32::from(self.exponent.unsigned_abs()))?;
        signed(self.negative, self.coefficient.checked_mul(power)?)
    }

    /// The exact sum; an error if it needs more than 38 digits or leaves the range.
    pub fn plus(self, other: Number) -> Result<Number, NumberError> {
        if self.is_zero() {
            return Ok(other);
        }
        if other.is_zero() {
            return Ok(self);
        }
        // Digits from the highest magnitude of both to the lowest last digit. Beyond 40 columns no cancellation can
        // bring the sum back to 38 digits; DynamoDB calls that an overflow, too.
        let low = self.exponent.min(other.exponent);
        let columns = i32::from(self.magnitude().max(other.magnitude())) - i32::from(low) + 2;
        let columns = usize::try_from(columns).unwrap_or(usize::MAX);
        if columns > COLUMNS_MAX {
            return Err(NumberError::Overflow);
        }
        let mut sum = [0i8; COLUMNS_MAX];
        self.add_digits(low, &mut sum);
        other.add_digits(low, &mut sum);
        let negative = carry(&mut sum[..columns]);
        from_digits(negative, &sum[..columns], i32::from(low))
    }

    /// The exact difference, as [`Number::plus`].
    pub fn minus(self, other: Number) -> Result<Number, NumberError> {
        self.plus(other.negated())
    }

    /// Bytes whose order is the numeric order, and none of which is a prefix of another.
    pub fn sort_key(&self, out: &mut Vec<u8>) {
        if self.is_zero() {
            out.push(1);
            return;
        }
        out.push(if self.negative { 0 } else { 2 });
        let flip = if self.negative { 0xff } else { 0 };
        let magnitude = u8::try_from(i32::from(self.magnitude()) - MAGNITUDE_MIN).expect("magnitude is in range");
        out.push(magnitude ^ flip);
        let mut digits = self.coefficient * pow10(DIGITS_MAX - self.digits());
        let mut power = pow10(DIGITS_MAX - 2);
        while digits != 0 {
            let pair = u8::try_from(digits / power).expect("two digits");
            out.push((pair + 1) ^ flip);
            digits %= power;
            power = (power / 100).max(1);
        }
        out.push(flip);
    }

    /// What DynamoDB counts for it: a byte for each pair of digits (pairs begin at even powers), one more, one for a
    /// sign.
    pub fn size_bytes(&self) -> usize {
        if self.is_zero() {
            return 1;
        }
        let digits = self.digits() as usize;
        let unaligned = digits.is_multiple_of(2) && self.magnitude() % 2 == 0;
        1 + digits.div_ceil(2) + usize::from(unaligned) + usize::from(self.negative)
    }

    /// The parts that are stored: negative, exponent, coefficient.
    pub(crate) fn parts(&self) -> (bool, i16, u128) {
        (self.negative, self.exponent, self.coefficient)
    }

    /// The inverse of [`Number::parts`]; `None` for parts that no number has.
    pub(crate) fn from_parts(negative: bool, exponent: i16, coefficient: u128) -> Option<Number> {
        let number = Number { negative, exponent, coefficient };
        if coefficient == 0 {
            return (number == Number::ZERO).then_some(number);
        }
        let checked = Number::checked(negative, coefficient, i32::from(exponent), digit_count(coefficient)).ok()?;
        (checked == number).then_some(number)
    }

    fn negated(self) -> Number {
        Number { negative: !self.negative && !self.is_zero(), ..self }
    }

    /// Power of ten of the first digit.
    fn magnitude(&self) -> i16 {
        self.exponent + i16::try_from(self.digits()).expect("at most 38") - 1
    }

    fn digits(&self) -> u32 {
        digit_count(self.coefficient)
    }

    fn add_digits(self, low: i16, columns: &mut [i8]) {
        let mut rest = self.coefficient;
        let mut at = usize::try_from(self.exponent - low).expect("low is the lower exponent");
        while rest != 0 {
            let digit = i8::try_from(rest % 10).expect("one digit");
            columns[at] += if self.negative { -digit } else { digit };
            rest /= 10;
            at += 1;
        }
    }

    fn checked(negative: bool, coefficient: u128, exponent: i32, digits: u32) -> Result<Number, NumberError> {
        let magnitude = exponent.saturating_add(i32::try_from(digits).unwrap_or(i32::MAX)).saturating_sub(1);
        if magnitude > MAGNITUDE_MAX {
            return Err(NumberError::Overflow);
        }
        if magnitude < MAGNITUDE_MIN {
            return Err(NumberError::Underflow);
        }
        if digits > DIGITS_MAX {
            return Err(NumberError::TooPrecise);
        }
        let (mut coefficient, mut exponent) = (coefficient, i16::try_from(exponent).expect("magnitude is in range"));
        while coefficient.is_multiple_of(10) {
            coefficient /= 10;
            exponent += 1;
        }
        Ok(Number { negative, exponent, coefficient })
    }
}

/// Columns of digits that a sum is computed in: 38, two that may cancel, one for the carry.
const COLUMNS_MAX: usize = 41;

fn signed(negative: bool, whole: u128) -> Option<i64> {
    let whole = i128::try_from(whole).ok()?;
    i64::try_from(if negative { -whole } else { whole }).ok()
}

fn pow10(n: u32) -> u128 {
    10u128.pow(n)
}

fn digit_count(n: u128) -> u32 {
    n.checked_ilog10().map_or(0, |log| log + 1)
}

/// The digits of a mantissa as they come. Zeros are held back until a digit follows that makes them significant.
#[derive(Default)]
struct Scan {
    any: bool,
    point: bool,
    coefficient: u128,
    significant: u32,
    pending: i32,
    fraction: i32,
}

impl Scan {
    fn digit(&mut self, digit: u8) {
        self.any = true;
        self.fraction += i32::from(self.point);
        if digit == 0 {
            self.pending += i32::from(self.significant > 0);
            return;
        }
        for next in std::iter::repeat_n(0, usize::try_from(self.pending).unwrap_or(0)).chain([digit]) {
            self.significant += 1;
            if self.significant <= DIGITS_MAX {
                self.coefficient = self.coefficient * 10 + u128::from(next);
            }
        }
        self.pending = 0;
    }
}

fn parse_exponent(text: &[u8]) -> Option<i32> {
    let (negative, digits) = match text.first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    if digits.is_empty() {
        return None;
    }
    let mut value = 0i32;
    for b in digits {
        if !b.is_ascii_digit() {
            return None;
        }
        // Saturates far outside the range, where it stays an overflow or underflow whatever follows.
        value = (value * 10 + i32::from(b - b'0')).min(1_000_000);
    }
    Some(if negative { -value } else { value })
}

/// Brings every column into 0..=9 and says whether the whole was negative.
fn carry(columns: &mut [i8]) -> bool {
    let negative = columns.iter().rev().find(|d| **d != 0).is_some_and(|d| *d < 0);
    let mut carry = 0;
    for digit in columns.iter_mut() {
        let value = if negative { -*digit } else { *digit } + carry;
        *digit = value.rem_euclid(10);
        carry = value.div_euclid(10);
    }
    assert!(carry == 0, "the highest column takes the carry");
    negative
}

fn from_digits(negative: bool, columns: &[i8], low: i32) -> Result<Number, NumberError> {
    let Some(first) = columns.iter().position(|d| *d != 0) else {
        return Ok(Number::ZERO);
    };
    let last = columns.iter().rposition(|d| *d != 0).expect("one is not zero");
    let digits = last - first + 1;
    if digits > DIGITS_MAX as usize {
        return Err(NumberError::Overflow);
    }
    let coefficient = columns[first..=last].iter().rev().fold(0u128, |n, d| n * 10 + u128::from(d.unsigned_abs()));
    let exponent = low + i32::try_from(first).expect("few columns");
    Number::checked(negative, coefficient, exponent, u32::try_from(digits).expect("few columns"))
}

impl Ord for Number {
    fn cmp(&self, other: &Number) -> Ordering {
        let sign = |n: &Number| if n.is_zero() { 0 } else { 1 - 2 * i8::from(n.negative) };
        sign(self).cmp(&sign(other)).then_with(|| {
            if self.is_zero() {
                return Ordering::Equal;
            }
            let all = |n: &Number| (n.magnitude(), n.coefficient * pow10(DIGITS_MAX - n.digits()));
            let order = all(self).cmp(&all(other));
            if self.negative { order.reverse() } else { order }
        })
    }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Number) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl From<u64> for Number {
    fn from(n: u64) -> Number {
        Number::checked(false, u128::from(n), 0, digit_count(u128::from(n))).unwrap_or(Number::ZERO)
    }
}

impl fmt::Display for Number {
    /// Plain decimals without exponent, as DynamoDB answers.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.negative {
            f.write_str("-")?;
        }
        let digits = self.coefficient.to_string();
        if self.exponent >= 0 {
            return write!(f, "{digits}{}", "0".repeat(usize::from(self.exponent.unsigned_abs())));
        }
        let fraction = usize::from(self.exponent.unsigned_abs());
        match digits.len().checked_sub(fraction) {
            Some(whole) if whole > 0 => write!(f, "{}.{}", &digits[..whole], &digits[whole..]),
            _ => write!(f, "0.{}{digits}", "0".repeat(fraction - digits.len())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn n(text: &str) -> Number {
        Number::parse(text).unwrap()
    }

    #[test]
    fn texts_are_normalised_as_aws_does() {
        let nines = "9".repeat(38);
        for (text, shown) in [
            ("0", "0".to_owned()),
            ("-0.000", "0".to_owned()),
            ("0e1000", "0".to_owned()),
            ("+3", "3".to_owned()),
            (".123", "0.123".to_owned()),
            ("5.", "5".to_owned()),
            ("0001.2300", "1.23".to_owned()),
            ("1e+5", "100000".to_owned()),
            ("-17.4E37", format!("-174{}", "0".repeat(36))),
            ("100000000000000000000000000000000000000000000000000", format!("1{}", "0".repeat(50))),
            ("0000012345678901234567890123456789012345678", "12345678901234567890123456789012345678".to_owned()),
            ("-00001.23456789012345678901234567890123456780000", "-1.2345678901234567890123456789012345678".to_owned()),
            ("0009.99999999999999999999999999999999999990000e125", format!("{nines}{}", "0".repeat(88))),
            ("-0001.000e-130", format!("-0.{}1", "0".repeat(129))),
        ] {
            assert_eq!(n(text).to_string(), shown, "{text}");
        }
    }

    #[test]
    fn texts_that_are_refused() {
        for text in ["", "-", ".", "e5", "1e", "1e+", " 1", "1 ", "NaN", "Infinity", "1.2.3", "0x10", "1_000", "--1"] {
            let expected = if text.is_empty() { String::new() } else { format!(": {text}") };
            let message = Number::parse(text).unwrap_err().to_string();
            assert_eq!(message, format!("The parameter cannot be converted to a numeric value{expected}"));
        }
        for (text, error) in [
            ("1e126", NumberError::Overflow),
            ("11e125", NumberError::Overflow),
            ("1e99999999999999999999", NumberError::Overflow),
            ("1e-131", NumberError::Underflow),
            ("0.9e-130", NumberError::Underflow),
            ("3.14159265358979323846264338327950288419", NumberError::TooPrecise),
            ("314159265358979323846264338327950288419e30", NumberError::TooPrecise),
        ] {
            assert_eq!(Number::parse(text), Err(error), "{text}");
        }
    }

    #[test]
    fn sums_are_exact_or_refused() {
        for (a, b, sum) in [
            ("1", "10000000000000000000000", "10000000000000000000001"),
            ("0.1", "0.2", "0.3"),
            ("99999999999999999999999999999999999999", "1", "100000000000000000000000000000000000000"),
            ("5", "-5", "0"),
            ("-1", "0.5", "-0.5"),
            ("1e38", "-1", "99999999999999999999999999999999999999"),
            ("1e125", "1e88", "10000000000000000000000000000000000001e88"),
        ] {
            assert_eq!(n(a).plus(n(b)), Ok(n(sum)), "{a} + {b}");
            assert_eq!(n(sum).minus(n(b)), Ok(n(a)), "{sum} - {b}");
        }
        for (a, b) in [("9e125", "9e125"), ("1e50", "1"), ("1e125", "1e-130"), ("1e39", "-1"), ("1e38", "1")] {
            assert_eq!(n(a).plus(n(b)), Err(NumberError::Overflow), "{a} + {b}");
        }
    }

    #[test]
    fn sizes_as_dynamodb_counts_them() {
        for (text, size) in [
            ("0", 1),
            ("1", 2),
            ("1e125", 2),
            ("11e124", 2),
            ("11111e121", 4),
            ("111111e120", 4),
            ("1111111e119", 5),
            ("-1", 3),
            ("12345678901234567890123456789012345678e88", 20),
        ] {
            assert_eq!(n(text).size_bytes(), size, "{text}");
        }
    }

    fn number() -> impl Strategy<Value = Number> {
        let wide = (any::<bool>(), 0u128..10u128.pow(38), -130i32..88);
        let close = (any::<bool>(), 0u128..1000, -3i32..3);
        prop_oneof![wide, close].prop_filter_map("range", |(negative, coefficient, exponent)| {
            Number::parse(&format!("{}{coefficient}e{exponent}", if negative { "-" } else { "" })).ok()
        })
    }

    proptest! {
        #[test]
        fn order_of_sort_keys_is_numeric(a in number(), b in number()) {
            let key = |n: &Number| { let mut k = Vec::new(); n.sort_key(&mut k); k };
            prop_assert_eq!(key(&a).cmp(&key(&b)), a.cmp(&b));
            prop_assert!(a == b || !key(&a).starts_with(&key(&b)));
        }

        #[test]
        fn texts_and_parts_come_back(a in number()) {
            prop_assert_eq!(Number::parse(&a.to_string()), Ok(a));
            let (negative, exponent, coefficient) = a.parts();
            prop_assert_eq!(Number::from_parts(negative, exponent, coefficient), Some(a));
        }

        #[test]
        fn sums_agree_with_integers(a in -1_000_000_000_000i128..1_000_000_000_000, b in -1_000_000_000i128..1_000_000_000) {
            prop_assert_eq!(n(&a.to_string()).plus(n(&b.to_string())), Ok(n(&(a + b).to_string())));
            prop_assert_eq!(n(&a.to_string()).minus(n(&b.to_string())), Ok(n(&(a - b).to_string())));
            prop_assert_eq!(n(&a.to_string()).cmp(&n(&b.to_string())), a.cmp(&b));
        }
    }
}
