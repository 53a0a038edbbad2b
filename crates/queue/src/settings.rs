use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use service::Fault;

use crate::{QueueName, fault};

/// The largest message, and the largest sum of a batch, in bytes.
pub const MESSAGE_BYTES_MAX: usize = 1024 * 1024;
pub(crate) const VISIBILITY_TIMEOUT_SECONDS_MAX: u32 = 43_200;
pub(crate) const DELAY_SECONDS_MAX: u32 = 900;
pub(crate) const WAIT_SECONDS_MAX: u32 = 20;
const MAX_RECEIVE_COUNT_MAX: u32 = 1000;
const REDRIVE_SOURCES_MAX: usize = 10;

/// How a queue was configured; defaults as AWS's.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Settings {
    pub delay_seconds: u32,
    pub maximum_message_bytes: u32,
    pub retention_seconds: u32,
    pub wait_seconds: u32,
    pub visibility_timeout_seconds: u32,
    pub policy: Option<String>,
    pub redrive: Option<Redrive>,
    pub redrive_allow: Option<RedriveAllow>,
    pub fifo: Option<FifoSettings>,
    pub kms_master_key_id: Option<String>,
    pub kms_data_key_reuse_seconds: u32,
    pub sqs_managed_sse: bool,
}

/// What only FIFO queues have.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct FifoSettings {
    pub content_based_deduplication: bool,
    /// Deduplicate within a message group instead of the whole queue.
    pub deduplicate_by_group: bool,
    pub throughput_by_group: bool,
}

/// Where messages go that were received too often.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Redrive {
    pub target: QueueName,
    pub receive_count_max: u32,
}

/// Which queues may name this one as their dead-letter queue.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RedriveAllow {
    pub redrive_permission: RedrivePermission,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub source_queue_arns: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum RedrivePermission {
    AllowAll,
    DenyAll,
    ByQueue,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            delay_seconds: 0,
            maximum_message_bytes: MESSAGE_BYTES_MAX as u32,
            retention_seconds: 345_600,
            wait_seconds: 0,
            visibility_timeout_seconds: 30,
            policy: None,
            redrive: None,
            redrive_allow: None,
            fifo: None,
            kms_master_key_id: None,
            kms_data_key_reuse_seconds: 300,
            sqs_managed_sse: true,
        }
    }
}

impl Settings {
    /// The settings of a queue that is made with `attributes`.
    pub fn create(attributes: &BTreeMap<String, String>) -> Result<Settings, Fault> {
        let mut settings = Settings::default();
        match attributes.get("FifoQueue").map(String::as_str) {
            None => {}
            Some("true") => settings.fifo = Some(FifoSettings::default()),
            // Standard queues know no such attribute, not even as false.
            Some("false") => return Err(fault::unknown_attribute("FifoQueue")),
            Some(_) => return Err(fault::invalid_attribute_value("FifoQueue")),
        }
        settings.change(attributes)?;
        Ok(settings)
    }

    /// Applies `attributes` in one step: all, or none where one is refused.
    pub fn change(&mut self, attributes: &BTreeMap<String, String>) -> Result<(), Fault> {
        let is_true = |name| attributes.get(name).is_some_and(|v: &String| v.eq_ignore_ascii_case("true"));
        if attributes.get("KmsMasterKeyId").is_some_and(|k| !k.is_empty()) && is_true("SqsManagedSseEnabled") {
            return Err(Fault::client(
                "InvalidAttributeName",
                "You can use one type of server-side encryption (SSE) at one time. You can either enable KMS SSE or \
                 SQS SSE.",
            ));
        }
        let mut changed = self.clone();
        for (name, value) in attributes {
            changed.set(name, value)?;
        }
        if changed.fifo.as_ref().is_some_and(|f| f.throughput_by_group && !f.deduplicate_by_group) {
            return Err(Fault::client(
                "InvalidAttributeValue",
                "The perMessageGroupId value is allowed only when the value for DeduplicationScope is messageGroup.",
            ));
        }
        *self = changed;
        Ok(())
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), Fault> {
        match name {
            "DelaySeconds" => self.delay_seconds = number(name, value, 0, DELAY_SECONDS_MAX)?,
            "MaximumMessageSize" => {
                self.maximum_message_bytes = number(name, value, 1024, MESSAGE_BYTES_MAX as u32)?;
            }
            "MessageRetentionPeriod" => self.retention_seconds = number(name, value, 60, 1_209_600)?,
            "ReceiveMessageWaitTimeSeconds" => self.wait_seconds = number(name, value, 0, WAIT_SECONDS_MAX)?,
            "VisibilityTimeout" => {
                self.visibility_timeout_seconds = number(name, value, 0, VISIBILITY_TIMEOUT_SECONDS_MAX)?;
            }
            "Policy" => self.policy = policy(value)?,
            "RedrivePolicy" => self.redrive = redrive(value)?,
            "RedriveAllowPolicy" => self.redrive_allow = redrive_allow(value)?,
            "KmsMasterKeyId" => {
                self.kms_master_key_id = (!value.is_empty()).then(|| value.to_owned());
                self.sqs_managed_sse &= value.is_empty();
            }
            "KmsDataKeyReusePeriodSeconds" => self.kms_data_key_reuse_seconds = number(name, value, 60, 86_400)?,
            "SqsManagedSseEnabled" => {
                self.sqs_managed_sse = boolean(name, value)?;
                if self.sqs_managed_sse {
                    self.kms_master_key_id = None;
                }
            }
            _ => return self.set_fifo(name, value),
        }
        Ok(())
    }

    fn set_fifo(&mut self, name: &str, value: &str) -> Result<(), Fault> {
        let Some(fifo) = &mut self.fifo else {
            return Err(fault::unknown_attribute(name));
        };
        let choice = |no: &str, yes: &str| match value {
            v if v == no => Ok(false),
            v if v == yes => Ok(true),
            _ => Err(fault::invalid_attribute_value(name)),
        };
        match name {
            "FifoQueue" if value == "true" => {}
            "FifoQueue" => {
                return Err(Fault::client(
                    "InvalidAttributeValue",
                    "Invalid value for the parameter FifoQueue. Reason: Modifying queue type is not supported.",
                ));
            }
            "ContentBasedDeduplication" => fifo.content_based_deduplication = boolean(name, value)?,
            "DeduplicationScope" => fifo.deduplicate_by_group = choice("queue", "messageGroup")?,
            "FifoThroughputLimit" => fifo.throughput_by_group = choice("perQueue", "perMessageGroupId")?,
            _ => return Err(fault::unknown_attribute(name)),
        }
        Ok(())
    }

    /// The settings as attributes, those that are set; what is stored and what callers see.
    pub fn attributes(&self) -> BTreeMap<String, String> {
        let mut all = BTreeMap::new();
        let mut put = |name: &str, value: String| drop(all.insert(name.to_owned(), value));
        put("DelaySeconds", self.delay_seconds.to_string());
        put("MaximumMessageSize", self.maximum_message_bytes.to_string());
        put("MessageRetentionPeriod", self.retention_seconds.to_string());
        put("ReceiveMessageWaitTimeSeconds", self.wait_seconds.to_string());
        put("VisibilityTimeout", self.visibility_timeout_seconds.to_string());
        put("SqsManagedSseEnabled", self.sqs_managed_sse.to_string());
        if let Some(policy) = &self.policy {
            put("Policy", policy.clone());
        }
        if let Some(redrive) = &self.redrive {
            put("RedrivePolicy", redrive.to_json());
        }
        if let Some(allow) = &self.redrive_allow {
            put("RedriveAllowPolicy", serde_json::to_string(allow).unwrap_or_default());
        }
        if let Some(key) = &self.kms_master_key_id {
            put("KmsMasterKeyId", key.clone());
            put("KmsDataKeyReusePeriodSeconds", self.kms_data_key_reuse_seconds.to_string());
        }
        if let Some(fifo) = &self.fifo {
            put("FifoQueue", "true".to_owned());
            put("ContentBasedDeduplication", fifo.content_based_deduplication.to_string());
            let choice = |by: bool, no: &str, yes: &str| if by { yes } else { no }.to_owned();
            put("DeduplicationScope", choice(fifo.deduplicate_by_group, "queue", "messageGroup"));
            put("FifoThroughputLimit", choice(fifo.throughput_by_group, "perQueue", "perMessageGroupId"));
        }
        all
    }

    /// The first of `attributes` that is not as in these settings.
    pub fn first_difference(&self, attributes: &BTreeMap<String, String>) -> Result<Option<String>, Fault> {
        let mut wanted = self.clone();
        for (name, value) in attributes {
            // Makes "5" and 5 in a redrive policy, or two spellings of one JSON, the same.
            if wanted.set(name, value).is_err() || wanted != *self {
                return Ok(Some(name.clone()));
            }
        }
        Ok(None)
    }

    pub fn retention(&self) -> Duration {
        Duration::from_secs(u64::from(self.retention_seconds))
    }
}

impl Redrive {
    pub fn to_json(&self) -> String {
        format!(r#"{{"deadLetterTargetArn":"{}","maxReceiveCount":{}}}"#, self.target.arn(), self.receive_count_max)
    }
}

impl RedriveAllow {
    /// Whether `source` may send its dead letters here.
    pub fn allows(&self, source: &str) -> bool {
        match self.redrive_permission {
            RedrivePermission::AllowAll => true,
            RedrivePermission::DenyAll => false,
            RedrivePermission::ByQueue => self.source_queue_arns.iter().any(|a| a == source),
        }
    }
}

fn number(name: &str, value: &str, min: u32, max: u32) -> Result<u32, Fault> {
    let number = value.parse().ok().filter(|n| (min..=max).contains(n));
    number.ok_or_else(|| fault::invalid_attribute_value(name))
}

fn boolean(name: &str, value: &str) -> Result<bool, Fault> {
    match value.to_ascii_lowercase().as_str() {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(fault::invalid_attribute_value(name)),
    }
}

/// An empty text takes the policy away.
fn policy(value: &str) -> Result<Option<String>, Fault> {
    if value.is_empty() {
        return Ok(None);
    }
    match serde_json::from_str::<Value>(value) {
        Ok(Value::Object(_)) => Ok(Some(value.to_owned())),
        _ => Err(fault::invalid_attribute_value("Policy")),
    }
}

fn redrive(value: &str) -> Result<Option<Redrive>, Fault> {
    if value.is_empty() {
        return Ok(None);
    }
    let refuse = |reason: &str| fault::invalid_value(value, "RedrivePolicy", reason);
    let Ok(Value::Object(map)) = serde_json::from_str::<Value>(value) else {
        return Err(refuse("Redrive policy is not a valid JSON map."));
    };
    let part = |name: &str| {
        map.get(name).ok_or_else(|| refuse(&format!("Redrive policy does not contain mandatory attribute: {name}.")))
    };
    let (target, count) = (part("deadLetterTargetArn")?, part("maxReceiveCount")?);
    if let Some(unknown) = map.keys().find(|k| *k != "deadLetterTargetArn" && *k != "maxReceiveCount") {
        return Err(refuse(&format!(
            "Only following attributes are supported: [deadLetterTargetArn, maxReceiveCount], \
                                    found {unknown}."
        )));
    }
    let target = target.as_str().and_then(QueueName::from_arn);
    let target = target.ok_or_else(|| refuse("Invalid value for deadLetterTargetArn."))?;
    let number = match count {
        Value::String(text) => text.trim().parse().ok(),
        other => other.as_u64(),
    };
    match number.and_then(|n: u64| u32::try_from(n).ok()) {
        Some(n @ 1..=MAX_RECEIVE_COUNT_MAX) => Ok(Some(Redrive { target, receive_count_max: n })),
        _ => {
            let shown = count.as_str().map_or_else(|| count.to_string(), str::to_owned);
            Err(refuse(&format!(
                "Invalid value for maxReceiveCount: {shown}, valid values are from 1 to {MAX_RECEIVE_COUNT_MAX} both \
                 inclusive."
            )))
        }
    }
}

fn redrive_allow(value: &str) -> Result<Option<RedriveAllow>, Fault> {
    if value.is_empty() {
        return Ok(None);
    }
    let refuse = |reason: &str| fault::invalid_value(value, "RedriveAllowPolicy", reason);
    let allow: RedriveAllow =
        serde_json::from_str(value).map_err(|_| refuse("Redrive allow policy is not a valid JSON map."))?;
    let by_queue = allow.redrive_permission == RedrivePermission::ByQueue;
    let count = allow.source_queue_arns.len();
    if by_queue != (count > 0) || count > REDRIVE_SOURCES_MAX {
        return Err(refuse(
            "sourceQueueArns must hold 1 to 10 queue ARNs with redrivePermission byQueue, and is not allowed \
             otherwise.",
        ));
    }
    if allow.source_queue_arns.iter().any(|arn| QueueName::from_arn(arn).is_none()) {
        return Err(refuse("Invalid value for sourceQueueArns."));
    }
    Ok(Some(allow))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn attributes_come_back_as_they_were_set() {
        let redrive = r#"{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:000000000000:d","maxReceiveCount":3}"#;
        let given = map(&[
            ("VisibilityTimeout", "20"),
            ("MaximumMessageSize", "2048"),
            ("RedrivePolicy", redrive),
            ("KmsMasterKeyId", "k"),
            ("Policy", "{}"),
        ]);
        let settings = Settings::create(&given).unwrap();
        let all = settings.attributes();
        assert!(given.iter().all(|(k, v)| all[k] == *v), "{all:?}");
        assert_eq!(all["SqsManagedSseEnabled"], "false");
        assert_eq!(Settings::create(&all).unwrap(), settings);
        assert_eq!(settings.first_difference(&map(&[("RedrivePolicy", &redrive.replace('3', "\"3\""))])), Ok(None));
        assert_eq!(settings.first_difference(&map(&[("DelaySeconds", "1")])), Ok(Some("DelaySeconds".to_owned())));
        let fifo = Settings::create(&map(&[("FifoQueue", "true"), ("ContentBasedDeduplication", "true")])).unwrap();
        assert_eq!(Settings::create(&fifo.attributes()).unwrap(), fifo);
    }

    #[test]
    fn what_is_refused() {
        let dlq = "arn:aws:sqs:us-east-1:000000000000:d";
        for (name, value, code) in [
            ("DelaySeconds", "901", "InvalidAttributeValue"),
            ("DelaySeconds", "-1", "InvalidAttributeValue"),
            ("DelaySeconds", "", "InvalidAttributeValue"),
            ("MaximumMessageSize", "1023", "InvalidAttributeValue"),
            ("MaximumMessageSize", "1048577", "InvalidAttributeValue"),
            ("MessageRetentionPeriod", "59", "InvalidAttributeValue"),
            ("ReceiveMessageWaitTimeSeconds", "21", "InvalidAttributeValue"),
            ("VisibilityTimeout", "43201", "InvalidAttributeValue"),
            ("Policy", "no", "InvalidAttributeValue"),
            ("FifoQueue", "false", "InvalidAttributeName"),
            ("FifoQueue", "x", "InvalidAttributeValue"),
            ("ContentBasedDeduplication", "true", "InvalidAttributeName"),
            ("ApproximateNumberOfMessages", "1", "InvalidAttributeName"),
            ("Nonsense", "1", "InvalidAttributeName"),
            ("RedrivePolicy", "x", "InvalidParameterValueException"),
            ("RedrivePolicy", r#"{"maxReceiveCount":1}"#, "InvalidParameterValueException"),
            (
                "RedrivePolicy",
                r#"{"deadLetterTargetArn":"dummy","maxReceiveCount":42}"#,
                "InvalidParameterValueException",
            ),
            (
                "RedrivePolicy",
                &format!(r#"{{"deadLetterTargetArn":"{dlq}","maxReceiveCount":0}}"#),
                "InvalidParameterValueException",
            ),
            ("RedriveAllowPolicy", r#"{"redrivePermission":"byQueue"}"#, "InvalidParameterValueException"),
        ] {
            assert_eq!(Settings::create(&map(&[(name, value)])).unwrap_err().code, code, "{name} {value}");
        }
        let both = map(&[("KmsMasterKeyId", "k"), ("SqsManagedSseEnabled", "true")]);
        assert_eq!(Settings::create(&both).unwrap_err().code, "InvalidAttributeName");
        let mut fifo = Settings::create(&map(&[("FifoQueue", "true")])).unwrap();
        let error = fifo.change(&map(&[("FifoQueue", "false")])).unwrap_err();
        assert_eq!(error.code, "InvalidAttributeValue");
        assert!(fifo.change(&map(&[("FifoThroughputLimit", "perMessageGroupId")])).is_err());
        let high = map(&[("FifoThroughputLimit", "perMessageGroupId"), ("DeduplicationScope", "messageGroup")]);
        assert!(fifo.change(&high).is_ok());
    }
}
