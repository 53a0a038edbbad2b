//! The machine itself, and scopes of states: its top level, branches, processors.

use indexmap::IndexMap;

use crate::json::Node;
use crate::{Branch, Name, QueryLanguage, Severity, StateMachine};

use super::fields::{Fields, SECONDS_MAX};
use super::{Checker, DUPLICATE_STATE, INVALID_STATE_NAME, assign, graph, state};

/// AWS's limit of a state's name.
const NAME_CHARS_MAX: usize = 80;

pub(super) const LANGUAGES: &[(&str, QueryLanguage)] =
    &[("JSONPath", QueryLanguage::JsonPath), ("JSONata", QueryLanguage::Jsonata)];

pub(super) fn machine(c: &mut Checker, node: &Node) -> Option<StateMachine> {
    let fields = Fields::of(c, node, "/")?;
    fields.only(c, &["Comment", "QueryLanguage", "StartAt", "States", "TimeoutSeconds", "Version"]);
    fields.choice(c, "Version", &[("1.0", ())]);
    let language = match fields.get("QueryLanguage") {
        None => QueryLanguage::JsonPath,
        // AWS takes what is neither for JSONata.
        Some(_) => fields.choice(c, "QueryLanguage", LANGUAGES).unwrap_or(QueryLanguage::Jsonata),
    };
    c.language = language;
    let comment = fields.string(c, "Comment").map(str::to_owned);
    let timeout_seconds = fields.integer(c, "TimeoutSeconds", 0, SECONDS_MAX);
    let body = branch(c, &fields, true)?;
    Some(StateMachine {
        comment,
        version: fields.get("Version").and_then(Node::as_str).map(str::to_owned),
        query_language: language,
        timeout_seconds,
        body,
    })
}

/// The states of a scope, which may read the variables around it or not. Its other fields are the caller's.
pub(super) fn branch(c: &mut Checker, fields: &Fields<'_>, reads_outer: bool) -> Option<Branch> {
    fields.required(c, &["States", "StartAt"]);
    let start_at = fields.string(c, "StartAt");
    let states_fields = fields.object(c, "States")?;
    if states_fields.members.is_empty() {
        c.error("Value cannot be empty", &states_fields.location, &states_fields.range);
        return None;
    }
    c.scopes.push(assign::Scope::of(states_fields.members, reads_outer));
    let mut states = IndexMap::with_capacity(states_fields.members.len());
    for member in states_fields.members {
        let location = states_fields.at(&member.key);
        check_name(c, &member.key, &location, &member.key_range);
        if let Some(state) = state::state(c, &member.key, &member.value, &location) {
            states.insert(Name::from(member.key.as_str()), state);
        }
    }
    c.scopes.pop();
    graph::check(c, fields, &states_fields);
    let comment = fields.get("Comment").and_then(Node::as_str).map(str::to_owned);
    Some(Branch { comment, start_at: start_at?.into(), states })
}

fn check_name(c: &mut Checker, name: &str, location: &str, range: &crate::json::Range) {
    if !c.names.insert(name.to_owned()) {
        let message = format!("Duplicate State name: {name}");
        c.report(Severity::Error, DUPLICATE_STATE, message, Some(location), range, None);
    }
    let message = match name.chars().count() {
        0 => "Invalid State name: the name must not be empty".to_owned(),
        n if n > NAME_CHARS_MAX => {
            format!(
                "Invalid State name: State '{name}' exceeds the {NAME_CHARS_MAX}-character limit allowed by the service"
            )
        }
        _ => return,
    };
    c.report(Severity::Error, INVALID_STATE_NAME, message, Some(location), range, None);
}
