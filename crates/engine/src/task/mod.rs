//! Carries out what executions want of the world, and tells them what came of it.

pub(crate) mod integration;
mod lambda;
mod nested;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::Duration;

use asl::{Integration, IntegrationPattern, ResourceKind};
use base::{Entropy, Scope, Timestamp};
use cell::Cells;
use interp::{Input as Told, Progress, TaskId};
use service::{Call, Fault, Registry};
use store::Store;
use tokio::sync::{Semaphore, SetOnce, oneshot};
use tracing::debug;

use crate::Options;
use crate::activity::Activities;
use crate::execution::{Input, Job, LogLines, Work};
use crate::invoker::Invoker;
use crate::keys::ExecutionId;

/// Takes log events: account and region, group, stream, events in order.
pub type LogSink = Box<dyn Fn(&Scope, &str, &str, Vec<(Timestamp, String)>) + Send + Sync>;

/// How a task ended, as its Task state sees it.
pub(crate) struct TaskError {
    pub error: String,
    pub cause: String,
}

/// Everything that tasks can call.
pub(crate) struct Dispatcher {
    pub registry: OnceLock<Registry>,
    pub invoker: Arc<dyn Invoker>,
    pub activities: Activities,
    pub entropy: Arc<Entropy>,
    /// Set last: work that stored executions want at the start may be done before.
    pub cells: SetOnce<Cells<Input>>,
    pub endpoint: OnceLock<Arc<str>>,
    /// Takes the events of executions that are logged; must not block.
    pub log: OnceLock<LogSink>,
    store: Arc<dyn Store>,
    calls: Semaphore,
    /// Jobs that wait for a child and want to know when nobody waits for them any longer.
    waiting: Mutex<HashMap<(ExecutionId, TaskId), oneshot::Sender<()>>>,
    options: Options,
}

impl Dispatcher {
    pub fn new(
        store: Arc<dyn Store>,
        invoker: Arc<dyn Invoker>,
        activities: Activities,
        entropy: Arc<Entropy>,
        options: Options,
    ) -> Dispatcher {
        Dispatcher {
            registry: OnceLock::new(),
            invoker,
            activities,
            entropy,
            cells: SetOnce::new(),
            endpoint: OnceLock::new(),
            log: OnceLock::new(),
            store,
            calls: Semaphore::new(options.calls_max),
            waiting: Mutex::default(),
            options,
        }
    }

    fn store(&self) -> &dyn Store {
        &*self.store
    }

    /// Takes work from a cell; never blocks.
    pub fn take(self: &Arc<Self>, work: Work) {
        match work {
            Work::Run(job) => {
                let dispatcher = self.clone();
                tokio::spawn(async move { dispatcher.run(*job).await });
            }
            Work::Cancel { id, task } => {
                let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(&(id, task));
                if let Some(waiting) = waiting {
                    // The job may have ended by itself meanwhile.
                    let _ = waiting.send(());
                }
            }
            Work::Log { scope, lines: LogLines { group, stream, lines } } => {
                if let Some(log) = self.log.get() {
                    log(&scope, &group, &stream, lines);
                }
            }
        }
    }

    async fn run(self: Arc<Self>, job: Job) {
        match job.task.resource.kind.clone() {
            ResourceKind::Function => {
                let told = self.limited(lambda::run_by_arn(&self, &job)).await;
                self.tell_result(&job, told).await;
            }
            ResourceKind::Activity { .. } => {
                if job.task.progress == Progress::Scheduled
                    && let Err(error) = self.activities.schedule(&job)
                {
                    let (task, error, cause) = (job.task.task, Some(error.error.into()), Some(error.cause.into()));
                    self.tell(job.id, Told::TaskScheduleFailed { task, error, cause }).await;
                }
            }
            ResourceKind::Integration(integration) => self.run_integration(&job, &integration).await,
        }
    }

    async fn run_integration(self: &Arc<Self>, job: &Job, integration: &Integration) {
        let nested = !integration.aws_sdk && integration.service == "states" && integration.action == "startExecution";
        let submitted = matches!(job.task.progress, Progress::Submitted { .. });
        if integration.pattern == IntegrationPattern::WaitForTaskToken && submitted {
            return; // The token alone can end it now.
        }
        if nested && matches!(integration.pattern, IntegrationPattern::Sync | IntegrationPattern::Sync2) {
            return nested::run_to_end(self, job, integration.pattern).await;
        }
        let answer = self.limited(self.call_integration(job, integration)).await;
        match (answer, integration.pattern) {
            (answer, IntegrationPattern::RequestResponse) => self.tell_result(job, answer).await,
            (Ok(output), _) => {
                self.tell(job.id, Told::TaskSubmitted { task: job.task.task, output: output.into() }).await;
            }
            (Err(e), _) => {
                // What AWS's history shows where the request itself failed.
                self.tell_failure(job, e).await;
            }
        }
    }

    async fn call_integration(self: &Arc<Self>, job: &Job, integration: &Integration) -> Result<String, TaskError> {
        if !integration.aws_sdk && integration.service == "lambda" && integration.action == "invoke" {
            return lambda::run_invoke(self, job).await;
        }
        integration::run(self, job, integration).await
    }

    /// Runs `work` when one of the places for calls is free.
    async fn limited<T>(&self, work: impl Future<Output = T>) -> T {
        let permit = self.calls.acquire().await;
        let result = work.await;
        drop(permit);
        result
    }

    /// Calls an operation of ours, again if it was unavailable: with an effect id it happens once all the same.
    async fn call(
        &self,
        job: &Job,
        service: &str,
        operation: &str,
        input: serde_json::Value,
    ) -> Result<serde_json::Value, (Fault, Arc<str>)> {
        let request_id: Arc<str> = self.entropy.uuid().into();
        let mut call = Call::internal(job.scope.clone(), request_id.clone(), job.role_arn.clone());
        if let Some(endpoint) = self.endpoint.get() {
            call.endpoint = endpoint.clone();
        }
        call.effect = job.effect.clone();
        let Some(registry) = self.registry.get() else {
            return Err((Fault::internal("the engine has not started"), request_id));
        };
        let mut attempt = 1;
        loop {
            match registry.call_value(service, operation, call.clone(), input.clone()).await {
                Err(fault) if fault.is_retryable() && attempt < self.options.call_attempts_max => {
                    debug!(execution.arn = %job.execution_arn, service, operation, %fault, attempt, "call failed, trying again");
                    tokio::time::sleep(Duration::from_millis(20 << attempt.min(8))).await;
                    attempt += 1;
                }
                result => return result.map_err(|fault| (fault, request_id)),
            }
        }
    }

    async fn tell_result(&self, job: &Job, result: Result<String, TaskError>) {
        match result {
            Ok(output) => {
                self.tell(job.id, Told::TaskSucceeded { task: job.task.task, output: output.into() }).await;
            }
            Err(error) => self.tell_failure(job, error).await,
        }
    }

    async fn tell_failure(&self, job: &Job, TaskError { error, cause }: TaskError) {
        let (error, cause) = (Some(error.into()), Some(cause.into()));
        self.tell(job.id, Told::TaskFailed { task: job.task.task, error, cause }).await;
    }

    /// Tells an execution what happened, until it has taken it in or the server stops.
    async fn tell(&self, id: ExecutionId, input: Told) {
        let Some(cell) = self.cells.wait().await.at(usize::from(id.cell)) else { return };
        loop {
            let (reply, answer) = cell::Reply::channel();
            if cell.send_waiting(Input::Task { id, input: input.clone(), reply: Some(reply) }).await.is_err() {
                return; // Stopping: the task is open in the store and runs again after the start.
            }
            match answer.await {
                Ok(Err(cell::CellError::NotCommitted(_))) | Err(_) if !self.stopped(id) => {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                _ => return,
            }
        }
    }

    fn stopped(&self, id: ExecutionId) -> bool {
        self.cells.get().and_then(|c| c.at(usize::from(id.cell))).is_none_or(cell::Cell::is_stopped)
    }

    /// Resolves when nobody waits for the job any longer.
    fn cancelled(self: &Arc<Self>, job: &Job) -> Cancelled {
        let (tx, rx) = oneshot::channel();
        let key = (job.id, job.task.task);
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(key, tx);
        Cancelled { key, dispatcher: Arc::downgrade(self), signal: rx }
    }
}

/// See [`Dispatcher::cancelled`].
struct Cancelled {
    key: (ExecutionId, TaskId),
    dispatcher: Weak<Dispatcher>,
    signal: oneshot::Receiver<()>,
}

impl Drop for Cancelled {
    fn drop(&mut self) {
        if let Some(dispatcher) = self.dispatcher.upgrade() {
            dispatcher.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
        }
    }
}
