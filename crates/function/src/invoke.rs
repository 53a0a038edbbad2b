use std::sync::Arc;

use base::Scope;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use service::{EffectId, Fault};
use sha2::{Digest, Sha256};
use tokio::sync::oneshot;

use crate::Functions;
use crate::catalogue::{Function, Target};
use crate::fault::{constraint, function_not_found};
use crate::name::{FunctionKey, LATEST, Named};
use crate::sandbox::{Invocation, Limits, Outcome, last_of};

/// AWS's bound for a client context, in base64.
const CLIENT_CONTEXT_BYTES_MAX: usize = 3583;

/// How the caller waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum InvocationType {
    /// For the function's answer.
    #[default]
    RequestResponse,
    /// Until the invocation is stored.
    Event,
    /// Only to learn whether it could invoke.
    DryRun,
}

impl InvocationType {
    /// AWS's name of it; none is `RequestResponse`.
    pub fn parse(name: Option<&str>) -> Result<InvocationType, Fault> {
        match name {
            None | Some("" | "RequestResponse") => Ok(InvocationType::RequestResponse),
            Some("Event") => Ok(InvocationType::Event),
            Some("DryRun") => Ok(InvocationType::DryRun),
            Some(other) => {
                let must = "satisfy enum value set: [Event, RequestResponse, DryRun]";
                Err(constraint(other, "invocationType", must))
            }
        }
    }
}

/// Whether the caller wants the end of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogType {
    #[default]
    None,
    Tail,
}

impl LogType {
    /// AWS's name of it; none is `None`.
    pub fn parse(name: Option<&str>) -> Result<LogType, Fault> {
        match name {
            None | Some("" | "None") => Ok(LogType::None),
            Some("Tail") => Ok(LogType::Tail),
            Some(other) => Err(constraint(other, "logType", "satisfy enum value set: [None, Tail]")),
        }
    }
}

/// One call of Invoke.
#[derive(Clone, Debug)]
pub struct InvokeRequest {
    /// The caller's account and region; an ARN in `function` may name another account.
    pub scope: Scope,
    /// Name, partial ARN or ARN, with or without a qualifier.
    pub function: String,
    pub qualifier: Option<String>,
    pub invocation_type: InvocationType,
    pub log_type: LogType,
    /// Base64 of JSON, as in the header `X-Amz-Client-Context`.
    pub client_context: Option<String>,
    pub payload: Bytes,
    /// The request id that the caller is told, which the handler sees; made up where there is none.
    pub request_id: Option<Arc<str>>,
    /// Set by our own outboxes: the handler sees a request id that is the same for each delivery of the effect, and
    /// an `Event` is accepted once.
    pub effect: Option<EffectId>,
}

impl InvokeRequest {
    /// A synchronous call with an empty payload.
    pub fn new(scope: Scope, function: &str) -> InvokeRequest {
        InvokeRequest {
            scope,
            function: function.to_owned(),
            qualifier: None,
            invocation_type: InvocationType::RequestResponse,
            log_type: LogType::None,
            client_context: None,
            payload: Bytes::new(),
            request_id: None,
            effect: None,
        }
    }
}

/// The answer to one call of Invoke.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvokeResponse {
    /// 200, 202 for `Event`, 204 for `DryRun`.
    pub status_code: u16,
    /// `Unhandled` where the function or what runs it failed; the payload says how.
    pub function_error: Option<&'static str>,
    /// Base64 of the last 4 KB of the log.
    pub log_result: Option<String>,
    /// What the function answered, as it is: a custom runtime may answer with something that is no JSON.
    pub payload: Bytes,
    pub executed_version: Option<String>,
    /// What the handler saw as its request id.
    pub request_id: Arc<str>,
}

/// A version of a function, found and ready to be invoked.
pub(crate) struct Resolved {
    pub key: FunctionKey,
    pub function: Arc<Function>,
    /// `$LATEST` or a number.
    pub version: String,
    /// The ARN as the caller named it.
    pub invoked_arn: Arc<str>,
}

impl Functions {
    /// Invokes a function as AWS's Invoke does.
    pub async fn invoke(&self, request: InvokeRequest) -> Result<InvokeResponse, Fault> {
        let named = Named::parse(&request.scope, &request.function, request.qualifier.as_deref())?;
        let resolved = self.resolve(&named)?;
        let request_id = match (&request.effect, &request.request_id) {
            (Some(effect), _) => request_id_of(effect),
            (None, Some(given)) => given.clone(),
            (None, None) => self.entropy.uuid().into(),
        };
        let client_context = request.client_context.as_deref().map(decode_context).transpose()?;
        let synchronous = request.invocation_type != InvocationType::Event;
        self.check_payload(&request.payload, synchronous)?;
        match request.invocation_type {
            InvocationType::DryRun => Ok(accepted(204, request_id)),
            InvocationType::Event => {
                let accept = self.events.accept(&named, &request_id, request.payload, client_context, request.effect);
                accept.await?;
                Ok(accepted(202, request_id))
            }
            InvocationType::RequestResponse => {
                let tail = request.log_type == LogType::Tail;
                let payload = or_empty_object(request.payload);
                let outcome = self.run(&resolved, request_id.clone(), payload, client_context, tail).await?;
                Ok(InvokeResponse {
                    status_code: 200,
                    function_error: outcome.failed.then_some("Unhandled"),
                    log_result: outcome.tail.map(|t| STANDARD.encode(last_of(&t))),
                    payload: outcome.payload,
                    executed_version: Some(resolved.version),
                    request_id,
                })
            }
        }
    }

    /// Finds what a caller named; through an alias with weights, one of its versions by chance.
    pub(crate) fn resolve(&self, named: &Named) -> Result<Resolved, Fault> {
        let missing = || {
            let qualifier = named.qualifier.as_deref().unwrap_or(LATEST);
            function_not_found(&named.key.qualified_arn(qualifier))
        };
        let function = self.catalogue.function(&named.key).ok_or_else(missing)?;
        let version = match function.target(named.qualifier.as_deref()).ok_or_else(missing)? {
            Target::Version(version) => version.version.clone(),
            Target::Alias(alias) => {
                let mut draw = self.entropy.next_f64();
                let other = alias.weights.iter().find(|(_, weight)| {
                    draw -= **weight;
                    draw < 0.0
                });
                let chosen = other.map_or(&alias.version, |(version, _)| version);
                function.version(chosen).ok_or_else(missing)?.version.clone()
            }
        };
        Ok(Resolved { invoked_arn: named.arn().as_str().into(), key: named.key.clone(), function, version })
    }

    /// Runs one invocation on a worker.
    pub(crate) async fn run(
        &self,
        resolved: &Resolved,
        request_id: Arc<str>,
        payload: Bytes,
        client_context: Option<Arc<str>>,
        tail: bool,
    ) -> Result<Outcome, Fault> {
        let Resolved { key, function, version, invoked_arn } = resolved;
        let limits = Limits {
            reserved: function.record.reserved_concurrency,
            reserved_total: self.catalogue.read(|shelf| shelf.reserved_total(&key.scope)),
        };
        let deployment = self.deployment(key, function, version).ok_or_else(|| function_not_found(&key.arn()))?;
        let permit = self.concurrency.acquire(&key.scope, &deployment.function_arn, &limits)?;
        let (reply, answer) = oneshot::channel();
        let invocation = Invocation {
            request_id,
            invoked_arn: invoked_arn.clone(),
            payload,
            client_context,
            trace_id: self.trace_id(),
            tail,
            reply,
            permit,
        };
        self.fleet.run(&deployment, invocation, answer).await
    }

    fn check_payload(&self, payload: &Bytes, synchronous: bool) -> Result<(), Fault> {
        let options = &self.options;
        let bytes_max = if synchronous { options.sync_payload_bytes_max } else { options.async_payload_bytes_max };
        if payload.len() > bytes_max {
            let kind = if synchronous { "InvokeRequest" } else { "InvokeAsyncRequest" };
            return Err(Fault::with_status(
                413,
                "RequestTooLargeException",
                format!("Request must be smaller than {bytes_max} bytes for the {kind} operation"),
            )
            .member("Type", "User"));
        }
        if payload.is_empty() {
            return Ok(());
        }
        match serde_json::from_slice::<serde::de::IgnoredAny>(payload) {
            Ok(_) => Ok(()),
            Err(error) => Err(Fault::client(
                "InvalidRequestContentException",
                format!("Could not parse request body into json: {error}"),
            )
            .member("Type", "User")),
        }
    }

    /// An X-Ray trace id, not sampled.
    fn trace_id(&self) -> String {
        let (seconds, entropy) = (self.clock.now().as_seconds(), &self.entropy);
        let (root, low, parent) = (entropy.next_u64(), entropy.next_u64() >> 32, entropy.next_u64());
        format!("Root=1-{seconds:08x}-{root:016x}{low:08x};Parent={parent:016x};Sampled=0")
    }
}

fn accepted(status_code: u16, request_id: Arc<str>) -> InvokeResponse {
    InvokeResponse {
        status_code,
        function_error: None,
        log_result: None,
        payload: Bytes::new(),
        executed_version: None,
        request_id,
    }
}

/// No payload is an empty object for the handler, as on AWS.
pub(crate) fn or_empty_object(payload: Bytes) -> Bytes {
    if payload.is_empty() { Bytes::from_static(b"{}") } else { payload }
}

/// The same id for the same effect, in the form of a version 4 UUID: what a handler can recognise a repeated delivery by.
pub(crate) fn request_id_of(effect: &EffectId) -> Arc<str> {
    let digest = Sha256::digest(&effect.0);
    let hex: String = digest[..16].iter().map(|b| format!("{b:02x}")).collect();
    let variant = ["8", "9", "a", "b"][usize::from(digest[8] >> 6)];
    format!("{}-{}-4{}-{variant}{}-{}", &hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..]).into()
}

fn decode_context(text: &str) -> Result<Arc<str>, Fault> {
    let bad = |why: &dyn std::fmt::Display| {
        Fault::client(
            "InvalidRequestContentException",
            format!("Client context must be a valid Base64-encoded JSON object: {why}"),
        )
        .member("Type", "User")
    };
    if text.len() > CLIENT_CONTEXT_BYTES_MAX {
        return Err(bad(&format_args!("longer than {CLIENT_CONTEXT_BYTES_MAX} bytes")));
    }
    let json = STANDARD.decode(text).map_err(|e| bad(&e))?;
    let value: serde_json::Value = serde_json::from_slice(&json).map_err(|e| bad(&e))?;
    // Written anew: in one line, and in characters that a header can carry.
    let text = value.to_string();
    let mut ascii = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_ascii() {
            ascii.push(c);
        } else {
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                ascii.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    Ok(ascii.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_ids_of_effects() {
        let id = request_id_of(&EffectId::new(b"outbox/engine/7"));
        assert_eq!(id, request_id_of(&EffectId::new(b"outbox/engine/7")));
        assert_ne!(id, request_id_of(&EffectId::new(b"outbox/engine/8")));
        assert_eq!((id.len(), &id[14..15], id.matches('-').count()), (36, "4", 4));
    }

    #[test]
    fn client_contexts_fit_a_header() {
        let text = STANDARD.encode("{\n\"custom\": {\"name\": \"é😀\"}}");
        assert_eq!(&*decode_context(&text).unwrap(), r#"{"custom":{"name":"\u00e9\ud83d\ude00"}}"#);
        assert_eq!(decode_context("%").unwrap_err().code, "InvalidRequestContentException");
    }
}
