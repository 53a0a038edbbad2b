//! What is stored of a Map Run.

use interp::{MapRunBatcher, MapRunItems, MapRunWriter, RunMapRun, SelectorScene};
use serde::{Deserialize, Serialize};

use super::counts::{Counts, Tolerance};
use crate::record::{EndRecord, HeadRecord, Record, Revision};

/// What never changes of a Map Run.
#[derive(Serialize, Deserialize, Clone, Debug)]
pub(crate) struct RunRecord {
    pub arn: String,
    /// The execution that the Map state belongs to.
    pub execution_arn: String,
    pub account: String,
    pub region: String,
    /// The machine of the children: `MACHINE/LABEL`.
    pub machine: String,
    pub revision: Revision,
    pub state_name: String,
    /// Whether the children are Express executions.
    pub express: bool,
    pub start_ms: i64,
    /// The test case of its execution, which its children run too.
    pub test_case: Option<String>,
}

impl Record for RunRecord {
    const VERSION: u8 = 1;
    const NAME: &'static str = "map run";
}

impl RunRecord {
    /// `None` if the ARN is not that of a Map Run.
    pub fn new(run: &RunMapRun, parent: &HeadRecord, parent_arn: &str, now_ms: i64) -> Option<RunRecord> {
        let (machine, _) = name_of(&run.map_run_arn)?;
        Some(RunRecord {
            arn: run.map_run_arn.to_string(),
            execution_arn: parent_arn.to_owned(),
            account: parent.account.clone(),
            region: parent.region.clone(),
            machine: machine.to_owned(),
            revision: parent.revision.clone(),
            state_name: run.state_name.to_string(),
            express: run.execution_type == asl::ExecutionType::Express,
            start_ms: now_ms,
            test_case: parent.test_case.clone(),
        })
    }

    pub fn scope(&self) -> base::Scope {
        base::Scope::new(&self.account, &self.region)
    }

    /// That of the children's machine.
    pub fn machine_arn(&self) -> String {
        format!("arn:aws:states:{}:{}:stateMachine:{}", self.region, self.account, self.machine)
    }
}

/// `MACHINE/LABEL` and the last part of a Map Run's ARN.
pub(crate) fn name_of(arn: &str) -> Option<(&str, &str)> {
    let mut parts = arn.splitn(8, ':').skip(5);
    let (kind, machine, uuid) = (parts.next()?, parts.next()?, parts.next()?);
    (kind == "mapRun" && machine.contains('/') && !uuid.is_empty()).then_some((machine, uuid))
}

/// What the Map state evaluated: needed until the Map Run has ended. The rest is in the definition.
#[derive(Serialize, Deserialize, Clone, Debug)]
pub(crate) struct SourceRecord {
    pub items: ItemsRecord,
    pub scene: Option<SceneRecord>,
    pub batcher: Option<BatcherRecord>,
    /// `Bucket` and `Prefix` as JSON text.
    pub writer_parameters: Option<String>,
}

#[derive(Serialize, Deserialize, Clone, Debug)]
pub(crate) enum ItemsRecord {
    Inline(String),
    Reader { parameters: String, max_items: Option<u64> },
}

#[derive(Serialize, Deserialize, Clone, Debug)]
pub(crate) struct SceneRecord {
    pub entered_event_id: u64,
    pub input: String,
    pub context: String,
    pub variables: String,
}

#[derive(Serialize, Deserialize, Clone, Debug)]
pub(crate) struct BatcherRecord {
    pub batch_input: Option<String>,
    pub max_items: Option<u64>,
    pub max_input_bytes: Option<u64>,
}

impl Record for SourceRecord {
    const VERSION: u8 = 1;
    const NAME: &'static str = "map run source";
}

impl SourceRecord {
    pub fn new(run: &RunMapRun) -> SourceRecord {
        let items = match &run.items {
            MapRunItems::Inline(text) => ItemsRecord::Inline(text.to_string()),
            MapRunItems::Reader { parameters, max_items, .. } => {
                ItemsRecord::Reader { parameters: parameters.to_string(), max_items: *max_items }
            }
        };
        let scene = |s: &SelectorScene| SceneRecord {
            entered_event_id: s.entered_event_id,
            input: s.input.to_string(),
            context: s.context.to_string(),
            variables: s.variables.to_string(),
        };
        let batcher = |b: &MapRunBatcher| BatcherRecord {
            batch_input: b.batch_input.as_ref().map(ToString::to_string),
            max_items: b.max_items,
            max_input_bytes: b.max_input_bytes,
        };
        let exported = |w: &MapRunWriter| w.resource.is_some().then(|| w.parameters.to_string());
        SourceRecord {
            items,
            scene: run.selector_scene.as_ref().map(scene),
            batcher: run.batcher.as_ref().map(batcher),
            writer_parameters: run.writer.as_ref().and_then(exported),
        }
    }
}

/// How far a Map Run is.
#[derive(Serialize, Deserialize, Clone, Debug)]
pub(crate) struct StateRecord {
    pub phase: Phase,
    pub max_concurrency: u64,
    pub tolerance: Tolerance,
    /// Executions, one each.
    pub executions: Counts,
    pub items: Counts,
    /// The index of the next child.
    pub next_child: u64,
    /// Behind the last item that is in a child: `items::Position`, or the number of items of an inline array.
    pub position: Vec<u8>,
    /// Whether all items are in children.
    pub read: bool,
    /// How many items there are, as far as that is known before all are read.
    pub items_total: Option<u64>,
    pub stop_ms: Option<i64>,
    pub redrive_count: u32,
    pub redrive_ms: Option<i64>,
}

#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub(crate) enum Phase {
    /// Children are started and end.
    Running,
    /// It ends so when the open children have ended; no more are started.
    Stopping(End),
    /// All children have ended; results are put together.
    Writing(End),
    Ended(End),
}

#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub(crate) enum End {
    Succeeded,
    Failed { error: String, cause: String },
    Aborted,
}

impl Phase {
    /// As DescribeMapRun has it.
    pub fn status(&self) -> &'static str {
        match self {
            Phase::Running | Phase::Stopping(_) | Phase::Writing(_) => "RUNNING",
            Phase::Ended(End::Succeeded) => "SUCCEEDED",
            Phase::Ended(End::Failed { .. }) => "FAILED",
            Phase::Ended(End::Aborted) => "ABORTED",
        }
    }
}

impl Record for StateRecord {
    const VERSION: u8 = 1;
    const NAME: &'static str = "map run state";
}

impl StateRecord {
    pub fn new(run: &RunMapRun) -> StateRecord {
        StateRecord {
            phase: Phase::Running,
            max_concurrency: run.max_concurrency,
            tolerance: Tolerance { count: run.tolerated_failure_count, percentage: run.tolerated_failure_percentage },
            executions: Counts::default(),
            items: Counts::default(),
            next_child: 0,
            position: Vec::new(),
            read: false,
            items_total: None,
            stop_ms: None,
            redrive_count: 0,
            redrive_ms: None,
        }
    }
}

/// A child: its input, until its result is stored elsewhere.
#[derive(Serialize, Deserialize, Clone, Debug)]
pub(crate) struct ItemRecord {
    pub items: u32,
    pub input: String,
}

impl Record for ItemRecord {
    const VERSION: u8 = 1;
    const NAME: &'static str = "map run item";
}

/// How an Express child ended: nothing else is stored of it.
#[derive(Serialize, Deserialize, Clone, Debug)]
pub(crate) struct ResultRecord {
    pub input: String,
    pub start_ms: i64,
    pub end: EndRecord,
}

impl Record for ResultRecord {
    const VERSION: u8 = 1;
    const NAME: &'static str = "map run result";
}

/// What the parent is told.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub(crate) enum OutcomeRecord {
    Succeeded { output: String },
    Failed { error: String, cause: String },
}

impl Record for OutcomeRecord {
    const VERSION: u8 = 1;
    const NAME: &'static str = "map run outcome";
}

/// Which Map Run a child execution belongs to, and what it runs.
#[derive(Serialize, Deserialize, Clone, Debug)]
pub(crate) struct ChildRecord {
    pub run_cell: u8,
    pub run_number: u64,
    pub run_task: u64,
    pub index: u64,
    pub items: u32,
    pub state_name: String,
}

impl Record for ChildRecord {
    const VERSION: u8 = 1;
    const NAME: &'static str = "child execution";
}

impl ChildRecord {
    pub fn run(&self) -> crate::keys::MapRunId {
        let execution = crate::keys::ExecutionId { cell: self.run_cell, number: self.run_number };
        crate::keys::MapRunId { execution, task: self.run_task }
    }
}
