use std::collections::BTreeMap;
use std::sync::Arc;

use base::Timestamp;

/// One entry of an execution's history.
#[derive(Debug, Clone, PartialEq)]
pub struct HistoryEvent {
    /// 1, 2, 3, ... without gaps.
    pub id: u64,
    /// The event that led to this one in its branch or iteration; 0 for none.
    pub previous_event_id: u64,
    pub timestamp: Timestamp,
    pub event_type: EventType,
    pub details: Details,
}

macro_rules! event_types {
    ($($name:ident = $code:literal, $details:literal;)*) => {
        /// The types of history events, AWS's names. The numbers are what is stored: never change one.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum EventType { $($name = $code,)* }

        impl EventType {
            /// Every type, in the order of the numbers.
            pub const ALL: &'static [EventType] = &[$(EventType::$name,)*];

            /// The name as GetExecutionHistory gives it.
            pub fn as_str(self) -> &'static str {
                match self { $(EventType::$name => stringify!($name),)* }
            }

            /// The member that holds the details of such an event; empty where there are none.
            pub fn details_member(self) -> &'static str {
                match self { $(EventType::$name => $details,)* }
            }

            /// The type of that number.
            pub fn from_code(code: u8) -> Option<EventType> {
                match code { $($code => Some(EventType::$name),)* _ => None }
            }
        }
    };
}

event_types! {
    ExecutionStarted = 1, "executionStartedEventDetails";
    ExecutionSucceeded = 2, "executionSucceededEventDetails";
    ExecutionFailed = 3, "executionFailedEventDetails";
    ExecutionAborted = 4, "executionAbortedEventDetails";
    ExecutionTimedOut = 5, "executionTimedOutEventDetails";
    ExecutionRedriven = 6, "executionRedrivenEventDetails";
    PassStateEntered = 7, "stateEnteredEventDetails";
    PassStateExited = 8, "stateExitedEventDetails";
    ChoiceStateEntered = 9, "stateEnteredEventDetails";
    ChoiceStateExited = 10, "stateExitedEventDetails";
    WaitStateEntered = 11, "stateEnteredEventDetails";
    WaitStateExited = 12, "stateExitedEventDetails";
    WaitStateAborted = 13, "";
    SucceedStateEntered = 14, "stateEnteredEventDetails";
    SucceedStateExited = 15, "stateExitedEventDetails";
    FailStateEntered = 16, "stateEnteredEventDetails";
    TaskStateEntered = 17, "stateEnteredEventDetails";
    TaskStateExited = 18, "stateExitedEventDetails";
    TaskStateAborted = 19, "";
    ParallelStateEntered = 20, "stateEnteredEventDetails";
    ParallelStateExited = 21, "stateExitedEventDetails";
    ParallelStateStarted = 22, "";
    ParallelStateSucceeded = 23, "";
    ParallelStateFailed = 24, "";
    ParallelStateAborted = 25, "";
    MapStateEntered = 26, "stateEnteredEventDetails";
    MapStateExited = 27, "stateExitedEventDetails";
    MapStateStarted = 28, "mapStateStartedEventDetails";
    MapStateSucceeded = 29, "";
    MapStateFailed = 30, "";
    MapStateAborted = 31, "";
    MapIterationStarted = 32, "mapIterationStartedEventDetails";
    MapIterationSucceeded = 33, "mapIterationSucceededEventDetails";
    MapIterationFailed = 34, "mapIterationFailedEventDetails";
    MapIterationAborted = 35, "mapIterationAbortedEventDetails";
    MapRunStarted = 36, "mapRunStartedEventDetails";
    MapRunSucceeded = 37, "";
    MapRunFailed = 38, "mapRunFailedEventDetails";
    MapRunAborted = 39, "";
    MapRunRedriven = 40, "mapRunRedrivenEventDetails";
    LambdaFunctionScheduled = 41, "lambdaFunctionScheduledEventDetails";
    LambdaFunctionScheduleFailed = 42, "lambdaFunctionScheduleFailedEventDetails";
    LambdaFunctionStarted = 43, "";
    LambdaFunctionStartFailed = 44, "lambdaFunctionStartFailedEventDetails";
    LambdaFunctionSucceeded = 45, "lambdaFunctionSucceededEventDetails";
    LambdaFunctionFailed = 46, "lambdaFunctionFailedEventDetails";
    LambdaFunctionTimedOut = 47, "lambdaFunctionTimedOutEventDetails";
    ActivityScheduled = 48, "activityScheduledEventDetails";
    ActivityScheduleFailed = 49, "activityScheduleFailedEventDetails";
    ActivityStarted = 50, "activityStartedEventDetails";
    ActivitySucceeded = 51, "activitySucceededEventDetails";
    ActivityFailed = 52, "activityFailedEventDetails";
    ActivityTimedOut = 53, "activityTimedOutEventDetails";
    TaskScheduled = 54, "taskScheduledEventDetails";
    TaskStarted = 55, "taskStartedEventDetails";
    TaskStartFailed = 56, "taskStartFailedEventDetails";
    TaskSubmitted = 57, "taskSubmittedEventDetails";
    TaskSubmitFailed = 58, "taskSubmitFailedEventDetails";
    TaskSucceeded = 59, "taskSucceededEventDetails";
    TaskFailed = 60, "taskFailedEventDetails";
    TaskTimedOut = 61, "taskTimedOutEventDetails";
    EvaluationFailed = 62, "evaluationFailedEventDetails";
}

impl EventType {
    /// Whether such an event ends the execution.
    pub fn is_terminal(self) -> bool {
        matches!(
            self,
            EventType::ExecutionSucceeded
                | EventType::ExecutionFailed
                | EventType::ExecutionAborted
                | EventType::ExecutionTimedOut
        )
    }
}

/// What an event tells beyond its type; types with the same members share a variant.
#[derive(Debug, Clone, PartialEq)]
pub enum Details {
    None,
    ExecutionStarted {
        input: Arc<str>,
        role_arn: Arc<str>,
        state_machine_alias_arn: Option<Arc<str>>,
        state_machine_version_arn: Option<Arc<str>>,
    },
    /// `...StateEntered`.
    StateEntered {
        name: Arc<str>,
        input: Arc<str>,
    },
    /// `...StateExited`; the variables are JSON texts by name.
    StateExited {
        name: Arc<str>,
        output: Arc<str>,
        assigned_variables: BTreeMap<Arc<str>, Arc<str>>,
    },
    /// Successes of executions, functions and activities.
    Output {
        output: Arc<str>,
    },
    /// Failures, timeouts and aborts of executions, functions, activities and Map Runs.
    Failure {
        error: Option<Arc<str>>,
        cause: Option<Arc<str>>,
    },
    FunctionScheduled {
        resource: Arc<str>,
        input: Arc<str>,
        timeout_seconds: Option<u64>,
        credentials_role_arn: Option<Arc<str>>,
    },
    ActivityScheduled {
        resource: Arc<str>,
        input: Arc<str>,
        timeout_seconds: Option<u64>,
        heartbeat_seconds: Option<u64>,
    },
    ActivityStarted {
        worker_name: Option<Arc<str>>,
    },
    TaskScheduled {
        resource_type: Arc<str>,
        resource: Arc<str>,
        region: Arc<str>,
        parameters: Arc<str>,
        timeout_seconds: Option<u64>,
        heartbeat_seconds: Option<u64>,
        credentials_role_arn: Option<Arc<str>>,
    },
    TaskStarted {
        resource_type: Arc<str>,
        resource: Arc<str>,
    },
    /// `TaskSubmitted`, `TaskSucceeded`.
    TaskOutput {
        resource_type: Arc<str>,
        resource: Arc<str>,
        output: Arc<str>,
    },
    /// `TaskFailed`, `TaskStartFailed`, `TaskSubmitFailed`, `TaskTimedOut`.
    TaskFailure {
        resource_type: Arc<str>,
        resource: Arc<str>,
        error: Option<Arc<str>>,
        cause: Option<Arc<str>>,
    },
    MapStarted {
        length: u64,
    },
    MapIteration {
        name: Arc<str>,
        index: u64,
    },
    MapRun {
        map_run_arn: Arc<str>,
        redrive_count: Option<u32>,
    },
    Redriven {
        redrive_count: u32,
    },
    EvaluationFailed {
        state: Arc<str>,
        error: Option<Arc<str>>,
        cause: Option<Arc<str>>,
        location: Option<Arc<str>>,
    },
}
