//! The sections of a template, read and checked for their form.

use super::diagnostic::{Diagnostic, Diagnostics};
use super::limits::{
    CONDITIONS_MAX, DESCRIPTION_BYTES_MAX, LOGICAL_ID_BYTES_MAX, MAPPING_ATTRIBUTES_MAX, MAPPINGS_MAX, OUTPUTS_MAX,
    PARAMETERS_MAX, RESOURCES_MAX,
};
use super::node::{Entry, Node, Position};
use super::parameters::Parameter;

/// A template whose form is right. References are checked by [`super::check`].
#[derive(Clone, Debug, Default)]
pub struct Template {
    pub description: Option<String>,
    pub metadata: Option<Node>,
    pub transforms: Vec<(String, Position)>,
    pub parameters: Vec<Parameter>,
    pub mappings: Vec<Entry>,
    pub conditions: Vec<Entry>,
    pub resources: Vec<Resource>,
    pub outputs: Vec<Output>,
    /// SAM's defaults, taken away by its transform.
    pub globals: Option<Node>,
    /// What is read and not acted upon.
    pub notices: Vec<Diagnostic>,
}

/// A member of `Resources`.
#[derive(Clone, Debug)]
pub struct Resource {
    pub logical_id: String,
    pub at: Position,
    pub resource_type: String,
    pub type_at: Position,
    pub properties: Node,
    pub condition: Option<(String, Position)>,
    pub depends_on: Vec<(String, Position)>,
    pub deletion_policy: Policy,
    pub update_replace_policy: Policy,
    pub metadata: Option<Node>,
}

/// What becomes of a resource that its stack gives up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Policy {
    #[default]
    Delete,
    Retain,
    RetainExceptOnCreate,
}

/// A member of `Outputs`.
#[derive(Clone, Debug)]
pub struct Output {
    pub name: String,
    pub at: Position,
    pub value: Node,
    pub description: Option<String>,
    pub condition: Option<(String, Position)>,
    pub export: Option<Node>,
}

const SECTIONS: [&str; 11] = [
    "AWSTemplateFormatVersion",
    "Description",
    "Metadata",
    "Parameters",
    "Rules",
    "Mappings",
    "Conditions",
    "Transform",
    "Resources",
    "Outputs",
    "Globals",
];

const RESOURCE_ATTRIBUTES: [&str; 10] = [
    "Type",
    "Properties",
    "Condition",
    "DependsOn",
    "DeletionPolicy",
    "UpdateReplacePolicy",
    "Metadata",
    "CreationPolicy",
    "UpdatePolicy",
    "Connectors",
];

impl Template {
    /// Reads the sections of a document.
    pub fn from_node(root: &Node) -> Result<Template, Diagnostics> {
        let Some(entries) = root.entries() else {
            return Err(Diagnostic::new("Template format error: unsupported structure.", root.at).into());
        };
        let mut reader = Reader { template: Template::default(), found: Vec::new() };
        let unknown: Vec<_> = entries.iter().filter(|e| !SECTIONS.contains(&e.key.as_str())).collect();
        if let Some(first) = unknown.first() {
            let names = unknown.iter().map(|e| e.key.as_str()).collect::<Vec<_>>().join(", ");
            reader.error(format!("Invalid template property or properties [{names}]"), first.key_at);
        }
        for entry in entries {
            reader.section(entry);
        }
        if root.get("Resources").is_none_or(|r| r.entries().is_some_and(<[Entry]>::is_empty)) {
            let at = root.get("Resources").map_or(root.at, |r| r.at);
            reader.error("Template format error: At least one Resources member must be defined.", at);
        }
        if reader.template.globals.is_some() && reader.template.transforms.is_empty() {
            let at = root.entry("Globals").map_or(root.at, |e| e.key_at);
            reader.error("Invalid template property or properties [Globals]", at);
        }
        Diagnostics::unless_empty(reader.found)?;
        Ok(reader.template)
    }

    pub fn resource(&self, logical_id: &str) -> Option<&Resource> {
        self.resources.iter().find(|r| r.logical_id == logical_id)
    }

    pub fn parameter(&self, name: &str) -> Option<&Parameter> {
        self.parameters.iter().find(|p| p.name == name)
    }
}

struct Reader {
    template: Template,
    found: Vec<Diagnostic>,
}

impl Reader {
    fn error(&mut self, message: impl Into<String>, at: Position) {
        self.found.push(Diagnostic::new(message, at));
    }

    fn section(&mut self, entry: &Entry) {
        let value = &entry.value;
        match entry.key.as_str() {
            "AWSTemplateFormatVersion" => self.version(value),
            "Description" => self.template.description = self.description(value, "Template"),
            "Metadata" => self.template.metadata = Some(value.clone()),
            "Globals" => self.template.globals = Some(value.clone()),
            "Transform" => self.transforms(value),
            "Rules" => self.template.notices.push(Diagnostic::new("the Rules section is not evaluated", entry.key_at)),
            "Parameters" => {
                self.members(value, "Parameters", PARAMETERS_MAX, |reader, entry| match Parameter::read(entry) {
                    Ok(parameter) => reader.template.parameters.push(parameter),
                    Err(found) => reader.found.push(found.of(&entry.key)),
                })
            }
            "Mappings" => self.members(value, "Mappings", MAPPINGS_MAX, Reader::mapping),
            "Conditions" => self.members(value, "Conditions", CONDITIONS_MAX, |reader, entry| {
                reader.template.conditions.push(entry.clone());
            }),
            "Resources" => self.members(value, "Resources", RESOURCES_MAX, Reader::resource),
            "Outputs" => self.members(value, "Outputs", OUTPUTS_MAX, Reader::output),
            _ => {}
        }
    }

    fn version(&mut self, value: &Node) {
        let given = value.scalar().unwrap_or_default();
        if given != "2010-09-09" {
            let message = format!("Template format error: unsupported value for AWSTemplateFormatVersion: {given}.");
            self.error(message, value.at);
        }
    }

    fn members(&mut self, value: &Node, section: &str, max: usize, mut each: impl FnMut(&mut Reader, &Entry)) {
        let Some(entries) = value.entries() else {
            // An empty section is written as nothing after its colon.
            if !(value.is_null() && section != "Resources") {
                self.error(format!("Template format error: {section} must be an object."), value.at);
            }
            return;
        };
        if entries.len() > max {
            let message = format!(
                "Template format error: Number of {}, {}, is greater than maximum allowed, {max}",
                section.to_lowercase(),
                entries.len()
            );
            self.error(message, value.at);
            return;
        }
        for entry in entries {
            let key = entry.key.as_str();
            if key.starts_with("Fn::ForEach") {
                self.error("Template error: Fn::ForEach is not supported.", entry.key_at);
                continue;
            }
            // Conditions and mappings are commonly named with other characters and AWS lets them.
            let checked = matches!(section, "Parameters" | "Resources" | "Outputs");
            if checked && (key.is_empty() || !key.bytes().all(|b| b.is_ascii_alphanumeric())) {
                let message = format!("Template format error: {section} name {key} is non alphanumeric.");
                self.error(message, entry.key_at);
                continue;
            }
            if key.len() > LOGICAL_ID_BYTES_MAX {
                let message = format!(
                    "Template format error: {section} name is longer than the maximum allowed, {LOGICAL_ID_BYTES_MAX}."
                );
                self.error(message, entry.key_at);
                continue;
            }
            each(self, entry);
        }
    }

    fn transforms(&mut self, value: &Node) {
        let items = value.items().unwrap_or(std::slice::from_ref(value));
        for item in items {
            match item.scalar() {
                Some(name) => self.template.transforms.push((name.into_owned(), item.at)),
                None => self.error("Template format error: Transform must be a string or a list of strings.", item.at),
            }
        }
    }

    fn mapping(&mut self, entry: &Entry) {
        let malformed = |at| Diagnostic::new("Template format error: Every Mappings member must be a map.", at);
        let Some(tops) = entry.value.entries() else {
            return self.found.push(malformed(entry.value.at).of(&entry.key));
        };
        if tops.len() > MAPPING_ATTRIBUTES_MAX {
            let message = format!(
                "Template format error: Mapping {} has more than {MAPPING_ATTRIBUTES_MAX} attributes.",
                entry.key
            );
            self.error(message, entry.key_at);
        }
        for top in tops {
            if top.value.entries().is_none() {
                let message =
                    format!("Template format error: Every Mappings attribute must be a String or a List: {}.", top.key);
                self.found.push(Diagnostic::new(message, top.value.at).of(&entry.key));
            }
        }
        self.template.mappings.push(entry.clone());
    }

    fn resource(&mut self, entry: &Entry) {
        let (id, at) = (entry.key.as_str(), entry.key_at);
        let Some(members) = entry.value.entries() else {
            let message =
                format!("Template format error: Every Resources object must contain a Type member. [/Resources/{id}]");
            return self.found.push(Diagnostic::new(message, at).of(id));
        };
        for member in members.iter().filter(|m| !RESOURCE_ATTRIBUTES.contains(&m.key.as_str())) {
            let message = format!("Invalid template resource property '{}'", member.key);
            self.found.push(Diagnostic::new(message, member.key_at).of(id));
        }
        let Some((resource_type, type_at)) = entry.value.get("Type").and_then(|t| t.as_str().map(|s| (s, t.at))) else {
            let message =
                format!("Template format error: [/Resources/{id}] Every Resources object must contain a Type member.");
            return self.found.push(Diagnostic::new(message, at).of(id));
        };
        let properties = match entry.value.get("Properties") {
            Some(node) if node.is_map() => node.clone(),
            Some(node) if !node.is_null() => {
                let message =
                    format!("Template format error: [/Resources/{id}/Properties] Properties must be an object.");
                return self.found.push(Diagnostic::new(message, node.at).of(id));
            }
            _ => Node::empty_map(at),
        };
        for unsupported in ["CreationPolicy", "UpdatePolicy", "Connectors"] {
            if let Some(found) = entry.value.entry(unsupported) {
                let notice = Diagnostic::new(format!("the attribute {unsupported} is not acted upon"), found.key_at);
                self.template.notices.push(notice.of(id));
            }
        }
        let deletion_policy = self.policy(&entry.value, "DeletionPolicy", id);
        let resource = Resource {
            logical_id: id.to_owned(),
            at,
            resource_type: resource_type.to_owned(),
            type_at,
            properties,
            condition: self.condition(&entry.value, id),
            depends_on: self.depends_on(&entry.value, id),
            deletion_policy,
            update_replace_policy: self.policy(&entry.value, "UpdateReplacePolicy", id),
            metadata: entry.value.get("Metadata").cloned(),
        };
        self.template.resources.push(resource);
    }

    fn policy(&mut self, resource: &Node, name: &str, id: &str) -> Policy {
        let Some(node) = resource.get(name) else { return Policy::Delete };
        match node.as_str() {
            Some("Delete") => Policy::Delete,
            Some("Retain") => Policy::Retain,
            Some("RetainExceptOnCreate") if name == "DeletionPolicy" => Policy::RetainExceptOnCreate,
            Some("Snapshot") => {
                let notice =
                    Diagnostic::new(format!("{name} Snapshot keeps the resource: there are no snapshots"), node.at);
                self.template.notices.push(notice.of(id));
                Policy::Retain
            }
            _ => {
                let shown = node.scalar().unwrap_or(std::borrow::Cow::Borrowed("an object"));
                let message = format!("Template format error: Unrecognized {name} {shown} for resource {id}");
                self.found.push(Diagnostic::new(message, node.at).of(id));
                Policy::Delete
            }
        }
    }

    fn condition(&mut self, owner: &Node, id: &str) -> Option<(String, Position)> {
        let node = owner.get("Condition")?;
        let Some(name) = node.as_str() else {
            let message = "Template format error: Every Condition member must be a string.".to_owned();
            self.found.push(Diagnostic::new(message, node.at).of(id));
            return None;
        };
        Some((name.to_owned(), node.at))
    }

    fn depends_on(&mut self, resource: &Node, id: &str) -> Vec<(String, Position)> {
        let Some(node) = resource.get("DependsOn") else { return Vec::new() };
        let mut names = Vec::new();
        for item in node.items().unwrap_or(std::slice::from_ref(node)) {
            match item.as_str() {
                Some(name) => names.push((name.to_owned(), item.at)),
                None => {
                    let message = "Template format error: DependsOn must be a string or list of strings.";
                    self.found.push(Diagnostic::new(message, item.at).of(id));
                }
            }
        }
        names
    }

    fn output(&mut self, entry: &Entry) {
        let id = entry.key.as_str();
        let mut error = |message: &str, at| self.found.push(Diagnostic::new(message, at).of(id));
        let Some(members) = entry.value.entries() else {
            return error("Template format error: Every Outputs member must contain a Value object", entry.key_at);
        };
        for member in members {
            if !["Value", "Description", "Export", "Condition"].contains(&member.key.as_str()) {
                let message = format!("Template format error: Invalid Outputs property '{}'", member.key);
                error(&message, member.key_at);
            }
        }
        let Some(value) = entry.value.get("Value").filter(|v| !v.is_null()) else {
            return error("Template format error: Every Outputs member must contain a Value object", entry.key_at);
        };
        let export = match entry.value.get("Export") {
            None => None,
            Some(node) => match node.get("Name") {
                Some(name) => Some(name.clone()),
                None => return error("Template format error: Output Export must contain a Name.", node.at),
            },
        };
        let description = entry.value.get("Description").and_then(|d| self.description(d, id));
        let condition = self.condition(&entry.value, id);
        let value = value.clone();
        self.template.outputs.push(Output {
            name: id.to_owned(),
            at: entry.key_at,
            value,
            description,
            condition,
            export,
        });
    }

    fn description(&mut self, node: &Node, of: &str) -> Option<String> {
        match node.scalar() {
            Some(text) if text.len() <= DESCRIPTION_BYTES_MAX => Some(text.into_owned()),
            Some(_) => {
                let message = format!(
                    "Template format error: {of} 'Description' length is greater than the {DESCRIPTION_BYTES_MAX} byte limit."
                );
                self.error(message, node.at);
                None
            }
            None if node.is_null() => None,
            None => {
                self.error(format!("Template format error: {of} 'Description' must be a string."), node.at);
                None
            }
        }
    }
}
