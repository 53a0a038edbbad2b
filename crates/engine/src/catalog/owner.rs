use std::collections::BTreeMap;
use std::sync::{Arc, RwLock};

use base::{Arn, Scope, Timestamp};
use bytes::Bytes;
use cell::{Machine, Turn};
use store::{Error, Key, KeyReader, Range};

use super::sweep::Sweep;
use super::{ACTIVITIES_MAX, Activity, Change, Shared, StateMachine, bounded, machine_arn, parse_stored, read, write};
use crate::keys;
use crate::record::{ActivityRecord, AliasRecord, MachineRecord, Record, VersionRecord};

/// The cell's state: what the store does not tell at once.
pub(super) struct Owner {
    shared: Arc<Shared>,
    next_definition: u64,
    pub sweep: Sweep,
}

impl Owner {
    pub fn new(shared: Arc<Shared>) -> Owner {
        Owner { shared, next_definition: 0, sweep: Sweep::default() }
    }

    pub fn machines(&self) -> &RwLock<BTreeMap<String, Arc<StateMachine>>> {
        &self.shared.machines
    }

    /// Whether there are as many activities as AWS allows.
    pub fn has_all_activities(&self, scope: &Scope) -> bool {
        let activities = read(&self.shared.activities);
        activities.len() >= ACTIVITIES_MAX
            && activities.values().filter(|a| a.arn.scope() == *scope).count() >= ACTIVITIES_MAX
    }

    /// The id that the newest definition has.
    pub fn newest(&self) -> u64 {
        self.next_definition - 1
    }

    /// The machine as this turn has left it: the copy in memory follows only after the commit.
    pub fn machine(&self, arn: &Arn, turn: &Turn<'_>) -> Result<Option<StateMachine>, Error> {
        let scope = arn.scope();
        let name = arn.resource().trim_start_matches("stateMachine:");
        match turn.get(keys::machine(&scope, name).as_bytes())? {
            None => Ok(None),
            Some(value) => self.read_machine(scope, MachineRecord::decode(&value)?, turn).map(Some),
        }
    }

    fn read_machine(&self, scope: Scope, record: MachineRecord, turn: &Turn<'_>) -> Result<StateMachine, Error> {
        let arn = machine_arn(&scope, &record.name);
        let id = record.revision.definition_id;
        let known = read(&self.shared.machines).get(arn.as_str()).cloned();
        let (text, definition) = match known.filter(|m| m.record.revision.definition_id == id) {
            Some(known) => (known.text.clone(), known.definition.clone()),
            None => read_definition(&record, turn)?,
        };
        let versions = read_versions(&scope, &record.name, turn)?;
        let aliases = read_aliases(&scope, &record.name, turn)?;
        Ok(StateMachine { arn, scope, record, text, definition, versions, aliases })
    }

    /// Writes a definition, and returns its id.
    pub fn put_definition(&mut self, text: &str, turn: &mut Turn<'_>) -> u64 {
        let id = self.next_definition;
        self.next_definition += 1;
        turn.put(keys::definition(id), Bytes::copy_from_slice(text.as_bytes()));
        id
    }

    /// Writes the machine's own record, and shows it with its versions and aliases to readers after the commit.
    pub fn put_machine(&self, machine: StateMachine, turn: &mut Turn<'_>) -> Arc<StateMachine> {
        turn.put(keys::machine(&machine.scope, &machine.record.name), machine.record.encode());
        self.show_machine(machine, turn)
    }

    pub fn show_machine(&self, machine: StateMachine, turn: &mut Turn<'_>) -> Arc<StateMachine> {
        let machine = Arc::new(machine);
        // Two changes of one machine in the same turn run in order, and so do these.
        let (shared, added) = (self.shared.clone(), machine.clone());
        turn.effect(move || drop(write(&shared.machines).insert(added.arn.to_string(), added)));
        machine
    }

    pub fn hide_machine(&self, arn: Arn, turn: &mut Turn<'_>) {
        let shared = self.shared.clone();
        turn.effect(move || drop(write(&shared.machines).remove(arn.as_str())));
    }

    pub fn show_activity(&self, activity: &Arc<Activity>, turn: &mut Turn<'_>) {
        let (shared, added) = (self.shared.clone(), activity.clone());
        turn.effect(move || drop(write(&shared.activities).insert(added.arn.to_string(), added)));
    }

    pub fn hide_activity(&self, arn: Arn, turn: &mut Turn<'_>) {
        let shared = self.shared.clone();
        turn.effect(move || drop(write(&shared.activities).remove(arn.as_str())));
    }
}

impl Machine for Owner {
    type Input = Change;

    fn load(&mut self, turn: &mut Turn<'_>) -> Result<(), Error> {
        let definitions = Key::new("definition").build();
        let last = turn.scan(&Range::prefix(&definitions).reverse().limit(1))?;
        self.next_definition = match last.first() {
            None => 1,
            Some((key, _)) => KeyReader::new(&key[definitions.len()..]).u64()? + 1,
        };
        let mut machines = BTreeMap::new();
        for (key, value) in turn.scan(&Range::prefix(Key::new("machine").as_bytes()))? {
            let machine = self.read_machine(scope_of(&key)?, MachineRecord::decode(&value)?, turn)?;
            machines.insert(machine.arn.to_string(), Arc::new(machine));
        }
        *write(&self.shared.machines) = machines;
        let mut activities = BTreeMap::new();
        for (key, value) in turn.scan(&Range::prefix(Key::new("activity").as_bytes()))? {
            let record = ActivityRecord::decode(&value)?;
            let arn = scope_of(&key)?.arn("states", format_args!("activity:{}", record.name));
            activities.insert(arn.to_string(), Arc::new(Activity { arn, record }));
        }
        *write(&self.shared.activities) = activities;
        self.sweep = Sweep::begin(turn.now());
        Ok(())
    }

    fn apply(&mut self, change: Change, turn: &mut Turn<'_>) -> Result<(), Error> {
        change(self, turn)
    }

    fn wake_at(&self) -> Option<Timestamp> {
        self.sweep.next_at
    }

    fn wake(&mut self, turn: &mut Turn<'_>) -> Result<(), Error> {
        self.sweep_definitions(turn)
    }
}

/// Account and region, which follow the space in a key.
fn scope_of(key: &[u8]) -> Result<Scope, Error> {
    let mut parts = KeyReader::new(key);
    let (_, account, region) = (parts.bytes()?, parts.str()?, parts.str()?);
    Ok(Scope::new(&account, &region))
}

type Definition = (Arc<str>, Arc<asl::StateMachine>);

fn read_definition(record: &MachineRecord, turn: &Turn<'_>) -> Result<Definition, Error> {
    let id = record.revision.definition_id;
    let text = turn.get(keys::definition(id).as_bytes())?;
    let text = text.and_then(|t| String::from_utf8(t.to_vec()).ok());
    let text = text.ok_or_else(|| Error::Corrupt(format!("definition of {} is missing", record.name)))?;
    let parsed = Arc::new(parse_stored(&text, id)?);
    Ok((text.into(), bounded(parsed, record.express)))
}

fn read_versions(scope: &Scope, name: &str, turn: &Turn<'_>) -> Result<BTreeMap<u64, Arc<VersionRecord>>, Error> {
    let prefix = keys::versions(scope, name).build();
    let entries = turn.scan(&Range::prefix(&prefix))?.into_iter();
    let read = |(key, value): (Bytes, Bytes)| {
        Ok((KeyReader::new(&key[prefix.len()..]).u64()?, Arc::new(VersionRecord::decode(&value)?)))
    };
    entries.map(read).collect()
}

fn read_aliases(scope: &Scope, name: &str, turn: &Turn<'_>) -> Result<BTreeMap<String, Arc<AliasRecord>>, Error> {
    let prefix = keys::aliases(scope, name).build();
    let entries = turn.scan(&Range::prefix(&prefix))?.into_iter();
    let read = |(key, value): (Bytes, Bytes)| {
        Ok((KeyReader::new(&key[prefix.len()..]).str()?, Arc::new(AliasRecord::decode(&value)?)))
    };
    entries.map(read).collect()
}
