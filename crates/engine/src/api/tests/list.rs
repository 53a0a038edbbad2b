use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use crate::Options;
use crate::testing::{World, fresh, fresh_at, function, one_task};

fn choose() -> Value {
    json!({"StartAt": "C", "States": {
        "C": {"Type": "Choice", "Choices": [
            {"Variable": "$", "StringEquals": "fail", "Next": "F"}, {"Variable": "$", "StringEquals": "wait", "Next": "W"}], "Default": "S"},
        "F": {"Type": "Fail"}, "S": {"Type": "Succeed"}, "W": {"Type": "Wait", "Seconds": 1000, "End": true}}})
}

fn names(listed: &Value) -> Vec<&str> {
    listed["executions"].as_array().unwrap().iter().map(|e| e["name"].as_str().unwrap()).collect()
}

async fn list(w: &World, machine: &str, more: Value) -> Value {
    let mut input = json!({"stateMachineArn": machine});
    input.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    w.call("ListExecutions", input).await.unwrap()
}

#[tokio::test]
async fn executions_are_found_by_status_the_last_first() {
    let (w, clock) = fresh_at(BTreeMap::new(), Options::default()).await;
    let machine = w.create("m", "STANDARD", &choose()).await;
    let mut waiting = Vec::new();
    for (n, kind) in ["wait", "fail", "wait", "end", "fail"].iter().enumerate() {
        clock.advance(Duration::from_secs(1));
        let execution = w.start(&machine, &format!("{kind}{n}"), &json!(kind)).await.unwrap();
        waiting.extend((*kind == "wait").then_some(execution));
    }
    assert_eq!(names(&list(&w, &machine, json!({})).await), ["fail4", "end3", "wait2", "fail1", "wait0"]);
    assert_eq!(names(&list(&w, &machine, json!({"statusFilter": "FAILED"})).await), ["fail4", "fail1"]);
    assert_eq!(names(&list(&w, &machine, json!({"statusFilter": "RUNNING"})).await), ["wait2", "wait0"]);
    // Of those that ended, the last that did comes first.
    for execution in waiting.iter().rev() {
        clock.advance(Duration::from_secs(1));
        w.call("StopExecution", json!({"executionArn": execution})).await.unwrap();
    }
    assert_eq!(names(&list(&w, &machine, json!({"statusFilter": "ABORTED"})).await), ["wait0", "wait2"]);
    assert_eq!(names(&list(&w, &machine, json!({"statusFilter": "RUNNING"})).await), Vec::<&str>::new());
    assert_eq!(names(&list(&w, &machine, json!({})).await), ["fail4", "end3", "wait2", "fail1", "wait0"]);
    let status = w.store.scan(&store::Range::prefix(store::Key::new("execution-status").as_bytes())).unwrap();
    assert_eq!(status.len(), 5);
}

#[tokio::test]
async fn executions_are_paged() {
    let (w, clock) = fresh_at(BTreeMap::new(), Options::default()).await;
    let machine = w.create("m", "STANDARD", &choose()).await;
    for n in 0..13 {
        clock.advance(Duration::from_secs(1));
        w.start(&machine, &format!("e{n}"), &json!("end")).await.unwrap();
    }
    for filter in [Value::Null, json!("SUCCEEDED")] {
        let (mut seen, mut token) = (Vec::new(), Value::Null);
        loop {
            let page = list(&w, &machine, json!({"maxResults": 5, "statusFilter": filter, "nextToken": token})).await;
            seen.extend(names(&page).into_iter().map(str::to_owned));
            match page.get("nextToken") {
                None => break,
                Some(next) => token = next.clone(),
            }
        }
        assert_eq!(seen, (0..13).rev().map(|n| format!("e{n}")).collect::<Vec<_>>());
        let other = json!({"stateMachineArn": machine, "statusFilter": "FAILED", "nextToken": token});
        assert_eq!(w.call("ListExecutions", other).await.unwrap_err().code, "InvalidToken");
    }
    assert_eq!(list(&w, &machine, json!({"maxResults": 13})).await.get("nextToken"), None);
}

#[tokio::test]
async fn what_cannot_be_listed() {
    let w = fresh(BTreeMap::new()).await;
    let machine = w.create("m", "STANDARD", &one_task(&function("never"), &json!({}))).await;
    let express = w.create("x", "EXPRESS", &one_task(&function("never"), &json!({}))).await;
    let run = "arn:aws:states:us-east-1:000000000000:mapRun:m/label:id";
    let cases = [
        (json!({}), "ValidationException"),
        (json!({"stateMachineArn": machine, "mapRunArn": run}), "ValidationException"),
        (json!({"stateMachineArn": machine, "redriveFilter": "REDRIVEN"}), "ValidationException"),
        (json!({"stateMachineArn": machine, "statusFilter": "PENDING_REDRIVE"}), "ValidationException"),
        (json!({"stateMachineArn": machine, "maxResults": 1001}), "ValidationException"),
        (json!({"stateMachineArn": format!("{machine}:1")}), "StateMachineDoesNotExist"),
        (json!({"stateMachineArn": express}), "StateMachineTypeNotSupported"),
        (json!({"stateMachineArn": "m"}), "InvalidArn"),
    ];
    for (input, code) in cases {
        assert_eq!(w.call("ListExecutions", input.clone()).await.unwrap_err().code, code, "{input}");
    }
}
