//! What can be configured of a bucket: stored as JSON in the shape of AWS's model, checked before.

use std::collections::BTreeMap;

use bytes::Bytes;
use s3s::dto;
use serde_json::{Value, json};
use service::Fault;

use crate::codec::{Reader, Writer};
use crate::fault::{self, invalid_argument, invalid_request};
use crate::lifecycle::Lifecycle;
use crate::model::normalised;
use crate::record::Tags;

const SETTING_VERSION: u8 = 1;
const POLICY_BYTES_MAX: usize = 20 * 1024;
const CORS_RULES_MAX: usize = 100;
const BUCKET_TAGS_MAX: usize = 50;
const OBJECT_TAGS_MAX: usize = 10;
const TAG_KEY_CHARS_MAX: usize = 128;
const TAG_VALUE_CHARS_MAX: usize = 256;

/// One thing that can be configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Setting {
    Lifecycle = 1,
    Encryption = 2,
    Policy = 3,
    PublicAccessBlock = 4,
    OwnershipControls = 5,
    Notification = 6,
    Cors = 7,
    Tagging = 8,
}

impl Setting {
    /// What a bucket has that was not told.
    pub(crate) fn default(self) -> Option<Value> {
        match self {
            Setting::Encryption => Some(json!({"Rules": [{
                "ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"},
                "BucketKeyEnabled": false
            }]})),
            Setting::PublicAccessBlock => Some(json!({
                "BlockPublicAcls": true, "IgnorePublicAcls": true, "BlockPublicPolicy": true,
                "RestrictPublicBuckets": true
            })),
            Setting::OwnershipControls => Some(json!({"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]})),
            Setting::Notification => Some(json!({})),
            Setting::Lifecycle | Setting::Policy | Setting::Cors | Setting::Tagging => None,
        }
    }

    /// What deleting it leaves: `None` goes back to the default.
    pub(crate) fn deleted(self) -> Option<Value> {
        matches!(self, Setting::PublicAccessBlock | Setting::OwnershipControls).then_some(Value::Null)
    }

    pub(crate) fn missing(self, bucket: &str) -> Fault {
        let (code, message) = match self {
            Setting::Lifecycle => ("NoSuchLifecycleConfiguration", "The lifecycle configuration does not exist"),
            Setting::Policy => ("NoSuchBucketPolicy", "The bucket policy does not exist"),
            Setting::Cors => ("NoSuchCORSConfiguration", "The CORS configuration does not exist"),
            Setting::Tagging => ("NoSuchTagSet", "The TagSet does not exist"),
            Setting::PublicAccessBlock => {
                ("NoSuchPublicAccessBlockConfiguration", "The public access block configuration was not found")
            }
            Setting::OwnershipControls => {
                ("OwnershipControlsNotFoundError", "The bucket ownership controls were not found")
            }
            Setting::Encryption => (
                "ServerSideEncryptionConfigurationNotFoundError",
                "The server side encryption configuration was not found",
            ),
            Setting::Notification => ("NoSuchConfiguration", "The specified configuration does not exist."),
        };
        Fault::with_status(404, code, message).member("BucketName", bucket)
    }

    /// Checks a new value and brings it into the form that is stored.
    pub(crate) fn check(self, value: &Value) -> Result<Value, Fault> {
        match self {
            Setting::Lifecycle => lifecycle(value),
            Setting::Encryption => encryption(value),
            Setting::Policy => policy(value),
            Setting::PublicAccessBlock => {
                let mut block = normalised::<dto::PublicAccessBlockConfiguration>(value, "ID")?;
                for name in ["BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"] {
                    if block.get(name).is_none() {
                        block[name] = Value::Bool(false);
                    }
                }
                Ok(block)
            }
            Setting::OwnershipControls => ownership(value),
            Setting::Notification => notification(value),
            Setting::Cors => cors(value),
            Setting::Tagging => {
                let tags = tags_of(&value["TagSet"])?;
                check_tags(&tags, BUCKET_TAGS_MAX)?;
                Ok(json!({"TagSet": tag_set(&tags)}))
            }
        }
    }
}

pub(crate) fn encode(value: &Value) -> Bytes {
    let mut writer = Writer::new(SETTING_VERSION);
    writer.fixed(value.to_string().as_bytes());
    writer.finish()
}

pub(crate) fn decode(record: &[u8]) -> Result<Value, store::Error> {
    let reader = Reader::open("setting", record, SETTING_VERSION)?;
    serde_json::from_slice(&record[1..]).map_err(|_| reader.corrupt())
}

fn lifecycle(value: &Value) -> Result<Value, Fault> {
    let mut value = value.clone();
    for rule in value["Rules"].as_array_mut().into_iter().flatten() {
        let transitions = rule.get_mut("Transitions").and_then(Value::as_array_mut).map(|t| t.iter_mut());
        for action in transitions.into_iter().flatten() {
            full_date(action);
        }
        if let Some(expiration) = rule.get_mut("Expiration") {
            full_date(expiration);
        }
    }
    let mut checked = normalised::<dto::BucketLifecycleConfiguration>(&value, "ID")?;
    if let Some(size) = value.get("TransitionDefaultMinimumObjectSize") {
        checked["TransitionDefaultMinimumObjectSize"] = size.clone();
    }
    Lifecycle::read(&checked)?;
    Ok(checked)
}

/// Templates write dates without a time, JSON callers seconds.
fn full_date(action: &mut Value) {
    let Some(date) = action.get("Date") else { return };
    let full = match date {
        Value::Number(seconds) => {
            let millis = seconds.as_f64().map_or(0.0, |s| s * 1000.0);
            base::Timestamp::from_millis(millis as i64).to_rfc3339()
        }
        Value::String(text) if text.len() == 10 => format!("{text}T00:00:00Z"),
        _ => return,
    };
    action["Date"] = full.into();
}

fn encryption(value: &Value) -> Result<Value, Fault> {
    let checked = normalised::<dto::ServerSideEncryptionConfiguration>(value, "ID")?;
    let rules = checked["Rules"].as_array().map(Vec::as_slice).unwrap_or_default();
    let [rule] = rules else { return Err(fault::malformed_xml()) };
    if let Some(default) = rule.get("ApplyServerSideEncryptionByDefault") {
        let algorithm = default["SSEAlgorithm"].as_str().unwrap_or_default();
        let is_kms = matches!(algorithm, "aws:kms" | "aws:kms:dsse");
        if !is_kms && algorithm != "AES256" {
            return Err(fault::malformed_xml());
        }
        if !is_kms && default.get("KMSMasterKeyID").is_some() {
            let message = "a KMSMasterKeyID is not applicable if the default sse algorithm is not aws:kms or \
                           aws:kms:dsse";
            return Err(invalid_argument(message, "ApplyServerSideEncryptionByDefault", ""));
        }
    }
    Ok(checked)
}

fn policy(value: &Value) -> Result<Value, Fault> {
    let malformed = |message: &str| Fault::client("MalformedPolicy", message);
    let text = value.as_str().ok_or_else(|| malformed("Policies must be valid JSON and the first byte must be '{'"))?;
    if text.len() > POLICY_BYTES_MAX {
        return Err(Fault::client("PolicyTooLarge", "The policy exceeds the maximum allowed document size."));
    }
    let document: Value = serde_json::from_str(text)
        .ok()
        .filter(|_| text.starts_with('{'))
        .ok_or_else(|| malformed("Policies must be valid JSON and the first byte must be '{'"))?;
    if !matches!(document.get("Statement"), Some(Value::Array(_) | Value::Object(_))) {
        return Err(malformed("Missing required field Statement"));
    }
    Ok(text.into())
}

fn ownership(value: &Value) -> Result<Value, Fault> {
    let known = ["BucketOwnerEnforced", "BucketOwnerPreferred", "ObjectWriter"];
    match value["Rules"].as_array().map(Vec::as_slice) {
        Some([rule]) if rule["ObjectOwnership"].as_str().is_some_and(|o| known.contains(&o)) => {
            Ok(json!({"Rules": [{"ObjectOwnership": rule["ObjectOwnership"]}]}))
        }
        _ => Err(fault::malformed_xml()),
    }
}

fn notification(value: &Value) -> Result<Value, Fault> {
    let checked = normalised::<dto::NotificationConfiguration>(value, "Id")?;
    for (name, arn, service) in [
        ("QueueConfigurations", "QueueArn", ":sqs:"),
        ("TopicConfigurations", "TopicArn", ":sns:"),
        ("LambdaFunctionConfigurations", "LambdaFunctionArn", ":lambda:"),
    ] {
        for entry in checked[name].as_array().into_iter().flatten() {
            let target = entry[arn].as_str().unwrap_or_default();
            if !target.starts_with("arn:") || !target.contains(service) {
                return Err(invalid_argument("The ARN could not be parsed", arn, target));
            }
            let events = entry["Events"].as_array().map(Vec::as_slice).unwrap_or_default();
            let is_event = |e: &Value| e.as_str().is_some_and(|e| e.starts_with("s3:"));
            if events.is_empty() || !events.iter().all(is_event) {
                return Err(invalid_argument("The event is not supported for notifications", "Event", ""));
            }
        }
    }
    Ok(checked)
}

fn cors(value: &Value) -> Result<Value, Fault> {
    let checked = normalised::<dto::CORSConfiguration>(value, "ID")?;
    let rules = checked["CORSRules"].as_array().map(Vec::as_slice).unwrap_or_default();
    if rules.is_empty() || rules.len() > CORS_RULES_MAX {
        return Err(fault::malformed_xml());
    }
    for rule in rules {
        for method in rule["AllowedMethods"].as_array().into_iter().flatten() {
            let method = method.as_str().unwrap_or_default();
            if !matches!(method, "GET" | "PUT" | "HEAD" | "POST" | "DELETE") {
                let message = format!("Found unsupported HTTP method in CORS config. Unsupported method is {method}");
                return Err(invalid_request(message));
            }
        }
    }
    Ok(checked)
}

/// Tags as a list of `Key` and `Value`.
pub(crate) fn tag_set(tags: &Tags) -> Value {
    tags.iter().map(|(key, value)| json!({"Key": key, "Value": value})).collect()
}

pub(crate) fn tags_of(set: &Value) -> Result<Tags, Fault> {
    let mut tags = BTreeMap::new();
    for tag in set.as_array().ok_or_else(fault::malformed_xml)? {
        let (Some(key), Some(value)) = (tag["Key"].as_str(), tag["Value"].as_str()) else {
            return Err(fault::malformed_xml());
        };
        if tags.insert(key.to_owned(), value.to_owned()).is_some() {
            return Err(Fault::client("InvalidTag", "Cannot provide multiple Tags with the same key"));
        }
    }
    Ok(tags)
}

pub(crate) fn check_object_tags(tags: &Tags) -> Result<(), Fault> {
    check_tags(tags, OBJECT_TAGS_MAX)
}

fn check_tags(tags: &Tags, count_max: usize) -> Result<(), Fault> {
    if tags.len() > count_max {
        let what = if count_max == OBJECT_TAGS_MAX { "Object" } else { "Bucket" };
        return Err(Fault::client("BadRequest", format!("{what} tags cannot be greater than {count_max}")));
    }
    let is_allowed =
        |text: &str| text.chars().all(|c| c.is_alphanumeric() || c.is_whitespace() || "_.:/=+-@".contains(c));
    for (key, value) in tags {
        if key.is_empty() || key.chars().count() > TAG_KEY_CHARS_MAX || !is_allowed(key) {
            return Err(Fault::client("InvalidTag", "The TagKey you have provided is invalid").member("TagKey", &**key));
        }
        if value.chars().count() > TAG_VALUE_CHARS_MAX || !is_allowed(value) {
            return Err(Fault::client("InvalidTag", "The TagValue you have provided is invalid")
                .member("TagKey", &**key)
                .member("TagValue", &**value));
        }
        if key.starts_with("aws:") {
            return Err(Fault::client("InvalidTag", "System tags cannot be added/updated by requester"));
        }
    }
    Ok(())
}
