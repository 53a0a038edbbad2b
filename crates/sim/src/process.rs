//! One life of the server: a store on the simulated disk and the cells that own its state, without loops.

use std::collections::VecDeque;
use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use base::{Clock, Entropy, ManualClock, Timestamp};
use cell::Outcome;
use engine::sim::{Executions, Wish};
use queue::sim::Queues;
use store::{Commit, Error, Store};
use store_embedded::{Options, SimDisk, SteppedStore};

/// The queue that executions send to.
pub const EFFECTS_QUEUE: &str = "effects";
/// The queue that clients use; of the same cell.
pub const CLIENTS_QUEUE: &str = "clients-8";

/// What an input is about: whose it is, and what to do with the answer.
#[derive(Clone, Debug)]
pub enum Letter {
    Execution(engine::sim::Told, ExecutionMail),
    Queue(queue::sim::Told, QueueMail),
}

#[derive(Clone, Debug)]
pub enum ExecutionMail {
    /// Of the execution with that index.
    Start(usize),
    /// What a task came to.
    Answer(TaskKey),
    Stop(usize),
}

#[derive(Clone, Debug)]
pub enum QueueMail {
    Create,
    /// A task's message; with the number of its delivery.
    Effect(TaskKey),
    /// A client's message, by its body.
    Client(String),
    Receive,
    Delete(String),
}

/// A task of an execution: cell, execution, task.
pub type TaskKey = (usize, u64, u64);

enum Answer {
    Execution(engine::sim::Pending),
    Queue(queue::sim::Pending),
}

/// An input with its answer.
#[derive(Debug)]
pub enum Answered {
    Execution(engine::sim::Told, ExecutionMail, engine::sim::Answer),
    Queue(queue::sim::Told, QueueMail, queue::sim::Answer),
}

/// A turn whose batch is on its way.
struct InTurn {
    outcome: Option<Outcome>,
    commit: Option<Commit>,
    settled: Option<Result<(), Error>>,
    letters: Vec<Letter>,
    answers: Vec<Answer>,
}

/// A cell with what waits for it.
pub struct Lane {
    /// `None`: the cell of queues.
    pub cell: Option<usize>,
    pub inbox: VecDeque<Letter>,
    in_turn: Option<InTurn>,
    /// After a turn that failed.
    pub not_before: Timestamp,
}

/// How long a disk that cannot be written stays so, and what ends it.
#[derive(Clone)]
pub struct Outage {
    pub disk: SimDisk,
    pub left: Arc<AtomicU64>,
}

impl Outage {
    /// Called while a group's fate is open: the disk heals in the end, unless the machine has stopped.
    fn wait(&self) -> bool {
        if self.disk.has_crashed() {
            return false;
        }
        if self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_err() {
            self.disk.set_broken(false);
            self.disk.set_full(false);
            self.disk.fail_syncs(0);
        }
        true
    }
}

pub struct Process {
    pub executions: Executions,
    pub queues: Queues,
    pub lanes: Vec<Lane>,
    pub wishes: Arc<Mutex<VecDeque<Wish>>>,
    pub store: Arc<SteppedStore>,
}

impl Process {
    /// Opens everything, as a start of the server does.
    pub fn open(
        dir: &Path,
        disk: &Outage,
        options: Options,
        clock: &Arc<ManualClock>,
        entropy: &Arc<Entropy>,
        cells: &[usize],
    ) -> Result<Process, String> {
        let outage = disk.clone();
        let store = SteppedStore::open(dir, options, Arc::new(disk.disk.clone()), move || outage.wait());
        let store = Arc::new(store.map_err(|e| format!("store: {e}"))?);
        let shared: Arc<dyn Store> = store.clone();
        let wishes: Arc<Mutex<VecDeque<Wish>>> = Arc::default();
        let sink = wishes.clone();
        let take = move |wish| sink.lock().unwrap_or_else(PoisonError::into_inner).push_back(wish);
        let dyn_clock: Arc<dyn Clock> = clock.clone();
        let executions = Executions::open(shared.clone(), dyn_clock, entropy.clone(), cells, take);
        let executions = executions.map_err(|e| format!("engine: {e}"))?;
        let index = queue::sim::cell_of(EFFECTS_QUEUE);
        let queues = Queues::claim(index, shared, entropy.clone()).map_err(|e| format!("queues: {e}"))?;
        let lane = |cell| Lane { cell, inbox: VecDeque::new(), in_turn: None, not_before: Timestamp::MIN };
        let lanes = cells.iter().map(|cell| Some(*cell)).chain([None]).map(lane).collect();
        store.set_immediate(false);
        Ok(Process { executions, queues, lanes, wishes, store })
    }

    /// When a lane's cell has something to do though no input came; it takes no turn while one is on its way.
    pub fn wake_at(&mut self, lane: usize) -> Option<Timestamp> {
        match self.lanes[lane].cell {
            Some(cell) => self.executions.wake_at(cell),
            None => self.queues.wake_at(),
        }
    }

    pub fn is_in_turn(&self, lane: usize) -> bool {
        self.lanes[lane].in_turn.is_some()
    }

    /// The lane of a cell of executions, or that of the queues.
    pub fn lane_of(&self, cell: Option<usize>) -> usize {
        self.lanes.iter().position(|lane| lane.cell == cell).expect("a lane for every cell")
    }

    /// Takes a turn with the first `most` inputs and hands its batch to the store. `is_early` lets the effects out
    /// before.
    pub fn begin_turn(&mut self, lane: usize, most: usize, now: Timestamp, is_early: bool) -> Result<String, Error> {
        let count = most.min(self.lanes[lane].inbox.len());
        let letters: Vec<Letter> = self.lanes[lane].inbox.drain(..count).collect();
        let cell = self.lanes[lane].cell;
        let (outcome, answers) = match cell {
            Some(cell) => {
                let told = letters.iter().map(|letter| match letter {
                    Letter::Execution(told, _) => told.clone(),
                    Letter::Queue(..) => unreachable!("letters are sorted by their lanes"),
                });
                let (outcome, answers) = self.executions.turn(cell, told.collect(), now);
                (outcome, answers.into_iter().map(Answer::Execution).collect::<Vec<_>>())
            }
            None => {
                let told = letters.iter().map(|letter| match letter {
                    Letter::Queue(told, _) => told.clone(),
                    Letter::Execution(..) => unreachable!("letters are sorted by their lanes"),
                });
                let (outcome, answers) = self.queues.turn(told.collect(), now);
                (outcome, answers.into_iter().map(Answer::Queue).collect())
            }
        };
        let mut turn = InTurn { outcome: None, commit: None, settled: None, letters, answers };
        let mut line = format!("turn {} with {count} inputs", lane_name(cell));
        match outcome {
            Ok(mut outcome) => {
                let batch = std::mem::take(&mut outcome.batch);
                if is_early {
                    outcome.release(Ok(()));
                } else {
                    turn.outcome = Some(outcome);
                }
                line += &format!(", {} writes", batch.writes.len());
                if batch.is_empty() {
                    turn.settled = Some(Ok(()));
                } else {
                    turn.commit = Some(self.store.commit(batch));
                }
            }
            Err(error @ Error::Retryable(_)) => turn.settled = Some(Err(error)),
            Err(error) => return Err(error),
        }
        self.lanes[lane].in_turn = Some(turn);
        Ok(line)
    }

    /// Whether batches wait for the log.
    pub fn has_queued(&self) -> bool {
        self.lanes.iter().any(|lane| lane.in_turn.as_ref().is_some_and(|turn| turn.commit.is_some()))
    }

    /// Notes which commits have resolved.
    pub fn poll_commits(&mut self) {
        let mut ctx = Context::from_waker(Waker::noop());
        for lane in &mut self.lanes {
            let Some(turn) = &mut lane.in_turn else { continue };
            let Some(commit) = &mut turn.commit else { continue };
            if let Poll::Ready(result) = Pin::new(commit).poll(&mut ctx) {
                (turn.commit, turn.settled) = (None, Some(result.map(|_| ())));
            }
        }
    }

    /// Whether a turn's batch has been decided about, so that replies and effects may leave.
    pub fn is_settled(&self, lane: usize) -> bool {
        self.lanes[lane].in_turn.as_ref().is_some_and(|turn| turn.settled.is_some())
    }

    /// Ends a turn: replies and effects leave, or callers hear that nothing happened. An `Err` stops the cell.
    pub fn release(&mut self, lane: usize) -> Result<(bool, Vec<Answered>), Error> {
        let turn = self.lanes[lane].in_turn.take().expect("a turn that is settled");
        let settled = turn.settled.expect("a turn that is settled");
        match &settled {
            Ok(()) => {}
            Err(Error::Retryable(_)) => match self.lanes[lane].cell {
                Some(cell) => self.executions.not_committed(cell),
                None => self.queues.not_committed(),
            },
            Err(error) => return Err(error.clone()),
        }
        if let Some(outcome) = turn.outcome {
            outcome.release(settled.as_ref().copied());
        }
        let mut answered = Vec::with_capacity(turn.letters.len());
        for (letter, answer) in turn.letters.into_iter().zip(turn.answers) {
            answered.push(match (letter, answer) {
                (Letter::Execution(told, mail), Answer::Execution(answer)) => {
                    Answered::Execution(told, mail, answer.take())
                }
                (Letter::Queue(told, mail), Answer::Queue(answer)) => {
                    Answered::Queue(told, mail, self.queues.answer(answer)?)
                }
                _ => unreachable!("an answer is of its letter's kind"),
            });
        }
        Ok((settled.is_ok(), answered))
    }

    pub fn take_wish(&self) -> Option<Wish> {
        self.wishes.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }
}

pub fn lane_name(cell: Option<usize>) -> String {
    cell.map_or_else(|| "queues".to_owned(), |cell| format!("execution/{cell}"))
}
