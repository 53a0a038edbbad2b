//! Values as text, the way AWS's Java prints them.

use std::fmt::Write as _;

use serde_json::{Map, Number, Value};

/// JSON text as Step Functions writes it: compact, doubles like `1.0E10`. Never recurses, whatever the depth.
pub fn json_text(value: &Value) -> String {
    print(value, &Style { json: true, sorted: false })
}

/// What Java's `toString` gives: `{Arg1=1, Arg2=[]}`, strings bare. So `States.Format` prints objects and arrays.
pub(crate) fn plain_text(value: &Value) -> String {
    print(value, &Style { json: false, sorted: false })
}

/// JSON text with sorted keys: equal values have equal text.
pub(crate) fn canonical_text(value: &Value) -> String {
    print(value, &Style { json: true, sorted: true })
}

/// A number as Java's `Long.toString` or `Double.toString` gives it.
pub(crate) fn number_text(number: &Number) -> String {
    if number.is_f64() { double_text(number.as_f64().unwrap_or(0.0)) } else { number.to_string() }
}

struct Style {
    json: bool,
    sorted: bool,
}

enum Frame<'v> {
    Array(std::slice::Iter<'v, Value>, bool),
    Object(Box<dyn Iterator<Item = (&'v String, &'v Value)> + 'v>, bool),
}

fn print(value: &Value, style: &Style) -> String {
    let mut out = String::new();
    let mut stack = Vec::new();
    open(value, style, &mut out, &mut stack);
    let separator = if style.json { "," } else { ", " };
    while let Some(frame) = stack.last_mut() {
        let next = match frame {
            Frame::Array(items, first) => items.next().map(|item| (None, item, std::mem::take(first))),
            Frame::Object(members, first) => {
                members.next().map(|(key, member)| (Some(key), member, std::mem::take(first)))
            }
        };
        let Some((key, value, first)) = next else {
            out.push(if matches!(frame, Frame::Array(..)) { ']' } else { '}' });
            stack.pop();
            continue;
        };
        if !first {
            out.push_str(separator);
        }
        match key {
            Some(key) if style.json => {
                quote(key, &mut out);
                out.push(':');
            }
            Some(key) => {
                out.push_str(key);
                out.push('=');
            }
            None => {}
        }
        open(value, style, &mut out, &mut stack);
    }
    out
}

/// Prints a scalar, or opens a container and leaves the rest to the stack.
fn open<'v>(value: &'v Value, style: &Style, out: &mut String, stack: &mut Vec<Frame<'v>>) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(true) => out.push_str("true"),
        Value::Bool(false) => out.push_str("false"),
        Value::Number(number) => out.push_str(&number_text(number)),
        Value::String(text) if style.json => quote(text, out),
        Value::String(text) => out.push_str(text),
        Value::Array(items) => {
            out.push('[');
            stack.push(Frame::Array(items.iter(), true));
        }
        Value::Object(members) => {
            out.push('{');
            stack.push(Frame::Object(members_of(members, style.sorted), true));
        }
    }
}

fn members_of(members: &Map<String, Value>, sorted: bool) -> Box<dyn Iterator<Item = (&String, &Value)> + '_> {
    if !sorted {
        return Box::new(members.iter());
    }
    let mut list: Vec<_> = members.iter().collect();
    list.sort_by_key(|(key, _)| *key);
    Box::new(list.into_iter())
}

fn quote(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            c if c < ' ' => {
                let _ = write!(out, "\\u{:04X}", c as u32);
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

/// Java's `Double.toString`: plain between 0.001 and 10,000,000, otherwise `1.5E-7`.
fn double_text(value: f64) -> String {
    if value == 0.0 {
        return if value.is_sign_negative() { "-0.0".to_owned() } else { "0.0".to_owned() };
    }
    let scientific = format!("{value:e}");
    if (1e-3..1e7).contains(&value.abs()) {
        let plain = format!("{value}");
        return if plain.contains('.') { plain } else { plain + ".0" };
    }
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let point = if mantissa.contains('.') { "" } else { ".0" };
    format!("{mantissa}{point}E{exponent}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_print_as_in_java() {
        let value = json!({"b": [1, 2.5, 1e10, 1.5e-7, -0.0, 123456.0], "a": {"t": "x\"\u{1f}y", "n": null}, "e": {}});
        assert_eq!(
            json_text(&value),
            "{\"b\":[1,2.5,1.0E10,1.5E-7,-0.0,123456.0],\"a\":{\"t\":\"x\\\"\\u001Fy\",\"n\":null},\"e\":{}}"
        );
        assert_eq!(plain_text(&json!({"Arg1": 1, "Arg2": [], "s": ["a b", true]})), "{Arg1=1, Arg2=[], s=[a b, true]}");
        assert_eq!(canonical_text(&json!({"b": 1, "a": [{"d": 1, "c": 2}]})), "{\"a\":[{\"c\":2,\"d\":1}],\"b\":1}");
    }
}
