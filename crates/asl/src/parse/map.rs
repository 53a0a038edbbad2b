//! A Map state's own fields.

use crate::Path;
use crate::ast::{Count, ExecutionType, Items, Map, ProcessorConfig, ProcessorMode};

use super::fields::Fields;
use super::{Checker, scope};

pub(super) fn map(c: &mut Checker, state: &Fields<'_>) -> Option<Map> {
    state.exactly_one(c, &["ItemProcessor", "Iterator"]);
    state.at_most_one(c, &["ItemSelector", "Parameters"]);
    let items_path = state.reference_path(c, "ItemsPath", true);
    let max_concurrency = state.count(c, "MaxConcurrency");
    let tolerated_failure_count = state.count(c, "ToleratedFailureCount");
    let tolerated_failure_percentage = state.percentage(c, "ToleratedFailurePercentage");
    let legacy_iterator = !state.has("ItemProcessor");
    let processor = state.object(c, if legacy_iterator { "Iterator" } else { "ItemProcessor" })?;
    processor.only(c, &["Comment", "ProcessorConfig", "StartAt", "States"]);
    processor.string(c, "Comment");
    let config = config(c, &processor);
    Some(Map {
        items: Items::Path(items_path.map_or_else(Path::whole_input, |path| path.as_path().clone())),
        processor: scope::branch(c, &processor)?,
        config,
        label: None,
        reader: None,
        batcher: None,
        writer: None,
        legacy_iterator,
        max_concurrency: max_concurrency.unwrap_or(Count::Literal(0)),
        tolerated_failure_count,
        tolerated_failure_percentage,
    })
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
        (ProcessorMode::Distributed, found) => {
            if found.is_none() {
                fields.required(c, &["ExecutionType"]);
            }
            let range = fields.get("Mode").map_or(fields.range.clone(), |node| node.range.clone());
            c.error("Distributed Map is not supported yet", &fields.at("Mode"), &range);
        }
        _ => {}
    }
    ProcessorConfig { mode, execution_type }
}
