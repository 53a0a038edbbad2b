use std::fmt;
use std::sync::Arc;

/// One attempt of one Task state: the id of its `...Scheduled` event, so it never comes again in this execution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId(pub u64);

/// One timer of an execution; never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TimerId(pub u64);

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for TimerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What happened, as the engine tells it.
///
/// An input for a task or timer that is not open (late, sent twice, never known), or for an execution that has ended (but
/// for `Redrive`), changes nothing and yields an empty step.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// The first input, once: records `ExecutionStarted` and enters the first state.
    Start,
    /// The answer to [`crate::Effect::Continue`].
    Continue,
    /// A worker took an activity's task. Other tasks count as started when they are scheduled; for them it is ignored.
    TaskStarted { task: TaskId, worker_name: Option<Arc<str>> },
    /// The service took the request of a `.sync` or `.waitForTaskToken` task and answered `output` (JSON text).
    TaskSubmitted { task: TaskId, output: Arc<str> },
    /// The task is done; `output` is JSON text.
    TaskSucceeded { task: TaskId, output: Arc<str> },
    /// The task ended with an error.
    TaskFailed { task: TaskId, error: Option<Arc<str>>, cause: Option<Arc<str>> },
    /// The task could not be put anywhere (`ActivityScheduleFailed`, `LambdaFunctionScheduleFailed`).
    TaskScheduleFailed { task: TaskId, error: Option<Arc<str>>, cause: Option<Arc<str>> },
    /// The task could not be started (`TaskStartFailed`, `LambdaFunctionStartFailed`).
    TaskStartFailed { task: TaskId, error: Option<Arc<str>>, cause: Option<Arc<str>> },
    /// The service refused the request of a `.sync` or `.waitForTaskToken` task (`TaskSubmitFailed`).
    TaskSubmitFailed { task: TaskId, error: Option<Arc<str>>, cause: Option<Arc<str>> },
    /// A worker said that the task is alive.
    Heartbeat { task: TaskId },
    /// A timer's time has come.
    TimerFired { timer: TimerId },
    /// RedriveExecution: goes on with an execution that ended without success; `ExecutionInfo` has the new count.
    Redrive,
    /// StopExecution.
    Stop { error: Option<Arc<str>>, cause: Option<Arc<str>> },
}
