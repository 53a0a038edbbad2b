use std::sync::{Arc, Mutex};
use std::time::Duration;

use base::ManualClock;
use serde_json::{Value, json};
use service::{Call, EffectId, Fault, Registry, Service};
use tokio::sync::Notify;

use super::world::{ECHO, World, now, until};
use crate::{InvocationType, InvokeRequest};

const FAILS: &str =
    "def handler(event, context):\n    print('attempt', context.aws_request_id)\n    raise ValueError('no')\n";

fn event(world: &World, name: &str, payload: &Value) -> InvokeRequest {
    InvokeRequest { invocation_type: InvocationType::Event, ..world.request(name, payload) }
}

/// A queue service that keeps what it is sent.
#[derive(Default)]
struct Queue {
    messages: Mutex<Vec<(Option<EffectId>, Value)>>,
    more: Notify,
}

fn with_queue(world: &World) -> Arc<Queue> {
    let queue = Arc::new(Queue::default());
    let mut service = Service::new("sqs");
    let kept = queue.clone();
    service.operation("SendMessage", move |call: Call, input: Value| {
        kept.messages.lock().unwrap().push((call.effect, input));
        kept.more.notify_waiters();
        async { Ok::<_, Fault>(json!({"MessageId": "1"})) }
    });
    let mut registry = Registry::new();
    registry.add(service);
    world.functions.set_registry(registry);
    queue
}

impl Queue {
    async fn message(&self) -> (Option<EffectId>, Value) {
        until(async {
            loop {
                let more = self.more.notified();
                if let Some(message) = self.messages.lock().unwrap().first() {
                    return message.clone();
                }
                more.await;
            }
        })
        .await
    }
}

/// Lets time pass until there are `count` lines with `text`. The queue looks at the clock when something comes in.
async fn lines(world: &World, clock: &ManualClock, text: &str, count: usize, step: Duration) {
    until(async {
        while world.logs.lines().iter().filter(|l| l.contains(text)).count() < count {
            clock.advance(step);
            world.functions.invoke(event(world, "tick", &json!({}))).await.unwrap();
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn accepted_then_run_once() {
    let world = World::new().await;
    world.python("f", "def handler(event, context):\n    print('ran', event, context.aws_request_id)\n").await;
    let request = InvokeRequest { effect: Some(EffectId::new(b"outbox/x/1")), ..event(&world, "f", &json!({"n": 1})) };
    let first = world.try_invoke(request.clone()).await.unwrap();
    let second = world.try_invoke(request).await.unwrap();
    assert_eq!((first.status_code, first.payload.len()), (202, 0));
    assert_eq!(first.request_id, second.request_id, "the same effect");
    world.logs.line_with(&format!("ran {{'n': 1}} {}", first.request_id)).await;
    world.try_invoke(event(&world, "f", &json!({"n": 2}))).await.unwrap();
    world.logs.line_with("ran {'n': 2}").await;
    assert_eq!(world.logs.lines().iter().filter(|l| l.starts_with("ran")).count(), 2);
    let fault = world.try_invoke(event(&world, "f", &json!("x".repeat(1024 * 1024)))).await.unwrap_err();
    assert_eq!((fault.status, &*fault.code), (413, "RequestTooLargeException"));
    let dry = InvokeRequest { invocation_type: InvocationType::DryRun, ..world.request("f", &json!({})) };
    assert_eq!(world.try_invoke(dry).await.unwrap().status_code, 204);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failures_are_tried_again_then_told() {
    let clock = Arc::new(ManualClock::new(now()));
    let world = World::with_clock(clock.clone(), |_| {}).await;
    world.python("tick", ECHO).await;
    let queue = with_queue(&world);
    world.python("f", FAILS).await;
    let failures = json!({"OnFailure": {"Destination": "arn:aws:sqs:us-east-1:000000000000:failures"}});
    let config = json!({"FunctionName": "f", "DestinationConfig": failures});
    world.call("PutFunctionEventInvokeConfig", config).await.unwrap();
    let id = world.try_invoke(event(&world, "f", &json!({"n": 1}))).await.unwrap().request_id;
    lines(&world, &clock, &format!("attempt {id}"), 1, Duration::ZERO).await;
    lines(&world, &clock, &format!("attempt {id}"), 3, Duration::from_secs(5)).await;
    let (effect, message) = queue.message().await;
    assert!(effect.is_some(), "the queue can drop a second delivery");
    assert!(message["QueueUrl"].as_str().unwrap().ends_with("/000000000000/failures"));
    let body: Value = serde_json::from_str(message["MessageBody"].as_str().unwrap()).unwrap();
    assert_eq!(body["requestContext"]["condition"], "RetriesExhausted");
    assert_eq!(body["requestContext"]["approximateInvokeCount"], 3);
    assert_eq!(body["requestContext"]["functionArn"], "arn:aws:lambda:us-east-1:000000000000:function:f:$LATEST");
    assert_eq!((&body["requestPayload"], &body["responsePayload"]["errorMessage"]), (&json!({"n": 1}), &json!("no")));
    let context = json!({"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"});
    assert_eq!(body["responseContext"], context);
    assert_eq!(world.logs.lines().iter().filter(|l| l.starts_with("attempt")).count(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dead_letters_carry_the_event() {
    let world = World::new().await;
    let queue = with_queue(&world);
    let dead = json!({"DeadLetterConfig": {"TargetArn": "arn:aws:sqs:us-east-1:000000000000:dead"}});
    world.create("f", "python3.12", "handler.handler", &[("handler.py", 0o644, FAILS)], dead).await;
    world.call("PutFunctionEventInvokeConfig", json!({"FunctionName": "f", "MaximumRetryAttempts": 0})).await.unwrap();
    let id = world.try_invoke(event(&world, "f", &json!({"n": 1}))).await.unwrap().request_id;
    let (_, message) = queue.message().await;
    assert_eq!(message["MessageBody"], r#"{"n":1}"#);
    assert_eq!(message["MessageAttributes"]["RequestID"]["StringValue"], &*id);
    assert_eq!(message["MessageAttributes"]["ErrorMessage"]["StringValue"], "no");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_accepted_survives_the_server() {
    let clock = Arc::new(ManualClock::new(now()));
    let world = World::with_clock(clock.clone(), |_| {}).await;
    world.python("tick", ECHO).await;
    world.python("f", FAILS).await;
    world.python("g", ECHO).await;
    let id = world.try_invoke(event(&world, "f", &json!({}))).await.unwrap().request_id;
    lines(&world, &clock, &format!("attempt {id}"), 2, Duration::from_secs(5)).await;
    let (store, dir) = (world.store.clone(), world.dir.clone());
    world.functions.shut_down().await;
    drop(world);
    let world = World::on(store, clock.clone(), dir, |_| {}).await;
    assert_eq!(world.invoke("g", &json!(1)).await, (None, json!(1)), "functions are there again");
    lines(&world, &clock, &format!("attempt {id}"), 1, Duration::from_secs(5)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn throttled_events_wait() {
    let clock = Arc::new(ManualClock::new(now()));
    let world = World::with_clock(clock.clone(), |_| {}).await;
    world.python("tick", ECHO).await;
    world.python("f", "def handler(event, context):\n    print('ran')\n").await;
    let reserve = |n: u32| json!({"FunctionName": "f", "ReservedConcurrentExecutions": n});
    world.call("PutFunctionConcurrency", reserve(0)).await.unwrap();
    assert_eq!(world.try_invoke(event(&world, "f", &json!({}))).await.unwrap().status_code, 202);
    world.call("PutFunctionConcurrency", reserve(5)).await.unwrap();
    lines(&world, &clock, "ran", 1, Duration::from_secs(1)).await;
}
