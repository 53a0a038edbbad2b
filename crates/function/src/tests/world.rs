use std::future::Future;
use std::io::{Cursor, Write as _};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base::{Clock, Entropy, ManualClock, Scope, SystemClock, Timestamp};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Value, json};
use service::{Call, Fault, Registry};
use store::{MemoryStore, Store};
use tokio::sync::Notify;
use zip::write::SimpleFileOptions;

use crate::{
    Functions, InvokeRequest, InvokeResponse, LogSink, LogType, OpenCredentials, Options, PackageSource, Ports,
};

/// Longer than any wait of a test that is going to end.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server with functions and nothing else.
pub struct World {
    pub dir: Arc<tempfile::TempDir>,
    pub store: Arc<dyn Store>,
    pub logs: Arc<Logs>,
    pub functions: Arc<Functions>,
    pub registry: Registry,
}

/// Every log event, in order.
#[derive(Default)]
pub struct Logs {
    pub events: Mutex<Vec<(String, String, String)>>,
    more: Notify,
}

impl LogSink for Logs {
    fn put(&self, group: &str, stream: &str, _: &Scope, events: Vec<(Timestamp, String)>) {
        let mut all = self.events.lock().unwrap();
        all.extend(events.into_iter().map(|(_, line)| (group.to_owned(), stream.to_owned(), line)));
        self.more.notify_waiters();
    }
}

impl Logs {
    pub fn lines(&self) -> Vec<String> {
        self.events.lock().unwrap().iter().map(|(_, _, line)| line.clone()).collect()
    }

    /// Waits until there is a line that `wanted` takes, and returns it.
    pub async fn line(&self, wanted: impl Fn(&str) -> bool) -> String {
        until(async {
            loop {
                let more = self.more.notified();
                if let Some(line) = self.lines().into_iter().find(|l| wanted(l)) {
                    return line;
                }
                more.await;
            }
        })
        .await
    }

    pub async fn line_with(&self, text: &str) -> String {
        self.line(|line| line.contains(text)).await
    }
}

pub async fn until<T>(wanted: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, wanted).await.expect("what was waited for has not come")
}

/// Objects of one bucket, named `key` to content.
struct Bucket;

impl PackageSource for Bucket {
    fn fetch<'a>(
        &'a self,
        _: &'a Scope,
        bucket: &'a str,
        key: &'a str,
        _: Option<&'a str>,
    ) -> Pin<Box<dyn Future<Output = Result<Bytes, Fault>> + Send + 'a>> {
        let found = (bucket == "code" && key == "echo.zip").then(|| zip(&[("handler.py", 0o644, ECHO)]).into());
        Box::pin(async move {
            found.ok_or_else(|| Fault::with_status(404, "NoSuchKey", "The specified key does not exist."))
        })
    }
}

pub const ECHO: &str = "def handler(event, context):\n    return event\n";

pub fn zip(files: &[(&str, u32, &str)]) -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, mode, content) in files {
        archive.start_file(*name, SimpleFileOptions::default().unix_permissions(*mode)).unwrap();
        archive.write_all(content.as_bytes()).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

impl World {
    pub async fn new() -> World {
        World::with(|_| {}).await
    }

    pub async fn with(change: impl FnOnce(&mut Options)) -> World {
        World::on(
            Arc::new(MemoryStore::new()),
            Arc::new(SystemClock::new()),
            Arc::new(tempfile::tempdir().unwrap()),
            change,
        )
        .await
    }

    pub async fn with_clock(clock: Arc<ManualClock>, change: impl FnOnce(&mut Options)) -> World {
        World::on(Arc::new(MemoryStore::new()), clock, Arc::new(tempfile::tempdir().unwrap()), change).await
    }

    pub async fn on(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        dir: Arc<tempfile::TempDir>,
        change: impl FnOnce(&mut Options),
    ) -> World {
        let logs = Arc::new(Logs::default());
        let mut options = Options::new(dir.path());
        // So that nothing depends on how busy the machine is.
        options.worker_finishing_grace_ms = 20_000;
        options.init_ms_max = 60_000;
        change(&mut options);
        let ports = Ports {
            store: store.clone(),
            clock,
            entropy: Arc::new(Entropy::from_os()),
            logs: logs.clone(),
            packages: Arc::new(Bucket),
            credentials: Arc::new(OpenCredentials),
        };
        let functions = Functions::start(options, ports).await.unwrap();
        let mut registry = Registry::new();
        registry.add(functions.service());
        World { dir, store, logs, functions, registry }
    }

    pub async fn call(&self, operation: &str, input: Value) -> Result<Value, Fault> {
        let call = Call::internal(Scope::default(), "11111111-2222-4333-8444-555555555555", "tester");
        until(self.registry.call_value("lambda", operation, call, input)).await
    }

    /// Creates a function of these files.
    pub async fn create(&self, name: &str, runtime: &str, handler: &str, files: &[(&str, u32, &str)], more: Value) {
        let mut input = json!({
            "FunctionName": name,
            "Runtime": runtime,
            "Handler": handler,
            "Role": "arn:aws:iam::000000000000:role/lambda",
            "Timeout": 30,
            "MemorySize": 512,
            "Code": {"ZipFile": STANDARD.encode(zip(files))},
        });
        for (member, value) in more.as_object().into_iter().flatten() {
            input[member] = value.clone();
        }
        self.call("CreateFunction", input).await.unwrap();
    }

    pub async fn python(&self, name: &str, code: &str) {
        self.create(name, "python3.12", "handler.handler", &[("handler.py", 0o644, code)], json!({})).await;
    }

    pub fn request(&self, name: &str, payload: &Value) -> InvokeRequest {
        InvokeRequest { payload: payload.to_string().into(), ..InvokeRequest::new(Scope::default(), name) }
    }

    pub async fn try_invoke(&self, request: InvokeRequest) -> Result<InvokeResponse, Fault> {
        until(self.functions.invoke(request)).await
    }

    /// Invokes, and reads the answer as JSON.
    pub async fn invoke(&self, name: &str, payload: &Value) -> (Option<&'static str>, Value) {
        let response = self.try_invoke(self.request(name, payload)).await.unwrap();
        assert_eq!(response.status_code, 200);
        (response.function_error, serde_json::from_slice(&response.payload).unwrap())
    }

    /// Invokes and returns the answer with the end of the log.
    pub async fn invoke_with_log(&self, name: &str, payload: &Value) -> (InvokeResponse, String) {
        let request = InvokeRequest { log_type: LogType::Tail, ..self.request(name, payload) };
        let response = self.try_invoke(request).await.unwrap();
        let log = STANDARD.decode(response.log_result.as_deref().unwrap()).unwrap();
        (response, String::from_utf8(log).unwrap())
    }

    /// Waits until no more than `count` workers are left.
    pub async fn workers_at_most(&self, count: usize) {
        until(async {
            loop {
                let ended = self.functions.fleet.next_end();
                if self.functions.worker_count() <= count {
                    return;
                }
                ended.await;
            }
        })
        .await;
    }
}

pub fn now() -> Timestamp {
    SystemClock::new().now()
}
