//! The operations of `rds` that a template needs to have a cluster for the Data API.

use std::collections::BTreeMap;
use std::sync::Arc;

use base::Scope;
use serde::Deserialize;
use serde_json::{Value, json};
use service::{Call, Fault};
use store::{KeyReader, Range};
use tracing::error;

use crate::cluster::{self, Cluster};
use crate::fault;
use crate::machine::{Change, Changed, Input};
use crate::service::State;

const CLUSTERS_MAX: usize = 40;
const TAGS_MAX: usize = 50;
const IDENTIFIER_LENGTH_MAX: usize = 63;
const PASSWORD_LENGTH_MIN: usize = 8;
const DEFAULT_VERSION: &str = "16.4";

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct CreateInput {
    #[serde(rename = "DBClusterIdentifier")]
    identifier: Option<String>,
    engine: Option<String>,
    engine_version: Option<String>,
    engine_mode: Option<String>,
    database_name: Option<String>,
    master_username: Option<String>,
    master_user_password: Option<String>,
    manage_master_user_password: Option<bool>,
    enable_http_endpoint: Option<bool>,
    port: Option<u16>,
    deletion_protection: Option<bool>,
    storage_encrypted: Option<bool>,
    backup_retention_period: Option<i64>,
    #[serde(rename = "EnableIAMDatabaseAuthentication")]
    enable_iam: Option<bool>,
    tags: Option<Vec<Tag>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ModifyInput {
    #[serde(rename = "DBClusterIdentifier")]
    identifier: Option<String>,
    engine_version: Option<String>,
    master_user_password: Option<String>,
    enable_http_endpoint: Option<bool>,
    port: Option<u16>,
    deletion_protection: Option<bool>,
    backup_retention_period: Option<i64>,
    #[serde(rename = "NewDBClusterIdentifier")]
    new_identifier: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DescribeInput {
    #[serde(rename = "DBClusterIdentifier")]
    identifier: Option<String>,
    filters: Option<Vec<Value>>,
    max_records: Option<usize>,
    marker: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DeleteInput {
    #[serde(rename = "DBClusterIdentifier")]
    identifier: Option<String>,
    skip_final_snapshot: Option<bool>,
    #[serde(rename = "FinalDBSnapshotIdentifier")]
    final_snapshot: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Tag {
    key: Option<String>,
    value: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct TagsInput {
    resource_name: Option<String>,
    tags: Option<Vec<Tag>>,
    tag_keys: Option<Vec<String>>,
}

fn invalid(message: impl Into<String>) -> Fault {
    Fault::client("InvalidParameterValue", message)
}

fn combination(message: impl Into<String>) -> Fault {
    Fault::client("InvalidParameterCombination", message)
}

fn not_found(identifier: &str) -> Fault {
    Fault::with_status(404, "DBClusterNotFoundFault", format!("DBCluster {identifier} not found."))
}

pub(crate) async fn create(state: &Arc<State>, call: Call, input: CreateInput) -> Result<Value, Fault> {
    let identifier = new_identifier(input.identifier.as_deref())?;
    let cluster = wanted(state, &call.scope, &identifier, &input)?;
    if state.cluster(&call.scope, &identifier)?.is_none() && state.count(&call.scope)? >= CLUSTERS_MAX {
        return Err(Fault::with_status(403, "DBClusterQuotaExceededFault", "The quota of DB clusters is exceeded"));
    }
    let managed = input.manage_master_user_password == Some(true);
    let mut cluster = cluster;
    if managed && state.cluster(&call.scope, &identifier)?.is_none() {
        cluster.master_secret_arn = Some(state.make_secret(&call, &cluster).await?);
    }
    let secret = cluster.master_secret_arn.clone();
    let endpoint = state.endpoint(&cluster);
    let change: Change = Box::new(move |old, now| {
        if old.is_some() {
            return Err(Fault::client("DBClusterAlreadyExistsFault", "DB Cluster already exists"));
        }
        cluster.created_at_ms = now.as_millis();
        let shown = show(&cluster, "creating", &endpoint);
        Ok((Changed::Put(Box::new(cluster)), json!({"DBCluster": shown})))
    });
    let created = state.change(&call, &call.scope, identifier, change).await;
    if let (Err(_), Some(secret)) = (&created, secret) {
        state.drop_secret(&call, &secret).await;
    }
    created
}

fn wanted(state: &State, scope: &Scope, identifier: &str, input: &CreateInput) -> Result<Cluster, Fault> {
    let engine = input.engine.as_deref().ok_or_else(|| invalid("The parameter Engine must be provided"))?;
    if engine != "aurora-postgresql" {
        return Err(invalid(format!("Engine {engine} is not supported: the Data API is served for aurora-postgresql")));
    }
    let managed = input.manage_master_user_password == Some(true);
    let username = input.master_username.clone().ok_or_else(|| combination("MasterUsername must be provided"))?;
    match (&input.master_user_password, managed) {
        (Some(_), true) => {
            return Err(combination("You can't specify MasterUserPassword when ManageMasterUserPassword is true"));
        }
        (None, false) => return Err(combination("MasterUserPassword must be provided")),
        (Some(password), false) => check_password(password)?,
        (None, true) => {}
    }
    Ok(Cluster {
        account: scope.account().to_owned(),
        region: scope.region().to_owned(),
        identifier: identifier.to_owned(),
        resource_id: format!("cluster-{}", state.entropy.uuid().replace('-', "").to_uppercase()),
        engine: engine.to_owned(),
        engine_version: input.engine_version.clone().unwrap_or_else(|| DEFAULT_VERSION.to_owned()),
        engine_mode: input.engine_mode.clone(),
        database_name: input.database_name.clone().filter(|n| !n.is_empty()),
        master_username: username,
        master_secret_arn: None,
        http_endpoint: input.enable_http_endpoint.unwrap_or(false),
        port: input.port,
        created_at_ms: 0,
        deletion_protection: input.deletion_protection.unwrap_or(false),
        storage_encrypted: input.storage_encrypted.unwrap_or(false),
        backup_retention_days: input.backup_retention_period,
        iam_authentication: input.enable_iam.unwrap_or(false),
        tags: add_tags(BTreeMap::new(), input.tags.as_deref().unwrap_or_default())?,
    })
}

fn check_password(password: &str) -> Result<(), Fault> {
    if password.chars().count() < PASSWORD_LENGTH_MIN {
        return Err(invalid(format!(
            "The parameter MasterUserPassword is not a valid password because it is shorter than \
             {PASSWORD_LENGTH_MIN} characters."
        )));
    }
    Ok(())
}

/// A new cluster's identifier, in lower case.
fn new_identifier(given: Option<&str>) -> Result<String, Fault> {
    let given = given.ok_or_else(|| invalid("The parameter DBClusterIdentifier must be provided"))?;
    let fits = given.starts_with(|c: char| c.is_ascii_alphabetic())
        && given.len() <= IDENTIFIER_LENGTH_MAX
        && given.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        && !given.ends_with('-')
        && !given.contains("--");
    if !fits {
        return Err(invalid(
            "The parameter DBClusterIdentifier is not a valid identifier. Identifiers must begin with a letter; must \
             contain only ASCII letters, digits, and hyphens; and must not end with a hyphen or contain two \
             consecutive hyphens.",
        ));
    }
    Ok(given.to_lowercase())
}

/// Scope and identifier of a cluster that is named by either or by its ARN.
fn named(call: &Call, given: Option<&str>) -> Result<(Scope, String), Fault> {
    let given = given.ok_or_else(|| invalid("The parameter DBClusterIdentifier must be provided"))?;
    Ok(cluster::of_arn(given).unwrap_or_else(|| (call.scope.clone(), given.to_lowercase())))
}

pub(crate) async fn modify(state: &Arc<State>, call: Call, input: ModifyInput) -> Result<Value, Fault> {
    let (scope, identifier) = named(&call, input.identifier.as_deref())?;
    if input.new_identifier.is_some() {
        return Err(invalid("Renaming a DB cluster is not supported"));
    }
    if let Some(password) = &input.master_user_password {
        check_password(password)?;
    }
    let found = state.cluster(&scope, &identifier)?.ok_or_else(|| not_found(&identifier))?;
    let endpoint = state.endpoint(&found);
    let wanted = identifier.clone();
    let change: Change = Box::new(move |old, _| {
        let mut cluster = old.ok_or_else(|| not_found(&wanted))?.clone();
        if let Some(version) = input.engine_version {
            cluster.engine_version = version;
        }
        cluster.http_endpoint = input.enable_http_endpoint.unwrap_or(cluster.http_endpoint);
        cluster.port = input.port.or(cluster.port);
        cluster.deletion_protection = input.deletion_protection.unwrap_or(cluster.deletion_protection);
        cluster.backup_retention_days = input.backup_retention_period.or(cluster.backup_retention_days);
        let shown = show(&cluster, "available", &endpoint);
        Ok((Changed::Put(Box::new(cluster)), json!({"DBCluster": shown})))
    });
    state.change(&call, &scope, identifier, change).await
}

pub(crate) async fn describe(state: &Arc<State>, call: Call, input: DescribeInput) -> Result<Value, Fault> {
    if input.filters.is_some_and(|f| !f.is_empty()) {
        return Err(invalid("Filters of DescribeDBClusters are not supported"));
    }
    if let Some(given) = input.identifier.filter(|i| !i.is_empty()) {
        let (scope, identifier) = named(&call, Some(&given))?;
        let found = state.cluster(&scope, &identifier)?.ok_or_else(|| not_found(&given))?;
        return Ok(json!({"DBClusters": [show(&found, "available", &state.endpoint(&found))]}));
    }
    let limit = input.max_records.unwrap_or(100);
    if !(20..=100).contains(&limit) {
        return Err(invalid(format!("Invalid value {limit} for MaxRecords. Must be between 20 and 100")));
    }
    let mut range = Range::prefix(&cluster::clusters_of(&call.scope)).limit(limit + 1);
    if let Some(marker) = &input.marker {
        range = range.after(&cluster::key(&call.scope, marker));
    }
    let entries = state.store.scan(&range).map_err(|e| fault::store(&e))?;
    let more = entries.len() > limit;
    let mut shown = Vec::new();
    let mut last = String::new();
    for (_, value) in entries.iter().take(limit) {
        let found = Cluster::decode(value).map_err(|e| fault::store(&e))?;
        shown.push(show(&found, "available", &state.endpoint(&found)));
        last = found.identifier;
    }
    Ok(if more { json!({"DBClusters": shown, "Marker": last}) } else { json!({"DBClusters": shown}) })
}

pub(crate) async fn delete(state: &Arc<State>, call: Call, input: DeleteInput) -> Result<Value, Fault> {
    let (scope, identifier) = named(&call, input.identifier.as_deref())?;
    let skip = input.skip_final_snapshot.unwrap_or(false);
    match (skip, input.final_snapshot.is_some()) {
        (true, true) => {
            return Err(combination("FinalDBSnapshotIdentifier can't be specified when SkipFinalSnapshot is true"));
        }
        (false, false) => {
            return Err(combination("FinalDBSnapshotIdentifier is required unless SkipFinalSnapshot is specified."));
        }
        (false, true) => return Err(combination("Snapshots are not supported; specify SkipFinalSnapshot")),
        (true, false) => {}
    }
    let found = state.cluster(&scope, &identifier)?.ok_or_else(|| not_found(&identifier))?;
    let endpoint = state.endpoint(&found);
    let wanted = identifier.clone();
    let change: Change = Box::new(move |old, _| {
        let cluster = old.ok_or_else(|| not_found(&wanted))?;
        if cluster.deletion_protection {
            let message = "Cannot delete protected Cluster, please disable deletion protection and try again.";
            return Err(combination(message));
        }
        Ok((Changed::Delete, json!({"DBCluster": show(cluster, "deleting", &endpoint)})))
    });
    let answer = state.change(&call, &scope, identifier, change).await?;
    state.transactions.remove_of(found.arn().as_str());
    let (engine, folder) = (state.engine.clone(), found.resource_id.clone());
    let removed = tokio::task::spawn_blocking(move || engine.remove(&folder)).await;
    if let Ok(Err(problem)) = removed {
        // The next start tries again.
        error!(cluster = found.identifier, error = %problem, "files of a deleted cluster not removed");
    }
    if let Some(secret) = &found.master_secret_arn {
        state.drop_secret(&call, secret).await;
    }
    Ok(answer)
}

pub(crate) async fn add_tags_to_resource(state: &Arc<State>, call: Call, input: TagsInput) -> Result<Value, Fault> {
    let tags = input.tags.unwrap_or_default();
    state.retag(&call, input.resource_name.as_deref(), move |old| add_tags(old, &tags)).await
}

pub(crate) async fn remove_tags_from_resource(
    state: &Arc<State>,
    call: Call,
    input: TagsInput,
) -> Result<Value, Fault> {
    let keys = input.tag_keys.unwrap_or_default();
    state
        .retag(&call, input.resource_name.as_deref(), move |mut old| {
            old.retain(|key, _| !keys.contains(key));
            Ok(old)
        })
        .await
}

pub(crate) async fn list_tags_for_resource(state: &Arc<State>, _: Call, input: TagsInput) -> Result<Value, Fault> {
    let (scope, identifier) = resource(input.resource_name.as_deref())?;
    let found = state.cluster(&scope, &identifier)?.ok_or_else(|| not_found(&identifier))?;
    Ok(json!({"TagList": tag_list(&found)}))
}

fn resource(name: Option<&str>) -> Result<(Scope, String), Fault> {
    let name = name.ok_or_else(|| invalid("The parameter ResourceName must be provided"))?;
    cluster::of_arn(name).ok_or_else(|| invalid(format!("Invalid resource name: {name}")))
}

fn add_tags(mut old: BTreeMap<String, String>, new: &[Tag]) -> Result<BTreeMap<String, String>, Fault> {
    for tag in new {
        let key = tag.key.clone().filter(|k| !k.is_empty()).ok_or_else(|| invalid("A tag must have a key"))?;
        old.insert(key, tag.value.clone().unwrap_or_default());
    }
    if old.len() > TAGS_MAX {
        return Err(invalid("A resource can have at most 50 tags"));
    }
    Ok(old)
}

fn tag_list(cluster: &Cluster) -> Value {
    cluster.tags.iter().map(|(key, value)| json!({"Key": key, "Value": value})).collect()
}

/// DBCluster as the API shows it.
fn show(cluster: &Cluster, status: &str, (host, port): &(String, u16)) -> Value {
    let mut shown = json!({
        "AllocatedStorage": 1,
        "BackupRetentionPeriod": cluster.backup_retention_days.unwrap_or(1),
        "ClusterCreateTime": cluster.created_at().as_seconds_f64(),
        "DBClusterArn": cluster.arn(),
        "DBClusterIdentifier": cluster.identifier,
        "DBClusterMembers": [],
        "DbClusterResourceId": cluster.resource_id,
        "DeletionProtection": cluster.deletion_protection,
        "Endpoint": host,
        "Engine": cluster.engine,
        "EngineMode": cluster.engine_mode.as_deref().unwrap_or("provisioned"),
        "EngineVersion": cluster.engine_version,
        "HttpEndpointEnabled": cluster.http_endpoint,
        "IAMDatabaseAuthenticationEnabled": cluster.iam_authentication,
        "MasterUsername": cluster.master_username,
        "MultiAZ": false,
        "Port": port,
        "ReaderEndpoint": host,
        "Status": status,
        "StorageEncrypted": cluster.storage_encrypted,
        "TagList": tag_list(cluster),
    });
    if let Some(name) = &cluster.database_name {
        shown["DatabaseName"] = name.as_str().into();
    }
    if let Some(arn) = &cluster.master_secret_arn {
        shown["MasterUserSecret"] = json!({"SecretArn": arn, "SecretStatus": "active"});
    }
    shown
}

impl State {
    /// A cluster that is there.
    pub(crate) fn cluster(&self, scope: &Scope, identifier: &str) -> Result<Option<Cluster>, Fault> {
        let found = self.store.get(&cluster::key(scope, identifier)).map_err(|e| fault::store(&e))?;
        found.map(|bytes| Cluster::decode(&bytes)).transpose().map_err(|e| fault::store(&e))
    }

    fn count(&self, scope: &Scope) -> Result<usize, Fault> {
        let range = Range::prefix(&cluster::clusters_of(scope)).limit(CLUSTERS_MAX);
        self.store.scan(&range).map(|e| e.len()).map_err(|e| fault::store(&e))
    }

    /// Host and port of whatever stands behind a cluster.
    fn endpoint(&self, cluster: &Cluster) -> (String, u16) {
        match self.servers.get(&cluster.identifier).or(self.default_server.as_ref()) {
            Some(server) => server.address(),
            // The embedded engine is reached by the Data API alone.
            None => ("localhost".to_owned(), cluster.port.unwrap_or(5432)),
        }
    }

    async fn change(&self, call: &Call, scope: &Scope, identifier: String, change: Change) -> Result<Value, Fault> {
        let (scope, effect) = (scope.clone(), call.effect.clone());
        let sent = self.cell.call(|reply| Input { scope, identifier, change, effect, reply });
        sent.await.map_err(|e| fault::cell(&e))?
    }

    async fn retag(
        &self,
        call: &Call,
        name: Option<&str>,
        retag: impl FnOnce(BTreeMap<String, String>) -> Result<BTreeMap<String, String>, Fault> + Send + 'static,
    ) -> Result<Value, Fault> {
        let (scope, identifier) = resource(name)?;
        let wanted = identifier.clone();
        let change: Change = Box::new(move |old, _| {
            let mut cluster = old.ok_or_else(|| not_found(&wanted))?.clone();
            cluster.tags = retag(std::mem::take(&mut cluster.tags))?;
            Ok((Changed::Put(Box::new(cluster)), json!({})))
        });
        self.change(call, &scope, identifier, change).await
    }

    /// Makes the secret of a master user whose password we choose.
    async fn make_secret(&self, call: &Call, cluster: &Cluster) -> Result<String, Fault> {
        let password = format!("{}{}", self.entropy.uuid(), self.entropy.uuid()).replace('-', "");
        let secret = json!({"username": cluster.master_username, "password": password});
        let name = format!("rds!{}", cluster.resource_id.to_lowercase());
        let input = json!({"Name": name, "SecretString": secret.to_string()});
        let mut own = call.clone();
        own.effect = None;
        let made = (self.secrets)(own, "CreateSecret", input).await?;
        made["ARN"].as_str().map(str::to_owned).ok_or_else(|| Fault::internal("CreateSecret answered no ARN"))
    }

    async fn drop_secret(&self, call: &Call, arn: &str) {
        let mut own = call.clone();
        own.effect = None;
        let input = json!({"SecretId": arn, "ForceDeleteWithoutRecovery": true});
        if let Err(problem) = (self.secrets)(own, "DeleteSecret", input).await {
            error!(secret = arn, error = %problem, "secret of a deleted cluster not removed");
        }
    }
}

/// The resource ids of all clusters, of all accounts.
pub(crate) fn resource_ids(store: &dyn store::Store) -> Result<Vec<String>, store::Error> {
    let prefix = cluster::clusters();
    let entries = store.scan(&Range::prefix(&prefix))?;
    entries
        .iter()
        .map(|(key, value)| {
            KeyReader::new(key).str()?;
            Cluster::decode(value).map(|c| c.resource_id)
        })
        .collect()
}
