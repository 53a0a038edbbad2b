use std::convert::Infallible;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::fleet::Fleet;
use super::report::{Failure, PlatformError};
use super::worker::{Work, Worker};

/// Connections that one worker may hold; it needs one.
const CONNECTIONS_MAX: usize = 16;
/// Of a body that is too large, what is read and thrown away so that its sender comes to read the answer.
const OVERSIZE_BYTES_MAX: usize = 64 * 1024 * 1024;
const API: &str = "/2018-06-01/runtime/";

/// Why a worker's call is not answered as it wishes.
pub(super) enum Refusal {
    /// It is being stopped.
    Gone,
    /// The call does not fit what the worker is doing.
    State(&'static str, &'static str),
}

/// Serves the Lambda Runtime API to one worker until it is dropped.
pub(super) async fn serve(listener: TcpListener, worker: Arc<Worker>, fleet: Arc<Fleet>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else {
                    // Out of descriptors, most likely: let others give some back.
                    tokio::time::sleep(std::time::Duration::from_millis(10)).await;
                    continue;
                };
                if connections.len() < CONNECTIONS_MAX {
                    connections.spawn(serve_connection(stream, worker.clone(), fleet.clone()));
                }
            }
        }
    }
}

async fn serve_connection(stream: TcpStream, worker: Arc<Worker>, fleet: Arc<Fleet>) {
    // Without it each small answer may wait for an acknowledgement; if it fails it is merely slow.
    let _ = stream.set_nodelay(true);
    let service = service_fn(|request| {
        let (worker, fleet) = (worker.clone(), fleet.clone());
        async move { Ok::<_, Infallible>(answer(&worker, &fleet, request).await) }
    });
    // An error here is the worker's end, which its supervisor sees too.
    let _ = http1::Builder::new().auto_date_header(false).serve_connection(TokioIo::new(stream), service).await;
}

type Answer = Response<Full<Bytes>>;

async fn answer(worker: &Arc<Worker>, fleet: &Arc<Fleet>, request: Request<Incoming>) -> Answer {
    let path = request.uri().path().strip_prefix(API).unwrap_or("").to_owned();
    let parts: Vec<&str> = path.split('/').collect();
    match (request.method(), parts.as_slice()) {
        (&Method::GET, ["invocation", "next"]) => next(worker, fleet).await,
        (&Method::POST, ["invocation", id, "response"]) => invocation_result(worker, fleet, request, id, false).await,
        (&Method::POST, ["invocation", id, "error"]) => invocation_result(worker, fleet, request, id, true).await,
        (&Method::POST, ["init", "error"]) => init_error(worker, fleet, request).await,
        _ => error(StatusCode::NOT_FOUND, "UnknownOperation", "stepwell speaks the Lambda Runtime API 2018-06-01"),
    }
}

async fn next(worker: &Arc<Worker>, fleet: &Arc<Fleet>) -> Answer {
    match fleet.next(worker).await {
        Ok(work) => invocation(work),
        Err(Refusal::State(from, to)) => wrong_state(from, to),
        // It is killed in a moment; an answer could make it log an error.
        Err(Refusal::Gone) => std::future::pending().await,
    }
}

fn invocation(work: Work) -> Answer {
    let mut response = Response::new(Full::new(work.payload));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let mut set = |name: &'static str, value: &str| {
        // Not header text: only a client context could be, and that is checked before.
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    };
    set("lambda-runtime-aws-request-id", &work.request_id);
    set("lambda-runtime-deadline-ms", &work.deadline.as_millis().to_string());
    set("lambda-runtime-invoked-function-arn", &work.invoked_arn);
    set("lambda-runtime-trace-id", &work.trace_id);
    if let Some(context) = &work.client_context {
        set("lambda-runtime-client-context", context);
    }
    response
}

async fn invocation_result(
    worker: &Arc<Worker>,
    fleet: &Arc<Fleet>,
    request: Request<Incoming>,
    request_id: &str,
    mut failed: bool,
) -> Answer {
    let bytes_max = fleet.options.response_bytes_max;
    let (body, trailers) = match read_body(request, bytes_max).await {
        Ok(read) => read,
        Err(Unread::Broken) => return broken_body(),
        Err(Unread::TooLarge) => {
            let payload = PlatformError::response_too_large(bytes_max).payload();
            if !fleet.answered(worker, request_id, payload, true) {
                return wrong_request_id();
            }
            let why = format!("Exceeded maximum allowed payload size ({bytes_max} bytes).");
            return error(StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLarge", &why);
        }
    };
    // A streamed response tells in its trailers that it broke off.
    failed |= trailers.is_some_and(|t| t.contains_key("lambda-runtime-function-error-type"));
    if fleet.answered(worker, request_id, body, failed) { accepted() } else { wrong_request_id() }
}

async fn init_error(worker: &Arc<Worker>, fleet: &Arc<Fleet>, request: Request<Incoming>) -> Answer {
    let error_type = request.headers().get("lambda-runtime-function-error-type");
    let error_type = error_type.and_then(|v| v.to_str().ok()).map(str::to_owned);
    let failure = match read_body(request, fleet.options.response_bytes_max).await {
        Ok((body, _)) => Failure::Reported { body, error_type },
        Err(_) => Failure::Exited(None),
    };
    worker.report_init_failure(failure);
    // Runtimes exit after this; one that does not is of no use either.
    worker.kill();
    accepted()
}

/// Why there is no body.
enum Unread {
    TooLarge,
    /// It broke off or is no HTTP: as if it had not been sent.
    Broken,
}

/// Reads a body up to `bytes_max`.
async fn read_body(request: Request<Incoming>, bytes_max: usize) -> Result<(Bytes, Option<HeaderMap>), Unread> {
    let mut body = request.into_body();
    let (mut first, mut rest, mut seen) = (Bytes::new(), BytesMut::new(), 0);
    let mut trailers = None;
    while let Some(frame) = body.frame().await {
        let frame = match frame.map_err(|_| Unread::Broken)?.into_data() {
            Ok(data) => data,
            Err(other) => {
                trailers = other.into_trailers().ok();
                continue;
            }
        };
        seen += frame.len();
        if seen > OVERSIZE_BYTES_MAX {
            break;
        }
        if seen > bytes_max {
            (first, rest) = (Bytes::new(), BytesMut::new());
        } else if seen == frame.len() {
            first = frame;
        } else {
            if rest.is_empty() {
                rest.extend_from_slice(&first);
            }
            rest.extend_from_slice(&frame);
        }
    }
    match seen {
        _ if seen > bytes_max => Err(Unread::TooLarge),
        _ if rest.is_empty() => Ok((first, trailers)),
        _ => Ok((rest.freeze(), trailers)),
    }
}

fn accepted() -> Answer {
    json(StatusCode::ACCEPTED, Bytes::from_static(br#"{"status":"OK"}"#))
}

fn broken_body() -> Answer {
    error(StatusCode::BAD_REQUEST, "InvalidRequest", "The body of the request could not be read")
}

fn wrong_request_id() -> Answer {
    error(StatusCode::BAD_REQUEST, "InvalidRequestID", "Invalid request ID")
}

fn wrong_state(from: &str, to: &str) -> Answer {
    let why =
        format!("State transition from {from} to {to} failed for runtime. Error: State transition is not allowed");
    error(StatusCode::FORBIDDEN, "InvalidStateTransition", &why)
}

fn error(status: StatusCode, kind: &str, message: &str) -> Answer {
    let body = serde_json::json!({"errorMessage": message, "errorType": kind});
    json(status, body.to_string().into())
}

fn json(status: StatusCode, body: Bytes) -> Answer {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
