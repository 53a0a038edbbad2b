use std::fmt;
use std::sync::Arc;

use asl::{EvalError, InsertError, PathError};
use serde_json::Value;

/// Why a state failed.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Failure {
    pub error: Option<Arc<str>>,
    pub cause: Option<Arc<str>>,
    /// Whether Retry and Catch may see it. What may not, ends the execution from wherever it is.
    pub catchable: bool,
    /// Whether the interpreter itself raised it: then the cause is to name the state.
    pub names_state: bool,
    /// A JSONata expression failed: an event of its own tells so.
    pub evaluation: Option<Evaluation>,
}

/// What the event `EvaluationFailed` tells besides error and cause.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Evaluation {
    /// The field.
    pub location: Option<Arc<str>>,
    /// Before a Map state had started: AWS chains the event to what was before the state.
    pub before_start: bool,
}

/// Error names that the language reserves.
pub(crate) mod names {
    pub const ALL: &str = "States.ALL";
    pub const DATA_LIMIT_EXCEEDED: &str = "States.DataLimitExceeded";
    pub const ITEM_READER_FAILED: &str = "States.ItemReaderFailed";
    pub const HEARTBEAT_TIMEOUT: &str = "States.HeartbeatTimeout";
    pub const QUERY_EVALUATION_ERROR: &str = "States.QueryEvaluationError";
    pub const RESULT_PATH_MATCH_FAILURE: &str = "States.ResultPathMatchFailure";
    pub const RUNTIME: &str = "States.Runtime";
    pub const TASK_FAILED: &str = "States.TaskFailed";
    pub const TIMEOUT: &str = "States.Timeout";
}

impl Failure {
    /// What a task, a Fail state or a timer reported.
    pub fn reported(error: Option<Arc<str>>, cause: Option<Arc<str>>) -> Failure {
        Failure { error, cause, catchable: true, names_state: false, evaluation: None }
    }

    /// `States.Runtime`: the definition and the data do not fit. Nothing catches it.
    pub fn runtime(cause: impl fmt::Display) -> Failure {
        Failure { catchable: false, ..Failure::raised(names::RUNTIME, cause) }
    }

    /// An error of the interpreter's own that Retry and Catch may see.
    pub fn raised(error: &str, cause: impl fmt::Display) -> Failure {
        let (error, cause) = (Some(error.into()), Some(cause.to_string().into()));
        Failure { error, cause, catchable: true, names_state: true, evaluation: None }
    }

    /// `States.QueryEvaluationError` of what is no single expression of the definition.
    pub fn query(cause: impl fmt::Display) -> Failure {
        let evaluation = Some(Evaluation::default());
        Failure { evaluation, ..Failure::raised(names::QUERY_EVALUATION_ERROR, cause) }
    }

    /// A task's output is too large: to Retry and Catch an error like any other.
    pub fn task_output_too_large(task: &str) -> Failure {
        let cause = format!(
            "The state/task '{task}' returned a result with a size exceeding the maximum number of bytes service limit."
        );
        Failure::reported(Some(names::DATA_LIMIT_EXCEEDED.into()), Some(cause.into()))
    }

    /// A state's own input or output is too large. Nothing catches it.
    pub fn state_data_too_large(state: &str) -> Failure {
        Failure { catchable: false, ..Failure::task_output_too_large(state) }
    }

    /// A variable would be too large, or all of them together. Nothing catches it.
    pub fn variables_too_large(state: &str, what: impl fmt::Display) -> Failure {
        let cause = format!(
            "The state '{state}' assigned {what} with a size exceeding the maximum number of bytes service limit."
        );
        let failure = Failure::reported(Some(names::DATA_LIMIT_EXCEEDED.into()), Some(cause.into()));
        Failure { catchable: false, ..failure }
    }

    /// An expression of the state called `state` has no value for `input`.
    pub fn evaluation(error: &EvalError, input: &Value, state: &str) -> Failure {
        match error.error_name() {
            names::DATA_LIMIT_EXCEEDED => Failure::state_data_too_large(state),
            names::RUNTIME => Failure::runtime(error.cause(input)),
            names::QUERY_EVALUATION_ERROR => {
                let location = error.location().map(Arc::from);
                let evaluation = Some(Evaluation { location, before_start: false });
                Failure { evaluation, ..Failure::query(error.cause(input)) }
            }
            name => Failure::raised(name, error.cause(input)),
        }
    }

    /// The cause with the name of the state that raised it.
    pub fn naming(&self, state: &str, entered_event_id: u64) -> Option<Arc<str>> {
        let cause = self.cause.as_deref().unwrap_or_default();
        let text = format!(
            "An error occurred while executing the state '{state}' (entered at the event id #{entered_event_id}). {cause}"
        );
        Some(text.into())
    }

    /// Whether one of a retrier's or catcher's `ErrorEquals` means this failure.
    pub fn is_one_of(&self, error_equals: &[String]) -> bool {
        let error = self.error.as_deref().unwrap_or_default();
        let timed_out = matches!(error, names::TIMEOUT | names::HEARTBEAT_TIMEOUT);
        self.catchable
            && error_equals.iter().any(|name| match name.as_str() {
                names::ALL => true,
                names::TASK_FAILED => !timed_out,
                names::TIMEOUT => timed_out,
                name => name == error,
            })
    }
}

impl From<PathError> for Failure {
    fn from(error: PathError) -> Failure {
        Failure::runtime(error)
    }
}

impl From<InsertError> for Failure {
    fn from(error: InsertError) -> Failure {
        Failure::raised(names::RESULT_PATH_MATCH_FAILURE, error)
    }
}
