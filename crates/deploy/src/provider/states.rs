use async_trait::async_trait;
use serde_json::{Map, Value, json};

use super::schema::{boolean, integer, json as any, object, objects, tags, text, text_map};
use super::{
    Context, Failure, Made, NameRule, Property, Provider, camel, put, tag_changes, tag_list, tag_map, text as get_text,
};

const GONE: [&str; 3] = ["StateMachineDoesNotExist", "ResourceNotFound", "ActivityDoesNotExist"];

/// `AWS::StepFunctions::StateMachine`
pub struct StateMachine;

const LOGGING: &[Property] = &[
    objects("Destinations", &[object("CloudWatchLogsLogGroup", &[text("LogGroupArn")])]),
    boolean("IncludeExecutionData"),
    text("Level"),
];
const LOCATION: &[Property] = &[text("Bucket").required(), text("Key").required(), text("Version")];
const DEFINITIONS: [&str; 3] = ["Definition", "DefinitionString", "DefinitionS3Location"];

/// The definition's text, from wherever it comes, with its substitutions.
async fn definition(ctx: &Context<'_>, wanted: &Value) -> Result<String, Failure> {
    let text = if let Some(text) = get_text(wanted, "DefinitionString") {
        text.to_owned()
    } else if let Some(definition) = wanted.get("Definition") {
        definition.to_string()
    } else {
        let location = &wanted["DefinitionS3Location"];
        let mut input = json!({"Bucket": location["Bucket"], "Key": location["Key"]});
        if let Some(version) = location.get("Version") {
            put(&mut input, "VersionId", version.clone());
        }
        let answer = ctx.call("s3", "GetObject", input).await?;
        let text = get_text(&answer, "Body").map(str::to_owned);
        text.ok_or_else(|| Failure::new(format!("the definition at {location} is no text")))?
    };
    match wanted.get("DefinitionSubstitutions").and_then(Value::as_object) {
        Some(substitutions) => Ok(substitute(&text, substitutions)),
        None => Ok(text),
    }
}

/// Puts values in the place of `${name}`; what has no value stays, for Step Functions to judge.
pub(crate) fn substitute(text: &str, substitutions: &Map<String, Value>) -> String {
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        result.push_str(&rest[..start]);
        let value = rest[start + 2..].find('}').and_then(|len| {
            let name = &rest[start + 2..start + 2 + len];
            substitutions.get(name).map(|v| (v, start + 3 + len))
        });
        match value {
            Some((value, end)) => {
                // The text stands inside a JSON string as a rule: what would break it is escaped.
                let plain = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                let quoted = Value::String(plain).to_string();
                result.push_str(&quoted[1..quoted.len() - 1]);
                rest = &rest[end..];
            }
            None => {
                result.push_str("${");
                rest = &rest[start + 2..];
            }
        }
    }
    result.push_str(rest);
    result
}

fn log_settings(wanted: &Value, input: &mut Value) {
    for (from, to) in [
        ("LoggingConfiguration", "loggingConfiguration"),
        ("TracingConfiguration", "tracingConfiguration"),
        ("EncryptionConfiguration", "encryptionConfiguration"),
    ] {
        if let Some(value) = wanted.get(from) {
            put(input, to, camel(value));
        }
    }
}

fn made(arn: &str, revision: Option<&str>) -> Made {
    let name = arn.rsplit(':').next().unwrap_or_default();
    // Before the first update a state machine has no revision: AWS calls that one INITIAL.
    let revision = revision.unwrap_or("INITIAL");
    Made::new(arn, [("Arn", arn.into()), ("Name", name.into()), ("StateMachineRevisionId", revision.into())])
}

#[async_trait]
impl Provider for StateMachine {
    fn resource_type(&self) -> &'static str {
        "AWS::StepFunctions::StateMachine"
    }

    fn needs(&self) -> (&'static str, &'static str) {
        ("states", "CreateStateMachine")
    }

    fn schema(&self) -> &'static [Property] {
        const SCHEMA: &[Property] = &[
            any("Definition"),
            object("DefinitionS3Location", LOCATION),
            text("DefinitionString"),
            text_map("DefinitionSubstitutions"),
            any("EncryptionConfiguration"),
            object("LoggingConfiguration", LOGGING),
            text("RoleArn").required(),
            text("StateMachineName").replaces(),
            text("StateMachineType").replaces(),
            tags(),
            object("TracingConfiguration", &[boolean("Enabled")]),
        ];
        SCHEMA
    }

    fn attributes(&self) -> &'static [&'static str] {
        &["Arn", "Name", "StateMachineRevisionId"]
    }

    fn name_rule(&self) -> Option<NameRule> {
        Some(NameRule { property: "StateMachineName", bytes_max: 80, lower_case: false })
    }

    fn check(&self, properties: &Value) -> Result<(), String> {
        match DEFINITIONS.iter().filter(|n| properties.get(**n).is_some()).count() {
            1 => Ok(()),
            _ => Err("exactly one of Definition, DefinitionString and DefinitionS3Location is required".to_owned()),
        }
    }

    async fn create(&self, ctx: &Context<'_>, wanted: &Value) -> Result<Made, Failure> {
        let mut input = json!({
            "name": ctx.name,
            "definition": definition(ctx, wanted).await?,
            "roleArn": wanted["RoleArn"],
            "type": get_text(wanted, "StateMachineType").unwrap_or("STANDARD"),
        });
        log_settings(wanted, &mut input);
        let tags = tag_map(wanted);
        if !tags.is_empty() {
            put(&mut input, "tags", tag_list(&tags, "key", "value"));
        }
        let machine = ctx.arn("states", &format!("stateMachine:{}", ctx.name));
        let look = ("states", "DescribeStateMachine");
        ctx.refuse_existing(self.resource_type(), look, json!({"stateMachineArn": machine})).await?;
        let answer = ctx.create("states", "CreateStateMachine", input).await?;
        let arn = get_text(&answer, "stateMachineArn")
            .ok_or_else(|| Failure::new("CreateStateMachine answered no stateMachineArn"))?;
        Ok(made(arn, None))
    }

    async fn update(&self, ctx: &Context<'_>, arn: &str, old: &Value, wanted: &Value) -> Result<Made, Failure> {
        let mut input = json!({
            "stateMachineArn": arn,
            "definition": definition(ctx, wanted).await?,
            "roleArn": wanted["RoleArn"],
        });
        log_settings(wanted, &mut input);
        let differs = |name: &str| old.get(name).is_some() && wanted.get(name).is_none();
        if differs("LoggingConfiguration") {
            put(&mut input, "loggingConfiguration", json!({"level": "OFF"}));
        }
        if differs("TracingConfiguration") {
            put(&mut input, "tracingConfiguration", json!({"enabled": false}));
        }
        let answer = ctx.call("states", "UpdateStateMachine", input).await?;
        let (set, gone) = tag_changes(old, wanted);
        if !set.is_empty() {
            let input = json!({"resourceArn": arn, "tags": tag_list(&set, "key", "value")});
            ctx.call("states", "TagResource", input).await?;
        }
        if !gone.is_empty() {
            ctx.call("states", "UntagResource", json!({"resourceArn": arn, "tagKeys": gone})).await?;
        }
        Ok(made(arn, get_text(&answer, "revisionId")))
    }

    async fn delete(&self, ctx: &Context<'_>, arn: &str, _: &Value) -> Result<(), Failure> {
        let input = json!({"stateMachineArn": arn});
        ctx.call_unless("states", "DeleteStateMachine", input, &GONE).await?;
        Ok(())
    }
}

/// `AWS::StepFunctions::Activity`
pub struct Activity;

fn activity_made(arn: &str) -> Made {
    let name = arn.rsplit(':').next().unwrap_or_default();
    Made::new(arn, [("Arn", arn.into()), ("Name", name.into())])
}

#[async_trait]
impl Provider for Activity {
    fn resource_type(&self) -> &'static str {
        "AWS::StepFunctions::Activity"
    }

    fn needs(&self) -> (&'static str, &'static str) {
        ("states", "CreateActivity")
    }

    fn schema(&self) -> &'static [Property] {
        const SCHEMA: &[Property] =
            &[any("EncryptionConfiguration").replaces(), text("Name").required().replaces(), tags()];
        SCHEMA
    }

    fn attributes(&self) -> &'static [&'static str] {
        &["Arn", "Name"]
    }

    fn name_rule(&self) -> Option<NameRule> {
        Some(NameRule { property: "Name", bytes_max: 80, lower_case: false })
    }

    async fn create(&self, ctx: &Context<'_>, wanted: &Value) -> Result<Made, Failure> {
        let mut input = json!({"name": wanted["Name"]});
        if let Some(encryption) = wanted.get("EncryptionConfiguration") {
            put(&mut input, "encryptionConfiguration", camel(encryption));
        }
        let tags = tag_map(wanted);
        if !tags.is_empty() {
            put(&mut input, "tags", tag_list(&tags, "key", "value"));
        }
        let activity = ctx.arn("states", &format!("activity:{}", get_text(wanted, "Name").unwrap_or_default()));
        let look = ("states", "DescribeActivity");
        ctx.refuse_existing(self.resource_type(), look, json!({"activityArn": activity})).await?;
        let answer = ctx.create("states", "CreateActivity", input).await?;
        let arn =
            get_text(&answer, "activityArn").ok_or_else(|| Failure::new("CreateActivity answered no activityArn"))?;
        Ok(activity_made(arn))
    }

    async fn update(&self, ctx: &Context<'_>, arn: &str, old: &Value, wanted: &Value) -> Result<Made, Failure> {
        let (set, gone) = tag_changes(old, wanted);
        if !set.is_empty() {
            let input = json!({"resourceArn": arn, "tags": tag_list(&set, "key", "value")});
            ctx.call("states", "TagResource", input).await?;
        }
        if !gone.is_empty() {
            ctx.call("states", "UntagResource", json!({"resourceArn": arn, "tagKeys": gone})).await?;
        }
        Ok(activity_made(arn))
    }

    async fn delete(&self, ctx: &Context<'_>, arn: &str, _: &Value) -> Result<(), Failure> {
        ctx.call_unless("states", "DeleteActivity", json!({"activityArn": arn}), &GONE).await?;
        Ok(())
    }
}

/// `AWS::StepFunctions::StateMachineVersion`
pub struct StateMachineVersion;

#[async_trait]
impl Provider for StateMachineVersion {
    fn resource_type(&self) -> &'static str {
        "AWS::StepFunctions::StateMachineVersion"
    }

    fn needs(&self) -> (&'static str, &'static str) {
        ("states", "PublishStateMachineVersion")
    }

    fn schema(&self) -> &'static [Property] {
        const SCHEMA: &[Property] = &[
            text("Description").replaces(),
            text("StateMachineArn").required().replaces(),
            text("StateMachineRevisionId").replaces(),
        ];
        SCHEMA
    }

    fn attributes(&self) -> &'static [&'static str] {
        &["Arn"]
    }

    async fn create(&self, ctx: &Context<'_>, wanted: &Value) -> Result<Made, Failure> {
        let mut input = json!({"stateMachineArn": wanted["StateMachineArn"]});
        if let Some(description) = wanted.get("Description") {
            put(&mut input, "description", description.clone());
        }
        if let Some(revision) = wanted.get("StateMachineRevisionId").filter(|r| *r != "INITIAL") {
            put(&mut input, "revisionId", revision.clone());
        }
        let answer = ctx.create("states", "PublishStateMachineVersion", input).await?;
        let arn = get_text(&answer, "stateMachineVersionArn")
            .ok_or_else(|| Failure::new("PublishStateMachineVersion answered no stateMachineVersionArn"))?;
        Ok(Made::new(arn, [("Arn", arn.into())]))
    }

    async fn update(&self, _: &Context<'_>, arn: &str, _: &Value, _: &Value) -> Result<Made, Failure> {
        Ok(Made::new(arn, [("Arn", arn.into())]))
    }

    async fn delete(&self, ctx: &Context<'_>, arn: &str, _: &Value) -> Result<(), Failure> {
        let input = json!({"stateMachineVersionArn": arn});
        ctx.call_unless("states", "DeleteStateMachineVersion", input, &GONE).await?;
        Ok(())
    }
}

/// `AWS::StepFunctions::StateMachineAlias`
pub struct StateMachineAlias;

const ROUTE: &[Property] = &[text("StateMachineVersionArn").required(), integer("Weight").required()];

#[async_trait]
impl Provider for StateMachineAlias {
    fn resource_type(&self) -> &'static str {
        "AWS::StepFunctions::StateMachineAlias"
    }

    fn needs(&self) -> (&'static str, &'static str) {
        ("states", "CreateStateMachineAlias")
    }

    fn schema(&self) -> &'static [Property] {
        const SCHEMA: &[Property] = &[
            any("DeploymentPreference"),
            text("Description"),
            text("Name").replaces(),
            objects("RoutingConfiguration", ROUTE).required(),
        ];
        SCHEMA
    }

    fn attributes(&self) -> &'static [&'static str] {
        &["Arn"]
    }

    fn name_rule(&self) -> Option<NameRule> {
        Some(NameRule { property: "Name", bytes_max: 80, lower_case: false })
    }

    fn check(&self, properties: &Value) -> Result<(), String> {
        match properties.get("DeploymentPreference") {
            Some(_) => Err("DeploymentPreference is not supported; use RoutingConfiguration".to_owned()),
            None => Ok(()),
        }
    }

    async fn create(&self, ctx: &Context<'_>, wanted: &Value) -> Result<Made, Failure> {
        let mut input = json!({"name": ctx.name, "routingConfiguration": camel(&wanted["RoutingConfiguration"])});
        if let Some(description) = wanted.get("Description") {
            put(&mut input, "description", description.clone());
        }
        let answer = ctx.create("states", "CreateStateMachineAlias", input).await?;
        let arn = get_text(&answer, "stateMachineAliasArn")
            .ok_or_else(|| Failure::new("CreateStateMachineAlias answered no stateMachineAliasArn"))?;
        Ok(Made::new(arn, [("Arn", arn.into())]))
    }

    async fn update(&self, ctx: &Context<'_>, arn: &str, _: &Value, wanted: &Value) -> Result<Made, Failure> {
        let input = json!({
            "stateMachineAliasArn": arn,
            "description": get_text(wanted, "Description").unwrap_or_default(),
            "routingConfiguration": camel(&wanted["RoutingConfiguration"]),
        });
        ctx.call("states", "UpdateStateMachineAlias", input).await?;
        Ok(Made::new(arn, [("Arn", arn.into())]))
    }

    async fn delete(&self, ctx: &Context<'_>, arn: &str, _: &Value) -> Result<(), Failure> {
        let input = json!({"stateMachineAliasArn": arn});
        ctx.call_unless("states", "DeleteStateMachineAlias", input, &GONE).await?;
        Ok(())
    }
}
