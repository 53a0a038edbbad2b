use std::sync::Arc;

use asl::{Jsonata, JsonataEnv, JsonataLimits, States, Variables};
use base::Timestamp;
use serde_json::{Value, json};

fn evaluate(text: &str, input: &Value) -> Result<Option<Value>, String> {
    let expression = Jsonata::parse(text).map_err(|e| e.to_string())?;
    let mut variables = Variables::default();
    variables.assign("answer".into(), Arc::new(json!(42)));
    let mut env = JsonataEnv {
        states: Some(States { input, context: &Value::Null, result: None, error_output: None }),
        variables: &variables,
        now: Timestamp::from_millis(0),
        random: &mut || 7,
        limits: JsonataLimits::default(),
    };
    expression.evaluate(&mut env).map_err(|e| e.to_string())
}

#[test]
fn reads_states_and_variables() {
    let input = json!({ "a": [{ "b": 1 }, { "b": 2.5 }] });
    assert_eq!(evaluate("$states.input.a.b", &input), Ok(Some(json!([1, 2.5]))));
    assert_eq!(evaluate("$sum($states.input.a.b) + $answer", &input), Ok(Some(json!(45.5))));
    assert_eq!(evaluate("$states.input.x", &input), Ok(None));
    assert_eq!(evaluate("$now()", &input), Ok(Some(json!("1970-01-01T00:00:00.000Z"))));
}

#[test]
fn is_shared_between_threads() {
    fn check<T: Send + Sync + Clone + PartialEq + std::fmt::Debug>(_: &T) {}
    let expression = Arc::new(Jsonata::parse("1 + 1").expect("an expression"));
    check(&*expression);
}

#[test]
fn tells_what_it_reads() {
    let expression = Jsonata::parse("$states.errorOutput.Cause & ($x := 1; $x + $y)").expect("an expression");
    let found: Vec<_> = expression.variables().iter().map(|v| (&*v.name, v.member.as_deref(), v.offset)).collect();
    assert_eq!(found, [("states", Some("errorOutput"), 0), ("y", None, 43)]);
}
