//! Whatever comes in whatever order: nothing panics, histories have no gaps, late and unknown inputs change nothing.

use std::sync::Arc;

use interp::{Effect, Execution, ExecutionStatus, HistoryEvent, Input, TaskId, TimerId};
use proptest::prelude::*;

use crate::simulator::{self, START, Script};

/// Tasks of every kind, waits, retries, catches, branches, nested iterations, an execution timeout.
pub const MACHINE: &str = r#"{
  "StartAt": "Fan", "TimeoutSeconds": 5000, "States": {
    "Fan": {"Type": "Parallel", "Next": "Each", "ResultPath": "$.fan",
      "Retry": [{"ErrorEquals": ["Again"], "MaxAttempts": 2}],
      "Catch": [{"ErrorEquals": ["States.TaskFailed"], "ResultPath": "$.error", "Next": "Each"}],
      "Branches": [
        {"StartAt": "F", "States": {"F": {"Type": "Task", "End": true, "TimeoutSeconds": 60,
          "Resource": "arn:aws:lambda:eu-west-1:123456789012:function:f",
          "Retry": [{"ErrorEquals": ["States.ALL"], "IntervalSeconds": 2, "JitterStrategy": "FULL"}]}}},
        {"StartAt": "A", "States": {"A": {"Type": "Task", "Next": "W", "TimeoutSeconds": 90, "HeartbeatSeconds": 20,
          "Resource": "arn:aws:states:eu-west-1:123456789012:activity:a",
          "Catch": [{"ErrorEquals": ["States.Timeout"], "Next": "W"}]},
          "W": {"Type": "Wait", "Seconds": 7, "End": true}}},
        {"StartAt": "C", "States": {"C": {"Type": "Task", "End": true, "HeartbeatSeconds": 30,
          "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken",
          "Parameters": {"MessageBody": {"token.$": "$$.Task.Token"}, "QueueUrl": "q"}}}}
      ]},
    "Each": {"Type": "Map", "ItemsPath": "$.items", "MaxConcurrency": 2, "End": true,
      "Retry": [{"ErrorEquals": ["Again"], "MaxAttempts": 1}],
      "ItemSelector": {"n.$": "$$.Map.Item.Value", "i.$": "$$.Map.Item.Index"},
      "ItemProcessor": {"StartAt": "Inner", "States": {
        "Inner": {"Type": "Parallel", "Next": "Job", "Branches": [
          {"StartAt": "P", "States": {"P": {"Type": "Pass", "End": true}}},
          {"StartAt": "Q", "States": {"Q": {"Type": "Wait", "Seconds": 3, "End": true}}}]},
        "Job": {"Type": "Task", "End": true, "Resource": "arn:aws:states:::glue:startJobRun.sync",
          "Parameters": {"JobName.$": "States.Format('{}', $$.Map.Item.Index)"}}}}}
  }
}"#;

#[derive(Debug, Clone)]
enum Move {
    /// Something for one of the tasks that were ever handed out, open or not.
    Task {
        which: usize,
        what: usize,
    },
    Timer {
        which: usize,
    },
    /// Something for a task or timer that was never known.
    Unknown {
        id: u64,
        what: usize,
    },
    Start,
    Continue,
    Stop,
    Crash,
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let one = prop_oneof![
        12 => (any::<usize>(), any::<usize>()).prop_map(|(which, what)| Move::Task { which, what }),
        6 => any::<usize>().prop_map(|which| Move::Timer { which }),
        1 => (any::<u64>(), any::<usize>()).prop_map(|(id, what)| Move::Unknown { id, what }),
        1 => Just(Move::Start),
        1 => Just(Move::Continue),
        1 => Just(Move::Crash),
    ];
    (prop::collection::vec(one, 0..120), prop::bool::weighted(0.1)).prop_map(|(mut moves, stop)| {
        if stop {
            moves.push(Move::Stop);
        }
        moves
    })
}

fn input_for(task: TaskId, what: usize) -> Input {
    let (error, cause) = (Some("Again".into()), Some("why".into()));
    match what % 12 {
        0 | 1 => Input::TaskStarted { task, worker_name: None },
        2 | 3 => Input::TaskSubmitted { task, output: r#"{"JobRunId":"1"}"#.into() },
        4..=6 => Input::TaskSucceeded { task, output: r#"{"items":[1,2]}"#.into() },
        7 => Input::TaskFailed { task, error, cause },
        8 => Input::TaskFailed { task, error: None, cause: None },
        9 => Input::TaskSubmitFailed { task, error, cause },
        10 => Input::TaskSucceeded { task, output: "not JSON".into() },
        _ => Input::Heartbeat { task },
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_order_of_inputs(moves in moves(), random in any::<u64>(), budget in 1u32..20) {
        let machine = Arc::new(asl::parse(MACHINE).expect("the machine is valid"));
        let mut script = Script { random, ..Script::default() };
        script.limits.transitions_per_step_max = budget;
        let mut execution = Execution::new(simulator::info(r#"{"items":[1,2,3]}"#), machine.clone());
        let (mut tasks, mut timers, mut now, mut last) = (vec![], vec![], START, 0u64);
        for a_move in [Move::Start].into_iter().chain(moves) {
            let was = execution.snapshot();
            let open = execution.open_effects();
            let known = |task: TaskId| open.iter().any(|e| matches!(e, Effect::RunTask(r) if r.task == task));
            let (input, is_late) = match a_move {
                Move::Task { which, what } if !tasks.is_empty() => {
                    let task = tasks[which % tasks.len()];
                    (input_for(task, what), !known(task))
                }
                Move::Timer { which } if !timers.is_empty() => {
                    let (timer, at) = timers[which % timers.len()];
                    now = now.max(at);
                    let armed = |e: &Effect| matches!(e, Effect::StartTimer { timer: t, .. } if *t == timer);
                    (Input::TimerFired { timer }, !open.iter().any(armed))
                }
                Move::Unknown { id, what } if what % 2 == 0 => {
                    (Input::TimerFired { timer: TimerId(id | 1 << 40) }, true)
                }
                Move::Unknown { id, what } => (input_for(TaskId(id | 1 << 40), what), true),
                Move::Start => (Input::Start, last > 0),
                Move::Stop => (Input::Stop { error: None, cause: None }, false),
                Move::Crash => {
                    let info = execution.info().clone();
                    execution = Execution::restore(&was, info, machine.clone()).expect("restores");
                    prop_assert_eq!(execution.open_effects(), open);
                    continue;
                }
                Move::Task { .. } | Move::Timer { .. } | Move::Continue => (Input::Continue, false),
            };
            let had_ended = execution.status() != ExecutionStatus::Running;
            let step = simulator::step(&mut execution, input, now, &script);
            if is_late || had_ended {
                prop_assert!(step.history.is_empty() && step.effects.is_empty());
                prop_assert_eq!(execution.snapshot(), was);
            }
            for event in step.history {
                prop_assert_eq!(event.id, last + 1);
                prop_assert!(event.previous_event_id < event.id);
                prop_assert_eq!(&HistoryEvent::decode(&event.encode()).expect("decodes"), &event);
                last = event.id;
            }
            prop_assert_eq!(execution.last_event_id(), last);
            for effect in step.effects {
                match effect {
                    Effect::RunTask(work) => tasks.push(work.task),
                    Effect::RunMapRun(work) => tasks.push(work.task),
                    Effect::StartTimer { timer, at } => timers.push((timer, at)),
                    Effect::Ended(outcome) => prop_assert_eq!(outcome.status, execution.status()),
                    Effect::CancelTask { .. } | Effect::CancelTimer { .. } | Effect::Continue => {}
                }
            }
            if execution.status() != ExecutionStatus::Running {
                prop_assert!(execution.open_effects().is_empty());
            }
        }
    }

    #[test]
    fn damaged_bytes_are_refused(cut in any::<usize>(), at in any::<usize>(), bit in 0u8..8) {
        let machine = Arc::new(asl::parse(MACHINE).expect("the machine is valid"));
        let mut execution = Execution::new(simulator::info(r#"{"items":[1,2,3]}"#), machine.clone());
        let step = simulator::step(&mut execution, Input::Start, START, &Script::default());
        let mut bytes = execution.snapshot();
        let at = at % bytes.len();
        bytes[at] ^= 1 << bit;
        bytes.truncate(cut % (bytes.len() + 1));
        if let Ok(mut restored) = Execution::restore(&bytes, simulator::info("{}"), machine) {
            let _ = restored.open_effects();
            for task in 0..20 {
                simulator::step(&mut restored, input_for(TaskId(task), 4), START, &Script::default());
            }
        }
        for event in step.history {
            let mut bytes = event.encode();
            let at = at % bytes.len();
            bytes[at] ^= 1 << bit;
            let _ = HistoryEvent::decode(&bytes);
        }
    }
}
