use serde_json::{Value, json};

use super::{Fixture, arn, redrive, text};
use crate::machine::CELLS;

/// A name whose queue is in the same cell as `other`, or in another.
pub(super) fn name_for(other: &str, same_cell: bool, suffix: &str) -> String {
    let cell = |name: &str| cell::shard_of(arn(name).as_bytes(), CELLS);
    let names = (0..).map(|n| format!("n{n}{suffix}"));
    names.into_iter().find(|name| (cell(name) == cell(other)) == same_cell).unwrap()
}

/// Waits for what a courier brings.
async fn arrived(f: &Fixture, queue: &str, count: usize) {
    for _ in 0..10_000 {
        if f.counts(queue).await.0 == count {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("{queue} holds {:?}, not {count}", f.counts(queue).await);
}

#[tokio::test]
async fn what_is_received_too_often_goes_to_the_dead_letter_queue() {
    for same_cell in [true, false] {
        let f = Fixture::new().await;
        let dlq = name_for("q", same_cell, "");
        f.queue(&dlq, json!({})).await;
        f.queue("q", json!({"RedrivePolicy": redrive(&dlq, 2), "VisibilityTimeout": "10"})).await;
        f.send("q", "bad").await;
        let sent_at = f.now_ms().to_string();
        for _ in 0..2 {
            assert_eq!(f.bodies("q").await, ["bad"]);
            f.seconds_pass(10);
        }
        // As AWS does it: the receive that would be one too many moves it.
        assert_eq!((f.counts("q").await.0, f.bodies("q").await.len()), (1, 0));
        arrived(&f, &dlq, 1).await;
        assert_eq!(f.counts("q").await, (0, 0, 0));
        let f = f.restart().await;
        let dead = f.receive(&dlq).await.remove(0);
        assert_eq!(dead["Attributes"]["DeadLetterQueueSourceArn"], arn("q"));
        assert_eq!(dead["Attributes"]["ApproximateReceiveCount"], "1");
        assert_eq!(text(&dead["Attributes"]["SentTimestamp"]), sent_at);
        assert_eq!((f.counts("q").await, f.counts(&dlq).await), ((0, 0, 0), (0, 1, 0)));
    }
}

/// One turn's batch must not outgrow what a store takes.
#[tokio::test]
async fn many_large_dead_letters_are_moved_turn_by_turn() {
    for same_cell in [true, false] {
        let f = Fixture::new().await;
        let dlq = name_for("q", same_cell, "");
        f.queue(&dlq, json!({})).await;
        f.queue("q", json!({"RedrivePolicy": redrive(&dlq, 1), "VisibilityTimeout": "0"})).await;
        let body = "x".repeat(1_000_000);
        for _ in 0..20 {
            f.send("q", &body).await;
        }
        assert_eq!(f.queues.receive(&arn("q"), 20, Some(0), None).await.unwrap().len(), 20);
        assert!(f.receive("q").await.is_empty());
        let left = f.counts("q").await.0;
        assert!((1..20).contains(&left), "{left}");
        // Somebody who waits need not come again, and gets what is sent at last.
        let poll = f.ok("ReceiveMessage", json!({"QueueUrl": "q", "WaitTimeSeconds": 20}));
        let send = async {
            arrived(&f, &dlq, 20).await;
            f.send("q", "alive").await
        };
        assert_eq!(futures::future::join(poll, send).await.0["Messages"][0]["Body"], "alive");
        assert_eq!(f.counts("q").await, (1, 0, 0));
    }
}

#[tokio::test]
async fn without_its_dead_letter_queue_a_queue_keeps_its_messages() {
    let f = Fixture::new().await;
    f.queue("d", json!({})).await;
    f.queue("q", json!({"RedrivePolicy": redrive("d", 1), "VisibilityTimeout": "0"})).await;
    f.send("q", "m").await;
    f.ok("DeleteQueue", json!({"QueueUrl": "d"})).await;
    for _ in 0..3 {
        assert_eq!(f.bodies("q").await, ["m"]);
    }
    f.queue("d", json!({})).await;
    assert_eq!(f.bodies("q").await, [""; 0]);
    arrived(&f, "d", 1).await;
}

#[tokio::test]
async fn dead_letters_of_fifo_queues_keep_their_order() {
    for same_cell in [true, false] {
        let f = Fixture::new().await;
        let dlq = name_for("q.fifo", same_cell, ".fifo");
        let fifo = json!({"FifoQueue": "true", "ContentBasedDeduplication": "true"});
        f.queue(&dlq, fifo).await;
        let mut attributes =
            json!({"FifoQueue": "true", "ContentBasedDeduplication": "true", "VisibilityTimeout": "0"});
        attributes["RedrivePolicy"] = json!(redrive(&dlq, 1));
        f.queue("q.fifo", attributes).await;
        for n in 0..5 {
            f.send_fifo("q.fifo", "g", &n.to_string()).await;
        }
        assert_eq!(f.bodies("q.fifo").await.len(), 5);
        f.seconds_pass(5);
        f.send_fifo("q.fifo", "g", "alive").await;
        assert_eq!(f.bodies("q.fifo").await, ["alive"]);
        arrived(&f, &dlq, 5).await;
        let dead = f.receive(&dlq).await;
        let bodies: Vec<String> = dead.iter().map(|m| text(&m["Body"])).collect();
        assert_eq!(bodies, ["0", "1", "2", "3", "4"]);
        assert_eq!(text(&dead[0]["Attributes"]["SentTimestamp"]), f.now_ms().to_string(), "retention begins anew");
    }
}

/// A dead-letter queue with four messages of `q` in it.
async fn with_dead_letters(same_cell: bool) -> (Fixture, String) {
    let f = Fixture::new().await;
    let dlq = name_for("q", same_cell, "");
    f.queue(&dlq, json!({})).await;
    f.queue("q", json!({"RedrivePolicy": redrive(&dlq, 1), "VisibilityTimeout": "0"})).await;
    for n in 0..4 {
        f.send("q", &n.to_string()).await;
    }
    assert_eq!(f.bodies("q").await.len(), 4);
    assert!(f.bodies("q").await.is_empty());
    arrived(&f, &dlq, 4).await;
    (f, dlq)
}

async fn task(f: &Fixture, dlq: &str) -> Value {
    let listed = f.ok("ListMessageMoveTasks", json!({"SourceArn": arn(dlq)})).await;
    listed["Results"][0].clone()
}

#[tokio::test]
async fn a_move_task_brings_messages_back() {
    for same_cell in [true, false] {
        let (f, dlq) = with_dead_letters(same_cell).await;
        let started = f.ok("StartMessageMoveTask", json!({"SourceArn": arn(&dlq)})).await;
        assert!(started["TaskHandle"].is_string());
        arrived(&f, "q", 4).await;
        f.seconds_pass(1);
        f.counts(&dlq).await;
        arrived(&f, &dlq, 0).await;
        let done = task(&f, &dlq).await;
        assert_eq!(
            done,
            json!({"Status": "COMPLETED", "SourceArn": arn(&dlq), "ApproximateNumberOfMessagesMoved": 4,
                "ApproximateNumberOfMessagesToMove": 4, "StartedTimestamp": done["StartedTimestamp"]})
        );
        let back = f.receive("q").await.remove(0);
        assert!(back["Attributes"].get("DeadLetterQueueSourceArn").is_none());
        assert_eq!(back["Attributes"]["ApproximateReceiveCount"], "1");
    }
}

#[tokio::test]
async fn a_move_task_keeps_its_rate_and_can_be_cancelled() {
    let (f, dlq) = with_dead_letters(true).await;
    let other = name_for("q", true, "-other");
    f.queue(&other, json!({})).await;
    let input = json!({"SourceArn": arn(&dlq), "DestinationArn": arn(&other), "MaxNumberOfMessagesPerSecond": 1});
    let handle = f.ok("StartMessageMoveTask", input.clone()).await["TaskHandle"].clone();
    assert!(f.fault("StartMessageMoveTask", input).await.message.starts_with("There is already a task running."));
    assert_eq!(f.counts(&other).await, (1, 0, 0));
    let f = f.restart().await;
    f.seconds_pass(1);
    f.counts(&dlq).await;
    assert_eq!(task(&f, &dlq).await["TaskHandle"], handle);
    let moved = f.ok("CancelMessageMoveTask", json!({"TaskHandle": handle})).await;
    let moved = moved["ApproximateNumberOfMessagesMoved"].as_u64().unwrap() as usize;
    assert!((1..4).contains(&moved));
    f.seconds_pass(10);
    f.counts(&dlq).await;
    assert_eq!((f.counts(&other).await.0, f.counts(&dlq).await.0), (moved, 4 - moved));
    assert_eq!(task(&f, &dlq).await["Status"], "CANCELLED");
    assert!(f.call("CancelMessageMoveTask", json!({"TaskHandle": handle})).await.is_err());
}

#[tokio::test]
async fn a_move_task_without_its_destination_fails() {
    let (f, dlq) = with_dead_letters(true).await;
    f.ok("StartMessageMoveTask", json!({"SourceArn": arn(&dlq), "MaxNumberOfMessagesPerSecond": 1})).await;
    f.ok("DeleteQueue", json!({"QueueUrl": "q"})).await;
    f.seconds_pass(1);
    f.counts(&dlq).await;
    let failed = task(&f, &dlq).await;
    assert_eq!(
        (&failed["Status"], &failed["FailureReason"]),
        (&json!("FAILED"), &json!("AWS.SimpleQueueService.NonExistentQueue"))
    );
    assert_eq!(f.counts(&dlq).await.0, 3);
}

#[tokio::test]
async fn move_tasks_that_are_refused() {
    let f = Fixture::new().await;
    f.queue("d", json!({})).await;
    f.queue("lone", json!({})).await;
    f.queue("q", json!({"RedrivePolicy": redrive("d", 1)})).await;
    for (operation, input, status, message) in [
        (
            "StartMessageMoveTask",
            json!({"SourceArn": arn("lone")}),
            400,
            "Source queue must be configured as a Dead Letter Queue.",
        ),
        (
            "StartMessageMoveTask",
            json!({"SourceArn": arn("none")}),
            404,
            "The resource that you specified for the SourceArn parameter doesn't exist.",
        ),
        (
            "StartMessageMoveTask",
            json!({"SourceArn": arn("d"), "DestinationArn": arn("none")}),
            404,
            "The resource that you specified for the DestinationArn parameter doesn't exist.",
        ),
        ("CancelMessageMoveTask", json!({"TaskHandle": "x"}), 400, "Value for parameter TaskHandle is invalid."),
    ] {
        let fault = f.fault(operation, input).await;
        assert_eq!((fault.status, fault.message.as_str()), (status, message));
    }
    assert_eq!(f.ok("ListMessageMoveTasks", json!({"SourceArn": arn("d")})).await, json!({"Results": []}));
}
