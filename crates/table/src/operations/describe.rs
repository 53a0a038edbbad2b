//! Tables as the API shows them.

use serde_json::{Map, Value, json};

use crate::counts::{Count, Counts};
use crate::schema::{Index, IndexProjection, KeyAttribute, KeySchema, Table, Throughput};

/// TableDescription of a table in the given status.
pub(crate) fn table(table: &Table, counts: &Counts, status: &str) -> Value {
    let mut shown = json!({
        "AttributeDefinitions": table.attributes.iter().map(definition).collect::<Vec<_>>(),
        "TableName": table.name,
        "KeySchema": key_schema(&table.keys),
        "TableStatus": status,
        "CreationDateTime": table.created_at.as_seconds_f64(),
        "ProvisionedThroughput": throughput(table.throughput.as_ref()),
        "TableSizeBytes": counts.table.bytes.max(0),
        "ItemCount": counts.table.items.max(0),
        "TableArn": table.arn(),
        "TableId": table.uuid,
        "DeletionProtectionEnabled": table.deletion_protection,
    });
    if let Some(since) = table.on_demand_since {
        shown["BillingModeSummary"] = json!({
            "BillingMode": "PAY_PER_REQUEST",
            "LastUpdateToPayPerRequestDateTime": since.as_seconds_f64(),
        });
    }
    for (member, global) in [("LocalSecondaryIndexes", false), ("GlobalSecondaryIndexes", true)] {
        let of_kind = table.indexes.iter().filter(|i| i.global == global);
        let indexes: Vec<_> = of_kind.map(|i| index(table, i, counts.index(i.id))).collect();
        if !indexes.is_empty() {
            shown[member] = indexes.into();
        }
    }
    if let Some(stream) = &table.stream {
        let label = stream.enabled_at.to_rfc3339().trim_end_matches('Z').to_owned();
        shown["StreamSpecification"] = json!({"StreamEnabled": true, "StreamViewType": stream.view_type});
        shown["LatestStreamArn"] = format!("{}/stream/{label}", table.arn()).into();
        shown["LatestStreamLabel"] = label.into();
    }
    if let Some(class) = &table.table_class {
        shown["TableClassSummary"] = json!({"TableClass": class});
    }
    if let Some(key) = &table.sse_key {
        shown["SSEDescription"] = json!({"Status": "ENABLED", "SSEType": "KMS", "KMSMasterKeyArn": key});
    }
    shown
}

/// ACTIVE, or UPDATING while an index is being filled.
pub(crate) fn status(table: &Table) -> &'static str {
    if table.indexes.iter().all(Index::is_filled) { "ACTIVE" } else { "UPDATING" }
}

fn definition(attribute: &KeyAttribute) -> Value {
    json!({"AttributeName": attribute.name, "AttributeType": attribute.kind.name()})
}

fn key_schema(keys: &KeySchema) -> Value {
    let elements = keys.names().zip(["HASH", "RANGE"]);
    elements.map(|(name, kind)| json!({"AttributeName": name, "KeyType": kind})).collect()
}

fn throughput(throughput: Option<&Throughput>) -> Value {
    let (read, write) = throughput.map_or((0, 0), |t| (t.read_units, t.write_units));
    json!({"NumberOfDecreasesToday": 0, "ReadCapacityUnits": read, "WriteCapacityUnits": write})
}

fn index(table: &Table, index: &Index, count: Count) -> Value {
    let mut projection = Map::new();
    let (kind, names) = match &index.projection {
        IndexProjection::All => ("ALL", None),
        IndexProjection::KeysOnly => ("KEYS_ONLY", None),
        IndexProjection::Include(names) => ("INCLUDE", Some(names)),
    };
    projection.insert("ProjectionType".to_owned(), kind.into());
    if let Some(names) = names {
        projection.insert("NonKeyAttributes".to_owned(), json!(names));
    }
    let mut shown = json!({
        "IndexName": index.name,
        "KeySchema": key_schema(&index.keys),
        "Projection": projection,
        "IndexSizeBytes": count.bytes.max(0),
        "ItemCount": count.items.max(0),
        "IndexArn": format!("{}/index/{}", table.arn(), index.name),
    });
    if index.global {
        shown["IndexStatus"] = if index.is_filled() { "ACTIVE" } else { "CREATING" }.into();
        if !index.is_filled() {
            shown["Backfilling"] = true.into();
        }
        shown["ProvisionedThroughput"] = throughput(index.throughput.as_ref());
    }
    shown
}
