use std::borrow::Cow;

use serde_json::{Map, Number, Value};

/// A place in the template's text, both counted from 1; 0 where no text is behind a value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    pub line: u32,
    pub column: u32,
}

/// A value of a template, with the place it was written at.
#[derive(Clone, Debug)]
pub struct Node {
    pub kind: Kind,
    pub at: Position,
}

/// What a [`Node`] is.
#[derive(Clone, Debug)]
pub enum Kind {
    Null,
    Bool(bool),
    /// As written: an account id or a version keeps its zeros wherever a text is wanted.
    Number(String),
    Text(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
    /// Known only when the resource it belongs to exists: what a plan sees instead of an ARN.
    Unknown,
}

/// One member of a map, in the order written.
#[derive(Clone, Debug)]
pub struct Entry {
    pub key: String,
    pub key_at: Position,
    pub value: Node,
}

impl Entry {
    pub fn new(key: impl Into<String>, value: Node) -> Entry {
        Entry { key: key.into(), key_at: value.at, value }
    }
}

impl Node {
    pub fn new(kind: Kind, at: Position) -> Node {
        Node { kind, at }
    }

    pub fn text(text: impl Into<String>, at: Position) -> Node {
        Node::new(Kind::Text(text.into()), at)
    }

    pub fn bool(value: bool, at: Position) -> Node {
        Node::new(Kind::Bool(value), at)
    }

    pub fn list(items: Vec<Node>, at: Position) -> Node {
        Node::new(Kind::List(items), at)
    }

    pub fn empty_map(at: Position) -> Node {
        Node::new(Kind::Map(Vec::new()), at)
    }

    /// A map of `members`, at the place of what it stands for.
    pub fn map<'a>(members: impl IntoIterator<Item = (&'a str, Node)>, at: Position) -> Node {
        let entries =
            members.into_iter().map(|(key, value)| Entry { key: key.to_owned(), key_at: at, value }).collect();
        Node::new(Kind::Map(entries), at)
    }

    /// `{"Ref": name}`.
    pub fn reference(name: impl Into<String>, at: Position) -> Node {
        Node::map([("Ref", Node::text(name, at))], at)
    }

    /// `{"Fn::GetAtt": [name, attribute]}`.
    pub fn get_att(name: impl Into<String>, attribute: &str, at: Position) -> Node {
        Node::map([("Fn::GetAtt", Node::list(vec![Node::text(name, at), Node::text(attribute, at)], at))], at)
    }

    /// `{"Fn::Sub": text}`.
    pub fn sub(text: impl Into<String>, at: Position) -> Node {
        Node::map([("Fn::Sub", Node::text(text, at))], at)
    }

    pub fn entries(&self) -> Option<&[Entry]> {
        match &self.kind {
            Kind::Map(entries) => Some(entries),
            _ => None,
        }
    }

    pub fn items(&self) -> Option<&[Node]> {
        match &self.kind {
            Kind::List(items) => Some(items),
            _ => None,
        }
    }

    pub fn as_str(&self) -> Option<&str> {
        match &self.kind {
            Kind::Text(text) => Some(text),
            _ => None,
        }
    }

    /// A scalar as CloudFormation's functions see it: all scalars are texts to them.
    pub fn scalar(&self) -> Option<Cow<'_, str>> {
        match &self.kind {
            Kind::Text(text) | Kind::Number(text) => Some(Cow::Borrowed(text)),
            Kind::Bool(value) => Some(Cow::Borrowed(if *value { "true" } else { "false" })),
            _ => None,
        }
    }

    pub fn is_null(&self) -> bool {
        matches!(self.kind, Kind::Null)
    }

    pub fn is_unknown(&self) -> bool {
        matches!(self.kind, Kind::Unknown)
    }

    pub fn is_map(&self) -> bool {
        matches!(self.kind, Kind::Map(_))
    }

    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entries()?.iter().find(|e| e.key == key).map(|e| &e.value)
    }

    pub fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries()?.iter().find(|e| e.key == key)
    }

    pub fn get_mut(&mut self, key: &str) -> Option<&mut Node> {
        match &mut self.kind {
            Kind::Map(entries) => entries.iter_mut().find(|e| e.key == key).map(|e| &mut e.value),
            _ => None,
        }
    }

    /// Sets a member of a map, keeping the order; does nothing to what is no map.
    pub fn set(&mut self, key: &str, value: Node) {
        if let Some(old) = self.get_mut(key) {
            *old = value;
        } else if let Kind::Map(entries) = &mut self.kind {
            entries.push(Entry::new(key, value));
        }
    }

    pub fn remove(&mut self, key: &str) -> Option<Node> {
        match &mut self.kind {
            Kind::Map(entries) => entries.iter().position(|e| e.key == key).map(|i| entries.remove(i).value),
            _ => None,
        }
    }

    /// The name of the function that a map with one member calls, with its argument.
    pub fn function(&self) -> Option<(&str, &Node)> {
        match self.entries()? {
            [only] if only.key == "Ref" || only.key.starts_with("Fn::") => Some((&only.key, &only.value)),
            _ => None,
        }
    }

    /// A name for messages: `a list`, `a text`.
    pub fn kind_name(&self) -> &'static str {
        match self.kind {
            Kind::Null => "null",
            Kind::Bool(_) => "a boolean",
            Kind::Number(_) => "a number",
            Kind::Text(_) => "a string",
            Kind::List(_) => "a list",
            Kind::Map(_) => "an object",
            Kind::Unknown => "a value known after creation",
        }
    }

    /// Whether any part is known only after a creation.
    pub fn has_unknown(&self) -> bool {
        match &self.kind {
            Kind::Unknown => true,
            Kind::List(items) => items.iter().any(Node::has_unknown),
            Kind::Map(entries) => entries.iter().any(|e| e.value.has_unknown()),
            _ => false,
        }
    }

    /// As JSON, with nothing interpreted: numbers that JSON cannot hold exactly stay texts.
    pub fn to_json(&self) -> Value {
        match &self.kind {
            Kind::Null => Value::Null,
            Kind::Bool(value) => Value::Bool(*value),
            Kind::Number(text) => number_of(text).map_or_else(|| Value::String(text.clone()), Value::Number),
            Kind::Text(text) => Value::String(text.clone()),
            Kind::List(items) => Value::Array(items.iter().map(Node::to_json).collect()),
            Kind::Map(entries) => {
                Value::Object(entries.iter().map(|e| (e.key.clone(), e.value.to_json())).collect::<Map<_, _>>())
            }
            Kind::Unknown => Value::String("{{known after creation}}".to_owned()),
        }
    }

    pub fn from_json(value: &Value, at: Position) -> Node {
        let kind = match value {
            Value::Null => Kind::Null,
            Value::Bool(value) => Kind::Bool(*value),
            Value::Number(number) => Kind::Number(number.to_string()),
            Value::String(text) => Kind::Text(text.clone()),
            Value::Array(items) => Kind::List(items.iter().map(|v| Node::from_json(v, at)).collect()),
            Value::Object(members) => Kind::Map(
                members
                    .iter()
                    .map(|(key, v)| Entry { key: key.clone(), key_at: at, value: Node::from_json(v, at) })
                    .collect(),
            ),
        };
        Node { kind, at }
    }
}

fn number_of(text: &str) -> Option<Number> {
    if let Ok(n) = text.parse::<i64>() {
        return Some(n.into());
    }
    if let Ok(n) = text.parse::<u64>() {
        return Some(n.into());
    }
    if !text.contains(['.', 'e', 'E']) {
        return None;
    }
    text.parse::<f64>().ok().and_then(Number::from_f64)
}
