use std::sync::Arc;

use base::Arn;
use cell::Turn;
use service::Fault;

use super::owner::Owner;
use super::{ALIASES_MAX, Catalog, StateMachine};
use crate::record::{AliasRecord, Record};
use crate::{fault, keys};

/// What CreateStateMachineAlias and UpdateStateMachineAlias set.
pub(crate) struct NewAlias {
    pub name: String,
    pub description: Option<String>,
    /// `None`: as it is.
    pub routes: Option<Vec<(u64, u8)>>,
    pub now_ms: i64,
}

impl Catalog {
    /// Creates an alias of the machine, or returns the one of that name if it is the same.
    pub async fn create_alias(&self, arn: Arn, new: NewAlias) -> Result<Arc<AliasRecord>, Fault> {
        self.change(move |owner, turn| {
            let Some(machine) = owner.machine(&arn, turn)? else { return Ok(Err(fault::no_such_reference())) };
            let routes = new.routes.unwrap_or_default();
            if let Some(old) = machine.aliases.get(&new.name) {
                let same = old.description == new.description && old.routes == routes;
                let conflict = "Failed to create alias because an alias with the same name and a different routing configuration already exists.";
                return Ok(if same { Ok(old.clone()) } else { Err(fault::conflict(conflict)) });
            }
            if let Err(fault) = check_routes(&machine, &routes) {
                return Ok(Err(fault));
            }
            if machine.aliases.len() >= ALIASES_MAX {
                return Ok(Err(fault::quota_exceeded(format!(
                    "The maximum number of aliases has been reached for the state machine. Limit: {ALIASES_MAX}."
                ))));
            }
            let NewAlias { name, description, now_ms, .. } = new;
            let record = AliasRecord { description, created_ms: now_ms, updated_ms: now_ms, routes };
            Ok(Ok(owner.put_alias(machine, name, record, turn)))
        })
        .await
    }

    /// Changes an alias.
    pub async fn update_alias(&self, arn: Arn, new: NewAlias) -> Result<Arc<AliasRecord>, Fault> {
        self.change(move |owner, turn| {
            let machine = owner.machine(&arn, turn)?;
            let Some((machine, old)) = machine.and_then(|m| m.aliases.get(&new.name).cloned().map(|a| (m, a))) else {
                return Ok(Err(fault::no_such_reference()));
            };
            let mut record = AliasRecord::clone(&old);
            record.description = new.description.or(record.description);
            record.routes = new.routes.unwrap_or(record.routes);
            if let Err(fault) = check_routes(&machine, &record.routes) {
                return Ok(Err(fault));
            }
            if record == *old {
                return Ok(Ok(old));
            }
            record.updated_ms = new.now_ms;
            Ok(Ok(owner.put_alias(machine, new.name, record, turn)))
        })
        .await
    }

    /// Deletes an alias; one that is not there is no error, as on AWS.
    pub async fn delete_alias(&self, arn: Arn, name: String) -> Result<(), Fault> {
        self.change(move |owner, turn| {
            if let Some(mut machine) = owner.machine(&arn, turn)?
                && machine.aliases.remove(&name).is_some()
            {
                turn.delete(keys::aliases(&machine.scope, &machine.record.name).str(&name));
                owner.show_machine(machine, turn);
            }
            Ok(Ok(()))
        })
        .await
    }
}

impl Owner {
    fn put_alias(
        &self,
        mut machine: StateMachine,
        name: String,
        record: AliasRecord,
        turn: &mut Turn<'_>,
    ) -> Arc<AliasRecord> {
        turn.put(keys::aliases(&machine.scope, &machine.record.name).str(&name), record.encode());
        let record = Arc::new(record);
        machine.aliases.insert(name, record.clone());
        self.show_machine(machine, turn);
        record
    }
}

fn check_routes(machine: &StateMachine, routes: &[(u64, u8)]) -> Result<(), Fault> {
    let there = routes.iter().all(|(version, _)| machine.versions.contains_key(version));
    if there { Ok(()) } else { Err(fault::no_such_reference()) }
}
