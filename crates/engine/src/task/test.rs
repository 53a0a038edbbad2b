//! Tasks of states that are tested: their outcomes go to whoever waits for the test, not to a cell.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use interp::Input as Told;
use tokio::sync::mpsc;

use super::Dispatcher;
use crate::keys::ExecutionId;

/// The cell that tests seem to be in; there is none of that number.
const CELL: u8 = u8::MAX;
/// What a test's tasks may tell before it listens: more than the one that is open ever does.
const TOLD_MAX: usize = 16;

#[derive(Default)]
pub(crate) struct Tests {
    listeners: Mutex<Listeners>,
}

#[derive(Default)]
struct Listeners {
    next: u64,
    by_number: HashMap<u64, mpsc::Sender<Told>>,
}

/// A test that is under way.
pub(crate) struct Listener {
    pub id: ExecutionId,
    pub told: mpsc::Receiver<Told>,
    dispatcher: Arc<Dispatcher>,
}

impl Dispatcher {
    /// Begins a test.
    pub fn listen(self: &Arc<Self>) -> Listener {
        let (tx, told) = mpsc::channel(TOLD_MAX);
        let mut listeners = self.tests.lock();
        listeners.next += 1;
        let number = listeners.next;
        listeners.by_number.insert(number, tx);
        Listener { id: ExecutionId { cell: CELL, number }, told, dispatcher: self.clone() }
    }

    /// Tells a test, if that is what the id names.
    pub(super) async fn tell_test(&self, id: ExecutionId, input: &Told) -> bool {
        if id.cell != CELL {
            return false;
        }
        let listener = self.tests.lock().by_number.get(&id.number).cloned();
        if let Some(listener) = listener {
            // The test may have ended meanwhile.
            let _ = listener.send(input.clone()).await;
        }
        true
    }
}

impl Tests {
    fn lock(&self) -> std::sync::MutexGuard<'_, Listeners> {
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.dispatcher.tests.lock().by_number.remove(&self.id.number);
    }
}
