//! A gateway on a free port, operations that record what they see, and a client that sends raw bytes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use base::{Clock, Entropy, ManualClock, Timestamp};
use serde_json::Value;
use service::{Call, Fault, Registry, Service};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::{Credential, Gateway, GatewayError, GatewayOptions};

pub const KEY: &str = "AKIDEXAMPLE";
pub const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

/// What an operation was called with.
#[derive(Clone, Debug)]
pub struct Seen {
    pub service: String,
    pub operation: String,
    pub call: Call,
    pub input: Value,
}

/// Operations that write down their calls and give the same answer each time.
#[derive(Clone)]
pub struct Recorder {
    pub seen: Arc<Mutex<Vec<Seen>>>,
    answer: Arc<Mutex<Result<Value, Fault>>>,
}

impl Recorder {
    pub fn new() -> Recorder {
        Recorder { seen: Arc::default(), answer: Arc::new(Mutex::new(Ok(serde_json::json!({})))) }
    }

    pub fn answer(&self, answer: Result<Value, Fault>) {
        *self.answer.lock().unwrap() = answer;
    }

    pub fn last(&self) -> Seen {
        self.seen.lock().unwrap().last().expect("an operation was called").clone()
    }

    pub fn count(&self) -> usize {
        self.seen.lock().unwrap().len()
    }

    pub fn registry<'a>(&self, operations: impl IntoIterator<Item = (&'a str, &'a str)>) -> Registry {
        // Registered names live as long as the program; a test's leak does not matter.
        let leak = |name: &str| -> &'static str { Box::leak(name.to_owned().into_boxed_str()) };
        let mut services: BTreeMap<&str, Service> = BTreeMap::new();
        let mut known = std::collections::BTreeSet::new();
        for (service, operation) in operations {
            if !known.insert((service, operation)) {
                continue;
            }
            let (id, name) = (leak(service), leak(operation));
            let recorder = self.clone();
            services.entry(id).or_insert_with(|| Service::new(id)).operation(name, move |call, input: Value| {
                let seen = Seen { service: id.to_owned(), operation: name.to_owned(), call, input };
                recorder.seen.lock().unwrap().push(seen);
                let answer = recorder.answer.lock().unwrap().clone();
                async move { answer }
            });
        }
        let mut registry = Registry::new();
        for (_, service) in services {
            registry.add(service);
        }
        registry
    }
}

pub struct Server {
    pub address: String,
    pub stop: oneshot::Sender<()>,
    pub served: JoinHandle<Result<(), GatewayError>>,
}

pub fn options() -> GatewayOptions {
    GatewayOptions { listen: "127.0.0.1:0".parse().unwrap(), ..GatewayOptions::default() }
}

pub fn locked() -> GatewayOptions {
    GatewayOptions { credentials: vec![Credential::root(KEY, SECRET, "123456789012")], ..options() }
}

pub fn gateway(registry: Registry, options: GatewayOptions, now: Timestamp) -> Gateway {
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(now));
    Gateway::new(registry, clock, Arc::new(Entropy::from_seed(1)), options).unwrap()
}

pub async fn start(gateway: Gateway) -> Server {
    let listener = gateway.listen().await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (stop, stopped) = oneshot::channel();
    let served = tokio::spawn(gateway.serve(listener, async {
        let _ = stopped.await;
    }));
    Server { address, stop, served }
}

/// An answer, taken apart.
#[derive(Debug, Default)]
pub struct Reply {
    pub status: u16,
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
}

impl Reply {
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.text()))
    }

    fn parse(bytes: &[u8]) -> Reply {
        let Some(end) = bytes.windows(4).position(|w| w == b"\r\n\r\n") else { return Reply::default() };
        let head = String::from_utf8_lossy(&bytes[..end]);
        let mut lines = head.split("\r\n");
        let status = lines.next().and_then(|l| l.split(' ').nth(1)).and_then(|s| s.parse().ok()).unwrap_or(0);
        let headers = lines
            .filter_map(|l| l.split_once(": "))
            .map(|(n, v)| (n.to_ascii_lowercase(), v.to_owned()))
            .collect::<BTreeMap<_, _>>();
        Reply { status, headers, body: bytes[end + 4..].to_vec() }
    }
}

impl Server {
    /// Sends bytes and reads until the server closes; an empty reply if it just closed.
    pub async fn raw(&self, bytes: &[u8]) -> Reply {
        let mut stream = TcpStream::connect(&self.address).await.unwrap();
        // A server that refuses may close before all was sent.
        let _ = stream.write_all(bytes).await;
        let mut read = Vec::new();
        let _ = stream.read_to_end(&mut read).await;
        Reply::parse(&read)
    }

    pub async fn send(&self, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
        self.raw(&request(method, target, headers, body)).await
    }

    pub async fn json(&self, target: &str, body: &str) -> Reply {
        let headers = [("X-Amz-Target", target), ("Content-Type", "application/x-amz-json-1.0")];
        self.send("POST", "/", &headers, body.as_bytes()).await
    }

    pub async fn form(&self, path: &str, body: &str) -> Reply {
        let headers = [("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")];
        self.send("POST", path, &headers, body.as_bytes()).await
    }
}

pub fn request(method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut out = format!("{method} {target} HTTP/1.1\r\nConnection: close\r\n");
    for (name, value) in headers {
        out.push_str(&format!("{name}: {value}\r\n"));
    }
    let has = |wanted: &str| headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(wanted));
    if !has("host") {
        out.push_str("Host: 127.0.0.1:4566\r\n");
    }
    if !has("content-length") && !has("transfer-encoding") {
        out.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    out.push_str("\r\n");
    let mut out = out.into_bytes();
    out.extend_from_slice(body);
    out
}

/// The signature's scope alone, as an unchecked caller sends it.
pub fn scope(key: &str, region: &str, service: &str) -> String {
    format!(
        "AWS4-HMAC-SHA256 Credential={key}/20240115/{region}/{service}/aws4_request, SignedHeaders=host, Signature=00"
    )
}
