//! `http:invoke`: calls of APIs outside, authorized by an EventBridge connection.
//!
//! At least once: a call that a crash cuts off is made again.
//! <https://docs.aws.amazon.com/step-functions/latest/dg/call-https-apis.html>

mod connection;
mod form;

use bytes::Bytes;
use outbound::{Answer, Error, Request};
use serde_json::{Map, Value, json};

use super::{Dispatcher, TaskError};
use crate::execution::Job;
use connection::{Connection, Parameters};
use form::ArrayFormat;

pub(crate) use connection::Tokens;

/// How much of an answer is asked for: what a payload may have.
const RANGE: &str = "bytes=0-262144";
const FORM_TYPE: &str = "application/x-www-form-urlencoded";
const JSON_TYPE: &str = "application/json; charset=UTF-8";

pub(super) async fn invoke(dispatcher: &Dispatcher, job: &Job) -> Result<String, TaskError> {
    let parameters: Value = serde_json::from_str(&job.task.parameters).unwrap_or_default();
    let connection = Connection::find(dispatcher, job, &parameters).await?;
    let request = request(&parameters, &connection.parameters, job.scope.region())?;
    let mut authorized = connection.authorize(dispatcher, request.clone(), false).await?;
    let mut answer = call(dispatcher, authorized).await?;
    if answer.status == 401 && connection.has_token() {
        // The token may have been taken back before its time.
        authorized = connection.authorize(dispatcher, request, true).await?;
        answer = call(dispatcher, authorized).await?;
    }
    result(answer)
}

async fn call(dispatcher: &Dispatcher, request: Request) -> Result<Answer, TaskError> {
    dispatcher.http.get_or_init(default_client).call(request).await.map_err(|error| {
        let name = match &error {
            Error::TooLarge(_) => return too_large(),
            Error::Invalid(_) => "States.Runtime",
            Error::Refused(_) => "States.Http.AccessDenied",
            Error::Resolve(_) | Error::Connect(..) | Error::Broken(..) | Error::TimedOut(_) => "States.Http.Socket",
        };
        TaskError { error: name.to_owned(), cause: error.to_string() }
    })
}

fn default_client() -> std::sync::Arc<dyn crate::HttpClient> {
    std::sync::Arc::new(outbound::Client::new(outbound::Options::default()))
}

fn runtime(cause: impl Into<String>) -> TaskError {
    TaskError { error: "States.Runtime".to_owned(), cause: cause.into() }
}

fn too_large() -> TaskError {
    let cause =
        "The state/task 'http' returned a result with a size exceeding the maximum number of bytes service limit.";
    TaskError { error: "States.DataLimitExceeded".to_owned(), cause: cause.to_owned() }
}

/// The request that parameters and connection ask for. What the connection says wins.
fn request(parameters: &Value, connection: &Parameters, region: &str) -> Result<Request, TaskError> {
    let text = |name: &str| parameters.get(name).and_then(Value::as_str).unwrap_or_default();
    let mut headers: Vec<(String, String)> = Vec::new();
    for (name, value) in object(parameters.get("Headers")) {
        headers.push((name.clone(), list(value).iter().map(form::scalar).collect::<Vec<_>>().join(",")));
    }
    for (name, value) in &connection.headers {
        headers.retain(|(given, _)| !given.eq_ignore_ascii_case(name));
        headers.push((name.clone(), value.clone()));
    }
    let transform = parameters.get("Transform").unwrap_or(&Value::Null);
    let format = match transform.pointer("/RequestEncodingOptions/ArrayFormat").and_then(Value::as_str) {
        None => ArrayFormat::Indices,
        Some(name) => ArrayFormat::of_name(name)
            .ok_or_else(|| runtime(format!("The value '{name}' of the field 'ArrayFormat' is not supported")))?,
    };
    let is_form = match transform.get("RequestBodyEncoding").and_then(Value::as_str) {
        None | Some("NONE") => false,
        Some("URL_ENCODED") => true,
        Some(name) => {
            return Err(runtime(format!("The value '{name}' of the field 'RequestBodyEncoding' is not supported")));
        }
    };
    let body = merge_body(parameters.get("RequestBody"), &connection.body)?;
    let body = body.map(|body| match body {
        Value::String(text) => text,
        Value::Object(members) if is_form => form::encode(&members, format),
        body => body.to_string(),
    });
    let mut default = |name: &str, value: String| {
        if !headers.iter().any(|(given, _)| given.eq_ignore_ascii_case(name)) {
            headers.push((name.to_owned(), value));
        }
    };
    if body.is_some() {
        default("Content-Type", if is_form { FORM_TYPE } else { JSON_TYPE }.to_owned());
    }
    default("User-Agent", format!("Amazon|StepFunctions|HttpInvoke|{region}"));
    default("Range", RANGE.to_owned());
    Ok(Request {
        method: text("Method").to_owned(),
        url: with_query(text("ApiEndpoint"), parameters.get("QueryParameters"), &connection.query),
        headers,
        body: body.map(Bytes::from),
    })
}

fn object(value: Option<&Value>) -> impl Iterator<Item = (&String, &Value)> {
    value.and_then(Value::as_object).into_iter().flatten()
}

fn list(value: &Value) -> &[Value] {
    match value {
        Value::Array(items) => items,
        other => std::slice::from_ref(other),
    }
}

/// The connection's body parameters become members of the body.
fn merge_body(body: Option<&Value>, connection: &[(String, String)]) -> Result<Option<Value>, TaskError> {
    let body = body.filter(|body| !body.is_null());
    if connection.is_empty() {
        return Ok(body.cloned());
    }
    let mut members = match body {
        None => Map::new(),
        Some(Value::Object(members)) => members.clone(),
        Some(_) => {
            return Err(runtime("Cannot merge connection body authorization parameters with request body."));
        }
    };
    members.extend(connection.iter().map(|(name, value)| (name.clone(), value.as_str().into())));
    Ok(Some(Value::Object(members)))
}

/// The endpoint with the task's query parameters and then the connection's.
fn with_query(endpoint: &str, task: Option<&Value>, connection: &[(String, String)]) -> String {
    let mut pairs = Vec::new();
    for (name, value) in object(task).filter(|(name, _)| !connection.iter().any(|(own, _)| own == *name)) {
        pairs.extend(list(value).iter().map(|value| form::pair(name, &form::scalar(value))));
    }
    pairs.extend(connection.iter().map(|(name, value)| form::pair(name, value)));
    if pairs.is_empty() {
        return endpoint.to_owned();
    }
    let (endpoint, fragment) = endpoint.split_once('#').map_or((endpoint, None), |(e, f)| (e, Some(f)));
    let joint = if endpoint.contains('?') { '&' } else { '?' };
    let fragment = fragment.map(|fragment| format!("#{fragment}")).unwrap_or_default();
    format!("{endpoint}{joint}{}{fragment}", pairs.join("&"))
}

/// What the state gets of an answer.
fn result(answer: Answer) -> Result<String, TaskError> {
    if !(200..300).contains(&answer.status) {
        return Err(TaskError { error: format!("States.Http.StatusCode.{}", answer.status), cause: answer.reason });
    }
    let content_type = answer.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-type"));
    let content_type = content_type.map(|(_, value)| value.split(';').next().unwrap_or_default().trim());
    let content_type = content_type.unwrap_or_default().to_ascii_lowercase();
    let unsupported = ["audio/", "image/", "video/", "font/"].iter().any(|kind| content_type.starts_with(kind))
        || content_type == "application/octet-stream";
    if unsupported {
        return Err(runtime(format!(
            "Unsupported response content-type '{content_type}'. Please see documentation for list of unsupported content-types."
        )));
    }
    let body =
        String::from_utf8(answer.body.to_vec()).map_err(|_| runtime("The response body is not valid UTF-8 text."))?;
    let mut headers: Map<String, Value> = Map::new();
    for (name, value) in answer.headers {
        match headers.get_mut(&name).and_then(Value::as_array_mut) {
            Some(values) => values.push(value.into()),
            None => drop(headers.insert(name, json!([value]))),
        }
    }
    let mut output = Map::new();
    output.insert("Headers".to_owned(), Value::Object(headers));
    if !body.is_empty() {
        let is_json = content_type == "application/json" || content_type.ends_with("+json");
        let parsed = if is_json { serde_json::from_str(&body).ok() } else { None };
        output.insert("ResponseBody".to_owned(), parsed.unwrap_or(Value::String(body)));
    }
    output.insert("StatusCode".to_owned(), answer.status.into());
    output.insert("StatusText".to_owned(), answer.reason.into());
    Ok(Value::Object(output).to_string())
}
