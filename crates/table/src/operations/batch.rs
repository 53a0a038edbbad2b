use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use service::{Call, Fault};

use super::State;
use super::items::{WriteOptions, check_item_size, item_key, projection, put_key};
use super::request::{Names, Violations, checked, return_capacity, return_metrics, table_name};
use crate::capacity::{Capacity, ConsumedCapacity, ReturnCapacity, read_units};
use crate::expression::Projection;
use crate::fault::validation;
use crate::machine::{Input, Write, WriteAction, Written};
use crate::schema::{Table, TableName};
use crate::stored::{decode_item, stored_size_bytes};
use crate::{Checked, Item, fault};

/// Puts and deletes that one BatchWriteItem takes.
const WRITES_MAX: usize = 25;
/// Items that one BatchGetItem takes.
const READS_MAX: usize = 100;
/// What one batch carries.
const BATCH_BYTES_MAX: usize = 16 * 1024 * 1024;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct BatchGetItemInput {
    request_items: Option<BTreeMap<String, KeysAndAttributes>>,
    return_consumed_capacity: Option<String>,
}

#[derive(Clone, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct KeysAndAttributes {
    keys: Option<Vec<Checked<Item>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    consistent_read: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    projection_expression: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expression_attribute_names: Option<Names>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attributes_to_get: Option<Vec<String>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct BatchGetItemOutput {
    responses: BTreeMap<String, Vec<Item>>,
    unprocessed_keys: BTreeMap<String, KeysAndAttributes>,
    #[serde(skip_serializing_if = "Option::is_none")]
    consumed_capacity: Option<Vec<ConsumedCapacity>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct BatchWriteItemInput {
    request_items: Option<BTreeMap<String, Vec<WriteRequest>>>,
    return_consumed_capacity: Option<String>,
    return_item_collection_metrics: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct WriteRequest {
    put_request: Option<PutRequest>,
    delete_request: Option<DeleteRequest>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PutRequest {
    item: Option<Checked<Item>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DeleteRequest {
    key: Option<Checked<Item>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct BatchWriteItemOutput {
    unprocessed_items: BTreeMap<String, Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    consumed_capacity: Option<Vec<ConsumedCapacity>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    item_collection_metrics: BTreeMap<String, Vec<Value>>,
}

/// A table by the name that the request gives it, and its own.
type GivenTable = (String, Arc<str>);

/// One table's part of a BatchGetItem, checked.
struct Get {
    /// The name as the request gives it.
    given: String,
    request: KeysAndAttributes,
    table: Arc<Table>,
    projection: Option<Projection>,
    /// Keys as given and in the store.
    keys: Vec<(Item, Vec<u8>)>,
}

pub(crate) async fn batch_get_item(
    state: &Arc<State>,
    call: Call,
    input: BatchGetItemInput,
) -> Result<BatchGetItemOutput, Fault> {
    let mut violations = Violations::default();
    let wanted = return_capacity(input.return_consumed_capacity.as_deref(), &mut violations);
    let requests = required(input.request_items, READS_MAX, &mut violations);
    let names = table_names(&call, requests.keys(), &mut violations);
    for (given, request) in &requests {
        let path = format!("requestItems.{given}.member.keys");
        violations.require(&path, request.keys.as_ref());
        let count = request.keys.as_ref().map_or(1, Vec::len);
        violations.length(&path, "[]", count, 1, READS_MAX);
    }
    violations.finish()?;
    if requests.values().filter_map(|r| r.keys.as_ref()).map(Vec::len).sum::<usize>() > READS_MAX {
        return Err(validation("Too many items requested for the BatchGetItem call"));
    }
    let mut gets = Vec::with_capacity(requests.len());
    for ((given, request), name) in requests.into_iter().zip(names) {
        gets.push(check_get(state, given, request, &name)?);
    }
    let mut output =
        BatchGetItemOutput { responses: BTreeMap::new(), unprocessed_keys: BTreeMap::new(), consumed_capacity: None };
    let mut bytes = 0;
    let mut capacities = Vec::new();
    for get in gets {
        let mut capacity = Capacity::default();
        read_one_table(state, &get, &mut bytes, &mut capacity, &mut output)?;
        capacities.extend(capacity.shown(&get.table.name, wanted));
    }
    output.consumed_capacity = Some(capacities).filter(|c| !c.is_empty());
    Ok(output)
}

fn check_get(state: &State, given: String, request: KeysAndAttributes, name: &TableName) -> Result<Get, Fault> {
    let projection = projection(
        request.projection_expression.as_deref(),
        request.expression_attribute_names.clone(),
        request.attributes_to_get.clone(),
    )?;
    let table = state.table(name)?;
    let mut keys = Vec::new();
    let mut seen = BTreeSet::new();
    for key in request.keys.iter().flatten() {
        let key = checked(key.clone())?;
        let store_key = item_key(&table, &key)?;
        if !seen.insert(store_key.clone()) {
            return Err(validation("Provided list of item keys contains duplicates"));
        }
        keys.push((key, store_key));
    }
    Ok(Get { given, request, table, projection, keys })
}

fn read_one_table(
    state: &State,
    get: &Get,
    bytes: &mut usize,
    capacity: &mut Capacity,
    output: &mut BatchGetItemOutput,
) -> Result<(), Fault> {
    let consistent = get.request.consistent_read.unwrap_or(false);
    let items = output.responses.entry(get.given.clone()).or_default();
    let mut left = Vec::new();
    for (key, store_key) in &get.keys {
        if *bytes >= BATCH_BYTES_MAX {
            left.push(Checked::from(key.clone()));
            continue;
        }
        let found = state.store.get(store_key).map_err(fault::store)?;
        let size = found.as_ref().map(|b| stored_size_bytes(b)).transpose().map_err(fault::store)?.unwrap_or(0);
        *bytes += size;
        capacity.table += read_units(size, consistent);
        if let Some(item) = found.map(|b| decode_item(&b)).transpose().map_err(fault::store)? {
            items.push(match &get.projection {
                Some(projection) => projection.apply(&item),
                None => item,
            });
        }
    }
    if !left.is_empty() {
        let rest = KeysAndAttributes { keys: Some(left), ..get.request.clone() };
        output.unprocessed_keys.insert(get.given.clone(), rest);
    }
    Ok(())
}

pub(crate) async fn batch_write_item(
    state: &Arc<State>,
    call: Call,
    input: BatchWriteItemInput,
) -> Result<BatchWriteItemOutput, Fault> {
    let mut violations = Violations::default();
    let wanted = return_capacity(input.return_consumed_capacity.as_deref(), &mut violations);
    let metrics = return_metrics(input.return_item_collection_metrics.as_deref(), &mut violations);
    let requests = required(input.request_items, WRITES_MAX, &mut violations);
    let names = table_names(&call, requests.keys(), &mut violations);
    for (given, list) in &requests {
        violations.length(&format!("requestItems.{given}"), "[]", list.len(), 1, WRITES_MAX);
    }
    violations.finish()?;
    if requests.values().map(Vec::len).sum::<usize>() > WRITES_MAX {
        return Err(validation("Too many items requested for the BatchWriteItem call"));
    }
    // The writes of each cell, with the table of each and the name that the request gives it.
    let mut by_cell: BTreeMap<usize, (Vec<Write>, Vec<GivenTable>)> = BTreeMap::new();
    for ((given, list), name) in requests.into_iter().zip(names) {
        let (writes, of) = by_cell.entry(state.cell_of(&name)).or_default();
        for write in check_writes(state, list, &name, metrics)? {
            writes.push(write);
            of.push((given.clone(), name.name.clone()));
        }
    }
    let mut answers = Vec::with_capacity(by_cell.len());
    let mut tables = Vec::new();
    for (cell, (writes, of)) in by_cell {
        let effect = call.effect.clone();
        let cell = state.cells.at(cell).expect("the index is one of a cell");
        answers.push(cell.call(|reply| Input::WriteMany { writes, effect, reply }));
        tables.extend(of);
    }
    let mut written = Vec::new();
    for answer in futures::future::join_all(answers).await {
        written.extend(answer.map_err(fault::cell)??);
    }
    Ok(write_output(tables.into_iter().zip(written), wanted))
}

fn check_writes(state: &State, list: Vec<WriteRequest>, name: &TableName, metrics: bool) -> Result<Vec<Write>, Fault> {
    let mut actions = Vec::with_capacity(list.len());
    for request in list {
        actions.push(match (request.put_request, request.delete_request) {
            (Some(PutRequest { item: Some(item) }), None) => {
                let item = checked(item)?;
                check_item_size(&item)?;
                WriteAction::Put(item)
            }
            (None, Some(DeleteRequest { key: Some(key) })) => WriteAction::Delete(checked(key)?),
            _ => {
                return Err(validation(
                    "Supplied AttributeValue has more than one datatypes set, must contain exactly one of the \
                     supported datatypes",
                ));
            }
        });
    }
    let table = state.table(name)?;
    let mut seen = BTreeSet::new();
    let mut writes = Vec::with_capacity(actions.len());
    for action in actions {
        let key = match &action {
            WriteAction::Put(item) => put_key(&table, item)?,
            WriteAction::Update(key, _) | WriteAction::Delete(key) | WriteAction::Check(key) => item_key(&table, key)?,
        };
        if !seen.insert(key.clone()) {
            return Err(validation("Provided list of item keys contains duplicates"));
        }
        let options = WriteOptions { return_metrics: metrics, ..WriteOptions::default() };
        writes.push(options.write(&table, key, action));
    }
    Ok(writes)
}

fn write_output(written: impl Iterator<Item = (GivenTable, Written)>, wanted: ReturnCapacity) -> BatchWriteItemOutput {
    let mut capacities: BTreeMap<Arc<str>, Capacity> = BTreeMap::new();
    let mut metrics: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for ((given, table), Written { capacity, metrics: found }) in written {
        capacities.entry(table).or_default().add(&capacity);
        if let Some(found) = found {
            metrics.entry(given).or_default().push(found);
        }
    }
    let shown: Vec<_> = capacities.iter().filter_map(|(name, c)| c.shown(name, wanted)).collect();
    BatchWriteItemOutput {
        unprocessed_items: BTreeMap::new(),
        consumed_capacity: Some(shown).filter(|c| !c.is_empty()),
        item_collection_metrics: metrics,
    }
}

/// RequestItems must be there, with one table at least.
fn required<T>(items: Option<BTreeMap<String, T>>, most: usize, violations: &mut Violations) -> BTreeMap<String, T> {
    violations.require("requestItems", items.as_ref());
    let count = items.as_ref().map_or(1, BTreeMap::len);
    violations.length("requestItems", "{}", count, 1, most);
    items.unwrap_or_default()
}

fn table_names<'a>(
    call: &Call,
    given: impl Iterator<Item = &'a String>,
    violations: &mut Violations,
) -> Vec<TableName> {
    given.map(|name| table_name(call, Some(name), violations)).collect()
}
