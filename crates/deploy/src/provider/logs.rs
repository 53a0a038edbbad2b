use async_trait::async_trait;
use serde_json::{Value, json};

use super::schema::{document, integer, tags, text};
use super::{Context, Failure, Made, NameRule, Property, Provider, put, tag_changes, tag_map};

/// `AWS::Logs::LogGroup`
pub struct LogGroup;

fn made(ctx: &Context<'_>, name: &str) -> Made {
    Made::new(name, [("Arn", ctx.arn("logs", &format!("log-group:{name}:*")).as_str().into())])
}

async fn set_retention(ctx: &Context<'_>, name: &str, wanted: &Value) -> Result<(), Failure> {
    match wanted.get("RetentionInDays") {
        Some(days) => {
            ctx.call("logs", "PutRetentionPolicy", json!({"logGroupName": name, "retentionInDays": days})).await?
        }
        None => ctx.call("logs", "DeleteRetentionPolicy", json!({"logGroupName": name})).await?,
    };
    Ok(())
}

#[async_trait]
impl Provider for LogGroup {
    fn resource_type(&self) -> &'static str {
        "AWS::Logs::LogGroup"
    }

    fn needs(&self) -> (&'static str, &'static str) {
        ("logs", "CreateLogGroup")
    }

    fn schema(&self) -> &'static [Property] {
        const SCHEMA: &[Property] = &[
            document("DataProtectionPolicy"),
            text("KmsKeyId"),
            text("LogGroupClass").replaces(),
            text("LogGroupName").replaces(),
            integer("RetentionInDays"),
            tags(),
        ];
        SCHEMA
    }

    fn attributes(&self) -> &'static [&'static str] {
        &["Arn"]
    }

    fn name_rule(&self) -> Option<NameRule> {
        Some(NameRule { property: "LogGroupName", bytes_max: 512, lower_case: false })
    }

    fn check(&self, properties: &Value) -> Result<(), String> {
        match properties.get("DataProtectionPolicy") {
            Some(_) => Err("DataProtectionPolicy is not supported".to_owned()),
            None => Ok(()),
        }
    }

    async fn create(&self, ctx: &Context<'_>, wanted: &Value) -> Result<Made, Failure> {
        let mut input = json!({"logGroupName": ctx.name});
        for (from, to) in [("KmsKeyId", "kmsKeyId"), ("LogGroupClass", "logGroupClass")] {
            if let Some(value) = wanted.get(from) {
                put(&mut input, to, value.clone());
            }
        }
        let tags = tag_map(wanted);
        if !tags.is_empty() {
            put(&mut input, "tags", tags);
        }
        match ctx.create("logs", "CreateLogGroup", input).await {
            Err(refusal) if ctx.retry && refusal.is(&["ResourceAlreadyExistsException"]) => {}
            Err(refusal) => return Err(refusal.into()),
            Ok(_) => {}
        }
        if wanted.get("RetentionInDays").is_some() {
            set_retention(ctx, ctx.name, wanted).await.map_err(|f| f.made(ctx.name))?;
        }
        Ok(made(ctx, ctx.name))
    }

    async fn update(&self, ctx: &Context<'_>, name: &str, old: &Value, wanted: &Value) -> Result<Made, Failure> {
        if old.get("KmsKeyId") != wanted.get("KmsKeyId") {
            match wanted.get("KmsKeyId") {
                Some(key) => {
                    ctx.call("logs", "AssociateKmsKey", json!({"logGroupName": name, "kmsKeyId": key})).await?
                }
                None => ctx.call("logs", "DisassociateKmsKey", json!({"logGroupName": name})).await?,
            };
        }
        if old.get("RetentionInDays") != wanted.get("RetentionInDays") {
            set_retention(ctx, name, wanted).await?;
        }
        let (set, gone) = tag_changes(old, wanted);
        let arn = ctx.arn("logs", &format!("log-group:{name}"));
        if !set.is_empty() {
            ctx.call("logs", "TagResource", json!({"resourceArn": arn, "tags": set})).await?;
        }
        if !gone.is_empty() {
            ctx.call("logs", "UntagResource", json!({"resourceArn": arn, "tagKeys": gone})).await?;
        }
        Ok(made(ctx, name))
    }

    async fn delete(&self, ctx: &Context<'_>, name: &str, _: &Value) -> Result<(), Failure> {
        let gone = ["ResourceNotFoundException"];
        ctx.call_unless("logs", "DeleteLogGroup", json!({"logGroupName": name}), &gone).await?;
        Ok(())
    }
}
