//! The operations of the Lambda API, by what they are about.

mod account;
mod aliases;
mod code;
mod configuration;
mod event_config;
mod functions;
mod invocation;
mod layers;
mod policies;
mod versions;

use std::sync::Arc;

use base::Timestamp;
use serde_json::{Map, Value};
use service::{Fault, Service};

use crate::Functions;
use crate::fault::{constraint, required};

/// Registers each operation: its name, then the function that does it.
macro_rules! operations {
    ($service:ident, $functions:ident, $($name:literal => $module:ident :: $run:ident,)*) => {$(
        let functions = $functions.clone();
        $service.operation($name, move |call, input| $module::$run(functions.clone(), call, input));
    )*};
}

pub(crate) fn service(functions: &Arc<Functions>) -> Service {
    let mut service = Service::new("lambda");
    operations!(service, functions,
        "AddLayerVersionPermission" => layers::unsupported_permission,
        "AddPermission" => policies::add_permission,
        "CreateAlias" => aliases::create_alias,
        "CreateFunction" => functions::create_function,
        "DeleteAlias" => aliases::delete_alias,
        "DeleteFunction" => functions::delete_function,
        "DeleteFunctionConcurrency" => account::delete_function_concurrency,
        "DeleteFunctionEventInvokeConfig" => event_config::delete,
        "DeleteLayerVersion" => layers::delete_layer_version,
        "GetAccountSettings" => account::get_account_settings,
        "GetAlias" => aliases::get_alias,
        "GetFunction" => functions::get_function,
        "GetFunctionConcurrency" => account::get_function_concurrency,
        "GetFunctionConfiguration" => functions::get_function_configuration,
        "GetFunctionEventInvokeConfig" => event_config::get,
        "GetLayerVersion" => layers::get_layer_version,
        "GetLayerVersionByArn" => layers::get_layer_version_by_arn,
        "GetPolicy" => policies::get_policy,
        "Invoke" => invocation::invoke,
        "InvokeAsync" => invocation::invoke_async,
        "ListAliases" => aliases::list_aliases,
        "ListFunctionEventInvokeConfigs" => event_config::list,
        "ListFunctions" => functions::list_functions,
        "ListLayerVersions" => layers::list_layer_versions,
        "ListLayers" => layers::list_layers,
        "ListTags" => account::list_tags,
        "ListVersionsByFunction" => versions::list_versions_by_function,
        "PublishLayerVersion" => layers::publish_layer_version,
        "PublishVersion" => versions::publish_version,
        "PutFunctionConcurrency" => account::put_function_concurrency,
        "PutFunctionEventInvokeConfig" => event_config::put,
        "RemovePermission" => policies::remove_permission,
        "TagResource" => account::tag_resource,
        "UntagResource" => account::untag_resource,
        "UpdateAlias" => aliases::update_alias,
        "UpdateFunctionCode" => functions::update_function_code,
        "UpdateFunctionConfiguration" => functions::update_function_configuration,
        "UpdateFunctionEventInvokeConfig" => event_config::update,
    );
    service
}

/// The answer of operations that have none.
fn nothing() -> Value {
    Value::Object(Map::new())
}

/// A member that must be there.
fn need<'a>(value: Option<&'a String>, member: &str) -> Result<&'a str, Fault> {
    value.map(String::as_str).ok_or_else(|| required(member))
}

/// A number within AWS's bounds.
fn within(value: i64, member: &str, least: i64, most: i64) -> Result<u32, Fault> {
    let number = value.to_string();
    if value < least {
        return Err(constraint(&number, member, &format!("have value greater than or equal to {least}")));
    }
    if value > most {
        return Err(constraint(&number, member, &format!("have value less than or equal to {most}")));
    }
    u32::try_from(value).map_err(|_| constraint(&number, member, "be a number"))
}

/// A text of bounded length.
fn at_most(value: &str, member: &str, most: usize) -> Result<(), Fault> {
    if value.chars().count() > most {
        return Err(constraint(value, member, &format!("have length less than or equal to {most}")));
    }
    Ok(())
}

/// Time as this API writes it.
fn time_text(time: Timestamp) -> String {
    time.to_rfc3339().replace('Z', "+0000")
}

/// One page of a list whose entries have increasing names: what comes after `marker`, at most `items_max`.
fn page<T>(
    entries: impl IntoIterator<Item = (String, T)>,
    marker: Option<&str>,
    items_max: Option<i64>,
    items_default: usize,
) -> (Vec<T>, Option<String>) {
    let most = items_max.and_then(|n| usize::try_from(n).ok()).unwrap_or(items_default).clamp(1, items_default);
    let mut rest = entries.into_iter().filter(|(name, _)| marker.is_none_or(|m| name.as_str() > m));
    let (mut items, mut last) = (Vec::new(), None);
    for (name, item) in rest.by_ref().take(most) {
        items.push(item);
        last = Some(name);
    }
    let next = rest.next().and(last);
    (items, next)
}

/// An answer with a list, and where it goes on.
fn listed(member: &str, items: Vec<Value>, next: Option<String>) -> Value {
    let mut answer = Map::new();
    answer.insert(member.to_owned(), items.into());
    if let Some(next) = next {
        answer.insert("NextMarker".to_owned(), next.into());
    }
    Value::Object(answer)
}
