use serde_json::{Map, Value};

use crate::{Error, Listing, ObjectRef};

/// Items that one Map Run reads at most.
pub const ITEMS_MAX: u64 = 100_000_000;
/// Size of a CSV header.
pub const CSV_HEADER_BYTES_MAX: usize = 10 * 1024;
/// Length of an `ItemsPointer`.
pub const ITEMS_POINTER_CHARACTERS_MAX: usize = 2_000;

/// `ReaderConfig` with everything computed that is computed when the state runs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReaderConfig {
    pub input_type: Option<InputType>,
    pub transformation: Transformation,
    pub manifest_type: Option<ManifestType>,
    pub csv_delimiter: CsvDelimiter,
    pub csv_headers: CsvHeaders,
    /// Of `MaxItems` or `MaxItemsPath`; at most [`ITEMS_MAX`] are read in any case.
    pub max_items: Option<u64>,
    pub items_pointer: Option<String>,
}

/// How an object's content is to be understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InputType {
    Csv,
    Json,
    JsonLines,
    Manifest,
    Parquet,
}

/// What is done with the objects of a listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Transformation {
    /// Each object's metadata is an item.
    #[default]
    None,
    /// The objects are read one after the other as one data set.
    LoadAndFlatten,
}

/// Who wrote a manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ManifestType {
    AthenaData,
    S3Inventory,
}

/// What separates the fields of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CsvDelimiter {
    #[default]
    Comma,
    Pipe,
    Semicolon,
    Space,
    Tab,
}

/// Where the names of the columns are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum CsvHeaders {
    #[default]
    FirstRow,
    Given(Vec<String>),
}

/// What an item reader reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dataset {
    Object(ObjectRef),
    Listing(Listing),
}

impl CsvDelimiter {
    pub(crate) fn byte(self) -> u8 {
        match self {
            CsvDelimiter::Comma => b',',
            CsvDelimiter::Pipe => b'|',
            CsvDelimiter::Semicolon => b';',
            CsvDelimiter::Space => b' ',
            CsvDelimiter::Tab => b'\t',
        }
    }
}

impl Dataset {
    /// Reads an item reader's `Resource` and its computed `Parameters` or `Arguments`.
    pub fn parse(resource: &str, parameters: &Value) -> Result<Dataset, Error> {
        let fields = parameters
            .as_object()
            .ok_or_else(|| Error::Field("The ItemReader's parameters are not a JSON object.".to_owned()))?;
        let bucket = required(fields, "Bucket")?;
        match resource.rsplit_once(":s3:").map(|(_, action)| action) {
            Some("getObject") => Ok(Dataset::Object(ObjectRef {
                bucket,
                key: required(fields, "Key")?,
                version_id: optional(fields, "VersionId")?,
            })),
            Some("listObjectsV2") => Ok(Dataset::Listing(Listing {
                bucket,
                prefix: optional(fields, "Prefix")?,
                start_after: optional(fields, "StartAfter")?,
            })),
            _ => Err(Error::Reader(format!("The resource '{resource}' is not supported by ItemReader."))),
        }
    }
}

impl ReaderConfig {
    /// Reads a computed `ReaderConfig`; `max_items` is what `MaxItemsPath` refers to, if that field is there.
    pub fn parse(config: &Value, max_items: Option<&Value>) -> Result<ReaderConfig, Error> {
        let none = Map::new();
        let fields = match config {
            Value::Null => &none,
            Value::Object(fields) => fields,
            _ => return Err(Error::Field("The ReaderConfig is not a JSON object.".to_owned())),
        };
        let word = |name: &str| optional(fields, name);
        let input_type = word("InputType")?.map(|text| input_type(&text)).transpose()?;
        let manifest_type = match word("ManifestType")?.as_deref() {
            None => None,
            Some("ATHENA_DATA") => Some(ManifestType::AthenaData),
            Some("S3_INVENTORY") => Some(ManifestType::S3Inventory),
            Some(other) => return Err(invalid("ManifestType", other)),
        };
        let transformation = match word("Transformation")?.as_deref() {
            None | Some("NONE") => Transformation::None,
            Some("LOAD_AND_FLATTEN") => Transformation::LoadAndFlatten,
            Some(other) => return Err(invalid("Transformation", other)),
        };
        let csv_delimiter = match word("CSVDelimiter")?.as_deref() {
            None | Some("COMMA") => CsvDelimiter::Comma,
            Some("PIPE") => CsvDelimiter::Pipe,
            Some("SEMICOLON") => CsvDelimiter::Semicolon,
            Some("SPACE") => CsvDelimiter::Space,
            Some("TAB") => CsvDelimiter::Tab,
            Some(other) => return Err(invalid("CSVDelimiter", other)),
        };
        let csv_headers = match word("CSVHeaderLocation")?.as_deref() {
            None | Some("FIRST_ROW") => CsvHeaders::FirstRow,
            Some("GIVEN") => CsvHeaders::Given(given_headers(fields.get("CSVHeaders"))?),
            Some(other) => return Err(invalid("CSVHeaderLocation", other)),
        };
        let max_items = max_items.or(fields.get("MaxItems")).map(items_max).transpose()?;
        let items_pointer = word("ItemsPointer")?;
        if items_pointer.as_ref().is_some_and(|p| p.chars().count() >= ITEMS_POINTER_CHARACTERS_MAX) {
            return Err(Error::Field(format!(
                "The ItemsPointer must have fewer than {ITEMS_POINTER_CHARACTERS_MAX} characters."
            )));
        }
        Ok(ReaderConfig {
            input_type,
            transformation,
            manifest_type,
            csv_delimiter,
            csv_headers,
            max_items,
            items_pointer,
        })
    }

    /// What `MaxItems` and the service allow.
    pub(crate) fn limit(&self) -> u64 {
        self.max_items.unwrap_or(ITEMS_MAX).min(ITEMS_MAX)
    }
}

fn input_type(text: &str) -> Result<InputType, Error> {
    match text {
        "CSV" => Ok(InputType::Csv),
        "JSON" => Ok(InputType::Json),
        "JSONL" => Ok(InputType::JsonLines),
        "MANIFEST" => Ok(InputType::Manifest),
        "PARQUET" => Ok(InputType::Parquet),
        other => Err(invalid("InputType", other)),
    }
}

fn given_headers(headers: Option<&Value>) -> Result<Vec<String>, Error> {
    let wrong = || Error::Field("CSVHeaders must be a non-empty array of strings.".to_owned());
    let headers = headers.and_then(Value::as_array).filter(|list| !list.is_empty()).ok_or_else(wrong)?;
    headers.iter().map(|name| name.as_str().map(str::to_owned).ok_or_else(wrong)).collect()
}

fn items_max(value: &Value) -> Result<u64, Error> {
    value
        .as_u64()
        .or_else(|| value.as_f64().filter(|n| n.fract() == 0.0 && *n >= 0.0).map(|n| n as u64))
        .ok_or_else(|| Error::Field(format!("The MaxItems field must be a non-negative integer but was: {value}.")))
}

fn required(fields: &Map<String, Value>, name: &str) -> Result<String, Error> {
    optional(fields, name)?
        .filter(|text| !text.is_empty())
        .ok_or_else(|| Error::Reader(format!("The ItemReader's parameter '{name}' is missing.")))
}

fn optional(fields: &Map<String, Value>, name: &str) -> Result<Option<String>, Error> {
    match fields.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(other) => Err(Error::Field(format!("The field '{name}' must be a string but was: {other}."))),
    }
}

fn invalid(field: &str, value: &str) -> Error {
    Error::Field(format!("The field '{field}' has an invalid value: {value}."))
}
