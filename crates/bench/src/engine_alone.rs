//! The engine in process, on a real store: no HTTP, functions that answer at once.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use base::{Entropy, Scope, SystemClock};
use engine::{Engine, Invocation, InvokeFuture, Invoked, Invoker, Options};
use serde_json::{Value, json};
use service::{Call, Registry};
use store::Store;

use crate::disk::Disk;
use crate::figures::row;

struct Echo;

impl Invoker for Echo {
    fn invoke(&self, invocation: Invocation) -> InvokeFuture {
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
    let task = || json!({"Type": "Task", "Resource": "arn:aws:lambda:us-east-1:000000000000:function:echo"});
    for (what, definition) in [("Pass", chain(5, || json!({"Type": "Pass"}))), ("Task", chain(5, task))] {
        for clients in [1, 32, 256] {
            let rate = measure(dir, &definition, clients).await?;
            row(
                &format!("engine: 5 {what} states, {clients} at once"),
                &format!(
                    "{:.0} executions/s, {:.0} transitions/s ({:.1} a disk sync)",
                    rate,
                    rate * 5.0,
                    rate * 5.0 / disk.syncs_per_second
                ),
            );
        }
    }
    Ok(())
}

async fn measure(dir: &Path, definition: &Value, clients: usize) -> Result<f64> {
    const TIME: Duration = Duration::from_secs(3);
    let folder = tempfile::tempdir_in(dir)?;
    let store: Arc<dyn Store> =
        Arc::new(store_embedded::EmbeddedStore::open(folder.path(), store_embedded::Options::default())?);
    let clock = Arc::new(SystemClock::new());
    let engine = Engine::new(store, clock, Arc::new(Entropy::from_os()), Arc::new(Echo), Options::default()).await?;
    let mut registry = Registry::new();
    registry.add(engine.service());
    engine.run(registry.clone(), "http://127.0.0.1:1").await?;
    let input = json!({"name": "m", "definition": definition.to_string(), "roleArn": ROLE});
    let machine = call(&registry, "CreateStateMachine", input).await?["stateMachineArn"].clone();
    let begun = Instant::now();
    let jobs: Vec<_> = (0..clients)
        .map(|_| {
            let (registry, machine) = (registry.clone(), machine.clone());
            tokio::spawn(async move {
                let mut done = 0u64;
                while begun.elapsed() < TIME {
                    let input = json!({"stateMachineArn": machine, "input": "{\"n\":1}"});
                    let arn = call(&registry, "StartExecution", input).await?["executionArn"].clone();
                    loop {
                        let description = call(&registry, "DescribeExecution", json!({"executionArn": arn})).await?;
                        if description["status"] != "RUNNING" {
                            anyhow::ensure!(description["status"] == "SUCCEEDED", "{description}");
                            break;
                        }
                        tokio::time::sleep(Duration::from_millis(1)).await;
                    }
                    done += 1;
                }
                Ok(done)
            })
        })
        .collect();
    let mut done = 0;
    for job in jobs {
        done += job.await??;
    }
    Ok(done as f64 / begun.elapsed().as_secs_f64())
}

async fn call(registry: &Registry, operation: &str, input: Value) -> Result<Value> {
    Ok(registry.call_value("states", operation, Call::internal(Scope::default(), "bench", ROLE), input).await?)
}
