//! Values with their functions applied.

use std::collections::BTreeMap;

use super::diagnostic::{Diagnostic, Diagnostics};
use super::node::{Entry, Kind, Node, Position};
use super::parameters::{Bound, ParameterValue};

/// What a template's functions see of the world besides its own text.
pub trait Environment {
    /// A resource's `Ref`; `Undefined` for a name that is no active resource.
    fn reference(&self, logical_id: &str) -> Lookup;
    /// A resource's attribute.
    fn attribute(&self, logical_id: &str, attribute: &str) -> Lookup;
    /// The value of an export of any stack.
    fn import(&self, name: &str) -> Lookup;
}

/// What a lookup finds.
#[derive(Clone, Debug)]
pub enum Lookup {
    Found(serde_json::Value),
    /// It will be known when the resource exists.
    Unknown,
    /// There is no such name.
    Undefined,
    /// The resource is there and has no such attribute.
    NoAttribute,
}

/// The values of pseudo parameters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pseudo {
    pub account: String,
    pub region: String,
    pub stack_name: String,
    pub stack_id: String,
    pub notification_arns: Vec<String>,
}

/// Applies the functions of one template under one set of parameter values.
#[derive(Clone, Copy)]
pub struct Evaluator<'a> {
    pub parameters: &'a BTreeMap<String, Bound>,
    pub mappings: &'a [Entry],
    pub conditions: &'a BTreeMap<String, bool>,
    pub pseudo: &'a Pseudo,
    pub environment: &'a dyn Environment,
}

/// Nothing exists: for what may only refer to parameters.
struct Nowhere;

impl Environment for Nowhere {
    fn reference(&self, _: &str) -> Lookup {
        Lookup::Undefined
    }

    fn attribute(&self, _: &str, _: &str) -> Lookup {
        Lookup::Undefined
    }

    fn import(&self, _: &str) -> Lookup {
        Lookup::Undefined
    }
}

impl Evaluator<'_> {
    /// The value of `node`; `None` where it is `AWS::NoValue`.
    pub fn evaluate(&self, node: &Node) -> Result<Option<Node>, Diagnostic> {
        if let Some((function, argument)) = node.function() {
            return self.call(function, argument, node.at);
        }
        let kind = match &node.kind {
            Kind::List(items) => {
                let mut values = Vec::with_capacity(items.len());
                for item in items {
                    values.extend(self.evaluate(item)?);
                }
                Kind::List(values)
            }
            Kind::Map(entries) => {
                if let Some(stray) = entries.iter().find(|e| e.key.starts_with("Fn::") && is_function(&e.key)) {
                    let message = format!("Template error: {} must be the only member of its object", stray.key);
                    return Err(Diagnostic::new(message, stray.key_at));
                }
                let mut values = Vec::with_capacity(entries.len());
                for entry in entries {
                    if let Some(value) = self.evaluate(&entry.value)? {
                        values.push(Entry { key: entry.key.clone(), key_at: entry.key_at, value });
                    }
                }
                Kind::Map(values)
            }
            scalar => scalar.clone(),
        };
        Ok(Some(Node::new(kind, node.at)))
    }

    /// The value of a `Ref`.
    pub(super) fn reference(&self, name: &str, at: Position) -> Result<Option<Node>, Diagnostic> {
        if let Some(bound) = self.parameters.get(name) {
            let kind = match &bound.value {
                ParameterValue::Text(text) => Kind::Text(text.clone()),
                ParameterValue::List(items) => Kind::List(items.iter().map(|t| Node::text(t, at)).collect()),
            };
            return Ok(Some(Node::new(kind, at)));
        }
        if name == "AWS::NoValue" {
            return Ok(None);
        }
        if name.starts_with("AWS::") {
            return self.pseudo_parameter(name, at).map(Some);
        }
        match self.environment.reference(name) {
            Lookup::Found(value) => Ok(Some(Node::from_json(&value, at))),
            Lookup::Unknown => Ok(Some(Node::new(Kind::Unknown, at))),
            Lookup::Undefined | Lookup::NoAttribute => {
                let message = format!(
                    "Template format error: Unresolved resource dependencies [{name}] in the Resources block of the template"
                );
                Err(Diagnostic::new(message, at))
            }
        }
    }

    pub(super) fn attribute(&self, name: &str, attribute: &str, at: Position) -> Result<Node, Diagnostic> {
        match self.environment.attribute(name, attribute) {
            Lookup::Found(value) => Ok(Node::from_json(&value, at)),
            Lookup::Unknown => Ok(Node::new(Kind::Unknown, at)),
            Lookup::Undefined => Err(undefined_resource(name, at)),
            Lookup::NoAttribute => {
                let message = format!(
                    "Template error: resource {name} does not support attribute type {attribute} in Fn::GetAtt"
                );
                Err(Diagnostic::new(message, at))
            }
        }
    }

    fn pseudo_parameter(&self, name: &str, at: Position) -> Result<Node, Diagnostic> {
        let pseudo = self.pseudo;
        let text = match name {
            "AWS::AccountId" => &pseudo.account,
            "AWS::Region" => &pseudo.region,
            "AWS::StackName" => &pseudo.stack_name,
            "AWS::StackId" => &pseudo.stack_id,
            "AWS::Partition" => "aws",
            "AWS::URLSuffix" => "amazonaws.com",
            "AWS::NotificationARNs" => {
                let items = pseudo.notification_arns.iter().map(|t| Node::text(t, at)).collect();
                return Ok(Node::list(items, at));
            }
            _ => {
                let message = format!(
                    "Template format error: Unresolved resource dependencies [{name}] in the Resources block of the template"
                );
                return Err(Diagnostic::new(message, at));
            }
        };
        Ok(Node::text(text, at))
    }

    /// Whether a named condition holds.
    pub(super) fn condition(&self, name: &str, at: Position) -> Result<bool, Diagnostic> {
        self.conditions.get(name).copied().ok_or_else(|| undefined_condition(name, at))
    }
}

pub(super) fn undefined_resource(name: &str, at: Position) -> Diagnostic {
    Diagnostic::new(format!("Template error: instance of Fn::GetAtt references undefined resource {name}"), at)
}

pub(super) fn undefined_condition(name: &str, at: Position) -> Diagnostic {
    let message = format!("Template format error: Unresolved condition dependency {name} in the template");
    Diagnostic::new(message, at)
}

fn is_function(key: &str) -> bool {
    !key.starts_with("Fn::ForEach::")
}

/// Whether each condition of a template holds.
pub fn conditions(
    declared: &[Entry],
    parameters: &BTreeMap<String, Bound>,
    mappings: &[Entry],
    pseudo: &Pseudo,
) -> Result<BTreeMap<String, bool>, Diagnostics> {
    let none = BTreeMap::new();
    let values = Evaluator { parameters, mappings, conditions: &none, pseudo, environment: &Nowhere };
    let mut resolver = Conditions { declared, values, done: BTreeMap::new(), open: Vec::new() };
    let mut found = Vec::new();
    for entry in declared {
        if let Err(error) = resolver.named(&entry.key, entry.key_at) {
            found.push(error.of(&entry.key));
        }
    }
    Diagnostics::unless_empty(found)?;
    Ok(resolver.done)
}

struct Conditions<'a> {
    declared: &'a [Entry],
    values: Evaluator<'a>,
    done: BTreeMap<String, bool>,
    open: Vec<&'a str>,
}

impl<'a> Conditions<'a> {
    fn named(&mut self, name: &str, at: Position) -> Result<bool, Diagnostic> {
        if let Some(known) = self.done.get(name) {
            return Ok(*known);
        }
        let entry = self.declared.iter().find(|e| e.key == name).ok_or_else(|| undefined_condition(name, at))?;
        if self.open.contains(&entry.key.as_str()) {
            let names = self.open.join(", ");
            let message = format!("Template format error: Circular dependency between conditions: [{names}]");
            return Err(Diagnostic::new(message, at));
        }
        self.open.push(&entry.key);
        let value = self.holds(&entry.value);
        self.open.pop();
        let value = value?;
        self.done.insert(entry.key.clone(), value);
        Ok(value)
    }

    fn holds(&mut self, node: &Node) -> Result<bool, Diagnostic> {
        let only_boolean =
            "Template format error: Conditions can only be boolean operations on parameters and other conditions";
        let (name, argument) = match node.entries() {
            Some([only]) => (only.key.as_str(), &only.value),
            _ => return Err(Diagnostic::new(only_boolean, node.at)),
        };
        match name {
            "Condition" => match argument.as_str() {
                Some(name) => self.named(name, argument.at),
                None => {
                    Err(Diagnostic::new("Template format error: Every Condition member must be a string.", node.at))
                }
            },
            "Fn::Not" => match argument.items() {
                Some([one]) => self.holds(one).map(|value| !value),
                _ => Err(Diagnostic::new("Template error: every Fn::Not object requires exactly 1 argument", node.at)),
            },
            "Fn::And" | "Fn::Or" => {
                let Some(items) = argument.items().filter(|items| (2..=10).contains(&items.len())) else {
                    let message = format!(
                        "Template error: every {name} object requires a list of at least 2 and at most 10 boolean parameters"
                    );
                    return Err(Diagnostic::new(message, node.at));
                };
                let mut result = name == "Fn::And";
                // Every operand is evaluated, so that an error never hides behind a value.
                for item in items {
                    let value = self.holds(item)?;
                    result = if name == "Fn::And" { result && value } else { result || value };
                }
                Ok(result)
            }
            "Fn::Equals" => match argument.items() {
                Some([left, right]) => Ok(self.operand(left)? == self.operand(right)?),
                _ => {
                    let message = "Template error: every Fn::Equals object requires a list of 2 string parameters";
                    Err(Diagnostic::new(message, node.at))
                }
            },
            _ => Err(Diagnostic::new(only_boolean, node.at)),
        }
    }

    /// One side of `Fn::Equals`: scalars compare as texts.
    fn operand(&mut self, node: &Node) -> Result<serde_json::Value, Diagnostic> {
        // A resource cannot be seen from here: say so instead of calling it unresolved.
        for reference in super::references::references(node, None) {
            let known = self.values.parameters.contains_key(&reference.name) || reference.is_pseudo();
            if !known || reference.attribute.is_some() {
                let message = format!(
                    "Template format error: Unresolved dependencies [{}]. Cannot reference resources in the Conditions block of the template",
                    reference.name
                );
                return Err(Diagnostic::new(message, reference.at));
            }
        }
        Ok(match self.values.evaluate(node)? {
            None => serde_json::Value::Null,
            Some(value) => match value.scalar() {
                Some(text) => text.into_owned().into(),
                None => value.to_json(),
            },
        })
    }
}
