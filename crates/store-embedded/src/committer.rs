use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use store::{Batch, Commit, CommitSender, Error, Fence, KEY_BYTES_MAX, VALUE_BYTES_MAX, Write, commit_channel};

use crate::Options;
use crate::log::frame::{PAYLOAD_BYTES_MAX, frame_bytes};
use crate::log::wal::{AppendError, Wal};
use crate::overlay::Passed;
use crate::store::Shared;

/// Fences whose values the committer remembers.
const FENCES_MAX: usize = 4096;
/// How often a disk that failed is tried again.
const RETRY_DELAY_MIN: Duration = Duration::from_millis(20);
const RETRY_DELAY_MAX: Duration = Duration::from_secs(1);
/// Of the time that a sync takes, the part to wait for a group to be as large as the last one.
const PATIENCE_PART: u32 = 4;
const PATIENCE_MAX: Duration = Duration::from_millis(1);

/// Batches on their way to the log.
#[derive(Default)]
pub(crate) struct Queue {
    state: Mutex<QueueState>,
    arrived: Condvar,
}

#[derive(Default)]
struct QueueState {
    batches: VecDeque<(Batch, CommitSender)>,
    bytes: u64,
    closed: bool,
    /// The committer sleeps until there are so many batches; 0: it does not sleep.
    wake_at: usize,
    /// The disk failed and a group's fate is open: nothing can be taken in.
    down: Option<String>,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, QueueState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes nothing more in; what is queued is still committed.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.arrived.notify_all();
    }

    pub(crate) fn push(&self, batch: Batch, shared: &Shared) -> Commit {
        let refuse = |why: String| {
            shared.metrics.refused.add(1);
            Commit::done(Err(Error::Retryable(why)))
        };
        if let Some(why) = over_limit(&batch) {
            return refuse(why);
        }
        let bytes = frame_bytes(&batch);
        let mut state = self.lock();
        if state.closed {
            return refuse("the store has stopped".to_owned());
        }
        if let Some(why) = &state.down {
            return refuse(why.clone());
        }
        let full = state.batches.len() >= shared.options.queue_batches_max
            || state.bytes + bytes > shared.options.queue_bytes_max as u64;
        if full && !state.batches.is_empty() {
            return refuse("the store is busy: its queue is full".to_owned());
        }
        let (sender, commit) = commit_channel();
        state.batches.push_back((batch, sender));
        state.bytes += bytes;
        let wake = state.wake_at > 0 && state.batches.len() >= state.wake_at;
        if wake {
            // Waking is a system call, and so is made once.
            state.wake_at = 0;
        }
        drop(state);
        if wake {
            self.arrived.notify_one();
        }
        commit
    }

    /// Takes as many batches as may share a sync.
    fn take(&self, options: &Options) -> Group {
        let mut state = self.lock();
        let (mut group, mut bytes) = (Vec::new(), 0);
        while let Some((batch, _)) = state.batches.front()
            && group.len() < options.group_batches_max
        {
            let more = frame_bytes(batch);
            if bytes + more > options.group_bytes_max && !group.is_empty() {
                break;
            }
            bytes += more;
            state.bytes -= more;
            group.extend(state.batches.pop_front());
        }
        group
    }

    /// Sleeps until `batches` wait, or the queue is closed, or the time is up.
    fn sleep<'a>(
        &'a self,
        mut state: MutexGuard<'a, QueueState>,
        batches: usize,
        timeout: Option<Duration>,
    ) -> MutexGuard<'a, QueueState> {
        state.wake_at = batches;
        let more = |s: &mut QueueState| s.batches.len() < batches && !s.closed;
        let mut state = match timeout {
            None => self.arrived.wait_while(state, more).unwrap_or_else(PoisonError::into_inner),
            Some(time) => self.arrived.wait_timeout_while(state, time, more).unwrap_or_else(PoisonError::into_inner).0,
        };
        state.wake_at = 0;
        state
    }
}

fn over_limit(batch: &Batch) -> Option<String> {
    for write in &batch.writes {
        let (key, value) = match write {
            Write::Put(key, value) => (key, value.len()),
            Write::Delete(key) => (key, 0),
        };
        if key.len() > KEY_BYTES_MAX || value > VALUE_BYTES_MAX {
            let (key, limits) = (key.len(), (KEY_BYTES_MAX, VALUE_BYTES_MAX));
            return Some(format!("a key of {key} with a value of {value} bytes is over the limits {limits:?}"));
        }
    }
    (frame_bytes(batch) > PAYLOAD_BYTES_MAX).then(|| format!("a batch is over the limit of {PAYLOAD_BYTES_MAX} bytes"))
}

/// The thread that owns the log's end.
pub(crate) struct Committer {
    shared: Arc<Shared>,
    wal: Wal,
    next_seq: u64,
    /// Values of fenced keys, as of the last batch judged.
    fences: HashMap<Bytes, Option<Bytes>>,
    /// Something was appended since the last mark.
    unmarked: bool,
    /// Batches in the last group: so many callers have had their answers and may be about to ask again.
    last_group: usize,
    /// How long the last group took to write and sync.
    last_append: Duration,
}

/// Taken together: to be judged, written with one sync, and answered in order.
type Group = Vec<(Batch, CommitSender)>;

impl Committer {
    pub(crate) fn new(shared: Arc<Shared>, wal: Wal, next_seq: u64) -> Committer {
        Committer {
            shared,
            wal,
            next_seq,
            fences: HashMap::new(),
            unmarked: false,
            last_group: 0,
            last_append: Duration::ZERO,
        }
    }

    pub(crate) fn run(mut self) {
        // However this thread ends, nobody must wait for it.
        let queue = CloseOnDrop(self.shared.clone());
        while let Some(group) = self.next_group() {
            self.commit(group);
        }
        if !self.shared.background.is_abandoned()
            && let Err(e) = self.wal.close(self.next_seq)
        {
            tracing::warn!(error = %e, "log not closed cleanly; what was acknowledged is durable");
        }
        drop(queue);
    }

    /// Without a thread: commits what waits, as far as one sync goes, or notes that all is synced. Returns the batches
    /// taken.
    pub(crate) fn step(&mut self) -> usize {
        let group = self.shared.queue.take(&self.shared.options);
        if group.is_empty() {
            if std::mem::take(&mut self.unmarked) {
                self.wal.mark(self.next_seq - 1);
            }
            return 0;
        }
        let batches = group.len();
        self.commit(group);
        batches
    }

    /// Without a thread: ends the log as a clean shutdown does.
    pub(crate) fn close(&mut self) -> io::Result<()> {
        self.shared.queue.close();
        while self.step() > 0 {}
        self.wal.close(self.next_seq)
    }

    fn next_group(&mut self) -> Option<Group> {
        loop {
            self.wait_for_batches()?;
            let room = self.shared.wait_for_room();
            let group = self.shared.queue.take(&self.shared.options);
            self.last_group = group.len();
            match room {
                Ok(()) => return Some(group),
                Err(why) => self.refuse(group.into_iter().map(|(_, sender)| sender), &why),
            }
        }
    }

    /// `None`: there are none, and none will come.
    fn wait_for_batches(&mut self) -> Option<()> {
        let shared = self.shared.clone();
        let mut state = shared.queue.lock();
        while state.batches.is_empty() {
            if state.closed {
                return None;
            }
            if std::mem::take(&mut self.unmarked) {
                drop(state);
                self.wal.mark(self.next_seq - 1);
                state = shared.queue.lock();
                continue;
            }
            state = shared.queue.sleep(state, 1, None);
        }
        // Whoever comes first would else be synced alone while the others wait for a whole sync more.
        if state.batches.len() < self.last_group && !state.closed {
            let patience = (self.last_append / PATIENCE_PART).min(PATIENCE_MAX);
            drop(shared.queue.sleep(state, self.last_group, Some(patience)));
        }
        Some(())
    }

    fn commit(&mut self, group: Group) {
        let first_seq = self.next_seq;
        let mut batches = Vec::with_capacity(group.len());
        let mut answers = Vec::with_capacity(group.len());
        for (batch, sender) in group {
            let judged = self.judge(batch.fence.as_ref());
            if judged.is_ok() {
                self.note_fenced_keys(&batch);
                batches.push(batch);
            }
            answers.push((sender, judged.map(|()| first_seq + batches.len() as u64 - 1)));
        }
        let (started, failovers) = (Instant::now(), self.shared.metrics.log_failovers.get());
        if !batches.is_empty()
            && let Err(error) = self.wal.append(first_seq, &batches)
        {
            return self.give_up(answers, error);
        }
        self.last_append = started.elapsed();
        if self.shared.metrics.log_failovers.get() > failovers {
            // The old segment's other batches are better kept in the index than on such a spot of the disk.
            self.shared.apply_now();
        }
        let accepted = batches.len() as u64;
        let mut passed = Passed::default();
        if accepted > 0 {
            self.next_seq += accepted;
            self.unmarked = true;
            passed = self.shared.overlay.insert(first_seq, batches);
        }
        let metrics = &self.shared.metrics;
        metrics.groups.add(1);
        metrics.commits.add(accepted);
        metrics.fenced.add(answers.len() as u64 - accepted);
        metrics.committed_seq.set(self.next_seq - 1);
        for (sender, answer) in answers {
            sender.send(answer);
        }
        if self.fences.len() > FENCES_MAX {
            self.fences.clear();
        }
        self.shared.overlay.forget(passed, |key| self.shared.index.may_have(key));
        self.shared.apply_if_due();
    }

    /// Checks a fence against what is committed and the batches before it in the group.
    fn judge(&mut self, fence: Option<&Fence>) -> Result<(), Error> {
        let Some(fence) = fence else { return Ok(()) };
        let current = match self.fences.get(&fence.key) {
            Some(value) => value,
            None => {
                let value = self.shared.get(&fence.key)?;
                self.fences.entry(fence.key.clone()).or_insert(value)
            }
        };
        if *current == fence.value { Ok(()) } else { Err(Error::Fenced) }
    }

    fn note_fenced_keys(&mut self, batch: &Batch) {
        if self.fences.is_empty() {
            return;
        }
        for write in &batch.writes {
            let (key, value) = match write {
                Write::Put(key, value) => (key, Some(value)),
                Write::Delete(key) => (key, None),
            };
            if let Some(slot) = self.fences.get_mut(key) {
                *slot = value.cloned();
            }
        }
    }

    /// Answers a group that the log did not take. Fences were judged as if it had, so every answer is void.
    fn give_up(&mut self, answers: Vec<(CommitSender, Result<u64, Error>)>, error: AppendError) {
        self.fences.clear();
        let why = match error {
            AppendError::Refused(e) => {
                tracing::error!(error = %e, "log not written; commits refused");
                format!("write log: {e}")
            }
            AppendError::Unknown(e) => {
                tracing::error!(error = %e, "log failed; no commits until the disk can be written again");
                self.bury(&e)
            }
        };
        self.refuse(answers.into_iter().map(|(sender, _)| sender), &why);
        self.shared.apply_now();
    }

    /// Holds the group's answers until nothing of it can be replayed any more, or the store is closed.
    fn bury(&mut self, first: &io::Error) -> String {
        let shared = self.shared.clone();
        let mut delay = RETRY_DELAY_MIN;
        loop {
            if self.wal.bury(self.next_seq).is_ok() {
                shared.queue.lock().down = None;
                tracing::info!("log can be written again");
                return format!("write log: {first}");
            }
            let mut state = shared.queue.lock();
            state.down = Some(format!("the log cannot be written: {first}"));
            let queued = std::mem::take(&mut state.batches);
            state.bytes = 0;
            let closed = state.closed;
            drop(state);
            self.refuse(queued.into_iter().map(|(_, sender)| sender), &format!("the log cannot be written: {first}"));
            if closed {
                return format!("the store has stopped, and whether this was written shows when it is opened: {first}");
            }
            if let Some(outage) = &shared.outage {
                if !outage() {
                    shared.queue.close();
                }
                continue;
            }
            let state = shared.queue.lock();
            drop(shared.queue.arrived.wait_timeout_while(state, delay, |s| !s.closed));
            delay = (delay * 2).min(RETRY_DELAY_MAX);
        }
    }

    fn refuse(&self, senders: impl Iterator<Item = CommitSender>, why: &str) {
        for sender in senders {
            self.shared.metrics.refused.add(1);
            sender.send(Err(Error::Retryable(why.to_owned())));
        }
    }
}

struct CloseOnDrop(Arc<Shared>);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        self.0.queue.close();
        self.0.queue.lock().batches.clear();
    }
}

impl Shared {
    /// Asks for the index to be brought up to date when memory or the log's length calls for it.
    pub(crate) fn apply_if_due(&self) {
        let (active_bytes, _) = self.overlay.sizes();
        let logged = self.metrics.log_bytes.get() - self.frozen_at_log_bytes.load(Ordering::Relaxed);
        if active_bytes >= self.options.overlay_bytes_max / 2 || logged >= self.options.checkpoint_bytes {
            self.apply_now();
        }
    }
}
