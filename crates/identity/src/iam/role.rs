use serde::{Deserialize, Serialize};
use service::Fault;
use store::{Error, Key};

use super::{
    Nothing, RoleName, TagList, check_path, conflict, document_size, encoded, exists, invalid, limit, list, list_tags,
    malformed, not_found, space, too_many_tags,
};
use crate::check;
use crate::identity::Operations;
use crate::policy::{Policy, PolicyKind};
use crate::tag::{self, Tag, Tags};
use crate::tx::{Outcome, Tx, View};

/// Roles of one account.
const ROLES_MAX: usize = 5000;
/// Characters of a trust policy: AWS's largest quota.
const TRUST_POLICY_SIZE_MAX: usize = 4096;
const SESSION_SECONDS: i64 = 3600;
const SESSION_SECONDS_MAX: i64 = 43_200;

/// A role, as it is stored.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Role {
    pub path: String,
    pub role_name: String,
    pub role_id: String,
    pub arn: String,
    pub create_date: f64,
    pub assume_role_policy_document: String,
    #[serde(default)]
    pub description: Option<String>,
    pub max_session_duration: i64,
    #[serde(default)]
    pub permissions_boundary: Option<String>,
    #[serde(default)]
    pub tags: Tags,
    /// ARNs of managed policies, in the order they were attached.
    #[serde(default)]
    pub attached_policies: Vec<String>,
}

/// A role, as it is answered.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct RoleOutput {
    path: String,
    role_name: String,
    role_id: String,
    arn: String,
    create_date: f64,
    assume_role_policy_document: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    max_session_duration: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    permissions_boundary: Option<Boundary>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tags: Option<Vec<Tag>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    role_last_used: Option<Nothing>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Boundary {
    permissions_boundary_type: &'static str,
    permissions_boundary_arn: String,
}

pub(super) fn register(operations: &mut Operations) {
    operations
        .write("CreateRole", create_role)
        .read("GetRole", get_role)
        .write("DeleteRole", delete_role)
        .read("ListRoles", list_roles)
        .write("UpdateRole", update_role)
        .write("UpdateRoleDescription", update_role_description)
        .write("UpdateAssumeRolePolicy", update_assume_role_policy)
        .write("PutRolePermissionsBoundary", put_boundary)
        .write("DeleteRolePermissionsBoundary", delete_boundary)
        .write("TagRole", tag_role)
        .write("UntagRole", untag_role)
        .read("ListRoleTags", list_role_tags);
}

pub(super) fn key(account: &str, name: &str) -> Key {
    space("role", account).str(&name.to_ascii_lowercase())
}

/// Names differ by more than case.
pub(crate) fn find_role(view: &View<'_>, account: &str, name: &str) -> Result<Option<Role>, Error> {
    view.get(&key(account, name))
}

/// The role of the caller's account, or the fault that there is none.
pub(super) fn role(view: &View<'_>, name: &str) -> Outcome<Role> {
    check::name(name, "roleName", 64)?;
    let found = find_role(view, view.scope().account(), name)?;
    Ok(found.ok_or_else(|| not_found(format!("The role with name {name} cannot be found.")))?)
}

pub(super) fn put(tx: &mut Tx<'_>, role: &Role) -> Result<(), Error> {
    let key = key(tx.scope().account(), &role.role_name);
    tx.put(key, role)
}

impl Role {
    /// Lists leave tags and the permissions boundary out.
    fn output(self, whole: bool) -> RoleOutput {
        let boundary = |arn| Boundary { permissions_boundary_type: "Policy", permissions_boundary_arn: arn };
        RoleOutput {
            path: self.path,
            role_name: self.role_name,
            role_id: self.role_id,
            arn: self.arn,
            create_date: self.create_date,
            assume_role_policy_document: encoded(&self.assume_role_policy_document),
            description: self.description,
            max_session_duration: self.max_session_duration,
            permissions_boundary: self.permissions_boundary.filter(|_| whole).map(boundary),
            tags: (whole && !self.tags.is_empty()).then(|| tag::list(&self.tags)),
            role_last_used: whole.then_some(Nothing {}),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CreateRole {
    path: Option<String>,
    role_name: String,
    assume_role_policy_document: String,
    description: Option<String>,
    max_session_duration: Option<i64>,
    permissions_boundary: Option<String>,
    #[serde(default)]
    tags: Vec<Tag>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct OneRole {
    role: RoleOutput,
}

fn create_role(tx: &mut Tx<'_>, input: CreateRole) -> Outcome<OneRole> {
    let name = input.role_name;
    check::name(&name, "roleName", 64)?;
    let path = input.path.unwrap_or_else(|| "/".to_owned());
    check_path(&path)?;
    let description = input.description.filter(|d| !d.is_empty());
    check_description(description.as_deref())?;
    let max_session_duration = input.max_session_duration.unwrap_or(SESSION_SECONDS);
    check::range(max_session_duration, "maxSessionDuration", SESSION_SECONDS, SESSION_SECONDS_MAX)?;
    check_trust(&input.assume_role_policy_document)?;
    let mut tags = Tags::new();
    tag::add(&mut tags, input.tags, too_many_tags)?;
    let account = tx.scope().account().to_owned();
    if find_role(tx, &account, &name)?.is_some() {
        return Err(exists(format!("Role with name {name} already exists.")).into());
    }
    if tx.count(&space("role", &account))? >= ROLES_MAX {
        return Err(limit(format!("Cannot exceed quota for RolesPerAccount: {ROLES_MAX}")).into());
    }
    let role = Role {
        role_id: format!("AROA{}", crate::sts::letters(tx.entropy, 17)),
        arn: format!("arn:aws:iam::{account}:role{path}{name}"),
        path,
        role_name: name,
        create_date: whole_seconds(tx),
        assume_role_policy_document: input.assume_role_policy_document,
        description,
        max_session_duration,
        permissions_boundary: input.permissions_boundary,
        tags,
        attached_policies: Vec::new(),
    };
    put(tx, &role)?;
    let mut output = role.output(true);
    output.role_last_used = None;
    Ok(OneRole { role: output })
}

/// IAM's dates have no fractions.
pub(super) fn whole_seconds(view: &View<'_>) -> f64 {
    view.now.as_seconds() as f64
}

fn check_description(description: Option<&str>) -> Result<(), Fault> {
    description.map_or(Ok(()), |text| check::length(text, "description", 0, 1000))
}

fn check_trust(document: &str) -> Result<(), Fault> {
    if document_size(document) > TRUST_POLICY_SIZE_MAX {
        return Err(limit(format!("Cannot exceed quota for ACLSizePerRole: {TRUST_POLICY_SIZE_MAX}")));
    }
    Policy::parse(document, PolicyKind::Trust).map(drop).map_err(malformed)
}

fn get_role(view: &View<'_>, input: RoleName) -> Outcome<OneRole> {
    Ok(OneRole { role: role(view, &input.role_name)?.output(true) })
}

fn delete_role(tx: &mut Tx<'_>, input: RoleName) -> Outcome<Nothing> {
    let role = role(tx, &input.role_name)?;
    if !super::role_policy::inline(tx, &role)?.is_empty() {
        return Err(conflict("Cannot delete entity, must delete policies first.").into());
    }
    if !role.attached_policies.is_empty() {
        return Err(conflict("Cannot delete entity, must detach all policies first.").into());
    }
    tx.delete(key(tx.scope().account(), &role.role_name));
    Ok(Nothing {})
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListRoles {
    path_prefix: Option<String>,
    marker: Option<String>,
    max_items: Option<i64>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct RoleList {
    roles: Vec<RoleOutput>,
    is_truncated: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    marker: Option<String>,
}

fn list_roles(view: &View<'_>, input: ListRoles) -> Outcome<RoleList> {
    let mut roles: Vec<Role> = view.all(&space("role", view.scope().account()))?;
    let prefix = input.path_prefix.as_deref().unwrap_or("/");
    roles.retain(|r| r.path.starts_with(prefix));
    let page = list(roles, input.marker.as_deref(), input.max_items, |r| r.role_name.to_ascii_lowercase())?;
    let is_truncated = page.next.is_some();
    let roles = page.items.into_iter().map(|r| r.output(false)).collect();
    Ok(RoleList { roles, is_truncated, marker: page.next })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct UpdateRole {
    role_name: String,
    description: Option<String>,
    max_session_duration: Option<i64>,
}

/// What is not given goes back to what a new role has.
fn update_role(tx: &mut Tx<'_>, input: UpdateRole) -> Outcome<Nothing> {
    let mut role = role(tx, &input.role_name)?;
    check_description(input.description.as_deref())?;
    let seconds = input.max_session_duration.unwrap_or(SESSION_SECONDS);
    check::range(seconds, "maxSessionDuration", SESSION_SECONDS, SESSION_SECONDS_MAX)?;
    role.description = input.description.filter(|d| !d.is_empty());
    role.max_session_duration = seconds;
    put(tx, &role)?;
    Ok(Nothing {})
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct UpdateRoleDescription {
    role_name: String,
    description: String,
}

fn update_role_description(tx: &mut Tx<'_>, input: UpdateRoleDescription) -> Outcome<OneRole> {
    let mut role = role(tx, &input.role_name)?;
    check_description(Some(&input.description))?;
    role.description = Some(input.description).filter(|d| !d.is_empty());
    put(tx, &role)?;
    Ok(OneRole { role: role.output(true) })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct UpdateAssumeRolePolicy {
    role_name: String,
    policy_document: String,
}

fn update_assume_role_policy(tx: &mut Tx<'_>, input: UpdateAssumeRolePolicy) -> Outcome<Nothing> {
    let mut role = role(tx, &input.role_name)?;
    check_trust(&input.policy_document)?;
    role.assume_role_policy_document = input.policy_document;
    put(tx, &role)?;
    Ok(Nothing {})
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PutBoundary {
    role_name: String,
    permissions_boundary: String,
}

fn put_boundary(tx: &mut Tx<'_>, input: PutBoundary) -> Outcome<Nothing> {
    let mut role = role(tx, &input.role_name)?;
    if !super::managed::is_there(tx, &input.permissions_boundary)? {
        return Err(not_found(format!("Scope ARN: {} does not exist.", input.permissions_boundary)).into());
    }
    role.permissions_boundary = Some(input.permissions_boundary);
    put(tx, &role)?;
    Ok(Nothing {})
}

fn delete_boundary(tx: &mut Tx<'_>, input: RoleName) -> Outcome<Nothing> {
    let mut role = role(tx, &input.role_name)?;
    if role.permissions_boundary.take().is_none() {
        let message = format!("The permissions boundary of role {} cannot be found.", role.role_name);
        return Err(not_found(message).into());
    }
    put(tx, &role)?;
    Ok(Nothing {})
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct TagRole {
    role_name: String,
    tags: Vec<Tag>,
}

fn tag_role(tx: &mut Tx<'_>, input: TagRole) -> Outcome<Nothing> {
    let mut role = role(tx, &input.role_name)?;
    if input.tags.is_empty() {
        return Err(invalid("Tags must not be empty.").into());
    }
    tag::add(&mut role.tags, input.tags, too_many_tags)?;
    put(tx, &role)?;
    Ok(Nothing {})
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct UntagRole {
    role_name: String,
    tag_keys: Vec<String>,
}

fn untag_role(tx: &mut Tx<'_>, input: UntagRole) -> Outcome<Nothing> {
    let mut role = role(tx, &input.role_name)?;
    role.tags.retain(|key, _| !input.tag_keys.contains(key));
    put(tx, &role)?;
    Ok(Nothing {})
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListRoleTags {
    role_name: String,
    marker: Option<String>,
    max_items: Option<i64>,
}

fn list_role_tags(view: &View<'_>, input: ListRoleTags) -> Outcome<TagList> {
    let role = role(view, &input.role_name)?;
    Ok(list_tags(&role.tags, input.marker.as_deref(), input.max_items)?)
}
