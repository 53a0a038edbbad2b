//! The official suite of JSONata, where `STEPWELL_JSONATA_SUITE` names the folder that holds it.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use asl::{Jsonata, JsonataEnv, JsonataError, JsonataLimits, Variables};
use base::Timestamp;
use serde_json::Value;

/// What one case came to: nothing, or what is wrong.
type Verdict = Result<(), String>;

#[test]
fn official_suite() {
    let Ok(folder) = std::env::var("STEPWELL_JSONATA_SUITE") else {
        eprintln!("skipped: STEPWELL_JSONATA_SUITE names no folder with the official JSONata suite");
        return;
    };
    // Cases go 500 levels deep, which is more than a test's thread has stack for without optimisation.
    let run = move || run(Path::new(&folder));
    std::thread::Builder::new().stack_size(64 << 20).spawn(run).expect("a thread").join().expect("the suite passes");
}

fn run(folder: &Path) {
    let read = |name: &str| {
        let text = std::fs::read_to_string(folder.join(name)).expect(name);
        // Half a surrogate pair is no text here.
        let text = text.replace("\\ud800", "\\ufffd");
        serde_json::from_str::<Value>(&text).expect(name)
    };
    let (cases, datasets) = (read("cases.json"), read("datasets.json"));
    let known = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/jsonata/known.txt");
    let known = std::fs::read_to_string(known).expect("known.txt");
    let known: BTreeSet<&str> = known.lines().filter_map(|line| line.split_whitespace().next()).collect();
    let known: BTreeSet<&str> = known.into_iter().filter(|name| !name.starts_with('#')).collect();
    let (mut failures, mut passed_known, mut failed) = (Vec::new(), Vec::new(), 0);
    let cases = cases.as_array().expect("an array of cases");
    for case in cases {
        let id = case["id"].as_str().expect("an id");
        let t = std::time::Instant::now();
        let v = verdict(case, &datasets);
        if t.elapsed().as_millis() > 500 {
            eprintln!("{id} {:?}", t.elapsed());
        }
        match (v, known.contains(id)) {
            (Err(_), true) => failed += 1,
            (Err(reason), false) => {
                failed += 1;
                failures.push(format!("{id}: {}\n    {reason}", case["expr"]));
            }
            (Ok(()), true) => passed_known.push(id),
            (Ok(()), false) => {}
        }
    }
    eprintln!("{} of {} cases of the official suite", cases.len() - failed, cases.len());
    assert!(failures.is_empty(), "{} cases fail:\n{}", failures.len(), failures.join("\n"));
    assert!(passed_known.is_empty(), "listed in known.txt, but pass: {passed_known:?}");
    assert!(failed * 100 <= cases.len(), "more than one in a hundred fail");
}

fn verdict(case: &Value, datasets: &Value) -> Verdict {
    let expected_code = case.get("code").or_else(|| case.get("error").and_then(|error| error.get("code")));
    let expected_code = expected_code.and_then(Value::as_str);
    match (evaluate(case, datasets), expected_code) {
        (Err(error), Some(code)) => {
            // The reference's own runner calls its bounds U1001.
            let found = if error.code.is_empty() { "U1001" } else { &*error.code };
            let message = case.get("error").and_then(|error| error.get("message")).and_then(Value::as_str);
            match found == code && message.is_none_or(|message| message == error.message) {
                true => Ok(()),
                false => Err(format!("expected {code}, got {error}")),
            }
        }
        (Err(error), None) => Err(format!("failed: {error}")),
        (Ok(value), Some(code)) => Err(format!("expected {code}, got {value:?}")),
        (Ok(value), None) => {
            let expected = case.get("result").cloned();
            match (&expected, &value) {
                (None, None) => Ok(()),
                (Some(expected), Some(value)) if same(expected, value, case.get("unordered").is_some()) => Ok(()),
                _ => Err(format!("expected {}, got {}", show(&expected), show(&value))),
            }
        }
    }
}

fn show(value: &Option<Value>) -> String {
    let mut text = value.as_ref().map_or("nothing".to_owned(), Value::to_string);
    text.truncate((0..=text.len().min(600)).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0));
    text
}

fn evaluate(case: &Value, datasets: &Value) -> Result<Option<Value>, JsonataError> {
    let expression = Jsonata::compile(case["expr"].as_str().expect("an expression"))?;
    let document = match case.get("dataset").and_then(Value::as_str) {
        Some(dataset) => Some(&datasets[dataset]),
        None => case.get("data"),
    };
    let mut variables = Variables::default();
    for (name, value) in case.get("bindings").and_then(Value::as_object).into_iter().flatten() {
        variables.assign(name.as_str().into(), Arc::new(value.clone()));
    }
    let mut random = 0;
    let limits = JsonataLimits {
        steps_max: 10_000_000,
        depth_max: case.get("depth").and_then(Value::as_u64).map_or(500, |depth| (depth as usize).max(50)),
        memory_bytes_max: 2 << 30,
        range_length_max: 10_000_000,
    };
    expression.evaluate_document(
        document,
        &mut JsonataEnv {
            states: None,
            variables: &variables,
            now: Timestamp::from_millis(1_700_000_000_123),
            random: &mut || {
                random += 0x1234_5678_9abc_def1;
                random
            },
            limits,
        },
    )
}

fn same(a: &Value, b: &Value, unordered: bool) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => {
            let (a, b) = (a.as_f64().expect("a double"), b.as_f64().expect("a double"));
            a == b || (a - b).abs() <= 1e-14 * a.abs()
        }
        (Value::Array(a), Value::Array(b)) if unordered => {
            a.len() == b.len() && a.iter().all(|a| b.iter().any(|b| same(a, b, false)))
        }
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b, false)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| same(a, b, false)))
        }
        _ => a == b,
    }
}
