//! What the engine stores, as structs of their own with a version byte in front.

mod older;

#[cfg(test)]
mod tests;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use store::Error;

use older::ActivityRecord1;
pub(crate) use older::{HeadRecord1, MachineRecord1};

/// A stored struct: a version byte, then postcard.
pub(crate) trait Record: Serialize + DeserializeOwned {
    const VERSION: u8;
    const NAME: &'static str;

    /// A record of an earlier version, with what it did not have yet filled in; `None` if there was no such version.
    fn older(_version: u8, _rest: &[u8]) -> Option<postcard::Result<Self>> {
        None
    }

    fn encode(&self) -> Vec<u8> {
        let bytes = postcard::to_extend(self, vec![Self::VERSION]);
        bytes.expect("a record of plain fields can always be written")
    }

    fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let corrupt = |what: String| Error::Corrupt(format!("{} record: {what}", Self::NAME));
        let (&version, rest) = bytes.split_first().ok_or_else(|| corrupt("empty".to_owned()))?;
        let record =
            if version == Self::VERSION { Some(postcard::from_bytes(rest)) } else { Self::older(version, rest) };
        let record = record.ok_or_else(|| corrupt(format!("unknown version {version}")))?;
        record.map_err(|e| corrupt(e.to_string()))
    }
}

/// A state machine between two updates: what a version keeps, and what an execution runs with to its end.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub(crate) struct Revision {
    /// `None` before the first update: AWS calls that one `INITIAL`.
    pub id: Option<String>,
    pub definition_id: u64,
    pub role_arn: String,
    pub updated_ms: i64,
    /// JSON as DescribeStateMachine gives it; `None`: nothing is logged.
    pub logging_json: Option<String>,
    pub tracing: bool,
    /// JSON as DescribeStateMachine gives it; `None`: AWS's own key.
    pub encryption_json: Option<String>,
}

/// A state machine as it is now. Its definition lies under its own key, for running executions keep theirs.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub(crate) struct MachineRecord {
    pub name: String,
    pub express: bool,
    pub created_ms: i64,
    pub tags: Vec<(String, String)>,
    pub revision: Revision,
    /// The number of the newest version there ever was, 0 for none: numbers do not come again.
    pub last_version: u64,
}

impl Record for MachineRecord {
    const VERSION: u8 = 2;
    const NAME: &'static str = "state machine";

    fn older(version: u8, rest: &[u8]) -> Option<postcard::Result<Self>> {
        (version == 1).then(|| postcard::from_bytes::<MachineRecord1>(rest).map(Into::into))
    }
}

/// A published version of a state machine; its number is in the key.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub(crate) struct VersionRecord {
    pub description: Option<String>,
    pub created_ms: i64,
    pub revision: Revision,
}

impl Record for VersionRecord {
    const VERSION: u8 = 1;
    const NAME: &'static str = "state machine version";
}

/// An alias of a state machine; its name is in the key.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub(crate) struct AliasRecord {
    pub description: Option<String>,
    pub created_ms: i64,
    pub updated_ms: i64,
    /// One or two versions with their weights, of 100 in all.
    pub routes: Vec<(u64, u8)>,
}

impl Record for AliasRecord {
    const VERSION: u8 = 1;
    const NAME: &'static str = "state machine alias";
}

#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub(crate) struct ActivityRecord {
    pub name: String,
    pub created_ms: i64,
    pub tags: Vec<(String, String)>,
    /// As in [`Revision`].
    pub encryption_json: Option<String>,
}

impl Record for ActivityRecord {
    const VERSION: u8 = 2;
    const NAME: &'static str = "activity";

    fn older(version: u8, rest: &[u8]) -> Option<postcard::Result<Self>> {
        (version == 1).then(|| postcard::from_bytes::<ActivityRecord1>(rest).map(Into::into))
    }
}

/// What never changes of an execution.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub(crate) struct HeadRecord {
    pub account: String,
    pub region: String,
    /// The state machine's name; of a Map Run's child the Map state's label follows behind a slash.
    pub machine: String,
    pub name: String,
    /// Only of Express executions: the last part of their ARN.
    pub express_id: Option<String>,
    pub start_ms: i64,
    pub input: String,
    pub revision: Revision,
    /// The version that runs, if a version or an alias was started.
    pub version: Option<u64>,
    pub alias: Option<String>,
    /// The Map Run that started it.
    pub map_run_arn: Option<String>,
    pub trace_header: Option<String>,
    /// The test case whose mocked answers its tasks get.
    pub test_case: Option<String>,
}

impl Record for HeadRecord {
    const VERSION: u8 = 2;
    const NAME: &'static str = "execution";

    fn older(version: u8, rest: &[u8]) -> Option<postcard::Result<Self>> {
        (version == 1).then(|| postcard::from_bytes::<HeadRecord1>(rest).map(Into::into))
    }
}

/// How an execution ended.
#[derive(Serialize, Deserialize, Clone, Debug)]
pub(crate) struct EndRecord {
    /// One of the constants below.
    pub status: u8,
    pub stop_ms: i64,
    pub output: Option<String>,
    pub error: Option<String>,
    pub cause: Option<String>,
}

impl EndRecord {
    pub const SUCCEEDED: u8 = 1;
    pub const FAILED: u8 = 2;
    pub const TIMED_OUT: u8 = 3;
    pub const ABORTED: u8 = 4;

    pub fn status(&self) -> &'static str {
        match self.status {
            EndRecord::SUCCEEDED => "SUCCEEDED",
            EndRecord::FAILED => "FAILED",
            EndRecord::TIMED_OUT => "TIMED_OUT",
            _ => "ABORTED",
        }
    }
}

impl Record for EndRecord {
    const VERSION: u8 = 1;
    const NAME: &'static str = "execution end";
}

/// What is kept of an execution that ended without success.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub(crate) struct HaltedRecord {
    /// The id of its last event.
    pub events: u64,
    /// Whether it cut a Map Run, so that its position alone would not do.
    pub map_run: bool,
    /// Of its position; 0 if that is not kept.
    pub parts: u8,
}

impl Record for HaltedRecord {
    const VERSION: u8 = 1;
    const NAME: &'static str = "halted execution";
}

/// How often an execution was redriven, and the last time.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub(crate) struct RedriveRecord {
    pub count: u32,
    pub last_ms: i64,
    /// What clients gave to have the same answer again, and when.
    pub tokens: Vec<(String, i64)>,
}

impl Record for RedriveRecord {
    const VERSION: u8 = 1;
    const NAME: &'static str = "redrive";
}

/// An event source mapping's configuration.
#[derive(Serialize, Deserialize, Clone)]
pub(crate) struct MappingRecord {
    pub account: String,
    pub region: String,
    pub uuid: String,
    pub source_arn: String,
    pub function: String,
    pub function_arn: String,
    pub batch_size: u32,
    pub window_seconds: u32,
    pub maximum_concurrency: Option<u32>,
    pub filters: Vec<String>,
    pub report_batch_item_failures: bool,
    pub enabled: bool,
    pub modified_ms: i64,
    pub tags: Vec<(String, String)>,
}

impl Record for MappingRecord {
    const VERSION: u8 = 1;
    const NAME: &'static str = "event source mapping";
}
