//! The transform `AWS::Serverless-2016-10-31`: SAM's resources become CloudFormation's.
//!
//! Works on the template's tree and keeps positions, so that what is wrong with a generated resource is shown at the
//! line that asked for it. Pure, as all of [`crate::template`].

mod events;
mod function;
mod globals;
mod layer;
mod policies;
mod role;
mod state_machine;
mod table;

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use crate::template::{Bound, Diagnostic, Diagnostics, Entry, Kind, Node, ParameterValue, Position};

/// The transform's name in a template.
pub const TRANSFORM: &str = "AWS::Serverless-2016-10-31";

/// Replaces every `AWS::Serverless::*` resource; `Transform` and `Globals` go away.
pub fn transform(root: &Node, parameters: &BTreeMap<String, Bound>) -> Result<Node, Diagnostics> {
    let mut sam = Sam { parameters, generated: Vec::new(), renamed: BTreeMap::new(), found: Vec::new() };
    let globals = globals::Globals::read(root.get("Globals"))?;
    let resources = root.get("Resources").and_then(Node::entries).unwrap_or_default();
    for entry in resources {
        let resource_type = entry.value.get("Type").and_then(Node::as_str).unwrap_or_default();
        if resource_type.starts_with("AWS::Serverless::") {
            let merged = globals.apply(resource_type, &entry.value);
            sam.resource(entry, resource_type, &merged);
        } else {
            sam.generated.push(entry.clone());
        }
    }
    sam.duplicates();
    let Sam { generated, renamed, found, .. } = sam;
    failed(found)?;
    let mut result = root.clone();
    result.remove("Transform");
    result.remove("Globals");
    let at = root.get("Resources").map_or(root.at, |r| r.at);
    result.set("Resources", Node::new(Kind::Map(generated), at));
    rename(&mut result, &renamed);
    Ok(result)
}

/// AWS names the transform before what it found.
fn failed(found: Vec<Diagnostic>) -> Result<(), Diagnostics> {
    let preface = format!(
        "Transform {TRANSFORM} failed with: Invalid Serverless Application Specification document. Number of errors \
         found: {}.",
        found.len()
    );
    Diagnostics::prefaced(found, Some(preface))
}

struct Sam<'a> {
    parameters: &'a BTreeMap<String, Bound>,
    generated: Vec<Entry>,
    /// What `Function.Version` and `Function.Alias` are called.
    renamed: BTreeMap<String, String>,
    found: Vec<Diagnostic>,
}

/// One SAM resource on its way.
struct Source<'a> {
    id: &'a str,
    at: Position,
    resource: &'a Node,
    properties: Node,
}

impl Source<'_> {
    fn get(&self, name: &str) -> Option<&Node> {
        self.properties.get(name).filter(|n| !n.is_null())
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(Node::as_str)
    }
}

impl Sam<'_> {
    fn error(&mut self, id: &str, message: impl Into<String>, at: Position) {
        self.found.push(Diagnostic::new(message, at).of(id));
    }

    fn resource(&mut self, entry: &Entry, resource_type: &str, merged: &Node) {
        let at = entry.key_at;
        let properties = match merged.get("Properties") {
            Some(node) if node.is_map() => node.clone(),
            _ => Node::empty_map(at),
        };
        let source = Source { id: &entry.key, at, resource: &entry.value, properties };
        match resource_type {
            "AWS::Serverless::Function" => self.function(&source),
            "AWS::Serverless::StateMachine" => self.state_machine(&source),
            "AWS::Serverless::SimpleTable" => self.simple_table(&source),
            "AWS::Serverless::LayerVersion" => self.layer_version(&source),
            other => {
                let type_at = entry.value.get("Type").map_or(at, |t| t.at);
                self.error(&entry.key, format!("the resource type {other} is not supported"), type_at);
            }
        }
    }

    /// Adds a generated resource with the attributes that it inherits from its source.
    fn generate(&mut self, source: &Source<'_>, id: &str, resource_type: &str, properties: Node) {
        let at = source.at;
        let mut resource = Node::map([("Type", Node::text(resource_type, at))], at);
        if let Some(condition) = source.resource.get("Condition") {
            resource.set("Condition", condition.clone());
        }
        resource.set("Properties", properties);
        if id == source.id {
            for name in ["DependsOn", "Metadata", "DeletionPolicy", "UpdateReplacePolicy"] {
                if let Some(value) = source.resource.get(name) {
                    resource.set(name, value.clone());
                }
            }
        }
        self.generated.push(Entry { key: id.to_owned(), key_at: at, value: resource });
    }

    fn last_attribute(&mut self, name: &str, value: Node) {
        if let Some(last) = self.generated.last_mut() {
            last.value.set(name, value);
        }
    }

    /// A generated name that is taken is two resources under one name.
    fn duplicates(&mut self) {
        let mut seen = std::collections::BTreeSet::new();
        let twice: Vec<_> = self.generated.iter().filter(|e| !seen.insert(&e.key)).cloned().collect();
        for entry in twice {
            let message = format!("the logical id {} is used by another resource", entry.key);
            self.error(&entry.key, message, entry.key_at);
        }
    }

    /// A text that may be a reference to a parameter, as SAM resolves those before it transforms.
    fn resolved_text(&self, node: &Node) -> Option<String> {
        if let Some(("Ref", argument)) = node.function() {
            return match &self.parameters.get(argument.as_str()?)?.value {
                ParameterValue::Text(text) => Some(text.clone()),
                ParameterValue::List(_) => None,
            };
        }
        node.scalar().map(std::borrow::Cow::into_owned)
    }

    /// `Tags` are a map in SAM and a list in CloudFormation; SAM leaves its own mark.
    fn tags(&mut self, source: &Source<'_>, created_by: Option<&str>) -> Option<Node> {
        let mut items = Vec::new();
        let at = source.at;
        let tag = |key: &str, value: Node| Node::map([("Key", Node::text(key, value.at)), ("Value", value)], at);
        if let Some(created_by) = created_by {
            items.push(tag(created_by, Node::text("SAM", at)));
        }
        match source.get("Tags") {
            Some(tags) => match tags.entries() {
                Some(entries) => items.extend(entries.iter().map(|e| tag(&e.key, e.value.clone()))),
                None => {
                    let (id, at) = (source.id.to_owned(), tags.at);
                    self.error(&id, "Type of property 'Tags' is invalid.", at);
                }
            },
            None if created_by.is_none() => return None,
            None => {}
        }
        Some(Node::list(items, at))
    }

    /// An S3 location: `s3://bucket/key?versionId=v` or `{Bucket, Key, Version}`, under the names given.
    fn location(&mut self, source: &Source<'_>, property: &str, names: [&str; 3]) -> Option<Node> {
        let node = source.get(property)?;
        let at = node.at;
        if let (Some(bucket), Some(key)) = (node.get("Bucket"), node.get("Key")) {
            let mut location = Node::map([(names[0], bucket.clone()), (names[1], key.clone())], at);
            if let Some(version) = node.get("Version") {
                location.set(names[2], version.clone());
            }
            return Some(location);
        }
        let text = self.resolved_text(node);
        if let Some((bucket, key, version)) = text.as_deref().and_then(parse_s3_uri) {
            let mut location = Node::map([(names[0], Node::text(bucket, at)), (names[1], Node::text(key, at))], at);
            if let Some(version) = version {
                location.set(names[2], Node::text(version, at));
            }
            return Some(location);
        }
        let message = if node.is_map() {
            format!("'{property}' requires Bucket and Key properties to be specified.")
        } else {
            format!(
                "'{property}' is not a valid S3 Uri of the form 's3://bucket/key' with optional versionId query \
                 parameter. A local path needs 'aws cloudformation package' or 'stepwell deploy'."
            )
        };
        self.error(source.id, message, at);
        None
    }
}

/// Takes `s3://bucket/key?versionId=v` apart.
pub(crate) fn parse_s3_uri(uri: &str) -> Option<(&str, &str, Option<&str>)> {
    let (path, query) = match uri.strip_prefix("s3://")?.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (uri.strip_prefix("s3://")?, None),
    };
    let (bucket, key) = path.split_once('/')?;
    let version = query.and_then(|q| q.strip_prefix("versionId="));
    (!bucket.is_empty() && !key.is_empty()).then_some((bucket, key, version))
}

/// Ten hex digits of a value, for names that change with it.
fn short_hash(node: &Node) -> String {
    hex::encode(&Sha256::digest(node.to_json().to_string().as_bytes())[..5])
}

/// Copies members that mean the same on both sides.
fn copy(from: &Node, to: &mut Node, names: &[&str]) {
    for name in names {
        if let Some(value) = from.get(name).filter(|v| !v.is_null()) {
            to.set(name, value.clone());
        }
    }
}

/// Puts generated names where `Function.Version` and `Function.Alias` are referred to.
fn rename(node: &mut Node, renamed: &BTreeMap<String, String>) {
    if renamed.is_empty() {
        return;
    }
    let function = node.function().map(|(name, _)| name.to_owned());
    match (&mut node.kind, function.as_deref()) {
        (Kind::Map(entries), Some("Ref")) => {
            if let Some(new) = entries[0].value.as_str().and_then(|n| renamed.get(n)) {
                entries[0].value.kind = Kind::Text(new.clone());
            }
        }
        (Kind::Map(entries), Some("Fn::Sub")) => {
            let argument = &mut entries[0].value;
            let text = match &mut argument.kind {
                Kind::List(items) => {
                    items.iter_mut().skip(1).for_each(|n| rename(n, renamed));
                    items.first_mut()
                }
                _ => Some(argument),
            };
            if let Some(Node { kind: Kind::Text(text), .. }) = text {
                for (old, new) in renamed {
                    *text = text.replace(&format!("${{{old}}}"), &format!("${{{new}}}"));
                }
            }
        }
        (Kind::Map(entries), _) => entries.iter_mut().for_each(|e| rename(&mut e.value, renamed)),
        (Kind::List(items), _) => items.iter_mut().for_each(|n| rename(n, renamed)),
        _ => {}
    }
}
