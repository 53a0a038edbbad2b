use async_trait::async_trait;
use serde_json::{Map, Value, json};

use super::schema::{boolean, document, integer, tags, text, texts};
use super::{Context, Failure, Made, NameRule, Property, Provider, list, put, tag_changes, tag_map, text as get_text};

/// `AWS::SQS::Queue`
pub struct Queue;

/// Attributes of the API, which are texts there, with what they are when the template no longer names them.
const ATTRIBUTES: [(&str, &str); 14] = [
    ("ContentBasedDeduplication", "false"),
    ("DeduplicationScope", "queue"),
    ("DelaySeconds", "0"),
    ("FifoThroughputLimit", "perQueue"),
    ("KmsDataKeyReusePeriodSeconds", "300"),
    ("KmsMasterKeyId", ""),
    ("MaximumMessageSize", "262144"),
    ("MessageRetentionPeriod", "345600"),
    ("ReceiveMessageWaitTimeSeconds", "0"),
    ("RedriveAllowPolicy", ""),
    ("RedrivePolicy", ""),
    ("SqsManagedSseEnabled", "true"),
    ("VisibilityTimeout", "30"),
    ("FifoQueue", "false"),
];

fn attribute_texts(wanted: &Value) -> Map<String, Value> {
    let mut attributes = Map::new();
    for (name, _) in ATTRIBUTES {
        let Some(value) = wanted.get(name) else { continue };
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Object(_) => value.to_string(),
            other => other.to_string(),
        };
        // A standard queue is one that does not say FifoQueue: the API refuses "false".
        if name != "FifoQueue" || text == "true" {
            attributes.insert(name.to_owned(), text.into());
        }
    }
    attributes
}

fn made(ctx: &Context<'_>, url: &str) -> Made {
    let name = url.rsplit('/').next().unwrap_or(url);
    let arn = ctx.arn("sqs", name);
    Made::new(url, [("Arn", arn.as_str().into()), ("QueueName", name.into()), ("QueueUrl", url.into())])
}

#[async_trait]
impl Provider for Queue {
    fn resource_type(&self) -> &'static str {
        "AWS::SQS::Queue"
    }

    fn needs(&self) -> (&'static str, &'static str) {
        ("sqs", "CreateQueue")
    }

    fn schema(&self) -> &'static [Property] {
        const SCHEMA: &[Property] = &[
            boolean("ContentBasedDeduplication"),
            text("DeduplicationScope"),
            integer("DelaySeconds"),
            boolean("FifoQueue").replaces(),
            text("FifoThroughputLimit"),
            integer("KmsDataKeyReusePeriodSeconds"),
            text("KmsMasterKeyId"),
            integer("MaximumMessageSize"),
            integer("MessageRetentionPeriod"),
            text("QueueName").replaces(),
            integer("ReceiveMessageWaitTimeSeconds"),
            document("RedriveAllowPolicy"),
            document("RedrivePolicy"),
            boolean("SqsManagedSseEnabled"),
            tags(),
            integer("VisibilityTimeout"),
        ];
        SCHEMA
    }

    fn attributes(&self) -> &'static [&'static str] {
        &["Arn", "QueueName", "QueueUrl"]
    }

    fn name_rule(&self) -> Option<NameRule> {
        // Room for ".fifo".
        Some(NameRule { property: "QueueName", bytes_max: 75, lower_case: false })
    }

    async fn create(&self, ctx: &Context<'_>, wanted: &Value) -> Result<Made, Failure> {
        let fifo = wanted.get("FifoQueue") == Some(&Value::Bool(true));
        let suffix = if fifo && get_text(wanted, "QueueName").is_none() { ".fifo" } else { "" };
        let mut input = json!({"QueueName": format!("{}{suffix}", ctx.name), "Attributes": attribute_texts(wanted)});
        let tags = tag_map(wanted);
        if !tags.is_empty() {
            put(&mut input, "tags", tags);
        }
        let look = ("sqs", "GetQueueUrl");
        ctx.refuse_existing(self.resource_type(), look, json!({"QueueName": input["QueueName"]})).await?;
        let answer = ctx.create("sqs", "CreateQueue", input).await?;
        let url = get_text(&answer, "QueueUrl").ok_or_else(|| Failure::new("CreateQueue answered no QueueUrl"))?;
        Ok(made(ctx, url))
    }

    async fn update(&self, ctx: &Context<'_>, url: &str, old: &Value, wanted: &Value) -> Result<Made, Failure> {
        let (before, mut attributes) = (attribute_texts(old), attribute_texts(wanted));
        attributes.retain(|name, value| before.get(name) != Some(value));
        for (name, default) in ATTRIBUTES {
            if before.contains_key(name) && wanted.get(name).is_none() {
                attributes.insert(name.to_owned(), default.into());
            }
        }
        if !attributes.is_empty() {
            ctx.call("sqs", "SetQueueAttributes", json!({"QueueUrl": url, "Attributes": attributes})).await?;
        }
        let (set, gone) = tag_changes(old, wanted);
        if !set.is_empty() {
            ctx.call("sqs", "TagQueue", json!({"QueueUrl": url, "Tags": set})).await?;
        }
        if !gone.is_empty() {
            ctx.call("sqs", "UntagQueue", json!({"QueueUrl": url, "TagKeys": gone})).await?;
        }
        Ok(made(ctx, url))
    }

    async fn delete(&self, ctx: &Context<'_>, url: &str, _: &Value) -> Result<(), Failure> {
        let gone = ["QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue"];
        ctx.call_unless("sqs", "DeleteQueue", json!({"QueueUrl": url}), &gone).await?;
        Ok(())
    }
}

/// `AWS::SQS::QueuePolicy`
pub struct QueuePolicy;

async fn set_policy(ctx: &Context<'_>, queues: &[Value], policy: &str) -> Result<(), Failure> {
    for url in queues {
        let input = json!({"QueueUrl": url, "Attributes": {"Policy": policy}});
        if policy.is_empty() {
            let gone = ["QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue"];
            ctx.call_unless("sqs", "SetQueueAttributes", input, &gone).await?;
        } else {
            ctx.call("sqs", "SetQueueAttributes", input).await?;
        }
    }
    Ok(())
}

#[async_trait]
impl Provider for QueuePolicy {
    fn resource_type(&self) -> &'static str {
        "AWS::SQS::QueuePolicy"
    }

    fn needs(&self) -> (&'static str, &'static str) {
        ("sqs", "SetQueueAttributes")
    }

    fn schema(&self) -> &'static [Property] {
        const SCHEMA: &[Property] = &[document("PolicyDocument").required(), texts("Queues").required()];
        SCHEMA
    }

    fn attributes(&self) -> &'static [&'static str] {
        &["Id"]
    }

    async fn create(&self, ctx: &Context<'_>, wanted: &Value) -> Result<Made, Failure> {
        set_policy(ctx, list(wanted, "Queues"), &wanted["PolicyDocument"].to_string()).await?;
        Ok(Made::new(ctx.name, [("Id", ctx.name.into())]))
    }

    async fn update(&self, ctx: &Context<'_>, id: &str, old: &Value, wanted: &Value) -> Result<Made, Failure> {
        let kept = list(wanted, "Queues");
        let dropped: Vec<Value> = list(old, "Queues").iter().filter(|q| !kept.contains(q)).cloned().collect();
        set_policy(ctx, &dropped, "").await?;
        set_policy(ctx, kept, &wanted["PolicyDocument"].to_string()).await?;
        Ok(Made::new(id, [("Id", id.into())]))
    }

    async fn delete(&self, ctx: &Context<'_>, _: &str, properties: &Value) -> Result<(), Failure> {
        set_policy(ctx, list(properties, "Queues"), "").await
    }
}
