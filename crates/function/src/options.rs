use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

use base::{Clock, DEFAULT_ACCOUNT, Entropy, Scope, Timestamp};
use bytes::Bytes;
use service::Fault;
use store::Store;

/// Every bound and path of the crate; [`Options::new`] has AWS's numbers where AWS has them.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where packages, their unpacked copies and the workers' folders lie.
    pub data_dir: PathBuf,
    /// Worker processes at one time, of all functions; further invocations wait.
    pub workers_max: usize,
    /// Worker processes of one function that start at the same time; 0 takes four to a core, and eight at least.
    pub workers_starting_max: usize,
    /// How long a worker without work is kept.
    pub worker_idle_ms: u64,
    /// How long a worker that has answered is taken to ask for more at once, so that no other is started for its next
    /// invocation.
    pub worker_finishing_grace_ms: u64,
    /// How long a worker may take to ask for its first invocation, where the function's timeout is not longer. (AWS:
    /// 10 s, but what starts is alone on its machine.)
    pub init_ms_max: u64,
    /// How long an invocation waits for a worker before it is throttled.
    pub queue_wait_ms_max: u64,
    /// Invocations at one time in one account and region (AWS: 1,000).
    pub concurrency_max: u32,
    /// What reservations must leave unreserved (AWS: 100).
    pub unreserved_concurrency_min: u32,
    /// Payload of a synchronous invocation (AWS: 6 MB).
    pub sync_payload_bytes_max: usize,
    /// Payload of an asynchronous invocation (AWS: 1 MB).
    pub async_payload_bytes_max: usize,
    /// Response of an invocation (AWS: 6 MB and 100 bytes).
    pub response_bytes_max: usize,
    /// Output of one invocation that is logged; the rest is dropped with one line that says so.
    pub log_bytes_per_invocation_max: usize,
    /// A package uploaded with the call (AWS: 50 MB).
    pub zipped_bytes_max: usize,
    /// A package and its layers, unpacked (AWS: 250 MB).
    pub unzipped_bytes_max: u64,
    /// Files and folders in one package.
    pub package_entries_max: usize,
    /// Asynchronous invocations that are stored and not yet done, in all.
    pub async_events_max: usize,
    /// Asynchronous invocations that run at the same time.
    pub async_running_max: usize,
    /// The Python to use; found on PATH otherwise.
    pub python: Option<PathBuf>,
    /// The Node.js to use; found on PATH otherwise.
    pub node: Option<PathBuf>,
    /// Put before AWS's PATH in the workers' environment.
    pub path_prefix: Vec<PathBuf>,
}

impl Options {
    pub fn new(data_dir: impl Into<PathBuf>) -> Options {
        Options {
            data_dir: data_dir.into(),
            workers_max: 64,
            workers_starting_max: 0,
            worker_idle_ms: 300_000,
            worker_finishing_grace_ms: 10,
            init_ms_max: 30_000,
            queue_wait_ms_max: 900_000,
            concurrency_max: 1_000,
            unreserved_concurrency_min: 100,
            sync_payload_bytes_max: 6 * 1024 * 1024,
            async_payload_bytes_max: 1024 * 1024,
            response_bytes_max: 6 * 1024 * 1024 + 100,
            log_bytes_per_invocation_max: 4 * 1024 * 1024,
            zipped_bytes_max: 50 * 1024 * 1024,
            unzipped_bytes_max: 250 * 1024 * 1024,
            package_entries_max: 100_000,
            async_events_max: 100_000,
            async_running_max: 256,
            python: None,
            node: None,
            path_prefix: Vec::new(),
        }
    }
}

/// What the binary gives the crate to work with.
#[derive(Clone)]
pub struct Ports {
    pub store: Arc<dyn Store>,
    pub clock: Arc<dyn Clock>,
    pub entropy: Arc<Entropy>,
    pub logs: Arc<dyn LogSink>,
    pub packages: Arc<dyn PackageSource>,
    pub credentials: Arc<dyn CredentialSource>,
}

/// Where log events go: CloudWatch Logs, in the binary.
pub trait LogSink: Send + Sync + 'static {
    /// Takes events of one stream in order; makes group and stream if need be. Called on hot paths: must not block.
    fn put(&self, group: &str, stream: &str, scope: &Scope, events: Vec<(Timestamp, String)>);
}

/// Where packages that a call names by bucket and key come from: S3, in the binary.
pub trait PackageSource: Send + Sync + 'static {
    fn fetch<'a>(
        &'a self,
        scope: &'a Scope,
        bucket: &'a str,
        key: &'a str,
        version: Option<&'a str>,
    ) -> Pin<Box<dyn Future<Output = Result<Bytes, Fault>> + Send + 'a>>;
}

/// What a worker signs its calls with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    pub access_key_id: String,
    pub secret_access_key: String,
    pub session_token: Option<String>,
}

/// Where the workers' credentials come from.
pub trait CredentialSource: Send + Sync + 'static {
    /// Credentials of the function's role in `scope`.
    fn credentials(&self, scope: &Scope, role: &str) -> Credentials;
}

/// Credentials of a server that verifies none: the access key is the account's id, `test` in the default account.
#[derive(Clone, Copy, Debug, Default)]
pub struct OpenCredentials;

impl CredentialSource for OpenCredentials {
    fn credentials(&self, scope: &Scope, _role: &str) -> Credentials {
        let key = if scope.account() == DEFAULT_ACCOUNT { "test" } else { scope.account() };
        Credentials { access_key_id: key.to_owned(), secret_access_key: "test".to_owned(), session_token: None }
    }
}
