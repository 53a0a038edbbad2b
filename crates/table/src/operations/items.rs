use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use service::{Call, Fault};

use super::State;
use super::request::{
    Names, Values, Violations, all_used, check_duplicates, checked, not_both, placeholders, return_capacity,
    return_metrics, return_on_failure, table_name,
};
use crate::capacity::{Capacity, ConsumedCapacity, read_units};
use crate::expression::{Action, Condition, Path, Placeholders, Projection, Update};
use crate::fault::{INVALID, validation};
use crate::legacy::{self, AttributeUpdate, Expected};
use crate::machine::{Answer, Input, ReturnValues, Write, WriteAction};
use crate::schema::{KeyProblem, Table};
use crate::stored::{decode_item, stored_size_bytes};
use crate::{Checked, ITEM_BYTES_MAX, Item, fault, item_size_bytes};

const RETURN_VALUES: [&str; 5] = ["ALL_NEW", "UPDATED_OLD", "ALL_OLD", "NONE", "UPDATED_NEW"];

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct GetItemInput {
    table_name: Option<String>,
    key: Option<Checked<Item>>,
    consistent_read: Option<bool>,
    projection_expression: Option<String>,
    expression_attribute_names: Option<Names>,
    attributes_to_get: Option<Vec<String>>,
    return_consumed_capacity: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct GetItemOutput {
    #[serde(skip_serializing_if = "Option::is_none")]
    item: Option<Item>,
    #[serde(skip_serializing_if = "Option::is_none")]
    consumed_capacity: Option<ConsumedCapacity>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct PutItemInput {
    table_name: Option<String>,
    item: Option<Checked<Item>>,
    #[serde(flatten)]
    common: WriteInput,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DeleteItemInput {
    table_name: Option<String>,
    key: Option<Checked<Item>>,
    #[serde(flatten)]
    common: WriteInput,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct UpdateItemInput {
    table_name: Option<String>,
    key: Option<Checked<Item>>,
    update_expression: Option<String>,
    attribute_updates: Option<BTreeMap<String, AttributeUpdate>>,
    #[serde(flatten)]
    common: WriteInput,
}

/// What PutItem, UpdateItem and DeleteItem have in common.
#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct WriteInput {
    condition_expression: Option<String>,
    expression_attribute_names: Option<Names>,
    expression_attribute_values: Option<Values>,
    expected: Option<BTreeMap<String, Expected>>,
    conditional_operator: Option<String>,
    return_values: Option<String>,
    return_consumed_capacity: Option<String>,
    return_item_collection_metrics: Option<String>,
    return_values_on_condition_check_failure: Option<String>,
}

pub(crate) async fn get_item(state: &Arc<State>, call: Call, input: GetItemInput) -> Result<GetItemOutput, Fault> {
    let mut violations = Violations::default();
    let name = table_name(&call, input.table_name.as_deref(), &mut violations);
    violations.require("key", input.key.as_ref());
    let wanted = return_capacity(input.return_consumed_capacity.as_deref(), &mut violations);
    violations.finish()?;
    let key = checked(input.key.unwrap_or_default())?;
    let projection =
        projection(input.projection_expression.as_deref(), input.expression_attribute_names, input.attributes_to_get)?;
    let table = state.table(&name)?;
    let key = item_key(&table, &key)?;
    let found = state.store.get(&key).map_err(fault::store)?;
    let size = found.as_ref().map(|b| stored_size_bytes(b)).transpose().map_err(fault::store)?;
    let item = found.map(|b| decode_item(&b)).transpose().map_err(fault::store)?;
    let consistent = input.consistent_read.unwrap_or(false);
    let capacity = Capacity { table: read_units(size.unwrap_or(0), consistent), ..Capacity::default() };
    Ok(GetItemOutput {
        item: item.map(|i| projection.map_or_else(|| i.clone(), |p| p.apply(&i))),
        consumed_capacity: capacity.shown(&table.name, wanted),
    })
}

/// The ProjectionExpression or AttributesToGet of a request that has no other expression.
pub(crate) fn projection(
    expression: Option<&str>,
    names: Option<Names>,
    attributes: Option<Vec<String>>,
) -> Result<Option<Projection>, Fault> {
    let expressions = [("ProjectionExpression", expression.is_some())];
    not_both(&expressions, &[("AttributesToGet", attributes.is_some())])?;
    let mut placeholders = placeholders(&expressions, &[], names, None)?;
    let projection = parse_projection(expression, attributes, &mut placeholders)?;
    all_used(&placeholders)?;
    Ok(projection)
}

pub(crate) fn parse_projection(
    expression: Option<&str>,
    attributes: Option<Vec<String>>,
    placeholders: &mut Placeholders,
) -> Result<Option<Projection>, Fault> {
    if let Some(source) = expression {
        return Projection::parse(source, placeholders).map(Some).map_err(fault::expression("ProjectionExpression"));
    }
    let Some(attributes) = attributes else {
        return Ok(None);
    };
    if attributes.is_empty() {
        let mut violations = Violations::default();
        violations.length("attributesToGet", "[]", 0, 1, usize::MAX);
        violations.finish()?;
    }
    check_duplicates(&attributes)?;
    Ok(Some(Projection::of_names(attributes.iter().map(String::as_str))))
}

pub(crate) async fn put_item(state: &Arc<State>, call: Call, input: PutItemInput) -> Result<Answer, Fault> {
    let mut violations = Violations::default();
    let name = table_name(&call, input.table_name.as_deref(), &mut violations);
    violations.require("item", input.item.as_ref());
    let mut options = input.common.options(&mut violations);
    violations.finish()?;
    let item = checked(input.item.unwrap_or_default())?;
    let mut placeholders = input.common.placeholders(&[], &[])?;
    options.condition = input.common.condition(&mut placeholders)?;
    all_used(&placeholders)?;
    options.only_old()?;
    check_item_size(&item)?;
    let table = state.table(&name)?;
    let key = put_key(&table, &item)?;
    state.write(&call, options.write(&table, key, WriteAction::Put(item))).await
}

pub(crate) async fn delete_item(state: &Arc<State>, call: Call, input: DeleteItemInput) -> Result<Answer, Fault> {
    let mut violations = Violations::default();
    let name = table_name(&call, input.table_name.as_deref(), &mut violations);
    violations.require("key", input.key.as_ref());
    let mut options = input.common.options(&mut violations);
    violations.finish()?;
    let key = checked(input.key.unwrap_or_default())?;
    let mut placeholders = input.common.placeholders(&[], &[])?;
    options.condition = input.common.condition(&mut placeholders)?;
    all_used(&placeholders)?;
    options.only_old()?;
    let table = state.table(&name)?;
    let store_key = item_key(&table, &key)?;
    state.write(&call, options.write(&table, store_key, WriteAction::Delete(key))).await
}

pub(crate) async fn update_item(state: &Arc<State>, call: Call, input: UpdateItemInput) -> Result<Answer, Fault> {
    let mut violations = Violations::default();
    let name = table_name(&call, input.table_name.as_deref(), &mut violations);
    violations.require("key", input.key.as_ref());
    let mut options = input.common.options(&mut violations);
    violations.finish()?;
    let key = checked(input.key.unwrap_or_default())?;
    let mut placeholders = input.common.placeholders(
        &[("UpdateExpression", input.update_expression.is_some())],
        &[("AttributeUpdates", input.attribute_updates.is_some())],
    )?;
    let update = match (&input.update_expression, input.attribute_updates) {
        (Some(source), _) => Update::parse(source, &mut placeholders).map_err(fault::expression("UpdateExpression"))?,
        (None, Some(updates)) => legacy::attribute_updates(updates)?,
        (None, None) => Update::default(),
    };
    options.condition = input.common.condition(&mut placeholders)?;
    all_used(&placeholders)?;
    let table = state.table(&name)?;
    let store_key = item_key(&table, &key)?;
    check_update(&table, &update)?;
    state.write(&call, options.write(&table, store_key, WriteAction::Update(key, update))).await
}

/// How a write is to be done and answered, beside what it writes.
#[derive(Default)]
pub(crate) struct WriteOptions {
    pub condition: Option<Condition>,
    pub return_values: ReturnValues,
    pub return_on_failure: bool,
    pub return_capacity: crate::capacity::ReturnCapacity,
    pub return_metrics: bool,
}

impl WriteOptions {
    /// PutItem and DeleteItem return the old item or nothing.
    fn only_old(&self) -> Result<(), Fault> {
        match self.return_values {
            ReturnValues::None | ReturnValues::AllOld => Ok(()),
            _ => Err(validation("Return values set to invalid value")),
        }
    }

    pub fn write(self, table: &Table, key: Vec<u8>, action: WriteAction) -> Write {
        Write {
            table: table.table_name(),
            table_id: table.id,
            key,
            action,
            condition: self.condition,
            return_values: self.return_values,
            return_on_failure: self.return_on_failure,
            return_capacity: self.return_capacity,
            return_metrics: self.return_metrics,
        }
    }
}

impl WriteInput {
    fn options(&self, violations: &mut Violations) -> WriteOptions {
        violations.one_of("returnValues", self.return_values.as_deref(), &RETURN_VALUES);
        WriteOptions {
            condition: None,
            return_values: match self.return_values.as_deref() {
                Some("ALL_OLD") => ReturnValues::AllOld,
                Some("UPDATED_OLD") => ReturnValues::UpdatedOld,
                Some("ALL_NEW") => ReturnValues::AllNew,
                Some("UPDATED_NEW") => ReturnValues::UpdatedNew,
                _ => ReturnValues::None,
            },
            return_on_failure: return_on_failure(self.return_values_on_condition_check_failure.as_deref(), violations),
            return_capacity: return_capacity(self.return_consumed_capacity.as_deref(), violations),
            return_metrics: return_metrics(self.return_item_collection_metrics.as_deref(), violations),
        }
    }

    /// `own`: the operation's own expressions; `legacy`: its own parameters that these replaced.
    fn placeholders(&self, own: &[(&str, bool)], legacy: &[(&str, bool)]) -> Result<Placeholders, Fault> {
        let condition = ("ConditionExpression", self.condition_expression.is_some());
        let expressions: Vec<_> = own.iter().copied().chain([condition]).collect();
        let old = [("Expected", self.expected.is_some()), ("ConditionalOperator", self.conditional_operator.is_some())];
        let old: Vec<_> = legacy.iter().copied().chain(old).collect();
        not_both(&expressions, &old)?;
        placeholders(
            &expressions,
            &expressions,
            self.expression_attribute_names.clone(),
            self.expression_attribute_values.clone(),
        )
    }

    fn condition(&self, placeholders: &mut Placeholders) -> Result<Option<Condition>, Fault> {
        if let Some(source) = &self.condition_expression {
            return parse_condition(source, placeholders).map(Some);
        }
        match &self.expected {
            Some(expected) => legacy::expected(expected.clone(), self.conditional_operator.as_deref()),
            None => Ok(None),
        }
    }
}

pub(crate) fn parse_condition(source: &str, placeholders: &mut Placeholders) -> Result<Condition, Fault> {
    Condition::parse(source, placeholders).map_err(fault::expression("ConditionExpression"))
}

pub(crate) fn check_item_size(item: &Item) -> Result<(), Fault> {
    if item_size_bytes(item) > ITEM_BYTES_MAX {
        return Err(validation("Item size has exceeded the maximum allowed size"));
    }
    Ok(())
}

/// The key in the store of an item that is put, after checking what the table wants of it.
pub(crate) fn put_key(table: &Table, item: &Item) -> Result<Vec<u8>, Fault> {
    let key = table.item_key(item).map_err(|p| fault::item_key(&p))?;
    for index in &table.indexes {
        match index.keys.of(item) {
            Ok(_) | Err(KeyProblem::Missing(_)) => {}
            Err(problem) => return Err(fault::index_key(&problem, &index.name)),
        }
    }
    Ok(key)
}

/// The key in the store of the item with exactly these key attributes.
pub(crate) fn item_key(table: &Table, key: &Item) -> Result<Vec<u8>, Fault> {
    if key.len() != table.keys.attributes().count() {
        return Err(validation("The provided key element does not match the schema"));
    }
    table.item_key(key).map_err(|p| fault::key(&p))
}

/// Refuses updates that can never fit the table, whatever the item is.
pub(crate) fn check_update(table: &Table, update: &Update) -> Result<(), Fault> {
    if let Some(path) = update.paths().find(|p| table.keys.contains(p.name())) {
        let name = path.name();
        return Err(validation(format!("{INVALID}Cannot update attribute {name}. This attribute is part of the key")));
    }
    for action in update.actions() {
        let path = action.path();
        let Some(kind) = action.kind().filter(|_| !path.is_nested()) else {
            continue;
        };
        for index in &table.indexes {
            if let Some(key) = index.keys.attributes().find(|k| k.name == path.name() && k.kind != kind) {
                return Err(fault::index_key(&KeyProblem::WrongKind(key, kind), &index.name));
            }
        }
    }
    let mut nested = None;
    let mut look = |path: &Path| {
        let is_key = table.indexes.iter().any(|i| i.keys.contains(path.name()));
        if nested.is_none() && path.is_nested() && is_key {
            nested = Some(path.name().to_owned());
        }
    };
    for action in update.actions() {
        look(action.path());
        if let Action::Set(_, value) = action {
            value.paths(&mut look);
        }
    }
    match nested {
        Some(name) => Err(validation(format!(
            "Key attributes must be scalars; list random access '[]' and map lookup '.' are not allowed: IndexKey: \
             {name}"
        ))),
        None => Ok(()),
    }
}

impl State {
    async fn write(&self, call: &Call, write: Write) -> Result<Answer, Fault> {
        let cell = self.cells.of(&write.table.cell_key());
        let effect = call.effect.clone();
        let sent = cell.call(|reply| Input::Write { write: Box::new(write), effect, reply });
        sent.await.map_err(fault::cell)?
    }
}
