//! The errors of SQS, each with its name in the JSON protocol, in the Query protocol, and its status.

use cell::CellError;
use service::Fault;

pub(crate) fn queue_does_not_exist() -> Fault {
    Fault::client("QueueDoesNotExist", "The specified queue does not exist.")
        .query_code("AWS.SimpleQueueService.NonExistentQueue")
}

pub(crate) fn queue_name_exists(attribute: &str) -> Fault {
    Fault::client(
        "QueueNameExists",
        format!("A queue already exists with the same name and a different value for attribute {attribute}"),
    )
    .query_code("QueueAlreadyExists")
}

pub(crate) fn invalid_parameter(message: impl Into<String>) -> Fault {
    Fault::client("InvalidParameterValueException", message).query_code("InvalidParameterValue")
}

/// The usual form of the message about one parameter.
pub(crate) fn invalid_value(value: impl std::fmt::Display, parameter: &str, reason: &str) -> Fault {
    invalid_parameter(format!("Value {value} for parameter {parameter} is invalid. Reason: {reason}"))
}

pub(crate) fn missing_parameter(name: &str) -> Fault {
    Fault::client("MissingRequiredParameterException", format!("The request must contain the parameter {name}."))
        .query_code("MissingParameter")
}

pub(crate) fn unknown_attribute(name: &str) -> Fault {
    Fault::client("InvalidAttributeName", format!("Unknown Attribute {name}."))
}

pub(crate) fn invalid_attribute_value(name: &str) -> Fault {
    Fault::client("InvalidAttributeValue", format!("Invalid value for the parameter {name}."))
}

pub(crate) fn invalid_address(url: &str) -> Fault {
    let url: String = url.chars().take(200).collect();
    Fault::with_status(404, "InvalidAddress", format!("The address {url} is not valid for this endpoint."))
}

pub(crate) fn receipt_handle_is_invalid(handle: &str) -> Fault {
    let handle: String = handle.chars().take(1024).collect();
    Fault::with_status(
        404,
        "ReceiptHandleIsInvalid",
        format!("The input receipt handle \"{handle}\" is not a valid receipt handle."),
    )
}

pub(crate) fn receipt_handle_expired(handle: &str) -> Fault {
    invalid_value(handle, "ReceiptHandle", "The receipt handle has expired.")
}

pub(crate) fn message_not_available(handle: &str) -> Fault {
    let reason = "Message does not exist or is not available for visibility timeout change.";
    invalid_value(handle, "ReceiptHandle", reason)
}

pub(crate) fn message_not_inflight() -> Fault {
    Fault::client("MessageNotInflight", "The specified message isn't in flight.")
        .query_code("AWS.SimpleQueueService.MessageNotInflight")
}

pub(crate) fn purge_in_progress(queue: &str) -> Fault {
    Fault::with_status(
        403,
        "PurgeQueueInProgress",
        format!("Only one PurgeQueue operation on {queue} is allowed every 60 seconds."),
    )
    .query_code("AWS.SimpleQueueService.PurgeQueueInProgress")
}

pub(crate) fn over_limit(message: impl Into<String>) -> Fault {
    Fault::with_status(403, "OverLimit", message)
}

pub(crate) fn throttled(message: impl Into<String>) -> Fault {
    Fault::with_status(403, "RequestThrottled", message)
}

pub(crate) fn unsupported(message: impl Into<String>) -> Fault {
    Fault::client("UnsupportedOperation", message).query_code("AWS.SimpleQueueService.UnsupportedOperation")
}

pub(crate) fn invalid_message_contents(message: &str) -> Fault {
    Fault::client("InvalidMessageContents", message)
}

pub(crate) fn resource_not_found(message: impl Into<String>) -> Fault {
    Fault::with_status(404, "ResourceNotFoundException", message)
}

pub(crate) fn empty_batch(entry_type: &str) -> Fault {
    Fault::client("EmptyBatchRequest", format!("There should be at least one {entry_type} in the request."))
        .query_code("AWS.SimpleQueueService.EmptyBatchRequest")
}

pub(crate) fn too_many_entries(count: usize) -> Fault {
    Fault::client(
        "TooManyEntriesInBatchRequest",
        format!("Maximum number of entries per request are {}. You have sent {count}.", crate::BATCH_ENTRIES_MAX),
    )
    .query_code("AWS.SimpleQueueService.TooManyEntriesInBatchRequest")
}

pub(crate) fn batch_entry_ids_not_distinct(id: &str) -> Fault {
    Fault::client("BatchEntryIdsNotDistinct", format!("Id {id} repeated."))
        .query_code("AWS.SimpleQueueService.BatchEntryIdsNotDistinct")
}

pub(crate) fn invalid_batch_entry_id() -> Fault {
    Fault::client(
        "InvalidBatchEntryId",
        "A batch entry id can only contain alphanumeric characters, hyphens and underscores. It can be at most 80 \
         letters long.",
    )
    .query_code("AWS.SimpleQueueService.InvalidBatchEntryId")
}

pub(crate) fn batch_too_long(bytes: usize) -> Fault {
    Fault::client(
        "BatchRequestTooLong",
        format!("Batch requests cannot be longer than {} bytes. You have sent {bytes} bytes.", crate::BATCH_BYTES_MAX),
    )
    .query_code("AWS.SimpleQueueService.BatchRequestTooLong")
}

/// Why a cell gave no answer, as a caller of SQS sees it.
pub(crate) fn of_cell(error: CellError) -> Fault {
    match error {
        CellError::Overloaded => throttled("The queue has too many calls waiting; try again."),
        CellError::Stopped => Fault::with_status(503, "ServiceUnavailable", "the server is stopping"),
        CellError::NotCommitted(error) => of_store(&error),
    }
}

pub(crate) fn of_store(error: &store::Error) -> Fault {
    Fault::internal(error.to_string())
}
