use bytes::Bytes;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use service::{Call, Fault};

use crate::answer::{Answer, answer};
use crate::handler::BoxFuture;
use crate::query::Parameters;
use crate::rest::Matched;

/// Lambda's Invoke with its payload as raw bytes, beside the registry.
pub trait InvokeHandler: Send + Sync + 'static {
    fn invoke(&self, call: Call, invocation: Invocation) -> BoxFuture<Result<Invoked, Fault>>;
}

/// The request of Lambda's Invoke.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Invocation {
    /// Name, partial ARN or ARN, as the caller wrote it.
    pub function_name: String,
    pub qualifier: Option<String>,
    /// `RequestResponse`, `Event` or `DryRun`; absent means the first.
    pub invocation_type: Option<String>,
    /// `Tail` or `None`.
    pub log_type: Option<String>,
    /// Base64 of JSON.
    pub client_context: Option<String>,
    pub payload: Bytes,
}

/// The answer of Lambda's Invoke.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Invoked {
    /// 200, 202 for `Event`, 204 for `DryRun`.
    pub status: u16,
    pub executed_version: Option<String>,
    /// `Unhandled` if the function failed; the payload says how.
    pub function_error: Option<String>,
    /// Base64 of the last 4 KB of the log.
    pub log_result: Option<String>,
    pub payload: Bytes,
}

pub(crate) fn decode(matched: &Matched<'_>, parts: &Parts, payload: Bytes) -> Result<Invocation, Fault> {
    let query = Parameters::read(parts.uri.query().unwrap_or("").as_bytes(), b"")?;
    let header = |name: &str| header(&parts.headers, name);
    Ok(Invocation {
        function_name: matched.label("FunctionName")?,
        qualifier: query.get("Qualifier").map(str::to_owned),
        invocation_type: header("x-amz-invocation-type"),
        log_type: header("x-amz-log-type"),
        client_context: header("x-amz-client-context"),
        payload,
    })
}

fn header(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name).and_then(|v| v.to_str().ok()).map(str::to_owned)
}

pub(crate) fn encode(invoked: Invoked) -> Answer {
    let payload = if invoked.status == 204 { Bytes::new() } else { invoked.payload };
    let mut answer = answer(invoked.status, "application/json", payload);
    let headers = [
        ("x-amz-executed-version", invoked.executed_version),
        ("x-amz-function-error", invoked.function_error),
        ("x-amz-log-result", invoked.log_result),
    ];
    for (name, value) in headers {
        if let Some(value) = value.and_then(|v| HeaderValue::from_str(&v).ok()) {
            answer.headers_mut().insert(HeaderName::from_static(name), value);
        }
    }
    answer
}
