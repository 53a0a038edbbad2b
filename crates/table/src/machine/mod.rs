//! What calls do to tables: the machine that each table cell runs.
//!
//! A table belongs to one cell, chosen by its name. A transaction over tables of several cells is decided in two steps:
//! each cell plans its part and locks the items (in memory), then one of them, the coordinator, writes all parts in one
//! batch, then the locks go. A crash between leaves either the whole batch or nothing; locks do not outlive a process.
//! Writes that meet a lock wait for it; transactions that meet one are refused with `TransactionConflict`.

mod background;
mod transaction;
mod write;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use base::Timestamp;
use cell::{Machine, Reply, Turn, shard_of};
use serde_json::{Value, json};
use service::{EffectId, Fault};
use store::{Error, Range};

use crate::capacity::{Capacity, ReturnCapacity};
use crate::catalog::Catalog;
use crate::counts::Counts;
use crate::fault;
use crate::key;
use crate::schema::{Table, TableName};
use crate::stored_table::{decode_table, encode_table};

pub(crate) use transaction::{
    Cancelled, ClientToken, Done, Operation, Read, Reason, Transaction, TransactionResult, cancelled, split,
    token_answer,
};
pub(crate) use write::{Plan, ReturnValues, Write, WriteAction, WriteOutput};

/// Calls that may wait for a transaction's locks.
const DEFERRED_MAX: usize = 1024;
/// How many bits of a table id number the tables of one cell.
const TABLE_ID_BITS: u32 = 40;

/// Locks belong to a transaction by this number; it is unique within the process.
pub(crate) type TransactionId = u64;

/// What a change of definitions may use beside the table it changes.
pub(crate) struct Facts {
    pub now: Timestamp,
    /// For a new table; taken only if it becomes one.
    pub next_table_id: u64,
}

/// What becomes of a definition.
pub(crate) enum Defined {
    Put(Box<Table>),
    Delete,
}

/// Decides what becomes of a table's definition, and what the caller is answered.
pub(crate) type Change = Box<dyn FnOnce(Option<&Table>, &Facts) -> Result<(Defined, Value), Fault> + Send>;

pub(crate) enum Input {
    Define {
        name: TableName,
        change: Change,
        effect: Option<EffectId>,
        reply: Reply<Result<Value, Fault>>,
    },
    Write {
        write: Box<Write>,
        effect: Option<EffectId>,
        reply: Reply<Result<Answer, Fault>>,
    },
    /// The part of a BatchWriteItem that this cell owns.
    WriteMany {
        writes: Vec<Write>,
        effect: Option<EffectId>,
        reply: Reply<Result<Vec<Written>, Fault>>,
    },
    /// A transaction whose tables all belong to this cell.
    Transact {
        transaction: Transaction,
        reply: Reply<Result<TransactionResult, Fault>>,
    },
    /// The first step of a transaction over several cells: plan and lock.
    Prepare {
        id: TransactionId,
        operations: Vec<Operation>,
        reply: Reply<Vec<Result<transaction::Done, Reason>>>,
    },
    /// The second step, at the coordinator: write everything.
    Commit {
        plans: Vec<Plan>,
        token: Option<ClientToken>,
        effect: Option<EffectId>,
        return_capacity: ReturnCapacity,
        reply: Reply<Result<TransactionResult, Fault>>,
    },
    /// The last step: the locks go, and what waited for them goes on.
    Release {
        id: TransactionId,
    },
    /// What was answered to an effect before.
    Recall {
        effect: EffectId,
        reply: Reply<Result<Option<Value>, Fault>>,
    },
}

/// An answer: made now, or remembered from the first delivery of an effect.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
#[serde(untagged)]
pub(crate) enum Answer {
    Made(WriteOutput),
    Remembered(Value),
}

/// What one write of a batch came to.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Written {
    pub capacity: Capacity,
    pub metrics: Option<Value>,
}

/// How the machine is bounded and how often it looks.
#[derive(Clone, Debug)]
pub(crate) struct MachineOptions {
    pub ttl_sweep_interval: std::time::Duration,
    pub background_items_per_turn: usize,
}

struct Lock {
    id: TransactionId,
    table: u64,
}

pub(crate) struct TableMachine {
    index: usize,
    cells: usize,
    catalog: Arc<Catalog>,
    options: MachineOptions,
    tables: BTreeMap<TableName, Arc<Table>>,
    /// What this cell has counted, as far as it was needed; `dirty` ones are written at the end of the turn.
    counts: BTreeMap<u64, Counts>,
    dirty: BTreeSet<u64>,
    next_table: Option<u64>,
    locks: BTreeMap<Vec<u8>, Lock>,
    deferred: VecDeque<Input>,
    schedule: background::Schedule,
}

impl TableMachine {
    pub fn new(index: usize, cells: usize, catalog: Arc<Catalog>, options: MachineOptions) -> TableMachine {
        TableMachine {
            index,
            cells,
            catalog,
            options,
            tables: BTreeMap::new(),
            counts: BTreeMap::new(),
            dirty: BTreeSet::new(),
            next_table: None,
            locks: BTreeMap::new(),
            deferred: VecDeque::new(),
            schedule: background::Schedule::default(),
        }
    }

    fn apply_input(&mut self, input: Input, turn: &mut Turn<'_>) -> Result<(), Error> {
        match input {
            Input::Define { name, change, effect, reply } => {
                let locked = self.tables.get(&name).is_some_and(|t| self.is_locked(t.id));
                if locked {
                    return self.defer(Input::Define { name, change, effect, reply }, turn);
                }
                let answer =
                    self.once(effect.as_ref(), turn, |m, turn| m.define(&name, change, turn), Value::clone, Some)?;
                turn.reply(reply, answer);
            }
            Input::Write { write, effect, reply } => {
                if self.locks.contains_key(&write.key) {
                    return self.defer(Input::Write { write, effect, reply }, turn);
                }
                let write_one = |m: &mut TableMachine, turn: &mut Turn<'_>| m.write(&write, turn);
                let shown = |a: &Answer| serde_json::to_value(a).unwrap_or_default();
                let answer = self.once(effect.as_ref(), turn, write_one, shown, |v| Some(Answer::Remembered(v)))?;
                turn.reply(reply, answer);
            }
            Input::WriteMany { writes, effect, reply } => {
                if writes.iter().any(|w| self.locks.contains_key(&w.key)) {
                    return self.defer(Input::WriteMany { writes, effect, reply }, turn);
                }
                let write_all = |m: &mut TableMachine, turn: &mut Turn<'_>| m.write_many(&writes, turn);
                let shown = |written: &Vec<Written>| serde_json::to_value(written).unwrap_or_default();
                let answer = self.once(effect.as_ref(), turn, write_all, shown, |v| serde_json::from_value(v).ok())?;
                turn.reply(reply, answer);
            }
            Input::Transact { transaction, reply } => {
                let answer = self.transact(transaction, turn)?;
                turn.reply(reply, answer);
            }
            Input::Prepare { id, operations, reply } => {
                let done = self.prepare(id, &operations, turn)?;
                turn.reply(reply, done);
            }
            Input::Commit { plans, token, effect, return_capacity, reply } => {
                let answer = self.commit(plans, token.as_ref(), effect.as_ref(), return_capacity, turn)?;
                turn.reply(reply, answer);
            }
            Input::Release { id } => {
                self.locks.retain(|_, lock| lock.id != id);
                for input in std::mem::take(&mut self.deferred) {
                    self.apply_input(input, turn)?;
                }
            }
            Input::Recall { effect, reply } => {
                let answer = recall(turn, Some(&effect))?;
                turn.reply(reply, answer.transpose());
            }
        }
        Ok(())
    }

    /// Does `act` once for an effect: a repeated delivery is answered as the first.
    fn once<T>(
        &mut self,
        effect: Option<&EffectId>,
        turn: &mut Turn<'_>,
        act: impl FnOnce(&mut TableMachine, &mut Turn<'_>) -> Result<Result<T, Fault>, Error>,
        shown: impl FnOnce(&T) -> Value,
        remembered: impl FnOnce(Value) -> Option<T>,
    ) -> Result<Result<T, Fault>, Error> {
        if let Some(answer) = recall(turn, effect)? {
            let corrupt = || Error::Corrupt("remembered answer".to_owned());
            return answer.map_or_else(|f| Ok(Err(f)), |v| remembered(v).map(Ok).ok_or_else(corrupt));
        }
        let answer = act(self, turn)?;
        remember(turn, effect, answer.as_ref().map(shown));
        Ok(answer)
    }

    fn write(&mut self, write: &Write, turn: &mut Turn<'_>) -> Result<Result<Answer, Fault>, Error> {
        Ok(match self.plan(write, turn)? {
            Ok(mut plan) => {
                self.carry_out(&mut plan, turn)?;
                Ok(Answer::Made(plan.into_output(write.return_capacity)))
            }
            Err(fault) => Err(fault),
        })
    }

    /// Writes without conditions: one that is refused (its table is gone, an index's key does not fit) stops the rest.
    fn write_many(&mut self, writes: &[Write], turn: &mut Turn<'_>) -> Result<Result<Vec<Written>, Fault>, Error> {
        let mut plans = Vec::with_capacity(writes.len());
        for write in writes {
            match self.plan(write, turn)? {
                Ok(plan) => plans.push(plan),
                Err(fault) => return Ok(Err(fault)),
            }
        }
        for plan in &mut plans {
            self.carry_out(plan, turn)?;
        }
        Ok(Ok(plans.into_iter().map(|mut p| Written { metrics: p.take_metrics(), capacity: p.capacity }).collect()))
    }

    fn define(&mut self, name: &TableName, change: Change, turn: &mut Turn<'_>) -> Result<Result<Value, Fault>, Error> {
        let next = match self.next_table {
            Some(next) => next,
            None => read_number(turn, &key::next_table_id(turn.cell()))?,
        };
        let cell = u64::try_from(self.index).expect("few cells");
        let facts = Facts { now: turn.now(), next_table_id: (cell << TABLE_ID_BITS) | next };
        let old = self.tables.get(name).cloned();
        let (defined, answer) = match change(old.as_deref(), &facts) {
            Ok(decided) => decided,
            Err(fault) => return Ok(Err(fault)),
        };
        match defined {
            Defined::Delete => self.drop_table(name, turn),
            Defined::Put(table) => {
                if table.id == facts.next_table_id {
                    turn.put(key::next_table_id(turn.cell()), number(next + 1));
                    self.next_table = Some(next + 1);
                }
                self.put_table(old.as_deref(), *table, turn);
            }
        }
        Ok(Ok(answer))
    }

    fn put_table(&mut self, old: Option<&Table>, table: Table, turn: &mut Turn<'_>) {
        let kept = |id: u64| {
            table.indexes.iter().any(|i| i.id == id) || table.time_to_live.as_ref().is_some_and(|t| t.id == id)
        };
        let had = old.map(|t| t.indexes.iter().map(|i| i.id).chain(t.time_to_live.as_ref().map(|t| t.id)));
        for id in had.into_iter().flatten().filter(|id| !kept(*id)) {
            turn.put(key::purge(turn.cell(), table.id, id), vec![1]);
            self.schedule.purging = true;
        }
        let name = table.table_name();
        turn.put(name.cell_key(), encode_table(&table));
        let table = Arc::new(table);
        self.tables.insert(name, table.clone());
        let catalog = self.catalog.clone();
        turn.effect(move || catalog.put(table));
    }

    fn drop_table(&mut self, name: &TableName, turn: &mut Turn<'_>) {
        let Some(table) = self.tables.remove(name) else {
            return;
        };
        turn.delete(name.cell_key());
        turn.put(key::purge(turn.cell(), table.id, background::WHOLE_TABLE), vec![1]);
        self.schedule.purging = true;
        self.counts.remove(&table.id);
        self.dirty.remove(&table.id);
        let (catalog, name) = (self.catalog.clone(), name.clone());
        turn.effect(move || catalog.remove(&name));
    }

    fn count(&mut self, table: u64, change: &Counts, turn: &Turn<'_>) -> Result<(), Error> {
        if let std::collections::btree_map::Entry::Vacant(entry) = self.counts.entry(table) {
            let stored = turn.get(&key::counts(table, turn.cell()))?;
            entry.insert(stored.map(|v| Counts::decode(&v)).transpose()?.unwrap_or_default());
        }
        if let Some(counts) = self.counts.get_mut(&table) {
            counts.add(change);
        }
        self.dirty.insert(table);
        Ok(())
    }

    fn is_locked(&self, table: u64) -> bool {
        self.locks.values().any(|l| l.table == table)
    }

    /// Lets an input wait until the locks that it meets are gone.
    fn defer(&mut self, input: Input, turn: &mut Turn<'_>) -> Result<(), Error> {
        if self.deferred.len() < DEFERRED_MAX {
            self.deferred.push_back(input);
            return Ok(());
        }
        match input {
            Input::Define { reply, .. } => turn.reply(reply, Err(fault::conflict())),
            Input::Write { reply, .. } => turn.reply(reply, Err(fault::conflict())),
            Input::WriteMany { reply, .. } => turn.reply(reply, Err(fault::conflict())),
            _ => {}
        }
        Ok(())
    }
}

/// What was answered to `effect` before, if it came before.
fn recall(turn: &Turn<'_>, effect: Option<&EffectId>) -> Result<Option<Result<Value, Fault>>, Error> {
    let Some(effect) = effect else {
        return Ok(None);
    };
    let Some(bytes) = turn.earlier_answer(&effect.0)? else {
        return Ok(None);
    };
    let corrupt = || Error::Corrupt("remembered answer".to_owned());
    let Some((&ANSWER_VERSION, json)) = bytes.split_first() else {
        return Err(corrupt());
    };
    let mut value: Value = serde_json::from_slice(json).map_err(|_| corrupt())?;
    if let Some(output) = value.get_mut("output") {
        return Ok(Some(Ok(output.take())));
    }
    fault::decode(&value["fault"]).map(|f| Some(Err(f))).ok_or_else(corrupt)
}

fn remember(turn: &mut Turn<'_>, effect: Option<&EffectId>, answer: Result<Value, &Fault>) {
    let Some(effect) = effect else {
        return;
    };
    let value = match answer {
        Ok(output) => json!({"output": output}),
        Err(fault) => json!({"fault": fault::encode(fault)}),
    };
    let mut bytes = vec![ANSWER_VERSION];
    bytes.extend_from_slice(value.to_string().as_bytes());
    turn.remember_answer(&effect.0, bytes);
}

const ANSWER_VERSION: u8 = 1;
const NUMBER_VERSION: u8 = 1;

fn number(n: u64) -> Vec<u8> {
    store::Key::default().u8(NUMBER_VERSION).u64(n).build()
}

fn read_number(turn: &Turn<'_>, key: &[u8]) -> Result<u64, Error> {
    match turn.get(key)? {
        None => Ok(1),
        Some(value) => match value.split_first() {
            Some((&NUMBER_VERSION, rest)) => Ok(store::KeyReader::new(rest).u64()?),
            _ => Err(Error::Corrupt("number of the next table".to_owned())),
        },
    }
}

impl Machine for TableMachine {
    type Input = Input;

    fn load(&mut self, turn: &mut Turn<'_>) -> Result<(), Error> {
        // Locks and what waits for them stay: they belong to callers, not to the store.
        self.tables.clear();
        self.counts.clear();
        self.dirty.clear();
        self.next_table = None;
        for (key, value) in turn.scan(&Range::prefix(&key::definitions()))? {
            if shard_of(&key, self.cells) == self.index {
                let table = Arc::new(decode_table(&value)?);
                self.tables.insert(table.table_name(), table.clone());
                let catalog = self.catalog.clone();
                turn.effect(move || catalog.put(table));
            }
        }
        self.schedule = background::Schedule::load(turn)?;
        Ok(())
    }

    fn apply(&mut self, input: Input, turn: &mut Turn<'_>) -> Result<(), Error> {
        self.apply_input(input, turn)
    }

    fn settle(&mut self, turn: &mut Turn<'_>) -> Result<(), Error> {
        for table in std::mem::take(&mut self.dirty) {
            if let Some(counts) = self.counts.get(&table) {
                turn.put(key::counts(table, turn.cell()), counts.encode());
            }
        }
        Ok(())
    }

    fn wake_at(&self) -> Option<Timestamp> {
        self.next_wake()
    }

    fn wake(&mut self, turn: &mut Turn<'_>) -> Result<(), Error> {
        self.work_in_background(turn)
    }
}
