//! SAM's policy templates: a table of statements with parameters.

use std::sync::OnceLock;

use serde_json::{Map, Value};

use crate::template::{Node, Position};

/// What a name stands for.
pub(super) enum Template {
    Found(&'static Value),
    Unknown,
}

fn table() -> &'static Map<String, Value> {
    static TABLE: OnceLock<Map<String, Value>> = OnceLock::new();
    TABLE.get_or_init(|| serde_json::from_str(include_str!("policies.json")).expect("policies.json is an object"))
}

/// The template of a name, such as `SQSPollerPolicy`.
pub(super) fn find(name: &str) -> Template {
    table().get(name).map_or(Template::Unknown, Template::Found)
}

/// The policy document of a template with its parameters put in.
///
/// The table writes `${Name}` for a parameter; each resource becomes an `Fn::Sub` whose variables are the arguments,
/// so that an argument may be any function.
pub(super) fn expand(template: &'static Value, name: &str, arguments: &Node) -> Result<Node, String> {
    let at = arguments.at;
    let wanted: Vec<&str> = template["Parameters"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    for parameter in &wanted {
        if arguments.get(parameter).is_none() {
            return Err(format!("Following required parameters of template '{name}' don't have values: {parameter}"));
        }
    }
    if let Some(extra) = arguments.entries().unwrap_or_default().iter().find(|e| !wanted.contains(&e.key.as_str())) {
        return Err(format!("the policy template {name} has no parameter {}", extra.key));
    }
    let mut statements = Vec::new();
    for statement in template["Statement"].as_array().into_iter().flatten() {
        let mut node = Node::map([("Effect", Node::text("Allow", at))], at);
        node.set("Action", Node::from_json(&statement["Action"], at));
        let resources =
            statement["Resource"].as_array().map(Vec::as_slice).unwrap_or(std::slice::from_ref(&statement["Resource"]));
        let resources: Vec<Node> =
            resources.iter().filter_map(Value::as_str).map(|r| resource(r, &wanted, arguments, at)).collect();
        node.set("Resource", if resources.len() == 1 { resources[0].clone() } else { Node::list(resources, at) });
        statements.push(node);
    }
    Ok(Node::map([("Version", Node::text("2012-10-17", at)), ("Statement", Node::list(statements, at))], at))
}

fn resource(text: &str, wanted: &[&str], arguments: &Node, at: Position) -> Node {
    let mut variables = Node::empty_map(at);
    for parameter in wanted {
        if text.contains(&format!("${{{parameter}}}"))
            && let Some(value) = arguments.get(parameter)
        {
            variables.set(parameter, value.clone());
        }
    }
    if text == "*" {
        return Node::text("*", at);
    }
    Node::map([("Fn::Sub", Node::list(vec![Node::text(text, at), variables], at))], at)
}
