use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::condition::Condition;
use super::{Elements, Policy, PolicyKind, Principals, Statement};

/// Why a document is no policy; AWS's `MalformedPolicyDocument`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PolicyError(pub String);

fn error<T>(message: impl Into<String>) -> Result<T, PolicyError> {
    Err(PolicyError(message.into()))
}

const VERSIONS: [&str; 2] = ["2008-10-17", "2012-10-17"];
const STATEMENT_FIELDS: &[&str] =
    &["Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource", "Condition"];

pub(super) fn parse(text: &str, kind: PolicyKind) -> Result<Policy, PolicyError> {
    let Ok(document) = serde_json::from_str::<Value>(text) else {
        return error("This policy contains invalid Json");
    };
    let Value::Object(document) = document else { return error("Syntax errors in policy.") };
    for name in document.keys() {
        if !["Version", "Id", "Statement"].contains(&name.as_str()) {
            return error(format!("Syntax errors in policy. Unknown field {name}"));
        }
    }
    let version = match document.get("Version") {
        None => VERSIONS[0],
        Some(Value::String(version)) if VERSIONS.contains(&version.as_str()) => version,
        Some(_) => return error("Policy document must be version 2012-10-17 or greater."),
    };
    let statements = match document.get("Statement") {
        Some(Value::Array(statements)) => statements.iter().collect(),
        Some(statement @ Value::Object(_)) => vec![statement],
        _ => return error("Syntax errors in policy. The policy must have a Statement"),
    };
    if statements.is_empty() {
        return error("Syntax errors in policy. The policy must have a Statement");
    }
    let mut sids = std::collections::BTreeSet::new();
    let mut parsed = Vec::with_capacity(statements.len());
    for value in statements {
        let Value::Object(fields) = value else { return error("Syntax errors in policy.") };
        if let Some(sid) = fields.get("Sid") {
            let Some(sid) = sid.as_str() else { return error("Syntax errors in policy. Sid must be a string") };
            if !sid.is_empty() && !sids.insert(sid) {
                return error(format!("Statement IDs (SID) in a single policy must be unique: {sid}"));
            }
        }
        parsed.push(statement(fields, kind)?);
    }
    Ok(Policy { statements: parsed, has_variables: version == VERSIONS[1] })
}

fn statement(fields: &Map<String, Value>, kind: PolicyKind) -> Result<Statement, PolicyError> {
    for name in fields.keys() {
        if !STATEMENT_FIELDS.contains(&name.as_str()) {
            return error(format!("Syntax errors in policy. Unknown field {name}"));
        }
    }
    let allow = match fields.get("Effect").and_then(Value::as_str) {
        Some("Allow") => true,
        Some("Deny") => false,
        Some(other) => return error(format!("Invalid effect: {other}")),
        None => return error("Missing required field Effect"),
    };
    let actions = elements(fields, "Action", "NotAction")?;
    let Some(actions) = actions else { return error("Policy statement must contain actions.") };
    for action in &actions.patterns {
        if action != "*" && !is_action(action) {
            return error("Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.");
        }
    }
    let resources = elements(fields, "Resource", "NotResource")?;
    let principals = principals(fields)?;
    match kind {
        PolicyKind::Identity if principals.is_some() => {
            return error("Policy document should not specify a principal.");
        }
        PolicyKind::Identity if resources.is_none() => return error("Policy statement must contain resources."),
        PolicyKind::Trust if resources.is_some() => return error("Has prohibited field Resource"),
        PolicyKind::Trust | PolicyKind::Resource if principals.is_none() => {
            return error("Missing required field Principal");
        }
        _ => {}
    }
    for resource in resources.iter().flat_map(|r| &r.patterns) {
        if !is_resource(resource) {
            return error(format!("Resource {resource} must be in ARN format or \"*\"."));
        }
    }
    let conditions = match fields.get("Condition") {
        None => Vec::new(),
        Some(Value::Object(operators)) => Condition::parse_all(operators)?,
        Some(_) => return error("Syntax errors in policy. Condition must be an object"),
    };
    Ok(Statement { allow, actions, resources, principals, conditions })
}

/// `vendor:Name`, wildcards in the name.
fn is_action(action: &str) -> bool {
    let plain =
        |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_*?".contains(&b));
    action.split_once(':').is_some_and(|(vendor, name)| plain(vendor) && plain(name))
}

fn is_resource(resource: &str) -> bool {
    resource == "*"
        || resource.starts_with("${")
        || (resource.starts_with("arn:") && resource.splitn(6, ':').count() == 6)
        || (resource.starts_with("arn:") && resource.ends_with('*'))
}

fn elements(fields: &Map<String, Value>, name: &str, negated: &str) -> Result<Option<Elements>, PolicyError> {
    match (fields.get(name), fields.get(negated)) {
        (None, None) => Ok(None),
        (Some(_), Some(_)) => error(format!("Syntax errors in policy. {name} and {negated} exclude each other")),
        (Some(value), None) => Ok(Some(Elements { negated: false, patterns: texts(value, name)? })),
        (None, Some(value)) => Ok(Some(Elements { negated: true, patterns: texts(value, negated)? })),
    }
}

/// One string or a list of strings.
pub(super) fn texts(value: &Value, name: &str) -> Result<Vec<String>, PolicyError> {
    let wrong = || PolicyError(format!("Syntax errors in policy. {name} must be a string or a list of strings"));
    let text = |value: &Value| value.as_str().map(str::to_owned).ok_or_else(wrong);
    match value {
        Value::Array(values) if !values.is_empty() => values.iter().map(text).collect(),
        Value::Array(_) => Err(wrong()),
        value => Ok(vec![text(value)?]),
    }
}

fn principals(fields: &Map<String, Value>) -> Result<Option<Principals>, PolicyError> {
    let (value, negated) = match (fields.get("Principal"), fields.get("NotPrincipal")) {
        (None, None) => return Ok(None),
        (Some(_), Some(_)) => {
            return error("Syntax errors in policy. Principal and NotPrincipal exclude each other");
        }
        (Some(value), None) => (value, false),
        (None, Some(value)) => (value, true),
    };
    let mut names = BTreeMap::new();
    let mut everybody = false;
    match value {
        Value::String(text) if text == "*" => everybody = true,
        Value::Object(kinds) if !kinds.is_empty() => {
            for (kind, value) in kinds {
                if !["AWS", "Service", "Federated", "CanonicalUser"].contains(&kind.as_str()) {
                    return error(format!("Invalid principal in policy: {kind}"));
                }
                let values = texts(value, kind)?;
                everybody |= kind == "AWS" && values.iter().any(|v| v == "*");
                names.insert(kind.clone(), values);
            }
        }
        _ => return error("Invalid principal in policy"),
    }
    Ok(Some(Principals { negated, names, everybody }))
}
