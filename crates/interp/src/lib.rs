//! The deterministic interpreter of state machines.
//!
//! An [`Execution`] is a position in a state machine. [`Execution::step`] applies one [`Input`] and returns a
//! [`Step`]: the history events to write and the effects to carry out after they are written. It cannot fail: a
//! failing workflow is an event.
//!
//! Refuses to do I/O, to know the time, to be random and to be asynchronous: time, chance and task tokens are
//! arguments ([`Env`]). Nothing here depends on the order of a hash map.
//!
//! Invariants:
//! - History ids are 1, 2, 3, ... without gaps; a step's events follow those of the step before.
//! - The same inputs with the same `Env` give the same steps, and so does a run that is cut at any step by
//!   [`Execution::snapshot`] and [`Execution::restore`].
//! - An input for a task or timer that is not open changes nothing.
//! - One step enters at most [`Limits::transitions_per_step_max`] states.

mod context;
mod effect;
mod event;
mod event_codec;
mod event_json;
mod execution;
mod failure;
mod frame;
mod info;
mod input;
mod inspection;
mod limits;
mod map_run;
mod payload;
mod redrive;
mod retry;
mod run;
mod snapshot;
mod state;
mod unwind;
mod variables;

pub use effect::{
    Effect, ExecutionStatus, MapRunBatcher, MapRunItems, MapRunWriter, Outcome, Progress, RunMapRun, RunTask,
    SelectorScene,
};
pub use event::{Details, EventType, HistoryEvent};
pub use execution::{Admission, Env, Execution, Step};
pub use info::ExecutionInfo;
pub use input::{Input, TaskId, TimerId};
pub use inspection::{HandledError, Handler, Inspection, MockedWork, StateTest};
pub use limits::{
    HISTORY_EVENTS_MAX, Limits, MAP_CONCURRENCY_MAX, PAYLOAD_BYTES_MAX, TRANSITIONS_PER_STEP_MAX, VARIABLES_BYTES_MAX,
};
pub use map_run::{Item, ItemSelector, SelectError, processor_of};
pub use snapshot::RestoreError;
