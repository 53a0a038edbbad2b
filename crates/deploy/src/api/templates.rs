//! GetTemplate, GetTemplateSummary, ValidateTemplate.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};
use service::{Call, Fault};

use super::input::TemplateInput;
use super::{Adder, compact};
use crate::Deployer;
use crate::engine::keys::StackKey;
use crate::engine::stored::{Goal, Source, Stack};
use crate::engine::{broken, faulty, prepare, pseudo, read, refused, required_capabilities};
use crate::template::{self, Parameter, ParameterKind, Template};
use crate::{provider, sam};

pub(super) fn add(add: &mut Adder<'_>) {
    add.operation("GetTemplate", get);
    add.operation("GetTemplateSummary", summary);
    add.operation("ValidateTemplate", validate);
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GetInput {
    stack_name: Option<String>,
    change_set_name: Option<String>,
    template_stage: Option<String>,
}

async fn get(deployer: Deployer, call: Call, input: GetInput) -> Result<Value, Fault> {
    let (stack, goal, source) = match (&input.change_set_name, &input.stack_name) {
        (Some(name), stack) => {
            let found = deployer.change_set(&call, name, stack.as_deref())?;
            (found.stack, found.change_set.goal, found.change_set.source)
        }
        (None, Some(name)) => of_stack(&deployer, &call, name)?,
        (None, None) => return Err(refused("Either StackName or ChangeSetName must be specified.")),
    };
    let body = match input.template_stage.as_deref() {
        None | Some("Original") => source.text.clone(),
        Some("Processed") => {
            let prepared = prepare(&source, &goal.parameters, pseudo(&stack, &goal)).map_err(|d| faulty(&d))?;
            if prepared.transforms.is_empty() { source.text.clone() } else { prepared.root.to_json().to_string() }
        }
        Some(other) => return Err(refused(format!("TemplateStage {other} must be Original or Processed"))),
    };
    Ok(json!({"TemplateBody": body, "StagesAvailable": ["Original", "Processed"]}))
}

/// The template that a stack is, or is becoming.
fn of_stack(deployer: &Deployer, call: &Call, name: &str) -> Result<(Stack, Goal, Source), Fault> {
    let found = deployer.repository().find(&call.scope, name).map_err(|e| broken(&e))?;
    let stack = found.ok_or_else(|| refused(format!("Stack with id {name} does not exist")))?;
    let goal = match &stack.operation {
        Some(operation) if stack.current.source.is_none() => operation.target.clone(),
        _ => stack.current.clone(),
    };
    let key = StackKey::new(&call.scope, &stack.uuid);
    // A creation that failed leaves its template, though the stack never became it.
    let number = goal.source.or_else(|| stack.source_count.checked_sub(1));
    let source = match number {
        Some(number) => deployer.repository().source(&key, number).map_err(|e| broken(&e))?,
        None => None,
    };
    let source = source.ok_or_else(|| refused(format!("Stack [{name}] has no template")))?;
    Ok((stack, goal, source))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SummaryInput {
    #[serde(flatten)]
    template: TemplateInput,
    stack_name: Option<String>,
}

async fn summary(deployer: Deployer, call: Call, input: SummaryInput) -> Result<Value, Fault> {
    let source = match (input.template.text(&deployer, &call).await?, &input.stack_name) {
        (Some(text), _) => Source { text, artifacts: Vec::new() },
        (None, Some(name)) => of_stack(&deployer, &call, name)?.2,
        (None, None) => return Err(refused("Either Template URL or Template Body must be specified.")),
    };
    let looked = look(&source)?;
    let template = &looked.first;
    let mut types: Vec<&str> = template.resources.iter().map(|r| r.resource_type.as_str()).collect();
    types.sort_unstable();
    types.dedup();
    let unrecognized: Vec<&str> =
        types.iter().copied().filter(|t| provider::find(t).is_none() && !t.starts_with("AWS::Serverless::")).collect();
    let mut answer = json!({
        "Parameters": template.parameters.iter().map(declaration).collect::<Vec<_>>(),
        "Description": template.description,
        "ResourceTypes": types,
        "Version": looked.version,
        "Metadata": template.metadata.as_ref().map(|m| m.to_json().to_string()),
        "DeclaredTransforms": looked.transforms,
        "Capabilities": looked.capabilities.0,
        "CapabilitiesReason": looked.capabilities.1,
    });
    if !unrecognized.is_empty() {
        answer["Warnings"] = json!({"UnrecognizedResourceTypes": unrecognized});
    }
    Ok(compact(answer))
}

async fn validate(deployer: Deployer, call: Call, input: TemplateInput) -> Result<Value, Fault> {
    let text = input.text(&deployer, &call).await?;
    let text = text.ok_or_else(|| refused("Either Template URL or Template Body must be specified."))?;
    let looked = look(&Source { text, artifacts: Vec::new() })?;
    let parameter = |p: &Parameter| {
        compact(json!({
            "ParameterKey": p.name,
            "DefaultValue": p.default,
            "NoEcho": p.no_echo,
            "Description": p.description,
        }))
    };
    Ok(compact(json!({
        "Parameters": looked.first.parameters.iter().map(parameter).collect::<Vec<_>>(),
        "Description": looked.first.description,
        "Capabilities": looked.capabilities.0,
        "CapabilitiesReason": looked.capabilities.1,
        "DeclaredTransforms": looked.transforms,
    })))
}

/// What a template says of itself, without parameter values.
struct Looked {
    first: Template,
    version: Option<String>,
    transforms: Vec<String>,
    capabilities: (Vec<String>, Option<String>),
}

fn look(source: &Source) -> Result<Looked, Fault> {
    let (root, first) = read(source).map_err(|d| faulty(&d))?;
    let transforms: Vec<String> = first.transforms.iter().map(|(name, _)| name.clone()).collect();
    let transformed = if transforms.iter().any(|t| t == sam::TRANSFORM) {
        let root = sam::transform(&root, &stand_ins(&first)).map_err(|d| faulty(&d))?;
        Template::from_node(&root).map_err(|d| faulty(&d))?
    } else {
        template::check(&first).map_err(|d| faulty(&d))?;
        first.clone()
    };
    let mut capabilities = Vec::new();
    let mut reason = None;
    if let Some((name, why)) = required_capabilities(&transformed) {
        capabilities.push(name.to_owned());
        reason = Some(why);
    }
    if !transforms.is_empty() {
        capabilities.push("CAPABILITY_AUTO_EXPAND".to_owned());
        let why = format!("The following resource(s) require capabilities: [{}]", transforms.join(", "));
        reason.get_or_insert(why);
    }
    let version = root.get("AWSTemplateFormatVersion").and_then(|v| v.scalar().map(|s| s.into_owned()));
    Ok(Looked { first, version, transforms, capabilities: (capabilities, reason) })
}

/// Values for parameters that nobody has given yet: defaults, or their names.
fn stand_ins(template: &Template) -> BTreeMap<String, template::Bound> {
    let bound = |p: &Parameter| {
        let text = p.default.clone().unwrap_or_else(|| p.name.clone());
        let value = match p.kind {
            ParameterKind::Texts | ParameterKind::Numbers | ParameterKind::SsmTexts => {
                template::ParameterValue::List(vec![text.clone()])
            }
            _ => template::ParameterValue::Text(text.clone()),
        };
        (p.name.clone(), template::Bound { text, value })
    };
    template.parameters.iter().map(bound).collect()
}

fn declaration(p: &Parameter) -> Value {
    let constraints = if p.allowed_values.is_empty() { json!({}) } else { json!({"AllowedValues": p.allowed_values}) };
    compact(json!({
        "ParameterKey": p.name,
        "DefaultValue": p.default,
        "ParameterType": p.type_name,
        "NoEcho": p.no_echo,
        "Description": p.description,
        "ParameterConstraints": constraints,
    }))
}
