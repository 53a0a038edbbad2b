use std::sync::Arc;

use base::Timestamp;

/// What an execution is: set when it starts, never changed by a step.
#[derive(Debug, Clone, PartialEq)]
pub struct ExecutionInfo {
    /// The execution's ARN.
    pub id: Arc<str>,
    pub name: Arc<str>,
    /// The input as given: JSON text, kept to the letter.
    pub input: Arc<str>,
    pub role_arn: Arc<str>,
    pub start_time: Timestamp,
    /// The state machine's ARN, without version or alias.
    pub state_machine_id: Arc<str>,
    pub state_machine_name: Arc<str>,
    /// The version that runs, when a version or an alias was started.
    pub state_machine_version_arn: Option<Arc<str>>,
    pub state_machine_alias_arn: Option<Arc<str>>,
    pub redrive_count: u32,
}

impl ExecutionInfo {
    /// The region in the execution's ARN.
    pub fn region(&self) -> &str {
        self.id.split(':').nth(3).unwrap_or_default()
    }
}
