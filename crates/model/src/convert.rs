//! Parameters to inputs, outputs to results.
//!
//! Inputs and outputs of our operations have the model's names, timestamps as seconds, blobs as base64, but streams as
//! text. Results have the caller's names in order, timestamps as text (`2024-01-02T03:04:05Z`) or milliseconds, bodies
//! as text.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Number, Value};

use crate::shape::{Payload, Shape, Structure, Type};
use crate::{Naming, Operation};

/// Deeper parameters cannot come: definitions and data are bounded at less.
const DEPTH_MAX: usize = 200;

impl Operation<'_> {
    /// The operation's input that `parameters` ask for. Nulls are dropped, a body that is no text becomes its JSON.
    pub fn input(&self, naming: Naming, parameters: Value) -> Value {
        match (self.input, parameters) {
            (Some(structure), Value::Object(members)) => {
                Value::Object(self.structure_in(naming, structure, members, DEPTH_MAX))
            }
            (_, other) => other,
        }
    }

    /// What a state gets of the operation's output.
    pub fn result(&self, naming: Naming, output: Value) -> Value {
        match (self.output, output) {
            (Some(structure), Value::Object(members)) => {
                Value::Object(self.structure_out(naming, structure, members, DEPTH_MAX))
            }
            (_, other) => other,
        }
    }

    fn structure_in(
        &self,
        naming: Naming,
        structure: &Structure,
        members: Map<String, Value>,
        depth: usize,
    ) -> Map<String, Value> {
        let mut input = Map::new();
        for (key, value) in members {
            match structure.member(naming, &key) {
                _ if value.is_null() => {}
                Some(member) if member.payload != Payload::No => {
                    input.insert(member.name.clone(), body_in(value, member.payload));
                }
                Some(member) => {
                    input.insert(member.name.clone(), self.value_in(naming, &member.kind, value, depth - 1));
                }
                None => {
                    input.insert(key, value);
                }
            }
        }
        input
    }

    fn value_in(&self, naming: Naming, kind: &Type, value: Value, depth: usize) -> Value {
        match (kind, value) {
            (_, value) if depth == 0 => value,
            (Type::Timestamp, Value::String(text)) => seconds(&text).map_or(Value::String(text), Value::Number),
            (Type::Boolean, Value::String(text)) => boolean(&text).unwrap_or(Value::String(text)),
            (Type::Boolean, Value::Number(number)) => {
                number.as_i64().map_or(Value::Number(number), |number| Value::Bool(number != 0))
            }
            (Type::Shape(shape), value) => match (self.shapes.get(shape), value) {
                (Some(Shape::Structure(structure)), Value::Object(members)) => {
                    Value::Object(self.structure_in(naming, structure, members, depth))
                }
                (Some(Shape::List { list }), Value::Array(items)) => {
                    items.into_iter().map(|item| self.value_in(naming, list, item, depth - 1)).collect()
                }
                (Some(Shape::Map { map }), Value::Object(entries)) => {
                    let entries = entries.into_iter().filter(|(_, value)| !value.is_null());
                    entries.map(|(key, value)| (key, self.value_in(naming, map, value, depth - 1))).collect()
                }
                (_, value) => value,
            },
            (_, value) => value,
        }
    }

    fn structure_out(
        &self,
        naming: Naming,
        structure: &Structure,
        members: Map<String, Value>,
        depth: usize,
    ) -> Map<String, Value> {
        let mut last = None;
        let mut result: Vec<(String, Value)> = Vec::with_capacity(members.len());
        for (key, value) in members {
            let Some(member) = structure.own(&key) else {
                result.push((key, value));
                continue;
            };
            let name = member.called(naming).to_owned();
            match member.payload {
                // A stream comes after all else.
                Payload::Stream => last = Some((name, value)),
                Payload::Whole => result.push((name, body_out(value))),
                Payload::No => result.push((name, self.value_out(naming, &member.kind, value, depth - 1))),
            }
        }
        result.sort_by(|(a, _), (b, _)| a.cmp(b));
        result.into_iter().chain(last).collect()
    }

    fn value_out(&self, naming: Naming, kind: &Type, value: Value, depth: usize) -> Value {
        match (kind, value) {
            (_, value) if depth == 0 => value,
            (Type::Timestamp, Value::Number(number)) => timestamp(naming, number),
            (Type::Shape(shape), value) => match (self.shapes.get(shape), value) {
                (Some(Shape::Structure(structure)), Value::Object(members)) => {
                    Value::Object(self.structure_out(naming, structure, members, depth))
                }
                (Some(Shape::List { list }), Value::Array(items)) => {
                    items.into_iter().map(|item| self.value_out(naming, list, item, depth - 1)).collect()
                }
                (Some(Shape::Map { map }), Value::Object(entries)) => entries
                    .into_iter()
                    .map(|(key, value)| (key, self.value_out(naming, map, value, depth - 1)))
                    .collect(),
                (_, value) => value,
            },
            (_, value) => value,
        }
    }
}

/// What Jackson takes for a boolean, which may be null; `None` if it takes it for none.
pub(crate) fn boolean(text: &str) -> Option<Value> {
    match text.trim() {
        "true" | "True" | "TRUE" => Some(Value::Bool(true)),
        "false" | "False" | "FALSE" => Some(Value::Bool(false)),
        "" | "null" => Some(Value::Null),
        _ => None,
    }
}

/// A stream is the value's JSON text, whatever it is; another body may be given as its text, and is base64.
fn body_in(value: Value, payload: Payload) -> Value {
    let text = match value {
        Value::String(text) if payload == Payload::Whole => text,
        value => value.to_string(),
    };
    Value::String(if payload == Payload::Whole { STANDARD.encode(text) } else { text })
}

/// A body as text.
fn body_out(value: Value) -> Value {
    match value {
        Value::String(body) => match STANDARD.decode(&body) {
            Ok(bytes) => Value::String(String::from_utf8_lossy(&bytes).into_owned()),
            Err(_) => Value::String(body),
        },
        other => other,
    }
}

/// Seconds since 1970 of a time as text; `None` if it is none.
fn seconds(text: &str) -> Option<Number> {
    let time: jiff::Timestamp = text.parse().ok()?;
    if time.subsec_nanosecond() == 0 {
        return Some(time.as_second().into());
    }
    Number::from_f64(time.as_millisecond() as f64 / 1000.0)
}

/// Seconds as the SDK of that naming writes a time: text, or milliseconds.
fn timestamp(naming: Naming, seconds: Number) -> Value {
    let Some(ms) = seconds.as_f64().map(|seconds| (seconds * 1000.0).round() as i64) else {
        return Value::Number(seconds);
    };
    match (naming, jiff::Timestamp::from_millisecond(ms)) {
        (Naming::Sdk, Ok(time)) if ms % 1000 == 0 => Value::String(time.strftime("%FT%TZ").to_string()),
        (Naming::Sdk, Ok(time)) => Value::String(time.strftime("%FT%T.%3fZ").to_string()),
        (Naming::Sdk, Err(_)) => Value::Number(seconds),
        (Naming::Capital, _) => ms.into(),
    }
}
