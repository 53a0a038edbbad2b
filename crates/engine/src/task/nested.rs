//! `states:startExecution.sync` and `.sync:2`: a child execution that is waited for.
//!
//! A child whose parent no longer waits is stopped. That is stored with what made the parent stop waiting, and kept
//! until the child has been told, so that a crash in between leaves no child behind.

use std::sync::Arc;
use std::time::Duration;

use asl::{Integration, IntegrationPattern, ResourceKind};
use cell::Reply;
use interp::{Input as Told, Progress, RunTask, TaskId};
use model::Naming;
use serde_json::{Map, Value, json};
use service::{Call, EffectId};

use super::{Dispatcher, TaskError, UnderWay, integration};
use crate::execution::{Input, Job};
use crate::keys::ExecutionId;

/// Whether a task starts a child and waits for it.
pub(crate) fn waits_for_child(integration: &Integration) -> bool {
    let Integration { aws_sdk, service, action, pattern } = integration;
    !aws_sdk
        && (service.as_str(), action.as_str()) == ("states", "startExecution")
        && matches!(pattern, IntegrationPattern::Sync | IntegrationPattern::Sync2)
}

/// The ARN of the child that a task has started or will start; `None` if it starts none.
pub(crate) fn child_of(task: &RunTask, effect: Option<&EffectId>) -> Option<Arc<str>> {
    let ResourceKind::Integration(integration) = &task.resource.kind else { return None };
    if !waits_for_child(integration) {
        return None;
    }
    if let Progress::Submitted { output } = &task.progress {
        return submitted_child(output);
    }
    let parameters: Value = serde_json::from_str(&task.parameters).ok()?;
    let text = |name: &str| parameters.get(name).and_then(Value::as_str);
    let name = text("Name").map(str::to_owned).or_else(|| effect.map(crate::api::uuid_of))?;
    let (scope, machine) = text("StateMachineArn")?.split_once(":stateMachine:")?;
    let machine = machine.split(':').next().unwrap_or(machine);
    Some(format!("{scope}:execution:{machine}:{name}").into())
}

/// The child's ARN in StartExecution's answer.
pub(crate) fn submitted_child(output: &str) -> Option<Arc<str>> {
    let output: Value = serde_json::from_str(output).ok()?;
    output.get("ExecutionArn").and_then(Value::as_str).map(Into::into)
}

/// Starts the child (once), then waits for its end; stops it when the parent no longer waits.
pub(super) async fn run_to_end(
    dispatcher: &Arc<Dispatcher>,
    job: &Job,
    pattern: IntegrationPattern,
    under_way: &mut UnderWay,
) {
    let child = follow(dispatcher, job, pattern, under_way).await;
    if under_way.is_cancelled() {
        stop(dispatcher, job.id, job.task.task, child).await;
    }
}

/// Returns the child, if there may be one.
async fn follow(
    dispatcher: &Arc<Dispatcher>,
    job: &Job,
    pattern: IntegrationPattern,
    under_way: &mut UnderWay,
) -> Option<Arc<str>> {
    let submitted = match &job.task.progress {
        Progress::Submitted { output } => output.to_string(),
        _ => match submit(dispatcher, job, under_way).await? {
            Ok(output) => {
                let told = Told::TaskSubmitted { task: job.task.task, output: output.as_str().into() };
                dispatcher.tell(job.id, told).await;
                output
            }
            Err(error) => {
                dispatcher.tell_failure(job, error).await;
                return None;
            }
        },
    };
    let child = submitted_child(&submitted)?;
    let description = tokio::select! {
        () = under_way.cancelled() => return Some(child),
        description = ended(dispatcher, job, &child) => description,
    };
    let Some(mut description) = description else { return Some(child) };
    let succeeded = description.get("Status").and_then(Value::as_str) == Some("SUCCEEDED");
    if pattern == IntegrationPattern::Sync2 {
        parse_member(&mut description, "Input");
        parse_member(&mut description, "Output");
    }
    let result = if succeeded {
        Ok(description.to_string())
    } else {
        Err(TaskError { error: "States.TaskFailed".to_owned(), cause: description.to_string() })
    };
    dispatcher.tell_result(job, result).await;
    Some(child)
}

/// `None` if nobody waited any longer before it began.
async fn submit(
    dispatcher: &Arc<Dispatcher>,
    job: &Job,
    under_way: &mut UnderWay,
) -> Option<Result<String, TaskError>> {
    let ResourceKind::Integration(integration) = &job.task.resource.kind else {
        unreachable!("only integrations have patterns")
    };
    let plain = Integration { pattern: IntegrationPattern::RequestResponse, ..integration.clone() };
    let _permit = dispatcher.permit(under_way).await?;
    Some(integration::run(dispatcher, job, &plain).await)
}

/// Stops a child for which nobody waits any longer, then lets the parent's cell forget that it was to be done.
pub(super) async fn stop(dispatcher: &Arc<Dispatcher>, id: ExecutionId, task: TaskId, child: Option<Arc<str>>) {
    if let Some(child) = child {
        let Ok(arn) = child.parse::<base::Arn>() else { return };
        let Some(registry) = dispatcher.registry.get() else { return };
        let mut attempt: u32 = 0;
        loop {
            let call = Call::internal(arn.scope(), dispatcher.entropy.uuid(), "states.amazonaws.com");
            match registry.call_value("states", "StopExecution", call, json!({"executionArn": child})).await {
                Err(fault) if fault.is_retryable() && !dispatcher.is_stopping() => {
                    tokio::time::sleep(Duration::from_millis(20 << attempt.min(8))).await;
                    attempt += 1;
                }
                // It has ended by itself, or was never started: there is nothing to stop.
                Ok(_) | Err(_) => break,
            }
        }
    }
    if dispatcher.is_stopping() {
        return;
    }
    let Some(cell) = dispatcher.cells.wait().await.at(usize::from(id.cell)) else { return };
    // If it cannot be told, it does the same again after the next start.
    let _ = cell.send_waiting(Input::ChildStopped { id, task }).await;
}

/// The child's description once it has ended; `None` when the server stops.
async fn ended(dispatcher: &Dispatcher, job: &Job, arn: &str) -> Option<Value> {
    loop {
        let description = dispatcher.call(job, "states", "DescribeExecution", json!({"executionArn": arn})).await;
        match description {
            Ok((description, _)) if description.get("status").and_then(Value::as_str) != Some("RUNNING") => {
                return Some(describe(description));
            }
            Ok(_) => {}
            Err((fault, _)) if fault.is_retryable() => tokio::time::sleep(Duration::from_millis(200)).await,
            Err((fault, _)) => {
                return Some(
                    json!({"ExecutionArn": arn, "Status": "FAILED", "Error": fault.code, "Cause": fault.message}),
                );
            }
        }
        let Ok(id) = crate::api::execution_id(dispatcher.store(), arn) else {
            // It was described just now: the store is in trouble.
            tokio::time::sleep(Duration::from_millis(200)).await;
            continue;
        };
        let cell = dispatcher.cells.wait().await.at(usize::from(id.cell))?;
        let (reply, answer) = Reply::channel();
        cell.send_waiting(Input::Watch { id, reply }).await.ok()?;
        // Whatever comes, the description tells what is true.
        let _ = answer.await;
    }
}

/// DescribeExecution's answer as the integration gives it: all that is not null.
fn describe(description: Value) -> Value {
    let described = model::shapes("sfn").and_then(|shapes| shapes.operation("DescribeExecution"));
    let Some(Value::Object(members)) = described.map(|shapes| shapes.result(Naming::Capital, description)) else {
        return Value::Null;
    };
    Value::Object(members.into_iter().filter(|(_, value)| !value.is_null()).collect::<Map<_, _>>())
}

fn parse_member(description: &mut Value, member: &str) {
    if let Some(value) = description.get_mut(member)
        && let Some(parsed) = value.as_str().and_then(|text| serde_json::from_str(text).ok())
    {
        *value = parsed;
    }
}
