use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use service::{Call, Fault};
use store::Range;

use super::{Nothing, Register, named, required};
use crate::input::{Alteration, Input, NewQueue};
use crate::machine::check_tag_count;
use crate::settings::{Redrive, Settings};
use crate::stored::QueueRecord;
use crate::{QueueName, Queues, fault, key};

const LIST_MAX: usize = 1_000;
const COUNTS: [&str; 3] =
    ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible", "ApproximateNumberOfMessagesDelayed"];
const READ_ONLY: [&str; 6] = [COUNTS[0], COUNTS[1], COUNTS[2], "CreatedTimestamp", "LastModifiedTimestamp", "QueueArn"];

pub(super) fn register(register: &mut Register<'_>) {
    register.add("CreateQueue", create_queue);
    register.add("GetQueueUrl", get_queue_url);
    register.add("ListQueues", list_queues);
    register.add("DeleteQueue", delete_queue);
    register.add("PurgeQueue", purge_queue);
    register.add("GetQueueAttributes", get_queue_attributes);
    register.add("SetQueueAttributes", set_queue_attributes);
    register.add("AddPermission", add_permission);
    register.add("RemovePermission", remove_permission);
    register.add("TagQueue", tag_queue);
    register.add("UntagQueue", untag_queue);
    register.add("ListQueueTags", list_queue_tags);
    register.add("ListDeadLetterSourceQueues", list_dead_letter_source_queues);
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CreateQueueInput {
    queue_name: Option<String>,
    #[serde(default)]
    attributes: BTreeMap<String, String>,
    #[serde(default, rename = "tags", alias = "Tags")]
    tags: BTreeMap<String, String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct QueueUrlOutput {
    queue_url: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct QueueInput {
    queue_url: Option<String>,
}

async fn create_queue(queues: Queues, call: Call, input: CreateQueueInput) -> Result<QueueUrlOutput, Fault> {
    let name = required(input.queue_name, "QueueName")?;
    let settings = Settings::create(&input.attributes)?;
    QueueName::check(&name, settings.fifo.is_some())?;
    check_tag_count(input.tags.len())?;
    let name = QueueName::new(&call.scope, &name);
    if let Some(redrive) = &settings.redrive {
        check_redrive(&queues, &name, redrive)?;
    }
    let url = name.url(&call.endpoint);
    let new = Box::new(NewQueue { attributes: input.attributes, tags: input.tags });
    let arn = name.arn();
    queues.ask(&arn, |_, reply| Input::Create { name, settings: Box::new(settings), new, reply }).await?;
    Ok(QueueUrlOutput { queue_url: url })
}

/// A dead-letter queue must be there, of the same kind, and willing.
fn check_redrive(queues: &Queues, source: &QueueName, redrive: &Redrive) -> Result<(), Fault> {
    let refuse = |reason: &str| fault::invalid_value(redrive.to_json(), "RedrivePolicy", reason);
    let target = &redrive.target;
    if target.scope() != source.scope() {
        return Err(refuse("Dead-letter queue must be in the same account and region as the source."));
    }
    let Some(record) = queues.record(target)? else {
        return Err(refuse("Dead letter target does not exist."));
    };
    if target.is_fifo() != source.is_fifo() {
        return Err(refuse("Dead-letter queue must be same type of queue as the source."));
    }
    let settings = Settings::create(&record.attributes)?;
    if settings.redrive_allow.is_some_and(|allow| !allow.allows(&source.arn())) {
        return Err(refuse("Dead-letter queue does not allow this queue as its source."));
    }
    Ok(())
}

#[derive(Deserialize)]
struct GetQueueUrlInput {
    #[serde(rename = "QueueName")]
    queue_name: Option<String>,
    #[serde(rename = "QueueOwnerAWSAccountId")]
    owner: Option<String>,
}

async fn get_queue_url(queues: Queues, call: Call, input: GetQueueUrlInput) -> Result<QueueUrlOutput, Fault> {
    let name = required(input.queue_name, "QueueName")?;
    let scope = match input.owner {
        Some(owner) => base::Scope::new(&owner, call.scope.region()),
        None => call.scope.clone(),
    };
    let name = QueueName::new(&scope, &name);
    queues.record(&name)?.ok_or_else(fault::queue_does_not_exist)?;
    Ok(QueueUrlOutput { queue_url: name.url(&call.endpoint) })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListQueuesInput {
    queue_name_prefix: Option<String>,
    next_token: Option<String>,
    max_results: Option<i64>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ListQueuesOutput {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    queue_urls: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

async fn list_queues(queues: Queues, call: Call, input: ListQueuesInput) -> Result<ListQueuesOutput, Fault> {
    let max = page_size(input.max_results)?;
    let prefix = input.queue_name_prefix.unwrap_or_default();
    let matches = |name: &QueueName, _: &QueueRecord| name.name().starts_with(&prefix);
    let page = list(&queues, &call, input.next_token, max, matches)?;
    let next_token = page.next_token.filter(|_| input.max_results.is_some());
    Ok(ListQueuesOutput { queue_urls: page.urls, next_token })
}

fn page_size(max_results: Option<i64>) -> Result<usize, Fault> {
    let reason = "MaxResults must be an integer between 1 and 1000.";
    let max = super::between(max_results, "MaxResults", 1, LIST_MAX as i64, reason)?;
    Ok(max.map_or(LIST_MAX, |n| n as usize))
}

struct Page {
    urls: Vec<String>,
    next_token: Option<String>,
}

/// One page of the caller's queues, by name, that `matches` says yes to.
fn list(
    queues: &Queues,
    call: &Call,
    next_token: Option<String>,
    max: usize,
    matches: impl Fn(&QueueName, &QueueRecord) -> bool,
) -> Result<Page, Fault> {
    let prefix = key::queues(call.scope.account(), call.scope.region()).build();
    let mut range = Range::prefix(&prefix).limit(LIST_MAX);
    if let Some(token) = next_token {
        let last = URL_SAFE_NO_PAD.decode(&token).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let last = last.ok_or_else(|| fault::invalid_value(token, "NextToken", "Invalid pagination token."))?;
        range = range.after(key::queue(&QueueName::new(&call.scope, &last)).as_bytes());
    }
    let mut found: Vec<QueueName> = Vec::new();
    loop {
        let entries = queues.store().scan(&range).map_err(|e| fault::of_store(&e))?;
        for (key, value) in &entries {
            let name = key::read_queue(key).map_err(|e| fault::of_store(&e))?;
            let record = QueueRecord::decode(value).map_err(|e| fault::of_store(&e))?;
            if matches(&name, &record) {
                found.push(name);
            }
        }
        match entries.last() {
            Some((last, _)) if entries.len() == LIST_MAX && found.len() <= max => range = range.after(last),
            _ => break,
        }
    }
    let more = found.len() > max;
    found.truncate(max);
    let next_token = found.last().filter(|_| more).map(|name| URL_SAFE_NO_PAD.encode(name.name()));
    Ok(Page { urls: found.iter().map(|name| name.url(&call.endpoint)).collect(), next_token })
}

async fn delete_queue(queues: Queues, call: Call, input: QueueInput) -> Result<Nothing, Fault> {
    let arn = named(input.queue_url, &call)?.arn();
    queues.ask(&arn, |arn, reply| Input::DeleteQueue { arn, reply }).await?;
    Ok(Nothing {})
}

async fn purge_queue(queues: Queues, call: Call, input: QueueInput) -> Result<Nothing, Fault> {
    let arn = named(input.queue_url, &call)?.arn();
    queues.ask(&arn, |arn, reply| Input::Purge { arn, reply }).await?;
    Ok(Nothing {})
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GetQueueAttributesInput {
    queue_url: Option<String>,
    #[serde(default)]
    attribute_names: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct AttributesOutput {
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    attributes: BTreeMap<String, String>,
}

async fn get_queue_attributes(
    queues: Queues,
    call: Call,
    input: GetQueueAttributesInput,
) -> Result<AttributesOutput, Fault> {
    let name = named(input.queue_url, &call)?;
    let record = queues.record(&name)?.ok_or_else(fault::queue_does_not_exist)?;
    let all = input.attribute_names.iter().any(|n| n == "All");
    if let Some(unknown) = input.attribute_names.iter().find(|n| !is_known(n)) {
        return Err(fault::unknown_attribute(unknown));
    }
    let wanted = |name: &str| all || input.attribute_names.iter().any(|n| n == name);
    let mut attributes = record.attributes;
    attributes.insert("QueueArn".to_owned(), name.arn());
    attributes.insert("CreatedTimestamp".to_owned(), (record.created_ms / 1000).to_string());
    attributes.insert("LastModifiedTimestamp".to_owned(), (record.modified_ms / 1000).to_string());
    if COUNTS.iter().any(|name| wanted(name)) {
        let counts = queues.counts(&name.arn()).await?;
        for (name, count) in COUNTS.iter().zip([counts.visible, counts.in_flight, counts.delayed]) {
            attributes.insert((*name).to_owned(), count.to_string());
        }
    }
    attributes.retain(|name, _| wanted(name));
    Ok(AttributesOutput { attributes })
}

fn is_known(name: &str) -> bool {
    const SETTABLE: [&str; 16] = [
        "All",
        "Policy",
        "VisibilityTimeout",
        "MaximumMessageSize",
        "MessageRetentionPeriod",
        "DelaySeconds",
        "ReceiveMessageWaitTimeSeconds",
        "RedrivePolicy",
        "RedriveAllowPolicy",
        "FifoQueue",
        "ContentBasedDeduplication",
        "DeduplicationScope",
        "FifoThroughputLimit",
        "KmsMasterKeyId",
        "KmsDataKeyReusePeriodSeconds",
        "SqsManagedSseEnabled",
    ];
    SETTABLE.contains(&name) || READ_ONLY.contains(&name)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SetQueueAttributesInput {
    queue_url: Option<String>,
    attributes: Option<BTreeMap<String, String>>,
}

async fn set_queue_attributes(queues: Queues, call: Call, input: SetQueueAttributesInput) -> Result<Nothing, Fault> {
    let name = named(input.queue_url, &call)?;
    let attributes = required(input.attributes, "Attributes")?;
    let record = queues.record(&name)?.ok_or_else(fault::queue_does_not_exist)?;
    let mut settings = Settings::create(&record.attributes)?;
    settings.change(&attributes)?;
    if let Some(redrive) = settings.redrive.as_ref().filter(|_| attributes.contains_key("RedrivePolicy")) {
        check_redrive(&queues, &name, redrive)?;
    }
    alter(&queues, &name, Alteration::Attributes(attributes)).await
}

async fn alter(queues: &Queues, name: &QueueName, alteration: Alteration) -> Result<Nothing, Fault> {
    queues.ask(&name.arn(), |arn, reply| Input::Alter { arn, alteration, reply }).await?;
    Ok(Nothing {})
}

#[derive(Deserialize)]
struct AddPermissionInput {
    #[serde(rename = "QueueUrl")]
    queue_url: Option<String>,
    #[serde(rename = "Label")]
    label: Option<String>,
    #[serde(rename = "AWSAccountIds", default)]
    accounts: Vec<String>,
    #[serde(rename = "Actions", default)]
    actions: Vec<String>,
}

async fn add_permission(queues: Queues, call: Call, input: AddPermissionInput) -> Result<Nothing, Fault> {
    let name = named(input.queue_url, &call)?;
    let label = required(input.label, "Label")?;
    alter(&queues, &name, Alteration::AddPermission { label, accounts: input.accounts, actions: input.actions }).await
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RemovePermissionInput {
    queue_url: Option<String>,
    label: Option<String>,
}

async fn remove_permission(queues: Queues, call: Call, input: RemovePermissionInput) -> Result<Nothing, Fault> {
    let name = named(input.queue_url, &call)?;
    alter(&queues, &name, Alteration::RemovePermission { label: required(input.label, "Label")? }).await
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct TagQueueInput {
    queue_url: Option<String>,
    tags: Option<BTreeMap<String, String>>,
}

async fn tag_queue(queues: Queues, call: Call, input: TagQueueInput) -> Result<Nothing, Fault> {
    let name = named(input.queue_url, &call)?;
    alter(&queues, &name, Alteration::Tag(required(input.tags, "Tags")?)).await
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct UntagQueueInput {
    queue_url: Option<String>,
    tag_keys: Option<Vec<String>>,
}

async fn untag_queue(queues: Queues, call: Call, input: UntagQueueInput) -> Result<Nothing, Fault> {
    let name = named(input.queue_url, &call)?;
    alter(&queues, &name, Alteration::Untag(required(input.tag_keys, "TagKeys")?)).await
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct TagsOutput {
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    tags: BTreeMap<String, String>,
}

async fn list_queue_tags(queues: Queues, call: Call, input: QueueInput) -> Result<TagsOutput, Fault> {
    let name = named(input.queue_url, &call)?;
    let record = queues.record(&name)?.ok_or_else(fault::queue_does_not_exist)?;
    Ok(TagsOutput { tags: record.tags })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListSourcesInput {
    queue_url: Option<String>,
    next_token: Option<String>,
    max_results: Option<i64>,
}

#[derive(Serialize)]
struct ListSourcesOutput {
    #[serde(rename = "queueUrls")]
    queue_urls: Vec<String>,
    #[serde(rename = "NextToken", skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

async fn list_dead_letter_source_queues(
    queues: Queues,
    call: Call,
    input: ListSourcesInput,
) -> Result<ListSourcesOutput, Fault> {
    let max = page_size(input.max_results)?;
    let name = named(input.queue_url, &call)?;
    queues.record(&name)?.ok_or_else(fault::queue_does_not_exist)?;
    let page = list(&queues, &call, input.next_token, max, is_source_of(&name))?;
    let next_token = page.next_token.filter(|_| input.max_results.is_some());
    Ok(ListSourcesOutput { queue_urls: page.urls, next_token })
}

/// Whether a queue sends its dead letters to `target`.
fn is_source_of(target: &QueueName) -> impl Fn(&QueueName, &QueueRecord) -> bool + '_ {
    |_, record| {
        let settings = Settings::create(&record.attributes).ok();
        settings.and_then(|s| s.redrive).is_some_and(|redrive| redrive.target == *target)
    }
}

/// Whether any queue of the caller sends its dead letters to `target`.
pub(super) fn is_dead_letter_queue(queues: &Queues, call: &Call, target: &QueueName) -> Result<bool, Fault> {
    Ok(!list(queues, call, None, 1, is_source_of(target))?.urls.is_empty())
}
