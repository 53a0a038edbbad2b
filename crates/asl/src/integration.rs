//! Service integrations: what their parameters may be.

use model::Naming;
use serde_json::Value;

use crate::Integration;

pub use model::Template as ParameterTemplate;

/// Headers that an `http:invoke` task may not set, and beginnings of such.
/// <https://docs.aws.amazon.com/step-functions/latest/dg/call-https-apis.html>
const HEADERS_REFUSED: &[&str] = &[
    "a-im",
    "accept-charset",
    "accept-datetime",
    "accept-encoding",
    "authorization",
    "cache-control",
    "connection",
    "content-encoding",
    "content-md5",
    "date",
    "expect",
    "forwarded",
    "from",
    "host",
    "http2-settings",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "max-forwards",
    "origin",
    "pragma",
    "proxy-authorization",
    "referer",
    "server",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
    "warning",
];
const HEADERS_REFUSED_PREFIXES: &[&str] = &["x-forwarded-", "x-amz-", "x-amzn-"];

const HTTP_FIELDS: &[&str] = &[
    "ApiEndpoint",
    "Authentication",
    "Headers",
    "InvocationConfig",
    "Method",
    "QueryParameters",
    "RequestBody",
    "Transform",
];
const HTTP_METHODS: &[&str] = &["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"];

impl Integration {
    /// `resourceType` of history events: `sqs`, `aws-sdk:dynamodb`.
    pub fn resource_type(&self) -> String {
        if self.aws_sdk { format!("aws-sdk:{}", self.service) } else { self.service.clone() }
    }

    /// `resource` of history events: `sendMessage.waitForTaskToken`.
    pub fn resource_name(&self) -> String {
        format!("{}{}", self.action, self.pattern.suffix())
    }

    /// The name of the API's operation: `SendMessage`.
    pub fn operation_name(&self) -> String {
        let mut chars = self.action.chars();
        chars.next().map_or_else(String::new, |first| first.to_ascii_uppercase().to_string() + chars.as_str())
    }

    /// How its parameters and results name members.
    pub fn naming(&self) -> Naming {
        if self.aws_sdk { Naming::Sdk } else { Naming::Capital }
    }

    /// The operation's shapes, if they are known here.
    pub fn operation(&self) -> Option<model::Operation<'static>> {
        let service = match (self.aws_sdk, self.service.as_str()) {
            (true, service) => service,
            (false, "states") => "sfn",
            (false, "events") => "eventbridge",
            (false, service) => service,
        };
        model::shapes(service)?.operation(&self.operation_name())
    }

    /// What AWS finds wrong with parameters, in its words; empty when they fit. With a template only what is written
    /// in the definition is looked at.
    pub fn check(&self, parameters: &Value, template: ParameterTemplate) -> Vec<String> {
        if !self.aws_sdk && self.service == "http" {
            return check_http(parameters, template);
        }
        // Members that are text in the API and may be JSON here.
        let free: &[&str] = match (self.aws_sdk, self.service.as_str()) {
            (false, "sqs") => &["MessageBody"],
            (false, "sns") => &["Message"],
            (false, "states") => &["input"],
            (false, "events") => &["Detail"],
            _ => &[],
        };
        self.operation().map_or_else(Vec::new, |operation| operation.check(self.naming(), parameters, template, free))
    }
}

fn check_http(parameters: &Value, template: ParameterTemplate) -> Vec<String> {
    let Value::Object(given) = parameters else { return Vec::new() };
    let has = |name: &str| given.contains_key(name) || given.contains_key(&format!("{name}.$"));
    let missing = |name: &str| format!("The field '{name}' is required but was missing");
    let mut found: Vec<String> = ["ApiEndpoint", "Method"].into_iter().filter(|name| !has(name)).map(missing).collect();
    if !has("Authentication") && !has("InvocationConfig") {
        found.push(missing("Authentication"));
    }
    if !found.is_empty() {
        return found;
    }
    let is_text = |value: &Value| template == ParameterTemplate::Jsonata && is_expression(value);
    for (key, value) in given {
        let kind = match key.as_str() {
            _ if key.ends_with(".$") && template == ParameterTemplate::JsonPath => continue,
            _ if value.is_null() || is_text(value) => continue,
            "ApiEndpoint" | "Method" if !value.is_string() => "a STRING",
            "Method" if !value.as_str().is_some_and(|method| HTTP_METHODS.contains(&method)) => {
                found.push("The value of the field 'Method' has an invalid format".to_owned());
                continue;
            }
            "Authentication" | "InvocationConfig" | "Headers" | "Transform" if !value.is_object() => "an OBJECT",
            "Headers" => {
                found.extend(refused_headers(value));
                continue;
            }
            _ if HTTP_FIELDS.contains(&key.as_str()) => continue,
            _ => {
                found.push(format!("The field \"{key}\" is not supported by Step Functions"));
                continue;
            }
        };
        found.push(format!("The value for the field '{key}' must be {kind}"));
    }
    found
}

fn is_expression(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.trim_start().starts_with("{%"))
}

fn refused_headers(headers: &Value) -> Option<String> {
    let names = headers.as_object()?.keys().map(|name| name.trim_end_matches(".$").to_ascii_lowercase());
    let refused: Vec<String> = names
        .filter(|name| {
            HEADERS_REFUSED.contains(&name.as_str()) || HEADERS_REFUSED_PREFIXES.iter().any(|p| name.starts_with(p))
        })
        .collect();
    (!refused.is_empty()).then(|| format!("The 'Headers' field contains unsupported values: [{}]", refused.join(", ")))
}
