use std::sync::Arc;

use base::{Clock as _, Entropy, ManualClock, Timestamp};
use cell::{Core, Reply};
use service::EffectId;
use store::{MemoryStore, Store};
use tokio::sync::mpsc;

use super::arn;
use crate::input::{
    Alteration, Counts, Input, NewQueue, Outgoing, OutgoingFifo, ReceiptOutcome, SendAnswer, Taken, Want,
};
use crate::machine::{CELLS, Departure, QueueCell};
use crate::message::{Message, MessageId};
use crate::message_attribute::MessageAttributes;
use crate::receipt::Receipt;
use crate::settings::Settings;
use crate::stored::LeavingRecord;
use crate::{QueueName, key};

/// All cells without their loops: the test decides what is committed, when the couriers run and who crashes.
pub(super) struct Driver {
    pub clock: ManualClock,
    pub store: Arc<MemoryStore>,
    cores: Vec<Core<QueueCell>>,
    departures: Vec<mpsc::UnboundedReceiver<Departure>>,
    entropy: Entropy,
}

/// Where a courier's work is cut off.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Crash {
    No,
    BeforeArrival,
    AfterArrival,
}

impl Driver {
    pub fn new() -> Driver {
        let mut driver = Driver {
            clock: ManualClock::new(Timestamp::from_millis(1_000_000)),
            store: Arc::new(MemoryStore::new()),
            cores: Vec::new(),
            departures: Vec::new(),
            entropy: Entropy::from_seed(1),
        };
        driver.restart();
        driver
    }

    /// Every cell starts anew from what is stored.
    pub fn restart(&mut self) {
        self.cores.clear();
        self.departures.clear();
        for index in 0..CELLS {
            let (sender, receiver) = mpsc::unbounded_channel();
            let machine = QueueCell::new(index, sender);
            let store: Arc<dyn Store> = self.store.clone();
            self.cores.push(Core::claim(&format!("sqs/{index}"), machine, store).unwrap());
            self.departures.push(receiver);
        }
        self.wake();
    }

    /// A turn of every cell that has something due.
    pub fn wake(&mut self) {
        for index in 0..CELLS {
            while self.cores[index].wake_at().is_some_and(|at| at <= self.clock.now()) {
                self.turn(index, Vec::new(), true);
            }
        }
    }

    fn turn(&mut self, index: usize, inputs: Vec<Input>, commit: bool) {
        let core = &mut self.cores[index];
        let mut outcome = core.turn(inputs, self.clock.now()).unwrap();
        let batch = std::mem::take(&mut outcome.batch);
        if commit {
            self.store.commit(batch).wait().unwrap();
            outcome.release(Ok(()));
        } else {
            core.not_committed();
            outcome.release(Err(&store::Error::Retryable("disk full".to_owned())));
        }
    }

    fn ask_cell<T>(&mut self, index: usize, commit: bool, input: impl FnOnce(Reply<T>) -> Input) -> Option<T> {
        let (reply, mut answer) = Reply::channel();
        self.turn(index, vec![input(reply)], commit);
        answer.try_recv().ok().and_then(Result::ok)
    }

    fn ask<T>(&mut self, queue: &str, commit: bool, input: impl FnOnce(Arc<str>, Reply<T>) -> Input) -> Option<T> {
        let arn: Arc<str> = arn(queue).into();
        self.ask_cell(cell::shard_of(arn.as_bytes(), CELLS), commit, |reply| input(arn, reply))
    }

    pub fn create(&mut self, queue: &str, attributes: &[(&str, String)]) {
        let attributes = attributes.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect();
        let settings = Box::new(Settings::create(&attributes).unwrap());
        let name = QueueName::new(&base::Scope::default(), queue);
        let new = Box::new(NewQueue { attributes, tags: Default::default() });
        self.ask(queue, true, |_, reply| Input::Create { name, settings, new, reply }).unwrap().unwrap();
    }

    pub fn set(&mut self, queue: &str, name: &str, value: &str) {
        let alteration = Alteration::Attributes([(name.to_owned(), value.to_owned())].into());
        self.ask(queue, true, |arn, reply| Input::Alter { arn, alteration, reply }).unwrap().unwrap();
    }

    pub fn send(
        &mut self,
        queue: &str,
        body: &str,
        delay: Option<u32>,
        group: &str,
        commit: bool,
    ) -> Option<SendAnswer> {
        let fifo = queue.ends_with(".fifo");
        let message = Message {
            id: MessageId::generate(&self.entropy),
            sender_id: "s".to_owned(),
            group_id: fifo.then(|| group.to_owned()),
            deduplication_id: fifo.then(|| body.to_owned()),
            trace_header: None,
            dead_letter_source: None,
            attributes: MessageAttributes::new(),
            body: body.to_owned(),
        };
        let outgoing = Outgoing {
            id: message.id,
            record: message.encode(),
            size_bytes: body.len(),
            delay_seconds: delay.filter(|_| !fifo),
            fifo: fifo.then(|| OutgoingFifo {
                group: group.to_owned(),
                deduplication_id: body.to_owned(),
                explicit: true,
            }),
        };
        self.ask(queue, commit, |arn, reply| Input::Send { arn, messages: vec![outgoing], effect: None, reply })
    }

    /// Receives at once: body, receive count and receipt of each message.
    pub fn receive(
        &mut self,
        queue: &str,
        max: usize,
        visibility_timeout_seconds: u32,
        commit: bool,
    ) -> Option<Vec<(String, u32, Receipt)>> {
        let want = Want { max, visibility_timeout_seconds: Some(visibility_timeout_seconds), attempt_id: None };
        let caller = Arc::new(());
        let caller = Arc::downgrade(&caller);
        let taken: Taken = self
            .ask(queue, commit, |arn, reply| Input::Receive { arn, want, wait_seconds: Some(0), caller, reply })?
            .unwrap();
        let serial = taken.serial;
        let open = |taken: crate::input::TakenMessage| {
            let record = self.store.get(&key::body(serial, taken.seq)).unwrap().expect("a received message's body");
            assert!(taken.record.is_none_or(|cached| cached == record));
            let receipt = Receipt { serial, seq: taken.seq, epoch: taken.received };
            (Message::decode(&record).unwrap().body, taken.received, receipt)
        };
        Some(taken.messages.into_iter().map(open).collect())
    }

    pub fn delete(&mut self, queue: &str, receipt: Receipt, commit: bool) -> Option<ReceiptOutcome> {
        let receipts = vec![receipt];
        let outcomes = self.ask(queue, commit, |arn, reply| Input::Delete { arn, receipts, reply })?;
        Some(outcomes.unwrap()[0])
    }

    pub fn change(&mut self, queue: &str, receipt: Receipt, seconds: u32, commit: bool) -> Option<ReceiptOutcome> {
        let changes = vec![(receipt, seconds)];
        let outcomes = self.ask(queue, commit, |arn, reply| Input::ChangeVisibility { arn, changes, reply })?;
        Some(outcomes.unwrap()[0])
    }

    pub fn purge(&mut self, queue: &str) {
        self.ask(queue, true, |arn, reply| Input::Purge { arn, reply }).unwrap().unwrap();
    }

    pub fn counts(&mut self, queue: &str) -> Counts {
        self.ask(queue, true, |arn, reply| Input::Count { arn, reply }).unwrap().unwrap()
    }

    /// Carries all outboxes empty; a crash in between starts everything anew and goes on.
    pub fn carry(&mut self, mut crash: Crash) {
        for index in 0..CELLS {
            while let Ok(departure) = self.departures[index].try_recv() {
                let Some(value) = self.store.get(&departure.key).unwrap() else {
                    continue;
                };
                if crash == Crash::BeforeArrival {
                    self.restart();
                    return self.carry(Crash::No);
                }
                let leaving = LeavingRecord::decode(&value).unwrap();
                let target = cell::shard_of(leaving.destination.as_bytes(), CELLS);
                let messages = vec![(EffectId::new(&departure.key), leaving)];
                let arrived = self.ask_cell(target, true, |reply| Input::Arrive { messages, reply }).unwrap();
                if crash == Crash::AfterArrival {
                    self.restart();
                    return self.carry(Crash::No);
                }
                let outcomes = vec![(departure.number, arrived[0])];
                self.ask_cell(index, true, |reply| Input::Departed { outcomes, reply }).unwrap();
                crash = Crash::No;
            }
        }
    }
}
