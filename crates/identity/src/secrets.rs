//! Secrets Manager.
//!
//! A secret's record names its versions; each value is a record of its own. Values are stored as they came, in the
//! store's files: a KMS key's name is kept and returned, but nothing is encrypted.

mod list;
mod password;
mod value;
mod versions;

use std::collections::BTreeMap;
use std::time::Duration;

use base::{Arn, Timestamp};
use cell::Turn;
use serde::{Deserialize, Serialize};
use service::{Fault, Service};
use store::{Error, Key, Range};

use crate::check;
use crate::identity::{Identity, Operations};
use crate::machine::due_key;
use crate::policy::{Policy, PolicyKind};
use crate::tag::{self, Tag, Tags};
use crate::tx::{Outcome, Tx, View};

const NAME_CHARS_MAX: usize = 512;
const DESCRIPTION_CHARS_MAX: usize = 2048;
const POLICY_CHARS_MAX: usize = 20_480;
const RECOVERY_DAYS: i64 = 30;
const CURRENT: &str = "AWSCURRENT";
const PREVIOUS: &str = "AWSPREVIOUS";

pub(crate) fn service(identity: &Identity) -> Service {
    let mut operations = Operations::new("secretsmanager", identity);
    operations
        .write("CreateSecret", create_secret)
        .read("DescribeSecret", describe_secret)
        .write("UpdateSecret", update_secret)
        .write("DeleteSecret", delete_secret)
        .write("RestoreSecret", restore_secret)
        .write("TagResource", tag_resource)
        .write("UntagResource", untag_resource)
        .read("GetResourcePolicy", get_resource_policy)
        .write("PutResourcePolicy", put_resource_policy)
        .write("DeleteResourcePolicy", delete_resource_policy);
    value::register(&mut operations);
    versions::register(&mut operations);
    list::register(&mut operations);
    password::register(&mut operations);
    operations.done()
}

/// A secret, as it is stored.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Secret {
    name: String,
    arn: String,
    #[serde(default)]
    description: Option<String>,
    #[serde(default)]
    kms_key_id: Option<String>,
    #[serde(default)]
    secret_type: Option<String>,
    created: f64,
    changed: f64,
    #[serde(default)]
    tags: Tags,
    /// Set while the secret is only scheduled for deletion.
    #[serde(default)]
    deletion_millis: Option<i64>,
    #[serde(default)]
    policy: Option<String>,
    versions: BTreeMap<String, Version>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Version {
    created_millis: i64,
    stages: Vec<String>,
}

/// The fields by which most operations are answered.
#[derive(Serialize)]
struct Named {
    #[serde(rename = "ARN")]
    arn: String,
    #[serde(rename = "Name")]
    name: String,
}

impl Named {
    fn of(secret: &Secret) -> Named {
        Named { arn: secret.arn.clone(), name: secret.name.clone() }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SecretId {
    secret_id: String,
}

#[derive(Serialize)]
struct Nothing {}

const NOT_FOUND: &str = "Secrets Manager can't find the specified secret.";

fn not_found(message: impl Into<String>) -> Fault {
    Fault::client("ResourceNotFoundException", message)
}

fn invalid_parameter(message: impl Into<String>) -> Fault {
    Fault::client("InvalidParameterException", message)
}

fn invalid_request(message: impl Into<String>) -> Fault {
    Fault::client("InvalidRequestException", message)
}

fn too_many_tags() -> Fault {
    invalid_parameter(format!("A secret can have at most {} tags.", tag::TAGS_MAX))
}

fn space(account: &str, region: &str) -> Key {
    Key::new("secret").str(account).str(region)
}

fn key(view: &View<'_>, name: &str) -> Key {
    space(view.scope().account(), view.scope().region()).str(name)
}

fn values(account: &str, region: &str, name: &str) -> Key {
    Key::new("secret-value").str(account).str(region).str(name)
}

fn value_key(view: &View<'_>, name: &str, version_id: &str) -> Key {
    values(view.scope().account(), view.scope().region(), name).str(version_id)
}

/// The secret that a name, an ARN, or an ARN without its six random letters means.
fn find(view: &View<'_>, id: &str) -> Outcome<Secret> {
    check::length(id, "secretId", 1, 2048)?;
    let missing = || not_found(NOT_FOUND);
    if !id.starts_with("arn:") {
        return Ok(view.get::<Secret>(&key(view, id))?.ok_or_else(missing)?);
    }
    let arn: Arn = id.parse().map_err(|_| missing())?;
    let name = arn.resource().strip_prefix("secret:").ok_or_else(missing)?;
    if arn.account() != view.scope().account() || arn.region() != view.scope().region() {
        return Err(missing().into());
    }
    if let Some((name, _)) = name.rsplit_once('-').filter(|(_, letters)| letters.len() == 6)
        && let Some(secret) = view.get::<Secret>(&key(view, name))?
        && secret.arn == id
    {
        return Ok(secret);
    }
    Ok(view.get::<Secret>(&key(view, name))?.ok_or_else(missing)?)
}

/// One that is not scheduled for deletion.
fn find_live(view: &View<'_>, id: &str) -> Outcome<Secret> {
    let secret = find(view, id)?;
    if secret.deletion_millis.is_some() {
        let message = "You can't perform this operation on the secret because it was marked for deletion.";
        return Err(invalid_request(message).into());
    }
    Ok(secret)
}

fn put(tx: &mut Tx<'_>, secret: &Secret) -> Result<(), Error> {
    let key = key(tx, &secret.name);
    tx.put(key, secret)
}

impl Secret {
    fn staged(&self, stage: &str) -> Option<&str> {
        self.versions.iter().find(|(_, v)| v.stages.iter().any(|s| s == stage)).map(|(id, _)| id.as_str())
    }

    fn deletion(&self) -> Option<f64> {
        self.deletion_millis.map(|millis| Timestamp::from_millis(millis).as_seconds_f64())
    }

    /// Versions that have a stage, as answers list them.
    fn stages(&self) -> BTreeMap<String, Vec<String>> {
        let staged = self.versions.iter().filter(|(_, v)| !v.stages.is_empty());
        staged.map(|(id, v)| (id.clone(), v.stages.clone())).collect()
    }
}

fn check_name(name: &str) -> Result<(), Fault> {
    check::length(name, "name", 1, NAME_CHARS_MAX)?;
    if name.chars().all(|c| c.is_ascii_alphanumeric() || "-/_+=.@!".contains(c)) {
        return Ok(());
    }
    let message =
        "Invalid name. Must be a valid name containing alphanumeric characters, or any of the following: -/_+=.@!";
    Err(Fault::validation(message))
}

fn check_description(description: Option<&str>) -> Result<(), Fault> {
    check::length(description.unwrap_or(""), "description", 0, DESCRIPTION_CHARS_MAX)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CreateSecret {
    name: String,
    client_request_token: Option<String>,
    description: Option<String>,
    kms_key_id: Option<String>,
    secret_binary: Option<String>,
    secret_string: Option<String>,
    #[serde(default)]
    tags: Vec<Tag>,
    #[serde(default)]
    add_replica_regions: Vec<serde_json::Value>,
    #[serde(rename = "Type")]
    secret_type: Option<String>,
}

#[derive(Serialize)]
struct Written {
    #[serde(flatten)]
    named: Named,
    #[serde(rename = "VersionId", skip_serializing_if = "Option::is_none")]
    version_id: Option<String>,
}

fn create_secret(tx: &mut Tx<'_>, input: CreateSecret) -> Outcome<Written> {
    check_name(&input.name)?;
    check_description(input.description.as_deref())?;
    if !input.add_replica_regions.is_empty() {
        return Err(invalid_parameter("Replication to other regions is not supported.").into());
    }
    let given = value::given(input.secret_string, input.secret_binary)?;
    let token = value::token(tx, input.client_request_token)?;
    let mut tags = Tags::new();
    tag::add(&mut tags, input.tags, too_many_tags)?;
    let key = key(tx, &input.name);
    if let Some(secret) = tx.get::<Secret>(&key)? {
        return again(tx, secret, &token, given.as_ref());
    }
    let suffix = password::letters(tx.entropy, 6);
    let now = tx.now_seconds();
    let mut secret = Secret {
        arn: tx.scope().arn("secretsmanager", format_args!("secret:{}-{suffix}", input.name)).to_string(),
        name: input.name,
        description: input.description.filter(|d| !d.is_empty()),
        kms_key_id: input.kms_key_id.filter(|k| !k.is_empty()),
        secret_type: input.secret_type.filter(|t| !t.is_empty()),
        created: now,
        changed: now,
        tags,
        deletion_millis: None,
        policy: None,
        versions: BTreeMap::new(),
    };
    let version_id = match given {
        Some(given) => Some(value::add_version(tx, &mut secret, token, given, &[CURRENT.to_owned()])?),
        None => None,
    };
    put(tx, &secret)?;
    Ok(Written { named: Named::of(&secret), version_id })
}

/// Create for a name that is taken: the same request once more, or a fault.
fn again(view: &View<'_>, secret: Secret, token: &str, given: Option<&value::Value>) -> Outcome<Written> {
    if secret.deletion_millis.is_some() {
        let message = "You can't create this secret because a secret with this name is already scheduled for deletion.";
        return Err(invalid_request(message).into());
    }
    let stored: Option<value::Value> = view.get(&value_key(view, &secret.name, token))?;
    if secret.versions.contains_key(token) && stored.is_some() && stored.as_ref() == given {
        return Ok(Written { named: Named::of(&secret), version_id: Some(token.to_owned()) });
    }
    let message = format!("The operation failed because the secret {} already exists.", secret.name);
    Err(Fault::client("ResourceExistsException", message).into())
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Description {
    #[serde(flatten)]
    named: Named,
    #[serde(skip_serializing_if = "Option::is_none")]
    r#type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kms_key_id: Option<String>,
    last_changed_date: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    deleted_date: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tags: Option<Vec<Tag>>,
    created_date: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    version_ids_to_stages: Option<BTreeMap<String, Vec<String>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret_versions_to_stages: Option<BTreeMap<String, Vec<String>>>,
}

impl Description {
    fn of(secret: &Secret) -> Description {
        let stages = secret.stages();
        Description {
            named: Named::of(secret),
            r#type: secret.secret_type.clone(),
            description: secret.description.clone(),
            kms_key_id: secret.kms_key_id.clone(),
            last_changed_date: secret.changed,
            deleted_date: secret.deletion(),
            tags: Some(tag::list(&secret.tags)),
            created_date: secret.created,
            version_ids_to_stages: (!stages.is_empty()).then_some(stages),
            secret_versions_to_stages: None,
        }
    }

    /// Lists name the versions' member in another way.
    fn in_list(secret: &Secret) -> Description {
        let mut description = Description::of(secret);
        description.secret_versions_to_stages = description.version_ids_to_stages.take();
        description
    }
}

fn describe_secret(view: &View<'_>, input: SecretId) -> Outcome<Description> {
    Ok(Description::of(&find(view, &input.secret_id)?))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct UpdateSecret {
    secret_id: String,
    client_request_token: Option<String>,
    description: Option<String>,
    kms_key_id: Option<String>,
    secret_binary: Option<String>,
    secret_string: Option<String>,
    #[serde(rename = "Type")]
    secret_type: Option<String>,
}

fn update_secret(tx: &mut Tx<'_>, input: UpdateSecret) -> Outcome<Written> {
    let mut secret = find_live(tx, &input.secret_id)?;
    check_description(input.description.as_deref())?;
    let given = value::given(input.secret_string, input.secret_binary)?;
    let token = value::token(tx, input.client_request_token)?;
    let set = |field: &mut Option<String>, new: Option<String>| {
        if new.is_some() {
            *field = new.filter(|text| !text.is_empty());
        }
    };
    set(&mut secret.description, input.description);
    set(&mut secret.kms_key_id, input.kms_key_id);
    set(&mut secret.secret_type, input.secret_type);
    let version_id = match given {
        Some(given) => Some(value::add_version(tx, &mut secret, token, given, &[CURRENT.to_owned()])?),
        None => None,
    };
    secret.changed = tx.now_seconds();
    put(tx, &secret)?;
    Ok(Written { named: Named::of(&secret), version_id })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DeleteSecret {
    secret_id: String,
    recovery_window_in_days: Option<i64>,
    force_delete_without_recovery: Option<bool>,
}

#[derive(Serialize)]
struct Deleted {
    #[serde(flatten)]
    named: Named,
    #[serde(rename = "DeletionDate")]
    deletion_date: f64,
}

fn delete_secret(tx: &mut Tx<'_>, input: DeleteSecret) -> Outcome<Deleted> {
    let force = input.force_delete_without_recovery == Some(true);
    if force && input.recovery_window_in_days.is_some() {
        let message = "You can't use ForceDeleteWithoutRecovery in conjunction with RecoveryWindowInDays.";
        return Err(invalid_parameter(message).into());
    }
    let days = input.recovery_window_in_days.unwrap_or(RECOVERY_DAYS);
    if !(7..=30).contains(&days) {
        let message = "The RecoveryWindowInDays value must be between 7 and 30 days (inclusive).";
        return Err(invalid_parameter(message).into());
    }
    if force {
        return delete_at_once(tx, &input.secret_id);
    }
    let mut secret = find_live(tx, &input.secret_id)?;
    let at = tx.now + Duration::from_secs(days.unsigned_abs() * 86_400);
    secret.deletion_millis = Some(at.as_millis());
    put(tx, &secret)?;
    let due = due_of(tx, &secret.name, at);
    tx.put(due, &())?;
    Ok(Deleted { named: Named::of(&secret), deletion_date: at.as_seconds_f64() })
}

fn due_of(view: &View<'_>, name: &str, at: Timestamp) -> Key {
    due_key(at, "secret", &[view.scope().account(), view.scope().region(), name])
}

/// AWS answers as if it had been there even if there is none of that name.
fn delete_at_once(tx: &mut Tx<'_>, id: &str) -> Outcome<Deleted> {
    let deletion_date = tx.now_seconds();
    match find(tx, id) {
        Ok(secret) => {
            if let Some(millis) = secret.deletion_millis {
                let due = due_of(tx, &secret.name, Timestamp::from_millis(millis));
                tx.delete(due);
            }
            let key = key(tx, &secret.name);
            tx.delete(key);
            tx.delete_all(&values(tx.scope().account(), tx.scope().region(), &secret.name))?;
            Ok(Deleted { named: Named::of(&secret), deletion_date })
        }
        Err(crate::tx::Failure::Fault(fault)) if fault.message == NOT_FOUND && !id.starts_with("arn:") => {
            let suffix = password::letters(tx.entropy, 6);
            let arn = tx.scope().arn("secretsmanager", format_args!("secret:{id}-{suffix}")).to_string();
            Ok(Deleted { named: Named { arn, name: id.to_owned() }, deletion_date })
        }
        Err(failure) => Err(failure),
    }
}

/// Deletes a secret whose recovery window is over.
pub(crate) fn purge(turn: &mut Turn<'_>, account: &str, region: &str, name: &str) -> Result<(), Error> {
    turn.delete(space(account, region).str(name));
    for (key, _) in turn.scan(&Range::prefix(values(account, region, name).as_bytes()))? {
        turn.delete(key);
    }
    Ok(())
}

fn restore_secret(tx: &mut Tx<'_>, input: SecretId) -> Outcome<Named> {
    let mut secret = find(tx, &input.secret_id)?;
    if let Some(millis) = secret.deletion_millis.take() {
        let due = due_of(tx, &secret.name, Timestamp::from_millis(millis));
        tx.delete(due);
        put(tx, &secret)?;
    }
    Ok(Named::of(&secret))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct TagResource {
    secret_id: String,
    tags: Vec<Tag>,
}

fn tag_resource(tx: &mut Tx<'_>, input: TagResource) -> Outcome<Nothing> {
    let mut secret = find_live(tx, &input.secret_id)?;
    tag::add(&mut secret.tags, input.tags, too_many_tags)?;
    put(tx, &secret)?;
    Ok(Nothing {})
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct UntagResource {
    secret_id: String,
    tag_keys: Vec<String>,
}

fn untag_resource(tx: &mut Tx<'_>, input: UntagResource) -> Outcome<Nothing> {
    let mut secret = find_live(tx, &input.secret_id)?;
    secret.tags.retain(|key, _| !input.tag_keys.contains(key));
    put(tx, &secret)?;
    Ok(Nothing {})
}

#[derive(Serialize)]
struct ResourcePolicy {
    #[serde(flatten)]
    named: Named,
    #[serde(rename = "ResourcePolicy", skip_serializing_if = "Option::is_none")]
    policy: Option<String>,
}

fn get_resource_policy(view: &View<'_>, input: SecretId) -> Outcome<ResourcePolicy> {
    let secret = find_live(view, &input.secret_id)?;
    Ok(ResourcePolicy { named: Named::of(&secret), policy: secret.policy })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PutResourcePolicy {
    secret_id: String,
    resource_policy: String,
}

fn put_resource_policy(tx: &mut Tx<'_>, input: PutResourcePolicy) -> Outcome<Named> {
    let mut secret = find_live(tx, &input.secret_id)?;
    check::length(&input.resource_policy, "resourcePolicy", 1, POLICY_CHARS_MAX)?;
    Policy::parse(&input.resource_policy, PolicyKind::Resource)
        .map_err(|e| Fault::client("MalformedPolicyDocumentException", e.0))?;
    secret.policy = Some(input.resource_policy);
    put(tx, &secret)?;
    Ok(Named::of(&secret))
}

fn delete_resource_policy(tx: &mut Tx<'_>, input: SecretId) -> Outcome<Named> {
    let mut secret = find_live(tx, &input.secret_id)?;
    secret.policy = None;
    put(tx, &secret)?;
    Ok(Named::of(&secret))
}
