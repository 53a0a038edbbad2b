//! Executions as cells: each drives the interpreter, stores what it says, then lets its effects out.

mod format;
mod history;
mod index;
mod log;
mod owner;
mod query;
mod redrive;
mod status_change;
mod uses;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use base::{Scope, Timestamp};
use cell::Reply;
use interp::{RunTask, TaskId};
use service::{EffectId, Fault};

use crate::keys::{ExecutionId, MapRunId};
use crate::map_run::{ChildRecord, NewRun};
use crate::mock::TestCase;
use crate::record::{EndRecord, HeadRecord};

pub use status_change::StatusChange;

pub(crate) use format::upgrade;
pub(crate) use history::{HistoryPage, PageBounds, history_page};
pub(crate) use index::{RUNNING, list_of_map_run};
pub(crate) use log::LogLines;
pub(crate) use owner::Owner;
pub(crate) use query::{Execution, Query, cell_of, find, list, read};
pub(crate) use redrive::{Facts, Redrive, halted};

/// Cells that executions are spread over. Part of the stored state: never change it.
pub(crate) const CELLS: usize = 8;

/// What the cells of executions take in.
pub(crate) enum Input {
    Start {
        start: Box<Start>,
        reply: Reply<Result<Started, Fault>>,
    },
    /// Runs an Express execution and answers when it has ended.
    StartSync {
        start: Box<Start>,
        reply: Reply<Result<(Started, EndRecord), Fault>>,
    },
    /// What happened to a task. Answers whether anybody was waiting for it.
    Task {
        id: ExecutionId,
        input: interp::Input,
        reply: Option<Reply<bool>>,
    },
    Heartbeat {
        id: ExecutionId,
        task: TaskId,
        reply: Reply<bool>,
    },
    /// Answers with the time of the stop; `None` if there is no such running execution.
    Stop {
        id: ExecutionId,
        error: Option<String>,
        cause: Option<String>,
        reply: Reply<Option<Timestamp>>,
    },
    /// The child of a task that no longer waited for it is stopped: that need not be done again.
    ChildStopped {
        id: ExecutionId,
        task: TaskId,
    },
    /// Lets an execution go on that ended without success.
    Redrive {
        id: ExecutionId,
        token: Option<String>,
        reply: Reply<Result<Timestamp, Fault>>,
    },
    /// Answers when the execution has ended.
    Watch {
        id: ExecutionId,
        reply: Reply<Option<EndRecord>>,
    },
    /// Starts a child of a Map Run, if it was not started before, and answers when it has ended.
    StartChild {
        start: Box<Start>,
        reply: Reply<Result<ChildEnd, Fault>>,
    },
    /// Stops a child of a Map Run and answers when it has ended; `None` if it was never started.
    StopChild {
        child: Box<ChildName>,
        reply: Reply<Option<ChildEnd>>,
    },
    /// Answers whether the task waits for its outcome.
    IsOpen {
        id: ExecutionId,
        task: TaskId,
        reply: Reply<bool>,
    },
}

/// A child of a Map Run, as the cell that it runs in finds it.
#[derive(Clone, Debug)]
pub(crate) struct ChildName {
    pub run: MapRunId,
    pub index: u64,
    pub scope: Scope,
    pub machine: String,
    pub name: String,
    pub express: bool,
}

/// How a child of a Map Run ended.
#[derive(Clone)]
pub(crate) struct ChildEnd {
    pub start_ms: i64,
    /// Of Express executions, for nothing of them is stored.
    pub input: Option<String>,
    pub end: EndRecord,
}

/// An execution to be started: all checks that need no state are done.
pub(crate) struct Start {
    pub head: HeadRecord,
    pub definition: Arc<asl::StateMachine>,
    pub effect: Option<EffectId>,
    /// Whether an Express execution is to survive a crash, by running again from its start.
    pub durable: bool,
    /// What it is to a Map Run.
    pub child: Option<ChildRecord>,
}

#[derive(Clone, Debug)]
pub(crate) struct Started {
    pub arn: String,
    pub start: Timestamp,
}

/// What leaves a cell of executions once it is durable.
pub(crate) enum Work {
    Run(Box<Job>),
    MapRun(Arc<NewRun>),
    CancelMapRun(MapRunId),
    Cancel {
        id: ExecutionId,
        task: TaskId,
    },
    /// Nobody waits for the task any longer that started this child, or was to start it.
    StopChild {
        id: ExecutionId,
        task: TaskId,
        child: Arc<str>,
    },
    Log(LogLines),
    Announce(Box<StatusChange>),
}

/// One attempt of one task, to be carried out.
pub(crate) struct Job {
    pub id: ExecutionId,
    pub scope: Scope,
    pub execution_arn: Arc<str>,
    pub role_arn: Arc<str>,
    pub task: RunTask,
    /// `None` for Express executions: nothing of them is done exactly once.
    pub effect: Option<EffectId>,
    pub test_case: Option<Arc<TestCase>>,
}

/// Where [`Work`] goes: the dispatcher, or a test's list. Must not block.
pub(crate) type Outside = Arc<dyn Fn(Work) + Send + Sync>;

pub(crate) fn execution_arn(head: &HeadRecord) -> String {
    let HeadRecord { account, region, machine, name, .. } = head;
    match &head.express_id {
        None => format!("arn:aws:states:{region}:{account}:execution:{machine}:{name}"),
        Some(id) => format!("arn:aws:states:{region}:{account}:express:{machine}:{name}:{id}"),
    }
}

impl HeadRecord {
    pub fn scope(&self) -> Scope {
        Scope::new(&self.account, &self.region)
    }

    pub fn machine_arn(&self) -> String {
        crate::catalog::machine_arn(&self.scope(), &self.machine).to_string()
    }

    pub fn version_arn(&self) -> Option<String> {
        self.version.map(|number| format!("{}:{number}", self.machine_arn()))
    }

    pub fn alias_arn(&self) -> Option<String> {
        self.alias.as_ref().map(|alias| format!("{}:{alias}", self.machine_arn()))
    }
}
