//! How a failure travels: to a retrier, to a catcher, or out of its scope, cutting what runs beside it.

use std::sync::Arc;

use asl::{Catcher, QueryLanguage, State, StateKind};
use serde_json::{Map, Value};

use crate::failure::{Evaluation, Failure};
use crate::frame::{Activity, Frame, FrameId};
use crate::inspection::{HandledError, Handler};
use crate::payload::Payload;
use crate::retry;
use crate::run::Run;
use crate::state::data::{self, Sight};
use crate::state::{Exit, Flow, StateType};
use crate::{Details, EventType, ExecutionStatus, Outcome};

impl<'a> Run<'a, '_> {
    /// The current state of the frame failed: tries again, catches, or lets the scope fail.
    pub fn fail(&mut self, id: FrameId, failure: Failure) {
        let (mut id, mut failure) = (id, failure);
        // What a catcher raises is not for the handlers beside it.
        let mut in_catcher = false;
        let origin = id;
        self.fallen.clear();
        loop {
            let state = self.state(id);
            failure = self.tell(id, state, failure);
            if !failure.catchable {
                return self.fail_execution(id, failure);
            }
            let event_id = self.position.frame(id).last_event_id;
            self.abort_children(id, event_id);
            if id == origin {
                // What fails by itself is done anew as a whole.
                self.fallen.clear();
                self.position.frame_mut(id).activity = Activity::Execute;
            }
            if !in_catcher && retry::try_again(self, id, state, &failure) {
                self.forget_fallen();
                return;
            }
            if let (false, Some(failed)) = (in_catcher, StateType::of(state).failed()) {
                self.record(id, failed, Details::None);
            }
            let catcher = state.catch.iter().position(|c| !in_catcher && failure.is_one_of(&c.error_equals));
            if let Some(index) = catcher {
                let (catcher, handler) = (&state.catch[index], Handler::Catch { index });
                let (error, cause) = (failure.error.clone(), failure.cause.clone());
                self.see(|seen| seen.handled = Some(HandledError { error, cause, handler }));
                match self.caught(id, state, catcher, &failure) {
                    Ok(exit) => {
                        self.forget_fallen();
                        return self.settle(id, state, Ok(Flow::Exit(exit)));
                    }
                    Err(raised) => {
                        // Of JSONPath nothing beyond the state catches what its catcher raises.
                        let catchable = raised.catchable && state.query_language == QueryLanguage::Jsonata;
                        failure = Failure { catchable, ..raised };
                        in_catcher = true;
                        continue;
                    }
                }
            }
            in_catcher = false;
            let Some(parent) = self.position.frame(id).parent else {
                return self.fail_execution(id, failure);
            };
            id = self.fail_frame(id, parent, state);
        }
    }

    /// Names the state in the cause of what the interpreter raised, and records that a JSONata expression failed.
    pub fn tell(&mut self, id: FrameId, state: &State, mut failure: Failure) -> Failure {
        if failure.names_state {
            failure.cause = failure.naming(&state.name, self.position.frame(id).entered_event_id);
            failure.names_state = false;
        }
        if let Some(evaluation) = failure.evaluation.take() {
            self.record_evaluation(id, state, &failure, evaluation);
        }
        failure
    }

    /// How a state goes on whose failure a catcher takes.
    fn caught(&mut self, id: FrameId, state: &State, catcher: &Catcher, failure: &Failure) -> Result<Exit, Failure> {
        let text = |text: &Option<Arc<str>>| Value::from(text.as_deref().unwrap_or_default());
        let mut about = Map::new();
        about.insert("Error".into(), text(&failure.error));
        about.insert("Cause".into(), text(&failure.cause));
        let error_output = Payload::new(Value::Object(about))?;
        self.enter_context(id, state);
        let raw = self.position.frame(id).input.clone();
        let next = Some(catcher.next.clone());
        if state.query_language == QueryLanguage::JsonPath {
            let assigned = data::assign(self, id, state, catcher.assign.as_ref(), Sight::of(&error_output))?;
            let output = data::place_result(&catcher.result_path, raw, error_output)?;
            return Ok(Exit { output, assigned, next });
        }
        let sight = Sight { error_output: Some(&error_output), ..Sight::of(&raw) };
        let assigned = data::assign(self, id, state, catcher.assign.as_ref(), sight)?;
        let output = match &catcher.output {
            Some(template) => data::evaluate(self, id, state, template, sight)?,
            None => error_output,
        };
        Ok(Exit { output, assigned, next })
    }

    /// Tells that a JSONata expression failed.
    fn record_evaluation(&mut self, id: FrameId, state: &State, failure: &Failure, evaluation: Evaluation) {
        let details = Details::EvaluationFailed {
            state: state.name.clone(),
            error: failure.error.clone(),
            cause: failure.cause.clone(),
            location: evaluation.location,
        };
        let entered = self.entered_after.filter(|(frame, _)| evaluation.before_start && *frame == id);
        let previous = entered.map_or(self.position.frame(id).last_event_id, |(_, before)| before);
        let event_id = self.record_after(previous, EventType::EvaluationFailed, details);
        self.position.frame_mut(id).last_event_id = event_id;
    }

    /// Takes a failed branch or iteration, and those beside it, out of the tree; the parent is what fails next.
    fn fail_frame(&mut self, id: FrameId, parent: FrameId, state: &State) -> FrameId {
        if let Some(aborted) = StateType::of(state).aborted_by_own_failure() {
            self.record_beside(id, aborted, Details::None);
        }
        let failed = self.position.remove(id);
        let (last_event_id, index) = (failed.last_event_id, failed.index);
        self.fallen.push((id, failed));
        self.abort_children(parent, last_event_id);
        self.position.frame_mut(parent).last_event_id = last_event_id;
        let container = self.state(parent);
        if matches!(container.kind, StateKind::Map(_)) {
            let details = Details::MapIteration { name: container.name.clone(), index: index as u64 };
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
            if matches!(self.position.frame(child).activity, Activity::MapRun(_)) {
                self.record_after(cause, EventType::MapRunAborted, Details::None);
            }
            let entered = !matches!(self.position.frame(child).activity, Activity::Enter);
            if let (true, Some(aborted)) = (entered, StateType::of(self.state(child)).aborted()) {
                self.record_after(cause, aborted, Details::None);
            }
            self.abort_children(child, cause);
            let dropped = self.drop_frame(child);
            self.fallen.push((child, dropped));
        }
    }

    /// The failure is handled: nothing goes on with what it cut.
    fn forget_fallen(&mut self) {
        self.fallen.clear();
        self.position.map_run_cut = false;
    }

    /// Takes a frame out of the tree, with its task and timers.
    pub fn drop_frame(&mut self, id: FrameId) -> Frame {
        let frame = self.position.remove(id);
        self.position.map_run_cut |= matches!(frame.activity, Activity::MapRun(_));
        self.position.ready.retain(|ready| *ready != id);
        if let Some(task) = frame.activity.task() {
            self.cancel_task(task);
        }
        for timer in frame.activity.timers() {
            self.cancel_timer(timer.id);
        }
        frame
    }

    fn fail_execution(&mut self, id: FrameId, failure: Failure) {
        let Failure { error, cause, .. } = failure;
        self.record(id, EventType::ExecutionFailed, Details::Failure { error: error.clone(), cause: cause.clone() });
        self.end(Outcome { status: ExecutionStatus::Failed, output: None, error, cause });
    }
}
