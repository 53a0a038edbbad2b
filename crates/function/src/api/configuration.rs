use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};
use service::Fault;

use super::{at_most, time_text, within};
use crate::catalogue::Shelf;
use crate::catalogue::record::{LayerUse, LoggingRecord, VersionRecord, VpcRecord};
use crate::fault::{constraint, invalid_parameter};
use crate::name::FunctionKey;
use crate::sandbox::{RUNTIMES, Runtime};

const TIMEOUT_S_MAX: i64 = 900;
const MEMORY_MB_MAX: i64 = 10_240;
const ENVIRONMENT_BYTES_MAX: usize = 4 * 1024;
const LAYERS_MAX: usize = 5;
/// Variables that the platform sets; a function cannot.
const RESERVED_VARIABLES: [&str; 17] = [
    "_HANDLER",
    "_X_AMZN_TRACE_ID",
    "AWS_ACCESS_KEY",
    "AWS_ACCESS_KEY_ID",
    "AWS_DEFAULT_REGION",
    "AWS_EXECUTION_ENV",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
    "AWS_LAMBDA_FUNCTION_NAME",
    "AWS_LAMBDA_FUNCTION_VERSION",
    "AWS_LAMBDA_INITIALIZATION_TYPE",
    "AWS_LAMBDA_LOG_GROUP_NAME",
    "AWS_LAMBDA_LOG_STREAM_NAME",
    "AWS_LAMBDA_RUNTIME_API",
    "AWS_REGION",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SECRET_KEY",
    "AWS_SESSION_TOKEN",
];

/// The members of a configuration that can be given; those that are not stay as they are.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ConfigurationInput {
    runtime: Option<String>,
    role: Option<String>,
    handler: Option<String>,
    description: Option<String>,
    timeout: Option<i64>,
    memory_size: Option<i64>,
    environment: Option<EnvironmentInput>,
    layers: Option<Vec<String>>,
    dead_letter_config: Option<DeadLetterInput>,
    tracing_config: Option<TracingInput>,
    vpc_config: Option<VpcInput>,
    ephemeral_storage: Option<EphemeralStorageInput>,
    logging_config: Option<LoggingInput>,
    #[serde(rename = "KMSKeyArn")]
    kms_key_arn: Option<String>,
    image_config: Option<Value>,
    file_system_configs: Option<Vec<Value>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct EnvironmentInput {
    #[serde(default)]
    variables: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DeadLetterInput {
    target_arn: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct TracingInput {
    mode: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct VpcInput {
    #[serde(default)]
    subnet_ids: Vec<String>,
    #[serde(default)]
    security_group_ids: Vec<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct EphemeralStorageInput {
    size: i64,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct LoggingInput {
    log_format: Option<String>,
    application_log_level: Option<String>,
    system_log_level: Option<String>,
    log_group: Option<String>,
}

impl ConfigurationInput {
    /// What CreateFunction needs beside what has a default.
    pub fn check_new(&self) -> Result<(), Fault> {
        if self.role.is_none() {
            return Err(crate::fault::required("role"));
        }
        if self.runtime.is_none() || self.handler.is_none() {
            return Err(invalid_parameter(
                "Runtime and Handler are mandatory parameters for functions created with deployment packages.",
            ));
        }
        Ok(())
    }

    /// Changes `version` as asked, or says what is wrong.
    pub fn apply(&self, version: &mut VersionRecord) -> Result<(), Fault> {
        if self.image_config.is_some() {
            return Err(invalid_parameter("ImageConfig is for container images, which Stepwell does not run"));
        }
        if self.file_system_configs.as_ref().is_some_and(|f| !f.is_empty()) {
            return Err(invalid_parameter("FileSystemConfigs: Stepwell mounts no file systems"));
        }
        if let Some(runtime) = &self.runtime {
            version.runtime = known_runtime(runtime)?;
        }
        if let Some(role) = &self.role {
            version.role = checked_role(role)?;
        }
        if let Some(handler) = &self.handler {
            at_most(handler, "handler", 128)?;
            if handler.is_empty() || handler.contains(char::is_whitespace) {
                return Err(constraint(handler, "handler", "satisfy regular expression pattern: [^\\s]+"));
            }
            version.handler.clone_from(handler);
        }
        if let Some(description) = &self.description {
            at_most(description, "description", 256)?;
            version.description.clone_from(description);
        }
        if let Some(timeout) = self.timeout {
            version.timeout_s = within(timeout, "timeout", 1, TIMEOUT_S_MAX)?;
        }
        if let Some(memory) = self.memory_size {
            version.memory_mb = within(memory, "memorySize", 128, MEMORY_MB_MAX)?;
        }
        if let Some(environment) = &self.environment {
            check_variables(&environment.variables)?;
            let variables = environment.variables.clone();
            version.environment = (!variables.is_empty()).then_some(variables);
        }
        if let Some(storage) = &self.ephemeral_storage {
            version.ephemeral_storage_mb = within(storage.size, "ephemeralStorage.size", 512, 10_240)?;
        }
        if let Some(key) = &self.kms_key_arn {
            version.kms_key_arn = Some(key.clone()).filter(|k| !k.is_empty());
        }
        self.apply_targets(version)
    }

    fn apply_targets(&self, version: &mut VersionRecord) -> Result<(), Fault> {
        if let Some(config) = &self.dead_letter_config {
            let arn = config.target_arn.clone().filter(|a| !a.is_empty());
            if let Some(arn) = &arn
                && !(arn.contains(":sqs:") || arn.contains(":sns:"))
            {
                return Err(constraint(
                    arn,
                    "deadLetterConfig.targetArn",
                    "satisfy regular expression pattern: (arn:(aws[a-zA-Z-]*)?:[a-z0-9-.]+:.*)|()",
                ));
            }
            version.dead_letter_arn = arn;
        }
        if let Some(mode) = self.tracing_config.as_ref().and_then(|t| t.mode.as_ref()) {
            if mode != "Active" && mode != "PassThrough" {
                return Err(constraint(mode, "tracingConfig.mode", "satisfy enum value set: [Active, PassThrough]"));
            }
            version.tracing_mode.clone_from(mode);
        }
        if let Some(vpc) = &self.vpc_config {
            let record =
                VpcRecord { subnet_ids: vpc.subnet_ids.clone(), security_group_ids: vpc.security_group_ids.clone() };
            version.vpc = (record != VpcRecord::default()).then_some(record);
        }
        if let Some(logging) = &self.logging_config {
            logging.apply(&mut version.logging)?;
        }
        Ok(())
    }

    /// The layers asked for, found; `None` where the call does not speak of layers.
    pub fn layers(&self, shelf: &Shelf) -> Result<Option<Vec<LayerUse>>, Fault> {
        let Some(arns) = &self.layers else { return Ok(None) };
        if arns.len() > LAYERS_MAX {
            return Err(invalid_parameter(format!("Cannot reference more than {LAYERS_MAX} layers.")));
        }
        let find = |arn: &String| {
            let found = layer_by_arn(arn).and_then(|(key, number)| {
                let layer = shelf.layers.get(&key)?;
                layer.versions.get(&number)
            });
            let record = found.ok_or_else(|| invalid_parameter(format!("Layer version {arn} does not exist.")))?;
            Ok(LayerUse {
                arn: arn.clone(),
                package: record.package.clone(),
                zipped_bytes: record.zipped_bytes,
                unzipped_bytes: record.unzipped_bytes,
            })
        };
        arns.iter().map(find).collect::<Result<Vec<_>, _>>().map(Some)
    }
}

impl LoggingInput {
    fn apply(&self, logging: &mut LoggingRecord) -> Result<(), Fault> {
        if let Some(format) = &self.log_format {
            if format != "Text" && format != "JSON" {
                return Err(constraint(format, "loggingConfig.logFormat", "satisfy enum value set: [JSON, Text]"));
            }
            logging.format.clone_from(format);
            let json = format == "JSON";
            logging.application_level = json.then(|| "INFO".to_owned());
            logging.system_level = json.then(|| "INFO".to_owned());
        }
        let levels = [
            (&self.application_log_level, &mut logging.application_level, "loggingConfig.applicationLogLevel"),
            (&self.system_log_level, &mut logging.system_level, "loggingConfig.systemLogLevel"),
        ];
        for (given, level, member) in levels {
            let Some(given) = given else { continue };
            if logging.format != "JSON" {
                return Err(invalid_parameter("The log level can only be set when the log format is set to JSON."));
            }
            if !["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"].contains(&given.as_str()) {
                let must = "satisfy enum value set: [TRACE, DEBUG, INFO, WARN, ERROR, FATAL]";
                return Err(constraint(given, member, must));
            }
            *level = Some(given.clone());
        }
        if let Some(group) = &self.log_group {
            at_most(group, "loggingConfig.logGroup", 512)?;
            logging.group.clone_from(group);
        }
        Ok(())
    }
}

/// A layer version's owner, name and number.
pub(super) fn layer_by_arn(text: &str) -> Option<(FunctionKey, u64)> {
    let arn: base::Arn = text.parse().ok()?;
    let mut parts = arn.resource().split(':');
    let (kind, name, number) = (parts.next()?, parts.next()?, parts.next()?);
    if arn.service() != "lambda" || kind != "layer" || parts.next().is_some() {
        return None;
    }
    Some((FunctionKey { scope: arn.scope(), name: name.to_owned() }, number.parse().ok()?))
}

fn known_runtime(name: &str) -> Result<String, Fault> {
    if Runtime::parse(name).is_some() {
        return Ok(name.to_owned());
    }
    let known: Vec<&str> = RUNTIMES.iter().map(Runtime::name).collect();
    Err(invalid_parameter(format!(
        "Value {name} at 'runtime' failed to satisfy constraint: Member must satisfy enum value set: [{}] or be a valid ARN",
        known.join(", ")
    )))
}

fn checked_role(role: &str) -> Result<String, Fault> {
    let arn = role.parse::<base::Arn>().ok();
    let valid =
        arn.is_some_and(|a| a.service() == "iam" && a.account().len() == 12 && a.resource().starts_with("role/"));
    if !valid {
        return Err(constraint(
            role,
            "role",
            "satisfy regular expression pattern: arn:(aws[a-zA-Z-]*)?:iam::\\d{12}:role/?[a-zA-Z_0-9+=,.@\\-_/]+",
        ));
    }
    Ok(role.to_owned())
}

fn check_variables(variables: &BTreeMap<String, String>) -> Result<(), Fault> {
    const WHY: &str = "Lambda was unable to configure your environment variables because the environment variables you \
                       have provided";
    let reserved: Vec<&str> = variables.keys().map(String::as_str).filter(|k| RESERVED_VARIABLES.contains(k)).collect();
    if !reserved.is_empty() {
        return Err(invalid_parameter(format!(
            "{WHY} contains reserved keys that are currently not supported for modification. Reserved keys used in \
             this request: {}",
            reserved.join(", ")
        )));
    }
    for (name, value) in variables {
        let mut bytes = name.bytes();
        let letter = bytes.next().is_some_and(|b| b.is_ascii_alphabetic());
        if !letter || name.len() < 2 || !bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            let must = "satisfy constraint: [Member must satisfy regular expression pattern: [a-zA-Z]([a-zA-Z0-9_])+]";
            return Err(constraint(name, "environment.variables", must));
        }
        if value.contains('\0') {
            return Err(invalid_parameter(format!("the value of environment variable {name} holds a NUL character")));
        }
    }
    let json = serde_json::to_string(variables).unwrap_or_default();
    if json.len() > ENVIRONMENT_BYTES_MAX {
        return Err(invalid_parameter(format!("{WHY} exceeded the 4KB limit. String measured: {json}")));
    }
    Ok(())
}

/// A version as the API shows it; `arn` as the caller named it.
pub(super) fn configuration(key: &FunctionKey, version: &VersionRecord, qualifier: Option<&str>) -> Value {
    let mut shown = json!({
        "FunctionName": key.name,
        "FunctionArn": key.arn_as(qualifier),
        "Runtime": version.runtime,
        "Role": version.role,
        "Handler": version.handler,
        "CodeSize": version.zipped_bytes,
        "Description": version.description,
        "Timeout": version.timeout_s,
        "MemorySize": version.memory_mb,
        "LastModified": time_text(version.modified()),
        "CodeSha256": version.package_id().map(|id| id.to_base64()),
        "Version": version.version,
        "TracingConfig": {"Mode": version.tracing_mode},
        "RevisionId": version.revision_id,
        "State": "Active",
        "LastUpdateStatus": "Successful",
        "PackageType": "Zip",
        "Architectures": [version.architecture],
        "EphemeralStorage": {"Size": version.ephemeral_storage_mb},
        "SnapStart": {"ApplyOn": "None", "OptimizationStatus": "Off"},
    });
    let logging = &version.logging;
    let mut log = json!({"LogFormat": logging.format, "LogGroup": logging.group});
    if let Some(level) = &logging.application_level {
        log["ApplicationLogLevel"] = level.as_str().into();
    }
    if let Some(level) = &logging.system_level {
        log["SystemLogLevel"] = level.as_str().into();
    }
    shown["LoggingConfig"] = log;
    if let Some(variables) = &version.environment {
        shown["Environment"] = json!({"Variables": variables});
    }
    if !version.layers.is_empty() {
        let layers = version.layers.iter().map(|l| json!({"Arn": l.arn, "CodeSize": l.zipped_bytes}));
        shown["Layers"] = layers.collect();
    }
    if let Some(arn) = &version.dead_letter_arn {
        shown["DeadLetterConfig"] = json!({"TargetArn": arn});
    }
    if let Some(arn) = &version.kms_key_arn {
        shown["KMSKeyArn"] = arn.as_str().into();
    }
    if let Some(vpc) = &version.vpc {
        let ids = (&vpc.subnet_ids, &vpc.security_group_ids);
        shown["VpcConfig"] = json!({"SubnetIds": ids.0, "SecurityGroupIds": ids.1, "VpcId": ""});
    }
    shown
}
