//! The errors of CloudWatch Logs.

use cell::CellError;
use service::Fault;

pub(crate) fn invalid(message: impl Into<String>) -> Fault {
    Fault::client("InvalidParameterException", message)
}

/// AWS's words about a member that breaks the model.
pub(crate) fn constraint(value: impl std::fmt::Display, member: &str, constraint: &str) -> Fault {
    invalid(format!(
        "1 validation error detected: Value '{value}' at '{member}' failed to satisfy constraint: {constraint}"
    ))
}

pub(crate) fn missing(member: &str) -> Fault {
    invalid(format!(
        "1 validation error detected: Value null at '{member}' failed to satisfy constraint: Member must not be null"
    ))
}

pub(crate) fn invalid_token() -> Fault {
    invalid("The specified nextToken is invalid.")
}

pub(crate) fn no_group() -> Fault {
    Fault::client("ResourceNotFoundException", "The specified log group does not exist.")
}

pub(crate) fn no_stream() -> Fault {
    Fault::client("ResourceNotFoundException", "The specified log stream does not exist.")
}

pub(crate) fn no_resource() -> Fault {
    Fault::client("ResourceNotFoundException", "The specified resource does not exist.")
}

pub(crate) fn group_exists() -> Fault {
    Fault::client("ResourceAlreadyExistsException", "The specified log group already exists")
}

pub(crate) fn stream_exists() -> Fault {
    Fault::client("ResourceAlreadyExistsException", "The specified log stream already exists")
}

pub(crate) fn too_many_tags() -> Fault {
    Fault::client("TooManyTagsException", "A resource can have no more than 50 tags.")
}

pub(crate) fn of_cell(error: CellError) -> Fault {
    match error {
        CellError::Overloaded => Fault::throttling("too many calls wait for this log group, try again"),
        CellError::Stopped => Fault::with_status(503, "ServiceUnavailableException", "the server is stopping"),
        CellError::NotCommitted(error) => of_store(&error),
    }
}

pub(crate) fn of_store(error: &store::Error) -> Fault {
    Fault::internal(error.to_string())
}
