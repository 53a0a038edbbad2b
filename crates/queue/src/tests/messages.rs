use serde_json::{Value, json};
use service::Call;
use store::Store as _;

use super::{Fixture, arn, effect, text};
use crate::Outgoing;

#[tokio::test]
async fn a_message_comes_back_as_it_was_sent() {
    let f = Fixture::new().await;
    f.queue("q", json!({})).await;
    let attributes = json!({
        "General": {"DataType": "String", "StringValue": "Kenobi"},
        "Hello": {"DataType": "String", "StringValue": "There"},
        "Help.Me": {"DataType": "String", "StringValue": "Me"},
    });
    let sent = f
        .ok(
            "SendMessage",
            json!({"QueueUrl": "q", "MessageBody": "msg", "MessageAttributes": attributes,
                "MessageSystemAttributes": {"AWSTraceHeader": {"DataType": "String", "StringValue": "Root=1-2-3"}}}),
        )
        .await;
    assert_eq!(sent["MD5OfMessageBody"], "6e2baaf3b97dbeef01c0043275f9a0e7");
    assert_eq!(sent["MD5OfMessageAttributes"], "4c360f3fdafd970e05fae2f149d997f5");
    assert!(sent["MD5OfMessageSystemAttributes"].is_string() && sent.get("SequenceNumber").is_none());
    let received = f.receive("q").await.remove(0);
    let at = f.now_ms().to_string();
    assert_eq!(
        received,
        json!({
            "MessageId": sent["MessageId"], "ReceiptHandle": received["ReceiptHandle"], "Body": "msg",
            "MD5OfBody": "6e2baaf3b97dbeef01c0043275f9a0e7", "MessageAttributes": attributes,
            "MD5OfMessageAttributes": "4c360f3fdafd970e05fae2f149d997f5",
            "Attributes": {"SenderId": "000000000000", "SentTimestamp": at, "ApproximateReceiveCount": "1",
                "ApproximateFirstReceiveTimestamp": at, "AWSTraceHeader": "Root=1-2-3"},
        })
    );
    assert_eq!(f.ok("ReceiveMessage", json!({"QueueUrl": "q"})).await, json!({}));
}

/// The choice of attributes, as recorded from AWS.
#[tokio::test]
async fn only_attributes_that_were_asked_for() {
    let f = Fixture::new().await;
    f.queue("q", json!({"VisibilityTimeout": "0"})).await;
    let attribute = |value: &str| json!({"DataType": "String", "StringValue": value});
    let attributes = json!({"General": attribute("Kenobi"), "Hello": attribute("There"), "Help.Me": attribute("Me")});
    f.ok("SendMessage", json!({"QueueUrl": "q", "MessageBody": "msg", "MessageAttributes": attributes})).await;
    for (names, count, md5) in [
        (json!([]), 0, None),
        (json!(["All"]), 3, Some("4c360f3fdafd970e05fae2f149d997f5")),
        (json!([".*"]), 3, Some("4c360f3fdafd970e05fae2f149d997f5")),
        (json!(["Foo", "Help"]), 0, None),
        (json!(["Hello", "General"]), 2, Some("fca026605781cb4126a1e9044df24232")),
        (json!(["Foo", "Hello"]), 1, Some("a311262e065454b75da111d535b8dacd")),
        (json!(["Hel.*"]), 2, Some("83fee93c1bcd8b9a5a923ffacdc636c7")),
        (json!(["AWS."]), 0, None),
    ] {
        let input = json!({"QueueUrl": "q", "MessageAttributeNames": names, "AttributeNames": ["SenderId", "Foo"]});
        let message = f.ok("ReceiveMessage", input).await["Messages"][0].take();
        assert_eq!(message["MessageAttributes"].as_object().map_or(0, serde_json::Map::len), count, "{names}");
        assert_eq!(message["MD5OfMessageAttributes"].as_str(), md5, "{names}");
        assert_eq!(message["Attributes"], json!({"SenderId": "000000000000"}));
    }
}

#[tokio::test]
async fn what_is_hidden_appears_again_until_it_is_deleted() {
    let f = Fixture::new().await;
    f.queue("q", json!({"VisibilityTimeout": "30"})).await;
    f.send("q", "a").await;
    f.ok("SendMessage", json!({"QueueUrl": "q", "MessageBody": "late", "DelaySeconds": 40})).await;
    let first = f.receive("q").await;
    assert_eq!((first.len(), f.counts("q").await), (1, (0, 1, 1)));
    f.seconds_pass(29);
    assert!(f.receive("q").await.is_empty());
    f.seconds_pass(1);
    let second = f.receive("q").await;
    assert_eq!(second[0]["Attributes"]["ApproximateReceiveCount"], "2");
    assert_eq!(second[0]["Attributes"]["ApproximateFirstReceiveTimestamp"], first[0]["Attributes"]["SentTimestamp"]);
    // The older handle says yes and changes nothing.
    f.ok("DeleteMessage", json!({"QueueUrl": "q", "ReceiptHandle": first[0]["ReceiptHandle"]})).await;
    let f = f.restart().await;
    assert_eq!(f.counts("q").await, (0, 1, 1));
    let delete = json!({"QueueUrl": "q", "ReceiptHandle": second[0]["ReceiptHandle"]});
    f.ok("DeleteMessage", delete.clone()).await;
    f.ok("DeleteMessage", delete).await;
    f.seconds_pass(10);
    assert_eq!(f.bodies("q").await, ["late"]);
}

#[tokio::test]
async fn visibility_is_changed_by_receipt() {
    let f = Fixture::new().await;
    f.queue("q", json!({})).await;
    f.queue("p", json!({})).await;
    f.send("q", "a").await;
    let handle = text(&f.receive("q").await[0]["ReceiptHandle"]);
    let change = |seconds: i64| json!({"QueueUrl": "q", "ReceiptHandle": handle, "VisibilityTimeout": seconds});
    f.ok("ChangeMessageVisibility", change(100)).await;
    f.seconds_pass(99);
    assert!(f.receive("q").await.is_empty());
    let beyond = f.fault("ChangeMessageVisibility", change(43_200)).await;
    assert_eq!(
        beyond.message,
        "Value 43200 for parameter VisibilityTimeout is invalid. Reason: Total VisibilityTimeout for the message is \
         beyond the limit [43200 seconds]"
    );
    f.seconds_pass(1);
    // Visible again, but nobody has received it since: AWS hides it again.
    f.ok("ChangeMessageVisibility", change(10)).await;
    assert!(f.receive("q").await.is_empty());
    f.ok("ChangeMessageVisibility", change(0)).await;
    assert_eq!(f.bodies("q").await, ["a"]);
    let stale = f.fault("ChangeMessageVisibility", change(5)).await;
    assert!(stale.message.ends_with("Message does not exist or is not available for visibility timeout change."));
    assert_eq!(f.fault("ChangeMessageVisibility", change(43_201)).await.query_code, Some("InvalidParameterValue"));
    let other = json!({"QueueUrl": "p", "ReceiptHandle": handle, "VisibilityTimeout": 1});
    assert_eq!(f.fault("ChangeMessageVisibility", other).await.code, "ReceiptHandleIsInvalid");
    let invalid = f.fault("DeleteMessage", json!({"QueueUrl": "q", "ReceiptHandle": "x"})).await;
    assert_eq!((invalid.code.as_str(), invalid.status), ("ReceiptHandleIsInvalid", 404));
    assert_eq!(invalid.message, "The input receipt handle \"x\" is not a valid receipt handle.");
}

#[tokio::test]
async fn retention_drops_what_is_old() {
    let f = Fixture::new().await;
    f.queue("q", json!({"MessageRetentionPeriod": "60", "VisibilityTimeout": "600"})).await;
    f.send("q", "old").await;
    f.seconds_pass(30);
    f.send("q", "in flight").await;
    f.send("q", "new").await;
    assert_eq!(f.bodies("q").await.len(), 3);
    f.seconds_pass(30);
    f.counts("q").await;
    assert_eq!(f.counts("q").await, (0, 2, 0));
    f.ok("SetQueueAttributes", json!({"QueueUrl": "q", "Attributes": {"MessageRetentionPeriod": "61"}})).await;
    f.seconds_pass(31);
    f.counts("q").await;
    assert_eq!(f.counts("q").await, (0, 0, 0));
}

#[tokio::test]
async fn batches_answer_for_each_entry() {
    let f = Fixture::new().await;
    f.queue("q", json!({"MaximumMessageSize": "1024"})).await;
    let long = "a".repeat(1025);
    let sent = f
        .ok(
            "SendMessageBatch",
            json!({"QueueUrl": "q", "Entries": [
                {"Id": "1", "MessageBody": "one"},
                {"Id": "2", "MessageBody": long},
                {"Id": "3", "MessageBody": ""},
                {"Id": "4", "MessageBody": "four", "DelaySeconds": 901},
                {"Id": "5", "MessageBody": "five"},
            ]}),
        )
        .await;
    let ids = |list: &Value| list.as_array().unwrap().iter().map(|e| text(&e["Id"])).collect::<Vec<_>>();
    assert_eq!(
        (ids(&sent["Successful"]), ids(&sent["Failed"])),
        (vec!["1".into(), "5".into()], vec!["2".into(), "3".into(), "4".into()])
    );
    assert_eq!(sent["Failed"][0]["Code"], "InvalidParameterValue");
    assert_eq!(sent["Failed"][1]["Code"], "MissingParameter");
    assert_eq!(sent["Failed"][0]["SenderFault"], true);
    let received = f.receive("q").await;
    assert_eq!(received.len(), 2);
    let handles: Vec<&Value> = received.iter().map(|m| &m["ReceiptHandle"]).collect();
    let changed = f
        .ok(
            "ChangeMessageVisibilityBatch",
            json!({"QueueUrl": "q", "Entries": [
                {"Id": "a", "ReceiptHandle": handles[0], "VisibilityTimeout": 5},
                {"Id": "b", "ReceiptHandle": "x", "VisibilityTimeout": 5},
                {"Id": "c", "ReceiptHandle": handles[1], "VisibilityTimeout": 99999},
            ]}),
        )
        .await;
    assert_eq!(
        (ids(&changed["Successful"]), ids(&changed["Failed"])),
        (vec!["a".into()], vec!["b".into(), "c".into()])
    );
    assert_eq!(changed["Failed"][0]["Code"], "ReceiptHandleIsInvalid");
    let deleted = f
        .ok(
            "DeleteMessageBatch",
            json!({"QueueUrl": "q", "Entries": [
                {"Id": "a", "ReceiptHandle": handles[1]},
                {"Id": "b", "ReceiptHandle": "x"},
                {"Id": "c", "ReceiptHandle": handles[0]},
            ]}),
        )
        .await;
    assert_eq!(
        (ids(&deleted["Successful"]), ids(&deleted["Failed"])),
        (vec!["a".into(), "c".into()], vec!["b".into()])
    );
    assert_eq!(f.counts("q").await, (0, 0, 0));
}

#[tokio::test]
async fn batches_that_are_refused_whole() {
    let f = Fixture::new().await;
    f.queue("q", json!({})).await;
    let entry = |id: &str| json!({"Id": id, "MessageBody": "m", "ReceiptHandle": "h", "VisibilityTimeout": 1});
    let eleven: Vec<Value> = (0..11).map(|n| entry(&n.to_string())).collect();
    for operation in ["SendMessageBatch", "DeleteMessageBatch", "ChangeMessageVisibilityBatch"] {
        for (entries, code) in [
            (json!([]), "EmptyBatchRequest"),
            (json!(eleven), "TooManyEntriesInBatchRequest"),
            (json!([entry("a"), entry("a")]), "BatchEntryIdsNotDistinct"),
            (json!([entry("a b")]), "InvalidBatchEntryId"),
            (json!([entry("")]), "InvalidBatchEntryId"),
            (json!([entry(&"x".repeat(81))]), "InvalidBatchEntryId"),
        ] {
            let fault = f.fault(operation, json!({"QueueUrl": "q", "Entries": entries})).await;
            assert_eq!(fault.code, code, "{operation}");
            assert_eq!(fault.query_code.unwrap(), format!("AWS.SimpleQueueService.{code}"));
        }
    }
    let half = "a".repeat(512 * 1024);
    let entries =
        json!([{"Id": "1", "MessageBody": half}, {"Id": "2", "MessageBody": half}, {"Id": "3", "MessageBody": "a"}]);
    let fault = f.fault("SendMessageBatch", json!({"QueueUrl": "q", "Entries": entries})).await;
    assert_eq!(fault.message, "Batch requests cannot be longer than 1048576 bytes. You have sent 1048577 bytes.");
    assert_eq!(
        f.fault("SendMessageBatch", json!({"QueueUrl": "none", "Entries": [entry("a")]})).await.code,
        "QueueDoesNotExist"
    );
}

#[tokio::test]
async fn parameters_that_are_refused() {
    let f = Fixture::new().await;
    f.queue("q", json!({"MaximumMessageSize": "1024"})).await;
    for (operation, input, message) in [
        ("SendMessage", json!({}), "The request must contain the parameter QueueUrl."),
        ("SendMessage", json!({"QueueUrl": "q"}), "The request must contain the parameter MessageBody."),
        (
            "SendMessage",
            json!({"QueueUrl": "q", "MessageBody": "a".repeat(1025)}),
            "One or more parameters are invalid. Reason: Message must be shorter than 1024 bytes.",
        ),
        (
            "SendMessage",
            json!({"QueueUrl": "q", "MessageBody": "m", "MessageDeduplicationId": "d"}),
            "Value d for parameter MessageDeduplicationId is invalid. Reason: The request includes a parameter that is \
             not valid for this queue type.",
        ),
        (
            "ReceiveMessage",
            json!({"QueueUrl": "q", "MaxNumberOfMessages": 11}),
            "Value 11 for parameter MaxNumberOfMessages is invalid. Reason: Must be between 1 and 10, if provided.",
        ),
        (
            "ReceiveMessage",
            json!({"QueueUrl": "q", "WaitTimeSeconds": 21}),
            "Value 21 for parameter WaitTimeSeconds is invalid. Reason: Must be >= 0 and <= 20, if provided.",
        ),
        ("DeleteMessage", json!({"QueueUrl": "q"}), "The request must contain the parameter ReceiptHandle."),
    ] {
        assert_eq!(f.fault(operation, input).await.message, message);
    }
    assert_eq!(
        f.fault("SendMessage", json!({"QueueUrl": "q", "MessageBody": "\u{1}"})).await.code,
        "InvalidMessageContents"
    );
    f.send("q", "a\u{1}b").await;
    assert_eq!(f.bodies("q").await, ["a\u{fffd}b"]);
}

#[tokio::test]
async fn a_long_poll_gets_what_comes() {
    let f = Fixture::new().await;
    f.queue("q", json!({"ReceiveMessageWaitTimeSeconds": "20"})).await;
    let poll = f.ok("ReceiveMessage", json!({"QueueUrl": "q", "MaxNumberOfMessages": 10}));
    let send = async {
        // The poll has asked by now: a single thread runs both, in order.
        f.send("q", "a").await
    };
    let (polled, _) = futures::future::join(poll, send).await;
    assert_eq!(polled["Messages"][0]["Body"], "a");
    // A caller that went away gets nothing, so that the message is there for the next.
    let gone = f.registry.call_value("sqs", "ReceiveMessage", call(), json!({"QueueUrl": "q"}));
    let mut gone = Box::pin(gone);
    assert!(futures::poll!(&mut gone).is_pending());
    tokio::task::yield_now().await;
    drop(gone);
    f.send("q", "b").await;
    assert_eq!(f.bodies("q").await, ["b"]);
    // Time over: empty, and a queue that goes takes its polls with it.
    let poll = f.call("ReceiveMessage", json!({"QueueUrl": "q"}));
    let time = async {
        f.counts("q").await;
        f.seconds_pass(20);
        f.counts("q").await
    };
    assert_eq!(futures::future::join(poll, time).await.0.unwrap(), json!({}));
    let poll = f.call("ReceiveMessage", json!({"QueueUrl": "q"}));
    let delete = async {
        f.counts("q").await;
        f.ok("DeleteQueue", json!({"QueueUrl": "q"})).await
    };
    assert_eq!(futures::future::join(poll, delete).await.0.unwrap_err().code, "QueueDoesNotExist");
}

fn call() -> Call {
    Call::internal(base::Scope::default(), "r-1", "p")
}

#[tokio::test]
async fn an_effect_sends_once() {
    let f = Fixture::new().await;
    f.queue("q", json!({"MaximumMessageSize": "1024"})).await;
    // An answer is remembered as long as the sender's outbox has the effect.
    let mut outbox = store::Batch::new();
    for n in 1..4 {
        outbox.put(effect(n).0.to_vec(), vec![1]);
    }
    f.store.commit(outbox).await.unwrap();
    let send = |n: u64, body: &str| {
        f.call_as(call().with_effect(effect(n)), "SendMessage", json!({"QueueUrl": "q", "MessageBody": body}))
    };
    let first = send(1, "a").await.unwrap();
    assert_eq!(send(1, "a").await.unwrap(), first);
    let refused = send(2, &"x".repeat(1025)).await.unwrap_err();
    assert_eq!(send(2, &"x".repeat(1025)).await.unwrap_err(), refused);
    let none = |n: u64| {
        f.call_as(call().with_effect(effect(n)), "SendMessage", json!({"QueueUrl": "later", "MessageBody": "m"}))
    };
    assert_eq!(none(3).await.unwrap_err().code, "QueueDoesNotExist");
    f.queue("later", json!({})).await;
    assert_eq!(none(3).await.unwrap_err().code, "QueueDoesNotExist", "the answer that was given first");
    assert_eq!((f.counts("q").await, f.counts("later").await), ((1, 0, 0), (0, 0, 0)));
    let f = f.restart().await;
    let again = f.call_as(call().with_effect(effect(1)), "SendMessage", json!({"QueueUrl": "q", "MessageBody": "a"}));
    assert_eq!(again.await.unwrap(), first);
    assert_eq!(f.bodies("q").await, ["a"]);
}

#[tokio::test]
async fn the_process_can_use_queues_without_json() {
    let f = Fixture::new().await;
    f.queue("q", json!({})).await;
    let messages = (0..25).map(|n| Outgoing { body: n.to_string(), ..Outgoing::default() }).collect();
    let sent = f.queues.send(&arn("q"), "AIDA", messages, None).await.unwrap();
    assert!(sent.iter().all(Result::is_ok) && sent.len() == 25);
    let received = f.queues.receive(&arn("q"), 100, Some(0), Some(60)).await.unwrap();
    assert_eq!(
        received.iter().map(|r| r.message.body.clone()).collect::<Vec<_>>(),
        (0..25).map(|n| n.to_string()).collect::<Vec<_>>()
    );
    assert_eq!((received[0].message.sender_id.as_str(), received[0].receive_count), ("AIDA", 1));
    let mut handles: Vec<String> = received.iter().map(|r| r.receipt_handle.clone()).collect();
    handles.insert(1, "nonsense".to_owned());
    let deleted = f.queues.delete_batch(&arn("q"), &handles).await.unwrap();
    assert!(deleted[1].is_err() && deleted.iter().filter(|d| d.is_ok()).count() == 25);
    assert!(f.queues.receive(&arn("none"), 1, None, None).await.is_err());
    assert!(f.queues.send("nonsense", "s", vec![Outgoing::default()], None).await.is_err());
}

#[tokio::test]
async fn a_queue_with_too_many_in_flight_says_so() {
    let f = Fixture::new().await;
    f.queue("q", json!({})).await;
    for _ in 0..121 {
        let messages = (0..1000).map(|_| Outgoing { body: "m".to_owned(), ..Outgoing::default() }).collect();
        f.queues.send(&arn("q"), "s", messages, None).await.unwrap();
    }
    let mut last = Vec::new();
    for _ in 0..120 {
        last = f.queues.receive(&arn("q"), 1000, Some(0), None).await.unwrap();
        assert_eq!(last.len(), 1000);
    }
    let fault = f.fault("ReceiveMessage", json!({"QueueUrl": "q"})).await;
    assert_eq!((fault.code.as_str(), fault.status), ("OverLimit", 403));
    f.queues.delete_batch(&arn("q"), &[last[0].receipt_handle.clone()]).await.unwrap();
    assert_eq!(f.receive("q").await.len(), 1);
}
