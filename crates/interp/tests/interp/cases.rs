//! Every `*.json` below `tests/cases`, run twice: straight through, and stored and restored before every step.
//!
//! `UPDATE=1 cargo test -p interp` writes what came out into the files; read the difference before you keep it.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Value, json};

use crate::simulator::{self, START, Trace};

const CASES_MIN: usize = 60;

#[test]
fn cases() {
    let mut files = Vec::new();
    find(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases"), &mut files);
    files.sort();
    assert!(files.len() >= CASES_MIN, "{} cases", files.len());
    let update = std::env::var_os("UPDATE").is_some();
    let mut wrong = Vec::new();
    for file in files {
        if let Err(problem) = check(&file, update) {
            wrong.push(format!("{}: {problem}", file.display()));
        }
    }
    assert!(wrong.is_empty(), "{} cases differ (UPDATE=1 rewrites):\n{}", wrong.len(), wrong.join("\n"));
}

fn find(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder of cases") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            find(&path, files);
        } else if path.extension().is_some_and(|e| e == "json") {
            files.push(path);
        }
    }
}

fn check(file: &Path, update: bool) -> Result<(), String> {
    let text = std::fs::read_to_string(file).map_err(|e| e.to_string())?;
    let mut case: Value = serde_json::from_str(&text).map_err(|e| e.to_string())?;
    let machine = asl::parse(&case["definition"].to_string()).map_err(|e| e.to_string())?;
    let machine = Arc::new(machine);
    let input = match &case["input_text"] {
        Value::String(text) => text.clone(),
        _ => case.get("input").cloned().unwrap_or(json!({})).to_string(),
    };
    let script = simulator::script(&case);
    let straight = simulator::run(&machine, &input, &script, false);
    let crashing = simulator::run(&machine, &input, &script, true);
    if straight != crashing {
        return Err(format!("a crash changes what happens:\n{straight:#?}\n{crashing:#?}"));
    }
    let got = expectation(&straight, case["history_tail"].as_u64());
    if case.get("expected") == Some(&got) {
        return Ok(());
    }
    if !update {
        return Err(format!("got {}", lines(&got)));
    }
    case["expected"] = got;
    std::fs::write(file, lines(&case)).map_err(|e| e.to_string())
}

/// What a case expects; times are seconds after the start.
fn expectation(trace: &Trace, history_tail: Option<u64>) -> Value {
    let mut expected = serde_json::Map::new();
    expected.insert("status".into(), trace.outcome.as_ref().map_or("RUNNING", |o| o.status.as_str()).into());
    if let Some(outcome) = &trace.outcome {
        for (name, text) in [("output", &outcome.output), ("error", &outcome.error), ("cause", &outcome.cause)] {
            if let Some(text) = text {
                expected.insert(name.into(), (**text).into());
            }
        }
    }
    let skip = history_tail.map_or(0, |tail| trace.history.len().saturating_sub(tail as usize));
    let history = trace.history.iter().skip(skip).map(|event| {
        let mut json = event.to_json(true);
        json["timestamp"] = (event.timestamp.since(START).as_millis() as f64 / 1000.0).into();
        json
    });
    expected.insert("history".into(), history.collect());
    if history_tail.is_none() {
        expected.insert("effects".into(), trace.effects.iter().cloned().collect());
    }
    Value::Object(expected)
}

/// JSON with one history event, effect or state a line.
fn lines(value: &Value) -> String {
    let mut text = String::new();
    write_lines(value, 0, &mut text);
    text.push('\n');
    text
}

fn write_lines(value: &Value, indent: usize, text: &mut String) {
    const WIDTH: usize = 110;
    let compact = value.to_string();
    let is_event = value.get("previousEventId").is_some();
    if is_event || indent + compact.len() <= WIDTH || !(value.is_object() || value.is_array()) {
        text.push_str(&compact);
        return;
    }
    let pad = " ".repeat(indent + 2);
    let (open, close) = if value.is_object() { ('{', '}') } else { ('[', ']') };
    text.push(open);
    let mut separator = "\n";
    let mut member = |name: Option<&str>, value: &Value, text: &mut String| {
        text.push_str(separator);
        separator = ",\n";
        text.push_str(&pad);
        if let Some(name) = name {
            write!(text, "{}: ", Value::from(name)).expect("writing to a string");
        }
        write_lines(value, indent + 2, text);
    };
    match value {
        Value::Object(members) => members.iter().for_each(|(name, value)| member(Some(name), value, text)),
        Value::Array(items) => items.iter().for_each(|value| member(None, value, text)),
        _ => unreachable!("scalars are written above"),
    }
    write!(text, "\n{}{close}", " ".repeat(indent)).expect("writing to a string");
}
