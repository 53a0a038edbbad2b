//! Bodies and queries as pairs of names and values.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value};

const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// How an array's items are named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ArrayFormat {
    /// `a[0]=x&a[1]=y`
    Indices,
    /// `a=x&a=y`
    Repeat,
    /// `a=x,y`
    Commas,
    /// `a[]=x&a[]=y`
    Brackets,
}

impl ArrayFormat {
    pub fn of_name(name: &str) -> Option<ArrayFormat> {
        match name {
            "INDICES" => Some(ArrayFormat::Indices),
            "REPEAT" => Some(ArrayFormat::Repeat),
            "COMMAS" => Some(ArrayFormat::Commas),
            "BRACKETS" => Some(ArrayFormat::Brackets),
            _ => None,
        }
    }
}

/// `name=value`, encoded.
pub(super) fn pair(name: &str, value: &str) -> String {
    format!("{}={}", utf8_percent_encode(name, UNRESERVED), utf8_percent_encode(value, UNRESERVED))
}

/// A value that is one text.
pub(super) fn scalar(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// A body as a form.
pub(super) fn encode(body: &Map<String, Value>, format: ArrayFormat) -> String {
    let mut pairs = Vec::new();
    for (name, value) in body {
        add(&mut pairs, name.clone(), value, format);
    }
    pairs.join("&")
}

/// Values nest no deeper than JSON that was read.
fn add(pairs: &mut Vec<String>, name: String, value: &Value, format: ArrayFormat) {
    match value {
        Value::Object(members) => {
            for (member, value) in members {
                add(pairs, format!("{name}[{member}]"), value, format);
            }
        }
        Value::Array(items) if format == ArrayFormat::Commas => {
            let joined: Vec<String> = items.iter().map(scalar).collect();
            pairs.push(pair(&name, &joined.join(",")));
        }
        Value::Array(items) => {
            for (i, item) in items.iter().enumerate() {
                let name = match format {
                    ArrayFormat::Indices => format!("{name}[{i}]"),
                    ArrayFormat::Brackets => format!("{name}[]"),
                    ArrayFormat::Repeat | ArrayFormat::Commas => name.clone(),
                };
                add(pairs, name, item, format);
            }
        }
        scalar_value => pairs.push(pair(&name, &scalar(scalar_value))),
    }
}
