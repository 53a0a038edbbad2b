//! The engine over the memory store, with functions that are closures: what tests of several modules need.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base::{Clock, Entropy, ManualClock, Scope, SystemClock, Timestamp};
use bytes::Bytes;
use serde_json::{Value, json};
use service::{Call, Fault, Registry, Service};
use store::{MemoryStore, Store};

use crate::{Engine, Invocation, InvokeFuture, Invoked, Invoker, Options, StatusChange};

pub type Table = BTreeMap<&'static str, fn(&Value) -> Result<Value, Value>>;

/// Functions by name; each call is written down. A function that is not there never answers.
#[derive(Default)]
pub struct Functions {
    pub table: Table,
    pub calls: Mutex<Vec<(String, Value)>>,
}

impl Invoker for Functions {
    fn invoke(&self, invocation: Invocation) -> InvokeFuture {
        let name = invocation.function.rsplit(':').next().unwrap_or_default().to_owned();
        let input: Value = serde_json::from_slice(&invocation.payload).unwrap();
        self.calls.lock().unwrap().push((name.clone(), input.clone()));
        let Some(function) = self.table.get(name.as_str()) else { return Box::pin(std::future::pending()) };
        let answer = function(&input);
        Box::pin(async move {
            let (payload, function_error) = match answer {
                Ok(value) => (value, None),
                Err(value) => (value, Some("Unhandled".to_owned())),
            };
            let payload = Bytes::from(payload.to_string());
            Ok(Invoked { status_code: 200, function_error, payload, ..Invoked::default() })
        })
    }
}

pub struct World {
    pub store: Arc<dyn Store>,
    pub clock: Arc<dyn Clock>,
    pub functions: Arc<Functions>,
    pub engine: Engine,
    pub registry: Registry,
    /// Log lines: group, stream, text.
    pub logged: Arc<Mutex<Vec<(String, String, String)>>>,
    pub announced: Arc<Mutex<Vec<StatusChange>>>,
}

pub async fn world(store: Arc<dyn Store>, functions: Arc<Functions>) -> World {
    world_at(store, functions, Arc::new(SystemClock::new()), Options::default()).await
}

pub async fn world_at(
    store: Arc<dyn Store>,
    functions: Arc<Functions>,
    clock: Arc<dyn Clock>,
    options: Options,
) -> World {
    let mut sqs = Service::new("sqs");
    sqs.operation("SendMessage", |_: Call, input: Value| async move {
        if input["QueueUrl"] == "http://h/1/gone" {
            return Err(Fault::client("QueueDoesNotExist", "The specified queue does not exist."));
        }
        Ok(json!({"MessageId": "m-1", "Body": input["MessageBody"]}))
    });
    let mut logs = Service::new("logs");
    logs.operation("DescribeLogGroups", |_: Call, input: Value| async move {
        let there = input["logGroupNamePrefix"] == "/there";
        Ok::<_, Fault>(json!({"logGroups": if there { json!([{"logGroupName": "/there"}]) } else { json!([]) }}))
    });
    world_with(store, functions, clock, options, vec![sqs, logs]).await
}

/// A world with services of the test's own beside `states`.
pub async fn world_with(
    store: Arc<dyn Store>,
    functions: Arc<Functions>,
    clock: Arc<dyn Clock>,
    options: Options,
    services: Vec<Service>,
) -> World {
    let entropy = Arc::new(Entropy::from_seed(1));
    let options = Options { activity_poll_ms: 50, ..options };
    let engine = Engine::new(store.clone(), clock.clone(), entropy, functions.clone(), options).await.unwrap();
    let logged: Arc<Mutex<Vec<(String, String, String)>>> = Arc::default();
    let sink = logged.clone();
    engine.log_to(Box::new(move |_, group, stream, lines| {
        let lines = lines.into_iter().map(|(_, line)| (group.to_owned(), stream.to_owned(), line));
        sink.lock().unwrap().extend(lines);
    }));
    let mut registry = Registry::new();
    registry.add(engine.service());
    services.into_iter().for_each(|service| registry.add(service));
    let announced: Arc<Mutex<Vec<StatusChange>>> = Arc::default();
    let sink = announced.clone();
    engine.announce_to(Box::new(move |change| sink.lock().unwrap().push(change)));
    engine.run(registry.clone(), "http://127.0.0.1:4566").await.unwrap();
    World { store, clock, functions, engine, registry, logged, announced }
}

pub async fn fresh(table: Table) -> World {
    world(Arc::new(MemoryStore::new()), Arc::new(Functions { table, calls: Mutex::default() })).await
}

/// A world whose time moves only when it is told to.
pub async fn fresh_at(table: Table, options: Options) -> (World, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1_700_000_000_000)));
    let functions = Arc::new(Functions { table, calls: Mutex::default() });
    (world_at(Arc::new(MemoryStore::new()), functions, clock.clone(), options).await, clock)
}

impl World {
    pub async fn call(&self, operation: &str, input: Value) -> Result<Value, Fault> {
        let call = Call::internal(Scope::default(), "r", "tester");
        self.registry.call_value("states", operation, call, input).await
    }

    pub async fn create(&self, name: &str, kind: &str, definition: &Value) -> String {
        let input = json!({"name": name, "definition": definition.to_string(), "type": kind,
            "roleArn": "arn:aws:iam::000000000000:role/r"});
        let created = self.call("CreateStateMachine", input).await.unwrap();
        created["stateMachineArn"].as_str().unwrap().to_owned()
    }

    pub async fn start(&self, machine: &str, name: &str, input: &Value) -> Result<String, Fault> {
        let input = json!({"stateMachineArn": machine, "name": name, "input": input.to_string()});
        Ok(self.call("StartExecution", input).await?["executionArn"].as_str().unwrap().to_owned())
    }

    pub async fn ended(&self, execution: &str) -> Value {
        loop {
            let description = self.call("DescribeExecution", json!({"executionArn": execution})).await.unwrap();
            if description["status"] != "RUNNING" {
                return description;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    pub async fn history(&self, execution: &str) -> Vec<String> {
        self.events(execution).await.iter().map(|e| e["type"].as_str().unwrap().to_owned()).collect()
    }

    pub async fn events(&self, execution: &str) -> Vec<Value> {
        let (mut events, mut token) = (Vec::new(), Value::Null);
        loop {
            let input = json!({"executionArn": execution, "maxResults": 1000, "nextToken": token});
            let page = self.call("GetExecutionHistory", input).await.unwrap();
            events.extend(page["events"].as_array().unwrap().clone());
            match page.get("nextToken") {
                None => return events,
                Some(next) => token = next.clone(),
            }
        }
    }

    pub fn calls(&self, function: &str) -> usize {
        self.functions.calls.lock().unwrap().iter().filter(|(name, _)| name == function).count()
    }

    /// The same store under a new engine, as after a crash: nothing of the old one is told.
    pub async fn restart(self, table: Table) -> World {
        drop(self.engine);
        let functions = Arc::new(Functions { table, calls: Mutex::default() });
        world_at(self.store, functions, self.clock, Options::default()).await
    }
}

pub fn function(name: &str) -> String {
    format!("arn:aws:lambda:us-east-1:000000000000:function:{name}")
}

pub fn one_task(resource: &str, parameters: &Value) -> Value {
    json!({"StartAt": "T", "States": {"T": {"Type": "Task", "Resource": resource, "Parameters": parameters, "End": true}}})
}

pub fn echo(input: &Value) -> Result<Value, Value> {
    Ok(input.clone())
}
