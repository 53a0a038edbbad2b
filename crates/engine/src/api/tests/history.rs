use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::testing::{World, fresh};

/// An execution whose 100 events carry 200 kB each.
async fn large(w: &World) -> String {
    let definition = json!({"StartAt": "P0", "States": (0..49).map(|n| {
        let next = if n < 48 { json!({"Type": "Pass", "Next": format!("P{}", n + 1)}) } else { json!({"Type": "Pass", "End": true}) };
        (format!("P{n}"), next)
    }).collect::<serde_json::Map<_, _>>()});
    let machine = w.create("m", "STANDARD", &definition).await;
    let execution = w.start(&machine, "e", &json!("x".repeat(200_000))).await.unwrap();
    w.ended(&execution).await;
    execution
}

fn ids(page: &Value) -> Vec<u64> {
    page["events"].as_array().unwrap().iter().map(|e| e["id"].as_u64().unwrap()).collect()
}

#[tokio::test]
async fn pages_are_bounded_by_bytes_too() {
    let w = fresh(BTreeMap::new()).await;
    let execution = large(&w).await;
    for reverse in [false, true] {
        let (mut seen, mut pages, mut token) = (Vec::new(), 0, Value::Null);
        loop {
            let input =
                json!({"executionArn": execution, "maxResults": 1000, "reverseOrder": reverse, "nextToken": token});
            let page = w.call("GetExecutionHistory", input).await.unwrap();
            assert!(page.to_string().len() < 1_200_000);
            seen.extend(ids(&page));
            pages += 1;
            match page.get("nextToken") {
                None => break,
                Some(next) => token = next.clone(),
            }
        }
        let all = if reverse { (1..=100).rev().collect::<Vec<_>>() } else { (1..=100).collect() };
        assert_eq!((seen, pages), (all, 20));
    }
    let input = json!({"executionArn": execution, "maxResults": 99, "includeExecutionData": false});
    let page = w.call("GetExecutionHistory", input).await.unwrap();
    assert_eq!((ids(&page).len(), page["nextToken"].is_string()), (99, true));
    assert_eq!(page["events"][1]["stateEnteredEventDetails"], json!({"name": "P0"}));
    let other = json!({"executionArn": execution, "reverseOrder": true, "nextToken": page["nextToken"]});
    assert_eq!(w.call("GetExecutionHistory", other).await.unwrap_err().code, "InvalidToken");
}

#[tokio::test]
async fn descriptions_without_data() {
    let w = fresh(BTreeMap::new()).await;
    let definition = json!({"StartAt": "P", "States": {"P": {"Type": "Pass", "End": true}}});
    let machine = w.create("x", "EXPRESS", &definition).await;
    let input =
        json!({"stateMachineArn": machine, "input": "{}", "traceHeader": "Root=1", "includedData": "METADATA_ONLY"});
    let answer = w.call("StartSyncExecution", input).await.unwrap();
    assert_eq!((answer.get("input"), answer.get("output"), &answer["traceHeader"]), (None, None, &json!("Root=1")));
    let machine = w.create("s", "STANDARD", &definition).await;
    let execution = w.start(&machine, "e", &json!({})).await.unwrap();
    let input = json!({"executionArn": execution, "includedData": "METADATA_ONLY"});
    let answer = w.call("DescribeExecution", input.clone()).await.unwrap();
    assert_eq!((answer.get("input"), answer.get("output"), &answer["status"]), (None, None, &json!("SUCCEEDED")));
    assert_eq!(w.call("DescribeStateMachineForExecution", input).await.unwrap()["definition"], "{}");
}
