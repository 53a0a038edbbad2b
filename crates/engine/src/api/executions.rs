use std::sync::Arc;

use base::Timestamp;
use cell::Cell;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use service::{Call, EffectId, Fault};
use sha2::{Digest, Sha256};

use super::machines::{TracingConfiguration, encryption, variable_references};
use super::target::Target;
use super::{Adder, execution_id, history, list};
use crate::engine::Inner;
use crate::execution::{self, Execution, Facts, Input, Redrive, Start};
use crate::fault;
use crate::logging::LoggingConfiguration;
use crate::record::{EndRecord, HeadRecord};

pub(super) fn add(to: &mut Adder<'_>) {
    to.operation("StartExecution", start);
    to.operation("StartSyncExecution", start_sync);
    to.operation("StopExecution", stop);
    to.operation("RedriveExecution", redrive);
    to.operation("DescribeExecution", describe);
    to.operation("ListExecutions", list::list);
    to.operation("GetExecutionHistory", history::get);
    to.operation("DescribeStateMachineForExecution", describe_machine);
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct StartInput {
    state_machine_arn: String,
    name: Option<String>,
    input: Option<String>,
    trace_header: Option<String>,
    /// Of StartSyncExecution alone.
    included_data: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StartOutput {
    execution_arn: String,
    start_date: f64,
}

async fn start(engine: Arc<Inner>, call: Call, input: StartInput) -> Result<StartOutput, Fault> {
    let target = Target::find(&engine, &input.state_machine_arn)?;
    let (cell, start) = prepare(&engine, target, input, call.effect)?;
    let started = cell.call(|reply| Input::Start { start: Box::new(start), reply }).await;
    let started = started.map_err(fault::from_cell)??;
    Ok(StartOutput { execution_arn: started.arn, start_date: started.start.as_seconds_f64() })
}

async fn start_sync(engine: Arc<Inner>, _: Call, input: StartInput) -> Result<Value, Fault> {
    let target = Target::find(&engine, &input.state_machine_arn)?;
    if !target.machine.record.express {
        return Err(fault::type_not_supported());
    }
    let machine = target.machine.clone();
    let metadata_only = input.included_data.as_deref() == Some("METADATA_ONLY");
    let (cell, mut start) = prepare(&engine, target, input, None)?;
    start.durable = false;
    let (name, input) = (start.head.name.clone(), start.head.input.clone());
    let trace_header = start.head.trace_header.clone();
    let ended = cell.call(|reply| Input::StartSync { start: Box::new(start), reply }).await;
    let (started, end) = ended.map_err(fault::from_cell)??;
    let stop = Timestamp::from_millis(end.stop_ms);
    let duration_ms = stop.since(started.start).as_millis();
    let mut output = json!({
        "executionArn": started.arn,
        "stateMachineArn": machine.arn,
        "name": name,
        "startDate": started.start.as_seconds_f64(),
        "stopDate": stop.as_seconds_f64(),
        "status": end.status(),
        "billingDetails": {
            "billedMemoryUsedInMB": 64,
            // Billed in steps of 100 ms.
            "billedDurationInMilliseconds": duration_ms.div_ceil(100).max(1) * 100,
        },
    });
    let members = output.as_object_mut().expect("made above");
    if !metadata_only {
        members.insert("input".into(), input.into());
        members.insert("inputDetails".into(), json!({"included": true}));
    }
    if let Some(text) = end.output.filter(|_| !metadata_only) {
        members.insert("output".into(), text.into());
        members.insert("outputDetails".into(), json!({"included": true}));
    }
    members.extend(trace_header.map(|header| ("traceHeader".to_owned(), header.into())));
    members.extend(end.error.map(|e| ("error".to_owned(), e.into())));
    members.extend(end.cause.map(|c| ("cause".to_owned(), c.into())));
    Ok(output)
}

/// Checks what needs no state, and finds the cell that decides about the rest.
fn prepare(
    engine: &Inner,
    target: Target,
    input: StartInput,
    effect: Option<EffectId>,
) -> Result<(Cell<Input>, Start), Fault> {
    // A start that is delivered again must come to the cell that took the first.
    let chosen = effect.as_ref().map_or_else(|| engine.entropy.uuid(), uuid_of);
    let name = input.name.unwrap_or_else(|| chosen.clone());
    fault::check_name(&name)?;
    let text = input.input.unwrap_or_else(|| "{}".to_owned());
    check_input(&text)?;
    let Target { machine, revision, version, alias, test_case } = target;
    let definition = engine.catalog.definition_of(&machine, &revision).map_err(fault::from_store)?;
    let record = &machine.record;
    let express_id = record.express.then_some(chosen);
    let cell = match &express_id {
        Some(id) => cell::shard_of(id.as_bytes(), execution::CELLS),
        None => execution::cell_of(&machine.scope, &record.name, &name),
    };
    let head = HeadRecord {
        account: machine.scope.account().to_owned(),
        region: machine.scope.region().to_owned(),
        machine: record.name.clone(),
        name,
        express_id,
        start_ms: engine.clock.now().as_millis(),
        input: text,
        revision,
        version,
        alias,
        map_run_arn: None,
        trace_header: input.trace_header,
        test_case,
    };
    let cell = engine.cells()?.at(cell).ok_or_else(|| Fault::internal("unknown cell"))?.clone();
    Ok((cell, Start { head, definition, effect, durable: true, child: None }))
}

/// AWS's words for input that is not JSON.
fn check_input(text: &str) -> Result<(), Fault> {
    let invalid =
        |why: &str| Fault::client("InvalidExecutionInput", format!("Invalid State Machine Execution Input: '{why}'"));
    if text.trim().is_empty() {
        return Err(invalid("Invalid execution input."));
    }
    check_json(text).map_err(|why| invalid(&why))
}

/// Whether a text is JSON; if not, why in the words of AWS's reader, which the language's parser has.
pub(super) fn check_json(text: &str) -> Result<(), String> {
    let Err(error) = serde_json::from_str::<serde::de::IgnoredAny>(text) else { return Ok(()) };
    let found = asl::validate(text);
    let found = found.iter().find(|d| d.code == "INVALID_JSON_DESCRIPTION");
    let message = found.map(|d| d.message.split('\n').next().unwrap_or_default().to_owned());
    Err(message.unwrap_or_else(|| error.to_string()))
}

/// The same id for the same effect, in the form of a version 4 UUID.
pub(crate) fn uuid_of(effect: &EffectId) -> String {
    let digest = Sha256::digest(&effect.0);
    let mut hex: String = digest[..16].iter().map(|b| format!("{b:02x}")).collect();
    hex.replace_range(12..13, "4");
    hex.replace_range(16..17, "a");
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct StopInput {
    execution_arn: String,
    error: Option<String>,
    cause: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StopOutput {
    stop_date: f64,
}

async fn stop(engine: Arc<Inner>, _: Call, input: StopInput) -> Result<StopOutput, Fault> {
    let id = execution_id(&*engine.store, &input.execution_arn)?;
    let cell = engine.cells()?.at(usize::from(id.cell)).ok_or_else(|| Fault::internal("unknown cell"))?;
    let StopInput { error, cause, execution_arn } = input;
    let stopped = cell.call(|reply| Input::Stop { id, error, cause, reply }).await.map_err(fault::from_cell)?;
    if let Some(stop) = stopped {
        return Ok(StopOutput { stop_date: stop.as_seconds_f64() });
    }
    // Stopping what has ended is no error: AWS answers with the time it ended.
    let end = load(&engine, &execution_arn)?.end.ok_or_else(|| fault::execution_does_not_exist(&execution_arn))?;
    Ok(StopOutput { stop_date: Timestamp::from_millis(end.stop_ms).as_seconds_f64() })
}

fn load(engine: &Inner, arn: &str) -> Result<Execution, Fault> {
    let id = execution_id(&*engine.store, arn)?;
    let found = execution::read(&*engine.store, id).map_err(fault::from_store)?;
    found.ok_or_else(|| fault::execution_does_not_exist(arn))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DescribeInput {
    execution_arn: String,
    included_data: Option<String>,
}

async fn describe(engine: Arc<Inner>, _: Call, input: DescribeInput) -> Result<Value, Fault> {
    let execution = load(&engine, &input.execution_arn)?;
    let head = &execution.head;
    let metadata_only = input.included_data.as_deref() == Some("METADATA_ONLY");
    let mut output = json!({
        "executionArn": execution::execution_arn(head),
        "stateMachineArn": head.machine_arn(),
        "name": head.name,
        "status": execution.status(),
        "startDate": Timestamp::from_millis(head.start_ms).as_seconds_f64(),
    });
    let members = output.as_object_mut().expect("made above");
    add_redrive(members, redrive_of(&engine, &execution)?);
    if !metadata_only {
        members.insert("input".into(), head.input.clone().into());
        members.insert("inputDetails".into(), json!({"included": true}));
    }
    add_qualifiers(members, head);
    if let Some(arn) = &head.map_run_arn {
        members.insert("mapRunArn".into(), arn.clone().into());
    }
    if let Some(header) = &head.trace_header {
        members.insert("traceHeader".into(), header.clone().into());
    }
    if let Some(end) = execution.end {
        members.insert("stopDate".into(), Timestamp::from_millis(end.stop_ms).as_seconds_f64().into());
        if let Some(text) = end.output.filter(|_| !metadata_only) {
            members.insert("output".into(), text.into());
            members.insert("outputDetails".into(), json!({"included": true}));
        }
        members.extend(end.error.map(|e| ("error".to_owned(), e.into())));
        members.extend(end.cause.map(|c| ("cause".to_owned(), c.into())));
    }
    Ok(output)
}

fn redrive_of(engine: &Inner, execution: &Execution) -> Result<Redrive, Fault> {
    let failed = execution.end.as_ref().is_some_and(|end| end.status != EndRecord::SUCCEEDED);
    let halted =
        if failed { execution::halted(&*engine.store, execution.id).map_err(fault::from_store)? } else { None };
    let facts = Facts {
        end: execution.end.as_ref(),
        halted: halted.as_ref(),
        redriven: execution.redriven.as_ref(),
        events_max: engine.options.standard_limits.history_events_max,
        now: engine.clock.now(),
    };
    Ok(Redrive::of(&execution.head, &facts))
}

fn add_redrive(members: &mut serde_json::Map<String, Value>, redrive: Redrive) {
    members.insert("redriveCount".into(), redrive.count.into());
    members.insert("redriveStatus".into(), redrive.status.into());
    members.extend(redrive.reason.map(|reason| ("redriveStatusReason".to_owned(), reason.into())));
    let date = redrive.date_ms.map(|ms| Timestamp::from_millis(ms).as_seconds_f64());
    members.extend(date.map(|date| ("redriveDate".to_owned(), date.into())));
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RedriveInput {
    execution_arn: String,
    client_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RedriveOutput {
    redrive_date: f64,
}

async fn redrive(engine: Arc<Inner>, _: Call, input: RedriveInput) -> Result<RedriveOutput, Fault> {
    let id = execution_id(&*engine.store, &input.execution_arn)?;
    let cell = engine.cells()?.at(usize::from(id.cell)).ok_or_else(|| Fault::internal("unknown cell"))?;
    let answer = cell.call(|reply| Input::Redrive { id, token: input.client_token, reply }).await;
    let date = answer.map_err(fault::from_cell)??;
    Ok(RedriveOutput { redrive_date: date.as_seconds_f64() })
}

/// Through what an execution was started.
pub(super) fn add_qualifiers(members: &mut serde_json::Map<String, Value>, head: &HeadRecord) {
    members.extend(head.version_arn().map(|arn| ("stateMachineVersionArn".to_owned(), arn.into())));
    members.extend(head.alias_arn().map(|arn| ("stateMachineAliasArn".to_owned(), arn.into())));
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DescribeMachineInput {
    execution_arn: String,
    included_data: Option<String>,
}

async fn describe_machine(engine: Arc<Inner>, _: Call, input: DescribeMachineInput) -> Result<Value, Fault> {
    let head = load(&engine, &input.execution_arn)?.head;
    let revision = &head.revision;
    let definition = match input.included_data.as_deref() {
        Some("METADATA_ONLY") => "{}".to_owned(),
        _ => engine.catalog.definition_text(revision.definition_id).map_err(fault::from_store)?,
    };
    let mut output = json!({
        "stateMachineArn": head.machine_arn(),
        "name": head.machine,
        "definition": definition,
        "roleArn": revision.role_arn,
        "updateDate": Timestamp::from_millis(revision.updated_ms).as_seconds_f64(),
        "loggingConfiguration": LoggingConfiguration::read(revision.logging_json.as_deref()),
        "tracingConfiguration": TracingConfiguration { enabled: revision.tracing },
        "encryptionConfiguration": encryption(revision.encryption_json.as_deref()),
    });
    let members = output.as_object_mut().expect("made above");
    members.extend(revision.id.clone().map(|id| ("revisionId".to_owned(), id.into())));
    if input.included_data.as_deref() != Some("METADATA_ONLY") {
        let definition =
            engine.catalog.definition(revision.definition_id, head.express_id.is_some()).map_err(fault::from_store)?;
        let references = variable_references(&definition);
        members.extend((!references.is_empty()).then(|| ("variableReferences".to_owned(), json!(references))));
    }
    if let (Some(arn), Some((_, label))) = (head.map_run_arn, head.machine.split_once('/')) {
        members.insert("mapRunArn".into(), arn.into());
        members.insert("label".into(), label.into());
    }
    Ok(output)
}
