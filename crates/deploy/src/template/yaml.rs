//! YAML as CloudFormation reads it: tags are functions, aliases are expanded, scalars keep their text.

use std::collections::{BTreeMap, BTreeSet};

use saphyr_parser::{Event, Parser, ScalarStyle, Span, Tag};

use super::diagnostic::Diagnostic;
use super::json::is_json_number;
use super::limits::{DEPTH_MAX, NODES_MAX};
use super::node::{Entry, Kind, Node, Position};

/// The short forms of functions.
const FUNCTIONS: [&str; 19] = [
    "And",
    "Base64",
    "Cidr",
    "Equals",
    "FindInMap",
    "ForEach",
    "GetAZs",
    "GetAtt",
    "If",
    "ImportValue",
    "Join",
    "Length",
    "Not",
    "Or",
    "Select",
    "Split",
    "Sub",
    "ToJsonString",
    "Transform",
];

/// Reads one YAML document.
pub(super) fn parse(text: &str) -> Result<Node, Diagnostic> {
    let mut loader = Loader::default();
    let mut documents = 0;
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|e| {
            let marker = e.marker();
            let at = position(marker.line(), marker.col());
            Diagnostic::new(format!("Template format error: YAML not well-formed: {}.", e.info()), at)
        })?;
        let at = position(span.start.line(), span.start.col());
        match event {
            Event::DocumentStart(_) => {
                documents += 1;
                if documents > 1 {
                    return Err(Diagnostic::new("Template format error: more than one YAML document.", at));
                }
            }
            event => loader.event(event, span, at)?,
        }
    }
    loader.root.ok_or_else(|| Diagnostic::new("Template format error: unsupported structure.", Position::default()))
}

fn position(line: usize, column: usize) -> Position {
    Position {
        line: u32::try_from(line).unwrap_or(u32::MAX),
        column: u32::try_from(column.saturating_add(1)).unwrap_or(u32::MAX),
    }
}

/// Builds the tree of the events with a stack of its own, so that nesting never costs ours.
#[derive(Default)]
struct Loader {
    root: Option<Node>,
    open: Vec<Open>,
    anchors: BTreeMap<usize, Node>,
    nodes: usize,
}

struct Open {
    at: Position,
    tag: Option<Tag>,
    anchor: usize,
    body: Body,
}

enum Body {
    List(Vec<Node>),
    Map { entries: Vec<Entry>, seen: BTreeSet<String>, key: Option<(String, Position)> },
}

impl Loader {
    fn event(&mut self, event: Event<'_>, span: Span, at: Position) -> Result<(), Diagnostic> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let tag = tag.map(std::borrow::Cow::into_owned);
                if self.wants_key() {
                    return self.key(text.into_owned(), style, tag.as_ref(), at);
                }
                let node = scalar(text.into_owned(), style, tag.as_ref(), at)?;
                self.add(node, anchor)
            }
            Event::SequenceStart(anchor, tag) => self.start(at, anchor, tag, Body::List(Vec::new())),
            Event::MappingStart(anchor, tag) => {
                let body = Body::Map { entries: Vec::new(), seen: BTreeSet::new(), key: None };
                self.start(at, anchor, tag, body)
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(),
            Event::Alias(anchor) => {
                let target = self.anchors.get(&anchor).cloned();
                let Some(node) = target else {
                    return Err(Diagnostic::new("Template format error: an alias within its own anchor.", at));
                };
                if self.wants_key() {
                    return Err(Diagnostic::new("Template format error: an alias as a key is not supported.", at));
                }
                self.count(&node, self.open.len())?;
                self.add(node, 0)
            }
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentStart(_) | Event::DocumentEnd => {
                let _ = span;
                Ok(())
            }
        }
    }

    fn wants_key(&self) -> bool {
        matches!(self.open.last(), Some(Open { body: Body::Map { key: None, .. }, .. }))
    }

    fn key(&mut self, text: String, style: ScalarStyle, tag: Option<&Tag>, at: Position) -> Result<(), Diagnostic> {
        if tag.is_some_and(|t| !t.is_yaml_core_schema()) {
            return Err(Diagnostic::new("Template format error: a tag on a key is not supported.", at));
        }
        if text == "<<" && style == ScalarStyle::Plain {
            return Err(Diagnostic::new("Template format error: merge keys ('<<') are not supported.", at));
        }
        if let Some(Open { body: Body::Map { seen, key, .. }, .. }) = self.open.last_mut() {
            if !seen.insert(text.clone()) {
                return Err(Diagnostic::new(format!("Template format error: duplicate key \"{text}\"."), at));
            }
            *key = Some((text, at));
        }
        Ok(())
    }

    fn start(
        &mut self,
        at: Position,
        anchor: usize,
        tag: Option<std::borrow::Cow<'_, Tag>>,
        body: Body,
    ) -> Result<(), Diagnostic> {
        if self.wants_key() {
            return Err(Diagnostic::new("Template format error: a key must be a string.", at));
        }
        if self.open.len() >= DEPTH_MAX {
            return Err(Diagnostic::new(format!("Template format error: nested deeper than {DEPTH_MAX}."), at));
        }
        self.open.push(Open { at, tag: tag.map(std::borrow::Cow::into_owned), anchor, body });
        Ok(())
    }

    fn end(&mut self) -> Result<(), Diagnostic> {
        let Some(open) = self.open.pop() else { return Ok(()) };
        let kind = match open.body {
            Body::List(items) => Kind::List(items),
            Body::Map { entries, .. } => Kind::Map(entries),
        };
        let node = tagged(Node::new(kind, open.at), open.tag.as_ref())?;
        self.add(node, open.anchor)
    }

    fn add(&mut self, node: Node, anchor: usize) -> Result<(), Diagnostic> {
        self.nodes += 1;
        if self.nodes > NODES_MAX {
            return Err(Diagnostic::new(format!("Template format error: more than {NODES_MAX} values."), node.at));
        }
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
            // What the anchor keeps counts too: anchors on nested anchors must not multiply.
            self.count(&node, 0)?;
        }
        match self.open.last_mut().map(|o| &mut o.body) {
            None => self.root = Some(node),
            Some(Body::List(items)) => items.push(node),
            Some(Body::Map { entries, key, .. }) => {
                if let Some((key, key_at)) = key.take() {
                    entries.push(Entry { key, key_at, value: node });
                }
            }
        }
        Ok(())
    }

    /// Counts a copied subtree and its depth, so that aliases cannot multiply without bound.
    fn count(&mut self, node: &Node, depth: usize) -> Result<(), Diagnostic> {
        self.nodes += 1;
        if depth > DEPTH_MAX || self.nodes > NODES_MAX {
            return Err(Diagnostic::new("Template format error: aliases expand to too many values.", node.at));
        }
        match &node.kind {
            Kind::List(items) => items.iter().try_for_each(|n| self.count(n, depth + 1)),
            Kind::Map(entries) => entries.iter().try_for_each(|e| self.count(&e.value, depth + 1)),
            _ => Ok(()),
        }
    }
}

fn scalar(text: String, style: ScalarStyle, tag: Option<&Tag>, at: Position) -> Result<Node, Diagnostic> {
    let plain = style == ScalarStyle::Plain;
    match tag {
        None => Ok(Node::new(if plain { plain_kind(text) } else { Kind::Text(text) }, at)),
        Some(tag) if tag.is_yaml_core_schema() => core_scalar(text, &tag.suffix, at),
        Some(tag) if tag.handle.is_empty() && tag.suffix == "!" => Ok(Node::text(text, at)),
        // The argument of a function is a text whatever it looks like: `!Ref 1`, `!Sub 1.10`.
        Some(_) => tagged(Node::text(text, at), tag),
    }
}

/// What a plain scalar means. Only JSON's own words are not texts: `yes`, `on`, `012`, `0x1F`, `1_000` and dates,
/// which YAML 1.1 would turn into something else, stay as they were written.
fn plain_kind(text: String) -> Kind {
    match text.as_str() {
        "" | "~" | "null" | "Null" | "NULL" => Kind::Null,
        "true" | "True" | "TRUE" => Kind::Bool(true),
        "false" | "False" | "FALSE" => Kind::Bool(false),
        // A commit hash such as 12e4567 is no number.
        number if is_json_number(number) && !number.contains(['e', 'E']) => Kind::Number(text),
        _ => Kind::Text(text),
    }
}

fn core_scalar(text: String, suffix: &str, at: Position) -> Result<Node, Diagnostic> {
    let kind = match suffix {
        "str" => Kind::Text(text),
        "int" | "float" if is_json_number(&text) => Kind::Number(text),
        "bool" | "null" => plain_kind(text),
        _ => return Err(Diagnostic::new(format!("Template format error: unsupported tag !!{suffix}."), at)),
    };
    let fits = match suffix {
        "bool" => matches!(kind, Kind::Bool(_)),
        "null" => matches!(kind, Kind::Null),
        _ => true,
    };
    if !fits {
        return Err(Diagnostic::new(format!("Template format error: the value is no !!{suffix}."), at));
    }
    Ok(Node::new(kind, at))
}

/// Applies a tag: `!Ref x` is `{"Ref": x}`, `!GetAtt a.b` is `{"Fn::GetAtt": [a, b]}`.
fn tagged(node: Node, tag: Option<&Tag>) -> Result<Node, Diagnostic> {
    let at = node.at;
    let Some(tag) = tag else { return Ok(node) };
    if tag.is_yaml_core_schema() {
        return match (tag.suffix.as_str(), &node.kind) {
            ("map", Kind::Map(_)) | ("seq", Kind::List(_)) => Ok(node),
            (suffix, _) => Err(Diagnostic::new(format!("Template format error: unsupported tag !!{suffix}."), at)),
        };
    }
    if tag.handle.is_empty() && tag.suffix == "!" {
        return Ok(node);
    }
    let name = tag.suffix.as_str();
    if tag.handle != "!" {
        return Err(Diagnostic::new(format!("Template format error: unsupported tag {tag}."), at));
    }
    match name {
        "Ref" | "Condition" => Ok(Node::map([(name, node)], at)),
        "GetAtt" => {
            let argument = match node.as_str().and_then(|t| t.split_once('.')) {
                Some((resource, attribute)) => {
                    Node::list(vec![Node::text(resource, at), Node::text(attribute, at)], at)
                }
                None => node,
            };
            Ok(Node::map([("Fn::GetAtt", argument)], at))
        }
        _ if FUNCTIONS.contains(&name) => Ok(Node::map([(&*format!("Fn::{name}"), node)], at)),
        _ => Err(Diagnostic::new(format!("Template format error: unsupported tag !{name}."), at)),
    }
}
