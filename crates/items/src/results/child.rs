use base::Timestamp;

use super::{FileKind, Transformation, date};
use crate::Error;
use crate::decode::Json;
use crate::text::push_json_string;

/// A child execution that ended.
#[derive(Debug, Clone)]
pub struct Child<'a> {
    pub execution_arn: &'a str,
    pub state_machine_arn: &'a str,
    pub name: &'a str,
    pub status: ChildStatus,
    /// JSON text; `None` if it is too large to be included.
    pub input: Option<&'a str>,
    /// JSON text.
    pub output: Option<&'a str>,
    pub error: Option<&'a str>,
    pub cause: Option<&'a str>,
    pub start: Timestamp,
    pub stop: Option<Timestamp>,
    pub redrive_count: u64,
    /// `REDRIVABLE`, `NOT_REDRIVABLE` or `REDRIVABLE_BY_MAP_RUN`.
    pub redrive_status: &'a str,
    pub redrive_status_reason: Option<&'a str>,
}

/// How a child execution ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChildStatus {
    Aborted,
    Failed,
    Succeeded,
    TimedOut,
}

impl ChildStatus {
    pub fn name(self) -> &'static str {
        match self {
            ChildStatus::Aborted => "ABORTED",
            ChildStatus::Failed => "FAILED",
            ChildStatus::Succeeded => "SUCCEEDED",
            ChildStatus::TimedOut => "TIMED_OUT",
        }
    }

    pub fn file_kind(self) -> FileKind {
        match self {
            ChildStatus::Succeeded => FileKind::Succeeded,
            ChildStatus::Aborted | ChildStatus::Failed | ChildStatus::TimedOut => FileKind::Failed,
        }
    }
}

/// Appends the lines that a child execution contributes to the file of [`ChildStatus::file_kind`]; none if its output is
/// an empty array that is flattened. Each line ends with a line feed and has none within.
pub fn entries(out: &mut Vec<u8>, child: &Child<'_>, transformation: Transformation) -> Result<(), Error> {
    let succeeded = child.status == ChildStatus::Succeeded;
    match (transformation, child.output) {
        (Transformation::Compact, Some(output)) if succeeded => line(out, output),
        (Transformation::Flatten, Some(output)) if succeeded => flatten(out, output),
        _ => {
            record(out, child);
            Ok(())
        }
    }
}

/// Appends the line of an item whose child execution never began; `input` is JSON text.
pub fn pending_entry(out: &mut Vec<u8>, input: &str) {
    let mut members = Members::begin(out);
    members.text("Input", input);
    members.raw("InputDetails", r#"{"Included":true}"#);
    members.text("Status", "PENDING");
    members.end();
}

/// The whole execution; the members are sorted by name, as AWS writes them.
fn record(out: &mut Vec<u8>, child: &Child<'_>) {
    let included = |there: bool| if there { r#"{"Included":true}"# } else { r#"{"Included":false}"# };
    let mut members = Members::begin(out);
    members.optional("Cause", child.cause);
    members.optional("Error", child.error);
    members.text("ExecutionArn", child.execution_arn);
    members.optional("Input", child.input);
    members.raw("InputDetails", included(child.input.is_some()));
    members.text("Name", child.name);
    members.optional("Output", child.output);
    members.raw("OutputDetails", included(child.output.is_some() || child.status != ChildStatus::Succeeded));
    members.raw("RedriveCount", &child.redrive_count.to_string());
    members.text("RedriveStatus", child.redrive_status);
    members.optional("RedriveStatusReason", child.redrive_status_reason);
    members.text("StartDate", &date(child.start));
    members.text("StateMachineArn", child.state_machine_arn);
    members.text("Status", child.status.name());
    members.optional("StopDate", child.stop.map(date).as_deref());
    members.end();
}

/// The elements of an array, or the value itself, each on a line.
fn flatten(out: &mut Vec<u8>, output: &str) -> Result<(), Error> {
    if !output.trim_start().starts_with('[') {
        return line(out, output);
    }
    let mut elements = Json::new(None, output.len()).map_err(export)?;
    let mut rest = output.as_bytes();
    while !rest.is_empty() {
        let (used, element) = elements.decode(rest).map_err(export)?;
        rest = &rest[used..];
        if let Some(element) = element {
            push_line(out, element.as_bytes());
        }
    }
    elements.finish().map_err(export)
}

/// A value on one line.
fn line(out: &mut Vec<u8>, output: &str) -> Result<(), Error> {
    if !output.contains(['\n', '\r']) {
        push_line(out, output.trim().as_bytes());
        return Ok(());
    }
    // Only white space between values can break a line; the reader of arrays leaves it out.
    let mut only = Json::new(None, output.len()).map_err(export)?;
    let array = format!("[{output}]");
    match only.decode(array.as_bytes()).map_err(export)? {
        (_, Some(value)) => push_line(out, value.as_bytes()),
        (_, None) => return Err(Error::Writer("The output of a child execution is not JSON.".to_owned())),
    }
    Ok(())
}

fn push_line(out: &mut Vec<u8>, text: &[u8]) {
    out.extend_from_slice(text);
    out.push(b'\n');
}

fn export(error: Error) -> Error {
    Error::Writer(format!("The output of a child execution cannot be exported: {error}"))
}

/// Writes an object member by member.
struct Members<'a> {
    out: &'a mut Vec<u8>,
    separator: u8,
}

impl Members<'_> {
    fn begin(out: &mut Vec<u8>) -> Members<'_> {
        Members { out, separator: b'{' }
    }

    fn name(&mut self, name: &str) {
        self.out.push(std::mem::replace(&mut self.separator, b','));
        push_json_string(self.out, name.as_bytes());
        self.out.push(b':');
    }

    fn text(&mut self, name: &str, value: &str) {
        self.name(name);
        push_json_string(self.out, value.as_bytes());
    }

    fn raw(&mut self, name: &str, json: &str) {
        self.name(name);
        self.out.extend_from_slice(json.as_bytes());
    }

    fn optional(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.text(name, value);
        }
    }

    fn end(self) {
        self.out.extend_from_slice(b"}\n");
    }
}
