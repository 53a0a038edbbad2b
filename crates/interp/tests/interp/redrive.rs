//! Executions that did not succeed go on where they failed.

use std::sync::Arc;

use base::Timestamp;
use interp::{Effect, Env, Execution, ExecutionInfo, ExecutionStatus, HistoryEvent, Input, Limits, Step, TaskId};
use serde_json::{Value, json};

use super::simulator::{START, info};

struct World {
    execution: Execution,
    history: Vec<HistoryEvent>,
    /// Open tasks by their state.
    open: Vec<(String, TaskId)>,
    now: Timestamp,
}

impl World {
    fn new(definition: &Value, input: &Value) -> World {
        let machine = Arc::new(asl::parse(&definition.to_string()).unwrap());
        let execution = Execution::new(info(&input.to_string()), machine);
        let mut world = World { execution, history: Vec::new(), open: Vec::new(), now: START };
        world.step(Input::Start);
        world
    }

    fn step(&mut self, input: Input) {
        let mut env = Env {
            now: self.now,
            random: &mut || 0,
            token: &mut |task| task.to_string(),
            admit: &mut |_| Ok(()),
            limits: Limits::STANDARD,
        };
        let Step { history, effects } = self.execution.step(input, &mut env);
        self.history.extend(history);
        for effect in effects {
            match effect {
                Effect::RunTask(task) => self.open.push((task.state_name.to_string(), task.task)),
                Effect::CancelTask { task } => self.open.retain(|(_, open)| *open != task),
                _ => {}
            }
        }
    }

    fn take(&mut self, state: &str) -> TaskId {
        let at = self.open.iter().position(|(name, _)| name == state).unwrap_or_else(|| panic!("no task of {state}"));
        self.open.remove(at).1
    }

    fn succeed(&mut self, state: &str, output: &Value) {
        let task = self.take(state);
        self.step(Input::TaskSucceeded { task, output: output.to_string().into() });
    }

    fn fail(&mut self, state: &str) {
        let task = self.take(state);
        self.step(Input::TaskFailed { task, error: Some("E".into()), cause: None });
    }

    /// As the engine does: from what is stored, with the new count.
    fn redrive(&mut self) {
        assert!(self.execution.is_redrivable());
        let (snapshot, machine) = (self.execution.snapshot(), self.execution.machine().clone());
        let count = self.execution.info().redrive_count + 1;
        let info = ExecutionInfo { redrive_count: count, ..self.execution.info().clone() };
        self.execution = Execution::restore(&snapshot, info, machine).unwrap();
        assert!(self.execution.open_effects().is_empty() && self.open.is_empty());
        self.step(Input::Redrive);
    }

    fn types_from(&self, from: usize) -> Vec<&str> {
        assert!(self.history.iter().enumerate().all(|(i, e)| e.id == i as u64 + 1 && e.previous_event_id < e.id));
        self.history[from..].iter().map(|e| e.event_type.as_str()).collect()
    }

    fn states(&self) -> Vec<&str> {
        let mut states: Vec<_> = self.open.iter().map(|(name, _)| name.as_str()).collect();
        states.sort_unstable();
        states
    }

    fn output(&self) -> Value {
        assert_eq!(self.execution.status(), ExecutionStatus::Succeeded);
        let last = self.history.last().unwrap().to_json(true);
        serde_json::from_str(last["executionSucceededEventDetails"]["output"].as_str().unwrap()).unwrap()
    }
}

fn task(more: Value) -> Value {
    let mut state = json!({"Type": "Task", "Resource": "arn:aws:lambda:eu-west-1:123456789012:function:f"});
    state.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    state
}

fn branch(name: &str) -> Value {
    json!({"StartAt": name, "States": {name: task(json!({"End": true}))}})
}

#[test]
fn a_task_is_scheduled_again_with_all_its_retries() {
    let retry = json!([{"ErrorEquals": ["E"], "MaxAttempts": 1, "IntervalSeconds": 1, "MaxDelaySeconds": 2, "JitterStrategy": "FULL"}]);
    let definition = json!({"StartAt": "A", "States": {
        "A": {"Type": "Pass", "Result": 1, "ResultPath": "$.a", "Next": "T"},
        "T": task(json!({"Retry": retry, "ResultPath": "$.t", "Next": "Z"})), "Z": {"Type": "Succeed"}}});
    let mut w = World::new(&definition, &json!({}));
    for count in 1..=2 {
        w.fail("T");
        w.fail("T");
        assert_eq!(w.execution.status(), ExecutionStatus::Failed);
        let from = w.history.len();
        w.redrive();
        assert_eq!(w.types_from(from), ["ExecutionRedriven", "LambdaFunctionScheduled", "LambdaFunctionStarted"]);
        let redriven = w.history[from].to_json(true);
        assert_eq!(redriven["executionRedrivenEventDetails"]["redriveCount"], count);
    }
    w.succeed("T", &json!("done"));
    assert_eq!(w.output(), json!({"a": 1, "t": "done"}));
    assert!(!w.execution.is_redrivable());
}

#[test]
fn only_branches_that_failed_or_were_cut_run_again() {
    let inner = json!({"StartAt": "In", "States": {"In": {"Type": "Parallel", "Branches": [branch("D"), branch("E")], "End": true}}});
    let definition = json!({"StartAt": "P", "States": {"P": {"Type": "Parallel", "Branches": [branch("A"), branch("B"), branch("C"), inner], "End": true}}});
    let mut w = World::new(&definition, &json!({}));
    w.succeed("A", &json!("a"));
    w.succeed("D", &json!("d"));
    w.fail("B");
    w.redrive();
    assert_eq!(w.states(), ["B", "C", "E"]);
    w.succeed("C", &json!("c"));
    w.fail("E");
    w.redrive();
    assert_eq!(w.states(), ["B", "E"]);
    w.succeed("E", &json!("e"));
    w.succeed("B", &json!("b"));
    assert_eq!(w.output(), json!(["a", "b", "c", ["d", "e"]]));
}

#[test]
fn only_iterations_that_failed_or_were_cut_run_again_and_the_rest_follow() {
    let processor = json!({"StartAt": "T", "States": {"T": task(json!({"End": true}))}});
    let definition = json!({"StartAt": "M", "States": {"M": {"Type": "Map", "MaxConcurrency": 2, "ItemProcessor": processor, "End": true}}});
    let mut w = World::new(&definition, &json!([1, 2, 3, 4]));
    w.succeed("T", &json!("one"));
    w.fail("T");
    w.redrive();
    assert_eq!(w.states(), ["T", "T"]);
    for output in ["two", "three", "four"] {
        w.succeed("T", &json!(output));
    }
    assert_eq!(w.output(), json!(["one", "two", "three", "four"]));
}

#[test]
fn what_was_handled_is_forgotten() {
    let retried = json!([{"ErrorEquals": ["States.ALL"], "Next": "T"}]);
    let definition = json!({"StartAt": "P", "States": {
        "P": {"Type": "Parallel", "Branches": [branch("A"), branch("B")], "Catch": retried, "Next": "T"},
        "T": task(json!({"End": true}))}});
    let mut w = World::new(&definition, &json!({}));
    w.fail("A");
    w.fail("T");
    w.redrive();
    assert_eq!(w.states(), ["T"]);
}

#[test]
fn stopped_timed_out_and_failing_executions() {
    let definition = json!({"StartAt": "W", "TimeoutSeconds": 50, "States": {
        "W": {"Type": "Wait", "Seconds": 9, "Next": "F"}, "F": {"Type": "Fail", "Error": "E"}}});
    let mut w = World::new(&definition, &json!({}));
    w.step(Input::Stop { error: None, cause: None });
    assert_eq!(w.execution.status(), ExecutionStatus::Aborted);
    w.redrive();
    let timers: Vec<_> = w.execution.open_effects();
    assert!(matches!(&timers[..], [Effect::StartTimer { .. }, Effect::StartTimer { .. }]), "{timers:?}");
    let Effect::StartTimer { timer, .. } = timers[1] else { unreachable!() };
    w.step(Input::TimerFired { timer });
    assert_eq!(w.execution.status(), ExecutionStatus::Failed);
    let from = w.history.len();
    w.redrive();
    assert_eq!(w.types_from(from), ["ExecutionRedriven", "FailStateEntered", "ExecutionFailed"]);
    assert_eq!(w.execution.info().redrive_count, 2);
}
