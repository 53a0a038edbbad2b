//! The engine in process, on a real store: no HTTP, functions that answer at once.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;
use base::{Entropy, Scope, SystemClock};
use engine::{Engine, Invocation, InvokeFuture, Invoked, Invoker, Options};
use serde_json::{Value, json};
use service::{Call, Registry};
use store::Store;
use tokio::sync::Semaphore;

use crate::disk::Disk;
use crate::figures::row;

/// Answers at once. A call of `last` makes room for another execution: polling for the end would measure the polls.
struct Echo {
    room: Semaphore,
    ended: AtomicU64,
}

impl Invoker for Echo {
    fn invoke(&self, invocation: Invocation) -> InvokeFuture {
        if invocation.function.ends_with(":last") {
            self.ended.fetch_add(1, Ordering::Relaxed);
            self.room.add_permits(1);
        }
        let answer = Invoked { status_code: 200, payload: invocation.payload, ..Invoked::default() };
        Box::pin(std::future::ready(Ok(answer)))
    }
}

pub const ROLE: &str = "arn:aws:iam::000000000000:role/bench";

/// `length` states of the kind that `state` makes.
pub fn chain(length: usize, state: impl Fn() -> Value) -> Value {
    let states: serde_json::Map<String, Value> = (0..length)
        .map(|n| {
            let mut state = state();
            if n + 1 == length {
                state["End"] = true.into();
            } else {
                state["Next"] = format!("S{}", n + 1).into();
            }
            (format!("S{n}"), state)
        })
        .collect();
    json!({"StartAt": "S0", "States": states})
}

pub async fn run(dir: &Path, disk: &Disk) -> Result<()> {
    let task = |name: &str| json!({"Type": "Task", "Resource": format!("arn:aws:lambda:us-east-1:000000000000:function:{name}")});
    let mut tasks = chain(5, || task("echo"));
    tasks["States"]["S4"]["Resource"] = task("last")["Resource"].clone();
    let mut passes = chain(5, || json!({"Type": "Pass"}));
    passes["States"]["S4"] = json!({"Type": "Task", "Resource": task("last")["Resource"], "End": true});
    for (what, definition) in [("4 Pass states and a Task", passes), ("5 Task states", tasks)] {
        for at_once in [1, 32, 256, 1024] {
            let rate = measure(dir, &definition, at_once).await?;
            let transitions = rate * 5.0;
            row(
                &format!("engine: {what}, {at_once} at once"),
                &format!(
                    "{rate:.0} executions/s, {transitions:.0} transitions/s ({:.1} a disk sync)",
                    transitions / disk.syncs_per_second
                ),
            );
        }
    }
    for (what, definition) in [("JSONPath", counting_by_path()), ("JSONata", counting_by_expression())] {
        let (events, times) = count(dir, &definition).await?;
        let (median, most) = (times[times.len() / 2], times[times.len() - 1]);
        row(
            &format!("engine: a Choice loop in {what}, {events} events"),
            &format!("{median:.0?} (median), most {most:.0?}"),
        );
    }
    Ok(())
}

/// Passes of the loop: with four events each, a history of almost 25,000.
const LOOPS: u32 = 6_240;

fn counting_by_path() -> Value {
    json!({"StartAt": "Set", "States": {
        "Set": {"Type": "Pass", "Result": {"n": 0}, "Next": "More"},
        "More": {"Type": "Choice", "Choices": [{"Variable": "$.n", "NumericLessThan": LOOPS, "Next": "Add"}], "Default": "Done"},
        "Add": {"Type": "Pass", "Parameters": {"n.$": "States.MathAdd($.n, 1)"}, "Next": "More"},
        "Done": {"Type": "Succeed"}}})
}

fn counting_by_expression() -> Value {
    json!({"QueryLanguage": "JSONata", "StartAt": "Set", "States": {
        "Set": {"Type": "Pass", "Assign": {"n": 0}, "Next": "More"},
        "More": {"Type": "Choice", "Choices": [{"Condition": format!("{{% $n < {LOOPS} %}}"), "Next": "Add"}], "Default": "Done"},
        "Add": {"Type": "Pass", "Assign": {"n": "{% $n + 1 %}"}, "Next": "More"},
        "Done": {"Type": "Succeed"}}})
}

/// How many events one execution of a loop has, and how long several took from start to end, sorted.
async fn count(dir: &Path, definition: &Value) -> Result<(u64, Vec<Duration>)> {
    const RUNS: usize = 9;
    let Bench { registry, machine, _folder, .. } = Bench::start(dir, definition, 1).await?;
    let (mut times, mut events) = (Vec::new(), 0);
    for _ in 0..RUNS {
        let begun = Instant::now();
        let started = call(&registry, "StartExecution", json!({"stateMachineArn": machine})).await?;
        let arn = &started["executionArn"];
        while call(&registry, "DescribeExecution", json!({"executionArn": arn})).await?["status"] == "RUNNING" {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        times.push(begun.elapsed());
        let last = json!({"executionArn": arn, "reverseOrder": true, "maxResults": 1});
        events = call(&registry, "GetExecutionHistory", last).await?["events"][0]["id"].as_u64().unwrap_or_default();
    }
    times.sort();
    Ok((events, times))
}

/// An engine with one state machine.
struct Bench {
    echo: Arc<Echo>,
    registry: Registry,
    machine: Value,
    _folder: tempfile::TempDir,
}

impl Bench {
    async fn start(dir: &Path, definition: &Value, at_once: usize) -> Result<Bench> {
        let folder = tempfile::tempdir_in(dir)?;
        let store: Arc<dyn Store> =
            Arc::new(store_embedded::EmbeddedStore::open(folder.path(), store_embedded::Options::default())?);
        let clock = Arc::new(SystemClock::new());
        let echo = Arc::new(Echo { room: Semaphore::new(at_once), ended: AtomicU64::new(0) });
        let entropy = Arc::new(Entropy::from_os());
        let engine = Engine::new(store, clock, entropy, echo.clone(), Options::default()).await?;
        let mut registry = Registry::new();
        registry.add(engine.service());
        engine.run(registry.clone(), "http://127.0.0.1:1").await?;
        let input = json!({"name": "m", "definition": definition.to_string(), "roleArn": ROLE});
        let machine = call(&registry, "CreateStateMachine", input).await?["stateMachineArn"].clone();
        Ok(Bench { echo, registry, machine, _folder: folder })
    }
}

async fn measure(dir: &Path, definition: &Value, at_once: usize) -> Result<f64> {
    const TIME: Duration = Duration::from_secs(3);
    let Bench { echo, registry, machine, _folder } = Bench::start(dir, definition, at_once).await?;
    let begun = Instant::now();
    let jobs: Vec<_> = (0..at_once.min(64))
        .map(|_| {
            let (registry, machine, echo) = (registry.clone(), machine.clone(), echo.clone());
            tokio::spawn(async move {
                while begun.elapsed() < TIME {
                    echo.room.acquire().await?.forget();
                    let input = json!({"stateMachineArn": machine, "input": "{\"n\":1}"});
                    call(&registry, "StartExecution", input).await?;
                }
                anyhow::Ok(())
            })
        })
        .collect();
    for job in jobs {
        job.await??;
    }
    Ok(echo.ended.load(Ordering::Relaxed) as f64 / begun.elapsed().as_secs_f64())
}

async fn call(registry: &Registry, operation: &str, input: Value) -> Result<Value> {
    Ok(registry.call_value("states", operation, Call::internal(Scope::default(), "bench", ROLE), input).await?)
}
