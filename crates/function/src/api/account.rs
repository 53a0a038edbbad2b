use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value, json};
use service::{Call, Fault};

use super::functions::check_tags;
use super::{need, nothing, within};
use crate::Functions;
use crate::catalogue::Editor;
use crate::fault::{function_not_found, invalid_parameter};
use crate::name::{FunctionKey, Named};

/// AWS's bound for the code of one account and region.
const CODE_BYTES_MAX: u64 = 80_530_636_800;

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ConcurrencyInput {
    function_name: Option<String>,
    reserved_concurrent_executions: Option<i64>,
}

impl ConcurrencyInput {
    fn parse(&self, call: &Call) -> Result<FunctionKey, Fault> {
        Named::parse_unqualified(&call.scope, need(self.function_name.as_ref(), "functionName")?)
    }
}

pub(super) async fn put_function_concurrency(
    functions: Arc<Functions>,
    call: Call,
    input: ConcurrencyInput,
) -> Result<Value, Fault> {
    let key = input.parse(&call)?;
    let wanted =
        input.reserved_concurrent_executions.ok_or_else(|| crate::fault::required("reservedConcurrentExecutions"))?;
    let wanted = within(wanted, "reservedConcurrentExecutions", 0, i64::from(i32::MAX))?;
    let (most, least) = (functions.options.concurrency_max, functions.options.unreserved_concurrency_min);
    let edit = move |editor: &mut Editor<'_, '_>| {
        let old = editor.function(&key).ok_or_else(|| function_not_found(&key.arn()))?;
        let reserved = editor.reserved_by_others(&key.scope, &key).saturating_add(wanted);
        if most.saturating_sub(reserved) < least {
            return Err(invalid_parameter(format!(
                "Specified ReservedConcurrentExecutions for function decreases account's \
                 UnreservedConcurrentExecution below its minimum value of [{least}]."
            )));
        }
        editor.put_function(&key, old.edited(|record| record.reserved_concurrency = Some(wanted)));
        Ok(json!({"ReservedConcurrentExecutions": wanted}))
    };
    functions.catalogue.change(call.effect, edit).await
}

pub(super) async fn get_function_concurrency(
    functions: Arc<Functions>,
    call: Call,
    input: ConcurrencyInput,
) -> Result<Value, Fault> {
    let key = input.parse(&call)?;
    let function = functions.catalogue.function(&key).ok_or_else(|| function_not_found(&key.arn()))?;
    Ok(function.record.reserved_concurrency.map_or_else(nothing, |n| json!({"ReservedConcurrentExecutions": n})))
}

pub(super) async fn delete_function_concurrency(
    functions: Arc<Functions>,
    call: Call,
    input: ConcurrencyInput,
) -> Result<Value, Fault> {
    let key = input.parse(&call)?;
    let edit = move |editor: &mut Editor<'_, '_>| {
        let old = editor.function(&key).ok_or_else(|| function_not_found(&key.arn()))?;
        editor.put_function(&key, old.edited(|record| record.reserved_concurrency = None));
        Ok(nothing())
    };
    functions.catalogue.change(call.effect, edit).await
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct NoInput {}

pub(super) async fn get_account_settings(functions: Arc<Functions>, call: Call, _: NoInput) -> Result<Value, Fault> {
    let (count, bytes, reserved) = functions.catalogue.read(|shelf| {
        let own = || shelf.functions_of(&call.scope);
        let versions = own().flat_map(|(_, f)| f.versions.values().chain([&f.record.latest]));
        let layers = shelf.layers_of(&call.scope).flat_map(|(_, l)| l.versions.values());
        let bytes = versions.map(|v| v.zipped_bytes).sum::<u64>() + layers.map(|l| l.zipped_bytes).sum::<u64>();
        (own().count(), bytes, shelf.reserved_total(&call.scope))
    });
    let options = &functions.options;
    Ok(json!({
        "AccountLimit": {
            "TotalCodeSize": CODE_BYTES_MAX,
            "CodeSizeUnzipped": options.unzipped_bytes_max,
            "CodeSizeZipped": options.zipped_bytes_max,
            "ConcurrentExecutions": options.concurrency_max,
            "UnreservedConcurrentExecutions": options.concurrency_max.saturating_sub(reserved),
        },
        "AccountUsage": {"TotalCodeSize": bytes, "FunctionCount": count},
    }))
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct TagInput {
    resource: Option<String>,
    #[serde(default)]
    tags: BTreeMap<String, String>,
    #[serde(default)]
    tag_keys: Vec<String>,
}

impl TagInput {
    fn parse(&self, call: &Call) -> Result<FunctionKey, Fault> {
        let resource = need(self.resource.as_ref(), "resource")?;
        if !resource.starts_with("arn:") {
            return Err(invalid_parameter(format!("Invalid resource ARN: {resource}")));
        }
        let named = Named::parse(&call.scope, resource, None)?;
        match named.qualifier {
            None => Ok(named.key),
            Some(_) => Err(invalid_parameter(
                "Tags on function aliases and versions are not supported. Please specify a function ARN.",
            )),
        }
    }
}

pub(super) async fn tag_resource(functions: Arc<Functions>, call: Call, input: TagInput) -> Result<Value, Fault> {
    let key = input.parse(&call)?;
    let edit = move |editor: &mut Editor<'_, '_>| {
        let old = editor.function(&key).ok_or_else(|| function_not_found(&key.arn()))?;
        let mut tags = old.record.tags.clone();
        tags.extend(input.tags);
        check_tags(&tags)?;
        editor.put_function(&key, old.edited(|record| record.tags = tags));
        Ok(nothing())
    };
    functions.catalogue.change(call.effect, edit).await
}

pub(super) async fn untag_resource(functions: Arc<Functions>, call: Call, input: TagInput) -> Result<Value, Fault> {
    let key = input.parse(&call)?;
    let edit = move |editor: &mut Editor<'_, '_>| {
        let old = editor.function(&key).ok_or_else(|| function_not_found(&key.arn()))?;
        editor.put_function(&key, old.edited(|record| record.tags.retain(|k, _| !input.tag_keys.contains(k))));
        Ok(nothing())
    };
    functions.catalogue.change(call.effect, edit).await
}

pub(super) async fn list_tags(functions: Arc<Functions>, call: Call, input: TagInput) -> Result<Value, Fault> {
    let key = input.parse(&call)?;
    let function = functions.catalogue.function(&key).ok_or_else(|| function_not_found(&key.arn()))?;
    Ok(json!({"Tags": function.record.tags}))
}
