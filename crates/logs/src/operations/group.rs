use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use service::{Call, Fault};
use store::Range;

use super::{Nothing, Register, limit, required};
use crate::input::{Input, NewGroup};
use crate::machine::check_tag_count;
use crate::record::{GroupRecord, decode_number};
use crate::{GroupName, Logs, fault, key};

const CLASSES: [&str; 3] = ["STANDARD", "INFREQUENT_ACCESS", "DELIVERY"];
const RETENTION_DAYS: [u32; 22] =
    [1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653];
const PAGE: usize = 256;

pub(super) fn register(register: &mut Register<'_>) {
    register.add("CreateLogGroup", create);
    register.add("DeleteLogGroup", delete);
    register.add("DescribeLogGroups", describe);
    register.add("ListLogGroups", list);
    register.add("PutRetentionPolicy", put_retention);
    register.add("DeleteRetentionPolicy", delete_retention);
    register.add("TagResource", tag_resource);
    register.add("UntagResource", untag_resource);
    register.add("ListTagsForResource", list_tags_for_resource);
    register.add("TagLogGroup", tag_group);
    register.add("UntagLogGroup", untag_group);
    register.add("ListTagsLogGroup", list_tags_of_group);
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CreateInput {
    log_group_name: Option<String>,
    kms_key_id: Option<String>,
    #[serde(default)]
    tags: BTreeMap<String, String>,
    log_group_class: Option<String>,
}

async fn create(logs: Logs, call: Call, input: CreateInput) -> Result<Nothing, Fault> {
    let name = GroupName::checked(&call.scope, &required(input.log_group_name, "logGroupName")?)?;
    check_tag_count(input.tags.len())?;
    if let Some(class) = input.log_group_class.as_deref().filter(|class| !CLASSES.contains(class)) {
        let constraint = "Member must satisfy enum value set: [STANDARD, INFREQUENT_ACCESS, DELIVERY]";
        return Err(fault::constraint(class, "logGroupClass", constraint));
    }
    let new = NewGroup { kms_key_id: input.kms_key_id, class: input.log_group_class, tags: input.tags };
    logs.ask(&name.clone(), |reply| Input::CreateGroup { name, new, reply }).await?;
    Ok(Nothing {})
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct GroupInput {
    log_group_name: Option<String>,
}

impl GroupInput {
    fn name(self, call: &Call) -> Result<GroupName, Fault> {
        GroupName::checked(&call.scope, &required(self.log_group_name, "logGroupName")?)
    }
}

async fn delete(logs: Logs, call: Call, input: GroupInput) -> Result<Nothing, Fault> {
    let name = input.name(&call)?;
    logs.ask(&name.clone(), |reply| Input::DeleteGroup { name, reply }).await?;
    Ok(Nothing {})
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DescribeInput {
    log_group_name_prefix: Option<String>,
    log_group_name_pattern: Option<String>,
    #[serde(default)]
    log_group_identifiers: Vec<String>,
    log_group_class: Option<String>,
    next_token: Option<String>,
    limit: Option<i64>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DescribeOutput {
    log_groups: Vec<GroupShape>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct GroupShape {
    log_group_name: String,
    creation_time: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    retention_in_days: Option<u32>,
    metric_filter_count: u32,
    arn: String,
    stored_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    kms_key_id: Option<String>,
    log_group_class: String,
    log_group_arn: String,
    deletion_protection_enabled: bool,
}

async fn describe(logs: Logs, call: Call, input: DescribeInput) -> Result<DescribeOutput, Fault> {
    let max = limit(input.limit, 50, 50)?;
    if input.log_group_name_prefix.is_some() && input.log_group_name_pattern.is_some() {
        return Err(fault::invalid(
            "LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters.",
        ));
    }
    let prefix = input.log_group_name_prefix.unwrap_or_default();
    let part = input.log_group_name_pattern.unwrap_or_default().to_lowercase();
    let wanted: Vec<String> = input
        .log_group_identifiers
        .iter()
        .map(|identifier| GroupName::of(&call, None, Some(identifier)).map(|name| name.name().to_owned()))
        .collect::<Result<_, Fault>>()?;
    let class = input.log_group_class;
    let matches = |name: &GroupName, record: &GroupRecord| {
        name.name().to_lowercase().contains(&part)
            && (wanted.is_empty() || wanted.iter().any(|w| w == name.name()))
            && class.as_ref().is_none_or(|class| *class == record.class)
    };
    let (groups, next_token) = page(&logs, &call, &prefix, input.next_token, max, matches)?;
    let shapes = groups.into_iter().map(|(name, record)| shape(&logs, &name, record));
    Ok(DescribeOutput { log_groups: shapes.collect::<Result<_, Fault>>()?, next_token })
}

fn shape(logs: &Logs, name: &GroupName, record: GroupRecord) -> Result<GroupShape, Fault> {
    let bytes = logs.store().get(&key::bytes(record.serial)).map_err(|e| fault::of_store(&e))?;
    let bytes = bytes.map(|value| decode_number(&value)).transpose().map_err(|e| fault::of_store(&e))?;
    Ok(GroupShape {
        log_group_name: name.name().to_owned(),
        creation_time: record.created_ms,
        retention_in_days: record.retention_days,
        metric_filter_count: 0,
        arn: format!("{}:*", name.arn()),
        stored_bytes: bytes.unwrap_or(0),
        kms_key_id: record.kms_key_id,
        log_group_class: record.class,
        log_group_arn: name.arn(),
        deletion_protection_enabled: false,
    })
}

/// Groups by name, and the token of the next page.
type Page = (Vec<(GroupName, GroupRecord)>, Option<String>);

/// One page of the caller's groups.
fn page(
    logs: &Logs,
    call: &Call,
    prefix: &str,
    token: Option<String>,
    max: usize,
    matches: impl Fn(&GroupName, &GroupRecord) -> bool,
) -> Result<Page, Fault> {
    let mut range = Range::prefix(&key::groups(call.scope.account(), call.scope.region())).limit(PAGE);
    range.start = range.start.max(key::group(&GroupName::new(&call.scope, prefix)));
    if let Some(token) = token {
        let last = URL_SAFE_NO_PAD.decode(token).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        range = range.after(&key::group(&GroupName::new(&call.scope, &last.ok_or_else(fault::invalid_token)?)));
    }
    let mut found: Vec<(GroupName, GroupRecord)> = Vec::new();
    'pages: loop {
        let entries = logs.store().scan(&range).map_err(|e| fault::of_store(&e))?;
        for (key, value) in &entries {
            let name = key::read_group(key).map_err(|e| fault::of_store(&e))?;
            if !name.name().starts_with(prefix) || found.len() > max {
                break 'pages;
            }
            let record = GroupRecord::decode(value).map_err(|e| fault::of_store(&e))?;
            if matches(&name, &record) {
                found.push((name, record));
            }
        }
        match entries.last() {
            Some((last, _)) if entries.len() == PAGE => range = range.after(last),
            _ => break,
        }
    }
    let more = found.len() > max;
    found.truncate(max);
    let next = found.last().filter(|_| more).map(|(name, _)| URL_SAFE_NO_PAD.encode(name.name()));
    Ok((found, next))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListInput {
    log_group_name_pattern: Option<String>,
    log_group_class: Option<String>,
    next_token: Option<String>,
    limit: Option<i64>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ListOutput {
    log_groups: Vec<ListedGroup>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ListedGroup {
    log_group_name: String,
    log_group_arn: String,
    log_group_class: String,
}

/// The pattern is up to five parts of names, `|` between, each with `^` in front if it is the name's beginning.
async fn list(logs: Logs, call: Call, input: ListInput) -> Result<ListOutput, Fault> {
    let max = limit(input.limit, 1000, 50)?;
    let pattern = input.log_group_name_pattern.unwrap_or_default();
    let class = input.log_group_class;
    let named = |name: &str| {
        pattern.split('|').any(|part| match part.strip_prefix('^') {
            Some(prefix) => name.starts_with(prefix),
            None => name.contains(part),
        })
    };
    let matches = |name: &GroupName, record: &GroupRecord| {
        named(name.name()) && class.as_ref().is_none_or(|class| *class == record.class)
    };
    let (groups, next_token) = page(&logs, &call, "", input.next_token, max, matches)?;
    let listed = |(name, record): (GroupName, GroupRecord)| ListedGroup {
        log_group_name: name.name().to_owned(),
        log_group_arn: name.arn(),
        log_group_class: record.class,
    };
    Ok(ListOutput { log_groups: groups.into_iter().map(listed).collect(), next_token })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RetentionInput {
    log_group_name: Option<String>,
    retention_in_days: Option<i64>,
}

async fn put_retention(logs: Logs, call: Call, input: RetentionInput) -> Result<Nothing, Fault> {
    let name = GroupInput { log_group_name: input.log_group_name }.name(&call)?;
    let days = required(input.retention_in_days, "retentionInDays")?;
    let days = u32::try_from(days).ok().filter(|days| RETENTION_DAYS.contains(days)).ok_or_else(|| {
        let allowed = RETENTION_DAYS.map(|d| d.to_string()).join(", ");
        fault::constraint(days, "retentionInDays", &format!("Member must satisfy enum value set: [{allowed}]"))
    })?;
    logs.ask(&name.clone(), |reply| Input::SetRetention { name, days: Some(days), reply }).await?;
    Ok(Nothing {})
}

async fn delete_retention(logs: Logs, call: Call, input: GroupInput) -> Result<Nothing, Fault> {
    let name = input.name(&call)?;
    logs.ask(&name.clone(), |reply| Input::SetRetention { name, days: None, reply }).await?;
    Ok(Nothing {})
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TagResourceInput {
    resource_arn: Option<String>,
    tags: Option<BTreeMap<String, String>>,
    tag_keys: Option<Vec<String>>,
}

fn resource(arn: Option<String>) -> Result<GroupName, Fault> {
    GroupName::from_arn(&required(arn, "resourceArn")?).ok_or_else(fault::no_resource)
}

/// The words for a group that was named by its ARN.
fn as_resource(fault: Fault) -> Fault {
    if fault == fault::no_group() { fault::no_resource() } else { fault }
}

async fn tag_resource(logs: Logs, _: Call, input: TagResourceInput) -> Result<Nothing, Fault> {
    let name = resource(input.resource_arn)?;
    let tags = required(input.tags, "tags")?;
    logs.ask(&name.clone(), |reply| Input::Tag { name, tags, reply }).await.map_err(as_resource)?;
    Ok(Nothing {})
}

async fn untag_resource(logs: Logs, _: Call, input: TagResourceInput) -> Result<Nothing, Fault> {
    let name = resource(input.resource_arn)?;
    let keys = required(input.tag_keys, "tagKeys")?;
    logs.ask(&name.clone(), |reply| Input::Untag { name, keys, reply }).await.map_err(as_resource)?;
    Ok(Nothing {})
}

#[derive(Serialize)]
struct TagsOutput {
    tags: BTreeMap<String, String>,
}

async fn list_tags_for_resource(logs: Logs, _: Call, input: TagResourceInput) -> Result<TagsOutput, Fault> {
    let name = resource(input.resource_arn)?;
    Ok(TagsOutput { tags: logs.group(&name)?.ok_or_else(fault::no_resource)?.tags })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TagGroupInput {
    log_group_name: Option<String>,
    tags: Option<BTreeMap<String, String>>,
}

async fn tag_group(logs: Logs, call: Call, input: TagGroupInput) -> Result<Nothing, Fault> {
    let name = GroupInput { log_group_name: input.log_group_name }.name(&call)?;
    let tags = required(input.tags, "tags")?;
    logs.ask(&name.clone(), |reply| Input::Tag { name, tags, reply }).await?;
    Ok(Nothing {})
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct UntagGroupInput {
    log_group_name: Option<String>,
    tags: Option<Vec<String>>,
}

async fn untag_group(logs: Logs, call: Call, input: UntagGroupInput) -> Result<Nothing, Fault> {
    let name = GroupInput { log_group_name: input.log_group_name }.name(&call)?;
    let keys = required(input.tags, "tags")?;
    logs.ask(&name.clone(), |reply| Input::Untag { name, keys, reply }).await?;
    Ok(Nothing {})
}

async fn list_tags_of_group(logs: Logs, call: Call, input: GroupInput) -> Result<TagsOutput, Fault> {
    let name = input.name(&call)?;
    Ok(TagsOutput { tags: logs.group(&name)?.ok_or_else(fault::no_group)?.tags })
}
