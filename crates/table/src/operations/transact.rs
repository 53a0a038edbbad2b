use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use service::{Call, EffectId, Fault};
use sha2::{Digest, Sha256};

use super::State;
use super::items::{WriteOptions, check_item_size, check_update, item_key, parse_condition, projection, put_key};
use super::request::{
    Names, Values, Violations, all_used, checked, placeholders, return_capacity, return_metrics, return_on_failure,
    table_name,
};
use crate::capacity::{Capacity, ConsumedCapacity, ReturnCapacity, read_units, shown_by_table};
use crate::expression::{Projection, Update};
use crate::fault::validation;
use crate::machine::{
    Cancelled, ClientToken, Done, Input, Operation, Read, Reason, Transaction, TransactionId, TransactionResult, Write,
    WriteAction, cancelled, split, token_answer,
};
use crate::schema::Table;
use crate::{Checked, Item, fault, item_size_bytes, key};

/// Parts that one transaction takes.
const OPERATIONS_MAX: usize = 100;
/// What all items of one transaction weigh at most.
const TRANSACTION_BYTES_MAX: usize = 4 * 1024 * 1024;
/// How long a ClientRequestToken may be.
const TOKEN_LENGTH_MAX: usize = 36;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct TransactWriteItemsInput {
    transact_items: Option<Vec<TransactWriteItem>>,
    client_request_token: Option<String>,
    return_consumed_capacity: Option<String>,
    return_item_collection_metrics: Option<String>,
}

/// One part: exactly one of the members.
#[derive(Clone, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct TransactWriteItem {
    #[serde(skip_serializing_if = "Option::is_none")]
    condition_check: Option<Part>,
    #[serde(skip_serializing_if = "Option::is_none")]
    put: Option<Part>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delete: Option<Part>,
    #[serde(skip_serializing_if = "Option::is_none")]
    update: Option<Part>,
}

#[derive(Clone, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Part {
    table_name: Option<String>,
    item: Option<Checked<Item>>,
    key: Option<Checked<Item>>,
    update_expression: Option<String>,
    condition_expression: Option<String>,
    expression_attribute_names: Option<Names>,
    expression_attribute_values: Option<Values>,
    return_values_on_condition_check_failure: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct TransactGetItemsInput {
    transact_items: Option<Vec<TransactGetItem>>,
    return_consumed_capacity: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct TransactGetItem {
    get: Option<Get>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Get {
    table_name: Option<String>,
    key: Option<Checked<Item>>,
    projection_expression: Option<String>,
    expression_attribute_names: Option<Names>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct TransactGetItemsOutput {
    responses: Vec<ItemResponse>,
    #[serde(skip_serializing_if = "Option::is_none")]
    consumed_capacity: Option<Vec<ConsumedCapacity>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ItemResponse {
    #[serde(skip_serializing_if = "Option::is_none")]
    item: Option<Item>,
}

pub(crate) async fn transact_write_items(
    state: &Arc<State>,
    call: Call,
    input: TransactWriteItemsInput,
) -> Result<Value, Fault> {
    let mut violations = Violations::default();
    let wanted = return_capacity(input.return_consumed_capacity.as_deref(), &mut violations);
    let metrics = return_metrics(input.return_item_collection_metrics.as_deref(), &mut violations);
    let items = required(input.transact_items, &mut violations);
    if let Some(token) = &input.client_request_token {
        violations.length("clientRequestToken", token, token.chars().count(), 1, TOKEN_LENGTH_MAX);
    }
    violations.finish()?;
    let token = input.client_request_token.map(|token| ClientToken {
        scope: call.scope.clone(),
        token,
        request_hash: request_hash(&items),
    });
    let mut operations = Vec::with_capacity(items.len());
    for item in items {
        operations.push(Operation::Write(Box::new(check_part(state, &call, item, metrics)?)));
    }
    check_distinct(&operations)?;
    check_size(&operations)?;
    let transaction = Transaction { operations, token, effect: call.effect, return_capacity: wanted };
    match state.transact(transaction).await? {
        TransactionResult::Written(answer) => Ok(answer),
        TransactionResult::Cancelled(cancelled) => Err(cancelled_fault(cancelled)),
        TransactionResult::DoneBefore | TransactionResult::Read(_) => Ok(json!({})),
    }
}

pub(crate) async fn transact_get_items(
    state: &Arc<State>,
    call: Call,
    input: TransactGetItemsInput,
) -> Result<TransactGetItemsOutput, Fault> {
    let mut violations = Violations::default();
    let wanted = return_capacity(input.return_consumed_capacity.as_deref(), &mut violations);
    let items = required(input.transact_items, &mut violations);
    violations.finish()?;
    let mut operations = Vec::with_capacity(items.len());
    let mut projections = Vec::with_capacity(items.len());
    let mut tables = Vec::with_capacity(items.len());
    for (at, item) in items.into_iter().enumerate() {
        let (table, read, projection) = check_get(state, &call, item, at)?;
        operations.push(Operation::Read(read));
        projections.push(projection);
        tables.push(table);
    }
    check_distinct(&operations)?;
    let transaction = Transaction { operations, token: None, effect: None, return_capacity: wanted };
    match state.transact(transaction).await? {
        TransactionResult::Read(done) => get_output(&done, &projections, &tables, wanted),
        TransactionResult::Cancelled(cancelled) => Err(cancelled_fault(cancelled)),
        TransactionResult::DoneBefore | TransactionResult::Written(_) => {
            Err(Fault::internal("a transaction of reads has written"))
        }
    }
}

fn required<T>(items: Option<Vec<T>>, violations: &mut Violations) -> Vec<T> {
    violations.require("transactItems", items.as_ref());
    let count = items.as_ref().map_or(1, Vec::len);
    violations.length("transactItems", "[]", count, 1, OPERATIONS_MAX);
    items.unwrap_or_default()
}

/// What tells a repeated request from another one with the same token.
fn request_hash(items: &[TransactWriteItem]) -> [u8; 32] {
    let text = serde_json::to_vec(items).unwrap_or_default();
    Sha256::digest(&text).into()
}

fn check_part(state: &State, call: &Call, item: TransactWriteItem, metrics: bool) -> Result<Write, Fault> {
    let one = "TransactItems can only contain one of Check, Put, Update or Delete";
    let (kind, part) = match (item.condition_check, item.put, item.delete, item.update) {
        (Some(part), None, None, None) => ("conditionCheck", part),
        (None, Some(part), None, None) => ("put", part),
        (None, None, Some(part), None) => ("delete", part),
        (None, None, None, Some(part)) => ("update", part),
        _ => return Err(validation(one)),
    };
    let mut violations = Violations::default();
    let name = table_name(call, part.table_name.as_deref(), &mut violations);
    let failure = part.return_values_on_condition_check_failure.as_deref();
    let return_on_failure = return_on_failure(failure, &mut violations);
    let path = |member: &str| format!("transactItems.1.member.{kind}.{member}");
    match kind {
        "put" => violations.require(&path("item"), part.item.as_ref()),
        _ => violations.require(&path("key"), part.key.as_ref()),
    }
    if kind == "conditionCheck" {
        violations.require(&path("conditionExpression"), part.condition_expression.as_ref());
    }
    if kind == "update" {
        violations.require(&path("updateExpression"), part.update_expression.as_ref());
    }
    violations.finish()?;
    let expressions =
        [("UpdateExpression", kind == "update"), ("ConditionExpression", part.condition_expression.is_some())];
    let names = part.expression_attribute_names;
    let mut placeholders = placeholders(&expressions, &expressions, names, part.expression_attribute_values)?;
    let update = match part.update_expression.filter(|_| kind == "update") {
        Some(source) => Update::parse(&source, &mut placeholders).map_err(fault::expression("UpdateExpression"))?,
        None => Update::default(),
    };
    let condition = part.condition_expression.map(|s| parse_condition(&s, &mut placeholders)).transpose()?;
    all_used(&placeholders)?;
    let table = state.table(&name)?;
    let (key, action) = if kind == "put" {
        let item = checked(part.item.unwrap_or_default())?;
        check_item_size(&item)?;
        (put_key(&table, &item)?, WriteAction::Put(item))
    } else {
        let attributes = checked(part.key.unwrap_or_default())?;
        let key = item_key(&table, &attributes)?;
        check_update(&table, &update)?;
        (
            key,
            match kind {
                "update" => WriteAction::Update(attributes, update),
                "delete" => WriteAction::Delete(attributes),
                _ => WriteAction::Check(attributes),
            },
        )
    };
    let options = WriteOptions { condition, return_on_failure, return_metrics: metrics, ..WriteOptions::default() };
    Ok(options.write(&table, key, action))
}

fn check_get(
    state: &State,
    call: &Call,
    item: TransactGetItem,
    at: usize,
) -> Result<(Arc<Table>, Read, Option<Projection>), Fault> {
    let mut violations = Violations::default();
    let at = at + 1;
    violations.require(&format!("transactItems.{at}.member.get"), item.get.as_ref());
    let Some(get) = item.get else {
        violations.finish()?;
        return Err(validation("TransactItems must contain Get"));
    };
    let name = table_name(call, get.table_name.as_deref(), &mut violations);
    violations.require(&format!("transactItems.{at}.member.get.key"), get.key.as_ref());
    violations.finish()?;
    let projection = projection(get.projection_expression.as_deref(), get.expression_attribute_names, None)?;
    let key = checked(get.key.unwrap_or_default())?;
    let table = state.table(&name)?;
    let key = item_key(&table, &key)?;
    let read = Read { table: name, table_id: table.id, key };
    Ok((table, read, projection))
}

fn check_distinct(operations: &[Operation]) -> Result<(), Fault> {
    let mut seen = BTreeSet::new();
    if operations.iter().all(|o| seen.insert(o.key())) {
        return Ok(());
    }
    Err(validation("Transaction request cannot include multiple operations on one item"))
}

fn check_size(operations: &[Operation]) -> Result<(), Fault> {
    let size = |operation: &Operation| match operation {
        Operation::Write(write) => match &write.action {
            WriteAction::Put(item)
            | WriteAction::Update(item, _)
            | WriteAction::Delete(item)
            | WriteAction::Check(item) => item_size_bytes(item),
        },
        Operation::Read(_) => 0,
    };
    if operations.iter().map(size).sum::<usize>() > TRANSACTION_BYTES_MAX {
        return Err(validation("Collection size of all items in the transaction cannot exceed 4MB"));
    }
    Ok(())
}

fn get_output(
    done: &[Done],
    projections: &[Option<Projection>],
    tables: &[Arc<Table>],
    wanted: ReturnCapacity,
) -> Result<TransactGetItemsOutput, Fault> {
    let mut responses = Vec::with_capacity(done.len());
    let mut capacities: BTreeMap<String, Capacity> = BTreeMap::new();
    let mut bytes = 0;
    for ((part, projection), table) in done.iter().zip(projections).zip(tables) {
        let item = part.item().map_err(fault::store)?;
        let size = item.as_ref().map_or(0, item_size_bytes);
        bytes += size;
        capacities.entry(table.name.clone()).or_default().table += 2.0 * read_units(size, true);
        let item = item.map(|i| projection.as_ref().map_or_else(|| i.clone(), |p| p.apply(&i)));
        responses.push(ItemResponse { item });
    }
    if bytes > TRANSACTION_BYTES_MAX {
        return Err(validation("Collection size of all items in the transaction cannot exceed 4MB"));
    }
    Ok(TransactGetItemsOutput {
        responses,
        consumed_capacity: shown_by_table(&capacities, wanted, "ReadCapacityUnits"),
    })
}

fn cancelled_fault(Cancelled(reasons): Cancelled) -> Fault {
    let codes: Vec<_> = reasons.iter().map(|r| r.code).collect();
    let message = "Transaction cancelled, please refer cancellation reasons for specific reasons";
    let shown: Vec<Value> = reasons.into_iter().map(show_reason).collect();
    Fault::client("TransactionCanceledException", format!("{message} [{}]", codes.join(", ")))
        .member("CancellationReasons", shown)
}

fn show_reason(reason: Reason) -> Value {
    let mut shown = json!({"Code": reason.code});
    if let Some(message) = reason.message {
        shown["Message"] = message.into();
    }
    if let Some(item) = reason.item {
        shown["Item"] = item;
    }
    shown
}

impl State {
    /// Does a transaction, in the one cell that owns all its tables or over several.
    async fn transact(self: &Arc<Self>, transaction: Transaction) -> Result<TransactionResult, Fault> {
        let cells: BTreeSet<usize> = transaction.operations.iter().map(|o| self.cell_of(o.table())).collect();
        let coordinator = *cells.first().ok_or_else(|| Fault::internal("a transaction without parts"))?;
        if cells.len() == 1 {
            let cell = self.cells.at(coordinator).expect("the index is one of a cell");
            return cell.call(|reply| Input::Transact { transaction, reply }).await.map_err(fault::cell)?;
        }
        let before = self.answered_before(coordinator, transaction.token.as_ref(), transaction.effect.as_ref());
        if let Some(early) = before.await? {
            return Ok(early);
        }
        // On a job of its own: a caller that goes away must not leave locks behind.
        let state = self.clone();
        let job = tokio::spawn(async move { state.transact_over_cells(coordinator, transaction).await });
        job.await.map_err(|e| Fault::internal(format!("transaction: {e}")))?
    }

    async fn answered_before(
        &self,
        coordinator: usize,
        token: Option<&ClientToken>,
        effect: Option<&EffectId>,
    ) -> Result<Option<TransactionResult>, Fault> {
        if let Some(effect) = effect {
            let cell = self.cells.at(coordinator).expect("the index is one of a cell");
            let effect = effect.clone();
            let answer = cell.call(|reply| Input::Recall { effect, reply }).await.map_err(fault::cell)??;
            if let Some(answer) = answer {
                return Ok(Some(TransactionResult::Written(answer)));
            }
        }
        let Some(token) = token else {
            return Ok(None);
        };
        let cell_name = crate::service::cell_name(coordinator);
        let record_key = key::token(&cell_name, token.scope.account(), token.scope.region(), &token.token);
        let Some(record) = self.store.get(&record_key).map_err(fault::store)? else {
            return Ok(None);
        };
        match token_answer(&record, &token.request_hash, self.clock.now()).map_err(fault::store)? {
            None => Ok(None),
            Some(same) => same.map(|()| Some(TransactionResult::DoneBefore)),
        }
    }

    async fn transact_over_cells(
        self: &Arc<Self>,
        coordinator: usize,
        mut transaction: Transaction,
    ) -> Result<TransactionResult, Fault> {
        let id = self.next_transaction();
        let mut parts = Parts::new();
        for (at, operation) in std::mem::take(&mut transaction.operations).into_iter().enumerate() {
            parts.entry(self.cell_of(operation.table())).or_default().push((at, operation));
        }
        let mut locks = Locks { state: self.clone(), id, cells: parts.keys().copied().collect() };
        let result = self.prepare_and_commit(id, coordinator, parts, transaction).await;
        // Before the answer: the caller's next transaction must not meet the locks of this one.
        locks.release().await;
        result
    }

    async fn prepare_and_commit(
        &self,
        id: TransactionId,
        coordinator: usize,
        parts: Parts,
        transaction: Transaction,
    ) -> Result<TransactionResult, Fault> {
        let mut results: BTreeMap<usize, Result<Done, Reason>> = BTreeMap::new();
        for (cell, part) in parts {
            let (places, operations): (Vec<usize>, Vec<Operation>) = part.into_iter().unzip();
            let cell = self.cells.at(cell).expect("the index is one of a cell");
            let prepared = cell.call(|reply| Input::Prepare { id, operations, reply }).await.map_err(fault::cell)?;
            results.extend(places.into_iter().zip(prepared));
        }
        let results: Vec<Result<Done, Reason>> = results.into_values().collect();
        if let Some(cancelled) = cancelled(&results) {
            return Ok(TransactionResult::Cancelled(cancelled));
        }
        let (plans, read) = split(results.into_iter().flatten().collect());
        if plans.is_empty() {
            return Ok(TransactionResult::Read(read));
        }
        let Transaction { token, effect, return_capacity, .. } = transaction;
        let cell = self.cells.at(coordinator).expect("the index is one of a cell");
        let commit = cell.call(|reply| Input::Commit { plans, token, effect, return_capacity, reply });
        commit.await.map_err(fault::cell)?
    }
}

/// The parts of a transaction by the cell that owns them, with their places in the request.
type Parts = BTreeMap<usize, Vec<(usize, Operation)>>;

/// The locks of a transaction; they go when it is over, however it ends.
struct Locks {
    state: Arc<State>,
    id: TransactionId,
    cells: Vec<usize>,
}

impl Locks {
    async fn release(&mut self) {
        Locks::release_all(&self.state, self.id, std::mem::take(&mut self.cells)).await;
    }

    async fn release_all(state: &State, id: TransactionId, cells: Vec<usize>) {
        for cell in cells {
            let cell = state.cells.at(cell).expect("the index is one of a cell");
            // A cell that has stopped has no locks any more.
            let _ = cell.send_waiting(Input::Release { id }).await;
        }
    }
}

impl Drop for Locks {
    /// The transaction ended before its time, by a panic.
    fn drop(&mut self) {
        let (id, state, cells) = (self.id, self.state.clone(), std::mem::take(&mut self.cells));
        if !cells.is_empty() {
            tokio::spawn(async move { Locks::release_all(&state, id, cells).await });
        }
    }
}
