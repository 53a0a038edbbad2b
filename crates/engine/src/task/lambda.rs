//! Functions: by their ARN as the Task's resource, and through `lambda:invoke`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Value, json};
use service::Fault;

use super::metadata::{HttpAnswer, http_date};
use super::optimised::{LAMBDA, with_metadata};
use super::{Dispatcher, TaskError};
use crate::execution::Job;
use crate::invoker::{Invocation, Invoked};

/// `"Resource": "arn:aws:lambda:..."`: the task's input is the payload, the payload is its output.
pub(super) async fn run_by_arn(dispatcher: &Dispatcher, job: &Job) -> Result<String, TaskError> {
    let invocation =
        invocation(job, job.task.resource.arn.clone(), Bytes::copy_from_slice(job.task.parameters.as_bytes()));
    let invoked = invoke(dispatcher, invocation).await?;
    succeeded(&invoked)?;
    text(&invoked)
}

/// `arn:aws:states:::lambda:invoke`: the parameters are the Invoke operation's, the output its answer.
pub(super) async fn run_invoke(dispatcher: &Dispatcher, job: &Job) -> Result<String, TaskError> {
    let parameters: Value = serde_json::from_str(&job.task.parameters).unwrap_or_default();
    let field = |name: &str| parameters.get(name).and_then(Value::as_str).map(str::to_owned);
    let Some(function) = field("FunctionName") else {
        let cause = "The value for the field 'FunctionName' must be a STRING";
        return Err(TaskError { error: "States.Runtime".into(), cause: cause.into() });
    };
    let mut invocation = invocation(job, function, payload(parameters.get("Payload")).into());
    invocation.qualifier = field("Qualifier");
    invocation.asynchronous = field("InvocationType").as_deref() == Some("Event");
    invocation.tail_log = field("LogType").as_deref() == Some("Tail");
    invocation.client_context = field("ClientContext");
    let invoked = invoke(dispatcher, invocation).await?;
    succeeded(&invoked)?;
    let payload = if invoked.payload.is_empty() { Value::Null } else { parse(&invoked)? };
    let request_id = dispatcher.entropy.uuid();
    let version = invoked.executed_version.clone().unwrap_or_else(|| "$LATEST".to_owned());
    let mut headers = Vec::from_iter(invoked.log_result.clone().map(|log| ("X-Amz-Log-Result", log)));
    headers.extend([
        ("X-Amz-Executed-Version", version.clone()),
        ("x-amzn-Remapped-Content-Length", "0".to_owned()),
        ("Connection", "keep-alive".to_owned()),
        ("x-amzn-RequestId", request_id.clone()),
        ("Content-Length", invoked.payload.len().to_string()),
        ("Date", http_date(dispatcher.clock.now())),
        ("X-Amzn-Trace-Id", format!("root=1-{};sampled=0", &request_id.replace('-', "")[..24])),
        ("Content-Type", "application/json".to_owned()),
    ]);
    let answer = HttpAnswer { status: invoked.status_code, headers };
    let mut output = json!({"ExecutedVersion": version, "Payload": payload, "StatusCode": invoked.status_code});
    if let (Some(log), Some(members)) = (invoked.log_result, output.as_object_mut()) {
        members.insert("LogResult".into(), log.into());
    }
    Ok(with_metadata(output, &answer, &request_id))
}

/// What the function gets: nothing at all is `{}`, and text that is JSON is that JSON, as AWS has it.
fn payload(parameter: Option<&Value>) -> String {
    match parameter {
        None | Some(Value::Null) => "{}".to_owned(),
        Some(Value::String(text)) if serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok() => text.clone(),
        Some(value) => value.to_string(),
    }
}

fn invocation(job: &Job, function: String, payload: Bytes) -> Invocation {
    Invocation {
        scope: job.identity().0,
        function,
        qualifier: None,
        asynchronous: false,
        tail_log: false,
        client_context: None,
        payload,
        effect: job.effect.clone(),
    }
}

async fn invoke(dispatcher: &Dispatcher, invocation: Invocation) -> Result<Invoked, TaskError> {
    dispatcher.invoker.invoke(invocation).await.map_err(|fault: Fault| LAMBDA.error(&fault, &dispatcher.entropy.uuid()))
}

/// What the function raised, under the name of its error type.
fn succeeded(invoked: &Invoked) -> Result<(), TaskError> {
    if invoked.function_error.is_none() {
        return Ok(());
    }
    let cause = String::from_utf8_lossy(&invoked.payload).into_owned();
    let parsed: Option<Value> = serde_json::from_slice(&invoked.payload).ok();
    let error_type = parsed.as_ref().and_then(|p| p.get("errorType")).and_then(Value::as_str);
    Err(match error_type {
        Some(error) => TaskError { error: error.to_owned(), cause },
        None => TaskError {
            error: "Lambda.Unknown".to_owned(),
            cause: format!(
                "The cause could not be determined because Lambda did not return an error type. Returned payload: {cause}"
            ),
        },
    })
}

fn text(invoked: &Invoked) -> Result<String, TaskError> {
    if invoked.payload.is_empty() {
        return Ok("null".to_owned());
    }
    String::from_utf8(invoked.payload.to_vec()).map_err(|_| not_json(&invoked.payload))
}

fn parse(invoked: &Invoked) -> Result<Value, TaskError> {
    serde_json::from_slice(&invoked.payload).map_err(|_| not_json(&invoked.payload))
}

fn not_json(payload: &[u8]) -> TaskError {
    let cause = format!(
        "The function's output is not valid JSON (base64: {})",
        STANDARD.encode(&payload[..payload.len().min(300)])
    );
    TaskError { error: "States.Runtime".to_owned(), cause }
}
