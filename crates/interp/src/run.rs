//! One step of an execution: what every state type needs to write events, arm timers and move on.

use std::sync::Arc;

use asl::{Name, State, StateKind, StateMachine, Transition};
use base::Timestamp;

use crate::context::{ContextObject, MapItem};
use crate::failure::Failure;
use crate::frame::{Activity, Frame, FrameId, Position, ScopeStep, Timer, branch_at, state_at};
use crate::inspection::Test;
use crate::payload::Payload;
use crate::state::{self, Exit, Flow, StateType};
use crate::variables::Scope;
use crate::{Details, Effect, Env, EventType, ExecutionInfo, ExecutionStatus, HistoryEvent, Outcome, Step, TimerId};

/// A step in progress.
pub(crate) struct Run<'a, 'e> {
    pub position: &'a mut Position,
    pub info: &'a ExecutionInfo,
    /// The execution's input, unless it is not JSON.
    pub input: Option<&'a Payload>,
    pub machine: &'a StateMachine,
    pub context: &'a mut ContextObject,
    pub env: &'a mut Env<'e>,
    pub step: Step,
    /// The history has no room but for the event that ends the execution.
    pub history_full: bool,
    /// The frame that this transition has brought into its state, and the event before.
    pub entered_after: Option<(FrameId, u64)>,
    /// What the failure that is on its way has cut so far.
    pub fallen: Vec<(FrameId, Frame)>,
    pub test: Option<&'a mut Test>,
}

impl<'a> Run<'a, '_> {
    /// Shows the frame's state the context, if it looks at it.
    pub fn enter_context(&mut self, id: FrameId, state: &State) {
        self.context.enter(self.info, self.input, &self.position.frames[&id], state);
    }

    /// Does transitions until all frames wait for something, the execution has ended or the step is long enough.
    pub fn advance(&mut self) {
        let mut transitions = 0;
        loop {
            if self.history_full {
                self.end_with_full_history();
            }
            // What was cut is ready for a redrive.
            let running = self.position.status == ExecutionStatus::Running;
            let Some(&id) = self.position.ready.front().filter(|_| running) else { return };
            if transitions == self.env.limits.transitions_per_step_max {
                self.effect(Effect::Continue);
                return;
            }
            transitions += 1;
            self.entered_after = None;
            self.position.ready.pop_front();
            self.transition(id);
        }
    }

    /// Enters the frame's state if that is still to be done, and does it.
    fn transition(&mut self, id: FrameId) {
        let state = self.state(id);
        if matches!(self.position.frame(id).activity, Activity::Enter) {
            self.enter_state(id, state);
        }
        self.enter_context(id, state);
        self.begin_test(id, state);
        let result = state::execute(self, id, state);
        self.settle(id, state, result);
    }

    fn enter_state(&mut self, id: FrameId, state: &State) {
        let details =
            Details::StateEntered { name: state.name.clone(), input: self.position.frame(id).input.text().clone() };
        self.entered_after = Some((id, self.position.frame(id).last_event_id));
        let event_id = self.record(id, StateType::of(state).entered(), details);
        let now = self.env.now;
        let frame = self.position.frame_mut(id);
        frame.entered_event_id = event_id;
        frame.entered_time = now;
        frame.retry_count = 0;
        frame.retrier_attempts.clear();
        frame.activity = Activity::Execute;
    }

    /// Carries on with what a state has come to.
    pub fn settle(&mut self, id: FrameId, state: &'a State, result: Result<Flow, Failure>) {
        match result {
            Ok(Flow::Open) => {}
            Ok(Flow::Exit(exit)) => match self.check_sizes(id, state, &exit) {
                Ok(()) => self.exit_state(id, state, exit),
                Err(failure) => self.fail(id, failure),
            },
            Err(failure) => self.fail(id, failure),
        }
    }

    fn check_sizes(&self, id: FrameId, state: &State, exit: &Exit) -> Result<(), Failure> {
        let most = self.env.limits.payload_bytes_max;
        if exit.output.text().len() > most {
            return Err(Failure::state_data_too_large(&state.name));
        }
        if exit.assigned.is_empty() {
            return Ok(());
        }
        let (more, less) = self.position.frame(id).variables.growth(&exit.assigned);
        if let Some((name, _)) = exit.assigned.iter().find(|(_, value)| value.text().len() > most) {
            return Err(Failure::variables_too_large(&state.name, format_args!("the variable '{name}'")));
        }
        if more > most {
            return Err(Failure::variables_too_large(&state.name, "variables"));
        }
        if self.position.variables_bytes + more - less > self.env.limits.variables_bytes_max {
            return Err(Failure::variables_too_large(&state.name, "variables that make all of the execution's"));
        }
        Ok(())
    }

    fn exit_state(&mut self, id: FrameId, state: &State, Exit { output, assigned, next }: Exit) {
        if let Some(exited) = StateType::of(state).exited() {
            let details = Details::StateExited {
                name: state.name.clone(),
                output: output.text().clone(),
                assigned_variables: assigned.texts(),
            };
            self.record(id, exited, details);
        }
        if !assigned.is_empty() {
            let scope = &mut self.position.frame_mut(id).variables;
            let (more, less) = scope.growth(&assigned);
            scope.assign(&assigned);
            self.position.variables_bytes = self.position.variables_bytes + more - less;
        }
        if self.test.is_some() {
            let variables = self.position.frame(id).variables.to_json();
            self.see(|seen| seen.variables = Some(variables.into()));
        }
        match next {
            Some(next) => self.go_to(id, &next, output),
            None => self.end_frame(id, output),
        }
    }

    fn go_to(&mut self, id: FrameId, next: &str, input: Payload) {
        let frame = self.position.frame(id);
        let branch = branch_at(self.machine, &frame.scope).expect("a frame's scope is in its state machine");
        let state = branch.states.get_index_of(next).expect("the parser checks that a transition's target exists");
        let frame = self.position.frame_mut(id);
        frame.state = state;
        frame.input = input;
        frame.activity = Activity::Enter;
        self.position.ready.push_back(id);
    }

    /// A scope's last state is done.
    fn end_frame(&mut self, id: FrameId, output: Payload) {
        let Some(parent) = self.position.frame(id).parent else {
            let details = Details::Output { output: output.text().clone() };
            self.record(id, EventType::ExecutionSucceeded, details);
            self.end(Outcome {
                status: ExecutionStatus::Succeeded,
                output: Some(output.text().clone()),
                error: None,
                cause: None,
            });
            return;
        };
        let child = self.position.remove(id);
        let state = self.state(parent);
        self.enter_context(parent, state);
        let result = match &state.kind {
            StateKind::Parallel { .. } => state::parallel::branch_ended(self, parent, state, &child, output),
            StateKind::Map(_) => state::map::iteration_ended(self, parent, state, &child, output),
            _ => unreachable!("only Parallel and Map states have frames below them"),
        };
        self.settle(parent, state, result);
    }

    fn end_with_full_history(&mut self) {
        self.history_full = false;
        let failure = Failure::runtime(format_args!(
            "The execution reached the maximum number of history events ({}).",
            self.env.limits.history_events_max
        ));
        let details = Details::Failure { error: failure.error.clone(), cause: failure.cause.clone() };
        self.record_after(self.position.last_event_id, EventType::ExecutionFailed, details);
        self.end(Outcome { status: ExecutionStatus::Failed, output: None, error: failure.error, cause: failure.cause });
    }

    /// Ends the execution: nothing is open any longer.
    pub fn end(&mut self, outcome: Outcome) {
        if self.history_full {
            return;
        }
        self.position.status = outcome.status;
        let mut cut = std::mem::take(&mut self.fallen);
        for id in self.position.frames.keys().copied().collect::<Vec<_>>() {
            cut.push((id, self.drop_frame(id)));
        }
        self.position.ready.clear();
        if outcome.status != ExecutionStatus::Succeeded {
            cut.sort_by_key(|(id, _)| *id);
            self.position.halt(cut);
        }
        if let Some(timer) = self.position.execution_timer.take() {
            self.cancel_timer(timer.id);
        }
        self.effect(Effect::Ended(outcome));
    }

    /// The state that the frame is in.
    pub fn state(&self, id: FrameId) -> &'a State {
        let frame = self.position.frame(id);
        state_at(self.machine, &frame.scope, frame.state).expect("a frame's state is in its state machine")
    }

    /// Adds an event to the frame's chain.
    pub fn record(&mut self, id: FrameId, event_type: EventType, details: Details) -> u64 {
        let event_id = self.record_beside(id, event_type, details);
        self.position.frame_mut(id).last_event_id = event_id;
        event_id
    }

    /// Adds an event that follows the frame's chain but does not carry it on.
    pub fn record_beside(&mut self, id: FrameId, event_type: EventType, details: Details) -> u64 {
        self.record_after(self.position.frame(id).last_event_id, event_type, details)
    }

    /// Adds an event after any other.
    pub fn record_after(&mut self, previous_event_id: u64, event_type: EventType, details: Details) -> u64 {
        let id = self.position.last_event_id + 1;
        let may_be_last = event_type.is_terminal() && !self.history_full;
        if id >= self.env.limits.history_events_max && !may_be_last {
            self.history_full = true;
            return self.position.last_event_id;
        }
        self.position.last_event_id = id;
        let timestamp = self.env.now;
        self.step.history.push(HistoryEvent { id, previous_event_id, timestamp, event_type, details });
        id
    }

    /// The id that the next event will have.
    pub fn next_event_id(&self) -> u64 {
        self.position.last_event_id + 1
    }

    pub fn effect(&mut self, effect: Effect) {
        self.step.effects.push(effect);
    }

    /// Starts a timer for a frame, or for the execution.
    pub fn start_timer(&mut self, frame: Option<FrameId>, at: Timestamp) -> Timer {
        let timer = Timer { id: TimerId(self.position.next_timer), at };
        self.position.next_timer += 1;
        if let Some(frame) = frame {
            self.position.timers.insert(timer.id, frame);
        }
        self.effect(Effect::StartTimer { timer: timer.id, at });
        timer
    }

    /// Cancels a timer, or forgets it if it was to be started by this very step.
    pub fn cancel_timer(&mut self, id: TimerId) {
        self.position.timers.remove(&id);
        let before = self.step.effects.len();
        self.step.effects.retain(|e| !matches!(e, Effect::StartTimer { timer, .. } if *timer == id));
        if self.step.effects.len() == before {
            self.effect(Effect::CancelTimer { timer: id });
        }
    }

    /// Cancels a task, or forgets it if it was to be handed out by this very step.
    pub fn cancel_task(&mut self, id: crate::TaskId) {
        self.position.tasks.remove(&id);
        let before = self.step.effects.len();
        self.step.effects.retain(|effect| match effect {
            Effect::RunTask(run) => run.task != id,
            Effect::RunMapRun(run) => run.task != id,
            _ => true,
        });
        if self.step.effects.len() == before {
            self.effect(Effect::CancelTask { task: id });
        }
    }

    /// Starts a branch or iteration of the Parallel or Map state that `parent` is in.
    pub fn start_child(&mut self, parent: FrameId, child: Child) {
        let frame = self.position.frame(parent);
        let step = ScopeStep { state: frame.state, branch: child.branch };
        let scope: Arc<[ScopeStep]> = frame.scope.iter().copied().chain([step]).collect();
        let branch = branch_at(self.machine, &scope).expect("a Parallel's branch or Map's processor exists");
        let state = branch.states.get_index_of(&branch.start_at).expect("the parser checks StartAt");
        let map_item = child.map_item.or_else(|| frame.map_item.clone());
        let variables = frame.variables.inner();
        self.add_frame(Frame {
            parent: Some(parent),
            scope,
            index: child.index,
            last_event_id: child.last_event_id,
            map_item,
            variables,
            ..self.new_frame(state, child.input)
        });
    }

    /// Starts the top-level scope.
    pub fn start_root(&mut self, input: Payload) {
        let branch = &self.machine.body;
        let state = branch.states.get_index_of(&branch.start_at).expect("the parser checks StartAt");
        let mut frame = self.new_frame(state, input);
        if let Some(given) = self.given_variables() {
            frame.variables.assign(&given);
        }
        self.add_frame(frame);
    }

    /// A frame at the top, about to enter its first state.
    fn new_frame(&self, state: usize, input: Payload) -> Frame {
        Frame {
            parent: None,
            scope: Arc::from([]),
            index: 0,
            last_event_id: 0,
            map_item: None,
            variables: Scope::default(),
            state,
            input,
            entered_event_id: 0,
            entered_time: self.env.now,
            retry_count: 0,
            retrier_attempts: Vec::new(),
            activity: Activity::Enter,
        }
    }

    fn add_frame(&mut self, frame: Frame) {
        let id = FrameId(self.position.next_frame);
        self.position.next_frame += 1;
        self.position.insert(id, frame);
        self.position.ready.push_back(id);
    }
}

/// What distinguishes a new frame below a Parallel or Map state.
pub(crate) struct Child {
    pub branch: usize,
    pub index: usize,
    pub last_event_id: u64,
    pub map_item: Option<MapItem>,
    pub input: Payload,
}

/// Where a state leads when it is done; `None` is the end of its scope.
pub(crate) fn next_of(state: &State) -> Option<Name> {
    match &state.transition {
        Some(Transition::Next(next)) => Some(next.clone()),
        Some(Transition::End) | None => None,
    }
}
