//! What `http:invoke` sends and tells, case by case: `tests/data/http_invoke.json`.

use std::collections::VecDeque;

use base::SystemClock;
use outbound::{Answer, Error, Request};
use service::{Fault, Service};

use super::*;
use crate::testing::world_with;
use crate::{HttpClient, HttpFuture, Options};

const CASES: &str = include_str!("../../../tests/data/http_invoke.json");
const CONNECTION: &str = "arn:aws:events:us-east-1:000000000000:connection/c/62aa5cdd-664b-4c4a-a065-fadf65efb523";
const SECRET: &str = "arn:aws:secretsmanager:us-east-1:000000000000:secret:events!connection/c/1-abcdef";

/// Answers as it was told to.
#[derive(Default)]
struct Outside {
    answers: Mutex<VecDeque<Value>>,
    requests: Mutex<Vec<Request>>,
}

impl HttpClient for Outside {
    fn call(&self, request: Request) -> HttpFuture {
        self.requests.lock().unwrap().push(request);
        let answer = self.answers.lock().unwrap().pop_front().expect("the case says what is answered");
        Box::pin(async move { answered(&answer) })
    }
}

fn answered(answer: &Value) -> Result<Answer, Error> {
    let text = |name: &str| answer[name].as_str().unwrap_or_default().to_owned();
    match () {
        () if answer.get("refused").is_some() => Err(Error::Refused(text("refused"))),
        () if answer.get("timeout").is_some() => Err(Error::TimedOut(text("timeout"))),
        () if answer.get("large").is_some() => Err(Error::TooLarge(262_144)),
        () => Ok(Answer {
            status: u16::try_from(answer["status"].as_u64().unwrap()).unwrap(),
            reason: text("reason"),
            headers: serde_json::from_value(answer["headers"].clone()).unwrap_or_default(),
            body: text("body").into(),
        }),
    }
}

/// The services that keep connections and their secrets.
fn keepers(case: &Value) -> Vec<Service> {
    let text = |name: &str, default: &str| case[name].as_str().unwrap_or(default).to_owned();
    let (state, kind) = (text("state", "AUTHORIZED"), text("type", "API_KEY"));
    let mut events = Service::new("events");
    events.operation("DescribeConnection", move |_: Call, input: Value| {
        let described = json!({"ConnectionArn": CONNECTION, "Name": "c", "ConnectionState": state,
            "AuthorizationType": kind, "SecretArn": SECRET});
        async move {
            if input["Name"] == "c" {
                return Ok(described);
            }
            Err(Fault::client("ResourceNotFoundException", "Connection 'none' does not exist."))
        }
    });
    let secret = case.get("secret").cloned();
    let secret = secret.unwrap_or_else(|| json!({"api_key_name": "x-api-key", "api_key_value": "k"})).to_string();
    let mut keeper = Service::new("secretsmanager");
    keeper.operation("GetSecretValue", move |_: Call, input: Value| {
        assert_eq!(input["SecretId"], SECRET);
        let value = json!({"SecretString": secret, "VersionId": "1"});
        async move { Ok::<_, Fault>(value) }
    });
    vec![events, keeper]
}

fn seen(request: &Request) -> Value {
    let mut seen = json!({"method": request.method, "url": request.url, "headers": request.headers});
    if let Some(body) = &request.body {
        seen["body"] = std::str::from_utf8(body).unwrap().into();
    }
    seen
}

async fn world_of(case: &Value, outside: &Arc<Outside>) -> World {
    let store = Arc::new(MemoryStore::new());
    let clock = Arc::new(SystemClock::new());
    let w = world_with(store, Arc::default(), clock, Options::default(), keepers(case)).await;
    w.engine.call_http_with(outside.clone());
    w
}

#[tokio::test]
async fn http_invoke_calls_and_tells_as_aws_does() {
    for case in serde_json::from_str::<Vec<Value>>(&CASES.replace("@connection", CONNECTION)).unwrap() {
        let name = case["case"].as_str().unwrap();
        let outside = Arc::new(Outside::default());
        outside.answers.lock().unwrap().extend(case["answers"].as_array().cloned().unwrap_or_default());
        let w = world_of(&case, &outside).await;
        let mut parameters = case["parameters"].clone();
        if parameters.get("Authentication").is_none() && parameters.get("InvocationConfig").is_none() {
            parameters["Authentication"] = json!({"ConnectionArn": CONNECTION});
        }
        let machine = w.create("m", "STANDARD", &one_task("arn:aws:states:::http:invoke", &parameters)).await;
        let input = case.get("input").cloned().unwrap_or_else(|| json!({}));
        let execution = w.start(&machine, "e", &input).await.unwrap();
        let end = w.ended(&execution).await;
        if let Some(error) = case.get("error") {
            assert_eq!(end["error"], *error, "{name}: {end}");
            assert_eq!(end["cause"].as_str(), case["cause"].as_str(), "{name}");
        } else {
            assert_eq!(end["status"], "SUCCEEDED", "{name}: {end}");
        }
        if let Some(result) = case.get("result") {
            assert_eq!(end["output"].as_str().unwrap(), result.to_string(), "{name}");
        }
        let requests: Vec<Value> = outside.requests.lock().unwrap().iter().map(seen).collect();
        if let Some(expected) = case.get("requests") {
            assert_eq!(json!(requests), *expected, "{name}");
        }
        if let Some(body) = case.get("body") {
            assert_eq!(requests[0]["body"], *body, "{name}");
        }
        assert!(outside.answers.lock().unwrap().is_empty(), "{name}");
    }
}

#[tokio::test]
async fn a_token_is_used_until_its_end() {
    let case = json!({"type": "OAUTH_CLIENT_CREDENTIALS", "secret": {"client_id": "id", "client_secret": "s",
        "authorization_endpoint": "https://auth/", "http_method": "POST"}});
    let outside = Arc::new(Outside::default());
    let w = world_of(&case, &outside).await;
    let parameters =
        json!({"ApiEndpoint": "https://h/", "Method": "GET", "Authentication": {"ConnectionArn": CONNECTION}});
    let machine = w.create("m", "STANDARD", &one_task("arn:aws:states:::http:invoke", &parameters)).await;
    let token =
        |seconds: u64| json!({"status": 200, "body": format!("{{\"access_token\":\"t\",\"expires_in\":{seconds}}}")});
    let fine = json!({"status": 200});
    outside.answers.lock().unwrap().extend([token(3_600), fine.clone(), fine.clone()]);
    for name in ["a", "b"] {
        let execution = w.start(&machine, name, &json!({})).await.unwrap();
        assert_eq!(w.ended(&execution).await["status"], "SUCCEEDED");
    }
    let urls: Vec<String> = outside.requests.lock().unwrap().iter().map(|request| request.url.clone()).collect();
    assert_eq!(urls, ["https://auth/", "https://h/", "https://h/"]);
    assert!(outside.answers.lock().unwrap().is_empty());
}
