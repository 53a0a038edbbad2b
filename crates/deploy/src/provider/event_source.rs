use async_trait::async_trait;
use serde_json::{Value, json};

use super::schema::{boolean, integer, json as any, number, object, objects, tags, text, texts};
use super::{Context, Failure, Made, Property, Provider, list, pick, put, tag_changes, tag_map, text as get_text};

/// `AWS::Lambda::EventSourceMapping`
pub struct EventSourceMapping;

const GONE: [&str; 1] = ["ResourceNotFoundException"];

/// What the API knows under the same name and form.
const SETTINGS: [&str; 16] = [
    "BatchSize",
    "BisectBatchOnFunctionError",
    "DestinationConfig",
    "Enabled",
    "FilterCriteria",
    "FunctionName",
    "FunctionResponseTypes",
    "MaximumBatchingWindowInSeconds",
    "MaximumRecordAgeInSeconds",
    "MaximumRetryAttempts",
    "MetricsConfig",
    "ParallelizationFactor",
    "ProvisionedPollerConfig",
    "ScalingConfig",
    "SourceAccessConfigurations",
    "TumblingWindowInSeconds",
];

/// What a setting is once the template no longer names it.
fn default_setting(name: &str) -> Option<Value> {
    Some(match name {
        "BisectBatchOnFunctionError" => json!(false),
        "Enabled" => json!(true),
        "FilterCriteria" | "ScalingConfig" | "DestinationConfig" => json!({}),
        "FunctionResponseTypes" => json!([]),
        "MaximumBatchingWindowInSeconds" | "TumblingWindowInSeconds" => json!(0),
        "MaximumRecordAgeInSeconds" | "MaximumRetryAttempts" => json!(-1),
        "ParallelizationFactor" => json!(1),
        _ => return None,
    })
}

/// Waits until a change of a mapping has taken effect.
async fn settled(ctx: &Context<'_>, uuid: &str) -> Result<(), Failure> {
    ctx.until("lambda", "GetEventSourceMapping", json!({"UUID": uuid}), |answer| {
        let state = get_text(answer, "State").unwrap_or_default();
        Ok(!matches!(state, "Creating" | "Updating" | "Enabling" | "Disabling"))
    })
    .await?;
    Ok(())
}

fn made(ctx: &Context<'_>, uuid: &str) -> Made {
    let arn = ctx.arn("lambda", &format!("event-source-mapping:{uuid}"));
    Made::new(uuid, [("EventSourceMappingArn", arn.as_str().into()), ("Id", uuid.into())])
}

#[async_trait]
impl Provider for EventSourceMapping {
    fn resource_type(&self) -> &'static str {
        "AWS::Lambda::EventSourceMapping"
    }

    fn needs(&self) -> (&'static str, &'static str) {
        ("lambda", "CreateEventSourceMapping")
    }

    fn schema(&self) -> &'static [Property] {
        const SCHEMA: &[Property] = &[
            integer("BatchSize"),
            boolean("BisectBatchOnFunctionError"),
            object("DestinationConfig", &[object("OnFailure", &[text("Destination")])]),
            boolean("Enabled"),
            text("EventSourceArn").replaces(),
            object("FilterCriteria", &[objects("Filters", &[text("Pattern")])]),
            text("FunctionName").required(),
            texts("FunctionResponseTypes"),
            text("KmsKeyArn"),
            integer("MaximumBatchingWindowInSeconds"),
            integer("MaximumRecordAgeInSeconds"),
            integer("MaximumRetryAttempts"),
            any("MetricsConfig"),
            integer("ParallelizationFactor"),
            any("ProvisionedPollerConfig"),
            object("ScalingConfig", &[integer("MaximumConcurrency")]),
            any("SourceAccessConfigurations"),
            text("StartingPosition").replaces(),
            number("StartingPositionTimestamp").replaces(),
            tags(),
            integer("TumblingWindowInSeconds"),
        ];
        SCHEMA
    }

    fn attributes(&self) -> &'static [&'static str] {
        &["EventSourceMappingArn", "Id"]
    }

    async fn create(&self, ctx: &Context<'_>, wanted: &Value) -> Result<Made, Failure> {
        let mut input = pick(wanted, &SETTINGS);
        for (from, to) in [
            ("EventSourceArn", "EventSourceArn"),
            ("StartingPosition", "StartingPosition"),
            ("StartingPositionTimestamp", "StartingPositionTimestamp"),
            ("KmsKeyArn", "KMSKeyArn"),
        ] {
            if let Some(value) = wanted.get(from) {
                put(&mut input, to, value.clone());
            }
        }
        let tags = tag_map(wanted);
        if !tags.is_empty() {
            put(&mut input, "Tags", tags);
        }
        let answer = match ctx.create("lambda", "CreateEventSourceMapping", input).await {
            // One function has one mapping a source: on a retry that one is ours.
            Err(refusal) if ctx.retry && refusal.is(&["ResourceConflictException"]) => {
                let filter = pick(wanted, &["EventSourceArn", "FunctionName"]);
                let found = ctx.call("lambda", "ListEventSourceMappings", filter).await?;
                list(&found, "EventSourceMappings").first().cloned().ok_or_else(|| Failure::from(refusal))?
            }
            other => other?,
        };
        let uuid = get_text(&answer, "UUID")
            .ok_or_else(|| Failure::new("CreateEventSourceMapping answered no UUID"))?
            .to_owned();
        settled(ctx, &uuid).await.map_err(|failure| failure.made(&uuid))?;
        Ok(made(ctx, &uuid))
    }

    async fn update(&self, ctx: &Context<'_>, uuid: &str, old: &Value, wanted: &Value) -> Result<Made, Failure> {
        let mut input = json!({});
        for setting in SETTINGS {
            match (old.get(setting), wanted.get(setting)) {
                (before, after) if before == after => {}
                (_, Some(value)) => put(&mut input, setting, value.clone()),
                (_, None) => {
                    if let Some(default) = default_setting(setting) {
                        put(&mut input, setting, default);
                    }
                }
            }
        }
        if input.as_object().is_some_and(|i| !i.is_empty()) {
            put(&mut input, "UUID", uuid);
            ctx.call("lambda", "UpdateEventSourceMapping", input).await?;
            settled(ctx, uuid).await?;
        }
        let (set, gone) = tag_changes(old, wanted);
        let made = made(ctx, uuid);
        let arn = &made.attributes["EventSourceMappingArn"];
        if !set.is_empty() {
            ctx.call("lambda", "TagResource", json!({"Resource": arn, "Tags": set})).await?;
        }
        if !gone.is_empty() {
            ctx.call("lambda", "UntagResource", json!({"Resource": arn, "TagKeys": gone})).await?;
        }
        Ok(made)
    }

    async fn delete(&self, ctx: &Context<'_>, uuid: &str, _: &Value) -> Result<(), Failure> {
        let input = json!({"UUID": uuid});
        if ctx.call_unless("lambda", "DeleteEventSourceMapping", input.clone(), &GONE).await?.is_none() {
            return Ok(());
        }
        // A mapping that still runs would call the function that goes next.
        for _ in 0..600 {
            let found = ctx.call_unless("lambda", "GetEventSourceMapping", input.clone(), &GONE).await?;
            if found.is_none_or(|m| get_text(&m, "State") != Some("Deleting")) {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        Ok(())
    }
}
