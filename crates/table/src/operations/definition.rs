//! The definition of a table as a request wants it: the model's rules, then the rules between members.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use service::Fault;

use super::request::Violations;
use super::settings::{Tag, check_tags};
use crate::Kind;
use crate::fault::{invalid, validation};
use crate::machine::Facts;
use crate::schema::{Fill, Index, IndexProjection, KeyAttribute, KeySchema, Stream, Table, TableName, Throughput};

const LOCAL_INDEXES_MAX: usize = 5;
const GLOBAL_INDEXES_MAX: usize = 20;
const PROJECTED_ATTRIBUTES_MAX: usize = 100;
const UNITS_MAX: i64 = 1_000_000_000_000;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct CreateTableInput {
    pub table_name: Option<String>,
    pub attribute_definitions: Option<Vec<AttributeDefinition>>,
    pub key_schema: Option<Vec<KeySchemaElement>>,
    pub local_secondary_indexes: Option<Vec<IndexInput>>,
    pub global_secondary_indexes: Option<Vec<IndexInput>>,
    pub billing_mode: Option<String>,
    pub provisioned_throughput: Option<ThroughputInput>,
    pub stream_specification: Option<StreamInput>,
    #[serde(rename = "SSESpecification")]
    pub sse_specification: Option<SseInput>,
    pub tags: Option<Vec<Tag>>,
    pub table_class: Option<String>,
    pub deletion_protection_enabled: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct AttributeDefinition {
    pub attribute_name: Option<String>,
    pub attribute_type: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct KeySchemaElement {
    pub attribute_name: Option<String>,
    pub key_type: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct IndexInput {
    pub index_name: Option<String>,
    pub key_schema: Option<Vec<KeySchemaElement>>,
    pub projection: Option<ProjectionInput>,
    pub provisioned_throughput: Option<ThroughputInput>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ProjectionInput {
    pub projection_type: Option<String>,
    pub non_key_attributes: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ThroughputInput {
    pub read_capacity_units: Option<i64>,
    pub write_capacity_units: Option<i64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct StreamInput {
    pub stream_enabled: Option<bool>,
    pub stream_view_type: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct SseInput {
    pub enabled: Option<bool>,
    #[serde(rename = "KMSMasterKeyId")]
    pub kms_master_key_id: Option<String>,
}

/// The wanted definition, checked, before it has an id and a time.
pub(super) struct Blueprint {
    pub keys: KeySchema,
    pub attributes: Vec<KeyAttribute>,
    pub indexes: Vec<Index>,
    pub throughput: Option<Throughput>,
    pub stream: Option<String>,
    pub sse_key: Option<String>,
    pub table_class: Option<String>,
    pub deletion_protection: bool,
    pub tags: BTreeMap<String, String>,
}

impl Blueprint {
    pub fn build(self, name: &TableName, uuid: String, facts: &Facts) -> Table {
        Table {
            id: facts.next_table_id,
            uuid,
            scope: name.scope.clone(),
            name: name.name.to_string(),
            next_index_id: u64::try_from(self.indexes.len()).expect("few indexes"),
            on_demand_since: self.throughput.is_none().then_some(facts.now),
            keys: self.keys,
            attributes: self.attributes,
            indexes: self.indexes,
            created_at: facts.now,
            throughput: self.throughput,
            stream: self.stream.map(|view_type| Stream { view_type, enabled_at: facts.now }),
            time_to_live: None,
            deletion_protection: self.deletion_protection,
            table_class: self.table_class,
            sse_key: self.sse_key,
            tags: self.tags,
        }
    }
}

// The model's own rules.

pub(super) fn check_create(input: &CreateTableInput, violations: &mut Violations) {
    violations.require("attributeDefinitions", input.attribute_definitions.as_ref());
    violations.require("keySchema", input.key_schema.as_ref());
    check_definitions(input.attribute_definitions.as_deref().unwrap_or_default(), violations);
    if let Some(schema) = &input.key_schema {
        check_schema("keySchema", schema, violations);
    }
    let lists = [
        ("localSecondaryIndexes", &input.local_secondary_indexes),
        ("globalSecondaryIndexes", &input.global_secondary_indexes),
    ];
    for (path, list) in lists {
        for (at, index) in list.iter().flatten().enumerate() {
            check_index(&format!("{path}.{}.member", at + 1), index, violations);
        }
    }
    check_billing(input.billing_mode.as_deref(), input.provisioned_throughput.as_ref(), violations);
    check_stream(input.stream_specification.as_ref(), violations);
    violations.one_of("tableClass", input.table_class.as_deref(), &["STANDARD", "STANDARD_INFREQUENT_ACCESS"]);
}

pub(super) fn check_definitions(definitions: &[AttributeDefinition], violations: &mut Violations) {
    for (at, definition) in definitions.iter().enumerate() {
        let path = |member: &str| format!("attributeDefinitions.{}.member.{member}", at + 1);
        violations.require(&path("attributeName"), definition.attribute_name.as_ref());
        violations.require(&path("attributeType"), definition.attribute_type.as_ref());
        if let Some(name) = &definition.attribute_name {
            violations.length(&path("attributeName"), name, name.len(), 1, 255);
        }
        violations.one_of(&path("attributeType"), definition.attribute_type.as_deref(), &["B", "N", "S"]);
    }
}

pub(super) fn check_schema(path: &str, schema: &[KeySchemaElement], violations: &mut Violations) {
    violations.length(path, "[]", schema.len(), 1, 2);
    for (at, element) in schema.iter().enumerate() {
        let path = |member: &str| format!("{path}.{}.member.{member}", at + 1);
        violations.require(&path("attributeName"), element.attribute_name.as_ref());
        violations.require(&path("keyType"), element.key_type.as_ref());
        if let Some(name) = &element.attribute_name {
            violations.length(&path("attributeName"), name, name.len(), 1, 255);
        }
        violations.one_of(&path("keyType"), element.key_type.as_deref(), &["HASH", "RANGE"]);
    }
}

pub(super) fn check_index(path: &str, index: &IndexInput, violations: &mut Violations) {
    violations.require(&format!("{path}.projection"), index.projection.as_ref());
    violations.require(&format!("{path}.indexName"), index.index_name.as_ref());
    violations.require(&format!("{path}.keySchema"), index.key_schema.as_ref());
    if let Some(name) = &index.index_name {
        violations.name(&format!("{path}.indexName"), name);
    }
    if let Some(schema) = &index.key_schema {
        check_schema(&format!("{path}.keySchema"), schema, violations);
    }
    if let Some(projection) = &index.projection {
        let path = format!("{path}.projection");
        let allowed = ["ALL", "INCLUDE", "KEYS_ONLY"];
        violations.one_of(&format!("{path}.projectionType"), projection.projection_type.as_deref(), &allowed);
        if let Some(names) = &projection.non_key_attributes {
            let longest = names.iter().map(String::len).max().unwrap_or(1);
            violations.length(&format!("{path}.nonKeyAttributes"), "[]", names.len(), 1, PROJECTED_ATTRIBUTES_MAX);
            violations.length(&format!("{path}.nonKeyAttributes"), "[]", longest, 1, 255);
        }
    }
    check_throughput(&format!("{path}.provisionedThroughput"), index.provisioned_throughput.as_ref(), violations);
}

pub(super) fn check_billing(mode: Option<&str>, throughput: Option<&ThroughputInput>, violations: &mut Violations) {
    violations.one_of("billingMode", mode, &["PROVISIONED", "PAY_PER_REQUEST"]);
    check_throughput("provisionedThroughput", throughput, violations);
}

pub(super) fn check_throughput(path: &str, throughput: Option<&ThroughputInput>, violations: &mut Violations) {
    let Some(throughput) = throughput else {
        return;
    };
    for (member, units) in
        [("writeCapacityUnits", throughput.write_capacity_units), ("readCapacityUnits", throughput.read_capacity_units)]
    {
        let path = format!("{path}.{member}");
        violations.require(&path, units.as_ref());
        violations.at_least(&path, units, 1);
    }
}

pub(super) fn check_stream(stream: Option<&StreamInput>, violations: &mut Violations) {
    let Some(stream) = stream else {
        return;
    };
    violations.require("streamSpecification.streamEnabled", stream.stream_enabled.as_ref());
    let allowed = ["NEW_IMAGE", "OLD_IMAGE", "NEW_AND_OLD_IMAGES", "KEYS_ONLY"];
    violations.one_of("streamSpecification.streamViewType", stream.stream_view_type.as_deref(), &allowed);
}

// The rules between members.

pub(super) fn blueprint(input: CreateTableInput) -> Result<Blueprint, Fault> {
    let throughput = billing(input.billing_mode.as_deref(), input.provisioned_throughput.as_ref())?;
    let attributes = attributes(input.attribute_definitions.unwrap_or_default())?;
    let mut used = BTreeSet::new();
    let keys = key_schema(&input.key_schema.unwrap_or_default(), &attributes, true, &mut used)?;
    let mut indexes = Vec::new();
    if input.local_secondary_indexes.as_ref().is_some_and(Vec::is_empty)
        || input.global_secondary_indexes.as_ref().is_some_and(Vec::is_empty)
    {
        return Err(invalid("List of indexes is empty"));
    }
    for (list, global) in [(input.local_secondary_indexes, false), (input.global_secondary_indexes, true)] {
        let list = list.unwrap_or_default();
        if !list.is_empty() && !global && keys.range.is_none() {
            return Err(invalid("Table KeySchema does not have a range key"));
        }
        for wanted in list {
            let id = u64::try_from(indexes.len()).expect("few indexes");
            let index = index(wanted, global, id, &keys, &attributes, throughput.is_some(), &mut used)?;
            add_index(&mut indexes, index)?;
        }
    }
    if used.len() != attributes.len() {
        let message = "Number of attributes in KeySchema does not exactly match number of attributes defined in \
                       AttributeDefinitions";
        let message = if indexes.is_empty() {
            message.to_owned()
        } else {
            let unused: Vec<_> = attributes.iter().map(|a| a.name.as_str()).filter(|n| !used.contains(*n)).collect();
            format!(
                "Some AttributeDefinitions are not used. AttributeDefinitions: [{}], keys used: [{}]",
                attributes.iter().map(|a| a.name.as_str()).collect::<Vec<_>>().join(", "),
                attributes
                    .iter()
                    .map(|a| a.name.as_str())
                    .filter(|n| !unused.contains(n))
                    .collect::<Vec<_>>()
                    .join(", ")
            )
        };
        return Err(invalid(message));
    }
    Ok(Blueprint {
        keys,
        attributes,
        indexes,
        throughput,
        stream: stream(input.stream_specification)?,
        sse_key: sse_key(input.sse_specification),
        table_class: input.table_class,
        deletion_protection: input.deletion_protection_enabled.unwrap_or(false),
        tags: check_tags(BTreeMap::new(), input.tags.unwrap_or_default())?,
    })
}

pub(super) fn billing(mode: Option<&str>, given: Option<&ThroughputInput>) -> Result<Option<Throughput>, Fault> {
    let on_demand = mode == Some("PAY_PER_REQUEST");
    match given {
        Some(_) if on_demand => Err(invalid(
            "Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is PAY_PER_REQUEST",
        )),
        None if on_demand => Ok(None),
        None => Err(invalid(
            "ReadCapacityUnits and WriteCapacityUnits must both be specified when BillingMode is \
                             PROVISIONED",
        )),
        Some(given) => throughput(given).map(Some),
    }
}

pub(super) fn throughput(given: &ThroughputInput) -> Result<Throughput, Fault> {
    let (read_units, write_units) = (given.read_capacity_units.unwrap_or(1), given.write_capacity_units.unwrap_or(1));
    for (name, units) in [("ReadCapacityUnits", read_units), ("WriteCapacityUnits", write_units)] {
        if units > UNITS_MAX {
            return Err(validation(format!("Given value {units} for {name} is out of bounds")));
        }
    }
    Ok(Throughput { read_units, write_units })
}

pub(super) fn attributes(definitions: Vec<AttributeDefinition>) -> Result<Vec<KeyAttribute>, Fault> {
    let mut attributes: Vec<KeyAttribute> = Vec::with_capacity(definitions.len());
    for definition in definitions {
        let name = definition.attribute_name.unwrap_or_default();
        let kind = definition.attribute_type.as_deref().and_then(Kind::parse).unwrap_or(Kind::S);
        if attributes.iter().any(|a| a.name == name) {
            return Err(invalid(format_args!("Duplicate AttributeName in AttributeDefinitions: {name}")));
        }
        attributes.push(KeyAttribute { name, kind });
    }
    Ok(attributes)
}

/// Resolves a key schema; `of_table` chooses between two texts that AWS has for the same mistake.
pub(super) fn key_schema(
    elements: &[KeySchemaElement],
    attributes: &[KeyAttribute],
    of_table: bool,
    used: &mut BTreeSet<String>,
) -> Result<KeySchema, Fault> {
    let names: Vec<&str> = elements.iter().map(|e| e.attribute_name.as_deref().unwrap_or_default()).collect();
    let find = |name: &str| attributes.iter().find(|a| a.name == name).cloned();
    if names.iter().any(|n| find(n).is_none()) {
        if of_table && names.len() > 1 {
            return Err(validation("Invalid KeySchema: Some index key attribute have no definition"));
        }
        let defined: Vec<_> = attributes.iter().map(|a| a.name.as_str()).collect();
        return Err(invalid(format_args!(
            "Some index key attributes are not defined in AttributeDefinitions. Keys: [{}], AttributeDefinitions: [{}]",
            names.join(", "),
            defined.join(", ")
        )));
    }
    if names.len() == 2 && names[0] == names[1] {
        return Err(validation("Both the Hash Key and the Range Key element in the KeySchema have the same name"));
    }
    let kinds: Vec<&str> = elements.iter().map(|e| e.key_type.as_deref().unwrap_or_default()).collect();
    if kinds.first() != Some(&"HASH") {
        return Err(validation("Invalid KeySchema: The first KeySchemaElement is not a HASH key type"));
    }
    if kinds.get(1).is_some_and(|k| *k != "RANGE") {
        return Err(validation("Invalid KeySchema: The second KeySchemaElement is not a RANGE key type"));
    }
    used.extend(names.iter().map(|n| (*n).to_owned()));
    let hash = find(names[0]).ok_or_else(|| validation("Invalid KeySchema"))?;
    Ok(KeySchema { hash, range: names.get(1).and_then(|n| find(n)) })
}

pub(super) fn index(
    wanted: IndexInput,
    global: bool,
    id: u64,
    table_keys: &KeySchema,
    attributes: &[KeyAttribute],
    provisioned: bool,
    used: &mut BTreeSet<String>,
) -> Result<Index, Fault> {
    let name = wanted.index_name.unwrap_or_default();
    let keys = key_schema(&wanted.key_schema.unwrap_or_default(), attributes, false, used)?;
    if !global {
        if keys.range.is_none() {
            return Err(invalid(format_args!("Index KeySchema does not have a range key for index: {name}")));
        }
        if keys.hash != table_keys.hash {
            return Err(invalid(format_args!(
                "Index KeySchema does not have the same leading hash key as table KeySchema for index: {name}. index \
                 hash key: {}, table hash key: {}",
                keys.hash.name, table_keys.hash.name
            )));
        }
    }
    let projection = projection(wanted.projection)?;
    let throughput = match (global && provisioned, wanted.provisioned_throughput) {
        (true, Some(given)) => Some(throughput(&given)?),
        (true, None) => {
            return Err(invalid(format_args!("ProvisionedThroughput is not specified for index: {name}")));
        }
        (false, Some(_)) if global => {
            return Err(invalid(format_args!(
                "ProvisionedThroughput should not be specified for index: {name} when BillingMode is PAY_PER_REQUEST"
            )));
        }
        (false, _) => None,
    };
    Ok(Index { id, name, global, keys, projection, throughput, fill: Fill::Done })
}

pub(super) fn projection(wanted: Option<ProjectionInput>) -> Result<IndexProjection, Fault> {
    let wanted = wanted.ok_or_else(|| invalid("Unknown ProjectionType: null"))?;
    match (wanted.projection_type.as_deref(), wanted.non_key_attributes) {
        (None, _) => Err(invalid("Unknown ProjectionType: null")),
        (Some("INCLUDE"), Some(names)) => Ok(IndexProjection::Include(names)),
        (Some("INCLUDE"), None) => Err(invalid("ProjectionType is INCLUDE, but NonKeyAttributes is not specified")),
        (Some(kind), Some(_)) => {
            Err(invalid(format_args!("ProjectionType is {kind}, but NonKeyAttributes is specified")))
        }
        (Some("ALL"), None) => Ok(IndexProjection::All),
        (Some(_), None) => Ok(IndexProjection::KeysOnly),
    }
}

pub(super) fn add_index(indexes: &mut Vec<Index>, index: Index) -> Result<(), Fault> {
    if indexes.iter().any(|i| i.name == index.name) {
        return Err(invalid(format_args!("Duplicate index name: {}", index.name)));
    }
    let of_kind = indexes.iter().filter(|i| i.global == index.global).count() + 1;
    if !index.global && of_kind > LOCAL_INDEXES_MAX {
        return Err(invalid("Number of LocalSecondaryIndexes exceeds per-table limit of 5"));
    }
    if index.global && of_kind > GLOBAL_INDEXES_MAX {
        return Err(invalid("GlobalSecondaryIndex count exceeds the per-table limit of 20"));
    }
    indexes.push(index);
    Ok(())
}

/// The view type of the stream that is wanted, if one is.
pub(super) fn stream(wanted: Option<StreamInput>) -> Result<Option<String>, Fault> {
    let Some(wanted) = wanted else {
        return Ok(None);
    };
    match (wanted.stream_enabled.unwrap_or(false), wanted.stream_view_type) {
        (true, Some(view_type)) => Ok(Some(view_type)),
        (true, None) => Err(invalid("StreamViewType is required when StreamEnabled is true")),
        (false, Some(_)) => Err(invalid("StreamViewType should not be specified when StreamEnabled is false")),
        (false, None) => Ok(None),
    }
}

pub(super) fn sse_key(wanted: Option<SseInput>) -> Option<String> {
    let wanted = wanted.filter(|w| w.enabled == Some(true))?;
    Some(wanted.kms_master_key_id.unwrap_or_else(|| "alias/aws/dynamodb".to_owned()))
}
