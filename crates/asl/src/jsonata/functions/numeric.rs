//! Numbers and what is told of arrays of them.

use super::super::error::{Failure, Result};
use super::super::evaluate::Evaluator;
use super::super::function::Arguments;
use super::super::number::{self, Number};
use super::super::value::{Array, Val};

fn one<'a>(mut arguments: Arguments<'a>, run: impl FnOnce(Number) -> Val<'a>) -> Result<Val<'a>> {
    Ok(match arguments.next() {
        Val::Number(number) => run(number),
        _ => Val::Undefined,
    })
}

pub(super) fn abs<'a>(_: &Evaluator<'a, '_>, arguments: Arguments<'a>) -> Result<Val<'a>> {
    one(arguments, |number| match number {
        Number::Int(int) if int != i64::MIN => Val::Number(Number::Int(int.abs())),
        number => Val::from(number.as_f64().abs()),
    })
}

pub(super) fn floor<'a>(_: &Evaluator<'a, '_>, arguments: Arguments<'a>) -> Result<Val<'a>> {
    one(arguments, |number| match number {
        Number::Int(_) => Val::Number(number),
        Number::Float(float) => Val::from(float.floor()),
    })
}

pub(super) fn ceil<'a>(_: &Evaluator<'a, '_>, arguments: Arguments<'a>) -> Result<Val<'a>> {
    one(arguments, |number| match number {
        Number::Int(_) => Val::Number(number),
        Number::Float(float) => Val::from(float.ceil()),
    })
}

pub(super) fn sqrt<'a>(_: &Evaluator<'a, '_>, mut arguments: Arguments<'a>) -> Result<Val<'a>> {
    match arguments.next() {
        Val::Number(number) if number.as_f64() < 0.0 => Err(Failure::new("D3060").value(&Val::Number(number)).index(1)),
        Val::Number(number) => Ok(Val::from(number.as_f64().sqrt())),
        _ => Ok(Val::Undefined),
    }
}

pub(super) fn power<'a>(_: &Evaluator<'a, '_>, mut arguments: Arguments<'a>) -> Result<Val<'a>> {
    let (base, exponent) = (arguments.next(), arguments.next());
    let (Val::Number(b), Val::Number(e)) = (&base, &exponent) else { return Ok(Val::Undefined) };
    let result = b.as_f64().powf(e.as_f64());
    if !result.is_finite() {
        return Err(Failure::new("D3061").value(&base).value2(&exponent).index(1));
    }
    Ok(Val::from(result))
}

/// To the nearest, halves to the even neighbour.
pub(super) fn round<'a>(_: &Evaluator<'a, '_>, mut arguments: Arguments<'a>) -> Result<Val<'a>> {
    let (number, precision) = (arguments.next(), arguments.next());
    Ok(match (number, precision) {
        (Val::Number(number @ Number::Int(_)), Val::Undefined) => Val::Number(number),
        (Val::Number(number), Val::Number(precision)) => {
            Val::from(round_to(number.as_f64(), precision.as_integer().unwrap_or(0)))
        }
        (Val::Number(number), _) => Val::from(round_to(number.as_f64(), 0)),
        _ => Val::Undefined,
    })
}

/// The decimal point is moved in the text, as multiplying would add an error of its own.
pub(super) fn round_to(number: f64, precision: i64) -> f64 {
    let precision = precision.clamp(-400, 400);
    let shift = |number: f64, places: i64| -> f64 {
        if places == 0 {
            return number;
        }
        let text = format!("{number:e}");
        let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let exponent = exponent.parse::<i64>().unwrap_or(0) + places;
        format!("{mantissa}e{exponent}").parse().unwrap_or(number)
    };
    let shifted = shift(number, precision);
    if !shifted.is_finite() {
        return number;
    }
    shift(shifted.round_ties_even(), -precision)
}

pub(super) fn number<'a>(_: &Evaluator<'a, '_>, mut arguments: Arguments<'a>) -> Result<Val<'a>> {
    let value = arguments.next();
    match &value {
        Val::Bool(value) => Ok(Val::from(usize::from(*value))),
        Val::Text(text) => match number::parse(text) {
            Some(number) => Ok(Val::Number(number)),
            None => Err(Failure::new("D3030").value(&value).index(1)),
        },
        _ => Ok(value),
    }
}

pub(super) fn format_base<'a>(evaluator: &Evaluator<'a, '_>, mut arguments: Arguments<'a>) -> Result<Val<'a>> {
    let Val::Number(number) = arguments.next() else { return Ok(Val::Undefined) };
    let radix = match arguments.next() {
        Val::Number(radix) => round_to(radix.as_f64(), 0),
        _ => 10.0,
    };
    if !(2.0..=36.0).contains(&radix) {
        return Err(Failure::new("D3100").value(&Val::from(radix)));
    }
    let whole = round_to(number.as_f64(), 0);
    if !whole.is_finite() {
        return evaluator.text(number::shortest(whole));
    }
    let (mut rest, radix) = (whole.abs(), radix as u32);
    let mut digits = Vec::new();
    loop {
        let digit = (rest % f64::from(radix)) as u32;
        digits.push(char::from_digit(digit, radix).unwrap_or('0'));
        rest = (rest / f64::from(radix)).floor();
        if rest < 1.0 {
            break;
        }
    }
    if whole < 0.0 {
        digits.push('-');
    }
    evaluator.text(digits.into_iter().rev().collect())
}

fn array<'a>(mut arguments: Arguments<'a>) -> Option<Array<'a>> {
    match arguments.next() {
        Val::Array(array) => Some(array),
        _ => None,
    }
}

fn numbers(array: &Array<'_>) -> impl Iterator<Item = f64> {
    array.iter().map(|value| match value {
        Val::Number(number) => number.as_f64(),
        _ => 0.0,
    })
}

pub(super) fn count<'a>(_: &Evaluator<'a, '_>, arguments: Arguments<'a>) -> Result<Val<'a>> {
    Ok(Val::from(array(arguments).map_or(0, |array| array.len())))
}

pub(super) fn sum<'a>(evaluator: &Evaluator<'a, '_>, arguments: Arguments<'a>) -> Result<Val<'a>> {
    let Some(array) = array(arguments) else { return Ok(Val::Undefined) };
    evaluator.meter.step(array.len() as u64 / 16)?;
    Ok(Val::from(numbers(&array).fold(0.0, |sum, number| sum + number)))
}

pub(super) fn average<'a>(evaluator: &Evaluator<'a, '_>, arguments: Arguments<'a>) -> Result<Val<'a>> {
    let Some(array) = array(arguments).filter(|array| !array.is_empty()) else { return Ok(Val::Undefined) };
    evaluator.meter.step(array.len() as u64 / 16)?;
    Ok(Val::from(numbers(&array).fold(0.0, |sum, number| sum + number) / array.len() as f64))
}

pub(super) fn max<'a>(evaluator: &Evaluator<'a, '_>, arguments: Arguments<'a>) -> Result<Val<'a>> {
    extreme(evaluator, arguments, |candidate, best| candidate > best)
}

pub(super) fn min<'a>(evaluator: &Evaluator<'a, '_>, arguments: Arguments<'a>) -> Result<Val<'a>> {
    extreme(evaluator, arguments, |candidate, best| candidate < best)
}

/// The number itself, so that an integer beyond a double's precision stays what it is.
fn extreme<'a>(
    evaluator: &Evaluator<'a, '_>,
    arguments: Arguments<'a>,
    better: impl Fn(Number, Number) -> bool,
) -> Result<Val<'a>> {
    let Some(array) = array(arguments) else { return Ok(Val::Undefined) };
    evaluator.meter.step(array.len() as u64 / 16)?;
    let mut best = None;
    for value in array.iter() {
        if let Val::Number(candidate) = value
            && best.is_none_or(|best| better(candidate, best))
        {
            best = Some(candidate);
        }
    }
    Ok(best.map_or(Val::Undefined, Val::Number))
}
