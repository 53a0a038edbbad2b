use serde_json::{Value, json};

use super::{Fixture, arn, redrive, text};

#[tokio::test]
async fn a_queue_is_made_once_and_found_again() {
    let f = Fixture::new().await;
    let made = f.ok("CreateQueue", json!({"QueueName": "q", "Attributes": {"DelaySeconds": "5"}})).await;
    assert_eq!(made, json!({"QueueUrl": "http://127.0.0.1:4566/000000000000/q"}));
    for same in [json!({"DelaySeconds": "5"}), json!({}), json!({"VisibilityTimeout": "30"})] {
        assert_eq!(f.ok("CreateQueue", json!({"QueueName": "q", "Attributes": same})).await, made);
    }
    let other = f.fault("CreateQueue", json!({"QueueName": "q", "Attributes": {"DelaySeconds": "6"}})).await;
    assert_eq!((other.code.as_str(), other.query_code), ("QueueNameExists", Some("QueueAlreadyExists")));
    assert!(other.message.ends_with("a different value for attribute DelaySeconds"));
    assert_eq!(f.ok("GetQueueUrl", json!({"QueueName": "q"})).await, made);
    let missing = f.fault("GetQueueUrl", json!({"QueueName": "p"})).await;
    assert_eq!((missing.code.as_str(), missing.status), ("QueueDoesNotExist", 400));
    assert_eq!(missing.query_code, Some("AWS.SimpleQueueService.NonExistentQueue"));
    assert_eq!(missing.message, "The specified queue does not exist.");
    f.ok("DeleteQueue", json!({"QueueUrl": "q"})).await;
    assert_eq!(f.fault("DeleteQueue", json!({"QueueUrl": "q"})).await.code, "QueueDoesNotExist");
}

#[tokio::test]
async fn names_and_attributes_are_checked() {
    let f = Fixture::new().await;
    for (name, attributes, code) in [
        ("a b", json!({}), "InvalidParameterValueException"),
        ("q.fifo", json!({}), "InvalidParameterValueException"),
        ("q", json!({"FifoQueue": "true"}), "InvalidParameterValueException"),
        ("q", json!({"DelaySeconds": "x"}), "InvalidAttributeValue"),
        ("q", json!({"Colour": "red"}), "InvalidAttributeName"),
        ("q", json!({"RedrivePolicy": redrive("nowhere", 3)}), "InvalidParameterValueException"),
    ] {
        let fault = f.fault("CreateQueue", json!({"QueueName": name, "Attributes": attributes})).await;
        assert_eq!(fault.code, code, "{name} {attributes}");
    }
    assert_eq!(f.fault("CreateQueue", json!({})).await.query_code, Some("MissingParameter"));
    f.queue("d.fifo", json!({"FifoQueue": "true"})).await;
    f.queue("closed", json!({"RedriveAllowPolicy": r#"{"redrivePermission":"denyAll"}"#})).await;
    for target in ["d.fifo", "closed"] {
        let input = json!({"QueueName": "q", "Attributes": {"RedrivePolicy": redrive(target, 3)}});
        assert_eq!(f.fault("CreateQueue", input).await.query_code, Some("InvalidParameterValue"), "{target}");
    }
}

#[tokio::test]
async fn attributes_are_read_and_set() {
    let f = Fixture::new().await;
    f.queue("q", json!({"VisibilityTimeout": "20"})).await;
    f.send("q", "a").await;
    f.receive("q").await;
    f.send("q", "b").await;
    f.seconds_pass(5);
    f.ok("SetQueueAttributes", json!({"QueueUrl": "q", "Attributes": {"DelaySeconds": "7", "Policy": "{}"}})).await;
    f.send("q", "c").await;
    let all = f.ok("GetQueueAttributes", json!({"QueueUrl": "q", "AttributeNames": ["All"]})).await;
    let created = f.now_ms() / 1000 - 5;
    assert_eq!(
        all["Attributes"],
        json!({
            "ApproximateNumberOfMessages": "1", "ApproximateNumberOfMessagesNotVisible": "1",
            "ApproximateNumberOfMessagesDelayed": "1", "CreatedTimestamp": created.to_string(),
            "LastModifiedTimestamp": (created + 5).to_string(), "DelaySeconds": "7", "MaximumMessageSize": "1048576",
            "MessageRetentionPeriod": "345600", "Policy": "{}", "QueueArn": arn("q"),
            "ReceiveMessageWaitTimeSeconds": "0", "SqsManagedSseEnabled": "true", "VisibilityTimeout": "20",
        })
    );
    assert_eq!(f.ok("GetQueueAttributes", json!({"QueueUrl": "q"})).await, json!({}));
    let some = f.ok("GetQueueAttributes", json!({"QueueUrl": "q", "AttributeNames": ["QueueArn", "FifoQueue"]})).await;
    assert_eq!(some["Attributes"], json!({"QueueArn": arn("q")}));
    let fault = f.fault("GetQueueAttributes", json!({"QueueUrl": "q", "AttributeNames": ["Colour"]})).await;
    assert_eq!(fault.message, "Unknown Attribute Colour.");
    let fault = f.fault("SetQueueAttributes", json!({"QueueUrl": "q", "Attributes": {"FifoQueue": "true"}})).await;
    assert_eq!(fault.code, "InvalidAttributeName");
    let f = f.restart().await;
    assert_eq!(f.ok("GetQueueAttributes", json!({"QueueUrl": "q", "AttributeNames": ["All"]})).await, all);
}

#[tokio::test]
async fn queues_are_listed_page_by_page() {
    let f = Fixture::new().await;
    assert_eq!(f.ok("ListQueues", json!({})).await, json!({}));
    for n in 0..5 {
        f.queue(&format!("list-{n}"), json!({})).await;
    }
    f.queue("other", json!({})).await;
    let names = |page: &Value| -> Vec<String> {
        page["QueueUrls"].as_array().unwrap().iter().map(|u| text(u).rsplit('/').next().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&f.ok("ListQueues", json!({})).await).len(), 6);
    let mut seen = Vec::new();
    let mut input = json!({"QueueNamePrefix": "list-", "MaxResults": 2});
    loop {
        let page = f.ok("ListQueues", input.clone()).await;
        seen.extend(names(&page));
        match page.get("NextToken") {
            Some(token) => input["NextToken"] = token.clone(),
            None => break,
        }
    }
    assert_eq!(seen, ["list-0", "list-1", "list-2", "list-3", "list-4"]);
    assert_eq!(f.fault("ListQueues", json!({"MaxResults": 1001})).await.query_code, Some("InvalidParameterValue"));
}

#[tokio::test]
async fn queues_of_other_accounts_and_regions_are_other_queues() {
    let f = Fixture::new().await;
    f.queue("q", json!({})).await;
    let elsewhere = service::Call::internal(base::Scope::new("111111111111", "eu-west-1"), "r", "p");
    let send = json!({"QueueUrl": "q", "MessageBody": "x"});
    assert_eq!(f.call_as(elsewhere.clone(), "SendMessage", send).await.unwrap_err().code, "QueueDoesNotExist");
    let there = service::Call::internal(base::Scope::new("111111111111", "us-east-1"), "r", "p");
    let send = json!({"QueueUrl": "http://any.host/000000000000/q", "MessageBody": "x"});
    f.call_as(there, "SendMessage", send).await.unwrap();
    assert_eq!(f.bodies("q").await, ["x"]);
    assert_eq!(f.call_as(elsewhere, "ListQueues", json!({})).await.unwrap(), json!({}));
}

#[tokio::test]
async fn tags_and_permissions() {
    let f = Fixture::new().await;
    f.ok("CreateQueue", json!({"QueueName": "q", "tags": {"a": "1"}})).await;
    f.ok("TagQueue", json!({"QueueUrl": "q", "Tags": {"b": "", "a": "2"}})).await;
    assert_eq!(f.ok("ListQueueTags", json!({"QueueUrl": "q"})).await, json!({"Tags": {"a": "2", "b": ""}}));
    f.ok("UntagQueue", json!({"QueueUrl": "q", "TagKeys": ["a", "z"]})).await;
    assert_eq!(f.ok("ListQueueTags", json!({"QueueUrl": "q"})).await, json!({"Tags": {"b": ""}}));
    let many: serde_json::Map<String, Value> = (0..51).map(|n| (format!("t{n}"), json!("v"))).collect();
    assert!(f.call("TagQueue", json!({"QueueUrl": "q", "Tags": many})).await.is_err());

    let permission =
        json!({"QueueUrl": "q", "Label": "l", "AWSAccountIds": ["111111111111"], "Actions": ["SendMessage"]});
    f.ok("AddPermission", permission.clone()).await;
    assert_eq!(f.fault("AddPermission", permission).await.query_code, Some("InvalidParameterValue"));
    let policy = f.ok("GetQueueAttributes", json!({"QueueUrl": "q", "AttributeNames": ["Policy"]})).await;
    assert!(text(&policy["Attributes"]["Policy"]).contains("SQS:SendMessage"));
    f.ok("RemovePermission", json!({"QueueUrl": "q", "Label": "l"})).await;
    assert_eq!(f.ok("GetQueueAttributes", json!({"QueueUrl": "q", "AttributeNames": ["Policy"]})).await, json!({}));
    assert!(f.fault("RemovePermission", json!({"QueueUrl": "q", "Label": "l"})).await.message.contains("can't find"));
}

#[tokio::test]
async fn a_purge_drops_all_and_a_new_queue_of_an_old_name_is_empty() {
    let f = Fixture::new().await;
    f.queue("q", json!({})).await;
    for n in 0..30 {
        f.send("q", &n.to_string()).await;
    }
    f.receive("q").await;
    f.ok("PurgeQueue", json!({"QueueUrl": "q"})).await;
    assert_eq!(f.counts("q").await, (0, 0, 0));
    let again = f.fault("PurgeQueue", json!({"QueueUrl": "q"})).await;
    assert_eq!((again.status, again.query_code), (403, Some("AWS.SimpleQueueService.PurgeQueueInProgress")));
    assert_eq!(again.message, "Only one PurgeQueue operation on q is allowed every 60 seconds.");
    f.send("q", "new").await;
    let f = f.restart().await;
    assert_eq!(f.bodies("q").await, ["new"]);
    f.seconds_pass(60);
    f.ok("PurgeQueue", json!({"QueueUrl": "q"})).await;
    f.send("q", "lost").await;
    f.ok("DeleteQueue", json!({"QueueUrl": "q"})).await;
    f.queue("q", json!({})).await;
    assert_eq!(f.bodies("q").await, [""; 0]);
    // The loop sweeps whatever the purges and the deletion left.
    for _ in 0..4 {
        f.counts("q").await;
    }
    let left = f.store.len();
    f.ok("DeleteQueue", json!({"QueueUrl": "q"})).await;
    f.queue("q", json!({})).await;
    f.counts("q").await;
    assert_eq!(f.store.len(), left, "nothing piles up");
}

#[tokio::test]
async fn dead_letter_sources_are_listed() {
    let f = Fixture::new().await;
    f.queue("d", json!({})).await;
    for name in ["a", "b"] {
        f.queue(name, json!({"RedrivePolicy": redrive("d", 3)})).await;
    }
    f.queue("c", json!({})).await;
    let found = f.ok("ListDeadLetterSourceQueues", json!({"QueueUrl": "d"})).await;
    let urls: Vec<String> = ["a", "b"].iter().map(|n| format!("http://127.0.0.1:4566/000000000000/{n}")).collect();
    assert_eq!(found, json!({"queueUrls": urls}));
    let page = f.ok("ListDeadLetterSourceQueues", json!({"QueueUrl": "d", "MaxResults": 1})).await;
    assert_eq!((&page["queueUrls"], page["NextToken"].is_string()), (&json!([urls[0]]), true));
}
