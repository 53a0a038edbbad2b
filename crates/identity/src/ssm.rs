//! Systems Manager's Parameter Store.
//!
//! The newest version of a parameter is one record, its history another for each version. SecureString values are
//! stored as they came; without `WithDecryption` they are not shown.

mod filter;
mod list;
mod put;

use base::Arn;
use serde::{Deserialize, Serialize};
use service::{Fault, Service};
use store::{Error, Key};

use crate::check;
use crate::identity::{Identity, Operations};
use crate::tag::{self, Tag, Tags};
use crate::tx::{Outcome, Tx, View};

const NAME_CHARS_MAX: usize = 2048;
/// Parameters that one call names.
const NAMES_MAX: usize = 10;

pub(crate) fn service(identity: &Identity) -> Service {
    let mut operations = Operations::new("ssm", identity);
    operations
        .write("PutParameter", put::put_parameter)
        .read("GetParameter", get_parameter)
        .read("GetParameters", get_parameters)
        .write("DeleteParameter", delete_parameter)
        .write("DeleteParameters", delete_parameters)
        .read("ListTagsForResource", list_tags_for_resource)
        .write("AddTagsToResource", add_tags_to_resource)
        .write("RemoveTagsFromResource", remove_tags_from_resource);
    list::register(&mut operations);
    operations.done()
}

/// One version of a parameter, as it is stored.
#[derive(Clone, Serialize, Deserialize)]
struct Parameter {
    name: String,
    kind: String,
    value: String,
    version: u64,
    modified: f64,
    modified_by: String,
    #[serde(default)]
    description: Option<String>,
    #[serde(default)]
    key_id: Option<String>,
    #[serde(default)]
    allowed_pattern: Option<String>,
    tier: String,
    data_type: String,
    /// In the newest version's record only.
    #[serde(default)]
    tags: Tags,
}

/// A parameter with its value, as it is answered.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Shown {
    name: String,
    r#type: String,
    value: String,
    version: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    selector: Option<String>,
    last_modified_date: f64,
    #[serde(rename = "ARN")]
    arn: String,
    data_type: String,
}

#[derive(Serialize)]
struct Nothing {}

fn space(view: &View<'_>) -> Key {
    Key::new("ssm").str(view.scope().account()).str(view.scope().region())
}

fn key(view: &View<'_>, name: &str) -> Key {
    space(view).str(name)
}

fn history(view: &View<'_>, name: &str) -> Key {
    Key::new("ssm-history").str(view.scope().account()).str(view.scope().region()).str(name)
}

fn not_found(name: &str) -> Fault {
    Fault::client("ParameterNotFound", format!("Parameter {name} not found."))
}

fn too_many_tags() -> Fault {
    Fault::client("TooManyTagsError", format!("A parameter can have at most {} tags.", tag::TAGS_MAX))
}

impl Parameter {
    fn arn(&self, view: &View<'_>) -> String {
        let separator = if self.name.starts_with('/') { "" } else { "/" };
        view.scope().arn("ssm", format_args!("parameter{separator}{}", self.name)).to_string()
    }

    fn shown(self, view: &View<'_>, selector: Option<String>, decrypt: bool) -> Shown {
        Shown {
            arn: self.arn(view),
            value: self.visible_value(decrypt),
            name: self.name,
            r#type: self.kind,
            version: self.version,
            selector,
            last_modified_date: self.modified,
            data_type: self.data_type,
        }
    }

    /// Where AWS shows a cipher text we show that there is one: it must not be the value.
    fn visible_value(&self, decrypt: bool) -> String {
        use base64::Engine;
        if decrypt || self.kind != "SecureString" {
            return self.value.clone();
        }
        let text = format!("sealed:{}:{}", self.name, self.version);
        base64::engine::general_purpose::STANDARD.encode(text)
    }
}

/// Takes `name:3` or an ARN apart: the name, and the version's number or label.
fn split_name<'a>(view: &View<'_>, id: &'a str) -> Result<(String, Option<&'a str>), Fault> {
    check::length(id, "name", 1, NAME_CHARS_MAX)?;
    let Some(rest) = id.strip_prefix("arn:") else {
        let (name, selector) = id.split_once(':').map_or((id, None), |(name, selector)| (name, Some(selector)));
        return Ok((name.to_owned(), selector));
    };
    let arn: Arn = id.parse().map_err(|_| not_found(id))?;
    let is_here = arn.account() == view.scope().account() && arn.region() == view.scope().region();
    let resource = rest.splitn(5, ':').nth(4).and_then(|r| r.strip_prefix("parameter")).filter(|_| is_here);
    let resource = resource.ok_or_else(|| not_found(id))?;
    let (path, selector) = resource.split_once(':').map_or((resource, None), |(p, s)| (p, Some(s)));
    // `parameter/a` is the name `a`, or else `/a`.
    let name = path.strip_prefix('/').unwrap_or(path);
    Ok((if name.contains('/') { path.to_owned() } else { name.to_owned() }, selector))
}

/// A parameter in the version that its name asks for.
fn find(view: &View<'_>, id: &str) -> Outcome<(Parameter, Option<String>)> {
    let (name, selector) = split_name(view, id)?;
    let newest = match view.get::<Parameter>(&key(view, &name))? {
        None if id.starts_with("arn:") => view.get::<Parameter>(&key(view, &format!("/{name}")))?,
        found => found,
    };
    let newest = newest.ok_or_else(|| not_found(id))?;
    let Some(selector) = selector else { return Ok((newest, None)) };
    let missing = || {
        let message =
            format!("Systems Manager could not find version {selector} of {name}. Verify the version and try again.");
        Fault::client("ParameterVersionNotFound", message)
    };
    let version: u64 = selector.parse().map_err(|_| missing())?;
    let found = view.get::<Parameter>(&history(view, &newest.name).u64(version))?.ok_or_else(missing)?;
    Ok((found, Some(format!(":{selector}"))))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GetParameter {
    name: String,
    with_decryption: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct OneParameter {
    parameter: Shown,
}

fn get_parameter(view: &View<'_>, input: GetParameter) -> Outcome<OneParameter> {
    let (found, selector) = find(view, &input.name)?;
    Ok(OneParameter { parameter: found.shown(view, selector, input.with_decryption == Some(true)) })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GetParameters {
    names: Vec<String>,
    with_decryption: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Parameters {
    parameters: Vec<Shown>,
    invalid_parameters: Vec<String>,
}

fn check_names(names: &[String]) -> Result<(), Fault> {
    if (1..=NAMES_MAX).contains(&names.len()) {
        return Ok(());
    }
    let constraint = format!("Member must have length between 1 and {NAMES_MAX}");
    Err(check::broken(&names.join(", "), "names", &constraint))
}

fn get_parameters(view: &View<'_>, mut input: GetParameters) -> Outcome<Parameters> {
    check_names(&input.names)?;
    input.names.sort();
    input.names.dedup();
    let mut answer = Parameters { parameters: Vec::new(), invalid_parameters: Vec::new() };
    for name in input.names {
        match find(view, &name) {
            Ok((found, selector)) => {
                answer.parameters.push(found.shown(view, selector, input.with_decryption == Some(true)));
            }
            Err(crate::tx::Failure::Fault(_)) => answer.invalid_parameters.push(name),
            Err(failure) => return Err(failure),
        }
    }
    Ok(answer)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Name {
    name: String,
}

fn delete_parameter(tx: &mut Tx<'_>, input: Name) -> Outcome<Nothing> {
    if !delete(tx, &input.name)? {
        return Err(not_found(&input.name).into());
    }
    Ok(Nothing {})
}

fn delete(tx: &mut Tx<'_>, name: &str) -> Result<bool, Error> {
    let key = key(tx, name);
    if !tx.has(&key)? {
        return Ok(false);
    }
    tx.delete(key);
    let history = history(tx, name);
    tx.delete_all(&history)?;
    Ok(true)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Names {
    names: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Deleted {
    deleted_parameters: Vec<String>,
    invalid_parameters: Vec<String>,
}

fn delete_parameters(tx: &mut Tx<'_>, mut input: Names) -> Outcome<Deleted> {
    check_names(&input.names)?;
    input.names.sort();
    input.names.dedup();
    let mut answer = Deleted { deleted_parameters: Vec::new(), invalid_parameters: Vec::new() };
    for name in input.names {
        if delete(tx, &name)? {
            answer.deleted_parameters.push(name);
        } else {
            answer.invalid_parameters.push(name);
        }
    }
    Ok(answer)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Resource {
    resource_type: String,
    resource_id: String,
    #[serde(default)]
    tags: Vec<Tag>,
    #[serde(default)]
    tag_keys: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct TagList {
    tag_list: Vec<Tag>,
}

impl Resource {
    fn parameter(&self, view: &View<'_>) -> Outcome<Parameter> {
        if self.resource_type != "Parameter" {
            let message = format!("Resource type {} is not supported; Parameter is.", self.resource_type);
            return Err(Fault::client("InvalidResourceType", message).into());
        }
        let found = view.get(&key(view, &self.resource_id))?;
        let message = format!("The resource ID \"{}\" is not valid. Verify the ID and try again.", self.resource_id);
        Ok(found.ok_or_else(|| Fault::client("InvalidResourceId", message))?)
    }
}

fn list_tags_for_resource(view: &View<'_>, input: Resource) -> Outcome<TagList> {
    Ok(TagList { tag_list: tag::list(&input.parameter(view)?.tags) })
}

fn add_tags_to_resource(tx: &mut Tx<'_>, input: Resource) -> Outcome<Nothing> {
    let mut parameter = input.parameter(tx)?;
    tag::add(&mut parameter.tags, input.tags, too_many_tags)?;
    let key = key(tx, &parameter.name);
    tx.put(key, &parameter)?;
    Ok(Nothing {})
}

fn remove_tags_from_resource(tx: &mut Tx<'_>, input: Resource) -> Outcome<Nothing> {
    let mut parameter = input.parameter(tx)?;
    parameter.tags.retain(|key, _| !input.tag_keys.contains(key));
    let key = key(tx, &parameter.name);
    tx.put(key, &parameter)?;
    Ok(Nothing {})
}
