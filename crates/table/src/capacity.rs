use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::schema::Table;

/// Bytes that one read unit pays for.
const READ_UNIT_BYTES: usize = 4096;
/// Bytes that one write unit pays for.
const WRITE_UNIT_BYTES: usize = 1024;

/// What ReturnConsumedCapacity asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum ReturnCapacity {
    #[default]
    None,
    Total,
    Indexes,
}

/// Units used of one table and its indexes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Capacity {
    pub table: f64,
    /// Name, whether it is a global index, units.
    pub indexes: Vec<(String, bool, f64)>,
}

/// How many units reading so many bytes takes.
pub(crate) fn read_units(bytes: usize, consistent: bool) -> f64 {
    let units = bytes.div_ceil(READ_UNIT_BYTES).max(1) as f64;
    if consistent { units } else { units / 2.0 }
}

/// How many units writing an item that weighs so much, before or after, takes.
pub(crate) fn write_units(bytes: usize) -> f64 {
    bytes.div_ceil(WRITE_UNIT_BYTES).max(1) as f64
}

impl Capacity {
    pub fn total(&self) -> f64 {
        self.table + self.indexes.iter().map(|(_, _, units)| units).sum::<f64>()
    }

    pub fn add_index(&mut self, name: &str, global: bool, units: f64) {
        match self.indexes.iter_mut().find(|(n, _, _)| n == name) {
            Some((_, _, sum)) => *sum += units,
            None => self.indexes.push((name.to_owned(), global, units)),
        }
    }

    pub fn add(&mut self, other: &Capacity) {
        self.table += other.table;
        for (name, global, units) in &other.indexes {
            self.add_index(name, *global, *units);
        }
    }

    pub fn scaled(mut self, factor: f64) -> Capacity {
        self.table *= factor;
        self.indexes.iter_mut().for_each(|(_, _, units)| *units *= factor);
        self
    }

    /// As AWS answers it; `None` if it was not asked for.
    pub fn shown(&self, table: &str, wanted: ReturnCapacity) -> Option<ConsumedCapacity> {
        let mut shown = json!({"TableName": table, "CapacityUnits": self.total()});
        match wanted {
            ReturnCapacity::None => return None,
            ReturnCapacity::Total => {}
            ReturnCapacity::Indexes => {
                shown["Table"] = json!({"CapacityUnits": self.table});
                for (member, global) in [("LocalSecondaryIndexes", false), ("GlobalSecondaryIndexes", true)] {
                    let of_kind = self.indexes.iter().filter(|(_, g, _)| *g == global);
                    let units: Map<String, Value> =
                        of_kind.map(|(name, _, units)| (name.clone(), json!({"CapacityUnits": units}))).collect();
                    if !units.is_empty() {
                        shown[member] = Value::Object(units);
                    }
                }
            }
        }
        Some(ConsumedCapacity(shown))
    }
}

/// ConsumedCapacity as it is answered.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(transparent)]
pub(crate) struct ConsumedCapacity(pub Value);

impl ConsumedCapacity {
    /// Transactions say also of which kind the units are.
    pub fn with_kind(mut self, member: &str) -> ConsumedCapacity {
        self.0[member] = self.0["CapacityUnits"].clone();
        if let Some(table) = self.0.get_mut("Table") {
            table[member] = table["CapacityUnits"].clone();
        }
        self
    }
}

/// The units of a transaction by table, of the kind that `member` names; `None` if they were not asked for.
pub(crate) fn shown_by_table(
    capacities: &BTreeMap<String, Capacity>,
    wanted: ReturnCapacity,
    member: &str,
) -> Option<Vec<ConsumedCapacity>> {
    let shown = capacities.iter().filter_map(|(name, c)| Some(c.shown(name, wanted)?.with_kind(member)));
    Some(shown.collect::<Vec<_>>()).filter(|c| !c.is_empty())
}

/// What an item collection of a table with local indexes may weigh.
pub(crate) const COLLECTION_BYTES_MAX: i64 = 10 * 1024 * 1024 * 1024;

/// ItemCollectionMetrics: the collection's size, rounded to the whole GB below and above.
pub(crate) fn collection_metrics(table: &Table, item: &crate::Item, bytes: i64) -> Value {
    let lower = (bytes.max(0) / (1024 * 1024 * 1024)) as f64;
    let key = crate::key::pick(item, [table.keys.hash.name.as_str()]);
    json!({"ItemCollectionKey": key, "SizeEstimateRangeGB": [lower, lower + 1.0]})
}
