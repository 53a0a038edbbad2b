//! Values and their versions: reading one, adding one.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use service::Fault;

use super::{
    CURRENT, Named, PREVIOUS, Secret, Version, find_live, invalid_parameter, invalid_request, not_found, put, value_key,
};
use crate::check;
use crate::identity::Operations;
use crate::tx::{Outcome, Tx, View};

const VALUE_BYTES_MAX: usize = 65_536;
/// Versions of one secret; those without a stage make room for new ones.
const VERSIONS_MAX: usize = 100;
const STAGES_MAX: usize = 20;
const BATCH_MAX: usize = 20;

/// A version's value, as it is stored.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Value {
    Text(String),
    /// Base64.
    Binary(String),
}

pub(super) fn register(operations: &mut Operations) {
    operations
        .read("GetSecretValue", get_secret_value)
        .write("PutSecretValue", put_secret_value)
        .read("BatchGetSecretValue", batch_get_secret_value);
}

/// The value that a request carries, if any.
pub(super) fn given(text: Option<String>, binary: Option<String>) -> Result<Option<Value>, Fault> {
    // The value itself must not stand in an error.
    let too_long = |member: &str| {
        Fault::validation(format!(
            "1 validation error detected: Value at '{member}' failed to satisfy constraint: Member must have length \
             less than or equal to {VALUE_BYTES_MAX}"
        ))
    };
    match (text, binary) {
        (Some(_), Some(_)) => Err(invalid_parameter(
            "You can't specify both a binary secret value and a string secret value in the same secret.",
        )),
        (Some(text), None) if text.len() > VALUE_BYTES_MAX => Err(too_long("secretString")),
        (Some(text), None) => Ok(Some(Value::Text(text))),
        (None, Some(binary)) => {
            let bytes = STANDARD.decode(&binary).map_err(|_| invalid_parameter("SecretBinary is not base64."))?;
            if bytes.len() > VALUE_BYTES_MAX { Err(too_long("secretBinary")) } else { Ok(Some(Value::Binary(binary))) }
        }
        (None, None) => Ok(None),
    }
}

/// The version id that a request asks for, or a new one.
pub(super) fn token(view: &View<'_>, token: Option<String>) -> Result<String, Fault> {
    match token {
        Some(token) => {
            check::length(&token, "clientRequestToken", 32, 64)?;
            Ok(token)
        }
        None => Ok(view.entropy.uuid()),
    }
}

/// Writes a value and moves stages to it; the caller writes the secret. The same version with the same value is no
/// change.
pub(super) fn add_version(
    tx: &mut Tx<'_>,
    secret: &mut Secret,
    version_id: String,
    value: Value,
    stages: &[String],
) -> Outcome<String> {
    let key = value_key(tx, &secret.name, &version_id);
    if secret.versions.contains_key(&version_id) {
        if tx.get::<Value>(&key)?.as_ref() != Some(&value) {
            let message = format!("A resource with the ID you requested already exists: version {version_id}");
            return Err(Fault::client("ResourceExistsException", message).into());
        }
    } else {
        make_room(tx, secret)?;
        let version = Version { created_millis: tx.now.as_millis(), stages: Vec::new() };
        secret.versions.insert(version_id.clone(), version);
        tx.put(key, &value)?;
    }
    for stage in stages {
        move_stage(secret, stage, &version_id);
    }
    Ok(version_id)
}

fn make_room(tx: &mut Tx<'_>, secret: &mut Secret) -> Outcome<()> {
    if secret.versions.len() < VERSIONS_MAX {
        return Ok(());
    }
    let unstaged = secret.versions.iter().filter(|(_, v)| v.stages.is_empty());
    let oldest = unstaged.min_by_key(|(_, v)| v.created_millis).map(|(id, _)| id.clone());
    let Some(oldest) = oldest else {
        let message = format!("A secret can have at most {VERSIONS_MAX} versions with staging labels.");
        return Err(Fault::client("LimitExceededException", message).into());
    };
    secret.versions.remove(&oldest);
    let key = value_key(tx, &secret.name, &oldest);
    tx.delete(key);
    Ok(())
}

/// A stage is at one version only; where AWSCURRENT was, AWSPREVIOUS comes.
pub(super) fn move_stage(secret: &mut Secret, stage: &str, to: &str) {
    let from = secret.staged(stage).map(str::to_owned);
    if from.as_deref() == Some(to) {
        return;
    }
    for version in secret.versions.values_mut() {
        version.stages.retain(|s| s != stage);
    }
    if let Some(version) = secret.versions.get_mut(to) {
        version.stages.push(stage.to_owned());
    }
    if stage == CURRENT
        && let Some(from) = from
    {
        if let Some(version) = secret.versions.get_mut(to) {
            version.stages.retain(|s| s != PREVIOUS);
        }
        move_stage(secret, PREVIOUS, &from);
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GetSecretValue {
    secret_id: String,
    version_id: Option<String>,
    version_stage: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct SecretValue {
    #[serde(flatten)]
    named: Named,
    version_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret_binary: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret_string: Option<String>,
    version_stages: Vec<String>,
    created_date: f64,
}

fn get_secret_value(view: &View<'_>, input: GetSecretValue) -> Outcome<SecretValue> {
    let secret = find_live(view, &input.secret_id)?;
    read(view, &secret, input.version_id.as_deref(), input.version_stage.as_deref())
}

pub(super) fn read(
    view: &View<'_>,
    secret: &Secret,
    version_id: Option<&str>,
    stage: Option<&str>,
) -> Outcome<SecretValue> {
    let version_id = match (version_id, stage) {
        (Some(id), None) => id,
        (Some(id), Some(stage)) if secret.versions.get(id).is_some_and(|v| v.stages.iter().any(|s| s == stage)) => id,
        (Some(id), Some(_)) if secret.versions.contains_key(id) => {
            let message = "You provided a VersionStage that is not associated to the provided VersionId.";
            return Err(invalid_request(message).into());
        }
        (Some(id), Some(_)) => id,
        (None, stage) => {
            let stage = stage.unwrap_or(CURRENT);
            secret.staged(stage).ok_or_else(|| {
                not_found(format!("Secrets Manager can't find the specified secret value for staging label: {stage}"))
            })?
        }
    };
    let missing =
        || not_found(format!("Secrets Manager can't find the specified secret value for VersionId: {version_id}"));
    let version = secret.versions.get(version_id).ok_or_else(missing)?;
    let value: Value = view.get(&value_key(view, &secret.name, version_id))?.ok_or_else(missing)?;
    let (secret_string, secret_binary) = match value {
        Value::Text(text) => (Some(text), None),
        Value::Binary(binary) => (None, Some(binary)),
    };
    Ok(SecretValue {
        named: Named::of(secret),
        version_id: version_id.to_owned(),
        secret_binary,
        secret_string,
        version_stages: version.stages.clone(),
        created_date: base::Timestamp::from_millis(version.created_millis).as_seconds_f64(),
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PutSecretValue {
    secret_id: String,
    client_request_token: Option<String>,
    secret_binary: Option<String>,
    secret_string: Option<String>,
    version_stages: Option<Vec<String>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct PutValue {
    #[serde(flatten)]
    named: Named,
    version_id: String,
    version_stages: Vec<String>,
}

fn put_secret_value(tx: &mut Tx<'_>, input: PutSecretValue) -> Outcome<PutValue> {
    let mut secret = find_live(tx, &input.secret_id)?;
    let given = given(input.secret_string, input.secret_binary)?;
    let given = given.ok_or_else(|| invalid_parameter("You must provide either SecretString or SecretBinary."))?;
    let token = token(tx, input.client_request_token)?;
    let mut stages = input.version_stages.unwrap_or_else(|| vec![CURRENT.to_owned()]);
    stages.dedup();
    if stages.is_empty() || stages.len() > STAGES_MAX {
        let message = format!("VersionStages must have 1 to {STAGES_MAX} members.");
        return Err(invalid_parameter(message).into());
    }
    for stage in &stages {
        check::length(stage, "versionStages", 1, 256)?;
    }
    // The first value of a secret is its current one in any case.
    if secret.versions.is_empty() && !stages.iter().any(|s| s == CURRENT) {
        stages.push(CURRENT.to_owned());
    }
    let version_id = add_version(tx, &mut secret, token, given, &stages)?;
    secret.changed = tx.now_seconds();
    put(tx, &secret)?;
    let version_stages = secret.versions[&version_id].stages.clone();
    Ok(PutValue { named: Named::of(&secret), version_id, version_stages })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct BatchGetSecretValue {
    secret_id_list: Option<Vec<String>>,
    filters: Option<Vec<super::list::Filter>>,
    max_results: Option<i64>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct BatchError {
    secret_id: String,
    error_code: String,
    message: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Batch {
    secret_values: Vec<SecretValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
    errors: Vec<BatchError>,
}

fn batch_get_secret_value(view: &View<'_>, input: BatchGetSecretValue) -> Outcome<Batch> {
    let (ids, next_token) = match (input.secret_id_list, input.filters) {
        (Some(ids), None) if (1..=BATCH_MAX).contains(&ids.len()) => (ids, None),
        (Some(_), None) => {
            return Err(invalid_parameter(format!("SecretIdList must have 1 to {BATCH_MAX} members.")).into());
        }
        (None, Some(filters)) => {
            let max = check::page_size(input.max_results, "maxResults", 20, 20)?;
            let page = super::list::filtered(view, &filters, false, input.next_token.as_deref(), max)?;
            (page.items.into_iter().map(|s| s.name).collect(), page.next)
        }
        _ => {
            let message = "Either 'SecretIdList' or 'Filters' must be provided, but not both.";
            return Err(invalid_parameter(message).into());
        }
    };
    let mut batch = Batch { secret_values: Vec::new(), next_token, errors: Vec::new() };
    for id in ids {
        match find_live(view, &id).and_then(|secret| read(view, &secret, None, None)) {
            Ok(value) => batch.secret_values.push(value),
            Err(crate::tx::Failure::Fault(fault)) => {
                batch.errors.push(BatchError { secret_id: id, error_code: fault.code, message: fault.message });
            }
            Err(failure) => return Err(failure),
        }
    }
    Ok(batch)
}
