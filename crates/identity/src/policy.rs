//! IAM policy documents: reading them, and deciding by them. Pure: no store, no clock.
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html>

mod condition;
mod decide;
mod glob;
mod parse;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

pub use decide::{Decision, Request, allows, decide};
pub use parse::PolicyError;

use condition::Condition;

/// Where a policy stands, which decides what it must and must not name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PolicyKind {
    /// Attached to a role: names resources, no principals.
    Identity,
    /// A role's trust policy: names principals, no resources.
    Trust,
    /// Attached to a resource: names principals; the resource may be left out.
    Resource,
}

/// A policy document, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    statements: Vec<Statement>,
    /// Only documents of version 2012-10-17 have policy variables.
    has_variables: bool,
}

#[derive(Clone, Debug, PartialEq)]
struct Statement {
    allow: bool,
    actions: Elements,
    resources: Option<Elements>,
    principals: Option<Principals>,
    conditions: Vec<Condition>,
}

/// `Action` or `NotAction` and the like.
#[derive(Clone, Debug, PartialEq)]
struct Elements {
    negated: bool,
    patterns: Vec<String>,
}

#[derive(Clone, Debug, PartialEq)]
struct Principals {
    negated: bool,
    /// `AWS`, `Service`, `Federated`, `CanonicalUser`: names. `*` alone is everybody.
    names: BTreeMap<String, Vec<String>>,
    everybody: bool,
}

impl Policy {
    /// Reads and checks a document.
    pub fn parse(text: &str, kind: PolicyKind) -> Result<Policy, PolicyError> {
        parse::parse(text, kind)
    }
}

/// What a request's conditions are checked against: condition keys (in any case) and their values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Context(BTreeMap<String, Vec<String>>);

impl Context {
    pub fn new() -> Context {
        Context::default()
    }

    /// Sets a key of one value, such as `aws:SourceIp`.
    pub fn with(self, key: &str, value: impl Into<String>) -> Context {
        self.with_all(key, [value.into()])
    }

    /// Sets a key of several values, such as `aws:TagKeys`.
    pub fn with_all(mut self, key: &str, values: impl IntoIterator<Item = String>) -> Context {
        self.0.insert(key.to_ascii_lowercase(), values.into_iter().collect());
        self
    }

    pub(crate) fn get(&self, key: &str) -> Option<&[String]> {
        self.0.get(&key.to_ascii_lowercase()).map(Vec::as_slice)
    }
}
