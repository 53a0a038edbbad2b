use regex_lite::Regex;
use serde::{Deserialize, Serialize};
use service::Fault;

use super::{NAME_CHARS_MAX, Parameter, history, key, too_many_tags};
use crate::check;
use crate::tag::{self, Tag, Tags};
use crate::tx::{Outcome, Tx, View};

const LEVELS_MAX: usize = 15;
const STANDARD_BYTES_MAX: usize = 4096;
const ADVANCED_BYTES_MAX: usize = 8192;
/// Versions kept; the oldest makes room for a new one.
const VERSIONS_MAX: u64 = 100;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct PutParameter {
    name: String,
    description: Option<String>,
    value: String,
    r#type: Option<String>,
    key_id: Option<String>,
    #[serde(default)]
    overwrite: bool,
    allowed_pattern: Option<String>,
    #[serde(default)]
    tags: Vec<Tag>,
    tier: Option<String>,
    policies: Option<String>,
    data_type: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Written {
    version: u64,
    tier: String,
}

pub(super) fn put_parameter(tx: &mut Tx<'_>, input: PutParameter) -> Outcome<Written> {
    check_name(&input.name)?;
    check::length(input.description.as_deref().unwrap_or(""), "description", 0, 1024)?;
    if input.policies.as_deref().is_some_and(|p| !["", "[]", "{}"].contains(&p.trim())) {
        let message = "Parameter policies are not supported.";
        return Err(Fault::client("InvalidPolicyTypeException", message).into());
    }
    let old: Option<Parameter> = tx.get(&key(tx, &input.name))?;
    if old.is_some() && !input.overwrite {
        let message = "The parameter already exists. To overwrite this value, set the overwrite option in the request \
                       to true.";
        return Err(Fault::client("ParameterAlreadyExists", message).into());
    }
    if input.overwrite && !input.tags.is_empty() {
        let message = "Invalid request: tags and overwrite can't be used together. To create a parameter with tags, \
                       please remove overwrite flag. To update tags for an existing parameter, please use \
                       AddTagsToResource or RemoveTagsFromResource.";
        return Err(Fault::validation(message).into());
    }
    let mut parameter = merged(tx, input, old)?;
    check_value(&parameter)?;
    let written = Written { version: parameter.version, tier: parameter.tier.clone() };
    let (newest, past) = (key(tx, &parameter.name), history(tx, &parameter.name));
    tx.put(newest, &parameter)?;
    if let Some(oldest) = parameter.version.checked_sub(VERSIONS_MAX) {
        tx.delete(past.clone().u64(oldest));
    }
    parameter.tags = Tags::new();
    tx.put(past.u64(parameter.version), &parameter)?;
    Ok(written)
}

/// The new version: what the request leaves out stays as it was.
fn merged(view: &View<'_>, input: PutParameter, old: Option<Parameter>) -> Outcome<Parameter> {
    let kind = match (input.r#type, &old) {
        (Some(kind), _) => one_of(kind, "type", &["String", "StringList", "SecureString"])?,
        (None, Some(old)) => old.kind.clone(),
        (None, None) => {
            return Err(Fault::validation("A parameter type is required when you create a parameter.").into());
        }
    };
    let tier = match (input.tier, &old) {
        (Some(tier), _) => one_of(tier, "tier", &["Standard", "Advanced", "Intelligent-Tiering"])?,
        (None, Some(old)) => old.tier.clone(),
        (None, None) => "Standard".to_owned(),
    };
    // Intelligent tiering is Advanced for what Standard cannot hold.
    let tier = match &*tier {
        "Intelligent-Tiering" if input.value.len() > STANDARD_BYTES_MAX => "Advanced".to_owned(),
        "Intelligent-Tiering" => "Standard".to_owned(),
        _ => tier,
    };
    let data_type = input.data_type.filter(|d| !d.is_empty()).unwrap_or_else(|| "text".to_owned());
    let data_type = one_of(data_type, "dataType", &["text", "aws:ec2:image", "aws:ssm:integration"])?;
    let mut tags = old.as_ref().map(|o| o.tags.clone()).unwrap_or_default();
    tag::add(&mut tags, input.tags, too_many_tags)?;
    let default_key = || (kind == "SecureString").then(|| "alias/aws/ssm".to_owned());
    let key_id = input.key_id.or_else(|| old.as_ref().and_then(|o| o.key_id.clone())).or_else(default_key);
    Ok(Parameter {
        name: input.name,
        key_id: key_id.filter(|_| kind == "SecureString"),
        kind,
        value: input.value,
        version: old.as_ref().map_or(1, |o| o.version + 1),
        modified: view.now_seconds(),
        modified_by: view.call.principal.to_string(),
        description: input.description.or_else(|| old.as_ref().and_then(|o| o.description.clone())),
        allowed_pattern: input.allowed_pattern.or_else(|| old.as_ref().and_then(|o| o.allowed_pattern.clone())),
        tier,
        data_type,
        tags,
    })
}

fn one_of(value: String, member: &str, allowed: &[&str]) -> Result<String, Fault> {
    if allowed.contains(&value.as_str()) {
        return Ok(value);
    }
    let constraint = format!("Member must satisfy enum value set: [{}]", allowed.join(", "));
    Err(check::broken(&value, member, &constraint))
}

fn check_name(name: &str) -> Result<(), Fault> {
    check::length(name, "name", 1, NAME_CHARS_MAX)?;
    let levels: Vec<&str> = name.trim_start_matches('/').split('/').collect();
    let lower = levels[0].to_ascii_lowercase();
    if lower.starts_with("aws") || lower.starts_with("ssm") {
        return Err(if levels.len() > 1 && lower.starts_with("aws") {
            Fault::client("AccessDeniedException", format!("No access to reserved parameter name: {name}."))
        } else {
            Fault::validation("Parameter name: can't be prefixed with \"aws\" or \"ssm\" (case-insensitive).")
        });
    }
    if !name.starts_with('/') && levels.len() > 1 {
        return Err(Fault::validation("Parameter name must be a fully qualified name."));
    }
    let is_plain =
        |level: &&str| !level.is_empty() && level.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b));
    if !levels.iter().all(is_plain) {
        let message = "Parameter name: can't be prefixed with \"aws\" or \"ssm\" (case-insensitive) or end with \
                       \"/\". If formed as a path, it can consist of sub-paths divided by slash symbol; each sub-path \
                       can be formed as a mix of letters, numbers and the following 3 symbols .-_";
        return Err(Fault::validation(message));
    }
    if name.starts_with('/') && levels.len() > LEVELS_MAX {
        let message = format!("Hierarchy levels may not exceed {LEVELS_MAX}.");
        return Err(Fault::client("HierarchyLevelLimitExceededException", message));
    }
    Ok(())
}

fn check_value(parameter: &Parameter) -> Result<(), Fault> {
    let size = parameter.value.len();
    if size == 0 {
        let constraint = "Member must have length greater than or equal to 1";
        return Err(check::broken("", "value", constraint));
    }
    if parameter.tier == "Standard" && size > STANDARD_BYTES_MAX {
        return Err(Fault::validation(format!(
            "Standard tier parameters support a maximum parameter value of {STANDARD_BYTES_MAX} characters. To create a \
             larger parameter value, upgrade the parameter to use the advanced-parameter tier."
        )));
    }
    if size > ADVANCED_BYTES_MAX {
        return Err(Fault::validation(format!(
            "Advanced tier parameters support a maximum parameter value of {ADVANCED_BYTES_MAX} characters."
        )));
    }
    let Some(pattern) = parameter.allowed_pattern.as_deref().filter(|p| !p.is_empty()) else { return Ok(()) };
    check::length(pattern, "allowedPattern", 0, 1024)?;
    let regex = Regex::new(pattern).map_err(|_| {
        let message = format!("The request does not meet the regular expression requirement: {pattern}");
        Fault::client("InvalidAllowedPatternException", message)
    })?;
    let is_match = |value: &str| regex.is_match(value);
    let matches = match &*parameter.kind {
        "StringList" => parameter.value.split(',').all(is_match),
        _ => is_match(&parameter.value),
    };
    if matches {
        return Ok(());
    }
    let message = format!("Parameter value, cannot be validated against allowedPattern: {pattern}");
    Err(Fault::client("ParameterPatternMismatchException", message))
}
