//! Tags, time to live, limits and backups.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use service::{Call, Fault};

use super::State;
use super::request::{Violations, table_name, table_of_arn};
use crate::fault::{no_table, table_not_found, validation};
use crate::machine::{Change, Defined};
use crate::schema::{Fill, Table, TableName, TimeToLive};

const TAGS_MAX: usize = 50;
const TAG_KEY_LENGTH_MAX: usize = 128;
const TAG_VALUE_LENGTH_MAX: usize = 256;

#[derive(Clone, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Tag {
    key: Option<String>,
    value: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct TableInput {
    table_name: Option<String>,
}

#[derive(Deserialize)]
pub(crate) struct NoInput {}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct UpdateTimeToLiveInput {
    table_name: Option<String>,
    time_to_live_specification: Option<TimeToLiveInput>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct TimeToLiveInput {
    enabled: Option<bool>,
    attribute_name: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct TagInput {
    resource_arn: Option<String>,
    tags: Option<Vec<Tag>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct UntagInput {
    resource_arn: Option<String>,
    tag_keys: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ListTagsInput {
    resource_arn: Option<String>,
    next_token: Option<String>,
}

pub(crate) async fn describe_limits(state: &Arc<State>, _: Call, _: NoInput) -> Result<Value, Fault> {
    let _ = state;
    Ok(json!({
        "AccountMaxReadCapacityUnits": 80_000,
        "AccountMaxWriteCapacityUnits": 80_000,
        "TableMaxReadCapacityUnits": 40_000,
        "TableMaxWriteCapacityUnits": 40_000,
    }))
}

/// There are no backups: they are switched off for every table.
pub(crate) async fn describe_continuous_backups(
    state: &Arc<State>,
    call: Call,
    input: TableInput,
) -> Result<Value, Fault> {
    let mut violations = Violations::default();
    let name = table_name(&call, input.table_name.as_deref(), &mut violations);
    violations.finish()?;
    state
        .catalog
        .get(&name)
        .ok_or_else(|| Fault::client("TableNotFoundException", format!("Table not found: {}", name.name)))?;
    Ok(json!({"ContinuousBackupsDescription": {
        "ContinuousBackupsStatus": "ENABLED",
        "PointInTimeRecoveryDescription": {"PointInTimeRecoveryStatus": "DISABLED"},
    }}))
}

pub(crate) async fn describe_time_to_live(state: &Arc<State>, call: Call, input: TableInput) -> Result<Value, Fault> {
    let mut violations = Violations::default();
    let name = table_name(&call, input.table_name.as_deref(), &mut violations);
    violations.finish()?;
    let table = state.catalog.get(&name).ok_or_else(|| table_not_found(&name.name))?;
    let shown = match &table.time_to_live {
        Some(ttl) => json!({"TimeToLiveStatus": "ENABLED", "AttributeName": ttl.attribute}),
        None => json!({"TimeToLiveStatus": "DISABLED"}),
    };
    Ok(json!({"TimeToLiveDescription": shown}))
}

pub(crate) async fn update_time_to_live(
    state: &Arc<State>,
    call: Call,
    input: UpdateTimeToLiveInput,
) -> Result<Value, Fault> {
    let mut violations = Violations::default();
    let name = table_name(&call, input.table_name.as_deref(), &mut violations);
    violations.require("timeToLiveSpecification", input.time_to_live_specification.as_ref());
    let wanted = input.time_to_live_specification.unwrap_or(TimeToLiveInput { enabled: None, attribute_name: None });
    violations.require("timeToLiveSpecification.enabled", wanted.enabled.as_ref());
    violations.require("timeToLiveSpecification.attributeName", wanted.attribute_name.as_ref());
    let attribute = wanted.attribute_name.unwrap_or_default();
    violations.length("timeToLiveSpecification.attributeName", &attribute, attribute.len(), 1, 255);
    violations.finish()?;
    let enabled = wanted.enabled.unwrap_or(false);
    let wanted_name = name.name.clone();
    let change: Change = Box::new(move |old, _| {
        let mut table = old.ok_or_else(|| table_not_found(&wanted_name))?.clone();
        match (&table.time_to_live, enabled) {
            (Some(_), true) => return Err(validation("TimeToLive is already enabled")),
            (None, false) => return Err(validation("TimeToLive is already disabled")),
            (Some(ttl), false) if ttl.attribute != attribute => {
                let message = "TimeToLive is active on a different AttributeName: current AttributeName is ";
                return Err(validation(format!("{message}{}", ttl.attribute)));
            }
            (Some(_), false) => table.time_to_live = None,
            (None, true) => {
                let fill = Fill::Behind(Vec::new());
                table.time_to_live = Some(TimeToLive { attribute: attribute.clone(), id: table.next_index_id, fill });
                table.next_index_id += 1;
            }
        }
        let shown = json!({"TimeToLiveSpecification": {"Enabled": enabled, "AttributeName": attribute}});
        Ok((Defined::Put(Box::new(table)), shown))
    });
    state.define(&call, name, change).await
}

pub(crate) async fn tag_resource(state: &Arc<State>, call: Call, input: TagInput) -> Result<Value, Fault> {
    let mut violations = Violations::default();
    violations.require("resourceArn", input.resource_arn.as_ref());
    violations.require("tags", input.tags.as_ref());
    violations.finish()?;
    let name = resource(input.resource_arn.as_deref())?;
    let tags = input.tags.unwrap_or_default();
    state
        .retag(&call, name, move |table| {
            table.tags = check_tags(std::mem::take(&mut table.tags), tags)?;
            Ok(())
        })
        .await
}

pub(crate) async fn untag_resource(state: &Arc<State>, call: Call, input: UntagInput) -> Result<Value, Fault> {
    let mut violations = Violations::default();
    violations.require("resourceArn", input.resource_arn.as_ref());
    violations.require("tagKeys", input.tag_keys.as_ref());
    violations.finish()?;
    let name = resource(input.resource_arn.as_deref())?;
    let keys = input.tag_keys.unwrap_or_default();
    state
        .retag(&call, name, move |table| {
            table.tags.retain(|key, _| !keys.contains(key));
            Ok(())
        })
        .await
}

pub(crate) async fn list_tags_of_resource(state: &Arc<State>, _: Call, input: ListTagsInput) -> Result<Value, Fault> {
    let mut violations = Violations::default();
    violations.require("resourceArn", input.resource_arn.as_ref());
    violations.finish()?;
    if input.next_token.is_some() {
        return Err(validation("Invalid NextToken: all tags were returned in one page"));
    }
    let name = resource(input.resource_arn.as_deref())?;
    let table = state.catalog.get(&name).ok_or_else(|| no_resource(&name))?;
    let tags: Vec<Value> = table.tags.iter().map(|(key, value)| json!({"Key": key, "Value": value})).collect();
    Ok(json!({"Tags": tags}))
}

impl State {
    async fn retag(
        &self,
        call: &Call,
        name: TableName,
        retag: impl FnOnce(&mut Table) -> Result<(), Fault> + Send + 'static,
    ) -> Result<Value, Fault> {
        let missing = no_resource(&name);
        let change: Change = Box::new(move |old, _| {
            let mut table = old.ok_or(missing)?.clone();
            retag(&mut table)?;
            Ok((Defined::Put(Box::new(table)), json!({})))
        });
        self.define(call, name, change).await
    }
}

fn resource(arn: Option<&str>) -> Result<TableName, Fault> {
    let arn = arn.unwrap_or_default();
    table_of_arn(arn)
        .ok_or_else(|| validation(format!("Invalid TableArn: Invalid ResourceArn provided as input {arn}")))
}

fn no_resource(name: &TableName) -> Fault {
    let arn = name.scope.arn("dynamodb", format_args!("table/{}", name.name));
    let mut fault = no_table();
    fault.message = format!("Requested resource not found: ResourcArn: {arn} not found");
    fault
}

/// `old` with `new` added, if that keeps the rules of tags.
pub(crate) fn check_tags(mut old: BTreeMap<String, String>, new: Vec<Tag>) -> Result<BTreeMap<String, String>, Fault> {
    for tag in new {
        let (Some(key), Some(value)) = (tag.key, tag.value) else {
            return Err(validation("One or more parameter values were invalid: Tag needs a Key and a Value"));
        };
        let too_long = key.chars().count() > TAG_KEY_LENGTH_MAX || value.chars().count() > TAG_VALUE_LENGTH_MAX;
        if key.is_empty() || too_long || key.starts_with("aws:") {
            return Err(validation(format!("One or more parameter values were invalid: Invalid tag: {key}")));
        }
        old.insert(key, value);
    }
    if old.len() > TAGS_MAX {
        return Err(validation("One or more parameter values were invalid: Too many tags: at most 50 are allowed"));
    }
    Ok(old)
}
