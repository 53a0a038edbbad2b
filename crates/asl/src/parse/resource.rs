//! What a Task state's `Resource` names.

use crate::ParameterTemplate;
use crate::ast::{Integration, IntegrationPattern, Resource, ResourceKind};
use crate::json::Node;

use super::Checker;
use super::fields::Fields;
use super::suggest::did_you_mean;

use IntegrationPattern::{RequestResponse, Sync, Sync2, WaitForTaskToken};

/// Patterns of one action.
type Patterns = &'static [IntegrationPattern];

const CALL: Patterns = &[RequestResponse];
const JOB: Patterns = &[RequestResponse, Sync];
const CALLBACK: Patterns = &[RequestResponse, WaitForTaskToken];
const JOB_OR_CALLBACK: Patterns = &[RequestResponse, Sync, WaitForTaskToken];
const EXECUTION: Patterns = &[RequestResponse, Sync, Sync2, WaitForTaskToken];

/// The optimised integrations: service, its actions (none: any is taken) with their patterns.
/// <https://docs.aws.amazon.com/step-functions/latest/dg/integrate-optimized.html>
const OPTIMISED: &[(&str, &[(&str, Patterns)])] = &[
    ("apigateway", &[("invoke", CALLBACK)]),
    (
        "athena",
        &[
            ("getQueryExecution", CALL),
            ("getQueryResults", CALL),
            ("startQueryExecution", JOB),
            ("stopQueryExecution", CALL),
        ],
    ),
    ("batch", &[("submitJob", JOB_OR_CALLBACK)]),
    ("bedrock", &[("createModelCustomizationJob", JOB), ("invokeModel", JOB_OR_CALLBACK)]),
    ("bedrock-agentcore", &[]),
    ("bedrockagentcore", &[]),
    (
        "codebuild",
        &[
            ("batchDeleteBuilds", CALL),
            ("batchGetReports", CALL),
            ("deleteBuildBatch", CALL),
            ("retryBuildBatch", JOB),
            ("startBuild", JOB),
            ("startBuildBatch", JOB),
            ("stopBuild", CALL),
            ("stopBuildBatch", CALL),
        ],
    ),
    ("databrew", &[("startJobRun", JOB)]),
    ("dynamodb", &[("deleteItem", CALL), ("getItem", CALL), ("putItem", CALL), ("updateItem", CALL)]),
    ("ecs", &[("runTask", JOB_OR_CALLBACK)]),
    (
        "eks",
        &[
            ("call", CALL),
            ("createCluster", JOB),
            ("createFargateProfile", JOB),
            ("createNodegroup", JOB),
            ("deleteCluster", JOB),
            ("deleteFargateProfile", JOB),
            ("deleteNodegroup", JOB),
            ("runJob", JOB_OR_CALLBACK),
        ],
    ),
    (
        "elasticmapreduce",
        &[
            ("addStep", JOB),
            ("cancelStep", CALL),
            ("createCluster", JOB),
            ("modifyInstanceFleetByName", CALL),
            ("modifyInstanceGroupByName", CALL),
            ("setClusterTerminationProtection", CALL),
            ("terminateCluster", JOB),
        ],
    ),
    ("emr-containers", &[("createVirtualCluster", CALL), ("deleteVirtualCluster", JOB), ("startJobRun", JOB)]),
    (
        "emr-serverless",
        &[
            ("cancelJobRun", JOB),
            ("createApplication", JOB),
            ("deleteApplication", JOB),
            ("startApplication", JOB),
            ("startJobRun", JOB),
            ("stopApplication", JOB),
        ],
    ),
    ("events", &[("putEvents", CALLBACK)]),
    ("glue", &[("startJobRun", JOB)]),
    ("http", &[("invoke", CALL)]),
    ("lambda", &[("invoke", CALLBACK)]),
    ("mediaconvert", &[("createJob", JOB)]),
    (
        "sagemaker",
        &[
            ("createEndpoint", CALL),
            ("createEndpointConfig", CALL),
            ("createHyperParameterTuningJob", JOB),
            ("createLabelingJob", JOB),
            ("createModel", CALL),
            ("createProcessingJob", JOB),
            ("createTrainingJob", JOB),
            ("createTransformJob", JOB),
            ("updateEndpoint", CALL),
        ],
    ),
    ("sns", &[("publish", CALLBACK)]),
    ("sqs", &[("sendMessage", CALLBACK)]),
    ("states", &[("startExecution", EXECUTION)]),
];

pub(super) fn resource(c: &mut Checker, fields: &Fields<'_>) -> Option<Resource> {
    let arn = fields.string(c, "Resource")?;
    let node = fields.get("Resource")?;
    match classify(arn) {
        Ok(kind) => {
            if let ResourceKind::Integration(integration) = &kind {
                parameters(c, fields, integration);
            }
            Some(Resource { arn: arn.to_owned(), kind })
        }
        Err(fault) => {
            report(c, fields, node, arn, fault);
            None
        }
    }
}

/// Checks what the definition says of the call's parameters. Without them the state's input is the parameters.
fn parameters(c: &mut Checker, fields: &Fields<'_>, integration: &Integration) {
    let templates = [("Parameters", ParameterTemplate::JsonPath), ("Arguments", ParameterTemplate::Jsonata)];
    for (field, template) in templates {
        let Some(node) = fields.get(field) else { continue };
        for message in integration.check(&node.to_value(), template) {
            c.error(message, &fields.at(field), &node.range);
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
        Fault::Unknown(help) => {
            let why = "The value is not a valid resource ARN, or the resource is not available in this region.";
            (format!("The resource provided {arn} is not recognized. {why}"), help)
        }
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
        return sdk(call, pattern);
    }
    let Some((service, action)) = rest.split_once(':') else { return Err(Fault::Unknown(None)) };
    let Some((_, actions)) = OPTIMISED.iter().find(|(name, ..)| *name == service) else {
        return Err(Fault::Unknown(did_you_mean(service, OPTIMISED.iter().map(|(name, ..)| *name))));
    };
    let patterns = match actions.iter().find(|(name, _)| *name == action) {
        Some((_, patterns)) => patterns,
        None if actions.is_empty() && !action.is_empty() => JOB_OR_CALLBACK,
        None => return Err(Fault::Unknown(did_you_mean(action, actions.iter().map(|(name, _)| *name)))),
    };
    if !patterns.contains(&pattern) {
        let suffix = pattern.suffix();
        return Err(Fault::Unknown(Some(format!("'{service}:{action}' has no '{suffix}' pattern"))));
    }
    Ok(Integration { aws_sdk: false, service: service.to_owned(), action: action.to_owned(), pattern })
}

/// `aws-sdk:SERVICE:ACTION`: any action of any service of AWS.
fn sdk(call: &str, pattern: IntegrationPattern) -> Result<Integration, Fault> {
    const FORM: &str =
        "aws-sdk integrations are 'aws-sdk:service:actionInCamelCase', optionally with '.waitForTaskToken'";
    let Some((service, action)) = call.split_once(':') else { return Err(Fault::Unknown(Some(FORM.to_owned()))) };
    let Some(mut actions) = model::actions(service) else {
        return Err(Fault::Unknown(did_you_mean(service, model::services())));
    };
    if !CALLBACK.contains(&pattern) {
        return Err(Fault::Unknown(Some(FORM.to_owned())));
    }
    if !actions.any(|known| known == action) {
        let known = model::actions(service).into_iter().flatten();
        return Err(Fault::Unknown(did_you_mean(action, known)));
    }
    Ok(Integration { aws_sdk: true, service: service.to_owned(), action: action.to_owned(), pattern })
}
