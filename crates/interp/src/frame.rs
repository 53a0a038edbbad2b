use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use asl::{Branch, State, StateKind, StateMachine};
use base::Timestamp;
use serde_json::Value;

use crate::payload::Payload;
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
        }
    }

    pub fn frame(&self, id: FrameId) -> &Frame {
        &self.frames[&id]
    }

    pub fn frame_mut(&mut self, id: FrameId) -> &mut Frame {
        self.frames.get_mut(&id).expect("a frame that is worked on exists")
    }

    /// The frame in which this task is open.
    pub fn frame_of_task(&self, task: TaskId) -> Option<FrameId> {
        self.frames.iter().find(|(_, f)| matches!(&f.activity, Activity::Task(t) if t.id == task)).map(|(id, _)| *id)
    }

    /// The frame that waits for this timer.
    pub fn frame_of_timer(&self, timer: TimerId) -> Option<FrameId> {
        self.frames.iter().find(|(_, f)| f.activity.timers().any(|t| t.id == timer)).map(|(id, _)| *id)
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
    pub map_item: Option<Arc<Value>>,
    /// The current state, by its place in the scope.
    pub state: usize,
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
}

impl Activity {
    /// The timers that run for it.
    pub fn timers(&self) -> impl Iterator<Item = Timer> {
        let (a, b) = match self {
            Activity::Wait(timer) | Activity::Backoff(timer) => (Some(*timer), None),
            Activity::Task(task) => (task.timeout_timer, task.heartbeat_timer.map(|h| h.timer)),
            Activity::Enter | Activity::Execute | Activity::Parallel(_) | Activity::Map(_) => (None, None),
        };
        a.into_iter().chain(b)
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
    /// Not stored: computed again from the state's input.
    pub items: Arc<Vec<Value>>,
    pub concurrency: usize,
    /// The next item to start with.
    pub next: usize,
    /// By item.
    pub outputs: BTreeMap<usize, Payload>,
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
