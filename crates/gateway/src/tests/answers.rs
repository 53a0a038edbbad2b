//! Answers and errors on the wire; `tools/check_responses.py` lets botocore read the same file.

use std::collections::BTreeMap;
use std::path::Path;

use base::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use service::Fault;

use super::harness::{Recorder, Reply, Server, gateway, options, scope, start};
use crate::model::{Model, Models};

#[derive(Debug, Deserialize, Serialize)]
struct Case {
    service: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    protocol: Option<String>,
    operation: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fault: Option<GivenFault>,
    #[serde(skip_serializing_if = "Option::is_none")]
    wire_code: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    wire: Option<Wire>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
struct GivenFault {
    code: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    query_code: Option<String>,
    message: String,
    status: u16,
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    members: Map<String, Value>,
}

#[derive(Debug, PartialEq, Deserialize, Serialize)]
struct Wire {
    status: u16,
    headers: BTreeMap<String, String>,
    body: String,
}

impl GivenFault {
    fn fault(&self) -> Fault {
        let mut fault = Fault::with_status(self.status, self.code.clone(), self.message.clone());
        fault.query_code = self.query_code.clone().map(|code| &*Box::leak(code.into_boxed_str()));
        *fault.members = self.members.clone();
        fault
    }
}

/// A call of the operation without any input.
async fn call(server: &Server, model: &Model, case: &Case) -> Reply {
    let operation = &model.operations.get(&case.operation);
    if let (Some(json), None) = (&model.json, &case.protocol) {
        return server.json(&format!("{}.{}", json.target, case.operation), "{}").await;
    }
    if let Some(query) = &model.query {
        return server.form("/", &format!("Action={}&Version={}", case.operation, query.version)).await;
    }
    let operation = operation.unwrap();
    let path: Vec<&str> = operation.path.split('/').map(|s| if s.starts_with('{') { "x" } else { s }).collect();
    let authorization = scope("test", "us-east-1", &model.id);
    server.send(&operation.method, &path.join("/"), &[("Authorization", &authorization)], b"").await
}

#[tokio::test]
async fn as_recorded() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/responses.json");
    let mut cases: Vec<Case> = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    let models = Models::load(|_| true).unwrap();
    let recorder = Recorder::new();
    let registry = recorder.registry(cases.iter().map(|c| (&*c.service, &*c.operation)));
    let server = start(gateway(registry, options(), Timestamp::MIN)).await;
    let update = std::env::var_os("UPDATE").is_some();
    for case in &mut cases {
        recorder.answer(match (&case.output, &case.fault) {
            (_, Some(fault)) => Err(fault.fault()),
            (output, None) => Ok(output.clone().unwrap()),
        });
        let model = models.by_id(&case.service).unwrap();
        let reply = call(&server, model, case).await;
        let mut headers = reply.headers.clone();
        for changing in ["date", "connection", "content-length"] {
            headers.remove(changing);
        }
        // Ids are random; where they stand in the body is what counts.
        let id = headers.insert("x-amzn-requestid".to_owned(), "ID".to_owned()).unwrap();
        let wire = Wire { status: reply.status, headers, body: reply.text().replace(&id, "ID") };
        if update {
            case.wire = Some(wire);
        } else {
            assert_eq!(case.wire.as_ref(), Some(&wire), "{} {}", case.service, case.operation);
        }
    }
    if update {
        let lines: Vec<String> = cases.iter().map(|c| serde_json::to_string(c).unwrap()).collect();
        std::fs::write(&file, format!("[\n{}\n]\n", lines.join(",\n"))).unwrap();
    }
}

/// Method, path, headers, body; status and part of the answer.
type Refused<'a> = (&'a str, &'a str, Vec<(String, String)>, &'a str, u16, &'a str);

#[tokio::test]
async fn what_is_not_supported_is_said() {
    let recorder = Recorder::new();
    let registry = recorder.registry([("sqs", "ListQueues"), ("sts", "GetCallerIdentity"), ("lambda", "GetFunction")]);
    let server = start(gateway(registry, options(), Timestamp::MIN)).await;
    let target = |t: &'static str| vec![("X-Amz-Target".to_owned(), t.to_owned())];
    let signed = |s: &str| vec![("Authorization".to_owned(), scope("test", "us-east-1", s))];
    let form = |s: &str| [signed(s), vec![("Content-Type".to_owned(), "application/x-www-form-urlencoded".to_owned())]];
    let cases: Vec<Refused<'_>> = vec![
        ("POST", "/", target("AmazonSQS.Nothing"), "{}", 400, "UnknownOperationException"),
        ("POST", "/", target("AmazonSQS"), "{}", 400, "UnknownOperationException"),
        (
            "POST",
            "/",
            target("AWSGlue.GetJob"),
            "{}",
            501,
            "service 'glue' is not supported; supported are lambda, sqs, sts",
        ),
        ("POST", "/", target("Nobody.GetJob"), "{}", 501, "service 'Nobody' is not supported"),
        ("GET", "/v1/x", signed("batch"), "", 501, "service 'batch' is not supported"),
        ("POST", "/", form("sts").concat(), "Action=Nothing&Version=2011-06-15", 400, "<Code>InvalidAction</Code>"),
        ("POST", "/", form("sts").concat(), "", 400, "<Code>MissingAction</Code>"),
        ("POST", "/", form("sts").concat(), "Action=%zz", 400, "<Code>MalformedQueryString</Code>"),
        ("POST", "/", form("iam").concat(), "Action=GetRole", 501, "<Code>NotImplementedException</Code>"),
        ("POST", "/", signed("sqs"), "{}", 400, "lacks X-Amz-Target"),
        ("GET", "/nowhere", signed("lambda"), "", 404, "GET /nowhere is no operation of lambda"),
        ("GET", "/2015-03-31/functions", signed("lambda"), "", 400, "operation ListFunctions of service lambda"),
        ("GET", "/2015-03-31/functions/%ff", signed("lambda"), "", 400, "not UTF-8"),
        ("GET", "/bucket/key", signed("s3"), "", 501, "<Code>NotImplemented</Code>"),
        ("GET", "/bucket/key", vec![], "", 501, "<Code>NotImplemented</Code>"),
        ("POST", "/", target("AmazonSQS.ListQueues"), "{", 400, "SerializationException"),
        ("POST", "/", target("AmazonSQS.ListQueues"), "\u{0}", 400, "SerializationException"),
    ];
    for (method, path, headers, body, status, text) in cases {
        let headers: Vec<_> = headers.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        let reply = server.send(method, path, &headers, body.as_bytes()).await;
        assert_eq!(reply.status, status, "{path} {body} {}", reply.text());
        assert!(reply.text().contains(text), "{path} {body} {}", reply.text());
        assert!(reply.headers.contains_key("x-amzn-requestid"));
    }
    let cbor = [("smithy-protocol", "rpc-v2-cbor"), ("Content-Type", "application/cbor")];
    let reply = server.send("POST", "/service/GraniteServiceVersion20100801/operation/PutMetricData", &cbor, b"").await;
    assert_eq!((reply.status, &*reply.headers["content-type"]), (415, "application/cbor"));
    assert_eq!(&reply.body[..10], b"\xa2\x79\x00\x06__type");
}
