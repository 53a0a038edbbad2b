//! TestState: one state, run by itself with the tasks that it has, or with mocked ones.
//!
//! <https://docs.aws.amazon.com/step-functions/latest/dg/test-state-isolation.html>

mod definition;
mod run;

use std::sync::Arc;

use asl::{IntegrationPattern, ResourceKind, StateKind};
use interp::{Handler, Inspection, MockedWork, StateTest};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use service::{Call, Fault};

use super::Adder;
use super::executions::check_json;
use crate::engine::Inner;
use definition::Tested;
use run::Outcome;

pub(super) fn add(to: &mut Adder<'_>) {
    to.operation("TestState", test);
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Input {
    definition: String,
    role_arn: Option<String>,
    input: Option<String>,
    inspection_level: Option<String>,
    #[serde(default)]
    reveal_secrets: bool,
    variables: Option<String>,
    state_name: Option<String>,
    mock: Option<Mock>,
    context: Option<String>,
    #[serde(default)]
    state_configuration: Configuration,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Mock {
    result: Option<String>,
    error_output: Option<ErrorOutput>,
}

#[derive(Deserialize)]
struct ErrorOutput {
    error: Option<String>,
    cause: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct Configuration {
    retrier_retry_count: Option<u64>,
    error_caused_by_state: Option<String>,
    map_iteration_failure_count: Option<u64>,
    map_item_reader_data: Option<String>,
}

#[derive(Serialize, Default)]
#[serde(rename_all = "camelCase")]
struct Output {
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    inspection_data: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_state: Option<String>,
    status: &'static str,
}

async fn test(engine: Arc<Inner>, call: Call, input: Input) -> Result<Output, Fault> {
    let text = input.input.clone().unwrap_or_else(|| "{}".to_owned());
    check_json(&text).map_err(|why| {
        Fault::client("InvalidExecutionInput", format!("Invalid State Machine Execution Input: '{why}'"))
    })?;
    let tested = definition::read(&engine, &input.definition, input.state_name.as_deref())?;
    check(&tested, &input)?;
    let given = StateTest {
        mock: input.mock.as_ref().map(|mock| read_mock(mock, &tested)).transpose()?.flatten(),
        retrier_attempts: input.state_configuration.retrier_retry_count,
        failed_iterations: input.state_configuration.map_iteration_failure_count.unwrap_or(0),
        variables: object("variables", input.variables.as_deref())?.into_iter().map(|(n, v)| (n.into(), v)).collect(),
        context: input.context.as_deref().map(|c| object("context", Some(c)).map(Value::Object)).transpose()?,
    };
    let role = input.role_arn.as_deref().unwrap_or_default();
    let (outcome, seen) = run::run(&engine, &call, &tested, given, &text, role).await?;
    let shown = matches!(input.inspection_level.as_deref(), Some("DEBUG" | "TRACE"));
    let mut output = answer(outcome, &seen);
    output.inspection_data = shown.then(|| inspection_data(&tested, &text, &seen));
    Ok(output)
}

/// What AWS does not test, or not without a mock.
fn check(tested: &Tested, input: &Input) -> Result<(), Fault> {
    let kind = &tested.state().kind;
    let name = type_of(kind);
    let Some(mock) = &input.mock else {
        if matches!(kind, StateKind::Parallel { .. } | StateKind::Map(_)) {
            let message = "TestState API does not support Map or Parallel states. Supported state types include: [Task, Wait, Pass, Succeed, Fail, Choice]";
            return Err(Fault::client("InvalidDefinition", message));
        }
        if let StateKind::Task(task) = kind
            && !runs_by_itself(&task.resource.kind)
        {
            let message = format!("TestState API does not support the resource '{}' without a mock", task.resource.arn);
            return Err(Fault::client("InvalidDefinition", message));
        }
        if input.context.is_some() {
            return Err(Fault::validation("A context can only be specified when a mock is specified"));
        }
        return Ok(());
    };
    if !matches!(kind, StateKind::Task(_) | StateKind::Parallel { .. } | StateKind::Map(_)) {
        return Err(Fault::validation(format!("State type '{name}' is not supported when a mock is specified")));
    }
    if mock.result.is_some() && mock.error_output.is_some() {
        let message = "A test mock should have only one of the following fields: [result, errorOutput].";
        return Err(Fault::validation(message));
    }
    if input.reveal_secrets {
        return Err(Fault::validation("TestState does not support RevealSecrets when a mock is specified."));
    }
    let configuration = &input.state_configuration;
    if configuration.error_caused_by_state.is_some() && matches!(kind, StateKind::Task(_)) {
        return Err(Fault::validation("errorCausedByState can only be specified for Map and Parallel states"));
    }
    let of_map = configuration.map_iteration_failure_count.is_some() || configuration.map_item_reader_data.is_some();
    if of_map && !matches!(kind, StateKind::Map(_)) {
        return Err(Fault::validation("Map configuration can only be specified for Map states"));
    }
    Ok(())
}

fn runs_by_itself(resource: &ResourceKind) -> bool {
    match resource {
        ResourceKind::Function => true,
        ResourceKind::Activity { .. } => false,
        ResourceKind::Integration(i) => i.pattern == IntegrationPattern::RequestResponse,
    }
}

fn type_of(kind: &StateKind) -> &'static str {
    match kind {
        StateKind::Task(_) => "Task",
        StateKind::Pass { .. } => "Pass",
        StateKind::Choice(_) => "Choice",
        StateKind::Wait(_) => "Wait",
        StateKind::Succeed => "Succeed",
        StateKind::Fail(_) => "Fail",
        StateKind::Parallel { .. } => "Parallel",
        StateKind::Map(_) => "Map",
    }
}

fn read_mock(mock: &Mock, tested: &Tested) -> Result<Option<MockedWork>, Fault> {
    if let Some(ErrorOutput { error, cause }) = &mock.error_output {
        let text = |text: &Option<String>| text.as_deref().map(Into::into);
        return Ok(Some(MockedWork::Failure { error: text(error), cause: text(cause) }));
    }
    let Some(result) = &mock.result else { return Ok(None) };
    let value: Value =
        serde_json::from_str(result).map_err(|_| Fault::validation("Mocked result must be a valid JSON document."))?;
    let wrong = |message: &str| Err(Fault::validation(message));
    match &tested.state().kind {
        StateKind::Parallel { branches } => match value.as_array() {
            None => return wrong("Mocked result must be an array."),
            Some(items) if items.len() != branches.len() => {
                return wrong("Mocked result must contain the same number of items as number of Parallel branches.");
            }
            Some(_) => {}
        },
        StateKind::Map(map) if map.writer.is_some() && !value.is_object() => {
            return wrong("Mocked result must be a JSON object.");
        }
        StateKind::Map(map) if map.writer.is_none() && !value.is_array() => {
            return wrong("Mocked result must be an array.");
        }
        _ => {}
    }
    Ok(Some(MockedWork::Result(result.as_str().into())))
}

fn object(member: &str, text: Option<&str>) -> Result<serde_json::Map<String, Value>, Fault> {
    match text.map(serde_json::from_str) {
        None => Ok(serde_json::Map::new()),
        Some(Ok(Value::Object(members))) => Ok(members),
        Some(_) => Err(Fault::validation(format!("{member} must be a valid JSON object"))),
    }
}

fn answer(outcome: Outcome, seen: &Inspection) -> Output {
    let text = |text: &Option<Arc<str>>| text.as_deref().map(str::to_owned);
    let mut output = match outcome {
        Outcome::Exited { output, next_state } => {
            Output { output: Some(output.to_string()), next_state, status: "SUCCEEDED", ..Output::default() }
        }
        Outcome::Failed { error, cause } => {
            Output { error: text(&error), cause: text(&cause), status: "FAILED", ..Output::default() }
        }
        Outcome::Stopped => Output { status: "FAILED", ..Output::default() },
    };
    if let Some(handled) = &seen.handled
        && (output.status == "SUCCEEDED" || matches!(handled.handler, Handler::Retry { .. }))
    {
        (output.error, output.cause) = (text(&handled.error), text(&handled.cause));
        output.status = match handled.handler {
            Handler::Retry { .. } => "RETRIABLE",
            Handler::Catch { .. } => "CAUGHT_ERROR",
        };
    }
    output
}

/// `inspectionData` of DEBUG and TRACE.
fn inspection_data(tested: &Tested, input: &str, seen: &Inspection) -> Value {
    let kind = &tested.state().kind;
    let constant = matches!(kind, StateKind::Pass { result: Some(_) });
    let passes = matches!(kind, StateKind::Pass { result: None });
    let mut data = serde_json::Map::new();
    data.insert("input".into(), input.into());
    let texts = [
        ("afterInputPath", seen.after_input_path.as_ref().filter(|_| !constant)),
        ("afterParameters", seen.after_parameters.as_ref().filter(|_| !constant)),
        ("afterArguments", seen.after_arguments.as_ref()),
        ("afterItemsPath", seen.after_items_path.as_ref()),
        ("afterItemSelector", seen.after_item_selector.as_ref()),
        ("result", seen.result.as_ref().filter(|_| !passes)),
        ("afterResultSelector", seen.after_result_selector.as_ref()),
        ("afterResultPath", seen.after_result_path.as_ref()),
        ("variables", seen.variables.as_ref().filter(|all| ***all != *"{}")),
    ];
    for (name, text) in texts {
        data.extend(text.map(|text| (name.to_owned(), Value::from(&**text))));
    }
    data.extend(seen.max_concurrency.map(|n| ("maxConcurrency".to_owned(), n.into())));
    data.extend(seen.tolerated_failure_count.map(|n| ("toleratedFailureCount".to_owned(), n.into())));
    data.extend(seen.tolerated_failure_percentage.map(|n| ("toleratedFailurePercentage".to_owned(), n.into())));
    if let Some(handled) = &seen.handled {
        let details = match handled.handler {
            Handler::Retry { index, wait_seconds } => {
                serde_json::json!({"retryIndex": index, "retryBackoffIntervalSeconds": wait_seconds.round() as u64})
            }
            Handler::Catch { index } => serde_json::json!({"catchIndex": index}),
        };
        data.insert("errorDetails".into(), details);
    }
    Value::Object(data)
}
