//! Any text is a JSONata expression or is refused; any expression ends, within its bounds, with a value or an error.
#![no_main]

use asl::{Jsonata, JsonataEnv, JsonataLimits, NO_VARIABLES, States};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|data: &[u8]| {
    let mut texts = fuzz::texts(data);
    let Some(expression) = texts.next().and_then(|text| Jsonata::parse(text).ok()) else { return };
    let input = texts.next().and_then(|text| serde_json::from_str(text).ok());
    let input: Value = input.unwrap_or_else(|| serde_json::json!({"a": [1, {"b": "x"}, "y", 2.5], "c": {"d": null}}));
    let mut state = 1;
    let mut random = || fuzz::random(&mut state);
    let limits = JsonataLimits { steps_max: 100_000, ..JsonataLimits::default() };
    let _ = expression.evaluate(&mut JsonataEnv {
        states: Some(States { input: &input, context: &Value::Null, result: Some(&input), error_output: None }),
        variables: &NO_VARIABLES,
        now: base::Timestamp::from_millis(0),
        random: &mut random,
        limits,
    });
});
