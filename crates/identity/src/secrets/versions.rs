use serde::{Deserialize, Serialize};

use super::value::move_stage;
use super::{CURRENT, Named, find, find_live, invalid_parameter, not_found, put};
use crate::check;
use crate::identity::Operations;
use crate::page::page;
use crate::tx::{Outcome, Tx, View};

pub(super) fn register(operations: &mut Operations) {
    operations
        .read("ListSecretVersionIds", list_secret_version_ids)
        .write("UpdateSecretVersionStage", update_secret_version_stage);
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListVersions {
    secret_id: String,
    max_results: Option<i64>,
    next_token: Option<String>,
    include_deprecated: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct VersionEntry {
    version_id: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    version_stages: Vec<String>,
    created_date: f64,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct VersionList {
    versions: Vec<VersionEntry>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
    #[serde(flatten)]
    named: Named,
}

fn list_secret_version_ids(view: &View<'_>, input: ListVersions) -> Outcome<VersionList> {
    let secret = find(view, &input.secret_id)?;
    let max = check::page_size(input.max_results, "maxResults", 100, 100)?;
    let all = input.include_deprecated == Some(true);
    let entries = secret.versions.iter().filter(|(_, v)| all || !v.stages.is_empty()).map(|(id, v)| VersionEntry {
        version_id: id.clone(),
        version_stages: v.stages.clone(),
        created_date: base::Timestamp::from_millis(v.created_millis).as_seconds_f64(),
    });
    let page = page(entries.collect(), input.next_token.as_deref(), max, false, |v| v.version_id.clone())
        .map_err(super::list::bad_token)?;
    Ok(VersionList { versions: page.items, next_token: page.next, named: Named::of(&secret) })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct UpdateStage {
    secret_id: String,
    version_stage: String,
    remove_from_version_id: Option<String>,
    move_to_version_id: Option<String>,
}

fn update_secret_version_stage(tx: &mut Tx<'_>, input: UpdateStage) -> Outcome<Named> {
    let mut secret = find_live(tx, &input.secret_id)?;
    let stage = input.version_stage;
    check::length(&stage, "versionStage", 1, 256)?;
    let current = secret.staged(&stage).map(str::to_owned);
    for id in [&input.remove_from_version_id, &input.move_to_version_id].into_iter().flatten() {
        if !secret.versions.contains_key(id) {
            return Err(not_found(format!(
                "Secrets Manager can't find the specified secret value for VersionId: {id}"
            ))
            .into());
        }
    }
    let to = input.move_to_version_id;
    if let Some(at) = &current
        && Some(at) != input.remove_from_version_id.as_ref()
        && Some(at) != to.as_ref()
    {
        let message = format!(
            "The parameter RemoveFromVersionId can't be empty or different. Staging label {stage} is currently attached \
             to version {at}, so you must explicitly reference that version in RemoveFromVersionId."
        );
        return Err(invalid_parameter(message).into());
    }
    match to {
        Some(to) => move_stage(&mut secret, &stage, &to),
        None if stage == CURRENT => {
            let message = "You can only move staging label AWSCURRENT to a different secret version. It can't be \
                           completely removed.";
            return Err(invalid_parameter(message).into());
        }
        None => {
            if let Some(version) = current.and_then(|id| secret.versions.get_mut(&id)) {
                version.stages.retain(|s| *s != stage);
            }
        }
    }
    secret.changed = tx.now_seconds();
    put(tx, &secret)?;
    Ok(Named::of(&secret))
}
