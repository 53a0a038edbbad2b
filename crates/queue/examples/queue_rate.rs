//! Prints how many messages a second are sent, received and deleted, through the same registry that the gateway uses.
//!
//!     cargo run --release -p queue --example queue_rate -- [messages] [queues] [clients] [body bytes] [folder]
//!
//! With a folder the messages are durable there; without one they are in memory.

use std::sync::Arc;
use std::time::Instant;

use base::{Entropy, Scope, SystemClock};
use bytes::Bytes;
use queue::{Options, Queues};
use serde_json::{Value, json};
use service::{Call, Registry};
use store::{MemoryStore, Store};
use store_embedded::EmbeddedStore;

const BATCH: usize = 10;

#[tokio::main(worker_threads = 2)]
async fn main() {
    let number = |n: usize, default: usize| std::env::args().nth(n).and_then(|a| a.parse().ok()).unwrap_or(default);
    let (messages, queues, clients, body_bytes) = (number(1, 200_000), number(2, 4), number(3, 32), number(4, 256));
    let folder = std::env::args().nth(5).map(|parent| tempfile::tempdir_in(parent).expect("a fresh folder"));
    let store: Arc<dyn Store> = match &folder {
        Some(folder) => Arc::new(EmbeddedStore::open(folder.path(), Default::default()).expect("open the store")),
        None => Arc::new(MemoryStore::new()),
    };
    let clock = Arc::new(SystemClock::new());
    let service = Queues::start(store, clock, Entropy::from_os().into(), Options::default()).await;
    let service = service.expect("start the queues");
    let mut registry = Registry::new();
    registry.add(service.service());
    let registry = Arc::new(registry);
    for queue in 0..queues {
        call(&registry, "CreateQueue", json!({"QueueName": format!("rate-{queue}")})).await;
    }
    let per_client = messages / clients / BATCH * BATCH;
    let start = Instant::now();
    let jobs: Vec<_> = (0..clients)
        .map(|client| tokio::spawn(work(registry.clone(), format!("rate-{}", client % queues), per_client, body_bytes)))
        .collect();
    for job in jobs {
        job.await.expect("a client ran to its end");
    }
    let seconds = start.elapsed().as_secs_f64();
    let rate = (per_client * clients) as f64 / seconds;
    println!("{} messages of {body_bytes} bytes sent, received and deleted in {seconds:.2} s", per_client * clients);
    println!(
        "{rate:.0} messages/s ({} store, {queues} queues, {clients} clients, batches of {BATCH})",
        if folder.is_some() { "embedded" } else { "memory" }
    );
}

async fn work(registry: Arc<Registry>, queue: String, messages: usize, body_bytes: usize) {
    let body = "x".repeat(body_bytes);
    let mut deleted = 0;
    for _ in 0..messages / BATCH {
        let entries: Vec<Value> = (0..BATCH).map(|n| json!({"Id": n.to_string(), "MessageBody": body})).collect();
        call(&registry, "SendMessageBatch", json!({"QueueUrl": queue, "Entries": entries})).await;
        deleted += receive_and_delete(&registry, &queue).await;
    }
    while deleted < messages {
        match receive_and_delete(&registry, &queue).await {
            0 => break,
            n => deleted += n,
        }
    }
}

async fn receive_and_delete(registry: &Registry, queue: &str) -> usize {
    let received = call(registry, "ReceiveMessage", json!({"QueueUrl": queue, "MaxNumberOfMessages": BATCH})).await;
    let messages = received["Messages"].as_array().cloned().unwrap_or_default();
    let entry = |(n, m): (usize, &Value)| json!({"Id": n.to_string(), "ReceiptHandle": m["ReceiptHandle"]});
    let entries: Vec<Value> = messages.iter().enumerate().map(entry).collect();
    if !entries.is_empty() {
        call(registry, "DeleteMessageBatch", json!({"QueueUrl": queue, "Entries": entries})).await;
    }
    entries.len()
}

async fn call(registry: &Registry, operation: &str, input: Value) -> Value {
    let call = Call::internal(Scope::default(), "rate", "arn:aws:iam::000000000000:root");
    let output = registry.call_text("sqs", operation, call, Bytes::from(input.to_string())).await;
    serde_json::from_slice(&output.expect("the call succeeds")).expect("answers are JSON")
}
