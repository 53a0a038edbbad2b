//! Map Runs through the whole engine, over the memory store.

mod crash;
mod s3;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base::SystemClock;
use serde_json::{Value, json};
use store::{MemoryStore, Range, Store};

use crate::Options;
use crate::testing::{Functions, Table, World, echo, function, world_with};
use s3::S3;

async fn world(store: Arc<dyn Store>, table: Table, s3: &S3) -> World {
    let functions = Arc::new(Functions { table, calls: Mutex::default() });
    world_with(store, functions, Arc::new(SystemClock::new()), Options::default(), vec![s3.service()]).await
}

async fn fresh(table: Table) -> (World, S3) {
    let s3 = S3::default();
    (world(Arc::new(MemoryStore::new()), table, &s3).await, s3)
}

/// A machine with one Map state in DISTRIBUTED mode; `more` goes into the state.
fn map(kind: &str, processor: &Value, more: &Value) -> Value {
    let mut processor = processor.clone();
    processor["ProcessorConfig"] = json!({"Mode": "DISTRIBUTED", "ExecutionType": kind});
    let mut state = json!({"Type": "Map", "Label": "Lab", "ItemProcessor": processor, "End": true});
    let members = state.as_object_mut().unwrap();
    members.extend(more.as_object().unwrap().clone());
    json!({"StartAt": "Each", "States": {"Each": state}})
}

fn pass() -> Value {
    json!({"StartAt": "P", "States": {"P": {"Type": "Pass", "End": true}}})
}

fn call(name: &str) -> Value {
    json!({"StartAt": "T", "States": {"T": {"Type": "Task", "Resource": function(name), "End": true}}})
}

fn reader(more: &Value) -> Value {
    let mut reader =
        json!({"Resource": "arn:aws:states:::s3:getObject", "Parameters": {"Bucket": "b", "Key": "items"}});
    reader["ReaderConfig"] = more.clone();
    reader
}

fn exported() -> Value {
    json!({"Resource": "arn:aws:states:::s3:putObject", "Parameters": {"Bucket": "b", "Prefix": "out"}})
}

/// Fails for what is odd.
fn odd_fails(input: &Value) -> Result<Value, Value> {
    match input.as_u64().unwrap_or_default() % 2 {
        0 => Ok(input.clone()),
        _ => Err(json!({"errorType": "Odd", "errorMessage": "odd"})),
    }
}

impl World {
    async fn run(&self, definition: &Value, input: &Value) -> Value {
        let name = format!("m{}", self.functions.calls.lock().unwrap().len());
        let machine = self.create(&name, "STANDARD", definition).await;
        self.ended(&self.start(&machine, "e", input).await.unwrap()).await
    }

    async fn map_run(&self, execution: &str) -> Value {
        let runs = self.call("ListMapRuns", json!({"executionArn": execution})).await.unwrap();
        let arn = &runs["mapRuns"][0]["mapRunArn"];
        self.call("DescribeMapRun", json!({"mapRunArn": arn})).await.unwrap()
    }

    /// The Map Run, once this is true of it.
    async fn map_run_when(&self, execution: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        loop {
            let runs = self.call("ListMapRuns", json!({"executionArn": execution})).await.unwrap();
            if runs["mapRuns"].as_array().is_some_and(|runs| !runs.is_empty()) {
                let run = self.map_run(execution).await;
                if is_so(&run) {
                    return run;
                }
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    async fn children(&self, map_run: &Value) -> Vec<Value> {
        let input = json!({"mapRunArn": map_run["mapRunArn"], "maxResults": 1000});
        self.call("ListExecutions", input).await.unwrap()["executions"].as_array().unwrap().clone()
    }
}

fn output(end: &Value) -> Value {
    serde_json::from_str(end["output"].as_str().unwrap_or_else(|| panic!("{end}"))).unwrap()
}

#[tokio::test]
async fn children_are_executions_of_their_own() {
    let (w, _) = fresh(BTreeMap::from([("echo", echo as fn(&Value) -> _)])).await;
    let end = w.run(&map("STANDARD", &call("echo"), &json!({})), &json!([1, {"a": 2}, "x"])).await;
    assert_eq!(output(&end), json!([1, {"a": 2}, "x"]));
    let execution = end["executionArn"].as_str().unwrap();
    let types = ["MapStateEntered", "MapStateStarted", "MapRunStarted", "MapRunSucceeded", "MapStateSucceeded"];
    assert_eq!(w.history(execution).await[1..6], types);
    let run = w.map_run(execution).await;
    let arn = run["mapRunArn"].as_str().unwrap();
    assert!(arn.starts_with("arn:aws:states:us-east-1:000000000000:mapRun:m0/Lab:"), "{arn}");
    assert_eq!((&run["status"], &run["executionArn"]), (&json!("SUCCEEDED"), &end["executionArn"]));
    assert!(run["stopDate"].as_f64() >= run["startDate"].as_f64());
    for counts in ["itemCounts", "executionCounts"] {
        let counts = &run[counts];
        assert_eq!((&counts["total"], &counts["succeeded"], &counts["running"]), (&json!(3), &json!(3), &json!(0)));
    }
    let children = w.children(&run).await;
    assert_eq!(children.len(), 3);
    for child in &children {
        assert_eq!((&child["status"], &child["itemCount"]), (&json!("SUCCEEDED"), &json!(1)));
        assert_eq!(child["stateMachineArn"], "arn:aws:states:us-east-1:000000000000:stateMachine:m0/Lab");
        let of_child = json!({"executionArn": child["executionArn"]});
        let description = w.call("DescribeExecution", of_child.clone()).await.unwrap();
        assert_eq!((&description["mapRunArn"], &description["input"]), (&run["mapRunArn"], &description["output"]));
        let machine = w.call("DescribeStateMachineForExecution", of_child).await.unwrap();
        assert_eq!((&machine["mapRunArn"], &machine["label"]), (&run["mapRunArn"], &json!("Lab")));
        assert_eq!(w.history(child["executionArn"].as_str().unwrap()).await.len(), 7);
    }
    let own = w.call("ListExecutions", json!({"stateMachineArn": run["mapRunArn"]})).await.unwrap_err();
    assert_eq!(own.code, "InvalidArn");
    let unknown = w.call("DescribeMapRun", json!({"mapRunArn": format!("{arn}x")})).await.unwrap_err();
    assert_eq!(unknown.code, "ResourceNotFound");
}

#[tokio::test]
async fn concurrency_is_bounded_and_a_stop_reaches_the_children() {
    let (w, _) = fresh(BTreeMap::new()).await;
    let definition = map("STANDARD", &call("never"), &json!({"MaxConcurrency": 3}));
    let machine = w.create("m", "STANDARD", &definition).await;
    let execution = w.start(&machine, "e", &json!((0..20).collect::<Vec<_>>())).await.unwrap();
    let run = w.map_run_when(&execution, |run| run["executionCounts"]["running"] == 3).await;
    while w.calls("never") < 3 {
        tokio::task::yield_now().await;
    }
    let update = json!({"mapRunArn": run["mapRunArn"], "maxConcurrency": 5, "toleratedFailurePercentage": 12.5});
    w.call("UpdateMapRun", update).await.unwrap();
    let run = w.map_run_when(&execution, |run| run["executionCounts"]["running"] == 5).await;
    assert_eq!((&run["maxConcurrency"], &run["toleratedFailurePercentage"]), (&json!(5), &json!(12.5)));
    while w.calls("never") < 5 {
        tokio::task::yield_now().await;
    }
    w.call("StopExecution", json!({"executionArn": execution})).await.unwrap();
    assert_eq!(w.history(&execution).await.last().unwrap(), "ExecutionAborted");
    let run = w.map_run_when(&execution, |run| run["status"] == "ABORTED").await;
    assert_eq!((&run["executionCounts"]["aborted"], &run["executionCounts"]["total"]), (&json!(5), &json!(5)));
    assert!(w.children(&run).await.iter().all(|child| child["status"] == "ABORTED"));
    assert_eq!(w.calls("never"), 5);
    let late = json!({"mapRunArn": run["mapRunArn"], "maxConcurrency": 9});
    assert_eq!(w.call("UpdateMapRun", late).await.unwrap_err().code, "ValidationException");
}

#[tokio::test]
async fn failures_are_tolerated_up_to_a_threshold() {
    let table = || BTreeMap::from([("odd", odd_fails as fn(&Value) -> _)]);
    let items = json!([0, 1, 2, 3, 4, 6, 8, 10]);
    let run = async |more: Value| {
        let (w, _) = fresh(table()).await;
        let end = w.run(&map("STANDARD", &call("odd"), &more), &items).await;
        let run = w.map_run(end["executionArn"].as_str().unwrap()).await;
        (end, run)
    };
    for more in [json!({"ToleratedFailureCount": 2}), json!({"ToleratedFailurePercentage": 25})] {
        let (end, run) = run(more).await;
        let output = output(&end);
        assert_eq!(output.as_array().unwrap().len(), 8);
        assert_eq!((&output[0], &output[2]), (&json!(0), &json!(2)));
        assert_eq!(
            (&output[1]["Status"], &output[1]["Error"], &output[1]["Input"]),
            (&json!("FAILED"), &json!("Odd"), &json!("1"))
        );
        assert_eq!((&run["status"], &run["itemCounts"]["failed"]), (&json!("SUCCEEDED"), &json!(2)));
    }
    for more in [
        json!({}),
        json!({"ToleratedFailureCount": 1}),
        json!({"ToleratedFailurePercentage": 24.9, "MaxConcurrency": 1}),
    ] {
        let (end, run) = run(more).await;
        assert_eq!(end["error"], "States.ExceedToleratedFailureThreshold");
        assert_eq!(end["cause"], "The specified tolerated failure threshold was exceeded");
        assert_eq!((&end["status"], &run["status"]), (&json!("FAILED"), &json!("FAILED")));
        let counts = &run["executionCounts"];
        let ended: u64 = ["succeeded", "failed", "aborted"].iter().map(|name| counts[name].as_u64().unwrap()).sum();
        assert_eq!((Some(ended), counts["running"].as_u64()), (counts["total"].as_u64(), Some(0)));
    }
    let (_, run) = run(json!({"MaxConcurrency": 1})).await;
    assert_eq!(run["executionCounts"]["total"], 2, "no child was started behind the failure");
}

#[tokio::test]
async fn children_that_run_are_aborted_when_the_threshold_is_exceeded() {
    fn stuck_or_not(input: &Value) -> Result<Value, Value> {
        match input.as_u64() {
            Some(3) => Err(json!({"errorType": "E"})),
            _ => unreachable!("they wait"),
        }
    }
    let states = json!({"StartAt": "C", "States": {
        "C": {"Type": "Choice", "Choices": [{"Variable": "$", "NumericEquals": 3, "Next": "F"}], "Default": "W"},
        "F": {"Type": "Task", "Resource": function("fails"), "End": true},
        "W": {"Type": "Task", "Resource": function("never"), "End": true}}});
    for kind in ["STANDARD", "EXPRESS"] {
        let (w, _) = fresh(BTreeMap::from([("fails", stuck_or_not as fn(&Value) -> _)])).await;
        let end = w.run(&map(kind, &states, &json!({})), &json!([0, 1, 2, 3])).await;
        assert_eq!(end["error"], "States.ExceedToleratedFailureThreshold");
        let run = w.map_run(end["executionArn"].as_str().unwrap()).await;
        let counts = &run["executionCounts"];
        assert_eq!((&counts["failed"], &counts["aborted"], &counts["total"]), (&json!(1), &json!(3), &json!(4)));
    }
}

#[tokio::test]
async fn rows_are_read_selected_and_batched() {
    let (w, s3) = fresh(BTreeMap::from([("echo", echo as fn(&Value) -> _)])).await;
    let rows: String = (0..10).map(|n| format!("{n},name{n}\n")).collect();
    s3.put("items", format!("id,name\n{rows}"));
    let more = json!({
        "ItemReader": reader(&json!({"InputType": "CSV", "CSVHeaderLocation": "FIRST_ROW"})),
        "ItemSelector": {"i.$": "$$.Map.Item.Index", "v.$": "$$.Map.Item.Value.name", "e.$": "$.e"},
        "ItemBatcher": {"MaxItemsPerBatch": 4, "BatchInput": {"all": true}},
    });
    let end = w.run(&map("STANDARD", &call("echo"), &more), &json!({"e": "E"})).await;
    let output = output(&end);
    assert_eq!(
        output[2],
        json!({"BatchInput": {"all": true}, "Items": [
        {"i": 8, "v": "name8", "e": "E"}, {"i": 9, "v": "name9", "e": "E"}]})
    );
    let run = w.map_run(end["executionArn"].as_str().unwrap()).await;
    assert_eq!((&run["itemCounts"]["succeeded"], &run["executionCounts"]["succeeded"]), (&json!(10), &json!(3)));
    let counts: Vec<_> = w.children(&run).await.iter().map(|child| child["itemCount"].as_u64().unwrap()).collect();
    assert_eq!(counts.iter().sum::<u64>(), 10);
}

#[tokio::test]
async fn readers_fail_as_aws_words_it() {
    let (w, s3) = fresh(BTreeMap::new()).await;
    let more = json!({"ItemReader": reader(&json!({"InputType": "JSON"}))});
    let end = w.run(&map("STANDARD", &pass(), &more), &json!({})).await;
    assert_eq!(end["error"], "States.ItemReaderFailed");
    let cause = end["cause"].as_str().unwrap();
    assert!(
        cause.starts_with(
            "The specified key does not exist. (Service: Amazon S3; Status Code: 404; Error Code: NoSuchKey; "
        ),
        "{cause}"
    );
    s3.put("items", r#"{"not": "an array"}"#);
    let machine = w.create("again", "STANDARD", &map("STANDARD", &pass(), &more)).await;
    let end = w.ended(&w.start(&machine, "e", &json!({})).await.unwrap()).await;
    assert_eq!(end["cause"], "Attempting to map over non-iterable node.");
    let events = w.history(end["executionArn"].as_str().unwrap()).await;
    assert_eq!(events[3..], ["MapRunStarted", "MapRunFailed", "MapStateFailed", "ExecutionFailed"]);
}

#[tokio::test]
async fn a_listing_is_read_page_by_page() {
    let (w, s3) = fresh(BTreeMap::new()).await;
    (0..7).for_each(|n| s3.put(&format!("in/{n}"), "x".repeat(n)));
    let more = json!({"ItemReader": {"Resource": "arn:aws:states:::s3:listObjectsV2",
        "Parameters": {"Bucket": "b", "Prefix": "in/"}}});
    let output = output(&w.run(&map("STANDARD", &pass(), &more), &json!({})).await);
    assert_eq!(
        (output.as_array().unwrap().len(), &output[6]["Key"], &output[6]["Size"]),
        (7, &json!("in/6"), &json!(6))
    );
}

#[tokio::test]
async fn results_are_exported() {
    let (w, s3) = fresh(BTreeMap::from([("odd", odd_fails as fn(&Value) -> _)])).await;
    s3.leave_upload("left-behind");
    for kind in ["STANDARD", "EXPRESS"] {
        let more = json!({"ResultWriter": exported(), "ToleratedFailureCount": 1});
        let machine = w.create(kind, "STANDARD", &map(kind, &call("odd"), &more)).await;
        let end = w.ended(&w.start(&machine, "e", &json!([0, 1, 2])).await.unwrap()).await;
        let output = output(&end);
        let run = w.map_run(end["executionArn"].as_str().unwrap()).await;
        assert_eq!((&output["MapRunArn"], &output["ResultWriterDetails"]["Bucket"]), (&run["mapRunArn"], &json!("b")));
        let read = |key: &Value| serde_json::from_str::<Value>(&s3.get(key.as_str().unwrap()).unwrap()).unwrap();
        let manifest = read(&output["ResultWriterDetails"]["Key"]);
        let files = &manifest["ResultFiles"];
        assert_eq!((&manifest["DestinationBucket"], &files["PENDING"]), (&json!("b"), &json!([])));
        let succeeded = read(&files["SUCCEEDED"][0]["Key"]);
        assert_eq!((&succeeded[1]["Input"], &succeeded[1]["Output"]), (&json!("2"), &json!("2")));
        assert_eq!(read(&files["FAILED"][0]["Key"])[0]["Error"], "Odd");
        assert_eq!(
            (&run["executionCounts"]["resultsWritten"], &run["itemCounts"]["resultsWritten"]),
            (&json!(3), &json!(3))
        );
    }
    assert_eq!(s3.uploads(), 0);
}

#[tokio::test]
async fn large_results_go_up_in_parts() {
    fn large(input: &Value) -> Result<Value, Value> {
        Ok(json!(format!("{input}{}", "x".repeat(200_000))))
    }
    let (w, s3) = fresh(BTreeMap::from([("large", large as fn(&Value) -> _)])).await;
    let mut writer = exported();
    writer["WriterConfig"] = json!({"OutputType": "JSONL", "Transformation": "COMPACT"});
    let items: Vec<u32> = (0..80).collect();
    let end = w.run(&map("STANDARD", &call("large"), &json!({"ResultWriter": writer})), &json!(items)).await;
    let manifest = s3.get(output(&end)["ResultWriterDetails"]["Key"].as_str().unwrap()).unwrap();
    let manifest: Value = serde_json::from_str(&manifest).unwrap();
    let file = &manifest["ResultFiles"]["SUCCEEDED"][0];
    let content = s3.get(file["Key"].as_str().unwrap()).unwrap();
    assert_eq!((content.lines().count(), Some(content.len() as u64)), (80, file["Size"].as_u64()));
    assert!(content.lines().nth(79).unwrap().starts_with("\"79xxx"));
    let nowhere = json!({"Resource": "arn:aws:states:::s3:putObject", "Parameters": {"Bucket": "gone", "Prefix": "p"}});
    let machine = w.create("gone", "STANDARD", &map("STANDARD", &pass(), &json!({"ResultWriter": nowhere}))).await;
    let end = w.ended(&w.start(&machine, "e", &json!([1])).await.unwrap()).await;
    assert_eq!(end["error"], "States.ResultWriterFailed");
    let unbounded = w.create("unbounded", "STANDARD", &map("STANDARD", &call("large"), &json!({}))).await;
    let end = w.ended(&w.start(&unbounded, "e", &json!([1, 2, 3])).await.unwrap()).await;
    assert_eq!(end["error"], "States.DataLimitExceeded");
}

#[tokio::test]
async fn express_children_leave_nothing_behind() {
    let (w, _) = fresh(BTreeMap::from([("echo", echo as fn(&Value) -> _)])).await;
    let items: Vec<u32> = (0..2_500).collect();
    let end = w.run(&map("EXPRESS", &call("echo"), &json!({})), &json!(items)).await;
    assert_eq!(output(&end), json!(items));
    assert_eq!(w.calls("echo"), 2_500);
    let run = w.map_run(end["executionArn"].as_str().unwrap()).await;
    let list = w.call("ListExecutions", json!({"mapRunArn": run["mapRunArn"]})).await.unwrap_err();
    assert_eq!(list.code, "StateMachineTypeNotSupported");
    for space in ["map-run-item", "map-run-result", "map-run-open", "map-run-outcome"] {
        let range = Range::prefix(store::Key::new(space).as_bytes());
        while !w.store.scan(&range).unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

#[tokio::test]
async fn map_runs_nest() {
    let (w, _) = fresh(BTreeMap::new()).await;
    let inner = map("EXPRESS", &pass(), &json!({"Label": "Inner", "ItemsPath": "$.n"}));
    let mut inner = inner.clone();
    let state = inner["States"]["Each"].take();
    let inner = json!({"StartAt": "Within", "States": {"Within": state}});
    let end = w.run(&map("STANDARD", &inner, &json!({})), &json!([{"n": [1, 2]}, {"n": []}, {"n": [3]}])).await;
    assert_eq!(output(&end), json!([[1, 2], [], [3]]));
}

#[tokio::test]
async fn the_context_of_a_child_is_its_own() {
    let (w, _) = fresh(BTreeMap::new()).await;
    let states = json!({"StartAt": "P", "States": {"P": {"Type": "Pass", "End": true, "Parameters": {
        "m.$": "$$.StateMachine.Name", "id.$": "$$.Execution.Id", "in.$": "$$.Execution.Input"}}}});
    let output = output(&w.run(&map("STANDARD", &states, &json!({})), &json!([7])).await);
    assert_eq!((&output[0]["m"], &output[0]["in"]), (&json!("m0/Lab"), &json!(7)));
    assert!(output[0]["id"].as_str().unwrap().starts_with("arn:aws:states:us-east-1:000000000000:execution:m0/Lab:"));
}

#[tokio::test]
async fn a_thousand_children_run_at_once() {
    let (w, s3) = fresh(BTreeMap::new()).await;
    s3.put("items", (0..3_000).map(|n| format!("{n}\n")).collect::<String>());
    let more = json!({"ItemReader": reader(&json!({"InputType": "JSONL"})), "MaxConcurrency": 1_000});
    let machine = w.create("m", "STANDARD", &map("STANDARD", &call("never"), &more)).await;
    let execution = w.start(&machine, "e", &json!({})).await.unwrap();
    w.map_run_when(&execution, |run| run["executionCounts"]["running"] == 1_000).await;
    while w.calls("never") < 1_000 {
        tokio::task::yield_now().await;
    }
    assert_eq!(w.map_run(&execution).await["executionCounts"]["total"], 1_000);
}
