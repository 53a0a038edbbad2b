//! Dynamic references: `{{resolve:secretsmanager:...}}` and `{{resolve:ssm:...}}` in properties.
//!
//! Resolved right before a call and never stored: what a stack keeps of them is the reference.

use serde_json::{Value, json};

use crate::provider::{Context, Failure};

/// References in one resource; more is a mistake.
const REFERENCES_MAX: usize = 60;

/// The properties with every dynamic reference replaced by what it names.
pub(super) async fn resolve(ctx: &Context<'_>, properties: &Value) -> Result<Value, Failure> {
    let mut found = Vec::new();
    collect(properties, &mut found);
    found.sort();
    found.dedup();
    if found.is_empty() {
        return Ok(properties.clone());
    }
    if found.len() > REFERENCES_MAX {
        return Err(Failure::new(format!("more than {REFERENCES_MAX} dynamic references in one resource")));
    }
    let mut resolved = properties.clone();
    for reference in found {
        let value = look_up(ctx, &reference).await?;
        replace(&mut resolved, &format!("{{{{resolve:{reference}}}}}"), &value);
    }
    Ok(resolved)
}

fn collect(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::String(text) => {
            let mut rest = text.as_str();
            while let Some(start) = rest.find("{{resolve:") {
                let Some(len) = rest[start..].find("}}") else { break };
                found.push(rest[start + "{{resolve:".len()..start + len].to_owned());
                rest = &rest[start + len + 2..];
            }
        }
        Value::Array(items) => items.iter().for_each(|v| collect(v, found)),
        Value::Object(members) => members.values().for_each(|v| collect(v, found)),
        _ => {}
    }
}

fn replace(value: &mut Value, reference: &str, with: &str) {
    match value {
        Value::String(text) if text.contains(reference) => *text = text.replace(reference, with),
        Value::Array(items) => items.iter_mut().for_each(|v| replace(v, reference, with)),
        Value::Object(members) => members.values_mut().for_each(|v| replace(v, reference, with)),
        _ => {}
    }
}

async fn look_up(ctx: &Context<'_>, reference: &str) -> Result<String, Failure> {
    let malformed = || Failure::new(format!("the dynamic reference {{{{resolve:{reference}}}}} is malformed"));
    let (service, rest) = reference.split_once(':').ok_or_else(malformed)?;
    match service {
        "ssm" | "ssm-secure" => {
            let input = json!({"Name": rest, "WithDecryption": true});
            let answer = ctx.call("ssm", "GetParameter", input).await?;
            answer["Parameter"]["Value"].as_str().map(str::to_owned).ok_or_else(malformed)
        }
        "secretsmanager" => secret(ctx, rest).await?.ok_or_else(malformed),
        _ => Err(malformed()),
    }
}

/// `secret-id:SecretString:json-key:version-stage:version-id`, where the id may be an ARN with colons of its own.
async fn secret(ctx: &Context<'_>, rest: &str) -> Result<Option<String>, Failure> {
    let (id, detail) = match rest.split_once(":SecretString") {
        Some((id, detail)) => (id, detail.trim_start_matches(':')),
        None => (rest, ""),
    };
    let mut parts = detail.split(':');
    let mut part = || parts.next().filter(|p| !p.is_empty());
    let (key, stage, version) = (part(), part(), part());
    let mut input = json!({"SecretId": id});
    for (name, value) in [("VersionStage", stage), ("VersionId", version)] {
        if let Some(value) = value {
            input[name] = value.into();
        }
    }
    let answer = ctx.call("secretsmanager", "GetSecretValue", input).await?;
    let Some(text) = answer["SecretString"].as_str() else { return Ok(None) };
    let Some(key) = key else { return Ok(Some(text.to_owned())) };
    let value: Value = serde_json::from_str(text)
        .map_err(|_| Failure::new(format!("the secret {id} is no JSON object, so it has no key {key}")))?;
    match value.get(key) {
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(other) => Ok(Some(other.to_string())),
        None => Err(Failure::new(format!("Could not find a value associated with JSONKey {key} in the secret {id}"))),
    }
}
