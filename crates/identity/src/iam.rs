//! Identity and Access Management: roles, their policies, managed policies. Stored per account, in all regions the same.

mod aws_managed;
mod managed;
mod role;
mod role_policy;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use service::{Fault, Service};
use store::Key;

use crate::identity::{Identity, Operations};
use crate::page::{Page, page};
use crate::policy::{Context, Decision, Policy, PolicyError, PolicyKind, allows};
use crate::tag::{Tag, Tags};
use crate::tx::{Outcome, View};

pub(crate) use role::{Role, find_role};

pub(crate) fn service(identity: &Identity) -> Service {
    let mut operations = Operations::new("iam", identity);
    role::register(&mut operations);
    role_policy::register(&mut operations);
    managed::register(&mut operations);
    operations.done()
}

/// What operations without an answer answer.
#[derive(Serialize)]
pub(crate) struct Nothing {}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct RoleName {
    role_name: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct TagList {
    tags: Vec<Tag>,
    is_truncated: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    marker: Option<String>,
}

fn not_found(message: impl Into<String>) -> Fault {
    Fault::with_status(404, "NoSuchEntityException", message).query_code("NoSuchEntity")
}

fn exists(message: impl Into<String>) -> Fault {
    Fault::with_status(409, "EntityAlreadyExistsException", message).query_code("EntityAlreadyExists")
}

fn conflict(message: impl Into<String>) -> Fault {
    Fault::with_status(409, "DeleteConflictException", message).query_code("DeleteConflict")
}

fn limit(message: impl Into<String>) -> Fault {
    Fault::with_status(409, "LimitExceededException", message).query_code("LimitExceeded")
}

fn invalid(message: impl Into<String>) -> Fault {
    Fault::client("InvalidInputException", message).query_code("InvalidInput")
}

fn malformed(error: PolicyError) -> Fault {
    Fault::client("MalformedPolicyDocumentException", error.0).query_code("MalformedPolicyDocument")
}

fn too_many_tags() -> Fault {
    limit(format!("The number of tags has reached the maximum limit of {}.", crate::tag::TAGS_MAX))
}

/// Documents are answered percent-encoded, as RFC 3986 has it.
fn encoded(document: &str) -> String {
    const KEPT: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
    utf8_percent_encode(document, &KEPT).to_string()
}

/// A document's size as quotas count it: without white space.
fn document_size(document: &str) -> usize {
    document.chars().filter(|c| !c.is_whitespace()).count()
}

/// A path begins and ends with a slash.
fn check_path(path: &str) -> Result<(), Fault> {
    crate::check::length(path, "path", 1, 512)?;
    let is_good = path == "/"
        || (path.starts_with('/') && path.ends_with('/') && path.bytes().all(|b| (0x21..=0x7e).contains(&b)));
    if is_good {
        return Ok(());
    }
    let constraint = "Member must satisfy regular expression pattern: (\\u002F)|(\\u002F[\\u0021-\\u007E]+\\u002F)";
    Err(crate::check::broken(path, "path", constraint))
}

/// A page of a list in name order.
fn list<T>(
    items: Vec<T>,
    marker: Option<&str>,
    max_items: Option<i64>,
    key: impl Fn(&T) -> String,
) -> Result<Page<T>, Fault> {
    let max = crate::check::page_size(max_items, "maxItems", 1000, 100)?;
    page(items, marker, max, false, key).map_err(|_| Fault::validation("Invalid Marker."))
}

fn list_tags(tags: &Tags, marker: Option<&str>, max_items: Option<i64>) -> Result<TagList, Fault> {
    let page = list(crate::tag::list(tags), marker, max_items, |tag| tag.key.clone())?;
    Ok(TagList { is_truncated: page.next.is_some(), tags: page.items, marker: page.next })
}

/// The space of an account's records of one kind.
fn space(kind: &str, account: &str) -> Key {
    Key::new("iam").str(account).str(kind)
}

pub(crate) fn decide(
    view: &View<'_>,
    principal: &str,
    action: &str,
    resource: &str,
    context: &Context,
) -> Outcome<Decision> {
    if principal.ends_with(":root") {
        return Ok(Decision::Allowed);
    }
    let Some(role) = role_of(view, principal)? else { return Ok(Decision::ImplicitDeny) };
    let context = context.clone().with("aws:PrincipalArn", role.arn.clone());
    let decision = allows(&policies(view, &role)?, action, resource, &context);
    if let (Decision::Allowed, Some(boundary)) = (decision, &role.permissions_boundary) {
        let boundary: Vec<Policy> = managed::document(view, boundary)?.iter().filter_map(|d| identity(d)).collect();
        return Ok(allows(&boundary, action, resource, &context));
    }
    Ok(decision)
}

pub(crate) fn policies_of_role(view: &View<'_>, role_arn: &str) -> Outcome<Vec<Policy>> {
    let role = role_of(view, role_arn)?.ok_or_else(|| not_found(format!("The role {role_arn} cannot be found.")))?;
    policies(view, &role)
}

fn policies(view: &View<'_>, role: &Role) -> Outcome<Vec<Policy>> {
    let mut policies: Vec<Policy> =
        role_policy::inline(view, role)?.iter().filter_map(|p| identity(&p.policy_document)).collect();
    for arn in &role.attached_policies {
        policies.extend(managed::document(view, arn)?.iter().filter_map(|d| identity(d)));
    }
    Ok(policies)
}

/// Stored documents were checked when they came.
fn identity(document: &str) -> Option<Policy> {
    Policy::parse(document, PolicyKind::Identity).ok()
}

/// The role that an ARN of a role or of a session of it means.
fn role_of(view: &View<'_>, arn: &str) -> Outcome<Option<Role>> {
    let mut parts = arn.splitn(6, ':').skip(4);
    let (Some(account), Some(resource)) = (parts.next(), parts.next()) else { return Ok(None) };
    let name = match (resource.strip_prefix("role/"), resource.strip_prefix("assumed-role/")) {
        (Some(path), _) => path.rsplit('/').next(),
        (_, Some(session)) => session.split('/').next(),
        _ => None,
    };
    match name {
        Some(name) => Ok(find_role(view, account, name)?),
        None => Ok(None),
    }
}
