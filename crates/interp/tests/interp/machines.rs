//! Any state machine that the parser accepts, in both query languages: nothing panics, whatever its tasks answer and
//! wherever it is stored and restored, and its history holds together.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use base::Timestamp;
use interp::{Details, Effect, EventType, Execution, ExecutionStatus, HistoryEvent, Input, TaskId};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::simulator::{self, START, Script};

const DEPTH_MAX: usize = 3;
const HISTORY_EVENTS_MAX: u64 = 400;

/// Decisions, one after the other; when they are used up, the first of what there is.
struct Choices<'b> {
    bytes: std::slice::Iter<'b, u8>,
    /// States so far: their names differ in the whole machine.
    states: usize,
}

impl Choices<'_> {
    fn below(&mut self, n: usize) -> usize {
        self.bytes.next().map_or(0, |byte| usize::from(*byte) % n)
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == n - 1
    }

    fn pick(&mut self, from: &[&str]) -> Value {
        from[self.below(from.len())].into()
    }
}

const PATHS: &[&str] = &["$", "$.a", "$.list", "$.list[1]", "$.none", "$$", "$$.State", "$v", "$v.a", "$w"];
const CALLS: &[&str] = &["States.UUID()", "States.MathAdd($.a, 1)", "States.Format('{}', $v)", "States.Array($, $$)"];
/// What `{% %}` can hold, in every field.
const EXPRESSIONS: &[&str] = &[
    "{% $states.input %}",
    "{% $states.input.a + 1 %}",
    "{% $states.input.none %}",
    "{% $states.context %}",
    "{% $v %}",
    "{% $w.a %}",
    "{% [1, 2] %}",
    "{% $states.input.list %}",
    "{% $random() %}",
    "{% $now() %}",
    "{% 1 %}",
    "{% -1 %}",
    "{% 'text' %}",
    "{% true %}",
    "{% $error('no') %}",
    "{% $states.input.list.($ & 'x') %}",
];

/// A value with expressions inside, as Parameters, Output or Assign hold it. No scope may assign what one around it does,
/// so those further in have other names.
fn template(c: &mut Choices<'_>, jsonata: bool, depth: usize) -> Value {
    let mut object = Map::new();
    for name in ["v", "w", "x"].iter().take(1 + c.below(3)) {
        let name = if depth == 0 { (*name).to_owned() } else { format!("{name}{depth}") };
        let (key, value) = match (jsonata, c.below(5)) {
            (_, 0) => (name, json!([1, {"a": null}])),
            (true, _) => (name, c.pick(EXPRESSIONS)),
            (false, 1) => (format!("{name}.$"), c.pick(CALLS)),
            (false, _) => (format!("{name}.$"), c.pick(PATHS)),
        };
        object.insert(key, value);
    }
    Value::Object(object)
}

/// Which type of state comes next: a Choice state always has one after it.
fn kind(c: &mut Choices<'_>, depth: usize, is_last: bool) -> usize {
    match c.below(if depth < DEPTH_MAX { 9 } else { 6 }) {
        3 if is_last => 5,
        4 | 5 if !is_last => 0,
        kind => kind,
    }
}

/// A state; `machine_jsonata` is what the states inside it have by default.
fn state(
    c: &mut Choices<'_>,
    (jsonata, machine_jsonata): (bool, bool),
    depth: usize,
    (names, next): (&[String], Option<&String>),
) -> Value {
    let mut state = Map::new();
    let kind = kind(c, depth, next.is_none());
    match kind {
        0 => drop(state.insert("Type".into(), "Pass".into())),
        1 => {
            let resources = [
                "arn:aws:lambda:eu-west-1:123456789012:function:f",
                "arn:aws:states:eu-west-1:123456789012:activity:a",
                "arn:aws:states:::sqs:sendMessage.waitForTaskToken",
            ];
            let resource = c.pick(&resources);
            if resource == resources[2] {
                let arguments = json!({"QueueUrl": "q", "MessageBody": {"x": 1}});
                state.insert(if jsonata { "Arguments" } else { "Parameters" }.into(), arguments);
            }
            state.extend([("Type".into(), "Task".into()), ("Resource".into(), resource)]);
            if c.one_in(3) {
                let seconds = if jsonata { c.pick(EXPRESSIONS) } else { c.pick(&PATHS[..4]) };
                state.insert(if jsonata { "TimeoutSeconds" } else { "TimeoutSecondsPath" }.into(), seconds);
            }
        }
        2 => {
            let seconds = if jsonata { c.pick(EXPRESSIONS) } else { c.pick(&PATHS[..4]) };
            let name = if jsonata { "Seconds" } else { "SecondsPath" };
            state.extend([("Type".into(), "Wait".into()), (name.into(), seconds)]);
        }
        3 => {
            let rules = (0..1 + c.below(3)).map(|_| {
                let target = &names[c.below(names.len())];
                let mut rule = match jsonata {
                    true => json!({"Condition": c.pick(EXPRESSIONS), "Next": target}),
                    false => json!({"Variable": c.pick(PATHS), "NumericLessThan": 2, "Next": target}),
                };
                if c.one_in(3) {
                    rule["Assign"] = template(c, jsonata, depth);
                }
                rule
            });
            let rules = rules.collect::<Vec<_>>();
            state.extend([("Type".into(), "Choice".into()), ("Choices".into(), rules.into())]);
            state.insert("Default".into(), next.unwrap_or(&names[0]).as_str().into());
        }
        4 => {
            state.insert("Type".into(), "Fail".into());
            let error = if jsonata { c.pick(EXPRESSIONS) } else { "E".into() };
            state.insert("Error".into(), error);
        }
        5 => drop(state.insert("Type".into(), "Succeed".into())),
        6 => {
            let branches = (0..1 + c.below(3)).map(|_| branch(c, machine_jsonata, depth + 1)).collect::<Vec<_>>();
            state.extend([("Type".into(), "Parallel".into()), ("Branches".into(), branches.into())]);
        }
        _ => map(c, &mut state, (jsonata, machine_jsonata), depth),
    }
    if kind != 4 && kind != 5 && c.one_in(2) {
        state.insert("Assign".into(), template(c, jsonata, depth));
    }
    if kind != 4 && jsonata && c.one_in(2) {
        state.insert("Output".into(), if c.one_in(2) { template(c, true, depth) } else { c.pick(EXPRESSIONS) });
    }
    if !jsonata && matches!(kind, 0 | 1 | 6..) && c.one_in(3) {
        state.insert("ResultPath".into(), [json!(null), json!("$.r"), json!("$.a.b")][c.below(3)].clone());
    }
    if matches!(kind, 1 | 6) && !state.contains_key("Arguments") && !state.contains_key("Parameters") && c.one_in(2) {
        state.insert(if jsonata { "Arguments" } else { "Parameters" }.into(), template(c, jsonata, depth));
    }
    if matches!(kind, 1 | 6..) {
        handlers(c, &mut state, (jsonata, depth), names);
    }
    if !matches!(kind, 3..=5) {
        match next {
            Some(next) => state.insert("Next".into(), next.as_str().into()),
            None => state.insert("End".into(), true.into()),
        };
    }
    Value::Object(state)
}

fn map(c: &mut Choices<'_>, state: &mut Map<String, Value>, (jsonata, inner): (bool, bool), depth: usize) {
    let mut processor = branch(c, inner, depth + 1);
    if c.one_in(3) {
        processor["ProcessorConfig"] = json!({"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"});
    }
    state.extend([("Type".into(), "Map".into()), ("ItemProcessor".into(), processor)]);
    match (c.below(3), jsonata) {
        (0, true) => drop(state.insert("Items".into(), c.pick(EXPRESSIONS))),
        (1, true) => drop(state.insert("Items".into(), json!([1, c.pick(EXPRESSIONS)]))),
        (0, false) => drop(state.insert("ItemsPath".into(), c.pick(PATHS))),
        (1, false) => drop(state.insert("ItemsPath".into(), "$.list".into())),
        _ => {}
    }
    if c.one_in(2) {
        state.insert("ItemSelector".into(), template(c, jsonata, depth));
    }
    if c.one_in(2) {
        let most = if jsonata { c.pick(EXPRESSIONS) } else { 1.into() };
        state.insert("MaxConcurrency".into(), most);
    }
}

fn handlers(c: &mut Choices<'_>, state: &mut Map<String, Value>, (jsonata, depth): (bool, usize), names: &[String]) {
    let errors = ["States.ALL", "E", "States.QueryEvaluationError", "States.Timeout"];
    if c.one_in(2) {
        let retry =
            json!([{"ErrorEquals": [c.pick(&errors)], "MaxAttempts": c.below(3), "IntervalSeconds": c.below(2)}]);
        state.insert("Retry".into(), retry);
    }
    if c.one_in(2) {
        let mut catcher = json!({"ErrorEquals": [c.pick(&errors)], "Next": names[c.below(names.len())]});
        if c.one_in(2) {
            catcher["Assign"] = template(c, jsonata, depth);
        }
        if jsonata && c.one_in(2) {
            catcher["Output"] = c.pick(EXPRESSIONS);
        }
        state.insert("Catch".into(), json!([catcher]));
    }
}

fn branch(c: &mut Choices<'_>, jsonata: bool, depth: usize) -> Value {
    let length = 1 + c.below(4);
    let names: Vec<String> = (c.states..c.states + length).map(|n| format!("S{n}")).collect();
    c.states += length;
    let mut states = Map::new();
    for (i, name) in names.iter().enumerate() {
        let own = jsonata || c.one_in(4);
        let mut state = state(c, (own, jsonata), depth, (&names, names.get(i + 1)));
        if own && !jsonata {
            state["QueryLanguage"] = "JSONata".into();
        }
        states.insert(name.clone(), state);
    }
    json!({"StartAt": names[0], "States": states})
}

fn machine(bytes: &[u8]) -> Value {
    let mut choices = Choices { bytes: bytes.iter(), states: 0 };
    let jsonata = choices.one_in(2);
    let mut machine = branch(&mut choices, jsonata, 0);
    if jsonata {
        machine["QueryLanguage"] = "JSONata".into();
    }
    machine
}

const INPUT: &str = r#"{"a":1,"list":[1,{"a":0},"x"],"s":"text"}"#;

/// What may come of one of the open effects.
fn answer(effect: &Effect, what: u8) -> (Input, Timestamp) {
    let outcome = |task: TaskId| match what % 6 {
        0 => Input::TaskFailed { task, error: Some("E".into()), cause: None },
        1 => Input::TaskStarted { task, worker_name: None },
        2 => Input::TaskSubmitted { task, output: "{}".into() },
        3 => Input::TaskSucceeded { task, output: "[1,2]".into() },
        _ => Input::TaskSucceeded { task, output: INPUT.into() },
    };
    match effect {
        Effect::RunTask(work) => (outcome(work.task), START),
        Effect::RunMapRun(work) => (outcome(work.task), START),
        Effect::StartTimer { timer, at } => (Input::TimerFired { timer: *timer }, *at),
        _ => (Input::Continue, START),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 800, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_machine(bytes in prop::collection::vec(any::<u8>(), 0..160), moves in prop::collection::vec(any::<(u8, u8)>(), 0..80)) {
        let definition = machine(&bytes).to_string();
        // What the parser refuses (states that nothing reaches, expressions out of place) is of no interest here.
        let Ok(machine) = asl::parse(&definition) else { return Ok(()) };
        let machine = Arc::new(machine);
        let mut script = Script { random: 1 << 62, ..Script::default() };
        script.limits.history_events_max = HISTORY_EVENTS_MAX;
        let mut execution = Execution::new(simulator::info(INPUT), machine.clone());
        let mut now = START;
        let mut history = simulator::step(&mut execution, Input::Start, now, &script).history;
        for (which, what) in moves {
            let snapshot = execution.snapshot();
            if what % 3 == 0 {
                let restored = Execution::restore(&snapshot, simulator::info(INPUT), machine.clone());
                let restored = restored.map_err(|e| TestCaseError::fail(format!("{e}\n{definition}")))?;
                prop_assert_eq!(restored.open_effects(), execution.open_effects());
                prop_assert_eq!(restored.snapshot(), snapshot);
                execution = restored;
            }
            let open = execution.open_effects();
            if open.is_empty() {
                break;
            }
            let (input, at) = answer(&open[usize::from(which) % open.len()], what / 3);
            now = now.max(at);
            history.extend(simulator::step(&mut execution, input, now, &script).history);
        }
        check(&history, execution.status()).map_err(|problem| {
            TestCaseError::fail(format!("{problem}\n{definition}\n{history:#?}"))
        })?;
    }
}

/// What holds of every history.
fn check(history: &[HistoryEvent], status: ExecutionStatus) -> Result<(), String> {
    for (event, expected_id) in history.iter().zip(1..) {
        if event.id != expected_id || event.previous_event_id >= event.id {
            return Err(format!("event {expected_id} is out of place"));
        }
    }
    if history.windows(2).any(|pair| pair[0].timestamp > pair[1].timestamp) {
        return Err("time runs backwards".into());
    }
    let terminal = history.iter().filter(|event| event.event_type.is_terminal()).count();
    let ends = history.last().is_some_and(|last| last.event_type.is_terminal());
    if (status != ExecutionStatus::Running) != ends || terminal > 1 {
        return Err("the end is not the end".into());
    }
    let entered = entries_of_exits(history)?;
    if status == ExecutionStatus::Succeeded {
        let whole = |event: &&HistoryEvent| kind_of(event, "StateEntered").is_some() && !entered.contains(&event.id);
        let left = history.iter().find(whole).map(|event| event.id);
        if let (Some(id), false) = (left, history.iter().any(is_failure)) {
            return Err(format!("the state of event {id} is never left"));
        }
        iterations_end(history)?;
    }
    Ok(())
}

/// The kind and name of a state, if the event is of that sort.
fn kind_of<'h>(event: &'h HistoryEvent, suffix: &str) -> Option<(&'static str, &'h str)> {
    let kind = event.event_type.as_str().strip_suffix(suffix)?;
    match &event.details {
        Details::StateEntered { name, .. } | Details::StateExited { name, .. } => Some((kind, name)),
        _ => None,
    }
}

fn is_failure(event: &HistoryEvent) -> bool {
    let name = event.event_type.as_str();
    let ends_badly = ["Failed", "TimedOut", "Aborted"].iter().any(|suffix| name.ends_with(suffix));
    ends_badly || event.event_type == EventType::FailStateEntered
}

/// Every state that is left was entered, once, further up the chain; between lie only what was left before, and what
/// failed. Gives the events that entered.
fn entries_of_exits(history: &[HistoryEvent]) -> Result<BTreeSet<u64>, String> {
    let event = |id: u64| &history[id as usize - 1];
    // By event that leaves a state: the one that entered it.
    let mut entries: BTreeMap<u64, u64> = BTreeMap::new();
    let mut entered = BTreeSet::new();
    for exit in history {
        let Some(state) = kind_of(exit, "StateExited") else { continue };
        let (mut at, mut failed) = (exit.previous_event_id, false);
        let entry = loop {
            if at == 0 {
                return Err(format!("event {} leaves a state that was not entered", exit.id));
            }
            let here = event(at);
            failed |= is_failure(here);
            match (kind_of(here, "StateEntered"), entries.get(&at)) {
                (_, Some(entry)) => at = event(*entry).previous_event_id,
                (Some(found), _) if found == state && !entered.contains(&at) => break at,
                (Some(found), _) if !failed && found.0 != "Map" && found.0 != "Parallel" => {
                    return Err(format!("event {} leaves {state:?} from within {found:?}", exit.id));
                }
                _ => at = before(history, here),
            }
        };
        entries.insert(exit.id, entry);
        entered.insert(entry);
    }
    Ok(entered)
}

/// The event that led to this one. Where the items of a Map state fail, AWS goes around the event that entered it.
fn before(history: &[HistoryEvent], event: &HistoryEvent) -> u64 {
    let previous = event.previous_event_id;
    let Details::EvaluationFailed { state, .. } = &event.details else { return previous };
    let entered = history[..event.id as usize - 1].iter().rev().find(|other| {
        other.previous_event_id == previous && kind_of(other, "StateEntered").is_some_and(|(_, name)| *name == **state)
    });
    entered.map_or(previous, |entered| entered.id)
}

/// As many iterations end as start.
fn iterations_end(history: &[HistoryEvent]) -> Result<(), String> {
    let mut open: BTreeMap<&str, i64> = BTreeMap::new();
    for event in history {
        if let Details::MapIteration { name, .. } = &event.details {
            *open.entry(name).or_default() += if event.event_type == EventType::MapIterationStarted { 1 } else { -1 };
        }
    }
    match open.into_iter().find(|(_, open)| *open != 0) {
        Some((name, open)) => Err(format!("{open} iterations of {name} have no end")),
        None => Ok(()),
    }
}

#[test]
fn most_machines_are_accepted() {
    let mut random = 1u64;
    let mut next = || {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) as u8
    };
    let accepted = (0..300).filter(|_| {
        let bytes: Vec<u8> = (0..80).map(|_| next()).collect();
        asl::parse(&machine(&bytes).to_string()).is_ok()
    });
    let accepted = accepted.count();
    assert!(accepted >= 150, "{accepted} of 300");
}
