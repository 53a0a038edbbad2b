use std::sync::Arc;

use asl::StateMachine;
use base::Timestamp;

use crate::{Effect, ExecutionInfo, ExecutionStatus, HistoryEvent, Input, Limits, TaskId};

/// What a step may know of the world.
pub struct Env<'a> {
    pub now: Timestamp,
    /// Uniform over all of `u64`.
    pub random: &'a mut dyn FnMut() -> u64,
    /// Makes the task token of a task that needs one.
    pub token: &'a mut dyn FnMut(TaskId) -> String,
    pub limits: Limits,
}

/// What one input led to.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Step {
    /// To be stored with the execution's new position, in this order.
    pub history: Vec<HistoryEvent>,
    /// To be carried out after the step is stored, in this order.
    pub effects: Vec<Effect>,
}

/// One execution of a state machine: its position.
#[derive(Debug, Clone)]
pub struct Execution {
    info: ExecutionInfo,
    machine: Arc<StateMachine>,
    status: ExecutionStatus,
}

impl Execution {
    /// An execution that has not started; its first input is [`Input::Start`].
    pub fn new(info: ExecutionInfo, machine: Arc<StateMachine>) -> Execution {
        Execution { info, machine, status: ExecutionStatus::Running }
    }

    pub fn info(&self) -> &ExecutionInfo {
        &self.info
    }

    pub fn machine(&self) -> &Arc<StateMachine> {
        &self.machine
    }

    pub fn status(&self) -> ExecutionStatus {
        self.status
    }

    /// Applies one input; returns what to write and what to do.
    pub fn step(&mut self, input: Input, env: &mut Env<'_>) -> Step {
        let _ = (input, env);
        Step::default()
    }

    /// The effects that are still outstanding: after a crash, carry them out (again).
    pub fn open_effects(&self) -> Vec<Effect> {
        Vec::new()
    }

    /// The position as bytes, to be stored with each step. It holds neither `info` nor the state machine.
    pub fn snapshot(&self) -> Vec<u8> {
        Vec::new()
    }

    /// The execution as it was when `snapshot` was taken, given the same `info` and state machine.
    pub fn restore(
        snapshot: &[u8],
        info: ExecutionInfo,
        machine: Arc<StateMachine>,
    ) -> Result<Execution, RestoreError> {
        let _ = snapshot;
        Ok(Execution::new(info, machine))
    }
}

/// Why stored bytes are not a position in this state machine, or not an event.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    #[error("unknown format version {0}")]
    Version(u8),
    #[error("damaged record: {0}")]
    Damaged(&'static str),
    #[error("the position does not fit the state machine: {0}")]
    Mismatch(String),
}
