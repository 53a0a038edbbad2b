//! Map Runs: the children of Map states in DISTRIBUTED mode.
//!
//! A Map Run is the state of a cell ([`Owner`]): which items are in children, which children have not ended, what became
//! of the rest. What it wants of the world ([`Work`]) is carried out by the [`Driver`]: a reader that fetches items as
//! children have room for them, the children themselves, which are executions in the cells of executions, and a writer
//! that puts their results together.
//!
//! **Invariants**
//! - An item and its child's name are stored before the child starts, with the reader's position behind it in the same
//!   batch: after a crash no item is read twice and none is left out, and a child that was started is found by its name.
//! - For each Map Run there are at most one reader, one writer, and one task for each open child; each goes on until
//!   the cell has taken its answer in, so the cell may ask again for what is under way.
//! - Memory does not grow with the number of items: what is read ahead is bounded by the children that may run.

mod children;
mod counts;
mod driver;
mod objects;
mod owner;
mod processors;
mod query;
mod read;
mod record;
#[cfg(test)]
mod tests;
mod write;

use std::sync::Arc;

use cell::Reply;
use interp::RunMapRun;
use service::Fault;

use crate::execution::ChildEnd;
use crate::keys::{ExecutionId, MapRunId};
use crate::record::HeadRecord;
use record::{End, RunRecord, SourceRecord};

pub(crate) use counts::Counts;
pub(crate) use driver::Driver;
pub(crate) use owner::Owner;
pub(crate) use processors::Processors;
pub(crate) use query::{MapRun, child_of, delete_runs, find, read, runs_of};
pub(crate) use record::{ChildRecord, OutcomeRecord};

/// Cells that Map Runs are spread over. Part of the stored state: never change it.
pub(crate) const CELLS: usize = 8;

/// The cell that owns a Map Run.
pub(crate) fn cell_of(id: MapRunId) -> usize {
    cell::shard_of(&id.to_bytes(), CELLS)
}

/// What an execution wants: a Map Run with everything evaluated.
pub(crate) struct NewRun {
    pub id: ExecutionId,
    pub parent: Arc<HeadRecord>,
    pub parent_arn: Arc<str>,
    pub run: RunMapRun,
}

impl NewRun {
    pub fn run_id(&self) -> MapRunId {
        MapRunId { execution: self.id, task: self.run.task.0 }
    }
}

/// A Map Run that has not ended, as its reader, its children and its writer need it.
pub(crate) struct Run {
    pub id: MapRunId,
    pub record: RunRecord,
    pub source: SourceRecord,
    /// The machine that the Map state is in, wherever in it.
    pub definition: Arc<asl::StateMachine>,
    /// What the children run.
    pub processor: Arc<asl::StateMachine>,
}

impl Run {
    /// The Map state.
    pub fn map(&self) -> Option<&asl::Map> {
        processors::map_state(&self.definition.body, &self.record.state_name)
    }

    /// Whether results go to S3.
    pub fn exports(&self) -> bool {
        self.source.writer_parameters.is_some()
    }
}

/// What the cells of Map Runs take in.
pub(crate) enum Input {
    /// Begins a Map Run, or tells again how it ended.
    Start {
        run: Arc<NewRun>,
        reply: Reply<()>,
    },
    /// Nobody waits for it any longer.
    Cancel {
        id: MapRunId,
        reply: Reply<()>,
    },
    /// Items for children from the index `first` on.
    Items {
        id: MapRunId,
        first: u64,
        chunk: Chunk,
        reply: Reply<read::Taken>,
    },
    /// No more items can be read.
    ReadFailed {
        id: MapRunId,
        failure: Failure,
        reply: Reply<()>,
    },
    /// How many items there are in all.
    Counted {
        id: MapRunId,
        items: u64,
        reply: Reply<()>,
    },
    ChildEnded {
        id: MapRunId,
        index: u64,
        end: Box<ChildEnd>,
        reply: Reply<()>,
    },
    Written {
        id: MapRunId,
        written: Result<Written, Failure>,
        reply: Reply<()>,
    },
    /// The parent has taken the outcome in.
    Told {
        id: MapRunId,
        reply: Reply<()>,
    },
    /// `UpdateMapRun`: answers whether it is running.
    Update {
        id: MapRunId,
        update: Update,
        reply: Reply<Result<(), Fault>>,
    },
}

/// Children to be started.
#[derive(Clone, Default)]
pub(crate) struct Chunk {
    pub children: Vec<NewChild>,
    /// Behind the last item in them.
    pub position: Vec<u8>,
    /// Whether there are no more items.
    pub last: bool,
}

#[derive(Clone)]
pub(crate) struct NewChild {
    pub input: Arc<str>,
    pub items: u32,
}

/// An error name and its cause.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Failure {
    pub error: String,
    pub cause: String,
}

/// What came of putting results together.
#[derive(Clone, Debug)]
pub(crate) struct Written {
    /// The Map state's result, if it succeeded.
    pub output: Option<String>,
    /// Children whose results are in S3.
    pub children: u64,
}

/// The members of `UpdateMapRun`.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Update {
    pub max_concurrency: Option<u64>,
    pub tolerated_failure_count: Option<u64>,
    pub tolerated_failure_percentage: Option<f64>,
}

/// What leaves a cell of Map Runs once it is durable. What is asked again is under way at most once.
pub(crate) enum Work {
    /// Read items behind `position` for children from the index `first` on, as there is room.
    Read { run: Arc<Run>, first: u64, position: Vec<u8> },
    /// So many more children may be started.
    Room { id: MapRunId, children: u64 },
    /// Start the child and tell how it ends; without `input`, as it is stored.
    Child { run: Arc<Run>, index: u64, items: u32, input: Option<Arc<str>> },
    /// Stop the reader and all children.
    Stop { id: MapRunId },
    /// Tell how many items there are.
    Count { run: Arc<Run> },
    /// Put the results of so many children together.
    Write { run: Arc<Run>, children: u64, end: End },
    /// Tell the parent.
    Tell { id: MapRunId, outcome: OutcomeRecord },
    /// Cancel the Map Run if its parent waits no longer: what told so may have been lost.
    CheckParent { id: MapRunId },
    /// The Map Run has ended.
    Forget { id: MapRunId },
}

/// Where [`Work`] goes. Must not block.
pub(crate) type Outside = Arc<dyn Fn(Work) + Send + Sync>;
