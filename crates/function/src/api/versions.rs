use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;
use service::{Call, Fault};

use super::configuration::configuration;
use super::functions::check_revision;
use super::{at_most, listed, need, page};
use crate::Functions;
use crate::catalogue::{Editor, Function};
use crate::fault::{function_not_found, invalid_parameter};
use crate::name::{FunctionKey, LATEST, Named};

const PAGE_ITEMS: usize = 50;

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct PublishVersion {
    function_name: Option<String>,
    code_sha256: Option<String>,
    description: Option<String>,
    revision_id: Option<String>,
}

pub(super) async fn publish_version(
    functions: Arc<Functions>,
    call: Call,
    input: PublishVersion,
) -> Result<Value, Fault> {
    let key = Named::parse_unqualified(&call.scope, need(input.function_name.as_ref(), "functionName")?)?;
    if let Some(description) = &input.description {
        at_most(description, "description", 256)?;
    }
    let revision_id = functions.revision_id();
    let edit = move |editor: &mut Editor<'_, '_>| {
        let old = editor.function(&key).ok_or_else(|| function_not_found(&key.arn()))?;
        let latest = &old.record.latest;
        check_revision(latest, input.revision_id.as_ref())?;
        let current = latest.package_id().map(|id| id.to_base64()).unwrap_or_default();
        if let Some(wanted) = input.code_sha256.filter(|w| *w != current) {
            return Err(invalid_parameter(format!(
                "CodeSHA256 ({wanted}) is different from current CodeSHA256 in $LATEST ({current}). Please try again \
                 with the CodeSHA256 in $LATEST."
            )));
        }
        publish(editor, &key, input.description, revision_id)
    };
    functions.catalogue.change(call.effect, edit).await
}

/// Makes `$LATEST` a numbered version, unless the last one is the same already.
pub(super) fn publish(
    editor: &mut Editor<'_, '_>,
    key: &FunctionKey,
    description: Option<String>,
    revision_id: String,
) -> Result<Value, Fault> {
    let old = editor.function(key).ok_or_else(|| function_not_found(&key.arn()))?;
    if let Some((_, last)) = old.versions.last_key_value()
        && last.is_same_as(&old.record.latest)
    {
        return Ok(configuration(key, last, Some(&last.version)));
    }
    let number = old.record.next_version;
    let mut version = old.record.latest.clone();
    version.version = number.to_string();
    version.revision_id = revision_id;
    if let Some(description) = description {
        version.description = description;
    }
    let shown = configuration(key, &version, Some(&version.version));
    let mut record = old.record.clone();
    record.next_version += 1;
    let mut versions = old.versions.clone();
    versions.insert(number, version);
    editor.put_function(key, Function::new(record, versions));
    Ok(shown)
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListVersions {
    function_name: Option<String>,
    marker: Option<String>,
    max_items: Option<i64>,
}

pub(super) async fn list_versions_by_function(
    functions: Arc<Functions>,
    call: Call,
    input: ListVersions,
) -> Result<Value, Fault> {
    let key = Named::parse_unqualified(&call.scope, need(input.function_name.as_ref(), "functionName")?)?;
    let function = functions.catalogue.function(&key).ok_or_else(|| function_not_found(&key.arn()))?;
    let numbered = function.versions.iter().map(|(number, version)| (format!("{number:020}"), version));
    // "$LATEST" comes before every digit.
    let entries = std::iter::once((LATEST.to_owned(), &function.record.latest)).chain(numbered);
    let (versions, next) = page(entries, input.marker.as_deref(), input.max_items, PAGE_ITEMS);
    let shown = versions.into_iter().map(|v| configuration(&key, v, Some(&v.version))).collect();
    Ok(listed("Versions", shown, next))
}
