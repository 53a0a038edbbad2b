use std::sync::Arc;

use base::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use service::{Call, Fault};

use super::{Adder, Empty, execution_id, page};
use crate::engine::Inner;
use crate::map_run::{self, Counts, Input, MapRun, Update};
use crate::{fault, keys};

pub(super) fn add(to: &mut Adder<'_>) {
    to.operation("DescribeMapRun", describe);
    to.operation("ListMapRuns", list);
    to.operation("UpdateMapRun", update);
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ArnInput {
    map_run_arn: String,
}

async fn describe(engine: Arc<Inner>, _: Call, input: ArnInput) -> Result<Value, Fault> {
    let MapRun { record, state, .. } = load(&engine, &input.map_run_arn)?;
    let pending = state.items_total.unwrap_or(0).saturating_sub(state.items.total);
    let mut output = json!({
        "mapRunArn": record.arn,
        "executionArn": record.execution_arn,
        "status": state.phase.status(),
        "startDate": Timestamp::from_millis(record.start_ms).as_seconds_f64(),
        "maxConcurrency": state.max_concurrency,
        "toleratedFailurePercentage": state.tolerance.percentage,
        "toleratedFailureCount": state.tolerance.count,
        "itemCounts": counts(&state.items, pending),
        "executionCounts": counts(&state.executions, 0),
        "redriveCount": state.redrive_count,
    });
    let members = output.as_object_mut().expect("made above");
    put_date(members, "stopDate", state.stop_ms);
    put_date(members, "redriveDate", state.redrive_ms);
    Ok(output)
}

fn counts(counts: &Counts, pending: u64) -> Value {
    json!({
        "pending": pending,
        "running": counts.running,
        "succeeded": counts.succeeded,
        "failed": counts.failed,
        "timedOut": counts.timed_out,
        "aborted": counts.aborted,
        "total": counts.total + pending,
        "resultsWritten": counts.results_written,
        "failuresNotRedrivable": 0,
        "pendingRedrive": 0,
    })
}

fn put_date(members: &mut Map<String, Value>, name: &str, millis: Option<i64>) {
    members.extend(millis.map(|ms| (name.to_owned(), Timestamp::from_millis(ms).as_seconds_f64().into())));
}

/// The Map Run that an ARN names.
pub(super) fn load(engine: &Inner, arn: &str) -> Result<MapRun, Fault> {
    let id = find(engine, arn)?;
    let found = map_run::read(&*engine.store, id).map_err(fault::from_store)?;
    found.ok_or_else(|| does_not_exist(arn))
}

fn find(engine: &Inner, arn: &str) -> Result<keys::MapRunId, Fault> {
    let (parsed, _) = fault::parse_arn(arn, "mapRun")?;
    let found = map_run::find(&*engine.store, &parsed.scope(), arn).map_err(fault::from_store)?;
    found.ok_or_else(|| does_not_exist(arn))
}

fn does_not_exist(arn: &str) -> Fault {
    Fault::client("ResourceNotFound", format!("Map Run does not exist: '{arn}'")).member("resourceName", arn)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListInput {
    execution_arn: String,
    max_results: Option<i64>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ListOutput {
    map_runs: Vec<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

async fn list(engine: Arc<Inner>, _: Call, input: ListInput) -> Result<ListOutput, Fault> {
    let id = execution_id(&*engine.store, &input.execution_arn)?;
    let limit = page::limit(input.max_results);
    let query = page::Query::new("mapRuns", &[&input.execution_arn]);
    let after = query.read_number(input.next_token.as_deref())?;
    let mut found = map_run::runs_of(&*engine.store, id, after, limit + 1).map_err(fault::from_store)?;
    let more = found.len() > limit;
    found.truncate(limit);
    let next_token = found.last().filter(|_| more).map(|last| query.write_number(last.id.task));
    let entry = |MapRun { record, state, .. }: &MapRun| {
        let mut entry = json!({
            "executionArn": record.execution_arn,
            "mapRunArn": record.arn,
            "stateMachineArn": record.machine_arn(),
            "startDate": Timestamp::from_millis(record.start_ms).as_seconds_f64(),
        });
        put_date(entry.as_object_mut().expect("made above"), "stopDate", state.stop_ms);
        entry
    };
    Ok(ListOutput { map_runs: found.iter().map(entry).collect(), next_token })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct UpdateInput {
    map_run_arn: String,
    max_concurrency: Option<u64>,
    tolerated_failure_percentage: Option<f64>,
    tolerated_failure_count: Option<u64>,
}

async fn update(engine: Arc<Inner>, _: Call, input: UpdateInput) -> Result<Empty, Fault> {
    let id = find(&engine, &input.map_run_arn)?;
    let cell = engine.map_run_cells()?.at(map_run::cell_of(id)).ok_or_else(|| Fault::internal("unknown cell"))?;
    let update = Update {
        max_concurrency: input.max_concurrency,
        tolerated_failure_count: input.tolerated_failure_count,
        tolerated_failure_percentage: input.tolerated_failure_percentage,
    };
    let updated = cell.call(|reply| Input::Update { id, update, reply }).await;
    updated.map_err(fault::from_cell)??;
    Ok(Empty {})
}
