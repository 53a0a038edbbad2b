use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use service::{Call, Fault};
use store::{Range, Store, successor};

use super::State;
use super::items::parse_projection;
use super::request::{
    Names, Values, Violations, all_used, checked, not_both, placeholders, return_capacity, table_name,
};
use crate::capacity::{Capacity, ConsumedCapacity, ReturnCapacity, read_units};
use crate::expression::{Comparator, Condition, KeyCondition, Placeholders, Projection, SortCondition};
use crate::fault::{INVALID, validation};
use crate::legacy::{self, LegacyCondition};
use crate::schema::{Index, IndexProjection, KeyAttribute, KeyProblem, KeySchema, Table};
use crate::stored::{decode_item, stored_size_bytes};
use crate::{AttributeValue, Checked, Item, fault, key};

/// What one page reads at most before it ends.
const PAGE_BYTES_MAX: usize = 1024 * 1024;
/// Entries that one look into the store takes, first and at most.
const CHUNK_FIRST: usize = 32;
const CHUNK_MAX: usize = 1024;
const SEGMENTS_MAX: i64 = 1_000_000;
const SELECT: [&str; 4] = ["SPECIFIC_ATTRIBUTES", "COUNT", "ALL_ATTRIBUTES", "ALL_PROJECTED_ATTRIBUTES"];

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct QueryInput {
    key_condition_expression: Option<String>,
    key_conditions: Option<BTreeMap<String, LegacyCondition>>,
    query_filter: Option<BTreeMap<String, LegacyCondition>>,
    scan_index_forward: Option<bool>,
    #[serde(flatten)]
    common: ReadInput,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ScanInput {
    scan_filter: Option<BTreeMap<String, LegacyCondition>>,
    segment: Option<i64>,
    total_segments: Option<i64>,
    #[serde(flatten)]
    common: ReadInput,
}

/// What Query and Scan have in common.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ReadInput {
    table_name: Option<String>,
    index_name: Option<String>,
    select: Option<String>,
    attributes_to_get: Option<Vec<String>>,
    limit: Option<i64>,
    consistent_read: Option<bool>,
    conditional_operator: Option<String>,
    exclusive_start_key: Option<Checked<Item>>,
    return_consumed_capacity: Option<String>,
    projection_expression: Option<String>,
    filter_expression: Option<String>,
    expression_attribute_names: Option<Names>,
    expression_attribute_values: Option<Values>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct PageOutput {
    #[serde(skip_serializing_if = "Option::is_none")]
    items: Option<Vec<Item>>,
    count: usize,
    scanned_count: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_evaluated_key: Option<Item>,
    #[serde(skip_serializing_if = "Option::is_none")]
    consumed_capacity: Option<ConsumedCapacity>,
}

/// What is read: a table or one of its indexes.
struct Target {
    table: Arc<Table>,
    index: Option<Index>,
}

/// How a page is read, whatever the range.
struct Reading {
    filter: Option<Condition>,
    projection: Option<Projection>,
    count_only: bool,
    all_attributes: bool,
    limit: Option<usize>,
    consistent: bool,
    return_capacity: ReturnCapacity,
}

pub(crate) async fn query(state: &Arc<State>, call: Call, input: QueryInput) -> Result<PageOutput, Fault> {
    let mut violations = Violations::default();
    let name = table_name(&call, input.common.table_name.as_deref(), &mut violations);
    let mut reading = input.common.check(&mut violations);
    violations.finish()?;
    let common = &input.common;
    let key_expression = ("KeyConditionExpression", input.key_condition_expression.is_some());
    not_both(
        &[common.expressions().as_slice(), &[key_expression]].concat(),
        &[
            ("AttributesToGet", common.attributes_to_get.is_some()),
            ("QueryFilter", input.query_filter.is_some()),
            ("ConditionalOperator", common.conditional_operator.is_some()),
            ("KeyConditions", input.key_conditions.is_some() && input.key_condition_expression.is_some()),
        ],
    )?;
    let mut placeholders = common.placeholders(&[key_expression])?;
    let start_key = common.start_key()?;
    let condition = match (&input.key_condition_expression, input.key_conditions) {
        (Some(source), _) => KeyCondition::parse(source, &mut placeholders).map_err(|e| validation(e.to_string()))?,
        (None, Some(conditions)) => legacy::key_conditions(conditions)?,
        (None, None) => {
            let message =
                "Either the KeyConditions or KeyConditionExpression parameter must be specified in the request.";
            return Err(validation(message));
        }
    };
    common.parse(&mut reading, input.query_filter, &mut placeholders)?;
    all_used(&placeholders)?;
    common.check_select()?;
    let target = common.target(state.table(&name)?)?;
    common.check_projection(&target, &reading)?;
    check_filter(&target, reading.filter.as_ref())?;
    let mut range = query_range(&target, &condition)?;
    range.reverse = !input.scan_index_forward.unwrap_or(true);
    if let Some(start) = start_key {
        range = query_start(&target, range, &condition, &start)?;
    }
    reading.page(&*state.store, &target, range)
}

pub(crate) async fn scan(state: &Arc<State>, call: Call, input: ScanInput) -> Result<PageOutput, Fault> {
    let mut violations = Violations::default();
    let name = table_name(&call, input.common.table_name.as_deref(), &mut violations);
    let mut reading = input.common.check(&mut violations);
    violations.at_least("segment", input.segment, 0);
    violations.at_most("segment", input.segment, SEGMENTS_MAX - 1);
    violations.at_least("totalSegments", input.total_segments, 1);
    violations.at_most("totalSegments", input.total_segments, SEGMENTS_MAX);
    violations.finish()?;
    let common = &input.common;
    not_both(
        &common.expressions(),
        &[
            ("AttributesToGet", common.attributes_to_get.is_some()),
            ("ScanFilter", input.scan_filter.is_some()),
            ("ConditionalOperator", common.conditional_operator.is_some()),
        ],
    )?;
    let mut placeholders = common.placeholders(&[])?;
    let start_key = common.start_key()?;
    let segment = segment(input.segment, input.total_segments)?;
    common.parse(&mut reading, input.scan_filter, &mut placeholders)?;
    all_used(&placeholders)?;
    common.check_select()?;
    let target = common.target(state.table(&name)?)?;
    common.check_projection(&target, &reading)?;
    let mut range = segment_range(&target.prefix(), segment);
    if let Some(start) = start_key {
        let invalid = "The provided starting key is invalid: The provided key element does not match the schema";
        let at = target.position(&start).ok_or_else(|| validation(invalid))?;
        if at < range.start || at >= range.end {
            let (number, total) = segment;
            return Err(validation(format!(
                "The provided starting key is invalid: Invalid ExclusiveStartKey. Please use ExclusiveStartKey with \
                 correct Segment. TotalSegments: {total} Segment: {number}"
            )));
        }
        range = range.after(&at);
    }
    reading.page(&*state.store, &target, range)
}

impl ReadInput {
    fn check(&self, violations: &mut Violations) -> Reading {
        if let Some(index) = &self.index_name {
            violations.name("indexName", index);
        }
        violations.one_of("select", self.select.as_deref(), &SELECT);
        violations.at_least("limit", self.limit, 1);
        Reading {
            filter: None,
            projection: None,
            count_only: self.select.as_deref() == Some("COUNT"),
            all_attributes: self.select.as_deref() == Some("ALL_ATTRIBUTES"),
            limit: self.limit.and_then(|l| usize::try_from(l).ok()),
            consistent: self.consistent_read.unwrap_or(false),
            return_capacity: return_capacity(self.return_consumed_capacity.as_deref(), violations),
        }
    }

    fn expressions(&self) -> Vec<(&'static str, bool)> {
        vec![
            ("FilterExpression", self.filter_expression.is_some()),
            ("ProjectionExpression", self.projection_expression.is_some()),
        ]
    }

    fn placeholders(&self, more: &[(&'static str, bool)]) -> Result<Placeholders, Fault> {
        let filter = ("FilterExpression", self.filter_expression.is_some());
        placeholders(
            &[self.expressions().as_slice(), more].concat(),
            &[&[filter], more].concat(),
            self.expression_attribute_names.clone(),
            self.expression_attribute_values.clone(),
        )
    }

    fn start_key(&self) -> Result<Option<Item>, Fault> {
        let Some(start) = &self.exclusive_start_key else {
            return Ok(None);
        };
        let invalid = |f: Fault| validation(format!("The provided starting key is invalid: {}", f.message));
        checked(start.clone()).map(Some).map_err(invalid)
    }

    fn parse(
        &self,
        reading: &mut Reading,
        legacy_filter: Option<BTreeMap<String, LegacyCondition>>,
        placeholders: &mut Placeholders,
    ) -> Result<(), Fault> {
        reading.filter = match (&self.filter_expression, legacy_filter) {
            (Some(source), _) => {
                Some(Condition::parse(source, placeholders).map_err(fault::expression("FilterExpression"))?)
            }
            (None, Some(filter)) => legacy::filter(filter, self.conditional_operator.as_deref())?,
            (None, None) => None,
        };
        let source = self.projection_expression.as_deref();
        reading.projection = parse_projection(source, self.attributes_to_get.clone(), placeholders)?;
        Ok(())
    }

    fn check_select(&self) -> Result<(), Fault> {
        let projecting = match (&self.projection_expression, &self.attributes_to_get) {
            (Some(_), _) => Some("ProjectionExpression"),
            (None, Some(_)) => Some("AttributesToGet"),
            (None, None) => None,
        };
        match (self.select.as_deref(), projecting) {
            (Some(select), Some(parameter)) if select != "SPECIFIC_ATTRIBUTES" => {
                let chosen = if select == "COUNT" { "only the Count" } else { select };
                Err(validation(format!("Cannot specify the {parameter} when choosing to get {chosen}")))
            }
            (Some("SPECIFIC_ATTRIBUTES"), None) => Err(validation(
                "Must specify the AttributesToGet or ProjectionExpression when choosing to get SPECIFIC_ATTRIBUTES",
            )),
            (Some("ALL_PROJECTED_ATTRIBUTES"), _) if self.index_name.is_none() => Err(validation(format!(
                "{INVALID}ALL_PROJECTED_ATTRIBUTES can be used only when Querying using an IndexName"
            ))),
            _ => Ok(()),
        }
    }

    fn target(&self, table: Arc<Table>) -> Result<Target, Fault> {
        let Some(name) = &self.index_name else {
            return Ok(Target { table, index: None });
        };
        let missing = || validation(format!("The table does not have the specified index: {name}"));
        let index = table.index(name).ok_or_else(missing)?.clone();
        if !index.is_filled() {
            return Err(validation(format!("Cannot read from backfilling global secondary index: {name}")));
        }
        if index.global && self.consistent_read == Some(true) {
            return Err(validation("Consistent reads are not supported on global secondary indexes"));
        }
        Ok(Target { table, index: Some(index) })
    }

    /// A global index holds what it projects and nothing else.
    fn check_projection(&self, target: &Target, reading: &Reading) -> Result<(), Fault> {
        let Some(index) = target.index.as_ref().filter(|i| i.global) else {
            return Ok(());
        };
        let name = &index.name;
        if reading.all_attributes && index.projection != IndexProjection::All {
            return Err(validation(format!(
                "{INVALID}Select type ALL_ATTRIBUTES is not supported for global secondary index {name} because its \
                 projection type is not ALL"
            )));
        }
        let names = reading.projection.iter().flat_map(Projection::names);
        let missing: Vec<_> = names.filter(|n| !index.projects(&target.table, n)).collect();
        if !missing.is_empty() {
            let missing = missing.join(", ");
            return Err(validation(format!("{INVALID}Global secondary index {name} does not project [{missing}]")));
        }
        Ok(())
    }
}

impl Target {
    fn keys(&self) -> &KeySchema {
        self.index.as_ref().map_or(&self.table.keys, |i| &i.keys)
    }

    fn prefix(&self) -> Vec<u8> {
        match &self.index {
            Some(index) => key::entries(self.table.id, index.id),
            None => key::items(self.table.id),
        }
    }

    /// The attributes that an ExclusiveStartKey has.
    fn position_names(&self) -> Vec<&str> {
        let own = self.index.iter().flat_map(|i| i.keys.names());
        let mut names: Vec<&str> = self.table.keys.names().chain(own).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Where the entry with these key attributes lies; `None` if they are not exactly the ones needed.
    fn position(&self, start: &Item) -> Option<Vec<u8>> {
        if !start.keys().map(String::as_str).eq(self.position_names()) {
            return None;
        }
        match &self.index {
            Some(index) => index.entry_key(&self.table, start),
            None => self.table.item_key(start).ok(),
        }
    }
}

/// Segment and total of a Scan; one segment if none is asked for.
fn segment(segment: Option<i64>, total: Option<i64>) -> Result<(i64, i64), Fault> {
    match (segment, total) {
        (None, None) => Ok((0, 1)),
        (Some(_), None) => Err(validation(
            "The TotalSegments parameter is required but was not present in the request when Segment parameter is \
             present",
        )),
        (None, Some(_)) => Err(validation(
            "The Segment parameter is required but was not present in the request when parameter TotalSegments is \
             present",
        )),
        (Some(segment), Some(total)) if segment >= total => Err(validation(format!(
            "The Segment parameter is zero-based and must be less than parameter TotalSegments: Segment: {segment} is \
             not less than TotalSegments: {total}"
        ))),
        (Some(segment), Some(total)) => Ok((segment, total)),
    }
}

/// The keys whose partitions' hashes are in the segment.
fn segment_range(prefix: &[u8], (segment, total): (i64, i64)) -> Range {
    let hash = |n: i64| u128::from(key::HASHES) * n.unsigned_abs() as u128 / total.unsigned_abs() as u128;
    let at = |n: i64| match u32::try_from(hash(n)) {
        Ok(hash) => [prefix, &hash.to_be_bytes()].concat(),
        Err(_) => successor(prefix),
    };
    Range::between(at(segment), at(segment + 1))
}

/// A Query's filter is about what its key condition is not about.
fn check_filter(target: &Target, filter: Option<&Condition>) -> Result<(), Fault> {
    let mut found = None;
    if let Some(filter) = filter {
        filter.paths(&mut |path| {
            if found.is_none() && target.keys().contains(path.name()) {
                found = Some(path.name().to_owned());
            }
        });
    }
    match found {
        Some(name) => Err(validation(format!(
            "Filter Expression can only contain non-primary key attributes: Primary key attribute: {name}"
        ))),
        None => Ok(()),
    }
}

fn query_range(target: &Target, condition: &KeyCondition) -> Result<Range, Fault> {
    let keys = target.keys();
    let missed = |key: &KeyAttribute| validation(format!("Query condition missed key schema element: {}", key.name));
    let hash = condition.get(&keys.hash.name).ok_or_else(|| missed(&keys.hash))?;
    let range = match &keys.range {
        Some(range) => {
            let found = condition.get(&range.name);
            if found.is_none() && condition.names().len() > 1 {
                return Err(missed(range));
            }
            found.map(|c| (range, c))
        }
        None => None,
    };
    if condition.names().len() > 1 + usize::from(range.is_some()) {
        return Err(validation("Query key condition not supported"));
    }
    let SortCondition::Compare(Comparator::Equal, value) = hash else {
        return Err(validation("Query key condition not supported"));
    };
    check_value(keys, &keys.hash, value)?;
    let mut prefix = target.prefix();
    key::push_hash_key(&mut prefix, value);
    let Some((range_key, condition)) = range else {
        return Ok(Range::prefix(&prefix));
    };
    let values: Vec<&AttributeValue> = match condition {
        SortCondition::Compare(_, value) | SortCondition::BeginsWith(value) => vec![value],
        SortCondition::Between(low, high) => vec![low, high],
    };
    for value in values {
        check_value(keys, range_key, value)?;
    }
    if matches!(condition, SortCondition::BeginsWith(_)) && range_key.kind == crate::Kind::N {
        return Err(validation("Query key condition not supported"));
    }
    let (start, end) = key::sort_range(&prefix, condition);
    Ok(Range::between(start, end))
}

/// A value that a key attribute is compared with must be one that it can have.
fn check_value(keys: &KeySchema, key: &KeyAttribute, value: &AttributeValue) -> Result<(), Fault> {
    if value.kind() != key.kind {
        return Err(validation(format!("{INVALID}Condition parameter type does not match schema type")));
    }
    // The schema's own check wants both keys; the other one is made up.
    let filler = |k: &KeyAttribute| match k.kind {
        crate::Kind::N => AttributeValue::N(crate::Number::ZERO),
        crate::Kind::B => AttributeValue::B(vec![0]),
        _ => AttributeValue::S("x".to_owned()),
    };
    let mut item: Item = keys.attributes().map(|k| (k.name.clone(), filler(k))).collect();
    item.insert(key.name.clone(), value.clone());
    match keys.of(&item) {
        // A sort key may begin with, or lie behind, the empty text.
        Err(KeyProblem::Empty(_)) if *key != keys.hash => Ok(()),
        Err(problem) => Err(fault::key(&problem)),
        Ok(_) => Ok(()),
    }
}

fn query_start(target: &Target, range: Range, condition: &KeyCondition, start: &Item) -> Result<Range, Fault> {
    let at = target.position(start).ok_or_else(|| validation("The provided starting key is invalid"))?;
    if at >= range.start && at < range.end {
        return Ok(range.after(&at));
    }
    let hash = &target.keys().hash.name;
    let same_partition = matches!(
        condition.get(hash),
        Some(SortCondition::Compare(_, value)) if start.get(hash) == Some(value)
    );
    Err(validation(if same_partition {
        "The provided starting key does not match the range key predicate"
    } else {
        "The provided starting key is outside query boundaries based on provided conditions"
    }))
}

/// What a page has gathered.
#[derive(Default)]
struct Gathered {
    items: Vec<Item>,
    count: usize,
    scanned: usize,
    bytes: usize,
    /// Units of reads in the table that a local index's entries led to.
    fetched_units: f64,
}

impl Reading {
    fn page(&self, store: &dyn Store, target: &Target, mut range: Range) -> Result<PageOutput, Fault> {
        let mut gathered = Gathered::default();
        let mut chunk = CHUNK_FIRST;
        let last = loop {
            let left = self.limit.map_or(usize::MAX, |l| l - gathered.scanned);
            range.limit = chunk.min(left);
            let entries = store.scan(&range).map_err(fault::store)?;
            let mut stop = None;
            for (key, value) in &entries {
                self.take(store, target, value, &mut gathered).map_err(fault::store)?;
                if self.limit == Some(gathered.scanned) || gathered.bytes >= PAGE_BYTES_MAX {
                    stop = Some((key, value));
                    break;
                }
            }
            if let Some((_, value)) = stop {
                break Some(decode_item(value).map_err(fault::store)?);
            }
            match entries.last() {
                Some((key, _)) if entries.len() == range.limit => range = range.after(key),
                _ => break None,
            }
            let average = (gathered.bytes / gathered.scanned.max(1)).max(1);
            chunk = ((PAGE_BYTES_MAX - gathered.bytes) / average + 1).clamp(CHUNK_FIRST, CHUNK_MAX);
        };
        Ok(self.output(target, gathered, last.as_ref()))
    }

    fn take(
        &self,
        store: &dyn Store,
        target: &Target,
        value: &Bytes,
        gathered: &mut Gathered,
    ) -> Result<(), store::Error> {
        gathered.scanned += 1;
        gathered.bytes += stored_size_bytes(value)?;
        if self.count_only && self.filter.is_none() {
            gathered.count += 1;
            return Ok(());
        }
        let mut item = decode_item(value)?;
        if self.needs_table(target)
            && let Ok(key) = target.table.item_key(&item)
            && let Some(whole) = store.get(&key)?
        {
            gathered.fetched_units += read_units(stored_size_bytes(&whole)?, self.consistent);
            item = decode_item(&whole)?;
        }
        if self.filter.as_ref().is_some_and(|f| !f.holds(&item)) {
            return Ok(());
        }
        gathered.count += 1;
        if !self.count_only {
            gathered.items.push(match &self.projection {
                Some(projection) => projection.apply(&item),
                None => item,
            });
        }
        Ok(())
    }

    /// Whether a local index's entries lack something that is asked for.
    fn needs_table(&self, target: &Target) -> bool {
        let Some(index) = target.index.as_ref().filter(|i| !i.global) else {
            return false;
        };
        let lacks = |name: &str| !index.projects(&target.table, name);
        self.all_attributes && index.projection != IndexProjection::All
            || self.projection.as_ref().is_some_and(|p| p.names().any(lacks))
    }

    fn output(&self, target: &Target, gathered: Gathered, last: Option<&Item>) -> PageOutput {
        let units = read_units(gathered.bytes, self.consistent);
        let mut capacity = Capacity { table: gathered.fetched_units, ..Capacity::default() };
        match &target.index {
            Some(index) => capacity.add_index(&index.name, index.global, units),
            None => capacity.table += units,
        }
        PageOutput {
            items: (!self.count_only).then_some(gathered.items),
            count: gathered.count,
            scanned_count: gathered.scanned,
            last_evaluated_key: last.map(|item| key::pick(item, target.position_names())),
            consumed_capacity: capacity.shown(&target.table.name, self.return_capacity),
        }
    }
}
