//! The files that `ResultWriter` exports, and the manifest that lists them.
//!
//! A child execution's end becomes [`entries`]: lines of JSON that the caller keeps wherever it likes, for each
//! [`FileKind`] in the order in which they are to appear. When the Map Run ends, [`Assembler`] makes files of these
//! lines: it wants them once, in any pieces, and gives the bytes to upload. [`manifest`] is the last object.

mod assemble;
mod child;

use base::Timestamp;
use serde_json::{Map, Value};

use crate::Error;
use crate::text::push_json_string;
pub use assemble::{Assembler, FILE_BYTES_MAX, Step};
pub use child::{Child, ChildStatus, entries, pending_entry};

/// What a result file is made of: `WriterConfig`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WriterConfig {
    pub transformation: Transformation,
    pub output_type: OutputType,
}

/// What is written of a child execution that succeeded; of others everything is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Transformation {
    /// The execution, its output included.
    #[default]
    None,
    /// Its output.
    Compact,
    /// Its output, or the elements of it if it is an array.
    Flatten,
}

/// How the entries of a file are put together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OutputType {
    #[default]
    Json,
    JsonLines,
}

/// Which of the result files an entry belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FileKind {
    /// Child executions that failed, timed out or were aborted.
    Failed,
    /// Items whose child execution never began.
    Pending,
    Succeeded,
}

/// A result file that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResultFile {
    pub kind: FileKind,
    pub key: String,
    pub size: u64,
}

impl WriterConfig {
    /// Reads a computed `ResultWriter`. Without `WriterConfig` results are exported whole, and outputs alone are given if
    /// nothing is exported.
    pub fn parse(writer: &Map<String, Value>) -> Result<WriterConfig, Error> {
        let transformation = match writer.contains_key("Resource") {
            true => Transformation::None,
            false => Transformation::Compact,
        };
        let mut config = WriterConfig { transformation, output_type: OutputType::Json };
        let Some(fields) = writer.get("WriterConfig") else { return Ok(config) };
        let fields = fields.as_object().ok_or_else(|| wrong("WriterConfig", fields))?;
        if let Some(value) = fields.get("Transformation") {
            config.transformation = match value.as_str() {
                Some("NONE") => Transformation::None,
                Some("COMPACT") => Transformation::Compact,
                Some("FLATTEN") => Transformation::Flatten,
                _ => return Err(wrong("Transformation", value)),
            };
        }
        if let Some(value) = fields.get("OutputType") {
            config.output_type = match value.as_str() {
                Some("JSON") => OutputType::Json,
                Some("JSONL") => OutputType::JsonLines,
                _ => return Err(wrong("OutputType", value)),
            };
        }
        Ok(config)
    }
}

impl FileKind {
    /// In the order in which a manifest has them.
    pub const ALL: [FileKind; 3] = [FileKind::Failed, FileKind::Pending, FileKind::Succeeded];

    pub fn name(self) -> &'static str {
        match self {
            FileKind::Failed => "FAILED",
            FileKind::Pending => "PENDING",
            FileKind::Succeeded => "SUCCEEDED",
        }
    }

    /// The key of the `number`th file, the first being 0.
    pub fn key(self, directory: &str, output_type: OutputType, number: u64) -> String {
        let extension = match output_type {
            OutputType::Json => "json",
            OutputType::JsonLines => "jsonl",
        };
        format!("{directory}{}_{number}.{extension}", self.name())
    }
}

/// Where a Map Run's files are: `Prefix/map-run-id/`, and below that `Redrive-1/` for what its first redrive wrote.
pub fn directory(prefix: Option<&str>, map_run_id: &str, redrive_count: u64) -> String {
    let prefix = prefix.unwrap_or("").trim_end_matches('/');
    let slash = if prefix.is_empty() { "" } else { "/" };
    let redrive = if redrive_count > 0 { format!("Redrive-{redrive_count}/") } else { String::new() };
    format!("{prefix}{slash}{map_run_id}/{redrive}")
}

/// The key of the manifest.
pub fn manifest_key(directory: &str) -> String {
    format!("{directory}manifest.json")
}

/// The content of the manifest; the files of each kind come in the order given.
pub fn manifest(bucket: &str, map_run_arn: &str, files: &[ResultFile]) -> String {
    let mut out = br#"{"DestinationBucket":"#.to_vec();
    push_json_string(&mut out, bucket.as_bytes());
    out.extend_from_slice(br#","MapRunArn":"#);
    push_json_string(&mut out, map_run_arn.as_bytes());
    out.extend_from_slice(br#","ResultFiles":{"#);
    for (number, kind) in FileKind::ALL.into_iter().enumerate() {
        if number > 0 {
            out.push(b',');
        }
        push_json_string(&mut out, kind.name().as_bytes());
        out.extend_from_slice(b":[");
        for (place, file) in files.iter().filter(|file| file.kind == kind).enumerate() {
            if place > 0 {
                out.push(b',');
            }
            out.extend_from_slice(br#"{"Key":"#);
            push_json_string(&mut out, file.key.as_bytes());
            out.extend_from_slice(format!(r#","Size":{}}}"#, file.size).as_bytes());
        }
        out.push(b']');
    }
    out.extend_from_slice(b"}}");
    utf8(out)
}

/// The output of the Map state whose results were exported.
pub fn state_output(map_run_arn: &str, bucket: &str, manifest_key: &str) -> String {
    let mut out = br#"{"MapRunArn":"#.to_vec();
    push_json_string(&mut out, map_run_arn.as_bytes());
    out.extend_from_slice(br#","ResultWriterDetails":{"Bucket":"#);
    push_json_string(&mut out, bucket.as_bytes());
    out.extend_from_slice(br#","Key":"#);
    push_json_string(&mut out, manifest_key.as_bytes());
    out.extend_from_slice(b"}}");
    utf8(out)
}

/// Text that was put together of strings.
fn utf8(out: Vec<u8>) -> String {
    String::from_utf8(out).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

fn date(at: Timestamp) -> String {
    at.to_rfc3339()
}

fn wrong(field: &str, value: &Value) -> Error {
    Error::Field(format!("The field '{field}' has an invalid value: {value}."))
}
