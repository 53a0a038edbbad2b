//! What is stored of a stack. Each value is a version byte and the JSON of one of these structs.
//!
//! New members get `#[serde(default)]`; a change of meaning gets a new version byte.

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

const VERSION: u8 = 1;

/// The bytes of a stored value.
pub(crate) fn encode<T: Serialize>(value: &T) -> Bytes {
    let mut bytes = vec![VERSION];
    serde_json::to_writer(&mut bytes, value).expect("stored structs are JSON");
    bytes.into()
}

/// The value of stored bytes; what cannot be read is named, never guessed.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, store::Error> {
    match bytes.split_first() {
        Some((&VERSION, rest)) => {
            serde_json::from_slice(rest).map_err(|e| store::Error::Corrupt(format!("a stack's record: {e}")))
        }
        _ => Err(store::Error::Corrupt("a stack's record has an unknown version".to_owned())),
    }
}

/// A stack's status, by AWS's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum StackStatus {
    ReviewInProgress,
    CreateInProgress,
    CreateComplete,
    CreateFailed,
    RollbackInProgress,
    RollbackComplete,
    RollbackFailed,
    UpdateInProgress,
    UpdateCompleteCleanupInProgress,
    UpdateComplete,
    UpdateFailed,
    UpdateRollbackInProgress,
    UpdateRollbackCompleteCleanupInProgress,
    UpdateRollbackComplete,
    UpdateRollbackFailed,
    DeleteInProgress,
    DeleteComplete,
    DeleteFailed,
}

impl StackStatus {
    pub fn name(self) -> &'static str {
        match self {
            StackStatus::ReviewInProgress => "REVIEW_IN_PROGRESS",
            StackStatus::CreateInProgress => "CREATE_IN_PROGRESS",
            StackStatus::CreateComplete => "CREATE_COMPLETE",
            StackStatus::CreateFailed => "CREATE_FAILED",
            StackStatus::RollbackInProgress => "ROLLBACK_IN_PROGRESS",
            StackStatus::RollbackComplete => "ROLLBACK_COMPLETE",
            StackStatus::RollbackFailed => "ROLLBACK_FAILED",
            StackStatus::UpdateInProgress => "UPDATE_IN_PROGRESS",
            StackStatus::UpdateCompleteCleanupInProgress => "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS",
            StackStatus::UpdateComplete => "UPDATE_COMPLETE",
            StackStatus::UpdateFailed => "UPDATE_FAILED",
            StackStatus::UpdateRollbackInProgress => "UPDATE_ROLLBACK_IN_PROGRESS",
            StackStatus::UpdateRollbackCompleteCleanupInProgress => "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS",
            StackStatus::UpdateRollbackComplete => "UPDATE_ROLLBACK_COMPLETE",
            StackStatus::UpdateRollbackFailed => "UPDATE_ROLLBACK_FAILED",
            StackStatus::DeleteInProgress => "DELETE_IN_PROGRESS",
            StackStatus::DeleteComplete => "DELETE_COMPLETE",
            StackStatus::DeleteFailed => "DELETE_FAILED",
        }
    }

    /// Whether an update may begin.
    pub fn is_updatable(self) -> bool {
        matches!(
            self,
            StackStatus::CreateComplete
                | StackStatus::UpdateComplete
                | StackStatus::UpdateRollbackComplete
                | StackStatus::UpdateFailed
                | StackStatus::CreateFailed
        )
    }
}

/// A stack.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Stack {
    pub account: String,
    pub region: String,
    pub name: String,
    pub uuid: String,
    pub status: StackStatus,
    pub reason: Option<String>,
    pub created_ms: i64,
    pub updated_ms: Option<i64>,
    pub deleted_ms: Option<i64>,
    pub disable_rollback: bool,
    pub timeout_minutes: Option<u64>,
    pub termination_protection: bool,
    pub change_set_id: Option<String>,
    /// What the stack is, since its last successful operation.
    pub current: Goal,
    pub outputs: Vec<StoredOutput>,
    /// Names of exports that it uses.
    pub imports: Vec<String>,
    pub operation: Option<Operation>,
    pub event_count: u64,
    pub source_count: u64,
    pub effect_count: u64,
}

impl Stack {
    pub fn id(&self) -> String {
        let Stack { account, region, name, uuid, .. } = self;
        format!("arn:aws:cloudformation:{region}:{account}:stack/{name}/{uuid}")
    }
}

/// What an operation makes of a stack.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq)]
pub(crate) struct Goal {
    /// Which stored source; `None` before the first creation.
    pub source: Option<u64>,
    pub description: Option<String>,
    pub parameters: Vec<StoredParameter>,
    pub tags: Vec<(String, String)>,
    pub capabilities: Vec<String>,
    pub role_arn: Option<String>,
    pub notification_arns: Vec<String>,
}

/// A parameter's value. Values of NoEcho parameters are stored too: an update needs them.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub(crate) struct StoredParameter {
    pub key: String,
    pub value: String,
    /// What a parameter store held under the value.
    pub resolved: Option<String>,
    pub no_echo: bool,
}

#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub(crate) struct StoredOutput {
    pub key: String,
    pub value: String,
    pub description: Option<String>,
    pub export: Option<String>,
}

/// A template as it was given, and what became of its local files.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Source {
    pub text: String,
    /// By logical id and property: what stands there instead of a local path.
    #[serde(default)]
    pub artifacts: Vec<Artifact>,
}

#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub(crate) struct Artifact {
    pub logical_id: String,
    /// The property that named a local path.
    pub property: String,
    /// The property that takes its place, often the same.
    pub target: String,
    pub value: Value,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum OperationKind {
    Create,
    Update,
    Delete,
}

/// Where an operation is; a restart goes on from here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Phase {
    Forward,
    /// What an update replaced or dropped goes away.
    Cleanup,
    Rollback,
    /// What a failed update made goes away.
    RollbackCleanup,
    Delete,
}

/// What becomes of a creation that fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum OnFailure {
    Rollback,
    Nothing,
    Delete,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Operation {
    /// The client's token, or one of ours: names the operation in events.
    pub token: String,
    pub kind: OperationKind,
    pub phase: Phase,
    pub target: Goal,
    pub on_failure: OnFailure,
    pub started_ms: i64,
    pub endpoint: String,
    pub principal: String,
    /// Resources that a deletion leaves.
    pub retain: Vec<String>,
    /// A deletion that was asked for while a creation runs.
    pub delete_next: bool,
    pub retain_except_on_create: bool,
}

/// A resource of a stack.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Record {
    pub logical_id: String,
    pub resource_type: String,
    pub status: String,
    pub reason: Option<String>,
    pub changed_ms: i64,
    pub needs: Vec<String>,
    pub deletion_policy: StoredPolicy,
    pub update_replace_policy: StoredPolicy,
    pub metadata: Option<Value>,
    pub instance: Option<Instance>,
    /// What the running operation has done here.
    pub touched: Option<Touched>,
    /// What is being done right now.
    pub intent: Option<Intent>,
    /// What waits for its deletion.
    pub garbage: Vec<Instance>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum StoredPolicy {
    #[default]
    Delete,
    Retain,
    RetainExceptOnCreate,
}

/// One physical resource.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub(crate) struct Instance {
    pub physical_id: String,
    pub resource_type: String,
    pub properties: Value,
    pub attributes: Map<String, Value>,
    /// Its place in the order of creation.
    pub order: u32,
    /// A call failed on the way: what is there may be half of what the properties say.
    #[serde(default)]
    pub half_done: bool,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Touched {
    pub token: String,
    /// What was there before; `None` where the operation made the resource.
    pub before: Option<Instance>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Action {
    Create,
    Replace,
    Update,
}

/// A call that has begun: written before it, taken away with its outcome.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Intent {
    pub action: Action,
    pub name: String,
    pub properties: Value,
    pub order: u32,
    /// Number of the outbox entry whose key is the call's effect id.
    pub effect: u64,
}

/// One entry of a stack's history.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct StoredEvent {
    pub event_id: String,
    pub logical_id: String,
    pub physical_id: String,
    pub resource_type: String,
    pub timestamp_ms: i64,
    pub status: String,
    pub reason: Option<String>,
    pub properties: Option<String>,
    pub token: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ChangeSet {
    pub name: String,
    pub uuid: String,
    pub created_ms: i64,
    pub description: Option<String>,
    /// `CREATE` or `UPDATE`.
    pub kind: OperationKind,
    /// `CREATE_COMPLETE` or `FAILED`.
    pub status: String,
    pub reason: Option<String>,
    /// `AVAILABLE`, `UNAVAILABLE`, `EXECUTE_IN_PROGRESS`, `EXECUTE_COMPLETE`, `EXECUTE_FAILED`, `OBSOLETE`.
    pub execution: String,
    pub goal: Goal,
    pub source: Source,
    pub changes: Vec<Value>,
    pub on_failure: Option<OnFailure>,
    /// The stack's source when the change set was made: it is obsolete once that is another.
    pub base: Option<u64>,
}
