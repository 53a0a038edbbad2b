//! What is wrong with parameters, in the words of AWS.
//!
//! Missing fields come first and alone; else the first value that does not fit its member is reported. Values that are
//! null fit everywhere: they count as absent when the call is made.

use serde_json::Value;

use crate::shape::{Member, Payload, Shape, Structure, Type};
use crate::{Naming, Operation};

/// What of the parameters is known only when the state runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Template {
    /// Nothing: these are the values.
    No,
    /// Members whose key ends with `.$`.
    JsonPath,
    /// Strings that are `{% expressions %}`.
    Jsonata,
}

impl Operation<'_> {
    /// What is wrong with `parameters`; empty when they fit. `free` are members, at any depth, that may be
    /// any JSON.
    pub fn check(&self, naming: Naming, parameters: &Value, template: Template, free: &[&str]) -> Vec<String> {
        let Value::Object(given) = parameters else { return Vec::new() };
        let Some(input) = self.input else { return Vec::new() };
        let is_given = |name: &str| given.contains_key(name) || given.contains_key(&format!("{name}.$"));
        // A stream counts as required, and comes last.
        let required = input.members.iter().filter(|member| member.required && member.payload != Payload::Stream);
        let streams = input.members.iter().filter(|member| member.payload == Payload::Stream);
        let missing: Vec<String> = required
            .chain(streams)
            .filter(|member| !is_given(member.called(naming)) && !is_given(&member.name))
            .map(|member| format!("The field '{}' is required but was missing", member.called(naming)))
            .collect();
        if !missing.is_empty() {
            return missing;
        }
        let mut checker = Checker { operation: self, naming, template, free, found: Vec::new() };
        for (key, value) in given {
            if template.is_dynamic(key, value) {
                continue;
            }
            match input.member(naming, key) {
                None => checker.found.push(unknown(key, suggestion(naming, key, input))),
                Some(member) => checker.member(key, member, value),
            }
        }
        checker.found.truncate(1);
        checker.found
    }

    /// Required members that are absent or null, as the service would name them: `stateMachineArn`.
    pub fn absent(&self, input: &Value) -> Vec<&str> {
        let Some(structure) = self.input else { return Vec::new() };
        let absent = |member: &&Member| member.required && input.get(&member.name).is_none_or(Value::is_null);
        structure.members.iter().filter(absent).map(|member| member.name.as_str()).collect()
    }
}

impl Template {
    fn is_dynamic(self, key: &str, value: &Value) -> bool {
        match self {
            Template::No => false,
            Template::JsonPath => key.ends_with(".$"),
            Template::Jsonata => self.is_expression(value),
        }
    }

    fn is_expression(self, value: &Value) -> bool {
        self == Template::Jsonata && value.as_str().is_some_and(|text| text.trim_start().starts_with("{%"))
    }
}

struct Checker<'o, 's> {
    operation: &'o Operation<'s>,
    naming: Naming,
    template: Template,
    free: &'o [&'o str],
    found: Vec<String>,
}

impl Checker<'_, '_> {
    fn member(&mut self, key: &str, member: &Member, value: &Value) {
        if member.payload == Payload::No && !self.free.contains(&member.name.as_str()) {
            self.value(key, &member.kind, value);
        }
    }

    fn value(&mut self, name: &str, kind: &Type, value: &Value) {
        if value.is_null() || self.template.is_expression(value) {
            return;
        }
        let wanted = match kind {
            Type::Document | Type::Timestamp => None,
            Type::String | Type::Blob => (!value.is_string()).then_some("a STRING"),
            Type::Integer | Type::Long => (!value.is_i64() && !value.is_u64()).then_some("an INTEGER"),
            Type::Double => (!value.is_number()).then_some("a DOUBLE"),
            Type::Boolean => return self.boolean(value),
            Type::Shape(shape) => return self.shape(name, shape, value),
        };
        if let Some(wanted) = wanted {
            self.found.push(format!("The value for the field '{name}' must be {wanted}"));
        }
    }

    fn boolean(&mut self, value: &Value) {
        const TYPE: &str = "Cannot deserialize value of type `java.lang.Boolean`";
        let token = match value {
            Value::Bool(_) => return,
            Value::Number(number) if !number.is_f64() => return,
            Value::String(text) if crate::convert::boolean(text).is_some() => return,
            Value::String(text) => {
                self.found.push(format!("{TYPE} from String \"{text}\": only \"true\" or \"false\" recognized"));
                return;
            }
            Value::Number(_) => "Floating-point value (token `JsonToken.VALUE_NUMBER_FLOAT`)",
            Value::Array(_) => "Array value (token `JsonToken.START_ARRAY`)",
            _ => "Object value (token `JsonToken.START_OBJECT`)",
        };
        self.found.push(format!("{TYPE} from {token}"));
    }

    fn shape(&mut self, name: &str, shape: &str, value: &Value) {
        match (self.operation.shapes.get(shape), value) {
            (Some(Shape::Structure(structure)), Value::Object(given)) => {
                for (key, value) in given {
                    if self.template.is_dynamic(key, value) {
                        continue;
                    }
                    match structure.member(self.naming, key) {
                        None => self.found.push(unknown(key, None)),
                        Some(member) => self.member(key, member, value),
                    }
                }
            }
            (Some(Shape::Structure(_)), Value::String(text)) => self.found.push(format!(
                "Cannot construct instance of `{}` (although at least one Creator exists): no String-argument constructor/factory method to deserialize from String value ('{text}')",
                self.operation.shapes.class(self.naming, shape)
            )),
            (Some(Shape::List { list }), Value::Array(items)) => {
                items.iter().for_each(|item| self.value(name, list, item));
            }
            (Some(Shape::Map { map }), Value::Object(entries)) => {
                for (key, value) in entries {
                    if !self.template.is_dynamic(key, value) {
                        self.value(key, map, value);
                    }
                }
            }
            (None, _) => {}
            (Some(Shape::List { .. }), _) => {
                self.found.push(format!("The value for the field '{name}' must be an ARRAY"));
            }
            (Some(_), _) => self.found.push(format!("The value for the field '{name}' must be an OBJECT")),
        }
    }
}

fn unknown(name: &str, meant: Option<&str>) -> String {
    let mut message = format!("The field \"{name}\" is not supported by Step Functions");
    if let Some(meant) = meant {
        message += &format!(". Did you mean '{meant}'?");
    }
    message
}

/// The member that is most like what was written, if it is like it at all.
fn suggestion<'m>(naming: Naming, written: &str, structure: &'m Structure) -> Option<&'m str> {
    const LIKE_MIN: f64 = 0.5;
    let mut best: Option<(f64, &str)> = None;
    // A stream is not among the fields that AWS compares.
    for member in structure.members.iter().filter(|member| member.payload == Payload::No) {
        let likeness = likeness(written, member.called(naming));
        if likeness > LIKE_MIN && best.is_none_or(|(most, _)| likeness > most) {
            best = Some((likeness, member.called(naming)));
        }
    }
    best.map(|(_, name)| name)
}

/// Jaro and Winkler's measure, from 0 to 1.
fn likeness(a: &str, b: &str) -> f64 {
    const CHARS_MAX: usize = 100;
    let a: Vec<char> = a.chars().take(CHARS_MAX).collect();
    let b: Vec<char> = b.chars().take(CHARS_MAX).collect();
    let reach = (a.len().max(b.len()) / 2).saturating_sub(1);
    let mut taken = vec![false; b.len()];
    let mut matched = Vec::new();
    for (i, c) in a.iter().enumerate() {
        let window = i.saturating_sub(reach)..(i + reach + 1).min(b.len());
        if let Some(j) = window.into_iter().find(|j| !taken[*j] && b[*j] == *c) {
            taken[j] = true;
            matched.push(*c);
        }
    }
    if matched.is_empty() {
        return 0.0;
    }
    let in_b = taken.iter().zip(&b).filter(|(taken, _)| **taken).map(|(_, c)| *c);
    let swapped = matched.iter().zip(in_b).filter(|(x, y)| **x != *y).count() as f64 / 2.0;
    let found = matched.len() as f64;
    let jaro = (found / a.len() as f64 + found / b.len() as f64 + (found - swapped) / found) / 3.0;
    let prefix = a.iter().zip(&b).take(4).take_while(|(x, y)| x == y).count() as f64;
    jaro + prefix * 0.1 * (1.0 - jaro)
}
