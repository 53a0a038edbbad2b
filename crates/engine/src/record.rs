//! What the engine stores, as structs of their own with a version byte in front.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use store::Error;

/// A stored struct: a version byte, then postcard.
pub(crate) trait Record: Serialize + DeserializeOwned {
    const VERSION: u8;
    const NAME: &'static str;

    fn encode(&self) -> Vec<u8> {
        let bytes = postcard::to_extend(self, vec![Self::VERSION]);
        bytes.expect("a record of plain fields can always be written")
    }

    fn decode(bytes: &[u8]) -> Result<Self, Error> {
        match bytes.split_first() {
            Some((&version, rest)) if version == Self::VERSION => {
                postcard::from_bytes(rest).map_err(|e| Error::Corrupt(format!("{} record: {e}", Self::NAME)))
            }
            Some((version, _)) => Err(Error::Corrupt(format!("{} record: unknown version {version}", Self::NAME))),
            None => Err(Error::Corrupt(format!("{} record: empty", Self::NAME))),
        }
    }
}

/// A state machine as it is now. Its definition lies under its own key, for running executions keep theirs.
#[derive(Serialize, Deserialize, Clone)]
pub(crate) struct MachineRecord {
    pub name: String,
    pub express: bool,
    pub role_arn: String,
    pub revision_id: String,
    pub definition_id: u64,
    pub created_ms: i64,
    pub updated_ms: i64,
    /// The request's JSON, kept as it came.
    pub logging_json: Option<String>,
    pub tracing: bool,
    pub tags: Vec<(String, String)>,
}

impl Record for MachineRecord {
    const VERSION: u8 = 1;
    const NAME: &'static str = "state machine";
}

#[derive(Serialize, Deserialize, Clone)]
pub(crate) struct ActivityRecord {
    pub name: String,
    pub created_ms: i64,
    pub tags: Vec<(String, String)>,
}

impl Record for ActivityRecord {
    const VERSION: u8 = 1;
    const NAME: &'static str = "activity";
}

/// What never changes of an execution.
#[derive(Serialize, Deserialize, Clone)]
pub(crate) struct HeadRecord {
    pub account: String,
    pub region: String,
    pub machine: String,
    pub name: String,
    /// Only of Express executions: the last part of their ARN.
    pub express_id: Option<String>,
    pub definition_id: u64,
    pub revision_id: String,
    pub role_arn: String,
    pub start_ms: i64,
    pub input: String,
}

impl Record for HeadRecord {
    const VERSION: u8 = 1;
    const NAME: &'static str = "execution";
}

/// How an execution ended.
#[derive(Serialize, Deserialize, Clone)]
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
