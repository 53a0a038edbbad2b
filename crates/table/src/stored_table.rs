//! Definitions of tables as bytes in the store: a version byte, then JSON of the structs here.
//!
//! JSON because definitions are few and an operator may want to read them; members may be added, never renamed.

use std::collections::BTreeMap;

use base::{Scope, Timestamp};
use serde::{Deserialize, Serialize};
use store::Error;

use crate::Kind;
use crate::schema::{Fill, Index, IndexProjection, KeyAttribute, KeySchema, Stream, Table, Throughput, TimeToLive};

const VERSION: u8 = 1;

#[derive(Serialize, Deserialize)]
struct StoredTable {
    id: u64,
    uuid: String,
    account: String,
    region: String,
    name: String,
    keys: Vec<StoredKey>,
    attributes: Vec<StoredKey>,
    #[serde(default)]
    indexes: Vec<StoredIndex>,
    next_index_id: u64,
    created_at_ms: i64,
    #[serde(default)]
    throughput: Option<(i64, i64)>,
    #[serde(default)]
    on_demand_since_ms: Option<i64>,
    #[serde(default)]
    stream: Option<StoredStream>,
    #[serde(default)]
    time_to_live: Option<StoredTimeToLive>,
    #[serde(default)]
    deletion_protection: bool,
    #[serde(default)]
    table_class: Option<String>,
    #[serde(default)]
    sse_key: Option<String>,
    #[serde(default)]
    tags: BTreeMap<String, String>,
}

#[derive(Serialize, Deserialize)]
struct StoredKey {
    name: String,
    kind: String,
}

#[derive(Serialize, Deserialize)]
struct StoredIndex {
    id: u64,
    name: String,
    global: bool,
    keys: Vec<StoredKey>,
    /// Absent: all attributes.
    #[serde(default)]
    include: Option<Vec<String>>,
    #[serde(default)]
    throughput: Option<(i64, i64)>,
    #[serde(default)]
    filled_to: Option<Vec<u8>>,
}

#[derive(Serialize, Deserialize)]
struct StoredStream {
    view_type: String,
    enabled_at_ms: i64,
}

#[derive(Serialize, Deserialize)]
struct StoredTimeToLive {
    attribute: String,
    id: u64,
    #[serde(default)]
    filled_to: Option<Vec<u8>>,
}

pub(crate) fn encode_table(table: &Table) -> Vec<u8> {
    let mut out = vec![VERSION];
    serde_json::to_writer(&mut out, &stored(table)).expect("plain data has a JSON form");
    out
}

pub(crate) fn decode_table(bytes: &[u8]) -> Result<Table, Error> {
    let corrupt = || Error::Corrupt("table definition".to_owned());
    match bytes.split_first() {
        Some((&VERSION, rest)) => {
            let stored: StoredTable = serde_json::from_slice(rest).map_err(|_| corrupt())?;
            table(stored).ok_or_else(corrupt)
        }
        _ => Err(corrupt()),
    }
}

fn stored(table: &Table) -> StoredTable {
    StoredTable {
        id: table.id,
        uuid: table.uuid.clone(),
        account: table.scope.account().to_owned(),
        region: table.scope.region().to_owned(),
        name: table.name.clone(),
        keys: table.keys.attributes().map(stored_key).collect(),
        attributes: table.attributes.iter().map(stored_key).collect(),
        indexes: table.indexes.iter().map(stored_index).collect(),
        next_index_id: table.next_index_id,
        created_at_ms: table.created_at.as_millis(),
        throughput: table.throughput.as_ref().map(units),
        on_demand_since_ms: table.on_demand_since.map(Timestamp::as_millis),
        stream: table
            .stream
            .as_ref()
            .map(|s| StoredStream { view_type: s.view_type.clone(), enabled_at_ms: s.enabled_at.as_millis() }),
        time_to_live: table.time_to_live.as_ref().map(|t| StoredTimeToLive {
            attribute: t.attribute.clone(),
            id: t.id,
            filled_to: filled_to(&t.fill),
        }),
        deletion_protection: table.deletion_protection,
        table_class: table.table_class.clone(),
        sse_key: table.sse_key.clone(),
        tags: table.tags.clone(),
    }
}

fn table(stored: StoredTable) -> Option<Table> {
    Some(Table {
        id: stored.id,
        uuid: stored.uuid,
        scope: Scope::new(&stored.account, &stored.region),
        name: stored.name,
        keys: key_schema(stored.keys)?,
        attributes: stored.attributes.into_iter().map(key_attribute).collect::<Option<_>>()?,
        indexes: stored.indexes.into_iter().map(index).collect::<Option<_>>()?,
        next_index_id: stored.next_index_id,
        created_at: Timestamp::from_millis(stored.created_at_ms),
        throughput: stored.throughput.map(throughput),
        on_demand_since: stored.on_demand_since_ms.map(Timestamp::from_millis),
        stream: stored
            .stream
            .map(|s| Stream { view_type: s.view_type, enabled_at: Timestamp::from_millis(s.enabled_at_ms) }),
        time_to_live: stored.time_to_live.map(|t| TimeToLive {
            attribute: t.attribute,
            id: t.id,
            fill: fill(t.filled_to),
        }),
        deletion_protection: stored.deletion_protection,
        table_class: stored.table_class,
        sse_key: stored.sse_key,
        tags: stored.tags,
    })
}

fn stored_key(attribute: &KeyAttribute) -> StoredKey {
    StoredKey { name: attribute.name.clone(), kind: attribute.kind.name().to_owned() }
}

fn key_attribute(stored: StoredKey) -> Option<KeyAttribute> {
    let kind = Kind::parse(&stored.kind).filter(|k| k.is_ordered())?;
    Some(KeyAttribute { name: stored.name, kind })
}

fn key_schema(stored: Vec<StoredKey>) -> Option<KeySchema> {
    let mut keys = stored.into_iter().map(key_attribute);
    let hash = keys.next()??;
    let range = match keys.next() {
        Some(range) => Some(range?),
        None => None,
    };
    Some(KeySchema { hash, range })
}

fn stored_index(index: &Index) -> StoredIndex {
    StoredIndex {
        id: index.id,
        name: index.name.clone(),
        global: index.global,
        keys: index.keys.attributes().map(stored_key).collect(),
        include: match &index.projection {
            IndexProjection::All => None,
            IndexProjection::KeysOnly => Some(Vec::new()),
            IndexProjection::Include(names) => Some(names.clone()),
        },
        throughput: index.throughput.as_ref().map(units),
        filled_to: filled_to(&index.fill),
    }
}

fn index(stored: StoredIndex) -> Option<Index> {
    Some(Index {
        id: stored.id,
        name: stored.name,
        global: stored.global,
        keys: key_schema(stored.keys)?,
        projection: match stored.include {
            None => IndexProjection::All,
            Some(names) if names.is_empty() => IndexProjection::KeysOnly,
            Some(names) => IndexProjection::Include(names),
        },
        throughput: stored.throughput.map(throughput),
        fill: fill(stored.filled_to),
    })
}

fn units(throughput: &Throughput) -> (i64, i64) {
    (throughput.read_units, throughput.write_units)
}

fn throughput((read_units, write_units): (i64, i64)) -> Throughput {
    Throughput { read_units, write_units }
}

fn filled_to(fill: &Fill) -> Option<Vec<u8>> {
    match fill {
        Fill::Done => None,
        Fill::Behind(key) => Some(key.clone()),
    }
}

fn fill(filled_to: Option<Vec<u8>>) -> Fill {
    filled_to.map_or(Fill::Done, Fill::Behind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn definitions_of_version_1_stay_readable() {
        let text = r#"{"id":9,"uuid":"u","account":"000000000000","region":"us-east-1","name":"jobs",
            "keys":[{"name":"pk","kind":"S"},{"name":"sk","kind":"N"}],
            "attributes":[{"name":"pk","kind":"S"},{"name":"sk","kind":"N"},{"name":"status","kind":"S"}],
            "indexes":[{"id":1,"name":"by-status","global":true,"keys":[{"name":"status","kind":"S"}],"include":["a"]}],
            "next_index_id":2,"created_at_ms":5}"#;
        let table = decode_table(&[&[VERSION], text.as_bytes()].concat()).unwrap();
        assert_eq!((table.name.as_str(), table.keys.range.as_ref().map(|r| r.kind)), ("jobs", Some(Kind::N)));
        assert_eq!(table.indexes[0].projection, IndexProjection::Include(vec!["a".to_owned()]));
        assert_eq!(decode_table(&encode_table(&table)), Ok(table));
        for bytes in [&b""[..], b"\x02{}", b"\x01{}", b"\x01{"] {
            assert!(decode_table(bytes).is_err());
        }
    }
}
