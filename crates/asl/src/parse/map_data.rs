//! What a Distributed Map reads, batches and writes.

use crate::ast::{
    CsvDelimiter, CsvHeaders, InputType, Integration, IntegrationPattern, ItemBatcher, ItemReader, ManifestType,
    OutputType, ReaderConfig, Resource, ResourceKind, ResultWriter, Transformation, WriterConfig,
};
use crate::json::Node;
use crate::query::expression_text;
use crate::{QueryLanguage, Template};

use super::Checker;
use super::fields::Fields;
use super::template::Reads;

/// AWS's limit of `MaxItems`.
const ITEMS_MAX: u64 = 100_000_000;

/// AWS's limit of `MaxInputBytesPerBatch`.
const BATCH_BYTES_MAX: u64 = 262_144;

pub(super) fn reader(c: &mut Checker, state: &Fields<'_>) -> Option<ItemReader> {
    let fields = state.object(c, "ItemReader")?;
    fields.only_by_language(c, &["ReaderConfig", "Resource"], &["Parameters"], &["Arguments"]);
    fields.required(c, &["Resource", arguments_name(&fields)]);
    let resource = resource(c, &fields, &["getObject", "listObjectsV2"]);
    let lists = resource.as_ref().is_some_and(|(_, action)| *action == "listObjectsV2");
    let parameters = parameters(c, &fields, if lists { &["Bucket"] } else { &["Bucket", "Key"] });
    let config = match fields.object(c, "ReaderConfig") {
        Some(config) => reader_config(c, &config, lists),
        None => {
            if resource.is_some() && !lists && !fields.has("ReaderConfig") {
                fields.required(c, &["ReaderConfig"]);
            }
            ReaderConfig::default()
        }
    };
    Some(ItemReader { resource: resource?.0, parameters, config })
}

fn reader_config(c: &mut Checker, fields: &Fields<'_>, lists: bool) -> ReaderConfig {
    fields.only_by_language(
        c,
        &[
            "CSVDelimiter",
            "CSVHeaderLocation",
            "CSVHeaders",
            "InputType",
            "ItemsPointer",
            "ManifestType",
            "MaxItems",
            "Transformation",
        ],
        &["MaxItemsPath"],
        &[],
    );
    let types = [
        ("CSV", InputType::Csv),
        ("JSON", InputType::Json),
        ("JSONL", InputType::Jsonl),
        ("PARQUET", InputType::Parquet),
        ("MANIFEST", InputType::Manifest),
    ];
    let input_type = fields.choice(c, "InputType", &types);
    let manifests = [("ATHENA_DATA", ManifestType::AthenaData), ("S3_INVENTORY", ManifestType::S3Inventory)];
    let manifest_type = fields.choice(c, "ManifestType", &manifests);
    let load_and_flatten =
        fields.choice(c, "Transformation", &[("NONE", false), ("LOAD_AND_FLATTEN", true)]).unwrap_or_default();
    let is_inventory = manifest_type == Some(ManifestType::S3Inventory);
    if (!lists && !is_inventory || load_and_flatten) && !fields.has("InputType") {
        fields.required(c, &["InputType"]);
    }
    refuse(c, fields, "Transformation", load_and_flatten && !lists, "the resource 's3:listObjectsV2'");
    refuse(c, fields, "ManifestType", lists, "the resource 's3:getObject'");
    let text = [InputType::Csv, InputType::Jsonl, InputType::Parquet];
    let is_data = input_type.is_none_or(|found| text.contains(&found) || found == InputType::Manifest);
    refuse(c, fields, "ManifestType", !is_data, "the InputTypes 'CSV', 'JSONL', 'PARQUET' and 'MANIFEST'");
    let is_json = input_type.is_none_or(|found| found == InputType::Json);
    refuse(c, fields, "ItemsPointer", !is_json, "the InputType 'JSON'");
    let items_pointer = fields.string(c, "ItemsPointer");
    if let Some(node) = fields.get("ItemsPointer").filter(|_| items_pointer.is_some_and(|text| !is_pointer(text))) {
        c.error("Value is not a valid JSON Pointer", &fields.at("ItemsPointer"), &node.range);
    }
    let (csv_headers, csv_delimiter) = csv(c, fields, input_type);
    ReaderConfig {
        input_type,
        csv_headers,
        csv_delimiter,
        max_items: fields.count(c, "MaxItems", 0, ITEMS_MAX),
        manifest_type,
        load_and_flatten,
        items_pointer: items_pointer.map(str::to_owned),
    }
}

/// `CSVHeaderLocation`, `CSVHeaders` and `CSVDelimiter`. An inventory's manifest names the columns itself.
fn csv(c: &mut Checker, fields: &Fields<'_>, input_type: Option<InputType>) -> (CsvHeaders, Option<CsvDelimiter>) {
    let is_csv = input_type.is_none_or(|found| found == InputType::Csv);
    for name in ["CSVHeaderLocation", "CSVHeaders", "CSVDelimiter"] {
        refuse(c, fields, name, !is_csv, "the InputType 'CSV'");
    }
    if input_type == Some(InputType::Csv) && !fields.has("CSVHeaderLocation") {
        c.error("The field 'CSVHeaderLocation' is required", &fields.location, &fields.range);
    }
    let is_given = fields.choice(c, "CSVHeaderLocation", &[("FIRST_ROW", false), ("GIVEN", true)]).unwrap_or_default();
    let delimiters = [
        ("COMMA", CsvDelimiter::Comma),
        ("PIPE", CsvDelimiter::Pipe),
        ("SEMICOLON", CsvDelimiter::Semicolon),
        ("SPACE", CsvDelimiter::Space),
        ("TAB", CsvDelimiter::Tab),
    ];
    let delimiter = fields.choice(c, "CSVDelimiter", &delimiters);
    refuse(c, fields, "CSVHeaders", is_csv && !is_given, "the CSVHeaderLocation 'GIVEN'");
    if !is_given {
        return (CsvHeaders::FirstRow, delimiter);
    }
    fields.required(c, &["CSVHeaders"]);
    let mut headers = Vec::new();
    for (node, location) in fields.list(c, "CSVHeaders").unwrap_or_default() {
        match node.as_str() {
            Some(header) => headers.push(header.to_owned()),
            None => c.error("Expected value of type String", &location, &node.range),
        }
    }
    (CsvHeaders::Given(headers), delimiter)
}

/// Reports a field that is there, and makes no sense `when` so.
fn refuse(c: &mut Checker, fields: &Fields<'_>, name: &str, when: bool, only_for: &str) {
    if let Some(node) = fields.get(name).filter(|_| when) {
        let help = format!("it is for {only_for}");
        c.error_with_help(format!("Field '{name}' is not supported"), &fields.location, &node.range, Some(help));
    }
}

/// RFC 6901: empty, or tokens after slashes, where `~` is escaped.
fn is_pointer(text: &str) -> bool {
    let escaped = text.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
    (text.is_empty() || text.starts_with('/')) && escaped
}

pub(super) fn batcher(c: &mut Checker, state: &Fields<'_>) -> Option<ItemBatcher> {
    let fields = state.object(c, "ItemBatcher")?;
    fields.only_by_language(
        c,
        &["BatchInput", "MaxInputBytesPerBatch", "MaxItemsPerBatch"],
        &["MaxInputBytesPerBatchPath", "MaxItemsPerBatchPath"],
        &[],
    );
    let names: &[&str] = match fields.language {
        QueryLanguage::JsonPath => {
            &["MaxItemsPerBatch", "MaxItemsPerBatchPath", "MaxInputBytesPerBatch", "MaxInputBytesPerBatchPath"]
        }
        QueryLanguage::Jsonata => &["MaxItemsPerBatch", "MaxInputBytesPerBatch"],
    };
    if !names.iter().any(|name| fields.has(name)) {
        let message = format!("This object should have at least one of the following fields: [{}]", names.join(", "));
        c.error(message, &fields.location, &fields.range);
    }
    Some(ItemBatcher {
        batch_input: payload(c, &fields, "BatchInput"),
        max_items_per_batch: fields.count(c, "MaxItemsPerBatch", 1, ITEMS_MAX),
        max_input_bytes_per_batch: fields.count(c, "MaxInputBytesPerBatch", 1, BATCH_BYTES_MAX),
    })
}

pub(super) fn writer(c: &mut Checker, state: &Fields<'_>) -> Option<ResultWriter> {
    let fields = state.object(c, "ResultWriter")?;
    fields.only_by_language(c, &["Resource", "WriterConfig"], &["Parameters"], &["Arguments"]);
    let arguments = arguments_name(&fields);
    if fields.has("Resource") || fields.has(arguments) {
        fields.required(c, &["Resource", arguments]);
    } else if !fields.has("WriterConfig") {
        let message = "This object should have at least one of the following fields: [Resource, WriterConfig]";
        c.error(message, &fields.location, &fields.range);
    }
    let config = fields.object(c, "WriterConfig").map(|config| {
        config.only(c, &["OutputType", "Transformation"]);
        let transformations = [
            ("NONE", Transformation::None),
            ("COMPACT", Transformation::Compact),
            ("FLATTEN", Transformation::Flatten),
        ];
        WriterConfig {
            output_type: config
                .choice(c, "OutputType", &[("JSON", OutputType::Json), ("JSONL", OutputType::Jsonl)])
                .unwrap_or_default(),
            transformation: config.choice(c, "Transformation", &transformations).unwrap_or_default(),
        }
    });
    Some(ResultWriter {
        resource: resource(c, &fields, &["putObject"]).map(|(resource, _)| resource),
        parameters: parameters(c, &fields, &["Bucket"]),
        config: config.unwrap_or_default(),
    })
}

/// `arn:aws:states:::s3:ACTION`, and which of the actions it is.
fn resource<'a>(c: &mut Checker, fields: &Fields<'_>, actions: &[&'a str]) -> Option<(Resource, &'a str)> {
    let arn = fields.string(c, "Resource")?;
    let known = actions.iter().find(|action| {
        let rest = arn.strip_prefix("arn:aws").and_then(|rest| rest.split_once(":states:::s3:"));
        rest.is_some_and(|(partition, found)| !partition.contains(':') && found == **action)
    });
    let Some(action) = known else {
        let message = "The field 'Resource' does not match any of the allowed values";
        let help = format!(
            "one of [{}]",
            actions.iter().map(|a| format!("arn:aws:states:::s3:{a}")).collect::<Vec<_>>().join(", ")
        );
        c.error_with_help(message, &fields.at("Resource"), &fields.get("Resource")?.range, Some(help));
        return None;
    };
    let kind = ResourceKind::Integration(Integration {
        aws_sdk: false,
        service: "s3".to_owned(),
        action: (*action).to_owned(),
        pattern: IntegrationPattern::RequestResponse,
    });
    Some((Resource { arn: arn.to_owned(), kind }, action))
}

fn arguments_name(fields: &Fields<'_>) -> &'static str {
    if fields.is_jsonata() { "Arguments" } else { "Parameters" }
}

/// `Parameters` or `Arguments` of a call to S3.
fn parameters(c: &mut Checker, fields: &Fields<'_>, needed: &[&str]) -> Option<Template> {
    let name = arguments_name(fields);
    if let Some(given) = fields.get(name).and_then(Node::as_members) {
        for needed in needed {
            let is_it = |key: &str| key == *needed || !fields.is_jsonata() && key.strip_suffix(".$") == Some(needed);
            if !given.iter().any(|member| is_it(&member.key)) {
                let message = format!("The field '{needed}' is required but was missing");
                c.error(message, &fields.at(name), &fields.get(name)?.range);
            }
        }
    }
    payload(c, fields, name)
}

/// An object with expressions inside, or in JSONata an expression that gives one.
fn payload(c: &mut Checker, fields: &Fields<'_>, name: &str) -> Option<Template> {
    let node = fields.get(name)?;
    let is_expression = fields.is_jsonata() && node.as_str().and_then(expression_text).is_some();
    if node.as_members().is_none() && !is_expression {
        c.error("Expected value of type Object", &fields.at(name), &node.range);
        return None;
    }
    fields.template(c, name, Reads::INPUT)
}
