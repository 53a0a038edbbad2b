//! What the fuzz targets share: chance from the input, and a driver for executions.

use std::sync::Arc;

use base::Timestamp;
use interp::{Effect, Env, Execution, ExecutionInfo, ExecutionStatus, Input, Limits, TaskId, TimerId};

/// Splits the input at its zero bytes; what is not UTF-8 is left out.
pub fn texts(data: &[u8]) -> impl Iterator<Item = &str> {
    data.split(|byte| *byte == 0).filter_map(|part| std::str::from_utf8(part).ok())
}

/// A generator that needs no state but a number (splitmix64).
pub fn random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Steps that one run may take.
const STEPS_MAX: usize = 200;
const START_MS: i64 = 1_700_000_000_000;

/// Runs a machine that the validator accepts with arbitrary outcomes of its tasks, cut by a crash now and then, and
/// checks its history.
pub fn run(machine: asl::StateMachine, input: &str, seed: u64) {
    let machine = Arc::new(machine);
    let info = ExecutionInfo {
        id: "arn:aws:states:us-east-1:000000000000:execution:fuzz:run".into(),
        name: "run".into(),
        input: input.into(),
        role_arn: "arn:aws:iam::000000000000:role/fuzz".into(),
        start_time: Timestamp::from_millis(START_MS),
        state_machine_id: "arn:aws:states:us-east-1:000000000000:stateMachine:fuzz".into(),
        state_machine_name: "fuzz".into(),
        state_machine_version_arn: None,
        state_machine_alias_arn: None,
        redrive_count: 0,
    };
    let mut execution = Execution::new(info.clone(), machine.clone());
    let (mut chance, mut chance_inside) = (seed, seed ^ 0xabcd);
    let (mut tasks, mut timers): (Vec<TaskId>, Vec<(TimerId, Timestamp)>) = (Vec::new(), Vec::new());
    let mut now = info.start_time;
    let mut inputs = vec![Input::Start];
    let mut last = 0;
    for _ in 0..STEPS_MAX {
        let Some(next) = inputs.pop().or_else(|| choose(&mut chance, &tasks, &mut timers, &mut now)) else { break };
        let mut random_inside = || random(&mut chance_inside);
        let mut token = |task: TaskId| format!("token-{task}");
        let limits = Limits { history_events_max: 2_000, transitions_per_step_max: 64, ..Limits::STANDARD };
        let step = execution.step(
            next,
            &mut Env { now, random: &mut random_inside, token: &mut token, admit: &mut |_| Ok(()), limits },
        );
        for event in step.history {
            assert_eq!(event.id, last + 1, "ids have no gaps");
            assert!(event.previous_event_id < event.id);
            last = event.id;
        }
        for effect in step.effects {
            match effect {
                Effect::RunTask(work) => tasks.push(work.task),
                Effect::RunMapRun(work) => tasks.push(work.task),
                Effect::StartTimer { timer, at } => timers.push((timer, at)),
                Effect::Continue => inputs.push(Input::Continue),
                Effect::CancelTask { task } => tasks.retain(|open| *open != task),
                Effect::CancelTimer { timer } => timers.retain(|(open, _)| *open != timer),
                Effect::Ended(_) => assert_ne!(execution.status(), ExecutionStatus::Running),
            }
        }
        if execution.status() != ExecutionStatus::Running {
            return;
        }
        if random(&mut chance) % 8 == 0 {
            let stored = execution.snapshot();
            execution =
                Execution::restore(&stored, info.clone(), machine.clone()).expect("what was stored is readable");
            assert_eq!(execution.snapshot(), stored, "a stored position is the position");
        }
    }
}

fn choose(
    chance: &mut u64,
    tasks: &[TaskId],
    timers: &mut Vec<(TimerId, Timestamp)>,
    now: &mut Timestamp,
) -> Option<Input> {
    let pick = random(chance);
    if tasks.is_empty() || pick % 4 == 0 {
        timers.sort_by_key(|(_, at)| *at);
        if !timers.is_empty() {
            let (timer, at) = timers.remove(0);
            *now = at.max(*now);
            return Some(Input::TimerFired { timer });
        }
    }
    let task = *tasks.get(pick as usize % tasks.len().max(1))?;
    let text = |text: &str| Some(Arc::<str>::from(text));
    Some(match pick >> 32 & 7 {
        0 => Input::TaskFailed { task, error: text("Fuzz.Error"), cause: text("a cause") },
        1 => Input::TaskFailed { task, error: None, cause: None },
        2 => Input::TaskSubmitted { task, output: r#"{"ExecutionArn":"arn"}"#.into() },
        3 => Input::TaskStarted { task, worker_name: text("worker") },
        4 => Input::Heartbeat { task },
        5 => Input::TaskSucceeded { task, output: "[1,{\"a\":null}]".into() },
        6 => Input::TaskScheduleFailed { task, error: text("E"), cause: None },
        _ => Input::TaskSucceeded { task, output: r#"{"a":1,"b":[1,2,3],"c":"x"}"#.into() },
    })
}
