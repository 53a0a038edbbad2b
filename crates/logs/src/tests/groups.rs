use serde_json::{Value, json};

use super::Fixture;

const ARN: &str = "arn:aws:logs:us-east-1:000000000000:log-group";

#[tokio::test]
async fn groups_come_and_go() {
    let f = Fixture::new().await;
    f.ok("CreateLogGroup", json!({"logGroupName": "/a/b", "tags": {"env": "dev"}, "kmsKeyId": "k"})).await;
    let fault = f.fault("CreateLogGroup", json!({"logGroupName": "/a/b"})).await;
    assert_eq!(
        (fault.code.as_str(), fault.message.as_str()),
        ("ResourceAlreadyExistsException", "The specified log group already exists")
    );
    f.ok("PutRetentionPolicy", json!({"logGroupName": "/a/b", "retentionInDays": 30})).await;
    let f = f.restart().await;
    let described = f.ok("DescribeLogGroups", json!({})).await;
    assert_eq!(
        described,
        json!({"logGroups": [{
            "logGroupName": "/a/b", "creationTime": f.now(), "retentionInDays": 30, "metricFilterCount": 0,
            "arn": format!("{ARN}:/a/b:*"), "storedBytes": 0, "kmsKeyId": "k", "logGroupClass": "STANDARD",
            "logGroupArn": format!("{ARN}:/a/b"), "deletionProtectionEnabled": false,
        }]})
    );
    f.ok("DeleteRetentionPolicy", json!({"logGroupName": "/a/b"})).await;
    let described = f.ok("DescribeLogGroups", json!({"logGroupIdentifiers": [format!("{ARN}:/a/b")]})).await;
    assert!(described["logGroups"][0].get("retentionInDays").is_none());
    f.ok("DeleteLogGroup", json!({"logGroupName": "/a/b"})).await;
    for operation in ["DeleteLogGroup", "DeleteRetentionPolicy", "ListTagsLogGroup"] {
        let fault = f.fault(operation, json!({"logGroupName": "/a/b"})).await;
        assert_eq!(fault.message, "The specified log group does not exist.");
    }
}

#[tokio::test]
async fn what_is_refused() {
    let f = Fixture::new().await;
    let long = "x".repeat(513);
    for (operation, input, message) in [
        (
            "CreateLogGroup",
            json!({}),
            "1 validation error detected: Value null at 'logGroupName' failed to satisfy constraint: Member must not be \
             null",
        ),
        (
            "CreateLogGroup",
            json!({"logGroupName": long}),
            "Invalid LogGroup or LogStream, both must have length less than or equal to 512.",
        ),
        (
            "CreateLogGroup",
            json!({"logGroupName": "a b"}),
            "1 validation error detected: Value 'a b' at 'logGroupName' failed to satisfy constraint: Member must \
             satisfy regular expression pattern: [\\.\\-_/#A-Za-z0-9]+",
        ),
        (
            "DescribeLogGroups",
            json!({"logGroupNamePrefix": "a", "logGroupNamePattern": "b"}),
            "LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters.",
        ),
        (
            "DescribeLogGroups",
            json!({"limit": 51}),
            "1 validation error detected: Value '51' at 'limit' failed to satisfy constraint: Member must have value \
             less than or equal to 50",
        ),
        ("DescribeLogGroups", json!({"nextToken": "!"}), "The specified nextToken is invalid."),
    ] {
        let fault = f.fault(operation, input).await;
        assert_eq!((fault.code.as_str(), fault.message.as_str()), ("InvalidParameterException", message));
    }
    for days in [0, 2, -1, 4000] {
        let input = json!({"logGroupName": "g", "retentionInDays": days});
        assert_eq!(f.fault("PutRetentionPolicy", input).await.code, "InvalidParameterException");
    }
    assert_eq!(f.fault("PutMetricFilter", json!({})).await.code, "UnknownOperationException");
}

#[tokio::test]
async fn groups_are_listed_page_by_page() {
    let f = Fixture::new().await;
    for name in ["/aws/lambda/a", "/aws/lambda/b", "/aws/lambda/c", "/other", "/aws/lambda/Data-x"] {
        f.ok("CreateLogGroup", json!({"logGroupName": name})).await;
    }
    let names = |output: &Value| -> Vec<String> {
        output["logGroups"].as_array().unwrap().iter().map(|g| g["logGroupName"].as_str().unwrap().to_owned()).collect()
    };
    let mut input = json!({"logGroupNamePrefix": "/aws/lambda/", "limit": 2});
    let mut seen = Vec::new();
    loop {
        let page = f.ok("DescribeLogGroups", input.clone()).await;
        seen.push(names(&page));
        match page.get("nextToken") {
            Some(token) => input["nextToken"] = token.clone(),
            None => break,
        }
    }
    assert_eq!(seen, [["/aws/lambda/Data-x", "/aws/lambda/a"], ["/aws/lambda/b", "/aws/lambda/c"]]);
    assert_eq!(names(&f.ok("DescribeLogGroups", json!({"logGroupNamePattern": "data"})).await), ["/aws/lambda/Data-x"]);
    assert_eq!(
        names(&f.ok("ListLogGroups", json!({"logGroupNamePattern": "^/oth|Data"})).await),
        ["/aws/lambda/Data-x", "/other"]
    );
}

#[tokio::test]
async fn tags_by_arn_and_by_name() {
    let f = Fixture::new().await;
    f.ok("CreateLogGroup", json!({"logGroupName": "g", "tags": {"env": "1"}})).await;
    let arn = format!("{ARN}:g");
    f.ok("TagResource", json!({"resourceArn": arn, "tags": {"a": "2"}})).await;
    f.ok("TagLogGroup", json!({"logGroupName": "g", "tags": {"b": "3"}})).await;
    let tags = json!({"tags": {"a": "2", "b": "3", "env": "1"}});
    assert_eq!(f.ok("ListTagsForResource", json!({"resourceArn": arn})).await, tags);
    assert_eq!(f.ok("ListTagsLogGroup", json!({"logGroupName": "g"})).await, tags);
    f.ok("UntagResource", json!({"resourceArn": arn, "tagKeys": ["a"]})).await;
    f.ok("UntagLogGroup", json!({"logGroupName": "g", "tags": ["b"]})).await;
    assert_eq!(f.ok("ListTagsForResource", json!({"resourceArn": arn})).await, json!({"tags": {"env": "1"}}));
    let many: serde_json::Map<String, Value> = (0..50).map(|n| (format!("t{n}"), json!("v"))).collect();
    assert_eq!(f.fault("TagResource", json!({"resourceArn": arn, "tags": many})).await.code, "TooManyTagsException");
    let fault = f.fault("ListTagsForResource", json!({"resourceArn": format!("{ARN}:none")})).await;
    assert_eq!(fault.code, "ResourceNotFoundException");
}

#[tokio::test]
async fn streams_come_in_the_order_that_was_asked_for() {
    let f = Fixture::new().await;
    for stream in ["a", "b", "c", "d"] {
        f.stream("g", stream).await;
    }
    let fault = f.fault("CreateLogStream", json!({"logGroupName": "g", "logStreamName": "a"})).await;
    assert_eq!(fault.message, "The specified log stream already exists");
    f.put("g", "a", &[(0, "x")]).await;
    f.put("g", "c", &[(-5, "x")]).await;
    f.put("g", "b", &[(-10, "x"), (7, "x")]).await;
    let list = |input: Value| {
        let f = &f;
        async move {
            let mut input = input;
            input["logGroupName"] = json!("g");
            let output = f.ok("DescribeLogStreams", input).await;
            let names: Vec<String> = output["logStreams"]
                .as_array()
                .unwrap()
                .iter()
                .map(|s| s["logStreamName"].as_str().unwrap().to_owned())
                .collect();
            (names, output)
        }
    };
    let (names, all) = list(json!({})).await;
    assert_eq!(names, ["a", "b", "c", "d"]);
    let now = f.now();
    let b = &all["logStreams"][1];
    assert_eq!(
        (&b["firstEventTimestamp"], &b["lastEventTimestamp"], &b["lastIngestionTime"], &b["arn"]),
        (&json!(now - 10), &json!(now + 7), &json!(now), &json!(format!("{ARN}:g:log-stream:b")))
    );
    assert!(all["logStreams"][3].get("firstEventTimestamp").is_none());
    assert_eq!(list(json!({"descending": true})).await.0, ["d", "c", "b", "a"]);
    assert_eq!(list(json!({"logStreamNamePrefix": "c"})).await.0, ["c"]);
    let mut input = json!({"orderBy": "LastEventTime", "descending": true, "limit": 2});
    let (first, page) = list(input.clone()).await;
    input["nextToken"] = page["nextToken"].clone();
    let (second, page) = list(input).await;
    assert_eq!(
        (first, second, page.get("nextToken")),
        (vec!["b".into(), "a".into()], vec!["c".into(), "d".into()], None)
    );
    let fault = f
        .fault(
            "DescribeLogStreams",
            json!({"logGroupName": "g", "orderBy": "LastEventTime", "logStreamNamePrefix": "a"}),
        )
        .await;
    assert_eq!(fault.message, "Cannot order by LastEventTime with a logStreamNamePrefix.");
    let fault = f.fault("DescribeLogStreams", json!({"logGroupName": "g", "logGroupIdentifier": "g"})).await;
    assert_eq!(fault.code, "ValidationException");
    f.ok("DeleteLogStream", json!({"logGroupName": "g", "logStreamName": "b"})).await;
    let by_arn = f.ok("DescribeLogStreams", json!({"logGroupIdentifier": format!("{ARN}:g")})).await;
    assert_eq!(by_arn["logStreams"].as_array().unwrap().len(), 3);
    assert_eq!(
        f.fault("DeleteLogStream", json!({"logGroupName": "g", "logStreamName": "b"})).await.message,
        "The specified log stream does not exist."
    );
}
