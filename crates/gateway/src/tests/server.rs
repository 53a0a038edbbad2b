//! The server as a whole: hooks, routing to S3, endpoints, health, and how calls end.

use std::sync::{Arc, Mutex};

use base::Timestamp;
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use service::{Call, Fault, Registry, Service};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;

use super::harness::{Recorder, gateway, options, request, scope, start};
use crate::{BoxFuture, Invocation, InvokeHandler, Invoked, RequestBody, S3Body, S3Handler, virtual_bucket};

/// Answers with method, host, path, region and body.
struct Echo;

impl S3Handler for Echo {
    fn handle(&self, request: http::Request<RequestBody>, call: Call) -> BoxFuture<http::Response<S3Body>> {
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let host = parts.headers["host"].to_str().unwrap();
            let body = body.collect().await.unwrap().to_bytes();
            let region = call.scope.region();
            let text =
                format!("{} {host} {} {region} {}", parts.method, parts.uri.path(), String::from_utf8_lossy(&body));
            http::Response::new(Full::from(text).map_err(|e| match e {}).boxed_unsync())
        })
    }
}

#[tokio::test]
async fn whatever_is_nothing_else_is_s3() {
    let registry = Recorder::new().registry([("lambda", "ListFunctions"), ("sqs", "SendMessage")]);
    let server = start(gateway(registry, options(), Timestamp::MIN).mount_s3(Arc::new(Echo))).await;
    let signed = scope("test", "eu-west-1", "s3");
    let signed = [("Authorization", signed.as_str())];
    for (method, host, path, headers, body, expected) in [
        ("GET", "127.0.0.1:4566", "/bucket/key", &[][..], "", "GET 127.0.0.1:4566 /bucket/key us-east-1 "),
        (
            "PUT",
            "127.0.0.1:4566",
            "/2015-03-31/functions",
            &signed,
            "x",
            "PUT 127.0.0.1:4566 /2015-03-31/functions eu-west-1 x",
        ),
        (
            "GET",
            "b.s3.localhost:4566",
            "/2015-03-31/functions",
            &[],
            "",
            "GET b.s3.localhost:4566 /2015-03-31/functions us-east-1 ",
        ),
        ("HEAD", "127.0.0.1:4566", "/b", &[], "", ""),
        ("OPTIONS", "127.0.0.1:4566", "/b/k", &[], "", "OPTIONS 127.0.0.1:4566 /b/k us-east-1 "),
        ("GET", "127.0.0.1:4566", "/", &[], "", "GET 127.0.0.1:4566 / us-east-1 "),
    ] {
        let headers = [&[("Host", host)], headers].concat();
        let reply = server.send(method, path, &headers, body.as_bytes()).await;
        assert_eq!((reply.status, reply.text()), (200, expected));
    }
    assert_eq!(server.send("OPTIONS", "/", &[], b"").await.status, 200);
}

#[test]
fn buckets_of_hosts() {
    for (host, bucket) in [
        ("b.localhost", Some("b")),
        ("a.b.localhost:4566", Some("a.b")),
        ("b.s3.localhost:4566", Some("b")),
        ("a.b.s3.eu-west-1.localhost.localstack.cloud:4566", Some("a.b")),
        ("b.s3-eu-west-1.amazonaws.com", Some("b")),
        ("s3.localhost.localstack.cloud:4566", None),
        ("s3.localhost", None),
        ("s3.us-east-1.localhost", None),
        ("localhost:4566", None),
        ("127.0.0.1:4566", None),
        ("[::1]:4566", None),
        ("sqs.us-east-1.localhost:4566", None),
        ("sync-localhost:4566", None),
        ("sync-states.localhost:4566", None),
        ("example.org", None),
        ("", None),
        (".localhost", None),
        (".s3.", None),
    ] {
        assert_eq!(virtual_bucket(host), bucket, "{host}");
    }
}

#[tokio::test]
async fn queue_urls_and_endpoints() {
    let recorder = Recorder::new();
    let registry = recorder.registry([("sqs", "SendMessage"), ("states", "StartSyncExecution")]);
    let server = start(gateway(registry, options(), Timestamp::MIN)).await;
    let form = ("Content-Type", "application/x-www-form-urlencoded");
    let host = ("Host", "sqs.eu-west-1.localhost:4566");
    let reply =
        server.send("POST", "/000000000000/orders", &[form, host], b"Action=SendMessage&MessageBody=a+b%21").await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let url = "http://sqs.eu-west-1.localhost:4566/000000000000/orders";
    assert_eq!(recorder.last().input, json!({ "QueueUrl": url, "MessageBody": "a b!" }));
    let path = "/000000000000/orders?Action=SendMessage&MessageBody=x&QueueUrl=other";
    assert_eq!(server.send("GET", path, &[], b"").await.status, 200);
    assert_eq!(recorder.last().input, json!({ "QueueUrl": "other", "MessageBody": "x" }));
    let target = ("X-Amz-Target", "AWSStepFunctions.StartSyncExecution");
    for (host, endpoint) in
        [("sync-localhost:4566", "http://localhost:4566"), ("<script>", &*format!("http://{}", server.address))]
    {
        assert_eq!(server.send("POST", "/", &[target, ("Host", host)], b"{}").await.status, 200);
        assert_eq!(&*recorder.last().call.endpoint, endpoint);
    }
}

#[tokio::test]
async fn health_says_that_it_runs() {
    let server = start(gateway(Registry::new(), options(), Timestamp::MIN)).await;
    let reply = server.send("GET", "/_stepwell/health", &[], b"").await;
    assert_eq!((reply.status, reply.json()["status"].as_str()), (200, Some("running")));
    assert!(reply.json()["version"].is_string());
}

#[derive(Default)]
struct Functions(Mutex<Option<Invocation>>);

impl InvokeHandler for Functions {
    fn invoke(&self, _: Call, invocation: Invocation) -> BoxFuture<Result<Invoked, Fault>> {
        let status = if invocation.invocation_type.as_deref() == Some("DryRun") { 204 } else { 200 };
        let payload = invocation.payload.clone();
        let is_missing = invocation.function_name == "missing";
        *self.0.lock().unwrap() = Some(invocation);
        Box::pin(async move {
            if is_missing {
                return Err(Fault::with_status(404, "ResourceNotFoundException", "Function not found: missing"));
            }
            Ok(Invoked {
                status,
                executed_version: Some("$LATEST".to_owned()),
                function_error: Some("Unhandled".to_owned()),
                log_result: Some("TE9H".to_owned()),
                payload,
            })
        })
    }
}

#[tokio::test]
async fn invoke_passes_raw_payloads() {
    let functions = Arc::new(Functions::default());
    let registry = Recorder::new().registry([("lambda", "Invoke")]);
    let server = start(gateway(registry, options(), Timestamp::MIN).mount_invoke(functions.clone())).await;
    let path = "/2015-03-31/functions/arn%3Aaws%3Alambda%3Aus-east-1%3A000000000000%3Afunction%3Af/invocations";
    let headers = [("X-Amz-Log-Type", "Tail"), ("X-Amz-Invocation-Type", "RequestResponse")];
    let reply = server.send("POST", &format!("{path}?Qualifier=%24LATEST"), &headers, b"not json").await;
    assert_eq!((reply.status, reply.text()), (200, "not json"));
    let names = ["x-amz-executed-version", "x-amz-function-error", "x-amz-log-result", "content-type"];
    assert_eq!(names.map(|n| &*reply.headers[n]), ["$LATEST", "Unhandled", "TE9H", "application/json"]);
    let expected = Invocation {
        function_name: "arn:aws:lambda:us-east-1:000000000000:function:f".to_owned(),
        qualifier: Some("$LATEST".to_owned()),
        invocation_type: Some("RequestResponse".to_owned()),
        log_type: Some("Tail".to_owned()),
        client_context: None,
        payload: "not json".into(),
    };
    assert_eq!(functions.0.lock().unwrap().take(), Some(expected));
    let dry = [("X-Amz-Invocation-Type", "DryRun")];
    let reply = server.send("POST", path, &dry, b"{}").await;
    assert_eq!((reply.status, reply.text()), (204, ""));
    let reply = server.send("POST", "/2015-03-31/functions/missing/invocations", &[], b"{}").await;
    assert_eq!((reply.status, &*reply.headers["x-amzn-errortype"]), (404, "ResourceNotFoundException"));
    assert_eq!(reply.json(), json!({ "Type": "User", "Message": "Function not found: missing" }));
}

/// Operations that wait until told, and say how they ended.
struct Waiting {
    begun: Arc<Notify>,
    go_on: Arc<Notify>,
    ended: Arc<Mutex<Vec<&'static str>>>,
    dropped: Arc<Notify>,
}

struct OnDrop(Arc<Notify>);

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

impl Waiting {
    fn new() -> (Arc<Waiting>, Registry) {
        let waiting = Arc::new(Waiting {
            begun: Arc::default(),
            go_on: Arc::default(),
            ended: Arc::default(),
            dropped: Arc::default(),
        });
        let mut service = Service::new("sqs");
        for name in ["ReceiveMessage", "SendMessage"] {
            let waiting = waiting.clone();
            service.operation(name, move |_, _: Value| {
                let waiting = waiting.clone();
                async move {
                    let _guard = OnDrop(waiting.dropped.clone());
                    waiting.begun.notify_one();
                    waiting.go_on.notified().await;
                    waiting.ended.lock().unwrap().push(name);
                    Ok::<_, Fault>(json!({}))
                }
            });
        }
        service
            .operation("Panics", |_, _: Value| async { if true { panic!("as a test") } else { Ok::<_, Fault>(()) } });
        let mut registry = Registry::new();
        registry.add(service);
        (waiting, registry)
    }
}

#[tokio::test]
async fn an_operation_ends_though_its_caller_has_gone_but_a_poll_does_not() {
    let (waiting, registry) = Waiting::new();
    let server = start(gateway(registry, options(), Timestamp::MIN)).await;
    for (name, ended) in [("SendMessage", true), ("ReceiveMessage", false)] {
        let mut stream = TcpStream::connect(&server.address).await.unwrap();
        let target = format!("AmazonSQS.{name}");
        stream.write_all(&request("POST", "/", &[("X-Amz-Target", &target)], b"{}")).await.unwrap();
        waiting.begun.notified().await;
        drop(stream);
        if ended {
            waiting.go_on.notify_one();
        }
        waiting.dropped.notified().await;
        assert_eq!(std::mem::take(&mut *waiting.ended.lock().unwrap()), if ended { vec![name] } else { vec![] });
    }
}

#[tokio::test]
async fn an_operation_that_panics_harms_nobody_else() {
    let (_, registry) = Waiting::new();
    let server = start(gateway(registry, options(), Timestamp::MIN)).await;
    let reply = server.json("AmazonSQS.Panics", "{}").await;
    assert_eq!(reply.status, 500);
    assert_eq!(reply.json()["__type"], "com.amazonaws.sqs#InternalFailure");
    assert_eq!(server.json("AmazonSQS.Nothing", "{}").await.status, 400);
}

#[tokio::test]
async fn shutdown_lets_running_calls_end() {
    let (waiting, registry) = Waiting::new();
    let server = start(gateway(registry, options(), Timestamp::MIN)).await;
    // One connection that is idle after a call, one with a running call.
    let mut idle = TcpStream::connect(&server.address).await.unwrap();
    idle.write_all(b"GET /_stepwell/health HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    let mut first = [0; 12];
    idle.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");
    let mut stream = TcpStream::connect(&server.address).await.unwrap();
    let head = request("POST", "/", &[("X-Amz-Target", "AmazonSQS.SendMessage")], b"{}");
    stream.write_all(&head).await.unwrap();
    waiting.begun.notified().await;
    server.stop.send(()).unwrap();
    let mut rest = Vec::new();
    idle.read_to_end(&mut rest).await.unwrap();
    assert!(!server.served.is_finished());
    waiting.go_on.notify_one();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
    server.served.await.unwrap().unwrap();
    assert!(TcpStream::connect(&server.address).await.is_err());
}

#[tokio::test]
async fn shutdown_does_not_wait_for_ever() {
    let (waiting, registry) = Waiting::new();
    let options = crate::GatewayOptions { drain_timeout_ms: 20, ..options() };
    let server = start(gateway(registry, options, Timestamp::MIN)).await;
    let mut stream = TcpStream::connect(&server.address).await.unwrap();
    let head = request("POST", "/", &[("X-Amz-Target", "AmazonSQS.ReceiveMessage")], b"{}");
    stream.write_all(&head).await.unwrap();
    waiting.begun.notified().await;
    server.stop.send(()).unwrap();
    server.served.await.unwrap().unwrap();
}

#[tokio::test]
async fn calls_share_a_connection() {
    let recorder = Recorder::new();
    let server = start(gateway(recorder.registry([("sqs", "SendMessage")]), options(), Timestamp::MIN)).await;
    let mut stream = TcpStream::connect(&server.address).await.unwrap();
    let one = "POST / HTTP/1.1\r\nHost: a\r\nX-Amz-Target: AmazonSQS.SendMessage\r\nContent-Length: 2\r\n\r\n{}";
    let last = one.replace("Host: a", "Host: a\r\nConnection: close");
    stream.write_all(format!("{}{last}", one.repeat(9)).as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    assert_eq!(String::from_utf8_lossy(&answer).matches("HTTP/1.1 200 OK").count(), 10);
    assert_eq!(recorder.count(), 10);
}
