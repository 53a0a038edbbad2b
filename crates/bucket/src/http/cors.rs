//! Cross-origin requests: what a bucket's CORS configuration lets web pages do.

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, HeaderMap, HeaderName,
    HeaderValue, ORIGIN, VARY,
};
use http::request::Parts;
use http::{Method, Response};
use serde_json::Value;
use service::Fault;

use super::answer::whole;
use super::{AnswerBody, HttpService, header_text};
use crate::settings::Setting;
use crate::view;

/// The rules of the bucket that a request from a web page names.
pub(super) struct Cors {
    origin: Option<String>,
    method: String,
    rules: Vec<Value>,
}

impl Cors {
    pub(super) fn of(service: &HttpService, parts: &Parts) -> Cors {
        let origin = parts.headers.get(ORIGIN).and_then(|o| o.to_str().ok()).map(str::to_owned);
        let is_preflight = parts.method == Method::OPTIONS;
        let asked = header_text(&parts.headers, "access-control-request-method").filter(|_| is_preflight);
        let method = asked.unwrap_or(parts.method.as_str()).to_owned();
        let rules = match &origin {
            Some(_) => {
                let stored = view::stored_setting(service.buckets.store(), service.bucket_of(parts), Setting::Cors);
                stored.ok().flatten().and_then(|mut json| match json["CORSRules"].take() {
                    Value::Array(rules) => Some(rules),
                    _ => None,
                })
            }
            None => None,
        };
        Cors { origin, method, rules: rules.unwrap_or_default() }
    }

    fn rule(&self, wanted_headers: &[&str]) -> Option<(&str, &Value)> {
        let origin = self.origin.as_deref()?;
        let rule = self.rules.iter().find(|rule| {
            texts(&rule["AllowedOrigins"]).any(|pattern| matches(pattern, origin))
                && texts(&rule["AllowedMethods"]).any(|method| method == self.method)
                && wanted_headers.iter().all(|header| {
                    texts(&rule["AllowedHeaders"])
                        .any(|pattern| matches(&pattern.to_ascii_lowercase(), &header.to_ascii_lowercase()))
                })
        })?;
        Some((origin, rule))
    }

    fn headers(&self, (origin, rule): (&str, &Value), into: &mut HeaderMap) {
        let is_any = texts(&rule["AllowedOrigins"]).any(|o| o == "*");
        put(into, ACCESS_CONTROL_ALLOW_ORIGIN, if is_any { "*" } else { origin });
        if !is_any {
            put(into, ACCESS_CONTROL_ALLOW_CREDENTIALS, "true");
        }
        put(into, ACCESS_CONTROL_ALLOW_METHODS, &joined(&rule["AllowedMethods"]));
        let exposed = joined(&rule["ExposeHeaders"]);
        if !exposed.is_empty() {
            put(into, ACCESS_CONTROL_EXPOSE_HEADERS, &exposed);
        }
        if let Some(seconds) = rule["MaxAgeSeconds"].as_i64() {
            put(into, ACCESS_CONTROL_MAX_AGE, &seconds.to_string());
        }
        put(into, VARY, "Origin, Access-Control-Request-Headers, Access-Control-Request-Method");
    }

    pub(super) fn preflight(&self, headers: &HeaderMap) -> Result<Response<AnswerBody>, Fault> {
        let refused = |message: &str| Fault::with_status(403, "AccessForbidden", message);
        if self.origin.is_none() {
            return Err(Fault::client("BadRequest", "Insufficient information. Origin request header needed."));
        }
        if self.rules.is_empty() {
            return Err(refused("CORSResponse: CORS is not enabled for this bucket."));
        }
        let wanted = header_text(headers, "access-control-request-headers").unwrap_or("");
        let wanted: Vec<&str> = wanted.split(',').map(str::trim).filter(|h| !h.is_empty()).collect();
        let found = self.rule(&wanted).ok_or_else(|| {
            refused(
                "CORSResponse: This CORS request is not allowed. This is usually because the evaluation of Origin, \
                     request method / Access-Control-Request-Method or Access-Control-Request-Headers are not \
                     whitelisted by the resource's CORS spec.",
            )
        })?;
        let mut response = Response::new(whole(""));
        self.headers(found, response.headers_mut());
        if !wanted.is_empty() {
            put(response.headers_mut(), ACCESS_CONTROL_ALLOW_HEADERS, &wanted.join(", ").to_ascii_lowercase());
        }
        Ok(response)
    }

    pub(super) fn decorate(&self, mut response: Response<AnswerBody>) -> Response<AnswerBody> {
        if let Some(found) = self.rule(&[]) {
            self.headers(found, response.headers_mut());
        }
        response
    }
}

fn texts(list: &Value) -> impl Iterator<Item = &str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str)
}

fn joined(list: &Value) -> String {
    texts(list).collect::<Vec<_>>().join(", ")
}

fn put(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// One `*` stands for anything.
fn matches(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((before, after)) => {
            text.len() >= before.len() + after.len() && text.starts_with(before) && text.ends_with(after)
        }
    }
}
