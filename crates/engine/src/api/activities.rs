use std::sync::Arc;
use std::time::Duration;

use interp::{Input as Told, TaskId};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use service::{Call, Fault};

use super::executions::check_json;
use super::machines::{EncryptionConfiguration, encryption};
use super::tags::{Tag, tag_pairs};
use super::{Adder, Empty, page};
use crate::catalog::Activity;
use crate::engine::Inner;
use crate::execution::Input;
use crate::fault;
use crate::keys::ExecutionId;
use crate::record::ActivityRecord;

pub(super) fn add(to: &mut Adder<'_>) {
    to.operation("CreateActivity", create);
    to.operation("DescribeActivity", describe);
    to.operation("ListActivities", list);
    to.operation("DeleteActivity", delete);
    to.operation("GetActivityTask", get_task);
    to.operation("SendTaskSuccess", send_success);
    to.operation("SendTaskFailure", send_failure);
    to.operation("SendTaskHeartbeat", send_heartbeat);
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CreateInput {
    name: String,
    #[serde(default)]
    tags: Vec<Tag>,
    encryption_configuration: Option<EncryptionConfiguration>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CreateOutput {
    activity_arn: String,
    creation_date: f64,
}

async fn create(engine: Arc<Inner>, call: Call, input: CreateInput) -> Result<CreateOutput, Fault> {
    fault::check_name(&input.name)?;
    let created_ms = engine.clock.now().as_millis();
    let arn = call.scope.arn("states", format_args!("activity:{}", input.name));
    let tags = tag_pairs(input.tags, arn.as_str())?;
    let encryption_json = input.encryption_configuration.map_or(Ok(None), |e| e.to_json())?;
    let record = ActivityRecord { name: input.name, created_ms, tags, encryption_json };
    let activity = engine.catalog.create_activity(call.scope, record).await?;
    Ok(CreateOutput { activity_arn: activity.arn.to_string(), creation_date: seconds(&activity) })
}

fn seconds(activity: &Activity) -> f64 {
    activity.record.created_ms as f64 / 1000.0
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ArnInput {
    activity_arn: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Description {
    activity_arn: String,
    name: String,
    creation_date: f64,
}

impl Description {
    fn of(activity: &Activity) -> Description {
        Description {
            activity_arn: activity.arn.to_string(),
            name: activity.record.name.clone(),
            creation_date: seconds(activity),
        }
    }
}

fn find(engine: &Inner, arn: &str) -> Result<Arc<Activity>, Fault> {
    fault::parse_arn(arn, "activity")?;
    engine.catalog.activity(arn).ok_or_else(|| fault::activity_does_not_exist(arn))
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FullDescription {
    #[serde(flatten)]
    description: Description,
    encryption_configuration: Value,
}

async fn describe(engine: Arc<Inner>, _: Call, input: ArnInput) -> Result<FullDescription, Fault> {
    let activity = find(&engine, &input.activity_arn)?;
    let encryption_configuration = encryption(activity.record.encryption_json.as_deref());
    Ok(FullDescription { description: Description::of(&activity), encryption_configuration })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListInput {
    max_results: Option<i64>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ListOutput {
    activities: Vec<Description>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

async fn list(engine: Arc<Inner>, call: Call, input: ListInput) -> Result<ListOutput, Fault> {
    let query = page::Query::new("activities", &[call.scope.account(), call.scope.region()]);
    let limit = page::limit(input.max_results);
    let all = engine.catalog.activities(&call.scope);
    let token = input.next_token.as_deref();
    let (found, next_token) = page::by_name(&query, all, |a| a.record.name.as_str(), token, limit)?;
    Ok(ListOutput { activities: found.iter().map(|a| Description::of(a)).collect(), next_token })
}

async fn delete(engine: Arc<Inner>, _: Call, input: ArnInput) -> Result<Empty, Fault> {
    let (arn, mut parts) = fault::parse_arn(&input.activity_arn, "activity")?;
    engine.catalog.delete_activity(arn, parts.swap_remove(0)).await?;
    Ok(Empty {})
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PollInput {
    activity_arn: String,
    worker_name: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PollOutput {
    #[serde(skip_serializing_if = "Option::is_none")]
    task_token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    input: Option<String>,
}

async fn get_task(engine: Arc<Inner>, _: Call, input: PollInput) -> Result<PollOutput, Fault> {
    let activity = find(&engine, &input.activity_arn)?;
    let wait = Duration::from_millis(engine.options.activity_poll_ms);
    let cells = engine.cells()?;
    let assignment = engine.activities.poll(activity.arn.as_str(), input.worker_name, wait, cells).await?;
    let (task_token, input) = assignment.map(|a| (a.token.to_string(), a.input.to_string())).unzip();
    Ok(PollOutput { task_token, input })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SuccessInput {
    task_token: String,
    output: String,
}

async fn send_success(engine: Arc<Inner>, _: Call, input: SuccessInput) -> Result<Empty, Fault> {
    let (id, task) = read_token(&engine, &input.task_token)?;
    check_json(&input.output).map_err(|why| Fault::client("InvalidOutput", format!("Invalid Output: '{why}'")))?;
    tell(&engine, id, Told::TaskSucceeded { task, output: input.output.into() }).await
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FailureInput {
    task_token: String,
    error: Option<String>,
    cause: Option<String>,
}

async fn send_failure(engine: Arc<Inner>, _: Call, input: FailureInput) -> Result<Empty, Fault> {
    let (id, task) = read_token(&engine, &input.task_token)?;
    let (error, cause) = (input.error.map(Into::into), input.cause.map(Into::into));
    tell(&engine, id, Told::TaskFailed { task, error, cause }).await
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TokenInput {
    task_token: String,
}

async fn send_heartbeat(engine: Arc<Inner>, _: Call, input: TokenInput) -> Result<Empty, Fault> {
    let (id, task) = read_token(&engine, &input.task_token)?;
    let cell = engine.cells()?.at(usize::from(id.cell)).ok_or_else(fault::invalid_token)?;
    let open = cell.call(|reply| Input::Heartbeat { id, task, reply }).await.map_err(fault::from_cell)?;
    if open { Ok(Empty {}) } else { Err(fault::task_closed()) }
}

async fn tell(engine: &Inner, id: ExecutionId, input: Told) -> Result<Empty, Fault> {
    let cell = engine.cells()?.at(usize::from(id.cell)).ok_or_else(fault::invalid_token)?;
    let done = cell.call(|reply| Input::Task { id, input, reply: Some(reply) }).await.map_err(fault::from_cell)?;
    if done { Ok(Empty {}) } else { Err(fault::task_closed()) }
}

fn read_token(engine: &Inner, token: &str) -> Result<(ExecutionId, TaskId), Fault> {
    let (id, task) = engine.tokens.read(token).ok_or_else(fault::invalid_token)?;
    Ok((id, TaskId(task)))
}
