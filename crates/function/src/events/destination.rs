use base::{Arn, Timestamp};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Value, json};
use service::{Call, EffectId, Fault};

use super::record::{Delivery, EventRecord};
use crate::Functions;
use crate::catalogue::record::EventInvokeRecord;
use crate::functions::resource_name;
use crate::name::LATEST;

/// What a destination's record holds of a response: more would not fit a message.
const RESPONSE_BYTES_MAX: usize = 200 * 1024;

/// How an asynchronous invocation ended.
pub(super) enum Ending {
    Succeeded {
        version: String,
        response: Bytes,
    },
    Failed {
        version: String,
        response: Bytes,
    },
    /// It grew too old before it could be run with success.
    Aged,
}

impl Ending {
    pub fn succeeded(&self) -> bool {
        matches!(self, Ending::Succeeded { .. })
    }

    pub fn condition(&self) -> &'static str {
        match self {
            Ending::Succeeded { .. } => "Success",
            Ending::Failed { .. } => "RetriesExhausted",
            Ending::Aged => "EventAgeExceeded",
        }
    }

    fn response(&self) -> Option<(&str, &Bytes)> {
        match self {
            Ending::Succeeded { version, response } | Ending::Failed { version, response } => Some((version, response)),
            Ending::Aged => None,
        }
    }
}

/// Which destination hears of an ending, and what it gets. A destination goes before a dead-letter queue.
pub(super) fn choose(
    config: &EventInvokeRecord,
    dead_letters: Option<String>,
    record: &EventRecord,
    payload: &Bytes,
    ending: &Ending,
    now: Timestamp,
) -> Option<(Delivery, Bytes)> {
    let destination = if ending.succeeded() { &config.on_success } else { &config.on_failure };
    if let Some(target) = destination {
        let delivery = Delivery { target: target.clone(), dead_letter_error: None, succeeded: ending.succeeded() };
        return Some((delivery, invocation_record(record, payload, ending, now)));
    }
    let target = dead_letters.filter(|_| !ending.succeeded())?;
    let message = ending.response().and_then(|(_, response)| error_message(response));
    let error = message.unwrap_or_else(|| ending.condition().to_owned());
    Some((Delivery { target, dead_letter_error: Some(error), succeeded: false }, payload.clone()))
}

fn error_message(response: &Bytes) -> Option<String> {
    let value: Value = serde_json::from_slice(response).ok()?;
    // AWS cuts the attribute at a kilobyte.
    Some(value.get("errorMessage")?.as_str()?.chars().take(1024).collect()).filter(|m: &String| !m.is_empty())
}

/// The record in AWS's form.
fn invocation_record(record: &EventRecord, payload: &Bytes, ending: &Ending, now: Timestamp) -> Bytes {
    let named = record.named();
    let arn = named.key.qualified_arn(named.qualifier.as_deref().unwrap_or(LATEST));
    let attempts = record.failures + u32::from(ending.succeeded());
    let mut shown = json!({
        "version": "1.0",
        "timestamp": now.to_rfc3339(),
        "requestContext": {
            "requestId": record.request_id,
            "functionArn": arn,
            "condition": ending.condition(),
            "approximateInvokeCount": attempts,
        },
        "requestPayload": json_or_text(payload),
    });
    if let Some((version, response)) = ending.response() {
        shown["responseContext"] = json!({"statusCode": 200, "executedVersion": version});
        if !ending.succeeded() {
            shown["responseContext"]["functionError"] = "Unhandled".into();
        }
        shown["responsePayload"] = match response.len() {
            0..=RESPONSE_BYTES_MAX => json_or_text(response),
            _ => Value::Null,
        };
    }
    shown.to_string().into()
}

fn json_or_text(bytes: &Bytes) -> Value {
    serde_json::from_slice(bytes).unwrap_or_else(|_| String::from_utf8_lossy(bytes).into_owned().into())
}

/// Hands a record to its destination, which takes a repeated delivery once.
pub(super) async fn send(
    functions: &Functions,
    record: &EventRecord,
    body: &Bytes,
    effect: EffectId,
) -> Result<(), Fault> {
    let Some(delivery) = &record.delivery else { return Ok(()) };
    let registry = functions.registry.get().ok_or_else(|| Fault::internal("no services are registered yet"))?;
    let arn: Arn = delivery.target.parse().map_err(|e| Fault::validation(format!("{e}")))?;
    let text = String::from_utf8_lossy(body).into_owned();
    let endpoint = functions.fleet.launcher.endpoint();
    let (operation, input) = match arn.service() {
        "sqs" => {
            let mut input = json!({
                "QueueUrl": format!("{endpoint}/{}/{}", arn.account(), resource_name(&arn)),
                "MessageBody": text,
            });
            add_attributes(&mut input, record, delivery);
            ("SendMessage", input)
        }
        "sns" => {
            let mut input = json!({"TopicArn": arn, "Message": text});
            add_attributes(&mut input, record, delivery);
            ("Publish", input)
        }
        "lambda" => {
            ("Invoke", json!({"FunctionName": arn, "InvocationType": "Event", "Payload": STANDARD.encode(body)}))
        }
        "events" => {
            let source = record.named().key.arn();
            let ending = if delivery.succeeded { "Success" } else { "Failure" };
            let entry = json!({
                "Source": "lambda",
                "DetailType": format!("Lambda Function Invocation Result - {ending}"),
                "Detail": text,
                "Resources": [arn, source],
                "EventBusName": resource_name(&arn).rsplit('/').next(),
            });
            ("PutEvents", json!({"Entries": [entry]}))
        }
        other => return Err(Fault::validation(format!("a destination cannot be of service {other}"))),
    };
    let call = Call::internal(arn.scope(), record.request_id.as_str(), "lambda.amazonaws.com").with_effect(effect);
    registry.call_value(arn.service(), operation, call, input).await.map(drop)
}

/// A dead letter carries its error beside the event.
fn add_attributes(input: &mut Value, record: &EventRecord, delivery: &Delivery) {
    let Some(error) = &delivery.dead_letter_error else { return };
    let text = |value: &str| json!({"DataType": "String", "StringValue": value});
    input["MessageAttributes"] = json!({
        "RequestID": text(&record.request_id),
        "ErrorCode": text("200"),
        "ErrorMessage": text(error),
    });
}
