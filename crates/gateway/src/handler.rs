use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use base::{Clock, DEFAULT_ACCOUNT, DEFAULT_REGION, Entropy, Scope};
use http::header::{ALLOW, HeaderValue, ORIGIN};
use http::request::Parts;
use http::{Request, Response};
use hyper::body::Incoming;
use serde_json::{Value, json};
use service::{Call, Fault, OperationFuture, Registry};
use tokio::sync::Semaphore;
use tracing::{debug, warn};

use crate::answer::{Answer, Body, REQUEST_ID, S3Body, Style, answer, json_media_type};
use crate::body::{self, Held, RequestBody};
use crate::host::{endpoint, is_foreign_origin};
use crate::model::{Model, Models};
use crate::options::{Credential, GatewayError, GatewayOptions, Identities};
use crate::query::{self, Parameters};
use crate::rest::{self, Matched};
use crate::route::{Target, classify, host, is_queue_path, query_model, unsupported_service};
use crate::sign::{Refusal, Signature, Verifier, check_scope};
use crate::{InvokeHandler, invoke, json::is_deeper_than};

pub type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Lambda takes functions' code in its calls: AWS's bound for them.
const LAMBDA_BODY_BYTES_MAX: usize = 70_167_211;

/// Operations that hand something out to a waiting caller: they end when it goes away, or the thing would be lost.
const POLLS: &[(&str, &str)] = &[("sqs", "ReceiveMessage"), ("states", "GetActivityTask")];

/// Takes every S3 request, as it arrived.
///
/// The handler verifies signatures itself. `call` is what the request claims: account and principal of its access
/// key, if that is known.
pub trait S3Handler: Send + Sync + 'static {
    fn handle(&self, request: Request<RequestBody>, call: Call) -> BoxFuture<Response<S3Body>>;
}

/// The AWS APIs on one port.
pub struct Gateway {
    pub(crate) options: GatewayOptions,
    registry: Registry,
    models: Models,
    clock: Arc<dyn Clock>,
    entropy: Arc<Entropy>,
    credentials: BTreeMap<String, Credential>,
    identities: Option<Arc<dyn Identities>>,
    s3: Option<Arc<dyn S3Handler>>,
    invoke: Option<Arc<dyn InvokeHandler>>,
    bodies: Arc<Semaphore>,
}

/// Who calls, as far as the request's signature says.
struct Caller {
    scope: Scope,
    principal: Arc<str>,
}

impl Gateway {
    pub fn new(
        registry: Registry,
        clock: Arc<dyn Clock>,
        entropy: Arc<Entropy>,
        options: GatewayOptions,
    ) -> Result<Gateway, GatewayError> {
        options.check_address(options.listen)?;
        let mut credentials = BTreeMap::new();
        for credential in &options.credentials {
            let refuse = |why| Err(GatewayError::Credential(credential.access_key_id.clone(), why));
            if credential.access_key_id.is_empty() || credential.secret_access_key.is_empty() {
                return refuse("access key and secret must not be empty");
            }
            if credential.account.len() != 12 || !credential.account.bytes().all(|b| b.is_ascii_digit()) {
                return refuse("the account must have 12 digits");
            }
            if credentials.insert(credential.access_key_id.clone(), credential.clone()).is_some() {
                return refuse("the access key is there twice");
            }
        }
        Ok(Gateway {
            models: Models::load(|id| registry.has_service(id))?,
            bodies: body::shared_bytes(options.bodies_bytes_max),
            credentials,
            options,
            registry,
            clock,
            entropy,
            identities: None,
            s3: None,
            invoke: None,
        })
    }

    /// Where S3 requests go; without it they are answered as not implemented.
    pub fn mount_s3(mut self, handler: Arc<dyn S3Handler>) -> Gateway {
        self.s3 = Some(handler);
        self
    }

    /// Where Lambda's Invoke goes; without it, to the registry like any operation.
    pub fn mount_invoke(mut self, handler: Arc<dyn InvokeHandler>) -> Gateway {
        self.invoke = Some(handler);
        self
    }

    /// Where access keys are looked up that are not configured.
    pub fn with_identities(mut self, identities: Arc<dyn Identities>) -> Gateway {
        self.identities = Some(identities);
        self
    }

    pub(crate) async fn handle(self: Arc<Gateway>, request: Request<Incoming>, listen: Arc<str>) -> Answer {
        let request_id: Arc<str> = self.entropy.uuid().into();
        let (parts, incoming) = request.into_parts();
        let body = RequestBody::new(incoming, self.options.body_pause_ms_max);
        let mut answer = self.dispatch(parts, body, &request_id, &listen).await;
        if let Ok(id) = HeaderValue::from_str(&request_id) {
            answer.headers_mut().entry(REQUEST_ID).or_insert(id);
        }
        answer
    }

    async fn dispatch(&self, parts: Parts, body: RequestBody, request_id: &Arc<str>, listen: &str) -> Answer {
        let signature = Signature::read(&parts);
        let target = classify(&self.models, &parts, signature.as_ref());
        if let Some(refused) = self.refuse_browser(&parts) {
            return Style::Plain.fault(&refused, request_id);
        }
        let request = Inbound { parts: &parts, signature: signature.as_ref(), request_id, listen };
        let (style, result) = match target {
            Target::Health => return self.health(),
            Target::Options => {
                let mut answer = answer(200, "application/json", "");
                answer.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD, POST, PUT, DELETE, OPTIONS"));
                return answer;
            }
            Target::Refused(style, fault) => {
                body::discard(body, self.options.body_bytes_max).await;
                (style, Err(fault))
            }
            Target::Json(model, operation) => (Style::Json(model), self.json(&request, model, operation, body).await),
            Target::Rest(model, matched) => (Style::Rest(model), self.rest(&request, model, &matched, body).await),
            Target::Query(Some(model)) => (Style::Query(model), self.query(&request, model, body).await),
            Target::Query(None) => self.unsigned_query(&request, body).await,
            Target::S3 => {
                let call = request.call(&self.claimed(request.signature));
                drop(signature);
                return self.s3(Request::from_parts(parts, body), call).await;
            }
        };
        result.unwrap_or_else(|fault| {
            if fault.status >= 500 {
                warn!(code = %fault.code, message = %fault.message, %request_id, "call failed");
            }
            style.fault(&fault, request_id)
        })
    }

    fn is_open(&self) -> bool {
        self.credentials.is_empty()
    }

    /// An open gateway must not serve what a web page of somebody else's sends to this machine.
    fn refuse_browser(&self, parts: &Parts) -> Option<Fault> {
        let origin = parts.headers.get(ORIGIN)?;
        let is_foreign = origin.to_str().map_or(true, is_foreign_origin);
        (is_foreign && self.is_open()).then(|| {
            let message = "pages of other origins may not call a server without credentials";
            Fault::with_status(403, "AccessDeniedException", message)
        })
    }

    fn health(&self) -> Answer {
        let body = json!({ "status": "running", "version": self.options.version });
        answer(200, "application/json", body.to_string())
    }

    async fn s3(&self, request: Request<RequestBody>, call: Call) -> Answer {
        let request_id = call.request_id.clone();
        match &self.s3 {
            Some(handler) => handler.handle(request, call).await.map(Body::Stream),
            None => {
                body::discard(request.into_body(), self.options.body_bytes_max).await;
                let served: Vec<_> = self.models.0.iter().filter(|m| m.is_served).map(|m| m.id.as_str()).collect();
                let mut fault = unsupported_service("s3", &served);
                fault.code = "NotImplemented".to_owned();
                Style::S3.fault(&fault, &request_id)
            }
        }
    }

    async fn json(
        &self,
        request: &Inbound<'_>,
        model: &Model,
        operation: &str,
        body: RequestBody,
    ) -> Result<Answer, Fault> {
        let (held, call) = self.admit(request, model, Style::Json(model), body).await?;
        self.check_depth(&held.bytes)?;
        let future = self.registry.call_text(&model.id, operation, call, held.bytes.clone());
        let output = self.complete(&model.id, operation, held, future).await?;
        Ok(answer(200, json_media_type(model), output))
    }

    async fn rest(
        &self,
        request: &Inbound<'_>,
        model: &Model,
        matched: &Matched<'_>,
        body: RequestBody,
    ) -> Result<Answer, Fault> {
        let (held, call) = self.admit(request, model, Style::Rest(model), body).await?;
        if let (Some(handler), "lambda", "Invoke") = (&self.invoke, &*model.id, matched.name) {
            let invocation = invoke::decode(matched, request.parts, held.bytes.clone())?;
            let future = handler.invoke(call, invocation);
            return self.complete(&model.id, matched.name, held, future).await.map(invoke::encode);
        }
        let input = rest::decode(matched, request.parts, held.bytes.clone())?;
        self.check_depth(&input)?;
        let future = self.registry.call_text(&model.id, matched.name, call, input);
        let output = self.complete(&model.id, matched.name, held, future).await?;
        rest::encode(matched.operation, output)
    }

    async fn query(&self, request: &Inbound<'_>, model: &Model, body: RequestBody) -> Result<Answer, Fault> {
        let (held, call) = self.admit(request, model, Style::Query(model), body).await?;
        let parameters = Parameters::read(request.parts.uri.query().unwrap_or("").as_bytes(), &held.bytes)?;
        self.query_call(request, model, &parameters, held, call).await
    }

    async fn unsigned_query(&self, request: &Inbound<'_>, body: RequestBody) -> (Style<'_>, Result<Answer, Fault>) {
        if !self.is_open() {
            body::discard(body, self.options.body_bytes_max).await;
            return (Style::S3, Err(Refusal::Missing.fault(Style::S3)));
        }
        let read = async {
            let held = body::read(body, self.options.body_bytes_max, &self.bodies).await?;
            let parameters = Parameters::read(request.parts.uri.query().unwrap_or("").as_bytes(), &held.bytes)?;
            Ok((held, parameters))
        };
        let (held, parameters) = match read.await {
            Ok(read) => read,
            Err(fault) => return (Style::S3, Err(fault)),
        };
        let Some(model) = query_model(&self.models, request.parts, &parameters) else {
            let message = "the request is not signed and its Version is of no known service";
            return (Style::S3, Err(Fault::client("NoSuchVersion", message)));
        };
        if !model.is_served {
            return (Style::Query(model), Err(unsupported_service(&model.id, &[])));
        }
        let call = request.call(&self.claimed(request.signature));
        (Style::Query(model), self.query_call(request, model, &parameters, held, call).await)
    }

    async fn query_call(
        &self,
        request: &Inbound<'_>,
        model: &Model,
        parameters: &Parameters,
        held: Held,
        call: Call,
    ) -> Result<Answer, Fault> {
        let action = parameters
            .get("Action")
            .ok_or_else(|| Fault::client("MissingAction", "The request must contain the parameter Action."))?;
        let operation = model.operations.get(action).ok_or_else(|| {
            let version = parameters.get("Version").unwrap_or("");
            let action: String = action.chars().take(100).collect();
            Fault::client("InvalidAction", format!("Could not find operation {action} for version {version}"))
        })?;
        let mut input = query::decode(model, operation, parameters)?;
        let path = request.parts.uri.path();
        if model.id == "sqs" && is_queue_path(path) && input.get("QueueUrl").is_none() {
            // A queue's URL is also an address to send its calls to.
            input["QueueUrl"] = format!("{}{path}", call.endpoint).into();
        }
        let future = self.registry.call_value(&model.id, action, call, input);
        let output: Value = self.complete(&model.id, action, held, future).await?;
        Ok(answer(200, "text/xml", query::encode(model, action, operation, &output, request.request_id)))
    }

    /// Reads the body and lets the request in, or not. What can be refused without the body is refused before it.
    async fn admit(
        &self,
        request: &Inbound<'_>,
        model: &Model,
        style: Style<'_>,
        body: RequestBody,
    ) -> Result<(Held, Call), Fault> {
        let bytes_max = match &*model.id {
            "lambda" => self.options.body_bytes_max.max(LAMBDA_BODY_BYTES_MAX),
            _ => self.options.body_bytes_max,
        };
        let parts = request.parts;
        if self.is_open() {
            let call = request.call(&self.claimed(request.signature));
            return Ok((body::read(body, bytes_max, &self.bodies).await?, call));
        }
        let refused = |refusal: Refusal| refusal.fault(style);
        let checked = self.check_head(request, model, style);
        let (signature, credential) = match checked {
            Ok(checked) => checked,
            Err(fault) => {
                body::discard(body, bytes_max).await;
                return Err(fault);
            }
        };
        let held = body::read(body, bytes_max, &self.bodies).await?;
        Verifier { signature, credential: &credential }.check_signature(parts, &held.bytes).map_err(refused)?;
        Ok((held, request.call(&caller(signature, &credential))))
    }

    fn check_head<'r>(
        &self,
        request: &Inbound<'r>,
        model: &Model,
        style: Style<'_>,
    ) -> Result<(&'r Signature<'r>, Credential), Fault> {
        let refused = |refusal: Refusal| refusal.fault(style);
        let signature = request.signature.ok_or(Refusal::Missing).map_err(refused)?;
        signature.check_form().map_err(refused)?;
        let credential = self.find(&signature.access_key_id)?.ok_or(Refusal::UnknownKey).map_err(refused)?;
        let verifier = Verifier { signature, credential: &credential };
        let is_query = matches!(style, Style::Query(_));
        verifier.check_head(request.parts, is_query, self.clock.now()).map_err(refused)?;
        check_scope(signature, &model.signing_names).map_err(refused)?;
        Ok((signature, credential))
    }

    fn find(&self, access_key_id: &str) -> Result<Option<Credential>, Fault> {
        match (self.credentials.get(access_key_id), &self.identities) {
            (Some(credential), _) => Ok(Some(credential.clone())),
            (None, Some(identities)) => identities.find(access_key_id),
            (None, None) => Ok(None),
        }
    }

    /// Whom an unverified signature names: a known key's owner, else the account that a 12-digit key is.
    fn claimed(&self, signature: Option<&Signature<'_>>) -> Caller {
        let key = signature.map_or("", |s| &*s.access_key_id);
        let is_ours = !self.is_open() || key.starts_with("ASIA") || key.starts_with("AKIA");
        if is_ours && let (Some(signature), Ok(Some(credential))) = (signature, self.find(key)) {
            return caller(signature, &credential);
        }
        let is_account = key.len() == 12 && key.bytes().all(|b| b.is_ascii_digit());
        let account = if is_account { key } else { DEFAULT_ACCOUNT };
        Caller {
            scope: Scope::new(account, region(signature)),
            principal: format!("arn:aws:iam::{account}:root").into(),
        }
    }

    fn check_depth(&self, text: &[u8]) -> Result<(), Fault> {
        let depth_max = self.options.json_depth_max;
        if is_deeper_than(text, depth_max) {
            let message = format!("the input nests deeper than {depth_max} levels");
            return Err(Fault::client("SerializationException", message));
        }
        Ok(())
    }

    /// Runs an operation to its end, even if the caller goes away meanwhile; polls excepted.
    async fn complete<T: Send + 'static>(
        &self,
        service: &str,
        operation: &str,
        held: Held,
        future: OperationFuture<T>,
    ) -> Result<T, Fault> {
        let result = if POLLS.contains(&(service, operation)) {
            future.await
        } else {
            let job = tokio::spawn(async move {
                let _held = held;
                future.await
            });
            job.await.unwrap_or_else(|_| Err(Fault::internal("the operation failed unexpectedly")))
        };
        debug!(service, operation, fault = result.as_ref().err().map_or("", |f| &*f.code), "call");
        result
    }
}

/// A request's head and the ids it got.
struct Inbound<'r> {
    parts: &'r Parts,
    signature: Option<&'r Signature<'r>>,
    request_id: &'r Arc<str>,
    listen: &'r str,
}

impl Inbound<'_> {
    fn call(&self, caller: &Caller) -> Call {
        Call {
            scope: caller.scope.clone(),
            request_id: self.request_id.clone(),
            principal: caller.principal.clone(),
            endpoint: endpoint(host(self.parts), self.listen).into(),
            effect: None,
        }
    }
}

fn caller(signature: &Signature<'_>, credential: &Credential) -> Caller {
    Caller {
        scope: Scope::new(&credential.account, region(Some(signature))),
        principal: credential.principal.as_str().into(),
    }
}

/// The scope's region, if it can be one: it becomes part of ARNs and keys.
fn region<'a>(signature: Option<&'a Signature<'_>>) -> &'a str {
    let region = signature.map_or("", |s| &*s.region);
    let is_plain = region.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if is_plain && (1..=32).contains(&region.len()) { region } else { DEFAULT_REGION }
}
