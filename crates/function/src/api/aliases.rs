use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value, json};
use service::{Call, Fault};

use super::{at_most, listed, need, nothing, page};
use crate::Functions;
use crate::catalogue::record::AliasRecord;
use crate::catalogue::{Editor, Function};
use crate::fault::{conflict, constraint, function_not_found, invalid_parameter, not_found, precondition_failed};
use crate::name::{FunctionKey, LATEST, Named, is_word};

const PAGE_ITEMS: usize = 50;

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct AliasInput {
    function_name: Option<String>,
    name: Option<String>,
    function_version: Option<String>,
    description: Option<String>,
    routing_config: Option<Routing>,
    revision_id: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Routing {
    #[serde(default)]
    additional_version_weights: BTreeMap<String, f64>,
}

impl AliasInput {
    fn parse(&self, call: &Call) -> Result<(FunctionKey, String), Fault> {
        let key = Named::parse_unqualified(&call.scope, need(self.function_name.as_ref(), "functionName")?)?;
        let name = need(self.name.as_ref(), "name")?;
        if !is_word(name) || name.len() > 128 || name.bytes().all(|b| b.is_ascii_digit()) {
            let must = "satisfy regular expression pattern: (?!^[0-9]+$)([a-zA-Z0-9-_]+)";
            return Err(constraint(name, "name", must));
        }
        if let Some(description) = &self.description {
            at_most(description, "description", 256)?;
        }
        Ok((key, name.to_owned()))
    }

    /// Changes an alias as asked.
    fn apply(&self, key: &FunctionKey, function: &Function, alias: &mut AliasRecord) -> Result<(), Fault> {
        let exists = |version: &String| match function.version(version) {
            Some(_) => Ok(()),
            None => Err(function_not_found(&key.qualified_arn(version))),
        };
        if let Some(version) = &self.function_version {
            exists(version)?;
            alias.version.clone_from(version);
        }
        if let Some(description) = &self.description {
            alias.description.clone_from(description);
        }
        if let Some(routing) = &self.routing_config {
            let weights = &routing.additional_version_weights;
            weights.keys().try_for_each(exists)?;
            if weights.len() > 1 || weights.values().any(|w| !(0.0..=1.0).contains(w)) {
                return Err(invalid_parameter(
                    "AdditionalVersionWeights takes one version, with a weight from 0.0 to 1.0",
                ));
            }
            alias.weights = weights.clone();
        }
        if !alias.weights.is_empty() && (alias.version == LATEST || alias.weights.contains_key(LATEST)) {
            return Err(invalid_parameter("$LATEST is not supported for an alias pointing to more than 1 version"));
        }
        if alias.weights.contains_key(&alias.version) {
            return Err(invalid_parameter(format!(
                "Invalid function version {}. Function version {} is already included in routing configuration.",
                alias.version, alias.version
            )));
        }
        Ok(())
    }
}

fn shown(key: &FunctionKey, name: &str, alias: &AliasRecord) -> Value {
    let mut shown = json!({
        "AliasArn": key.qualified_arn(name),
        "Name": name,
        "FunctionVersion": alias.version,
        "Description": alias.description,
        "RevisionId": alias.revision_id,
    });
    if !alias.weights.is_empty() {
        shown["RoutingConfig"] = json!({"AdditionalVersionWeights": alias.weights});
    }
    shown
}

fn missing(key: &FunctionKey, name: &str) -> Fault {
    not_found(format!("Cannot find alias arn: {}", key.qualified_arn(name)))
}

pub(super) async fn create_alias(functions: Arc<Functions>, call: Call, input: AliasInput) -> Result<Value, Fault> {
    let (key, name) = input.parse(&call)?;
    need(input.function_version.as_ref(), "functionVersion")?;
    let revision_id = functions.revision_id();
    let edit = move |editor: &mut Editor<'_, '_>| {
        let old = editor.function(&key).ok_or_else(|| function_not_found(&key.arn()))?;
        if old.record.aliases.contains_key(&name) {
            return Err(conflict(format!("Alias already exists: {}", key.qualified_arn(&name))));
        }
        let mut alias =
            AliasRecord { version: String::new(), description: String::new(), weights: BTreeMap::new(), revision_id };
        input.apply(&key, &old, &mut alias)?;
        let answer = shown(&key, &name, &alias);
        editor.put_function(&key, old.edited(|record| drop(record.aliases.insert(name, alias))));
        Ok(answer)
    };
    functions.catalogue.change(call.effect, edit).await
}

pub(super) async fn update_alias(functions: Arc<Functions>, call: Call, input: AliasInput) -> Result<Value, Fault> {
    let (key, name) = input.parse(&call)?;
    let revision_id = functions.revision_id();
    let edit = move |editor: &mut Editor<'_, '_>| {
        let old = editor.function(&key).ok_or_else(|| missing(&key, &name))?;
        let mut alias = old.record.aliases.get(&name).ok_or_else(|| missing(&key, &name))?.clone();
        if input.revision_id.as_ref().is_some_and(|given| *given != alias.revision_id) {
            return Err(precondition_failed("GetFunction/GetAlias"));
        }
        input.apply(&key, &old, &mut alias)?;
        alias.revision_id = revision_id;
        let answer = shown(&key, &name, &alias);
        editor.put_function(&key, old.edited(|record| drop(record.aliases.insert(name, alias))));
        Ok(answer)
    };
    functions.catalogue.change(call.effect, edit).await
}

pub(super) async fn get_alias(functions: Arc<Functions>, call: Call, input: AliasInput) -> Result<Value, Fault> {
    let (key, name) = input.parse(&call)?;
    let function = functions.catalogue.function(&key).ok_or_else(|| missing(&key, &name))?;
    let alias = function.record.aliases.get(&name).ok_or_else(|| missing(&key, &name))?;
    Ok(shown(&key, &name, alias))
}

pub(super) async fn delete_alias(functions: Arc<Functions>, call: Call, input: AliasInput) -> Result<Value, Fault> {
    let (key, name) = input.parse(&call)?;
    let edit = move |editor: &mut Editor<'_, '_>| {
        // Deleting what is not there is no error here, as on AWS.
        if let Some(old) = editor.function(&key).filter(|f| f.record.aliases.contains_key(&name)) {
            editor.put_function(&key, old.edited(|record| drop(record.aliases.remove(&name))));
        }
        Ok(nothing())
    };
    functions.catalogue.change(call.effect, edit).await
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListAliases {
    function_name: Option<String>,
    function_version: Option<String>,
    marker: Option<String>,
    max_items: Option<i64>,
}

pub(super) async fn list_aliases(functions: Arc<Functions>, call: Call, input: ListAliases) -> Result<Value, Fault> {
    let key = Named::parse_unqualified(&call.scope, need(input.function_name.as_ref(), "functionName")?)?;
    let function = functions.catalogue.function(&key).ok_or_else(|| function_not_found(&key.arn()))?;
    let wanted = function.record.aliases.iter();
    let wanted = wanted.filter(|(_, a)| input.function_version.as_ref().is_none_or(|v| *v == a.version));
    let entries = wanted.map(|(name, alias)| (name.clone(), shown(&key, name, alias)));
    let (items, next) = page(entries, input.marker.as_deref(), input.max_items, PAGE_ITEMS);
    Ok(listed("Aliases", items, next))
}
