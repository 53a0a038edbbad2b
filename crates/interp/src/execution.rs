use std::sync::Arc;
use std::time::Duration;

use asl::{StateKind, StateMachine};
use base::Timestamp;
use serde_json::Value;

use crate::context::ContextObject;
use crate::failure::Failure;
use crate::frame::{Activity, Position};
use crate::inspection::Test;
use crate::payload::Payload;
use crate::redrive::redrive;
use crate::run::Run;
use crate::state::task::{self, FailureKind};
use crate::state::{map_run, wait};
use crate::{
    Details, Effect, EventType, ExecutionInfo, ExecutionStatus, HistoryEvent, Input, Limits, Outcome, TaskId, TimerId,
};

/// What a step may know of the world.
pub struct Env<'a> {
    pub now: Timestamp,
    /// Uniform over all of `u64`.
    pub random: &'a mut dyn FnMut() -> u64,
    /// Makes the task token of a task that needs one.
    pub token: &'a mut dyn FnMut(TaskId) -> String,
    /// Whether a task may be scheduled at all: if not, the execution fails with `States.Runtime` and this cause.
    pub admit: &'a mut dyn FnMut(&Admission<'_>) -> Result<(), String>,
    pub limits: Limits,
}

/// A task that is about to be scheduled.
#[derive(Debug)]
pub struct Admission<'a> {
    pub resource: &'a asl::Resource,
    /// The task's input or the API's parameters.
    pub parameters: &'a Value,
    pub credentials_role_arn: Option<&'a str>,
}

/// What one input led to.
///
/// Both may be empty although the position has changed (a heartbeat moves a deadline); they are empty, and nothing
/// has changed, for an input that comes too late or twice.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Step {
    /// To be stored with the execution's new position, in this order.
    pub history: Vec<HistoryEvent>,
    /// To be carried out after the step is stored, in this order.
    pub effects: Vec<Effect>,
}

/// One execution of a state machine: its position.
#[derive(Debug, Clone)]
pub struct Execution {
    pub(crate) info: ExecutionInfo,
    pub(crate) machine: Arc<StateMachine>,
    /// `None` if the input is not JSON.
    pub(crate) input: Option<Payload>,
    pub(crate) context: ContextObject,
    pub(crate) position: Position,
    /// Only of a test of one state.
    pub(crate) test: Option<Box<Test>>,
}

impl Execution {
    /// An execution that has not started; its first input is [`Input::Start`].
    pub fn new(info: ExecutionInfo, machine: Arc<StateMachine>) -> Execution {
        let input = Payload::parse(info.input.clone()).ok();
        Execution { info, machine, input, context: ContextObject::default(), position: Position::new(), test: None }
    }

    pub fn info(&self) -> &ExecutionInfo {
        &self.info
    }

    pub fn machine(&self) -> &Arc<StateMachine> {
        &self.machine
    }

    pub fn status(&self) -> ExecutionStatus {
        self.position.status
    }

    /// The id of the newest event, 0 before the first.
    pub fn last_event_id(&self) -> u64 {
        self.position.last_event_id
    }

    /// Applies one input; returns what to write and what to do.
    pub fn step(&mut self, input: Input, env: &mut Env<'_>) -> Step {
        if (self.position.status == ExecutionStatus::Running) == matches!(input, Input::Redrive)
            || self.position.status == ExecutionStatus::Succeeded
        {
            return Step::default();
        }
        let machine = Arc::clone(&self.machine);
        let mut run = Run {
            position: &mut self.position,
            info: &self.info,
            input: self.input.as_ref(),
            machine: &machine,
            context: &mut self.context,
            env,
            step: Step::default(),
            history_full: false,
            entered_after: None,
            fallen: Vec::new(),
            test: self.test.as_deref_mut(),
        };
        let changed = match input {
            Input::Start => start(&mut run),
            Input::Continue => !run.position.ready.is_empty(),
            Input::TaskStarted { task, worker_name } => {
                with_job(&mut run, task, |run, frame| task::started(run, frame, worker_name))
            }
            Input::TaskSubmitted { task, output } => {
                with_job(&mut run, task, |run, frame| task::submitted(run, frame, output))
            }
            Input::TaskSucceeded { task, output } => {
                with_task(&mut run, task, |run, frame| match run.position.frame(frame).activity {
                    Activity::MapRun(_) => map_run::succeeded(run, frame, output),
                    _ => task::succeeded(run, frame, output),
                })
            }
            Input::TaskFailed { task, error, cause } => task_failed(&mut run, task, FailureKind::Task, error, cause),
            Input::TaskScheduleFailed { task, error, cause } => {
                task_failed(&mut run, task, FailureKind::Schedule, error, cause)
            }
            Input::TaskStartFailed { task, error, cause } => {
                task_failed(&mut run, task, FailureKind::Start, error, cause)
            }
            Input::TaskSubmitFailed { task, error, cause } => {
                task_failed(&mut run, task, FailureKind::Submit, error, cause)
            }
            Input::Heartbeat { task } => with_job(&mut run, task, task::heartbeat),
            Input::TimerFired { timer } => timer_fired(&mut run, timer),
            Input::Stop { error, cause } => stop(&mut run, error, cause),
            Input::Redrive => redrive(&mut run),
        };
        if changed {
            run.advance();
        }
        let step = run.step;
        self.context.leave(&self.info);
        step
    }

    /// Whether the task waits for its outcome.
    pub fn is_open(&self, task: TaskId) -> bool {
        self.position.tasks.contains_key(&task)
    }

    /// The effects that are still outstanding: after a crash, carry them out (again).
    pub fn open_effects(&self) -> Vec<Effect> {
        let mut effects = Vec::new();
        if self.position.status != ExecutionStatus::Running {
            return effects;
        }
        if let Some(timer) = self.position.execution_timer {
            effects.push(Effect::StartTimer { timer: timer.id, at: timer.at });
        }
        for frame in self.position.frames.values() {
            let state = crate::frame::state_at(&self.machine, &frame.scope, frame.state);
            match (&frame.activity, state.map(|state| (state, &state.kind))) {
                (Activity::Task(open), Some((state, StateKind::Task(task)))) => {
                    let work = task::describe(self.info.region(), frame.retry_count, state, task, open);
                    effects.push(Effect::RunTask(Box::new(work)));
                }
                (Activity::MapRun(open), Some((state, StateKind::Map(map)))) => {
                    let work = map_run::describe(&self.info, self.input.as_ref(), frame, state, map, open);
                    effects.push(Effect::RunMapRun(Box::new(work)));
                }
                _ => {}
            }
            effects.extend(frame.activity.timers().map(|t| Effect::StartTimer { timer: t.id, at: t.at }));
        }
        if !self.position.ready.is_empty() {
            effects.push(Effect::Continue);
        }
        effects
    }
}

fn start(run: &mut Run<'_, '_>) -> bool {
    if run.position.started {
        return false;
    }
    run.position.started = true;
    let info = run.info;
    let details = Details::ExecutionStarted {
        input: info.input.clone(),
        role_arn: info.role_arn.clone(),
        state_machine_alias_arn: info.state_machine_alias_arn.clone(),
        state_machine_version_arn: info.state_machine_version_arn.clone(),
    };
    run.record_after(0, EventType::ExecutionStarted, details);
    if let (Some(_), Some(seconds)) = (run.input, run.machine.timeout_seconds) {
        let at = info.start_time + Duration::from_secs(seconds);
        run.position.execution_timer = Some(run.start_timer(None, at));
    }
    run.begin();
    true
}

impl Run<'_, '_> {
    /// Enters the first state, if the execution's input is JSON.
    pub fn begin(&mut self) {
        match self.input {
            Some(input) => self.start_root(input.clone()),
            None => {
                let failure = Failure::runtime("The execution's input is not valid JSON.");
                end(self, self.position.last_event_id, EventType::ExecutionFailed, failure.error, failure.cause);
            }
        }
    }
}

/// Applies an input to the frame in which its task is open.
fn with_task<F>(run: &mut Run<'_, '_>, task: TaskId, apply: F) -> bool
where
    F: FnOnce(&mut Run<'_, '_>, crate::frame::FrameId) -> bool,
{
    run.position.tasks.get(&task).copied().is_some_and(|frame| apply(run, frame))
}

/// The same for inputs that a Map Run does not have.
fn with_job<F>(run: &mut Run<'_, '_>, task: TaskId, apply: F) -> bool
where
    F: FnOnce(&mut Run<'_, '_>, crate::frame::FrameId) -> bool,
{
    with_task(run, task, |run, frame| match run.position.frame(frame).activity {
        Activity::MapRun(_) => false,
        _ => apply(run, frame),
    })
}

fn task_failed(
    run: &mut Run<'_, '_>,
    task: TaskId,
    kind: FailureKind,
    error: Option<Arc<str>>,
    cause: Option<Arc<str>>,
) -> bool {
    with_task(run, task, |run, frame| match run.position.frame(frame).activity {
        Activity::MapRun(_) => map_run::failed(run, frame, error, cause),
        _ => task::failed(run, frame, kind, error, cause),
    })
}

fn timer_fired(run: &mut Run<'_, '_>, timer: TimerId) -> bool {
    if run.position.execution_timer.is_some_and(|own| own.id == timer) {
        run.position.execution_timer = None;
        // AWS chains this event to nothing, and does not tell what it cut.
        end(run, 0, EventType::ExecutionTimedOut, None, None);
        return true;
    }
    let Some(frame) = run.position.timers.remove(&timer) else { return false };
    match run.position.frame(frame).activity {
        Activity::Wait(_) => {
            let state = run.state(frame);
            run.enter_context(frame, state);
            let result = wait::timer_fired(run, frame, state);
            run.settle(frame, state, result);
            true
        }
        Activity::Backoff(_) => {
            run.position.frame_mut(frame).activity = Activity::Execute;
            run.position.ready.push_back(frame);
            true
        }
        Activity::Task(_) => task::timer_fired(run, frame, timer),
        _ => false,
    }
}

fn stop(run: &mut Run<'_, '_>, error: Option<Arc<str>>, cause: Option<Arc<str>>) -> bool {
    if !run.position.started {
        return false;
    }
    // AWS chains this event to nothing.
    end(run, 0, EventType::ExecutionAborted, error, cause);
    true
}

/// Ends the execution from outside its states.
fn end(
    run: &mut Run<'_, '_>,
    previous_event_id: u64,
    event_type: EventType,
    error: Option<Arc<str>>,
    cause: Option<Arc<str>>,
) {
    let status = match event_type {
        EventType::ExecutionTimedOut => ExecutionStatus::TimedOut,
        EventType::ExecutionAborted => ExecutionStatus::Aborted,
        _ => ExecutionStatus::Failed,
    };
    run.record_after(previous_event_id, event_type, Details::Failure { error: error.clone(), cause: cause.clone() });
    run.end(Outcome { status, output: None, error, cause });
}
