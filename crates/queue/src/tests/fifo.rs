use serde_json::{Value, json};

use super::{Fixture, text};

async fn fixture(attributes: Value) -> Fixture {
    let f = Fixture::new().await;
    let mut all = json!({"FifoQueue": "true", "ContentBasedDeduplication": "true"});
    all.as_object_mut().unwrap().extend(attributes.as_object().unwrap().clone());
    f.queue("q.fifo", all).await;
    f
}

async fn delete(f: &Fixture, message: &Value) {
    f.ok("DeleteMessage", json!({"QueueUrl": "q.fifo", "ReceiptHandle": message["ReceiptHandle"]})).await;
}

#[tokio::test]
async fn groups_keep_their_order_and_block_while_in_flight() {
    let f = fixture(json!({})).await;
    let mut numbers = Vec::new();
    for (group, body) in [("a", "a1"), ("b", "b1"), ("a", "a2"), ("b", "b2"), ("a", "a3")] {
        numbers.push(text(&f.send_fifo("q.fifo", group, body).await["SequenceNumber"]));
    }
    assert!(numbers.windows(2).all(|w| w[0] < w[1]) && numbers.iter().all(|n| n.len() == 20), "{numbers:?}");
    let receive = |max: usize| f.ok("ReceiveMessage", json!({"QueueUrl": "q.fifo", "MaxNumberOfMessages": max}));
    let bodies = |output: &Value| -> Vec<String> {
        output["Messages"].as_array().into_iter().flatten().map(|m| text(&m["Body"])).collect()
    };
    let two = receive(2).await;
    assert_eq!(bodies(&two), ["a1", "a2"]);
    let rest = receive(10).await;
    assert_eq!(bodies(&rest), ["b1", "b2"], "a3 waits for its group");
    delete(&f, &two["Messages"][0]).await;
    assert_eq!(bodies(&receive(10).await), [""; 0]);
    delete(&f, &two["Messages"][1]).await;
    let f = f.restart().await;
    let three = f.receive("q.fifo").await;
    assert_eq!(text(&three[0]["Body"]), "a3");
    assert_eq!(three[0]["Attributes"]["SequenceNumber"], numbers[4]);
    assert_eq!(three[0]["Attributes"]["MessageGroupId"], "a");
    f.seconds_pass(30);
    assert_eq!(f.bodies("q.fifo").await, ["b1", "b2", "a3"]);
}

#[tokio::test]
async fn a_message_that_appears_again_comes_before_its_group() {
    let f = fixture(json!({})).await;
    for body in ["1", "2", "3"] {
        f.send_fifo("q.fifo", "g", body).await;
    }
    let one = f.ok("ReceiveMessage", json!({"QueueUrl": "q.fifo"})).await["Messages"][0].take();
    let change = json!({"QueueUrl": "q.fifo", "ReceiptHandle": one["ReceiptHandle"], "VisibilityTimeout": 0});
    f.ok("ChangeMessageVisibility", change.clone()).await;
    assert_eq!(f.fault("ChangeMessageVisibility", change).await.code, "MessageNotInflight");
    assert_eq!(f.bodies("q.fifo").await, ["1", "2", "3"]);
}

#[tokio::test]
async fn expired_handles_are_refused() {
    let f = fixture(json!({"VisibilityTimeout": "10"})).await;
    f.send_fifo("q.fifo", "g", "m").await;
    let message = f.receive("q.fifo").await.remove(0);
    f.seconds_pass(10);
    let fault =
        f.fault("DeleteMessage", json!({"QueueUrl": "q.fifo", "ReceiptHandle": message["ReceiptHandle"]})).await;
    let handle = text(&message["ReceiptHandle"]);
    assert_eq!(
        fault.message,
        format!("Value {handle} for parameter ReceiptHandle is invalid. Reason: The receipt handle has expired.")
    );
    assert_eq!(f.counts("q.fifo").await, (1, 0, 0));
}

#[tokio::test]
async fn duplicates_within_five_minutes_are_one() {
    let f = fixture(json!({})).await;
    let first = f.send_fifo("q.fifo", "a", "same").await;
    // In the whole queue, even when the first was received and deleted.
    let message = f.receive("q.fifo").await.remove(0);
    delete(&f, &message).await;
    let f = f.restart().await;
    let second = f.send_fifo("q.fifo", "b", "same").await;
    assert_eq!((&second["MessageId"], &second["SequenceNumber"]), (&first["MessageId"], &first["SequenceNumber"]));
    assert_eq!(f.counts("q.fifo").await, (0, 0, 0));
    let explicit = json!({"QueueUrl": "q.fifo", "MessageBody": "other", "MessageGroupId": "a",
        "MessageDeduplicationId": message["Attributes"]["MessageDeduplicationId"]});
    assert_eq!(f.ok("SendMessage", explicit).await["MessageId"], first["MessageId"], "a digest is an id as any other");
    f.seconds_pass(300);
    let third = f.send_fifo("q.fifo", "a", "same").await;
    assert_ne!(third["MessageId"], first["MessageId"]);
    assert_eq!(f.bodies("q.fifo").await, ["same"]);
}

#[tokio::test]
async fn deduplication_within_a_group() {
    let f = fixture(json!({"DeduplicationScope": "messageGroup"})).await;
    for group in ["a", "b", "a"] {
        f.send_fifo("q.fifo", group, "same").await;
    }
    assert_eq!(f.counts("q.fifo").await, (2, 0, 0));
}

#[tokio::test]
async fn deduplication_ids_are_forgotten() {
    let f = fixture(json!({})).await;
    let send = |n: usize| {
        let input = json!({"QueueUrl": "q.fifo", "MessageBody": "m", "MessageGroupId": "g", "MessageDeduplicationId": n.to_string()});
        f.ok("SendMessage", input)
    };
    send(0).await;
    let message = f.receive("q.fifo").await.remove(0);
    let before = f.store.len();
    delete(&f, &message).await;
    f.seconds_pass(331);
    f.counts("q.fifo").await;
    assert_eq!(f.store.len(), before - 3, "body, state and deduplication id are gone");
}

#[tokio::test]
async fn parameters_of_fifo_queues() {
    let f = fixture(json!({"ContentBasedDeduplication": "false"})).await;
    let send = |mut input: Value| {
        input["QueueUrl"] = json!("q.fifo");
        input["MessageBody"] = json!("m");
        f.fault("SendMessage", input)
    };
    let missing = send(json!({})).await;
    assert_eq!(
        (missing.code.as_str(), missing.query_code),
        ("MissingRequiredParameterException", Some("MissingParameter"))
    );
    assert_eq!(missing.message, "The request must contain the parameter MessageGroupId.");
    let undecided = send(json!({"MessageGroupId": "g"})).await;
    assert_eq!(undecided.query_code, Some("InvalidParameterValue"));
    assert!(undecided.message.starts_with("The queue should either have ContentBasedDeduplication enabled or"));
    let delayed = send(json!({"MessageGroupId": "g", "MessageDeduplicationId": "d", "DelaySeconds": 2})).await;
    assert_eq!(
        delayed.message,
        "Value 2 for parameter DelaySeconds is invalid. Reason: The request include parameter that is not valid for \
         this queue type."
    );
    assert!(send(json!({"MessageGroupId": "a b"})).await.message.contains("1 to 128 in length"));
    for (entry, message) in [
        (json!({"Id": "1", "MessageBody": "m"}), "The request must contain the parameter MessageGroupId."),
        (
            json!({"Id": "1", "MessageBody": "m", "MessageGroupId": "g"}),
            "The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided explicitly",
        ),
    ] {
        let fault = f.fault("SendMessageBatch", json!({"QueueUrl": "q.fifo", "Entries": [entry]})).await;
        assert_eq!((fault.query_code, fault.message.as_str()), (Some("InvalidParameterValue"), message));
    }
    f.queue("standard", json!({})).await;
    let attempt = json!({"QueueUrl": "standard", "ReceiveRequestAttemptId": "a"});
    assert_eq!(f.fault("ReceiveMessage", attempt).await.query_code, Some("InvalidParameterValue"));
    // A group on a standard queue is for fairness; it is shown again.
    f.send_fifo("standard", "tenant", "m").await;
    assert_eq!(f.receive("standard").await[0]["Attributes"]["MessageGroupId"], "tenant");
}

#[tokio::test]
async fn a_repeated_receive_attempt_gets_the_same_messages() {
    let f = fixture(json!({})).await;
    for body in ["1", "2", "3"] {
        f.send_fifo("q.fifo", "g", body).await;
    }
    let attempt = |id: &str| {
        json!({"QueueUrl": "q.fifo", "MaxNumberOfMessages": 2, "ReceiveRequestAttemptId": id,
        "AttributeNames": ["ApproximateReceiveCount", "ApproximateFirstReceiveTimestamp"]})
    };
    let first = f.ok("ReceiveMessage", attempt("x")).await;
    f.seconds_pass(20);
    let f = f.restart().await;
    assert_eq!(f.ok("ReceiveMessage", attempt("x")).await, first);
    assert_eq!(f.ok("ReceiveMessage", attempt("y")).await, json!({}), "the group is in flight");
    // The repeat has set the visibility timeout anew.
    f.seconds_pass(20);
    assert_eq!(f.counts("q.fifo").await, (1, 2, 0));
    delete(&f, &first["Messages"][0]).await;
    f.seconds_pass(10);
    let fresh = f.ok("ReceiveMessage", attempt("x")).await;
    assert_eq!(fresh["Messages"][0]["Body"], "2", "what was taken is not all there any more");
}

#[tokio::test]
async fn the_queue_delay_holds_for_messages_that_are_there() {
    let f = fixture(json!({"DelaySeconds": "100"})).await;
    f.send_fifo("q.fifo", "g", "m").await;
    f.seconds_pass(50);
    assert_eq!(f.counts("q.fifo").await, (0, 0, 1));
    f.ok("SetQueueAttributes", json!({"QueueUrl": "q.fifo", "Attributes": {"DelaySeconds": "50"}})).await;
    assert_eq!(f.counts("q.fifo").await, (1, 0, 0));
    let f = f.restart().await;
    assert_eq!(f.bodies("q.fifo").await, ["m"]);
}
