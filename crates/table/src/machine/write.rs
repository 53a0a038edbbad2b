use std::sync::Arc;

use bytes::Bytes;
use cell::Turn;
use serde::Serialize;
use serde_json::Value;
use service::Fault;
use store::Error;

use super::TableMachine;
use crate::capacity::{
    COLLECTION_BYTES_MAX, Capacity, ConsumedCapacity, ReturnCapacity, collection_metrics, write_units,
};
use crate::counts::{Count, Counts};
use crate::expression::{Action, Condition, Projection, Update};
use crate::schema::{KeyProblem, Table, TableName};
use crate::stored::{decode_item, encode_item, stored_size_bytes};
use crate::value::NESTING_MAX;
use crate::{ITEM_BYTES_MAX, Item, fault, item_size_bytes, key};

/// What ReturnValues asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum ReturnValues {
    #[default]
    None,
    AllOld,
    UpdatedOld,
    AllNew,
    UpdatedNew,
}

#[derive(Clone, Debug)]
pub(crate) enum WriteAction {
    Put(Item),
    /// The key attributes and what is done to the item that has them.
    Update(Item, Update),
    /// The key attributes.
    Delete(Item),
    /// The key attributes; only the condition counts.
    Check(Item),
}

/// One write, checked against the table's definition as it was when the caller looked.
#[derive(Clone, Debug)]
pub(crate) struct Write {
    pub table: TableName,
    /// If the table has another id by now it is another table.
    pub table_id: u64,
    /// The item's key in the store.
    pub key: Vec<u8>,
    pub action: WriteAction,
    pub condition: Option<Condition>,
    pub return_values: ReturnValues,
    /// Whether a failed condition shows the item.
    pub return_on_failure: bool,
    pub return_capacity: ReturnCapacity,
    pub return_metrics: bool,
}

/// What a write comes to: computed before anything is written, so that several can be decided together.
#[derive(Debug)]
pub(crate) struct Plan {
    pub table: Arc<Table>,
    pub key: Vec<u8>,
    writes: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    counts: Counts,
    /// The item collection's size record and what it grows by.
    collection: Option<(Vec<u8>, i64)>,
    pub capacity: Capacity,
    attributes: Option<Item>,
    metrics: Option<Value>,
}

/// The answer to a PutItem, UpdateItem or DeleteItem.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct WriteOutput {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attributes: Option<Item>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consumed_capacity: Option<ConsumedCapacity>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub item_collection_metrics: Option<Value>,
}

/// An item as it is stored, read only as far as is needed.
struct Old {
    bytes: Bytes,
    item: Option<Item>,
}

/// `Ok(Err(_))` is an answer of DynamoDB's, `Err(_)` the store's.
pub(crate) type Planned<T> = Result<Result<T, Fault>, Error>;

macro_rules! answer {
    ($result:expr) => {
        match $result {
            Ok(value) => value,
            Err(fault) => return Ok(Err(fault)),
        }
    };
}

impl Plan {
    /// The output for a caller who asked for `wanted`.
    pub fn into_output(self, wanted: ReturnCapacity) -> WriteOutput {
        let consumed_capacity = self.capacity.shown(&self.table.name, wanted);
        WriteOutput { attributes: self.attributes, consumed_capacity, item_collection_metrics: self.metrics }
    }

    /// The size of the item collection, if it was asked for.
    pub fn take_metrics(&mut self) -> Option<Value> {
        self.metrics.take()
    }
}

impl TableMachine {
    /// Works out what `write` comes to.
    pub(super) fn plan(&self, write: &Write, turn: &Turn<'_>) -> Planned<Plan> {
        let Some(table) = self.tables.get(&write.table).filter(|t| t.id == write.table_id) else {
            return Ok(Err(fault::no_table()));
        };
        let mut old = turn.get(&write.key)?.map(|bytes| Old { bytes, item: None });
        if write.needs_old(table)
            && let Some(old) = &mut old
        {
            old.item = Some(decode_item(&old.bytes)?);
        }
        let old_item = old.as_ref().and_then(|o| o.item.as_ref());
        if let Some(condition) = &write.condition
            && !condition.holds(old_item.unwrap_or(&Item::new()))
        {
            let fault = fault::condition_failed();
            return Ok(Err(match old_item.filter(|_| write.return_on_failure) {
                Some(item) => fault.member("Item", serde_json::to_value(item).unwrap_or_default()),
                None => fault,
            }));
        }
        let new = answer!(write.new_item(old_item, table));
        let old_size = old.as_ref().map(|o| stored_size_bytes(&o.bytes)).transpose()?;
        let mut plan = Plan {
            table: table.clone(),
            key: write.key.clone(),
            writes: Vec::new(),
            counts: Counts::default(),
            collection: None,
            capacity: Capacity::default(),
            attributes: None,
            metrics: None,
        };
        if matches!(write.action, WriteAction::Check(_)) {
            plan.capacity.table = write_units(old_size.unwrap_or(0));
            return Ok(Ok(plan));
        }
        plan.write_item(&write.key, old_size, new.as_ref());
        plan.write_entries(old_item, new.as_ref(), turn)?;
        answer!(plan.measure_collection(write, turn)?);
        plan.attributes = write.returned(old_item, new.as_ref());
        Ok(Ok(plan))
    }

    /// Writes what was planned.
    pub(super) fn carry_out(&mut self, plan: &mut Plan, turn: &mut Turn<'_>) -> Result<(), Error> {
        for (key, value) in std::mem::take(&mut plan.writes) {
            match value {
                Some(value) => turn.put(key, value),
                None => turn.delete(key),
            }
        }
        if let Some((key, growth)) = &plan.collection {
            let size = read_size(turn, key)? + growth;
            if size > 0 {
                turn.put(key.clone(), write_size(size));
            } else {
                turn.delete(key.clone());
            }
        }
        if plan.counts != Counts::default() {
            self.count(plan.table.id, &plan.counts, turn)?;
        }
        Ok(())
    }
}

impl Write {
    fn needs_old(&self, table: &Table) -> bool {
        self.condition.is_some()
            || matches!(self.action, WriteAction::Update(..))
            || self.return_values != ReturnValues::None
            || !table.indexes.is_empty()
            || table.time_to_live.is_some()
    }

    /// The item after the write, if there is one.
    fn new_item(&self, old: Option<&Item>, table: &Table) -> Result<Option<Item>, Fault> {
        let new = match &self.action {
            WriteAction::Put(item) => item.clone(),
            WriteAction::Delete(_) | WriteAction::Check(_) => return Ok(None),
            WriteAction::Update(key, update) => {
                let takes = |a: &Action| matches!(a, Action::Remove(_) | Action::Delete(..));
                let new = update.apply(old.unwrap_or(key)).map_err(|e| fault::validation(e.to_string()))?;
                if old.is_none() && !update.actions().is_empty() && update.actions().iter().all(takes) {
                    // What only takes away does not create.
                    return Ok(None);
                }
                check_updated(&new)?;
                new
            }
        };
        for index in &table.indexes {
            match index.keys.of(&new) {
                Ok(_) | Err(KeyProblem::Missing(_)) => {}
                Err(KeyProblem::WrongKind(..)) if matches!(self.action, WriteAction::Update(..)) => {
                    return Err(fault::validation(
                        "The update expression attempted to update the secondary index key to unsupported type",
                    ));
                }
                Err(problem) => return Err(fault::index_key(&problem, &index.name)),
            }
        }
        Ok(Some(new))
    }

    fn returned(&self, old: Option<&Item>, new: Option<&Item>) -> Option<Item> {
        let part = |item: Option<&Item>| {
            let WriteAction::Update(_, update) = &self.action else {
                return None;
            };
            item.map(|i| Projection::of_paths(update.paths()).apply(i)).filter(|i| !i.is_empty())
        };
        match self.return_values {
            ReturnValues::None => None,
            ReturnValues::AllOld => old.cloned(),
            ReturnValues::AllNew => new.cloned(),
            ReturnValues::UpdatedOld => part(old),
            ReturnValues::UpdatedNew => part(new),
        }
    }
}

/// What an update made may break limits that its parts kept.
fn check_updated(item: &Item) -> Result<(), Fault> {
    if item_size_bytes(item) > ITEM_BYTES_MAX {
        return Err(fault::validation("Item size to update has exceeded the maximum allowed size"));
    }
    if item.values().any(|v| v.depth() > NESTING_MAX) {
        return Err(fault::validation("Nesting Levels have exceeded supported limits"));
    }
    Ok(())
}

impl Plan {
    fn write_item(&mut self, key: &[u8], old_size: Option<usize>, new: Option<&Item>) {
        let new_size = new.map(item_size_bytes);
        self.counts.table = change(old_size, new_size);
        self.capacity.table = write_units(old_size.unwrap_or(0).max(new_size.unwrap_or(0)));
        match (new, new_size) {
            (Some(item), Some(size)) => self.writes.push((key.to_vec(), Some(encode_item(item, size)))),
            _ if old_size.is_some() => self.writes.push((key.to_vec(), None)),
            _ => {}
        }
    }

    fn write_entries(&mut self, old: Option<&Item>, new: Option<&Item>, turn: &Turn<'_>) -> Result<(), Error> {
        let table = self.table.clone();
        for index in &table.indexes {
            let entry = |item: Option<&Item>| {
                let item = item?;
                let key = index.entry_key(&table, item)?;
                let part = index.project(&table, item);
                let size = item_size_bytes(&part);
                Some((key, encode_item(&part, size), size))
            };
            let (mut before, after) = (entry(old), entry(new));
            // The fill has perhaps not come to this item yet.
            if !index.is_filled()
                && let Some((key, ..)) = &before
                && turn.get(key)?.is_none()
            {
                before = None;
            }
            if before.as_ref().map(|(k, v, _)| (k, v)) == after.as_ref().map(|(k, v, _)| (k, v)) {
                continue;
            }
            let (old_size, new_size) = (before.as_ref().map(|e| e.2), after.as_ref().map(|e| e.2));
            self.counts.indexes.insert(index.id, change(old_size, new_size));
            let moved = before.as_ref().map(|e| &e.0) != after.as_ref().map(|e| &e.0);
            let units = if moved {
                old_size.map_or(0.0, write_units) + new_size.map_or(0.0, write_units)
            } else {
                write_units(old_size.unwrap_or(0).max(new_size.unwrap_or(0)))
            };
            self.capacity.add_index(&index.name, index.global, units);
            if let Some((key, ..)) = before.filter(|_| moved) {
                self.writes.push((key, None));
            }
            if let Some((key, value, _)) = after {
                self.writes.push((key, Some(value)));
            }
        }
        if let Some(ttl) = &table.time_to_live {
            let (before, after) =
                (old.and_then(|i| ttl.entry_key(&table, i)), new.and_then(|i| ttl.entry_key(&table, i)));
            if before != after {
                self.writes.extend(before.map(|key| (key, None)));
                self.writes.extend(after.map(|key| (key, Some(ttl_value(&self.key)))));
            }
        }
        Ok(())
    }

    /// Tables with local indexes bound what one partition holds.
    fn measure_collection(&mut self, write: &Write, turn: &Turn<'_>) -> Planned<()> {
        if !self.table.has_local_indexes() {
            return Ok(Ok(()));
        }
        let locals = self.table.indexes.iter().filter(|i| !i.global);
        let growth = self.counts.table.bytes + locals.map(|i| self.counts.index(i.id).bytes).sum::<i64>();
        let (WriteAction::Put(item)
        | WriteAction::Update(item, _)
        | WriteAction::Delete(item)
        | WriteAction::Check(item)) = &write.action;
        let Some(partition) = item.get(&self.table.keys.hash.name) else {
            return Ok(Ok(()));
        };
        let key = key::collection(self.table.id, partition);
        let size = read_size(turn, &key)? + growth;
        if growth > 0 && size > COLLECTION_BYTES_MAX {
            return Ok(Err(fault::collection_too_large()));
        }
        if write.return_metrics {
            self.metrics = Some(collection_metrics(&self.table, item, size));
        }
        self.collection = Some((key, growth)).filter(|(_, growth)| *growth != 0);
        Ok(Ok(()))
    }
}

fn change(old: Option<usize>, new: Option<usize>) -> Count {
    let signed = |n: Option<usize>| n.map_or(0, |n| i64::try_from(n).unwrap_or(i64::MAX));
    Count { items: i64::from(new.is_some()) - i64::from(old.is_some()), bytes: signed(new) - signed(old) }
}

const SIZE_VERSION: u8 = 1;

fn read_size(turn: &Turn<'_>, key: &[u8]) -> Result<i64, Error> {
    match turn.get(key)? {
        None => Ok(0),
        Some(value) => match value.split_first() {
            Some((&SIZE_VERSION, rest)) => Ok(store::KeyReader::new(rest).i64()?),
            _ => Err(Error::Corrupt("size of an item collection".to_owned())),
        },
    }
}

fn write_size(size: i64) -> Vec<u8> {
    store::Key::default().u8(SIZE_VERSION).i64(size).build()
}

const TTL_VERSION: u8 = 1;

/// What an entry of a TTL holds: the key of the item that expires.
pub(super) fn ttl_value(item_key: &[u8]) -> Vec<u8> {
    [&[TTL_VERSION], item_key].concat()
}

/// The inverse of [`ttl_value`].
pub(super) fn ttl_item_key(value: &[u8]) -> Result<&[u8], Error> {
    match value.split_first() {
        Some((&TTL_VERSION, key)) => Ok(key),
        _ => Err(Error::Corrupt("entry of a time to live".to_owned())),
    }
}
