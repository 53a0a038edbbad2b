//! How a failure travels: to a retrier, to a catcher, or out of its scope, cutting what runs beside it.

use std::sync::Arc;

use asl::{ResultPath, State, StateKind};
use serde_json::{Map, Value};

use crate::failure::Failure;
use crate::frame::{Activity, FrameId};
use crate::payload::Payload;
use crate::retry;
use crate::run::Run;
use crate::state::{self, Flow, StateType};
use crate::{Details, EventType, ExecutionStatus, Outcome};

impl<'a> Run<'a, '_> {
    /// The current state of the frame failed: tries again, catches, or lets the scope fail.
    pub fn fail(&mut self, id: FrameId, failure: Failure) {
        let (mut id, mut failure) = (id, failure);
        loop {
            let state = self.state(id);
            if failure.names_state {
                failure.cause = failure.naming(&state.name, self.position.frame(id).entered_event_id);
                failure.names_state = false;
            }
            if !failure.catchable {
                return self.fail_execution(id, failure);
            }
            let event_id = self.position.frame(id).last_event_id;
            self.abort_children(id, event_id);
            if retry::try_again(self, id, state, &failure) {
                return;
            }
            if let Some(failed) = StateType::of(state).failed() {
                self.record(id, failed, Details::None);
            }
            if let Some(catcher) = state.catch.iter().find(|c| failure.is_one_of(&c.error_equals)) {
                let result = self.caught(id, &catcher.result_path, &failure);
                match result {
                    Ok(output) => {
                        return self.settle(id, state, Ok(Flow::Exit { output, next: Some(catcher.next.clone()) }));
                    }
                    Err(raised) => {
                        failure = Failure { catchable: false, ..raised };
                        continue;
                    }
                }
            }
            let Some(parent) = self.position.frame(id).parent else {
                return self.fail_execution(id, failure);
            };
            id = self.fail_frame(id, parent, state);
        }
    }

    /// What a state hands to the state that catches its failure.
    fn caught(&mut self, id: FrameId, result_path: &ResultPath, failure: &Failure) -> Result<Payload, Failure> {
        let text = |text: &Option<Arc<str>>| Value::from(text.as_deref().unwrap_or_default());
        let mut about = Map::new();
        about.insert("Error".into(), text(&failure.error));
        about.insert("Cause".into(), text(&failure.cause));
        let raw = self.position.frame(id).input.clone();
        state::data::place_result(result_path, raw, Payload::new(Value::Object(about))?)
    }

    /// Takes a failed branch or iteration, and those beside it, out of the tree; the parent is what fails next.
    fn fail_frame(&mut self, id: FrameId, parent: FrameId, state: &State) -> FrameId {
        if let Some(aborted) = StateType::of(state).aborted_by_own_failure() {
            self.record_beside(id, aborted, Details::None);
        }
        let failed = self.position.frames.remove(&id).expect("a frame that fails exists");
        self.abort_children(parent, failed.last_event_id);
        self.position.frame_mut(parent).last_event_id = failed.last_event_id;
        let container = self.state(parent);
        if matches!(container.kind, StateKind::Map(_)) {
            let details = Details::MapIteration { name: container.name.clone(), index: failed.index as u64 };
            self.record_beside(parent, EventType::MapIterationFailed, details);
        }
        parent
    }

    /// Cuts all frames below one; each leaves a trace that points at `cause`, the event that cut it.
    fn abort_children(&mut self, id: FrameId, cause: u64) {
        for child in self.position.children(id) {
            let container = self.state(id);
            if matches!(container.kind, StateKind::Map(_)) {
                let index = self.position.frame(child).index as u64;
                let details = Details::MapIteration { name: container.name.clone(), index };
                self.record_after(cause, EventType::MapIterationAborted, details);
            }
            let entered = !matches!(self.position.frame(child).activity, Activity::Enter);
            if let (true, Some(aborted)) = (entered, StateType::of(self.state(child)).aborted()) {
                self.record_after(cause, aborted, Details::None);
            }
            self.abort_children(child, cause);
            self.drop_frame(child);
        }
    }

    /// Takes a frame out of the tree, with its task and timers.
    pub fn drop_frame(&mut self, id: FrameId) {
        let frame = self.position.frames.remove(&id).expect("a frame that is dropped exists");
        self.position.ready.retain(|ready| *ready != id);
        if let Activity::Task(task) = &frame.activity {
            self.cancel_task(task.id);
        }
        for timer in frame.activity.timers() {
            self.cancel_timer(timer.id);
        }
    }

    fn fail_execution(&mut self, id: FrameId, failure: Failure) {
        let Failure { error, cause, .. } = failure;
        self.record(id, EventType::ExecutionFailed, Details::Failure { error: error.clone(), cause: cause.clone() });
        self.end(Outcome { status: ExecutionStatus::Failed, output: None, error, cause });
    }
}
