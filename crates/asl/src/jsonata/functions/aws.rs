//! What AWS adds: the intrinsic functions of JSONPath that JSONata lacks.

use std::rc::Rc;

use md5::Digest;
use serde_json::Value;

use super::super::error::{Code, Failure, Result};
use super::super::evaluate::Evaluator;
use super::super::function::Arguments;
use super::super::meter::Meter;
use super::super::number::Number;
use super::super::value::{Flags, List, Made, Text, Val};

/// `$parse(text)`: JSON to a value, as `$eval` is not there.
pub(super) fn parse<'a>(evaluator: &Evaluator<'a, '_>, mut arguments: Arguments<'a>) -> Result<Val<'a>> {
    let Val::Text(text) = arguments.next() else { return Ok(Val::Undefined) };
    evaluator.meter.step_bytes(text.len() * 4)?;
    match crate::json::parse(&text) {
        Ok((json, duplicates)) if duplicates.is_empty() => made(&evaluator.meter, json.to_value()),
        _ => Err(Failure::message("D3137", "Invalid JSON")),
    }
}

fn made<'a>(meter: &Rc<Meter<'a>>, json: Value) -> Result<Val<'a>> {
    meter.step(1)?;
    Ok(match json {
        Value::Null => Val::Null,
        Value::Bool(value) => Val::Bool(value),
        Value::Number(number) => Val::Number(Number::from_json(&number)),
        Value::String(text) => Val::Text(Text::made(meter, text)?),
        Value::Array(items) => {
            let mut list = List::new(meter);
            items.into_iter().try_for_each(|item| list.push(made(meter, item)?))?;
            list.into_value(Flags::default())
        }
        Value::Object(members) => {
            let object = Made::new(meter);
            for (key, member) in members {
                object.insert(Text::made(meter, key)?, made(meter, member)?)?;
            }
            object.into_value()
        }
    })
}

/// `$partition(array, size)`: the array in pieces.
pub(super) fn partition<'a>(evaluator: &Evaluator<'a, '_>, mut arguments: Arguments<'a>) -> Result<Val<'a>> {
    let (value, size) = (arguments.next(), arguments.next());
    let array = match value {
        Val::Undefined => return Ok(Val::Undefined),
        Val::Array(array) => array,
        other => {
            let failure =
                Failure::message("T0412", "Argument 1 of function \"partition\" must be an array of undefined");
            return Err(failure.value(&other));
        }
    };
    let size = match size {
        Val::Number(size) => size.as_f64().trunc(),
        _ => array.len() as f64,
    };
    if size < 0.0 {
        return Err(Failure::message("D3137", "Second argument must be zero or greater"));
    }
    if size < 1.0 || array.is_empty() {
        return Ok(Val::Undefined);
    }
    let mut pieces = List::new(&evaluator.meter);
    let size = (size as usize).min(array.len());
    evaluator.meter.step(array.len() as u64 / 8)?;
    for start in (0..array.len()).step_by(size) {
        let piece = (start..array.len().min(start + size)).map(|index| array.get(index));
        pieces.push(List::of(&evaluator.meter, piece)?.into_value(Flags::default()))?;
    }
    Ok(pieces.into_value(Flags::default()))
}

/// `$range(start, end, step)`: numbers from start to end, which is included if a step lands on it.
pub(super) fn range<'a>(evaluator: &Evaluator<'a, '_>, mut arguments: Arguments<'a>) -> Result<Val<'a>> {
    let mut whole = |index: usize| match arguments.next() {
        Val::Number(number) => Ok(Some(number.as_f64().trunc() as i64)),
        Val::Undefined if index == 3 => Ok(None),
        _ => Err(Failure::new("T0410").index(index)),
    };
    let (Some(start), Some(end), Some(step)) = (whole(1)?, whole(2)?, whole(3)?) else { return Ok(Val::Undefined) };
    if step == 0 || step > 0 && start > end || step < 0 && start < end {
        return Ok(Val::Undefined);
    }
    let length = (i128::from(end) - i128::from(start)) / i128::from(step) + 1;
    if length > evaluator.meter.limits().range_length_max as i128 {
        return Err(Failure::bound(Code::Memory));
    }
    evaluator.meter.step(length as u64 / 8)?;
    let numbers =
        (0..length).map(|index| Val::Number(Number::Int((i128::from(start) + index * i128::from(step)) as i64)));
    evaluator.sequence(numbers)
}

/// `$hash(text, algorithm)`: the digest as hexadecimal digits.
pub(super) fn hash<'a>(evaluator: &Evaluator<'a, '_>, mut arguments: Arguments<'a>) -> Result<Val<'a>> {
    let Val::Text(content) = arguments.next() else { return Err(Failure::new("T0410").index(1)) };
    let Val::Text(algorithm) = arguments.next() else { return Ok(Val::Undefined) };
    evaluator.meter.step_bytes(content.len() * 4)?;
    let content = content.as_bytes();
    let digest = match &*algorithm {
        "MD5" => md5::Md5::digest(content).to_vec(),
        "SHA-1" => sha1::Sha1::digest(content).to_vec(),
        "SHA-256" => sha2::Sha256::digest(content).to_vec(),
        "SHA-384" => sha2::Sha384::digest(content).to_vec(),
        "SHA-512" => sha2::Sha512::digest(content).to_vec(),
        other => {
            let known = "SHA-1, SHA-384, SHA-256, SHA-512, MD5";
            return Err(Failure::message("D3137", format!("Hash algorithm '{other}' must be one of {known}")));
        }
    };
    evaluator.text(hex::encode(digest))
}

/// `$random([seed])`: in `[0, 1)`. With a seed it is the first number that Java's generator gives for it, as on AWS.
pub(super) fn random<'a>(evaluator: &Evaluator<'a, '_>, mut arguments: Arguments<'a>) -> Result<Val<'a>> {
    const SCALE: f64 = 1.0 / (1u64 << 53) as f64;
    let Val::Number(seed) = arguments.next() else {
        let random = (evaluator.environment.random.borrow_mut())();
        return Ok(Val::from((random >> 11) as f64 * SCALE));
    };
    const MULTIPLIER: u64 = 0x5_deec_e66d;
    const MASK: u64 = (1 << 48) - 1;
    let mut state = (seed.as_f64().trunc() as i64 as u64 ^ MULTIPLIER) & MASK;
    if let Number::Int(seed) = seed {
        state = (seed as u64 ^ MULTIPLIER) & MASK;
    }
    let mut next = |bits: u32| {
        state = state.wrapping_mul(MULTIPLIER).wrapping_add(0xb) & MASK;
        state >> (48 - bits)
    };
    let bits = (next(26) << 27) + next(27);
    Ok(Val::from(bits as f64 * SCALE))
}

/// `$uuid()`: of version 4.
pub(super) fn uuid<'a>(evaluator: &Evaluator<'a, '_>, _: Arguments<'a>) -> Result<Val<'a>> {
    let (a, b) = {
        let mut random = evaluator.environment.random.borrow_mut();
        (random(), random())
    };
    evaluator.text(format!(
        "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
        a >> 32,
        (a >> 16) & 0xffff,
        a & 0xfff,
        0x8000 | (b >> 48) & 0x3fff,
        b & 0xffff_ffff_ffff
    ))
}
