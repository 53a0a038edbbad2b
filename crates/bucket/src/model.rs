//! Between the two spellings of S3's model: `KMSMasterKeyID` in AWS's JSON, `kms_master_key_id` in s3s's types.
//!
//! Bucket configurations are stored and handed around within the product as JSON in AWS's spelling; s3s's types are
//! used for what comes and goes as XML, and to check the JSON's shape.

use s3s::dto;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use service::Fault;

use crate::fault;

/// Members that are not spelled by the rule "each word begins with a capital".
const SPELLINGS: [(&str, &str); 6] = [
    ("sse_algorithm", "SSEAlgorithm"),
    ("kms_master_key_id", "KMSMasterKeyID"),
    ("cors_rules", "CORSRules"),
    ("id", "ID"),
    ("uri", "URI"),
    ("e_tag", "ETag"),
];

fn to_aws(name: &str, id: &str) -> String {
    if name == "id" {
        return id.to_owned();
    }
    if let Some((_, spelling)) = SPELLINGS.iter().find(|(snake, _)| *snake == name) {
        return (*spelling).to_owned();
    }
    let mut aws = String::with_capacity(name.len());
    for word in name.split('_') {
        let mut letters = word.chars();
        aws.extend(letters.next().map(|c| c.to_ascii_uppercase()));
        aws.push_str(letters.as_str());
    }
    aws
}

fn to_snake(name: &str) -> String {
    let letters: Vec<char> = name.chars().collect();
    let mut snake = String::with_capacity(name.len() + 4);
    for (i, letter) in letters.iter().enumerate() {
        let begins_word = i > 0
            && letter.is_ascii_uppercase()
            && (!letters[i - 1].is_ascii_uppercase() || letters.get(i + 1).is_some_and(char::is_ascii_lowercase));
        if begins_word {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}

fn respell(value: Value, spell: &impl Fn(&str) -> String) -> Value {
    match value {
        Value::Object(members) => {
            let members = members.into_iter().filter(|(_, v)| !v.is_null());
            Value::Object(members.map(|(k, v)| (spell(&k), respell(v, spell))).collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(|v| respell(v, spell)).collect()),
        other => other,
    }
}

/// A type of s3s as JSON in AWS's spelling. `id` is how the model spells that member here: `ID` or `Id`.
pub(crate) fn to_json(value: &impl Serialize, id: &str) -> Result<Value, Fault> {
    let json = serde_json::to_value(value).map_err(|e| fault::internal(&format!("write a configuration: {e}")))?;
    Ok(respell(json, &|name| to_aws(name, id)))
}

/// JSON in AWS's spelling as a type of s3s; JSON of another shape is malformed.
pub(crate) fn from_json<T: DeserializeOwned>(json: &Value) -> Result<T, Fault> {
    serde_json::from_value(respell(json.clone(), &to_snake)).map_err(|e| {
        let mut fault = fault::malformed_xml();
        fault.message = format!("{} ({e})", fault.message);
        fault
    })
}

/// Checks JSON against the type and drops members that it does not know.
pub(crate) fn normalised<T: DeserializeOwned + Serialize>(json: &Value, id: &str) -> Result<Value, Fault> {
    to_json(&from_json::<T>(json)?, id)
}

/// A time of ours as one of s3s's.
pub(crate) fn timestamp(time: base::Timestamp) -> dto::Timestamp {
    let since = std::time::Duration::from_millis(u64::try_from(time.as_millis()).unwrap_or(0));
    dto::Timestamp::from(std::time::UNIX_EPOCH + since)
}

/// A time of s3s's as one of ours.
pub(crate) fn from_timestamp(time: &dto::Timestamp) -> base::Timestamp {
    let mut text = Vec::new();
    let written = time.format(dto::TimestampFormat::DateTime, &mut text);
    let parsed = std::str::from_utf8(&text).ok().and_then(|t| base::Timestamp::parse_rfc3339(t).ok());
    written.ok().and(parsed).unwrap_or(base::Timestamp::MIN)
}

/// As in HTTP headers: `Fri, 23 Dec 2026 00:00:00 GMT`.
pub(crate) fn http_date(time: base::Timestamp) -> String {
    let mut text = Vec::new();
    match timestamp(time).format(dto::TimestampFormat::HttpDate, &mut text) {
        Ok(()) => String::from_utf8_lossy(&text).into_owned(),
        Err(_) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn both_spellings() {
        for aws in ["SSEAlgorithm", "KMSMasterKeyID", "CORSRules", "ID", "URI", "ETag", "BlockPublicAcls", "Rules"] {
            assert_eq!(to_aws(&to_snake(aws), "ID"), aws);
        }
        assert_eq!(to_snake("LambdaFunctionArn"), "lambda_function_arn");
        let notification = json!({"QueueConfigurations": [{
            "Id": "n", "QueueArn": "arn:aws:sqs:us-east-1:000000000000:q", "Events": ["s3:ObjectCreated:*"],
            "Filter": {"Key": {"FilterRules": [{"Name": "prefix", "Value": "a/"}]}}
        }]});
        assert_eq!(normalised::<dto::NotificationConfiguration>(&notification, "Id").unwrap(), notification);
        let lifecycle = json!({"Rules": [{
            "ID": "r", "Status": "Enabled", "Filter": {"And": {"Prefix": "x", "Tags": [{"Key": "k", "Value": "v"}]}},
            "Expiration": {"Date": "2030-01-01T00:00:00.000Z"},
            "NoncurrentVersionExpiration": {"NewerNoncurrentVersions": 2, "NoncurrentDays": 3}
        }]});
        assert_eq!(normalised::<dto::BucketLifecycleConfiguration>(&lifecycle, "ID").unwrap(), lifecycle);
    }
}
