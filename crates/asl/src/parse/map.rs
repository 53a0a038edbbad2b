//! A Map state's own fields.

use crate::ast::{Count, ExecutionType, Items, Map, ProcessorConfig, ProcessorMode};
use crate::json::Json;
use crate::query::expression_text;
use crate::{Path, Severity};

use super::fields::Fields;
use super::template::Reads;
use super::{Checker, DUPLICATE_LABEL, INVALID_LABEL, SCHEMA, map_data, scope};

/// Fields of Distributed Map alone.
const DISTRIBUTED: &[&str] = &["ItemReader", "ItemBatcher", "ResultWriter", "Label"];

/// AWS's limit of `Label`.
const LABEL_CHARS_MAX: usize = 40;

pub(super) fn map(c: &mut Checker, state: &Fields<'_>) -> Option<Map> {
    state.exactly_one(c, &["ItemProcessor", "Iterator"]);
    state.at_most_one(c, &["ItemSelector", "Parameters"]);
    let items = items(c, state);
    let max_concurrency = state.count(c, "MaxConcurrency", 0, u64::MAX);
    let tolerated_failure_count = state.count(c, "ToleratedFailureCount", 0, u64::MAX);
    let tolerated_failure_percentage = state.percentage(c, "ToleratedFailurePercentage");
    let legacy_iterator = !state.has("ItemProcessor");
    let processor = state.object(c, if legacy_iterator { "Iterator" } else { "ItemProcessor" })?;
    processor.only(c, &["Comment", "ProcessorConfig", "StartAt", "States"]);
    processor.string(c, "Comment");
    let config = config(c, &processor);
    if config.mode == ProcessorMode::Inline {
        for name in DISTRIBUTED {
            if let Some(node) = state.get(name) {
                let message = format!("Field '{name}' is not supported");
                let help = "it is for Map states in DISTRIBUTED mode".to_owned();
                c.error_with_help(message, &state.location, &node.range, Some(help));
            }
        }
    }
    Some(Map {
        items,
        label: label(c, state),
        reader: map_data::reader(c, state),
        batcher: map_data::batcher(c, state),
        writer: map_data::writer(c, state),
        processor: scope::branch(c, &processor, config.mode == ProcessorMode::Inline)?,
        config,
        legacy_iterator,
        max_concurrency: max_concurrency.unwrap_or(Count::Literal(0)),
        tolerated_failure_count,
        tolerated_failure_percentage,
    })
}

/// `ItemsPath`, or `Items`: an array, or an expression.
fn items(c: &mut Checker, state: &Fields<'_>) -> Items {
    let Some(node) = state.get("Items").filter(|_| state.is_jsonata()) else {
        let path = state.reference_path(c, "ItemsPath", true);
        return Items::Path(path.map_or_else(Path::whole_input, |path| path.as_path().clone()));
    };
    let is_array = matches!(node.json, Json::Array(_));
    if !is_array && node.as_str().and_then(expression_text).is_none() {
        c.error("Expected value of type Array", &state.at("Items"), &node.range);
    }
    state.template(c, "Items", Reads::INPUT).map_or_else(|| Items::Path(Path::whole_input()), Items::Template)
}

fn config(c: &mut Checker, processor: &Fields<'_>) -> ProcessorConfig {
    let Some(fields) = processor.object(c, "ProcessorConfig") else { return ProcessorConfig::default() };
    fields.only(c, &["ExecutionType", "Mode"]);
    let modes = [("INLINE", ProcessorMode::Inline), ("DISTRIBUTED", ProcessorMode::Distributed)];
    let mode = fields.choice(c, "Mode", &modes).unwrap_or_default();
    let types = [("STANDARD", ExecutionType::Standard), ("EXPRESS", ExecutionType::Express)];
    let execution_type = fields.choice(c, "ExecutionType", &types);
    match (mode, fields.get("ExecutionType")) {
        (ProcessorMode::Inline, Some(node)) => {
            c.error("Field 'ExecutionType' is not supported", &fields.location, &node.range);
        }
        (ProcessorMode::Distributed, None) => fields.required(c, &["ExecutionType"]),
        _ => {}
    }
    ProcessorConfig { mode, execution_type }
}

/// At most 40 characters, no two alike in one definition, and none that an ARN or a log would not bear.
fn label(c: &mut Checker, state: &Fields<'_>) -> Option<String> {
    let label = state.string(c, "Label")?;
    let node = state.get("Label")?;
    let refused = |c: char| c.is_whitespace() || c.is_control() || "?*<>{}[]:;,\\|^~$#%&`\"".contains(c);
    let (code, message) = if label.is_empty() {
        (SCHEMA, "Value cannot be empty".to_owned())
    } else if label.chars().count() > LABEL_CHARS_MAX {
        let limit = format!("the {LABEL_CHARS_MAX}-character limit allowed by the service");
        (INVALID_LABEL, format!("Invalid Label name: Label '{label}' exceeds {limit}"))
    } else if label.contains(refused) {
        (INVALID_LABEL, format!("Invalid Label name: Label '{label}' contains invalid characters"))
    } else if !c.labels.insert(label.to_owned()) {
        (DUPLICATE_LABEL, format!("Duplicate Label name: {label}"))
    } else {
        return Some(label.to_owned());
    };
    c.report(Severity::Error, code, message, Some(&state.at("Label")), &node.range, None);
    Some(label.to_owned())
}
