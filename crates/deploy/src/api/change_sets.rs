//! CreateChangeSet, DescribeChangeSet, ExecuteChangeSet, DeleteChangeSet, ListChangeSets.

use serde::Deserialize;
use serde_json::{Value, json};
use service::{Call, Fault};

use super::describe::{parameters_json, tags_json};
use super::input::{Parameter, Tag, TemplateInput, Unsupported, given, goal, on_failure, tags};
use super::pages::page;
use super::{Adder, compact, seconds};
use crate::Deployer;
use crate::engine::keys::StackKey;
use crate::engine::stored::OperationKind;
use crate::engine::{ChangeSetRequest, Found, broken, refused};

pub(super) fn add(add: &mut Adder<'_>) {
    add.operation("CreateChangeSet", create);
    add.operation("DescribeChangeSet", describe);
    add.operation("ExecuteChangeSet", execute);
    add.operation("DeleteChangeSet", delete);
    add.operation("ListChangeSets", list);
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CreateInput {
    stack_name: String,
    change_set_name: String,
    change_set_type: Option<String>,
    #[serde(flatten)]
    template: TemplateInput,
    parameters: Option<Vec<Parameter>>,
    #[serde(rename = "NotificationARNs")]
    notification_arns: Option<Vec<String>>,
    capabilities: Option<Vec<String>>,
    #[serde(rename = "RoleARN")]
    role_arn: Option<String>,
    tags: Option<Vec<Tag>>,
    description: Option<String>,
    on_stack_failure: Option<String>,
    #[serde(flatten)]
    unsupported: Unsupported,
}

async fn create(deployer: Deployer, call: Call, input: CreateInput) -> Result<Value, Fault> {
    input.unsupported.check()?;
    let kind = match input.change_set_type.as_deref() {
        None | Some("UPDATE") => OperationKind::Update,
        Some("CREATE") => OperationKind::Create,
        Some(other) => return Err(refused(format!("ChangeSetType {other} is not supported"))),
    };
    let request = ChangeSetRequest {
        stack: input.stack_name,
        name: input.change_set_name,
        kind,
        template: input.template.template(&deployer, &call).await?,
        given: given(input.parameters)?,
        goal: goal(input.capabilities, input.role_arn, input.notification_arns),
        tags: tags(input.tags)?,
        description: input.description,
        on_failure: on_failure(input.on_stack_failure.as_deref(), None)?,
    };
    let (id, stack_id) = deployer.create_change_set(&call, request).await?;
    Ok(json!({"Id": id, "StackId": stack_id}))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct NameInput {
    change_set_name: String,
    stack_name: Option<String>,
    next_token: Option<String>,
    client_request_token: Option<String>,
    disable_rollback: Option<bool>,
    retain_except_on_create: Option<bool>,
}

impl NameInput {
    fn find(&self, deployer: &Deployer, call: &Call) -> Result<Found, Fault> {
        deployer.change_set(call, &self.change_set_name, self.stack_name.as_deref())
    }
}

async fn describe(deployer: Deployer, call: Call, input: NameInput) -> Result<Value, Fault> {
    let found = input.find(&deployer, &call)?;
    let (changes, next) = page(found.change_set.changes.clone(), input.next_token.as_deref())?;
    let set = &found.change_set;
    Ok(compact(json!({
        "ChangeSetName": set.name,
        "ChangeSetId": found.id(),
        "StackId": found.stack.id(),
        "StackName": found.stack.name,
        "Description": set.description,
        "Parameters": parameters_json(&set.goal.parameters),
        "CreationTime": seconds(set.created_ms),
        "ExecutionStatus": found.execution(),
        "Status": set.status,
        "StatusReason": set.reason,
        "NotificationARNs": set.goal.notification_arns,
        "RollbackConfiguration": {},
        "Capabilities": set.goal.capabilities,
        "Tags": tags_json(&set.goal.tags),
        "Changes": changes,
        "IncludeNestedStacks": false,
        "NextToken": next,
    })))
}

async fn execute(deployer: Deployer, call: Call, input: NameInput) -> Result<Value, Fault> {
    let found = input.find(&deployer, &call)?;
    let disable = input.disable_rollback == Some(true);
    let retain = input.retain_except_on_create == Some(true);
    let key = deployer.execute_change_set(&call, found, disable, retain, input.client_request_token).await?;
    let limit = deployer.options().linger;
    deployer.linger(&key, limit).await.map_err(|e| broken(&e))?;
    Ok(json!({}))
}

async fn delete(deployer: Deployer, call: Call, input: NameInput) -> Result<Value, Fault> {
    match input.find(&deployer, &call) {
        Ok(found) => deployer.delete_change_set(&found).await?,
        // What is gone is deleted.
        Err(fault) if fault.code == "ChangeSetNotFoundException" => {}
        Err(fault) => return Err(fault),
    }
    Ok(json!({}))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListInput {
    stack_name: String,
    next_token: Option<String>,
}

async fn list(deployer: Deployer, call: Call, input: ListInput) -> Result<Value, Fault> {
    let stack = deployer.existing(&call, &input.stack_name)?;
    let key = StackKey::new(&call.scope, &stack.uuid);
    let sets = deployer.repository().change_sets(&key).map_err(|e| broken(&e))?;
    let (sets, next) = page(sets, input.next_token.as_deref())?;
    let summaries: Vec<Value> = sets
        .into_iter()
        .map(|change_set| {
            let found = Found { stack: stack.clone(), change_set };
            let set = &found.change_set;
            compact(json!({
                "StackId": stack.id(),
                "StackName": stack.name,
                "ChangeSetId": found.id(),
                "ChangeSetName": set.name,
                "ExecutionStatus": found.execution(),
                "Status": set.status,
                "StatusReason": set.reason,
                "CreationTime": seconds(set.created_ms),
                "Description": set.description,
                "IncludeNestedStacks": false,
            }))
        })
        .collect();
    Ok(compact(json!({"Summaries": summaries, "NextToken": next})))
}
