use async_trait::async_trait;
use serde_json::{Value, json};

use super::schema::{boolean, integer, json as any, object, tags, text, texts};
use super::{Context, Failure, Made, NameRule, Property, Provider, pick, put, tag_changes, tag_list};

/// `AWS::RDS::DBCluster`: what the RDS Data API talks to.
pub struct DbCluster;

const GONE: [&str; 2] = ["DBClusterNotFoundFault", "DBClusterNotFound"];
const TAKEN: [&str; 2] = ["DBClusterAlreadyExistsFault", "DBClusterAlreadyExists"];

/// What CreateDBCluster knows under the same name and form.
const SAME: [&str; 15] = [
    "BackupRetentionPeriod",
    "DatabaseName",
    "DeletionProtection",
    "EnableHttpEndpoint",
    "EnableIAMDatabaseAuthentication",
    "Engine",
    "EngineMode",
    "EngineVersion",
    "KmsKeyId",
    "ManageMasterUserPassword",
    "MasterUserPassword",
    "MasterUsername",
    "Port",
    "StorageEncrypted",
    "Tags",
];

fn made(id: &str, cluster: &Value) -> Made {
    let mut made = Made::new(id, [("DBClusterArn", cluster["DBClusterArn"].clone())]);
    let port = cluster["Port"].as_i64().map(|p| p.to_string());
    let found = [
        ("DBClusterResourceId", cluster.get("DbClusterResourceId").cloned()),
        ("Endpoint.Address", cluster.get("Endpoint").cloned()),
        ("Endpoint.Port", port.map(Value::String)),
        ("ReadEndpoint.Address", cluster.get("ReaderEndpoint").cloned()),
        ("MasterUserSecret.SecretArn", cluster["MasterUserSecret"].get("SecretArn").cloned()),
    ];
    for (name, value) in found {
        if let Some(value) = value.filter(|v| !v.is_null()) {
            made.attributes.insert(name.to_owned(), value);
        }
    }
    made
}

async fn describe(ctx: &Context<'_>, id: &str) -> Result<Value, Failure> {
    let input = json!({"DBClusterIdentifier": id});
    let answer = ctx.call("rds", "DescribeDBClusters", input).await?;
    Ok(super::list(&answer, "DBClusters").first().cloned().unwrap_or_default())
}

#[async_trait]
impl Provider for DbCluster {
    fn resource_type(&self) -> &'static str {
        "AWS::RDS::DBCluster"
    }

    fn needs(&self) -> (&'static str, &'static str) {
        ("rds", "CreateDBCluster")
    }

    fn schema(&self) -> &'static [Property] {
        const SCHEMA: &[Property] = &[
            texts("AvailabilityZones").replaces(),
            integer("BackupRetentionPeriod"),
            boolean("CopyTagsToSnapshot"),
            text("DatabaseName").replaces(),
            text("DBClusterIdentifier").replaces(),
            text("DBClusterParameterGroupName"),
            text("DBSubnetGroupName").replaces(),
            boolean("DeletionProtection"),
            texts("EnableCloudwatchLogsExports"),
            boolean("EnableHttpEndpoint"),
            boolean("EnableIAMDatabaseAuthentication"),
            text("Engine").required().replaces(),
            text("EngineMode").replaces(),
            text("EngineVersion"),
            text("KmsKeyId").replaces(),
            boolean("ManageMasterUserPassword"),
            text("MasterUsername").replaces(),
            text("MasterUserPassword"),
            object("MasterUserSecret", &[text("KmsKeyId")]),
            integer("Port"),
            text("PreferredBackupWindow"),
            text("PreferredMaintenanceWindow"),
            any("ScalingConfiguration"),
            any("ServerlessV2ScalingConfiguration"),
            boolean("StorageEncrypted").replaces(),
            tags(),
            texts("VpcSecurityGroupIds"),
        ];
        SCHEMA
    }

    fn attributes(&self) -> &'static [&'static str] {
        &[
            "DBClusterArn",
            "DBClusterResourceId",
            "Endpoint.Address",
            "Endpoint.Port",
            "MasterUserSecret.SecretArn",
            "ReadEndpoint.Address",
        ]
    }

    fn name_rule(&self) -> Option<NameRule> {
        Some(NameRule { property: "DBClusterIdentifier", bytes_max: 63, lower_case: true })
    }

    async fn create(&self, ctx: &Context<'_>, wanted: &Value) -> Result<Made, Failure> {
        let mut input = pick(wanted, &SAME);
        put(&mut input, "DBClusterIdentifier", ctx.name);
        let cluster = match ctx.create("rds", "CreateDBCluster", input).await {
            Err(refusal) if ctx.retry && refusal.is(&TAKEN) => describe(ctx, ctx.name).await?,
            other => other?["DBCluster"].clone(),
        };
        Ok(made(ctx.name, &cluster))
    }

    async fn update(&self, ctx: &Context<'_>, id: &str, old: &Value, wanted: &Value) -> Result<Made, Failure> {
        let mut input = json!({});
        for name in [
            "BackupRetentionPeriod",
            "DeletionProtection",
            "EnableHttpEndpoint",
            "EngineVersion",
            "MasterUserPassword",
            "Port",
        ] {
            if old.get(name) != wanted.get(name)
                && let Some(value) = wanted.get(name)
            {
                put(&mut input, name, value.clone());
            }
        }
        if input.as_object().is_some_and(|i| !i.is_empty()) {
            put(&mut input, "DBClusterIdentifier", id);
            put(&mut input, "ApplyImmediately", true);
            ctx.call("rds", "ModifyDBCluster", input).await?;
        }
        let cluster = describe(ctx, id).await?;
        let (set, gone) = tag_changes(old, wanted);
        if !set.is_empty() {
            let input = json!({"ResourceName": cluster["DBClusterArn"], "Tags": tag_list(&set, "Key", "Value")});
            ctx.call("rds", "AddTagsToResource", input).await?;
        }
        if !gone.is_empty() {
            let input = json!({"ResourceName": cluster["DBClusterArn"], "TagKeys": gone});
            ctx.call("rds", "RemoveTagsFromResource", input).await?;
        }
        Ok(made(id, &cluster))
    }

    async fn delete(&self, ctx: &Context<'_>, id: &str, _: &Value) -> Result<(), Failure> {
        let input = json!({"DBClusterIdentifier": id, "SkipFinalSnapshot": true});
        ctx.call_unless("rds", "DeleteDBCluster", input, &GONE).await?;
        Ok(())
    }
}
