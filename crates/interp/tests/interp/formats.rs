//! What is stored stays readable: bytes of format version 1, kept as they were first written.
//!
//! Other bytes for the same thing need a new version, a new fixture beside the old one, and a reader for both.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use interp::{Effect, Execution, HistoryEvent, Input};

use crate::properties::MACHINE;
use crate::simulator::{self, START, Script};

const INPUT: &str = r#"{"items":[1,2,3]}"#;

/// Variables in nested scopes, an inline Map over items that vary, a Map Run with everything.
const WITH_VARIABLES: &str = r#"{
  "QueryLanguage": "JSONata", "StartAt": "Set", "States": {
    "Set": {"Type": "Pass", "Assign": {"outer": "{% $states.input.items %}", "n": 3}, "Next": "Fan"},
    "Fan": {"Type": "Parallel", "End": true, "Branches": [
      {"StartAt": "Each", "States": {"Each": {"Type": "Map", "Items": "{% $outer.($ + $millis()) %}", "End": true,
        "MaxConcurrency": "{% $n - 1 %}", "ItemProcessor": {"StartAt": "Keep", "States": {
          "Keep": {"Type": "Pass", "Assign": {"inner": "{% $states.input %}"}, "Next": "W"},
          "W": {"Type": "Wait", "Seconds": "{% $n %}", "End": true}}}}}},
      {"StartAt": "Many", "States": {"Many": {"Type": "Map", "Label": "many", "End": true,
        "ItemReader": {"Resource": "arn:aws:states:::s3:getObject", "ReaderConfig": {"InputType": "JSON", "MaxItems": 9},
          "Arguments": {"Bucket": "b", "Key": "{% 'k' & $n %}"}},
        "ItemSelector": {"n": "{% $n %}"}, "ItemBatcher": {"MaxItemsPerBatch": 2, "BatchInput": {"a": 1}},
        "ResultWriter": {"Resource": "arn:aws:states:::s3:putObject", "Arguments": {"Bucket": "b", "Prefix": "p"}},
        "ToleratedFailurePercentage": 12.5, "ItemProcessor": {"StartAt": "P",
          "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "EXPRESS"},
          "States": {"P": {"Type": "Pass", "End": true}}}}}},
      {"StartAt": "More", "States": {"More": {"Type": "Map", "Items": [1, 2], "End": true,
        "ItemProcessor": {"StartAt": "Q", "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
          "States": {"Q": {"Type": "Pass", "End": true}}}}}}
    ]}
  }
}"#;

/// An execution in the middle of everything: open tasks of all kinds, timers, a backoff, nested scopes.
fn busy() -> (Execution, Vec<HistoryEvent>) {
    let machine = Arc::new(asl::parse(MACHINE).expect("the machine is valid"));
    let mut execution = Execution::new(simulator::info(INPUT), machine);
    let mut history = Vec::new();
    let mut tasks = Vec::new();
    let mut give = |execution: &mut Execution, input: Input, tasks: &mut Vec<_>| {
        let step = simulator::step(execution, input, START, &Script { random: 1 << 63, ..Script::default() });
        history.extend(step.history);
        tasks.extend(step.effects.into_iter().filter_map(|e| match e {
            Effect::RunTask(work) => Some(work.task),
            _ => None,
        }));
    };
    give(&mut execution, Input::Start, &mut tasks);
    let [function, activity, callback] = tasks[..] else { panic!("three branches") };
    give(&mut execution, Input::TaskStarted { task: activity, worker_name: Some("w".into()) }, &mut tasks);
    give(&mut execution, Input::TaskSubmitted { task: callback, output: r#"{"MessageId":"m"}"#.into() }, &mut tasks);
    let (error, cause) = (Some("E".into()), Some("why".into()));
    give(&mut execution, Input::TaskFailed { task: function, error, cause }, &mut tasks);
    (execution, history)
}

#[test]
fn version_1_stays_readable() {
    let (execution, history) = busy();
    let snapshot = fixture("snapshot-v1.hex", &[]).remove(0);
    let restored = Execution::restore(&snapshot, simulator::info(INPUT), execution.machine().clone());
    let restored = restored.expect("an old snapshot can be restored");
    assert_eq!(restored.snapshot(), execution.snapshot(), "it is the same position");
    assert_eq!(restored.open_effects(), execution.open_effects());

    let encoded = history.iter().map(HistoryEvent::encode).collect::<Vec<_>>();
    let events = fixture("events-v1.hex", &encoded);
    assert_eq!(encoded, events, "the format has changed without a new version");
    let decoded = events.iter().map(|bytes| HistoryEvent::decode(bytes).expect("an old event can be read"));
    assert_eq!(decoded.collect::<Vec<_>>(), history);
}

#[test]
fn version_2_stays_readable() {
    let machine = Arc::new(asl::parse(WITH_VARIABLES).expect("the machine is valid"));
    let mut execution = Execution::new(simulator::info(INPUT), machine.clone());
    let step = simulator::step(&mut execution, Input::Start, START, &Script { random: 1 << 63, ..Script::default() });
    let snapshot = fixture("snapshot-v2.hex", std::slice::from_ref(&execution.snapshot())).remove(0);
    assert_eq!(execution.snapshot(), snapshot, "the format has changed without a new version");
    let restored = Execution::restore(&snapshot, simulator::info(INPUT), machine).expect("it can be restored");
    assert_eq!(restored.snapshot(), snapshot);
    assert_eq!(restored.open_effects(), execution.open_effects());
    let encoded = step.history.iter().map(HistoryEvent::encode).collect::<Vec<_>>();
    assert_eq!(encoded, fixture("events-v2.hex", &encoded), "the format has changed without a new version");
}

/// The records in a fixture, one a line; a fixture that is not there yet is written.
fn fixture(name: &str, records: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let file: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name);
    if !file.exists() && std::env::var_os("UPDATE").is_some() {
        std::fs::write(&file, records.iter().map(|r| hex(r) + "\n").collect::<String>()).expect("write the fixture");
    }
    let text = std::fs::read_to_string(&file).expect("the fixture");
    text.lines().map(|line| bytes(line).expect("hexadecimal digits")).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes(hex: &str) -> Option<Vec<u8>> {
    (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(hex.get(i..i + 2)?, 16).ok()).collect()
}
