use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use base::Timestamp;
use bytes::Bytes;
use store::{Batch, Error, Store};

use crate::turn::After;
use crate::{Lease, Turn};

/// How often inbox records whose sender has forgotten them are looked for.
const SWEEP_INTERVAL: Duration = Duration::from_secs(60);
/// How many inbox records one turn looks at; there may be more.
const SWEEP_RECORDS_MAX: usize = 4096;
/// Before a sweep that has not come to the end goes on, so that it does not hold up callers.
const SWEEP_PAUSE: Duration = Duration::from_millis(100);
/// A turn that writes so much takes no further input: stores bound a batch, and one that is refused for its size would
/// be refused for ever.
pub(crate) const TURN_BYTES_MAX: usize = 8 * 1024 * 1024;

/// What a service or the engine says about its state. Plain code: no async, no I/O but through the [`Turn`].
pub trait Machine: Send + 'static {
    type Input: Send + 'static;

    /// Forgets everything and reads the state of the cell from the store; called at start and after a batch failed.
    ///
    /// Effects that were stored but perhaps never delivered are let out again here, through `turn`.
    fn load(&mut self, turn: &mut Turn<'_>) -> Result<(), Error>;

    /// Applies one input. An `Err` fails the whole turn: nothing of it is written and the state is loaded anew.
    fn apply(&mut self, input: Self::Input, turn: &mut Turn<'_>) -> Result<(), Error>;

    /// Called once at the end of every turn: writes what several inputs of the turn may have changed.
    fn settle(&mut self, _turn: &mut Turn<'_>) -> Result<(), Error> {
        Ok(())
    }

    /// When [`Machine::wake`] is due next, if at all.
    fn wake_at(&self) -> Option<Timestamp> {
        None
    }

    /// Does what has come due by `turn.now()`. Called once in a turn, if due. Leaves the rest for the next
    /// turn when [`Turn::is_full`].
    fn wake(&mut self, _turn: &mut Turn<'_>) -> Result<(), Error> {
        Ok(())
    }
}

/// A cell without its loop: whoever drives it (the loop, the simulator) decides about time and commits.
pub struct Core<M: Machine> {
    state: State<M>,
    name: Arc<str>,
    store: Arc<dyn Store>,
    lease: Lease,
}

/// What a turn changes beside its batch.
struct State<M: Machine> {
    machine: M,
    loaded: bool,
    /// Inputs for which the last turn had no room.
    waiting: VecDeque<M::Input>,
    /// What is due comes before the inputs: every other time that a turn has no room for all.
    wake_first: bool,
    sweep_at: Timestamp,
    /// The inbox record behind which the sweep goes on.
    swept: Option<Bytes>,
}

/// What a turn wants: this batch durable, then these replies and effects.
pub struct Outcome {
    /// Already fenced; empty if nothing changed.
    pub batch: Batch,
    after: Vec<After>,
}

impl Outcome {
    /// Tells callers and lets effects out (`Ok`), or tells callers that nothing happened.
    pub fn release(self, committed: Result<(), &Error>) {
        for after in self.after {
            after(committed);
        }
    }
}

impl<M: Machine> Core<M> {
    /// Claims the cell. The state is loaded with the first turn.
    pub fn claim(name: &str, machine: M, store: Arc<dyn Store>) -> Result<Core<M>, Error> {
        let lease = Lease::claim(&*store, name)?;
        let state = State {
            machine,
            loaded: false,
            waiting: VecDeque::new(),
            wake_first: false,
            sweep_at: Timestamp::MIN,
            swept: None,
        };
        Ok(Core { state, name: name.into(), store, lease })
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// When a turn is due though no input came.
    pub fn wake_at(&self) -> Option<Timestamp> {
        let State { machine, loaded, sweep_at, .. } = &self.state;
        if !loaded || self.is_behind() {
            return Some(Timestamp::MIN);
        }
        Some(machine.wake_at().map_or(*sweep_at, |t| t.min(*sweep_at)))
    }

    /// Whether the last turn left inputs for the next one, which takes them first.
    pub fn is_behind(&self) -> bool {
        !self.state.waiting.is_empty()
    }

    /// Applies `inputs` at `now`, as many as a batch has room for. After an `Err` nothing may be committed; the next
    /// turn loads the state anew.
    pub fn turn(&mut self, inputs: impl IntoIterator<Item = M::Input>, now: Timestamp) -> Result<Outcome, Error> {
        self.state.waiting.extend(inputs);
        let mut turn = Turn::new(now, &self.name, &*self.store);
        let result = self.state.fill(&mut turn);
        let (batch, after) = turn.finish();
        let outcome = Outcome { batch: if batch.is_empty() { batch } else { batch.fenced(self.lease.fence()) }, after };
        match result {
            Ok(()) => Ok(outcome),
            Err(error) => {
                self.state.loaded = false;
                // Their callers are to try again, rather than wait for a store that may be long in trouble.
                self.state.waiting.clear();
                outcome.release(Err(&error));
                Err(error)
            }
        }
    }

    /// The batch of the last turn was refused: what the machine holds in memory has not happened.
    pub fn not_committed(&mut self) {
        self.state.loaded = false;
    }
}

impl<M: Machine> State<M> {
    fn fill(&mut self, turn: &mut Turn<'_>) -> Result<(), Error> {
        if !self.loaded {
            self.machine.load(turn)?;
            self.loaded = true;
        }
        if self.wake_first {
            self.wake(turn)?;
        }
        while !turn.is_full()
            && let Some(input) = self.waiting.pop_front()
        {
            self.machine.apply(input, turn)?;
        }
        if !self.wake_first {
            self.wake(turn)?;
        }
        self.wake_first ^= turn.is_full();
        self.machine.settle(turn)?;
        if self.sweep_at <= turn.now() {
            self.swept = turn.sweep_inbox(self.swept.take(), SWEEP_RECORDS_MAX)?;
            self.sweep_at = turn.now() + if self.swept.is_some() { SWEEP_PAUSE } else { SWEEP_INTERVAL };
        }
        Ok(())
    }

    fn wake(&mut self, turn: &mut Turn<'_>) -> Result<(), Error> {
        if !turn.is_full() && self.machine.wake_at().is_some_and(|t| t <= turn.now()) {
            self.machine.wake(turn)?;
        }
        Ok(())
    }
}
