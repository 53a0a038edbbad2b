//! One cell of queues without its loop, for the simulator: it decides when a turn is taken, when its batch is
//! committed, and what time it is. The same machine runs in the same [`cell::Core`].

use std::sync::{Arc, Weak};

use base::{Entropy, Scope, Timestamp};
use cell::{CellError, Core, Outcome, Reply};
use service::{EffectId, Fault};
use store::{Error, Store};
use tokio::sync::{mpsc, oneshot};

use crate::input::{Input, NewQueue, Outgoing, ReceiptOutcome, SendAnswer, Taken, Want};
use crate::machine::{CELLS, Departure, QueueCell};
use crate::message::{Message, MessageId};
use crate::message_attribute::MessageAttributes;
use crate::receipt::Receipt;
use crate::settings::Settings;
use crate::{QueueName, key};

/// What the cell is told; queues are named by their names in the default account and region.
#[derive(Clone, Debug)]
pub enum Told {
    Create { queue: String },
    Send { queue: String, body: String, effect: Option<EffectId> },
    Receive { queue: String, max: usize, visibility_timeout_seconds: u32 },
    Delete { queue: String, receipt: Handle },
}

/// One receive of one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handle(Receipt);

/// What the cell answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    Done,
    /// The message's number in its cell.
    Sent(u64),
    /// Body and handle of each message.
    Received(Vec<(String, Handle)>),
    Refused(String),
    /// The turn was not committed, or did not come so far: nothing was done.
    NotDone,
}

/// An answer that is there once the turn's outcome is released.
pub struct Pending(Arrival);

type Received<T> = oneshot::Receiver<Result<T, CellError>>;

enum Arrival {
    Done(Received<Result<(), Fault>>),
    Sent(Received<SendAnswer>),
    Taken(Received<Result<Taken, Fault>>, Arc<()>),
    Deleted(Received<Result<Vec<ReceiptOutcome>, Fault>>),
}

/// The cell that owns some queues.
pub struct Queues {
    index: usize,
    core: Core<QueueCell>,
    store: Arc<dyn Store>,
    entropy: Arc<Entropy>,
    /// Messages for other cells; there are none without redrives.
    _departures: mpsc::UnboundedReceiver<Departure>,
}

/// The cell that owns a queue.
pub fn cell_of(queue: &str) -> usize {
    cell::shard_of(arn(queue).as_bytes(), CELLS)
}

fn arn(queue: &str) -> Arc<str> {
    QueueName::new(&Scope::default(), queue).arn().into()
}

impl Queues {
    /// Claims a cell; blocks until that is durable.
    pub fn claim(index: usize, store: Arc<dyn Store>, entropy: Arc<Entropy>) -> Result<Queues, Error> {
        let (sender, departures) = mpsc::unbounded_channel();
        let core = Core::claim(&format!("sqs/{index}"), QueueCell::new(index, sender), store.clone())?;
        Ok(Queues { index, core, store, entropy, _departures: departures })
    }

    pub fn index(&self) -> usize {
        self.index
    }

    /// See [`Core::turn`]. The answers are in the order of the inputs.
    pub fn turn(&mut self, told: Vec<Told>, now: Timestamp) -> (Result<Outcome, Error>, Vec<Pending>) {
        let (inputs, answers): (Vec<_>, Vec<_>) = told.into_iter().map(|told| self.input(told)).unzip();
        (self.core.turn(inputs, now), answers)
    }

    /// See [`Core::not_committed`].
    pub fn not_committed(&mut self) {
        self.core.not_committed();
    }

    /// See [`Core::wake_at`].
    pub fn wake_at(&self) -> Option<Timestamp> {
        self.core.wake_at()
    }

    fn input(&self, told: Told) -> (Input, Pending) {
        let (input, arrival) = match told {
            Told::Create { queue } => {
                let (reply, answer) = Reply::channel();
                let name = QueueName::new(&Scope::default(), &queue);
                // As long as can be: simulated clocks jump by days.
                let attributes = [("MessageRetentionPeriod".to_owned(), "1209600".to_owned())].into();
                let new = Box::new(NewQueue { attributes, tags: Default::default() });
                let settings = Settings::create(&new.attributes).expect("a retention period within AWS's limits");
                (Input::Create { name, settings: Box::new(settings), new, reply }, Arrival::Done(answer))
            }
            Told::Send { queue, body, effect } => {
                let (reply, answer) = Reply::channel();
                let messages = vec![self.outgoing(body)];
                (Input::Send { arn: arn(&queue), messages, effect, reply }, Arrival::Sent(answer))
            }
            Told::Receive { queue, max, visibility_timeout_seconds } => {
                let (reply, answer) = Reply::channel();
                let want = Want { max, visibility_timeout_seconds: Some(visibility_timeout_seconds), attempt_id: None };
                let waits: Arc<()> = Arc::new(());
                let caller: Weak<()> = Arc::downgrade(&waits);
                let input = Input::Receive { arn: arn(&queue), want, wait_seconds: Some(0), caller, reply };
                (input, Arrival::Taken(answer, waits))
            }
            Told::Delete { queue, receipt } => {
                let (reply, answer) = Reply::channel();
                let receipts = vec![receipt.0];
                (Input::Delete { arn: arn(&queue), receipts, reply }, Arrival::Deleted(answer))
            }
        };
        (input, Pending(arrival))
    }

    fn outgoing(&self, body: String) -> Outgoing {
        let message = Message {
            id: MessageId::generate(&self.entropy),
            sender_id: "simulator".to_owned(),
            group_id: None,
            deduplication_id: None,
            trace_header: None,
            dead_letter_source: None,
            attributes: MessageAttributes::new(),
            body,
        };
        let size_bytes = message.body.len();
        Outgoing { id: message.id, record: message.encode(), size_bytes, delay_seconds: None, fifo: None }
    }

    /// What was answered; received messages are read from the store, as the service does.
    pub fn answer(&self, pending: Pending) -> Result<Answer, Error> {
        Ok(match pending.0 {
            Arrival::Done(mut answer) => match answer.try_recv() {
                Ok(Ok(Ok(()))) => Answer::Done,
                Ok(Ok(Err(fault))) => Answer::Refused(fault.code.to_string()),
                _ => Answer::NotDone,
            },
            Arrival::Sent(mut answer) => match answer.try_recv() {
                Ok(Ok(sent)) => match sent.map(|sent| sent.into_iter().next()) {
                    Ok(Some(Ok(sent))) => Answer::Sent(sent.seq),
                    Ok(Some(Err(refusal))) | Err(refusal) => Answer::Refused(format!("{refusal:?}")),
                    Ok(None) => Answer::NotDone,
                },
                _ => Answer::NotDone,
            },
            Arrival::Taken(mut answer, _waits) => match answer.try_recv() {
                Ok(Ok(Ok(taken))) => Answer::Received(self.open(taken)?),
                Ok(Ok(Err(fault))) => Answer::Refused(fault.code.to_string()),
                _ => Answer::NotDone,
            },
            Arrival::Deleted(mut answer) => match answer.try_recv() {
                Ok(Ok(Ok(outcomes))) if outcomes == [ReceiptOutcome::Done] => Answer::Done,
                Ok(Ok(Ok(outcomes))) => Answer::Refused(format!("{outcomes:?}")),
                Ok(Ok(Err(fault))) => Answer::Refused(fault.code.to_string()),
                _ => Answer::NotDone,
            },
        })
    }

    fn open(&self, taken: Taken) -> Result<Vec<(String, Handle)>, Error> {
        let mut messages = Vec::with_capacity(taken.messages.len());
        for message in taken.messages {
            let stored = self.store.get(&key::body(taken.serial, message.seq))?;
            let stored = stored.ok_or_else(|| Error::Corrupt("a received message has no body".to_owned()))?;
            if message.record.is_some_and(|cached| cached != stored) {
                return Err(Error::Corrupt("a message's cached body is not the stored one".to_owned()));
            }
            let handle = Handle(Receipt { serial: taken.serial, seq: message.seq, epoch: message.received });
            messages.push((Message::decode(&stored)?.body, handle));
        }
        Ok(messages)
    }
}
