//! Bucket settings: each has a property in templates and operations in S3's API, with forms of their own.

use serde_json::{Map, Value, json};

use super::schema::{Property, boolean, integer, object, objects, text};
use super::{list, pick, put};

/// One setting.
pub(super) struct Setting {
    pub(super) property: &'static str,
    pub(super) put: &'static str,
    /// How it is taken away; without one, the empty setting is put.
    pub(super) delete: Option<&'static str>,
    pub(super) input: fn(&Value) -> Value,
    /// Whether a value says no more than a bucket without it: then nothing needs to be called.
    pub(super) is_default: fn(Option<&Value>) -> bool,
}

fn absent(value: Option<&Value>) -> bool {
    value.is_none()
}

/// Every object is encrypted with S3's own key since 2023, without being told.
fn default_encryption(value: Option<&Value>) -> bool {
    let Some(value) = value else { return true };
    list(value, "ServerSideEncryptionConfiguration")
        .iter()
        .all(|rule| rule.get("ServerSideEncryptionByDefault").is_none_or(|d| d["SSEAlgorithm"] == "AES256"))
}

/// Public access is blocked in new buckets since 2023.
fn default_public_access(value: Option<&Value>) -> bool {
    value.is_none_or(|v| v.as_object().is_some_and(|m| m.len() == 4 && m.values().all(|b| b == true)))
}

fn default_ownership(value: Option<&Value>) -> bool {
    value.is_none_or(|v| list(v, "Rules").iter().all(|r| r["ObjectOwnership"] == "BucketOwnerEnforced"))
}

pub(super) const SETTINGS: &[Setting] = &[
    Setting {
        property: "VersioningConfiguration",
        put: "PutBucketVersioning",
        delete: None,
        input: |value| {
            let status = value.get("Status").cloned().unwrap_or_else(|| json!("Suspended"));
            json!({"VersioningConfiguration": {"Status": status}})
        },
        is_default: absent,
    },
    Setting {
        property: "BucketEncryption",
        put: "PutBucketEncryption",
        delete: Some("DeleteBucketEncryption"),
        input: encryption,
        is_default: default_encryption,
    },
    Setting {
        property: "PublicAccessBlockConfiguration",
        put: "PutPublicAccessBlock",
        delete: Some("DeletePublicAccessBlock"),
        input: |value| json!({"PublicAccessBlockConfiguration": value}),
        is_default: default_public_access,
    },
    Setting {
        property: "OwnershipControls",
        put: "PutBucketOwnershipControls",
        delete: Some("DeleteBucketOwnershipControls"),
        input: |value| json!({"OwnershipControls": value}),
        is_default: default_ownership,
    },
    Setting {
        property: "LifecycleConfiguration",
        put: "PutBucketLifecycleConfiguration",
        delete: Some("DeleteBucketLifecycle"),
        input: lifecycle,
        is_default: absent,
    },
    Setting {
        property: "CorsConfiguration",
        put: "PutBucketCors",
        delete: Some("DeleteBucketCors"),
        input: cors,
        is_default: absent,
    },
    Setting {
        property: "NotificationConfiguration",
        put: "PutBucketNotificationConfiguration",
        delete: None,
        input: notifications,
        is_default: absent,
    },
    Setting {
        property: "Tags",
        put: "PutBucketTagging",
        delete: Some("DeleteBucketTagging"),
        input: |value| json!({"Tagging": {"TagSet": value}}),
        is_default: absent,
    },
];

fn encryption(value: &Value) -> Value {
    let rules: Vec<Value> = list(value, "ServerSideEncryptionConfiguration")
        .iter()
        .map(|rule| {
            let mut target = json!({});
            if let Some(default) = rule.get("ServerSideEncryptionByDefault") {
                put(&mut target, "ApplyServerSideEncryptionByDefault", default.clone());
            }
            if let Some(key) = rule.get("BucketKeyEnabled") {
                put(&mut target, "BucketKeyEnabled", key.clone());
            }
            target
        })
        .collect();
    json!({"ServerSideEncryptionConfiguration": {"Rules": rules}})
}

const TRANSITION: &[Property] = &[text("StorageClass").required(), text("TransitionDate"), integer("TransitionInDays")];
const OLD_TRANSITION: &[Property] =
    &[text("StorageClass").required(), integer("TransitionInDays"), integer("NewerNoncurrentVersions")];

/// A lifecycle rule in a template.
pub(super) const RULE: &[Property] = &[
    object("AbortIncompleteMultipartUpload", &[integer("DaysAfterInitiation").required()]),
    text("ExpirationDate"),
    integer("ExpirationInDays"),
    boolean("ExpiredObjectDeleteMarker"),
    text("Id"),
    object("NoncurrentVersionExpiration", &[integer("NoncurrentDays"), integer("NewerNoncurrentVersions")]),
    integer("NoncurrentVersionExpirationInDays"),
    objects("NoncurrentVersionTransitions", OLD_TRANSITION),
    text("ObjectSizeGreaterThan"),
    text("ObjectSizeLessThan"),
    text("Prefix"),
    text("Status").required(),
    objects("TagFilters", &[text("Key").required(), text("Value").required()]),
    object("Transition", TRANSITION),
    objects("Transitions", TRANSITION),
];

fn lifecycle(value: &Value) -> Value {
    let rules: Vec<Value> = list(value, "Rules").iter().enumerate().map(|(i, rule)| lifecycle_rule(i, rule)).collect();
    json!({"LifecycleConfiguration": {"Rules": rules}})
}

fn lifecycle_rule(index: usize, rule: &Value) -> Value {
    let id = rule.get("Id").cloned().unwrap_or_else(|| format!("rule-{}", index + 1).into());
    let mut target = json!({"ID": id, "Status": rule["Status"], "Filter": lifecycle_filter(rule)});
    let mut expiration = Map::new();
    for (from, to) in [
        ("ExpirationInDays", "Days"),
        ("ExpirationDate", "Date"),
        ("ExpiredObjectDeleteMarker", "ExpiredObjectDeleteMarker"),
    ] {
        if let Some(value) = rule.get(from) {
            expiration.insert(to.to_owned(), value.clone());
        }
    }
    if !expiration.is_empty() {
        put(&mut target, "Expiration", expiration);
    }
    if let Some(abort) = rule.get("AbortIncompleteMultipartUpload") {
        put(&mut target, "AbortIncompleteMultipartUpload", abort.clone());
    }
    if let Some(days) = rule.get("NoncurrentVersionExpirationInDays") {
        put(&mut target, "NoncurrentVersionExpiration", json!({"NoncurrentDays": days}));
    }
    if let Some(expiration) = rule.get("NoncurrentVersionExpiration") {
        put(&mut target, "NoncurrentVersionExpiration", expiration.clone());
    }
    let transitions: Vec<Value> = rule
        .get("Transition")
        .into_iter()
        .chain(list(rule, "Transitions"))
        .map(|t| renamed(t, &[("TransitionInDays", "Days"), ("TransitionDate", "Date")]))
        .collect();
    if !transitions.is_empty() {
        put(&mut target, "Transitions", transitions);
    }
    let old: Vec<Value> = list(rule, "NoncurrentVersionTransitions")
        .iter()
        .map(|t| {
            renamed(
                t,
                &[("TransitionInDays", "NoncurrentDays"), ("NewerNoncurrentVersions", "NewerNoncurrentVersions")],
            )
        })
        .collect();
    if !old.is_empty() {
        put(&mut target, "NoncurrentVersionTransitions", old);
    }
    target
}

fn renamed(transition: &Value, names: &[(&str, &str)]) -> Value {
    let mut target = json!({"StorageClass": transition["StorageClass"]});
    for (from, to) in names {
        if let Some(value) = transition.get(*from) {
            put(&mut target, to, value.clone());
        }
    }
    target
}

fn lifecycle_filter(rule: &Value) -> Value {
    let mut parts = Map::new();
    if let Some(prefix) = rule.get("Prefix") {
        parts.insert("Prefix".to_owned(), prefix.clone());
    }
    for name in ["ObjectSizeGreaterThan", "ObjectSizeLessThan"] {
        if let Some(size) = rule.get(name).and_then(Value::as_str).and_then(|s| s.parse::<i64>().ok()) {
            parts.insert(name.to_owned(), size.into());
        }
    }
    let tags = list(rule, "TagFilters");
    match (parts.len(), tags) {
        (0, []) => json!({"Prefix": ""}),
        (1, []) => Value::Object(parts),
        (0, [one]) => json!({"Tag": one}),
        _ => {
            if !tags.is_empty() {
                parts.insert("Tags".to_owned(), tags.into());
            }
            json!({"And": parts})
        }
    }
}

fn cors(value: &Value) -> Value {
    let rules: Vec<Value> = list(value, "CorsRules")
        .iter()
        .map(|rule| {
            let mut target = pick(rule, &["AllowedHeaders", "AllowedMethods", "AllowedOrigins"]);
            for (from, to) in [("ExposedHeaders", "ExposeHeaders"), ("MaxAge", "MaxAgeSeconds"), ("Id", "ID")] {
                if let Some(value) = rule.get(from) {
                    put(&mut target, to, value.clone());
                }
            }
            target
        })
        .collect();
    json!({"CORSConfiguration": {"CORSRules": rules}})
}

fn notifications(value: &Value) -> Value {
    let kinds = [
        ("LambdaConfigurations", "Function", "LambdaFunctionConfigurations", "LambdaFunctionArn"),
        ("QueueConfigurations", "Queue", "QueueConfigurations", "QueueArn"),
        ("TopicConfigurations", "Topic", "TopicConfigurations", "TopicArn"),
    ];
    let mut target = json!({});
    for (from, arn_from, to, arn_to) in kinds {
        let configurations: Vec<Value> = list(value, from)
            .iter()
            .map(|c| {
                let mut entry = json!({arn_to: c[arn_from], "Events": [c["Event"]]});
                if let Some(rules) = c.get("Filter").and_then(|f| f.get("S3Key")).and_then(|k| k.get("Rules")) {
                    put(&mut entry, "Filter", json!({"Key": {"FilterRules": rules}}));
                }
                entry
            })
            .collect();
        if !configurations.is_empty() {
            put(&mut target, to, configurations);
        }
    }
    if value.get("EventBridgeConfiguration").is_some() {
        put(&mut target, "EventBridgeConfiguration", json!({}));
    }
    json!({"NotificationConfiguration": target})
}
