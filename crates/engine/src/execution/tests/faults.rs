//! Stores that refuse, deliveries that come twice, and things that are too large.

use std::sync::atomic::{AtomicUsize, Ordering};

use service::EffectId;
use store::{Batch, Commit, Entry, Error, Range, Write};

use super::*;

/// Bounds values and batches as the embedded store does, and refuses as many batches as it is told to.
#[derive(Default)]
struct Strict {
    inner: MemoryStore,
    refuse: AtomicUsize,
    commits: AtomicUsize,
}

impl Store for Strict {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Error> {
        self.inner.get(key)
    }

    fn scan(&self, range: &Range) -> Result<Vec<Entry>, Error> {
        self.inner.scan(range)
    }

    fn commit(&self, batch: Batch) -> Commit {
        let put = |w: &Write| if let Write::Put(_, value) = w { value.len() } else { 0 };
        let (largest, all) = batch.writes.iter().map(put).fold((0, 0), |(max, sum), n| (n.max(max), sum + n));
        let refuse = self.refuse.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok();
        if refuse || largest > store::VALUE_BYTES_MAX || all > 64 << 20 {
            return Commit::done(Err(Error::Retryable("refused".to_owned())));
        }
        self.commits.fetch_add(1, Ordering::SeqCst);
        self.inner.commit(batch)
    }
}

async fn strict(table: Table) -> (Arc<Strict>, World) {
    let store = Arc::new(Strict::default());
    let w = world(store.clone(), Arc::new(Functions { table, calls: Mutex::default() })).await;
    (store, w)
}

/// Makes every cell of executions lose a batch, so that it loads its state anew.
async fn reload_all(store: &Strict, w: &World, machine: &str) {
    for n in 0..64 {
        store.refuse.store(1, Ordering::SeqCst);
        w.start(machine, &format!("refused-{n}"), &json!({})).await.unwrap_err();
        w.start(machine, &format!("refused-{n}"), &json!({})).await.unwrap();
    }
}

#[tokio::test]
async fn what_is_under_way_is_not_done_twice_when_a_cell_loads_anew() {
    let (store, w) = strict(BTreeMap::new()).await;
    let pass = json!({"StartAt": "P", "States": {"P": {"Type": "Pass", "End": true}}});
    let pass = w.create("pass", "STANDARD", &pass).await;
    let stuck = w.create("stuck", "STANDARD", &one_task(&function("never"), &json!({}))).await;
    let parent = one_task("arn:aws:states:::states:startExecution.sync", &json!({"StateMachineArn": stuck}));
    let parent = w.create("parent", "STANDARD", &parent).await;
    let execution = w.start(&parent, "e", &json!({})).await.unwrap();
    while !w.history(&execution).await.contains(&"TaskSubmitted".to_owned()) || w.calls("never") == 0 {
        tokio::task::yield_now().await;
    }
    reload_all(&store, &w, &pass).await;
    assert_eq!(w.calls("never"), 1);
    let children = w.call("ListExecutions", json!({"stateMachineArn": stuck})).await.unwrap();
    assert_eq!(children["executions"].as_array().unwrap().len(), 1);
    assert_eq!(children["executions"][0]["status"], "RUNNING");
    assert_eq!(w.call("DescribeExecution", json!({"executionArn": execution})).await.unwrap()["status"], "RUNNING");
    w.call("StopExecution", json!({"executionArn": children["executions"][0]["executionArn"]})).await.unwrap();
    assert_eq!(w.ended(&execution).await["status"], "FAILED");
}

#[tokio::test]
async fn a_start_delivered_twice_starts_once() {
    let w = fresh(BTreeMap::new()).await;
    for kind in ["STANDARD", "EXPRESS"] {
        let machine = w.create(kind, kind, &one_task(&function("never"), &json!({}))).await;
        for n in 0..4u8 {
            let start = || {
                let call =
                    Call::internal(Scope::default(), "r", "tester").with_effect(EffectId::new(&[n, kind.len() as u8]));
                w.registry.call_value("states", "StartExecution", call, json!({"stateMachineArn": machine}))
            };
            assert_eq!(start().await.unwrap(), start().await.unwrap());
        }
    }
    while w.calls("never") < 8 {
        tokio::task::yield_now().await;
    }
    assert_eq!(w.calls("never"), 8);
}

#[tokio::test]
async fn large_payloads_do_not_stop_a_cell() {
    let (_, w) = strict(BTreeMap::new()).await;
    let definition = json!({"StartAt": "D", "States": {
        "D": {"Type": "Pass", "Result": 0, "ResultPath": "$.n", "Next": "C"},
        "C": {"Type": "Choice", "Choices": [{"Variable": "$.n", "NumericGreaterThanEquals": 100, "Next": "S"}], "Default": "A"},
        "A": {"Type": "Pass", "Parameters": {"n.$": "States.MathAdd($.n, 1)", "x.$": "$.x"}, "Next": "C"},
        "S": {"Type": "Succeed", "OutputPath": "$.n"}}});
    let machine = w.create("m", "STANDARD", &definition).await;
    let input = json!({"x": "x".repeat(250_000)});
    let execution = w.start(&machine, "e", &input).await.unwrap();
    let end = w.ended(&execution).await;
    assert_eq!((&end["status"], &end["output"]), (&json!("SUCCEEDED"), &json!("100")));
    assert_eq!(w.history(&execution).await.len(), 408);
    let last = json!({"executionArn": execution, "reverseOrder": true, "maxResults": 1});
    assert_eq!(w.call("GetExecutionHistory", last).await.unwrap()["events"][0]["type"], "ExecutionSucceeded");
}

fn large(_: &Value) -> Result<Value, Value> {
    Ok("x".repeat(200_000).into())
}

#[tokio::test]
async fn a_long_position_is_stored_in_parts_and_one_that_is_too_long_fails() {
    let map = |start: &str, states: Value| {
        json!({"StartAt": "M", "States": {"M": {"Type": "Map", "ItemsPath": "$.items", "ResultPath": null, "End": true,
            "Iterator": {"StartAt": start, "States": states}}}})
    };
    let (_, w) = strict(BTreeMap::from([("large", large as fn(&Value) -> _)])).await;
    let states = json!({"L": {"Type": "Task", "Resource": function("large"), "Next": "W"},
        "W": {"Type": "Task", "Resource": function("never"), "End": true}});
    let machine = w.create("long", "STANDARD", &map("L", states)).await;
    let long = w.start(&machine, "e", &json!({"items": vec![0; 24]})).await.unwrap();
    let states = json!({"P": {"Type": "Pass", "Parameters": {"x.$": "$$.Execution.Input.x"}, "End": true}});
    let machine = w.create("too-long", "STANDARD", &map("P", states)).await;
    let input = json!({"items": vec![0; 200], "x": "x".repeat(200_000)});
    let end = w.ended(&w.start(&machine, "e", &input).await.unwrap()).await;
    assert_eq!((&end["status"], &end["error"]), (&json!("FAILED"), &json!("States.DataLimitExceeded")));
    let last = json!({"executionArn": end["executionArn"], "reverseOrder": true, "maxResults": 1});
    let last = w.call("GetExecutionHistory", last).await.unwrap();
    assert_eq!(last["events"][0]["type"], "ExecutionFailed");
    assert_eq!(last["events"][0]["executionFailedEventDetails"]["error"], "States.DataLimitExceeded");
    while w.calls("never") < 24 {
        tokio::task::yield_now().await;
    }
    let w = w.restart(BTreeMap::from([("large", large as fn(&Value) -> _), ("never", echo)])).await;
    assert_eq!(w.ended(&long).await["status"], "SUCCEEDED");
    let runs = w.store.scan(&Range::prefix(store::Key::new("execution-run").as_bytes())).unwrap();
    assert!(runs.is_empty(), "{} records left", runs.len());
}

#[tokio::test]
async fn what_a_stopping_server_breaks_off_is_not_the_executions_failure() {
    fn broken(_: &Value) -> Result<Value, Value> {
        Err(json!({"errorType": "Runtime.ExitError"}))
    }
    let w = fresh(BTreeMap::from([("broken", broken as fn(&Value) -> _)])).await;
    let machine = w.create("m", "STANDARD", &one_task(&function("broken"), &json!({}))).await;
    w.engine.stop();
    let execution = w.start(&machine, "e", &json!({})).await.unwrap();
    while w.calls("broken") == 0 {
        tokio::task::yield_now().await;
    }
    let w = w.restart(BTreeMap::from([("broken", echo as fn(&Value) -> _)])).await;
    assert_eq!(w.ended(&execution).await["status"], "SUCCEEDED");
}

#[tokio::test]
async fn an_express_execution_that_is_waited_for_writes_nothing() {
    let (store, w) = strict(BTreeMap::from([("echo", echo as fn(&Value) -> _)])).await;
    let machine = w.create("x", "EXPRESS", &one_task(&function("echo"), &json!({"n": 3}))).await;
    let before = store.commits.load(Ordering::SeqCst);
    w.call("StartSyncExecution", json!({"stateMachineArn": machine, "input": "{}"})).await.unwrap();
    assert_eq!(store.commits.load(Ordering::SeqCst), before);
}

#[tokio::test]
async fn page_tokens_that_nobody_gave() {
    let w = fresh(BTreeMap::new()).await;
    let machine = w.create("m", "STANDARD", &one_task(&function("never"), &json!({}))).await;
    let execution = w.start(&machine, "e", &json!({})).await.unwrap();
    for reverse in [false, true] {
        let input = json!({"executionArn": execution, "nextToken": "__________8", "reverseOrder": reverse});
        assert_eq!(w.call("GetExecutionHistory", input).await.unwrap_err().code, "InvalidToken");
    }
}

/// Takes commits until it is told to die; then refuses them all, as a machine does that has crashed.
struct Mortal {
    inner: Arc<MemoryStore>,
    /// How many commits it still takes.
    left: AtomicUsize,
}

impl Store for Mortal {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Error> {
        self.inner.get(key)
    }

    fn scan(&self, range: &Range) -> Result<Vec<Entry>, Error> {
        self.inner.scan(range)
    }

    fn commit(&self, batch: Batch) -> Commit {
        if self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_err() {
            return Commit::done(Err(Error::Retryable("dead".to_owned())));
        }
        self.inner.commit(batch)
    }
}

#[tokio::test]
async fn a_child_is_stopped_though_the_server_dies_when_its_parent_was() {
    for by_timeout in [false, true] {
        let inner = Arc::new(MemoryStore::new());
        let store = Arc::new(Mortal { inner: inner.clone(), left: AtomicUsize::new(usize::MAX) });
        let functions = || Arc::new(Functions { table: BTreeMap::new(), calls: Mutex::default() });
        let w = world(store.clone(), functions()).await;
        let stuck = w.create("stuck", "STANDARD", &one_task(&function("never"), &json!({}))).await;
        let mut parent = one_task(
            "arn:aws:states:::states:startExecution.sync",
            &json!({"StateMachineArn": stuck, "Name": "child"}),
        );
        if by_timeout {
            parent["States"]["T"]["TimeoutSeconds"] = 1.into();
        }
        let parent = w.create("parent", "STANDARD", &parent).await;
        let execution = w.start(&parent, "e", &json!({})).await.unwrap();
        while !w.history(&execution).await.contains(&"TaskSubmitted".to_owned()) || w.calls("never") == 0 {
            tokio::task::yield_now().await;
        }
        // One more commit: that of the parent's end.
        store.left.store(1, Ordering::SeqCst);
        if by_timeout {
            w.ended(&execution).await;
        } else {
            w.call("StopExecution", json!({"executionArn": execution})).await.unwrap();
        }
        let child = stuck.replace(":stateMachine:", ":execution:") + ":child";
        let described = w.call("DescribeExecution", json!({"executionArn": child})).await.unwrap();
        assert_eq!(described["status"], "RUNNING");
        drop(w);
        let w = world(inner.clone(), functions()).await;
        assert_eq!(w.ended(&execution).await["status"], if by_timeout { "FAILED" } else { "ABORTED" });
        assert_eq!(w.ended(&child).await["status"], "ABORTED");
        while !inner.scan(&Range::prefix(store::Key::new("execution-stop").as_bytes())).unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn a_child_that_was_never_started_is_not_waited_for() {
    let (store, w) = strict(BTreeMap::new()).await;
    let gone = "arn:aws:states:us-east-1:000000000000:stateMachine:gone";
    let parent = one_task("arn:aws:states:::states:startExecution.sync", &json!({"StateMachineArn": gone}));
    let parent = w.create("parent", "STANDARD", &parent).await;
    let end = w.ended(&w.start(&parent, "e", &json!({})).await.unwrap()).await;
    assert_eq!(end["error"], "StepFunctions.StateMachineDoesNotExistException");
    assert!(store.scan(&Range::prefix(store::Key::new("execution-stop").as_bytes())).unwrap().is_empty());
}
