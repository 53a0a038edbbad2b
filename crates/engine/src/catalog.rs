//! State machines and activities: one cell writes them, everybody reads the copy in memory.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use base::{Arn, Clock, Scope};
use bytes::Bytes;
use cell::{Cell, CellError, CellOptions, Machine, Reply, Turn};
use service::Fault;
use store::{Error, Key, Range, Store};

use crate::record::{ActivityRecord, MachineRecord, Record};
use crate::{fault, keys};

/// Parsed definitions that stay in memory beside those of the machines themselves.
const OLD_DEFINITIONS_MAX: usize = 1_000;

/// How long an Express execution may run.
/// <https://docs.aws.amazon.com/step-functions/latest/dg/choosing-workflow-type.html>
const EXPRESS_SECONDS_MAX: u64 = 300;

/// A state machine as executions and the API see it.
pub(crate) struct StateMachine {
    pub arn: Arn,
    pub scope: Scope,
    pub record: MachineRecord,
    pub text: Arc<str>,
    pub definition: Arc<asl::StateMachine>,
}

pub(crate) struct Activity {
    pub arn: Arn,
    pub record: ActivityRecord,
}

#[derive(Default)]
struct Shared {
    machines: RwLock<BTreeMap<String, Arc<StateMachine>>>,
    activities: RwLock<BTreeMap<String, Arc<Activity>>>,
    /// Definitions that running executions keep though their machine has changed, by id.
    old: Mutex<BTreeMap<u64, Arc<asl::StateMachine>>>,
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

struct Owner {
    shared: Arc<Shared>,
    next_definition: u64,
}

/// What CreateStateMachine and UpdateStateMachine set.
pub(crate) struct NewMachine {
    pub record: MachineRecord,
    pub text: Arc<str>,
    pub definition: Arc<asl::StateMachine>,
}

impl Catalog {
    pub async fn start(store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Result<Catalog, Error> {
        let shared = Arc::new(Shared::default());
        let owner = Owner { shared: shared.clone(), next_definition: 0 };
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

    /// The definition with that id, whatever its machine has become since.
    pub fn definition(&self, id: u64) -> Result<Arc<asl::StateMachine>, Error> {
        if let Some(found) = self.shared.old.lock().unwrap_or_else(PoisonError::into_inner).get(&id) {
            return Ok(found.clone());
        }
        let parsed = Arc::new(parse_stored(&self.definition_text(id)?, id)?);
        let mut old = self.shared.old.lock().unwrap_or_else(PoisonError::into_inner);
        if old.len() >= OLD_DEFINITIONS_MAX {
            old.pop_first();
        }
        old.insert(id, parsed.clone());
        Ok(parsed)
    }

    pub fn definition_text(&self, id: u64) -> Result<String, Error> {
        let text = self.store.get(keys::definition(id).as_bytes())?;
        let text = text.ok_or_else(|| Error::Corrupt(format!("definition {id} is missing")))?;
        String::from_utf8(text.to_vec()).map_err(|_| Error::Corrupt(format!("definition {id} is not UTF-8")))
    }

    /// Creates a machine, or returns the one of the same name if it is the same.
    pub async fn create_machine(&self, scope: Scope, new: NewMachine) -> Result<Arc<StateMachine>, Fault> {
        self.change(move |owner, turn| {
            let arn = machine_arn(&scope, &new.record.name);
            let Some(old) = owner.machine(&arn, turn)? else {
                return Ok(Ok(owner.put_machine(scope, arn, new, turn)));
            };
            let same = *old.text == *new.text
                && old.record.express == new.record.express
                && old.record.logging_json == new.record.logging_json
                && old.record.tracing == new.record.tracing;
            Ok(if same {
                Ok(old)
            } else {
                Err(Fault::client("StateMachineAlreadyExists", format!("State Machine Already Exists: '{arn}'")))
            })
        })
        .await
    }

    /// Changes what `update` changes of the machine; running executions keep what they began with.
    pub async fn update_machine(
        &self,
        arn: Arn,
        update: impl FnOnce(&StateMachine) -> NewMachine + Send + 'static,
    ) -> Result<Arc<StateMachine>, Fault> {
        self.change(move |owner, turn| {
            let Some(old) = owner.machine(&arn, turn)? else {
                return Ok(Err(fault::machine_does_not_exist(arn.as_str())));
            };
            Ok(Ok(owner.put_machine(old.scope.clone(), old.arn.clone(), update(&old), turn)))
        })
        .await
    }

    /// Deletes a machine; one that is not there is no error, as on AWS. Its executions go on to their end.
    pub async fn delete_machine(&self, arn: Arn, name: String) -> Result<(), Fault> {
        self.change(move |owner, turn| {
            turn.delete(keys::machine(&arn.scope(), &name));
            let shared = owner.shared.clone();
            turn.effect(move || drop(write(&shared.machines).remove(arn.as_str())));
            Ok(Ok(()))
        })
        .await
    }

    pub async fn create_activity(&self, scope: Scope, record: ActivityRecord) -> Result<Arc<Activity>, Fault> {
        self.change(move |owner, turn| {
            let arn = scope.arn("states", format_args!("activity:{}", record.name));
            if let Some(old) = turn.get(keys::activity(&scope, &record.name).as_bytes())? {
                return Ok(Ok(Arc::new(Activity { arn, record: ActivityRecord::decode(&old)? })));
            }
            turn.put(keys::activity(&scope, &record.name), record.encode());
            let activity = Arc::new(Activity { arn, record });
            let (shared, added) = (owner.shared.clone(), activity.clone());
            turn.effect(move || drop(write(&shared.activities).insert(added.arn.to_string(), added)));
            Ok(Ok(activity))
        })
        .await
    }

    pub async fn delete_activity(&self, arn: Arn, name: String) -> Result<(), Fault> {
        self.change(move |owner, turn| {
            turn.delete(keys::activity(&arn.scope(), &name));
            let shared = owner.shared.clone();
            turn.effect(move || drop(write(&shared.activities).remove(arn.as_str())));
            Ok(Ok(()))
        })
        .await
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

impl Owner {
    /// The machine as this turn has left it: the copy in memory follows only after the commit.
    fn machine(&self, arn: &Arn, turn: &Turn<'_>) -> Result<Option<Arc<StateMachine>>, Error> {
        let name = arn.resource().trim_start_matches("stateMachine:");
        match turn.get(keys::machine(&arn.scope(), name).as_bytes())? {
            None => Ok(None),
            Some(value) => Ok(Some(Arc::new(read_machine(arn.scope(), MachineRecord::decode(&value)?, turn)?))),
        }
    }

    fn put_machine(&mut self, scope: Scope, arn: Arn, new: NewMachine, turn: &mut Turn<'_>) -> Arc<StateMachine> {
        let mut record = new.record;
        record.definition_id = self.next_definition;
        self.next_definition += 1;
        turn.put(keys::definition(record.definition_id), Bytes::copy_from_slice(new.text.as_bytes()));
        turn.put(keys::machine(&scope, &record.name), record.encode());
        let definition = if record.express { express(new.definition) } else { new.definition };
        let machine = Arc::new(StateMachine { arn, scope, record, text: new.text, definition });
        // Two changes of one machine in the same turn run in order, and so do these.
        let (shared, added) = (self.shared.clone(), machine.clone());
        turn.effect(move || drop(write(&shared.machines).insert(added.arn.to_string(), added)));
        machine
    }
}

impl Machine for Owner {
    type Input = Change;

    fn load(&mut self, turn: &mut Turn<'_>) -> Result<(), Error> {
        let last = turn.scan(&Range::prefix(Key::new("definition").as_bytes()).reverse().limit(1))?;
        self.next_definition = match last.first() {
            None => 1,
            Some((key, _)) => store::KeyReader::new(&key[Key::new("definition").as_bytes().len()..]).u64()? + 1,
        };
        let mut machines = BTreeMap::new();
        for (key, value) in turn.scan(&Range::prefix(Key::new("machine").as_bytes()))? {
            let mut parts = store::KeyReader::new(&key);
            let (_, account, region) = (parts.str()?, parts.str()?, parts.str()?);
            let scope = Scope::new(&account, &region);
            let machine = read_machine(scope, MachineRecord::decode(&value)?, turn)?;
            machines.insert(machine.arn.to_string(), Arc::new(machine));
        }
        *write(&self.shared.machines) = machines;
        let mut activities = BTreeMap::new();
        for (key, value) in turn.scan(&Range::prefix(Key::new("activity").as_bytes()))? {
            let mut parts = store::KeyReader::new(&key);
            let (_, account, region) = (parts.str()?, parts.str()?, parts.str()?);
            let record = ActivityRecord::decode(&value)?;
            let arn = Scope::new(&account, &region).arn("states", format_args!("activity:{}", record.name));
            activities.insert(arn.to_string(), Arc::new(Activity { arn, record }));
        }
        *write(&self.shared.activities) = activities;
        Ok(())
    }

    fn apply(&mut self, change: Change, turn: &mut Turn<'_>) -> Result<(), Error> {
        change(self, turn)
    }
}

pub(crate) fn machine_arn(scope: &Scope, name: &str) -> Arn {
    scope.arn("states", format_args!("stateMachine:{name}"))
}

fn read_machine(scope: Scope, record: MachineRecord, turn: &Turn<'_>) -> Result<StateMachine, Error> {
    let text = turn.get(keys::definition(record.definition_id).as_bytes())?;
    let text = text.and_then(|t| String::from_utf8(t.to_vec()).ok());
    let text = text.ok_or_else(|| Error::Corrupt(format!("definition of {} is missing", record.name)))?;
    let parsed = Arc::new(parse_stored(&text, record.definition_id)?);
    let definition = if record.express { express(parsed) } else { parsed };
    let arn = machine_arn(&scope, &record.name);
    Ok(StateMachine { arn, scope, record, text: text.into(), definition })
}

/// The definition with the time that AWS gives an Express execution at most: one that loops ends too.
pub(crate) fn express(mut definition: Arc<asl::StateMachine>) -> Arc<asl::StateMachine> {
    if definition.timeout_seconds.is_none_or(|seconds| seconds > EXPRESS_SECONDS_MAX) {
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
