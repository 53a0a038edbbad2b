use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::Applied;
use crate::index::RUNS_MAX;
use crate::overlay::Frozen;
use crate::store::Shared;

/// How often a failed write of the index is tried again.
const RETRY_DELAY_MIN: Duration = Duration::from_millis(50);
const RETRY_DELAY_MAX: Duration = Duration::from_secs(5);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Stop {
    #[default]
    No,
    /// After bringing the index up to date, if the disk lets it.
    Finish,
    /// At once, as a crash would.
    Abandon,
}

/// What the threads behind the log tell each other.
#[derive(Default)]
pub(crate) struct Background {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    apply: bool,
    compact: bool,
    stop: Stop,
    stop_compacting: bool,
    /// Why the index cannot be written.
    failing: Option<String>,
    /// Why its tables cannot be merged.
    merge_failing: Option<String>,
}

impl Background {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, f: impl FnOnce(&mut State)) {
        f(&mut self.lock());
        self.changed.notify_all();
    }

    pub(crate) fn stop(&self, stop: Stop) {
        self.change(|s| s.stop = stop);
    }

    pub(crate) fn is_abandoned(&self) -> bool {
        self.lock().stop == Stop::Abandon
    }

    pub(crate) fn stop_compacting(&self) {
        self.change(|s| s.stop_compacting = true);
    }

    fn wait<'a>(&'a self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_timeout<'a>(&'a self, state: MutexGuard<'a, State>, timeout: Duration) -> MutexGuard<'a, State> {
        self.changed.wait_timeout(state, timeout).unwrap_or_else(PoisonError::into_inner).0
    }
}

/// Tells those who would wait for a thread that it has panicked.
struct Fallen(Arc<Shared>);

impl Drop for Fallen {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.background.change(|s| s.failing = Some("its thread has panicked: restart".to_owned()));
        }
    }
}

impl Shared {
    /// Asks for the index to be brought up to date.
    pub(crate) fn apply_now(&self) {
        let mut state = self.background.lock();
        if !state.apply {
            state.apply = true;
            drop(state);
            self.background.changed.notify_all();
        }
    }

    /// Blocks while the overlay is full. Gives up, and says why, when it will not get emptier by waiting.
    pub(crate) fn wait_for_room(&self) -> Result<(), String> {
        if self.overlay.bytes() < self.options.overlay_bytes_max {
            return Ok(());
        }
        self.metrics.overlay_waits.add(1);
        self.apply_now();
        let mut state = self.background.lock();
        while self.overlay.bytes() >= self.options.overlay_bytes_max {
            if let Some(why) = state.failing.as_ref().or(state.merge_failing.as_ref()) {
                return Err(format!("memory is full and the index cannot be written: {why}"));
            }
            if state.stop != Stop::No {
                return Err("the store has stopped".to_owned());
            }
            state = self.background.wait(state);
        }
        Ok(())
    }

    /// Without a thread: does what the background has to do next; `false` if there is nothing.
    pub(crate) fn work_once(&self) -> bool {
        if self.index.runs() >= RUNS_MAX {
            self.background.change(|s| s.compact = true);
        }
        let (apply, compact) = {
            let mut state = self.background.lock();
            let compact = std::mem::take(&mut state.compact);
            (!compact && std::mem::take(&mut state.apply), compact)
        };
        if compact {
            match self.index.compact() {
                Ok(merged) => self.background.change(|s| s.compact |= merged),
                Err(error) => tracing::error!(?error, "index not compacted"),
            }
        } else if apply {
            if let Some(frozen) = self.overlay.freeze(self.metrics.applied_seq.get()) {
                self.frozen_at_log_bytes.store(self.metrics.log_bytes.get(), Ordering::Relaxed);
                self.apply(&frozen);
            }
        } else {
            return self.segments.preallocate_wanted();
        }
        true
    }

    /// The thread that brings the index up to date, layer by layer, and cuts the log behind it.
    pub(crate) fn run_applier(self: Arc<Shared>) {
        let _fallen = Fallen(self.clone());
        loop {
            let stop = {
                let mut state = self.background.lock();
                while !state.apply && state.stop == Stop::No {
                    state = self.background.wait(state);
                }
                state.apply = false;
                state.stop
            };
            if stop == Stop::Abandon {
                return;
            }
            let applied_seq = self.metrics.applied_seq.get();
            // At the end a layer that could not be written is still frozen: the log has it.
            if self.background.lock().failing.is_none()
                && let Some(frozen) = self.overlay.freeze(applied_seq)
            {
                self.frozen_at_log_bytes.store(self.metrics.log_bytes.get(), Ordering::Relaxed);
                self.apply(&frozen);
            }
            if stop == Stop::Finish {
                return;
            }
        }
    }

    /// Writes a layer to the index, however long it takes, unless the store stops.
    fn apply(&self, frozen: &Frozen) {
        let mut delay = RETRY_DELAY_MIN;
        loop {
            self.wait_for_compaction();
            let applied = Applied { store_id: self.store_id, seq: frozen.last_seq };
            let error = match self.index.apply(&frozen.layer, applied) {
                Ok(written) => return self.applied(frozen, written),
                Err(error) => error,
            };
            self.metrics.background_errors.add(1);
            tracing::error!(?error, "index not written; trying again");
            self.background.change(|s| s.failing = Some(format!("{error:?}")));
            let mut state = self.background.lock();
            if state.stop == Stop::No {
                state = self.background.wait_timeout(state, delay);
            }
            if state.stop != Stop::No {
                return;
            }
            delay = (delay * 2).min(RETRY_DELAY_MAX);
        }
    }

    fn applied(&self, frozen: &Frozen, (writes, deletes_skipped): (u64, u64)) {
        self.overlay.thaw();
        self.metrics.applied_seq.set(frozen.last_seq);
        self.metrics.applies.add(1);
        self.metrics.applied_writes.add(writes);
        self.metrics.applied_deletes_skipped.add(deletes_skipped);
        self.segments.cut(frozen.last_seq);
        self.background.change(|s| {
            s.failing = None;
            s.compact = true;
        });
    }

    /// Too many runs make reads slow: then the index must not get more of them.
    fn wait_for_compaction(&self) {
        let mut state = self.background.lock();
        while state.stop == Stop::No && self.index.runs() >= RUNS_MAX {
            state.compact = true;
            self.background.changed.notify_all();
            state = self.background.wait_timeout(state, RETRY_DELAY_MIN);
        }
    }

    /// The thread that merges the index's tables.
    pub(crate) fn run_compaction(self: Arc<Shared>) {
        let _fallen = Fallen(self.clone());
        let mut delay = RETRY_DELAY_MIN;
        loop {
            {
                let mut state = self.background.lock();
                while !state.compact && !state.stop_compacting {
                    state = self.background.wait(state);
                }
                if state.stop_compacting {
                    return;
                }
                state.compact = false;
            }
            match self.index.compact() {
                Ok(merged) => {
                    delay = RETRY_DELAY_MIN;
                    self.metrics.compactions.add(u64::from(merged));
                    self.background.change(|s| {
                        s.compact |= merged;
                        s.merge_failing = None;
                    });
                }
                Err(error) => {
                    self.metrics.background_errors.add(1);
                    tracing::error!(?error, "index not compacted; trying again");
                    self.background.change(|s| s.merge_failing = Some(format!("{error:?}")));
                    let mut state = self.background.lock();
                    if !state.stop_compacting {
                        state = self.background.wait_timeout(state, delay);
                        state.compact = true;
                    }
                    drop(state);
                    delay = (delay * 2).min(RETRY_DELAY_MAX);
                }
            }
        }
    }
}
