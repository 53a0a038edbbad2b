//! What an operation would change, found without calling anything.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use service::Registry;

use super::environment::Live;
use super::prepare::{Prepared, unsupported};
use super::stored::{Record, StoredOutput, StoredPolicy};
use crate::provider::{self, Provider};
use crate::template::{Diagnostic, Diagnostics, Policy, Resource, references};

/// The changes of an operation, in the order in which they would be made.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    pub changes: Vec<PlannedChange>,
    /// Outputs or exports differ, or will be known only later.
    pub outputs_differ: bool,
}

/// One resource's change.
#[derive(Debug)]
pub(crate) struct PlannedChange {
    pub action: &'static str,
    pub logical_id: String,
    pub physical_id: Option<String>,
    pub resource_type: String,
    pub replacement: Option<&'static str>,
    pub scope: Vec<&'static str>,
    pub details: Vec<Value>,
}

/// What a plan starts from.
pub(crate) struct Before<'a> {
    pub records: &'a BTreeMap<String, Record>,
    pub exports: &'a BTreeMap<String, String>,
    pub outputs: &'a [StoredOutput],
    pub parameters: &'a BTreeMap<String, String>,
}

impl Plan {
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty() && !self.outputs_differ
    }

    /// Plans, and finds what is wrong with any active resource on the way.
    pub fn make(
        prepared: &Prepared,
        before: &Before<'_>,
        stack_tags: &[(String, String)],
        registry: &Registry,
    ) -> Result<Plan, Diagnostics> {
        let order = prepared.order()?;
        types(order.iter().map(|(r, _)| *r), before.records, registry)?;
        let mut live = Live::new(before.records, before.exports);
        let mut planner = Planner { prepared, before, plan: Plan::default(), found: Vec::new() };
        for (resource, _) in &order {
            match prepared.properties(resource, &live, stack_tags) {
                Ok(wanted) => {
                    if planner.resource(resource, &wanted) {
                        live.unknown.insert(resource.logical_id.clone(), resource.resource_type.clone());
                    }
                }
                Err(found) => {
                    planner.found.extend(found.found);
                    // What refers to it is no error of its own.
                    live.unknown.insert(resource.logical_id.clone(), resource.resource_type.clone());
                }
            }
        }
        let active: BTreeSet<&str> = order.iter().map(|(r, _)| r.logical_id.as_str()).collect();
        planner.removals(&active);
        planner.outputs(&live);
        Diagnostics::unless_empty(planner.found)?;
        Ok(planner.plan)
    }
}

/// Every type must be known, its service there, and an update must not change it.
fn types<'a>(
    resources: impl Iterator<Item = &'a Resource>,
    records: &BTreeMap<String, Record>,
    registry: &Registry,
) -> Result<(), Diagnostics> {
    let mut found = Vec::new();
    for resource in resources {
        let Some(provider) = provider::find(&resource.resource_type) else {
            found.push(unsupported(resource));
            continue;
        };
        let (service, operation) = provider.needs();
        // The markers need nothing but ourselves.
        if service != "cloudformation" && !registry.has_operation(service, operation) {
            let message = format!(
                "Template format error: the resource type {} is not supported here: it needs {service}:{operation}",
                resource.resource_type
            );
            found.push(Diagnostic::new(message, resource.type_at).of(&resource.logical_id));
        }
        let old = records.get(&resource.logical_id).and_then(|r| r.instance.as_ref());
        if old.is_some_and(|i| i.resource_type != resource.resource_type) {
            let message = format!(
                "Update of resource type is not permitted. The new template modifies resource type of the following \
                 resources: [{}]",
                resource.logical_id
            );
            found.push(Diagnostic::new(message, resource.type_at).of(&resource.logical_id));
        }
    }
    Diagnostics::unless_empty(found)
}

struct Planner<'a> {
    prepared: &'a Prepared,
    before: &'a Before<'a>,
    plan: Plan,
    found: Vec<Diagnostic>,
}

impl Planner<'_> {
    /// Plans one resource; true where its names will be known only afterwards.
    fn resource(&mut self, resource: &Resource, wanted: &Value) -> bool {
        let record = self.before.records.get(&resource.logical_id);
        let Some((record, old)) = record.and_then(|r| r.instance.as_ref().map(|i| (r, i))) else {
            self.plan.changes.push(PlannedChange {
                action: "Add",
                logical_id: resource.logical_id.clone(),
                physical_id: None,
                resource_type: resource.resource_type.clone(),
                replacement: None,
                scope: Vec::new(),
                details: Vec::new(),
            });
            return true;
        };
        let Some(provider) = provider::find(&resource.resource_type) else { return false };
        let changed = provider::schema::changed(&old.properties, wanted);
        let mut scope = Vec::new();
        let mut details = Vec::new();
        for name in &changed {
            let part = if *name == "Tags" { "Tags" } else { "Properties" };
            if !scope.contains(&part) {
                scope.push(part);
            }
            details.push(self.detail(resource, provider, name, wanted, part));
        }
        for attribute in settings_changed(record, resource) {
            scope.push(attribute);
            let target = json!({"Attribute": attribute, "RequiresRecreation": "Never"});
            details.push(json!({"Target": target, "Evaluation": "Static", "ChangeSource": "DirectModification"}));
        }
        if scope.is_empty() {
            return false;
        }
        let replaced = !changed.is_empty() && provider.replaces(&old.properties, wanted);
        // Where only what is known later differs, it may turn out to be the same.
        let certain = !replaced || {
            let known: Vec<&&str> = changed.iter().filter(|n| !is_unknown(&wanted[**n])).collect();
            known.iter().any(|n| provider.schema().iter().any(|p| p.replaces && p.name == **n))
        };
        self.plan.changes.push(PlannedChange {
            action: "Modify",
            logical_id: resource.logical_id.clone(),
            physical_id: Some(old.physical_id.clone()),
            resource_type: resource.resource_type.clone(),
            replacement: Some(match (replaced, certain) {
                (false, _) => "False",
                (true, true) => "True",
                (true, false) => "Conditional",
            }),
            scope,
            details,
        });
        replaced
    }

    fn detail(&self, resource: &Resource, provider: &dyn Provider, name: &str, wanted: &Value, part: &str) -> Value {
        let replaces = provider.schema().iter().any(|p| p.replaces && p.name == name);
        let target = if part == "Tags" {
            json!({"Attribute": "Tags", "RequiresRecreation": "Never"})
        } else {
            let recreation = if replaces { "Always" } else { "Never" };
            json!({"Attribute": "Properties", "Name": name, "RequiresRecreation": recreation})
        };
        let mut detail = json!({"Target": target, "Evaluation": "Static", "ChangeSource": "DirectModification"});
        let raw = resource.properties.get(name);
        let found = raw.map(|n| references(n, Some(&self.prepared.conditions))).unwrap_or_default();
        if wanted.get(name).is_some_and(is_unknown)
            && let Some(cause) = found.iter().find(|r| self.prepared.template.resource(&r.name).is_some())
        {
            detail["Evaluation"] = "Dynamic".into();
            let entity = match &cause.attribute {
                Some(attribute) => format!("{}.{attribute}", cause.name),
                None => cause.name.clone(),
            };
            detail["CausingEntity"] = entity.into();
            let source = if cause.attribute.is_some() { "ResourceAttribute" } else { "ResourceReference" };
            detail["ChangeSource"] = source.into();
        } else if let Some(cause) = found.iter().find(|r| self.parameter_changed(&r.name)) {
            detail["ChangeSource"] = "ParameterReference".into();
            detail["CausingEntity"] = cause.name.clone().into();
        }
        detail
    }

    fn parameter_changed(&self, name: &str) -> bool {
        self.prepared.parameters.get(name).is_some_and(|b| self.before.parameters.get(name) != Some(&b.text))
    }

    fn removals(&mut self, active: &BTreeSet<&str>) {
        let mut removed: Vec<(&Record, u32)> =
            self.before.records.values().filter_map(|r| Some((r, r.instance.as_ref()?.order))).collect();
        removed.retain(|(r, _)| !active.contains(r.logical_id.as_str()));
        removed.sort_by_key(|(_, order)| std::cmp::Reverse(*order));
        for (record, _) in removed {
            self.plan.changes.push(PlannedChange {
                action: "Remove",
                logical_id: record.logical_id.clone(),
                physical_id: record.instance.as_ref().map(|i| i.physical_id.clone()),
                resource_type: record.resource_type.clone(),
                replacement: None,
                scope: Vec::new(),
                details: Vec::new(),
            });
        }
    }

    fn outputs(&mut self, live: &Live<'_>) {
        match outputs(self.prepared, live) {
            Ok(outputs) => self.plan.outputs_differ = outputs != self.before.outputs,
            Err(found) => self.found.push(found),
        }
    }
}

/// Whether a value hangs on a resource that is yet to be made.
fn is_unknown(value: &Value) -> bool {
    match value {
        Value::String(text) => text == "{{known after creation}}",
        Value::Array(items) => items.iter().any(is_unknown),
        Value::Object(members) => members.values().any(is_unknown),
        _ => false,
    }
}

/// The attributes of a resource beside its properties that differ.
pub(super) fn settings_changed(record: &Record, resource: &Resource) -> Vec<&'static str> {
    let mut changed = Vec::new();
    if record.metadata != resource.metadata.as_ref().map(crate::template::Node::to_json) {
        changed.push("Metadata");
    }
    if record.deletion_policy != stored_policy(resource.deletion_policy) {
        changed.push("DeletionPolicy");
    }
    if record.update_replace_policy != stored_policy(resource.update_replace_policy) {
        changed.push("UpdateReplacePolicy");
    }
    changed
}

pub(super) fn stored_policy(policy: Policy) -> StoredPolicy {
    match policy {
        Policy::Delete => StoredPolicy::Delete,
        Policy::Retain => StoredPolicy::Retain,
        Policy::RetainExceptOnCreate => StoredPolicy::RetainExceptOnCreate,
    }
}

/// The values of the active outputs.
pub(super) fn outputs(prepared: &Prepared, live: &Live<'_>) -> Result<Vec<StoredOutput>, Diagnostic> {
    let evaluator = prepared.evaluator(live);
    let mut outputs = Vec::new();
    for output in &prepared.template.outputs {
        let condition = output.condition.as_ref().map(|(name, _)| name);
        if condition.is_some_and(|name| prepared.conditions.get(name) != Some(&true)) {
            continue;
        }
        let text = |node: &crate::template::Node| -> Result<Option<String>, Diagnostic> {
            let Some(value) = evaluator.evaluate(node).map_err(|d| d.of(&output.name))? else { return Ok(None) };
            match value.scalar() {
                Some(text) => Ok(Some(text.into_owned())),
                None if value.is_unknown() => Ok(Some("{{known after creation}}".to_owned())),
                None => {
                    let message =
                        "Template format error: The Value field of every Outputs member must evaluate to a String.";
                    Err(Diagnostic::new(message, node.at).of(&output.name))
                }
            }
        };
        let Some(value) = text(&output.value)? else { continue };
        let export = output.export.as_ref().map(&text).transpose()?.flatten();
        outputs.push(StoredOutput { key: output.name.clone(), value, description: output.description.clone(), export });
    }
    Ok(outputs)
}
