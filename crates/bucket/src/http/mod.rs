//! S3's REST API: s3s parses, routes and verifies signatures; what it leaves open is done here.

mod answer;
mod buckets;
mod chunked;
mod convert;
mod cors;
mod digest;
mod drain;
mod exchange;
mod lists;
mod objects;
mod open;
mod s3;
mod uploads;

use std::sync::Arc;

use base::Timestamp;
use bytes::Bytes;
use http::header::{AUTHORIZATION, HOST, HeaderMap};
use http::{Method, Request, Response};
use http_body_util::BodyExt as _;
use http_body_util::combinators::UnsyncBoxBody;
use s3s::auth::{S3Auth, SecretKey};
use s3s::config::{S3Config, StaticConfigProvider};
use s3s::host::{S3Host, VirtualHost};
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::{S3Error, S3ErrorCode, S3Result};
use service::{Call, Fault};

use crate::Buckets;
use exchange::Exchange;

pub(crate) use convert::canonical_user;

/// An error of a body.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
/// An answer's body.
pub type AnswerBody = UnsyncBoxBody<Bytes, BoxError>;

/// The largest body that is read into memory: XML documents and policies.
const DOCUMENT_BYTES_MAX: usize = 8 * 1024 * 1024;
/// The largest file that a form uploads; s3s holds it in memory.
const FORM_FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// What the verifier must know of an access key.
#[derive(Clone)]
pub struct Secret {
    pub secret_access_key: String,
    /// The 12-digit account id that the key belongs to.
    pub account: String,
    /// Temporary credentials are only valid together with their token.
    pub session_token: Option<String>,
    pub expires: Option<Timestamp>,
}

/// Finds the secrets of access keys. Asked on every request: it must be quick and must not block.
pub trait Secrets: Send + Sync + 'static {
    fn find(&self, access_key_id: &str) -> Result<Option<Secret>, Fault>;
}

/// Who is let in, and how requests name buckets.
pub struct HttpOptions {
    /// `None`: everybody is, signatures are not looked at.
    pub secrets: Option<Arc<dyn Secrets>>,
    /// The bucket in a Host header, if one is.
    pub virtual_bucket: fn(&str) -> Option<&str>,
}

impl Default for HttpOptions {
    fn default() -> HttpOptions {
        HttpOptions { secrets: None, virtual_bucket: |_| None }
    }
}

/// Answers S3's HTTP requests. Clones are the same.
#[derive(Clone)]
pub struct HttpService {
    buckets: Buckets,
    s3s: S3Service,
    secrets: Option<Arc<dyn Secrets>>,
    virtual_bucket: fn(&str) -> Option<&str>,
}

impl Buckets {
    /// S3's REST API over these buckets.
    pub fn s3_service(&self, options: HttpOptions) -> HttpService {
        let mut builder = S3ServiceBuilder::new(s3::Api { buckets: self.clone() });
        let mut config = S3Config::default();
        config.xml_max_body_size = DOCUMENT_BYTES_MAX;
        config.post_object_max_file_size = FORM_FILE_BYTES_MAX;
        builder.set_config(Arc::new(StaticConfigProvider::new(Arc::new(config))));
        builder.set_host(Host(options.virtual_bucket));
        if let Some(secrets) = &options.secrets {
            builder.set_auth(Auth(secrets.clone()));
        }
        HttpService {
            buckets: self.clone(),
            s3s: builder.build(),
            secrets: options.secrets,
            virtual_bucket: options.virtual_bucket,
        }
    }
}

struct Host(fn(&str) -> Option<&str>);

impl S3Host for Host {
    fn parse_host_header<'a>(&'a self, host: &'a str) -> S3Result<VirtualHost<'a>> {
        let all = VirtualHost::new(host);
        Ok(match (self.0)(host) {
            Some(bucket) => all.with_bucket(bucket),
            None => all,
        })
    }
}

struct Auth(Arc<dyn Secrets>);

#[async_trait::async_trait]
impl S3Auth for Auth {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        match self.0.find(access_key) {
            Ok(Some(secret)) => Ok(SecretKey::from(secret.secret_access_key.as_str())),
            Ok(None) => Err(S3Error::new(S3ErrorCode::InvalidAccessKeyId)),
            Err(fault) => Err(S3Error::with_message(S3ErrorCode::InternalError, fault.message)),
        }
    }
}

impl HttpService {
    /// Answers one request, which is `call`'s as far as its unverified signature says.
    pub async fn handle<B>(&self, request: Request<B>, call: Call) -> Response<AnswerBody>
    where
        B: hyper::body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let (mut parts, body) = request.into_parts();
        let exchange = Arc::new(Exchange::new(call));
        let is_head = parts.method == Method::HEAD;
        let cors = cors::Cors::of(self, &parts);
        if parts.method == Method::OPTIONS {
            let answer = cors.preflight(&parts.headers).unwrap_or_else(|fault| answer::fault(&fault, &exchange));
            return answer::finish(answer, &exchange, false);
        }
        let is_awaited = parts.headers.contains_key(http::header::EXPECT);
        let body = drain::body(body.map_err(Into::into), is_awaited);
        let answer = match self.prepare(&mut parts, &exchange) {
            Ok(plan) => {
                let body = plan.apply(body, &exchange);
                parts.extensions.insert(exchange.clone());
                self.answer(Request::from_parts(parts, body), &exchange).await
            }
            Err(fault) => answer::fault(&fault, &exchange),
        };
        cors.decorate(answer::finish(answer, &exchange, is_head))
    }

    async fn answer(&self, request: Request<s3s::Body>, exchange: &Exchange) -> Response<AnswerBody> {
        let answered = self.s3s.call(request).await;
        match (exchange.take_fault(), answered) {
            // s3s's own errors are told by it, those of operations and bodies by us.
            (Some(fault), _) => answer::fault(&fault, exchange),
            (None, Ok(response)) => answer::complete(response, exchange).await,
            (None, Err(_)) => answer::fault(&crate::fault::internal("the answer could not be written"), exchange),
        }
    }

    /// Looks at the head: what becomes of the signature and of the body.
    fn prepare(&self, parts: &mut http::request::Parts, exchange: &Exchange) -> Result<BodyPlan, Fault> {
        open::hoist(parts)?;
        match &self.secrets {
            Some(secrets) => {
                let checked = check_token(&**secrets, parts, self.buckets.inner.clock.now())?;
                exchange.verify(secrets.clone(), checked);
            }
            None => open::strip(parts, self.buckets.inner.clock.now())?,
        }
        let chunks = chunked::Mode::of(&mut parts.headers, self.secrets.is_some());
        let digest = if is_document(parts) { digest::Claims::of(&parts.headers)? } else { None };
        Ok(BodyPlan { chunks, digest })
    }

    /// The bucket that a request names.
    fn bucket_of<'p>(&self, parts: &'p http::request::Parts) -> &'p str {
        let host = parts.headers.get(HOST).and_then(|h| h.to_str().ok());
        let by_host = host.and_then(self.virtual_bucket);
        by_host.unwrap_or_else(|| parts.uri.path().split('/').nth(1).unwrap_or(""))
    }
}

/// What is done to a body before s3s gets it.
struct BodyPlan {
    chunks: Option<chunked::Mode>,
    digest: Option<digest::Claims>,
}

impl BodyPlan {
    fn apply<B>(self, body: B, exchange: &Arc<Exchange>) -> s3s::Body
    where
        B: hyper::body::Body<Data = Bytes, Error = BoxError> + Send + 'static,
    {
        match (self.chunks, self.digest) {
            (Some(mode), _) => chunked::body(body, mode, exchange.clone()),
            (None, Some(claims)) => digest::body(body, claims, exchange.clone()),
            (None, None) => s3s::Body::http_body_unsync(body),
        }
    }
}

/// Whether the body is a document that an operation reads whole, and not an object's content.
fn is_document(parts: &http::request::Parts) -> bool {
    let query = parts.uri.query().unwrap_or("");
    let has = |name: &str| query.split('&').any(|pair| pair.split('=').next() == Some(name));
    let is_form =
        parts.headers.get(http::header::CONTENT_TYPE).is_some_and(|t| t.as_bytes().starts_with(b"multipart/"));
    match parts.method {
        Method::POST => !is_form,
        Method::PUT if has("partNumber") => false,
        Method::PUT => {
            let is_key = parts.uri.path().trim_start_matches('/').contains('/');
            !is_key && !query.is_empty() || ["acl", "tagging", "legal-hold", "retention"].into_iter().any(has)
        }
        _ => false,
    }
}

/// Temporary credentials come with their token, others with none. Returns the access key that is right so.
fn check_token(secrets: &dyn Secrets, parts: &http::request::Parts, now: Timestamp) -> Result<Option<String>, Fault> {
    let query = open::query(parts);
    let of_query = |name: &str| query.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str());
    let header = |name: http::HeaderName| parts.headers.get(name).and_then(|v| v.to_str().ok());
    let credential = header(AUTHORIZATION)
        .and_then(|a| a.split_once("Credential=").map(|(_, c)| c))
        .or_else(|| of_query("X-Amz-Credential"));
    let Some(key) = credential.and_then(|c| c.split('/').next()) else { return Ok(None) };
    let Some(secret) = secrets.find(key)? else { return Ok(None) };
    if secret.expires.is_some_and(|at| at <= now) {
        return Err(Fault::client("ExpiredToken", "The provided token has expired."));
    }
    let token = parts.headers.get("x-amz-security-token").and_then(|v| v.to_str().ok());
    if token.or_else(|| of_query("X-Amz-Security-Token")) != secret.session_token.as_deref() {
        return Err(Fault::client("InvalidToken", "The provided token is malformed or otherwise invalid."));
    }
    Ok(Some(key.to_owned()))
}

fn header_text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name).and_then(|v| v.to_str().ok())
}
