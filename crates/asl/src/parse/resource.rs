//! What a Task state's `Resource` names.

use crate::ast::{Integration, IntegrationPattern, Resource, ResourceKind};
use crate::json::Node;

use super::Checker;
use super::fields::Fields;
use super::suggest::did_you_mean;

use IntegrationPattern::{RequestResponse, Sync, Sync2, WaitForTaskToken};

/// The optimised integrations: service, its actions (none: too many to list, any is taken), its patterns.
const OPTIMISED: &[(&str, &[&str], &[IntegrationPattern])] = &[
    ("apigateway", &["invoke"], &[RequestResponse, WaitForTaskToken]),
    ("athena", &[], &[RequestResponse, Sync]),
    ("batch", &["submitJob"], &[RequestResponse, Sync]),
    ("bedrock", &[], &[RequestResponse, Sync, WaitForTaskToken]),
    ("bedrock-agentcore", &[], &[RequestResponse]),
    ("codebuild", &[], &[RequestResponse, Sync]),
    ("databrew", &["startJobRun"], &[RequestResponse, Sync]),
    ("dynamodb", &["deleteItem", "getItem", "putItem", "updateItem"], &[RequestResponse]),
    ("ecs", &["runTask"], &[RequestResponse, Sync, WaitForTaskToken]),
    ("eks", &[], &[RequestResponse, Sync, WaitForTaskToken]),
    ("elasticmapreduce", &[], &[RequestResponse, Sync]),
    ("emr-containers", &[], &[RequestResponse, Sync]),
    ("emr-serverless", &[], &[RequestResponse, Sync]),
    ("events", &["putEvents"], &[RequestResponse, WaitForTaskToken]),
    ("glue", &["startJobRun"], &[RequestResponse, Sync]),
    ("http", &["invoke"], &[RequestResponse]),
    ("lambda", &["invoke"], &[RequestResponse, WaitForTaskToken]),
    ("mediaconvert", &["createJob"], &[RequestResponse, Sync]),
    ("sagemaker", &[], &[RequestResponse, Sync]),
    ("sns", &["publish"], &[RequestResponse, WaitForTaskToken]),
    ("sqs", &["sendMessage"], &[RequestResponse, WaitForTaskToken]),
    ("states", &["startExecution"], &[RequestResponse, Sync, Sync2, WaitForTaskToken]),
];

pub(super) fn resource(c: &mut Checker, fields: &Fields<'_>) -> Option<Resource> {
    let arn = fields.string(c, "Resource")?;
    let node = fields.get("Resource")?;
    match classify(arn) {
        Ok(kind) => Some(Resource { arn: arn.to_owned(), kind }),
        Err(fault) => {
            report(c, fields, node, arn, fault);
            None
        }
    }
}

enum Fault {
    NotAnArn,
    /// Well formed, but there is no such integration; with a hint.
    Unknown(Option<String>),
}

fn report(c: &mut Checker, fields: &Fields<'_>, node: &Node, arn: &str, fault: Fault) {
    let (message, help) = match fault {
        Fault::NotAnArn => ("Value is not a valid resource ARN".to_owned(), None),
        Fault::Unknown(help) => (format!("The resource provided {arn} is not recognized"), help),
    };
    c.error_with_help(message, &fields.at("Resource"), &node.range, help);
}

fn classify(arn: &str) -> Result<ResourceKind, Fault> {
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    let ["arn", partition, service, region, account, rest] = parts[..] else { return Err(Fault::NotAnArn) };
    if !partition.starts_with("aws") || rest.is_empty() || arn.contains("${") || arn.contains(char::is_whitespace) {
        return Err(Fault::NotAnArn);
    }
    let named = |prefix| rest.strip_prefix(prefix).filter(|name: &&str| !name.is_empty());
    match service {
        "lambda" => {
            let function = named("function:").filter(|_| !region.is_empty() && !account.is_empty());
            function.map(|_| ResourceKind::Function).ok_or(Fault::NotAnArn)
        }
        "states" if region.is_empty() && account.is_empty() => integration(rest).map(ResourceKind::Integration),
        "states" => {
            let activity = named("activity:").map(|name| ResourceKind::Activity { name: name.to_owned() });
            activity.ok_or(Fault::Unknown(None))
        }
        _ => Err(Fault::Unknown(None)),
    }
}

fn integration(rest: &str) -> Result<Integration, Fault> {
    let (rest, pattern) = [Sync2, Sync, WaitForTaskToken]
        .into_iter()
        .find_map(|pattern| Some((rest.strip_suffix(pattern.suffix())?, pattern)))
        .unwrap_or((rest, RequestResponse));
    if let Some(call) = rest.strip_prefix("aws-sdk:") {
        let Some((service, action)) = call.split_once(':') else { return Err(Fault::Unknown(None)) };
        let action_is_camel =
            action.starts_with(|c: char| c.is_ascii_lowercase()) && action.chars().all(|c| c.is_ascii_alphanumeric());
        if service.is_empty() || !action_is_camel || !matches!(pattern, RequestResponse | WaitForTaskToken) {
            let help =
                "aws-sdk integrations are 'aws-sdk:service:actionInCamelCase', optionally with '.waitForTaskToken'";
            return Err(Fault::Unknown(Some(help.to_owned())));
        }
        return Ok(Integration { aws_sdk: true, service: service.to_owned(), action: action.to_owned(), pattern });
    }
    let Some((service, action)) = rest.split_once(':') else { return Err(Fault::Unknown(None)) };
    let Some((_, actions, patterns)) = OPTIMISED.iter().find(|(name, ..)| *name == service) else {
        return Err(Fault::Unknown(did_you_mean(service, OPTIMISED.iter().map(|(name, ..)| *name))));
    };
    if action.is_empty() || !actions.is_empty() && !actions.contains(&action) {
        return Err(Fault::Unknown(did_you_mean(action, actions.iter().copied())));
    }
    if !patterns.contains(&pattern) {
        let suffix = pattern.suffix();
        return Err(Fault::Unknown(Some(format!("'{service}:{action}' has no '{suffix}' pattern"))));
    }
    Ok(Integration { aws_sdk: false, service: service.to_owned(), action: action.to_owned(), pattern })
}
