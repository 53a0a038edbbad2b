//! What a statement gave, and how the API shows it.

use std::collections::BTreeSet;

use serde_json::{Map, Value as Json, json};
use service::Fault;

use crate::fault::{bad_request, too_large};
use crate::field::Value;

/// What a result may weigh.
pub(crate) const RESULT_BYTES_MAX: usize = 1024 * 1024;

/// A PostgreSQL type as `columnMetadata` describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ColumnType {
    /// `java.sql.Types`.
    pub jdbc: i32,
    pub name: String,
    pub precision: i64,
    pub scale: i64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Column {
    pub label: String,
    pub name: String,
    pub schema: String,
    pub table: String,
    pub kind: ColumnType,
    /// Unknown: expressions.
    pub nullable: Option<bool>,
    pub auto_increment: bool,
}

/// What one run of a statement gave.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Outcome {
    /// Empty: the statement has no rows.
    pub columns: Vec<Column>,
    pub rows: Vec<Vec<Value>>,
    pub updated: u64,
}

/// How the caller wants the result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ResultOptions {
    pub metadata: bool,
    pub as_json: bool,
    pub longs_as_texts: bool,
    /// Otherwise decimals are texts.
    pub decimals_as_numbers: bool,
}

/// Counts what a result weighs while it is read, and ends it where it is too large.
#[derive(Default)]
pub(crate) struct Budget(usize);

impl Budget {
    pub fn take(&mut self, row: &[Value]) -> Result<(), Fault> {
        self.0 += row.iter().map(Value::size_bytes).sum::<usize>();
        if self.0 > RESULT_BYTES_MAX { Err(too_large()) } else { Ok(()) }
    }
}

impl ColumnType {
    /// The type of that name, as PostgreSQL's driver describes it.
    pub fn named(name: &str) -> ColumnType {
        let (jdbc, precision) = match name {
            "bool" => (-7, 1),
            "int2" => (5, 5),
            "int4" => (4, 10),
            "int8" => (-5, 19),
            "float4" => (7, 8),
            "float8" => (8, 17),
            "numeric" => (2, 0),
            "bpchar" => (1, 2_147_483_647),
            "text" | "varchar" | "name" => (12, 2_147_483_647),
            "bytea" => (-2, 2_147_483_647),
            "date" => (91, 13),
            "time" | "timetz" => (92, 15),
            "timestamp" => (93, 29),
            "timestamptz" => (93, 35),
            _ if name.starts_with('_') => (2003, 2_147_483_647),
            _ => (1111, 2_147_483_647),
        };
        ColumnType { jdbc, name: name.to_owned(), precision, scale: 0 }
    }
}

impl Column {
    /// A column that is no table's.
    pub fn expression(label: &str, kind: ColumnType) -> Column {
        Column {
            label: label.to_owned(),
            name: label.to_owned(),
            schema: String::new(),
            table: String::new(),
            kind,
            nullable: None,
            auto_increment: false,
        }
    }

    fn metadata(&self) -> Json {
        let numeric = matches!(self.kind.jdbc, 2 | 4 | 5 | 7 | 8 | -5);
        json!({
            "arrayBaseColumnType": 0,
            "isAutoIncrement": self.auto_increment,
            "isCaseSensitive": !numeric && !matches!(self.kind.jdbc, -7 | 91 | 92 | 93),
            "isCurrency": false,
            "isSigned": numeric,
            "label": self.label,
            "name": self.name,
            "nullable": match self.nullable { Some(false) => 0, Some(true) => 1, None => 2 },
            "precision": self.kind.precision,
            "scale": self.kind.scale,
            "schemaName": self.schema,
            "tableName": self.table,
            "type": self.kind.jdbc,
            "typeName": self.kind.name,
        })
    }
}

impl Outcome {
    /// The answer to an ExecuteStatement.
    pub fn answer(self, options: ResultOptions) -> Result<Json, Fault> {
        let mut answer = Map::new();
        if self.columns.is_empty() {
            answer.insert("generatedFields".to_owned(), json!([]));
            answer.insert("numberOfRecordsUpdated".to_owned(), self.updated.into());
            return Ok(Json::Object(answer));
        }
        if options.metadata {
            let metadata: Vec<_> = self.columns.iter().map(Column::metadata).collect();
            answer.insert("columnMetadata".to_owned(), metadata.into());
        }
        let rows: Vec<Vec<Value>> = self.rows.into_iter().map(|r| shape(&self.columns, r, options)).collect();
        if options.as_json {
            answer.insert("formattedRecords".to_owned(), formatted(&self.columns, &rows)?.into());
        } else {
            let records: Vec<Vec<Json>> = rows.iter().map(|r| r.iter().map(Value::to_field).collect()).collect();
            answer.insert("records".to_owned(), json!(records));
        }
        answer.insert("numberOfRecordsUpdated".to_owned(), 0.into());
        Ok(Json::Object(answer))
    }
}

/// Brings longs and decimals into the form that is wanted.
fn shape(columns: &[Column], row: Vec<Value>, options: ResultOptions) -> Vec<Value> {
    let shaped = row.into_iter().zip(columns).map(|(value, column)| match (value, column.kind.name.as_str()) {
        (Value::Long(n), "int8") if options.longs_as_texts => Value::Text(n.to_string()),
        (Value::Text(text), "numeric") if options.decimals_as_numbers => match (text.parse(), text.parse::<f64>()) {
            (Ok(long), _) => Value::Long(long),
            (Err(_), Ok(double)) if double.is_finite() => Value::Double(double),
            _ => Value::Text(text),
        },
        (value, _) => value,
    });
    shaped.collect()
}

/// All rows as one JSON text: objects by the columns' labels.
fn formatted(columns: &[Column], rows: &[Vec<Value>]) -> Result<String, Fault> {
    let labels: BTreeSet<_> = columns.iter().map(|c| &c.label).collect();
    if labels.len() < columns.len() {
        return Err(bad_request("The result has columns with the same name; give them aliases for the JSON format"));
    }
    let object = |row: &Vec<Value>| -> Json {
        columns.iter().zip(row).map(|(c, v)| (c.label.clone(), v.to_json())).collect::<Map<_, _>>().into()
    };
    Ok(Json::Array(rows.iter().map(object).collect()).to_string())
}
