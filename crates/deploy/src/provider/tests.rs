//! Data-driven: `tests/data/providers.txt` says which calls a resource's life makes. `UPDATE=1` rewrites it.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use base::{Entropy, Scope};
use serde_json::{Value, json};
use service::{Call, EffectId, Fault, Registry, Service};

use super::{Context, Failure, Made, find, resource_types, schema};
use crate::template::{self, Node};

/// Every operation that a provider may call.
const OPERATIONS: &[(&str, &str)] = &[
    (
        "dynamodb",
        "CreateTable DeleteTable DescribeTable TagResource UntagResource UpdateContinuousBackups UpdateTable \
         UpdateTimeToLive",
    ),
    ("events", "CreateConnection DeleteConnection DescribeConnection UpdateConnection"),
    (
        "iam",
        "AttachGroupPolicy AttachRolePolicy AttachUserPolicy CreatePolicy CreatePolicyVersion CreateRole DeleteGroupPolicy \
         DeletePolicy DeletePolicyVersion DeleteRole DeleteRolePermissionsBoundary DeleteRolePolicy DeleteUserPolicy \
         DetachGroupPolicy DetachRolePolicy DetachUserPolicy GetRole ListPolicyVersions PutGroupPolicy \
         PutRolePermissionsBoundary PutRolePolicy PutUserPolicy TagRole UntagRole UpdateAssumeRolePolicy UpdateRole",
    ),
    (
        "lambda",
        "AddPermission CreateAlias CreateEventSourceMapping CreateFunction DeleteAlias DeleteEventSourceMapping \
         DeleteFunction DeleteFunctionConcurrency DeleteFunctionEventInvokeConfig DeleteLayerVersion \
         GetEventSourceMapping GetFunctionConfiguration ListEventSourceMappings PublishLayerVersion PublishVersion \
         PutFunctionConcurrency PutFunctionEventInvokeConfig RemovePermission TagResource UntagResource UpdateAlias \
         UpdateEventSourceMapping UpdateFunctionCode UpdateFunctionConfiguration",
    ),
    (
        "logs",
        "AssociateKmsKey CreateLogGroup DeleteLogGroup DeleteRetentionPolicy DisassociateKmsKey PutRetentionPolicy \
         TagResource UntagResource",
    ),
    (
        "rds",
        "AddTagsToResource CreateDBCluster DeleteDBCluster DescribeDBClusters ModifyDBCluster RemoveTagsFromResource",
    ),
    (
        "s3",
        "CreateBucket DeleteBucket DeleteBucketCors DeleteBucketEncryption DeleteBucketLifecycle \
         DeleteBucketOwnershipControls DeleteBucketPolicy DeleteBucketTagging DeletePublicAccessBlock GetObject \
         PutBucketCors PutBucketEncryption PutBucketLifecycleConfiguration PutBucketNotificationConfiguration \
         PutBucketOwnershipControls PutBucketPolicy PutBucketTagging PutBucketVersioning PutPublicAccessBlock",
    ),
    ("secretsmanager", "CreateSecret DeleteSecret DescribeSecret TagResource UntagResource UpdateSecret"),
    ("sqs", "CreateQueue DeleteQueue SetQueueAttributes TagQueue UntagQueue"),
    (
        "states",
        "CreateActivity CreateStateMachine CreateStateMachineAlias DeleteActivity DeleteStateMachine \
         DeleteStateMachineAlias DeleteStateMachineVersion PublishStateMachineVersion TagResource UntagResource \
         UpdateStateMachine UpdateStateMachineAlias",
    ),
];

/// One answer for everything: each provider takes what it wants.
fn answer() -> Value {
    let arn = |service: &str, rest: &str| format!("arn:aws:{service}:eu-west-1:123456789012:{rest}");
    json!({
        "QueueUrl": "http://127.0.0.1:4566/123456789012/the-queue",
        "Table": {"TableArn": arn("dynamodb", "table/t"), "LatestStreamArn": arn("dynamodb", "table/t/stream/1"), "TableStatus": "ACTIVE"},
        "Role": {"Arn": "arn:aws:iam::123456789012:role/r", "RoleId": "AROA1"},
        "Policy": {"Arn": "arn:aws:iam::123456789012:policy/p"},
        "Versions": [{"VersionId": "v5", "IsDefaultVersion": true}, {"VersionId": "v4"}, {"VersionId": "v3"}, {"VersionId": "v2"}, {"VersionId": "v1"}],
        "State": "Active",
        "UUID": "uuid-1",
        "Version": "3",
        "LayerVersionArn": arn("lambda", "layer:l:4"),
        "stateMachineArn": arn("states", "stateMachine:m"),
        "revisionId": "revision-2",
        "activityArn": arn("states", "activity:a"),
        "stateMachineVersionArn": arn("states", "stateMachine:m:2"),
        "stateMachineAliasArn": arn("states", "stateMachine:m:live"),
        "DBCluster": {"DBClusterArn": arn("rds", "cluster:c"), "Endpoint": "127.0.0.1", "Port": 5432},
        "DBClusters": [{"DBClusterArn": arn("rds", "cluster:c"), "Endpoint": "127.0.0.1", "Port": 5432}],
        "ARN": arn("secretsmanager", "secret:s-AbCdEf"),
        "ConnectionArn": arn("events", "connection/c/1"),
        "ConnectionState": "AUTHORIZED",
        "SecretArn": arn("secretsmanager", "secret:events!connection/c/1-AbCdEf"),
        "Body": r#"{"StartAt": "${First}"}"#,
    })
}

fn registry(calls: &Arc<Mutex<Vec<String>>>) -> Registry {
    let mut registry = Registry::new();
    for (id, operations) in OPERATIONS {
        let mut service = Service::new(id);
        for operation in operations.split_whitespace() {
            let calls = calls.clone();
            service.operation(operation, move |_: Call, input: Value| {
                calls.lock().unwrap().push(format!("{id}:{operation} {input}"));
                async { Ok::<_, Fault>(answer()) }
            });
        }
        registry.add(service);
    }
    registry
}

fn context<'a>(registry: &'a Registry, entropy: &'a Entropy) -> Context<'a> {
    Context {
        registry,
        scope: Scope::new("123456789012", "eu-west-1"),
        principal: "arn:aws:iam::123456789012:root".into(),
        endpoint: "http://127.0.0.1:4566".into(),
        request_id: "r".into(),
        logical_id: "Thing",
        name: "the-name",
        named: true,
        retry: false,
        entropy,
        effect: Some(EffectId::new(b"effect")),
        effect_used: AtomicBool::new(false),
    }
}

/// The life of one resource: made, changed, deleted.
async fn life(resource_type: &str, old: &Node, new: Option<&Node>) -> String {
    let provider = find(resource_type).unwrap();
    let fit = |node: &Node| {
        let fitted = schema::fit("Thing", node, provider.schema());
        fitted.map_err(|found| found[0].message.clone()).and_then(|v| provider.check(&v).map(|()| v))
    };
    let calls: Arc<Mutex<Vec<String>>> = Arc::default();
    let (registry, entropy) = (registry(&calls), Entropy::from_seed(1));
    let shown = |result: Result<Made, Failure>| match result {
        Ok(made) => format!("made {} {}", made.physical_id, Value::Object(made.attributes)),
        Err(failure) => format!("failed {}", failure.message),
    };
    let mut lines = Vec::new();
    let old = match fit(old) {
        Ok(old) => old,
        Err(message) => return message,
    };
    let made = provider.create(&context(&registry, &entropy), &old).await;
    let physical_id = made.as_ref().map(|m| m.physical_id.clone()).unwrap_or_default();
    lines.append(&mut calls.lock().unwrap());
    lines.push(shown(made));
    let mut last = old.clone();
    if let Some(new) = new {
        let new = fit(new).unwrap();
        if provider.replaces(&old, &new) {
            lines.push("replaced".to_owned());
        } else {
            let made = provider.update(&context(&registry, &entropy), &physical_id, &old, &new).await;
            lines.append(&mut calls.lock().unwrap());
            lines.push(shown(made));
        }
        last = new;
    }
    let deleted = provider.delete(&context(&registry, &entropy), &physical_id, &last).await;
    lines.append(&mut calls.lock().unwrap());
    lines.push(format!("deleted {deleted:?}"));
    lines.join("\n")
}

#[tokio::test]
async fn what_each_type_calls() {
    let path = crate::template::tests::data().join("providers.txt");
    let text = std::fs::read_to_string(&path).unwrap();
    let (mut rewritten, mut seen) = (String::new(), Vec::new());
    for case in text.split("=== ").skip(1) {
        let (title, rest) = case.split_once('\n').unwrap();
        let (input, expected) = rest.split_once("\n----\n").unwrap_or((rest.trim_end_matches("\n----"), ""));
        let resource_type = title.split(' ').next().unwrap();
        seen.push(resource_type.to_owned());
        let node = template::parse(input).unwrap();
        let got = life(resource_type, node.get("Old").unwrap(), node.get("New")).await;
        if std::env::var_os("UPDATE").is_some() {
            rewritten.push_str(&format!("=== {title}\n{input}\n----\n{got}\n\n"));
        } else {
            assert_eq!(got, expected.trim_end(), "{title}");
        }
    }
    if !rewritten.is_empty() {
        std::fs::write(&path, rewritten.trim_end().to_owned() + "\n").unwrap();
    }
    for resource_type in resource_types() {
        assert!(seen.iter().any(|s| s == resource_type), "{resource_type} has no case");
    }
}
