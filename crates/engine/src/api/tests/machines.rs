use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::testing::{fresh, function, one_task};

const ROLE: &str = "arn:aws:iam::000000000000:role/r";

fn machine(more: Value) -> Value {
    let definition = json!({"StartAt": "P", "States": {"P": {"Type": "Pass", "End": true}}}).to_string();
    let mut input = json!({"name": "m", "definition": definition, "roleArn": ROLE});
    input.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    input
}

#[tokio::test]
async fn variables_that_states_read_are_described() {
    let w = fresh(BTreeMap::new()).await;
    let definition = json!({"StartAt": "A", "States": {
        "A": {"Type": "Pass", "Assign": {"b": 1, "a": 2}, "Next": "B"},
        "B": {"Type": "Pass", "Parameters": {"x.$": "States.Array($b, $a.x)"}, "End": true}}});
    let created = w.call("CreateStateMachine", machine(json!({"definition": definition.to_string()}))).await.unwrap();
    let arn = &created["stateMachineArn"];
    let described = w.call("DescribeStateMachine", json!({"stateMachineArn": arn})).await.unwrap();
    assert_eq!(described["variableReferences"], json!({"B": ["a", "b"]}));
    let metadata = json!({"stateMachineArn": arn, "includedData": "METADATA_ONLY"});
    let described = w.call("DescribeStateMachine", metadata).await.unwrap();
    assert_eq!(described.get("variableReferences"), None);
    let started = w.call("StartExecution", json!({"stateMachineArn": arn})).await.unwrap();
    let execution = json!({"executionArn": started["executionArn"]});
    let described = w.call("DescribeStateMachineForExecution", execution).await.unwrap();
    assert_eq!(described["variableReferences"], json!({"B": ["a", "b"]}));
}

#[tokio::test]
async fn machines_are_created_once() {
    let w = fresh(BTreeMap::new()).await;
    let created = w.call("CreateStateMachine", machine(json!({}))).await.unwrap();
    assert_eq!(created.get("stateMachineVersionArn"), None);
    // Role and tags do not matter.
    let other = json!({"roleArn": "arn:aws:iam::000000000000:role/s", "tags": [{"key": "k", "value": "v"}]});
    assert_eq!(w.call("CreateStateMachine", machine(other)).await.unwrap(), created);
    for other in
        [json!({"definition": "{ }"}), json!({"type": "EXPRESS"}), json!({"tracingConfiguration": {"enabled": true}})]
    {
        let code = w.call("CreateStateMachine", machine(other.clone())).await.unwrap_err().code;
        let expected =
            if other.get("definition").is_some() { "InvalidDefinition" } else { "StateMachineAlreadyExists" };
        assert_eq!(code, expected, "{other}");
    }
    let described =
        w.call("DescribeStateMachine", json!({"stateMachineArn": created["stateMachineArn"]})).await.unwrap();
    assert_eq!(described["roleArn"], ROLE);
    assert_eq!(described["loggingConfiguration"], json!({"level": "OFF", "includeExecutionData": false}));
}

#[tokio::test]
async fn what_is_wrong_with_a_machine() {
    let w = fresh(BTreeMap::new()).await;
    let group = |name: &str| json!([{"cloudWatchLogsLogGroup": {"logGroupArn": format!("arn:aws:logs:us-east-1:000000000000:log-group:{name}:*")}}]);
    let both = [group("/there")[0].clone(), group("/there")[0].clone()];
    let one = "Invalid Logging Configuration: Must specify exactly one Log Destination.";
    let cases = [
        (json!({"name": "a b"}), "InvalidName", "Invalid Name: 'a b'"),
        (json!({"roleArn": "nobody"}), "InvalidArn", "Invalid Role Arn: 'nobody'"),
        (
            json!({"versionDescription": "d"}),
            "ValidationException",
            "Version description can only be set when publish is true",
        ),
        (json!({"loggingConfiguration": {"level": "ALL"}}), "InvalidLoggingConfiguration", one),
        (json!({"loggingConfiguration": {"level": "ALL", "destinations": []}}), "InvalidLoggingConfiguration", one),
        (json!({"loggingConfiguration": {"level": "ALL", "destinations": both}}), "InvalidLoggingConfiguration", one),
        (
            json!({"loggingConfiguration": {"level": "ERROR", "destinations": group("/gone")}}),
            "InvalidLoggingConfiguration",
            "Invalid Logging Configuration: Log Destination not found.",
        ),
        (
            json!({"loggingConfiguration": {"level": "LOUD"}}),
            "ValidationException",
            "1 validation error detected: Value 'LOUD' at 'loggingConfiguration.level' failed to satisfy constraint: Member must satisfy enum value set: [ALL, ERROR, FATAL, OFF]",
        ),
        (
            json!({"definition": "{\"StartAt\": \"P\"}"}),
            "InvalidDefinition",
            "Invalid State Machine Definition: 'SCHEMA_VALIDATION_FAILED: These fields are required: [States] at /'",
        ),
    ];
    for (more, code, message) in cases {
        let fault = w.call("CreateStateMachine", machine(more.clone())).await.unwrap_err();
        assert_eq!((fault.code.as_str(), fault.message.as_str()), (code, message), "{more}");
    }
    let logging = json!({"level": "ALL", "destinations": group("/there"), "includeExecutionData": true});
    let created = w.call("CreateStateMachine", machine(json!({"loggingConfiguration": logging}))).await.unwrap();
    let described =
        w.call("DescribeStateMachine", json!({"stateMachineArn": created["stateMachineArn"]})).await.unwrap();
    assert_eq!(described["loggingConfiguration"], logging);
}

#[tokio::test]
async fn what_express_machines_cannot_run_is_refused_by_place() {
    let w = fresh(BTreeMap::new()).await;
    let parallel = |resource: &str| {
        let parameters = match resource.contains("sqs") {
            true => json!({"QueueUrl": "q", "MessageBody": {"t.$": "$$.Task.Token"}}),
            false => json!({"StateMachineArn": "a"}),
        };
        let branch = one_task(resource, &parameters);
        json!({"StartAt": "P", "States": {"P": {"Type": "Parallel", "Branches": [branch], "End": true}}}).to_string()
    };
    let cases = [
        ("arn:aws:states:us-east-1:000000000000:activity:a", "Express state machine does not support Activity ARN"),
        (
            "arn:aws:states:::states:startExecution.sync",
            "Express state machine does not support '.sync' service integration",
        ),
        (
            "arn:aws:states:::sqs:sendMessage.waitForTaskToken",
            "Express state machine does not support '.waitForTaskToken' service integration ",
        ),
    ];
    for (resource, message) in cases {
        let definition = parallel(resource);
        let refused = w.call("CreateStateMachine", machine(json!({"definition": definition, "type": "EXPRESS"}))).await;
        let place = "/States/P/Branches[0]/States/T/Resource";
        let text = format!("Invalid State Machine Definition: 'SCHEMA_VALIDATION_FAILED: {message} at {place}'");
        assert_eq!(refused.unwrap_err().message, text);
        let validated = w
            .call("ValidateStateMachineDefinition", json!({"definition": definition, "type": "EXPRESS"}))
            .await
            .unwrap();
        let diagnostic =
            json!({"severity": "ERROR", "code": "SCHEMA_VALIDATION_FAILED", "message": message, "location": place});
        assert_eq!(validated, json!({"result": "FAIL", "diagnostics": [diagnostic], "truncated": false}));
        let validated = w.call("ValidateStateMachineDefinition", json!({"definition": definition})).await.unwrap();
        assert_eq!(validated["result"], "OK", "{validated}");
    }
    let distributed = json!({"ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "EXPRESS"}, "StartAt": "I",
        "States": {"I": {"Type": "Pass", "End": true}}});
    let map = json!({"StartAt": "M", "States": {"M": {"Type": "Map", "ItemProcessor": distributed, "End": true}}});
    let refused =
        w.call("CreateStateMachine", machine(json!({"definition": map.to_string(), "type": "EXPRESS"}))).await;
    assert_eq!(
        refused.unwrap_err().message,
        "Invalid State Machine Definition: 'SCHEMA_VALIDATION_FAILED: The field 'Mode' with value 'DISTRIBUTED' is not \
         supported inside 'EXPRESS' state machines at /States/M/ItemProcessor/ProcessorConfig/Mode'"
    );
    let many = json!({"StartAt": "A", "States": {"A": {}, "B": {}, "C": {}}}).to_string();
    let validated =
        w.call("ValidateStateMachineDefinition", json!({"definition": many, "maxResults": 2})).await.unwrap();
    assert_eq!((validated["diagnostics"].as_array().unwrap().len(), &validated["truncated"]), (2, &json!(true)));
}

#[tokio::test]
async fn tags_of_machines_and_activities() {
    let w = fresh(BTreeMap::new()).await;
    let machine = w.call("CreateStateMachine", machine(json!({"publish": true}))).await.unwrap();
    let activity = w.call("CreateActivity", json!({"name": "a"})).await.unwrap();
    let tags = |from: usize, to: usize| {
        (from..to).map(|n| json!({"key": format!("k{n:02}"), "value": "v"})).collect::<Vec<_>>()
    };
    for arn in [&machine["stateMachineArn"], &activity["activityArn"]] {
        w.call("TagResource", json!({"resourceArn": arn, "tags": tags(0, 49)})).await.unwrap();
        let fault = w.call("TagResource", json!({"resourceArn": arn, "tags": tags(48, 51)})).await.unwrap_err();
        assert_eq!((fault.code.as_str(), &fault.members["resourceName"]), ("TooManyTags", arn));
        w.call("UntagResource", json!({"resourceArn": arn, "tagKeys": ["k00", "none"]})).await.unwrap();
        let listed = w.call("ListTagsForResource", json!({"resourceArn": arn})).await.unwrap();
        assert_eq!((listed["tags"].as_array().unwrap().len(), &listed["tags"][0]["key"]), (48, &json!("k01")));
    }
    let version = &machine["stateMachineVersionArn"];
    let fault = w.call("TagResource", json!({"resourceArn": version, "tags": []})).await.unwrap_err();
    assert_eq!(fault.message, format!("Resource not found: '{}'", version.as_str().unwrap()));
    let w = w.restart(BTreeMap::new()).await;
    let listed = w.call("ListTagsForResource", json!({"resourceArn": activity["activityArn"]})).await.unwrap();
    assert_eq!(listed["tags"].as_array().unwrap().len(), 48);
}

#[tokio::test]
async fn inputs_that_are_no_json() {
    let w = fresh(BTreeMap::new()).await;
    let machine = w.create("m", "STANDARD", &one_task(&function("never"), &json!({}))).await;
    let cases = [
        (
            "not json",
            "Unrecognized token 'not': was expecting (JSON String, Number, Array, Object or token 'null', 'true' or 'false')",
        ),
        ("{'a': 1}", "Unexpected character (''' (code 39)): was expecting double-quote to start field name"),
        ("", "Invalid execution input."),
    ];
    for (input, why) in cases {
        let refused = w.call("StartExecution", json!({"stateMachineArn": machine, "input": input})).await.unwrap_err();
        assert_eq!(refused.message, format!("Invalid State Machine Execution Input: '{why}'"));
    }
    for input in ["2", "\"x\"", "null"] {
        w.call("StartExecution", json!({"stateMachineArn": machine, "input": input})).await.unwrap();
    }
    let express = w
        .call("DescribeExecution", json!({"executionArn": "arn:aws:states:us-east-1:000000000000:express:m:a:b"}))
        .await;
    assert_eq!(express.unwrap_err().message, "Invalid Arn: 'Resource type not valid in this context: express'");
}
