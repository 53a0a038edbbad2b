use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use service::{Call, Fault};

use super::{Adder, Empty};
use crate::engine::Inner;
use crate::fault;

/// AWS's bound for the tags of one resource.
/// <https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html>
const TAGS_MAX: usize = 50;

pub(super) fn add(to: &mut Adder<'_>) {
    to.operation("TagResource", tag);
    to.operation("UntagResource", untag);
    to.operation("ListTagsForResource", list);
}

#[derive(Deserialize, Serialize, Clone)]
pub(super) struct Tag {
    #[serde(default)]
    key: String,
    #[serde(default)]
    value: String,
}

/// The tags that a resource is created with, each key once.
pub(super) fn tag_pairs(tags: Vec<Tag>, arn: &str) -> Result<Vec<(String, String)>, Fault> {
    let tags: BTreeMap<_, _> = tags.into_iter().map(|t| (t.key, t.value)).collect();
    check_number(&tags, arn)?;
    Ok(tags.into_iter().collect())
}

fn check_number(tags: &BTreeMap<String, String>, arn: &str) -> Result<(), Fault> {
    if tags.len() > TAGS_MAX {
        return Err(Fault::client("TooManyTags", format!("Too Many Tags: '{arn}'")).member("resourceName", arn));
    }
    Ok(())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TagInput {
    resource_arn: String,
    tags: Vec<Tag>,
}

async fn tag(engine: Arc<Inner>, _: Call, input: TagInput) -> Result<Empty, Fault> {
    let arn = input.resource_arn.clone();
    change(&engine, &input.resource_arn, move |tags| {
        tags.extend(input.tags.into_iter().map(|t| (t.key, t.value)));
        check_number(tags, &arn)
    })
    .await
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct UntagInput {
    resource_arn: String,
    tag_keys: Vec<String>,
}

async fn untag(engine: Arc<Inner>, _: Call, input: UntagInput) -> Result<Empty, Fault> {
    change(&engine, &input.resource_arn, move |tags| {
        tags.retain(|k, _| !input.tag_keys.contains(k));
        Ok(())
    })
    .await
}

async fn change(
    engine: &Inner,
    arn: &str,
    change: impl FnOnce(&mut BTreeMap<String, String>) -> Result<(), Fault> + Send + 'static,
) -> Result<Empty, Fault> {
    if let Some(machine) = engine.catalog.machine(arn) {
        engine.catalog.tag_machine(machine.arn.clone(), change).await?;
    } else if let Some(activity) = engine.catalog.activity(arn) {
        engine.catalog.tag_activity(activity.arn.clone(), activity.record.name.clone(), change).await?;
    } else {
        return Err(missing(arn));
    }
    Ok(Empty {})
}

/// Versions and aliases have no tags, as on AWS.
fn missing(arn: &str) -> Fault {
    match arn.parse::<base::Arn>() {
        Ok(parsed) if parsed.service() == "states" => fault::resource_not_found(arn),
        _ => Fault::client("InvalidArn", format!("Invalid Arn: 'Invalid ARN prefix: {arn}'")),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListInput {
    resource_arn: String,
}

#[derive(Serialize)]
struct ListOutput {
    tags: Vec<Tag>,
}

async fn list(engine: Arc<Inner>, _: Call, input: ListInput) -> Result<ListOutput, Fault> {
    let arn = &input.resource_arn;
    let pairs = match (engine.catalog.machine(arn), engine.catalog.activity(arn)) {
        (Some(machine), _) => machine.record.tags.clone(),
        (None, Some(activity)) => activity.record.tags.clone(),
        (None, None) => return Err(missing(arn)),
    };
    Ok(ListOutput { tags: pairs.into_iter().map(|(key, value)| Tag { key, value }).collect() })
}
