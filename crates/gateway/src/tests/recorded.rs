//! Requests as botocore sent them (`tools/record_requests.py`) reach the right operation with the right input.

use base::Timestamp;
use base64::Engine;
use serde::Deserialize;
use serde_json::Value;

use super::harness::{KEY, Recorder, Reply, SECRET, Server, gateway, locked, options, request, start};
use crate::{Credential, GatewayOptions};

#[derive(Clone, Debug, Deserialize)]
pub struct Case {
    pub service: String,
    pub operation: String,
    pub input: Value,
    pub request: Recorded,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Recorded {
    pub method: String,
    pub target: String,
    pub headers: std::collections::BTreeMap<String, String>,
    pub body: String,
}

pub fn cases() -> Vec<Case> {
    let read = |text| serde_json::from_str::<Vec<Case>>(text).unwrap();
    let mut cases = read(include_str!("../../tests/data/requests.json"));
    cases.extend(read(include_str!("../../tests/data/requests_sqs_query.json")));
    cases
}

impl Recorded {
    pub fn body(&self) -> Vec<u8> {
        base64::engine::general_purpose::STANDARD.decode(&self.body).unwrap()
    }

    pub fn bytes(&self) -> Vec<u8> {
        let headers: Vec<_> = self.headers.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        let headers: Vec<_> = headers.into_iter().filter(|(n, _)| *n != "Content-Length").collect();
        request(&self.method, &self.target, &headers, &self.body())
    }

    pub fn signed_at(&self) -> Timestamp {
        let query = self.target.split(['?', '&']).find_map(|p| p.strip_prefix("X-Amz-Date="));
        let text = query.or_else(|| self.headers.get("X-Amz-Date").map(String::as_str)).unwrap();
        let (d, t) = text.split_once('T').unwrap();
        let text = format!("{}-{}-{}T{}:{}:{}Z", &d[..4], &d[4..6], &d[6..], &t[..2], &t[2..4], &t[4..6]);
        Timestamp::parse_rfc3339(&text).unwrap()
    }
}

/// One server a case, as each was signed at its own time.
pub async fn serve(cases: &[Case], options: GatewayOptions, now: Timestamp) -> (Recorder, Server) {
    let recorder = Recorder::new();
    let registry = recorder.registry(cases.iter().map(|c| (&*c.service, &*c.operation)));
    let server = start(gateway(registry, options, now)).await;
    (recorder, server)
}

fn expected(case: &Case) -> Value {
    let mut input = case.input.clone();
    // The recorder names its payload as the registry does: blobs as base64.
    if case.operation == "CreateFunction" {
        assert!(input["Code"]["ZipFile"].is_string());
    }
    if input.is_null() {
        input = serde_json::json!({});
    }
    input
}

/// Numbers compare by value: seconds may come as 1705311000 or 1705311000.0.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(k, v)| b.get(k).is_some_and(|w| same(v, w)))
        }
        (a, b) => a == b,
    }
}

#[tokio::test]
async fn without_credentials_configured() {
    let cases = cases();
    let (recorder, server) = serve(&cases, options(), Timestamp::from_millis(0)).await;
    for case in &cases {
        let reply: Reply = server.raw(&case.request.bytes()).await;
        assert!(reply.status < 300, "{} {}: {reply:?}", case.service, case.operation);
        let seen = recorder.last();
        assert_eq!((&seen.service, &seen.operation), (&case.service, &case.operation));
        assert!(same(&seen.input, &expected(case)), "{}: {} not {}", case.operation, seen.input, case.input);
        assert_eq!((seen.call.scope.account(), seen.call.scope.region()), ("000000000000", "eu-west-1"));
        assert_eq!(&*seen.call.endpoint, "http://127.0.0.1:4566");
        assert_eq!(reply.headers["x-amzn-requestid"], *seen.call.request_id);
    }
    assert_eq!(recorder.count(), cases.len());
}

#[tokio::test]
async fn with_credentials_every_signature_is_verified() {
    for case in cases() {
        let now = case.request.signed_at();
        let (recorder, server) = serve(std::slice::from_ref(&case), locked(), now).await;
        let reply = server.raw(&case.request.bytes()).await;
        assert!(reply.status < 300, "{} {}: {reply:?}", case.service, case.operation);
        let seen = recorder.last();
        assert_eq!(seen.call.scope.account(), "123456789012");
        assert_eq!(&*seen.call.principal, "arn:aws:iam::123456789012:root");
    }
}

#[tokio::test]
async fn what_was_changed_after_signing_is_refused() {
    for case in cases() {
        let now = case.request.signed_at();
        let (recorder, server) = serve(std::slice::from_ref(&case), locked(), now).await;
        let mut changed = Vec::new();
        let mut change = |f: &dyn Fn(&mut Recorded)| {
            let mut request = case.request.clone();
            f(&mut request);
            changed.push(request);
        };
        let push = |r: &mut Recorded, more: &[u8]| {
            let body = [&r.body(), more].concat();
            r.body = base64::engine::general_purpose::STANDARD.encode(body);
        };
        change(&|r| push(r, b" "));
        change(&|r| r.target.push_str(if r.target.contains('?') { "&a=b" } else { "?a=b" }));
        change(&|r| drop(r.headers.insert("Host".to_owned(), "localhost".to_owned())));
        change(&|r| drop(r.headers.insert("X-Amz-Added".to_owned(), "1".to_owned())));
        if case.request.headers.contains_key("Authorization") {
            change(&|r| {
                let header = r.headers.get_mut("Authorization").unwrap();
                *header = header.replace("eu-west-1", "eu-west-2");
            });
        }
        for request in changed {
            let reply = server.raw(&request.bytes()).await;
            assert!((400..404).contains(&reply.status), "{} {reply:?} {request:?}", case.operation);
            let kind = reply.headers.get("x-amzn-errortype").map_or(reply.text(), String::as_str);
            assert!(
                kind.contains("InvalidSignatureException") || kind.contains("<Code>SignatureDoesNotMatch</Code>"),
                "{kind}"
            );
        }
        assert_eq!(recorder.count(), 0);
    }
}

#[tokio::test]
async fn another_secret_or_time_is_refused() {
    let case = &cases()[0];
    let now = case.request.signed_at();
    let minutes = |m: i64| Timestamp::from_millis(now.as_millis() + m * 60_000);
    let other = GatewayOptions { credentials: vec![Credential::root(KEY, "other", "123456789012")], ..options() };
    let unknown =
        GatewayOptions { credentials: vec![Credential::root("AKIDOTHER", SECRET, "123456789012")], ..options() };
    for (options, now, code, text) in [
        (other, now, "InvalidSignatureException", "The request signature we calculated does not match"),
        (unknown, now, "UnrecognizedClientException", "The security token included in the request is invalid."),
        (locked(), minutes(6), "InvalidSignatureException", "Signature expired: "),
        (locked(), minutes(-6), "InvalidSignatureException", "Signature not yet current: "),
        (locked(), minutes(4), "", ""),
        (locked(), minutes(-4), "", ""),
    ] {
        let (_, server) = serve(std::slice::from_ref(case), options, now).await;
        let reply = server.raw(&case.request.bytes()).await;
        if code.is_empty() {
            assert_eq!(reply.status, 200);
            continue;
        }
        assert_eq!(reply.status, 400);
        assert_eq!(reply.json()["__type"], format!("com.amazon.coral.service#{code}"));
        assert!(reply.json()["message"].as_str().unwrap().starts_with(text), "{}", reply.text());
    }
}

#[tokio::test]
async fn a_presigned_url_ends() {
    let cases = cases();
    let case = cases.iter().find(|c| c.request.target.contains("X-Amz-Expires=900")).unwrap();
    let signed = case.request.signed_at().as_millis();
    for (seconds, status) in [(0, 200), (899, 200), (901, 403), (-901, 403)] {
        let now = Timestamp::from_millis(signed + seconds * 1000);
        let (_, server) = serve(std::slice::from_ref(case), locked(), now).await;
        let reply = server.raw(&case.request.bytes()).await;
        assert_eq!(reply.status, status, "{seconds} {}", reply.text());
        if seconds == 901 {
            assert!(reply.text().contains("<Code>RequestExpired</Code>"), "{}", reply.text());
        }
    }
}
