//! `aws-sdk:` integrations: every operation of the registry, under the names that AWS's second Java SDK gives.

use asl::Integration;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use model::Naming;
use serde_json::{Value, json};
use service::Fault;

use super::{Dispatcher, TaskError};
use crate::execution::Job;

/// Services whose name in resources is not their id in the registry.
const REGISTRY_IDS: &[(&str, &str)] = &[
    ("cloudwatch", "monitoring"),
    ("cloudwatchlogs", "logs"),
    ("eventbridge", "events"),
    ("rdsdata", "rds-data"),
    ("resourcegroupstaggingapi", "tagging"),
    ("sfn", "states"),
];

/// Services of which AWS's newer releases of the integration tell in causes how often they tried.
const TELL_ATTEMPTS: &[&str] = &["sfn"];

/// A service's id in the registry.
pub(super) fn registry_id(service: &str) -> &str {
    REGISTRY_IDS.iter().find(|(name, _)| *name == service).map_or(service, |(_, id)| id)
}

pub(super) async fn run(
    dispatcher: &Dispatcher,
    job: &Job,
    integration: &Integration,
    parameters: Value,
) -> Result<String, TaskError> {
    let service = integration.service.as_str();
    let operation = integration.operation_name();
    let shapes = integration.operation();
    let mut input = match &shapes {
        Some(shapes) => shapes.input(Naming::Sdk, parameters),
        None => super::without_nulls(parameters),
    };
    if (service, operation.as_str()) == ("s3", "PutObject")
        && let Some(input) = input.as_object_mut()
    {
        // What the SDK says of a body that is text.
        input.entry("ContentType").or_insert_with(|| json!("text/plain; charset=UTF-8"));
    }
    let answer = dispatcher.call_checked(job, (registry_id(service), service), &operation, input).await;
    let mut output = answer.map_err(|(fault, request_id)| error(service, &fault, &request_id))?.0;
    if service == "s3" {
        take_binary_body(&mut output);
    }
    Ok(match shapes {
        Some(shapes) => shapes.result(Naming::Sdk, output).to_string(),
        None => output.to_string(),
    })
}

/// A body that is no text becomes text as the SDK makes it one.
fn take_binary_body(output: &mut Value) {
    let Some(members) = output.as_object_mut() else { return };
    if let Some(Value::String(body)) = members.remove("BodyBase64") {
        let bytes = STANDARD.decode(body).unwrap_or_default();
        members.insert("Body".to_owned(), String::from_utf8_lossy(&bytes).into_owned().into());
    }
}

fn error(service: &str, fault: &Fault, request_id: &str) -> TaskError {
    let prefix = model::service_class(service).unwrap_or_else(|| service.to_owned());
    let code = fault.code.rsplit('.').next().unwrap_or(&fault.code);
    let class = match model::shapes(service) {
        Some(shapes) => shapes.exception(code),
        None => Some(model::exception_class(code)),
    };
    let class = class.unwrap_or_else(|| format!("{prefix}Exception"));
    let extended = if service == "s3" { ", Extended Request ID: null" } else { "" };
    let attempts = if TELL_ATTEMPTS.contains(&service) { " (SDK Attempt Count: 1)" } else { "" };
    TaskError {
        error: format!("{prefix}.{class}"),
        cause: format!(
            "{} (Service: {prefix}, Status Code: {}, Request ID: {request_id}{extended}){attempts}",
            fault.message, fault.status
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_named_as_the_sdk_names_them() {
        let cases = [
            ("s3", "NoSuchKey", "S3.NoSuchKeyException"),
            ("s3", "SignatureDoesNotMatch", "S3.S3Exception"),
            ("secretsmanager", "ResourceNotFoundException", "SecretsManager.ResourceNotFoundException"),
            ("secretsmanager", "ValidationException", "SecretsManager.SecretsManagerException"),
            ("sfn", "StateMachineDoesNotExist", "Sfn.StateMachineDoesNotExistException"),
            ("dynamodb", "ResourceNotFoundException", "DynamoDb.ResourceNotFoundException"),
            ("dynamodb", "ValidationException", "DynamoDb.DynamoDbException"),
            ("cloudwatchlogs", "ResourceAlreadyExistsException", "CloudWatchLogs.ResourceAlreadyExistsException"),
            ("iam", "NoSuchEntity", "Iam.NoSuchEntityException"),
            ("sqs", "QueueDoesNotExist", "Sqs.QueueDoesNotExistException"),
            ("sqs", "AWS.SimpleQueueService.QueueDoesNotExist", "Sqs.QueueDoesNotExistException"),
            ("lambda", "TooManyRequestsException", "Lambda.TooManyRequestsException"),
            ("ssm", "ParameterNotFound", "Ssm.ParameterNotFoundException"),
            ("rdsdata", "BadRequestException", "RdsData.BadRequestException"),
            ("ec2", "InvalidParameterValue", "Ec2.InvalidParameterValueException"),
        ];
        for (service, code, name) in cases {
            assert_eq!(error(service, &Fault::client(code, "m"), "r").error, name);
        }
        let cause = error("s3", &Fault::with_status(404, "NoSuchKey", "The specified key does not exist."), "r").cause;
        let aws = "The specified key does not exist. (Service: S3, Status Code: 404, Request ID: r, Extended Request ID: null)";
        assert_eq!(cause, aws);
    }
}
