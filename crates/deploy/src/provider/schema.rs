//! What a resource type's properties are, and values made to fit.

use serde_json::{Map, Value, json};

use crate::template::{Diagnostic, Entry, Kind as NodeKind, Node};

/// One property of a resource type.
#[derive(Clone, Copy, Debug)]
pub struct Property {
    pub name: &'static str,
    pub kind: Kind,
    pub required: bool,
    /// A change of it makes a new resource.
    pub replaces: bool,
}

/// The form of a value.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    Text,
    Integer,
    Number,
    Boolean,
    /// Any JSON, handed on as it is.
    Json,
    /// A JSON document: an object, or its text.
    Document,
    Texts,
    /// Names to texts.
    TextMap,
    Object(&'static [Property]),
    Objects(&'static [Property]),
    /// `[{Key, Value}]`; the stack's tags are added.
    Tags,
}

const fn of(name: &'static str, kind: Kind) -> Property {
    Property { name, kind, required: false, replaces: false }
}

pub const fn text(name: &'static str) -> Property {
    of(name, Kind::Text)
}

pub const fn integer(name: &'static str) -> Property {
    of(name, Kind::Integer)
}

pub const fn number(name: &'static str) -> Property {
    of(name, Kind::Number)
}

pub const fn boolean(name: &'static str) -> Property {
    of(name, Kind::Boolean)
}

pub const fn json(name: &'static str) -> Property {
    of(name, Kind::Json)
}

pub const fn document(name: &'static str) -> Property {
    of(name, Kind::Document)
}

pub const fn texts(name: &'static str) -> Property {
    of(name, Kind::Texts)
}

pub const fn text_map(name: &'static str) -> Property {
    of(name, Kind::TextMap)
}

pub const fn object(name: &'static str, members: &'static [Property]) -> Property {
    of(name, Kind::Object(members))
}

pub const fn objects(name: &'static str, members: &'static [Property]) -> Property {
    of(name, Kind::Objects(members))
}

pub const fn tags() -> Property {
    of("Tags", Kind::Tags)
}

impl Property {
    pub const fn required(mut self) -> Property {
        self.required = true;
        self
    }

    pub const fn replaces(mut self) -> Property {
        self.replaces = true;
        self
    }
}

const TAG: &[Property] = &[text("Key").required(), text("Value").required()];

/// Makes a resource's evaluated properties fit its schema; names everything that does not.
pub fn fit(logical_id: &str, properties: &Node, schema: &[Property]) -> Result<Value, Vec<Diagnostic>> {
    let mut fitter = Fitter { logical_id, found: Vec::new() };
    let value = fitter.object(properties, schema, "#");
    if fitter.found.is_empty() { Ok(value) } else { Err(fitter.found) }
}

struct Fitter<'a> {
    logical_id: &'a str,
    found: Vec<Diagnostic>,
}

impl Fitter<'_> {
    fn error(&mut self, path: &str, what: &str, at: crate::template::Position) {
        let id = self.logical_id;
        let message = format!("Properties validation failed for resource {id} with message: {path}: {what}");
        self.found.push(Diagnostic::new(message, at).of(id));
    }

    fn wrong(&mut self, node: &Node, path: &str, expected: &str) -> Value {
        self.error(path, &format!("expected type: {expected}, found: {}", node.kind_name()), node.at);
        Value::Null
    }

    fn object(&mut self, node: &Node, schema: &[Property], path: &str) -> Value {
        let NodeKind::Map(entries) = &node.kind else {
            let local = ["#/Code", "#/Content", "#/DefinitionS3Location"].contains(&path) && node.as_str().is_some();
            if local {
                let what = "a local path needs 'aws cloudformation package' or 'stepwell deploy'";
                self.error(path, what, node.at);
                return Value::Null;
            }
            return self.wrong(node, path, "JSONObject");
        };
        let mut fitted = Map::new();
        for Entry { key, key_at, value } in entries {
            match schema.iter().find(|p| p.name == key) {
                // Nothing after the colon is nothing at all.
                Some(_) if value.is_null() => {}
                Some(property) => {
                    let value = self.value(value, property.kind, &format!("{path}/{key}"));
                    fitted.insert(key.clone(), value);
                }
                None => {
                    let hint = nearest(key, schema).map_or_else(String::new, |name| format!("; did you mean {name}?"));
                    self.error(path, &format!("extraneous key [{key}] is not permitted{hint}"), *key_at);
                }
            }
        }
        for property in schema.iter().filter(|p| p.required && !fitted.contains_key(p.name)) {
            self.error(path, &format!("required key [{}] not found", property.name), node.at);
        }
        Value::Object(fitted)
    }

    fn value(&mut self, node: &Node, kind: Kind, path: &str) -> Value {
        if node.is_unknown() {
            return node.to_json();
        }
        match kind {
            Kind::Text => match node.scalar() {
                Some(text) => Value::String(text.into_owned()),
                None => self.wrong(node, path, "String"),
            },
            Kind::Integer => match node.scalar().and_then(|t| t.trim().parse::<i64>().ok()) {
                Some(number) => number.into(),
                None => self.wrong(node, path, "Integer"),
            },
            Kind::Number => match node.scalar().and_then(|t| t.trim().parse::<f64>().ok()).filter(|n| n.is_finite()) {
                Some(number) if number.fract() == 0.0 && number.abs() < 9e15 => (number as i64).into(),
                Some(number) => json!(number),
                None => self.wrong(node, path, "Number"),
            },
            Kind::Boolean => match node.scalar().map(|t| t.to_ascii_lowercase()).as_deref() {
                Some("true") => true.into(),
                Some("false") => false.into(),
                _ => self.wrong(node, path, "Boolean"),
            },
            Kind::Json => node.to_json(),
            Kind::Document => self.document(node, path),
            Kind::Texts => match &node.kind {
                NodeKind::List(items) => {
                    items.iter().enumerate().map(|(i, n)| self.value(n, Kind::Text, &format!("{path}/{i}"))).collect()
                }
                _ => self.wrong(node, path, "JSONArray"),
            },
            Kind::TextMap => match &node.kind {
                NodeKind::Map(entries) => {
                    let fitted = entries
                        .iter()
                        .map(|e| (e.key.clone(), self.value(&e.value, Kind::Text, &format!("{path}/{}", e.key))));
                    Value::Object(fitted.collect())
                }
                _ => self.wrong(node, path, "JSONObject"),
            },
            Kind::Object(schema) => self.object(node, schema, path),
            Kind::Objects(schema) => self.objects(node, schema, path),
            Kind::Tags => self.objects(node, TAG, path),
        }
    }

    fn objects(&mut self, node: &Node, schema: &[Property], path: &str) -> Value {
        match &node.kind {
            NodeKind::List(items) => items
                .iter()
                .enumerate()
                .map(|(i, n)| self.object_or_unknown(n, schema, &format!("{path}/{i}")))
                .collect(),
            _ => self.wrong(node, path, "JSONArray"),
        }
    }

    fn object_or_unknown(&mut self, node: &Node, schema: &[Property], path: &str) -> Value {
        if node.is_unknown() { node.to_json() } else { self.object(node, schema, path) }
    }

    fn document(&mut self, node: &Node, path: &str) -> Value {
        match &node.kind {
            NodeKind::Map(_) => node.to_json(),
            NodeKind::Text(text) => match serde_json::from_str::<Value>(text) {
                Ok(value @ Value::Object(_)) => value,
                _ => self.wrong(node, path, "JSONObject"),
            },
            _ => self.wrong(node, path, "JSONObject"),
        }
    }
}

/// A known name that is one or two letters away.
fn nearest(key: &str, schema: &[Property]) -> Option<&'static str> {
    let best = schema.iter().map(|p| (distance(key, p.name), p.name)).min()?;
    (best.0 <= 2 && key.len() > 3).then_some(best.1)
}

fn distance(a: &str, b: &str) -> usize {
    let (a, b) = (a.to_ascii_lowercase(), b.to_ascii_lowercase());
    if a.len().abs_diff(b.len()) > 2 {
        return usize::MAX;
    }
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let cost = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = cost.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

/// Adds the stack's tags to `Tags`, below the resource's own.
pub fn add_stack_tags(properties: &mut Value, schema: &[Property], stack_tags: &[(String, String)]) {
    if stack_tags.is_empty() || !schema.iter().any(|p| matches!(p.kind, Kind::Tags)) {
        return;
    }
    let Some(members) = properties.as_object_mut() else { return };
    let own = members.entry("Tags").or_insert_with(|| json!([]));
    let Some(own) = own.as_array_mut() else { return };
    for (key, value) in stack_tags {
        if !own.iter().any(|t| t["Key"] == json!(key)) {
            own.push(json!({"Key": key, "Value": value}));
        }
    }
}

/// The names of the properties that differ.
pub fn changed<'a>(old: &'a Value, new: &'a Value) -> Vec<&'a str> {
    let (Some(old), Some(new)) = (old.as_object(), new.as_object()) else { return Vec::new() };
    let mut names: Vec<&str> = new.iter().filter(|(k, v)| old.get(*k) != Some(v)).map(|(k, _)| k.as_str()).collect();
    names.extend(old.keys().filter(|k| !new.contains_key(*k)).map(String::as_str));
    names
}
