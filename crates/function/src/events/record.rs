use base::{Scope, Timestamp};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use store::Error;

use crate::name::{FunctionKey, Named};

const FORMAT: u8 = 1;

/// An asynchronous invocation that is not done, as it is stored: a format byte, the length of what follows as JSON in
/// four bytes, that, and the payload as it came.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct EventRecord {
    pub account: String,
    pub region: String,
    pub name: String,
    pub qualifier: Option<String>,
    pub request_id: String,
    #[serde(default)]
    pub client_context: Option<String>,
    pub accepted_ms: i64,
    pub due_ms: i64,
    /// How often the function has failed.
    pub failures: u32,
    /// How often it could not be run, or its result not be delivered.
    pub refusals: u32,
    /// Set when the function is done and its record is on its way to a destination: the payload is that record.
    #[serde(default)]
    pub delivery: Option<Delivery>,
}

/// Where the record of an invocation goes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Delivery {
    pub target: String,
    /// A dead-letter queue gets the event itself, with the error in these attributes.
    #[serde(default)]
    pub dead_letter_error: Option<String>,
    /// For event buses: how the invocation ended.
    pub succeeded: bool,
}

impl EventRecord {
    pub fn named(&self) -> Named {
        let scope = Scope::new(&self.account, &self.region);
        Named { key: FunctionKey { scope, name: self.name.clone() }, qualifier: self.qualifier.clone() }
    }

    pub fn due(&self) -> Timestamp {
        Timestamp::from_millis(self.due_ms)
    }

    pub fn accepted(&self) -> Timestamp {
        Timestamp::from_millis(self.accepted_ms)
    }

    pub fn encode(&self, payload: &[u8]) -> Vec<u8> {
        let head = serde_json::to_vec(self).expect("records are JSON");
        let mut value = Vec::with_capacity(5 + head.len() + payload.len());
        value.push(FORMAT);
        value.extend_from_slice(&u32::try_from(head.len()).expect("a record is small").to_be_bytes());
        value.extend_from_slice(&head);
        value.extend_from_slice(payload);
        value
    }

    pub fn decode(value: &Bytes) -> Result<(EventRecord, Bytes), Error> {
        let corrupt = |why: &str| Error::Corrupt(format!("asynchronous invocation: {why}"));
        let (&format, rest) = value.split_first().ok_or_else(|| corrupt("empty"))?;
        if format != FORMAT {
            return Err(corrupt(&format!("format {format}, this server reads {FORMAT}")));
        }
        let (length, _) = rest.split_first_chunk::<4>().ok_or_else(|| corrupt("too short"))?;
        let head_end = 5 + u32::from_be_bytes(*length) as usize;
        let head = value.get(5..head_end).ok_or_else(|| corrupt("too short"))?;
        let record = serde_json::from_slice(head).map_err(|e| corrupt(&e.to_string()))?;
        Ok((record, value.slice(head_end..)))
    }
}
