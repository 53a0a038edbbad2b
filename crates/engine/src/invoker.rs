use std::future::Future;
use std::pin::Pin;

use base::Scope;
use bytes::Bytes;
use service::{EffectId, Fault};

/// How functions are reached. The binary puts the function service behind it, tests a table of closures.
pub trait Invoker: Send + Sync + 'static {
    fn invoke(&self, invocation: Invocation) -> InvokeFuture;
}

pub type InvokeFuture = Pin<Box<dyn Future<Output = Result<Invoked, Fault>> + Send>>;

/// One call of a function.
#[derive(Clone, Debug)]
pub struct Invocation {
    pub scope: Scope,
    /// A name, a partial or a full ARN, with or without a qualifier.
    pub function: String,
    pub qualifier: Option<String>,
    /// `InvocationType=Event`: stored, run later, not waited for.
    pub asynchronous: bool,
    pub tail_log: bool,
    pub client_context: Option<String>,
    pub payload: Bytes,
    /// The same for every delivery of the same task: the function's request id is made from it.
    pub effect: Option<EffectId>,
}

/// What a function answered.
#[derive(Clone, Debug, Default)]
pub struct Invoked {
    pub status_code: u16,
    /// `Handled` or `Unhandled`; then the payload is the error.
    pub function_error: Option<String>,
    pub log_result: Option<String>,
    pub executed_version: Option<String>,
    pub payload: Bytes,
}
