use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use service::{Call, Fault};

use super::tags::{Tag, tag_pairs};
use super::target::{MachineArn, Qualifier, find, find_any};
use super::validate::parse;
use super::versions::seconds;
use super::{Adder, Empty, page};
use crate::catalog::{MachineUpdate, NewMachine, Publish, StateMachine, machine_arn};
use crate::engine::Inner;
use crate::fault;
use crate::logging::LoggingConfiguration;
use crate::record::{MachineRecord, Revision};

pub(super) fn add(to: &mut Adder<'_>) {
    to.operation("CreateStateMachine", create);
    to.operation("UpdateStateMachine", update);
    to.operation("DescribeStateMachine", describe);
    to.operation("ListStateMachines", list);
    to.operation("DeleteStateMachine", delete);
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CreateInput {
    name: String,
    definition: String,
    role_arn: String,
    #[serde(rename = "type")]
    kind: Option<String>,
    logging_configuration: Option<LoggingConfiguration>,
    #[serde(default)]
    tags: Vec<Tag>,
    tracing_configuration: Option<TracingConfiguration>,
    encryption_configuration: Option<EncryptionConfiguration>,
    #[serde(default)]
    publish: bool,
    version_description: Option<String>,
}

#[derive(Deserialize, Serialize, Default, Clone, Copy)]
pub(super) struct TracingConfiguration {
    #[serde(default)]
    pub enabled: bool,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct EncryptionConfiguration {
    #[serde(skip_serializing_if = "Option::is_none")]
    kms_key_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kms_data_key_reuse_period_seconds: Option<u32>,
    #[serde(rename = "type")]
    kind: String,
}

impl EncryptionConfiguration {
    /// What is stored of it: nothing of AWS's own key.
    pub fn to_json(&self) -> Result<Option<String>, Fault> {
        let own = self.kind == "AWS_OWNED_KEY";
        if own == self.kms_key_id.is_some() || (own && self.kms_data_key_reuse_period_seconds.is_some()) {
            let message = "Invalid Encryption Configuration: a KMS key belongs to the type CUSTOMER_MANAGED_KMS_KEY, and to no other";
            return Err(Fault::client("InvalidEncryptionConfiguration", message));
        }
        Ok((!own).then(|| serde_json::to_string(self).expect("a struct of texts can be written")))
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CreateOutput {
    state_machine_arn: String,
    creation_date: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    state_machine_version_arn: Option<String>,
}

async fn create(engine: Arc<Inner>, call: Call, input: CreateInput) -> Result<CreateOutput, Fault> {
    fault::check_name(&input.name)?;
    check_role(&input.role_arn)?;
    let now_ms = engine.clock.now().as_millis();
    let publish = wanted_version(input.publish, input.version_description, now_ms)?;
    let express = input.kind.as_deref() == Some("EXPRESS");
    let tags = tag_pairs(input.tags, machine_arn(&call.scope, &input.name).as_str())?;
    let logging = input.logging_configuration.unwrap_or_default();
    logging.check(&call, engine.dispatcher.registry.get()).await?;
    let definition = parse(&engine, &input.definition, express)?;
    let revision = Revision {
        id: None,
        definition_id: 0,
        role_arn: input.role_arn,
        updated_ms: now_ms,
        logging_json: logging.to_json(),
        tracing: input.tracing_configuration.unwrap_or_default().enabled,
        encryption_json: input.encryption_configuration.map_or(Ok(None), |e| e.to_json())?,
    };
    let record = MachineRecord { name: input.name, express, created_ms: now_ms, tags, revision, last_version: 0 };
    let new = NewMachine { record, text: input.definition.into(), definition: Arc::new(definition), publish };
    let (machine, version) = engine.catalog.create_machine(call.scope, new).await?;
    Ok(CreateOutput {
        state_machine_arn: machine.arn.to_string(),
        creation_date: seconds(machine.record.created_ms),
        state_machine_version_arn: version.map(|number| machine.version_arn(number)),
    })
}

fn wanted_version(publish: bool, description: Option<String>, now_ms: i64) -> Result<Option<Publish>, Fault> {
    if !publish && description.is_some() {
        return Err(Fault::validation("Version description can only be set when publish is true"));
    }
    Ok(publish.then_some(Publish { description, now_ms }))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct UpdateInput {
    state_machine_arn: String,
    definition: Option<String>,
    role_arn: Option<String>,
    logging_configuration: Option<LoggingConfiguration>,
    tracing_configuration: Option<TracingConfiguration>,
    encryption_configuration: Option<EncryptionConfiguration>,
    #[serde(default)]
    publish: bool,
    version_description: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct UpdateOutput {
    update_date: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    revision_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state_machine_version_arn: Option<String>,
}

async fn update(engine: Arc<Inner>, call: Call, input: UpdateInput) -> Result<UpdateOutput, Fault> {
    let machine = find(&engine, &input.state_machine_arn)?;
    if input.definition.is_none()
        && input.role_arn.is_none()
        && input.logging_configuration.is_none()
        && input.tracing_configuration.is_none()
        && input.encryption_configuration.is_none()
    {
        let message = "Either the definition, the role ARN, the LoggingConfiguration, or the TracingConfiguration must be specified";
        return Err(Fault::client("MissingRequiredParameter", message));
    }
    input.role_arn.as_deref().map_or(Ok(()), check_role)?;
    let now_ms = engine.clock.now().as_millis();
    let publish = wanted_version(input.publish, input.version_description, now_ms)?;
    if let Some(logging) = &input.logging_configuration {
        logging.check(&call, engine.dispatcher.registry.get()).await?;
    }
    let definition = match input.definition {
        None => None,
        Some(text) => {
            let definition = parse(&engine, &text, machine.record.express)?;
            Some((text.into(), Arc::new(definition)))
        }
    };
    let update = MachineUpdate {
        definition,
        role_arn: input.role_arn,
        logging_json: input.logging_configuration.map(|l| l.to_json()),
        tracing: input.tracing_configuration.map(|t| t.enabled),
        encryption_json: input.encryption_configuration.map(|e| e.to_json()).transpose()?,
        publish,
        now_ms,
        revision_id: engine.entropy.uuid(),
    };
    let (machine, version) = engine.catalog.update_machine(machine.arn.clone(), update).await?;
    Ok(UpdateOutput {
        update_date: seconds(machine.record.revision.updated_ms),
        revision_id: machine.record.revision.id.clone(),
        state_machine_version_arn: version.map(|number| machine.version_arn(number)),
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DescribeInput {
    state_machine_arn: String,
    included_data: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Description {
    state_machine_arn: String,
    name: String,
    status: &'static str,
    definition: String,
    role_arn: String,
    #[serde(rename = "type")]
    kind: &'static str,
    creation_date: f64,
    logging_configuration: LoggingConfiguration,
    tracing_configuration: TracingConfiguration,
    encryption_configuration: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    revision_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    #[serde(skip_serializing_if = "VariableReferences::is_empty")]
    variable_references: VariableReferences,
}

/// Which workflow variables states read, by name of the state.
pub(super) type VariableReferences = BTreeMap<String, Vec<String>>;

/// The references of a definition, as answers give them.
pub(super) fn variable_references(definition: &asl::StateMachine) -> VariableReferences {
    let references = definition.variable_references().into_iter();
    references.map(|(state, names)| (state.to_owned(), names.iter().map(|name| name.to_string()).collect())).collect()
}

async fn describe(engine: Arc<Inner>, _: Call, input: DescribeInput) -> Result<Description, Fault> {
    let (machine, qualifier) = find_any(&engine, &input.state_machine_arn)?;
    let record = &machine.record;
    let (arn, created_ms, revision, description) = match qualifier {
        None => (machine.arn.to_string(), record.created_ms, &record.revision, None),
        Some(Qualifier::Version(number)) => {
            let version = &machine.versions[&number];
            (machine.version_arn(number), version.created_ms, &version.revision, version.description.clone())
        }
        // Which of its versions an alias leads to is not known before a start.
        Some(Qualifier::Alias(_)) => return Err(fault::machine_does_not_exist(&input.state_machine_arn)),
    };
    let metadata_only = input.included_data.as_deref() == Some("METADATA_ONLY");
    let variable_references = match metadata_only {
        true => VariableReferences::new(),
        false => variable_references(&*engine.catalog.definition_of(&machine, revision).map_err(fault::from_store)?),
    };
    let definition = if metadata_only {
        "{}".to_owned()
    } else if revision.definition_id == record.revision.definition_id {
        machine.text.to_string()
    } else {
        engine.catalog.definition_text(revision.definition_id).map_err(fault::from_store)?
    };
    Ok(Description {
        state_machine_arn: arn,
        name: record.name.clone(),
        status: "ACTIVE",
        definition,
        role_arn: revision.role_arn.clone(),
        kind: kind(&machine),
        creation_date: seconds(created_ms),
        logging_configuration: LoggingConfiguration::read(revision.logging_json.as_deref()),
        tracing_configuration: TracingConfiguration { enabled: revision.tracing },
        encryption_configuration: encryption(revision.encryption_json.as_deref()),
        revision_id: revision.id.clone(),
        description,
        variable_references,
    })
}

/// The encryption configuration that is stored, as answers give it.
pub(super) fn encryption(json: Option<&str>) -> Value {
    let stored = json.and_then(|json| serde_json::from_str(json).ok());
    stored.unwrap_or_else(|| json!({"type": "AWS_OWNED_KEY"}))
}

fn kind(machine: &StateMachine) -> &'static str {
    if machine.record.express { "EXPRESS" } else { "STANDARD" }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListInput {
    max_results: Option<i64>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ListOutput {
    state_machines: Vec<ListEntry>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ListEntry {
    state_machine_arn: String,
    name: String,
    #[serde(rename = "type")]
    kind: &'static str,
    creation_date: f64,
}

async fn list(engine: Arc<Inner>, call: Call, input: ListInput) -> Result<ListOutput, Fault> {
    let query = page::Query::new("machines", &[call.scope.account(), call.scope.region()]);
    let all = engine.catalog.machines(&call.scope);
    let limit = page::limit(input.max_results);
    let (found, next_token) =
        page::by_name(&query, all, |m| m.record.name.as_str(), input.next_token.as_deref(), limit)?;
    let state_machines = found.iter().map(|m| ListEntry {
        state_machine_arn: m.arn.to_string(),
        name: m.record.name.clone(),
        kind: kind(m),
        creation_date: seconds(m.record.created_ms),
    });
    Ok(ListOutput { state_machines: state_machines.collect(), next_token })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DeleteInput {
    state_machine_arn: String,
}

async fn delete(engine: Arc<Inner>, _: Call, input: DeleteInput) -> Result<Empty, Fault> {
    let arn = MachineArn::parse(&input.state_machine_arn)?;
    if arn.qualifier.is_some() {
        let message = format!("A version or an alias is not deleted by this operation: '{}'", input.state_machine_arn);
        return Err(Fault::validation(message));
    }
    engine.catalog.delete_machine(arn.machine).await?;
    Ok(Empty {})
}

fn check_role(arn: &str) -> Result<(), Fault> {
    match arn.parse::<base::Arn>() {
        Ok(role) if role.service() == "iam" && role.resource().starts_with("role/") => Ok(()),
        _ => Err(Fault::client("InvalidArn", format!("Invalid Role Arn: '{arn}'"))),
    }
}
