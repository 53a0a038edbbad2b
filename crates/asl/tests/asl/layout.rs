//! JSON laid out for reading: what fits on a line stays on one.

use serde_json::Value;

const LINE_CHARS: usize = 110;

pub fn text(value: &Value) -> String {
    let mut out = String::new();
    write(value, 0, 0, &mut out);
    out.push('\n');
    out
}

fn write(value: &Value, indent: usize, used: usize, out: &mut String) {
    let flat = flat(value);
    if indent > 0 && indent + used + flat.chars().count() <= LINE_CHARS {
        out.push_str(&flat);
        return;
    }
    match value {
        Value::Array(items) if !items.is_empty() => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                new_line(i, indent + 2, out);
                write(item, indent + 2, 1, out);
            }
            end_line(indent, out);
            out.push(']');
        }
        Value::Object(members) if !members.is_empty() => {
            out.push('{');
            for (i, (key, member)) in members.iter().enumerate() {
                new_line(i, indent + 2, out);
                let key = Value::from(key.as_str()).to_string();
                out.push_str(&key);
                out.push_str(": ");
                write(member, indent + 2, key.len() + 3, out);
            }
            end_line(indent, out);
            out.push('}');
        }
        _ => out.push_str(&flat),
    }
}

fn new_line(index: usize, indent: usize, out: &mut String) {
    out.push_str(if index == 0 { "\n" } else { ",\n" });
    out.push_str(&" ".repeat(indent));
}

fn end_line(indent: usize, out: &mut String) {
    out.push('\n');
    out.push_str(&" ".repeat(indent));
}

fn flat(value: &Value) -> String {
    match value {
        Value::Array(items) => format!("[{}]", items.iter().map(flat).collect::<Vec<_>>().join(", ")),
        Value::Object(members) if members.is_empty() => "{}".to_owned(),
        Value::Object(members) => {
            let members =
                members.iter().map(|(key, member)| format!("{}: {}", Value::from(key.as_str()), flat(member)));
            format!("{{ {} }}", members.collect::<Vec<_>>().join(", "))
        }
        scalar => scalar.to_string(),
    }
}
