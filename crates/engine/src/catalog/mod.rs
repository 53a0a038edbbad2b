//! State machines with their versions and aliases, and activities: one cell writes them, everybody reads the copy in
//! memory.

mod activity;
mod alias;
mod machine;
mod owner;
mod sweep;
mod version;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use base::{Arn, Clock, Scope};
use cell::{Cell, CellError, CellOptions, Reply, Turn};
use service::Fault;
use store::{Error, Store};

pub(crate) use alias::NewAlias;
pub(crate) use machine::{MachineUpdate, NewMachine, Publish};
use owner::Owner;

use crate::record::{ActivityRecord, AliasRecord, MachineRecord, Revision, VersionRecord};
use crate::{fault, keys};

/// Parsed definitions that stay in memory beside those of the machines themselves.
const OLD_DEFINITIONS_MAX: usize = 1_000;

/// How long an Express execution may run.
/// <https://docs.aws.amazon.com/step-functions/latest/dg/choosing-workflow-type.html>
const EXPRESS_SECONDS_MAX: u64 = 300;

/// AWS's bounds for one state machine.
/// <https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html>
const VERSIONS_MAX: usize = 1_000;
const ALIASES_MAX: usize = 100;
/// And for one account and region.
const MACHINES_MAX: usize = 100_000;
const ACTIVITIES_MAX: usize = 100_000;

/// A state machine as executions and the API see it.
pub(crate) struct StateMachine {
    pub arn: Arn,
    pub scope: Scope,
    pub record: MachineRecord,
    pub text: Arc<str>,
    pub definition: Arc<asl::StateMachine>,
    pub versions: BTreeMap<u64, Arc<VersionRecord>>,
    pub aliases: BTreeMap<String, Arc<AliasRecord>>,
}

impl StateMachine {
    pub fn version_arn(&self, number: u64) -> String {
        format!("{}:{number}", self.arn)
    }

    pub fn alias_arn(&self, name: &str) -> String {
        format!("{}:{name}", self.arn)
    }
}

pub(crate) struct Activity {
    pub arn: Arn,
    pub record: ActivityRecord,
}

#[derive(Default)]
struct Shared {
    machines: RwLock<BTreeMap<String, Arc<StateMachine>>>,
    activities: RwLock<BTreeMap<String, Arc<Activity>>>,
    /// Definitions that versions and running executions keep though their machine has changed, by id, and whether they
    /// are bounded as Express ones.
    old: Mutex<BTreeMap<(u64, bool), Arc<asl::StateMachine>>>,
}

/// Reads come from memory, changes go through the cell `catalog`.
#[derive(Clone)]
pub(crate) struct Catalog {
    shared: Arc<Shared>,
    store: Arc<dyn Store>,
    cell: Cell<Change>,
}

/// One change: plain code over the cell's state, run in its turn.
type Change = Box<dyn FnOnce(&mut Owner, &mut Turn<'_>) -> Result<(), Error> + Send>;

impl Catalog {
    pub async fn start(store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Result<Catalog, Error> {
        let shared = Arc::new(Shared::default());
        let owner = Owner::new(shared.clone());
        let cell = Cell::start("catalog", owner, store.clone(), clock, CellOptions::default()).await?;
        Ok(Catalog { shared, store, cell })
    }

    pub fn machine(&self, arn: &str) -> Option<Arc<StateMachine>> {
        read(&self.shared.machines).get(arn).cloned()
    }

    /// The machines of one account and region, by name.
    pub fn machines(&self, scope: &Scope) -> Vec<Arc<StateMachine>> {
        read(&self.shared.machines).values().filter(|m| m.scope == *scope).cloned().collect()
    }

    pub fn activity(&self, arn: &str) -> Option<Arc<Activity>> {
        read(&self.shared.activities).get(arn).cloned()
    }

    pub fn activities(&self, scope: &Scope) -> Vec<Arc<Activity>> {
        let activities = read(&self.shared.activities);
        activities.values().filter(|a| a.arn.scope() == *scope).cloned().collect()
    }

    /// The definition of a revision of a machine, be it the present one or not.
    pub fn definition_of(&self, machine: &StateMachine, revision: &Revision) -> Result<Arc<asl::StateMachine>, Error> {
        if revision.definition_id == machine.record.revision.definition_id {
            return Ok(machine.definition.clone());
        }
        self.definition(revision.definition_id, machine.record.express)
    }

    /// The definition with that id, whatever its machine has become since.
    pub fn definition(&self, id: u64, express: bool) -> Result<Arc<asl::StateMachine>, Error> {
        let key = (id, express);
        if let Some(found) = self.old().get(&key) {
            return Ok(found.clone());
        }
        let parsed = bounded(Arc::new(parse_stored(&self.definition_text(id)?, id)?), express);
        let mut old = self.old();
        if old.len() >= OLD_DEFINITIONS_MAX {
            old.pop_first();
        }
        old.insert(key, parsed.clone());
        Ok(parsed)
    }

    pub fn definition_text(&self, id: u64) -> Result<String, Error> {
        let text = self.store.get(keys::definition(id).as_bytes())?;
        let text = text.ok_or_else(|| Error::Corrupt(format!("definition {id} is missing")))?;
        String::from_utf8(text.to_vec()).map_err(|_| Error::Corrupt(format!("definition {id} is not UTF-8")))
    }

    fn old(&self) -> std::sync::MutexGuard<'_, BTreeMap<(u64, bool), Arc<asl::StateMachine>>> {
        self.shared.old.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn change<T: Send + 'static>(
        &self,
        change: impl FnOnce(&mut Owner, &mut Turn<'_>) -> Result<Result<T, Fault>, Error> + Send + 'static,
    ) -> Result<T, Fault> {
        let answer: Result<Result<T, Fault>, CellError> = self
            .cell
            .call(|reply: Reply<Result<T, Fault>>| -> Change {
                Box::new(move |owner, turn| {
                    let answer = change(owner, turn)?;
                    turn.reply(reply, answer);
                    Ok(())
                })
            })
            .await;
        answer.map_err(fault::from_cell)?
    }
}

pub(crate) fn machine_arn(scope: &Scope, name: &str) -> Arn {
    scope.arn("states", format_args!("stateMachine:{name}"))
}

/// The definition as executions of the machine's type run it: an Express one that loops ends too.
pub(crate) fn bounded(mut definition: Arc<asl::StateMachine>, express: bool) -> Arc<asl::StateMachine> {
    if express && definition.timeout_seconds.is_none_or(|seconds| seconds > EXPRESS_SECONDS_MAX) {
        Arc::make_mut(&mut definition).timeout_seconds = Some(EXPRESS_SECONDS_MAX);
    }
    definition
}

/// A definition that was accepted when it was stored.
fn parse_stored(text: &str, id: u64) -> Result<asl::StateMachine, Error> {
    asl::parse(text).map_err(|e| Error::Corrupt(format!("definition {id} is no longer accepted: {}", e.aws_message())))
}

fn read<T>(lock: &RwLock<T>) -> std::sync::RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(lock: &RwLock<T>) -> std::sync::RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}
