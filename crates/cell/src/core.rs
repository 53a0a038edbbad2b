use std::sync::Arc;
use std::time::Duration;

use base::Timestamp;
use store::{Batch, Error, Store};

use crate::turn::After;
use crate::{Lease, Turn};

/// How often inbox records whose sender has forgotten them are looked for.
const SWEEP_INTERVAL: Duration = Duration::from_secs(60);
/// How many inbox records one sweep looks at in a row, and drops at most.
const SWEEP_RECORDS_MAX: usize = 4096;

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

    /// Does what has come due by `turn.now()`. Called after the inputs of a turn, if due.
    fn wake(&mut self, _turn: &mut Turn<'_>) -> Result<(), Error> {
        Ok(())
    }
}

/// A cell without its loop: whoever drives it (the loop, the simulator) decides about time and commits.
pub struct Core<M> {
    machine: M,
    name: Arc<str>,
    store: Arc<dyn Store>,
    lease: Lease,
    loaded: bool,
    sweep_at: Timestamp,
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
        Ok(Core { machine, name: name.into(), store, lease, loaded: false, sweep_at: Timestamp::MIN })
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// When a turn is due though no input came.
    pub fn wake_at(&self) -> Option<Timestamp> {
        if !self.loaded {
            return Some(Timestamp::MIN);
        }
        Some(self.machine.wake_at().map_or(self.sweep_at, |t| t.min(self.sweep_at)))
    }

    /// Applies `inputs` at `now`. After an `Err` nothing may be committed; the next turn loads the state anew.
    pub fn turn(&mut self, inputs: impl IntoIterator<Item = M::Input>, now: Timestamp) -> Result<Outcome, Error> {
        let mut turn = Turn::new(now, &self.name, &*self.store);
        let result = Self::fill(&mut self.machine, &mut self.loaded, &mut self.sweep_at, inputs, &mut turn);
        let (batch, after) = turn.finish();
        let outcome = Outcome { batch: if batch.is_empty() { batch } else { batch.fenced(self.lease.fence()) }, after };
        match result {
            Ok(()) => Ok(outcome),
            Err(error) => {
                self.loaded = false;
                outcome.release(Err(&error));
                Err(error)
            }
        }
    }

    /// The batch of the last turn was refused: what the machine holds in memory has not happened.
    pub fn not_committed(&mut self) {
        self.loaded = false;
    }

    fn fill(
        machine: &mut M,
        loaded: &mut bool,
        sweep_at: &mut Timestamp,
        inputs: impl IntoIterator<Item = M::Input>,
        turn: &mut Turn<'_>,
    ) -> Result<(), Error> {
        if !*loaded {
            machine.load(turn)?;
            *loaded = true;
        }
        for input in inputs {
            machine.apply(input, turn)?;
        }
        if machine.wake_at().is_some_and(|t| t <= turn.now()) {
            machine.wake(turn)?;
        }
        machine.settle(turn)?;
        if *sweep_at <= turn.now() {
            turn.sweep_inbox(SWEEP_RECORDS_MAX)?;
            *sweep_at = turn.now() + SWEEP_INTERVAL;
        }
        Ok(())
    }
}
