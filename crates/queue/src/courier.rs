//! Carries messages from one cell's outbox to the cells of their queues.
//!
//! One courier for each cell, one step behind the other: what it carries arrives in order, and a message whose outbox
//! entry is gone is never offered again.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use cell::{Cell, CellError, Cells, Reply};
use service::EffectId;
use store::Store;
use tokio::sync::mpsc;
use tracing::{error, warn};

use crate::input::Input;
use crate::machine::{CELLS, Departure};
use crate::stored::LeavingRecord;

/// Messages that are carried together, and roughly how many bytes of them.
const LOAD_MESSAGES_MAX: usize = 256;
const LOAD_BYTES_MAX: usize = 1024 * 1024;
const RETRY_PAUSE: Duration = Duration::from_millis(50);

/// Carries until the cells have stopped, which it does not keep from it.
pub(crate) async fn run(
    mut departures: mpsc::UnboundedReceiver<Departure>,
    source: usize,
    cells: Weak<Cells<Input>>,
    store: Arc<dyn Store>,
) {
    let mut waiting = Vec::new();
    while departures.recv_many(&mut waiting, LOAD_MESSAGES_MAX).await > 0 {
        let mut rest = std::mem::take(&mut waiting).into_iter().peekable();
        while rest.peek().is_some() {
            let Some(load) = pack(&mut rest, &*store).await else {
                return;
            };
            let Some(cells) = cells.upgrade() else {
                return;
            };
            if carry(load, source, &cells).await.is_err() {
                return;
            }
        }
    }
}

/// What goes to one cell: each message with the number of its outbox entry.
type Load = BTreeMap<usize, Vec<(u64, EffectId, LeavingRecord)>>;

/// Takes as many messages as go together; those that have arrived before are left out.
async fn pack(rest: &mut impl Iterator<Item = Departure>, store: &dyn Store) -> Option<Load> {
    let mut load = Load::new();
    let mut bytes = 0;
    while bytes < LOAD_BYTES_MAX
        && let Some(departure) = rest.next()
    {
        let Some(value) = read(&departure.key, store).await? else {
            continue;
        };
        bytes += value.len();
        match LeavingRecord::decode(&value) {
            Ok(leaving) => {
                let cell = cell::shard_of(leaving.destination.as_bytes(), CELLS);
                load.entry(cell).or_default().push((departure.number, EffectId::new(&departure.key), leaving));
            }
            Err(error) => error!(%error, "a message in the outbox cannot be read and stays there"),
        }
    }
    Some(load)
}

async fn read(key: &[u8], store: &dyn Store) -> Option<Option<Bytes>> {
    loop {
        match store.get(key) {
            Ok(value) => return Some(value),
            Err(error @ store::Error::Retryable(_)) => {
                warn!(%error, "read the outbox again");
                tokio::time::sleep(RETRY_PAUSE).await;
            }
            Err(error) => {
                error!(%error, "messages for other queues stay in the outbox");
                return None;
            }
        }
    }
}

async fn carry(load: Load, source: usize, cells: &Cells<Input>) -> Result<(), CellError> {
    let cell = |index: usize| cells.iter().nth(index).ok_or(CellError::Stopped);
    for (index, messages) in load {
        let (home, target) = (cell(source)?, cell(index)?);
        let numbers: Vec<u64> = messages.iter().map(|(number, ..)| *number).collect();
        let messages: Vec<_> = messages.into_iter().map(|(_, effect, leaving)| (effect, leaving)).collect();
        let arrived = insist(target, |reply| Input::Arrive { messages: messages.clone(), reply }).await?;
        let outcomes: Vec<(u64, bool)> = numbers.into_iter().zip(arrived).collect();
        insist(home, |reply| Input::Departed { outcomes: outcomes.clone(), reply }).await?;
    }
    Ok(())
}

/// Asks until there is an answer; only a cell that has stopped gives none.
async fn insist<T: Send + 'static>(cell: &Cell<Input>, input: impl Fn(Reply<T>) -> Input) -> Result<T, CellError> {
    loop {
        match cell.call(&input).await {
            Err(error @ (CellError::Overloaded | CellError::NotCommitted(store::Error::Retryable(_)))) => {
                warn!(%error, "carry messages between queues again");
                tokio::time::sleep(RETRY_PAUSE).await;
            }
            other => return other,
        }
    }
}
