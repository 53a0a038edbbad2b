//! AWS's errors, in one place, so that each text stands once.

use cell::CellError;
use serde_json::{Value, json};
use service::Fault;

use crate::expression::ExpressionError;
use crate::schema::KeyProblem;

pub(crate) const INVALID: &str = "One or more parameter values were invalid: ";

pub(crate) fn validation(message: impl Into<String>) -> Fault {
    Fault::validation(message)
}

/// `One or more parameter values were invalid: …`
pub(crate) fn invalid(message: impl std::fmt::Display) -> Fault {
    Fault::validation(format!("{INVALID}{message}"))
}

/// The table of an item operation does not exist.
pub(crate) fn no_table() -> Fault {
    Fault::client("ResourceNotFoundException", "Requested resource not found")
}

/// The named table does not exist, as the operations on tables say it.
pub(crate) fn table_not_found(name: &str) -> Fault {
    Fault::client("ResourceNotFoundException", format!("Requested resource not found: Table: {name} not found"))
}

pub(crate) fn condition_failed() -> Fault {
    Fault::client("ConditionalCheckFailedException", "The conditional request failed")
}

pub(crate) fn conflict() -> Fault {
    Fault::client("TransactionConflictException", "Transaction is ongoing for the item")
}

pub(crate) fn in_use(message: impl Into<String>) -> Fault {
    Fault::client("ResourceInUseException", message)
}

pub(crate) fn limit_exceeded(message: impl Into<String>) -> Fault {
    Fault::client("LimitExceededException", message)
}

pub(crate) fn collection_too_large() -> Fault {
    Fault::client("ItemCollectionSizeLimitExceededException", "Collection size exceeded.")
}

/// `Invalid UpdateExpression: …` and the like.
pub(crate) fn expression(parameter: &str) -> impl Fn(ExpressionError) -> Fault + '_ {
    move |error| Fault::validation(format!("Invalid {parameter}: {error}"))
}

/// A key of a GetItem, DeleteItem, UpdateItem does not fit the table.
pub(crate) fn key(problem: &KeyProblem<'_>) -> Fault {
    match problem {
        KeyProblem::Missing(_) | KeyProblem::WrongKind(..) => {
            validation("The provided key element does not match the schema")
        }
        other => key_value(other),
    }
}

/// The key within the item of a PutItem does not fit the table.
pub(crate) fn item_key(problem: &KeyProblem<'_>) -> Fault {
    match problem {
        KeyProblem::Missing(attribute) => invalid(format_args!("Missing the key {} in the item", attribute.name)),
        KeyProblem::WrongKind(attribute, kind) => invalid(format_args!(
            "Type mismatch for key {} expected: {} actual: {}",
            attribute.name,
            attribute.kind.name(),
            kind.name()
        )),
        other => key_value(other),
    }
}

fn key_value(problem: &KeyProblem<'_>) -> Fault {
    match problem {
        KeyProblem::Empty(attribute) => validation(format!(
            "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an \
             empty {} value. Key: {}",
            if attribute.kind == crate::Kind::B { "binary" } else { "string" },
            attribute.name
        )),
        KeyProblem::HashTooLong => invalid("Size of hashkey has exceeded the maximum size limit of2048 bytes"),
        _ => invalid("Aggregated size of all range keys has exceeded the size limit of 1024 bytes"),
    }
}

/// What an item has for an index's key does not fit.
pub(crate) fn index_key(problem: &KeyProblem<'_>, index: &str) -> Fault {
    match problem {
        KeyProblem::WrongKind(attribute, kind) => invalid(format_args!(
            "Type mismatch for Index Key {} Expected: {} Actual: {} IndexName: {index}",
            attribute.name,
            attribute.kind.name(),
            kind.name()
        )),
        KeyProblem::Empty(attribute) => validation(format!(
            "One or more parameter values are not valid. A value specified for a secondary index key is not \
             supported. The AttributeValue for a key attribute cannot contain an empty {} value. IndexName: {index}, \
             IndexKey: {}",
            if attribute.kind == crate::Kind::B { "binary" } else { "string" },
            attribute.name
        )),
        other => key_value(other),
    }
}

/// What became of a call that has no answer of DynamoDB's.
pub(crate) fn cell(error: CellError) -> Fault {
    match error {
        CellError::Overloaded => {
            Fault::client("ThrottlingException", "Rate of requests exceeds the allowed throughput.")
        }
        CellError::Stopped | CellError::NotCommitted(_) => {
            Fault::with_status(500, "InternalServerError", error.to_string())
        }
    }
}

pub(crate) fn store(error: store::Error) -> Fault {
    Fault::with_status(500, "InternalServerError", error.to_string())
}

/// A fault as it is remembered with the effect that it answers.
pub(crate) fn encode(fault: &Fault) -> Value {
    json!({"code": fault.code, "message": fault.message, "status": fault.status, "members": fault.members})
}

/// The inverse of [`encode`].
pub(crate) fn decode(value: &Value) -> Option<Fault> {
    let status = value["status"].as_u64().and_then(|s| u16::try_from(s).ok())?;
    let mut fault = Fault::with_status(status, value["code"].as_str()?, value["message"].as_str()?);
    *fault.members = value["members"].as_object()?.clone();
    Some(fault)
}
