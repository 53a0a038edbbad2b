use serde::{Deserialize, Serialize};
use service::Fault;

use super::filter::{Filter, OldFilter, is_below};
use super::{Parameter, Shown, history, key, not_found, space};
use crate::check;
use crate::identity::Operations;
use crate::page::{BadToken, page};
use crate::tx::{Outcome, View};

pub(super) fn register(operations: &mut Operations) {
    operations
        .read("DescribeParameters", describe_parameters)
        .read("GetParametersByPath", get_parameters_by_path)
        .read("GetParameterHistory", get_parameter_history);
}

fn bad_token(_: BadToken) -> Fault {
    Fault::client("InvalidNextToken", "The specified token isn't valid.")
}

/// A parameter without its value.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Metadata {
    name: String,
    #[serde(rename = "ARN")]
    arn: String,
    r#type: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_id: Option<String>,
    last_modified_date: f64,
    last_modified_user: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    allowed_pattern: Option<String>,
    version: u64,
    tier: String,
    policies: Vec<()>,
    data_type: String,
}

impl Metadata {
    fn of(view: &View<'_>, parameter: Parameter) -> Metadata {
        Metadata {
            arn: parameter.arn(view),
            name: parameter.name,
            r#type: parameter.kind,
            key_id: parameter.key_id,
            last_modified_date: parameter.modified,
            last_modified_user: parameter.modified_by,
            description: parameter.description,
            allowed_pattern: parameter.allowed_pattern,
            version: parameter.version,
            tier: parameter.tier,
            policies: Vec::new(),
            data_type: parameter.data_type,
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DescribeParameters {
    #[serde(default)]
    filters: Vec<OldFilter>,
    #[serde(default)]
    parameter_filters: Vec<Filter>,
    max_results: Option<i64>,
    next_token: Option<String>,
    #[serde(default)]
    shared: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct List<T> {
    parameters: Vec<T>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

fn describe_parameters(view: &View<'_>, input: DescribeParameters) -> Outcome<List<Metadata>> {
    let max = check::page_size(input.max_results, "maxResults", 50, 50)?;
    if !input.filters.is_empty() && !input.parameter_filters.is_empty() {
        let message = "You can use either Filters or ParameterFilters in a single request.";
        return Err(Fault::validation(message).into());
    }
    let filters: Vec<Filter> = input.filters.into_iter().map(Filter::from).chain(input.parameter_filters).collect();
    for filter in &filters {
        filter.check(&["Name", "Path", "Type", "KeyId", "Tier", "DataType", "tag:"])?;
    }
    let mut parameters: Vec<Parameter> = if input.shared { Vec::new() } else { view.all(&space(view))? };
    parameters.retain(|p| filters.iter().all(|f| f.matches(p)));
    let page = page(parameters, input.next_token.as_deref(), max, false, |p| p.name.clone()).map_err(bad_token)?;
    let parameters = page.items.into_iter().map(|p| Metadata::of(view, p)).collect();
    Ok(List { parameters, next_token: page.next })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GetParametersByPath {
    path: String,
    #[serde(default)]
    recursive: bool,
    #[serde(default)]
    parameter_filters: Vec<Filter>,
    #[serde(default)]
    with_decryption: bool,
    max_results: Option<i64>,
    next_token: Option<String>,
}

fn get_parameters_by_path(view: &View<'_>, input: GetParametersByPath) -> Outcome<List<Shown>> {
    let max = check::page_size(input.max_results, "maxResults", 10, 10)?;
    if !input.path.starts_with('/') {
        let message = "The parameter doesn't meet the parameter name requirements. The parameter name must begin with \
                       a forward slash \"/\". It can't be prefixed with \"aws\" or \"ssm\" (case-insensitive). It must \
                       use only letters, numbers, or the following symbols: . (period), - (hyphen), _ (underscore).";
        return Err(Fault::validation(message).into());
    }
    for filter in &input.parameter_filters {
        filter.check(&["Type", "KeyId", "DataType", "Tier"])?;
    }
    let mut parameters: Vec<Parameter> = view.all(&space(view))?;
    parameters.retain(|p| {
        is_below(&p.name, &input.path, input.recursive) && input.parameter_filters.iter().all(|f| f.matches(p))
    });
    let page = page(parameters, input.next_token.as_deref(), max, false, |p| p.name.clone()).map_err(bad_token)?;
    let parameters = page.items.into_iter().map(|p| p.shown(view, None, input.with_decryption)).collect();
    Ok(List { parameters, next_token: page.next })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GetParameterHistory {
    name: String,
    #[serde(default)]
    with_decryption: bool,
    max_results: Option<i64>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Past {
    #[serde(flatten)]
    metadata: Metadata,
    value: String,
    labels: Vec<String>,
}

fn get_parameter_history(view: &View<'_>, input: GetParameterHistory) -> Outcome<List<Past>> {
    let max = check::page_size(input.max_results, "maxResults", 50, 50)?;
    if !view.has(&key(view, &input.name))? {
        return Err(not_found(&input.name).into());
    }
    let versions: Vec<Parameter> = view.all(&history(view, &input.name))?;
    let page =
        page(versions, input.next_token.as_deref(), max, false, |p| format!("{:020}", p.version)).map_err(bad_token)?;
    let parameters = page.items.into_iter().map(|p| {
        let value = p.visible_value(input.with_decryption);
        Past { metadata: Metadata::of(view, p), value, labels: Vec::new() }
    });
    Ok(List { parameters: parameters.collect(), next_token: page.next })
}
