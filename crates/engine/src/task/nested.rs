//! `states:startExecution.sync` and `.sync:2`: a child execution that is waited for.

use std::sync::Arc;
use std::time::Duration;

use asl::IntegrationPattern;
use cell::Reply;
use interp::{Input as Told, Progress};
use serde_json::{Value, json};

use super::integration::upper_case;
use super::{Dispatcher, TaskError, UnderWay, integration};
use crate::execution::{Input, Job};

/// Starts the child (once), then waits for its end; stops it when the parent no longer waits.
pub(super) async fn run_to_end(
    dispatcher: &Arc<Dispatcher>,
    job: &Job,
    pattern: IntegrationPattern,
    under_way: &mut UnderWay,
) {
    let submitted = match &job.task.progress {
        Progress::Submitted { output } => output.to_string(),
        _ => match submit(dispatcher, job, under_way).await {
            None => return,
            Some(Ok(output)) => {
                let told = Told::TaskSubmitted { task: job.task.task, output: output.as_str().into() };
                dispatcher.tell(job.id, told).await;
                output
            }
            Some(Err(error)) => return dispatcher.tell_failure(job, error).await,
        },
    };
    let submitted: Value = serde_json::from_str(&submitted).unwrap_or_default();
    let Some(arn) = submitted.get("ExecutionArn").and_then(Value::as_str) else { return };
    let description = tokio::select! {
        Ok(()) = &mut under_way.cancelled => {
            // The child may have ended by itself: then there is nothing to stop.
            let _ = dispatcher.call(job, "states", "StopExecution", json!({"executionArn": arn})).await;
            return;
        }
        description = ended(dispatcher, job, arn) => description,
    };
    let Some(mut description) = description else { return };
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
}

/// `None` if nobody waited any longer before it began.
async fn submit(
    dispatcher: &Arc<Dispatcher>,
    job: &Job,
    under_way: &mut UnderWay,
) -> Option<Result<String, TaskError>> {
    let asl::ResourceKind::Integration(integration) = &job.task.resource.kind else {
        unreachable!("only integrations have patterns")
    };
    let plain = asl::Integration { pattern: IntegrationPattern::RequestResponse, ..integration.clone() };
    let _permit = dispatcher.permit(under_way).await?;
    Some(integration::run(dispatcher, job, &plain).await)
}

/// The child's description once it has ended; `None` when the server stops.
async fn ended(dispatcher: &Dispatcher, job: &Job, arn: &str) -> Option<Value> {
    loop {
        let description = dispatcher.call(job, "states", "DescribeExecution", json!({"executionArn": arn})).await;
        match description {
            Ok(description) if description.get("status").and_then(Value::as_str) != Some("RUNNING") => {
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

/// DescribeExecution's answer as the integration gives it.
fn describe(description: Value) -> Value {
    const MEMBERS: [&str; 12] = [
        "Cause",
        "Error",
        "ExecutionArn",
        "Input",
        "InputDetails",
        "Name",
        "Output",
        "OutputDetails",
        "StartDate",
        "StateMachineArn",
        "Status",
        "StopDate",
    ];
    let Value::Object(mut members) = upper_case(description) else { return Value::Null };
    let dates = ["StartDate", "StopDate"];
    for date in dates {
        if let Some(seconds) = members.get(date).and_then(Value::as_f64) {
            members.insert(date.to_owned(), json!((seconds * 1000.0).round() as i64));
        }
    }
    Value::Object(MEMBERS.iter().filter_map(|m| members.remove(*m).map(|v| ((*m).to_owned(), v))).collect())
}

fn parse_member(description: &mut Value, member: &str) {
    if let Some(value) = description.get_mut(member)
        && let Some(parsed) = value.as_str().and_then(|text| serde_json::from_str(text).ok())
    {
        *value = parsed;
    }
}
