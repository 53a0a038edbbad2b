//! What integrations send and tell, case by case: `tests/data/integrations.json`.

use std::sync::PoisonError;

use base::SystemClock;
use service::{Fault, Service};

use super::*;
use crate::Options;
use crate::testing::world_with;

const CASES: &str = include_str!("../../../tests/data/integrations.json");

/// What was called, and what comes of calls.
#[derive(Default)]
struct Script {
    answer: Mutex<Option<Result<Value, Fault>>>,
    calls: Mutex<Vec<(&'static str, &'static str, Call, Value)>>,
}

fn services(script: &Arc<Script>) -> Vec<Service> {
    let operations: [(&'static str, &'static [&'static str]); 7] = [
        ("sqs", &["SendMessage", "ReceiveMessage"]),
        ("dynamodb", &["PutItem", "GetItem"]),
        ("events", &["PutEvents"]),
        ("s3", &["PutObject", "GetObject"]),
        ("logs", &["CreateLogGroup"]),
        ("secretsmanager", &["GetSecretValue"]),
        ("lambda", &["Invoke"]),
    ];
    let add = |(id, names): (&'static str, &'static [&'static str])| {
        let mut service = Service::new(id);
        for name in names {
            let script = script.clone();
            service.operation(name, move |call: Call, input: Value| {
                script.calls.lock().unwrap_or_else(PoisonError::into_inner).push((id, name, call, input));
                let answer = script.answer.lock().unwrap_or_else(PoisonError::into_inner).clone();
                async move { answer.expect("the case says what comes of the call") }
            });
        }
        service
    };
    operations.into_iter().map(add).collect()
}

fn answer(case: &Value) -> Option<Result<Value, Fault>> {
    if let Some(fault) = case.get("fault") {
        let text = |i: usize| fault[i].as_str().unwrap().to_owned();
        let status = u16::try_from(fault[0].as_u64().unwrap()).unwrap();
        return Some(Err(Fault::with_status(status, text(1), text(2))));
    }
    case.get("answer").cloned().map(Ok)
}

/// Takes ids and dates out of a text.
fn normal(text: &str) -> String {
    let mut normal = text.to_owned();
    let id = |text: &str| {
        let bytes = text.as_bytes();
        (0..text.len().saturating_sub(35)).find(|&i| {
            bytes[i..i + 36]
                .iter()
                .enumerate()
                .all(|(n, b)| if matches!(n, 8 | 13 | 18 | 23) { *b == b'-' } else { b.is_ascii_hexdigit() })
        })
    };
    let (mut done, mut from) = (String::new(), 0);
    // A message's id is the case's own.
    while let Some(at) = id(&normal[from..]) {
        let found = normal[from + at..from + at + 36].to_owned();
        done += &normal[from..from + at];
        done += if found.starts_with("62aa5cdd") { &found } else { "<id>" };
        from += at + 36;
    }
    normal = done + &normal[from..];
    while let Some(end) = normal.find(" GMT") {
        normal.replace_range(end - 25..end + 4, "<date>");
    }
    normal
}

#[tokio::test]
async fn integrations_call_and_tell_as_aws_does() {
    for case in serde_json::from_str::<Vec<Value>>(CASES).unwrap() {
        let name = case["case"].as_str().unwrap();
        let script = Arc::new(Script { answer: Mutex::new(answer(&case)), ..Script::default() });
        let functions = Arc::new(Functions::default());
        let w = world_with(
            Arc::new(MemoryStore::new()),
            functions,
            Arc::new(SystemClock::new()),
            Options::default(),
            services(&script),
        )
        .await;
        let resource = case["resource"].as_str().unwrap();
        let resource =
            if resource.starts_with("arn:") { resource.to_owned() } else { format!("arn:aws:states:::{resource}") };
        let mut definition = one_task(&resource, &case["parameters"]);
        if let Some(credentials) = case.get("credentials") {
            definition["States"]["T"]["Credentials"] = credentials.clone();
        }
        let machine = w.create("m", "STANDARD", &definition).await;
        let input = case.get("input").cloned().unwrap_or_else(|| json!({}));
        let execution = w.start(&machine, "e", &input).await.unwrap();
        let end = w.ended(&execution).await;
        match case.get("result") {
            Some(result) => {
                assert_eq!(end["status"], "SUCCEEDED", "{name}: {end}");
                assert_eq!(normal(end["output"].as_str().unwrap()), result.to_string(), "{name}");
            }
            None => {
                assert_eq!(end["error"], case["error"], "{name}: {end}");
                assert_eq!(normal(end["cause"].as_str().unwrap()), case["cause"].as_str().unwrap(), "{name}");
            }
        }
        if let Some(history) = case.get("history") {
            assert_eq!(json!(w.history(&execution).await), *history, "{name}");
        }
        let calls = script.calls.lock().unwrap();
        if let Some(call) = case.get("call") {
            let (service, operation, _, input) = &calls[0];
            assert_eq!(json!([service, operation, input]), *call, "{name}");
        }
        if let Some(account) = case.get("account") {
            let call = &calls[0].2;
            assert_eq!(
                (call.scope.account(), &*call.principal),
                (account.as_str().unwrap(), case["principal"].as_str().unwrap())
            );
            assert!(call.effect.is_some());
        }
    }
}
