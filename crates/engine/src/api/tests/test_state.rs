use std::collections::BTreeMap;

use serde_json::{Value, json};
use service::Fault;

use crate::testing::{World, echo, fresh, function, one_task};

/// TestState's answer, with JSON texts as values.
async fn test(w: &World, definition: Value, more: Value) -> Result<Value, Fault> {
    let mut input = json!({"definition": definition.to_string(), "inspectionLevel": "DEBUG",
        "roleArn": "arn:aws:iam::000000000000:role/r"});
    input.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    w.call("TestState", input).await.map(unfold)
}

fn unfold(value: Value) -> Value {
    match value {
        Value::Object(members) => members.into_iter().map(|(name, value)| (name, unfold(value))).collect(),
        Value::String(text) => match serde_json::from_str(&text) {
            Ok(value @ (Value::Object(_) | Value::Array(_))) => value,
            _ => Value::String(text),
        },
        other => other,
    }
}

#[tokio::test]
async fn states_without_work() {
    let w = fresh(BTreeMap::new()).await;
    let value = json!({"Value": "Hello"});
    let input = json!({"input": value.to_string()});
    let pass = test(&w, json!({"Type": "Pass", "Next": "Other"}), input.clone()).await.unwrap();
    let seen = json!({"input": value, "afterInputPath": value, "afterParameters": value, "afterResultSelector": value, "afterResultPath": value});
    assert_eq!(pass, json!({"output": value, "status": "SUCCEEDED", "nextState": "Other", "inspectionData": seen}));
    let constant =
        test(&w, json!({"Type": "Pass", "Result": {"r": 1}, "ResultPath": "$.x", "End": true}), input.clone());
    let constant = constant.await.unwrap();
    let (result, placed) = (json!({"r": 1}), json!({"Value": "Hello", "x": {"r": 1}}));
    let seen = json!({"input": value, "result": result, "afterResultSelector": result, "afterResultPath": placed});
    assert_eq!(constant, json!({"output": placed, "status": "SUCCEEDED", "inspectionData": seen}));
    let seen = json!({"input": value, "afterInputPath": value});
    let fail = test(&w, json!({"Type": "Fail", "Error": "E", "Cause": "C"}), input.clone()).await.unwrap();
    assert_eq!(fail, json!({"error": "E", "cause": "C", "status": "FAILED", "inspectionData": seen}));
    let succeed = test(&w, json!({"Type": "Succeed"}), input.clone()).await.unwrap();
    assert_eq!(succeed, json!({"output": value, "status": "SUCCEEDED", "inspectionData": seen}));
    let choice = json!({"Type": "Choice", "Choices": [{"Variable": "$.Value", "StringEquals": "Hello", "Next": "A"}], "Default": "B"});
    let chosen = test(&w, choice.clone(), input.clone()).await.unwrap();
    assert_eq!(chosen, json!({"output": value, "status": "SUCCEEDED", "nextState": "A", "inspectionData": seen}));
    let wait = test(&w, json!({"Type": "Wait", "Seconds": 0, "Next": "A"}), input.clone()).await.unwrap();
    assert_eq!((&wait["status"], &wait["nextState"]), (&json!("SUCCEEDED"), &json!("A")));
    let mut info = input;
    info["inspectionLevel"] = json!("INFO");
    assert_eq!(test(&w, choice, info).await.unwrap().get("inspectionData"), None);
}

#[tokio::test]
async fn tasks_are_carried_out() {
    fn broken(_: &Value) -> Result<Value, Value> {
        Err(json!({"errorType": "Broken", "errorMessage": "m"}))
    }
    let w = fresh(BTreeMap::from([("echo", echo as fn(&Value) -> _), ("broken", broken)])).await;
    let task = json!({"Type": "Task", "Resource": function("echo"), "InputPath": "$.a", "Parameters": {"p.$": "$.b"},
        "ResultSelector": {"s.$": "$.p"}, "ResultPath": "$.r", "OutputPath": "$.r", "Next": "N"});
    let answer = test(&w, task, json!({"input": "{\"a\":{\"b\":1}}"})).await.unwrap();
    let input = json!({"a": {"b": 1}});
    let seen = json!({"input": input, "afterInputPath": {"b": 1}, "afterParameters": {"p": 1}, "result": {"p": 1},
        "afterResultSelector": {"s": 1}, "afterResultPath": {"a": {"b": 1}, "r": {"s": 1}}});
    assert_eq!(answer, json!({"output": {"s": 1}, "status": "SUCCEEDED", "nextState": "N", "inspectionData": seen}));

    let retry = json!([{"ErrorEquals": ["Other"]}, {"ErrorEquals": ["Broken"], "IntervalSeconds": 3, "BackoffRate": 2.0, "MaxAttempts": 2}]);
    let catch = json!([{"ErrorEquals": ["Broken"], "Next": "Handler", "ResultPath": "$.error"}]);
    let task = json!({"Type": "Task", "Resource": function("broken"), "Retry": retry, "Catch": catch, "End": true});
    let retriable = test(&w, task.clone(), json!({"stateConfiguration": {"retrierRetryCount": 1}})).await.unwrap();
    assert_eq!((&retriable["status"], &retriable["error"]), (&json!("RETRIABLE"), &json!("Broken")));
    let details = json!({"retryIndex": 1, "retryBackoffIntervalSeconds": 6});
    assert_eq!(retriable["inspectionData"]["errorDetails"], details);
    let caught = test(&w, task.clone(), json!({"stateConfiguration": {"retrierRetryCount": 2}})).await.unwrap();
    assert_eq!((&caught["status"], &caught["nextState"]), (&json!("CAUGHT_ERROR"), &json!("Handler")));
    assert_eq!((&caught["output"]["error"]["Error"], &caught["error"]), (&json!("Broken"), &json!("Broken")));
    assert_eq!(caught["inspectionData"]["errorDetails"], json!({"catchIndex": 0}));
    let mut plain = task;
    plain.as_object_mut().unwrap().retain(|name, _| !["Retry", "Catch"].contains(&name.as_str()));
    let failed = test(&w, plain, json!({})).await.unwrap();
    assert_eq!((&failed["status"], &failed["error"]), (&json!("FAILED"), &json!("Broken")));
    let sqs = json!({"Type": "Task", "Resource": "arn:aws:states:::sqs:sendMessage", "Parameters": {"QueueUrl": "http://h/1/q", "MessageBody": "b"}, "End": true});
    assert_eq!(test(&w, sqs, json!({})).await.unwrap()["output"]["MessageId"], "m-1");
}

#[tokio::test]
async fn jsonata_variables_and_mocks() {
    let w = fresh(BTreeMap::new()).await;
    let task = json!({"Type": "Task", "QueryLanguage": "JSONata", "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken",
        "Arguments": {"QueueUrl": "{% $url %}", "MessageBody": {"t": "{% $states.context.Task.Token %}"}},
        "Assign": {"id": "{% $states.result.id %}"}, "Output": "{% $states.context.Execution.Name %}", "Next": "N"});
    let more = json!({"variables": "{\"url\":\"u\"}", "mock": {"result": "{\"id\":7}"}, "context": "{\"Execution\":{\"Name\":\"mine\"}}"});
    let answer = test(&w, task.clone(), more.clone()).await.unwrap();
    assert_eq!((&answer["output"], &answer["nextState"]), (&json!("\"mine\""), &json!("N")));
    assert_eq!(answer["inspectionData"]["afterArguments"]["QueueUrl"], "u");
    assert_eq!(answer["inspectionData"]["variables"], json!({"id": 7, "url": "u"}));
    assert_eq!(answer["inspectionData"].get("afterInputPath"), None);

    let map = json!({"Type": "Map", "ItemsPath": "$.items", "ItemSelector": {"v.$": "$$.Map.Item.Value"}, "MaxConcurrency": 2, "End": true,
        "ItemProcessor": {"StartAt": "I", "States": {"I": {"Type": "Pass", "End": true}}}});
    let input = json!({"items": [1, 2]});
    let answer =
        test(&w, map.clone(), json!({"input": input.to_string(), "mock": {"result": "[5, 6]"}})).await.unwrap();
    let seen = &answer["inspectionData"];
    assert_eq!(
        (&answer["output"], &seen["afterItemsPath"], &seen["maxConcurrency"]),
        (&json!([5, 6]), &json!([1, 2]), &json!(2))
    );
    assert_eq!(seen["afterItemSelector"], json!([{"v": 1}, {"v": 2}]));
    let mut distributed = map;
    distributed["ItemProcessor"]["ProcessorConfig"] = json!({"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"});
    distributed["ToleratedFailureCount"] = json!(1);
    for (failed, status) in [(1, "SUCCEEDED"), (2, "FAILED")] {
        let configuration = json!({"mapIterationFailureCount": failed});
        let more =
            json!({"input": input.to_string(), "mock": {"result": "[5, 6]"}, "stateConfiguration": configuration});
        let answer = test(&w, distributed.clone(), more).await.unwrap();
        assert_eq!(
            (answer["status"].as_str().unwrap(), &answer["inspectionData"]["toleratedFailureCount"]),
            (status, &json!(1))
        );
    }
}

#[tokio::test]
async fn a_state_of_a_machine() {
    let w = fresh(BTreeMap::from([("echo", echo as fn(&Value) -> _)])).await;
    let inner = one_task(&function("echo"), &json!({"p.$": "$.a"}));
    let machine = json!({"StartAt": "P", "States": {"P": {"Type": "Parallel", "Branches": [inner], "Next": "S"}, "S": {"Type": "Succeed"}}});
    let task = test(&w, machine.clone(), json!({"stateName": "T", "input": "{\"a\":1}"})).await.unwrap();
    assert_eq!((&task["output"], task.get("nextState")), (&json!({"p": 1}), None));
    let parallel = json!({"stateName": "P", "mock": {"result": "[1]"}});
    let parallel = test(&w, machine.clone(), parallel).await.unwrap();
    assert_eq!((&parallel["output"], &parallel["nextState"]), (&json!([1]), &json!("S")));
    let unknown = test(&w, machine, json!({"stateName": "X"})).await.unwrap_err();
    assert_eq!(unknown.code, "ValidationException");
}

#[tokio::test]
async fn what_cannot_be_tested() {
    let w = fresh(BTreeMap::new()).await;
    let pass = json!({"Type": "Pass", "End": true});
    let parallel = json!({"Type": "Parallel", "Branches": [{"StartAt": "A", "States": {"A": {"Type": "Pass", "End": true}}}], "End": true});
    let unsupported = "TestState API does not support Map or Parallel states. Supported state types include: [Task, Wait, Pass, Succeed, Fail, Choice]";
    let two = json!({"result": "1", "errorOutput": {"error": "E"}});
    let task = one_task(&function("f"), &json!({}))["States"]["T"].clone();
    let cases = [
        (
            pass.clone(),
            json!({"mock": {"result": "{}"}}),
            "ValidationException",
            "State type 'Pass' is not supported when a mock is specified",
        ),
        (parallel.clone(), json!({}), "InvalidDefinition", unsupported),
        (parallel.clone(), json!({"mock": {"result": "{}"}}), "ValidationException", "Mocked result must be an array."),
        (
            parallel,
            json!({"mock": {"result": "[1, 2]"}}),
            "ValidationException",
            "Mocked result must contain the same number of items as number of Parallel branches.",
        ),
        (
            task.clone(),
            json!({"mock": two}),
            "ValidationException",
            "A test mock should have only one of the following fields: [result, errorOutput].",
        ),
        (
            task,
            json!({"mock": {"result": "1"}, "revealSecrets": true}),
            "ValidationException",
            "TestState does not support RevealSecrets when a mock is specified.",
        ),
        (json!({"Type": "Wait", "End": true}), json!({}), "InvalidDefinition", ""),
    ];
    for (definition, more, code, message) in cases {
        let fault = test(&w, definition, more).await.unwrap_err();
        assert_eq!(fault.code, code, "{}", fault.message);
        assert!(message.is_empty() || fault.message == message, "{}", fault.message);
        assert!(!fault.message.contains("StateName"), "{}", fault.message);
    }
    let input = test(&w, pass, json!({"input": "x"})).await.unwrap_err();
    assert_eq!(input.code, "InvalidExecutionInput");
}
