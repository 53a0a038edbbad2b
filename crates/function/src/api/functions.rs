use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value, json};
use service::{Call, Fault};

use super::code::CodeInput;
use super::configuration::{ConfigurationInput, configuration};
use super::versions::publish;
use super::{listed, need, nothing, page};
use crate::catalogue::record::{FunctionRecord, LoggingRecord, VersionRecord};
use crate::catalogue::{Function, Target, modified_now};
use crate::fault::{conflict, constraint, function_not_found, invalid_parameter, precondition_failed};
use crate::name::{LATEST, Named};
use crate::package::Package;
use crate::{Functions, Options};

const PAGE_ITEMS: usize = 50;
const TAGS_MAX: usize = 50;

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct CreateFunction {
    function_name: Option<String>,
    #[serde(default)]
    code: CodeInput,
    #[serde(flatten)]
    configuration: ConfigurationInput,
    package_type: Option<String>,
    architectures: Option<Vec<String>>,
    #[serde(default)]
    tags: BTreeMap<String, String>,
    #[serde(default)]
    publish: bool,
}

pub(super) async fn create_function(
    functions: Arc<Functions>,
    call: Call,
    input: CreateFunction,
) -> Result<Value, Fault> {
    let key = Named::parse_unqualified(&call.scope, need(input.function_name.as_ref(), "functionName")?)?;
    if input.package_type.as_deref().is_some_and(|t| t != "Zip") {
        return Err(invalid_parameter("Stepwell runs functions from ZIP packages; PackageType Image is not supported"));
    }
    input.configuration.check_new()?;
    check_tags(&input.tags)?;
    let mut latest = new_version(&key.name, architecture(input.architectures.as_ref())?);
    input.configuration.apply(&mut latest)?;
    if let Some(layers) = functions.catalogue.read(|shelf| input.configuration.layers(shelf))? {
        latest.layers = layers;
    }
    let named = functions.packages.name().await;
    use_package(&mut latest, &input.code.store(&functions, &call).await?);
    check_size(&latest, &functions.options)?;
    let revisions = (functions.revision_id(), functions.revision_id());
    let (runtime, publish_now) = (latest.runtime.clone(), input.publish);
    let answer = functions
        .catalogue
        .change(call.effect, move |editor| {
            if editor.function(&key).is_some() {
                return Err(conflict(format!("Function already exist: {}", key.name)));
            }
            modified_now(&mut latest, editor.now(), revisions.0);
            let record = FunctionRecord {
                latest,
                next_version: 1,
                aliases: BTreeMap::new(),
                tags: input.tags,
                reserved_concurrency: None,
                policies: BTreeMap::new(),
                event_invoke: BTreeMap::new(),
            };
            let function = Function::new(record, BTreeMap::new());
            let shown = configuration(&key, &function.record.latest, None);
            editor.put_function(&key, function);
            if publish_now { publish(editor, &key, None, revisions.1) } else { Ok(shown) }
        })
        .await?;
    drop(named);
    if let Some(runtime) = crate::sandbox::Runtime::parse(&runtime) {
        functions.fleet.launcher.warm_up(&runtime);
    }
    Ok(answer)
}

/// A version with AWS's defaults.
fn new_version(name: &str, architecture: String) -> VersionRecord {
    VersionRecord {
        version: LATEST.to_owned(),
        description: String::new(),
        runtime: String::new(),
        handler: String::new(),
        role: String::new(),
        memory_mb: 128,
        timeout_s: 3,
        environment: None,
        package: String::new(),
        zipped_bytes: 0,
        unzipped_bytes: 0,
        modified_ms: 0,
        revision_id: String::new(),
        layers: Vec::new(),
        architecture,
        ephemeral_storage_mb: 512,
        tracing_mode: "PassThrough".to_owned(),
        dead_letter_arn: None,
        logging: LoggingRecord {
            format: "Text".to_owned(),
            application_level: None,
            system_level: None,
            group: format!("/aws/lambda/{name}"),
        },
        kms_key_arn: None,
        vpc: None,
    }
}

fn architecture(given: Option<&Vec<String>>) -> Result<String, Fault> {
    match given.map(Vec::as_slice) {
        None | Some([]) => Ok("x86_64".to_owned()),
        Some([one]) if one == "x86_64" || one == "arm64" => Ok(one.clone()),
        Some(other) => {
            Err(constraint(&other.join(", "), "architectures", "satisfy enum value set: [x86_64, arm64], one of them"))
        }
    }
}

pub(super) fn check_tags(tags: &BTreeMap<String, String>) -> Result<(), Fault> {
    if tags.len() > TAGS_MAX {
        return Err(invalid_parameter(format!("A resource can have {TAGS_MAX} tags at most")));
    }
    let broken = tags.iter().find(|(k, v)| k.is_empty() || k.chars().count() > 128 || v.chars().count() > 256);
    if let Some((key, _)) = broken {
        return Err(invalid_parameter(format!("Tag '{key}' is not 1 to 128 characters, with 256 in its value")));
    }
    if tags.keys().any(|k| k.starts_with("aws:")) {
        return Err(invalid_parameter("Tag keys starting with 'aws:' are reserved for internal use."));
    }
    Ok(())
}

fn use_package(version: &mut VersionRecord, package: &Package) {
    version.package = package.id.to_hex();
    version.zipped_bytes = package.zipped_bytes;
    version.unzipped_bytes = package.unzipped_bytes;
}

/// Package and layers together have one bound.
fn check_size(version: &VersionRecord, options: &Options) -> Result<(), Fault> {
    let sum = version.unzipped_bytes + version.layers.iter().map(|l| l.unzipped_bytes).sum::<u64>();
    let most = options.unzipped_bytes_max;
    if sum > most {
        return Err(invalid_parameter(format!(
            "Function code combined with layers exceeds the maximum allowed size of {most} bytes. The actual size is \
             {sum} bytes."
        )));
    }
    Ok(())
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct UpdateFunctionCode {
    function_name: Option<String>,
    #[serde(flatten)]
    code: CodeInput,
    #[serde(default)]
    publish: bool,
    #[serde(default)]
    dry_run: bool,
    revision_id: Option<String>,
    architectures: Option<Vec<String>>,
}

pub(super) async fn update_function_code(
    functions: Arc<Functions>,
    call: Call,
    input: UpdateFunctionCode,
) -> Result<Value, Fault> {
    let key = Named::parse_unqualified(&call.scope, need(input.function_name.as_ref(), "functionName")?)?;
    if functions.catalogue.function(&key).is_none() {
        return Err(function_not_found(&key.arn()));
    }
    let architecture = input.architectures.as_ref().map(|a| architecture(Some(a))).transpose()?;
    let named = functions.packages.name().await;
    let package = input.code.store(&functions, &call).await?;
    let revisions = (functions.revision_id(), functions.revision_id());
    let options = functions.options.clone();
    let edit = move |editor: &mut crate::catalogue::Editor<'_, '_>| {
        let old = editor.function(&key).ok_or_else(|| function_not_found(&key.arn()))?;
        check_revision(&old.record.latest, input.revision_id.as_ref())?;
        let now = editor.now();
        let function = old.edited(|record| {
            use_package(&mut record.latest, &package);
            if let Some(architecture) = architecture {
                record.latest.architecture = architecture;
            }
            modified_now(&mut record.latest, now, revisions.0);
        });
        check_size(&function.record.latest, &options)?;
        let shown = configuration(&key, &function.record.latest, None);
        if input.dry_run {
            return Ok(shown);
        }
        editor.put_function(&key, function);
        if input.publish { publish(editor, &key, None, revisions.1) } else { Ok(shown) }
    };
    let answer = functions.catalogue.change(call.effect, edit).await?;
    drop(named);
    functions.clear_up_later();
    Ok(answer)
}

pub(super) fn check_revision(version: &VersionRecord, given: Option<&String>) -> Result<(), Fault> {
    match given {
        Some(given) if *given != version.revision_id => Err(precondition_failed("GetFunction/GetAlias")),
        _ => Ok(()),
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct UpdateFunctionConfiguration {
    function_name: Option<String>,
    #[serde(flatten)]
    configuration: ConfigurationInput,
    revision_id: Option<String>,
}

pub(super) async fn update_function_configuration(
    functions: Arc<Functions>,
    call: Call,
    input: UpdateFunctionConfiguration,
) -> Result<Value, Fault> {
    let key = Named::parse_unqualified(&call.scope, need(input.function_name.as_ref(), "functionName")?)?;
    let layers = functions.catalogue.read(|shelf| input.configuration.layers(shelf))?;
    let revision_id = functions.revision_id();
    let options = functions.options.clone();
    let edit = move |editor: &mut crate::catalogue::Editor<'_, '_>| {
        let old = editor.function(&key).ok_or_else(|| function_not_found(&key.arn()))?;
        check_revision(&old.record.latest, input.revision_id.as_ref())?;
        let mut latest = old.record.latest.clone();
        input.configuration.apply(&mut latest)?;
        if let Some(layers) = layers {
            latest.layers = layers;
        }
        check_size(&latest, &options)?;
        modified_now(&mut latest, editor.now(), revision_id);
        let shown = configuration(&key, &latest, None);
        editor.put_function(&key, old.edited(|record| record.latest = latest));
        Ok(shown)
    };
    functions.catalogue.change(call.effect, edit).await
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct FunctionNamed {
    pub function_name: Option<String>,
    pub qualifier: Option<String>,
}

impl FunctionNamed {
    pub fn parse(&self, call: &Call) -> Result<Named, Fault> {
        Named::parse(&call.scope, need(self.function_name.as_ref(), "functionName")?, self.qualifier.as_deref())
    }
}

/// The function that was named, and the version that it means.
pub(super) fn look_up(functions: &Functions, named: &Named) -> Result<(Arc<Function>, VersionRecord), Fault> {
    let missing = || function_not_found(&named.arn());
    let function = functions.catalogue.function(&named.key).ok_or_else(missing)?;
    let version = match function.target(named.qualifier.as_deref()).ok_or_else(missing)? {
        Target::Version(version) => version.clone(),
        Target::Alias(alias) => function.version(&alias.version).ok_or_else(missing)?.clone(),
    };
    Ok((function, version))
}

pub(super) async fn get_function(functions: Arc<Functions>, call: Call, input: FunctionNamed) -> Result<Value, Fault> {
    let named = input.parse(&call)?;
    let (function, version) = look_up(&functions, &named)?;
    let mut answer = json!({
        "Configuration": configuration(&named.key, &version, named.qualifier.as_deref()),
        "Code": {"RepositoryType": "S3", "Location": Functions::location(&call.endpoint, &version.package)},
    });
    if !function.record.tags.is_empty() {
        answer["Tags"] = json!(function.record.tags);
    }
    if let Some(reserved) = function.record.reserved_concurrency {
        answer["Concurrency"] = json!({"ReservedConcurrentExecutions": reserved});
    }
    Ok(answer)
}

pub(super) async fn get_function_configuration(
    functions: Arc<Functions>,
    call: Call,
    input: FunctionNamed,
) -> Result<Value, Fault> {
    let named = input.parse(&call)?;
    let (_, version) = look_up(&functions, &named)?;
    Ok(configuration(&named.key, &version, named.qualifier.as_deref()))
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListFunctions {
    function_version: Option<String>,
    marker: Option<String>,
    max_items: Option<i64>,
}

pub(super) async fn list_functions(
    functions: Arc<Functions>,
    call: Call,
    input: ListFunctions,
) -> Result<Value, Fault> {
    let all_versions = match input.function_version.as_deref() {
        None => false,
        Some("ALL") => true,
        Some(other) => return Err(constraint(other, "functionVersion", "satisfy enum value set: [ALL]")),
    };
    let (items, next) = functions.catalogue.read(|shelf| {
        let entries = shelf.functions_of(&call.scope).flat_map(|(key, function)| {
            let latest =
                (key.name.clone(), configuration(key, &function.record.latest, all_versions.then_some(LATEST)));
            let published = function.versions.iter().filter(|_| all_versions).map(|(number, version)| {
                (format!("{}:{number:020}", key.name), configuration(key, version, Some(&version.version)))
            });
            std::iter::once(latest).chain(published).collect::<Vec<_>>()
        });
        page(entries, input.marker.as_deref(), input.max_items, PAGE_ITEMS)
    });
    Ok(listed("Functions", items, next))
}

pub(super) async fn delete_function(
    functions: Arc<Functions>,
    call: Call,
    input: FunctionNamed,
) -> Result<Value, Fault> {
    let named = input.parse(&call)?;
    let known = functions.catalogue.function(&named.key);
    let (key, target) = (named.key.clone(), named.clone());
    let edit = move |editor: &mut crate::catalogue::Editor<'_, '_>| {
        let missing = || function_not_found(&target.arn());
        let old = editor.function(&target.key).ok_or_else(missing)?;
        match target.qualifier.as_deref() {
            None => editor.delete_function(&target.key),
            Some(LATEST) => {
                return Err(invalid_parameter("$LATEST version cannot be deleted without deleting the function."));
            }
            Some(number) => {
                let version = old.version(number).ok_or_else(missing)?;
                let users: Vec<&str> = old
                    .record
                    .aliases
                    .iter()
                    .filter(|(_, a)| a.version == version.version || a.weights.contains_key(&version.version))
                    .map(|(name, _)| name.as_str())
                    .collect();
                if !users.is_empty() {
                    let message = format!("Version {number} is referenced by alias(es): [{}]", users.join(", "));
                    return Err(conflict(message));
                }
                let mut versions = old.versions.clone();
                versions.retain(|_, v| v.version != number);
                editor.put_function(&target.key, Function::new(old.record.clone(), versions));
            }
        }
        Ok(nothing())
    };
    let answer = functions.catalogue.change(call.effect, edit).await?;
    match (&named.qualifier, known) {
        (None, Some(function)) => functions.retire(&key, &function),
        (Some(number), _) => functions.fleet.remove(&Arc::from(key.qualified_arn(number).as_str())),
        (None, None) => {}
    }
    functions.clear_up_later();
    Ok(answer)
}
