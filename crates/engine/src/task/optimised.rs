//! Optimised integrations of services in the registry.

use model::Naming;
use serde_json::{Map, Value, json};
use service::Fault;

use super::metadata::HttpAnswer;
use super::{Dispatcher, TaskError, without_nulls};
use crate::execution::Job;

/// Optimised integrations report errors as the first generation of AWS's Java SDK did.
pub(super) struct FirstGeneration {
    /// The service's name in resources and in the registry.
    pub service: &'static str,
    /// Its shapes.
    pub shapes: &'static str,
    /// What error names begin with.
    pub prefix: &'static str,
    pub name: &'static str,
    /// The SDK's exception for errors that the service's model does not name.
    pub base: &'static str,
}

pub(super) const LAMBDA: FirstGeneration = FirstGeneration {
    service: "lambda",
    shapes: "lambda",
    prefix: "Lambda",
    name: "AWSLambda",
    base: "AWSLambdaException",
};

const SERVICES: &[FirstGeneration] = &[
    LAMBDA,
    FirstGeneration { service: "sqs", shapes: "sqs", prefix: "SQS", name: "AmazonSQS", base: "AmazonSQSException" },
    FirstGeneration {
        service: "dynamodb",
        shapes: "dynamodb",
        prefix: "DynamoDB",
        name: "AmazonDynamoDBv2",
        base: "AmazonDynamoDBException",
    },
    FirstGeneration {
        service: "states",
        shapes: "sfn",
        prefix: "StepFunctions",
        name: "AWSStepFunctions",
        base: "AWSStepFunctionsException",
    },
    FirstGeneration { service: "sns", shapes: "sns", prefix: "SNS", name: "AmazonSNS", base: "AmazonSNSException" },
    FirstGeneration {
        service: "events",
        shapes: "eventbridge",
        prefix: "EventBridge",
        name: "AmazonEventBridge",
        base: "AmazonEventBridgeException",
    },
];

impl FirstGeneration {
    pub fn error(&self, fault: &Fault, request_id: &str) -> TaskError {
        let class = model::shapes(self.shapes).and_then(|shapes| shapes.exception(&fault.code));
        let Fault { code, message, status, .. } = fault;
        TaskError {
            error: format!("{}.{}", self.prefix, class.as_deref().unwrap_or(self.base)),
            cause: format!(
                "{message} (Service: {}; Status Code: {status}; Error Code: {code}; Request ID: {request_id}; Proxy: null)",
                self.name
            ),
        }
    }
}

pub(super) fn find(service: &str) -> Option<&'static FirstGeneration> {
    SERVICES.iter().find(|s| s.service == service)
}

/// Calls a service and tells its answer as the integration does.
pub(super) async fn run(
    dispatcher: &Dispatcher,
    job: &Job,
    service: &FirstGeneration,
    operation: &str,
    parameters: Value,
) -> Result<String, TaskError> {
    let input = request(job, service.service, parameters);
    let queue = input.get("QueueUrl").and_then(Value::as_str).map(str::to_owned);
    let called = dispatcher.call_checked(job, (service.service, service.shapes), operation, input).await;
    let (output, request_id) = match called {
        Ok(answer) => answer,
        Err((fault, request_id)) => {
            return Err(match queue.filter(|_| service.service == "sqs").and_then(|q| unreachable_host(&q, &fault)) {
                Some(host) => TaskError {
                    error: "SQS.SdkClientException".to_owned(),
                    cause: format!("Unable to execute HTTP request: {host}: Name or service not known"),
                },
                None => service.error(&fault, &request_id),
            });
        }
    };
    if service.service == "events" {
        return put_events(output);
    }
    let answer = HttpAnswer::json(service.service, &output.to_string(), &request_id, dispatcher.clock.now());
    let shapes = model::shapes(service.shapes).and_then(|shapes| shapes.operation(operation));
    let output = match service.service {
        // Its members are called alike everywhere, and its items hold no times.
        "dynamodb" => output,
        _ => shapes.map_or(output.clone(), |shapes| shapes.result(Naming::Capital, output)),
    };
    Ok(with_metadata(output, &answer, &request_id))
}

/// An optimised integration's result: the members of the API's answer and what the SDK tells of the exchange, in order.
pub(super) fn with_metadata(output: Value, answer: &HttpAnswer, request_id: &str) -> String {
    let mut members = match output {
        Value::Object(members) => members,
        _ => Map::new(),
    };
    members.insert("SdkHttpMetadata".to_owned(), answer.to_value());
    members.insert("SdkResponseMetadata".to_owned(), json!({"RequestId": request_id}));
    members.sort_keys();
    Value::Object(members).to_string()
}

/// The API's input that the parameters ask for.
fn request(job: &Job, service: &str, mut parameters: Value) -> Value {
    match service {
        "sqs" => stringify(&mut parameters, "MessageBody"),
        "sns" => stringify(&mut parameters, "Message"),
        "states" => {
            stringify(&mut parameters, "Input");
            parameters = small_letters(parameters);
        }
        "events" => complete_entries(job, &mut parameters),
        _ => {}
    }
    without_nulls(parameters)
}

/// A member that the API wants as text may be given as JSON.
fn stringify(parameters: &mut Value, member: &str) {
    if let Some(value) = parameters.get_mut(member)
        && !value.is_string()
        && !value.is_null()
    {
        *value = Value::String(value.to_string());
    }
}

/// Members with a small first letter; what is in them is the caller's.
fn small_letters(parameters: Value) -> Value {
    let Value::Object(members) = parameters else { return parameters };
    let small = |name: String| name[..1].to_ascii_lowercase() + &name[1..];
    let is_ascii = |name: &str| name.chars().next().is_some_and(|c| c.is_ascii());
    members.into_iter().map(|(k, v)| (if is_ascii(&k) { small(k) } else { k }, v)).collect()
}

/// Details may be JSON, and every event names the execution that sends it.
fn complete_entries(job: &Job, parameters: &mut Value) {
    let Some(entries) = parameters.get_mut("Entries").and_then(Value::as_array_mut) else { return };
    for entry in entries {
        stringify(entry, "Detail");
        let Some(members) = entry.as_object_mut() else { continue };
        let resources = members.entry("Resources").or_insert_with(|| json!([]));
        if let Some(resources) = resources.as_array_mut() {
            resources.push(machine_arn(&job.execution_arn).into());
            resources.push(job.execution_arn.as_ref().into());
        }
    }
}

/// `arn:...:execution:m:e` and `arn:...:express:m:e:i` are executions of `arn:...:stateMachine:m`.
fn machine_arn(execution_arn: &str) -> String {
    let parts: Vec<&str> = execution_arn.split(':').collect();
    let (scope, machine) = (parts.get(..5).unwrap_or_default(), parts.get(6).copied().unwrap_or_default());
    format!("{}:stateMachine:{machine}", scope.join(":"))
}

/// PutEvents fails if one of its entries did; the cause is the whole answer.
fn put_events(output: Value) -> Result<String, TaskError> {
    let text = output.to_string();
    match output.get("FailedEntryCount").and_then(Value::as_i64) {
        None | Some(0) => Ok(text),
        Some(_) => Err(TaskError { error: "EventBridge.FailedEntry".to_owned(), cause: text }),
    }
}

/// The host that AWS's client would not have reached: that of a URL that names no queue, and a name without a scheme,
/// which it takes for a host. We take such a name for a queue's, and only complain if there is none.
fn unreachable_host(queue: &str, fault: &Fault) -> Option<String> {
    let host = match queue.split_once("://") {
        Some((_, rest)) if fault.code == "InvalidAddress" => rest.split(['/', ':']).next().unwrap_or(rest),
        None if matches!(fault.code.as_str(), "QueueDoesNotExist" | "InvalidAddress") => queue,
        _ => return None,
    };
    Some(host.to_owned())
}
