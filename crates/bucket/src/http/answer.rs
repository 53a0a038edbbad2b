//! Answers as S3 writes them: errors with all their members, ids in headers, the namespace in XML.

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderName, HeaderValue, LAST_MODIFIED};
use http::{Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use serde_json::Value;
use service::Fault;

use super::exchange::Exchange;
use super::{AnswerBody, BoxError};

const NAMESPACE: &str = " xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"";
const REQUEST_ID: HeaderName = HeaderName::from_static("x-amz-request-id");
const EXTENDED_REQUEST_ID: HeaderName = HeaderName::from_static("x-amz-id-2");
/// s3s's own errors are small; anything larger is no error of its.
const ERROR_BYTES_MAX: usize = 64 * 1024;

pub(super) fn whole(bytes: impl Into<Bytes>) -> AnswerBody {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

fn escape(text: &str, into: &mut String) {
    for c in text.chars() {
        match c {
            '&' => into.push_str("&amp;"),
            '<' => into.push_str("&lt;"),
            '>' => into.push_str("&gt;"),
            '"' => into.push_str("&quot;"),
            c if c.is_control() && !c.is_whitespace() => into.push_str(&format!("&#x{:x};", u32::from(c))),
            c => into.push(c),
        }
    }
}

fn element(name: &str, text: &str, into: &mut String) {
    into.push_str(&format!("<{name}>"));
    escape(text, into);
    into.push_str(&format!("</{name}>"));
}

fn set(response: &mut Response<AnswerBody>, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

/// An error, its members as XML and where S3 also tells them in headers.
pub(super) fn fault(fault: &Fault, exchange: &Exchange) -> Response<AnswerBody> {
    if fault.status >= 500 && fault.status != 503 && fault.status != 501 {
        tracing::warn!(
            code = fault.code,
            message = fault.message,
            request_id = &*exchange.call.request_id,
            "S3 call failed"
        );
    }
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error>");
    element("Code", &fault.code, &mut xml);
    element("Message", &fault.message, &mut xml);
    for (name, value) in fault.members.iter() {
        match value {
            Value::String(text) => element(name, text, &mut xml),
            Value::Number(number) => element(name, &number.to_string(), &mut xml),
            _ => {}
        }
    }
    element("RequestId", &exchange.call.request_id, &mut xml);
    element("HostId", &host_id(exchange), &mut xml);
    xml.push_str("</Error>");
    let mut response = Response::new(whole(xml));
    *response.status_mut() = StatusCode::from_u16(fault.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/xml"));
    member_headers(fault, &mut response);
    response
}

fn member_headers(fault: &Fault, response: &mut Response<AnswerBody>) {
    let text = |name: &str| fault.members.get(name).and_then(Value::as_str);
    if fault.members.get("DeleteMarker").is_some() {
        set(response, HeaderName::from_static("x-amz-delete-marker"), "true");
        if let Some(version) = text("VersionId") {
            set(response, HeaderName::from_static("x-amz-version-id"), version);
        }
    }
    if let Some(at) = text("LastModified") {
        set(response, LAST_MODIFIED, at);
    }
    if fault.status == 304
        && let Some(etag) = text("ETag")
    {
        set(response, ETAG, etag);
    }
    if fault.status == 405 {
        set(response, ALLOW, "DELETE");
    }
    if fault.status == 416
        && let Some(size) = text("ActualObjectSize")
    {
        set(response, CONTENT_RANGE, &format!("bytes */{size}"));
    }
}

fn host_id(exchange: &Exchange) -> String {
    use base64::Engine as _;
    base64::prelude::BASE64_STANDARD.encode(exchange.call.request_id.as_bytes())
}

/// s3s's answer, with what it leaves out.
pub(super) async fn complete(response: s3s::HttpResponse, exchange: &Exchange) -> Response<AnswerBody> {
    let status = response.status();
    let (parts, body) = response.into_parts();
    let is_xml = parts.headers.get(CONTENT_TYPE).is_some_and(|t| t == "application/xml");
    let document = body.bytes().filter(|_| is_xml);
    let Some(document) = document else {
        return Response::from_parts(parts, AnswerBody::new(body.map_err(|e| -> BoxError { e })));
    };
    if status.is_client_error() || status.is_server_error() {
        return fault(&fault_of(status, &document), exchange);
    }
    // Only documents begin so; an object that calls itself XML comes as a stream.
    let named = document.starts_with(b"<?xml").then(|| with_namespace(&document)).flatten();
    Response::from_parts(parts, whole(named.unwrap_or(document)))
}

fn with_namespace(document: &[u8]) -> Option<Bytes> {
    let text = std::str::from_utf8(document).ok()?;
    let root = text.find("?>")? + 2;
    let open = root + text[root..].find('<')?;
    let end = open + text[open..].find(['>', ' ', '/'])?;
    let is_named = text[open..].split('>').next().is_some_and(|tag| tag.contains("xmlns="));
    (!is_named).then(|| [&text[..end], NAMESPACE, &text[end..]].concat().into())
}

/// An error that s3s answered by itself.
fn fault_of(status: StatusCode, document: &[u8]) -> Fault {
    let text = std::str::from_utf8(&document[..document.len().min(ERROR_BYTES_MAX)]).unwrap_or("");
    let between = |open: &str, close: &str| {
        let from = text.find(open)? + open.len();
        Some(&text[from..from + text[from..].find(close)?])
    };
    let code = between("<Code>", "</Code>").unwrap_or("InternalError");
    let told = between("<Message>", "</Message>").map(|m| {
        m.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&apos;", "'").replace("&amp;", "&")
    });
    let message = match (code, told) {
        // S3 has one message for these.
        ("AccessDenied", Some(told)) if told.contains("expired") => told,
        (code, told) => usual_message(code).map(str::to_owned).or(told).unwrap_or_else(|| code.to_owned()),
    };
    Fault::with_status(status.as_u16(), code, message)
}

fn usual_message(code: &str) -> Option<&'static str> {
    Some(match code {
        "AccessDenied" => "Access Denied",
        "IncompleteBody" => "You did not provide the number of bytes specified by the Content-Length HTTP header",
        "InternalError" => "We encountered an internal error. Please try again.",
        "InvalidAccessKeyId" => "The AWS Access Key Id you provided does not exist in our records.",
        "InvalidBucketName" => "The specified bucket is not valid.",
        "InvalidURI" => "Couldn't parse the specified URI.",
        "KeyTooLongError" => "Your key is too long",
        "MalformedXML" => "The XML you provided was not well-formed or did not validate against our published schema",
        "MaxMessageLengthExceeded" => "Your request was too big.",
        "MethodNotAllowed" => "The specified method is not allowed against this resource.",
        "MissingContentLength" => "You must provide the Content-Length HTTP header.",
        "MissingRequestBodyError" => "Request Body is empty",
        "RequestTimeTooSkewed" => "The difference between the request time and the current time is too large.",
        "SignatureDoesNotMatch" => {
            "The request signature we calculated does not match the signature you provided. Check your key and signing \
             method."
        }
        _ => return None,
    })
}

/// The last touch: ids, and no body where HTTP allows none.
pub(super) fn finish(response: Response<AnswerBody>, exchange: &Exchange, is_head: bool) -> Response<AnswerBody> {
    let (mut parts, mut body) = response.into_parts();
    if is_head && (parts.status.is_client_error() || parts.status.is_server_error())
        || parts.status == StatusCode::NOT_MODIFIED
    {
        parts.headers.remove(CONTENT_LENGTH);
        parts.headers.remove(CONTENT_TYPE);
        body = whole(Bytes::new());
    }
    if is_head && parts.status == StatusCode::OK && parts.headers.contains_key(CONTENT_RANGE) {
        // s3s always answers HeadObject with 200.
        parts.status = StatusCode::PARTIAL_CONTENT;
    }
    let mut response = Response::from_parts(parts, body);
    let request_id = exchange.call.request_id.clone();
    set(&mut response, REQUEST_ID, &request_id);
    set(&mut response, EXTENDED_REQUEST_ID, &host_id(exchange));
    response.headers_mut().entry("server").or_insert(HeaderValue::from_static("AmazonS3"));
    response
}
