//! A crash at every commit: each child is started once, and nothing is lost.

use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use store::{Batch, Commit, Entry, Error};

use super::*;

/// Refuses every batch after so many, as if the process were gone.
struct Mortal {
    inner: Arc<MemoryStore>,
    left: AtomicUsize,
}

/// Refuses one batch in so many, so that cells load their state anew beside others that do not.
struct Flaky {
    inner: MemoryStore,
    every: AtomicUsize,
    commits: AtomicUsize,
}

impl Store for Flaky {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Error> {
        self.inner.get(key)
    }

    fn scan(&self, range: &Range) -> Result<Vec<Entry>, Error> {
        self.inner.scan(range)
    }

    fn commit(&self, batch: Batch) -> Commit {
        let (number, every) = (self.commits.fetch_add(1, Ordering::SeqCst) + 1, self.every.load(Ordering::SeqCst));
        if every > 0 && number.is_multiple_of(every) {
            return Commit::done(Err(Error::Retryable("refused".to_owned())));
        }
        self.inner.commit(batch)
    }
}

impl Store for Mortal {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Error> {
        self.inner.get(key)
    }

    fn scan(&self, range: &Range) -> Result<Vec<Entry>, Error> {
        self.inner.scan(range)
    }

    fn commit(&self, batch: Batch) -> Commit {
        let alive = self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok();
        if alive { self.inner.commit(batch) } else { Commit::done(Err(Error::Corrupt("dead".to_owned()))) }
    }
}

impl Mortal {
    fn is_dead(&self) -> bool {
        self.left.load(Ordering::SeqCst) == 0
    }
}

const ITEMS: usize = 7;

fn table() -> Table {
    BTreeMap::from([("odd", odd_fails as fn(&Value) -> _)])
}

/// Starts the execution `e` of the machine `m`, or goes on with it, until it has ended or the store has taken so many
/// batches; whether it has ended.
async fn live(inner: &Arc<MemoryStore>, commits: usize, s3: &S3, definition: &Value) -> bool {
    let store = Arc::new(Mortal { inner: inner.clone(), left: AtomicUsize::new(usize::MAX) });
    let w = world(store.clone(), table(), s3).await;
    store.left.store(commits, Ordering::SeqCst);
    let create =
        json!({"name": "m", "definition": definition.to_string(), "roleArn": "arn:aws:iam::000000000000:role/r"});
    let machine = match w.call("CreateStateMachine", create).await {
        Ok(created) => created["stateMachineArn"].as_str().unwrap().to_owned(),
        Err(_) => return false,
    };
    let execution = machine.replace(":stateMachine:", ":execution:") + ":e";
    match w.start(&machine, "e", &json!({})).await {
        Ok(_) => {}
        Err(fault) if fault.code == "ExecutionAlreadyExists" => {}
        Err(_) => return false,
    }
    loop {
        let description = w.call("DescribeExecution", json!({"executionArn": execution})).await;
        if description.is_ok_and(|d| d["status"] != "RUNNING") {
            return true;
        }
        if store.is_dead() {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

async fn crash_everywhere(kind: &str) {
    let s3 = S3::default();
    s3.put("items", (0..ITEMS).map(|n| format!("{n}\n")).collect::<String>());
    let more = json!({"ItemReader": reader(&json!({"InputType": "JSONL"})), "MaxConcurrency": 2,
        "ToleratedFailureCount": 3, "ResultWriter": exported()});
    let definition = map(kind, &call("odd"), &more);
    for commits in 1.. {
        let store = Arc::new(MemoryStore::new());
        let mut ended = live(&store, commits, &s3, &definition).await;
        let first = ended;
        // And again, while it takes up what the crash left.
        if !ended {
            ended = live(&store, commits % 5 + 1, &s3, &definition).await;
        }
        if !ended {
            assert!(live(&store, usize::MAX, &s3, &definition).await);
        }
        let w = world(store, table(), &s3).await;
        check(&w, &s3, kind, commits).await;
        if first {
            return;
        }
    }
}

async fn check(w: &World, s3: &S3, kind: &str, commits: usize) {
    let execution = "arn:aws:states:us-east-1:000000000000:execution:m:e";
    let end = w.ended(execution).await;
    assert_eq!(end["status"], "SUCCEEDED", "after {commits} commits: {end}");
    let run = w.map_run(execution).await;
    for counts in ["itemCounts", "executionCounts"] {
        let counts = &run[counts];
        let found =
            ["total", "succeeded", "failed", "running", "resultsWritten"].map(|name| counts[name].as_u64().unwrap());
        assert_eq!(found, [7, 4, 3, 0, 7], "after {commits} commits: {run}");
    }
    let runs = w.call("ListMapRuns", json!({"executionArn": execution})).await.unwrap();
    assert_eq!(runs["mapRuns"].as_array().unwrap().len(), 1);
    let read = |key: &Value| serde_json::from_str::<Value>(&s3.get(key.as_str().unwrap()).unwrap()).unwrap();
    let files = read(&output(&end)["ResultWriterDetails"]["Key"])["ResultFiles"].take();
    let inputs = |kind: &str| -> Vec<u64> {
        let results = read(&files[kind][0]["Key"]);
        results.as_array().unwrap().iter().map(|r| r["Input"].as_str().unwrap().parse().unwrap()).collect()
    };
    assert_eq!((inputs("SUCCEEDED"), inputs("FAILED")), (vec![0, 2, 4, 6], vec![1, 3, 5]), "after {commits} commits");
    if kind == "EXPRESS" {
        return;
    }
    let children = w.children(&run).await;
    let mut found = Vec::new();
    for child in &children {
        let events = w.history(child["executionArn"].as_str().unwrap()).await;
        assert_eq!(events.iter().filter(|e| *e == "ExecutionStarted").count(), 1);
        let description = w.call("DescribeExecution", json!({"executionArn": child["executionArn"]})).await.unwrap();
        found.push(description["input"].as_str().unwrap().parse::<usize>().unwrap());
    }
    found.sort_unstable();
    assert_eq!(found, (0..ITEMS).collect::<Vec<_>>(), "after {commits} commits");
}

#[tokio::test]
async fn standard_children_are_started_once_whatever_crashes() {
    crash_everywhere("STANDARD").await;
}

#[tokio::test]
async fn express_children_are_counted_once_whatever_crashes() {
    crash_everywhere("EXPRESS").await;
}

#[tokio::test]
async fn what_the_store_refuses_is_done_again() {
    for (kind, every) in [("STANDARD", 3), ("STANDARD", 7), ("EXPRESS", 3), ("EXPRESS", 5)] {
        let s3 = S3::default();
        s3.put("items", (0..ITEMS).map(|n| format!("{n}\n")).collect::<String>());
        let more = json!({"ItemReader": reader(&json!({"InputType": "JSONL"})), "MaxConcurrency": 3,
            "ToleratedFailureCount": 3, "ResultWriter": exported()});
        let inner = MemoryStore::new();
        let store = Arc::new(Flaky { inner, every: AtomicUsize::new(0), commits: AtomicUsize::new(0) });
        let w = world(store.clone(), table(), &s3).await;
        let machine = w.create("m", "STANDARD", &map(kind, &call("odd"), &more)).await;
        store.every.store(every, Ordering::SeqCst);
        while w.start(&machine, "e", &json!({})).await.is_err() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        check(&w, &s3, kind, every).await;
    }
}
