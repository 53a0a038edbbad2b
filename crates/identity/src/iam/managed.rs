//! Managed policies: the account's own with up to five versions, and AWS's.

use serde::{Deserialize, Serialize};
use service::Fault;
use store::{Error, Key};

use super::role::whole_seconds;
use super::{
    Nothing, Role, TagList, aws_managed, check_path, conflict, document_size, encoded, exists, invalid, limit, list,
    list_tags, malformed, not_found, space, too_many_tags,
};
use crate::check;
use crate::identity::Operations;
use crate::policy::{Policy, PolicyKind};
use crate::tag::{self, Tag, Tags};
use crate::tx::{Outcome, Tx, View};

const DOCUMENT_SIZE_MAX: usize = 6144;
const VERSIONS_MAX: usize = 5;
/// Customer managed policies of one account.
const POLICIES_MAX: usize = 5000;

/// A policy of the account's own, as it is stored.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Managed {
    policy_name: String,
    policy_id: String,
    arn: String,
    path: String,
    #[serde(default)]
    description: Option<String>,
    create_date: f64,
    update_date: f64,
    #[serde(default)]
    tags: Tags,
    default_version: u32,
    next_version: u32,
    versions: Vec<Version>,
    attachments: u32,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Version {
    number: u32,
    document: String,
    create_date: f64,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct PolicyOutput {
    policy_name: String,
    policy_id: String,
    arn: String,
    path: String,
    default_version_id: String,
    attachment_count: u32,
    permissions_boundary_usage_count: u32,
    is_attachable: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    create_date: f64,
    update_date: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    tags: Option<Vec<Tag>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct VersionOutput {
    #[serde(skip_serializing_if = "Option::is_none")]
    document: Option<String>,
    version_id: String,
    is_default_version: bool,
    create_date: f64,
}

pub(super) fn register(operations: &mut Operations) {
    operations
        .write("CreatePolicy", create_policy)
        .read("GetPolicy", get_policy)
        .write("DeletePolicy", delete_policy)
        .read("ListPolicies", list_policies)
        .write("CreatePolicyVersion", create_policy_version)
        .read("GetPolicyVersion", get_policy_version)
        .read("ListPolicyVersions", list_policy_versions)
        .write("DeletePolicyVersion", delete_policy_version)
        .write("SetDefaultPolicyVersion", set_default_policy_version)
        .read("ListEntitiesForPolicy", list_entities_for_policy)
        .write("TagPolicy", tag_policy)
        .write("UntagPolicy", untag_policy)
        .read("ListPolicyTags", list_policy_tags);
}

/// `/path/` of a policy's ARN.
pub(super) fn path_of(arn: &str) -> &str {
    let resource = arn.splitn(6, ':').nth(5).and_then(|r| r.strip_prefix("policy")).unwrap_or("/");
    &resource[..resource.rfind('/').map_or(0, |at| at + 1)]
}

pub(super) fn name_of(arn: &str) -> &str {
    arn.rsplit('/').next().unwrap_or(arn)
}

/// The name decides, whatever the path.
fn key(account: &str, name: &str) -> Key {
    space("policy", account).str(&name.to_ascii_lowercase())
}

fn account_of(arn: &str) -> &str {
    arn.split(':').nth(4).unwrap_or("")
}

fn find(view: &View<'_>, arn: &str) -> Result<Option<Managed>, Error> {
    let found: Option<Managed> = view.get(&key(account_of(arn), name_of(arn)))?;
    Ok(found.filter(|p| p.arn == arn))
}

/// One of the caller's account, to be changed.
fn own(view: &View<'_>, arn: &str) -> Outcome<Managed> {
    check::length(arn, "policyArn", 20, 2048)?;
    if aws_managed::is_aws(arn) {
        return Err(Fault::with_status(403, "AccessDenied", format!("{arn} is a policy of AWS's own")).into());
    }
    let found = if account_of(arn) == view.scope().account() { find(view, arn)? } else { None };
    Ok(found.ok_or_else(|| not_found(format!("Policy {arn} was not found.")))?)
}

fn put(tx: &mut Tx<'_>, policy: &Managed) -> Result<(), Error> {
    let key = key(account_of(&policy.arn), &policy.policy_name);
    tx.put(key, policy)
}

/// The document in force, if we know it.
pub(super) fn document(view: &View<'_>, arn: &str) -> Result<Option<String>, Error> {
    if aws_managed::is_aws(arn) {
        return Ok(aws_managed::document(arn));
    }
    Ok(find(view, arn)?.and_then(|p| p.version(p.default_version).map(|v| v.document.clone())))
}

/// Whether the policy can be attached. Of AWS's policies we know few documents, but accept all names.
pub(super) fn is_there(view: &View<'_>, arn: &str) -> Result<bool, Error> {
    Ok(aws_managed::is_aws(arn) || (account_of(arn) == view.scope().account() && find(view, arn)?.is_some()))
}

pub(super) fn count_attachment(tx: &mut Tx<'_>, arn: &str, attached: bool) -> Outcome<()> {
    if let Some(mut policy) = find(tx, arn)? {
        policy.attachments = if attached { policy.attachments + 1 } else { policy.attachments.saturating_sub(1) };
        put(tx, &policy)?;
    }
    Ok(())
}

impl Managed {
    fn version(&self, number: u32) -> Option<&Version> {
        self.versions.iter().find(|v| v.number == number)
    }

    fn output(self, whole: bool) -> PolicyOutput {
        PolicyOutput {
            policy_name: self.policy_name,
            policy_id: self.policy_id,
            arn: self.arn,
            path: self.path,
            default_version_id: format!("v{}", self.default_version),
            attachment_count: self.attachments,
            permissions_boundary_usage_count: 0,
            is_attachable: true,
            description: self.description.filter(|_| whole),
            create_date: self.create_date,
            update_date: self.update_date,
            tags: whole.then(|| tag::list(&self.tags)),
        }
    }

    fn version_output(&self, version: &Version, with_document: bool) -> VersionOutput {
        VersionOutput {
            document: with_document.then(|| encoded(&version.document)),
            version_id: format!("v{}", version.number),
            is_default_version: version.number == self.default_version,
            create_date: version.create_date,
        }
    }
}

fn check_document(document: &str) -> Result<(), Fault> {
    if document_size(document) > DOCUMENT_SIZE_MAX {
        return Err(limit(format!("Cannot exceed quota for PolicySize: {DOCUMENT_SIZE_MAX}")));
    }
    Policy::parse(document, PolicyKind::Identity).map(drop).map_err(malformed)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CreatePolicy {
    policy_name: String,
    path: Option<String>,
    policy_document: String,
    description: Option<String>,
    #[serde(default)]
    tags: Vec<Tag>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct OnePolicy {
    policy: PolicyOutput,
}

fn create_policy(tx: &mut Tx<'_>, input: CreatePolicy) -> Outcome<OnePolicy> {
    let name = input.policy_name;
    check::name(&name, "policyName", 128)?;
    let path = input.path.unwrap_or_else(|| "/".to_owned());
    check_path(&path)?;
    check::length(input.description.as_deref().unwrap_or(""), "description", 0, 1000)?;
    check_document(&input.policy_document)?;
    let mut tags = Tags::new();
    tag::add(&mut tags, input.tags, too_many_tags)?;
    let account = tx.scope().account().to_owned();
    if tx.has(&key(&account, &name))? {
        return Err(exists(format!("A policy called {name} already exists. Duplicate names are not allowed.")).into());
    }
    if tx.count(&space("policy", &account))? >= POLICIES_MAX {
        return Err(limit(format!("Cannot exceed quota for PoliciesPerAccount: {POLICIES_MAX}")).into());
    }
    let now = whole_seconds(tx);
    let policy = Managed {
        policy_id: format!("ANPA{}", crate::sts::letters(tx.entropy, 17)),
        arn: format!("arn:aws:iam::{account}:policy{path}{name}"),
        policy_name: name,
        path,
        description: input.description.filter(|d| !d.is_empty()),
        create_date: now,
        update_date: now,
        tags,
        default_version: 1,
        next_version: 2,
        versions: vec![Version { number: 1, document: input.policy_document, create_date: now }],
        attachments: 0,
    };
    put(tx, &policy)?;
    Ok(OnePolicy { policy: policy.output(true) })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PolicyArn {
    policy_arn: String,
}

/// A policy of AWS's own, as far as we know it.
fn aws_policy(arn: &str) -> Option<Managed> {
    let document = aws_managed::document(arn)?;
    Some(Managed {
        policy_name: name_of(arn).to_owned(),
        policy_id: format!(
            "ANPA{}",
            name_of(arn).to_ascii_uppercase().chars().filter(char::is_ascii_alphanumeric).take(17).collect::<String>()
        ),
        arn: arn.to_owned(),
        path: path_of(arn).to_owned(),
        description: None,
        create_date: 0.0,
        update_date: 0.0,
        tags: Tags::new(),
        default_version: 1,
        next_version: 2,
        versions: vec![Version { number: 1, document, create_date: 0.0 }],
        attachments: 0,
    })
}

fn any(view: &View<'_>, arn: &str) -> Outcome<Managed> {
    if aws_managed::is_aws(arn) {
        return Ok(aws_policy(arn).ok_or_else(|| not_found(format!("Policy {arn} was not found.")))?);
    }
    own(view, arn)
}

fn get_policy(view: &View<'_>, input: PolicyArn) -> Outcome<OnePolicy> {
    Ok(OnePolicy { policy: any(view, &input.policy_arn)?.output(true) })
}

fn delete_policy(tx: &mut Tx<'_>, input: PolicyArn) -> Outcome<Nothing> {
    let policy = own(tx, &input.policy_arn)?;
    if policy.attachments > 0 {
        return Err(conflict("Cannot delete a policy attached to entities.").into());
    }
    if policy.versions.len() > 1 {
        let message = "This policy has more than one version. Before you delete a policy, you must delete the \
                       policy's versions. The default version is deleted with the policy.";
        return Err(conflict(message).into());
    }
    tx.delete(key(account_of(&policy.arn), &policy.policy_name));
    Ok(Nothing {})
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListPolicies {
    scope: Option<String>,
    only_attached: Option<bool>,
    path_prefix: Option<String>,
    marker: Option<String>,
    max_items: Option<i64>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct PolicyList {
    policies: Vec<PolicyOutput>,
    is_truncated: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    marker: Option<String>,
}

fn list_policies(view: &View<'_>, input: ListPolicies) -> Outcome<PolicyList> {
    let scope = input.scope.as_deref().unwrap_or("All");
    if !["All", "AWS", "Local"].contains(&scope) {
        let constraint = "Member must satisfy enum value set: [All, AWS, Local]";
        return Err(check::broken(scope, "scope", constraint).into());
    }
    let mut policies: Vec<Managed> = Vec::new();
    if scope != "AWS" {
        policies.extend(view.all(&space("policy", view.scope().account()))?);
    }
    if scope != "Local" && input.only_attached != Some(true) {
        policies.extend(aws_managed::arns().filter_map(|arn| aws_policy(&arn)));
    }
    let prefix = input.path_prefix.as_deref().unwrap_or("/");
    policies.retain(|p| p.path.starts_with(prefix) && (p.attachments > 0 || input.only_attached != Some(true)));
    policies.sort_by(|a, b| a.arn.cmp(&b.arn));
    let page = list(policies, input.marker.as_deref(), input.max_items, |p| p.arn.clone())?;
    let is_truncated = page.next.is_some();
    let policies = page.items.into_iter().map(|p| p.output(false)).collect();
    Ok(PolicyList { policies, is_truncated, marker: page.next })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CreatePolicyVersion {
    policy_arn: String,
    policy_document: String,
    set_as_default: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct OneVersion {
    policy_version: VersionOutput,
}

fn create_policy_version(tx: &mut Tx<'_>, input: CreatePolicyVersion) -> Outcome<OneVersion> {
    let mut policy = own(tx, &input.policy_arn)?;
    check_document(&input.policy_document)?;
    if policy.versions.len() >= VERSIONS_MAX {
        let message = "A managed policy can have up to 5 versions. Before you create a new version, you must delete an \
                       existing version.";
        return Err(limit(message).into());
    }
    let now = whole_seconds(tx);
    let number = policy.next_version;
    policy.next_version += 1;
    policy.update_date = now;
    if input.set_as_default == Some(true) {
        policy.default_version = number;
    }
    let version = Version { number, document: input.policy_document, create_date: now };
    let output = policy.version_output(&version, false);
    policy.versions.push(version);
    put(tx, &policy)?;
    Ok(OneVersion { policy_version: output })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PolicyVersion {
    policy_arn: String,
    version_id: String,
}

fn version<'a>(policy: &'a Managed, id: &str) -> Result<&'a Version, Fault> {
    let number = id.strip_prefix('v').and_then(|n| n.parse().ok());
    number.and_then(|n| policy.version(n)).ok_or_else(|| {
        let message = format!("Policy {} version {id} does not exist or is not attachable.", policy.arn);
        not_found(message)
    })
}

fn get_policy_version(view: &View<'_>, input: PolicyVersion) -> Outcome<OneVersion> {
    let policy = any(view, &input.policy_arn)?;
    let version = version(&policy, &input.version_id)?;
    Ok(OneVersion { policy_version: policy.version_output(version, true) })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListOfPolicy {
    policy_arn: String,
    marker: Option<String>,
    max_items: Option<i64>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct VersionList {
    versions: Vec<VersionOutput>,
    is_truncated: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    marker: Option<String>,
}

fn list_policy_versions(view: &View<'_>, input: ListOfPolicy) -> Outcome<VersionList> {
    let policy = any(view, &input.policy_arn)?;
    // Newest first; five at most fit any page.
    let versions = policy.versions.iter().rev().map(|v| policy.version_output(v, false)).collect();
    Ok(VersionList { versions, is_truncated: false, marker: None })
}

fn delete_policy_version(tx: &mut Tx<'_>, input: PolicyVersion) -> Outcome<Nothing> {
    let mut policy = own(tx, &input.policy_arn)?;
    let number = version(&policy, &input.version_id)?.number;
    if number == policy.default_version {
        return Err(conflict("Cannot delete the default version of a policy.").into());
    }
    policy.versions.retain(|v| v.number != number);
    put(tx, &policy)?;
    Ok(Nothing {})
}

fn set_default_policy_version(tx: &mut Tx<'_>, input: PolicyVersion) -> Outcome<Nothing> {
    let mut policy = own(tx, &input.policy_arn)?;
    policy.default_version = version(&policy, &input.version_id)?.number;
    policy.update_date = whole_seconds(tx);
    put(tx, &policy)?;
    Ok(Nothing {})
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct PolicyRole {
    role_name: String,
    role_id: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Entities {
    policy_groups: Vec<Nothing>,
    policy_users: Vec<Nothing>,
    policy_roles: Vec<PolicyRole>,
    is_truncated: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    marker: Option<String>,
}

fn list_entities_for_policy(view: &View<'_>, input: ListOfPolicy) -> Outcome<Entities> {
    if !is_there(view, &input.policy_arn)? {
        return Err(not_found(format!("Policy {} was not found.", input.policy_arn)).into());
    }
    let mut roles: Vec<Role> = view.all(&space("role", view.scope().account()))?;
    roles.retain(|r| r.attached_policies.contains(&input.policy_arn));
    let page = list(roles, input.marker.as_deref(), input.max_items, |r| r.role_name.to_ascii_lowercase())?;
    let is_truncated = page.next.is_some();
    let policy_roles =
        page.items.into_iter().map(|r| PolicyRole { role_name: r.role_name, role_id: r.role_id }).collect();
    Ok(Entities { policy_groups: Vec::new(), policy_users: Vec::new(), policy_roles, is_truncated, marker: page.next })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct TagPolicy {
    policy_arn: String,
    tags: Vec<Tag>,
}

fn tag_policy(tx: &mut Tx<'_>, input: TagPolicy) -> Outcome<Nothing> {
    let mut policy = own(tx, &input.policy_arn)?;
    if input.tags.is_empty() {
        return Err(invalid("Tags must not be empty.").into());
    }
    tag::add(&mut policy.tags, input.tags, too_many_tags)?;
    put(tx, &policy)?;
    Ok(Nothing {})
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct UntagPolicy {
    policy_arn: String,
    tag_keys: Vec<String>,
}

fn untag_policy(tx: &mut Tx<'_>, input: UntagPolicy) -> Outcome<Nothing> {
    let mut policy = own(tx, &input.policy_arn)?;
    policy.tags.retain(|key, _| !input.tag_keys.contains(key));
    put(tx, &policy)?;
    Ok(Nothing {})
}

fn list_policy_tags(view: &View<'_>, input: ListOfPolicy) -> Outcome<TagList> {
    let policy = own(view, &input.policy_arn)?;
    Ok(list_tags(&policy.tags, input.marker.as_deref(), input.max_items)?)
}
