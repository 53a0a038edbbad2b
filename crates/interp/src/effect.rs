use std::sync::Arc;

use asl::Name;
use base::Timestamp;

use crate::{TaskId, TimerId};

/// What the engine has to do after it has stored the step.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Do the work of a Task state, then answer with `TaskSucceeded` or one of the failures.
    RunTask(Box<RunTask>),
    /// Run the children of a Distributed Map, then answer with `TaskSucceeded` (the output is an array of the
    /// children's outputs, or what the result writer gives) or `TaskFailed`.
    RunMapRun(Box<RunMapRun>),
    /// Nobody waits for this task or Map Run any longer: forget its token, stop its work where that is possible.
    CancelTask { task: TaskId },
    /// Send `TimerFired` at (or after) this time, once.
    StartTimer { timer: TimerId, at: Timestamp },
    /// The timer is no longer needed; firing it would do no harm.
    CancelTimer { timer: TimerId },
    /// There are more transitions to do: store this step, then send `Continue`.
    Continue,
    /// The execution has ended. The last effect of an execution.
    Ended(Outcome),
}

/// The work of one attempt of a Task state.
#[derive(Debug, Clone, PartialEq)]
pub struct RunTask {
    pub task: TaskId,
    /// The id of the `...Scheduled` event (the same number as `task`).
    pub scheduled_event_id: u64,
    pub state_name: Name,
    /// What to call.
    pub resource: asl::Resource,
    /// The task's input (function, activity) or the API's parameters (service integration), JSON text.
    pub parameters: Arc<str>,
    /// The task token of activities and `.waitForTaskToken` tasks, as `Env::token` made it.
    pub token: Option<Arc<str>>,
    /// For information: the execution times the task out itself.
    pub timeout_seconds: Option<u64>,
    /// For information: the execution watches the heartbeat itself, given `Input::Heartbeat`.
    pub heartbeat_seconds: Option<u64>,
    /// `Credentials.RoleArn`: the role to act as.
    pub credentials_role_arn: Option<Arc<str>>,
    /// The execution's region, where the service is called.
    pub region: Arc<str>,
    /// 0 for the first attempt.
    pub retry_count: u32,
    /// How far the task had come: only `open_effects` after a crash says other than `Scheduled`.
    pub progress: Progress,
}

/// The work of one attempt of a Map state in DISTRIBUTED mode; everything in it is evaluated.
#[derive(Debug, Clone, PartialEq)]
pub struct RunMapRun {
    /// The id of the `MapRunStarted` event; the answer names it.
    pub task: TaskId,
    pub map_run_arn: Arc<str>,
    /// The definition's, or one made for this run: a part of the children's ARNs.
    pub label: Arc<str>,
    /// Unique in the whole state machine, so it names the processor too.
    pub state_name: Name,
    pub execution_type: asl::ExecutionType,
    pub items: MapRunItems,
    /// 0: as many as the engine allows.
    pub max_concurrency: u64,
    pub tolerated_failure_count: u64,
    pub tolerated_failure_percentage: f64,
    /// What `ItemSelector` is evaluated in, if there is one: see [`crate::ItemSelector`].
    pub selector_scene: Option<SelectorScene>,
    pub batcher: Option<MapRunBatcher>,
    pub writer: Option<MapRunWriter>,
    pub region: Arc<str>,
    /// 0 for the first attempt.
    pub retry_count: u32,
}

/// Where the items of a Map Run come from.
#[derive(Debug, Clone, PartialEq)]
pub enum MapRunItems {
    /// From the state's input: a JSON array's text.
    Inline(Arc<str>),
    /// `ItemReader`: its resource, its parameters as JSON text, its `ReaderConfig` with `MaxItems` computed.
    Reader { resource: asl::Resource, parameters: Arc<str>, config: Box<asl::ReaderConfig>, max_items: Option<u64> },
}

/// What an [`crate::ItemSelector`] reads besides the item, as JSON texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SelectorScene {
    /// The id of the `MapStateEntered` event, which causes of failures name.
    pub entered_event_id: u64,
    pub input: Arc<str>,
    pub context: Arc<str>,
    /// An object of the variables that the state sees.
    pub variables: Arc<str>,
}

/// `ItemBatcher`, evaluated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MapRunBatcher {
    /// JSON text.
    pub batch_input: Option<Arc<str>>,
    pub max_items: Option<u64>,
    pub max_input_bytes: Option<u64>,
}

/// `ResultWriter`, evaluated.
#[derive(Debug, Clone, PartialEq)]
pub struct MapRunWriter {
    /// `None`: into the output.
    pub resource: Option<asl::Resource>,
    /// `{"Bucket": .., "Prefix": ..}` as JSON text.
    pub parameters: Arc<str>,
    pub config: asl::WriterConfig,
}

/// How far a task has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// Not known to have reached anybody.
    Scheduled,
    /// An activity's worker has it.
    Started,
    /// The service took the request and answered this (JSON text): wait for the job or the token, do not submit again.
    Submitted { output: Arc<str> },
}

/// How an execution ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    pub status: ExecutionStatus,
    /// JSON text, when it succeeded.
    pub output: Option<Arc<str>>,
    pub error: Option<Arc<str>>,
    pub cause: Option<Arc<str>>,
}

/// An execution's status as DescribeExecution gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ExecutionStatus {
    Running,
    Succeeded,
    Failed,
    TimedOut,
    Aborted,
}

impl ExecutionStatus {
    /// `RUNNING`, `SUCCEEDED`, ...
    pub fn as_str(self) -> &'static str {
        match self {
            ExecutionStatus::Running => "RUNNING",
            ExecutionStatus::Succeeded => "SUCCEEDED",
            ExecutionStatus::Failed => "FAILED",
            ExecutionStatus::TimedOut => "TIMED_OUT",
            ExecutionStatus::Aborted => "ABORTED",
        }
    }
}
