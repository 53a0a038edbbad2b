//! The errors that S3 answers, with its codes, statuses and messages.

use cell::CellError;
use service::Fault;

use crate::record::VersionId;

/// Why an operation has no result: the caller is told a fault; an error of the store fails the turn.
#[derive(Debug)]
pub(crate) enum Error {
    Fault(Fault),
    Store(store::Error),
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Error {
        Error::Fault(fault)
    }
}

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Error {
        Error::Store(error)
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Fault {
        match error {
            Error::Fault(fault) => fault,
            Error::Store(error) => of_store(&error),
        }
    }
}

pub(crate) fn of_store(error: &store::Error) -> Fault {
    match error {
        store::Error::Retryable(_) => slow_down(),
        store::Error::Fenced | store::Error::Corrupt(_) => {
            tracing::error!(%error, "read or write of S3 records failed");
            internal(&format!("We encountered an internal error. Please try again. ({error})"))
        }
    }
}

pub(crate) fn of_cell(error: &CellError) -> Fault {
    match error {
        CellError::Overloaded => slow_down(),
        CellError::Stopped => Fault::with_status(503, "ServiceUnavailable", "The server is stopping."),
        CellError::NotCommitted(error) => of_store(error),
    }
}

pub(crate) fn of_io(what: &str, error: &std::io::Error) -> Fault {
    tracing::error!(%error, what, "file access for an object failed");
    internal(&format!("We encountered an internal error. Please try again. ({what}: {error})"))
}

pub(crate) fn internal(message: &str) -> Fault {
    Fault::with_status(500, "InternalError", message)
}

pub(crate) fn slow_down() -> Fault {
    Fault::with_status(503, "SlowDown", "Please reduce your request rate.")
}

pub(crate) fn no_such_bucket(bucket: &str) -> Fault {
    Fault::with_status(404, "NoSuchBucket", "The specified bucket does not exist").member("BucketName", bucket)
}

pub(crate) fn no_such_key(key: &str) -> Fault {
    Fault::with_status(404, "NoSuchKey", "The specified key does not exist.").member("Key", key)
}

pub(crate) fn no_such_version(key: &str, version: VersionId) -> Fault {
    Fault::with_status(404, "NoSuchVersion", "The specified version does not exist.")
        .member("Key", key)
        .member("VersionId", version.to_string())
}

pub(crate) fn invalid_version() -> Fault {
    Fault::client("InvalidArgument", "Invalid version id specified").member("ArgumentName", "versionId")
}

pub(crate) fn no_such_upload(upload_id: &str) -> Fault {
    let message = "The specified upload does not exist. The upload ID may be invalid, or the upload may have been \
                   aborted or completed.";
    Fault::with_status(404, "NoSuchUpload", message).member("UploadId", upload_id)
}

pub(crate) fn access_denied() -> Fault {
    Fault::with_status(403, "AccessDenied", "Access Denied")
}

pub(crate) fn precondition_failed(condition: &str) -> Fault {
    Fault::with_status(412, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold")
        .member("Condition", condition)
}

pub(crate) fn invalid_argument(message: &str, name: &str, value: impl Into<String>) -> Fault {
    Fault::client("InvalidArgument", message).member("ArgumentName", name).member("ArgumentValue", value.into())
}

pub(crate) fn invalid_request(message: impl Into<String>) -> Fault {
    Fault::client("InvalidRequest", message)
}

pub(crate) fn malformed_xml() -> Fault {
    let message = "The XML you provided was not well-formed or did not validate against our published schema";
    Fault::client("MalformedXML", message)
}

pub(crate) fn not_implemented(what: &str) -> Fault {
    Fault::with_status(
        501,
        "NotImplemented",
        format!("A header you provided implies functionality that is not implemented: {what}"),
    )
}

pub(crate) fn bad_digest(name: &str) -> Fault {
    Fault::client("BadDigest", format!("The {name} you specified did not match the calculated checksum."))
}

pub(crate) fn incomplete_body() -> Fault {
    let message = "You did not provide the number of bytes specified by the Content-Length HTTP header";
    Fault::client("IncompleteBody", message)
}

pub(crate) fn too_large(proposed: u64, bytes_max: u64) -> Fault {
    Fault::client("EntityTooLarge", "Your proposed upload exceeds the maximum allowed size")
        .member("ProposedSize", proposed.to_string())
        .member("MaxSizeAllowed", bytes_max.to_string())
}
