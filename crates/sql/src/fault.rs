//! AWS's errors of the Data API and of RDS, in one place.

use cell::CellError;
use service::Fault;

pub(crate) fn bad_request(message: impl Into<String>) -> Fault {
    Fault::client("BadRequestException", message)
}

/// What the database itself says, such as `ERROR: relation "x" does not exist; SQLState: 42P01`.
pub(crate) fn database(message: impl Into<String>) -> Fault {
    Fault::client("DatabaseErrorException", message)
}

/// A database error with its five-letter state.
pub(crate) fn database_state(message: impl std::fmt::Display, state: &str) -> Fault {
    database(format!("ERROR: {message}; SQLState: {state}"))
}

pub(crate) fn timeout() -> Fault {
    Fault::client("StatementTimeoutException", "Request timed out")
}

pub(crate) fn unavailable(message: impl Into<String>) -> Fault {
    Fault::with_status(503, "ServiceUnavailableError", message)
}

pub(crate) fn internal(message: impl Into<String>) -> Fault {
    Fault::with_status(500, "InternalServerErrorException", message)
}

pub(crate) fn no_transaction(id: &str) -> Fault {
    Fault::with_status(404, "TransactionNotFoundException", format!("Transaction {id} is not found"))
}

pub(crate) fn too_large() -> Fault {
    bad_request("Database returned more than the allowed response size limit")
}

pub(crate) fn store(error: &store::Error) -> Fault {
    Fault::internal(error.to_string())
}

pub(crate) fn cell(error: &CellError) -> Fault {
    match error {
        CellError::Overloaded => Fault::throttling("Rate exceeded"),
        CellError::Stopped | CellError::NotCommitted(_) => Fault::internal(error.to_string()),
    }
}
