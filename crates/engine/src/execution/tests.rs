//! The engine over the memory store, with functions that are closures.

mod faults;
mod format;
mod http_invoke;
mod integrations;
mod sweep;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use base::Scope;
use bytes::Bytes;
use serde_json::{Value, json};
use service::Call;
use store::{MemoryStore, Store};

use crate::testing::{Functions, Table, World, echo, fresh, function, one_task, world};

#[tokio::test]
async fn a_task_runs_and_its_history_is_stored() {
    let w = fresh(BTreeMap::from([("echo", echo as fn(&Value) -> _)])).await;
    let machine = w.create("m", "STANDARD", &one_task(&function("echo"), &json!({"a.$": "$.x"}))).await;
    let execution = w.start(&machine, "e", &json!({"x": 7})).await.unwrap();
    let end = w.ended(&execution).await;
    assert_eq!((end["status"].as_str(), end["output"].as_str()), (Some("SUCCEEDED"), Some(r#"{"a":7}"#)));
    let types = [
        "ExecutionStarted",
        "TaskStateEntered",
        "LambdaFunctionScheduled",
        "LambdaFunctionStarted",
        "LambdaFunctionSucceeded",
        "TaskStateExited",
        "ExecutionSucceeded",
    ];
    assert_eq!(w.history(&execution).await, types);
    let page = |input: Value| w.call("GetExecutionHistory", input);
    let first = page(json!({"executionArn": execution, "maxResults": 3, "reverseOrder": true})).await.unwrap();
    assert_eq!(first["events"][0]["id"], 7);
    let second =
        json!({"executionArn": execution, "maxResults": 3, "reverseOrder": true, "nextToken": first["nextToken"]});
    let second = page(second).await.unwrap();
    assert_eq!(
        second["events"].as_array().unwrap().iter().map(|e| e["id"].as_u64().unwrap()).collect::<Vec<_>>(),
        [4, 3, 2]
    );
}

#[tokio::test]
async fn a_name_is_taken_once() {
    let w = fresh(BTreeMap::new()).await;
    let machine = w.create("m", "STANDARD", &one_task(&function("never"), &json!({}))).await;
    let first = w.start(&machine, "e", &json!({"x": 1})).await.unwrap();
    assert_eq!(w.start(&machine, "e", &json!({"x": 1})).await.unwrap(), first);
    assert_eq!(w.start(&machine, "e", &json!({"x": 2})).await.unwrap_err().code, "ExecutionAlreadyExists");
    w.call("StopExecution", json!({"executionArn": first, "error": "E", "cause": "C"})).await.unwrap();
    assert_eq!(w.ended(&first).await["status"], "ABORTED");
    assert_eq!(w.start(&machine, "e", &json!({"x": 1})).await.unwrap_err().code, "ExecutionAlreadyExists");
    let listed =
        w.call("ListExecutions", json!({"stateMachineArn": machine, "statusFilter": "ABORTED"})).await.unwrap();
    assert_eq!(listed["executions"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn executions_go_on_after_a_restart() {
    let w = fresh(BTreeMap::new()).await;
    let machine = w.create("m", "STANDARD", &one_task(&function("work"), &json!({"a": 1}))).await;
    let mut executions = Vec::new();
    for n in 0..20 {
        executions.push(w.start(&machine, &format!("e{n}"), &json!({})).await.unwrap());
    }
    while w.calls("work") < 20 {
        tokio::task::yield_now().await;
    }
    let w = w.restart(BTreeMap::from([("work", echo as fn(&Value) -> _)])).await;
    for execution in &executions {
        assert_eq!(w.ended(execution).await["output"], r#"{"a":1}"#);
        assert_eq!(w.history(execution).await.len(), 7);
    }
    assert_eq!(w.calls("work"), 20);
}

#[tokio::test]
async fn a_token_from_before_a_restart_still_works() {
    let definition = one_task(
        "arn:aws:states:::sqs:sendMessage.waitForTaskToken",
        &json!({"QueueUrl": "q", "MessageBody": {"token.$": "$$.Task.Token"}}),
    );
    let w = fresh(BTreeMap::new()).await;
    let machine = w.create("m", "STANDARD", &definition).await;
    let execution = w.start(&machine, "e", &json!({})).await.unwrap();
    let token = loop {
        let history = w.call("GetExecutionHistory", json!({"executionArn": execution})).await.unwrap();
        let submitted = history["events"].as_array().unwrap().iter().find(|e| e["type"] == "TaskSubmitted").cloned();
        let Some(submitted) = submitted else {
            tokio::task::yield_now().await;
            continue;
        };
        let output = submitted["taskSubmittedEventDetails"]["output"].as_str().unwrap();
        let body = serde_json::from_str::<Value>(output).unwrap()["Body"].as_str().unwrap().to_owned();
        break serde_json::from_str::<Value>(&body).unwrap()["token"].as_str().unwrap().to_owned();
    };
    let w = w.restart(BTreeMap::new()).await;
    let bad = w.call("SendTaskSuccess", json!({"taskToken": "made-up", "output": "1"})).await.unwrap_err();
    assert_eq!(bad.code, "InvalidToken");
    w.call("SendTaskSuccess", json!({"taskToken": token, "output": "{\"ok\":true}"})).await.unwrap();
    assert_eq!(w.ended(&execution).await["output"], r#"{"ok":true}"#);
    let again = w.call("SendTaskSuccess", json!({"taskToken": token, "output": "2"})).await.unwrap_err();
    assert_eq!(again.code, "TaskTimedOut");
}

#[tokio::test]
async fn integrations_fail_as_aws_words_it() {
    let w = fresh(BTreeMap::new()).await;
    let send =
        one_task("arn:aws:states:::sqs:sendMessage", &json!({"QueueUrl": "http://h/1/gone", "MessageBody": "x"}));
    let machine = w.create("m", "STANDARD", &send).await;
    let end = w.ended(&w.start(&machine, "e", &json!({})).await.unwrap()).await;
    assert_eq!(
        (end["status"].as_str(), end["error"].as_str()),
        (Some("FAILED"), Some("SQS.QueueDoesNotExistException"))
    );
    let job = json!({"JobName": "j", "JobQueue": "q", "JobDefinition": "d"});
    let unknown = one_task("arn:aws:states:::batch:submitJob", &job);
    let input = json!({"name": "u", "definition": unknown.to_string(), "roleArn": "arn:aws:iam::000000000000:role/r"});
    let refused = w.call("CreateStateMachine", input).await.unwrap_err();
    assert_eq!(refused.code, "InvalidDefinition");
    assert!(refused.message.contains("batch"), "{}", refused.message);
}

#[tokio::test]
async fn children_are_waited_for_and_stopped() {
    let w = fresh(BTreeMap::from([("echo", echo as fn(&Value) -> _)])).await;
    let child = w.create("child", "STANDARD", &one_task(&function("echo"), &json!({"n": 1}))).await;
    let parent = |pattern: &str| {
        one_task(
            &format!("arn:aws:states:::states:startExecution{pattern}"),
            &json!({"StateMachineArn": child, "Input": {"a": 1}}),
        )
    };
    let sync = w.create("sync", "STANDARD", &parent(".sync:2")).await;
    let end = w.ended(&w.start(&sync, "e", &json!({})).await.unwrap()).await;
    let output: Value = serde_json::from_str(end["output"].as_str().unwrap()).unwrap();
    assert_eq!((&output["Status"], &output["Output"]), (&json!("SUCCEEDED"), &json!({"n": 1})));
    let stuck = w.create("stuck", "STANDARD", &one_task(&function("never"), &json!({}))).await;
    let waits = one_task("arn:aws:states:::states:startExecution.sync", &json!({"StateMachineArn": stuck}));
    let waits = w.create("waits", "STANDARD", &waits).await;
    let execution = w.start(&waits, "e", &json!({})).await.unwrap();
    while w.calls("never") == 0 {
        tokio::task::yield_now().await;
    }
    w.call("StopExecution", json!({"executionArn": execution})).await.unwrap();
    let children = w.call("ListExecutions", json!({"stateMachineArn": stuck})).await.unwrap();
    let child = children["executions"][0]["executionArn"].as_str().unwrap().to_owned();
    assert_eq!(w.ended(&child).await["status"], "ABORTED");
}

#[tokio::test]
async fn activities_are_polled() {
    let w = fresh(BTreeMap::new()).await;
    let arn = w.call("CreateActivity", json!({"name": "a"})).await.unwrap()["activityArn"].as_str().unwrap().to_owned();
    let machine = w.create("m", "STANDARD", &one_task(&arn, &json!({"n": 3}))).await;
    assert_eq!(w.call("GetActivityTask", json!({"activityArn": arn})).await.unwrap(), json!({}));
    let execution = w.start(&machine, "e", &json!({})).await.unwrap();
    let task = loop {
        let task = w.call("GetActivityTask", json!({"activityArn": arn, "workerName": "w"})).await.unwrap();
        if task.get("taskToken").is_some() {
            break task;
        }
    };
    assert_eq!(task["input"], r#"{"n":3}"#);
    w.call("SendTaskHeartbeat", json!({"taskToken": task["taskToken"]})).await.unwrap();
    w.call("SendTaskFailure", json!({"taskToken": task["taskToken"], "error": "E", "cause": "C"})).await.unwrap();
    let end = w.ended(&execution).await;
    assert_eq!((&end["status"], &end["error"], &end["cause"]), (&json!("FAILED"), &json!("E"), &json!("C")));
    let closed = w.call("SendTaskHeartbeat", json!({"taskToken": task["taskToken"]})).await.unwrap_err();
    assert_eq!(closed.code, "TaskTimedOut");
}

#[tokio::test]
async fn express_executions() {
    let w = fresh(BTreeMap::from([("echo", echo as fn(&Value) -> _)])).await;
    let machine = w.create("x", "EXPRESS", &one_task(&function("echo"), &json!({"n": 3}))).await;
    let answer = w.call("StartSyncExecution", json!({"stateMachineArn": machine, "input": "{}"})).await.unwrap();
    assert_eq!((&answer["status"], &answer["output"]), (&json!("SUCCEEDED"), &json!(r#"{"n":3}"#)));
    let never = w.create("n", "EXPRESS", &one_task(&function("later"), &json!({"n": 4}))).await;
    w.start(&never, "e", &json!({})).await.unwrap();
    while w.calls("later") == 0 {
        tokio::task::yield_now().await;
    }
    // The start was acknowledged, so it runs again after a crash.
    let w = w.restart(BTreeMap::from([("later", echo as fn(&Value) -> _)])).await;
    while w.calls("later") == 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn timers_fire_and_loops_end() {
    let w = fresh(BTreeMap::new()).await;
    let wait = json!({"StartAt": "W", "States": {
        "W": {"Type": "Wait", "Seconds": 0, "Next": "D"},
        "D": {"Type": "Pass", "Result": {"n": 0}, "Next": "C"},
        "C": {"Type": "Choice", "Choices": [{"Variable": "$.n", "NumericGreaterThanEquals": 600, "Next": "S"}], "Default": "A"},
        "A": {"Type": "Pass", "Parameters": {"n.$": "States.MathAdd($.n, 1)"}, "Next": "C"},
        "S": {"Type": "Succeed"}}});
    let machine = w.create("m", "STANDARD", &wait).await;
    let end = w.ended(&w.start(&machine, "e", &json!({})).await.unwrap()).await;
    assert_eq!((&end["status"], &end["output"]), (&json!("SUCCEEDED"), &json!(r#"{"n":600}"#)));
}
