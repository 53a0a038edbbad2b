use std::sync::Arc;
use std::time::Duration;

use base::Clock;
use store::{Error, Store};
use tokio::sync::{mpsc, oneshot};
use tracing::{error, warn};

use crate::{Core, Machine};

/// How a cell's loop is bounded.
#[derive(Clone, Debug)]
pub struct CellOptions {
    /// Inputs that may wait before callers are told that the cell is overloaded.
    pub inputs_waiting_max: usize,
    /// Inputs that one turn takes, so that the first caller does not wait for the last.
    pub inputs_per_turn_max: usize,
    /// Pause before a turn is tried again after the store refused one.
    pub retry_pause_ms: u64,
}

impl Default for CellOptions {
    fn default() -> CellOptions {
        CellOptions { inputs_waiting_max: 16_384, inputs_per_turn_max: 1_024, retry_pause_ms: 20 }
    }
}

/// Why a caller has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CellError {
    /// Too many inputs wait; nothing was done. Try again later.
    #[error("too many calls are waiting for this resource, try again")]
    Overloaded,
    /// The server is stopping; nothing was done.
    #[error("the server is stopping")]
    Stopped,
    /// The store refused; nothing was done.
    #[error(transparent)]
    NotCommitted(Error),
}

/// Where a machine leaves the answer to one input. See [`crate::Turn::reply`].
#[derive(Debug)]
pub struct Reply<T>(oneshot::Sender<Result<T, CellError>>);

impl<T> Reply<T> {
    /// A reply and where it arrives, for drivers without a loop.
    pub fn channel() -> (Reply<T>, oneshot::Receiver<Result<T, CellError>>) {
        let (tx, rx) = oneshot::channel();
        (Reply(tx), rx)
    }

    pub(crate) fn send(self, value: T) {
        // A caller that went away does not undo what was done.
        let _ = self.0.send(Ok(value));
    }

    pub(crate) fn fail(self, error: &Error) {
        let _ = self.0.send(Err(CellError::NotCommitted(error.clone())));
    }
}

/// A running cell, to send inputs to. Clones reach the same cell; it ends when all are gone.
pub struct Cell<I> {
    inputs: mpsc::Sender<I>,
}

impl<I> Clone for Cell<I> {
    fn clone(&self) -> Cell<I> {
        Cell { inputs: self.inputs.clone() }
    }
}

impl<I: Send + 'static> Cell<I> {
    /// Claims the cell `name`, starts its loop on the current runtime, and returns when its state is loaded.
    pub async fn start<M: Machine<Input = I>>(
        name: &str,
        machine: M,
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        options: CellOptions,
    ) -> Result<Cell<I>, Error> {
        let owned = name.to_owned();
        let core = tokio::task::spawn_blocking(move || Core::claim(&owned, machine, store));
        let mut core = core.await.map_err(|e| Error::Retryable(format!("claim cell: {e}")))??;
        let (tx, rx) = mpsc::channel(options.inputs_waiting_max);
        run_turn(&mut core, Vec::new(), &*clock).await?;
        tokio::spawn(run(core, rx, clock, options));
        Ok(Cell { inputs: tx })
    }

    /// Whether the loop has ended, so that nothing will ever be taken in again.
    pub fn is_stopped(&self) -> bool {
        self.inputs.is_closed()
    }

    /// Hands an input over without waiting for anything.
    pub fn send(&self, input: I) -> Result<(), CellError> {
        self.inputs.try_send(input).map_err(|e| match e {
            mpsc::error::TrySendError::Full(_) => CellError::Overloaded,
            mpsc::error::TrySendError::Closed(_) => CellError::Stopped,
        })
    }

    /// Hands an input over, waiting for a place: for senders that are bounded themselves (effects, workers' results).
    pub async fn send_waiting(&self, input: I) -> Result<(), CellError> {
        self.inputs.send(input).await.map_err(|_| CellError::Stopped)
    }

    /// Sends the input that `make` builds around a [`Reply`] and waits for the answer, which is durable.
    pub async fn call<T: Send + 'static>(&self, make: impl FnOnce(Reply<T>) -> I) -> Result<T, CellError> {
        let (reply, answer) = Reply::channel();
        self.send(make(reply))?;
        answer.await.unwrap_or_else(|_| Err(self.unanswered()))
    }

    /// Why a [`Reply`] was dropped: the loop has ended, or the turn failed before it came to the input.
    pub fn unanswered(&self) -> CellError {
        if self.is_stopped() {
            return CellError::Stopped;
        }
        CellError::NotCommitted(Error::Retryable("the turn failed".to_owned()))
    }
}

/// Several cells that share one kind of state by key.
pub struct Cells<I> {
    cells: Arc<[Cell<I>]>,
}

impl<I> Clone for Cells<I> {
    fn clone(&self) -> Cells<I> {
        Cells { cells: self.cells.clone() }
    }
}

impl<I: Send + 'static> Cells<I> {
    /// Starts `count` cells named `name/0` onwards, with the machine that `make` gives for each index.
    ///
    /// `count` is part of the stored state: it must be the same at every start on the same store.
    pub async fn start<M: Machine<Input = I>>(
        name: &str,
        count: usize,
        make: impl Fn(usize) -> M,
        store: &Arc<dyn Store>,
        clock: &Arc<dyn Clock>,
        options: &CellOptions,
    ) -> Result<Cells<I>, Error> {
        assert!(count > 0, "at least one cell");
        let mut cells = Vec::with_capacity(count);
        for index in 0..count {
            let name = format!("{name}/{index}");
            cells.push(Cell::start(&name, make(index), store.clone(), clock.clone(), options.clone()).await?);
        }
        Ok(Cells { cells: cells.into() })
    }

    /// The cell that owns `key`.
    pub fn of(&self, key: &[u8]) -> &Cell<I> {
        &self.cells[shard_of(key, self.cells.len())]
    }

    /// The cell of that index.
    pub fn at(&self, index: usize) -> Option<&Cell<I>> {
        self.cells.get(index)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Cell<I>> {
        self.cells.iter()
    }
}

/// Which of `count` cells owns `key`: FNV-1a with MurmurHash3's finalizer, which never change, for stored state
/// depends on them.
pub fn shard_of(key: &[u8], count: usize) -> usize {
    let mut hash = key.iter().fold(0xcbf2_9ce4_8422_2325u64, |h, b| (h ^ u64::from(*b)).wrapping_mul(0x0100_0000_01b3));
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    ((u128::from(hash ^ (hash >> 33)) * count as u128) >> 64) as usize
}

async fn run<M: Machine>(
    mut core: Core<M>,
    mut inputs: mpsc::Receiver<M::Input>,
    clock: Arc<dyn Clock>,
    options: CellOptions,
) {
    let mut waiting = Vec::new();
    loop {
        // Inputs for which the last turn had no room come first.
        if !core.is_behind() {
            let wait = core.wake_at().map_or(Duration::from_secs(3600), |t| t.since(clock.now()));
            let received = tokio::select! {
                biased;
                n = inputs.recv_many(&mut waiting, options.inputs_per_turn_max) => Some(n),
                () = due(wait) => None,
            };
            if received == Some(0) {
                return;
            }
        }
        match run_turn(&mut core, std::mem::take(&mut waiting), &*clock).await {
            Ok(()) => {}
            Err(error @ Error::Retryable(_)) => {
                warn!(cell = core.name(), %error, "turn not committed, state is loaded anew");
                tokio::time::sleep(Duration::from_millis(options.retry_pause_ms)).await;
            }
            Err(error) => {
                // Fenced: somebody else owns the cell. Corrupt: going on could spread it. Callers see `Stopped`.
                error!(cell = core.name(), %error, "cell stopped");
                return;
            }
        }
    }
}

/// Resolves after `wait`. The runtime's timers count in whole milliseconds, which a cell with more to do must not lose
/// in each of its turns.
async fn due(wait: Duration) {
    if wait.is_zero() { tokio::task::yield_now().await } else { tokio::time::sleep(wait).await }
}

async fn run_turn<M: Machine>(core: &mut Core<M>, inputs: Vec<M::Input>, clock: &dyn Clock) -> Result<(), Error> {
    let mut outcome = core.turn(inputs, clock.now())?;
    if outcome.batch.is_empty() {
        outcome.release(Ok(()));
        return Ok(());
    }
    let batch = std::mem::take(&mut outcome.batch);
    match core.store().commit(batch).await {
        Ok(_) => {
            outcome.release(Ok(()));
            Ok(())
        }
        Err(error) => {
            core.not_committed();
            outcome.release(Err(&error));
            Err(error)
        }
    }
}
