//! Service integrations, and what AWS checks before it schedules one.

use asl::{Integration, IntegrationPattern, ParameterTemplate, ResourceKind};
use serde_json::Value;
use service::Fault;

use super::{Dispatcher, TaskError, optimised, sdk};
use crate::catalog::Catalog;
use crate::execution::Job;

/// Why a resource that parses cannot run here; `None` if it can. CreateStateMachine asks this.
pub(crate) fn unsupported(integration: &Integration, has: impl Fn(&str, &str) -> bool) -> Option<String> {
    let operation = integration.operation_name();
    let service = integration.service.as_str();
    let registry = match integration.aws_sdk {
        true => Some(sdk::registry_id(service)),
        false if matches!(service, "lambda" | "http") => return None, // What they need is always there.
        false => optimised::find(service).map(|service| service.service),
    };
    let Some(registry) = registry else {
        return Some(format!("the service {} is not supported", integration.resource_type()));
    };
    if !has(registry, &operation) {
        return Some(format!("the operation {operation} of {} is not supported", integration.resource_type()));
    }
    let sync = matches!(integration.pattern, IntegrationPattern::Sync | IntegrationPattern::Sync2);
    (sync && registry != "states").then(|| format!("{} cannot be waited for", integration.resource_name()))
}

/// What AWS checks when a task is about to be scheduled; what it refuses fails the execution with this cause.
pub(crate) fn admit(task: &interp::Admission<'_>, catalog: &Catalog) -> Result<(), String> {
    if let Some(role) = task.credentials_role_arn
        && role_account(role).is_none()
    {
        return Err("The value for the field 'RoleArn' must be a valid ARN of an IAM role".to_owned());
    }
    match &task.resource.kind {
        ResourceKind::Function => Ok(()),
        ResourceKind::Activity { .. } => match catalog.activity(&task.resource.arn) {
            Some(_) => Ok(()),
            None => Err(format!("The activity {} does not exist.", task.resource.arn)),
        },
        ResourceKind::Integration(integration) => {
            let wrong = integration.check(task.parameters, ParameterTemplate::No);
            if wrong.is_empty() {
                return Ok(());
            }
            let (parameters, wrong) = (task.parameters, wrong.join(", "));
            Err(format!("The Parameters '{parameters}' could not be used to start the Task: [{wrong}]"))
        }
    }
}

/// The account of a role's ARN, `arn:aws:iam::123456789012:role/path/name`, and the role's name.
pub(super) fn role_account(role: &str) -> Option<(&str, &str)> {
    let rest = role.strip_prefix("arn:")?;
    let (partition, rest) = rest.split_once(":iam::")?;
    let (account, name) = rest.split_once(":role/")?;
    let is_account = account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit());
    (partition.starts_with("aws") && is_account && !name.is_empty())
        .then(|| (account, name.rsplit('/').next().unwrap_or(name)))
}

pub(super) async fn run(dispatcher: &Dispatcher, job: &Job, integration: &Integration) -> Result<String, TaskError> {
    let parameters: Value = serde_json::from_str(&job.task.parameters).unwrap_or_default();
    if integration.aws_sdk {
        return sdk::run(dispatcher, job, integration, parameters).await;
    }
    match optimised::find(&integration.service) {
        Some(service) => optimised::run(dispatcher, job, service, &integration.operation_name(), parameters).await,
        None => Err(TaskError {
            error: "States.Runtime".to_owned(),
            cause: format!(
                "The integration {}:{} is not supported",
                integration.resource_type(),
                integration.resource_name()
            ),
        }),
    }
}

/// What a service says of required members that are null: they were given, so the definition was accepted.
pub(super) fn missing(service: &str, members: &[&str]) -> Fault {
    if service == "sqs" {
        let message = format!("The request must contain the parameter {}.", members[0]);
        return Fault::client("MissingParameter", message);
    }
    let small = |name: &str| name[..1].to_ascii_lowercase() + &name[1..];
    let each: Vec<String> = members
        .iter()
        .map(|name| format!("Value null at '{}' failed to satisfy constraint: Member must not be null", small(name)))
        .collect();
    let errors = if each.len() == 1 { "error" } else { "errors" };
    Fault::validation(format!("{} validation {errors} detected: {}", each.len(), each.join("; ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_have_an_account_and_a_name() {
        let role = "arn:aws:iam::123456789012:role/service-role/worker";
        assert_eq!(role_account(role), Some(("123456789012", "worker")));
        for bad in [
            "",
            "worker",
            "arn:aws:iam::1:role/x",
            "arn:aws:iam::123456789012:user/x",
            "arn:aws:iam::123456789012:role/",
        ] {
            assert_eq!(role_account(bad), None, "{bad}");
        }
    }

    #[test]
    fn nulls_are_missing_as_the_service_says_it() {
        assert_eq!(missing("sqs", &["MessageBody"]).code, "MissingParameter");
        assert_eq!(
            missing("dynamodb", &["Item"]).message,
            "1 validation error detected: Value null at 'item' failed to satisfy constraint: Member must not be null"
        );
    }
}
