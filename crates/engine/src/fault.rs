//! The engine's errors as Step Functions words them.
//!
//! <https://docs.aws.amazon.com/step-functions/latest/apireference/CommonErrors.html>

use base::Arn;
use cell::CellError;
use service::Fault;

pub(crate) fn machine_does_not_exist(arn: &str) -> Fault {
    Fault::client("StateMachineDoesNotExist", format!("State Machine Does Not Exist: '{arn}'"))
}

pub(crate) fn execution_does_not_exist(arn: &str) -> Fault {
    Fault::client("ExecutionDoesNotExist", format!("Execution Does Not Exist: '{arn}'"))
}

pub(crate) fn execution_already_exists(arn: &str) -> Fault {
    Fault::client("ExecutionAlreadyExists", format!("Execution Already Exists: '{arn}'"))
}

pub(crate) fn execution_limit_exceeded() -> Fault {
    let message = "The maximum number of running executions has been reached. Running executions must end or be stopped before a new execution can be started.";
    Fault::client("ExecutionLimitExceeded", message)
}

pub(crate) fn activity_does_not_exist(arn: &str) -> Fault {
    Fault::client("ActivityDoesNotExist", format!("Activity Does Not Exist: '{arn}'"))
}

/// A resource, named by its ARN, that tags were asked of or for.
pub(crate) fn resource_not_found(arn: &str) -> Fault {
    Fault::client("ResourceNotFound", format!("Resource not found: '{arn}'")).member("resourceName", arn)
}

/// An alias or a version that a request names is not there.
pub(crate) fn no_such_reference() -> Fault {
    Fault::client("ResourceNotFound", "Request references a resource that does not exist.")
}

pub(crate) fn conflict(message: impl Into<String>) -> Fault {
    Fault::with_status(409, "ConflictException", message)
}

pub(crate) fn quota_exceeded(message: impl Into<String>) -> Fault {
    Fault::with_status(402, "ServiceQuotaExceededException", message)
}

/// A validation error with one of AWS's reasons.
pub(crate) fn validation(reason: &'static str, message: impl Into<String>) -> Fault {
    Fault::validation(message).member("reason", reason)
}

pub(crate) fn type_not_supported() -> Fault {
    Fault::client("StateMachineTypeNotSupported", "This operation is not supported by this type of state machine")
}

pub(crate) fn invalid_token() -> Fault {
    Fault::client("InvalidToken", "Invalid Token: 'Invalid token'")
}

pub(crate) fn task_closed() -> Fault {
    Fault::client("TaskTimedOut", "Task Timed Out: 'Provided task does not exist anymore'")
}

pub(crate) fn invalid_name(name: &str) -> Fault {
    Fault::client("InvalidName", format!("Invalid Name: '{name}'"))
}

pub(crate) fn invalid_page_token() -> Fault {
    Fault::client("InvalidToken", "Invalid Token: 'Invalid token'")
}

/// What a caller is told when a cell gave no answer.
pub(crate) fn from_cell(error: CellError) -> Fault {
    match error {
        CellError::Overloaded => Fault::throttling("Rate exceeded"),
        CellError::Stopped => Fault::with_status(503, "ServiceUnavailable", "the server is stopping"),
        CellError::NotCommitted(error) => Fault::internal(error.to_string()),
    }
}

pub(crate) fn from_store(error: store::Error) -> Fault {
    Fault::internal(error.to_string())
}

/// An ARN of Step Functions whose resource begins with `kind`: its remaining parts.
pub(crate) fn parse_arn(text: &str, kind: &str) -> Result<(Arn, Vec<String>), Fault> {
    let invalid = |why: &str| Fault::client("InvalidArn", format!("Invalid Arn: '{why}: {text}'"));
    let other = |kind: &str| {
        Fault::client("InvalidArn", format!("Invalid Arn: 'Resource type not valid in this context: {kind}'"))
    };
    let arn: Arn = text.parse().map_err(|_| invalid("Invalid ARN prefix"))?;
    if arn.service() != "states" {
        return Err(other(arn.service()));
    }
    let mut parts = arn.resource().split(':');
    if let Some(found) = parts.next().filter(|found| *found != kind) {
        return Err(other(found));
    }
    let parts: Vec<String> = parts.map(str::to_owned).collect();
    if parts.is_empty() || parts.iter().any(String::is_empty) {
        return Err(invalid("Invalid ARN"));
    }
    Ok((arn, parts))
}

/// Names of machines, executions and activities: 1 to 80 characters, none of those that AWS forbids.
/// <https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html>
pub(crate) fn check_name(name: &str) -> Result<(), Fault> {
    const FORBIDDEN: &str = "<>{}[]?*\"#%\\^|~`$&,;:/";
    let bad =
        |c: char| c.is_whitespace() || c.is_control() || FORBIDDEN.contains(c) || ('\u{7f}'..='\u{9f}').contains(&c);
    if name.is_empty() || name.chars().count() > 80 || name.contains(bad) {
        return Err(invalid_name(name));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_arns() {
        for good in ["a", "job-1_2.3", "Ünïcode", "test-job-123"] {
            assert!(check_name(good).is_ok(), "{good}");
        }
        for bad in ["", "a b", "a:b", "a/b", "a\u{7}", &"x".repeat(81)] {
            assert_eq!(check_name(bad).unwrap_err().code, "InvalidName", "{bad}");
        }
        let (arn, parts) = parse_arn("arn:aws:states:us-east-1:000000000000:execution:m:e", "execution").unwrap();
        assert_eq!((arn.account(), parts), ("000000000000", vec!["m".to_owned(), "e".to_owned()]));
        assert_eq!(parse_arn("arn:aws:sqs:::q", "execution").unwrap_err().code, "InvalidArn");
    }
}
