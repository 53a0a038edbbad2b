//! Runs an execution in virtual time against scripted task outcomes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use base::Timestamp;
use interp::{
    Effect, Env, Execution, ExecutionInfo, HistoryEvent, Input, Limits, MapRunItems, Outcome, RunMapRun, RunTask, Step,
    TaskId, TimerId,
};
use serde_json::{Value, json};

/// 2024-01-01T00:00:00Z.
pub const START: Timestamp = Timestamp::from_millis(1_704_067_200_000);

/// What the world does: given with a case.
#[derive(Debug, Clone, Default)]
pub struct Script {
    /// For each Task state, what happens to its attempts, one after the other; the last goes for all that follow.
    pub tasks: BTreeMap<String, Vec<Vec<Happening>>>,
    /// What comes from outside, by seconds after the start.
    pub outside: Vec<Happening>,
    pub limits: Limits,
    pub random: u64,
}

/// One thing that happens.
#[derive(Debug, Clone)]
pub struct Happening {
    /// After the task is handed out, or the execution has started.
    pub after: Duration,
    pub what: What,
}

#[derive(Debug, Clone)]
pub enum What {
    Start { worker_name: Option<String> },
    Submit { output: String },
    Succeed { output: String },
    Fail { how: Fail, error: Option<String>, cause: Option<String> },
    Heartbeat,
    Stop { error: Option<String>, cause: Option<String> },
}

#[derive(Debug, Clone, Copy)]
pub enum Fail {
    Task,
    Schedule,
    Start,
    Submit,
}

/// What came out.
#[derive(Debug, Clone, PartialEq)]
pub struct Trace {
    pub history: Vec<HistoryEvent>,
    /// In words, with the second in which it was asked for.
    pub effects: Vec<String>,
    pub outcome: Option<Outcome>,
    pub steps: usize,
}

pub fn info(input: &str) -> ExecutionInfo {
    ExecutionInfo {
        id: "arn:aws:states:eu-west-1:123456789012:execution:machine:run".into(),
        name: "run".into(),
        input: input.into(),
        role_arn: "arn:aws:iam::123456789012:role/states".into(),
        start_time: START,
        state_machine_id: "arn:aws:states:eu-west-1:123456789012:stateMachine:machine".into(),
        state_machine_name: "machine".into(),
        state_machine_version_arn: None,
        state_machine_alias_arn: None,
        redrive_count: 0,
    }
}

/// Applies one input as the engine would.
pub fn step(execution: &mut Execution, input: Input, now: Timestamp, script: &Script) -> Step {
    let mut random = || script.random;
    let mut token = |task: TaskId| format!("token-{task}");
    execution.step(
        input,
        &mut Env { now, random: &mut random, token: &mut token, admit: &mut |_| Ok(()), limits: script.limits },
    )
}

/// Runs to the end, or until nothing will happen any more.
///
/// With `crash` the execution is stored and restored before every step.
pub fn run(machine: &Arc<asl::StateMachine>, input: &str, script: &Script, crash: bool) -> Trace {
    let mut world = World::new(machine.clone(), input, script, crash);
    world.apply(Input::Start);
    for happening in &script.outside {
        let input = match &happening.what {
            What::Stop { error, cause } => Input::Stop { error: arc(error), cause: arc(cause) },
            other => panic!("{other:?} does not come from outside"),
        };
        world.plan(START + happening.after, input);
    }
    while world.outcome.is_none() && world.next() {}
    world.trace.outcome = world.outcome;
    world.trace
}

struct World<'s> {
    script: &'s Script,
    crash: bool,
    execution: Execution,
    now: Timestamp,
    /// In order of time, then of planning.
    planned: BTreeMap<(Timestamp, usize), Input>,
    plans: usize,
    attempts: BTreeMap<String, usize>,
    tasks: BTreeMap<TaskId, RunTask>,
    map_runs: BTreeMap<TaskId, RunMapRun>,
    timers: BTreeMap<TimerId, (Timestamp, usize)>,
    trace: Trace,
    outcome: Option<Outcome>,
}

impl<'s> World<'s> {
    fn new(machine: Arc<asl::StateMachine>, input: &str, script: &'s Script, crash: bool) -> World<'s> {
        World {
            script,
            crash,
            execution: Execution::new(info(input), machine),
            now: START,
            planned: BTreeMap::new(),
            plans: 0,
            attempts: BTreeMap::new(),
            tasks: BTreeMap::new(),
            map_runs: BTreeMap::new(),
            timers: BTreeMap::new(),
            trace: Trace { history: vec![], effects: vec![], outcome: None, steps: 0 },
            outcome: None,
        }
    }

    fn plan(&mut self, at: Timestamp, input: Input) -> (Timestamp, usize) {
        self.plans += 1;
        self.planned.insert((at, self.plans), input);
        (at, self.plans)
    }

    /// Lets the next planned thing happen.
    fn next(&mut self) -> bool {
        let Some(((at, _), input)) = self.planned.pop_first() else { return false };
        self.now = self.now.max(at);
        match &input {
            Input::TimerFired { timer } => {
                self.timers.remove(timer);
            }
            Input::TaskSucceeded { task, .. }
            | Input::TaskFailed { task, .. }
            | Input::TaskScheduleFailed { task, .. }
            | Input::TaskStartFailed { task, .. }
            | Input::TaskSubmitFailed { task, .. } => {
                self.tasks.remove(task);
                self.map_runs.remove(task);
            }
            _ => {}
        }
        self.apply(input);
        true
    }

    fn apply(&mut self, input: Input) {
        if self.crash {
            let (info, machine) = (self.execution.info().clone(), self.execution.machine().clone());
            let snapshot = self.execution.snapshot();
            self.execution = Execution::restore(&snapshot, info, machine).expect("what was stored can be restored");
            assert_eq!(self.execution.snapshot(), snapshot, "a restored execution is the same");
        }
        let step = step(&mut self.execution, input, self.now, self.script);
        self.trace.steps += 1;
        for event in step.history {
            assert_eq!(event.id, self.trace.history.len() as u64 + 1, "ids have no gaps");
            assert!(event.previous_event_id < event.id);
            assert_eq!(HistoryEvent::decode(&event.encode()).expect("an event can be read again"), event);
            self.trace.history.push(event);
        }
        for effect in step.effects {
            self.carry_out(effect);
        }
        self.check_open_effects();
    }

    fn carry_out(&mut self, effect: Effect) {
        assert!(self.outcome.is_none(), "nothing follows the end");
        let words = match effect {
            Effect::RunTask(work) => {
                let words = format!(
                    "run task {} {} {}{}",
                    work.task,
                    work.resource.arn,
                    work.parameters,
                    work.token.as_ref().map(|t| format!(" {t}")).unwrap_or_default()
                );
                self.run_task(*work);
                words
            }
            Effect::RunMapRun(work) => {
                let words = format!("run map run {} {}", work.task, about_map_run(&work));
                let (name, task) = (work.state_name.to_string(), work.task);
                self.map_runs.insert(task, *work);
                self.plan_outcome(name, task);
                words
            }
            Effect::CancelTask { task } => {
                self.tasks.remove(&task);
                self.map_runs.remove(&task);
                format!("cancel task {task}")
            }
            Effect::StartTimer { timer, at } => {
                let plan = self.plan(at, Input::TimerFired { timer });
                assert!(self.timers.insert(timer, plan).is_none(), "timers are not used again");
                format!("start timer {timer} at {} s", at.since(START).as_millis() as f64 / 1000.0)
            }
            Effect::CancelTimer { timer } => {
                let plan = self.timers.remove(&timer).expect("a cancelled timer was started");
                self.planned.remove(&plan);
                format!("cancel timer {timer}")
            }
            Effect::Continue => {
                self.plan(self.now, Input::Continue);
                "continue".into()
            }
            Effect::Ended(outcome) => {
                let words = format!("end {}", outcome.status.as_str());
                self.outcome = Some(outcome);
                words
            }
        };
        self.trace.effects.push(format!("{} s: {words}", self.now.since(START).as_millis() as f64 / 1000.0));
    }

    fn run_task(&mut self, work: RunTask) {
        let (name, task) = (work.state_name.to_string(), work.task);
        self.tasks.insert(task, work);
        self.plan_outcome(name, task);
    }

    fn plan_outcome(&mut self, name: String, task: TaskId) {
        let attempt = self.attempts.entry(name.clone()).or_default();
        let script = self.script.tasks.get(&name).map(|all| all.get(*attempt).or(all.last()).expect("an attempt"));
        *attempt += 1;
        for happening in script.into_iter().flatten() {
            let at = self.now + happening.after;
            self.plan(at, input_of(task, &happening.what));
        }
    }

    /// What is outstanding is just what was asked for and neither done nor cancelled.
    fn check_open_effects(&self) {
        let (mut tasks, mut timers) = (Vec::new(), Vec::new());
        let mut map_runs = BTreeMap::new();
        for effect in self.execution.open_effects() {
            match effect {
                Effect::RunTask(work) => tasks.push((work.task, work.parameters, work.token)),
                Effect::RunMapRun(work) => {
                    map_runs.insert(work.task, *work);
                }
                Effect::StartTimer { timer, at } => timers.push((timer, at)),
                Effect::Continue => assert!(self.planned.values().any(|input| *input == Input::Continue)),
                other => panic!("{other:?} is not outstanding"),
            }
        }
        tasks.sort();
        timers.sort();
        assert_eq!(map_runs, self.map_runs);
        let known_tasks = self.tasks.values().map(|w| (w.task, w.parameters.clone(), w.token.clone()));
        assert_eq!(tasks, known_tasks.collect::<Vec<_>>());
        assert_eq!(timers, self.timers.iter().map(|(timer, (at, _))| (*timer, *at)).collect::<Vec<_>>());
    }
}

/// All that the engine gets of a Map Run, in short.
fn about_map_run(work: &RunMapRun) -> Value {
    let value = |text: &str| serde_json::from_str::<Value>(text).expect("JSON");
    let items = match &work.items {
        MapRunItems::Inline(items) => value(items),
        MapRunItems::Reader { resource, parameters, config, max_items } => {
            json!({"read": resource.arn, "with": value(parameters), "as": format!("{:?}", config.input_type), "max": max_items})
        }
    };
    let mut about = json!({
        "arn": &*work.map_run_arn, "label": &*work.label, "state": &*work.state_name,
        "type": format!("{:?}", work.execution_type), "items": items, "concurrency": work.max_concurrency,
        "tolerated": [work.tolerated_failure_count, work.tolerated_failure_percentage], "retry": work.retry_count,
    });
    if let Some(scene) = &work.selector_scene {
        let context = value(&scene.context);
        about["selector"] = json!({
            "entered": scene.entered_event_id, "input": value(&scene.input), "context": context["State"],
            "variables": value(&scene.variables)});
    }
    if let Some(batcher) = &work.batcher {
        let input = batcher.batch_input.as_deref().map(value);
        about["batch"] = json!([input, batcher.max_items, batcher.max_input_bytes]);
    }
    if let Some(writer) = &work.writer {
        about["write"] = json!([writer.resource.as_ref().map(|r| &r.arn), value(&writer.parameters)]);
    }
    about
}

fn arc(text: &Option<String>) -> Option<Arc<str>> {
    text.as_deref().map(Arc::from)
}

fn input_of(task: TaskId, what: &What) -> Input {
    match what {
        What::Start { worker_name } => Input::TaskStarted { task, worker_name: arc(worker_name) },
        What::Submit { output } => Input::TaskSubmitted { task, output: output.as_str().into() },
        What::Succeed { output } => Input::TaskSucceeded { task, output: output.as_str().into() },
        What::Heartbeat => Input::Heartbeat { task },
        What::Fail { how, error, cause } => {
            let (error, cause) = (arc(error), arc(cause));
            match how {
                Fail::Task => Input::TaskFailed { task, error, cause },
                Fail::Schedule => Input::TaskScheduleFailed { task, error, cause },
                Fail::Start => Input::TaskStartFailed { task, error, cause },
                Fail::Submit => Input::TaskSubmitFailed { task, error, cause },
            }
        }
        What::Stop { .. } => panic!("a task does not stop its execution"),
    }
}

/// The script in a case's JSON; see the README beside the cases.
pub fn script(case: &Value) -> Script {
    let mut script = Script { limits: Limits::STANDARD, random: u64::MAX / 2, ..Script::default() };
    for (state, attempts) in case["tasks"].as_object().into_iter().flatten() {
        let attempts = match attempts {
            Value::Array(attempts) => attempts.iter().map(happenings).collect(),
            one => vec![happenings(one)],
        };
        script.tasks.insert(state.clone(), attempts);
    }
    script.outside = case.get("outside").map(happenings).unwrap_or_default();
    for (limit, value) in case["limits"].as_object().into_iter().flatten() {
        let value = value.as_u64().expect("a limit is a number");
        match limit.as_str() {
            "payload_bytes_max" => script.limits.payload_bytes_max = value as usize,
            "history_events_max" => script.limits.history_events_max = value,
            "transitions_per_step_max" => script.limits.transitions_per_step_max = value as u32,
            "variables_bytes_max" => script.limits.variables_bytes_max = value as usize,
            "map_concurrency_max" => script.limits.map_concurrency_max = value as usize,
            other => panic!("unknown limit {other}"),
        }
    }
    script
}

fn happenings(value: &Value) -> Vec<Happening> {
    match value {
        Value::Array(all) => all.iter().map(happening).collect(),
        one => vec![happening(one)],
    }
}

fn happening(value: &Value) -> Happening {
    let members = value.as_object().expect("what happens is an object");
    let mut after = Duration::ZERO;
    let mut what = None;
    for (name, value) in members {
        let text = |member: &str| value[member].as_str().map(str::to_owned);
        let fail = |how| What::Fail { how, error: text("error"), cause: text("cause") };
        what = Some(match name.as_str() {
            "after" => {
                after = Duration::from_secs_f64(value.as_f64().expect("seconds"));
                continue;
            }
            "succeed" => What::Succeed { output: value.to_string() },
            "succeed_text" => What::Succeed { output: value.as_str().expect("a text").to_owned() },
            "succeed_bytes" => {
                What::Succeed { output: format!("\"{}\"", "x".repeat(value.as_u64().expect("a size") as usize - 2)) }
            }
            "submit" => What::Submit { output: value.to_string() },
            "start" => What::Start { worker_name: value.as_str().map(str::to_owned) },
            "heartbeat" => What::Heartbeat,
            "fail" => fail(Fail::Task),
            "fail_schedule" => fail(Fail::Schedule),
            "fail_start" => fail(Fail::Start),
            "fail_submit" => fail(Fail::Submit),
            "stop" => What::Stop { error: text("error"), cause: text("cause") },
            other => panic!("unknown happening {other}"),
        });
    }
    Happening { after, what: what.expect("something happens") }
}
