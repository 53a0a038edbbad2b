use std::collections::BTreeSet;
use std::sync::Arc;

use base::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use service::{Call, Fault};

use super::definition::{
    AttributeDefinition, CreateTableInput, IndexInput, SseInput, StreamInput, ThroughputInput, add_index, attributes,
    billing, blueprint, check_billing, check_create, check_definitions, check_index, check_stream, index, sse_key,
    stream, throughput,
};
use super::request::{Violations, table_name};
use super::{State, describe};
use crate::counts::Counts;
use crate::fault;
use crate::fault::{in_use, invalid, limit_exceeded, table_not_found, validation};
use crate::machine::{Change, Defined, Facts, Input};
use crate::schema::{Fill, Index, Stream, Table, TableName};

const LIST_LIMIT_MAX: i64 = 100;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct UpdateTableInput {
    table_name: Option<String>,
    attribute_definitions: Option<Vec<AttributeDefinition>>,
    billing_mode: Option<String>,
    provisioned_throughput: Option<ThroughputInput>,
    global_secondary_index_updates: Option<Vec<IndexUpdate>>,
    stream_specification: Option<StreamInput>,
    #[serde(rename = "SSESpecification")]
    sse_specification: Option<SseInput>,
    table_class: Option<String>,
    deletion_protection_enabled: Option<bool>,
    replica_updates: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct IndexUpdate {
    create: Option<IndexInput>,
    update: Option<IndexInput>,
    delete: Option<IndexInput>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct TableInput {
    table_name: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ListTablesInput {
    exclusive_start_table_name: Option<String>,
    limit: Option<i64>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ListTablesOutput {
    table_names: Vec<Arc<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_evaluated_table_name: Option<Arc<str>>,
}

pub(crate) async fn create_table(state: &Arc<State>, call: Call, input: CreateTableInput) -> Result<Value, Fault> {
    let mut violations = Violations::default();
    let name = table_name(&call, input.table_name.as_deref(), &mut violations);
    check_create(&input, &mut violations);
    violations.finish()?;
    let blueprint = blueprint(input)?;
    let uuid = state.entropy.uuid();
    let full = state.catalog.count(&name.scope) >= state.tables_max;
    let wanted = name.clone();
    let change: Change = Box::new(move |old, facts| {
        if old.is_some() {
            return Err(in_use(format!("Table already exists: {}", wanted.name)));
        }
        if full {
            return Err(limit_exceeded("Subscriber limit exceeded: too many tables in this account and region"));
        }
        let table = blueprint.build(&wanted, uuid, facts);
        let shown = describe::table(&table, &Counts::default(), "CREATING");
        Ok((Defined::Put(Box::new(table)), json!({"TableDescription": shown})))
    });
    state.define(&call, name, change).await
}

pub(crate) async fn describe_table(state: &Arc<State>, call: Call, input: TableInput) -> Result<Value, Fault> {
    let mut violations = Violations::default();
    let name = table_name(&call, input.table_name.as_deref(), &mut violations);
    violations.finish()?;
    let table = state.catalog.get(&name).ok_or_else(|| table_not_found(&name.name))?;
    let counts = Counts::read_all(&*state.store, table.id).map_err(fault::store)?;
    Ok(json!({"Table": describe::table(&table, &counts, describe::status(&table))}))
}

pub(crate) async fn delete_table(state: &Arc<State>, call: Call, input: TableInput) -> Result<Value, Fault> {
    let mut violations = Violations::default();
    let name = table_name(&call, input.table_name.as_deref(), &mut violations);
    violations.finish()?;
    let counts = state.counts(&name)?;
    let wanted = name.name.clone();
    let change: Change = Box::new(move |old, _| {
        let table = old.ok_or_else(|| table_not_found(&wanted))?;
        if table.deletion_protection {
            let message = "Resource cannot be deleted as it is currently protected against deletion. Disable deletion \
                           protection first.";
            return Err(validation(message));
        }
        Ok((Defined::Delete, json!({"TableDescription": describe::table(table, &counts, "DELETING")})))
    });
    state.define(&call, name, change).await
}

pub(crate) async fn list_tables(
    state: &Arc<State>,
    call: Call,
    input: ListTablesInput,
) -> Result<ListTablesOutput, Fault> {
    let mut violations = Violations::default();
    violations.at_least("limit", input.limit, 1);
    violations.at_most("limit", input.limit, LIST_LIMIT_MAX);
    if let Some(start) = &input.exclusive_start_table_name {
        violations.name("exclusiveStartTableName", start);
    }
    violations.finish()?;
    let limit = usize::try_from(input.limit.unwrap_or(LIST_LIMIT_MAX)).unwrap_or(1);
    let start = input.exclusive_start_table_name.unwrap_or_default();
    let mut names = state.catalog.names(&call.scope, &start, limit + 1);
    let more = names.len() > limit;
    names.truncate(limit);
    let last_evaluated_table_name = names.last().filter(|_| more).cloned();
    Ok(ListTablesOutput { table_names: names, last_evaluated_table_name })
}

pub(crate) async fn update_table(state: &Arc<State>, call: Call, input: UpdateTableInput) -> Result<Value, Fault> {
    let mut violations = Violations::default();
    let name = table_name(&call, input.table_name.as_deref(), &mut violations);
    check_definitions(input.attribute_definitions.as_deref().unwrap_or_default(), &mut violations);
    check_billing(input.billing_mode.as_deref(), input.provisioned_throughput.as_ref(), &mut violations);
    check_stream(input.stream_specification.as_ref(), &mut violations);
    violations.finish()?;
    if input.replica_updates.is_some() {
        return Err(validation("Replicas of tables (global tables) are not supported"));
    }
    let counts = state.counts(&name)?;
    let wanted = name.name.clone();
    let change: Change = Box::new(move |old, facts| {
        let old = old.ok_or_else(|| table_not_found(&wanted))?;
        let mut table = old.clone();
        update(&mut table, input, facts)?;
        if table == *old {
            return Err(validation(
                "Nothing to update: at least one of ProvisionedThroughput, BillingMode, UpdateStreamEnabled, \
                 GlobalSecondaryIndexUpdates, SSESpecification, ReplicaUpdates or DeletionProtectionEnabled is required",
            ));
        }
        let shown = describe::table(&table, &counts, "UPDATING");
        Ok((Defined::Put(Box::new(table)), json!({"TableDescription": shown})))
    });
    state.define(&call, name, change).await
}

impl State {
    /// Changes a definition in the cell that owns it.
    pub(super) async fn define(&self, call: &Call, name: TableName, change: Change) -> Result<Value, Fault> {
        let cell = self.cells.of(&name.cell_key());
        let effect = call.effect.clone();
        cell.call(|reply| Input::Define { name, change, effect, reply }).await.map_err(fault::cell)?
    }

    fn counts(&self, name: &TableName) -> Result<Counts, Fault> {
        match self.catalog.get(name) {
            Some(table) => Counts::read_all(&*self.store, table.id).map_err(fault::store),
            None => Ok(Counts::default()),
        }
    }
}

fn update(table: &mut Table, input: UpdateTableInput, facts: &Facts) -> Result<(), Fault> {
    if !table.indexes.iter().all(Index::is_filled) && input.global_secondary_index_updates.is_some() {
        return Err(in_use(format!(
            "Attempt to change a resource which is still in use: Table is being updated: {}",
            table.name
        )));
    }
    update_billing(table, input.billing_mode.as_deref(), input.provisioned_throughput.as_ref(), facts.now)?;
    update_indexes(table, input.attribute_definitions, input.global_secondary_index_updates.unwrap_or_default())?;
    if let Some(wanted) = input.stream_specification {
        let view_type = stream(Some(wanted))?;
        if view_type.is_some() && table.stream.is_some() {
            return Err(validation("Table already has an enabled stream: TableName: ".to_owned() + &table.name));
        }
        table.stream = view_type.map(|view_type| Stream { view_type, enabled_at: facts.now });
    }
    if let Some(wanted) = input.sse_specification {
        table.sse_key = sse_key(Some(wanted));
    }
    if let Some(class) = input.table_class {
        table.table_class = Some(class);
    }
    if let Some(protect) = input.deletion_protection_enabled {
        table.deletion_protection = protect;
    }
    Ok(())
}

fn update_billing(
    table: &mut Table,
    mode: Option<&str>,
    given: Option<&ThroughputInput>,
    now: Timestamp,
) -> Result<(), Fault> {
    match (mode, given) {
        (None, None) => {}
        (None, Some(given)) if table.throughput.is_some() => table.throughput = Some(throughput(given)?),
        (None, Some(_)) => billing(Some("PAY_PER_REQUEST"), given).map(drop)?,
        (Some("PAY_PER_REQUEST"), given) => {
            billing(mode, given)?;
            table.throughput = None;
            table.on_demand_since.get_or_insert(now);
            table.indexes.iter_mut().for_each(|i| i.throughput = None);
        }
        (Some(_), given) => {
            table.throughput = billing(mode, given)?;
            table.on_demand_since = None;
            let same = table.throughput.clone();
            table.indexes.iter_mut().filter(|i| i.global).for_each(|i| i.throughput.clone_from(&same));
        }
    }
    Ok(())
}

fn update_indexes(
    table: &mut Table,
    definitions: Option<Vec<AttributeDefinition>>,
    updates: Vec<IndexUpdate>,
) -> Result<(), Fault> {
    let mut known = table.attributes.clone();
    for attribute in attributes(definitions.unwrap_or_default())? {
        match known.iter().find(|a| a.name == attribute.name) {
            Some(old) if old.kind != attribute.kind => {
                return Err(invalid(format_args!("Attribute {} is defined with another type already", old.name)));
            }
            Some(_) => {}
            None => known.push(attribute),
        }
    }
    for change in updates {
        match (change.create, change.update, change.delete) {
            (Some(wanted), None, None) => {
                let mut violations = Violations::default();
                check_index("globalSecondaryIndexUpdates.1.member.create", &wanted, &mut violations);
                violations.finish()?;
                let (id, provisioned) = (table.next_index_id, table.throughput.is_some());
                let mut index = index(wanted, true, id, &table.keys, &known, provisioned, &mut BTreeSet::new())?;
                if table.indexes.iter().any(|i| i.name == index.name) {
                    let message = "Attempting to create an index which already exists";
                    return Err(validation(message));
                }
                index.fill = Fill::Behind(Vec::new());
                table.next_index_id += 1;
                add_index(&mut table.indexes, index)?;
            }
            (None, Some(wanted), None) => update_index(table, &wanted)?,
            (None, None, Some(wanted)) => {
                let name = wanted.index_name.unwrap_or_default();
                let at = table.indexes.iter().position(|i| i.global && i.name == name).ok_or_else(no_index)?;
                table.indexes.remove(at);
            }
            _ => {
                return Err(invalid("One of GlobalSecondaryIndexUpdate's Create, Update and Delete must be specified"));
            }
        }
    }
    // Definitions that no key uses any more go with the index that used them.
    let used = |name: &str| table.keys.contains(name) || table.indexes.iter().any(|i| i.keys.contains(name));
    table.attributes = known.into_iter().filter(|a| used(&a.name)).collect();
    Ok(())
}

fn update_index(table: &mut Table, wanted: &IndexInput) -> Result<(), Fault> {
    let name = wanted.index_name.as_deref().unwrap_or_default();
    let provisioned = table.throughput.is_some();
    let index = table.indexes.iter_mut().find(|i| i.global && i.name == name).ok_or_else(no_index)?;
    match &wanted.provisioned_throughput {
        Some(given) if provisioned => index.throughput = Some(throughput(given)?),
        _ => return Err(invalid(format_args!("ProvisionedThroughput cannot be updated for index: {name}"))),
    }
    Ok(())
}

fn no_index() -> Fault {
    Fault::client("ResourceNotFoundException", "Requested resource not found")
}
