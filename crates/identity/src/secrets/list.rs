use serde::{Deserialize, Serialize};
use service::Fault;

use super::{Description, Secret, invalid_parameter, space};
use crate::check;
use crate::identity::Operations;
use crate::page::{BadToken, Page, page};
use crate::tx::{Outcome, View};

pub(super) fn register(operations: &mut Operations) {
    operations.read("ListSecrets", list_secrets);
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Filter {
    key: String,
    values: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListSecrets {
    include_planned_deletion: Option<bool>,
    max_results: Option<i64>,
    next_token: Option<String>,
    #[serde(default)]
    filters: Vec<Filter>,
    sort_order: Option<String>,
    sort_by: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct SecretList {
    secret_list: Vec<Description>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

pub(super) fn bad_token(_: BadToken) -> Fault {
    Fault::client("InvalidNextTokenException", "The NextToken value is invalid.")
}

fn list_secrets(view: &View<'_>, input: ListSecrets) -> Outcome<SecretList> {
    let max = check::page_size(input.max_results, "maxResults", 100, 100)?;
    let reverse = match input.sort_order.as_deref() {
        None | Some("asc") => false,
        Some("desc") => true,
        Some(other) => {
            return Err(check::broken(other, "sortOrder", "Member must satisfy enum value set: [asc, desc]").into());
        }
    };
    let sort_key: fn(&Secret) -> String = match input.sort_by.as_deref() {
        Some("name") => |s| s.name.clone(),
        Some("last-changed-date" | "last-accessed-date") => |s| dated(s.changed, &s.name),
        None | Some("created-date") => |s| dated(s.created, &s.name),
        Some(other) => {
            let constraint =
                "Member must satisfy enum value set: [created-date, last-accessed-date, last-changed-date, name]";
            return Err(check::broken(other, "sortBy", constraint).into());
        }
    };
    let mut secrets = matching(view, &input.filters, input.include_planned_deletion == Some(true))?;
    secrets.sort_by_key(sort_key);
    if reverse {
        secrets.reverse();
    }
    let page = page(secrets, input.next_token.as_deref(), max, reverse, sort_key).map_err(bad_token)?;
    Ok(SecretList { secret_list: page.items.iter().map(Description::in_list).collect(), next_token: page.next })
}

/// Sorts as the time does, then by name.
fn dated(seconds: f64, name: &str) -> String {
    format!("{:020}{name}", (seconds * 1000.0) as i64)
}

/// A page by name.
pub(super) fn filtered(
    view: &View<'_>,
    filters: &[Filter],
    planned: bool,
    token: Option<&str>,
    max: usize,
) -> Outcome<Page<Secret>> {
    let secrets = matching(view, filters, planned)?;
    Ok(page(secrets, token, max, false, |s| s.name.clone()).map_err(bad_token)?)
}

fn matching(view: &View<'_>, filters: &[Filter], planned: bool) -> Outcome<Vec<Secret>> {
    let mut secrets: Vec<Secret> = view.all(&space(view.scope().account(), view.scope().region()))?;
    secrets.retain(|s| planned || s.deletion_millis.is_none());
    for filter in filters {
        let matches = filter.by()?;
        secrets.retain(|secret| filter.values.iter().any(|value| matches(secret, value)));
    }
    Ok(secrets)
}

impl Filter {
    /// Values are prefixes; `!` before one negates it. Names, tag keys and tag values heed case.
    fn by(&self) -> Result<impl Fn(&Secret, &str) -> bool, Fault> {
        let texts: fn(&Secret) -> Vec<&str> = match self.key.as_str() {
            "name" => |s| vec![&s.name],
            "description" => |s| s.description.as_deref().unwrap_or("").split_whitespace().collect(),
            "tag-key" => |s| s.tags.keys().map(String::as_str).collect(),
            "tag-value" => |s| s.tags.values().map(String::as_str).collect(),
            "primary-region" | "owning-service" => |_| Vec::new(),
            "all" => |s| {
                let tags = s.tags.iter().flat_map(|(k, v)| [k.as_str(), v.as_str()]);
                let words = s.description.as_deref().unwrap_or("").split_whitespace();
                std::iter::once(s.name.as_str()).chain(words).chain(tags).collect()
            },
            other => return Err(invalid_parameter(format!("Unknown filter key: {other}"))),
        };
        let folds_case = matches!(self.key.as_str(), "description" | "all");
        Ok(move |secret: &Secret, value: &str| {
            let (negated, prefix) = value.strip_prefix('!').map_or((false, value), |rest| (true, rest));
            let found = texts(secret).iter().any(|text| {
                if folds_case {
                    text.to_lowercase().starts_with(&prefix.to_lowercase())
                } else {
                    text.starts_with(prefix)
                }
            });
            found != negated
        })
    }
}
