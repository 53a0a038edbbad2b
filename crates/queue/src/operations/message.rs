use std::collections::BTreeMap;
use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use service::{Call, Fault};

use super::{Nothing, Register, between, named, required};
use crate::input::{self, Want};
use crate::message::md5_hex;
use crate::message_attribute::{self, AttributeShape, AttributeValue, MessageAttribute, MessageAttributes};
use crate::queues::{SentMessage, VisibilityChange, not_for_this_queue};
use crate::settings::{VISIBILITY_TIMEOUT_SECONDS_MAX, WAIT_SECONDS_MAX};
use crate::{BATCH_BYTES_MAX, BATCH_ENTRIES_MAX, Outgoing, QueueName, Queues, Received, fault};

const TRACE_HEADER: &str = "AWSTraceHeader";
const BATCH_ID_CHARS_MAX: usize = 80;
/// Attributes of a message that its sender or the queue gives, not the user.
const SYSTEM_ATTRIBUTES: [&str; 9] = [
    "SenderId",
    "SentTimestamp",
    "ApproximateReceiveCount",
    "ApproximateFirstReceiveTimestamp",
    "SequenceNumber",
    "MessageDeduplicationId",
    "MessageGroupId",
    TRACE_HEADER,
    "DeadLetterQueueSourceArn",
];

pub(super) fn register(register: &mut Register<'_>) {
    register.add("SendMessage", send_message);
    register.add("SendMessageBatch", send_message_batch);
    register.add("ReceiveMessage", receive_message);
    register.add("DeleteMessage", delete_message);
    register.add("DeleteMessageBatch", delete_message_batch);
    register.add("ChangeMessageVisibility", change_message_visibility);
    register.add("ChangeMessageVisibilityBatch", change_message_visibility_batch);
}

/// The members of a message in both sends, and those that only one of them has.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct MessageInput {
    /// Of SendMessage.
    queue_url: Option<String>,
    /// Of an entry of a batch.
    id: Option<String>,
    message_body: Option<String>,
    delay_seconds: Option<i64>,
    #[serde(default)]
    message_attributes: BTreeMap<String, AttributeShape>,
    #[serde(default)]
    message_system_attributes: BTreeMap<String, AttributeShape>,
    message_deduplication_id: Option<String>,
    message_group_id: Option<String>,
}

#[derive(Serialize)]
struct SendMessageOutput {
    #[serde(flatten)]
    digests: Digests,
    #[serde(flatten)]
    sent: SentShape,
}

#[derive(Serialize)]
struct SentShape {
    #[serde(rename = "MessageId")]
    message_id: String,
    #[serde(rename = "SequenceNumber", skip_serializing_if = "Option::is_none")]
    sequence_number: Option<String>,
}

/// What senders check that their message arrived whole by.
#[derive(Serialize)]
struct Digests {
    #[serde(rename = "MD5OfMessageBody")]
    body: String,
    #[serde(rename = "MD5OfMessageAttributes", skip_serializing_if = "Option::is_none")]
    attributes: Option<String>,
    #[serde(rename = "MD5OfMessageSystemAttributes", skip_serializing_if = "Option::is_none")]
    system_attributes: Option<String>,
}

impl From<SentMessage> for SentShape {
    fn from(sent: SentMessage) -> SentShape {
        SentShape { message_id: sent.id.to_string(), sequence_number: sent.sequence_number }
    }
}

/// Checks a message as it comes from the wire.
fn prepare(
    queues: &Queues,
    call: &Call,
    name: &QueueName,
    message: MessageInput,
) -> Result<(input::Outgoing, Digests), Fault> {
    let body = message.message_body.unwrap_or_default();
    let attributes = message_attribute::check(message.message_attributes)?;
    let trace_header = trace_header(message.message_system_attributes)?;
    let reason = "DelaySeconds must be >= 0 and <= 900.";
    let delay_seconds = between(message.delay_seconds, "DelaySeconds", 0, 900, reason)?;
    let digests = Digests {
        body: md5_hex(body.as_bytes()),
        attributes: md5_of(&attributes),
        system_attributes: trace_header.as_ref().and_then(|a| message_attribute::md5([(TRACE_HEADER, a)])),
    };
    let outgoing = Outgoing {
        body,
        attributes,
        delay_seconds,
        group_id: message.message_group_id,
        deduplication_id: message.message_deduplication_id,
        trace_header: trace_header.and_then(|a| match a.value {
            AttributeValue::String(text) => Some(text),
            AttributeValue::Binary(_) => None,
        }),
    };
    Ok((queues.prepare(name, call.scope.account(), outgoing)?, digests))
}

fn md5_of(attributes: &MessageAttributes) -> Option<String> {
    message_attribute::md5(attributes.iter().map(|(name, a)| (name.as_str(), a)))
}

fn trace_header(attributes: BTreeMap<String, AttributeShape>) -> Result<Option<MessageAttribute>, Fault> {
    let mut found = None;
    for (name, shape) in attributes {
        if name != TRACE_HEADER {
            return Err(fault::invalid_parameter(format!("Message system attribute name '{name}' is invalid.")));
        }
        if shape.data_type != "String" {
            return Err(fault::invalid_parameter(format!(
                "The type of message system attribute '{name}' is invalid: it must be String."
            )));
        }
        found = message_attribute::check(BTreeMap::from([("TraceHeader".to_owned(), shape)]))?.remove("TraceHeader");
    }
    Ok(found)
}

async fn send_message(queues: Queues, call: Call, mut input: MessageInput) -> Result<SendMessageOutput, Fault> {
    let name = named(input.queue_url.take(), &call)?;
    let (message, digests) = prepare(&queues, &call, &name, input)?;
    let answers = queues.send_prepared(&name, vec![message], call.effect).await?;
    let answer = answers.into_iter().next();
    let sent = answer.unwrap_or_else(|| Err(Fault::internal("a sent message has no answer")))?;
    Ok(SendMessageOutput { digests, sent: sent.into() })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct BatchInput<E> {
    queue_url: Option<String>,
    #[serde(default = "Vec::new")]
    entries: Vec<E>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct BatchOutput<T> {
    successful: Vec<T>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    failed: Vec<BatchError>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct BatchError {
    id: String,
    sender_fault: bool,
    code: String,
    message: String,
}

impl BatchError {
    fn new(id: String, fault: Fault) -> BatchError {
        let code = fault.query_code.map_or(fault.code.clone(), str::to_owned);
        BatchError { id, sender_fault: fault.is_sender(), code, message: fault.message }
    }
}

impl<T> BatchOutput<T> {
    fn new() -> BatchOutput<T> {
        BatchOutput { successful: Vec::new(), failed: Vec::new() }
    }

    fn push(&mut self, id: String, result: Result<T, Fault>) {
        match result {
            Ok(done) => self.successful.push(done),
            Err(fault) => self.failed.push(BatchError::new(id, fault)),
        }
    }
}

/// The rules for the ids of every batch.
fn check_batch(ids: &[String], entry_type: &str) -> Result<(), Fault> {
    if ids.is_empty() {
        return Err(fault::empty_batch(entry_type));
    }
    if ids.len() > BATCH_ENTRIES_MAX {
        return Err(fault::too_many_entries(ids.len()));
    }
    let mut seen = BTreeSet::new();
    for id in ids {
        let valid = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        if id.is_empty() || id.len() > BATCH_ID_CHARS_MAX || !id.bytes().all(valid) {
            return Err(fault::invalid_batch_entry_id());
        }
        if !seen.insert(id) {
            return Err(fault::batch_entry_ids_not_distinct(id));
        }
    }
    Ok(())
}

#[derive(Serialize)]
struct SendBatchResult {
    #[serde(rename = "Id")]
    id: String,
    #[serde(flatten)]
    digests: Digests,
    #[serde(flatten)]
    sent: SentShape,
}

async fn send_message_batch(
    queues: Queues,
    call: Call,
    input: BatchInput<MessageInput>,
) -> Result<BatchOutput<SendBatchResult>, Fault> {
    let name = named(input.queue_url, &call)?;
    let ids: Vec<String> = input.entries.iter().map(|e| e.id.clone().unwrap_or_default()).collect();
    check_batch(&ids, "SendMessageBatchRequestEntry")?;
    if name.is_fifo() && input.entries.iter().any(|e| e.message_group_id.is_none()) {
        return Err(fault::invalid_parameter("The request must contain the parameter MessageGroupId."));
    }
    let prepared: Vec<_> = input.entries.into_iter().map(|entry| prepare(&queues, &call, &name, entry)).collect();
    let bytes = prepared.iter().flatten().map(|(message, _)| message.size_bytes).sum();
    if bytes > BATCH_BYTES_MAX {
        return Err(fault::batch_too_long(bytes));
    }
    let mut messages = Vec::with_capacity(prepared.len());
    let mut waiting = Vec::with_capacity(prepared.len());
    for entry in prepared {
        waiting.push(entry.map(|(message, digests)| {
            messages.push(message);
            digests
        }));
    }
    // Even where every entry is refused: whether the queue is there is for its cell to say.
    let mut sent = queues.send_prepared(&name, messages, call.effect).await?.into_iter();
    let mut output = BatchOutput::new();
    for (id, entry) in ids.into_iter().zip(waiting) {
        let result = entry.and_then(|digests| {
            let sent = sent.next().unwrap_or_else(|| Err(Fault::internal("a sent message has no answer")))?;
            Ok(SendBatchResult { id: id.clone(), digests, sent: sent.into() })
        });
        output.push(id, result);
    }
    Ok(output)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ReceiveMessageInput {
    queue_url: Option<String>,
    #[serde(default)]
    attribute_names: Vec<String>,
    #[serde(default)]
    message_system_attribute_names: Vec<String>,
    #[serde(default)]
    message_attribute_names: Vec<String>,
    max_number_of_messages: Option<i64>,
    visibility_timeout: Option<i64>,
    wait_time_seconds: Option<i64>,
    receive_request_attempt_id: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ReceiveMessageOutput {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    messages: Vec<MessageShape>,
}

#[derive(Serialize)]
struct MessageShape {
    #[serde(rename = "MessageId")]
    message_id: String,
    #[serde(rename = "ReceiptHandle")]
    receipt_handle: String,
    #[serde(rename = "MD5OfBody")]
    md5_of_body: String,
    #[serde(rename = "Body")]
    body: String,
    #[serde(rename = "Attributes", skip_serializing_if = "BTreeMap::is_empty")]
    attributes: BTreeMap<&'static str, String>,
    #[serde(rename = "MD5OfMessageAttributes", skip_serializing_if = "Option::is_none")]
    md5_of_message_attributes: Option<String>,
    #[serde(rename = "MessageAttributes", skip_serializing_if = "BTreeMap::is_empty")]
    message_attributes: BTreeMap<String, AttributeShape>,
}

async fn receive_message(
    queues: Queues,
    call: Call,
    input: ReceiveMessageInput,
) -> Result<ReceiveMessageOutput, Fault> {
    let name = named(input.queue_url, &call)?;
    let reason = "Must be between 1 and 10, if provided.";
    let max = between(input.max_number_of_messages, "MaxNumberOfMessages", 1, BATCH_ENTRIES_MAX as i64, reason)?;
    let reason = "Must be >= 0 and <= 20, if provided.";
    let wait = between(input.wait_time_seconds, "WaitTimeSeconds", 0, i64::from(WAIT_SECONDS_MAX), reason)?;
    let visibility = visibility_timeout(input.visibility_timeout)?;
    let attempt_id = input.receive_request_attempt_id;
    if let Some(id) = attempt_id.as_ref().filter(|_| !name.is_fifo()) {
        return Err(not_for_this_queue(id, "ReceiveRequestAttemptId"));
    }
    let want = Want {
        max: max.unwrap_or(1) as usize,
        visibility_timeout_seconds: visibility,
        attempt_id: attempt_id.map(Into::into),
    };
    let received = queues.receive_wanted(&name.arn(), want, wait).await?;
    let system: Vec<&str> =
        input.attribute_names.iter().chain(&input.message_system_attribute_names).map(String::as_str).collect();
    let user = &input.message_attribute_names;
    Ok(ReceiveMessageOutput { messages: received.into_iter().map(|m| shape(m, &system, user)).collect() })
}

fn visibility_timeout(seconds: Option<i64>) -> Result<Option<u32>, Fault> {
    let max = i64::from(VISIBILITY_TIMEOUT_SECONDS_MAX);
    between(seconds, "VisibilityTimeout", 0, max, "VisibilityTimeout must be an integer between 0 and 43200.")
}

/// A received message with those of its attributes that were asked for.
fn shape(received: Received, system: &[&str], user: &[String]) -> MessageShape {
    let message = received.message;
    let values = [
        Some(message.sender_id.clone()),
        Some(received.sent_at.as_millis().to_string()),
        Some(received.receive_count.to_string()),
        Some(received.first_received_at.as_millis().to_string()),
        received.sequence_number,
        message.deduplication_id.clone(),
        message.group_id.clone(),
        message.trace_header.clone(),
        message.dead_letter_source.clone(),
    ];
    let all = system.contains(&"All");
    let attributes = SYSTEM_ATTRIBUTES.into_iter().zip(values);
    let attributes = attributes.filter(|(name, _)| all || system.contains(name));
    let attributes = attributes.filter_map(|(name, value)| value.map(|value| (name, value))).collect();
    let chosen: Vec<(&String, &MessageAttribute)> =
        message.attributes.iter().filter(|(name, _)| user.iter().any(|pattern| matches(pattern, name))).collect();
    MessageShape {
        message_id: message.id.to_string(),
        receipt_handle: received.receipt_handle,
        md5_of_body: message.md5_of_body(),
        attributes,
        md5_of_message_attributes: message_attribute::md5(chosen.iter().map(|(name, a)| (name.as_str(), *a))),
        message_attributes: chosen.into_iter().map(|(name, a)| (name.clone(), a.into())).collect(),
        body: message.body,
    }
}

/// `All`, `.*`, a prefix in front of `.*`, or a whole name.
fn matches(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix(".*") {
        Some(prefix) => name.starts_with(prefix),
        None => pattern == "All" || pattern == name,
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DeleteMessageInput {
    queue_url: Option<String>,
    receipt_handle: Option<String>,
}

/// The one answer to a request about one message.
fn only(results: Vec<Result<(), Fault>>) -> Result<Nothing, Fault> {
    results.into_iter().next().unwrap_or(Ok(())).map(|()| Nothing {})
}

async fn delete_message(queues: Queues, call: Call, input: DeleteMessageInput) -> Result<Nothing, Fault> {
    let name = named(input.queue_url, &call)?;
    let handle = required(input.receipt_handle, "ReceiptHandle")?;
    only(queues.delete_batch(&name.arn(), &[handle]).await?)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ReceiptEntry {
    id: Option<String>,
    receipt_handle: Option<String>,
    visibility_timeout: Option<i64>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct IdResult {
    id: String,
}

async fn delete_message_batch(
    queues: Queues,
    call: Call,
    input: BatchInput<ReceiptEntry>,
) -> Result<BatchOutput<IdResult>, Fault> {
    let name = named(input.queue_url, &call)?;
    let ids: Vec<String> = input.entries.iter().map(|e| e.id.clone().unwrap_or_default()).collect();
    check_batch(&ids, "DeleteMessageBatchRequestEntry")?;
    let handles = input.entries.into_iter().map(|e| required(e.receipt_handle, "ReceiptHandle"));
    let handles = handles.collect::<Result<Vec<_>, Fault>>()?;
    let results = queues.delete_batch(&name.arn(), &handles).await?;
    let mut output = BatchOutput::new();
    for (id, result) in ids.into_iter().zip(results) {
        output.push(id.clone(), result.map(|()| IdResult { id }));
    }
    Ok(output)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ChangeInput {
    queue_url: Option<String>,
    receipt_handle: Option<String>,
    visibility_timeout: Option<i64>,
}

async fn change_message_visibility(queues: Queues, call: Call, input: ChangeInput) -> Result<Nothing, Fault> {
    let name = named(input.queue_url, &call)?;
    let receipt_handle = required(input.receipt_handle, "ReceiptHandle")?;
    let seconds = required(visibility_timeout(input.visibility_timeout)?, "VisibilityTimeout")?;
    let change = VisibilityChange { receipt_handle, visibility_timeout_seconds: seconds };
    only(queues.change_visibility_batch(&name.arn(), &[change]).await?)
}

async fn change_message_visibility_batch(
    queues: Queues,
    call: Call,
    input: BatchInput<ReceiptEntry>,
) -> Result<BatchOutput<IdResult>, Fault> {
    let name = named(input.queue_url, &call)?;
    let ids: Vec<String> = input.entries.iter().map(|e| e.id.clone().unwrap_or_default()).collect();
    check_batch(&ids, "ChangeMessageVisibilityBatchRequestEntry")?;
    let mut changes = Vec::new();
    let mut waiting = Vec::new();
    for entry in input.entries {
        let receipt_handle = required(entry.receipt_handle, "ReceiptHandle")?;
        waiting.push(visibility_timeout(entry.visibility_timeout).map(|seconds| {
            // Without a timeout the message is visible at once.
            let visibility_timeout_seconds = seconds.unwrap_or(0);
            changes.push(VisibilityChange { receipt_handle, visibility_timeout_seconds });
        }));
    }
    let mut results = queues.change_visibility_batch(&name.arn(), &changes).await?.into_iter();
    let mut output = BatchOutput::new();
    for (id, entry) in ids.into_iter().zip(waiting) {
        let result = entry.and_then(|()| results.next().unwrap_or(Ok(())));
        output.push(id.clone(), result.map(|()| IdResult { id }));
    }
    Ok(output)
}
