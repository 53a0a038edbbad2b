use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base::{Clock, Entropy, Timestamp};
use bytes::Bytes;
use service::Fault;
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use super::concurrency::throttled;
use super::deployment::{Deployment, Invocation, Outcome};
use super::guard::Guard;
use super::report::{Failure, Report, Status};
use super::roster::{Next, Order, Patience, Roster};
use super::spawn::Launcher;
use super::worker::{Running, Work, Worker};
use super::{runtime_api, supervise};
use crate::{LogSink, Options};

/// An invocation that lasted longer than this has its peak of memory asked from the kernel.
const EXACT_MEMORY_AFTER: Duration = Duration::from_millis(20);

/// All worker processes of the server, and the invocations that wait for one.
pub(crate) struct Fleet {
    pub(super) options: Options,
    pub(crate) launcher: Launcher,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) entropy: Arc<Entropy>,
    pub(super) logs: Arc<dyn LogSink>,
    pub(super) guard: Guard,
    roster: Mutex<Roster>,
    /// Told whenever a worker is gone.
    ended: Notify,
}

/// The end of an invocation, for its caller and its log.
struct End {
    payload: Bytes,
    failed: bool,
    /// What the platform logs before END.
    line: Option<String>,
    kind: EndKind,
}

enum EndKind {
    Answered,
    Timeout,
    Error(String),
}

impl Fleet {
    pub fn new(
        options: Options,
        launcher: Launcher,
        clock: Arc<dyn Clock>,
        entropy: Arc<Entropy>,
        logs: Arc<dyn LogSink>,
    ) -> Fleet {
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        let starting_max =
            if options.workers_starting_max == 0 { (4 * cores).max(8) } else { options.workers_starting_max };
        let roster = Mutex::new(Roster::new(options.workers_max, starting_max));
        Fleet { options, launcher, clock, entropy, logs, guard: Guard::default(), roster, ended: Notify::new() }
    }

    /// Runs one invocation and waits for its end. It goes on where the caller stops waiting.
    pub async fn run(
        self: &Arc<Self>,
        deployment: &Arc<Deployment>,
        invocation: Invocation,
        mut answer: oneshot::Receiver<Outcome>,
    ) -> Result<Outcome, Fault> {
        let mut orders = Vec::new();
        let queued = {
            let mut roster = self.roster();
            if roster.is_closing() {
                return Err(stopping());
            }
            roster.submit(deployment, invocation, self.now(), &mut orders)
        };
        self.carry_out(orders);
        let Some(number) = queued else { return answer.await.map_err(|_| stopping()) };
        let patience = Duration::from_millis(self.options.queue_wait_ms_max);
        if let Ok(outcome) = tokio::time::timeout(patience, &mut answer).await {
            return outcome.map_err(|_| stopping());
        }
        if self.roster().withdraw(&deployment.version_arn, number).is_some() {
            return Err(throttled("ConcurrentInvocationLimitExceeded"));
        }
        answer.await.map_err(|_| stopping())
    }

    /// The version is gone; what waits for it is told that the server has none.
    pub fn remove(self: &Arc<Self>, version_arn: &Arc<str>) {
        let mut orders = Vec::new();
        let waiting = self.roster().remove(version_arn, &mut orders);
        drop(waiting);
        self.carry_out(orders);
    }

    /// Stops all workers and waits until they are gone.
    pub async fn shut_down(self: &Arc<Self>) {
        let mut orders = Vec::new();
        let waiting = self.roster().close(&mut orders);
        drop(waiting);
        self.carry_out(orders);
        loop {
            let ended = self.ended.notified();
            if self.worker_count() == 0 {
                return;
            }
            ended.await;
        }
    }

    /// Workers that exist, are being made, or are being cleared away.
    pub fn worker_count(&self) -> usize {
        self.roster().worker_count()
    }

    /// Resolves when the next worker is gone.
    #[cfg(test)]
    pub fn next_end(&self) -> impl Future<Output = ()> + '_ {
        self.ended.notified()
    }

    pub(super) fn now(&self) -> (Instant, Timestamp) {
        (Instant::now(), self.clock.now())
    }

    pub(super) fn roster(&self) -> MutexGuard<'_, Roster> {
        self.roster.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn patience(&self, deployment: &Deployment) -> Patience {
        let init = Duration::from_millis(self.options.init_ms_max).max(deployment.timeout);
        Patience { idle: Duration::from_millis(self.options.worker_idle_ms), init }
    }

    /// Does what the roster has decided. Not while it is locked.
    pub(super) fn carry_out(self: &Arc<Self>, orders: Vec<Order>) {
        for order in orders {
            match order {
                Order::Start { worker, deployment } => {
                    tokio::spawn(supervise::run(self.clone(), worker, deployment));
                }
                Order::Stop(worker) => worker.stop.notify_one(),
                Order::LookAgain => {
                    let fleet = self.clone();
                    let grace = Duration::from_millis(self.options.worker_finishing_grace_ms);
                    tokio::spawn(async move {
                        tokio::time::sleep(grace).await;
                        let mut orders = Vec::new();
                        fleet.roster().look_again(Instant::now(), grace, &mut orders);
                        fleet.carry_out(orders);
                    });
                }
            }
        }
    }

    /// A worker asks for work, and gets some, or waits.
    pub(super) async fn next(self: &Arc<Self>, worker: &Worker) -> Result<Work, runtime_api::Refusal> {
        let mut orders = Vec::new();
        let next = self.roster().next(worker.id, self.now(), &mut orders);
        self.carry_out(orders);
        let work = match next {
            Next::Work(work) => work,
            Next::Wait(given) => given.await.map_err(|_| runtime_api::Refusal::Gone)?,
            Next::Gone => return Err(runtime_api::Refusal::Gone),
            Next::Busy => return Err(runtime_api::Refusal::State("Invoke", "Next")),
        };
        let deployment = &worker.deployment;
        let line = deployment.log_format.start(self.clock.now(), &work.request_id, &deployment.version);
        worker.output.begin(line, work.tail);
        Ok(work)
    }

    /// A worker answers. False if it has no such invocation.
    pub(super) fn answered(&self, worker: &Worker, request_id: &str, payload: Bytes, failed: bool) -> bool {
        let Some(running) = self.roster().answered(worker.id, request_id, Instant::now()) else { return false };
        self.finish(worker, *running, End { payload, failed, line: None, kind: EndKind::Answered });
        true
    }

    /// The worker was killed, for the invocation took too long.
    pub(super) fn timed_out(&self, worker: &Worker, running: Running) {
        let timeout = worker.deployment.timeout;
        let request_id = running.invocation.request_id.clone();
        let error = super::report::PlatformError::timeout(&request_id, timeout);
        let now = self.clock.now();
        let line = format!("{now} {request_id} Task timed out after {:.2} seconds\n\n", timeout.as_secs_f64());
        let end = End { payload: error.payload(), failed: true, line: Some(line), kind: EndKind::Timeout };
        self.finish(worker, running, end);
    }

    /// The worker is gone before it has answered.
    pub(super) fn failed(&self, worker: &Worker, running: Running, failure: &Failure) {
        let (kind, line, payload) = failure.describe(&running.invocation.request_id);
        self.finish(worker, running, End { payload, failed: true, line, kind: EndKind::Error(kind) });
    }

    /// The worker never came to ask for work; `running` is told, and begins and ends here.
    pub(super) fn unstarted(&self, worker: &Worker, running: Option<Box<Running>>, failure: &Failure) {
        worker.output.collect();
        let Some(running) = running else { return };
        let deployment = &worker.deployment;
        let invocation = &running.invocation;
        let line = deployment.log_format.start(self.clock.now(), &invocation.request_id, &deployment.version);
        worker.output.begin(line, invocation.tail);
        self.failed(worker, *running, failure);
    }

    pub(super) fn worker_gone(&self, id: u64) {
        self.roster().forget(id);
        self.ended.notify_waiters();
    }

    /// Tells caller and log. The caller comes first, unless it wants the log.
    fn finish(&self, worker: &Worker, running: Running, end: End) {
        let Running { invocation, started, init, .. } = running;
        let duration = match end.kind {
            EndKind::Timeout => worker.deployment.timeout,
            _ => started.elapsed(),
        };
        let Invocation { request_id, reply, permit, tail, .. } = invocation;
        // Before the reply: who calls again at once must find the place free.
        drop(permit);
        let mut outcome = Outcome { payload: end.payload, failed: end.failed, tail: None };
        let mut reply = Some(reply);
        if !tail {
            // A caller that has gone away is no reason not to log.
            let _ = reply.take().expect("set above").send(outcome.clone());
        }
        let report = Report {
            request_id: &request_id,
            duration,
            init,
            memory_mb: worker.deployment.memory_mb,
            memory_used_mb: worker.memory_used_mb(duration > EXACT_MEMORY_AFTER),
            status: match &end.kind {
                EndKind::Answered => Status::Success,
                EndKind::Timeout => Status::Timeout,
                EndKind::Error(kind) => Status::Error(kind),
            },
        };
        let lines = worker.deployment.log_format.end(self.clock.now(), &report);
        let tail = worker.output.end(end.line.into_iter().chain(lines));
        if let Some(reply) = reply {
            outcome.tail = tail;
            let _ = reply.send(outcome);
        }
    }
}

fn stopping() -> Fault {
    Fault::with_status(
        500,
        "ServiceException",
        "the invocation ended with its worker: the function was removed or the server is stopping",
    )
}
