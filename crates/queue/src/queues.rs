use std::collections::BTreeMap;
use std::sync::Arc;

use base::{Clock, Entropy, Timestamp};
use bytes::Bytes;
use cell::{Cell, CellOptions, Cells};
use service::{EffectId, Fault, Service};
use sha2::{Digest as _, Sha256};
use store::{Batch, Error, Fence, Store};
use tokio::sync::{Semaphore, SemaphorePermit, mpsc};
use tracing::error;

use crate::input::{self, Counts, Input, OutgoingFifo, ReceiptOutcome, TakenMessage, Want};
use crate::machine::{CELLS, QueueCell};
use crate::message::{INVALID_CHARACTERS, Message, MessageId, is_allowed_char};
use crate::message_attribute::{self, MessageAttributes};
use crate::receipt::{Receipt, Receipts};
use crate::settings::{DELAY_SECONDS_MAX, VISIBILITY_TIMEOUT_SECONDS_MAX};
use crate::stored::QueueRecord;
use crate::{MESSAGE_BYTES_MAX, QueueName, courier, fault, key, operations};

/// Messages that one receive within the process can ask for; over the API it is ten.
const RECEIVE_MAX: usize = 1_000;
const BYTES_PER_PERMIT: usize = 1024;

/// How the service is bounded.
#[derive(Clone, Debug)]
pub struct Options {
    pub cell: CellOptions,
    /// Bytes of messages that may wait to be stored before senders are told to try again.
    pub send_bytes_waiting_max: usize,
    /// Bytes of messages that are handed to the cells at a time: what one turn's batch can hold of them, which must
    /// stay well below what the store takes in one batch.
    pub send_bytes_storing_max: usize,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            cell: CellOptions { inputs_per_turn_max: 256, ..CellOptions::default() },
            send_bytes_waiting_max: 128 * MESSAGE_BYTES_MAX,
            send_bytes_storing_max: 24 * MESSAGE_BYTES_MAX,
        }
    }
}

/// The running service. Clones are the same service, which stops when all are gone.
#[derive(Clone)]
pub struct Queues {
    inner: Arc<Inner>,
}

struct Inner {
    cells: Arc<Cells<Input>>,
    store: Arc<dyn Store>,
    entropy: Arc<Entropy>,
    receipts: Receipts,
    waiting_room: Semaphore,
    storing_room: Semaphore,
    send_bytes_max: usize,
}

/// A message to send.
#[derive(Clone, Debug, Default)]
pub struct Outgoing {
    pub body: String,
    pub attributes: MessageAttributes,
    pub delay_seconds: Option<u32>,
    pub group_id: Option<String>,
    pub deduplication_id: Option<String>,
    pub trace_header: Option<String>,
}

/// A message that was sent, or that a message sent before stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentMessage {
    pub id: MessageId,
    /// Of FIFO queues.
    pub sequence_number: Option<String>,
}

/// A received message.
#[derive(Clone, Debug)]
pub struct Received {
    pub message: Message,
    pub receipt_handle: String,
    pub receive_count: u32,
    pub sent_at: Timestamp,
    pub first_received_at: Timestamp,
    /// Of FIFO queues.
    pub sequence_number: Option<String>,
}

/// A change of one message's visibility: its receipt handle, and for how long it stays hidden from now.
#[derive(Clone, Debug)]
pub struct VisibilityChange {
    pub receipt_handle: String,
    pub visibility_timeout_seconds: u32,
}

/// A queue's configuration.
#[derive(Clone, Debug)]
pub struct QueueDescription {
    /// In AWS's names and texts, without the counts of messages.
    pub attributes: BTreeMap<String, String>,
    pub tags: BTreeMap<String, String>,
    pub created_at: Timestamp,
    pub modified_at: Timestamp,
}

impl Queues {
    /// Starts the cells on the current runtime; returns when all queues are loaded.
    pub async fn start(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        entropy: Arc<Entropy>,
        options: Options,
    ) -> Result<Queues, Error> {
        let receipts = Receipts::new(secret(&*store, &entropy).await?);
        let (senders, receivers): (Vec<_>, Vec<_>) = (0..CELLS).map(|_| mpsc::unbounded_channel()).unzip();
        let make = |index: usize| QueueCell::new(index, senders[index].clone());
        let cells = Arc::new(Cells::start("sqs", CELLS, make, &store, &clock, &options.cell).await?);
        drop(senders);
        for (index, departures) in receivers.into_iter().enumerate() {
            tokio::spawn(courier::run(departures, index, Arc::downgrade(&cells), store.clone()));
        }
        let inner = Inner {
            cells,
            store,
            entropy,
            receipts,
            waiting_room: Semaphore::new(options.send_bytes_waiting_max / BYTES_PER_PERMIT),
            storing_room: Semaphore::new(options.send_bytes_storing_max / BYTES_PER_PERMIT),
            send_bytes_max: options.send_bytes_storing_max.min(options.send_bytes_waiting_max),
        };
        Ok(Queues { inner: Arc::new(inner) })
    }

    /// The service's operations, for a registry.
    pub fn service(&self) -> Service {
        operations::service(self)
    }

    /// Receives up to `max` messages (at most 1,000), waiting up to `wait_seconds` for the first.
    ///
    /// None for `wait_seconds` and `visibility_timeout_seconds` mean what the queue says.
    pub async fn receive(
        &self,
        arn: &str,
        max: usize,
        wait_seconds: Option<u32>,
        visibility_timeout_seconds: Option<u32>,
    ) -> Result<Vec<Received>, Fault> {
        let want = Want { max: max.clamp(1, RECEIVE_MAX), visibility_timeout_seconds, attempt_id: None };
        self.receive_wanted(arn, want, wait_seconds).await
    }

    /// Deletes messages by receipt handle, each with its own answer.
    pub async fn delete_batch(&self, arn: &str, handles: &[String]) -> Result<Vec<Result<(), Fault>>, Fault> {
        let read: Vec<_> = handles.iter().map(|handle| self.inner.receipts.read(handle)).collect();
        let receipts: Vec<Receipt> = read.iter().copied().flatten().collect();
        let outcomes = self.ask(arn, |arn, reply| Input::Delete { arn, receipts, reply }).await?;
        Ok(merge(handles.iter().zip(read), outcomes, |_, handle| handle))
    }

    /// Changes how long messages stay hidden, each with its own answer.
    pub async fn change_visibility_batch(
        &self,
        arn: &str,
        changes: &[VisibilityChange],
    ) -> Result<Vec<Result<(), Fault>>, Fault> {
        let read: Vec<_> = changes.iter().map(|c| self.inner.receipts.read(&c.receipt_handle)).collect();
        let wanted = changes.iter().zip(&read).filter_map(|(c, r)| r.map(|r| (r, c.visibility_timeout_seconds)));
        let wanted = wanted.collect();
        let outcomes = self.ask(arn, |arn, reply| Input::ChangeVisibility { arn, changes: wanted, reply }).await?;
        Ok(merge(changes.iter().zip(read), outcomes, |_, change| &change.receipt_handle)
            .into_iter()
            .zip(changes)
            .map(|(result, change)| result.map_err(|fault| name_seconds(fault, change)))
            .collect())
    }

    /// Sends messages, each with its own answer, which are durable then.
    ///
    /// With an effect id the whole call is done once: a repeat gets the first one's answer.
    pub async fn send(
        &self,
        arn: &str,
        sender_id: &str,
        messages: Vec<Outgoing>,
        effect: Option<EffectId>,
    ) -> Result<Vec<Result<SentMessage, Fault>>, Fault> {
        let name = QueueName::from_arn(arn).ok_or_else(fault::queue_does_not_exist)?;
        let prepared = messages.into_iter().map(|message| self.prepare(&name, sender_id, message));
        let prepared = prepared.collect::<Result<Vec<_>, Fault>>()?;
        self.send_prepared(&name, prepared, effect).await
    }

    /// How many messages the queue holds.
    pub async fn counts(&self, arn: &str) -> Result<Counts, Fault> {
        self.ask(arn, |arn, reply| Input::Count { arn, reply }).await
    }

    /// The queue's configuration, read beside its cell; `None` if there is no such queue.
    pub fn describe(&self, name: &QueueName) -> Result<Option<QueueDescription>, Fault> {
        let record = self.record(name)?;
        Ok(record.map(|record| QueueDescription {
            attributes: record.attributes,
            tags: record.tags,
            created_at: Timestamp::from_millis(record.created_ms),
            modified_at: Timestamp::from_millis(record.modified_ms),
        }))
    }

    pub(crate) fn record(&self, name: &QueueName) -> Result<Option<QueueRecord>, Fault> {
        let value = self.inner.store.get(key::queue(name).as_bytes()).map_err(|e| fault::of_store(&e))?;
        value.map(|v| QueueRecord::decode(&v)).transpose().map_err(|e| fault::of_store(&e))
    }

    pub(crate) fn store(&self) -> &dyn Store {
        &*self.inner.store
    }

    fn cell(&self, arn: &str) -> &Cell<Input> {
        self.inner.cells.of(arn.as_bytes())
    }

    /// Asks the cell that owns `arn`.
    pub(crate) async fn ask<T: Send + 'static>(
        &self,
        arn: &str,
        input: impl FnOnce(Arc<str>, input::Answer<T>) -> Input,
    ) -> Result<T, Fault> {
        self.cell(arn).call(|reply| input(arn.into(), reply)).await.map_err(fault::of_cell)?
    }

    pub(crate) async fn receive_wanted(
        &self,
        arn: &str,
        want: Want,
        wait_seconds: Option<u32>,
    ) -> Result<Vec<Received>, Fault> {
        // The cell sees by this whether somebody still waits.
        let waiting = Arc::new(());
        let caller = Arc::downgrade(&waiting);
        let taken = self.ask(arn, |arn, reply| Input::Receive { arn, want, wait_seconds, caller, reply }).await?;
        drop(waiting);
        let fifo = arn.ends_with(".fifo");
        let mut received = Vec::with_capacity(taken.messages.len());
        for message in taken.messages {
            received.extend(self.open(taken.serial, message, fifo)?);
        }
        Ok(received)
    }

    /// Reads a taken message; one that was deleted since is left out.
    fn open(&self, serial: u64, taken: TakenMessage, fifo: bool) -> Result<Option<Received>, Fault> {
        let read = || match taken.record {
            Some(record) => Ok(Some(record)),
            None => self.inner.store.get(&key::body(serial, taken.seq)),
        };
        let message = read().and_then(|r: Option<Bytes>| r.map(|r| Message::decode(&r)).transpose());
        let message = message.map_err(|e| {
            error!(error = %e, "read a received message");
            fault::of_store(&e)
        })?;
        let receipt = Receipt { serial, seq: taken.seq, epoch: taken.received };
        Ok(message.map(|message| Received {
            message,
            receipt_handle: self.inner.receipts.handle(receipt),
            receive_count: taken.received,
            sent_at: taken.sent_at,
            first_received_at: taken.first_received_at,
            sequence_number: fifo.then(|| sequence_number(taken.seq)),
        }))
    }

    /// Checks a message and does all about it that does not need the queue's state.
    pub(crate) fn prepare(
        &self,
        name: &QueueName,
        sender_id: &str,
        message: Outgoing,
    ) -> Result<input::Outgoing, Fault> {
        let body = check_body(message.body)?;
        let size_bytes = body.len() + message_attribute::size_bytes(&message.attributes);
        let delay_seconds = check_delay(message.delay_seconds, name.is_fifo())?;
        check_id(message.group_id.as_deref(), "MessageGroupId")?;
        check_id(message.deduplication_id.as_deref(), "MessageDeduplicationId")?;
        let explicit = message.deduplication_id.is_some();
        let deduplication_id = match (name.is_fifo(), message.deduplication_id) {
            (true, None) => Some(hex::encode(Sha256::digest(&body))),
            (true, given) => given,
            (false, None) => None,
            (false, Some(given)) => return Err(not_for_this_queue(&given, "MessageDeduplicationId")),
        };
        let fifo = if name.is_fifo() {
            let group = message.group_id.clone().ok_or_else(|| fault::missing_parameter("MessageGroupId"))?;
            let deduplication_id = deduplication_id.clone().unwrap_or_default();
            Some(OutgoingFifo { group, deduplication_id, explicit })
        } else {
            None
        };
        let id = MessageId::generate(&self.inner.entropy);
        let message = Message {
            id,
            sender_id: sender_id.to_owned(),
            group_id: message.group_id,
            deduplication_id,
            trace_header: message.trace_header,
            dead_letter_source: None,
            attributes: message.attributes,
            body,
        };
        Ok(input::Outgoing { id, record: message.encode(), size_bytes, delay_seconds, fifo })
    }

    pub(crate) async fn send_prepared(
        &self,
        name: &QueueName,
        messages: Vec<input::Outgoing>,
        effect: Option<EffectId>,
    ) -> Result<Vec<Result<SentMessage, Fault>>, Fault> {
        let bytes = messages.iter().map(|m| m.record.len()).sum();
        let _room = self.send_room(bytes).await?;
        let arn: Arc<str> = name.arn().into();
        let send = |reply| Input::Send { arn: arn.clone(), messages, effect, reply };
        let answer = self.cell(&arn).call(send).await.map_err(fault::of_cell)?;
        let entries = answer.map_err(input::Refusal::fault)?;
        let fifo = name.is_fifo();
        let sent =
            |sent: input::Sent| SentMessage { id: sent.id, sequence_number: fifo.then(|| sequence_number(sent.seq)) };
        Ok(entries.into_iter().map(|entry| entry.map(sent).map_err(input::Refusal::fault)).collect())
    }

    /// A place for so many bytes until they are stored.
    async fn send_room(&self, bytes: usize) -> Result<[SemaphorePermit<'_>; 2], Fault> {
        let inner = &*self.inner;
        let permits = u32::try_from(bytes / BYTES_PER_PERMIT).ok().filter(|_| bytes <= inner.send_bytes_max);
        let permits = permits.ok_or_else(|| fault::batch_too_long(bytes))?;
        let refused = || fault::throttled("Too many messages wait to be stored; try again.");
        let waiting = inner.waiting_room.try_acquire_many(permits).map_err(|_| refused())?;
        let storing = inner.storing_room.acquire_many(permits).await.map_err(|_| refused())?;
        Ok([waiting, storing])
    }
}

/// The key of receipt handles, made at the first start.
async fn secret(store: &dyn Store, entropy: &Entropy) -> Result<[u8; 32], Error> {
    let key = key::secret();
    loop {
        if let Some(value) = store.get(&key)? {
            let secret = value.strip_prefix(&[1]).and_then(|rest| <[u8; 32]>::try_from(rest).ok());
            return secret.ok_or_else(|| Error::Corrupt("malformed secret of receipt handles".to_owned()));
        }
        let secret: [u8; 32] = entropy.secret_bytes();
        let mut batch = Batch::new().fenced(Fence { key: key.clone().into(), value: None });
        batch.put(key.clone(), [&[1][..], &secret].concat());
        match store.commit(batch).await {
            Ok(_) => return Ok(secret),
            // Another start was quicker: its secret is ours.
            Err(Error::Fenced) => {}
            Err(error) => return Err(error),
        }
    }
}

/// Twenty digits that grow with the message's number.
fn sequence_number(seq: u64) -> String {
    (10_000_000_000_000_000_000 + u128::from(seq) * 256).to_string()
}

/// Puts outcomes of the handles that could be read back in the order of all handles.
fn merge<'a, T: 'a>(
    entries: impl Iterator<Item = (&'a T, Option<Receipt>)>,
    outcomes: Vec<ReceiptOutcome>,
    handle: impl Fn(usize, &'a T) -> &'a String,
) -> Vec<Result<(), Fault>> {
    let mut outcomes = outcomes.into_iter();
    let one = |(n, (entry, receipt)): (usize, (&'a T, Option<Receipt>))| {
        let handle = handle(n, entry);
        match receipt.and_then(|_| outcomes.next()) {
            Some(ReceiptOutcome::Done) => Ok(()),
            None | Some(ReceiptOutcome::OtherQueue) => Err(fault::receipt_handle_is_invalid(handle)),
            Some(ReceiptOutcome::Expired) => Err(fault::receipt_handle_expired(handle)),
            Some(ReceiptOutcome::NotAvailable) => Err(fault::message_not_available(handle)),
            Some(ReceiptOutcome::NotInFlight) => Err(fault::message_not_inflight()),
            Some(ReceiptOutcome::BeyondLimit) => Err(beyond_limit(0)),
        }
    };
    entries.enumerate().map(one).collect()
}

fn beyond_limit(seconds: u32) -> Fault {
    let reason = format!(
        "Total VisibilityTimeout for the message is beyond the limit [{VISIBILITY_TIMEOUT_SECONDS_MAX} seconds]"
    );
    fault::invalid_value(seconds, "VisibilityTimeout", &reason)
}

/// Names the timeout that was asked for in the message about its limit.
fn name_seconds(fault: Fault, change: &VisibilityChange) -> Fault {
    if fault == beyond_limit(0) { beyond_limit(change.visibility_timeout_seconds) } else { fault }
}

/// Characters that SQS does not carry become U+FFFD, but something must be left.
fn check_body(body: String) -> Result<String, Fault> {
    if body.is_empty() {
        return Err(fault::missing_parameter("MessageBody"));
    }
    if body.chars().all(is_allowed_char) {
        return Ok(body);
    }
    if !body.chars().any(is_allowed_char) {
        return Err(fault::invalid_message_contents(INVALID_CHARACTERS));
    }
    Ok(body.chars().map(|c| if is_allowed_char(c) { c } else { '\u{fffd}' }).collect())
}

fn check_delay(seconds: Option<u32>, fifo: bool) -> Result<Option<u32>, Fault> {
    match seconds {
        Some(0) if fifo => Ok(None),
        Some(seconds) if fifo => Err(fault::invalid_value(
            seconds,
            "DelaySeconds",
            "The request include parameter that is not valid for this queue type.",
        )),
        Some(seconds) if seconds > DELAY_SECONDS_MAX => {
            let reason = format!("DelaySeconds must be >= 0 and <= {DELAY_SECONDS_MAX}.");
            Err(fault::invalid_value(seconds, "DelaySeconds", &reason))
        }
        other => Ok(other),
    }
}

/// Group and deduplication ids are 1 to 128 letters, digits and punctuation.
fn check_id(id: Option<&str>, parameter: &str) -> Result<(), Fault> {
    match id {
        Some(id) if id.is_empty() || id.len() > 128 || !id.bytes().all(|b| b.is_ascii_graphic()) => {
            let reason =
                format!("{parameter} can only include alphanumeric and punctuation characters. 1 to 128 in length.");
            Err(fault::invalid_value(id, parameter, &reason))
        }
        _ => Ok(()),
    }
}

pub(crate) fn not_for_this_queue(value: &str, parameter: &str) -> Fault {
    let reason = "The request includes a parameter that is not valid for this queue type.";
    fault::invalid_value(value, parameter, reason)
}
