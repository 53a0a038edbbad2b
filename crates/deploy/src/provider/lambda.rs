use std::io::{Cursor, Write as _};

use async_trait::async_trait;
use base64::Engine as _;
use serde_json::{Value, json};

use super::schema::{boolean, integer, json as any, object, tags, text, text_map, texts};
use super::{Context, Failure, Made, NameRule, Property, Provider, pick, put, tag_changes, tag_map, text as get_text};

/// `AWS::Lambda::Function`
pub struct Function;

/// What CreateFunction and UpdateFunctionConfiguration know under the same name and form.
const SETTINGS: [&str; 16] = [
    "DeadLetterConfig",
    "Description",
    "Environment",
    "EphemeralStorage",
    "FileSystemConfigs",
    "Handler",
    "ImageConfig",
    "Layers",
    "LoggingConfig",
    "MemorySize",
    "Role",
    "Runtime",
    "SnapStart",
    "Timeout",
    "TracingConfig",
    "VpcConfig",
];

/// What a setting is once the template no longer names it.
fn default_setting(name: &str) -> Option<Value> {
    Some(match name {
        "Description" => json!(""),
        "DeadLetterConfig" => json!({"TargetArn": ""}),
        "Environment" => json!({"Variables": {}}),
        "EphemeralStorage" => json!({"Size": 512}),
        "FileSystemConfigs" | "Layers" => json!([]),
        "MemorySize" => json!(128),
        "Timeout" => json!(3),
        "TracingConfig" => json!({"Mode": "PassThrough"}),
        "SnapStart" => json!({"ApplyOn": "None"}),
        "VpcConfig" => json!({"SubnetIds": [], "SecurityGroupIds": []}),
        _ => return None,
    })
}

/// Code as the API takes it: inline text becomes an archive with the file that AWS would make of it.
fn code(wanted: &Value) -> Result<Value, Failure> {
    let code = &wanted["Code"];
    let Some(source) = get_text(code, "ZipFile") else {
        return Ok(pick(code, &["S3Bucket", "S3Key", "S3ObjectVersion", "SourceKMSKeyArn"]));
    };
    let runtime = get_text(wanted, "Runtime").unwrap_or_default();
    let module = get_text(wanted, "Handler").and_then(|h| h.split('.').next()).unwrap_or("index");
    let file = match runtime {
        r if r.starts_with("python") => format!("{module}.py"),
        r if r.starts_with("nodejs") => format!("{module}.js"),
        _ => {
            return Err(Failure::new(format!(
                "ZipFile is only supported for python and nodejs runtimes, not for {runtime}"
            )));
        }
    };
    let archive = inline_archive(&file, source).map_err(|e| Failure::new(format!("make the inline archive: {e}")))?;
    Ok(json!({"ZipFile": base64::engine::general_purpose::STANDARD.encode(archive)}))
}

fn inline_archive(file: &str, source: &str) -> Result<Vec<u8>, zip::result::ZipError> {
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    // A fixed time, so that the same code is the same archive.
    let options =
        zip::write::SimpleFileOptions::default().last_modified_time(zip::DateTime::default()).unix_permissions(0o644);
    writer.start_file(file, options)?;
    writer.write_all(source.as_bytes())?;
    Ok(writer.finish()?.into_inner())
}

/// Waits until a function can be called.
pub(super) async fn active(ctx: &Context<'_>, name: &str) -> Result<Value, Failure> {
    let input = json!({"FunctionName": name});
    ctx.until("lambda", "GetFunctionConfiguration", input, |answer| {
        let reason =
            || get_text(answer, "StateReason").or(get_text(answer, "LastUpdateStatusReason")).unwrap_or_default();
        match (get_text(answer, "State"), get_text(answer, "LastUpdateStatus")) {
            (Some("Failed"), _) | (_, Some("Failed")) => Err(format!("function {name}: {}", reason())),
            (Some("Pending"), _) | (_, Some("InProgress")) => Ok(false),
            _ => Ok(true),
        }
    })
    .await
}

fn made(ctx: &Context<'_>, name: &str) -> Made {
    Made::new(name, [("Arn", ctx.arn("lambda", &format!("function:{name}")).as_str().into())])
}

async fn set_concurrency(ctx: &Context<'_>, name: &str, old: &Value, wanted: &Value) -> Result<(), Failure> {
    let member = "ReservedConcurrentExecutions";
    match (old.get(member), wanted.get(member)) {
        (before, after) if before == after => {}
        (_, Some(count)) => {
            let input = json!({"FunctionName": name, member: count});
            ctx.call("lambda", "PutFunctionConcurrency", input).await?;
        }
        (_, None) => drop(ctx.call("lambda", "DeleteFunctionConcurrency", json!({"FunctionName": name})).await?),
    }
    Ok(())
}

#[async_trait]
impl Provider for Function {
    fn resource_type(&self) -> &'static str {
        "AWS::Lambda::Function"
    }

    fn needs(&self) -> (&'static str, &'static str) {
        ("lambda", "CreateFunction")
    }

    fn schema(&self) -> &'static [Property] {
        const SCHEMA: &[Property] = &[
            texts("Architectures"),
            object(
                "Code",
                &[
                    text("ImageUri"),
                    text("S3Bucket"),
                    text("S3Key"),
                    text("S3ObjectVersion"),
                    text("SourceKMSKeyArn"),
                    text("ZipFile"),
                ],
            )
            .required(),
            text("CodeSigningConfigArn"),
            object("DeadLetterConfig", &[text("TargetArn")]),
            text("Description"),
            object("Environment", &[text_map("Variables")]),
            object("EphemeralStorage", &[integer("Size").required()]),
            any("FileSystemConfigs"),
            text("FunctionName").replaces(),
            text("Handler"),
            any("ImageConfig"),
            text("KmsKeyArn"),
            texts("Layers"),
            object(
                "LoggingConfig",
                &[text("ApplicationLogLevel"), text("LogFormat"), text("LogGroup"), text("SystemLogLevel")],
            ),
            integer("MemorySize"),
            text("PackageType").replaces(),
            text("RecursiveLoop"),
            integer("ReservedConcurrentExecutions"),
            text("Role").required(),
            text("Runtime"),
            any("RuntimeManagementConfig"),
            object("SnapStart", &[text("ApplyOn").required()]),
            tags(),
            integer("Timeout"),
            object("TracingConfig", &[text("Mode")]),
            object("VpcConfig", &[texts("SecurityGroupIds"), texts("SubnetIds"), boolean("Ipv6AllowedForDualStack")]),
        ];
        SCHEMA
    }

    fn attributes(&self) -> &'static [&'static str] {
        &["Arn"]
    }

    fn name_rule(&self) -> Option<NameRule> {
        Some(NameRule { property: "FunctionName", bytes_max: 64, lower_case: false })
    }

    fn check(&self, properties: &Value) -> Result<(), String> {
        let code = &properties["Code"];
        if code.get("ImageUri").is_some() || get_text(properties, "PackageType") == Some("Image") {
            return Err("functions of container images (PackageType Image) are not supported".to_owned());
        }
        if code.get("ZipFile").is_none() && (code.get("S3Bucket").is_none() || code.get("S3Key").is_none()) {
            return Err("Code: either ZipFile, or S3Bucket and S3Key are required".to_owned());
        }
        if let Some(name) =
            ["CodeSigningConfigArn", "RuntimeManagementConfig"].iter().find(|n| properties.get(**n).is_some())
        {
            return Err(format!("{name} is not supported"));
        }
        for required in ["Runtime", "Handler"] {
            if properties.get(required).is_none() {
                return Err(format!("{required} is required for functions of archives"));
            }
        }
        Ok(())
    }

    async fn create(&self, ctx: &Context<'_>, wanted: &Value) -> Result<Made, Failure> {
        let mut input = pick(wanted, &SETTINGS);
        put(&mut input, "FunctionName", ctx.name);
        put(&mut input, "Code", code(wanted)?);
        for (from, to) in
            [("Architectures", "Architectures"), ("PackageType", "PackageType"), ("KmsKeyArn", "KMSKeyArn")]
        {
            if let Some(value) = wanted.get(from) {
                put(&mut input, to, value.clone());
            }
        }
        let tags = tag_map(wanted);
        if !tags.is_empty() {
            put(&mut input, "Tags", tags);
        }
        match ctx.create("lambda", "CreateFunction", input).await {
            Err(refusal) if ctx.retry && refusal.is(&["ResourceConflictException"]) => {}
            Err(refusal) => return Err(refusal.into()),
            Ok(_) => {}
        }
        let finish = async {
            active(ctx, ctx.name).await?;
            set_concurrency(ctx, ctx.name, &json!({}), wanted).await
        };
        finish.await.map_err(|failure: Failure| failure.made(ctx.name))?;
        Ok(made(ctx, ctx.name))
    }

    async fn update(&self, ctx: &Context<'_>, name: &str, old: &Value, wanted: &Value) -> Result<Made, Failure> {
        // An inline archive's file name hangs on the handler.
        let inline = wanted["Code"].get("ZipFile").is_some();
        let code_changed = old["Code"] != wanted["Code"]
            || old.get("Architectures") != wanted.get("Architectures")
            || (inline && old.get("Handler") != wanted.get("Handler"));
        if code_changed {
            let mut input = code(wanted)?;
            put(&mut input, "FunctionName", name);
            if let Some(architectures) = wanted.get("Architectures") {
                put(&mut input, "Architectures", architectures.clone());
            }
            ctx.call("lambda", "UpdateFunctionCode", input).await?;
            active(ctx, name).await?;
        }
        let mut input = json!({});
        for setting in SETTINGS {
            match (old.get(setting), wanted.get(setting)) {
                (before, after) if before == after => {}
                (_, Some(value)) => put(&mut input, setting, value.clone()),
                (_, None) => {
                    if let Some(default) = default_setting(setting) {
                        put(&mut input, setting, default);
                    }
                }
            }
        }
        if old.get("KmsKeyArn") != wanted.get("KmsKeyArn") {
            put(&mut input, "KMSKeyArn", get_text(wanted, "KmsKeyArn").unwrap_or_default());
        }
        if input.as_object().is_some_and(|i| !i.is_empty()) {
            put(&mut input, "FunctionName", name);
            ctx.call("lambda", "UpdateFunctionConfiguration", input).await?;
            active(ctx, name).await?;
        }
        set_concurrency(ctx, name, old, wanted).await?;
        let (set, gone) = tag_changes(old, wanted);
        let made = made(ctx, name);
        if !set.is_empty() {
            ctx.call("lambda", "TagResource", json!({"Resource": made.attributes["Arn"], "Tags": set})).await?;
        }
        if !gone.is_empty() {
            ctx.call("lambda", "UntagResource", json!({"Resource": made.attributes["Arn"], "TagKeys": gone})).await?;
        }
        Ok(made)
    }

    async fn delete(&self, ctx: &Context<'_>, name: &str, _: &Value) -> Result<(), Failure> {
        let gone = ["ResourceNotFoundException"];
        ctx.call_unless("lambda", "DeleteFunction", json!({"FunctionName": name}), &gone).await?;
        Ok(())
    }
}

/// A function's name, out of a name, a partial or a whole ARN, with the qualifier if there is one.
pub(super) fn function_and_qualifier(function: &str) -> (&str, Option<&str>) {
    let rest = match function.split_once(":function:") {
        Some((_, rest)) => rest,
        None => function,
    };
    match rest.split_once(':') {
        Some((name, qualifier)) => (name, Some(qualifier)),
        None => (rest, None),
    }
}

/// The ARN of a function or of what qualifies it.
pub(super) fn function_arn(ctx: &Context<'_>, function: &str, qualifier: &str) -> String {
    let (name, _) = function_and_qualifier(function);
    ctx.arn("lambda", &format!("function:{name}:{qualifier}")).to_string()
}
