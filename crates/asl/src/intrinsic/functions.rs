//! What each function does with its arguments. The number of arguments was checked when the call was parsed.

use std::collections::HashSet;

use serde_json::{Number, Value};

use super::strings;
use super::{Failure, Function};
use crate::Env;
use crate::grammar::template_parts;
use crate::limits::Budget;
use crate::text::canonical_text;

/// AWS's limit of `States.ArrayRange`.
const RANGE_ITEMS_MAX: usize = 1000;

pub(super) fn apply(
    function: Function,
    values: Vec<Value>,
    env: &mut Env<'_>,
    budget: &mut Budget,
) -> Result<Value, Failure> {
    let arguments = Arguments { function, values };
    match function {
        Function::Format => strings::format(&template_parts(arguments.text(0)?), &arguments.values[1..], budget),
        Function::StringToJson => strings::string_to_json(arguments.text(0)?),
        Function::JsonToString => strings::json_to_string(&arguments.values[0], budget),
        Function::Array => Ok(Value::Array(arguments.values)),
        Function::ArrayPartition => array_partition(&arguments, budget),
        Function::ArrayContains => Ok(arguments.array(0)?.contains(&arguments.values[1]).into()),
        Function::ArrayRange => array_range(&arguments),
        Function::ArrayGetItem => array_get_item(arguments),
        Function::ArrayLength => Ok(arguments.array(0)?.len().into()),
        Function::ArrayUnique => array_unique(arguments),
        Function::Base64Encode => strings::base64_encode(arguments.text(0)?),
        Function::Base64Decode => strings::base64_decode(arguments.text(0)?),
        Function::Hash => strings::hash(arguments.text(0)?, arguments.text(1)?),
        Function::JsonMerge => json_merge(arguments),
        Function::MathRandom => math_random(&arguments, env),
        Function::MathAdd => math_add(&arguments),
        Function::StringSplit => strings::string_split(arguments.text(0)?, arguments.text(1)?, budget),
        Function::UUID => Ok(uuid(env).into()),
    }
}

/// The arguments of one call, read as what the function wants.
struct Arguments {
    function: Function,
    values: Vec<Value>,
}

impl Arguments {
    fn refuse<T>(&self, index: usize, wanted: &str) -> Result<T, Failure> {
        let name = self.function.name();
        Err(Failure::Refused(format!("argument {} of States.{name} must be {wanted}", index + 1)))
    }

    fn text(&self, index: usize) -> Result<&str, Failure> {
        self.values[index].as_str().map_or_else(|| self.refuse(index, "a string"), Ok)
    }

    fn array(&self, index: usize) -> Result<&Vec<Value>, Failure> {
        self.values[index].as_array().map_or_else(|| self.refuse(index, "an array"), Ok)
    }

    /// An integer; AWS rounds other numbers, halves up.
    fn rounded(&self, index: usize) -> Result<i64, Failure> {
        let Value::Number(number) = &self.values[index] else { return self.refuse(index, "a number") };
        match round(number) {
            Some(number) => Ok(number),
            None => self.refuse(index, "an integer"),
        }
    }
}

/// Java's `Math.round`, `None` beyond 64 bits.
fn round(number: &Number) -> Option<i64> {
    if let Some(number) = number.as_i64() {
        return Some(number);
    }
    let rounded = (number.as_f64()? + 0.5).floor();
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    (-LIMIT..LIMIT).contains(&rounded).then_some(rounded as i64)
}

fn array_partition(arguments: &Arguments, budget: &mut Budget) -> Result<Value, Failure> {
    let items = arguments.array(0)?;
    let Some(size) = usize::try_from(arguments.rounded(1)?).ok().filter(|size| *size > 0) else {
        return arguments.refuse(1, "a positive integer");
    };
    let mut chunks = Vec::with_capacity(items.len().div_ceil(size));
    for chunk in items.chunks(size) {
        budget.charge_bytes(8)?;
        let mut list = Vec::with_capacity(chunk.len());
        for item in chunk {
            list.push(budget.copy(item)?);
        }
        chunks.push(Value::Array(list));
    }
    Ok(Value::Array(chunks))
}

fn array_range(arguments: &Arguments) -> Result<Value, Failure> {
    let (first, last, step) = (arguments.rounded(0)?, arguments.rounded(1)?, arguments.rounded(2)?);
    if step == 0 {
        return arguments.refuse(2, "other than 0");
    }
    let mut items = Vec::new();
    let mut next = Some(first);
    while let Some(item) = next.filter(|item| if step > 0 { *item <= last } else { *item >= last }) {
        if items.len() == RANGE_ITEMS_MAX {
            return Err(Failure::Refused(format!("the array must not exceed {RANGE_ITEMS_MAX} elements")));
        }
        items.push(Value::from(item));
        next = item.checked_add(step);
    }
    Ok(Value::Array(items))
}

fn array_get_item(mut arguments: Arguments) -> Result<Value, Failure> {
    let len = arguments.array(0)?.len();
    let Some(index) = arguments.values[1].as_i64() else { return arguments.refuse(1, "an integer") };
    match usize::try_from(index).ok().filter(|index| *index < len) {
        Some(index) => Ok(arguments.values[0][index].take()),
        None => Err(Failure::Refused(format!("the index {index} is out of range of an array of {len} elements"))),
    }
}

fn array_unique(mut arguments: Arguments) -> Result<Value, Failure> {
    arguments.array(0)?;
    let Value::Array(items) = arguments.values.remove(0) else { unreachable!("an array, as checked") };
    let mut seen = HashSet::new();
    Ok(Value::Array(items.into_iter().filter(|item| seen.insert(canonical_text(item))).collect()))
}

fn json_merge(mut arguments: Arguments) -> Result<Value, Failure> {
    for index in 0..2 {
        if !arguments.values[index].is_object() {
            return arguments.refuse(index, "an object");
        }
    }
    match arguments.values[2] {
        Value::Bool(false) => {}
        Value::Bool(true) => return arguments.refuse(2, "false: deep merging is not supported"),
        _ => return arguments.refuse(2, "a boolean"),
    }
    let (Value::Object(mut merged), Value::Object(over)) = (arguments.values.remove(0), arguments.values.remove(0))
    else {
        unreachable!("objects, as checked")
    };
    merged.extend(over);
    Ok(Value::Object(merged))
}

/// Uniform from the first argument (included) to the second (excluded); the same for the same seed.
fn math_random(arguments: &Arguments, env: &mut Env<'_>) -> Result<Value, Failure> {
    let (start, end) = (arguments.rounded(0)?, arguments.rounded(1)?);
    if start >= end {
        return Err(Failure::Refused(format!("the start {start} must be smaller than the end {end}")));
    }
    let random = match arguments.values.len() {
        2 => (env.random)(),
        _ => mix(arguments.rounded(2)? as u64),
    };
    let span = (i128::from(end) - i128::from(start)) as u128;
    let offset = (u128::from(random) * span) >> 64;
    Ok(Value::from((i128::from(start) + offset as i128) as i64))
}

/// SplitMix64's finaliser.
fn mix(seed: u64) -> u64 {
    let n = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}

/// AWS takes integers of 32 bits, and gives their sum as one.
fn math_add(arguments: &Arguments) -> Result<Value, Failure> {
    let mut sum = 0i64;
    for index in 0..2 {
        let Ok(number) = i32::try_from(arguments.rounded(index)?) else {
            return arguments.refuse(index, "between -2147483648 and 2147483647");
        };
        sum += i64::from(number);
    }
    match i32::try_from(sum) {
        Ok(sum) => Ok(sum.into()),
        Err(_) => Err(Failure::Refused(format!("the sum {sum} is not between -2147483648 and 2147483647"))),
    }
}

fn uuid(env: &mut Env<'_>) -> String {
    let (a, b) = ((env.random)(), (env.random)());
    format!(
        "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
        a >> 32,
        (a >> 16) & 0xffff,
        a & 0xfff,
        0x8000 | (b >> 48) & 0x3fff,
        b & 0xffff_ffff_ffff
    )
}
