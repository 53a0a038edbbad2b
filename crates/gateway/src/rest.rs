//! The REST-JSON protocol: operations by method and path, members in labels, query string, headers and body.

use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use serde_json::{Map, Value};
use service::Fault;

use crate::answer::{Answer, answer};
use crate::json::push_string;
use crate::model::{Model, Operation, Place, Type};
use crate::query::{Parameters, decode_percent, scalar};

/// The operation that a request names, and the labels of its path, not decoded.
#[derive(Debug)]
pub(crate) struct Matched<'a> {
    pub name: &'a str,
    pub operation: &'a Operation,
    labels: Vec<(&'a str, &'a str)>,
}

/// The operation of `model` for this method and path; of several the one with more literal text.
pub(crate) fn find<'a>(model: &'a Model, parts: &'a Parts) -> Option<Matched<'a>> {
    let path = parts.uri.path();
    let sent: Vec<&str> = path.strip_prefix('/')?.trim_end_matches('/').split('/').collect();
    let mut best: Option<(usize, Matched<'a>)> = None;
    for (name, operation) in &model.operations {
        if operation.method != parts.method.as_str() {
            continue;
        }
        if let Some((score, labels)) = match_path(&operation.path, &sent, parts.uri.query().unwrap_or(""))
            && best.as_ref().is_none_or(|(best, _)| score > *best)
        {
            best = Some((score, Matched { name, operation, labels }));
        }
    }
    best.map(|(_, matched)| matched)
}

type Labels<'a> = Vec<(&'a str, &'a str)>;

fn match_path<'a>(pattern: &'a str, sent: &[&'a str], query: &str) -> Option<(usize, Labels<'a>)> {
    let (pattern, literal_query) = pattern.split_once('?').unwrap_or((pattern, ""));
    let mut score = 0;
    for pair in literal_query.split('&').filter(|p| !p.is_empty()) {
        if !query.split('&').any(|sent| sent == pair) {
            return None;
        }
        score += 1;
    }
    let mut labels = Vec::new();
    let mut expected = pattern.trim_matches('/').split('/');
    let mut sent = sent.iter();
    loop {
        match (expected.next(), sent.next()) {
            (None, None) => return Some((score, labels)),
            (Some(expected), Some(segment)) => match expected.strip_prefix('{').and_then(|e| e.strip_suffix('}')) {
                Some(label) if !segment.is_empty() => labels.push((label, *segment)),
                None if expected == *segment => score += 2,
                _ => return None,
            },
            _ => return None,
        }
    }
}

/// The operation's input as JSON text: the body with the bound members put before its own.
pub(crate) fn decode(matched: &Matched<'_>, parts: &Parts, body: bytes::Bytes) -> Result<bytes::Bytes, Fault> {
    let parameters = Parameters::read(parts.uri.query().unwrap_or("").as_bytes(), b"")?;
    let mut bound = Vec::new();
    let mut payload = false;
    for (member, place, name, kind) in matched.operation.input.bound() {
        let value = match place {
            Place::Label => match matched.labels.iter().find(|(label, _)| *label == name) {
                Some((_, segment)) => Some(scalar(kind, name, &decode_percent(segment.as_bytes())?)?),
                None => None,
            },
            Place::Query if matches!(kind, Type::Shape(_)) => {
                let values: Vec<Value> = parameters.get_all(name).map(Value::from).collect();
                (!values.is_empty()).then_some(Value::Array(values))
            }
            Place::Query => parameters.get(name).map(|text| scalar(kind, name, text)).transpose()?,
            Place::Header => match parts.headers.get(name) {
                Some(value) => {
                    let text = value.to_str().map_err(|_| invalid(format!("header {name} is not plain text")))?;
                    Some(scalar(kind, name, text)?)
                }
                None => None,
            },
            Place::Headers => Some(prefixed(&parts.headers, name)),
            Place::Payload => {
                payload = true;
                payload_value(kind, &body)?
            }
            Place::Status => None,
        };
        if let Some(value) = value {
            bound.push((member, value));
        }
    }
    if bound.is_empty() && !payload {
        return Ok(body);
    }
    splice(&bound, if payload { b"" } else { &body })
}

fn invalid(message: impl Into<String>) -> Fault {
    Fault::client("SerializationException", message)
}

fn prefixed(headers: &HeaderMap, prefix: &str) -> Value {
    let prefix = prefix.to_ascii_lowercase();
    let values = headers.iter().filter_map(|(name, value)| {
        Some((name.as_str().strip_prefix(&prefix)?.to_owned(), Value::from(value.to_str().ok()?)))
    });
    Value::Object(values.collect())
}

fn payload_value(kind: &Type, body: &[u8]) -> Result<Option<Value>, Fault> {
    use base64::Engine;
    if body.is_empty() {
        return Ok(None);
    }
    Ok(Some(match kind {
        Type::Blob => base64::engine::general_purpose::STANDARD.encode(body).into(),
        Type::Shape(_) => serde_json::from_slice(body).map_err(|e| invalid(e.to_string()))?,
        _ => std::str::from_utf8(body).map_err(|_| invalid("the body is not UTF-8"))?.into(),
    }))
}

/// Puts members into a JSON object's text without parsing it.
fn splice(bound: &[(&str, Value)], body: &[u8]) -> Result<bytes::Bytes, Fault> {
    let body = body.trim_ascii();
    let rest = match body {
        [] => &b"}"[..],
        [b'{', rest @ ..] => rest,
        _ => return Err(invalid("the body is no JSON object")),
    };
    let mut out = Vec::with_capacity(body.len() + 64 * bound.len() + 2);
    out.push(b'{');
    for (i, (member, value)) in bound.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        push_string(&mut out, member);
        out.push(b':');
        serde_json::to_writer(&mut out, value).map_err(|e| Fault::internal(e.to_string()))?;
    }
    if !bound.is_empty() && rest.trim_ascii() != b"}" {
        out.push(b',');
    }
    out.extend_from_slice(rest);
    Ok(out.into())
}

/// The answer of an operation whose output is JSON text.
pub(crate) fn encode(operation: &Operation, output: Vec<u8>) -> Result<Answer, Fault> {
    let mut status = operation.status.unwrap_or(200);
    if operation.output.bound().next().is_none() {
        let body = if operation.empty { Vec::new() } else { output };
        return Ok(with_body(status, body));
    }
    let mut object: Map<String, Value> =
        serde_json::from_slice(&output).map_err(|e| Fault::internal(format!("read the operation's answer: {e}")))?;
    let mut headers = HeaderMap::new();
    let mut payload = None;
    for (member, place, name, kind) in operation.output.bound() {
        let Some(value) = object.remove(member).filter(|v| !v.is_null()) else { continue };
        match place {
            Place::Status => status = value.as_u64().and_then(|s| u16::try_from(s).ok()).unwrap_or(status),
            Place::Payload => payload = Some(payload_bytes(kind, value)?),
            _ => {
                let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                let name = HeaderName::from_bytes(name.as_bytes()).map_err(|e| Fault::internal(e.to_string()))?;
                let text = HeaderValue::from_str(&text).map_err(|e| Fault::internal(e.to_string()))?;
                headers.insert(name, text);
            }
        }
    }
    let has_payload = operation.output.bound().any(|(_, place, ..)| place == Place::Payload);
    let body = match payload {
        Some(payload) => payload,
        None if has_payload || operation.empty => Vec::new(),
        None => serde_json::to_vec(&object).map_err(|e| Fault::internal(e.to_string()))?,
    };
    let mut answer = with_body(status, body);
    answer.headers_mut().extend(headers);
    Ok(answer)
}

fn with_body(status: u16, body: Vec<u8>) -> Answer {
    answer(status, "application/json", if status == 204 { Vec::new() } else { body })
}

fn payload_bytes(kind: &Type, value: Value) -> Result<Vec<u8>, Fault> {
    use base64::Engine;
    match (kind, value) {
        (Type::Blob, Value::String(text)) => base64::engine::general_purpose::STANDARD
            .decode(text)
            .map_err(|e| Fault::internal(format!("payload of the answer: {e}"))),
        (Type::Shape(_), value) => serde_json::to_vec(&value).map_err(|e| Fault::internal(e.to_string())),
        (_, Value::String(text)) => Ok(text.into_bytes()),
        (_, value) => Ok(value.to_string().into_bytes()),
    }
}

impl Matched<'_> {
    /// A label of the path, decoded.
    pub fn label(&self, name: &str) -> Result<String, Fault> {
        let segment = self.labels.iter().find(|(label, _)| *label == name).map_or("", |(_, segment)| segment);
        decode_percent(segment.as_bytes())
    }
}
