mod driver;
mod fifo;
mod messages;
mod model;
mod moves;
mod queues;

use std::sync::Arc;

use base::{Clock as _, Entropy, ManualClock, Scope, Timestamp};
use serde_json::{Value, json};
use service::{Call, EffectId, Fault, Registry};
use store::MemoryStore;

use crate::{Options, Queues};

/// The service behind its registry, on a clock that the test moves.
struct Fixture {
    queues: Queues,
    registry: Registry,
    clock: Arc<ManualClock>,
    store: Arc<MemoryStore>,
}

impl Fixture {
    async fn new() -> Fixture {
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1_700_000_000_000)));
        Fixture::on(Arc::new(MemoryStore::new()), clock, 1).await
    }

    async fn on(store: Arc<MemoryStore>, clock: Arc<ManualClock>, seed: u64) -> Fixture {
        let entropy = Arc::new(Entropy::from_seed(seed));
        let queues = Queues::start(store.clone(), clock.clone(), entropy, Options::default()).await.unwrap();
        let mut registry = Registry::new();
        registry.add(queues.service());
        Fixture { queues, registry, clock, store }
    }

    /// Starts anew on what is stored, as after a crash.
    async fn restart(self) -> Fixture {
        Fixture::on(self.store.clone(), self.clock.clone(), 2).await
    }

    fn seconds_pass(&self, seconds: u64) {
        self.clock.advance(std::time::Duration::from_secs(seconds));
    }

    fn now_ms(&self) -> i64 {
        self.clock.now().as_millis()
    }

    async fn call_as(&self, call: Call, operation: &str, input: Value) -> Result<Value, Fault> {
        self.registry.call_value("sqs", operation, call, input).await
    }

    async fn call(&self, operation: &str, input: Value) -> Result<Value, Fault> {
        let call = Call::internal(Scope::default(), "r-1", "arn:aws:iam::000000000000:root");
        self.call_as(call, operation, input).await
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

    /// Makes a queue; its name serves as its URL.
    async fn queue(&self, name: &str, attributes: Value) {
        self.ok("CreateQueue", json!({"QueueName": name, "Attributes": attributes})).await;
    }

    async fn send(&self, queue: &str, body: &str) -> Value {
        self.ok("SendMessage", json!({"QueueUrl": queue, "MessageBody": body})).await
    }

    async fn send_fifo(&self, queue: &str, group: &str, body: &str) -> Value {
        self.ok("SendMessage", json!({"QueueUrl": queue, "MessageBody": body, "MessageGroupId": group})).await
    }

    /// Receives up to ten messages at once, with all their attributes.
    async fn receive(&self, queue: &str) -> Vec<Value> {
        let input = json!({"QueueUrl": queue, "MaxNumberOfMessages": 10, "MessageSystemAttributeNames": ["All"],
            "MessageAttributeNames": ["All"], "WaitTimeSeconds": 0});
        self.ok("ReceiveMessage", input).await["Messages"].as_array().cloned().unwrap_or_default()
    }

    async fn bodies(&self, queue: &str) -> Vec<String> {
        self.receive(queue).await.iter().map(|m| text(&m["Body"])).collect()
    }

    /// Visible, in flight, delayed.
    async fn counts(&self, queue: &str) -> (usize, usize, usize) {
        let counts = self.queues.counts(&arn(queue)).await.unwrap();
        (counts.visible, counts.in_flight, counts.delayed)
    }
}

fn arn(queue: &str) -> String {
    format!("arn:aws:sqs:us-east-1:000000000000:{queue}")
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned()
}

fn redrive(target: &str, count: u32) -> String {
    json!({"deadLetterTargetArn": arn(target), "maxReceiveCount": count}).to_string()
}

fn effect(n: u64) -> EffectId {
    EffectId::new(&cell::outbox_key("engine/0", n))
}
