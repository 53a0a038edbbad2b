use async_trait::async_trait;
use serde_json::{Value, json};

use super::s3_settings::{self, SETTINGS};
use super::schema::{boolean, document, json as any, object, objects, tags, text};
use super::{Context, Failure, Made, NameRule, Property, Provider, text as get_text};

/// `AWS::S3::Bucket`
pub struct Bucket;

fn made(ctx: &Context<'_>, name: &str) -> Made {
    let region = ctx.scope.region();
    Made::new(
        name,
        [
            ("Arn", format!("arn:aws:s3:::{name}").into()),
            ("DomainName", format!("{name}.s3.amazonaws.com").into()),
            ("DualStackDomainName", format!("{name}.s3.dualstack.{region}.amazonaws.com").into()),
            ("RegionalDomainName", format!("{name}.s3.{region}.amazonaws.com").into()),
            ("WebsiteURL", format!("http://{name}.s3-website-{region}.amazonaws.com").into()),
        ],
    )
}

/// Calls the operation of every setting that differs.
async fn settle(ctx: &Context<'_>, name: &str, old: &Value, wanted: &Value) -> Result<(), Failure> {
    for setting in SETTINGS {
        let (before, after) = (old.get(setting.property), wanted.get(setting.property));
        if before == after || (setting.is_default)(after) && (setting.is_default)(before) {
            continue;
        }
        let (operation, input) = match after {
            Some(value) => (setting.put, (setting.input)(value)),
            None => (
                setting.delete.unwrap_or(setting.put),
                setting.delete.map_or_else(|| (setting.input)(&json!({})), |_| json!({})),
            ),
        };
        if !ctx.supports("s3", operation) {
            return Err(Failure::new(format!(
                "the property {} is not supported: it needs s3:{operation}",
                setting.property
            )));
        }
        let mut input = input;
        super::put(&mut input, "Bucket", name);
        ctx.call("s3", operation, input).await?;
    }
    Ok(())
}

#[async_trait]
impl Provider for Bucket {
    fn resource_type(&self) -> &'static str {
        "AWS::S3::Bucket"
    }

    fn needs(&self) -> (&'static str, &'static str) {
        ("s3", "CreateBucket")
    }

    fn schema(&self) -> &'static [Property] {
        const SCHEMA: &[Property] = &[
            text("AccessControl"),
            text("BucketName").replaces(),
            any("BucketEncryption"),
            any("CorsConfiguration"),
            object(
                "LifecycleConfiguration",
                &[objects("Rules", s3_settings::RULE).required(), text("TransitionDefaultMinimumObjectSize")],
            ),
            any("LoggingConfiguration"),
            any("NotificationConfiguration"),
            any("ObjectLockConfiguration"),
            boolean("ObjectLockEnabled").replaces(),
            object("OwnershipControls", &[objects("Rules", &[text("ObjectOwnership")]).required()]),
            object(
                "PublicAccessBlockConfiguration",
                &[
                    boolean("BlockPublicAcls"),
                    boolean("BlockPublicPolicy"),
                    boolean("IgnorePublicAcls"),
                    boolean("RestrictPublicBuckets"),
                ],
            ),
            tags(),
            object("VersioningConfiguration", &[text("Status").required()]),
            any("WebsiteConfiguration"),
        ];
        SCHEMA
    }

    fn attributes(&self) -> &'static [&'static str] {
        &["Arn", "DomainName", "DualStackDomainName", "RegionalDomainName", "WebsiteURL"]
    }

    fn name_rule(&self) -> Option<NameRule> {
        Some(NameRule { property: "BucketName", bytes_max: 63, lower_case: true })
    }

    fn check(&self, properties: &Value) -> Result<(), String> {
        let unsupported =
            ["LoggingConfiguration", "ObjectLockConfiguration", "ObjectLockEnabled", "WebsiteConfiguration"];
        if let Some(name) = unsupported.iter().find(|n| properties.get(**n).is_some()) {
            return Err(format!("{name} is not supported"));
        }
        match get_text(properties, "AccessControl") {
            None | Some("Private" | "BucketOwnerFullControl") => Ok(()),
            Some(other) => Err(format!("AccessControl {other} is not supported; use a bucket policy")),
        }
    }

    async fn create(&self, ctx: &Context<'_>, wanted: &Value) -> Result<Made, Failure> {
        let mut input = json!({"Bucket": ctx.name});
        if ctx.scope.region() != "us-east-1" {
            let location = json!({"LocationConstraint": ctx.scope.region()});
            super::put(&mut input, "CreateBucketConfiguration", location);
        }
        // In us-east-1 S3 answers 200 to the owner of a bucket that is there.
        ctx.refuse_existing(self.resource_type(), ("s3", "HeadBucket"), json!({"Bucket": ctx.name})).await?;
        match ctx.create("s3", "CreateBucket", input).await {
            Err(refusal) if ctx.retry && refusal.is(&["BucketAlreadyOwnedByYou"]) => {}
            Err(refusal) if refusal.is(&["BucketAlreadyOwnedByYou", "BucketAlreadyExists"]) => {
                return Err(Failure::new(format!("{} already exists", ctx.name)));
            }
            Err(refusal) => return Err(refusal.into()),
            Ok(_) => {}
        }
        settle(ctx, ctx.name, &json!({}), wanted).await.map_err(|failure| failure.made(ctx.name))?;
        Ok(made(ctx, ctx.name))
    }

    async fn update(&self, ctx: &Context<'_>, name: &str, old: &Value, wanted: &Value) -> Result<Made, Failure> {
        settle(ctx, name, old, wanted).await?;
        Ok(made(ctx, name))
    }

    async fn delete(&self, ctx: &Context<'_>, name: &str, _: &Value) -> Result<(), Failure> {
        ctx.call_unless("s3", "DeleteBucket", json!({"Bucket": name}), &["NoSuchBucket"]).await?;
        Ok(())
    }
}

/// `AWS::S3::BucketPolicy`
pub struct BucketPolicy;

#[async_trait]
impl Provider for BucketPolicy {
    fn resource_type(&self) -> &'static str {
        "AWS::S3::BucketPolicy"
    }

    fn needs(&self) -> (&'static str, &'static str) {
        ("s3", "PutBucketPolicy")
    }

    fn schema(&self) -> &'static [Property] {
        const SCHEMA: &[Property] = &[text("Bucket").required().replaces(), document("PolicyDocument").required()];
        SCHEMA
    }

    fn attributes(&self) -> &'static [&'static str] {
        &[]
    }

    async fn create(&self, ctx: &Context<'_>, wanted: &Value) -> Result<Made, Failure> {
        let input = json!({"Bucket": wanted["Bucket"], "Policy": wanted["PolicyDocument"].to_string()});
        ctx.call("s3", "PutBucketPolicy", input).await?;
        Ok(Made::new(get_text(wanted, "Bucket").unwrap_or_default(), []))
    }

    async fn update(&self, ctx: &Context<'_>, _: &str, _: &Value, wanted: &Value) -> Result<Made, Failure> {
        self.create(ctx, wanted).await
    }

    async fn delete(&self, ctx: &Context<'_>, bucket: &str, _: &Value) -> Result<(), Failure> {
        let input = json!({"Bucket": bucket});
        ctx.call_unless("s3", "DeleteBucketPolicy", input, &["NoSuchBucket", "NoSuchBucketPolicy"]).await?;
        Ok(())
    }
}
