use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use base::Scope;
use bytes::Bytes;
use tokio::sync::oneshot;

use super::concurrency::Permit;
use super::report::LogFormat;
use crate::package::PackageId;

/// What runs a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Runtime {
    /// An executable named `bootstrap`.
    Provided(&'static str),
    /// Python 3; the minor version.
    Python(&'static str, u32),
    /// Node.js; the major version.
    Node(&'static str, u32),
}

/// Every runtime that can be asked for.
pub(crate) const RUNTIMES: [Runtime; 14] = [
    Runtime::Node("nodejs18.x", 18),
    Runtime::Node("nodejs20.x", 20),
    Runtime::Node("nodejs22.x", 22),
    Runtime::Node("nodejs24.x", 24),
    Runtime::Python("python3.8", 8),
    Runtime::Python("python3.9", 9),
    Runtime::Python("python3.10", 10),
    Runtime::Python("python3.11", 11),
    Runtime::Python("python3.12", 12),
    Runtime::Python("python3.13", 13),
    Runtime::Python("python3.14", 14),
    Runtime::Provided("provided"),
    Runtime::Provided("provided.al2"),
    Runtime::Provided("provided.al2023"),
];

impl Runtime {
    pub fn parse(name: &str) -> Option<Runtime> {
        RUNTIMES.iter().find(|r| r.name() == name).cloned()
    }

    pub fn name(&self) -> &'static str {
        match self {
            Runtime::Provided(name) | Runtime::Python(name, _) | Runtime::Node(name, _) => name,
        }
    }
}

impl fmt::Display for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One version of a function as workers run it: code and configuration that do not change.
#[derive(Debug)]
pub(crate) struct Deployment {
    /// The ARN without a version, which reservations are for.
    pub function_arn: Arc<str>,
    /// Names the pool: the ARN with the version.
    pub version_arn: Arc<str>,
    /// Grows with each change of the same version, `$LATEST` being the one that changes.
    pub generation: u64,
    pub scope: Scope,
    pub name: String,
    pub version: String,
    pub role: String,
    pub runtime: Runtime,
    pub handler: String,
    pub memory_mb: u32,
    pub timeout: Duration,
    pub environment: Vec<(String, String)>,
    pub package: PackageId,
    pub layers: Vec<PackageId>,
    pub log_group: String,
    pub log_format: LogFormat,
    pub log_level: Option<String>,
}

/// One call of a function on its way to a worker.
pub(crate) struct Invocation {
    pub request_id: Arc<str>,
    pub invoked_arn: Arc<str>,
    pub payload: Bytes,
    pub client_context: Option<Arc<str>>,
    pub trace_id: String,
    pub tail: bool,
    pub reply: oneshot::Sender<Outcome>,
    /// Given back when the invocation is done, however it ends.
    pub permit: Permit,
}

/// How an invocation ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub payload: Bytes,
    /// The function, or what runs it, failed; the payload says how.
    pub failed: bool,
    pub tail: Option<Vec<u8>>,
}
