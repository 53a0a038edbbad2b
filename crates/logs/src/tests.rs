mod events;
mod groups;
mod patterns;
mod process;

use std::sync::Arc;
use std::time::Duration;

use base::{Clock as _, ManualClock, Scope, Timestamp};
use serde_json::{Value, json};
use service::{Call, Fault, Registry};
use store::MemoryStore;

use crate::{GroupName, Logs, Options};

/// The service behind its registry, on a clock that the test moves.
struct Fixture {
    logs: Logs,
    registry: Registry,
    clock: Arc<ManualClock>,
    store: Arc<MemoryStore>,
}

impl Fixture {
    async fn new() -> Fixture {
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1_700_000_000_000)));
        Fixture::on(Arc::new(MemoryStore::new()), clock, Options::default()).await
    }

    async fn on(store: Arc<MemoryStore>, clock: Arc<ManualClock>, options: Options) -> Fixture {
        let options = Options { linger: Duration::ZERO, ..options };
        let logs = Logs::start(store.clone(), clock.clone(), options).await.unwrap();
        let mut registry = Registry::new();
        registry.add(logs.service());
        Fixture { logs, registry, clock, store }
    }

    async fn restart(self) -> Fixture {
        Fixture::on(self.store.clone(), self.clock.clone(), Options::default()).await
    }

    fn now(&self) -> i64 {
        self.clock.now().as_millis()
    }

    async fn call(&self, operation: &str, input: Value) -> Result<Value, Fault> {
        let call = Call::internal(Scope::default(), "r-1", "arn:aws:iam::000000000000:root");
        self.registry.call_value("logs", operation, call, input).await
    }

    async fn ok(&self, operation: &str, input: Value) -> Value {
        self.call(operation, input.clone()).await.unwrap_or_else(|f| panic!("{operation} {input}: {f}"))
    }

    async fn fault(&self, operation: &str, input: Value) -> Fault {
        match self.call(operation, input.clone()).await {
            Err(fault) => fault,
            Ok(output) => panic!("{operation} {input}: answered {output}"),
        }
    }

    async fn stream(&self, group: &str, stream: &str) {
        let _ = self.call("CreateLogGroup", json!({"logGroupName": group})).await;
        self.ok("CreateLogStream", json!({"logGroupName": group, "logStreamName": stream})).await;
    }

    /// Puts events at so many milliseconds from now.
    async fn put(&self, group: &str, stream: &str, events: &[(i64, &str)]) -> Value {
        let events: Vec<Value> =
            events.iter().map(|(at, message)| json!({"timestamp": self.now() + at, "message": message})).collect();
        self.ok("PutLogEvents", json!({"logGroupName": group, "logStreamName": stream, "logEvents": events})).await
    }
}

fn group(name: &str) -> GroupName {
    GroupName::new(&Scope::default(), name)
}

fn messages(output: &Value) -> Vec<String> {
    output["events"].as_array().unwrap().iter().map(|e| e["message"].as_str().unwrap().to_owned()).collect()
}
