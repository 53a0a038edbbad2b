use std::sync::Arc;

use base::Timestamp;
use serde::{Deserialize, Serialize};
use service::{Call, Fault};

use super::target::{MachineArn, find};
use super::{Adder, Empty, page};
use crate::catalog::Publish;
use crate::engine::Inner;

pub(super) fn add(to: &mut Adder<'_>) {
    to.operation("PublishStateMachineVersion", publish);
    to.operation("ListStateMachineVersions", list);
    to.operation("DeleteStateMachineVersion", delete);
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PublishInput {
    state_machine_arn: String,
    revision_id: Option<String>,
    description: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PublishOutput {
    creation_date: f64,
    state_machine_version_arn: String,
}

async fn publish(engine: Arc<Inner>, _: Call, input: PublishInput) -> Result<PublishOutput, Fault> {
    let machine = find(&engine, &input.state_machine_arn)?;
    let wanted = Publish { description: input.description, now_ms: engine.clock.now().as_millis() };
    let (machine, number) = engine.catalog.publish_version(machine.arn.clone(), input.revision_id, wanted).await?;
    Ok(PublishOutput {
        creation_date: seconds(machine.versions[&number].created_ms),
        state_machine_version_arn: machine.version_arn(number),
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListInput {
    state_machine_arn: String,
    next_token: Option<String>,
    max_results: Option<i64>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ListOutput {
    state_machine_versions: Vec<ListEntry>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ListEntry {
    state_machine_version_arn: String,
    creation_date: f64,
}

/// The newest first; a machine that is not there has none.
async fn list(engine: Arc<Inner>, _: Call, input: ListInput) -> Result<ListOutput, Fault> {
    let arn = MachineArn::parse(&input.state_machine_arn)?;
    let query = page::Query::new("versions", &[&input.state_machine_arn]);
    let before = query.read_number(input.next_token.as_deref())?;
    let limit = page::limit(input.max_results);
    let Some(machine) = engine.catalog.machine(arn.machine.as_str()).filter(|_| arn.qualifier.is_none()) else {
        return Ok(ListOutput { state_machine_versions: Vec::new(), next_token: None });
    };
    let mut entries: Vec<_> = machine.versions.range(..before.unwrap_or(u64::MAX)).rev().take(limit + 1).collect();
    let more = entries.len() > limit;
    entries.truncate(limit);
    let next_token = entries.last().filter(|_| more).map(|(number, _)| query.write_number(**number));
    let entries = entries.into_iter().map(|(number, version)| ListEntry {
        state_machine_version_arn: machine.version_arn(*number),
        creation_date: seconds(version.created_ms),
    });
    Ok(ListOutput { state_machine_versions: entries.collect(), next_token })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DeleteInput {
    state_machine_version_arn: String,
}

async fn delete(engine: Arc<Inner>, _: Call, input: DeleteInput) -> Result<Empty, Fault> {
    let (machine, number) = MachineArn::parse_version(&input.state_machine_version_arn)?;
    engine.catalog.delete_version(machine, number).await?;
    Ok(Empty {})
}

pub(super) fn seconds(ms: i64) -> f64 {
    Timestamp::from_millis(ms).as_seconds_f64()
}
