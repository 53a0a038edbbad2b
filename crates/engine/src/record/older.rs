//! Records of earlier versions, and what they have become.

use serde::{Deserialize, Serialize};

use crate::logging::LoggingConfiguration;

use super::{ActivityRecord, HeadRecord, MachineRecord, Revision};

#[derive(Serialize, Deserialize)]
pub(crate) struct MachineRecord1 {
    pub name: String,
    pub express: bool,
    pub role_arn: String,
    pub revision_id: String,
    pub definition_id: u64,
    pub created_ms: i64,
    pub updated_ms: i64,
    pub logging_json: Option<String>,
    pub tracing: bool,
    pub tags: Vec<(String, String)>,
}

impl From<MachineRecord1> for MachineRecord {
    fn from(old: MachineRecord1) -> MachineRecord {
        MachineRecord {
            name: old.name,
            express: old.express,
            created_ms: old.created_ms,
            tags: old.tags,
            revision: Revision {
                // It was shown from the first update on.
                id: (old.updated_ms != old.created_ms).then_some(old.revision_id),
                definition_id: old.definition_id,
                role_arn: old.role_arn,
                updated_ms: old.updated_ms,
                logging_json: LoggingConfiguration::read(old.logging_json.as_deref()).to_json(),
                tracing: old.tracing,
                encryption_json: None,
            },
            last_version: 0,
        }
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct ActivityRecord1 {
    pub name: String,
    pub created_ms: i64,
    pub tags: Vec<(String, String)>,
}

impl From<ActivityRecord1> for ActivityRecord {
    fn from(ActivityRecord1 { name, created_ms, tags }: ActivityRecord1) -> ActivityRecord {
        ActivityRecord { name, created_ms, tags, encryption_json: None }
    }
}

#[derive(Serialize, Deserialize)]
pub(crate) struct HeadRecord1 {
    pub account: String,
    pub region: String,
    pub machine: String,
    pub name: String,
    pub express_id: Option<String>,
    pub definition_id: u64,
    pub revision_id: String,
    pub role_arn: String,
    pub start_ms: i64,
    pub input: String,
}

impl From<HeadRecord1> for HeadRecord {
    fn from(old: HeadRecord1) -> HeadRecord {
        HeadRecord {
            account: old.account,
            region: old.region,
            machine: old.machine,
            name: old.name,
            express_id: old.express_id,
            start_ms: old.start_ms,
            input: old.input,
            revision: Revision {
                id: Some(old.revision_id),
                definition_id: old.definition_id,
                role_arn: old.role_arn,
                // When the machine was updated was not kept.
                updated_ms: old.start_ms,
                logging_json: None,
                tracing: false,
                encryption_json: None,
            },
            version: None,
            alias: None,
            map_run_arn: None,
            trace_header: None,
            test_case: None,
        }
    }
}
