//! From a stored source and parameter values to a template that can be carried out.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::stored::{Artifact, Source, StoredParameter};
use crate::provider;
use crate::sam;
use crate::template::{
    self, Bound, Diagnostic, Diagnostics, Environment, Evaluator, Given, Node, ParameterKind, ParameterValue, Pseudo,
    Resource, Template,
};

/// A template with its parameters bound and its conditions decided.
pub(crate) struct Prepared {
    /// After transforms.
    pub root: Node,
    pub template: Template,
    pub transforms: Vec<String>,
    pub parameters: BTreeMap<String, Bound>,
    pub conditions: BTreeMap<String, bool>,
    pub pseudo: Pseudo,
}

/// A template's text with its local files put in, before transforms.
pub(crate) fn read(source: &Source) -> Result<(Node, Template), Diagnostics> {
    let mut root = template::parse(&source.text)?;
    put_artifacts(&mut root, &source.artifacts);
    let template = Template::from_node(&root)?;
    for (name, at) in &template.transforms {
        // The language extensions are always on.
        if name != sam::TRANSFORM && name != "AWS::LanguageExtensions" {
            return Err(Diagnostic::new(format!("No transform named {name} found."), *at).into());
        }
    }
    Ok((root, template))
}

fn put_artifacts(root: &mut Node, artifacts: &[Artifact]) {
    for artifact in artifacts {
        let resource = root.get_mut("Resources").and_then(|r| r.get_mut(&artifact.logical_id));
        let Some(resource) = resource else { continue };
        if resource.get("Properties").is_none_or(|p| !p.is_map()) {
            let at = resource.at;
            resource.set("Properties", Node::empty_map(at));
        }
        let Some(properties) = resource.get_mut("Properties") else { continue };
        let old = properties.get(&artifact.property).map(|n| n.at);
        let at = old.unwrap_or(properties.at);
        if artifact.target != artifact.property {
            properties.remove(&artifact.property);
        }
        properties.set(&artifact.target, Node::from_json(&artifact.value, at));
    }
}

/// Binds stored parameter values, whose parameter-store names are resolved already.
pub(crate) fn bind_stored(
    template: &Template,
    stored: &[StoredParameter],
) -> Result<BTreeMap<String, Bound>, Diagnostics> {
    let given: Vec<Given> = stored
        .iter()
        .filter(|s| template.parameter(&s.key).is_some())
        .map(|s| Given { key: s.key.clone(), value: Some(s.value.clone()), use_previous: false })
        .collect();
    let mut bound = template::bind(&template.parameters, &given, &BTreeMap::new())?;
    for parameter in stored {
        let Some(resolved) = &parameter.resolved else { continue };
        let list = template.parameter(&parameter.key).is_some_and(|p| p.kind == ParameterKind::SsmTexts);
        if let Some(bound) = bound.get_mut(&parameter.key) {
            bound.value = if list {
                ParameterValue::List(resolved.split(',').map(|t| t.trim().to_owned()).collect())
            } else {
                ParameterValue::Text(resolved.clone())
            };
        }
    }
    Ok(bound)
}

/// Transforms, checks and decides conditions.
pub(crate) fn prepare(
    source: &Source,
    parameters: &[StoredParameter],
    pseudo: Pseudo,
) -> Result<Prepared, Diagnostics> {
    let (root, first) = read(source)?;
    let bound = bind_stored(&first, parameters)?;
    let transforms: Vec<String> = first.transforms.iter().map(|(name, _)| name.clone()).collect();
    let (root, mut template) = if transforms.iter().any(|t| t == sam::TRANSFORM) {
        let root = sam::transform(&root, &bound)?;
        let template = Template::from_node(&root)?;
        (root, template)
    } else {
        (root, first)
    };
    template.transforms.clear();
    template::check(&template)?;
    let conditions = template::conditions(&template.conditions, &bound, &template.mappings, &pseudo)?;
    Ok(Prepared { root, template, transforms, parameters: bound, conditions, pseudo })
}

impl Prepared {
    pub fn evaluator<'a>(&'a self, environment: &'a dyn Environment) -> Evaluator<'a> {
        Evaluator {
            parameters: &self.parameters,
            mappings: &self.template.mappings,
            conditions: &self.conditions,
            pseudo: &self.pseudo,
            environment,
        }
    }

    /// The active resources in the order of their creation.
    pub fn order(&self) -> Result<Vec<(&Resource, BTreeSet<String>)>, Diagnostics> {
        Ok(template::order(&self.template, &self.conditions)?)
    }

    /// A resource's properties, evaluated and made to fit its type.
    pub fn properties(
        &self,
        resource: &Resource,
        environment: &dyn Environment,
        stack_tags: &[(String, String)],
    ) -> Result<Value, Diagnostics> {
        let id = &resource.logical_id;
        let provider =
            provider::find(&resource.resource_type).ok_or_else(|| Diagnostics::from(unsupported(resource)))?;
        let evaluated = self.evaluator(environment).evaluate(&resource.properties).map_err(|d| d.of(id))?;
        let evaluated = evaluated.unwrap_or_else(|| Node::empty_map(resource.at));
        let mut fitted = match provider::schema::fit(id, &evaluated, provider.schema()) {
            Ok(fitted) => fitted,
            Err(found) => return Diagnostics::unless_empty(found).map(|()| Value::Null),
        };
        provider.check(&fitted).map_err(|message| {
            let message = format!("Properties validation failed for resource {id} with message: #: {message}");
            Diagnostic::new(message, resource.properties.at).of(id)
        })?;
        provider::schema::add_stack_tags(&mut fitted, provider.schema(), stack_tags);
        Ok(fitted)
    }
}

/// A type that no provider knows.
pub(crate) fn unsupported(resource: &Resource) -> Diagnostic {
    let message = format!(
        "Template format error: Unrecognized resource types: [{}]; COMPAT.md lists the supported ones",
        resource.resource_type
    );
    Diagnostic::new(message, resource.type_at).of(&resource.logical_id)
}
