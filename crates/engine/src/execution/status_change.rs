//! "Step Functions Execution Status Change", as EventBridge gets it.
//!
//! <https://docs.aws.amazon.com/step-functions/latest/dg/eventbridge-integration.html>

use base::{Scope, Timestamp};
use serde_json::{Value, json};

use super::execution_arn;
use super::redrive::Redrive;
use crate::record::{EndRecord, HeadRecord};

/// Inputs and outputs that are longer than this together, as text within JSON, are left out.
const DATA_BYTES_MAX: usize = 248 * 1024;

/// An execution's status has changed: an event for the default bus.
#[derive(Clone, Debug)]
pub struct StatusChange {
    pub scope: Scope,
    pub time: Timestamp,
    /// The event's only resource.
    pub execution_arn: String,
    /// The event's `detail`.
    pub detail: Value,
}

impl StatusChange {
    /// The event's `source`.
    pub const SOURCE: &str = "aws.states";
    /// The event's `detail-type`.
    pub const DETAIL_TYPE: &str = "Step Functions Execution Status Change";

    pub(super) fn of(head: &HeadRecord, end: Option<&EndRecord>, redrive: Redrive, time: Timestamp) -> StatusChange {
        let output = end.and_then(|e| e.output.as_deref());
        let output_bytes = output.map_or(0, text_bytes);
        let output_fits = output_bytes <= DATA_BYTES_MAX;
        let input_fits = text_bytes(&head.input) + output_bytes <= DATA_BYTES_MAX;
        let execution_arn = execution_arn(head);
        let detail = json!({
            "executionArn": execution_arn,
            "stateMachineArn": head.machine_arn(),
            "name": head.name,
            "status": end.map_or("RUNNING", EndRecord::status),
            "startDate": head.start_ms,
            "stopDate": end.map(|e| e.stop_ms),
            "input": input_fits.then_some(&head.input),
            "inputDetails": {"included": input_fits},
            "output": output.filter(|_| output_fits),
            "outputDetails": output.map(|_| json!({"included": output_fits})),
            "error": end.and_then(|e| e.error.as_deref()),
            "cause": end.and_then(|e| e.cause.as_deref()),
            "stateMachineVersionArn": head.version_arn(),
            "stateMachineAliasArn": head.alias_arn(),
            "redriveCount": redrive.count,
            "redriveDate": redrive.date_ms,
            "redriveStatus": redrive.status,
            "redriveStatusReason": redrive.reason,
        });
        StatusChange { scope: head.scope(), time, execution_arn, detail }
    }
}

/// The length of a text within JSON.
fn text_bytes(text: &str) -> usize {
    let escaped = |b: u8| match b {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' => 2,
        0..0x20 => 6,
        _ => 1,
    };
    2 + text.bytes().map(escaped).sum::<usize>()
}
