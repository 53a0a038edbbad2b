//! A role's inline policies, and the managed policies attached to it.

use serde::{Deserialize, Serialize};
use store::{Error, Key};

use super::role::{self, Role};
use super::{Nothing, document_size, encoded, limit, list, malformed, managed, not_found, space};
use crate::check;
use crate::identity::Operations;
use crate::policy::{Policy, PolicyKind};
use crate::tx::{Outcome, Tx, View};

/// Characters of all inline policies of a role together.
const INLINE_SIZE_MAX: usize = 10_240;
/// Managed policies of a role: AWS's largest quota.
const ATTACHED_MAX: usize = 20;

/// An inline policy, as it is stored.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct InlinePolicy {
    pub policy_name: String,
    pub policy_document: String,
}

pub(super) fn register(operations: &mut Operations) {
    operations
        .write("PutRolePolicy", put_role_policy)
        .read("GetRolePolicy", get_role_policy)
        .write("DeleteRolePolicy", delete_role_policy)
        .read("ListRolePolicies", list_role_policies)
        .write("AttachRolePolicy", attach_role_policy)
        .write("DetachRolePolicy", detach_role_policy)
        .read("ListAttachedRolePolicies", list_attached_role_policies);
}

fn inline_space(view: &View<'_>, role: &Role) -> Key {
    let account = role.arn.split(':').nth(4).unwrap_or_else(|| view.scope().account());
    space("role-policy", account).str(&role.role_name.to_ascii_lowercase())
}

pub(super) fn inline(view: &View<'_>, role: &Role) -> Result<Vec<InlinePolicy>, Error> {
    view.all(&inline_space(view, role))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PutRolePolicy {
    role_name: String,
    policy_name: String,
    policy_document: String,
}

fn put_role_policy(tx: &mut Tx<'_>, input: PutRolePolicy) -> Outcome<Nothing> {
    let role = role::role(tx, &input.role_name)?;
    check::name(&input.policy_name, "policyName", 128)?;
    Policy::parse(&input.policy_document, PolicyKind::Identity).map_err(malformed)?;
    let others = inline(tx, &role)?.into_iter().filter(|p| p.policy_name != input.policy_name);
    let size: usize = others.map(|p| document_size(&p.policy_document)).sum();
    if size + document_size(&input.policy_document) > INLINE_SIZE_MAX {
        let message = format!("Maximum policy size of {INLINE_SIZE_MAX} bytes exceeded for role {}", role.role_name);
        return Err(limit(message).into());
    }
    let key = inline_space(tx, &role).str(&input.policy_name);
    tx.put(key, &InlinePolicy { policy_name: input.policy_name, policy_document: input.policy_document })?;
    Ok(Nothing {})
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RolePolicyName {
    role_name: String,
    policy_name: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct RolePolicy {
    role_name: String,
    policy_name: String,
    policy_document: String,
}

fn find_inline(view: &View<'_>, role: &Role, name: &str) -> Outcome<InlinePolicy> {
    check::name(name, "policyName", 128)?;
    let found = view.get(&inline_space(view, role).str(name))?;
    Ok(found.ok_or_else(|| not_found(format!("The role policy with name {name} cannot be found.")))?)
}

fn get_role_policy(view: &View<'_>, input: RolePolicyName) -> Outcome<RolePolicy> {
    let role = role::role(view, &input.role_name)?;
    let policy = find_inline(view, &role, &input.policy_name)?;
    Ok(RolePolicy {
        role_name: role.role_name,
        policy_name: policy.policy_name,
        policy_document: encoded(&policy.policy_document),
    })
}

fn delete_role_policy(tx: &mut Tx<'_>, input: RolePolicyName) -> Outcome<Nothing> {
    let role = role::role(tx, &input.role_name)?;
    find_inline(tx, &role, &input.policy_name)?;
    tx.delete(inline_space(tx, &role).str(&input.policy_name));
    Ok(Nothing {})
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListPolicies {
    role_name: String,
    path_prefix: Option<String>,
    marker: Option<String>,
    max_items: Option<i64>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct PolicyNames {
    policy_names: Vec<String>,
    is_truncated: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    marker: Option<String>,
}

fn list_role_policies(view: &View<'_>, input: ListPolicies) -> Outcome<PolicyNames> {
    let role = role::role(view, &input.role_name)?;
    let names = inline(view, &role)?.into_iter().map(|p| p.policy_name).collect();
    let page = list(names, input.marker.as_deref(), input.max_items, String::clone)?;
    Ok(PolicyNames { is_truncated: page.next.is_some(), policy_names: page.items, marker: page.next })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Attachment {
    role_name: String,
    policy_arn: String,
}

fn attach_role_policy(tx: &mut Tx<'_>, input: Attachment) -> Outcome<Nothing> {
    let mut role = role::role(tx, &input.role_name)?;
    check::length(&input.policy_arn, "policyArn", 20, 2048)?;
    if !managed::is_there(tx, &input.policy_arn)? {
        let message = format!("Policy {} does not exist or is not attachable.", input.policy_arn);
        return Err(not_found(message).into());
    }
    if role.attached_policies.contains(&input.policy_arn) {
        return Ok(Nothing {});
    }
    if role.attached_policies.len() >= ATTACHED_MAX {
        return Err(limit(format!("Cannot exceed quota for PoliciesPerRole: {ATTACHED_MAX}")).into());
    }
    managed::count_attachment(tx, &input.policy_arn, true)?;
    role.attached_policies.push(input.policy_arn);
    role::put(tx, &role)?;
    Ok(Nothing {})
}

fn detach_role_policy(tx: &mut Tx<'_>, input: Attachment) -> Outcome<Nothing> {
    let mut role = role::role(tx, &input.role_name)?;
    let Some(at) = role.attached_policies.iter().position(|arn| *arn == input.policy_arn) else {
        return Err(not_found(format!("Policy {} was not found.", input.policy_arn)).into());
    };
    role.attached_policies.remove(at);
    managed::count_attachment(tx, &input.policy_arn, false)?;
    role::put(tx, &role)?;
    Ok(Nothing {})
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct AttachedPolicy {
    policy_name: String,
    policy_arn: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct AttachedPolicies {
    attached_policies: Vec<AttachedPolicy>,
    is_truncated: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    marker: Option<String>,
}

fn list_attached_role_policies(view: &View<'_>, input: ListPolicies) -> Outcome<AttachedPolicies> {
    let role = role::role(view, &input.role_name)?;
    let prefix = input.path_prefix.as_deref().unwrap_or("/");
    let mut attached: Vec<AttachedPolicy> = role
        .attached_policies
        .into_iter()
        .filter(|arn| managed::path_of(arn).starts_with(prefix))
        .map(|arn| AttachedPolicy { policy_name: managed::name_of(&arn).to_owned(), policy_arn: arn })
        .collect();
    attached.sort_by(|a, b| a.policy_arn.cmp(&b.policy_arn));
    let page = list(attached, input.marker.as_deref(), input.max_items, |p| p.policy_arn.clone())?;
    Ok(AttachedPolicies { is_truncated: page.next.is_some(), attached_policies: page.items, marker: page.next })
}
