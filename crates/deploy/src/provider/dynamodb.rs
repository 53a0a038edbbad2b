use async_trait::async_trait;
use serde_json::{Value, json};

use super::schema::{boolean, document, integer, json as any, object, objects, tags, text};
use super::{
    Context, Failure, Made, NameRule, Property, Provider, list, pick, put, tag_changes, tag_list, text as get_text,
};

/// `AWS::DynamoDB::Table`
pub struct Table;

const ATTRIBUTE: &[Property] = &[text("AttributeName").required(), text("AttributeType").required()];
const KEY: &[Property] = &[text("AttributeName").required(), text("KeyType").required()];
const THROUGHPUT: &[Property] = &[integer("ReadCapacityUnits").required(), integer("WriteCapacityUnits").required()];
const ON_DEMAND: &[Property] = &[integer("MaxReadRequestUnits"), integer("MaxWriteRequestUnits")];
const INDEX: &[Property] = &[
    text("IndexName").required(),
    objects("KeySchema", KEY).required(),
    object("Projection", &[text("ProjectionType"), super::schema::texts("NonKeyAttributes")]).required(),
    object("ProvisionedThroughput", THROUGHPUT),
    object("OnDemandThroughput", ON_DEMAND),
    any("ContributorInsightsSpecification"),
    any("WarmThroughput"),
];

/// Members that the API knows under the same name and form.
const SAME: [&str; 9] = [
    "AttributeDefinitions",
    "BillingMode",
    "DeletionProtectionEnabled",
    "KeySchema",
    "LocalSecondaryIndexes",
    "OnDemandThroughput",
    "ProvisionedThroughput",
    "ResourcePolicy",
    "TableClass",
];

/// The API wants `StreamEnabled` said.
fn stream(properties: &Value) -> Option<Value> {
    let mut stream = properties.get("StreamSpecification")?.clone();
    put(&mut stream, "StreamEnabled", true);
    Some(stream)
}

fn encryption(properties: &Value) -> Option<Value> {
    let given = properties.get("SSESpecification")?;
    let mut input = pick(given, &["SSEType"]);
    put(&mut input, "Enabled", given.get("SSEEnabled").cloned().unwrap_or(Value::Bool(false)));
    if let Some(key) = given.get("KMSMasterKeyId") {
        put(&mut input, "KMSMasterKeyId", key.clone());
    }
    Some(input)
}

async fn active(ctx: &Context<'_>, name: &str) -> Result<Value, Failure> {
    let answer = ctx
        .until("dynamodb", "DescribeTable", json!({"TableName": name}), |answer| {
            let indexes = list(&answer["Table"], "GlobalSecondaryIndexes");
            let ready = |v: &Value| v.is_null() || v == "ACTIVE";
            Ok(ready(&answer["Table"]["TableStatus"]) && indexes.iter().all(|i| ready(&i["IndexStatus"])))
        })
        .await?;
    Ok(answer["Table"].clone())
}

fn made(name: &str, table: &Value) -> Made {
    let mut made = Made::new(name, [("Arn", table["TableArn"].clone())]);
    for (from, to) in [("LatestStreamArn", "StreamArn"), ("TableId", "TableId")] {
        if let Some(value) = table.get(from).filter(|v| !v.is_null()) {
            made.attributes.insert(to.to_owned(), value.clone());
        }
    }
    made
}

/// Settings that have operations of their own.
async fn settle(ctx: &Context<'_>, name: &str, old: &Value, wanted: &Value) -> Result<(), Failure> {
    let (before, after) = (old.get("TimeToLiveSpecification"), wanted.get("TimeToLiveSpecification"));
    if before != after {
        let specification = match (before, after) {
            (_, Some(after)) => after.clone(),
            (Some(before), None) => json!({"AttributeName": before["AttributeName"], "Enabled": false}),
            (None, None) => Value::Null,
        };
        if specification["Enabled"] == true || before.is_some_and(|b| b["Enabled"] == true) {
            let input = json!({"TableName": name, "TimeToLiveSpecification": specification});
            ctx.call("dynamodb", "UpdateTimeToLive", input).await?;
        }
    }
    let setting = "PointInTimeRecoverySpecification";
    if old.get(setting) != wanted.get(setting) {
        let specification =
            wanted.get(setting).cloned().unwrap_or_else(|| json!({"PointInTimeRecoveryEnabled": false}));
        let input = json!({"TableName": name, setting: specification});
        ctx.call("dynamodb", "UpdateContinuousBackups", input).await?;
    }
    Ok(())
}

/// The index changes of an update; the API takes one creation or deletion a call.
fn index_changes(old: &Value, wanted: &Value) -> Vec<Value> {
    let (before, after) = (list(old, "GlobalSecondaryIndexes"), list(wanted, "GlobalSecondaryIndexes"));
    let named = |indexes: &[Value], name: &Value| indexes.iter().find(|i| &i["IndexName"] == name).cloned();
    let mut changes = Vec::new();
    for index in before {
        let replaced = named(after, &index["IndexName"])
            .is_none_or(|a| a["KeySchema"] != index["KeySchema"] || a["Projection"] != index["Projection"]);
        if replaced {
            changes.push(json!({"Delete": {"IndexName": index["IndexName"]}}));
        }
    }
    let members = ["IndexName", "KeySchema", "Projection", "ProvisionedThroughput", "OnDemandThroughput"];
    for index in after {
        match named(before, &index["IndexName"]) {
            Some(b) if b["KeySchema"] == index["KeySchema"] && b["Projection"] == index["Projection"] => {
                let throughput = index.get("ProvisionedThroughput");
                if let Some(throughput) = throughput.filter(|t| b.get("ProvisionedThroughput") != Some(t)) {
                    let update = json!({"IndexName": index["IndexName"], "ProvisionedThroughput": throughput});
                    changes.push(json!({"Update": update}));
                }
            }
            _ => changes.push(json!({"Create": pick(index, &members)})),
        }
    }
    changes
}

#[async_trait]
impl Provider for Table {
    fn resource_type(&self) -> &'static str {
        "AWS::DynamoDB::Table"
    }

    fn needs(&self) -> (&'static str, &'static str) {
        ("dynamodb", "CreateTable")
    }

    fn schema(&self) -> &'static [Property] {
        const SCHEMA: &[Property] = &[
            objects("AttributeDefinitions", ATTRIBUTE),
            text("BillingMode"),
            any("ContributorInsightsSpecification"),
            boolean("DeletionProtectionEnabled"),
            objects("GlobalSecondaryIndexes", INDEX),
            any("ImportSourceSpecification").replaces(),
            objects("KeySchema", KEY).required().replaces(),
            any("KinesisStreamSpecification"),
            objects("LocalSecondaryIndexes", INDEX).replaces(),
            object("OnDemandThroughput", ON_DEMAND),
            object(
                "PointInTimeRecoverySpecification",
                &[boolean("PointInTimeRecoveryEnabled"), integer("RecoveryPeriodInDays")],
            ),
            object("ProvisionedThroughput", THROUGHPUT),
            document("ResourcePolicy"),
            object("SSESpecification", &[boolean("SSEEnabled"), text("SSEType"), text("KMSMasterKeyId")]),
            object("StreamSpecification", &[text("StreamViewType").required(), any("ResourcePolicy")]),
            text("TableClass"),
            text("TableName").replaces(),
            tags(),
            object("TimeToLiveSpecification", &[text("AttributeName"), boolean("Enabled").required()]),
            any("WarmThroughput"),
        ];
        SCHEMA
    }

    fn attributes(&self) -> &'static [&'static str] {
        &["Arn", "StreamArn", "TableId"]
    }

    fn name_rule(&self) -> Option<NameRule> {
        Some(NameRule { property: "TableName", bytes_max: 255, lower_case: false })
    }

    fn check(&self, properties: &Value) -> Result<(), String> {
        let unsupported =
            ["ContributorInsightsSpecification", "ImportSourceSpecification", "KinesisStreamSpecification"];
        match unsupported.iter().find(|n| properties.get(**n).is_some()) {
            Some(name) => Err(format!("{name} is not supported")),
            None => Ok(()),
        }
    }

    async fn create(&self, ctx: &Context<'_>, wanted: &Value) -> Result<Made, Failure> {
        let mut input = pick(wanted, &SAME);
        put(&mut input, "TableName", ctx.name);
        if let Some(policy) = wanted.get("ResourcePolicy") {
            put(&mut input, "ResourcePolicy", policy["PolicyDocument"].to_string());
        }
        let members = ["IndexName", "KeySchema", "Projection", "ProvisionedThroughput", "OnDemandThroughput"];
        let indexes: Vec<Value> = list(wanted, "GlobalSecondaryIndexes").iter().map(|i| pick(i, &members)).collect();
        if !indexes.is_empty() {
            put(&mut input, "GlobalSecondaryIndexes", indexes);
        }
        if let Some(stream) = stream(wanted) {
            put(&mut input, "StreamSpecification", pick(&stream, &["StreamEnabled", "StreamViewType"]));
        }
        if let Some(encryption) = encryption(wanted) {
            put(&mut input, "SSESpecification", encryption);
        }
        if !list(wanted, "Tags").is_empty() {
            put(&mut input, "Tags", wanted["Tags"].clone());
        }
        match ctx.create("dynamodb", "CreateTable", input).await {
            Err(refusal) if ctx.retry && refusal.is(&["ResourceInUseException"]) => {}
            Err(refusal) => return Err(refusal.into()),
            Ok(_) => {}
        }
        let finish = async {
            let table = active(ctx, ctx.name).await?;
            settle(ctx, ctx.name, &json!({}), wanted).await?;
            Ok(made(ctx.name, &table))
        };
        finish.await.map_err(|failure: Failure| failure.made(ctx.name))
    }

    async fn update(&self, ctx: &Context<'_>, name: &str, old: &Value, wanted: &Value) -> Result<Made, Failure> {
        let mut input = json!({});
        for member in
            ["BillingMode", "ProvisionedThroughput", "DeletionProtectionEnabled", "TableClass", "OnDemandThroughput"]
        {
            if old.get(member) != wanted.get(member)
                && let Some(value) = wanted.get(member)
            {
                put(&mut input, member, value.clone());
            }
        }
        if old.get("DeletionProtectionEnabled").is_some() && wanted.get("DeletionProtectionEnabled").is_none() {
            put(&mut input, "DeletionProtectionEnabled", false);
        }
        if stream(old) != stream(wanted) {
            let specification = stream(wanted).unwrap_or_else(|| json!({"StreamEnabled": false}));
            put(&mut input, "StreamSpecification", pick(&specification, &["StreamEnabled", "StreamViewType"]));
        }
        if encryption(old) != encryption(wanted) {
            put(&mut input, "SSESpecification", encryption(wanted).unwrap_or_else(|| json!({"Enabled": false})));
        }
        let mut calls = Vec::new();
        if input.as_object().is_some_and(|i| !i.is_empty()) {
            calls.push(input);
        }
        for change in index_changes(old, wanted) {
            calls.push(json!({"AttributeDefinitions": wanted["AttributeDefinitions"], "GlobalSecondaryIndexUpdates": [change]}));
        }
        for mut call in calls {
            put(&mut call, "TableName", name);
            // On a retry the change may be made already, which the API calls an error.
            match ctx.call("dynamodb", "UpdateTable", call).await {
                Err(refusal) if ctx.retry && refusal.is(&["ValidationException"]) => {}
                other => drop(other?),
            }
            active(ctx, name).await?;
        }
        settle(ctx, name, old, wanted).await?;
        let table = active(ctx, name).await?;
        let (set, gone) = tag_changes(old, wanted);
        if !set.is_empty() {
            let input = json!({"ResourceArn": table["TableArn"], "Tags": tag_list(&set, "Key", "Value")});
            ctx.call("dynamodb", "TagResource", input).await?;
        }
        if !gone.is_empty() {
            let input = json!({"ResourceArn": table["TableArn"], "TagKeys": gone});
            ctx.call("dynamodb", "UntagResource", input).await?;
        }
        Ok(made(name, &table))
    }

    async fn delete(&self, ctx: &Context<'_>, name: &str, _: &Value) -> Result<(), Failure> {
        let gone = ["ResourceNotFoundException"];
        let Some(answer) = ctx.call_unless("dynamodb", "DeleteTable", json!({"TableName": name}), &gone).await? else {
            return Ok(());
        };
        if get_text(&answer["TableDescription"], "TableStatus") == Some("DELETING") {
            // Its name is free when it is gone.
            for _ in 0..600 {
                let input = json!({"TableName": name});
                if ctx.call_unless("dynamodb", "DescribeTable", input, &gone).await?.is_none() {
                    break;
                }
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
        }
        Ok(())
    }
}
