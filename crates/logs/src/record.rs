//! What the service stores: a version byte, then postcard's encoding of structs that are made for this alone.
//!
//! Groups are JSON behind the version byte, for they are few and grow members.

use std::collections::BTreeMap;

use base::Timestamp;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use store::Error;

const VERSION: u8 = 1;

/// A log group, under its name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct GroupRecord {
    pub serial: u64,
    pub created_ms: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retention_days: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kms_key_id: Option<String>,
    pub class: String,
    pub tags: BTreeMap<String, String>,
}

impl GroupRecord {
    pub fn encode(&self) -> Bytes {
        let mut value = vec![VERSION];
        serde_json::to_writer(&mut value, self).expect("maps of texts are JSON");
        value.into()
    }

    pub fn decode(value: &[u8]) -> Result<GroupRecord, Error> {
        match value.split_first() {
            Some((&VERSION, json)) => {
                serde_json::from_slice(json).map_err(|e| Error::Corrupt(format!("malformed log group: {e}")))
            }
            _ => Err(Error::Corrupt("log group of unknown format".to_owned())),
        }
    }

    /// Events before this are expired.
    pub fn expired_before(&self, now: Timestamp) -> Timestamp {
        const DAY_SECONDS: u64 = 86_400;
        match self.retention_days {
            None => Timestamp::from_millis(0),
            Some(days) => now - std::time::Duration::from_secs(u64::from(days) * DAY_SECONDS),
        }
    }
}

/// A log stream, under its group and name; rewritten with every put.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StreamRecord {
    pub serial: u64,
    pub created_ms: i64,
    pub events: Option<EventTimes>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct EventTimes {
    pub first_ms: i64,
    pub last_ms: i64,
    pub ingested_ms: i64,
}

impl StreamRecord {
    pub fn encode(&self) -> Bytes {
        encode(self)
    }

    pub fn decode(value: &[u8]) -> Result<StreamRecord, Error> {
        decode(value, "log stream")
    }
}

/// Events of one stream that came together, in order.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ChunkRecord<'a> {
    pub ingested_ms: i64,
    /// Milliseconds since the chunk's first event (the key names its time), and the message.
    #[serde(borrow)]
    pub events: Vec<(u64, &'a str)>,
}

impl<'a> ChunkRecord<'a> {
    pub fn encode(&self) -> Bytes {
        encode(self)
    }

    pub fn decode(value: &'a [u8]) -> Result<ChunkRecord<'a>, Error> {
        decode(value, "log chunk")
    }
}

pub(crate) fn encode_number(number: u64) -> Bytes {
    encode(&number)
}

pub(crate) fn decode_number(value: &[u8]) -> Result<u64, Error> {
    decode(value, "number")
}

fn encode<T: Serialize>(record: &T) -> Bytes {
    postcard::to_extend(record, vec![VERSION]).expect("memory takes every record").into()
}

fn decode<'a, T: Deserialize<'a>>(value: &'a [u8], what: &str) -> Result<T, Error> {
    match value.split_first() {
        Some((&VERSION, rest)) => match postcard::take_from_bytes(rest) {
            Ok((record, [])) => Ok(record),
            _ => Err(Error::Corrupt(format!("malformed {what}"))),
        },
        _ => Err(Error::Corrupt(format!("{what} of unknown format"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each format of the first release, byte by byte: later releases must read them.
    #[test]
    fn records_of_version_1() {
        let stream = StreamRecord {
            serial: 300,
            created_ms: -1,
            events: Some(EventTimes { first_ms: 1, last_ms: 2, ingested_ms: 64 }),
        };
        assert_eq!(&stream.encode()[..], [1, 0xac, 2, 1, 1, 2, 4, 0x80, 1]);
        assert_eq!(StreamRecord::decode(&stream.encode()).unwrap(), stream);

        let chunk = ChunkRecord { ingested_ms: 5, events: vec![(0, "a"), (7, "ü")] };
        assert_eq!(&chunk.encode()[..], [1, 10, 2, 0, 1, b'a', 7, 2, 0xc3, 0xbc]);
        assert_eq!(ChunkRecord::decode(&chunk.encode()).unwrap(), chunk);
        assert_eq!(decode_number(&encode_number(7)).unwrap(), 7);

        let group = b"\x01{\"serial\":1,\"created_ms\":2,\"class\":\"STANDARD\",\"tags\":{\"a\":\"b\"}}";
        let decoded = GroupRecord::decode(group).unwrap();
        assert_eq!((decoded.retention_days, &decoded.encode()[..]), (None, &group[..]));
        for broken in [&[][..], &[1], &[2, 0], &[1, 0xff, 0xff], &[1, 10, 2, 0, 1, b'a']] {
            assert!(StreamRecord::decode(broken).is_err() && ChunkRecord::decode(broken).is_err());
        }
        assert!(StreamRecord::decode(&[&stream.encode()[..], &[0]].concat()).is_err(), "nothing may follow");
    }
}
