//! Names that lead nowhere, found before anything is made.

use std::collections::BTreeSet;

use super::diagnostic::{Diagnostic, Diagnostics};
use super::evaluate::{undefined_condition, undefined_resource};
use super::model::Template;
use super::node::{Kind, Node, Position};
use super::references::references;

/// Checks every reference of a template, whether its condition holds or not.
pub fn check(template: &Template) -> Result<(), Diagnostics> {
    let mut checker = Checker {
        resources: template.resources.iter().map(|r| r.logical_id.as_str()).collect(),
        parameters: template.parameters.iter().map(|p| p.name.as_str()).collect(),
        conditions: template.conditions.iter().map(|c| c.key.as_str()).collect(),
        found: Vec::new(),
    };
    checker.names(template);
    let mut unresolved = Vec::new();
    for resource in &template.resources {
        let id = resource.logical_id.as_str();
        checker.condition(resource.condition.as_ref(), id);
        checker.branches(&resource.properties, id);
        checker.value(&resource.properties, id, &mut unresolved);
        for (name, at) in &resource.depends_on {
            if name == id {
                let message = format!("Circular dependency between resources: [{id}]");
                checker.found.push(Diagnostic::new(message, *at).of(id));
            } else if !checker.resources.contains(name.as_str()) {
                unresolved.push((name.clone(), *at, id.to_owned()));
            }
        }
    }
    checker.unresolved(unresolved, "Resources");
    let mut unresolved = Vec::new();
    for output in &template.outputs {
        checker.condition(output.condition.as_ref(), &output.name);
        for node in std::iter::once(&output.value).chain(&output.export) {
            checker.branches(node, &output.name);
            checker.value(node, &output.name, &mut unresolved);
        }
    }
    checker.unresolved(unresolved, "Outputs");
    Diagnostics::unless_empty(checker.found)
}

struct Checker<'a> {
    resources: BTreeSet<&'a str>,
    parameters: BTreeSet<&'a str>,
    conditions: BTreeSet<&'a str>,
    found: Vec<Diagnostic>,
}

type Unresolved = (String, Position, String);

impl Checker<'_> {
    fn names(&mut self, template: &Template) {
        for parameter in template.parameters.iter().filter(|p| self.resources.contains(p.name.as_str())) {
            let message = format!(
                "Template format error: the name {} is used for both a parameter and a resource.",
                parameter.name
            );
            self.found.push(Diagnostic::new(message, parameter.at));
        }
    }

    fn condition(&mut self, condition: Option<&(String, Position)>, id: &str) {
        if let Some((name, at)) = condition
            && !self.conditions.contains(name.as_str())
        {
            self.found.push(undefined_condition(name, *at).of(id));
        }
    }

    /// The condition names of every `Fn::If`.
    fn branches(&mut self, node: &Node, id: &str) {
        if let Some(("Fn::If", argument)) = node.function()
            && let Some([name, _, _]) = argument.items()
            && let Some(text) = name.as_str()
            && !self.conditions.contains(text)
        {
            self.found.push(undefined_condition(text, name.at).of(id));
        }
        match &node.kind {
            Kind::List(items) => items.iter().for_each(|n| self.branches(n, id)),
            Kind::Map(entries) => entries.iter().for_each(|e| self.branches(&e.value, id)),
            _ => {}
        }
    }

    fn value(&mut self, node: &Node, id: &str, unresolved: &mut Vec<Unresolved>) {
        for reference in references(node, None) {
            let name = reference.name.as_str();
            if self.resources.contains(name) || reference.is_pseudo() {
                continue;
            }
            match reference.attribute {
                Some(_) => self.found.push(undefined_resource(name, reference.at).of(id)),
                None if self.parameters.contains(name) => {}
                None => unresolved.push((reference.name, reference.at, id.to_owned())),
            }
        }
    }

    /// AWS names all of a block's unresolved names in one message.
    fn unresolved(&mut self, unresolved: Vec<Unresolved>, block: &str) {
        let Some((_, at, id)) = unresolved.iter().min_by_key(|u| u.1).cloned() else { return };
        let names: BTreeSet<&str> = unresolved.iter().map(|u| u.0.as_str()).collect();
        let names = names.into_iter().collect::<Vec<_>>().join(", ");
        let message = format!(
            "Template format error: Unresolved resource dependencies [{names}] in the {block} block of the template"
        );
        self.found.push(Diagnostic::new(message, at).of(&id));
    }
}
