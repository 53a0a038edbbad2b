//! What stacks, their resources and their events are.

use serde::Deserialize;
use serde_json::{Value, json};
use service::{Call, Fault};

use super::pages::{PAGE, number, page};
use super::{Adder, compact, seconds};
use crate::Deployer;
use crate::engine::keys::StackKey;
use crate::engine::stored::{Record, Stack, StackStatus, StoredParameter};
use crate::engine::{broken, refused};

pub(super) fn add(add: &mut Adder<'_>) {
    add.operation("DescribeStacks", stacks);
    add.operation("ListStacks", list);
    add.operation("DescribeStackEvents", events);
    add.operation("DescribeStackResources", resources);
    add.operation("DescribeStackResource", resource);
    add.operation("ListStackResources", list_resources);
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input {
    stack_name: Option<String>,
    next_token: Option<String>,
    #[serde(default)]
    stack_status_filter: Vec<String>,
    logical_resource_id: Option<String>,
    physical_resource_id: Option<String>,
}

impl Input {
    /// The stack meant: a live one by its name, any by its id.
    fn stack(&self, deployer: &Deployer, call: &Call) -> Result<(Stack, StackKey), Fault> {
        let name = self.stack_name.as_deref().ok_or_else(|| {
            refused(
                "1 validation error detected: Value null at 'stackName' failed to satisfy constraint: Member must not be null",
            )
        })?;
        let found = deployer.repository().find(&call.scope, name).map_err(|e| broken(&e))?;
        let stack = found.ok_or_else(|| refused(format!("Stack with id {name} does not exist")))?;
        let key = StackKey::new(&call.scope, &stack.uuid);
        Ok((stack, key))
    }
}

pub(super) fn parameters_json(parameters: &[StoredParameter]) -> Value {
    let one = |p: &StoredParameter| {
        let value = if p.no_echo { "****" } else { p.value.as_str() };
        compact(json!({"ParameterKey": p.key, "ParameterValue": value, "ResolvedValue": p.resolved}))
    };
    parameters.iter().map(one).collect()
}

pub(super) fn tags_json(tags: &[(String, String)]) -> Value {
    tags.iter().map(|(key, value)| json!({"Key": key, "Value": value})).collect()
}

fn stack_json(stack: &Stack) -> Value {
    let outputs: Vec<Value> = stack
        .outputs
        .iter()
        .map(|o| {
            compact(json!({
                "OutputKey": o.key,
                "OutputValue": o.value,
                "Description": o.description,
                "ExportName": o.export,
            }))
        })
        .collect();
    let goal = &stack.current;
    compact(json!({
        "StackId": stack.id(),
        "StackName": stack.name,
        "ChangeSetId": stack.change_set_id,
        "Description": goal.description,
        "Parameters": parameters_json(&goal.parameters),
        "CreationTime": seconds(stack.created_ms),
        "DeletionTime": stack.deleted_ms.map(seconds),
        "LastUpdatedTime": stack.updated_ms.map(seconds),
        "RollbackConfiguration": {},
        "StackStatus": stack.status.name(),
        "StackStatusReason": stack.reason,
        "DisableRollback": stack.disable_rollback,
        "NotificationARNs": goal.notification_arns,
        "TimeoutInMinutes": stack.timeout_minutes,
        "Capabilities": goal.capabilities,
        "Outputs": (!outputs.is_empty()).then_some(outputs),
        "RoleARN": goal.role_arn,
        "Tags": tags_json(&goal.tags),
        "EnableTerminationProtection": stack.termination_protection,
        "DriftInformation": {"StackDriftStatus": "NOT_CHECKED"},
    }))
}

async fn stacks(deployer: Deployer, call: Call, input: Input) -> Result<Value, Fault> {
    if input.stack_name.is_some() {
        let (stack, _) = input.stack(&deployer, &call)?;
        return Ok(json!({"Stacks": [stack_json(&stack)]}));
    }
    let mut all = deployer.repository().stacks(&call.scope).map_err(|e| broken(&e))?;
    all.retain(|s| s.status != StackStatus::DeleteComplete);
    all.reverse();
    let (stacks, next) = page(all, input.next_token.as_deref())?;
    Ok(compact(json!({"Stacks": stacks.iter().map(stack_json).collect::<Vec<_>>(), "NextToken": next})))
}

async fn list(deployer: Deployer, call: Call, input: Input) -> Result<Value, Fault> {
    let mut all = deployer.repository().stacks(&call.scope).map_err(|e| broken(&e))?;
    if !input.stack_status_filter.is_empty() {
        all.retain(|s| input.stack_status_filter.iter().any(|f| f == s.status.name()));
    }
    all.reverse();
    let (stacks, next) = page(all, input.next_token.as_deref())?;
    let summary = |s: &Stack| {
        compact(json!({
            "StackId": s.id(),
            "StackName": s.name,
            "TemplateDescription": s.current.description,
            "CreationTime": seconds(s.created_ms),
            "LastUpdatedTime": s.updated_ms.map(seconds),
            "DeletionTime": s.deleted_ms.map(seconds),
            "StackStatus": s.status.name(),
            "StackStatusReason": s.reason,
            "DriftInformation": {"StackDriftStatus": "NOT_CHECKED"},
        }))
    };
    Ok(compact(json!({"StackSummaries": stacks.iter().map(summary).collect::<Vec<_>>(), "NextToken": next})))
}

async fn events(deployer: Deployer, call: Call, input: Input) -> Result<Value, Fault> {
    let (stack, key) = input.stack(&deployer, &call)?;
    let before = number(input.next_token.as_deref())?.unwrap_or(u64::MAX);
    let found = deployer.repository().events_before(&key, before, PAGE).map_err(|e| broken(&e))?;
    let next = (found.len() == PAGE).then(|| found.last().map(|(n, _)| n.to_string())).flatten();
    let events: Vec<Value> = found
        .into_iter()
        .map(|(_, event)| {
            compact(json!({
                "StackId": stack.id(),
                "EventId": event.event_id,
                "StackName": stack.name,
                "LogicalResourceId": event.logical_id,
                "PhysicalResourceId": event.physical_id,
                "ResourceType": event.resource_type,
                "Timestamp": seconds(event.timestamp_ms),
                "ResourceStatus": event.status,
                "ResourceStatusReason": event.reason,
                "ResourceProperties": event.properties,
                "ClientRequestToken": event.token,
            }))
        })
        .collect();
    Ok(compact(json!({"StackEvents": events, "NextToken": next})))
}

/// A resource under the member names of one of the three operations.
fn resource_json(stack: &Stack, record: &Record, time: &str, detail: bool) -> Value {
    let mut value = json!({
        "LogicalResourceId": record.logical_id,
        "PhysicalResourceId": record.instance.as_ref().map(|i| i.physical_id.clone()),
        "ResourceType": record.resource_type,
        "ResourceStatus": record.status,
        "ResourceStatusReason": record.reason,
        "DriftInformation": {"StackResourceDriftStatus": "NOT_CHECKED"},
    });
    value[time] = json!(seconds(record.changed_ms));
    if time == "Timestamp" || detail {
        value["StackId"] = stack.id().into();
        value["StackName"] = stack.name.clone().into();
    }
    if detail {
        value["Metadata"] = record.metadata.clone().unwrap_or_else(|| json!({})).to_string().into();
    }
    compact(value)
}

fn records(deployer: &Deployer, key: &StackKey) -> Result<Vec<Record>, Fault> {
    Ok(deployer.repository().records(key).map_err(|e| broken(&e))?.into_values().collect())
}

async fn resources(deployer: Deployer, call: Call, mut input: Input) -> Result<Value, Fault> {
    if input.stack_name.is_none() {
        let Some(physical) = input.physical_resource_id.clone() else {
            return Err(refused("Either StackName or PhysicalResourceId must be specified."));
        };
        input.stack_name = Some(owner_of(&deployer, &call, &physical)?);
        // Asked by one of its resources, a stack shows all of them.
        input.physical_resource_id = None;
    }
    let (stack, key) = input.stack(&deployer, &call)?;
    let mut found = records(&deployer, &key)?;
    if let Some(id) = &input.logical_resource_id {
        found.retain(|r| r.logical_id == *id);
    }
    if let Some(id) = &input.physical_resource_id {
        found.retain(|r| r.instance.as_ref().is_some_and(|i| i.physical_id == *id));
    }
    let shown: Vec<Value> = found.iter().map(|r| resource_json(&stack, r, "Timestamp", false)).collect();
    Ok(json!({"StackResources": shown}))
}

fn owner_of(deployer: &Deployer, call: &Call, physical: &str) -> Result<String, Fault> {
    for stack in deployer.repository().stacks(&call.scope).map_err(|e| broken(&e))? {
        let key = StackKey::new(&call.scope, &stack.uuid);
        let owns =
            records(deployer, &key)?.iter().any(|r| r.instance.as_ref().is_some_and(|i| i.physical_id == physical));
        if owns {
            return Ok(stack.id());
        }
    }
    Err(refused(format!("Stack for {physical} does not exist")))
}

async fn resource(deployer: Deployer, call: Call, input: Input) -> Result<Value, Fault> {
    let (stack, key) = input.stack(&deployer, &call)?;
    let id = input.logical_resource_id.as_deref().unwrap_or_default();
    let record = deployer.repository().record(&key, id).map_err(|e| broken(&e))?;
    let record = record.ok_or_else(|| refused(format!("Resource {id} does not exist for stack {}", stack.name)))?;
    Ok(json!({"StackResourceDetail": resource_json(&stack, &record, "LastUpdatedTimestamp", true)}))
}

async fn list_resources(deployer: Deployer, call: Call, input: Input) -> Result<Value, Fault> {
    let (stack, key) = input.stack(&deployer, &call)?;
    let (found, next) = page(records(&deployer, &key)?, input.next_token.as_deref())?;
    let shown: Vec<Value> = found.iter().map(|r| resource_json(&stack, r, "LastUpdatedTimestamp", false)).collect();
    Ok(compact(json!({"StackResourceSummaries": shown, "NextToken": next})))
}
