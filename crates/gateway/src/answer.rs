//! Answers and errors in the form that each protocol gives them.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::{Frame, SizeHint};
use serde_json::{Map, Value};
use service::Fault;

use crate::model::Model;
use crate::xml;

pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
/// The body of an answer of S3's.
pub type S3Body = UnsyncBoxBody<Bytes, BoxError>;
pub(crate) type Answer = Response<Body>;

/// A whole answer, or what S3 streams.
pub(crate) enum Body {
    Whole(Bytes),
    Stream(S3Body),
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.get_mut() {
            Body::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            Body::Whole(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Body::Stream(stream) => Pin::new(stream).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Body::Whole(bytes) => bytes.is_empty(),
            Body::Stream(stream) => stream.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Body::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Body::Stream(stream) => stream.size_hint(),
        }
    }
}

pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");
const ERROR_TYPE: HeaderName = HeaderName::from_static("x-amzn-errortype");
const QUERY_ERROR: HeaderName = HeaderName::from_static("x-amzn-query-error");

/// Errors that AWS's request frame raises rather than the service; some services name their origin.
const FRAME_ERRORS: &[&str] = &[
    "AccessDeniedException",
    "ExpiredTokenException",
    "IncompleteSignatureException",
    "InvalidSignatureException",
    "MissingAuthenticationTokenException",
    "SerializationException",
    "UnknownOperationException",
    "UnrecognizedClientException",
];

/// In which form a caller reads errors.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Style<'a> {
    Json(&'a Model),
    Query(&'a Model),
    Rest(&'a Model),
    S3,
    /// Both CBOR protocols: the media type that the caller sent.
    Cbor(&'a str),
    /// A service we do not know: JSON, with the code in body and header.
    Plain,
}

pub(crate) fn answer(status: u16, content_type: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Body::Whole(body.into()));
    *answer.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer
}

pub(crate) fn json_media_type(model: &Model) -> &'static str {
    match &model.json {
        Some(json) if json.version == "1.1" => "application/x-amz-json-1.1",
        _ => "application/x-amz-json-1.0",
    }
}

impl Style<'_> {
    pub fn fault(self, fault: &Fault, request_id: &str) -> Answer {
        match self {
            Style::Json(model) => json_fault(model, fault),
            Style::Query(model) => query_fault(model, fault, request_id),
            Style::Rest(model) => rest_fault(model, fault),
            Style::S3 => s3_fault(fault, request_id),
            Style::Cbor(media_type) => cbor_fault(fault, media_type),
            Style::Plain => {
                let body = members(fault, "message", Some(fault.code.clone()));
                with_error_type(answer(fault.status, "application/json", text(&body)), &fault.code)
            }
        }
    }
}

fn text(body: &Map<String, Value>) -> Vec<u8> {
    serde_json::to_vec(body).unwrap_or_default()
}

fn members(fault: &Fault, message: &str, kind: Option<String>) -> Map<String, Value> {
    let mut body = Map::new();
    if let Some(kind) = kind {
        body.insert("__type".to_owned(), kind.into());
    }
    body.insert(message.to_owned(), fault.message.clone().into());
    for (name, value) in fault.members.iter() {
        body.insert(name.clone(), value.clone());
    }
    body
}

fn with_error_type(mut answer: Answer, code: &str) -> Answer {
    if let Ok(value) = HeaderValue::from_str(code) {
        answer.headers_mut().insert(ERROR_TYPE, value);
    }
    answer
}

fn json_fault(model: &Model, fault: &Fault) -> Answer {
    let (prefix, query_errors) = model.json.as_ref().map_or(("", false), |j| (&*j.error_prefix, j.query_errors));
    let prefix = match &*fault.code {
        _ if prefix.is_empty() => "",
        "ValidationException" => "com.amazon.coral.validate#",
        code if FRAME_ERRORS.contains(&code) => "com.amazon.coral.service#",
        _ => prefix,
    };
    let kind = format!("{prefix}{}", fault.code);
    let body = members(fault, model.message_member(&fault.code), Some(kind.clone()));
    let mut answer = with_error_type(answer(fault.status, json_media_type(model), text(&body)), &kind);
    if query_errors {
        let sender = if fault.is_sender() { "Sender" } else { "Receiver" };
        if let Ok(value) = HeaderValue::from_str(&format!("{};{sender}", query_code(model, fault))) {
            answer.headers_mut().insert(QUERY_ERROR, value);
        }
    }
    answer
}

fn query_code<'a>(model: &'a Model, fault: &'a Fault) -> &'a str {
    match fault.query_code {
        Some(code) => code,
        None => model.query_codes.get(&fault.code).unwrap_or(&fault.code),
    }
}

fn query_fault(model: &Model, fault: &Fault, request_id: &str) -> Answer {
    let namespace = model.query.as_ref().map_or("", |q| &q.namespace);
    let code = match query_code(model, fault) {
        "UnknownOperationException" => "InvalidAction",
        // The codes of the JSON protocols' frame have other names here.
        "ValidationException" => "ValidationError",
        "ThrottlingException" => "Throttling",
        "AccessDeniedException" => "AccessDenied",
        "SerializationException" => "MalformedInput",
        code => code,
    };
    let mut body = String::with_capacity(256);
    body.push_str("<ErrorResponse xmlns=\"");
    xml::escape(&mut body, namespace);
    body.push_str("\"><Error>");
    xml::element(&mut body, "Type", if fault.is_sender() { "Sender" } else { "Receiver" });
    xml::element(&mut body, "Code", code);
    xml::element(&mut body, "Message", &fault.message);
    body.push_str("</Error>");
    xml::element(&mut body, "RequestId", request_id);
    body.push_str("</ErrorResponse>");
    answer(fault.status, "text/xml", body)
}

fn rest_fault(model: &Model, fault: &Fault) -> Answer {
    let mut body = Map::new();
    if model.error_type {
        body.insert("Type".to_owned(), if fault.is_sender() { "User" } else { "Service" }.into());
    }
    body.extend(members(fault, model.message_member(&fault.code), None));
    with_error_type(answer(fault.status, "application/json", text(&body)), &fault.code)
}

fn s3_fault(fault: &Fault, request_id: &str) -> Answer {
    let mut body = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error>");
    xml::element(&mut body, "Code", &fault.code);
    xml::element(&mut body, "Message", &fault.message);
    xml::element(&mut body, "RequestId", request_id);
    body.push_str("</Error>");
    answer(fault.status, "application/xml", body)
}

/// A CBOR map of two texts: enough for a caller to read why it is refused.
fn cbor_fault(fault: &Fault, media_type: &str) -> Answer {
    let mut body = vec![0xa2];
    for part in ["__type", &fault.code, "message", &fault.message] {
        let length = u16::try_from(part.len()).unwrap_or(0);
        body.push(0x79);
        body.extend_from_slice(&length.to_be_bytes());
        body.extend_from_slice(&part.as_bytes()[..usize::from(length)]);
    }
    let mut answer = answer(fault.status, "application/cbor", body);
    if media_type == "application/cbor" {
        answer.headers_mut().insert("smithy-protocol", HeaderValue::from_static("rpc-v2-cbor"));
    } else {
        answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/x-amz-cbor-1.1"));
    }
    answer
}
