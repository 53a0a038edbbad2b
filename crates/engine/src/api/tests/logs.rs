use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::testing::{World, fresh};

async fn run(w: &World, name: &str, kind: &str, level: &str, data: bool) -> (String, Vec<Value>) {
    let arn = "arn:aws:logs:us-east-1:000000000000:log-group:/there:*";
    let definition = json!({"StartAt": "F", "States": {"F": {"Type": "Fail", "Error": "E", "Cause": "C"}}});
    let input = json!({"name": name, "type": kind, "definition": definition.to_string(),
        "roleArn": "arn:aws:iam::000000000000:role/r", "loggingConfiguration": {
            "level": level, "includeExecutionData": data,
            "destinations": [{"cloudWatchLogsLogGroup": {"logGroupArn": arn}}]}});
    let machine = w.call("CreateStateMachine", input).await.unwrap();
    let machine = machine["stateMachineArn"].as_str().unwrap();
    let execution = w.start(machine, "e", &json!({"secret": 1})).await.unwrap();
    let logged = std::mem::take(&mut *w.logged.lock().unwrap());
    let prefix = format!("states/{name}/");
    assert!(logged.iter().all(|(group, stream, _)| group == "/there" && stream.starts_with(&prefix)), "{logged:?}");
    (execution, logged.iter().map(|(_, _, line)| serde_json::from_str(line).unwrap()).collect())
}

#[tokio::test]
async fn levels_choose_events_and_data_is_left_out() {
    let w = fresh(BTreeMap::new()).await;
    for (kind, arn_kind) in [("STANDARD", ":execution:"), ("EXPRESS", ":express:")] {
        for (level, expected) in [
            ("ALL", vec!["ExecutionStarted", "FailStateEntered", "ExecutionFailed"]),
            ("ERROR", vec!["FailStateEntered", "ExecutionFailed"]),
            ("FATAL", vec!["ExecutionFailed"]),
            ("OFF", vec![]),
        ] {
            let (execution, lines) = run(&w, &format!("{kind}-{level}"), kind, level, false).await;
            let types: Vec<_> = lines.iter().map(|l| l["type"].as_str().unwrap()).collect();
            assert_eq!(types, expected);
            assert!(execution.contains(arn_kind) && lines.iter().all(|l| l["execution_arn"] == execution.as_str()));
            assert!(lines.iter().all(|l| !l.to_string().contains("secret")));
        }
    }
}

#[tokio::test]
async fn a_line_is_written_as_aws_does() {
    let w = fresh(BTreeMap::new()).await;
    let (execution, lines) = run(&w, "m", "STANDARD", "ALL", true).await;
    let time = lines[1]["event_timestamp"].as_str().unwrap();
    assert!(time.parse::<i64>().unwrap() > 1_600_000_000_000);
    let input = "{\"secret\":1}";
    let expected = json!({"id": "2", "type": "FailStateEntered", "previous_event_id": "0", "event_timestamp": time,
        "details": {"name": "F", "input": input, "inputDetails": {"truncated": false}},
        "execution_arn": execution, "redrive_count": "0"});
    assert_eq!(lines[1], expected);
    assert_eq!(lines[2]["details"], json!({"error": "E", "cause": "C"}));
}
