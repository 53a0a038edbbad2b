//! `Assign`, and what the variables of a scope are.

use std::collections::HashSet;

use crate::json::{Member, Node, Range};
use crate::{Root, Severity, Template, variables};

use super::fields::Fields;
use super::template::{Reads, compile};
use super::{Checker, DUPLICATE_VARIABLE, INVALID_VARIABLE, RESERVED_VARIABLE, UNDEFINED_VARIABLE};

/// What `$states` is: no variable can be called so.
const RESERVED: &str = "states";

/// The variables that the states of one scope assign, wherever they do.
#[derive(Debug)]
pub(super) struct Scope {
    names: HashSet<String>,
    /// Not so in the processor of a Distributed Map.
    reads_outer: bool,
}

impl Scope {
    /// Works on the JSON of `States`: an expression may read what a later state assigns, by a loop.
    pub(super) fn of(states: &[Member], reads_outer: bool) -> Scope {
        let mut names = HashSet::new();
        for state in states.iter().map(|member| &member.value) {
            collect(state, &mut names);
            for list in ["Choices", "Catch"] {
                for entry in state.get(list).and_then(Node::as_items).unwrap_or_default() {
                    collect(entry, &mut names);
                }
            }
        }
        Scope { names, reads_outer }
    }
}

fn collect(node: &Node, names: &mut HashSet<String>) {
    for member in node.get("Assign").and_then(Node::as_members).unwrap_or_default() {
        names.insert(name_of(&member.key).to_owned());
        // In JSONata that is no name, and no reference names it.
        names.insert(member.key.clone());
    }
}

fn name_of(key: &str) -> &str {
    key.strip_suffix(".$").unwrap_or(key)
}

pub(super) fn assign(c: &mut Checker, fields: &Fields<'_>, reads: Reads) -> Option<Template> {
    let assign = fields.object(c, "Assign")?;
    for member in assign.members {
        let name = if fields.is_jsonata() { &member.key } else { name_of(&member.key) };
        let outer = c.scopes.iter().rev().skip(1);
        let (code, message) = if name == RESERVED {
            (RESERVED_VARIABLE, format!("Cannot assign to reserved variable '${name}'."))
        } else if let Some(fault) = variables::name_fault(name) {
            (INVALID_VARIABLE, format!("Invalid variable name '{name}': {fault}."))
        } else if outer.into_iter().any(|scope| scope.names.contains(name)) {
            (DUPLICATE_VARIABLE, format!("The variable name '{name}' was already defined in a parent scope."))
        } else {
            continue;
        };
        c.report(Severity::Error, code, message, Some(&assign.at(&member.key)), &member.key_range, None);
    }
    Some(compile(c, fields.get("Assign")?, &assign.location, fields.place(reads)))
}

impl Checker {
    /// Notes a variable that the state reads. Warns if nothing assigns it in this scope, or in those around it
    /// that it can read.
    pub(super) fn reads_variable(&mut self, name: &str, location: &str, range: &Range) {
        if let Some(names) = self.variables_read.last_mut() {
            names.insert(name.into());
        }
        let mut scopes = self.scopes.iter().rev();
        // A template or state of its own has no scope to look at.
        while let Some(scope) = scopes.next() {
            if scope.names.contains(name) {
                return;
            }
            if !scope.reads_outer || scopes.len() == 0 {
                let message = format!("Variable '{name}' is possibly not defined.");
                self.warn(UNDEFINED_VARIABLE, &message, location, range);
                return;
            }
        }
    }

    /// The same for what a path starts from.
    pub(super) fn reads_root(&mut self, root: &Root, location: &str, range: &Range) {
        if let Root::Variable(name) = root {
            self.reads_variable(name, location, range);
        }
    }
}
