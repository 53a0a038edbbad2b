use std::sync::Arc;

use base::Arn;
use cell::Turn;
use service::Fault;

use super::{Catalog, Publish, StateMachine, VERSIONS_MAX};
use crate::record::{Record, VersionRecord};
use crate::{fault, keys};

/// What AWS calls the revision before the first update.
const INITIAL: &str = "INITIAL";

impl Catalog {
    /// Publishes the present revision, which must be `revision_id` if that is given. A revision that has a version
    /// already does not get another.
    pub async fn publish_version(
        &self,
        arn: Arn,
        revision_id: Option<String>,
        wanted: Publish,
    ) -> Result<(Arc<StateMachine>, u64), Fault> {
        self.change(move |owner, turn| {
            let Some(mut machine) = owner.machine(&arn, turn)? else {
                return Ok(Err(fault::machine_does_not_exist(arn.as_str())));
            };
            let current = machine.record.revision.id.as_deref().unwrap_or(INITIAL);
            if let Some(other) = revision_id.filter(|id| id != current) {
                return Ok(Err(fault::conflict(format!(
                    "Failed to publish the State Machine version for revision {other}. The current State Machine revision is {current}."
                ))));
            }
            let number = match publish(&mut machine, wanted, turn) {
                Ok(number) => number,
                Err(fault) => return Ok(Err(fault)),
            };
            Ok(Ok((owner.put_machine(machine, turn), number)))
        })
        .await
    }

    /// Deletes a version that no alias names; one that is not there is no error, as on AWS.
    pub async fn delete_version(&self, arn: Arn, number: u64) -> Result<(), Fault> {
        self.change(move |owner, turn| {
            let Some(mut machine) = owner.machine(&arn, turn)? else { return Ok(Ok(())) };
            let uses = |routes: &[(u64, u8)]| routes.iter().any(|(version, _)| *version == number);
            let aliases: Vec<&str> =
                machine.aliases.iter().filter(|(_, a)| uses(&a.routes)).map(|(name, _)| name.as_str()).collect();
            if !aliases.is_empty() {
                return Ok(Err(fault::conflict(format!(
                    "Version to be deleted must not be referenced by an alias. Current list of aliases referencing this version: [{}]",
                    aliases.join(", ")
                ))));
            }
            if machine.versions.remove(&number).is_some() {
                turn.delete(keys::versions(&machine.scope, &machine.record.name).u64(number));
                owner.show_machine(machine, turn);
            }
            Ok(Ok(()))
        })
        .await
    }
}

/// Makes the machine's present revision a version, unless it is one; the caller writes the machine.
pub(super) fn publish(machine: &mut StateMachine, wanted: Publish, turn: &mut Turn<'_>) -> Result<u64, Fault> {
    let revision = &machine.record.revision;
    if let Some((number, _)) = machine.versions.iter().find(|(_, v)| v.revision.id == revision.id) {
        return Ok(*number);
    }
    if machine.versions.len() >= VERSIONS_MAX {
        return Err(fault::quota_exceeded(format!(
            "The maximum number of versions has been reached for the state machine. Limit: {VERSIONS_MAX}."
        )));
    }
    let number = machine.record.last_version + 1;
    machine.record.last_version = number;
    let version =
        VersionRecord { description: wanted.description, created_ms: wanted.now_ms, revision: revision.clone() };
    turn.put(keys::versions(&machine.scope, &machine.record.name).u64(number), version.encode());
    machine.versions.insert(number, Arc::new(version));
    Ok(number)
}
