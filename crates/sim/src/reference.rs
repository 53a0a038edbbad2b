//! The same execution without crashes, on the interpreter alone: what it has to come to.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use base::Timestamp;
use interp::{Effect, Env, Execution, ExecutionInfo, ExecutionStatus, Input, Limits};

use crate::chance::Chance;
use crate::outcome::{self, Kind};

/// Steps of one run: far more than any generated machine makes.
const STEPS_MAX: usize = 20_000;

/// What an execution came to, as far as timing has no say in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Result {
    pub status: String,
    pub output: Option<String>,
    pub error: Option<String>,
}

impl Result {
    /// Causes within an output name events, whose numbers depend on what runs beside.
    pub fn new(status: &str, output: Option<&str>, error: Option<&str>) -> Result {
        Result { status: status.to_owned(), output: output.map(without_event_ids), error: error.map(str::to_owned) }
    }
}

fn without_event_ids(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut in_id = false;
    for c in text.chars() {
        in_id = c == '#' || in_id && c.is_ascii_digit();
        if !in_id {
            kept.push(c);
        }
    }
    kept
}

/// What is being run.
pub struct Subject<'a> {
    pub seed: u64,
    pub definition: &'a Arc<asl::StateMachine>,
    pub arn: &'a str,
    pub name: &'a str,
    pub machine: &'a str,
    pub input: &'a str,
    pub start: Timestamp,
}

/// How many orders of answers and timers are tried before a result counts as impossible.
const ORDERS_MAX: u64 = 400;

/// Whether a run without crashes can come to `result`: with branches that race, in some order of what happens.
/// Otherwise what it comes to in the first order.
pub fn explains(subject: &Subject<'_>, result: &Result) -> std::result::Result<(), Option<Result>> {
    if (0..ORDERS_MAX).any(|order| run(subject, order).as_ref() == Some(result)) {
        return Ok(());
    }
    Err(run(subject, 0))
}

fn run(subject: &Subject<'_>, order: u64) -> Option<Result> {
    let chance = Chance::new(subject.seed.wrapping_add(order << 40), "reference");
    // Everything may be late, as it is when a crash comes between.
    let late_ms_max = [5_000, 100_000, 2_000_000][order.min(2) as usize];
    let is_late = order > 0;
    let info = ExecutionInfo {
        id: subject.arn.into(),
        name: subject.name.into(),
        input: subject.input.into(),
        role_arn: "arn:aws:iam::000000000000:role/r".into(),
        start_time: subject.start,
        state_machine_id: format!("arn:aws:states:us-east-1:000000000000:stateMachine:{}", subject.machine).into(),
        state_machine_name: subject.machine.into(),
        state_machine_version_arn: None,
        state_machine_alias_arn: None,
        redrive_count: 0,
    };
    let mut execution = Execution::new(info, subject.definition.clone());
    let mut agenda = BTreeMap::from([((subject.start, 0), Input::Start)]);
    let mut number = 0;
    for _ in 0..STEPS_MAX {
        let ((now, _), input) = agenda.pop_first()?;
        let mut env = Env {
            now,
            random: &mut || chance.next(),
            token: &mut |task| format!("token-{task}"),
            admit: &mut |_| Ok(()),
            limits: Limits::STANDARD,
        };
        let step = execution.step(input, &mut env);
        for effect in step.effects {
            number += 1;
            let soon = now + Duration::from_millis(1 + chance.below(late_ms_max));
            match effect {
                Effect::RunTask(run) => {
                    let answer = match outcome::kind(&run) {
                        Kind::Message => {
                            Some(Input::TaskSucceeded { task: run.task, output: outcome::message_answer() })
                        }
                        Kind::Function | Kind::MessageWithToken => {
                            outcome::of(subject.seed, subject.name, &run).input(&run)
                        }
                    };
                    agenda.extend(answer.map(|answer| ((soon, number), answer)));
                }
                Effect::StartTimer { timer, at } => {
                    let late = if is_late { chance.below(late_ms_max) } else { 0 };
                    agenda.insert((at.max(now) + Duration::from_millis(late), number), Input::TimerFired { timer });
                }
                Effect::Continue => {
                    agenda.insert((now, number), Input::Continue);
                }
                Effect::Ended(end) => {
                    return Some(Result::new(end.status.as_str(), end.output.as_deref(), end.error.as_deref()));
                }
                Effect::CancelTask { .. } | Effect::CancelTimer { .. } | Effect::RunMapRun(_) => {}
            }
        }
        if execution.status() != ExecutionStatus::Running {
            return None;
        }
    }
    None
}
