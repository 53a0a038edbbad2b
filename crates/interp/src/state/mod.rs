//! The eight state types, one file each.

pub(crate) mod choice;
pub(crate) mod data;
pub(crate) mod fail;
pub(crate) mod map;
pub(crate) mod map_run;
pub(crate) mod parallel;
pub(crate) mod pass;
pub(crate) mod succeed;
pub(crate) mod task;
pub(crate) mod wait;

use asl::{Name, State, StateKind};

use crate::EventType;
use crate::failure::Failure;
use crate::frame::FrameId;
use crate::payload::Payload;
use crate::run::Run;
use crate::variables::Assigned;

/// What doing a state came to.
pub(crate) enum Flow {
    /// It is done.
    Exit(Exit),
    /// It waits for something.
    Open,
}

/// How a state is done.
pub(crate) struct Exit {
    pub output: Payload,
    pub assigned: Assigned,
    /// `None` is the end of its scope.
    pub next: Option<Name>,
}

/// Does the state that the frame has entered.
pub(crate) fn execute(run: &mut Run<'_, '_>, id: FrameId, state: &State) -> Result<Flow, Failure> {
    match &state.kind {
        StateKind::Task(task) => task::execute(run, id, state, task),
        StateKind::Pass { result } => pass::execute(run, id, state, result.as_ref()),
        StateKind::Choice(choice) => choice::execute(run, id, state, choice),
        StateKind::Wait(wait) => wait::execute(run, id, state, wait),
        StateKind::Succeed => succeed::execute(run, id, state),
        StateKind::Fail(fail) => fail::execute(run, id, state, fail),
        StateKind::Parallel { branches } => parallel::execute(run, id, state, branches.len()),
        StateKind::Map(map) => map::execute(run, id, state, map),
    }
}

/// A state type as the names of its events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StateType {
    Task,
    Pass,
    Choice,
    Wait,
    Succeed,
    Fail,
    Parallel,
    Map,
}

impl StateType {
    pub fn of(state: &State) -> StateType {
        match &state.kind {
            StateKind::Task(_) => StateType::Task,
            StateKind::Pass { .. } => StateType::Pass,
            StateKind::Choice(_) => StateType::Choice,
            StateKind::Wait(_) => StateType::Wait,
            StateKind::Succeed => StateType::Succeed,
            StateKind::Fail(_) => StateType::Fail,
            StateKind::Parallel { .. } => StateType::Parallel,
            StateKind::Map(_) => StateType::Map,
        }
    }

    pub fn entered(self) -> EventType {
        match self {
            StateType::Task => EventType::TaskStateEntered,
            StateType::Pass => EventType::PassStateEntered,
            StateType::Choice => EventType::ChoiceStateEntered,
            StateType::Wait => EventType::WaitStateEntered,
            StateType::Succeed => EventType::SucceedStateEntered,
            StateType::Fail => EventType::FailStateEntered,
            StateType::Parallel => EventType::ParallelStateEntered,
            StateType::Map => EventType::MapStateEntered,
        }
    }

    pub fn exited(self) -> Option<EventType> {
        match self {
            StateType::Task => Some(EventType::TaskStateExited),
            StateType::Pass => Some(EventType::PassStateExited),
            StateType::Choice => Some(EventType::ChoiceStateExited),
            StateType::Wait => Some(EventType::WaitStateExited),
            StateType::Succeed => Some(EventType::SucceedStateExited),
            StateType::Fail => None,
            StateType::Parallel => Some(EventType::ParallelStateExited),
            StateType::Map => Some(EventType::MapStateExited),
        }
    }

    /// Only what other states run in tells that it failed.
    pub fn failed(self) -> Option<EventType> {
        match self {
            StateType::Parallel => Some(EventType::ParallelStateFailed),
            StateType::Map => Some(EventType::MapStateFailed),
            _ => None,
        }
    }

    /// Cut by the failure of another branch or iteration.
    pub fn aborted(self) -> Option<EventType> {
        match self {
            StateType::Task => Some(EventType::TaskStateAborted),
            StateType::Wait => Some(EventType::WaitStateAborted),
            StateType::Parallel => Some(EventType::ParallelStateAborted),
            StateType::Map => Some(EventType::MapStateAborted),
            _ => None,
        }
    }

    /// A Task state that ends its branch or iteration by failing counts as aborted too.
    pub fn aborted_by_own_failure(self) -> Option<EventType> {
        match self {
            StateType::Task => Some(EventType::TaskStateAborted),
            _ => None,
        }
    }
}
