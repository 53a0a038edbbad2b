//! The graph of one scope: every target exists, there is an end, every state can be reached.

use std::collections::{HashMap, HashSet};

use crate::Severity;
use crate::json::{Json, Node};

use super::fields::Fields;
use super::suggest::did_you_mean;
use super::{Checker, MISSING_END, MISSING_TARGET};

/// Works on the JSON, so that a state with other faults still counts.
pub(super) fn check(c: &mut Checker, scope: &Fields<'_>, states: &Fields<'_>) {
    let mut known = HashMap::new();
    for member in states.members {
        known.insert(member.key.as_str(), edges(&member.value, &states.at(&member.key)));
    }
    let start = scope.get("StartAt").and_then(|node| Some((node.as_str()?, node)));
    if let Some((name, node)) = start.filter(|(name, _)| !known.contains_key(name)) {
        missing(c, name, &scope.at("StartAt"), node, states);
    }
    for member in states.members {
        for edge in &known[member.key.as_str()] {
            if !known.contains_key(edge.target) {
                missing(c, edge.target, &edge.location, edge.node, states);
            }
        }
    }
    if !states.members.iter().any(|member| ends(&member.value)) {
        // AWS gives no location, and says nothing of what cannot be reached then.
        let message = "Workflow has no terminal state".to_owned();
        let location = (scope.location != "/").then_some(scope.location.as_str());
        c.report(Severity::Error, MISSING_END, message, location, &states.range, None);
        return;
    }
    let Some((start, _)) = start.filter(|(name, _)| known.contains_key(name)) else { return };
    let mut reached = HashSet::from([start]);
    let mut open = vec![start];
    while let Some(name) = open.pop() {
        for edge in &known[name] {
            if known.contains_key(edge.target) && reached.insert(edge.target) {
                open.push(edge.target);
            }
        }
    }
    for member in states.members.iter().filter(|member| !reached.contains(member.key.as_str())) {
        let message = format!("State \"{}\" is not reachable.", member.key);
        let location = states.at(&member.key);
        c.report(Severity::Error, MISSING_TARGET, message, Some(&location), &member.key_range, None);
    }
}

fn missing(c: &mut Checker, name: &str, location: &str, node: &Node, states: &Fields<'_>) {
    let help = did_you_mean(name, states.members.iter().map(|member| member.key.as_str()));
    let message = format!("Missing 'Next' target: {name}");
    c.report(Severity::Error, MISSING_TARGET, message, Some(location), &node.range, help);
}

struct Edge<'n> {
    target: &'n str,
    location: String,
    node: &'n Node,
}

fn edges<'n>(state: &'n Node, location: &str) -> Vec<Edge<'n>> {
    let mut edges = Vec::new();
    let mut add = |node: Option<&'n Node>, location: String| {
        if let Some((target, node)) = node.and_then(|node| Some((node.as_str()?, node))) {
            edges.push(Edge { target, location, node });
        }
    };
    add(state.get("Next"), format!("{location}/Next"));
    for list in ["Choices", "Catch"] {
        for (i, item) in state.get(list).and_then(Node::as_items).unwrap_or_default().iter().enumerate() {
            add(item.get("Next"), format!("{location}/{list}[{i}]/Next"));
        }
    }
    add(state.get("Default"), format!("{location}/Default"));
    edges
}

fn ends(state: &Node) -> bool {
    matches!(state.get("Type").and_then(Node::as_str), Some("Succeed" | "Fail"))
        || state.get("End").is_some_and(|end| end.json == Json::Bool(true))
}
