//! The Query protocol: form parameters in, XML out, by the shapes of the service's model.

use std::collections::BTreeSet;

use base::Timestamp;
use percent_encoding::percent_decode;
use serde_json::{Map, Number, Value};
use service::Fault;

use crate::model::{Member, Model, Operation, Shape, Type};
use crate::xml;

/// Parameters of one request.
const PARAMETERS_MAX: usize = 20_000;
/// Nesting of an input or output; no shape comes near.
const DEPTH_MAX: usize = 64;

/// The parameters of a request, by name.
#[derive(Debug, Default)]
pub(crate) struct Parameters {
    /// Sorted by name; of equal names the first one counts.
    sorted: Vec<(String, String)>,
}

impl Parameters {
    /// Reads a query string and a form body, which may each be empty.
    pub fn read(query: &[u8], body: &[u8]) -> Result<Parameters, Fault> {
        let mut sorted = Vec::new();
        for text in [query, body] {
            for pair in text.split(|b| *b == b'&').filter(|p| !p.is_empty()) {
                if sorted.len() == PARAMETERS_MAX {
                    return Err(malformed(format!("more than {PARAMETERS_MAX} parameters")));
                }
                let split = pair.iter().position(|b| *b == b'=').unwrap_or(pair.len());
                let value = pair.get(split + 1..).unwrap_or_default();
                sorted.push((decode_form(&pair[..split])?, decode_form(value)?));
            }
        }
        sorted.sort_by(|(a, _), (b, _)| a.cmp(b));
        Ok(Parameters { sorted })
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        let at = self.sorted.partition_point(|(n, _)| n.as_str() < name);
        self.sorted.get(at).filter(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// All values of one name, in the order they came.
    pub fn get_all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let at = self.sorted.partition_point(|(n, _)| n.as_str() < name);
        self.sorted[at..].iter().take_while(move |(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// Those whose names begin with `prefix`, which is cut off.
    fn below<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = &'a str> {
        let at = self.sorted.partition_point(|(n, _)| n.as_str() < prefix);
        self.sorted[at..].iter().map_while(move |(name, _)| name.strip_prefix(prefix))
    }

    /// Which `N` of `prefix.N` or `prefix.N.more` there are, in order.
    fn indices(&self, prefix: &str) -> BTreeSet<u32> {
        let prefix = format!("{prefix}.");
        self.below(&prefix).filter_map(|rest| rest.split('.').next().and_then(|n| n.parse().ok())).collect()
    }

    fn has(&self, name: &str) -> bool {
        self.get(name).is_some() || self.below(&format!("{name}.")).next().is_some()
    }
}

/// Decodes `%XX` and `+`.
pub(crate) fn decode_form(text: &[u8]) -> Result<String, Fault> {
    let plain: Vec<u8> = text.iter().map(|b| if *b == b'+' { b' ' } else { *b }).collect();
    decode_percent(&plain)
}

/// Decodes `%XX`; what does not decode to UTF-8 is refused.
pub(crate) fn decode_percent(text: &[u8]) -> Result<String, Fault> {
    let whole = |i: usize| text.get(i + 1..i + 3).is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit));
    if text.iter().enumerate().any(|(i, b)| *b == b'%' && !whole(i)) {
        return Err(malformed("invalid percent-encoding"));
    }
    String::from_utf8(percent_decode(text).collect()).map_err(|_| malformed("not UTF-8"))
}

fn malformed(what: impl std::fmt::Display) -> Fault {
    Fault::with_status(400, "MalformedQueryString", format!("The query string contains a syntax error: {what}"))
}

/// The operation's input as JSON.
pub(crate) fn decode(model: &Model, operation: &Operation, parameters: &Parameters) -> Result<Value, Fault> {
    let decoder = Decoder { model, parameters };
    match operation.input.shape() {
        Some(shape) => Ok(decoder.shape(shape, "", 0)?.unwrap_or_else(|| Value::Object(Map::new()))),
        None => Ok(Value::Object(Map::new())),
    }
}

struct Decoder<'a> {
    model: &'a Model,
    parameters: &'a Parameters,
}

fn join(prefix: &str, name: &str) -> String {
    if prefix.is_empty() { name.to_owned() } else { format!("{prefix}.{name}") }
}

impl Decoder<'_> {
    fn value(&self, kind: &Type, name: &str, depth: usize) -> Result<Option<Value>, Fault> {
        match kind {
            Type::Shape(shape) => self.shape(shape, name, depth + 1),
            kind => self.parameters.get(name).map(|text| scalar(kind, name, text)).transpose(),
        }
    }

    fn shape(&self, shape: &str, prefix: &str, depth: usize) -> Result<Option<Value>, Fault> {
        if depth > DEPTH_MAX {
            return Err(malformed("nested too deep"));
        }
        match self.model.shapes.get(shape) {
            Some(Shape::Structure { structure }) => {
                if !prefix.is_empty() && !self.parameters.has(prefix) {
                    return Ok(None);
                }
                let mut object = Map::new();
                for (name, member) in structure {
                    let wire = join(prefix, member.wire(name));
                    if let Some(value) = self.value(member.kind(), &wire, depth)? {
                        object.insert(name.clone(), value);
                    }
                }
                Ok(Some(Value::Object(object)))
            }
            Some(Shape::List { list, name, flat }) => {
                let elements = if *flat { prefix.to_owned() } else { join(prefix, name) };
                let mut array = Vec::new();
                for index in self.parameters.indices(&elements) {
                    array.extend(self.value(list, &format!("{elements}.{index}"), depth)?);
                }
                // An empty list is sent as the bare name.
                let there = !array.is_empty() || self.parameters.get(prefix).is_some();
                Ok(there.then_some(Value::Array(array)))
            }
            Some(Shape::Map { map, key, value, flat }) => {
                let entries = if *flat { prefix.to_owned() } else { join(prefix, "entry") };
                let mut object = Map::new();
                for index in self.parameters.indices(&entries) {
                    let Some(name) = self.parameters.get(&format!("{entries}.{index}.{key}")) else { continue };
                    if let Some(value) = self.value(map, &format!("{entries}.{index}.{value}"), depth)? {
                        object.insert(name.to_owned(), value);
                    }
                }
                let there = !object.is_empty() || self.parameters.get(prefix).is_some();
                Ok(there.then_some(Value::Object(object)))
            }
            None => Err(Fault::internal(format!("wire model of {} lacks the shape {shape}", self.model.id))),
        }
    }
}

/// A parameter, header or label as JSON.
pub(crate) fn scalar(kind: &Type, name: &str, text: &str) -> Result<Value, Fault> {
    let wrong = |expected: &str| {
        let text: String = text.chars().take(100).collect();
        Fault::client("SerializationException", format!("'{text}' at '{name}' is no {expected}"))
    };
    Ok(match kind {
        Type::String | Type::Blob | Type::Shape(_) => text.into(),
        Type::Integer => text.parse::<i64>().map_err(|_| wrong("integer"))?.into(),
        Type::Double => {
            let number = text.parse::<f64>().ok().and_then(Number::from_f64);
            Value::Number(number.ok_or_else(|| wrong("number"))?)
        }
        Type::Boolean => match text {
            "true" | "True" | "TRUE" => true.into(),
            "false" | "False" | "FALSE" => false.into(),
            _ => return Err(wrong("boolean")),
        },
        Type::Timestamp => match text.parse::<f64>() {
            Ok(seconds) if seconds.is_finite() => Number::from_f64(seconds).into(),
            _ => {
                let at = Timestamp::parse_rfc3339(text).map_err(|_| wrong("ISO 8601 timestamp"))?;
                Number::from_f64(at.as_seconds_f64()).into()
            }
        },
    })
}

/// The operation's output as XML.
pub(crate) fn encode(model: &Model, name: &str, operation: &Operation, output: &Value, request_id: &str) -> String {
    let namespace = model.query.as_ref().map_or("", |q| &q.namespace);
    let mut out = String::with_capacity(512);
    out.push_str(&format!("<{name}Response xmlns=\"{namespace}\">"));
    if let Some(shape) = operation.output.shape() {
        xml::open(&mut out, &operation.wrapper);
        Encoder { model, out: &mut out }.content(shape, output, 0);
        xml::close(&mut out, &operation.wrapper);
    }
    xml::open(&mut out, "ResponseMetadata");
    xml::element(&mut out, "RequestId", request_id);
    xml::close(&mut out, "ResponseMetadata");
    out.push_str(&format!("</{name}Response>"));
    out
}

struct Encoder<'a> {
    model: &'a Model,
    out: &'a mut String,
}

impl Encoder<'_> {
    fn element(&mut self, kind: &Type, name: &str, value: &Value, depth: usize) {
        if value.is_null() || depth > DEPTH_MAX {
            return;
        }
        if let Type::Shape(shape) = kind
            && self.is_flat(shape)
        {
            return self.flat(shape, name, value, depth);
        }
        xml::open(self.out, name);
        match kind {
            Type::Shape(shape) => self.content(shape, value, depth + 1),
            kind => self.scalar(kind, value),
        }
        xml::close(self.out, name);
    }

    fn is_flat(&self, shape: &str) -> bool {
        matches!(self.model.shapes.get(shape), Some(Shape::List { flat: true, .. } | Shape::Map { flat: true, .. }))
    }

    /// The content of an element of `shape`; members that the shape does not know are left out.
    fn content(&mut self, shape: &str, value: &Value, depth: usize) {
        let model = self.model;
        match (model.shapes.get(shape), value) {
            (Some(Shape::Structure { structure }), Value::Object(object)) => {
                for (name, member) in structure {
                    if let Some(value) = object.get(name) {
                        self.element(member.kind(), Member::wire(member, name), value, depth);
                    }
                }
            }
            (Some(Shape::List { list, name, .. }), Value::Array(array)) => {
                for value in array {
                    self.element(list, name, value, depth);
                }
            }
            (Some(Shape::Map { .. }), Value::Object(_)) => self.flat(shape, "entry", value, depth),
            _ => {}
        }
    }

    /// A list or map whose elements repeat `name`.
    fn flat(&mut self, shape: &str, name: &str, value: &Value, depth: usize) {
        let model = self.model;
        match (model.shapes.get(shape), value) {
            (Some(Shape::List { list, .. }), Value::Array(array)) => {
                for value in array {
                    self.element(list, name, value, depth + 1);
                }
            }
            (Some(Shape::Map { map, key, value: value_name, .. }), Value::Object(object)) => {
                for (entry, value) in object {
                    xml::open(self.out, name);
                    xml::element(self.out, key, entry);
                    self.element(map, value_name, value, depth + 1);
                    xml::close(self.out, name);
                }
            }
            _ => {}
        }
    }

    fn scalar(&mut self, kind: &Type, value: &Value) {
        match (kind, value) {
            (Type::Timestamp, Value::Number(seconds)) => {
                let millis = (seconds.as_f64().unwrap_or(0.0) * 1000.0).round();
                self.out.push_str(&Timestamp::from_millis(millis as i64).to_rfc3339());
            }
            (_, Value::String(text)) => xml::escape(self.out, text),
            (_, value) => xml::escape(self.out, &value.to_string()),
        }
    }
}
