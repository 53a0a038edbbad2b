//! Types that stand for nothing but themselves, in AWS as here.

use async_trait::async_trait;
use serde_json::Value;

use super::schema::text;
use super::{Context, Failure, Made, Property, Provider};

/// `AWS::CDK::Metadata`: says which constructs an app uses.
pub struct CdkMetadata;

/// `AWS::CloudFormation::WaitConditionHandle`: used as a resource that does nothing.
pub struct WaitConditionHandle;

macro_rules! marker {
    ($marker:ident, $name:literal, $schema:expr) => {
        #[async_trait]
        impl Provider for $marker {
            fn resource_type(&self) -> &'static str {
                $name
            }

            fn needs(&self) -> (&'static str, &'static str) {
                ("cloudformation", "CreateStack")
            }

            fn schema(&self) -> &'static [Property] {
                const { $schema }
            }

            fn attributes(&self) -> &'static [&'static str] {
                &[]
            }

            async fn create(&self, ctx: &Context<'_>, _: &Value) -> Result<Made, Failure> {
                Ok(Made::new(ctx.name, []))
            }

            async fn update(&self, _: &Context<'_>, id: &str, _: &Value, _: &Value) -> Result<Made, Failure> {
                Ok(Made::new(id, []))
            }

            async fn delete(&self, _: &Context<'_>, _: &str, _: &Value) -> Result<(), Failure> {
                Ok(())
            }
        }
    };
}

marker!(CdkMetadata, "AWS::CDK::Metadata", &[text("Analytics"), text("Modules")]);
marker!(WaitConditionHandle, "AWS::CloudFormation::WaitConditionHandle", &[]);
