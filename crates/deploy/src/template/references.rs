//! Which names a value refers to.

use std::collections::BTreeMap;

use super::node::{Kind, Node, Position};
use super::sub::{self, Part};

/// A name in `Ref`, `Fn::GetAtt` or `${...}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    pub name: String,
    /// Of `Fn::GetAtt`; `None` for a `Ref`.
    pub attribute: Option<String>,
    pub at: Position,
}

impl Reference {
    pub fn is_pseudo(&self) -> bool {
        self.attribute.is_none() && self.name.starts_with("AWS::")
    }
}

/// All references in `node`; with `conditions`, only those in the branches of `Fn::If` that count.
///
/// Malformed functions are passed over: evaluating them names what is wrong.
pub fn references(node: &Node, conditions: Option<&BTreeMap<String, bool>>) -> Vec<Reference> {
    let mut found = Vec::new();
    visit(node, conditions, &mut found);
    found
}

fn visit(node: &Node, conditions: Option<&BTreeMap<String, bool>>, found: &mut Vec<Reference>) {
    let Some((function, argument)) = node.function() else {
        match &node.kind {
            Kind::List(items) => items.iter().for_each(|n| visit(n, conditions, found)),
            Kind::Map(entries) => entries.iter().for_each(|e| visit(&e.value, conditions, found)),
            _ => {}
        }
        return;
    };
    match function {
        "Ref" => {
            if let Some(name) = argument.scalar() {
                found.push(Reference { name: name.into_owned(), attribute: None, at: node.at });
            }
        }
        "Fn::GetAtt" => get_att(node, argument, conditions, found),
        "Fn::Sub" => substitution(node, argument, conditions, found),
        "Fn::If" => match (argument.items(), conditions) {
            (Some([name, then, otherwise]), Some(conditions)) => {
                let chosen = match name.as_str().and_then(|n| conditions.get(n)) {
                    Some(false) => otherwise,
                    _ => then,
                };
                visit(chosen, Some(conditions), found);
            }
            _ => visit(argument, conditions, found),
        },
        _ => visit(argument, conditions, found),
    }
}

fn get_att(node: &Node, argument: &Node, conditions: Option<&BTreeMap<String, bool>>, found: &mut Vec<Reference>) {
    let (name, attribute) = match (&argument.kind, argument.items()) {
        (Kind::Text(text), _) => match text.split_once('.') {
            Some((name, attribute)) => (name, attribute.to_owned()),
            None => return,
        },
        (_, Some([name, attribute])) => {
            visit(attribute, conditions, found);
            match name.as_str() {
                // An attribute that a function names counts as one that nobody knows yet.
                Some(name) => (name, attribute.as_str().unwrap_or_default().to_owned()),
                None => return,
            }
        }
        _ => return,
    };
    found.push(Reference { name: name.to_owned(), attribute: Some(attribute), at: node.at });
}

fn substitution(node: &Node, argument: &Node, conditions: Option<&BTreeMap<String, bool>>, found: &mut Vec<Reference>) {
    let (text, variables) = match (&argument.kind, argument.items()) {
        (Kind::Text(text), _) => (text.as_str(), None),
        (_, Some([text, variables])) => match text.as_str() {
            Some(text) => (text, Some(variables)),
            None => return,
        },
        _ => return,
    };
    if let Some(variables) = variables {
        visit(variables, conditions, found);
    }
    for part in sub::parts(text).unwrap_or_default() {
        let Part::Variable(name) = part else { continue };
        if variables.is_some_and(|v| v.get(name).is_some()) {
            continue;
        }
        let reference = match name.split_once('.') {
            Some((name, attribute)) => (name, Some(attribute.to_owned())),
            None => (name, None),
        };
        found.push(Reference { name: reference.0.to_owned(), attribute: reference.1, at: node.at });
    }
}

/// The arguments of every `Fn::ImportValue` in `node`.
pub fn imports(node: &Node) -> Vec<&Node> {
    fn walk<'a>(node: &'a Node, found: &mut Vec<&'a Node>) {
        if let Some(("Fn::ImportValue", argument)) = node.function() {
            found.push(argument);
        }
        match &node.kind {
            Kind::List(items) => items.iter().for_each(|n| walk(n, found)),
            Kind::Map(entries) => entries.iter().for_each(|e| walk(&e.value, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    walk(node, &mut found);
    found
}
