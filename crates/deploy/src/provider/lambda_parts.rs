//! What hangs on functions: versions, aliases, permissions, layers, asynchronous invocation.

use async_trait::async_trait;
use serde_json::{Value, json};

use super::lambda::{function_and_qualifier, function_arn};
use super::schema::{boolean, integer, json as any, object, objects, text, texts};
use super::{Context, Failure, Made, NameRule, Property, Provider, pick, put, text as get_text};

const GONE: [&str; 1] = ["ResourceNotFoundException"];
const TAKEN: [&str; 1] = ["ResourceConflictException"];

/// `AWS::Lambda::Version`
pub struct Version;

#[async_trait]
impl Provider for Version {
    fn resource_type(&self) -> &'static str {
        "AWS::Lambda::Version"
    }

    fn needs(&self) -> (&'static str, &'static str) {
        ("lambda", "PublishVersion")
    }

    fn schema(&self) -> &'static [Property] {
        const SCHEMA: &[Property] = &[
            text("CodeSha256").replaces(),
            text("Description").replaces(),
            text("FunctionName").required().replaces(),
            any("ProvisionedConcurrencyConfig").replaces(),
            any("RuntimePolicy").replaces(),
        ];
        SCHEMA
    }

    fn attributes(&self) -> &'static [&'static str] {
        &["FunctionArn", "Version"]
    }

    fn check(&self, properties: &Value) -> Result<(), String> {
        match properties.get("ProvisionedConcurrencyConfig") {
            Some(_) => Err("ProvisionedConcurrencyConfig is not supported".to_owned()),
            None => Ok(()),
        }
    }

    async fn create(&self, ctx: &Context<'_>, wanted: &Value) -> Result<Made, Failure> {
        let input = pick(wanted, &["FunctionName", "CodeSha256", "Description"]);
        let answer = ctx.create("lambda", "PublishVersion", input).await?;
        let version = get_text(&answer, "Version").unwrap_or_default();
        let arn = function_arn(ctx, get_text(wanted, "FunctionName").unwrap_or_default(), version);
        Ok(Made::new(arn.clone(), [("FunctionArn", arn.into()), ("Version", version.into())]))
    }

    async fn update(&self, _: &Context<'_>, arn: &str, _: &Value, _: &Value) -> Result<Made, Failure> {
        let version = arn.rsplit(':').next().unwrap_or_default();
        Ok(Made::new(arn, [("FunctionArn", arn.into()), ("Version", version.into())]))
    }

    async fn delete(&self, ctx: &Context<'_>, arn: &str, _: &Value) -> Result<(), Failure> {
        let (name, qualifier) = function_and_qualifier(arn);
        let input = json!({"FunctionName": name, "Qualifier": qualifier});
        ctx.call_unless("lambda", "DeleteFunction", input, &GONE).await?;
        Ok(())
    }
}

/// `AWS::Lambda::Alias`
pub struct Alias;

fn alias_input(function: &str, wanted: &Value) -> Value {
    let mut input = pick(wanted, &["Name", "FunctionVersion", "Description"]);
    put(&mut input, "FunctionName", function);
    if let Some(routing) = wanted.get("RoutingConfig") {
        let weights = super::list(routing, "AdditionalVersionWeights").iter();
        let weights =
            weights.filter_map(|w| Some((w["FunctionVersion"].as_str()?.to_owned(), w["FunctionWeight"].clone())));
        let weights: serde_json::Map<String, Value> = weights.collect();
        put(&mut input, "RoutingConfig", json!({"AdditionalVersionWeights": weights}));
    }
    input
}

#[async_trait]
impl Provider for Alias {
    fn resource_type(&self) -> &'static str {
        "AWS::Lambda::Alias"
    }

    fn needs(&self) -> (&'static str, &'static str) {
        ("lambda", "CreateAlias")
    }

    fn schema(&self) -> &'static [Property] {
        const SCHEMA: &[Property] = &[
            text("Description"),
            text("FunctionName").required().replaces(),
            text("FunctionVersion").required(),
            text("Name").required().replaces(),
            any("ProvisionedConcurrencyConfig"),
            object(
                "RoutingConfig",
                &[objects(
                    "AdditionalVersionWeights",
                    &[text("FunctionVersion").required(), super::schema::number("FunctionWeight").required()],
                )],
            ),
        ];
        SCHEMA
    }

    fn attributes(&self) -> &'static [&'static str] {
        &["AliasArn"]
    }

    fn check(&self, properties: &Value) -> Result<(), String> {
        match properties.get("ProvisionedConcurrencyConfig") {
            Some(_) => Err("ProvisionedConcurrencyConfig is not supported".to_owned()),
            None => Ok(()),
        }
    }

    async fn create(&self, ctx: &Context<'_>, wanted: &Value) -> Result<Made, Failure> {
        let function = get_text(wanted, "FunctionName").unwrap_or_default();
        match ctx.create("lambda", "CreateAlias", alias_input(function, wanted)).await {
            Err(refusal) if ctx.retry && refusal.is(&TAKEN) => {}
            Err(refusal) => return Err(refusal.into()),
            Ok(_) => {}
        }
        let arn = function_arn(ctx, function, get_text(wanted, "Name").unwrap_or_default());
        Ok(Made::new(arn.clone(), [("AliasArn", arn.into())]))
    }

    async fn update(&self, ctx: &Context<'_>, arn: &str, old: &Value, wanted: &Value) -> Result<Made, Failure> {
        let mut input = alias_input(function_and_qualifier(arn).0, wanted);
        if old.get("RoutingConfig").is_some() && wanted.get("RoutingConfig").is_none() {
            put(&mut input, "RoutingConfig", json!({"AdditionalVersionWeights": {}}));
        }
        ctx.call("lambda", "UpdateAlias", input).await?;
        Ok(Made::new(arn, [("AliasArn", arn.into())]))
    }

    async fn delete(&self, ctx: &Context<'_>, arn: &str, _: &Value) -> Result<(), Failure> {
        let (name, alias) = function_and_qualifier(arn);
        let input = json!({"FunctionName": name, "Name": alias});
        ctx.call_unless("lambda", "DeleteAlias", input, &GONE).await?;
        Ok(())
    }
}

/// `AWS::Lambda::Permission`
pub struct Permission;

fn permission_target(properties: &Value) -> Value {
    let (name, qualifier) = function_and_qualifier(get_text(properties, "FunctionName").unwrap_or_default());
    let mut input = json!({"FunctionName": name});
    if let Some(qualifier) = qualifier {
        put(&mut input, "Qualifier", qualifier);
    }
    input
}

#[async_trait]
impl Provider for Permission {
    fn resource_type(&self) -> &'static str {
        "AWS::Lambda::Permission"
    }

    fn needs(&self) -> (&'static str, &'static str) {
        ("lambda", "AddPermission")
    }

    fn schema(&self) -> &'static [Property] {
        const SCHEMA: &[Property] = &[
            text("Action").required().replaces(),
            text("EventSourceToken").replaces(),
            text("FunctionName").required().replaces(),
            text("FunctionUrlAuthType").replaces(),
            boolean("InvokedViaFunctionUrl").replaces(),
            text("Principal").required().replaces(),
            text("PrincipalOrgID").replaces(),
            text("SourceAccount").replaces(),
            text("SourceArn").replaces(),
        ];
        SCHEMA
    }

    fn attributes(&self) -> &'static [&'static str] {
        &["Id"]
    }

    async fn create(&self, ctx: &Context<'_>, wanted: &Value) -> Result<Made, Failure> {
        let mut input = permission_target(wanted);
        put(&mut input, "StatementId", ctx.name);
        for name in [
            "Action",
            "EventSourceToken",
            "FunctionUrlAuthType",
            "Principal",
            "PrincipalOrgID",
            "SourceAccount",
            "SourceArn",
        ] {
            if let Some(value) = wanted.get(name) {
                put(&mut input, name, value.clone());
            }
        }
        match ctx.create("lambda", "AddPermission", input).await {
            Err(refusal) if ctx.retry && refusal.is(&TAKEN) => {}
            Err(refusal) => return Err(refusal.into()),
            Ok(_) => {}
        }
        Ok(Made::new(ctx.name, [("Id", ctx.name.into())]))
    }

    async fn update(&self, _: &Context<'_>, id: &str, _: &Value, _: &Value) -> Result<Made, Failure> {
        Ok(Made::new(id, [("Id", id.into())]))
    }

    async fn delete(&self, ctx: &Context<'_>, id: &str, properties: &Value) -> Result<(), Failure> {
        let mut input = permission_target(properties);
        put(&mut input, "StatementId", id);
        ctx.call_unless("lambda", "RemovePermission", input, &GONE).await?;
        Ok(())
    }
}

/// `AWS::Lambda::LayerVersion`
pub struct LayerVersion;

#[async_trait]
impl Provider for LayerVersion {
    fn resource_type(&self) -> &'static str {
        "AWS::Lambda::LayerVersion"
    }

    fn needs(&self) -> (&'static str, &'static str) {
        ("lambda", "PublishLayerVersion")
    }

    fn schema(&self) -> &'static [Property] {
        const SCHEMA: &[Property] = &[
            texts("CompatibleArchitectures").replaces(),
            texts("CompatibleRuntimes").replaces(),
            object("Content", &[text("S3Bucket").required(), text("S3Key").required(), text("S3ObjectVersion")])
                .required()
                .replaces(),
            text("Description").replaces(),
            text("LayerName").replaces(),
            text("LicenseInfo").replaces(),
        ];
        SCHEMA
    }

    fn attributes(&self) -> &'static [&'static str] {
        &["LayerVersionArn"]
    }

    fn name_rule(&self) -> Option<NameRule> {
        // A layer's versions share its name: replacing one never takes a name away.
        None
    }

    async fn create(&self, ctx: &Context<'_>, wanted: &Value) -> Result<Made, Failure> {
        let members = ["Content", "Description", "CompatibleRuntimes", "CompatibleArchitectures", "LicenseInfo"];
        let mut input = pick(wanted, &members);
        put(&mut input, "LayerName", get_text(wanted, "LayerName").unwrap_or(ctx.logical_id));
        let answer = ctx.create("lambda", "PublishLayerVersion", input).await?;
        let arn = get_text(&answer, "LayerVersionArn")
            .ok_or_else(|| Failure::new("PublishLayerVersion answered no LayerVersionArn"))?;
        Ok(Made::new(arn, [("LayerVersionArn", arn.into())]))
    }

    async fn update(&self, _: &Context<'_>, arn: &str, _: &Value, _: &Value) -> Result<Made, Failure> {
        Ok(Made::new(arn, [("LayerVersionArn", arn.into())]))
    }

    async fn delete(&self, ctx: &Context<'_>, arn: &str, _: &Value) -> Result<(), Failure> {
        let Some((layer, version)) = arn.rsplit_once(':') else { return Ok(()) };
        let version: i64 = version.parse().map_err(|_| Failure::new(format!("{arn} is no layer version")))?;
        let input = json!({"LayerName": layer, "VersionNumber": version});
        ctx.call_unless("lambda", "DeleteLayerVersion", input, &GONE).await?;
        Ok(())
    }
}

/// `AWS::Lambda::EventInvokeConfig`
pub struct EventInvokeConfig;

const DESTINATION: &[Property] = &[text("Destination").required()];

async fn put_config(ctx: &Context<'_>, wanted: &Value) -> Result<(), Failure> {
    let members =
        ["FunctionName", "Qualifier", "MaximumEventAgeInSeconds", "MaximumRetryAttempts", "DestinationConfig"];
    ctx.call("lambda", "PutFunctionEventInvokeConfig", pick(wanted, &members)).await?;
    Ok(())
}

#[async_trait]
impl Provider for EventInvokeConfig {
    fn resource_type(&self) -> &'static str {
        "AWS::Lambda::EventInvokeConfig"
    }

    fn needs(&self) -> (&'static str, &'static str) {
        ("lambda", "PutFunctionEventInvokeConfig")
    }

    fn schema(&self) -> &'static [Property] {
        const SCHEMA: &[Property] = &[
            object("DestinationConfig", &[object("OnFailure", DESTINATION), object("OnSuccess", DESTINATION)]),
            text("FunctionName").required().replaces(),
            integer("MaximumEventAgeInSeconds"),
            integer("MaximumRetryAttempts"),
            text("Qualifier").required().replaces(),
        ];
        SCHEMA
    }

    fn attributes(&self) -> &'static [&'static str] {
        &[]
    }

    async fn create(&self, ctx: &Context<'_>, wanted: &Value) -> Result<Made, Failure> {
        put_config(ctx, wanted).await?;
        Ok(Made::new(ctx.name, []))
    }

    async fn update(&self, ctx: &Context<'_>, id: &str, _: &Value, wanted: &Value) -> Result<Made, Failure> {
        put_config(ctx, wanted).await?;
        Ok(Made::new(id, []))
    }

    async fn delete(&self, ctx: &Context<'_>, _: &str, properties: &Value) -> Result<(), Failure> {
        let input = pick(properties, &["FunctionName", "Qualifier"]);
        ctx.call_unless("lambda", "DeleteFunctionEventInvokeConfig", input, &GONE).await?;
        Ok(())
    }
}
