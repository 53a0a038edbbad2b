//! CreateStack, UpdateStack, DeleteStack, UpdateTerminationProtection.

use serde::Deserialize;
use serde_json::{Value, json};
use service::{Call, Fault};

use super::Adder;
use super::input::{Parameter, Tag, TemplateInput, Unsupported, given, goal, on_failure, tags};
use crate::Deployer;
use crate::engine::keys::StackKey;
use crate::engine::stored::{OnFailure, Source};
use crate::engine::{CreateRequest, DeleteRequest, UpdateRequest, broken, refused};

pub(super) fn add(add: &mut Adder<'_>) {
    add.operation("CreateStack", create);
    add.operation("UpdateStack", update);
    add.operation("DeleteStack", delete);
    add.operation("UpdateTerminationProtection", protect);
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CreateInput {
    stack_name: String,
    #[serde(flatten)]
    template: TemplateInput,
    parameters: Option<Vec<Parameter>>,
    disable_rollback: Option<bool>,
    timeout_in_minutes: Option<u64>,
    #[serde(rename = "NotificationARNs")]
    notification_arns: Option<Vec<String>>,
    capabilities: Option<Vec<String>>,
    #[serde(rename = "RoleARN")]
    role_arn: Option<String>,
    on_failure: Option<String>,
    tags: Option<Vec<Tag>>,
    client_request_token: Option<String>,
    enable_termination_protection: Option<bool>,
    retain_except_on_create: Option<bool>,
    #[serde(flatten)]
    unsupported: Unsupported,
}

async fn create(deployer: Deployer, call: Call, input: CreateInput) -> Result<Value, Fault> {
    input.unsupported.check()?;
    let text = input.template.text(&deployer, &call).await?;
    let text = text.ok_or_else(|| refused("Either Template URL or Template Body must be specified."))?;
    let mut goal = goal(input.capabilities, input.role_arn, input.notification_arns);
    goal.tags = tags(input.tags)?.unwrap_or_default();
    let request = CreateRequest {
        name: input.stack_name,
        source: Source { text, artifacts: Vec::new() },
        given: given(input.parameters)?,
        goal,
        on_failure: on_failure(input.on_failure.as_deref(), input.disable_rollback)?.unwrap_or(OnFailure::Rollback),
        timeout_minutes: input.timeout_in_minutes,
        termination_protection: input.enable_termination_protection == Some(true),
        retain_except_on_create: input.retain_except_on_create == Some(true),
        token: input.client_request_token,
    };
    let id = deployer.create_stack(&call, request).await?;
    linger(&deployer, &call, &id).await?;
    Ok(json!({"StackId": id}))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct UpdateInput {
    stack_name: String,
    #[serde(flatten)]
    template: TemplateInput,
    parameters: Option<Vec<Parameter>>,
    disable_rollback: Option<bool>,
    #[serde(rename = "NotificationARNs")]
    notification_arns: Option<Vec<String>>,
    capabilities: Option<Vec<String>>,
    #[serde(rename = "RoleARN")]
    role_arn: Option<String>,
    tags: Option<Vec<Tag>>,
    client_request_token: Option<String>,
    retain_except_on_create: Option<bool>,
    #[serde(flatten)]
    unsupported: Unsupported,
}

async fn update(deployer: Deployer, call: Call, input: UpdateInput) -> Result<Value, Fault> {
    input.unsupported.check()?;
    let request = UpdateRequest {
        stack: input.stack_name,
        template: input.template.template(&deployer, &call).await?,
        given: given(input.parameters)?,
        goal: goal(input.capabilities, input.role_arn, input.notification_arns),
        tags: tags(input.tags)?,
        disable_rollback: input.disable_rollback == Some(true),
        retain_except_on_create: input.retain_except_on_create == Some(true),
        token: input.client_request_token,
    };
    let id = deployer.update_stack(&call, request).await?;
    linger(&deployer, &call, &id).await?;
    Ok(json!({"StackId": id}))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DeleteInput {
    stack_name: String,
    retain_resources: Option<Vec<String>>,
    client_request_token: Option<String>,
    deletion_mode: Option<String>,
}

async fn delete(deployer: Deployer, call: Call, input: DeleteInput) -> Result<Value, Fault> {
    if input.deletion_mode.as_deref().is_some_and(|m| m != "STANDARD") {
        return Err(refused("DeletionMode FORCE_DELETE_STACK is not supported; use RetainResources"));
    }
    let request = DeleteRequest {
        stack: input.stack_name,
        retain: input.retain_resources.unwrap_or_default(),
        token: input.client_request_token,
    };
    if let Some(key) = deployer.delete_stack(&call, request).await? {
        let limit = deployer.options().linger;
        deployer.linger(&key, limit).await.map_err(|e| broken(&e))?;
    }
    Ok(json!({}))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ProtectInput {
    stack_name: String,
    enable_termination_protection: bool,
}

async fn protect(deployer: Deployer, call: Call, input: ProtectInput) -> Result<Value, Fault> {
    let stack = deployer.existing(&call, &input.stack_name)?;
    let key = StackKey::new(&call.scope, &stack.uuid);
    let set = |change: &mut crate::engine::Change<'_>| {
        change.stack.termination_protection = input.enable_termination_protection;
    };
    deployer.write(&key, set).await.map_err(|e| broken(&e))?;
    Ok(json!({"StackId": stack.id()}))
}

/// Gives an operation the time to end before its caller starts polling.
pub(super) async fn linger(deployer: &Deployer, call: &Call, stack_id: &str) -> Result<(), Fault> {
    let uuid = stack_id.rsplit('/').next().unwrap_or(stack_id);
    let limit = deployer.options().linger;
    deployer.linger(&StackKey::new(&call.scope, uuid), limit).await.map_err(|e| broken(&e))
}
