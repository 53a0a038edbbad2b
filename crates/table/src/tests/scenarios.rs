//! Calls and their answers as data: `tests/data/operations/*.json`.

use serde::Deserialize;
use serde_json::Value;

use super::World;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Scenario {
    #[serde(rename = "about")]
    _about: String,
    steps: Vec<Step>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    call: String,
    input: Value,
    /// The whole answer; `"*"` stands for anything.
    #[serde(default)]
    output: Option<Value>,
    /// `Code: message`.
    #[serde(default)]
    error: Option<String>,
    /// Further members of the error.
    #[serde(default)]
    members: Option<Value>,
}

fn matches(wanted: &Value, found: &Value) -> bool {
    match (wanted, found) {
        (Value::String(any), _) if any == "*" => true,
        (Value::Object(w), Value::Object(f)) => {
            w.len() == f.len() && w.iter().all(|(k, v)| f.get(k).is_some_and(|found| matches(v, found)))
        }
        (Value::Array(w), Value::Array(f)) => w.len() == f.len() && w.iter().zip(f).all(|(w, f)| matches(w, f)),
        (Value::Number(w), Value::Number(f)) => w.as_f64() == f.as_f64(),
        _ => wanted == found,
    }
}

async fn run(text: &str) {
    let scenario: Scenario = serde_json::from_str(text).unwrap();
    let world = World::new().await;
    let mut failed = 0;
    for (at, step) in scenario.steps.iter().enumerate() {
        let answer = world.call(&step.call, step.input.clone()).await;
        let fits = match (&answer, &step.output, &step.error) {
            (Ok(found), Some(wanted), None) => matches(wanted, found),
            (Ok(_), None, None) => true,
            (Err(fault), None, Some(wanted)) => {
                let members = Value::Object((*fault.members).clone());
                fault.to_string() == *wanted && step.members.as_ref().is_none_or(|w| matches(w, &members))
            }
            _ => false,
        };
        if !fits {
            failed += 1;
            let found = answer.map_or_else(|f| format!("{f} {:?}", f.members), |v| v.to_string());
            println!("step {at}: {} {}\n  found {found}", step.call, step.input);
        }
    }
    assert_eq!(failed, 0);
}

macro_rules! scenarios {
    ($($name:ident),* $(,)?) => {
        $(#[tokio::test]
        async fn $name() {
            run(include_str!(concat!("../../tests/data/operations/", stringify!($name), ".json"))).await;
        })*
    };
}

scenarios!(tables, items, updates, queries, indexes, batches, transactions, settings, legacy);
