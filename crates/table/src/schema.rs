use std::collections::BTreeMap;
use std::sync::Arc;

use base::{Arn, Scope, Timestamp};

use crate::key::{HASH_KEY_BYTES_MAX, RANGE_KEY_BYTES_MAX, pick};
use crate::{AttributeValue, Item, Kind, key};

/// An attribute that is part of a key, and its type: S, N or B.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KeyAttribute {
    pub name: String,
    pub kind: Kind,
}

/// The key of a table or an index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KeySchema {
    pub hash: KeyAttribute,
    pub range: Option<KeyAttribute>,
}

/// Which attributes an index holds beside the keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum IndexProjection {
    All,
    KeysOnly,
    Include(Vec<String>),
}

/// How far an index has been filled with the items that were there before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fill {
    Done,
    /// Goes on behind this item key.
    Behind(Vec<u8>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Throughput {
    pub read_units: i64,
    pub write_units: i64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Index {
    pub id: u64,
    pub name: String,
    pub global: bool,
    pub keys: KeySchema,
    pub projection: IndexProjection,
    pub throughput: Option<Throughput>,
    pub fill: Fill,
}

/// Time to live: an index by time, with the attribute it is read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TimeToLive {
    pub attribute: String,
    pub id: u64,
    pub fill: Fill,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stream {
    pub view_type: String,
    pub enabled_at: Timestamp,
}

/// A table as it is defined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Table {
    /// Never used twice: keys of items begin with it.
    pub id: u64,
    pub uuid: String,
    pub scope: Scope,
    pub name: String,
    pub keys: KeySchema,
    pub attributes: Vec<KeyAttribute>,
    pub indexes: Vec<Index>,
    pub next_index_id: u64,
    pub created_at: Timestamp,
    /// `None`: on demand.
    pub throughput: Option<Throughput>,
    pub on_demand_since: Option<Timestamp>,
    pub stream: Option<Stream>,
    pub time_to_live: Option<TimeToLive>,
    pub deletion_protection: bool,
    pub table_class: Option<String>,
    /// KMS key of SSESpecification, stored only.
    pub sse_key: Option<String>,
    pub tags: BTreeMap<String, String>,
}

/// Account, region and name: what names a table.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct TableName {
    pub scope: Scope,
    pub name: Arc<str>,
}

impl TableName {
    /// What decides which cell owns the table.
    pub fn cell_key(&self) -> Vec<u8> {
        key::definition(self.scope.account(), self.scope.region(), &self.name)
    }
}

/// Which rule a key attribute breaks; each place where that can happen has its own words for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum KeyProblem<'a> {
    Missing(&'a KeyAttribute),
    WrongKind(&'a KeyAttribute, Kind),
    Empty(&'a KeyAttribute),
    HashTooLong,
    RangeTooLong,
}

impl KeySchema {
    /// The key attributes, the partition key first.
    pub fn attributes(&self) -> impl Iterator<Item = &KeyAttribute> + Clone {
        std::iter::once(&self.hash).chain(&self.range)
    }

    pub fn names(&self) -> impl Iterator<Item = &str> + Clone {
        self.attributes().map(|a| a.name.as_str())
    }

    pub fn contains(&self, name: &str) -> bool {
        self.names().any(|n| n == name)
    }

    /// The key attributes of `item`, if they are all there and right.
    pub fn of<'i>(&self, item: &'i Item) -> Result<(&'i AttributeValue, Option<&'i AttributeValue>), KeyProblem<'_>> {
        let hash = self.hash.of(item, HASH_KEY_BYTES_MAX, KeyProblem::HashTooLong)?;
        let range = match &self.range {
            Some(range) => Some(range.of(item, RANGE_KEY_BYTES_MAX, KeyProblem::RangeTooLong)?),
            None => None,
        };
        Ok((hash, range))
    }
}

impl KeyAttribute {
    fn of<'i>(
        &self,
        item: &'i Item,
        bytes_max: usize,
        too_long: KeyProblem<'static>,
    ) -> Result<&'i AttributeValue, KeyProblem<'_>> {
        let value = item.get(&self.name).ok_or(KeyProblem::Missing(self))?;
        if value.kind() != self.kind {
            return Err(KeyProblem::WrongKind(self, value.kind()));
        }
        match value {
            AttributeValue::N(_) => Ok(value),
            _ if value.size_bytes() == 0 => Err(KeyProblem::Empty(self)),
            _ if value.size_bytes() > bytes_max => Err(too_long),
            _ => Ok(value),
        }
    }
}

impl Index {
    pub fn is_filled(&self) -> bool {
        self.fill == Fill::Done
    }

    /// The part of `item` that this index holds.
    pub fn project(&self, table: &Table, item: &Item) -> Item {
        let keys = table.keys.names().chain(self.keys.names());
        match &self.projection {
            IndexProjection::All => item.clone(),
            IndexProjection::KeysOnly => pick(item, keys),
            IndexProjection::Include(names) => pick(item, keys.chain(names.iter().map(String::as_str))),
        }
    }

    /// Whether the index holds that attribute.
    pub fn projects(&self, table: &Table, name: &str) -> bool {
        match &self.projection {
            IndexProjection::All => true,
            IndexProjection::KeysOnly => table.keys.contains(name) || self.keys.contains(name),
            IndexProjection::Include(names) => {
                table.keys.contains(name) || self.keys.contains(name) || names.iter().any(|n| n == name)
            }
        }
    }

    /// The key of the entry for `item`; `None` if the item has not all of the index's keys.
    pub fn entry_key(&self, table: &Table, item: &Item) -> Option<Vec<u8>> {
        let (hash, range) = self.keys.of(item).ok()?;
        let (own_hash, own_range) = table.keys.of(item).ok()?;
        let mut entry = key::entries(table.id, self.id);
        key::push_hash_key(&mut entry, hash);
        if let Some(range) = range {
            key::push_sort_key(&mut entry, range);
        }
        key::push_own_keys(&mut entry, own_hash, own_range);
        Some(entry)
    }
}

impl TimeToLive {
    /// When `item` expires, in seconds since the epoch, if it ever does.
    pub fn expires_at(&self, item: &Item) -> Option<i64> {
        match item.get(&self.attribute) {
            Some(AttributeValue::N(seconds)) => seconds.to_i64(),
            _ => None,
        }
    }

    /// The key of the entry for `item`.
    pub fn entry_key(&self, table: &Table, item: &Item) -> Option<Vec<u8>> {
        let (hash, range) = table.keys.of(item).ok()?;
        let mut own = Vec::new();
        key::push_own_keys(&mut own, hash, range);
        Some(key::ttl_entry(table.id, self.id, self.expires_at(item)?, &own))
    }
}

impl Table {
    pub fn table_name(&self) -> TableName {
        TableName { scope: self.scope.clone(), name: self.name.as_str().into() }
    }

    pub fn arn(&self) -> Arn {
        self.scope.arn("dynamodb", format_args!("table/{}", self.name))
    }

    pub fn index(&self, name: &str) -> Option<&Index> {
        self.indexes.iter().find(|i| i.name == name)
    }

    pub fn has_local_indexes(&self) -> bool {
        self.indexes.iter().any(|i| !i.global)
    }

    /// The key in the store of the item with these key attributes.
    pub fn item_key(&self, item: &Item) -> Result<Vec<u8>, KeyProblem<'_>> {
        let (hash, range) = self.keys.of(item)?;
        Ok(key::item(self.id, hash, range))
    }

    /// Whether something of it is still to be filled in the background.
    pub fn is_filling(&self) -> bool {
        self.indexes.iter().any(|i| !i.is_filled()) || self.time_to_live.as_ref().is_some_and(|t| t.fill != Fill::Done)
    }
}
