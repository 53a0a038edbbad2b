//! What a caller must acknowledge before a template may touch IAM or run transforms.

use std::collections::BTreeSet;

use super::Prepared;
use crate::template::Template;

const IAM: [&str; 8] = [
    "AWS::IAM::AccessKey",
    "AWS::IAM::Group",
    "AWS::IAM::InstanceProfile",
    "AWS::IAM::ManagedPolicy",
    "AWS::IAM::Policy",
    "AWS::IAM::Role",
    "AWS::IAM::User",
    "AWS::IAM::UserToGroupAddition",
];
const NAMES: [&str; 5] = ["RoleName", "UserName", "GroupName", "ManagedPolicyName", "InstanceProfileName"];

/// The capabilities that a template needs, with AWS's reason.
pub(crate) fn required(template: &Template) -> Option<(&'static str, String)> {
    let iam: Vec<_> = template.resources.iter().filter(|r| IAM.contains(&r.resource_type.as_str())).collect();
    if iam.is_empty() {
        return None;
    }
    let types: BTreeSet<&str> = iam.iter().map(|r| r.resource_type.as_str()).collect();
    let reason = format!(
        "The following resource(s) require capabilities: [{}]",
        types.into_iter().collect::<Vec<_>>().join(", ")
    );
    let named = iam.iter().any(|r| NAMES.iter().any(|n| r.properties.get(n).is_some()));
    Some((if named { "CAPABILITY_NAMED_IAM" } else { "CAPABILITY_IAM" }, reason))
}

/// AWS's refusal where a capability is missing. A change set shows what a transform makes before it is carried out,
/// so only a direct call (`auto_expand`) must acknowledge transforms.
pub(super) fn check(prepared: &Prepared, given: &[String], auto_expand: bool) -> Result<(), String> {
    let has = |name: &str| given.iter().any(|g| g == name);
    let mut missing = Vec::new();
    match required(&prepared.template) {
        Some(("CAPABILITY_NAMED_IAM", _)) if !has("CAPABILITY_NAMED_IAM") => missing.push("CAPABILITY_NAMED_IAM"),
        Some(("CAPABILITY_IAM", _)) if !has("CAPABILITY_IAM") && !has("CAPABILITY_NAMED_IAM") => {
            missing.push("CAPABILITY_IAM");
        }
        _ => {}
    }
    if auto_expand && !prepared.transforms.is_empty() && !has("CAPABILITY_AUTO_EXPAND") {
        missing.push("CAPABILITY_AUTO_EXPAND");
    }
    if missing.is_empty() { Ok(()) } else { Err(format!("Requires capabilities : [{}]", missing.join(", "))) }
}
