use crate::template::{Diagnostic, Entry, Kind, Node};

/// SAM's `Globals`: properties that every resource of a type starts from.
pub(super) struct Globals<'a>(&'a [Entry]);

const SECTIONS: [&str; 7] =
    ["Api", "CapacityProvider", "Function", "HttpApi", "LayerVersion", "SimpleTable", "StateMachine"];

impl<'a> Globals<'a> {
    pub(super) fn read(node: Option<&'a Node>) -> Result<Globals<'a>, Diagnostic> {
        let Some(node) = node else { return Ok(Globals(&[])) };
        let Some(entries) = node.entries() else {
            return Err(Diagnostic::new("'Globals' section is invalid. It must be a non-empty dictionary", node.at));
        };
        if let Some(unknown) = entries.iter().find(|e| !SECTIONS.contains(&e.key.as_str())) {
            let message = format!(
                "'Globals' section is invalid. '{}' is not supported. Must be one of the following values - {SECTIONS:?}",
                unknown.key
            );
            return Err(Diagnostic::new(message, unknown.key_at));
        }
        Ok(Globals(entries))
    }

    /// The resource with the globals of its type below its own properties.
    pub(super) fn apply(&self, resource_type: &str, resource: &Node) -> Node {
        let short = resource_type.trim_start_matches("AWS::Serverless::");
        let mut result = resource.clone();
        if let Some(defaults) = self.0.iter().find(|e| e.key == short) {
            let merged = match resource.get("Properties") {
                Some(own) if own.is_map() => merge(&defaults.value, own),
                _ => defaults.value.clone(),
            };
            result.set("Properties", merged);
        }
        result
    }
}

/// Maps merge member by member, lists are joined, anything else is replaced.
fn merge(global: &Node, local: &Node) -> Node {
    // A function is one value, not a map to merge with.
    if global.function().is_some() || local.function().is_some() {
        return local.clone();
    }
    let kind = match (&global.kind, &local.kind) {
        (Kind::Map(defaults), Kind::Map(own)) => {
            let mut merged: Vec<Entry> = defaults.clone();
            for entry in own {
                match merged.iter_mut().find(|e| e.key == entry.key) {
                    Some(existing) => {
                        existing.value = merge(&existing.value, &entry.value);
                        existing.key_at = entry.key_at;
                    }
                    None => merged.push(entry.clone()),
                }
            }
            Kind::Map(merged)
        }
        (Kind::List(defaults), Kind::List(own)) => Kind::List(defaults.iter().chain(own).cloned().collect()),
        _ => return local.clone(),
    };
    Node::new(kind, local.at)
}
