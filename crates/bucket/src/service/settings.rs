//! Operations on buckets and their settings, for callers in the same process.

use serde::Deserialize;
use serde_json::{Map, Value, json};
use service::{Call, Fault};

use super::objects::check_owner;
use super::{Output, Registration, iso};
use crate::Buckets;
use crate::bucket_record::Versioning;
use crate::fault::not_implemented;
use crate::settings::Setting;

/// A setting's operations: put, get, delete; and the member that carries it.
struct Operations {
    setting: Setting,
    put: &'static str,
    get: &'static str,
    delete: Option<&'static str>,
    member: &'static str,
    /// Whether the answer has the setting's own members and not one around them.
    is_flat: bool,
}

const SETTINGS: [Operations; 8] = [
    Operations {
        setting: Setting::Lifecycle,
        put: "PutBucketLifecycleConfiguration",
        get: "GetBucketLifecycleConfiguration",
        delete: Some("DeleteBucketLifecycle"),
        member: "LifecycleConfiguration",
        is_flat: true,
    },
    Operations {
        setting: Setting::Encryption,
        put: "PutBucketEncryption",
        get: "GetBucketEncryption",
        delete: Some("DeleteBucketEncryption"),
        member: "ServerSideEncryptionConfiguration",
        is_flat: false,
    },
    Operations {
        setting: Setting::Policy,
        put: "PutBucketPolicy",
        get: "GetBucketPolicy",
        delete: Some("DeleteBucketPolicy"),
        member: "Policy",
        is_flat: false,
    },
    Operations {
        setting: Setting::PublicAccessBlock,
        put: "PutPublicAccessBlock",
        get: "GetPublicAccessBlock",
        delete: Some("DeletePublicAccessBlock"),
        member: "PublicAccessBlockConfiguration",
        is_flat: false,
    },
    Operations {
        setting: Setting::OwnershipControls,
        put: "PutBucketOwnershipControls",
        get: "GetBucketOwnershipControls",
        delete: Some("DeleteBucketOwnershipControls"),
        member: "OwnershipControls",
        is_flat: false,
    },
    Operations {
        setting: Setting::Notification,
        put: "PutBucketNotificationConfiguration",
        get: "GetBucketNotificationConfiguration",
        delete: None,
        member: "NotificationConfiguration",
        is_flat: true,
    },
    Operations {
        setting: Setting::Cors,
        put: "PutBucketCors",
        get: "GetBucketCors",
        delete: Some("DeleteBucketCors"),
        member: "CORSConfiguration",
        is_flat: true,
    },
    Operations {
        setting: Setting::Tagging,
        put: "PutBucketTagging",
        get: "GetBucketTagging",
        delete: Some("DeleteBucketTagging"),
        member: "Tagging",
        is_flat: true,
    },
];

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct BucketInput {
    bucket: String,
    expected_bucket_owner: Option<String>,
    #[serde(flatten)]
    members: Map<String, Value>,
}

pub(super) fn register(registration: &mut Registration) {
    registration.operation("CreateBucket", |buckets, call, input| async move { create(&buckets, &call, &input).await });
    registration.operation("DeleteBucket", |buckets, call, input: BucketInput| async move {
        check_owner(&call, input.expected_bucket_owner.as_deref())?;
        buckets.delete_bucket(&call, &input.bucket).await.map(|()| json!({}))
    });
    registration.operation("HeadBucket", |buckets, call, input: BucketInput| async move {
        check_owner(&call, input.expected_bucket_owner.as_deref())?;
        buckets.bucket(&call, &input.bucket).map(|bucket| json!({"BucketRegion": bucket.region}))
    });
    registration.operation("GetBucketLocation", |buckets, call, input: BucketInput| async move {
        check_owner(&call, input.expected_bucket_owner.as_deref())?;
        let bucket = buckets.bucket(&call, &input.bucket)?;
        let is_first = bucket.region == "us-east-1";
        Ok(if is_first { json!({}) } else { json!({"LocationConstraint": bucket.region}) })
    });
    registration.operation("ListBuckets", |buckets, call, input| async move { list(&buckets, &call, input).await });
    registration.operation("PutBucketVersioning", |buckets, call, input| async move {
        put_versioning(&buckets, &call, &input).await
    });
    registration.operation("GetBucketVersioning", |buckets, call, input: BucketInput| async move {
        check_owner(&call, input.expected_bucket_owner.as_deref())?;
        Ok(match buckets.bucket(&call, &input.bucket)?.versioning {
            Versioning::Off => json!({}),
            Versioning::Enabled => json!({"Status": "Enabled"}),
            Versioning::Suspended => json!({"Status": "Suspended"}),
        })
    });
    for operations in &SETTINGS {
        register_setting(registration, operations);
    }
}

fn register_setting(registration: &mut Registration, operations: &'static Operations) {
    registration.operation(operations.put, move |buckets, call, input: BucketInput| async move {
        check_owner(&call, input.expected_bucket_owner.as_deref())?;
        let mut value = input.members.get(operations.member).cloned().unwrap_or_default();
        // A policy may be given as the document it is.
        if operations.setting == Setting::Policy && value.is_object() {
            value = value.to_string().into();
        }
        let size = "TransitionDefaultMinimumObjectSize";
        if let (Setting::Lifecycle, Some(size_rule)) = (operations.setting, input.members.get(size)) {
            value[size] = size_rule.clone();
        }
        buckets.put_setting(&call, &input.bucket, operations.setting, &value).await.map(|()| json!({}))
    });
    registration.operation(operations.get, move |buckets, call, input: BucketInput| async move {
        check_owner(&call, input.expected_bucket_owner.as_deref())?;
        let value = buckets.setting(&call, &input.bucket, operations.setting)?;
        Ok(if operations.is_flat { value } else { json!({ operations.member: value }) })
    });
    if let Some(delete) = operations.delete {
        registration.operation(delete, move |buckets, call, input: BucketInput| async move {
            check_owner(&call, input.expected_bucket_owner.as_deref())?;
            buckets.delete_setting(&call, &input.bucket, operations.setting).await.map(|()| json!({}))
        });
    }
}

/// Unlike the REST API, a bucket that is there already is an error in every region: templates rely on it.
async fn create(buckets: &Buckets, call: &Call, input: &BucketInput) -> Result<Value, Fault> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    if input.members.get("ObjectLockEnabledForBucket").is_some_and(|v| *v == true) {
        return Err(not_implemented("object lock"));
    }
    let location = input.members.get("CreateBucketConfiguration").and_then(|c| text(&c["LocationConstraint"]));
    let ownership = input.members.get("ObjectOwnership").and_then(text);
    let (location, ownership) = (location.as_deref(), ownership.as_deref());
    buckets.create_bucket(call, &input.bucket, location, ownership, false).await?;
    Ok(json!({"Location": format!("/{}", input.bucket)}))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListInput {
    prefix: Option<String>,
    bucket_region: Option<String>,
    continuation_token: Option<String>,
    max_buckets: Option<i64>,
}

async fn list(buckets: &Buckets, call: &Call, input: ListInput) -> Result<Map<String, Value>, Fault> {
    let prefix = input.prefix.clone().unwrap_or_default();
    let token = input.continuation_token.as_deref();
    let (found, next) = buckets.list_buckets(call, &prefix, input.bucket_region, token, input.max_buckets).await?;
    let told: Vec<Value> =
        found.into_iter().map(|entry| json!({"CreationDate": iso(entry.bucket.created), "Name": entry.name})).collect();
    let mut output = Output::default();
    output.put("Buckets", told);
    output.put_some("ContinuationToken", next);
    output.put("Owner", json!({"ID": crate::http::canonical_user(call.scope.account())}));
    output.put_some("Prefix", input.prefix);
    Ok(output.0)
}

async fn put_versioning(buckets: &Buckets, call: &Call, input: &BucketInput) -> Result<Value, Fault> {
    check_owner(call, input.expected_bucket_owner.as_deref())?;
    let configuration = input.members.get("VersioningConfiguration").cloned().unwrap_or_default();
    if configuration["MFADelete"] == "Enabled" {
        return Err(not_implemented("MFA delete"));
    }
    buckets.put_versioning(call, &input.bucket, configuration["Status"].as_str()).await?;
    Ok(json!({}))
}
