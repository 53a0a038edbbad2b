use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base::Clock;
use cell::{CellError, Cells, Reply};
use interp::{Input as Told, TaskId};
use service::{Call, Fault, Registry};
use tokio::sync::{SetOnce, watch};
use tracing::debug;

use super::{Input, NewRun, OutcomeRecord, Run, Work, cell_of, children, read, write};
use crate::execution;
use crate::keys::MapRunId;
use crate::task::Dispatcher;

/// Before a cell that could not take something in is asked again.
const RETRY_PAUSE: Duration = Duration::from_millis(50);

/// Carries out what Map Runs want of the world.
pub(crate) struct Driver {
    pub(super) dispatcher: Arc<Dispatcher>,
    pub(super) clock: Arc<dyn Clock>,
    /// Set last, as the dispatcher's.
    pub(super) cells: SetOnce<Cells<Input>>,
    /// Map Runs for which anything is under way.
    runs: Mutex<HashMap<MapRunId, UnderWay>>,
}

/// What is under way for one Map Run.
struct UnderWay {
    /// How many more children may be started.
    room: watch::Sender<u64>,
    stop: watch::Sender<bool>,
    children: HashSet<u64>,
    reading: bool,
    counting: bool,
    writing: bool,
    telling: bool,
}

/// Something that is under way at most once for a Map Run.
#[derive(Clone, Copy, PartialEq)]
enum Job {
    Child(u64),
    Read,
    Count,
    Write,
    Tell,
}

/// Takes the job out of what is under way, however it ends.
struct Held {
    driver: Arc<Driver>,
    id: MapRunId,
    job: Job,
}

/// What a job listens to.
pub(super) struct Signals {
    pub room: watch::Receiver<u64>,
    pub stop: watch::Receiver<bool>,
}

impl Signals {
    /// Resolves when the Map Run is to stop.
    pub async fn stopped(&mut self) {
        if self.stop.wait_for(|stop| *stop).await.is_err() {
            // Forgotten: whoever waits for this is told otherwise.
            std::future::pending().await
        }
    }
}

impl Driver {
    pub fn new(dispatcher: Arc<Dispatcher>, clock: Arc<dyn Clock>) -> Driver {
        Driver { dispatcher, clock, cells: SetOnce::new(), runs: Mutex::default() }
    }

    pub fn set_cells(&self, cells: Cells<Input>) {
        let _ = self.cells.set(cells);
    }

    /// Takes a Map Run from an execution; never blocks.
    pub fn begin(self: &Arc<Self>, new: Arc<NewRun>) {
        let driver = self.clone();
        tokio::spawn(async move {
            let id = new.run_id();
            driver.deliver(id, |reply| Input::Start { run: new.clone(), reply }).await;
            // What cancels it may have been there first.
            driver.check_parent(id).await;
        });
    }

    /// Nobody waits for the Map Run any longer; never blocks.
    pub fn cancel(self: &Arc<Self>, id: MapRunId) {
        let driver = self.clone();
        tokio::spawn(async move { driver.deliver(id, |reply| Input::Cancel { id, reply }).await });
    }

    /// Takes work from a cell of Map Runs; never blocks.
    pub fn take(self: &Arc<Self>, work: Work) {
        let driver = self.clone();
        match work {
            Work::Room { id, children } => {
                self.signal(id, |under_way| {
                    under_way.room.send_replace(children);
                });
            }
            Work::Stop { id } => self.signal(id, |under_way| {
                under_way.stop.send_replace(true);
            }),
            Work::Forget { id } => drop(self.runs().remove(&id)),
            Work::Child { run, index, items, input } => self.once(run.id, Job::Child(index), |signals| async move {
                children::run(&driver, run, index, items, input, signals).await;
            }),
            Work::Read { run, first, position } => self.once(run.id, Job::Read, |signals| async move {
                read::run(&driver, run, first, position, signals).await;
            }),
            Work::Count { run } => self.once(run.id, Job::Count, |signals| async move {
                read::count(&driver, run, signals).await;
            }),
            Work::Write { run, children, end } => self.once(run.id, Job::Write, |_| async move {
                write::run(&driver, run, children, end).await;
            }),
            Work::Tell { id, outcome } => self.once(id, Job::Tell, |_| async move { driver.tell(id, outcome).await }),
            Work::CheckParent { id } => drop(tokio::spawn(async move { driver.check_parent(id).await })),
        }
    }

    fn runs(&self) -> MutexGuard<'_, HashMap<MapRunId, UnderWay>> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn signal(&self, id: MapRunId, signal: impl FnOnce(&UnderWay)) {
        signal(self.runs().entry(id).or_default());
    }

    /// Lets a job run, unless it is under way: a cell that was loaded anew asks again for what is open.
    fn once<Fut>(self: &Arc<Self>, id: MapRunId, job: Job, run: impl FnOnce(Signals) -> Fut)
    where
        Fut: Future<Output = ()> + Send + 'static,
    {
        let mut runs = self.runs();
        let under_way = runs.entry(id).or_default();
        if !under_way.begin(job) {
            return;
        }
        let signals = Signals { room: under_way.room.subscribe(), stop: under_way.stop.subscribe() };
        drop(runs);
        let held = Held { driver: self.clone(), id, job };
        let work = run(signals);
        tokio::spawn(async move {
            let _held = held;
            work.await;
        });
    }

    /// Gives something to the Map Run's cell, until it has taken it in. `None` if the server stops.
    pub(super) async fn deliver<T: Send + 'static>(
        &self,
        id: MapRunId,
        input: impl Fn(Reply<T>) -> Input,
    ) -> Option<T> {
        let cell = self.cells.wait().await.at(cell_of(id))?;
        retried(cell, input).await
    }

    async fn tell(&self, id: MapRunId, outcome: OutcomeRecord) {
        let task = TaskId(id.task);
        let told = match outcome {
            OutcomeRecord::Succeeded { output } => Told::TaskSucceeded { task, output: output.into() },
            OutcomeRecord::Failed { error, cause } => {
                Told::TaskFailed { task, error: Some(error.into()), cause: Some(cause.into()) }
            }
        };
        let Some(cell) = self.dispatcher.cells.wait().await.at(usize::from(id.execution.cell)) else { return };
        let input = |reply| execution::Input::Task { id: id.execution, input: told.clone(), reply: Some(reply) };
        if retried::<_, bool>(cell, input).await.is_some() {
            self.deliver(id, |reply| Input::Told { id, reply }).await;
        }
    }

    async fn check_parent(&self, id: MapRunId) {
        let Some(cell) = self.dispatcher.cells.wait().await.at(usize::from(id.execution.cell)) else { return };
        let (execution, task) = (id.execution, TaskId(id.task));
        let open = retried(cell, |reply| execution::Input::IsOpen { id: execution, task, reply }).await;
        if open == Some(false) {
            self.deliver(id, |reply| Input::Cancel { id, reply }).await;
        }
    }

    /// Calls one of our own services, again while it is unavailable.
    pub(super) async fn call(
        &self,
        run: &Run,
        service: &str,
        operation: &str,
        input: serde_json::Value,
    ) -> Result<serde_json::Value, Refused> {
        let request_id: Arc<str> = self.dispatcher.entropy.uuid().into();
        let call = Call::internal(run.record.scope(), request_id.clone(), run.record.revision.role_arn.as_str());
        let Some(registry) = self.dispatcher.registry.get() else {
            return Err(Refused { fault: Fault::internal("the engine has not started"), request_id });
        };
        let mut attempt = 1;
        loop {
            match self.call_once(registry, service, operation, call.clone(), input.clone()).await {
                Err(fault) if fault.is_retryable() && attempt < self.dispatcher.options.call_attempts_max => {
                    debug!(map_run.arn = %run.record.arn, service, operation, %fault, attempt, "call failed, trying again");
                    tokio::time::sleep(Duration::from_millis(20 << attempt.min(8))).await;
                    attempt += 1;
                }
                result => return result.map_err(|fault| Refused { fault, request_id }),
            }
        }
    }

    async fn call_once(
        &self,
        registry: &Registry,
        service: &str,
        operation: &str,
        call: Call,
        input: serde_json::Value,
    ) -> Result<serde_json::Value, Fault> {
        registry.call_value(service, operation, call, input).await
    }
}

/// A call that one of our services refused.
pub(super) struct Refused {
    pub fault: Fault,
    pub request_id: Arc<str>,
}

/// Sends an input until it is answered; `None` if the cell has stopped.
pub(super) async fn retried<I: Send + 'static, T: Send + 'static>(
    cell: &cell::Cell<I>,
    input: impl Fn(Reply<T>) -> I,
) -> Option<T> {
    loop {
        let (reply, answer) = Reply::channel();
        cell.send_waiting(input(reply)).await.ok()?;
        match answer.await {
            Ok(Ok(answer)) => return Some(answer),
            Ok(Err(CellError::Stopped)) => return None,
            Ok(Err(_)) | Err(_) if cell.is_stopped() => return None,
            Ok(Err(_)) | Err(_) => tokio::time::sleep(RETRY_PAUSE).await,
        }
    }
}

impl Default for UnderWay {
    fn default() -> UnderWay {
        UnderWay {
            room: watch::Sender::new(0),
            stop: watch::Sender::new(false),
            children: HashSet::new(),
            reading: false,
            counting: false,
            writing: false,
            telling: false,
        }
    }
}

impl UnderWay {
    /// Whether the job was not under way.
    fn begin(&mut self, job: Job) -> bool {
        match job {
            Job::Child(index) => self.children.insert(index),
            Job::Read => !std::mem::replace(&mut self.reading, true),
            Job::Count => !std::mem::replace(&mut self.counting, true),
            Job::Write => !std::mem::replace(&mut self.writing, true),
            Job::Tell => !std::mem::replace(&mut self.telling, true),
        }
    }

    fn end(&mut self, job: Job) {
        match job {
            Job::Child(index) => drop(self.children.remove(&index)),
            Job::Read => self.reading = false,
            Job::Count => self.counting = false,
            Job::Write => self.writing = false,
            Job::Tell => self.telling = false,
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(under_way) = self.driver.runs().get_mut(&self.id) {
            under_way.end(self.job);
        }
    }
}
