use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use interp::Limits;
use serde_json::{Value, json};
use service::Fault;

use crate::Options;
use crate::testing::{World, echo, fresh, fresh_at, function, one_task};

async fn redrive(w: &World, execution: &str, token: &str) -> Result<Value, Fault> {
    w.call("RedriveExecution", json!({"executionArn": execution, "clientToken": token})).await
}

fn broken(_: &Value) -> Result<Value, Value> {
    Err(json!({"errorType": "Broken", "errorMessage": "m"}))
}

fn fail() -> Value {
    json!({"StartAt": "F", "States": {"F": {"Type": "Fail", "Error": "E", "Cause": "C"}}})
}

#[tokio::test]
async fn an_execution_goes_on_where_it_failed() {
    static CALLS: AtomicUsize = AtomicUsize::new(0);
    fn flaky(input: &Value) -> Result<Value, Value> {
        if CALLS.fetch_add(1, Ordering::SeqCst) < 2 { broken(input) } else { Ok(json!("done")) }
    }
    let w = fresh(BTreeMap::from([("once", echo as fn(&Value) -> _), ("flaky", flaky)])).await;
    let mut definition = one_task(&function("once"), &json!({"a": 1}));
    definition["States"]["T"] = json!({"Type": "Task", "Resource": function("once"), "Next": "U"});
    definition["States"]["U"] = json!({"Type": "Task", "Resource": function("flaky"), "End": true});
    let machine = w.create("m", "STANDARD", &definition).await;
    let execution = w.start(&machine, "e", &json!({})).await.unwrap();
    let failed = w.ended(&execution).await;
    assert_eq!((&failed["status"], &failed["redriveStatus"]), (&json!("FAILED"), &json!("REDRIVABLE")));
    assert_eq!((failed.get("redriveStatusReason"), failed.get("redriveDate")), (None, None));

    // What is kept survives a restart, and so does what was redriven.
    let w = w.restart(BTreeMap::from([("once", echo as fn(&Value) -> _), ("flaky", flaky)])).await;
    let first = redrive(&w, &execution, "t1").await.unwrap();
    assert_eq!(redrive(&w, &execution, "t1").await.unwrap(), first);
    let failed = w.ended(&execution).await;
    assert_eq!((&failed["status"], &failed["redriveCount"]), (&json!("FAILED"), &json!(1)));
    assert_eq!(failed["redriveDate"], first["redriveDate"]);
    redrive(&w, &execution, "t2").await.unwrap();
    let done = w.ended(&execution).await;
    assert_eq!((&done["output"], &done["redriveCount"], done.get("error")), (&json!("\"done\""), &json!(2), None));
    assert_eq!(done["redriveStatusReason"], "Execution is SUCCEEDED and cannot be redriven");
    assert_eq!(w.calls("once"), 0);

    let events = w.events(&execution).await;
    assert!(events.iter().enumerate().all(|(n, e)| e["id"] == n + 1));
    let redriven: Vec<_> = events.iter().filter(|e| e["type"] == "ExecutionRedriven").collect();
    assert_eq!(redriven[1]["executionRedrivenEventDetails"], json!({"redriveCount": 2}));
    let listed =
        w.call("ListExecutions", json!({"stateMachineArn": machine, "statusFilter": "SUCCEEDED"})).await.unwrap();
    assert_eq!(listed["executions"][0]["redriveCount"], 2);
    for space in ["execution-halted", "execution-halted-at", "execution-run"] {
        assert!(w.store.scan(&store::Range::prefix(store::Key::new(space).as_bytes())).unwrap().is_empty(), "{space}");
    }
    let statuses = w.store.scan(&store::Range::prefix(store::Key::new("execution-status").as_bytes())).unwrap();
    assert_eq!(statuses.len(), 1);
}

#[tokio::test]
async fn a_redriven_execution_goes_on_after_a_restart() {
    let w = fresh(BTreeMap::from([("f", broken as fn(&Value) -> _)])).await;
    let machine =
        w.create("m", "STANDARD", &one_task(&function("f"), &json!({"n.$": "$$.Execution.RedriveCount"}))).await;
    let execution = w.start(&machine, "e", &json!({})).await.unwrap();
    w.ended(&execution).await;
    let w = w.restart(BTreeMap::new()).await;
    redrive(&w, &execution, "t").await.unwrap();
    let running =
        w.call("ListExecutions", json!({"stateMachineArn": machine, "statusFilter": "RUNNING"})).await.unwrap();
    assert_eq!(running["executions"][0]["redriveCount"], 1);
    assert_eq!(redrive(&w, &execution, "u").await.unwrap_err().message, "Execution is RUNNING and cannot be redriven");
    let w = w.restart(BTreeMap::from([("f", echo as fn(&Value) -> _)])).await;
    let end = w.ended(&execution).await;
    assert_eq!((&end["output"], &end["redriveCount"]), (&json!("{\"n\":1}"), &json!(1)));
}

#[tokio::test]
async fn what_cannot_be_redriven() {
    let limits = Limits { history_events_max: 20, ..Limits::STANDARD };
    let (w, clock) = fresh_at(BTreeMap::new(), Options { standard_limits: limits, ..Options::default() }).await;
    let refused = |execution: String| {
        let w = &w;
        async move {
            let described = w.call("DescribeExecution", json!({"executionArn": execution})).await.unwrap();
            let fault = redrive(w, &execution, "t").await.unwrap_err();
            assert_eq!(fault.code, "ExecutionNotRedrivable");
            assert_eq!(described["redriveStatusReason"], fault.message.as_str());
            fault.message
        }
    };
    let pass = json!({"StartAt": "P", "States": {"P": {"Type": "Pass", "End": true}}});
    let pass = w.create("pass", "STANDARD", &pass).await;
    let done = w.start(&pass, "e", &json!({})).await.unwrap();
    assert_eq!(refused(done).await, "Execution is SUCCEEDED and cannot be redriven");
    let machine = w.create("fail", "STANDARD", &fail()).await;
    let failed = w.start(&machine, "e", &json!({})).await.unwrap();
    for n in 0..5 {
        redrive(&w, &failed, &format!("t{n}")).await.unwrap();
    }
    assert_eq!(w.history(&failed).await.len(), 18);
    redrive(&w, &failed, "t5").await.unwrap();
    assert_eq!(refused(failed).await, "Execution history event limit exceeded");
    let old = w.start(&machine, "old", &json!({})).await.unwrap();
    clock.advance(Duration::from_secs(14 * 86_400 + 1));
    assert_eq!(refused(old).await, "Execution redrivable period exceeded");
    let express = w.create("x", "EXPRESS", &fail()).await;
    let express = w.start(&express, "e", &json!({})).await.unwrap();
    assert_eq!(redrive(&w, &express, "t").await.unwrap_err().code, "InvalidArn");
    let unknown = "arn:aws:states:us-east-1:000000000000:execution:fail:none";
    assert_eq!(redrive(&w, unknown, "t").await.unwrap_err().code, "ExecutionDoesNotExist");
}

#[tokio::test]
async fn redrives_are_told_and_logged() {
    let w = fresh(BTreeMap::new()).await;
    let group = "arn:aws:logs:us-east-1:000000000000:log-group:/there:*";
    let logging = json!({"level": "ALL", "destinations": [{"cloudWatchLogsLogGroup": {"logGroupArn": group}}]});
    let input = json!({"name": "m", "definition": fail().to_string(), "roleArn": "arn:aws:iam::000000000000:role/r", "loggingConfiguration": logging});
    let machine = w.call("CreateStateMachine", input).await.unwrap();
    let execution = w.start(machine["stateMachineArn"].as_str().unwrap(), "e", &json!({})).await.unwrap();
    redrive(&w, &execution, "t").await.unwrap();
    let told = w.announced.lock().unwrap().clone();
    let facts: Vec<_> =
        told.iter().map(|t| (&t.detail["status"], &t.detail["redriveCount"], &t.detail["redriveStatus"])).collect();
    let (running, failed, no, yes) = (json!("RUNNING"), json!("FAILED"), json!("NOT_REDRIVABLE"), json!("REDRIVABLE"));
    let (zero, one) = (json!(0), json!(1));
    assert_eq!(facts, [(&running, &zero, &no), (&failed, &zero, &yes), (&running, &one, &no), (&failed, &one, &yes)]);
    let lines: Vec<Value> = w.logged.lock().unwrap().iter().map(|(_, _, l)| serde_json::from_str(l).unwrap()).collect();
    assert_eq!((&lines[3]["type"], &lines[3]["redrive_count"]), (&json!("ExecutionRedriven"), &json!("1")));
}
