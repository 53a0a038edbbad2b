//! What ended long ago leaves, with all that it had.

use std::time::Duration;

use base::ManualClock;
use store::Range;

use super::*;
use crate::Options;
use crate::testing::fresh_at;

const DAY: Duration = Duration::from_secs(86_400);

/// Lets a pass of every cell end: each input is a turn, in which a step is due.
async fn pass(w: &World, clock: &ManualClock) {
    for n in 0..64 {
        clock.advance(Duration::from_millis(100));
        w.call("CreateActivity", json!({"name": format!("poke-{n}")})).await.unwrap();
        for cell in w.engine.inner.cells().unwrap().iter() {
            let id = crate::keys::ExecutionId { cell: 0, number: u64::MAX };
            cell.call(|reply| crate::execution::Input::Watch { id, reply }).await.unwrap();
        }
    }
}

fn left(w: &World, space: &str) -> usize {
    w.store.scan(&Range::prefix(store::Key::new(space).as_bytes())).unwrap().len()
}

fn waits() -> Value {
    json!({"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 9_000_000, "End": true}}})
}

#[tokio::test]
async fn ended_executions_leave_after_ninety_days() {
    let (w, clock) = fresh_at(BTreeMap::new(), Options::default()).await;
    let pass_state = json!({"StartAt": "P", "States": {"P": {"Type": "Pass", "End": true}}});
    let machine = w.create("m", "STANDARD", &pass_state).await;
    let slow = w.create("slow", "STANDARD", &waits()).await;
    for n in 0..40 {
        w.start(&machine, &format!("old-{n}"), &json!({})).await.unwrap();
    }
    let runs = w.start(&slow, "runs", &json!({})).await.unwrap();
    let stopped = w.start(&slow, "stopped", &json!({})).await.unwrap();
    clock.advance(80 * DAY);
    w.start(&machine, "young", &json!({})).await.unwrap();
    w.call("StopExecution", json!({"executionArn": stopped})).await.unwrap();
    assert_eq!(w.start(&machine, "old-1", &json!({})).await.unwrap_err().code, "ExecutionAlreadyExists");
    clock.advance(11 * DAY);
    // A name is free when its time is over, swept or not.
    let again = w.start(&machine, "old-1", &json!({})).await.unwrap();
    pass(&w, &clock).await;
    let listed = w.call("ListExecutions", json!({"stateMachineArn": machine})).await.unwrap();
    let names: Vec<_> = listed["executions"].as_array().unwrap().iter().map(|e| e["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["old-1", "young"]);
    assert_eq!(w.call("DescribeExecution", json!({"executionArn": again})).await.unwrap()["status"], "SUCCEEDED");
    assert_eq!(w.history(&again).await.len(), 4);
    for kept in [&runs, &stopped] {
        w.call("DescribeExecution", json!({"executionArn": kept})).await.unwrap();
    }
    for (space, count) in [("execution", 4), ("execution-name", 4), ("execution-list", 4), ("execution-status", 4)] {
        assert_eq!(left(&w, space), count, "{space}");
    }
    assert_eq!((left(&w, "execution-end"), left(&w, "execution-run")), (3, 1));
    let histories = left(&w, "history");
    assert!(histories <= 5, "{histories}");
}

#[tokio::test]
async fn definitions_leave_when_nobody_needs_them() {
    let (w, clock) = fresh_at(BTreeMap::new(), Options::default()).await;
    let machine = w.create("m", "STANDARD", &waits()).await;
    let update = |n: i64, publish: bool| {
        let definition =
            json!({"StartAt": "P", "States": {"P": {"Type": "Pass", "Result": n, "End": true}}}).to_string();
        w.call("UpdateStateMachine", json!({"stateMachineArn": machine, "definition": definition, "publish": publish}))
    };
    let runs = w.start(&machine, "runs", &json!({})).await.unwrap();
    update(1, true).await.unwrap();
    for n in 2..20 {
        update(n, false).await.unwrap();
    }
    assert_eq!(left(&w, "definition"), 20);
    for _ in 0..3 {
        clock.advance(Duration::from_secs(3600));
        pass(&w, &clock).await;
    }
    // That of the running execution, that of the version, and the present one.
    assert_eq!(left(&w, "definition"), 3);
    w.call("StopExecution", json!({"executionArn": runs})).await.unwrap();
    w.call("DeleteStateMachineVersion", json!({"stateMachineVersionArn": format!("{machine}:1")})).await.unwrap();
    clock.advance(91 * DAY);
    for _ in 0..3 {
        clock.advance(Duration::from_secs(3600));
        pass(&w, &clock).await;
    }
    assert_eq!((left(&w, "definition"), left(&w, "definition-use")), (1, 0));
    let w = w.restart(BTreeMap::new()).await;
    assert_eq!(w.ended(&w.start(&machine, "e", &json!({})).await.unwrap()).await["output"], "19");
}
