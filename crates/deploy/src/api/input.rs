//! Inputs that several operations share.

use serde::Deserialize;
use serde_json::Value;
use service::{Call, Fault};

use crate::Deployer;
use crate::engine::stored::{Goal, OnFailure, Source};
use crate::engine::{Template, refused};
use crate::template::Given;

/// TemplateBody may be so long; larger templates come by TemplateURL.
const TEMPLATE_BODY_BYTES_MAX: usize = 51_200;
const TAGS_MAX: usize = 50;

#[derive(Deserialize, Clone, Default)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Parameter {
    parameter_key: Option<String>,
    parameter_value: Option<String>,
    use_previous_value: Option<bool>,
}

#[derive(Deserialize, Clone)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Tag {
    key: String,
    value: String,
}

/// Where a template comes from.
#[derive(Deserialize, Clone, Default)]
#[serde(rename_all = "PascalCase")]
pub(super) struct TemplateInput {
    pub template_body: Option<String>,
    #[serde(rename = "TemplateURL")]
    pub template_url: Option<String>,
    pub use_previous_template: Option<bool>,
}

/// Members that are refused when given, because ignoring them would be wrong.
#[derive(Deserialize, Clone, Default)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Unsupported {
    rollback_configuration: Option<Value>,
    stack_policy_body: Option<String>,
    #[serde(rename = "StackPolicyURL")]
    stack_policy_url: Option<String>,
    resources_to_import: Option<Vec<Value>>,
    import_existing_resources: Option<bool>,
    include_nested_stacks: Option<bool>,
}

impl Unsupported {
    pub fn check(&self) -> Result<(), Fault> {
        let triggers = self.rollback_configuration.as_ref().and_then(|r| r.get("RollbackTriggers"));
        let found = [
            ("RollbackConfiguration", triggers.and_then(Value::as_array).is_some_and(|t| !t.is_empty())),
            ("StackPolicyBody", self.stack_policy_body.is_some()),
            ("StackPolicyURL", self.stack_policy_url.is_some()),
            ("ResourcesToImport", self.resources_to_import.as_ref().is_some_and(|r| !r.is_empty())),
            ("ImportExistingResources", self.import_existing_resources == Some(true)),
            ("IncludeNestedStacks", self.include_nested_stacks == Some(true)),
        ];
        match found.iter().find(|(_, given)| *given) {
            Some((name, _)) => Err(refused(format!("{name} is not supported"))),
            None => Ok(()),
        }
    }
}

pub(super) fn given(parameters: Option<Vec<Parameter>>) -> Result<Vec<Given>, Fault> {
    let one = |p: Parameter| {
        let key = p.parameter_key.ok_or_else(|| refused("ParameterKey must not be null"))?;
        if p.parameter_value.is_some() && p.use_previous_value == Some(true) {
            return Err(refused(format!(
                "Invalid input for parameter key {key}. Cannot specify usePreviousValue as true and non empty value for a parameter"
            )));
        }
        // A value that is not there is an empty one, as the Query protocol drops it.
        let use_previous = p.use_previous_value == Some(true);
        let value = if use_previous { None } else { Some(p.parameter_value.unwrap_or_default()) };
        Ok(Given { key, value, use_previous })
    };
    parameters.unwrap_or_default().into_iter().map(one).collect()
}

pub(super) fn tags(tags: Option<Vec<Tag>>) -> Result<Option<Vec<(String, String)>>, Fault> {
    let Some(tags) = tags else { return Ok(None) };
    if tags.len() > TAGS_MAX {
        return Err(refused(format!(
            "1 validation error detected: Value at 'tags' failed to satisfy constraint: Member must have length less than \
             or equal to {TAGS_MAX}"
        )));
    }
    if let Some(tag) = tags.iter().find(|t| t.key.starts_with("aws:")) {
        return Err(refused(format!("System tags cannot be added/updated/deleted by requester: {}", tag.key)));
    }
    let mut pairs: Vec<(String, String)> = tags.into_iter().map(|t| (t.key, t.value)).collect();
    pairs.sort();
    if let Some(twice) = pairs.windows(2).find(|w| w[0].0 == w[1].0) {
        return Err(refused(format!("Duplicate Tag Keys are not permitted: {}", twice[0].0)));
    }
    Ok(Some(pairs))
}

/// What a request's goal is made of, besides parameters and tags.
pub(super) fn goal(capabilities: Option<Vec<String>>, role_arn: Option<String>, arns: Option<Vec<String>>) -> Goal {
    Goal {
        capabilities: capabilities.unwrap_or_default(),
        role_arn,
        notification_arns: arns.unwrap_or_default(),
        ..Goal::default()
    }
}

pub(super) fn on_failure(text: Option<&str>, disable_rollback: Option<bool>) -> Result<Option<OnFailure>, Fault> {
    match (text, disable_rollback) {
        (Some(_), Some(true)) => Err(refused("You can specify either OnFailure or DisableRollback, but not both.")),
        (Some("DO_NOTHING"), _) | (None, Some(true)) => Ok(Some(OnFailure::Nothing)),
        (Some("ROLLBACK"), _) => Ok(Some(OnFailure::Rollback)),
        (Some("DELETE"), _) => Ok(Some(OnFailure::Delete)),
        (None, _) => Ok(None),
        (Some(other), _) => Err(refused(format!(
            "1 validation error detected: Value '{other}' at 'onFailure' failed to satisfy constraint: Member must satisfy \
             enum value set: [DO_NOTHING, ROLLBACK, DELETE]"
        ))),
    }
}

impl TemplateInput {
    /// The text that the request names, if it names one.
    pub async fn text(&self, deployer: &Deployer, call: &Call) -> Result<Option<String>, Fault> {
        match (&self.template_body, &self.template_url) {
            (Some(_), Some(_)) => Err(refused("You can only specify one of TemplateBody or TemplateURL")),
            (Some(body), None) if body.len() > TEMPLATE_BODY_BYTES_MAX => Err(refused(format!(
                "1 validation error detected: Value at 'templateBody' failed to satisfy constraint: Member must have length \
                 less than or equal to {TEMPLATE_BODY_BYTES_MAX}"
            ))),
            (Some(body), None) => Ok(Some(body.clone())),
            (None, Some(url)) => super::template_url::fetch(deployer, call, url).await.map(Some),
            (None, None) => Ok(None),
        }
    }

    /// The template of an update or a change set.
    pub async fn template(&self, deployer: &Deployer, call: &Call) -> Result<Template, Fault> {
        let text = self.text(deployer, call).await?;
        match (text, self.use_previous_template) {
            (Some(_), Some(true)) => Err(refused("You cannot specify both usePreviousTemplate and a template")),
            (Some(text), _) => Ok(Template::Given(Source { text, artifacts: Vec::new() })),
            (None, Some(true)) => Ok(Template::Previous),
            (None, _) => Err(refused("Either Template URL or Template Body must be specified.")),
        }
    }
}
