//! Which service and operation a request means.

use http::header::{CONTENT_TYPE, HOST, HeaderMap};
use http::request::Parts;
use http::{Method, StatusCode};
use service::Fault;

use crate::answer::Style;
use crate::host::{virtual_bucket, without_port};
use crate::model::{Model, Models};
use crate::query::Parameters;
use crate::rest::{self, Matched};
use crate::sign::Signature;

pub(crate) const HEALTH_PATH: &str = "/_stepwell/health";

#[derive(Debug)]
pub(crate) enum Target<'a> {
    Health,
    /// `OPTIONS /`, which only asks whether somebody is there.
    Options,
    Json(&'a Model, &'a str),
    /// `None`: its parameters say which service.
    Query(Option<&'a Model>),
    Rest(&'a Model, Matched<'a>),
    S3,
    Refused(Style<'a>, Fault),
}

pub(crate) fn host(parts: &Parts) -> Option<&str> {
    text(&parts.headers, HOST.as_str()).or_else(|| parts.uri.authority().map(http::uri::Authority::as_str))
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|v| v.to_str().ok())
}

pub(crate) fn classify<'a>(models: &'a Models, parts: &'a Parts, signature: Option<&Signature<'_>>) -> Target<'a> {
    if parts.uri.path() == HEALTH_PATH {
        return Target::Health;
    }
    let media_type = text(&parts.headers, CONTENT_TYPE.as_str()).unwrap_or("");
    if parts.headers.contains_key("smithy-protocol") {
        return Target::Refused(Style::Cbor("application/cbor"), cbor_unsupported());
    }
    if let Some(target) = text(&parts.headers, "x-amz-target") {
        return by_target(models, target, media_type);
    }
    let form = parts.method == Method::POST && media_type.starts_with("application/x-www-form-urlencoded");
    let action = has_action(parts.uri.query().unwrap_or(""));
    match signature.map(|s| &*s.service).filter(|name| !name.is_empty()) {
        Some(name) if name.starts_with("s3") => Target::S3,
        Some(name) => by_scope(models, parts, name, form || action),
        None => unsigned(models, parts, form, action),
    }
}

fn by_target<'a>(models: &'a Models, target: &'a str, media_type: &'a str) -> Target<'a> {
    let Some((prefix, operation)) = target.rsplit_once('.') else {
        let message = format!("X-Amz-Target '{}' names no operation", clipped(target));
        return Target::Refused(Style::Plain, Fault::client("UnknownOperationException", message));
    };
    match models.by_target(prefix) {
        Some(model) if !model.is_served => unserved(models, Style::Json(model), &model.id),
        Some(_) if media_type.contains("cbor") => Target::Refused(Style::Cbor(media_type), cbor_unsupported()),
        Some(model) => Target::Json(model, operation),
        None => unserved(models, Style::Plain, prefix),
    }
}

fn by_scope<'a>(models: &'a Models, parts: &'a Parts, name: &str, is_query: bool) -> Target<'a> {
    let mut style = Style::Plain;
    for model in models.0.iter().filter(|m| m.signing_names.iter().any(|s| s == name)) {
        style = match (&model.query, &model.json) {
            (Some(_), _) if is_query => Style::Query(model),
            _ if model.rest => Style::Rest(model),
            (_, Some(_)) => Style::Json(model),
            _ => Style::Query(model),
        };
        if !model.is_served {
            return unserved(models, style, name);
        }
        if matches!(style, Style::Query(_)) {
            return Target::Query(Some(model));
        }
        if let Some(matched) = rest::find(model, parts) {
            return Target::Rest(model, matched);
        }
    }
    match style {
        Style::Plain => unserved(models, style, name),
        Style::Rest(_) => {
            let message = format!("{} {} is no operation of {name}", parts.method, clipped(parts.uri.path()));
            let status = StatusCode::NOT_FOUND.as_u16();
            Target::Refused(style, Fault::with_status(status, "UnknownOperationException", message))
        }
        _ => {
            let message = "the request names no operation: it lacks X-Amz-Target";
            Target::Refused(style, Fault::client("UnknownOperationException", message))
        }
    }
}

fn unsigned<'a>(models: &'a Models, parts: &'a Parts, form: bool, action: bool) -> Target<'a> {
    let name = host(parts).map_or("", without_port);
    if virtual_bucket(name).is_some() {
        return Target::S3;
    }
    let path = parts.uri.path();
    if action || (form && (path == "/" || is_queue_path(path))) {
        return Target::Query(None);
    }
    for model in models.0.iter().filter(|m| m.rest && m.is_served) {
        if let Some(matched) = rest::find(model, parts) {
            return Target::Rest(model, matched);
        }
    }
    if parts.method == Method::OPTIONS && path == "/" {
        return Target::Options;
    }
    Target::S3
}

/// The service that an unsigned Query request means.
pub(crate) fn query_model<'a>(models: &'a Models, parts: &Parts, parameters: &Parameters) -> Option<&'a Model> {
    let by_host = || {
        let first = host(parts)?.split('.').next()?;
        models.by_id(first).filter(|m| m.query.is_some())
    };
    let by_path = || if is_queue_path(parts.uri.path()) { models.by_id("sqs") } else { None };
    parameters.get("Version").and_then(|v| models.by_query_version(v)).or_else(by_host).or_else(by_path)
}

/// `/123456789012/name`
pub(crate) fn is_queue_path(path: &str) -> bool {
    match path.strip_prefix('/').and_then(|p| p.split_once('/')) {
        Some((account, queue)) => {
            account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit()) && !queue.is_empty()
        }
        None => false,
    }
}

fn has_action(query: &str) -> bool {
    query.split('&').any(|pair| pair.starts_with("Action="))
}

fn clipped(text: &str) -> String {
    text.chars().take(200).collect()
}

fn unserved<'a>(models: &Models, style: Style<'a>, name: &str) -> Target<'a> {
    let served: Vec<&str> = models.0.iter().filter(|m| m.is_served).map(|m| m.id.as_str()).collect();
    Target::Refused(style, unsupported_service(name, &served))
}

pub(crate) fn unsupported_service(name: &str, served: &[&str]) -> Fault {
    let message = format!("service '{}' is not supported; supported are {}", clipped(name), served.join(", "));
    Fault::with_status(501, "NotImplementedException", message)
}

fn cbor_unsupported() -> Fault {
    let message = "CBOR protocols are not supported yet; use the service's JSON protocol";
    Fault::with_status(415, "UnsupportedProtocolException", message)
}
