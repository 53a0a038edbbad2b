use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::MockConfig;
use crate::testing::{World, echo, fresh, function};

const MOCKS: &str = r#"{
    "StateMachines": {"m": {"TestCases": {
        "Retried": {"L": "FailsTwice", "Q": "Sent"}, "Callback": {"T": "Sent"}, "Short": {"L": "Once"}, "Real": {}}}},
    "MockedResponses": {
        "FailsTwice": {"0-1": {"Throw": {"Error": "Busy", "Cause": "c"}}, "2": {"Return": {"n": 2}}},
        "Once": {"0": {"Throw": {"Error": "Busy"}}},
        "Sent": {"0": {"Return": {"MessageId": "mocked"}}}}}"#;

fn definition() -> Value {
    json!({"StartAt": "L", "States": {
        "L": {"Type": "Task", "Resource": function("real"), "Next": "Q",
            "Retry": [{"ErrorEquals": ["Busy"], "IntervalSeconds": 1, "MaxDelaySeconds": 2, "JitterStrategy": "FULL"}]},
        "Q": {"Type": "Task", "Resource": "arn:aws:states:::sqs:sendMessage", "Parameters": {"QueueUrl": "q", "MessageBody": "b"}, "Next": "T"},
        "T": {"Type": "Task", "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken",
            "Parameters": {"QueueUrl": "q", "MessageBody": {"t.$": "$$.Task.Token"}}, "End": true}}})
}

async fn mocked_world() -> (World, String) {
    let w = fresh(BTreeMap::from([("real", echo as fn(&Value) -> _)])).await;
    w.engine.mock(MockConfig::parse(MOCKS).unwrap());
    let machine = w.create("m", "STANDARD", &definition()).await;
    (w, machine)
}

#[tokio::test]
async fn a_test_case_answers_for_its_states_by_invocation() {
    let (w, machine) = mocked_world().await;
    let execution = w.start(&format!("{machine}#Retried"), "e", &json!({})).await.unwrap();
    let exited = loop {
        let events = w.events(&execution).await;
        match events.iter().find(|e| e["stateExitedEventDetails"]["name"] == "Q") {
            Some(exited) => break exited.clone(),
            None => tokio::task::yield_now().await,
        }
    };
    assert_eq!(exited["stateExitedEventDetails"]["output"], r#"{"MessageId":"mocked"}"#);
    let types = w.history(&execution).await;
    let count = |kind: &str| types.iter().filter(|t| *t == kind).count();
    assert_eq!((count("LambdaFunctionFailed"), count("LambdaFunctionSucceeded"), w.calls("real")), (2, 1, 0));
    w.call("StopExecution", json!({"executionArn": execution})).await.unwrap();
    assert_eq!(w.ended(&execution).await["stateMachineArn"], machine.as_str());
}

#[tokio::test]
async fn callbacks_are_answered_and_other_states_run() {
    let (w, machine) = mocked_world().await;
    let execution = w.start(&format!("{machine}#Callback"), "e", &json!({"x": 1})).await.unwrap();
    let end = w.ended(&execution).await;
    assert_eq!((&end["status"], w.calls("real")), (&json!("SUCCEEDED"), 1));
    let types = w.history(&execution).await;
    let last =
        ["TaskScheduled", "TaskStarted", "TaskSubmitted", "TaskSucceeded", "TaskStateExited", "ExecutionSucceeded"];
    assert_eq!(types[types.len() - 6..], last);
}

#[tokio::test]
async fn what_is_not_mocked_is_an_error() {
    let (w, machine) = mocked_world().await;
    let short = w.ended(&w.start(&format!("{machine}#Short"), "e", &json!({})).await.unwrap()).await;
    assert_eq!(short["error"], "States.Runtime");
    let unknown = w.start(&format!("{machine}#Unknown"), "f", &json!({})).await.unwrap_err();
    assert_eq!(unknown.code, "ValidationException");
    let w = fresh(BTreeMap::new()).await;
    let machine = w.create("m", "STANDARD", &definition()).await;
    assert_eq!(w.start(&format!("{machine}#Real"), "f", &json!({})).await.unwrap_err().code, "ValidationException");
}

#[tokio::test]
async fn changes_of_the_status_are_told() {
    let w = fresh(BTreeMap::new()).await;
    let fail = json!({"StartAt": "F", "States": {"F": {"Type": "Fail", "Error": "E", "Cause": "C"}}});
    let machine = w.create("m", "STANDARD", &fail).await;
    let express = w.create("x", "EXPRESS", &fail).await;
    w.start(&express, "e", &json!({})).await.unwrap();
    let execution = w.start(&machine, "e", &json!({"a": 1})).await.unwrap();
    let told = w.announced.lock().unwrap().clone();
    assert!(told.iter().all(|t| t.execution_arn == execution));
    let (started, ended) = (&told[0].detail, &told[1].detail);
    let expected = json!({"executionArn": execution, "stateMachineArn": machine, "name": "e", "status": "RUNNING",
        "startDate": started["startDate"], "stopDate": null, "input": "{\"a\":1}", "inputDetails": {"included": true},
        "output": null, "outputDetails": null, "error": null, "cause": null, "stateMachineVersionArn": null,
        "stateMachineAliasArn": null, "redriveCount": 0, "redriveDate": null, "redriveStatus": "NOT_REDRIVABLE",
        "redriveStatusReason": "Execution is RUNNING and cannot be redriven"});
    assert_eq!(*started, expected);
    assert_eq!((&ended["status"], &ended["error"], &ended["cause"]), (&json!("FAILED"), &json!("E"), &json!("C")));
    assert!(ended["stopDate"].as_i64() >= started["startDate"].as_i64());
    w.start(&machine, "large", &json!("\"".repeat(130_000))).await.unwrap();
    let told = w.announced.lock().unwrap().clone();
    assert_eq!(
        (&told[2].detail["input"], &told[2].detail["inputDetails"]),
        (&json!(null), &json!({"included": false}))
    );
}
