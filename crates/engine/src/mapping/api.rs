use std::sync::Arc;

use base::{Arn, Timestamp};
use serde::Deserialize;
use serde_json::{Value, json};
use service::{Call, Fault, Service};

use super::Mappings;
use super::pattern::Pattern;
use crate::record::MappingRecord;

/// Filters of one mapping. AWS: 5, or 10 on request.
const FILTERS_MAX: usize = 10;

impl Mappings {
    /// Adds the operations on event source mappings to the service `lambda`.
    pub fn register(&self, lambda: &mut Service) {
        let this = self.clone();
        lambda.operation("CreateEventSourceMapping", move |call, input| create(this.clone(), call, input));
        let this = self.clone();
        lambda.operation("UpdateEventSourceMapping", move |call, input| update(this.clone(), call, input));
        let this = self.clone();
        lambda.operation("GetEventSourceMapping", move |call, input| get(this.clone(), call, input));
        let this = self.clone();
        lambda.operation("DeleteEventSourceMapping", move |call, input| delete(this.clone(), call, input));
        let this = self.clone();
        lambda.operation("ListEventSourceMappings", move |call, input| list(this.clone(), call, input));
    }
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Settings {
    function_name: Option<String>,
    batch_size: Option<u32>,
    maximum_batching_window_in_seconds: Option<u32>,
    enabled: Option<bool>,
    filter_criteria: Option<FilterCriteria>,
    function_response_types: Option<Vec<String>>,
    scaling_config: Option<ScalingConfig>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct FilterCriteria {
    filters: Vec<Filter>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Filter {
    pattern: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct ScalingConfig {
    maximum_concurrency: Option<u32>,
}

#[derive(Deserialize)]
struct CreateInput {
    #[serde(rename = "EventSourceArn")]
    event_source_arn: Option<String>,
    #[serde(rename = "Tags", default)]
    tags: std::collections::BTreeMap<String, String>,
    #[serde(flatten)]
    settings: Settings,
}

async fn create(mappings: Mappings, call: Call, input: CreateInput) -> Result<Value, Fault> {
    let source = input.event_source_arn.as_deref().unwrap_or_default();
    let arn: Arn = source.parse().map_err(|_| invalid(format!("Unrecognized event source: {source}")))?;
    if arn.service() != "sqs" {
        return Err(invalid(format!(
            "Unrecognized event source: {source}. Queues (arn:aws:sqs:...) are the only event sources supported yet"
        )));
    }
    mappings.inner.shared.queues.visibility(source).await.map_err(|_| {
        invalid("Error occurred while ReceiveMessage. SQS Error Code: AWS.SimpleQueueService.NonExistentQueue. SQS Error Message: The specified queue does not exist.")
    })?;
    let Some(function) = input.settings.function_name.clone() else { return Err(invalid("FunctionName is required")) };
    let function_arn = function_arn(&call, &function)?;
    let mut record = MappingRecord {
        account: call.scope.account().to_owned(),
        region: call.scope.region().to_owned(),
        uuid: mappings.inner.entropy.uuid(),
        source_arn: source.to_owned(),
        function,
        function_arn,
        batch_size: 10,
        window_seconds: 0,
        maximum_concurrency: None,
        filters: Vec::new(),
        report_batch_item_failures: false,
        enabled: true,
        modified_ms: mappings.inner.clock.now().as_millis(),
        tags: input.tags.into_iter().collect(),
    };
    set(&mut record, input.settings)?;
    let function = record.function.clone();
    match mappings.create(record).await? {
        Ok(record) => Ok(describe(&record, if record.enabled { "Creating" } else { "Disabled" })),
        Err(taken) => Err(Fault::with_status(
            409,
            "ResourceConflictException",
            format!(
                "An event source mapping with SQS arn (\" {} \") and function (\" {function} \") already exists. Please update or delete the existing mapping with UUID {}",
                taken.source_arn, taken.uuid
            ),
        )),
    }
}

#[derive(Deserialize)]
struct UpdateInput {
    #[serde(rename = "UUID")]
    uuid: String,
    #[serde(flatten)]
    settings: Settings,
}

async fn update(mappings: Mappings, call: Call, input: UpdateInput) -> Result<Value, Fault> {
    let function = match &input.settings.function_name {
        None => None,
        Some(function) => Some((function.clone(), function_arn(&call, function)?)),
    };
    let (now, settings) = (mappings.inner.clock.now().as_millis(), input.settings);
    let updated = mappings.update(input.uuid, move |record| {
        if let Some(function) = function {
            (record.function, record.function_arn) = function;
        }
        record.modified_ms = now;
        set(record, settings)
    });
    let record = updated.await?.ok_or_else(missing)?;
    Ok(describe(&record, "Updating"))
}

#[derive(Deserialize)]
struct UuidInput {
    #[serde(rename = "UUID")]
    uuid: String,
}

async fn get(mappings: Mappings, _: Call, input: UuidInput) -> Result<Value, Fault> {
    let record = find(&mappings, &input.uuid)?;
    Ok(describe(&record, state(&record)))
}

async fn delete(mappings: Mappings, _: Call, input: UuidInput) -> Result<Value, Fault> {
    let record = find(&mappings, &input.uuid)?;
    mappings.remove(input.uuid).await?;
    Ok(describe(&record, "Deleting"))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListInput {
    event_source_arn: Option<String>,
    function_name: Option<String>,
    marker: Option<String>,
    max_items: Option<usize>,
}

async fn list(mappings: Mappings, call: Call, input: ListInput) -> Result<Value, Fault> {
    let function_arn = input.function_name.as_deref().map(|f| function_arn(&call, f)).transpose()?;
    let mut all = mappings.all();
    all.retain(|m| {
        m.account == call.scope.account()
            && m.region == call.scope.region()
            && input.event_source_arn.as_ref().is_none_or(|s| *s == m.source_arn)
            && function_arn.as_ref().is_none_or(|f| *f == m.function_arn)
            && input.marker.as_ref().is_none_or(|after| m.uuid > *after)
    });
    let limit = input.max_items.unwrap_or(100).clamp(1, 100);
    let more = all.len() > limit;
    all.truncate(limit);
    let mut output = json!({"EventSourceMappings": all.iter().map(|m| describe(m, state(m))).collect::<Vec<_>>()});
    if let (true, Some(last)) = (more, all.last()) {
        output["NextMarker"] = last.uuid.clone().into();
    }
    Ok(output)
}

fn find(mappings: &Mappings, uuid: &str) -> Result<Arc<MappingRecord>, Fault> {
    mappings.find(uuid).ok_or_else(missing)
}

fn missing() -> Fault {
    Fault::with_status(404, "ResourceNotFoundException", "The resource you requested does not exist.")
}

fn invalid(message: impl Into<String>) -> Fault {
    Fault::client("InvalidParameterValueException", message)
}

/// The ARN of a function given by name, partial or full ARN.
fn function_arn(call: &Call, function: &str) -> Result<String, Fault> {
    if function.starts_with("arn:") {
        let arn: Arn = function.parse().map_err(|_| invalid(format!("Invalid function ARN: {function}")))?;
        return Ok(arn.to_string());
    }
    let name = function.rsplit_once("function:").map_or(function, |(_, name)| name);
    Ok(call.scope.arn("lambda", format_args!("function:{name}")).to_string())
}

fn set(record: &mut MappingRecord, settings: Settings) -> Result<(), Fault> {
    let fifo = record.source_arn.ends_with(".fifo");
    if let Some(size) = settings.batch_size {
        let max = if fifo { 10 } else { 10_000 };
        if !(1..=max).contains(&size) {
            return Err(invalid(format!("Batch size must be between 1 and {max}")));
        }
        record.batch_size = size;
    }
    if let Some(window) = settings.maximum_batching_window_in_seconds {
        if window > 300 || fifo && window > 0 {
            let message =
                "MaximumBatchingWindowInSeconds must be between 0 and 300, and is not supported for FIFO queues";
            return Err(invalid(message));
        }
        record.window_seconds = window;
    }
    if record.batch_size > 10 && record.window_seconds == 0 {
        let message = "Maximum batch window in seconds must be greater than 0 if maximum batch size is greater than 10";
        return Err(invalid(message));
    }
    if let Some(criteria) = settings.filter_criteria {
        if criteria.filters.len() > FILTERS_MAX {
            return Err(invalid(format!("A mapping can have at most {FILTERS_MAX} filters")));
        }
        for filter in &criteria.filters {
            Pattern::parse(&filter.pattern).map_err(|e| invalid(format!("Invalid filter pattern definition. {e}")))?;
        }
        record.filters = criteria.filters.into_iter().map(|f| f.pattern).collect();
    }
    if let Some(types) = settings.function_response_types {
        if let Some(other) = types.iter().find(|t| *t != "ReportBatchItemFailures") {
            return Err(invalid(format!("Unrecognized function response type: {other}")));
        }
        record.report_batch_item_failures = !types.is_empty();
    }
    if let Some(scaling) = settings.scaling_config {
        if scaling.maximum_concurrency.is_some_and(|n| !(2..=1000).contains(&n)) {
            return Err(invalid("MaximumConcurrency must be between 2 and 1000"));
        }
        record.maximum_concurrency = scaling.maximum_concurrency;
    }
    if let Some(enabled) = settings.enabled {
        record.enabled = enabled;
    }
    Ok(())
}

fn state(record: &MappingRecord) -> &'static str {
    if record.enabled { "Enabled" } else { "Disabled" }
}

fn describe(record: &MappingRecord, state: &str) -> Value {
    let MappingRecord { account, region, uuid, .. } = record;
    let mut output = json!({
        "UUID": uuid,
        "BatchSize": record.batch_size,
        "MaximumBatchingWindowInSeconds": record.window_seconds,
        "EventSourceArn": record.source_arn,
        "FunctionArn": record.function_arn,
        "LastModified": Timestamp::from_millis(record.modified_ms).as_seconds_f64(),
        "State": state,
        "StateTransitionReason": "USER_INITIATED",
        "FunctionResponseTypes": if record.report_batch_item_failures { vec!["ReportBatchItemFailures"] } else { vec![] },
        "EventSourceMappingArn": format!("arn:aws:lambda:{region}:{account}:event-source-mapping:{uuid}"),
    });
    if !record.filters.is_empty() {
        let filters: Vec<Value> = record.filters.iter().map(|p| json!({"Pattern": p})).collect();
        output["FilterCriteria"] = json!({"Filters": filters});
    }
    if let Some(concurrency) = record.maximum_concurrency {
        output["ScalingConfig"] = json!({"MaximumConcurrency": concurrency});
    }
    output
}
