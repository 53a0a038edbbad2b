use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use asl::{Branch, State, StateKind, StateMachine};
use base::Timestamp;

use crate::context::MapItem;
use crate::payload::Payload;
use crate::state::map::ItemList;
use crate::variables::Scope;
use crate::{ExecutionStatus, Progress, TaskId, TimerId};

/// One frame of an execution; ids grow, so a parent's is smaller than its children's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct FrameId(pub u32);

/// Where an execution is: a tree of frames, one for each scope of states that runs.
#[derive(Debug, Clone)]
pub(crate) struct Position {
    pub status: ExecutionStatus,
    pub started: bool,
    pub last_event_id: u64,
    pub next_timer: u64,
    pub next_frame: u32,
    /// The state machine's own `TimeoutSeconds`.
    pub execution_timer: Option<Timer>,
    pub frames: BTreeMap<FrameId, Frame>,
    /// Frames with a transition to do, in the order in which they do it.
    pub ready: VecDeque<FrameId>,
    /// In which frame a task or Map Run is open.
    pub tasks: BTreeMap<TaskId, FrameId>,
    /// Which frame waits for a timer.
    pub timers: BTreeMap<TimerId, FrameId>,
    /// How large the variables of all frames are.
    pub variables_bytes: usize,
    /// Whether the execution's end cut a Map Run. Not stored: it is asked for at that end alone.
    pub map_run_cut: bool,
}

impl Position {
    pub fn new() -> Position {
        Position {
            status: ExecutionStatus::Running,
            started: false,
            last_event_id: 0,
            next_timer: 0,
            next_frame: 0,
            execution_timer: None,
            frames: BTreeMap::new(),
            ready: VecDeque::new(),
            tasks: BTreeMap::new(),
            timers: BTreeMap::new(),
            variables_bytes: 0,
            map_run_cut: false,
        }
    }

    pub fn frame(&self, id: FrameId) -> &Frame {
        &self.frames[&id]
    }

    pub fn frame_mut(&mut self, id: FrameId) -> &mut Frame {
        self.frames.get_mut(&id).expect("a frame that is worked on exists")
    }

    /// Adds a frame, with the task and the timers that are open in it.
    pub fn insert(&mut self, id: FrameId, frame: Frame) {
        if let Some(task) = frame.activity.task() {
            self.tasks.insert(task, id);
        }
        self.timers.extend(frame.activity.timers().map(|timer| (timer.id, id)));
        self.variables_bytes += frame.variables.bytes();
        self.frames.insert(id, frame);
    }

    /// Takes a frame out; what is open in it is no longer known.
    pub fn remove(&mut self, id: FrameId) -> Frame {
        let frame = self.frames.remove(&id).expect("a frame that is taken out exists");
        if let Some(task) = frame.activity.task() {
            self.tasks.remove(&task);
        }
        for timer in frame.activity.timers() {
            self.timers.remove(&timer.id);
        }
        self.variables_bytes -= frame.variables.bytes();
        frame
    }

    pub fn children(&self, parent: FrameId) -> Vec<FrameId> {
        self.frames.iter().filter(|(_, f)| f.parent == Some(parent)).map(|(id, _)| *id).collect()
    }
}

/// One step down from a scope of states into a nested one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ScopeStep {
    /// The Parallel or Map state, by its place among the states of its scope.
    pub state: usize,
    /// The branch of a Parallel state; 0 for a Map state.
    pub branch: usize,
}

/// A scope of states that runs: the state machine itself, a branch of a Parallel state, an iteration of a Map state.
#[derive(Debug, Clone)]
pub(crate) struct Frame {
    pub parent: Option<FrameId>,
    /// The way from the top of the state machine to this scope.
    pub scope: Arc<[ScopeStep]>,
    /// Which branch or iteration of its parent it is.
    pub index: usize,
    /// The end of this scope's chain of events.
    pub last_event_id: u64,
    /// `$$.Map.Item` of the nearest iteration around.
    pub map_item: Option<MapItem>,
    /// The current state, by its place in the scope.
    pub state: usize,
    pub variables: Scope,
    /// The current state's raw input.
    pub input: Payload,
    pub entered_event_id: u64,
    pub entered_time: Timestamp,
    /// How often the state was tried again.
    pub retry_count: u32,
    /// The same for each of its retriers.
    pub retrier_attempts: Vec<u64>,
    pub activity: Activity,
}

/// What a frame is doing.
#[derive(Debug, Clone)]
pub(crate) enum Activity {
    /// Ready: its state is to be entered.
    Enter,
    /// Ready: its state is entered and to be done, for the first time or again.
    Execute,
    Task(Box<OpenTask>),
    Wait(Timer),
    /// Before another try.
    Backoff(Timer),
    Parallel(OpenParallel),
    Map(Box<OpenMap>),
    MapRun(Box<OpenMapRun>),
}

impl Activity {
    /// The timers that run for it.
    pub fn timers(&self) -> impl Iterator<Item = Timer> {
        let (a, b) = match self {
            Activity::Wait(timer) | Activity::Backoff(timer) => (Some(*timer), None),
            Activity::Task(task) => (task.timeout_timer, task.heartbeat_timer.map(|h| h.timer)),
            Activity::Enter | Activity::Execute | Activity::Parallel(_) | Activity::Map(_) | Activity::MapRun(_) => {
                (None, None)
            }
        };
        a.into_iter().chain(b)
    }

    /// The task or Map Run that is open in it.
    pub fn task(&self) -> Option<TaskId> {
        match self {
            Activity::Task(task) => Some(task.id),
            Activity::MapRun(run) => Some(run.id),
            _ => None,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Timer {
    pub id: TimerId,
    pub at: Timestamp,
}

/// A task that was handed out.
#[derive(Debug, Clone)]
pub(crate) struct OpenTask {
    pub id: TaskId,
    pub parameters: Arc<str>,
    pub token: Option<Arc<str>>,
    pub timeout_seconds: Option<u64>,
    pub heartbeat_seconds: Option<u64>,
    pub credentials_role_arn: Option<Arc<str>>,
    pub timeout_timer: Option<Timer>,
    pub heartbeat_timer: Option<HeartbeatTimer>,
    pub progress: Progress,
}

/// A heartbeat moves the deadline only; the timer is set again when it finds that it came too early.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HeartbeatTimer {
    pub timer: Timer,
    pub deadline: Timestamp,
}

#[derive(Debug, Clone)]
pub(crate) struct OpenParallel {
    /// By branch.
    pub outputs: Vec<Option<Payload>>,
}

#[derive(Debug, Clone)]
pub(crate) struct OpenMap {
    pub items: ItemList,
    /// Their text, if they cannot be computed again from the state's input.
    pub stored_items: Option<Arc<str>>,
    pub concurrency: usize,
    /// The next item to start with.
    pub next: usize,
    /// By item.
    pub outputs: BTreeMap<usize, Payload>,
}

/// A Map Run that was handed out: what of it does not follow from the definition and the frame.
#[derive(Debug, Clone)]
pub(crate) struct OpenMapRun {
    pub id: TaskId,
    pub map_run_arn: Arc<str>,
    pub label: Arc<str>,
    pub items: OpenItems,
    pub max_concurrency: u64,
    pub tolerated_failure_count: u64,
    pub tolerated_failure_percentage: f64,
    pub batch_input: Option<Arc<str>>,
    pub batch_items_max: Option<u64>,
    pub batch_bytes_max: Option<u64>,
    pub writer_parameters: Option<Arc<str>>,
}

/// The items of a Map Run.
#[derive(Debug, Clone)]
pub(crate) enum OpenItems {
    /// A JSON array's text.
    Inline(Arc<str>),
    Reader {
        parameters: Arc<str>,
        max_items: Option<u64>,
    },
}

/// The scope that `way` leads to; `None` if the state machine has none there.
pub(crate) fn branch_at<'m>(machine: &'m StateMachine, way: &[ScopeStep]) -> Option<&'m Branch> {
    let mut branch = &machine.body;
    for step in way {
        let (_, state) = branch.states.get_index(step.state)?;
        branch = match &state.kind {
            StateKind::Parallel { branches } => branches.get(step.branch)?,
            StateKind::Map(map) => &map.processor,
            _ => return None,
        };
    }
    Some(branch)
}

/// The state at `index` of the scope that `way` leads to.
pub(crate) fn state_at<'m>(machine: &'m StateMachine, way: &[ScopeStep], index: usize) -> Option<&'m State> {
    branch_at(machine, way)?.states.get_index(index).map(|(_, state)| state)
}
