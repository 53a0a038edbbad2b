use std::collections::BTreeMap;
use std::sync::Arc;

use base::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use service::{Call, Fault};

use super::{Adder, Empty, page};
use crate::catalog::{NewMachine, StateMachine, machine_arn};
use crate::engine::Inner;
use crate::fault;
use crate::record::MachineRecord;
use crate::task::integration::unsupported;

pub(super) fn add(to: &mut Adder<'_>) {
    to.operation("CreateStateMachine", create);
    to.operation("UpdateStateMachine", update);
    to.operation("DescribeStateMachine", describe);
    to.operation("ListStateMachines", list);
    to.operation("DeleteStateMachine", delete);
    to.operation("ValidateStateMachineDefinition", validate);
    to.operation("TagResource", tag);
    to.operation("UntagResource", untag);
    to.operation("ListTagsForResource", list_tags);
}

#[derive(Deserialize, Serialize, Clone)]
pub(super) struct Tag {
    key: String,
    value: String,
}

pub(super) fn tag_pairs(tags: Vec<Tag>) -> Vec<(String, String)> {
    tags.into_iter().map(|t| (t.key, t.value)).collect::<BTreeMap<_, _>>().into_iter().collect()
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CreateInput {
    name: String,
    definition: String,
    role_arn: String,
    #[serde(rename = "type")]
    kind: Option<String>,
    logging_configuration: Option<Value>,
    #[serde(default)]
    tags: Vec<Tag>,
    tracing_configuration: Option<TracingConfiguration>,
    #[serde(default)]
    publish: bool,
}

#[derive(Deserialize, Serialize, Default, Clone, Copy)]
struct TracingConfiguration {
    #[serde(default)]
    enabled: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CreateOutput {
    state_machine_arn: String,
    creation_date: f64,
}

async fn create(engine: Arc<Inner>, call: Call, input: CreateInput) -> Result<CreateOutput, Fault> {
    fault::check_name(&input.name)?;
    check_role(&input.role_arn)?;
    refuse_publish(input.publish)?;
    let express = match input.kind.as_deref() {
        None | Some("STANDARD") => false,
        Some("EXPRESS") => true,
        Some(other) => return Err(invalid_value("type", other, "[STANDARD, EXPRESS]")),
    };
    let definition = parse(&engine, &input.definition, express)?;
    let now = engine.clock.now().as_millis();
    let record = MachineRecord {
        name: input.name,
        express,
        role_arn: input.role_arn,
        revision_id: engine.entropy.uuid(),
        definition_id: 0,
        created_ms: now,
        updated_ms: now,
        logging_json: input.logging_configuration.map(|l| l.to_string()),
        tracing: input.tracing_configuration.unwrap_or_default().enabled,
        tags: tag_pairs(input.tags),
    };
    let new = NewMachine { record, text: input.definition.into(), definition: Arc::new(definition) };
    let machine = engine.catalog.create_machine(call.scope, new).await?;
    Ok(CreateOutput {
        state_machine_arn: machine.arn.to_string(),
        creation_date: Timestamp::from_millis(machine.record.created_ms).as_seconds_f64(),
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct UpdateInput {
    state_machine_arn: String,
    definition: Option<String>,
    role_arn: Option<String>,
    logging_configuration: Option<Value>,
    tracing_configuration: Option<TracingConfiguration>,
    #[serde(default)]
    publish: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct UpdateOutput {
    update_date: f64,
    revision_id: String,
}

async fn update(engine: Arc<Inner>, _: Call, input: UpdateInput) -> Result<UpdateOutput, Fault> {
    let machine = find(&engine, &input.state_machine_arn)?;
    refuse_publish(input.publish)?;
    if input.definition.is_none()
        && input.role_arn.is_none()
        && input.logging_configuration.is_none()
        && input.tracing_configuration.is_none()
    {
        let message = "Either the definition, the role ARN, the LoggingConfiguration, or the TracingConfiguration must be specified";
        return Err(Fault::client("MissingRequiredParameter", message));
    }
    if let Some(role) = &input.role_arn {
        check_role(role)?;
    }
    let definition = match &input.definition {
        None => None,
        Some(text) => Some(Arc::new(parse(&engine, text, machine.record.express)?)),
    };
    let (now, revision_id) = (engine.clock.now().as_millis(), engine.entropy.uuid());
    let updated = engine
        .catalog
        .update_machine(machine.arn.clone(), move |old| {
            let mut record = old.record.clone();
            record.updated_ms = now;
            record.revision_id = revision_id;
            if let Some(role) = input.role_arn {
                record.role_arn = role;
            }
            if let Some(logging) = input.logging_configuration {
                record.logging_json = Some(logging.to_string());
            }
            if let Some(tracing) = input.tracing_configuration {
                record.tracing = tracing.enabled;
            }
            let text = input.definition.map_or_else(|| old.text.clone(), Into::into);
            NewMachine { record, text, definition: definition.unwrap_or_else(|| old.definition.clone()) }
        })
        .await?;
    Ok(UpdateOutput {
        update_date: Timestamp::from_millis(updated.record.updated_ms).as_seconds_f64(),
        revision_id: updated.record.revision_id.clone(),
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ArnInput {
    state_machine_arn: String,
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
    logging_configuration: Value,
    tracing_configuration: TracingConfiguration,
    encryption_configuration: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    revision_id: Option<String>,
}

async fn describe(engine: Arc<Inner>, _: Call, input: ArnInput) -> Result<Description, Fault> {
    Ok(description(&*find(&engine, &input.state_machine_arn)?))
}

fn description(machine: &StateMachine) -> Description {
    let record = &machine.record;
    let logging = record.logging_json.as_deref().and_then(|l| serde_json::from_str(l).ok());
    Description {
        state_machine_arn: machine.arn.to_string(),
        name: record.name.clone(),
        status: "ACTIVE",
        definition: machine.text.to_string(),
        role_arn: record.role_arn.clone(),
        kind: kind(machine),
        creation_date: Timestamp::from_millis(record.created_ms).as_seconds_f64(),
        logging_configuration: logging
            .unwrap_or_else(|| serde_json::json!({"level": "OFF", "includeExecutionData": false})),
        tracing_configuration: TracingConfiguration { enabled: record.tracing },
        encryption_configuration: serde_json::json!({"type": "AWS_OWNED_KEY"}),
        // AWS gives none before the first update.
        revision_id: (record.updated_ms != record.created_ms).then(|| record.revision_id.clone()),
    }
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
    let limit = page::limit(input.max_results)?;
    let all = engine.catalog.machines(&call.scope);
    let (found, next_token) = page::by_name(all, |m| m.record.name.clone(), input.next_token.as_deref(), limit)?;
    let state_machines = found.iter().map(|m| ListEntry {
        state_machine_arn: m.arn.to_string(),
        name: m.record.name.clone(),
        kind: kind(m),
        creation_date: Timestamp::from_millis(m.record.created_ms).as_seconds_f64(),
    });
    Ok(ListOutput { state_machines: state_machines.collect(), next_token })
}

async fn delete(engine: Arc<Inner>, _: Call, input: ArnInput) -> Result<Empty, Fault> {
    let (arn, mut parts) = fault::parse_arn(&input.state_machine_arn, "stateMachine")?;
    engine.catalog.delete_machine(arn, parts.swap_remove(0)).await?;
    Ok(Empty {})
}

#[derive(Deserialize)]
struct ValidateInput {
    definition: String,
    severity: Option<String>,
}

#[derive(Serialize)]
struct ValidateOutput {
    result: &'static str,
    diagnostics: Vec<DiagnosticOutput>,
    truncated: bool,
}

#[derive(Serialize)]
struct DiagnosticOutput {
    severity: &'static str,
    code: &'static str,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    location: Option<String>,
}

async fn validate(_: Arc<Inner>, _: Call, input: ValidateInput) -> Result<ValidateOutput, Fault> {
    let diagnostics = asl::validate(&input.definition);
    let warnings = input.severity.as_deref() == Some("WARNING");
    let shown = diagnostics.iter().filter(|d| warnings || d.severity == asl::Severity::Error);
    let shown = shown.map(|d| DiagnosticOutput {
        severity: d.severity.as_str(),
        code: d.code,
        message: d.message.clone(),
        location: d.location.clone(),
    });
    Ok(ValidateOutput {
        result: if diagnostics.has_errors() { "FAIL" } else { "OK" },
        diagnostics: shown.collect(),
        truncated: false,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TagInput {
    resource_arn: String,
    tags: Vec<Tag>,
}

async fn tag(engine: Arc<Inner>, _: Call, input: TagInput) -> Result<Empty, Fault> {
    let added = tag_pairs(input.tags);
    change_tags(&engine, &input.resource_arn, move |tags| tags.extend(added)).await
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct UntagInput {
    resource_arn: String,
    tag_keys: Vec<String>,
}

async fn untag(engine: Arc<Inner>, _: Call, input: UntagInput) -> Result<Empty, Fault> {
    change_tags(&engine, &input.resource_arn, move |tags| tags.retain(|k, _| !input.tag_keys.contains(k))).await
}

async fn change_tags(
    engine: &Inner,
    arn: &str,
    change: impl FnOnce(&mut BTreeMap<String, String>) + Send + 'static,
) -> Result<Empty, Fault> {
    let machine = engine.catalog.machine(arn).ok_or_else(|| resource_not_found(arn))?;
    let update = move |old: &StateMachine| {
        let mut record = old.record.clone();
        let mut tags = record.tags.into_iter().collect();
        change(&mut tags);
        record.tags = tags.into_iter().collect();
        NewMachine { record, text: old.text.clone(), definition: old.definition.clone() }
    };
    engine.catalog.update_machine(machine.arn.clone(), update).await?;
    Ok(Empty {})
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListTagsInput {
    resource_arn: String,
}

#[derive(Serialize)]
struct ListTagsOutput {
    tags: Vec<Tag>,
}

async fn list_tags(engine: Arc<Inner>, _: Call, input: ListTagsInput) -> Result<ListTagsOutput, Fault> {
    let pairs = match (engine.catalog.machine(&input.resource_arn), engine.catalog.activity(&input.resource_arn)) {
        (Some(machine), _) => machine.record.tags.clone(),
        (None, Some(activity)) => activity.record.tags.clone(),
        (None, None) => return Err(resource_not_found(&input.resource_arn)),
    };
    Ok(ListTagsOutput { tags: pairs.into_iter().map(|(key, value)| Tag { key, value }).collect() })
}

fn resource_not_found(arn: &str) -> Fault {
    Fault::client("ResourceNotFound", format!("Resource not found: '{arn}'"))
}

/// The machine that an ARN names.
pub(super) fn find(engine: &Inner, arn: &str) -> Result<Arc<StateMachine>, Fault> {
    let (parsed, parts) = fault::parse_arn(arn, "stateMachine")?;
    if parts.len() > 1 {
        return Err(Fault::validation("versions and aliases of state machines are not supported yet"));
    }
    let exact = machine_arn(&parsed.scope(), &parts[0]);
    engine.catalog.machine(exact.as_str()).ok_or_else(|| fault::machine_does_not_exist(arn))
}

fn check_role(arn: &str) -> Result<(), Fault> {
    match arn.parse::<base::Arn>() {
        Ok(role) if role.service() == "iam" && role.resource().starts_with("role/") => Ok(()),
        _ => Err(Fault::client("InvalidArn", format!("Invalid Role Arn: '{arn}'"))),
    }
}

fn refuse_publish(publish: bool) -> Result<(), Fault> {
    if publish {
        return Err(Fault::validation("publish: versions of state machines are not supported yet"));
    }
    Ok(())
}

fn invalid_value(member: &str, value: &str, allowed: &str) -> Fault {
    Fault::validation(format!(
        "1 validation error detected: Value '{value}' at '{member}' failed to satisfy constraint: Member must satisfy enum value set: {allowed}"
    ))
}

/// A definition that can run here, or all that speaks against it.
fn parse(engine: &Inner, text: &str, express: bool) -> Result<asl::StateMachine, Fault> {
    let definition =
        asl::parse(text).map_err(|diagnostics| Fault::client("InvalidDefinition", diagnostics.aws_message()))?;
    let mut found = None;
    check_tasks(&definition.body, engine, express, &mut found);
    match found {
        None => Ok(definition),
        Some((state, why)) => Err(Fault::client(
            "InvalidDefinition",
            format!("Invalid State Machine Definition: 'SCHEMA_VALIDATION_FAILED: {why} at /States/{state}/Resource'"),
        )),
    }
}

/// Finds the first task that cannot run: a service or pattern that is not there.
fn check_tasks(branch: &asl::Branch, engine: &Inner, express: bool, found: &mut Option<(asl::Name, String)>) {
    for state in branch.states.values() {
        match &state.kind {
            asl::StateKind::Task(task) => {
                let why = match &task.resource.kind {
                    asl::ResourceKind::Activity { .. } if express => {
                        Some("Express state machine does not support Activity ARN".to_owned())
                    }
                    asl::ResourceKind::Integration(i)
                        if express && i.pattern != asl::IntegrationPattern::RequestResponse =>
                    {
                        Some(format!(
                            "Express state machine does not support '{}' service integration",
                            i.pattern.suffix()
                        ))
                    }
                    asl::ResourceKind::Integration(integration) => match engine.dispatcher.registry.get() {
                        Some(registry) => unsupported(integration, |s, o| registry.has_operation(s, o)),
                        None => None,
                    },
                    _ => None,
                };
                if let Some(why) = why {
                    found.get_or_insert((state.name.clone(), why));
                }
            }
            asl::StateKind::Parallel { branches } => {
                branches.iter().for_each(|b| check_tasks(b, engine, express, found))
            }
            asl::StateKind::Map(map) => check_tasks(&map.processor, engine, express, found),
            _ => {}
        }
    }
}
