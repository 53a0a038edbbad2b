//! Lambda's errors, with its words.

use base::Arn;
use cell::CellError;
use service::Fault;

use crate::package::ArchiveError;

pub(crate) fn invalid_parameter(message: impl Into<String>) -> Fault {
    Fault::client("InvalidParameterValueException", message).member("Type", "User")
}

pub(crate) fn conflict(message: impl Into<String>) -> Fault {
    Fault::with_status(409, "ResourceConflictException", message).member("Type", "User")
}

pub(crate) fn not_found(message: impl Into<String>) -> Fault {
    Fault::with_status(404, "ResourceNotFoundException", message).member("Type", "User")
}

pub(crate) fn function_not_found(arn: &Arn) -> Fault {
    not_found(format!("Function not found: {arn}"))
}

pub(crate) fn precondition_failed(what: &str) -> Fault {
    let message = format!(
        "The Revision Id provided does not match the latest Revision Id. Call the {what} API to retrieve the latest \
         Revision Id"
    );
    Fault::with_status(412, "PreconditionFailedException", message).member("Type", "User")
}

pub(crate) fn service_exception(message: impl Into<String>) -> Fault {
    Fault::with_status(500, "ServiceException", message).member("Type", "Service")
}

/// AWS's words for a member that breaks its model.
pub(crate) fn constraint(value: &str, member: &str, must: &str) -> Fault {
    let shown: String = value.chars().take(256).collect();
    Fault::validation(format!(
        "1 validation error detected: Value '{shown}' at '{member}' failed to satisfy constraint: Member must {must}"
    ))
}

pub(crate) fn required(member: &str) -> Fault {
    Fault::validation(format!(
        "1 validation error detected: Value null at '{member}' failed to satisfy constraint: Member must not be null"
    ))
}

/// Nothing was done; the caller may try again.
pub(crate) fn not_committed(error: &CellError) -> Fault {
    match error {
        CellError::Overloaded => {
            Fault::with_status(429, "TooManyRequestsException", "Rate exceeded").member("Type", "User")
        }
        CellError::Stopped | CellError::NotCommitted(_) => service_exception(error.to_string()),
    }
}

pub(crate) fn refused_archive(error: &ArchiveError) -> Fault {
    match error {
        ArchiveError::Malformed(why) => invalid_parameter(format!(
            "Could not unzip uploaded file. Please check your file, then try to upload again. ({why})"
        )),
        ArchiveError::TooLarge(max) => invalid_parameter(format!("Unzipped size must be smaller than {max} bytes")),
        ArchiveError::TooMany(max) => invalid_parameter(format!("A package may hold {max} files and folders at most")),
        ArchiveError::Io(error) => service_exception(format!("store the package: {error}")),
    }
}
