use std::sync::Arc;

use base::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use service::{Call, Fault};

use super::code::CodeInput;
use super::configuration::layer_by_arn;
use super::{at_most, listed, need, nothing, page, time_text};
use crate::Functions;
use crate::catalogue::Editor;
use crate::catalogue::record::LayerRecord;
use crate::fault::{constraint, invalid_parameter, not_found};
use crate::name::{FunctionKey, is_word};
use crate::package::PackageId;

const PAGE_ITEMS: usize = 50;

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct PublishLayer {
    layer_name: Option<String>,
    #[serde(default)]
    description: String,
    #[serde(default)]
    content: CodeInput,
    #[serde(default)]
    compatible_runtimes: Vec<String>,
    #[serde(default)]
    compatible_architectures: Vec<String>,
    license_info: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct LayerNamed {
    layer_name: Option<String>,
    version_number: Option<u64>,
    arn: Option<String>,
    marker: Option<String>,
    max_items: Option<i64>,
    compatible_runtime: Option<String>,
    compatible_architecture: Option<String>,
}

/// A layer by its name or its ARN without a version.
fn layer_of(call: &Call, name: Option<&String>) -> Result<FunctionKey, Fault> {
    let given = need(name, "layerName")?;
    let bad = || {
        let must = "satisfy regular expression pattern: (arn:[a-zA-Z0-9-]+:lambda:[a-zA-Z0-9-]+:\\d{12}:layer:[a-zA-Z0-9-_]+)|\
                    [a-zA-Z0-9-_]+";
        constraint(given, "layerName", must)
    };
    if given.starts_with("arn:") {
        let arn: base::Arn = given.parse().map_err(|_| bad())?;
        let name = arn.resource().strip_prefix("layer:").filter(|n| is_word(n)).ok_or_else(bad)?;
        return Ok(FunctionKey { scope: arn.scope(), name: name.to_owned() });
    }
    if !is_word(given) || given.len() > 140 {
        return Err(bad());
    }
    Ok(FunctionKey { scope: call.scope.clone(), name: given.to_owned() })
}

fn layer_arn(key: &FunctionKey) -> String {
    key.scope.arn("lambda", format_args!("layer:{}", key.name)).as_str().to_owned()
}

fn shown(key: &FunctionKey, layer: &LayerRecord) -> Value {
    let mut shown = json!({
        "LayerVersionArn": format!("{}:{}", layer_arn(key), layer.version),
        "Version": layer.version,
        "Description": layer.description,
        "CreatedDate": time_text(Timestamp::from_millis(layer.created_ms)),
    });
    if !layer.runtimes.is_empty() {
        shown["CompatibleRuntimes"] = json!(layer.runtimes);
    }
    if !layer.architectures.is_empty() {
        shown["CompatibleArchitectures"] = json!(layer.architectures);
    }
    if let Some(license) = &layer.license {
        shown["LicenseInfo"] = license.as_str().into();
    }
    shown
}

fn shown_whole(call: &Call, key: &FunctionKey, layer: &LayerRecord) -> Value {
    let mut whole = shown(key, layer);
    whole["LayerArn"] = layer_arn(key).into();
    whole["Content"] = json!({
        "Location": Functions::location(&call.endpoint, &layer.package),
        "CodeSha256": PackageId::from_hex(&layer.package).map(|id| id.to_base64()),
        "CodeSize": layer.zipped_bytes,
    });
    whole
}

pub(super) async fn publish_layer_version(
    functions: Arc<Functions>,
    call: Call,
    input: PublishLayer,
) -> Result<Value, Fault> {
    let key = layer_of(&call, input.layer_name.as_ref())?;
    at_most(&input.description, "description", 256)?;
    let named = functions.packages.name().await;
    let package = input.content.store(&functions, &call).await?;
    let answer_call = call.clone();
    let edit = move |editor: &mut Editor<'_, '_>| {
        let mut layer = editor.layer(&key).map(|l| (*l).clone()).unwrap_or_default();
        layer.next_version = layer.next_version.max(1);
        let record = LayerRecord {
            version: layer.next_version,
            description: input.description,
            created_ms: editor.now().as_millis(),
            package: package.id.to_hex(),
            zipped_bytes: package.zipped_bytes,
            unzipped_bytes: package.unzipped_bytes,
            runtimes: input.compatible_runtimes,
            architectures: input.compatible_architectures,
            license: input.license_info,
        };
        let answer = shown_whole(&answer_call, &key, &record);
        layer.next_version += 1;
        layer.versions.insert(record.version, record);
        editor.put_layer(&key, layer);
        Ok(answer)
    };
    let answer = functions.catalogue.change(call.effect, edit).await;
    drop(named);
    answer
}

fn find(functions: &Functions, key: &FunctionKey, version: u64) -> Result<LayerRecord, Fault> {
    let found = functions.catalogue.read(|shelf| shelf.layers.get(key)?.versions.get(&version).cloned());
    found.ok_or_else(|| not_found("The resource you requested does not exist."))
}

pub(super) async fn get_layer_version(
    functions: Arc<Functions>,
    call: Call,
    input: LayerNamed,
) -> Result<Value, Fault> {
    let key = layer_of(&call, input.layer_name.as_ref())?;
    let version = input.version_number.ok_or_else(|| crate::fault::required("versionNumber"))?;
    Ok(shown_whole(&call, &key, &find(&functions, &key, version)?))
}

pub(super) async fn get_layer_version_by_arn(
    functions: Arc<Functions>,
    call: Call,
    input: LayerNamed,
) -> Result<Value, Fault> {
    let arn = need(input.arn.as_ref(), "arn")?;
    let (key, version) = layer_by_arn(arn).ok_or_else(|| {
        let must = "satisfy regular expression pattern: arn:[a-zA-Z0-9-]+:lambda:[a-zA-Z0-9-]+:\\d{12}:layer:\
                    [a-zA-Z0-9-_]+:[0-9]+";
        constraint(arn, "arn", must)
    })?;
    Ok(shown_whole(&call, &key, &find(&functions, &key, version)?))
}

pub(super) async fn delete_layer_version(
    functions: Arc<Functions>,
    call: Call,
    input: LayerNamed,
) -> Result<Value, Fault> {
    let key = layer_of(&call, input.layer_name.as_ref())?;
    let version = input.version_number.ok_or_else(|| crate::fault::required("versionNumber"))?;
    let edit = move |editor: &mut Editor<'_, '_>| {
        // Deleting what is not there is no error here, as on AWS.
        if let Some(old) = editor.layer(&key).filter(|l| l.versions.contains_key(&version)) {
            let mut layer = (*old).clone();
            layer.versions.remove(&version);
            editor.put_layer(&key, layer);
        }
        Ok(nothing())
    };
    let answer = functions.catalogue.change(call.effect, edit).await;
    functions.clear_up_later();
    answer
}

impl LayerNamed {
    fn wants(&self, layer: &LayerRecord) -> bool {
        let fits = |wanted: &Option<String>, has: &[String]| wanted.as_ref().is_none_or(|w| has.contains(w));
        fits(&self.compatible_runtime, &layer.runtimes) && fits(&self.compatible_architecture, &layer.architectures)
    }
}

pub(super) async fn list_layer_versions(
    functions: Arc<Functions>,
    call: Call,
    input: LayerNamed,
) -> Result<Value, Fault> {
    let key = layer_of(&call, input.layer_name.as_ref())?;
    let layer = functions.catalogue.read(|shelf| shelf.layers.get(&key).cloned()).unwrap_or_default();
    // The newest comes first.
    let versions = layer.versions.values().rev().filter(|l| input.wants(l));
    let entries = versions.map(|l| (format!("{:020}", u64::MAX - l.version), shown(&key, l)));
    let (items, next) = page(entries, input.marker.as_deref(), input.max_items, PAGE_ITEMS);
    Ok(listed("LayerVersions", items, next))
}

pub(super) async fn list_layers(functions: Arc<Functions>, call: Call, input: LayerNamed) -> Result<Value, Fault> {
    let (items, next) = functions.catalogue.read(|shelf| {
        let entries = shelf.layers_of(&call.scope).filter_map(|(key, layer)| {
            let latest = layer.versions.values().rev().find(|l| input.wants(l))?;
            let entry = json!({
                "LayerName": key.name,
                "LayerArn": layer_arn(key),
                "LatestMatchingVersion": shown(key, latest),
            });
            Some((key.name.clone(), entry))
        });
        page(entries, input.marker.as_deref(), input.max_items, PAGE_ITEMS)
    });
    Ok(listed("Layers", items, next))
}

/// Layers are found by every account of this server, so there is nothing to permit.
pub(super) async fn unsupported_permission(_: Arc<Functions>, _: Call, _: Value) -> Result<Value, Fault> {
    Err(invalid_parameter("Stepwell does not keep layer permissions: every account of this server can use its layers"))
}
