//! What callers ask of a cell, and what it answers.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use base::Timestamp;
use bytes::Bytes;
use cell::Reply;
use service::{EffectId, Fault};
use store::Error;

use crate::codec::{Reader, Writer};
use crate::message::MessageId;
use crate::receipt::Receipt;
use crate::settings::Settings;
use crate::stored::LeavingRecord;
use crate::{QueueName, fault};

pub(crate) type Answer<T> = Reply<Result<T, Fault>>;

/// One change or question, applied by the cell that owns the queue.
pub(crate) enum Input {
    Create {
        name: QueueName,
        settings: Box<Settings>,
        new: Box<NewQueue>,
        reply: Answer<()>,
    },
    Alter {
        arn: Arc<str>,
        alteration: Alteration,
        reply: Answer<()>,
    },
    DeleteQueue {
        arn: Arc<str>,
        reply: Answer<()>,
    },
    Purge {
        arn: Arc<str>,
        reply: Answer<()>,
    },
    Send {
        arn: Arc<str>,
        messages: Vec<Outgoing>,
        effect: Option<EffectId>,
        reply: Reply<SendAnswer>,
    },
    Receive {
        arn: Arc<str>,
        want: Want,
        wait_seconds: Option<u32>,
        caller: Weak<()>,
        reply: Answer<Taken>,
    },
    Delete {
        arn: Arc<str>,
        receipts: Vec<Receipt>,
        reply: Answer<Vec<ReceiptOutcome>>,
    },
    ChangeVisibility {
        arn: Arc<str>,
        changes: Vec<(Receipt, u32)>,
        reply: Answer<Vec<ReceiptOutcome>>,
    },
    Count {
        arn: Arc<str>,
        reply: Answer<Counts>,
    },
    StartTask {
        arn: Arc<str>,
        destination: Option<String>,
        per_second_max: Option<u32>,
        reply: Answer<u64>,
    },
    CancelTask {
        arn: Arc<str>,
        number: u64,
        reply: Answer<u64>,
    },
    /// Messages from another cell's outbox, with the ids under which they lie there.
    Arrive {
        messages: Vec<(EffectId, LeavingRecord)>,
        reply: Reply<Vec<bool>>,
    },
    /// Which of our outbox's messages have arrived, and which found no queue.
    Departed {
        outcomes: Vec<(u64, bool)>,
        reply: Reply<()>,
    },
}

/// What a queue is made with, as it was given.
pub(crate) struct NewQueue {
    pub attributes: BTreeMap<String, String>,
    pub tags: BTreeMap<String, String>,
}

pub(crate) enum Alteration {
    Attributes(BTreeMap<String, String>),
    Tag(BTreeMap<String, String>),
    Untag(Vec<String>),
    AddPermission { label: String, accounts: Vec<String>, actions: Vec<String> },
    RemovePermission { label: String },
}

/// A message ready to be stored; all that does not depend on the queue's state was done by the caller.
#[derive(Clone, Debug)]
pub(crate) struct Outgoing {
    pub id: MessageId,
    pub record: Bytes,
    /// Of body and attributes, as SQS counts.
    pub size_bytes: usize,
    pub delay_seconds: Option<u32>,
    /// Set for FIFO queues.
    pub fifo: Option<OutgoingFifo>,
}

#[derive(Clone, Debug)]
pub(crate) struct OutgoingFifo {
    pub group: String,
    pub deduplication_id: String,
    /// Whether the caller gave the deduplication id; otherwise it is the body's digest.
    pub explicit: bool,
}

/// A message that was taken in, or stands for one that was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sent {
    pub id: MessageId,
    pub seq: u64,
}

/// Why a message, or all of a request, was not taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    NoSuchQueue,
    NoDeduplicationId,
    TooLong { bytes_max: u32 },
    Full,
}

pub(crate) type SendAnswer = Result<Vec<Result<Sent, Refusal>>, Refusal>;

impl Refusal {
    pub fn fault(self) -> Fault {
        match self {
            Refusal::NoSuchQueue => fault::queue_does_not_exist(),
            Refusal::NoDeduplicationId => fault::invalid_parameter(
                "The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided \
                 explicitly",
            ),
            Refusal::TooLong { bytes_max } => fault::invalid_parameter(format!(
                "One or more parameters are invalid. Reason: Message must be shorter than {bytes_max} bytes."
            )),
            Refusal::Full => fault::over_limit("The server holds as many messages as it can."),
        }
    }

    fn code(self) -> (u8, u32) {
        match self {
            Refusal::NoSuchQueue => (1, 0),
            Refusal::NoDeduplicationId => (2, 0),
            Refusal::TooLong { bytes_max } => (3, bytes_max),
            Refusal::Full => (4, 0),
        }
    }

    fn of_code(code: u8, number: u32) -> Result<Refusal, Error> {
        match code {
            1 => Ok(Refusal::NoSuchQueue),
            2 => Ok(Refusal::NoDeduplicationId),
            3 => Ok(Refusal::TooLong { bytes_max: number }),
            4 => Ok(Refusal::Full),
            _ => Err(Error::Corrupt("malformed remembered answer".to_owned())),
        }
    }
}

const ANSWER_VERSION: u8 = 1;

/// The form in which the answer to an effect is remembered.
pub(crate) fn encode_answer(answer: &SendAnswer) -> Vec<u8> {
    let refused = |writer: Writer, refusal: Refusal| {
        let (code, number) = refusal.code();
        writer.u8(code).u32(number)
    };
    let writer = Writer::new(ANSWER_VERSION, 64);
    match answer {
        Err(refusal) => refused(writer, *refusal).build(),
        Ok(entries) => {
            let writer = writer.u8(0).u32(entries.len() as u32);
            let entry = |writer: Writer, entry: &Result<Sent, Refusal>| match entry {
                Ok(sent) => writer.u8(0).raw(&sent.id.0).u64(sent.seq),
                Err(refusal) => refused(writer, *refusal),
            };
            entries.iter().fold(writer, entry).build()
        }
    }
}

pub(crate) fn decode_answer(value: &[u8]) -> Result<SendAnswer, Error> {
    let mut reader = Reader::new(value, ANSWER_VERSION, "remembered answer")?;
    match reader.u8()? {
        0 => {
            let mut entries = Vec::new();
            for _ in 0..reader.u32()? {
                entries.push(match reader.u8()? {
                    0 => Ok(Sent { id: MessageId(reader.array()?), seq: reader.u64()? }),
                    code => Err(Refusal::of_code(code, reader.u32()?)?),
                });
            }
            Ok(Ok(entries))
        }
        code => Ok(Err(Refusal::of_code(code, reader.u32()?)?)),
    }
}

/// What one receive asks for.
#[derive(Clone, Debug)]
pub(crate) struct Want {
    pub max: usize,
    /// None: as the queue has it.
    pub visibility_timeout_seconds: Option<u32>,
    /// Of FIFO queues: repeats of a receive with the same id get the same messages.
    pub attempt_id: Option<Arc<str>>,
}

/// Messages that one receive took.
#[derive(Debug)]
pub(crate) struct Taken {
    pub serial: u64,
    pub messages: Vec<TakenMessage>,
}

#[derive(Debug)]
pub(crate) struct TakenMessage {
    pub seq: u64,
    pub received: u32,
    pub sent_at: Timestamp,
    pub first_received_at: Timestamp,
    /// Where it is at hand; otherwise it is read from the store, beside the cell's loop.
    pub record: Option<Bytes>,
}

/// What became of one receipt handle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReceiptOutcome {
    Done,
    /// The handle is of another queue.
    OtherQueue,
    /// A FIFO queue's message was received again or is visible again.
    Expired,
    /// The message is gone or was received again.
    NotAvailable,
    NotInFlight,
    /// The message would be in flight for more than twelve hours.
    BeyondLimit,
}

/// How many messages a queue holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub visible: usize,
    pub in_flight: usize,
    pub delayed: usize,
    /// When the oldest message was sent.
    pub oldest_sent_at: Option<Timestamp>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_remembered_whole() {
        let sent = Sent { id: MessageId([1; 16]), seq: 9 };
        let refusals =
            [Refusal::NoSuchQueue, Refusal::NoDeduplicationId, Refusal::TooLong { bytes_max: 7 }, Refusal::Full];
        for answer in
            refusals.into_iter().map(Err).chain([Ok(vec![]), Ok(vec![Ok(sent), Err(Refusal::Full), Ok(sent)])])
        {
            assert_eq!(decode_answer(&encode_answer(&answer)).unwrap(), answer);
        }
        assert!(decode_answer(&[1, 0, 0, 0, 0, 1]).is_err() && decode_answer(&[1, 9, 0, 0, 0, 0]).is_err());
    }
}
