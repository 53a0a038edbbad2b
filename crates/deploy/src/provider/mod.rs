//! Resource types: what CloudFormation's properties mean in calls of the services.
//!
//! One file a service, one [`Provider`] a type, one line in [`PROVIDERS`]. A provider calls operations of the registry
//! and nothing else, so that a template makes exactly what the same API calls would make.

mod context;
mod dynamodb;
mod event_source;
mod events;
mod iam;
mod lambda;
mod lambda_parts;
mod logs;
mod markers;
mod rds;
mod s3;
mod s3_settings;
pub mod schema;
mod secretsmanager;
mod sqs;
mod states;

use async_trait::async_trait;
use serde_json::{Map, Value, json};

pub use context::{Context, Failure, Refusal};
pub use schema::Property;

/// A resource that exists.
#[derive(Clone, Debug, PartialEq)]
pub struct Made {
    /// What `Ref` gives.
    pub physical_id: String,
    /// What `Fn::GetAtt` gives.
    pub attributes: Map<String, Value>,
}

impl Made {
    pub fn new<const N: usize>(physical_id: impl Into<String>, attributes: [(&str, Value); N]) -> Made {
        let attributes = attributes.into_iter().map(|(k, v)| (k.to_owned(), v)).collect();
        Made { physical_id: physical_id.into(), attributes }
    }
}

/// How a physical name comes about where the template gives none.
#[derive(Clone, Copy, Debug)]
pub struct NameRule {
    /// The property that holds a name of the template's.
    pub property: &'static str,
    pub bytes_max: usize,
    pub lower_case: bool,
}

/// One resource type.
///
/// Every method may be called again after an interruption, with [`Context::retry`] set: it then finds its own traces
/// and goes on. `delete` of what is not there is success.
#[async_trait]
pub trait Provider: Send + Sync {
    fn resource_type(&self) -> &'static str;

    /// The operation without which the type is not supported.
    fn needs(&self) -> (&'static str, &'static str);

    fn schema(&self) -> &'static [Property];

    /// Names for `Fn::GetAtt`, checked before anything is made.
    fn attributes(&self) -> &'static [&'static str];

    fn name_rule(&self) -> Option<NameRule> {
        None
    }

    /// What the schema cannot say: members that exclude each other, formats.
    fn check(&self, _properties: &Value) -> Result<(), String> {
        Ok(())
    }

    /// Whether a change needs a new resource.
    fn replaces(&self, old: &Value, new: &Value) -> bool {
        let changed = schema::changed(old, new);
        self.schema().iter().any(|p| p.replaces && changed.contains(&p.name))
    }

    async fn create(&self, ctx: &Context<'_>, wanted: &Value) -> Result<Made, Failure>;

    /// Brings `physical_id` from `old` to `wanted`.
    async fn update(&self, ctx: &Context<'_>, physical_id: &str, old: &Value, wanted: &Value) -> Result<Made, Failure>;

    async fn delete(&self, ctx: &Context<'_>, physical_id: &str, properties: &Value) -> Result<(), Failure>;
}

/// Every supported type.
static PROVIDERS: &[&dyn Provider] = &[
    &dynamodb::Table,
    &event_source::EventSourceMapping,
    &events::Connection,
    &iam::ManagedPolicy,
    &iam::Policy,
    &iam::Role,
    &lambda::Function,
    &lambda_parts::Alias,
    &lambda_parts::EventInvokeConfig,
    &lambda_parts::LayerVersion,
    &lambda_parts::Permission,
    &lambda_parts::Version,
    &logs::LogGroup,
    &markers::CdkMetadata,
    &markers::WaitConditionHandle,
    &rds::DbCluster,
    &s3::Bucket,
    &s3::BucketPolicy,
    &secretsmanager::Secret,
    &sqs::Queue,
    &sqs::QueuePolicy,
    &states::Activity,
    &states::StateMachine,
    &states::StateMachineAlias,
    &states::StateMachineVersion,
];

/// The provider of a type.
pub fn find(resource_type: &str) -> Option<&'static dyn Provider> {
    PROVIDERS.iter().copied().find(|p| p.resource_type() == resource_type)
}

/// All types, in order.
pub fn resource_types() -> impl Iterator<Item = &'static str> {
    PROVIDERS.iter().map(|p| p.resource_type())
}

fn text<'a>(properties: &'a Value, name: &str) -> Option<&'a str> {
    properties.get(name).and_then(Value::as_str)
}

fn list<'a>(properties: &'a Value, name: &str) -> &'a [Value] {
    properties.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The members of these names, as they are.
fn pick(properties: &Value, names: &[&str]) -> Value {
    let found = names.iter().filter_map(|n| properties.get(*n).map(|v| ((*n).to_owned(), v.clone())));
    Value::Object(found.collect())
}

/// Adds a member to an object.
fn put(target: &mut Value, name: &str, value: impl Into<Value>) {
    if let Some(members) = target.as_object_mut() {
        members.insert(name.to_owned(), value.into());
    }
}

/// `[{Key, Value}]` as `{Key: Value}`.
fn tag_map(properties: &Value) -> Map<String, Value> {
    let tags = list(properties, "Tags").iter();
    tags.filter_map(|t| Some((t.get("Key")?.as_str()?.to_owned(), t.get("Value")?.clone()))).collect()
}

/// What must be set and what must be taken away for tags to become `wanted`.
fn tag_changes(old: &Value, wanted: &Value) -> (Map<String, Value>, Vec<String>) {
    let (old, wanted) = (tag_map(old), tag_map(wanted));
    let gone = old.keys().filter(|k| !wanted.contains_key(*k)).cloned().collect();
    let set = wanted.into_iter().filter(|(k, v)| old.get(k) != Some(v)).collect();
    (set, gone)
}

/// `{Key: Value}` as `[{Key, Value}]`, under the member names of the service.
fn tag_list(tags: &Map<String, Value>, key: &str, value: &str) -> Value {
    tags.iter().map(|(k, v)| json!({key: k, value: v})).collect()
}

/// An object's member names with a small first letter, at every depth: what Step Functions' API uses.
fn camel(value: &Value) -> Value {
    match value {
        Value::Object(members) => Value::Object(
            members
                .iter()
                .map(|(name, v)| {
                    let mut letters = name.chars();
                    let first = letters.next().map(|c| c.to_ascii_lowercase());
                    (first.into_iter().chain(letters).collect(), camel(v))
                })
                .collect(),
        ),
        Value::Array(items) => items.iter().map(camel).collect(),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests;
