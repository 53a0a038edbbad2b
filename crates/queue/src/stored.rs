//! What the service stores beside message bodies, each with its version in front.

use std::collections::BTreeMap;

use base::Timestamp;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use store::Error;

use crate::codec::{Reader, Writer};
use crate::message::MessageId;

const VERSION: u8 = 1;

/// A queue, under its name. Attributes in AWS's own names and texts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct QueueRecord {
    pub serial: u64,
    pub attributes: BTreeMap<String, String>,
    pub tags: BTreeMap<String, String>,
    pub created_ms: i64,
    pub modified_ms: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub purged_ms: Option<i64>,
    /// Messages below this number were purged, even where their keys are still there.
    pub purged_below: u64,
}

impl QueueRecord {
    pub fn encode(&self) -> Bytes {
        let mut value = vec![VERSION];
        serde_json::to_writer(&mut value, self).expect("maps of texts are JSON");
        value.into()
    }

    pub fn decode(value: &[u8]) -> Result<QueueRecord, Error> {
        match value.split_first() {
            Some((&VERSION, json)) => {
                serde_json::from_slice(json).map_err(|e| Error::Corrupt(format!("malformed queue record: {e}")))
            }
            _ => Err(Error::Corrupt("queue record of unknown format".to_owned())),
        }
    }
}

/// What changes about a message, under a key of its own, so that bodies are written once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StateRecord {
    pub sent_at: Timestamp,
    pub visible_at: Timestamp,
    pub received: u32,
    pub first_received_at: Timestamp,
    pub last_received_at: Timestamp,
    /// Of FIFO queues: loading a queue must not read bodies.
    pub group: Option<String>,
}

impl StateRecord {
    fn write(&self, writer: Writer) -> Writer {
        writer
            .time(self.sent_at)
            .time(self.visible_at)
            .u32(self.received)
            .time(self.first_received_at)
            .time(self.last_received_at)
            .option(self.group.as_deref())
    }

    fn read(reader: &mut Reader<'_>) -> Result<StateRecord, Error> {
        Ok(StateRecord {
            sent_at: reader.time()?,
            visible_at: reader.time()?,
            received: reader.u32()?,
            first_received_at: reader.time()?,
            last_received_at: reader.time()?,
            group: reader.option()?.map(str::to_owned),
        })
    }

    pub fn encode(&self) -> Bytes {
        self.write(Writer::new(VERSION, 48)).build().into()
    }

    pub fn decode(value: &[u8]) -> Result<StateRecord, Error> {
        let mut reader = Reader::new(value, VERSION, "message state")?;
        let state = StateRecord::read(&mut reader)?;
        reader.end()?;
        Ok(state)
    }
}

/// A message that a deduplication id stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DeduplicationRecord {
    pub expires_at: Timestamp,
    pub id: MessageId,
    pub seq: u64,
}

impl DeduplicationRecord {
    pub fn encode(&self) -> Bytes {
        Writer::new(VERSION, 32).time(self.expires_at).raw(&self.id.0).u64(self.seq).build().into()
    }

    pub fn decode(value: &[u8]) -> Result<DeduplicationRecord, Error> {
        let mut reader = Reader::new(value, VERSION, "deduplication record")?;
        let record =
            DeduplicationRecord { expires_at: reader.time()?, id: MessageId(reader.array()?), seq: reader.u64()? };
        reader.end()?;
        Ok(record)
    }
}

/// What a receive with a request attempt id took: number and receive count of each message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AttemptRecord {
    pub expires_at: Timestamp,
    pub taken: Vec<(u64, u32)>,
}

impl AttemptRecord {
    pub fn encode(&self) -> Bytes {
        let writer = Writer::new(VERSION, 16 + 12 * self.taken.len()).time(self.expires_at);
        let writer = writer.u32(self.taken.len() as u32);
        self.taken.iter().fold(writer, |w, (seq, epoch)| w.u64(*seq).u32(*epoch)).build().into()
    }

    pub fn decode(value: &[u8]) -> Result<AttemptRecord, Error> {
        let mut reader = Reader::new(value, VERSION, "receive attempt")?;
        let expires_at = reader.time()?;
        let count = reader.u32()?;
        let taken = (0..count).map(|_| Ok((reader.u64()?, reader.u32()?))).collect::<Result<_, Error>>()?;
        reader.end()?;
        Ok(AttemptRecord { expires_at, taken })
    }
}

/// A message move task, under its source queue.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct TaskRecord {
    pub status: TaskStatus,
    /// None: each message goes back to the queue that gave it up.
    pub destination: Option<String>,
    pub per_second_max: Option<u32>,
    pub started_ms: i64,
    pub moved: u64,
    pub to_move: u64,
    pub failure: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum TaskStatus {
    Running,
    Completed,
    Cancelled,
    Failed,
}

impl TaskStatus {
    pub fn name(self) -> &'static str {
        match self {
            TaskStatus::Running => "RUNNING",
            TaskStatus::Completed => "COMPLETED",
            TaskStatus::Cancelled => "CANCELLED",
            TaskStatus::Failed => "FAILED",
        }
    }
}

impl TaskRecord {
    pub fn encode(&self) -> Bytes {
        let mut value = vec![VERSION];
        serde_json::to_writer(&mut value, self).expect("numbers and texts are JSON");
        value.into()
    }

    pub fn decode(value: &[u8]) -> Result<TaskRecord, Error> {
        match value.split_first() {
            Some((&VERSION, json)) => {
                serde_json::from_slice(json).map_err(|e| Error::Corrupt(format!("malformed move task: {e}")))
            }
            _ => Err(Error::Corrupt("move task of unknown format".to_owned())),
        }
    }
}

/// A message on its way to a queue of another cell: it has left its queue and is nowhere else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LeavingRecord {
    /// ARN of the queue it goes to.
    pub destination: String,
    /// Where it goes back to if that queue is gone.
    pub serial: u64,
    pub seq: u64,
    pub state: StateRecord,
    /// Number of the move task it belongs to.
    pub task: Option<u64>,
    /// The body's record, as the destination will store it.
    pub body: Bytes,
}

impl LeavingRecord {
    pub fn encode(&self) -> Bytes {
        let writer = Writer::new(VERSION, self.body.len() + 256).str(&self.destination).u64(self.serial).u64(self.seq);
        let writer = self.state.write(writer).u8(u8::from(self.task.is_some())).u64(self.task.unwrap_or(0));
        writer.raw(&self.body).build().into()
    }

    pub fn decode(value: &Bytes) -> Result<LeavingRecord, Error> {
        let mut reader = Reader::new(value, VERSION, "outbox entry")?;
        let destination = reader.str()?.to_owned();
        let (serial, seq) = (reader.u64()?, reader.u64()?);
        let state = StateRecord::read(&mut reader)?;
        let (has_task, number) = (reader.u8()?, reader.u64()?);
        let body = value.slice_ref(reader.rest());
        Ok(LeavingRecord { destination, serial, seq, state, task: (has_task == 1).then_some(number), body })
    }
}

pub(crate) fn encode_number(number: u64) -> Bytes {
    Writer::new(VERSION, 8).u64(number).build().into()
}

pub(crate) fn decode_number(value: &[u8], what: &'static str) -> Result<u64, Error> {
    let mut reader = Reader::new(value, VERSION, what)?;
    let number = reader.u64()?;
    reader.end()?;
    Ok(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each format of the first release, byte by byte: later releases must read them.
    #[test]
    fn records_of_version_1() {
        let at = Timestamp::from_millis;
        let state = StateRecord {
            sent_at: at(1),
            visible_at: at(2),
            received: 3,
            first_received_at: at(4),
            last_received_at: at(5),
            group: Some("g".to_owned()),
        };
        let state_hex = "0000000000000001000000000000000200000003000000000000000400000000000000050100000001\
                         67";
        assert_eq!(hex::encode(state.encode()), format!("01{state_hex}"));
        assert_eq!(StateRecord::decode(&state.encode()).unwrap(), state);

        let known = DeduplicationRecord { expires_at: at(1), id: MessageId([2; 16]), seq: 3 };
        assert_eq!(hex::encode(known.encode()), format!("010000000000000001{}0000000000000003", "02".repeat(16)));
        assert_eq!(DeduplicationRecord::decode(&known.encode()).unwrap(), known);

        let attempt = AttemptRecord { expires_at: at(1), taken: vec![(2, 3)] };
        assert_eq!(hex::encode(attempt.encode()), "01000000000000000100000001000000000000000200000003");
        assert_eq!(AttemptRecord::decode(&attempt.encode()).unwrap(), attempt);

        let leaving = LeavingRecord {
            destination: "d".to_owned(),
            serial: 1,
            seq: 2,
            state,
            task: Some(9),
            body: Bytes::from_static(b"body"),
        };
        let expected = format!("010000000164{:016x}{:016x}{state_hex}01{:016x}626f6479", 1, 2, 9);
        assert_eq!(hex::encode(leaving.encode()), expected);
        assert_eq!(LeavingRecord::decode(&leaving.encode()).unwrap(), leaving);
        assert_eq!(decode_number(&encode_number(7), "number").unwrap(), 7);

        let queue = br#"{"serial":1,"attributes":{"a":"b"},"tags":{},"created_ms":2,"modified_ms":3,"purged_below":0}"#;
        let value = [&[1u8][..], queue].concat();
        assert_eq!(QueueRecord::decode(&value).unwrap().encode(), value);
        let task = br#"{"status":"RUNNING","destination":null,"per_second_max":5,"started_ms":1,"moved":2,"to_move":3,"failure":null}"#;
        let value = [&[1u8][..], task].concat();
        assert_eq!(TaskRecord::decode(&value).unwrap().encode(), value);
        for broken in [&[][..], &[2], &[1], b"\x01{}"] {
            assert!(QueueRecord::decode(broken).is_err() && TaskRecord::decode(broken).is_err());
            assert!(StateRecord::decode(broken).is_err() && AttemptRecord::decode(broken).is_err());
        }
    }
}
