//! Values to JSON, to text, and copies of them.

use std::rc::Rc;

use serde_json::{Map, Value};

use super::error::{Code, Failure, Result};
use super::meter::{ELEMENT_BYTES, Meter};
use super::number::{self, Number};
use super::value::{Array, Flags, Items, List, Made, NESTING_MAX, Object, Text, TextBuilder, Val};

/// How deep a value may nest that is printed or copied: made ones bounded by [`NESTING_MAX`], with data in them.
const DEPTH_MAX: u32 = 2 * NESTING_MAX;

/// What an expression answers. Functions are left out as in JSON; numbers that JSON has not are texts, as AWS has it.
pub(super) fn output(meter: &Meter<'_>, value: &Val<'_>) -> Result<Option<Value>> {
    match value {
        Val::Undefined | Val::Function(_) => Ok(None),
        value => json(meter, value, 0).map(Some),
    }
}

fn json(meter: &Meter<'_>, value: &Val<'_>, depth: u32) -> Result<Value> {
    meter.step(1)?;
    // Shared parts are copied each time they are met, and the copies are held together.
    meter.hold(ELEMENT_BYTES)?;
    if depth > DEPTH_MAX {
        return Err(Failure::bound(Code::Depth));
    }
    Ok(match value {
        Val::Undefined | Val::Null | Val::Function(_) => Value::Null,
        Val::Bool(value) => Value::Bool(*value),
        Val::Number(number) => number_json(*number),
        Val::Text(text) => {
            meter.hold(text.len())?;
            meter.step_bytes(text.len())?;
            Value::String((**text).to_owned())
        }
        Val::Array(array) => array_json(meter, array, depth)?,
        Val::Object(object) => object_json(meter, object, depth)?,
        Val::Tuple(tuple) => json(meter, &tuple.context, depth + 1)?,
    })
}

fn array_json(meter: &Meter<'_>, array: &Array<'_>, depth: u32) -> Result<Value> {
    if let Items::Json(items) = array.items {
        let mut survey = Survey::default();
        items.iter().try_for_each(|item| survey.add(item, depth + 1))?;
        if survey.pay(meter)? {
            return Ok(Value::Array(items.to_vec()));
        }
    }
    let mut items = Vec::with_capacity(array.len().min(4096));
    for item in array.iter() {
        items.push(json(meter, &item, depth + 1)?);
    }
    Ok(Value::Array(items))
}

fn object_json(meter: &Meter<'_>, object: &Object<'_>, depth: u32) -> Result<Value> {
    if let Object::Json(members) = object {
        let mut survey = Survey::default();
        members.values().try_for_each(|member| survey.add(member, depth + 1))?;
        if survey.pay(meter)? {
            return Ok(Value::Object((*members).clone()));
        }
    }
    let mut members = Map::with_capacity(object.len());
    for (key, value) in object.members() {
        if matches!(value, Val::Undefined | Val::Function(_)) {
            continue;
        }
        meter.hold(key.len())?;
        members.insert((*key).to_owned(), json(meter, &value, depth + 1)?);
    }
    Ok(Value::Object(members))
}

/// What copying data from outside costs, and whether it can be copied as it is.
#[derive(Default)]
struct Survey {
    values: usize,
    bytes: usize,
    /// There is a `1.0`, which comes out as `1`.
    changes: bool,
}

impl Survey {
    fn add(&mut self, value: &Value, depth: u32) -> Result<()> {
        if depth > DEPTH_MAX {
            return Err(Failure::bound(Code::Depth));
        }
        self.values += 1;
        match value {
            Value::Null | Value::Bool(_) => Ok(()),
            Value::Number(number) => {
                self.changes |= number.is_f64() && number.as_f64().is_some_and(|float| float.fract() == 0.0);
                Ok(())
            }
            Value::String(text) => {
                self.bytes += text.len();
                Ok(())
            }
            Value::Array(items) => items.iter().try_for_each(|item| self.add(item, depth + 1)),
            Value::Object(members) => members.iter().try_for_each(|(key, member)| {
                self.bytes += key.len();
                self.add(member, depth + 1)
            }),
        }
    }

    fn pay(&self, meter: &Meter<'_>) -> Result<bool> {
        if self.changes {
            return Ok(false);
        }
        meter.hold(self.values * ELEMENT_BYTES + self.bytes)?;
        meter.step(self.values as u64 / 4)?;
        Ok(true)
    }
}

fn number_json(number: Number) -> Value {
    match (number.as_integer(), number) {
        (Some(int), _) => Value::from(int),
        (None, number) => match serde_json::Number::from_f64(number.as_f64()) {
            Some(number) => Value::Number(number),
            None => Value::from(number::shortest(number.as_f64())),
        },
    }
}

/// What `$string` makes of a value that is there.
pub(super) fn to_text<'a>(meter: &Rc<Meter<'a>>, value: &Val<'a>) -> Result<Text<'a>> {
    if let Val::Text(text) = value {
        return Ok(text.clone());
    }
    let mut text = TextBuilder::new(meter);
    write_text(&mut text, value, false)?;
    match text.finish() {
        Val::Text(text) => Ok(text),
        _ => Ok(Text::Borrowed("")),
    }
}

/// Writes a value as `$string` does: a text as it is, a function as nothing, all else as JSON.
pub(super) fn write_text<'a>(text: &mut TextBuilder<'a>, value: &Val<'a>, pretty: bool) -> Result<()> {
    match value {
        Val::Text(value) => text.push(value),
        Val::Function(_) => Ok(()),
        Val::Number(number) if !number.is_finite() => Err(Failure::new("D3001").value(value)),
        Val::Array(array) if array.flags.outer => write_text(text, &array.get(0), pretty),
        value => write_json(text, value, pretty, 0),
    }
}

fn write_json<'a>(text: &mut TextBuilder<'a>, value: &Val<'a>, pretty: bool, depth: u32) -> Result<()> {
    if depth > DEPTH_MAX {
        return Err(Failure::bound(Code::Depth));
    }
    match value {
        Val::Undefined | Val::Null => text.push("null"),
        Val::Bool(value) => text.push(if *value { "true" } else { "false" }),
        Val::Number(number) => {
            value.as_numeric()?;
            text.push(if number.as_f64().is_nan() { "null".into() } else { number.to_text() }.as_str())
        }
        Val::Text(value) => write_quoted(text, value),
        Val::Function(_) => text.push("\"\""),
        Val::Tuple(tuple) => write_json(text, &tuple.context, pretty, depth + 1),
        Val::Array(array) if array.is_empty() => text.push("[]"),
        Val::Array(array) => {
            text.push("[")?;
            for (index, item) in array.iter().enumerate() {
                separate(text, index, pretty, depth)?;
                write_json(text, &item, pretty, depth + 1)?;
            }
            close(text, "]", pretty, depth)
        }
        Val::Object(object) if object.len() == 0 => text.push("{}"),
        Val::Object(object) => {
            text.push("{")?;
            for (index, (key, member)) in object.members().iter().enumerate() {
                separate(text, index, pretty, depth)?;
                write_quoted(text, key)?;
                text.push(if pretty { ": " } else { ":" })?;
                write_json(text, member, pretty, depth + 1)?;
            }
            close(text, "}", pretty, depth)
        }
    }
}

fn separate(text: &mut TextBuilder<'_>, index: usize, pretty: bool, depth: u32) -> Result<()> {
    if index > 0 {
        text.push(",")?;
    }
    if pretty { indent(text, depth + 1) } else { Ok(()) }
}

fn close(text: &mut TextBuilder<'_>, bracket: &str, pretty: bool, depth: u32) -> Result<()> {
    if pretty {
        indent(text, depth)?;
    }
    text.push(bracket)
}

fn indent(text: &mut TextBuilder<'_>, depth: u32) -> Result<()> {
    text.push("\n")?;
    (0..depth).try_for_each(|_| text.push("  "))
}

fn write_quoted(text: &mut TextBuilder<'_>, value: &str) -> Result<()> {
    text.push("\"")?;
    let mut plain = 0;
    for (at, byte) in value.bytes().enumerate() {
        let escape = match byte {
            b'"' => "\\\"",
            b'\\' => "\\\\",
            b'\n' => "\\n",
            b'\r' => "\\r",
            b'\t' => "\\t",
            0x8 => "\\b",
            0xc => "\\f",
            0..0x20 => "",
            _ => continue,
        };
        text.push(&value[plain..at])?;
        if escape.is_empty() {
            text.push(&format!("\\u{byte:04x}"))?
        } else {
            text.push(escape)?
        }
        plain = at + 1;
    }
    text.push(&value[plain..])?;
    text.push("\"")
}

/// A value as an error message quotes it: cut off where it gets long.
pub(super) fn quoted(value: &Val<'_>, bytes_max: usize) -> String {
    let mut text = String::new();
    quote(&mut text, value, bytes_max, 0);
    text
}

fn quote(text: &mut String, value: &Val<'_>, bytes_max: usize, depth: u32) {
    if text.len() >= bytes_max || depth > DEPTH_MAX {
        return;
    }
    match value {
        Val::Undefined | Val::Null | Val::Function(_) => text.push_str("null"),
        Val::Bool(value) => text.push_str(if *value { "true" } else { "false" }),
        Val::Number(number) => text.push_str(&number_json(*number).to_string()),
        Val::Text(value) => {
            let end = (0..=value.len().min(bytes_max)).rev().find(|end| value.is_char_boundary(*end));
            text.push_str(&Value::from(&value[..end.unwrap_or(0)]).to_string());
        }
        Val::Tuple(tuple) => quote(text, &tuple.context, bytes_max, depth + 1),
        Val::Array(array) => {
            text.push('[');
            for (index, item) in array.iter().enumerate().take_while(|(index, _)| *index < bytes_max) {
                if index > 0 {
                    text.push(',');
                }
                if text.len() >= bytes_max {
                    return;
                }
                quote(text, &item, bytes_max, depth + 1);
            }
            text.push(']');
        }
        Val::Object(object) => {
            text.push('{');
            let members = object.members().into_iter().filter(|(_, value)| !value.is_function());
            for (index, (key, member)) in members.enumerate() {
                if index > 0 {
                    text.push(',');
                }
                if text.len() >= bytes_max {
                    return;
                }
                text.push_str(&Value::from(&*key).to_string());
                text.push(':');
                quote(text, &member, bytes_max, depth + 1);
            }
            text.push('}');
        }
    }
}

/// A copy down to the last member, its objects marked with `generation`. Functions become empty texts, as `$clone`
/// goes by way of JSON.
pub(super) fn copy<'a>(meter: &Rc<Meter<'a>>, value: &Val<'a>, generation: u64) -> Result<Val<'a>> {
    copy_within(meter, value, generation, 0)
}

fn copy_within<'a>(meter: &Rc<Meter<'a>>, value: &Val<'a>, generation: u64, depth: u32) -> Result<Val<'a>> {
    meter.step(1)?;
    if depth > DEPTH_MAX {
        return Err(Failure::bound(Code::Depth));
    }
    match value {
        Val::Array(array) if array.flags.outer => copy_within(meter, &array.get(0), generation, depth),
        Val::Array(array) => {
            let mut list = List::new(meter);
            for item in array.iter() {
                let item = copy_within(meter, &item, generation, depth + 1)?;
                list.push(if item.is_undefined() { Val::Null } else { item })?;
            }
            Ok(list.into_value(Flags::default()))
        }
        Val::Object(object) => {
            let made = Made::of_generation(meter, generation);
            for (key, member) in object.members() {
                made.insert(key, copy_within(meter, &member, generation, depth + 1)?)?;
            }
            Ok(made.into_value())
        }
        Val::Tuple(tuple) => copy_within(meter, &tuple.context, generation, depth + 1),
        Val::Function(_) => Ok(Val::Text(Text::Borrowed(""))),
        value => Ok(value.clone()),
    }
}

/// Whether a value that was changed in place still is as shallow as all must be.
pub(super) fn check_nesting(value: &Val<'_>) -> Result<()> {
    nests(value, 0)
}

fn nests(value: &Val<'_>, depth: u32) -> Result<()> {
    if depth >= NESTING_MAX {
        return Err(Failure::bound(Code::Depth));
    }
    match value {
        Val::Array(array) => array.iter().try_for_each(|item| nests(&item, depth + 1)),
        Val::Object(Object::Made(made)) => made.members().values().try_for_each(|member| nests(member, depth + 1)),
        _ => Ok(()),
    }
}
