//! Runs a tested state in memory: nothing of it is stored.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use base::Timestamp;
use interp::{
    Details, Effect, Env, EventType, ExecutionInfo, HistoryEvent, Inspection, Limits, RunTask, StateTest, Step, TaskId,
    TimerId,
};
use service::{Call, Fault};

use super::definition::Tested;
use crate::engine::Inner;
use crate::execution::{Job, Work};
use crate::task::Listener;
use crate::task::integration::admit;

/// How long a test may take.
const TIME_MAX: Duration = Duration::from_secs(300);

/// What a tested state came to.
pub(super) enum Outcome {
    Exited {
        output: Arc<str>,
        next_state: Option<String>,
    },
    Failed {
        error: Option<Arc<str>>,
        cause: Option<Arc<str>>,
    },
    /// It would be tried again.
    Stopped,
}

pub(super) async fn run(
    engine: &Arc<Inner>,
    call: &Call,
    tested: &Tested,
    given: StateTest,
    input: &str,
    role_arn: &str,
) -> Result<(Outcome, Inspection), Fault> {
    let execution = interp::Execution::test(info(engine, call, input, role_arn), tested.machine.clone(), given);
    let mut test = Test {
        engine,
        call,
        tested,
        execution,
        listener: engine.dispatcher.listen(),
        open: None,
        timers: BTreeMap::new(),
        outcome: None,
    };
    let outcome = tokio::time::timeout(TIME_MAX, test.finish()).await;
    if let Some(task) = test.open {
        engine.dispatcher.take(Work::Cancel { id: test.listener.id, task });
    }
    let seen = test.execution.inspection().cloned().unwrap_or_default();
    let timeout = || Outcome::Failed { error: Some("States.Timeout".into()), cause: None };
    Ok((outcome.unwrap_or_else(|_| timeout()), seen))
}

fn info(engine: &Inner, call: &Call, input: &str, role_arn: &str) -> ExecutionInfo {
    let (machine, name) = (engine.entropy.uuid(), engine.entropy.uuid());
    ExecutionInfo {
        id: call.scope.arn("states", format_args!("express:{machine}:{name}")).as_str().into(),
        name: name.into(),
        input: input.into(),
        role_arn: role_arn.into(),
        start_time: engine.clock.now(),
        state_machine_id: crate::catalog::machine_arn(&call.scope, &machine).as_str().into(),
        state_machine_name: machine.into(),
        state_machine_version_arn: None,
        state_machine_alias_arn: None,
        redrive_count: 0,
    }
}

struct Test<'a> {
    engine: &'a Arc<Inner>,
    call: &'a Call,
    tested: &'a Tested,
    execution: interp::Execution,
    listener: Listener,
    /// The task that is being carried out.
    open: Option<TaskId>,
    timers: BTreeMap<TimerId, Timestamp>,
    outcome: Option<Outcome>,
}

impl Test<'_> {
    async fn finish(&mut self) -> Outcome {
        self.step(interp::Input::Start);
        loop {
            if let Some(outcome) = self.outcome.take() {
                return outcome;
            }
            let next = self.timers.iter().map(|(timer, at)| (*at, *timer)).min();
            if self.open.is_none() && next.is_none() {
                return Outcome::Stopped;
            }
            let wait = next.map_or(TIME_MAX, |(at, _)| at.since(self.engine.clock.now()));
            let told = tokio::select! {
                told = self.listener.told.recv() => told,
                () = tokio::time::sleep(wait) => None,
            };
            match (told, next) {
                (Some(told), _) => self.step(told),
                (None, Some((_, timer))) => {
                    self.timers.remove(&timer);
                    self.step(interp::Input::TimerFired { timer });
                }
                (None, None) => {}
            }
        }
    }

    fn step(&mut self, input: interp::Input) {
        let (entropy, tokens, catalog) = (&self.engine.entropy, &self.engine.tokens, &self.engine.catalog);
        let id = self.listener.id;
        // The tested state, and the one that it leads to, so that this is seen.
        let limits = Limits { transitions_per_step_max: 2, ..self.engine.options.express_limits };
        let mut env = Env {
            now: self.engine.clock.now(),
            random: &mut || entropy.next_u64(),
            token: &mut |task| tokens.make(id, task.0),
            admit: &mut |task| admit(task, catalog),
            limits,
        };
        let Step { history, effects } = self.execution.step(input, &mut env);
        self.look(&history);
        if self.outcome.is_some() {
            return; // What it leads to may be itself.
        }
        for effect in effects {
            match effect {
                Effect::RunTask(task) => self.run_task(*task),
                Effect::CancelTask { task } => {
                    self.open = None;
                    self.engine.dispatcher.take(Work::Cancel { id, task });
                }
                Effect::StartTimer { timer, at } => drop(self.timers.insert(timer, at)),
                Effect::CancelTimer { timer } => drop(self.timers.remove(&timer)),
                // One state that is no Map makes neither long steps nor Map Runs.
                Effect::RunMapRun(_) | Effect::Continue | Effect::Ended(_) => {}
            }
        }
    }

    fn run_task(&mut self, task: RunTask) {
        self.open = Some(task.task);
        let info = self.execution.info();
        let job = Job {
            id: self.listener.id,
            scope: self.call.scope.clone(),
            execution_arn: info.id.clone(),
            role_arn: info.role_arn.clone(),
            task,
            effect: None,
            test_case: None,
        };
        self.engine.dispatcher.take(Work::Run(Box::new(job)));
    }

    /// Looks in new events for the end of the tested state.
    fn look(&mut self, history: &[HistoryEvent]) {
        for event in history {
            match (&event.details, &mut self.outcome) {
                (Details::StateExited { name, output, .. }, outcome @ None) if **name == *self.tested.name => {
                    *outcome = Some(Outcome::Exited { output: output.clone(), next_state: None });
                }
                (Details::StateEntered { name, .. }, Some(Outcome::Exited { next_state: next @ None, .. })) => {
                    *next = Some(name.to_string());
                }
                (Details::Failure { error, cause }, outcome @ None)
                    if event.event_type == EventType::ExecutionFailed =>
                {
                    *outcome = Some(Outcome::Failed { error: error.clone(), cause: cause.clone() });
                }
                _ => {}
            }
            if is_end_of_task(event.event_type) {
                self.open = None;
            }
        }
    }
}

fn is_end_of_task(event_type: EventType) -> bool {
    use EventType as E;
    matches!(
        event_type,
        E::TaskSucceeded
            | E::TaskFailed
            | E::TaskTimedOut
            | E::TaskStartFailed
            | E::TaskSubmitFailed
            | E::LambdaFunctionSucceeded
            | E::LambdaFunctionFailed
            | E::LambdaFunctionTimedOut
            | E::LambdaFunctionScheduleFailed
            | E::LambdaFunctionStartFailed
    )
}
