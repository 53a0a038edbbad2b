use std::collections::BTreeMap;
use std::sync::Arc;

use base::{Arn, Scope};
use cell::Turn;
use service::Fault;
use store::Error;

use super::owner::Owner;
use super::version::publish;
use super::{Catalog, MACHINES_MAX, StateMachine, bounded, machine_arn, read};
use crate::record::MachineRecord;
use crate::{fault, keys};

/// What CreateStateMachine sets.
pub(crate) struct NewMachine {
    /// Its definition has no id yet.
    pub record: MachineRecord,
    pub text: Arc<str>,
    pub definition: Arc<asl::StateMachine>,
    pub publish: Option<Publish>,
}

/// A version to be published.
pub(crate) struct Publish {
    pub description: Option<String>,
    pub now_ms: i64,
}

/// What UpdateStateMachine changes; `None` stays as it is.
pub(crate) struct MachineUpdate {
    pub definition: Option<(Arc<str>, Arc<asl::StateMachine>)>,
    pub role_arn: Option<String>,
    pub logging_json: Option<Option<String>>,
    pub tracing: Option<bool>,
    pub encryption_json: Option<Option<String>>,
    pub publish: Option<Publish>,
    pub now_ms: i64,
    /// Of the revision that this makes, if it changes anything.
    pub revision_id: String,
}

/// A machine, and the version that was asked for.
type Published = (Arc<StateMachine>, Option<u64>);

impl Catalog {
    /// Creates a machine, or returns the one of the same name if it is the same.
    pub async fn create_machine(&self, scope: Scope, new: NewMachine) -> Result<Published, Fault> {
        self.change(move |owner, turn| {
            let arn = machine_arn(&scope, &new.record.name);
            match owner.machine(&arn, turn)? {
                None if owner.is_full(&scope) => {
                    let message = "The maximum number of state machines has been reached. Existing state machines must be deleted before a new state machine can be created.";
                    Ok(Err(Fault::client("StateMachineLimitExceeded", message)))
                }
                None => owner.create_machine(scope, arn, new, turn),
                Some(old) => Ok(match created_before(&old, &new) {
                    Some(version) => Ok((Arc::new(old), version)),
                    None => {
                        let message = format!("State Machine Already Exists: '{arn}'");
                        Err(Fault::client("StateMachineAlreadyExists", message))
                    }
                }),
            }
        })
        .await
    }

    /// Changes a machine; running executions keep what they began with.
    pub async fn update_machine(&self, arn: Arn, update: MachineUpdate) -> Result<Published, Fault> {
        self.change(move |owner, turn| {
            let Some(old) = owner.machine(&arn, turn)? else {
                return Ok(Err(fault::machine_does_not_exist(arn.as_str())));
            };
            owner.update_machine(old, update, turn)
        })
        .await
    }

    /// Changes the tags of a machine, which are no part of a revision.
    pub async fn tag_machine(
        &self,
        arn: Arn,
        change: impl FnOnce(&mut BTreeMap<String, String>) -> Result<(), Fault> + Send + 'static,
    ) -> Result<(), Fault> {
        self.change(move |owner, turn| {
            let Some(mut machine) = owner.machine(&arn, turn)? else {
                return Ok(Err(fault::resource_not_found(arn.as_str())));
            };
            let mut tags = machine.record.tags.into_iter().collect();
            let changed = change(&mut tags);
            machine.record.tags = tags.into_iter().collect();
            if changed.is_ok() {
                owner.put_machine(machine, turn);
            }
            Ok(changed)
        })
        .await
    }

    /// Deletes a machine with its versions and aliases; one that is not there is no error, as on AWS. Its executions go
    /// on to their end.
    pub async fn delete_machine(&self, arn: Arn) -> Result<(), Fault> {
        self.change(move |owner, turn| {
            if let Some(machine) = owner.machine(&arn, turn)? {
                let (scope, name) = (&machine.scope, &machine.record.name);
                machine.versions.keys().for_each(|n| turn.delete(keys::versions(scope, name).u64(*n)));
                machine.aliases.keys().for_each(|a| turn.delete(keys::aliases(scope, name).str(a)));
                turn.delete(keys::machine(scope, name));
                owner.hide_machine(arn, turn);
            }
            Ok(Ok(()))
        })
        .await
    }
}

/// Whether the machine is what an earlier request for the same made, and the version that that one published.
fn created_before(old: &StateMachine, new: &NewMachine) -> Option<Option<u64>> {
    let (is, wanted) = (&old.record.revision, &new.record.revision);
    let same = *old.text == *new.text
        && old.record.express == new.record.express
        && is.logging_json == wanted.logging_json
        && is.tracing == wanted.tracing
        && is.encryption_json == wanted.encryption_json;
    let Some(publish) = new.publish.as_ref().filter(|_| same) else { return same.then_some(None) };
    let published = old.versions.iter().find(|(_, v)| v.revision == *is && v.description == publish.description);
    published.map(|(number, _)| Some(*number))
}

impl Owner {
    fn is_full(&self, scope: &Scope) -> bool {
        let machines = read(self.machines());
        machines.len() >= MACHINES_MAX && machines.values().filter(|m| m.scope == *scope).count() >= MACHINES_MAX
    }

    fn create_machine(
        &mut self,
        scope: Scope,
        arn: Arn,
        new: NewMachine,
        turn: &mut Turn<'_>,
    ) -> Result<Result<Published, Fault>, Error> {
        let NewMachine { mut record, text, definition, publish: wanted } = new;
        record.revision.definition_id = self.put_definition(&text, turn);
        let definition = bounded(definition, record.express);
        let (versions, aliases) = Default::default();
        let mut machine = StateMachine { arn, scope, record, text, definition, versions, aliases };
        let version = match wanted.map(|wanted| publish(&mut machine, wanted, turn)).transpose() {
            Ok(version) => version,
            Err(fault) => return Ok(Err(fault)),
        };
        Ok(Ok((self.put_machine(machine, turn), version)))
    }

    fn update_machine(
        &mut self,
        mut machine: StateMachine,
        update: MachineUpdate,
        turn: &mut Turn<'_>,
    ) -> Result<Result<Published, Fault>, Error> {
        let old = machine.record.revision.clone();
        let revision = &mut machine.record.revision;
        if let Some((text, definition)) = update.definition.filter(|(text, _)| **text != *machine.text) {
            revision.definition_id = self.put_definition(&text, turn);
            machine.text = text;
            machine.definition = bounded(definition, machine.record.express);
        }
        revision.role_arn = update.role_arn.unwrap_or(revision.role_arn.clone());
        revision.logging_json = update.logging_json.unwrap_or(revision.logging_json.clone());
        revision.tracing = update.tracing.unwrap_or(revision.tracing);
        revision.encryption_json = update.encryption_json.unwrap_or(revision.encryption_json.clone());
        // What changes nothing makes no revision.
        if *revision != old {
            revision.id = Some(update.revision_id);
            revision.updated_ms = update.now_ms;
        }
        let version = match update.publish.map(|wanted| publish(&mut machine, wanted, turn)).transpose() {
            Ok(version) => version,
            Err(fault) => return Ok(Err(fault)),
        };
        Ok(Ok((self.put_machine(machine, turn), version)))
    }
}
