//! Comparisons inside filters, with Jayway's conversions.

use std::borrow::Cow;
use std::cmp::Ordering;

use serde_json::{Number, Value};

use super::FilterOperator as Op;
use crate::text::number_text;

/// One side of a comparison.
#[derive(Debug)]
pub(super) enum Operand<'t> {
    Value(Cow<'t, Value>),
    Pattern(&'t regex_lite::Regex),
    /// A path that found nothing.
    Nothing,
}

/// How many elements the comparison may look at.
pub(super) fn cost(operator: Op, left: &Operand<'_>, right: &Operand<'_>) -> usize {
    let len = |operand: &Operand<'_>| match operand {
        Operand::Value(value) => match &**value {
            Value::Array(items) => items.len(),
            Value::String(text) => text.len() / 64,
            _ => 0,
        },
        _ => 0,
    };
    match operator {
        Op::SubsetOf | Op::AnyOf | Op::NoneOf => len(left).saturating_mul(len(right).max(1)),
        _ => len(left).saturating_add(len(right)),
    }
}

pub(super) fn holds(operator: Op, left: &Operand<'_>, right: &Operand<'_>) -> bool {
    let (left, right) = match (left, right) {
        (Operand::Value(left), Operand::Value(right)) => (&**left, &**right),
        (Operand::Value(value), Operand::Pattern(regex)) | (Operand::Pattern(regex), Operand::Value(value)) => {
            return operator == Op::Matches && matches(value, regex);
        }
        (Operand::Nothing, Operand::Nothing) => return operator == Op::Equal,
        _ => return matches!(operator, Op::NotEqual | Op::NotIn),
    };
    match operator {
        Op::Equal => equal(left, right),
        Op::NotEqual => !equal(left, right),
        Op::Less => order(left, right).is_some_and(Ordering::is_lt),
        Op::LessOrEqual => order(left, right).is_some_and(Ordering::is_le),
        Op::Greater => order(left, right).is_some_and(Ordering::is_gt),
        Op::GreaterOrEqual => order(left, right).is_some_and(Ordering::is_ge),
        Op::Matches => false,
        Op::In => list(right).iter().any(|item| equal(left, item)),
        Op::NotIn => !list(right).iter().any(|item| equal(left, item)),
        Op::SubsetOf => left.is_array() && list(left).iter().all(|item| list(right).iter().any(|r| equal(item, r))),
        Op::AnyOf => list(left).iter().any(|item| list(right).iter().any(|r| equal(item, r))),
        Op::NoneOf => left.is_array() && !list(left).iter().any(|item| list(right).iter().any(|r| equal(item, r))),
        Op::Contains => match (left, right) {
            (Value::Array(items), item) => items.iter().any(|value| equal(value, item)),
            (Value::String(text), Value::String(part)) => text.contains(part.as_str()),
            _ => false,
        },
        Op::Size => right.as_u64().is_some_and(|size| length(left) == usize::try_from(size).ok()),
        Op::Empty => right.as_bool().is_some_and(|empty| length(left).is_some_and(|len| (len == 0) == empty)),
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn length(value: &Value) -> Option<usize> {
    match value {
        Value::Array(items) => Some(items.len()),
        Value::Object(members) => Some(members.len()),
        Value::String(text) => Some(text.chars().count()),
        _ => None,
    }
}

fn matches(value: &Value, regex: &regex_lite::Regex) -> bool {
    match value {
        Value::String(text) => regex.is_match(text),
        Value::Number(number) => regex.is_match(&number_text(number)),
        _ => false,
    }
}

/// Numbers compare by value, and with strings that spell them.
fn equal(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => order_numbers(left, right) == Some(Ordering::Equal),
        (Value::Number(number), Value::String(text)) => {
            text.parse::<f64>().is_ok_and(|text| number.as_f64() == Some(text))
        }
        (Value::String(text), Value::Number(number)) => *text == number_text(number),
        _ => left == right,
    }
}

fn order(left: &Value, right: &Value) -> Option<Ordering> {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => order_numbers(left, right),
        (Value::String(left), Value::String(right)) => Some(left.cmp(right)),
        _ => None,
    }
}

fn order_numbers(left: &Number, right: &Number) -> Option<Ordering> {
    let whole = |n: &Number| n.as_i64().map(i128::from).or_else(|| n.as_u64().map(i128::from));
    match (whole(left), whole(right)) {
        (Some(left), Some(right)) => Some(left.cmp(&right)),
        _ => left.as_f64()?.partial_cmp(&right.as_f64()?),
    }
}
