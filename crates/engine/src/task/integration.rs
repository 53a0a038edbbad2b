//! Service integrations: optimised ones and `aws-sdk`, all through the registry.

use asl::{Integration, IntegrationPattern};
use serde_json::{Map, Value, json};
use service::Fault;

use super::{Dispatcher, TaskError};
use crate::execution::Job;

/// Optimised integrations report errors as the first generation of AWS's Java SDK did.
pub(super) struct FirstGeneration {
    /// What error names begin with.
    pub prefix: &'static str,
    pub name: &'static str,
    /// The SDK's exception for errors that the service's model does not name.
    pub base: &'static str,
}

impl FirstGeneration {
    pub fn error(&self, fault: &Fault, request_id: &str) -> TaskError {
        let class = match fault.code.as_str() {
            "ValidationException" | "SerializationException" => self.base.to_owned(),
            code => exception(code),
        };
        let Fault { code, message, status, .. } = fault;
        TaskError {
            error: format!("{}.{class}", self.prefix),
            cause: format!(
                "{message} (Service: {}; Status Code: {status}; Error Code: {code}; Request ID: {request_id}; Proxy: null)",
                self.name
            ),
        }
    }
}

/// Name in resources, id in the registry, and how errors are named.
const OPTIMISED: &[(&str, FirstGeneration)] = &[
    ("sqs", FirstGeneration { prefix: "SQS", name: "AmazonSQS", base: "AmazonSQSException" }),
    ("dynamodb", FirstGeneration { prefix: "DynamoDB", name: "AmazonDynamoDBv2", base: "AmazonDynamoDBException" }),
    (
        "states",
        FirstGeneration { prefix: "StepFunctions", name: "AWSStepFunctions", base: "AWSStepFunctionsException" },
    ),
    ("sns", FirstGeneration { prefix: "SNS", name: "AmazonSNS", base: "AmazonSNSException" }),
    (
        "events",
        FirstGeneration { prefix: "EventBridge", name: "AmazonEventBridge", base: "AmazonEventBridgeException" },
    ),
];

/// What an SDK integration calls a service: in the resource, in the registry, in error names.
struct SecondGeneration {
    resource: &'static str,
    registry: &'static str,
    name: &'static str,
    /// The model's members begin in lower case; the integration's always begin in upper case.
    lower_case: bool,
    /// AWS's newer releases of the integration add this to causes.
    tells_attempts: bool,
}

const fn sdk(resource: &'static str, registry: &'static str, name: &'static str, lower_case: bool) -> SecondGeneration {
    SecondGeneration { resource, registry, name, lower_case, tells_attempts: false }
}

const AWS_SDK: &[SecondGeneration] = &[
    SecondGeneration { tells_attempts: true, ..sdk("sfn", "states", "Sfn", true) },
    sdk("cloudformation", "cloudformation", "CloudFormation", false),
    sdk("cloudwatchlogs", "logs", "CloudWatchLogs", true),
    sdk("dynamodb", "dynamodb", "DynamoDb", false),
    sdk("iam", "iam", "Iam", false),
    sdk("lambda", "lambda", "Lambda", false),
    sdk("rdsdata", "rds-data", "RdsData", true),
    sdk("s3", "s3", "S3", false),
    sdk("secretsmanager", "secretsmanager", "SecretsManager", false),
    sdk("sqs", "sqs", "Sqs", false),
    sdk("ssm", "ssm", "Ssm", false),
    sdk("sts", "sts", "Sts", false),
];

/// Why a resource that parses cannot run here; `None` if it can. CreateStateMachine asks this.
pub(crate) fn unsupported(integration: &Integration, has: impl Fn(&str, &str) -> bool) -> Option<String> {
    let operation = operation_name(&integration.action);
    let registry = if integration.aws_sdk {
        AWS_SDK.iter().find(|s| s.resource == integration.service).map(|s| s.registry)
    } else if integration.service == "lambda" {
        return (integration.action != "invoke").then(|| "lambda has the optimised action invoke alone".to_owned());
    } else {
        OPTIMISED.iter().find(|(name, _)| *name == integration.service).map(|(name, _)| *name)
    };
    let Some(registry) = registry else {
        return Some(format!("the service {} is not supported", integration.resource_type()));
    };
    if !has(registry, &operation) {
        return Some(format!("the operation {operation} of {} is not supported", integration.resource_type()));
    }
    let sync = matches!(integration.pattern, IntegrationPattern::Sync | IntegrationPattern::Sync2);
    let waits = integration.pattern == IntegrationPattern::WaitForTaskToken;
    if sync && (integration.aws_sdk || registry != "states") || waits && registry == "dynamodb" {
        return Some(format!("{} cannot be waited for", integration.resource_name()));
    }
    None
}

pub(super) async fn run(dispatcher: &Dispatcher, job: &Job, integration: &Integration) -> Result<String, TaskError> {
    let parameters = serde_json::from_str(&job.task.parameters).unwrap_or_default();
    let operation = operation_name(&integration.action);
    if integration.aws_sdk {
        return run_sdk(dispatcher, job, integration, &operation, parameters).await;
    }
    let Some((service, errors)) = OPTIMISED.iter().find(|(name, _)| *name == integration.service) else {
        return Err(not_supported(integration));
    };
    let input = match *service {
        "sqs" => stringify(parameters, &["MessageBody"]),
        "sns" => stringify(parameters, &["Message"]),
        "states" => lower_case(stringify(parameters, &["Input"])),
        _ => parameters,
    };
    let queue = input.get("QueueUrl").and_then(Value::as_str).map(str::to_owned);
    match dispatcher.call(job, service, &operation, input).await {
        Ok(output) => Ok(with_metadata(
            if *service == "states" { upper_case(output) } else { output },
            &dispatcher.entropy.uuid(),
        )),
        Err((fault, request_id)) => {
            Err(match queue.filter(|_| *service == "sqs").and_then(|q| unreachable_host(&q, &fault)) {
                Some(host) => TaskError {
                    error: "SQS.SdkClientException".to_owned(),
                    cause: format!("Unable to execute HTTP request: {host}: Name or service not known"),
                },
                None => errors.error(&fault, &request_id),
            })
        }
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

async fn run_sdk(
    dispatcher: &Dispatcher,
    job: &Job,
    integration: &Integration,
    operation: &str,
    parameters: Value,
) -> Result<String, TaskError> {
    let Some(service) = AWS_SDK.iter().find(|s| s.resource == integration.service) else {
        return Err(not_supported(integration));
    };
    let input = if service.lower_case { lower_case(parameters) } else { parameters };
    match dispatcher.call(job, service.registry, operation, input).await {
        Ok(output) => Ok(if service.lower_case { upper_case(output) } else { output }.to_string()),
        Err((fault, request_id)) => {
            let class = match fault.code.as_str() {
                "ValidationException" | "SerializationException" => format!("{}Exception", service.name),
                code => exception(code),
            };
            let extended = if service.registry == "s3" { ", Extended Request ID: null" } else { "" };
            let attempts = if service.tells_attempts { " (SDK Attempt Count: 1)" } else { "" };
            Err(TaskError {
                error: format!("{}.{class}", service.name),
                cause: format!(
                    "{} (Service: {}, Status Code: {}, Request ID: {request_id}{extended}){attempts}",
                    fault.message, service.name, fault.status
                ),
            })
        }
    }
}

fn not_supported(integration: &Integration) -> TaskError {
    TaskError {
        error: "States.Runtime".to_owned(),
        cause: format!(
            "The integration {}:{} is not supported",
            integration.resource_type(),
            integration.resource_name()
        ),
    }
}

/// `sendMessage` -> `SendMessage`.
fn operation_name(action: &str) -> String {
    first_letter(action, char::to_ascii_uppercase)
}

fn first_letter(text: &str, change: impl Fn(&char) -> char) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| std::iter::once(change(&first)).chain(chars).collect())
}

/// The class of an error code in AWS's Java SDKs.
fn exception(code: &str) -> String {
    let code = code.rsplit('.').next().unwrap_or(code);
    if code.ends_with("Exception") { code.to_owned() } else { format!("{code}Exception") }
}

/// Members that the API wants as text may be given as JSON.
fn stringify(mut parameters: Value, members: &[&str]) -> Value {
    for member in members {
        if let Some(value) = parameters.get_mut(*member)
            && !value.is_string()
        {
            *value = Value::String(value.to_string());
        }
    }
    parameters
}

pub(super) fn lower_case(value: Value) -> Value {
    change_keys(value, &|c| c.to_ascii_lowercase())
}

pub(super) fn upper_case(value: Value) -> Value {
    change_keys(value, &|c| c.to_ascii_uppercase())
}

fn change_keys(value: Value, change: &impl Fn(&char) -> char) -> Value {
    match value {
        Value::Object(members) => {
            let members = members.into_iter().map(|(k, v)| (first_letter(&k, change), change_keys(v, change)));
            Value::Object(members.collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(|v| change_keys(v, change)).collect()),
        other => other,
    }
}

/// An optimised integration's output: the API's answer and what the SDK tells of the HTTP exchange.
pub(super) fn with_metadata(output: Value, request_id: &str) -> String {
    let length = output.to_string().len();
    let metadata = http_headers(200, length, "application/x-amz-json-1.0", request_id, &[]);
    let mut members = match output {
        Value::Object(members) => members,
        _ => Map::new(),
    };
    members.insert("SdkHttpMetadata".to_owned(), metadata);
    members.insert("SdkResponseMetadata".to_owned(), json!({"RequestId": request_id}));
    Value::Object(members).to_string()
}

pub(super) fn http_headers(
    status: u16,
    length: usize,
    content_type: &str,
    request_id: &str,
    extra: &[(&str, String)],
) -> Value {
    let mut headers: Vec<(&str, String)> = extra.to_vec();
    headers.push(("Connection", "keep-alive".to_owned()));
    headers.push(("x-amzn-RequestId", request_id.to_owned()));
    headers.push(("Content-Length", length.to_string()));
    headers.push(("Content-Type", content_type.to_owned()));
    let all: Map<String, Value> = headers.iter().map(|(k, v)| ((*k).to_owned(), json!([v]))).collect();
    let single: Map<String, Value> = headers.iter().map(|(k, v)| ((*k).to_owned(), json!(v))).collect();
    json!({"AllHttpHeaders": all, "HttpHeaders": single, "HttpStatusCode": status})
}
