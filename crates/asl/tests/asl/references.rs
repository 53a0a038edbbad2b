//! `variableReferences` of DescribeStateMachine.

use serde_json::{Value, json};

fn references(definition: &Value) -> Value {
    let machine = asl::parse(&definition.to_string()).expect("a valid definition");
    let found = machine.variable_references();
    found
        .into_iter()
        .map(|(state, names)| (state.to_owned(), names.iter().map(|name| &**name).collect::<Value>()))
        .collect()
}

#[test]
fn states_that_read_variables_are_told_with_what_they_read() {
    let inner = json!({ "StartAt": "Summate", "States": {
        "Summate": { "Type": "Pass", "Assign": { "sum.$": "States.MathAdd(States.MathAdd($b, $a), $bias.x)" }, "End": true }
    } });
    let machine = json!({ "StartAt": "Setup", "States": {
        "Setup": { "Type": "Pass", "Parameters": { "a": "$a" }, "Assign": { "a": 1, "b": 2, "bias": 3 }, "Next": "Check" },
        "Check": {
            "Type": "Choice",
            "Choices": [{ "Variable": "$guess", "StringEqualsPath": "$answer", "Next": "Each" }],
            "Default": "Each"
        },
        "Each": { "Type": "Map", "ItemProcessor": inner, "MaxConcurrencyPath": "$b", "Next": "Last" },
        "Last": { "Type": "Pass", "QueryLanguage": "JSONata", "Output": "{% $a + $states.input + ($l := $b; $l) %}", "End": true }
    } });
    let wanted =
        json!({ "Check": ["answer", "guess"], "Each": ["b"], "Last": ["a", "b"], "Summate": ["a", "b", "bias"] });
    assert_eq!(references(&machine), wanted);
    assert_eq!(references(&json!({ "StartAt": "A", "States": { "A": { "Type": "Succeed" } } })), json!({}));
}
