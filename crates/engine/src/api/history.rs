use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use service::{Call, Fault};

use super::{execution_id, page};
use crate::engine::Inner;
use crate::execution::{HistoryPage, PageBounds, history_page};
use crate::fault;

/// About how much one page holds: beyond it the rest comes with the next token, however many events were asked for.
const PAGE_BYTES_MAX: usize = 1024 * 1024;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Input {
    execution_arn: String,
    max_results: Option<i64>,
    #[serde(default)]
    reverse_order: bool,
    next_token: Option<String>,
    include_execution_data: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Output {
    events: Vec<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

pub(super) async fn get(engine: Arc<Inner>, _: Call, input: Input) -> Result<Output, Fault> {
    let id = execution_id(&*engine.store, &input.execution_arn)?;
    let query = page::Query::new("history", &[&input.execution_arn, if input.reverse_order { "reverse" } else { "" }]);
    let from = query.read_number(input.next_token.as_deref())?;
    let data = input.include_execution_data.unwrap_or(true);
    let bytes_max = if data { PAGE_BYTES_MAX } else { usize::MAX };
    let bounds = PageBounds { events_max: page::limit(input.max_results), bytes_max };
    let page = history_page(&*engine.store, id, from, input.reverse_order, &bounds).map_err(fault::from_store)?;
    let HistoryPage { events, next } = page;
    Ok(Output {
        events: events.iter().map(|e| e.to_json(data)).collect(),
        next_token: next.map(|id| query.write_number(id)),
    })
}
