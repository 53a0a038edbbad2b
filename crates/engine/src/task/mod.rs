//! Carries out what executions want of the world, and tells them what came of it.

pub(crate) mod http;
pub(crate) mod integration;
mod lambda;
mod metadata;
mod mock;
pub(crate) mod nested;
mod optimised;
mod sdk;
mod test;

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use asl::{Integration, IntegrationPattern, ResourceKind};
use base::{Clock, Entropy, Scope, Timestamp};
use cell::Cells;
use futures::FutureExt;
use interp::{Input as Told, Progress, TaskId};
use serde_json::Value;
use service::{Call, Fault, Registry};
use store::Store;
use tokio::sync::{Semaphore, SemaphorePermit, SetOnce, oneshot};
use tracing::debug;

use crate::activity::Activities;
use crate::execution::{Input, Job, LogLines, StatusChange, Work};
use crate::invoker::Invoker;
use crate::keys::ExecutionId;
use crate::mock::Mocks;
use crate::{HttpClient, Options};

pub(crate) use test::Listener;
use test::Tests;

/// Takes log events: account and region, group, stream, events in order.
pub type LogSink = Box<dyn Fn(&Scope, &str, &str, Vec<(Timestamp, String)>) + Send + Sync>;

/// Takes status changes of executions.
pub type StatusSink = Box<dyn Fn(StatusChange) + Send + Sync>;

/// How a task ended, as its Task state sees it.
pub(crate) struct TaskError {
    pub error: String,
    /// Empty if there is none.
    pub cause: String,
}

/// Jobs by their task, each with its number and the sender that cancels it.
type Jobs = HashMap<(ExecutionId, TaskId), (u64, oneshot::Sender<()>)>;

/// Everything that tasks can call.
pub(crate) struct Dispatcher {
    pub registry: OnceLock<Registry>,
    pub invoker: Arc<dyn Invoker>,
    pub activities: Activities,
    pub entropy: Arc<Entropy>,
    pub clock: Arc<dyn Clock>,
    /// How the outside is called; a client that refuses local addresses unless another is set.
    pub http: OnceLock<Arc<dyn HttpClient>>,
    pub tokens: http::Tokens,
    /// Set last: work that stored executions want at the start may be done before.
    pub cells: SetOnce<Cells<Input>>,
    pub endpoint: OnceLock<Arc<str>>,
    /// Takes the events of executions that are logged; must not block.
    pub log: OnceLock<LogSink>,
    /// Takes status changes of executions; must not block.
    pub announce: OnceLock<StatusSink>,
    pub mocks: OnceLock<Mocks>,
    tests: Tests,
    store: Arc<dyn Store>,
    calls: Semaphore,
    /// Jobs under way, and how each learns that nobody waits for it any longer.
    jobs: Mutex<Jobs>,
    next_job: AtomicU64,
    stopping: AtomicBool,
    pub options: Options,
}

impl Dispatcher {
    pub fn new(
        store: Arc<dyn Store>,
        invoker: Arc<dyn Invoker>,
        activities: Activities,
        entropy: Arc<Entropy>,
        clock: Arc<dyn Clock>,
        options: Options,
    ) -> Dispatcher {
        Dispatcher {
            registry: OnceLock::new(),
            invoker,
            activities,
            entropy,
            clock,
            http: OnceLock::new(),
            tokens: http::Tokens::default(),
            cells: SetOnce::new(),
            endpoint: OnceLock::new(),
            log: OnceLock::new(),
            announce: OnceLock::new(),
            mocks: OnceLock::new(),
            tests: Tests::default(),
            store,
            calls: Semaphore::new(options.calls_max),
            jobs: Mutex::default(),
            next_job: AtomicU64::new(0),
            stopping: AtomicBool::new(false),
            options,
        }
    }

    pub fn store(&self) -> &dyn Store {
        &*self.store
    }

    /// Takes work from a cell; never blocks.
    pub fn take(self: &Arc<Self>, work: Work) {
        match work {
            Work::Run(job) => {
                if let Some(answer) = self.mocked(&job) {
                    tokio::spawn(self.clone().answer_mocked(*job, answer));
                    return;
                }
                if let ResourceKind::Activity { .. } = job.task.resource.kind {
                    return self.schedule_activity(*job);
                }
                let Some(under_way) = self.begin(&job) else { return };
                let dispatcher = self.clone();
                tokio::spawn(async move { dispatcher.run(*job, under_way).await });
            }
            // Theirs is the driver of Map Runs.
            Work::MapRun(_) | Work::CancelMapRun(_) => {}
            Work::Cancel { id, task } => {
                self.activities.forget(id, task);
                if let Some((_, cancel)) = self.jobs().remove(&(id, task)) {
                    // The job may have ended by itself meanwhile.
                    let _ = cancel.send(());
                }
            }
            Work::StopChild { id, task, child } => {
                // A job that is under way knows best whether there is a child yet, and stops it itself.
                let told = self.jobs().remove(&(id, task)).is_some_and(|(_, cancel)| cancel.send(()).is_ok());
                if !told {
                    let dispatcher = self.clone();
                    tokio::spawn(async move { nested::stop(&dispatcher, id, task, Some(child)).await });
                }
            }
            Work::Announce(change) => {
                if let Some(announce) = self.announce.get() {
                    announce(*change);
                }
            }
            Work::Log(LogLines { scope, group, stream, lines }) => {
                if let Some(log) = self.log.get() {
                    log(&scope, &group, &stream, lines);
                }
            }
        }
    }

    /// What fails from now on fails because the server stops: the tasks stay open and run again after the start.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
    }

    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    fn jobs(&self) -> std::sync::MutexGuard<'_, Jobs> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `None` if the job is under way: a cell that was loaded anew asks again for what is open.
    ///
    /// Done twice side by side, the second could come when the receiver has forgotten the first.
    fn begin(self: &Arc<Self>, job: &Job) -> Option<UnderWay> {
        let key = (job.id, job.task.task);
        let mut jobs = self.jobs();
        if jobs.contains_key(&key) {
            return None;
        }
        let (tx, cancelled) = oneshot::channel();
        let number = self.next_job.fetch_add(1, Ordering::Relaxed);
        jobs.insert(key, (number, tx));
        Some(UnderWay { key, number, dispatcher: self.clone(), cancel: Some(cancelled), is_cancelled: false })
    }

    /// At once, so that what cancels the task finds it.
    fn schedule_activity(self: &Arc<Self>, job: Job) {
        if job.task.progress == Progress::Scheduled
            && let Err(error) = self.activities.schedule(&job)
        {
            let (task, error, cause) = (job.task.task, Some(error.error.into()), Some(error.cause.into()));
            let dispatcher = self.clone();
            tokio::spawn(async move {
                dispatcher.tell(job.id, Told::TaskScheduleFailed { task, error, cause }).await;
            });
        }
    }

    async fn run(self: Arc<Self>, job: Job, mut under_way: UnderWay) {
        let work = AssertUnwindSafe(self.carry_out(&job, &mut under_way)).catch_unwind();
        if work.await.is_err() {
            // The execution must not wait for ever for our mistake.
            let cause = "the task's call failed within the server; its log tells where".to_owned();
            self.tell_failure(&job, TaskError { error: "States.Runtime".to_owned(), cause }).await;
        }
    }

    async fn carry_out(self: &Arc<Self>, job: &Job, under_way: &mut UnderWay) {
        match &job.task.resource.kind {
            ResourceKind::Function => {
                let told = lambda::run_by_arn(self, job).await;
                self.tell_result(job, told).await;
            }
            ResourceKind::Activity { .. } => {}
            ResourceKind::Integration(integration) => self.run_integration(job, integration, under_way).await,
        }
    }

    async fn run_integration(self: &Arc<Self>, job: &Job, integration: &Integration, under_way: &mut UnderWay) {
        let submitted = matches!(job.task.progress, Progress::Submitted { .. });
        if integration.pattern == IntegrationPattern::WaitForTaskToken && submitted {
            return; // The token alone can end it now.
        }
        if nested::waits_for_child(integration) {
            return nested::run_to_end(self, job, integration.pattern, under_way).await;
        }
        let permit = if waits_for_others(integration) {
            None
        } else {
            let Some(permit) = self.permit(under_way).await else { return };
            Some(permit)
        };
        let answer = self.call_integration(job, integration).await;
        drop(permit);
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

    /// A place for a call, when one is free; `None` if nobody waits for the task any longer.
    async fn permit(&self, under_way: &mut UnderWay) -> Option<SemaphorePermit<'_>> {
        tokio::select! {
            biased;
            () = under_way.cancelled() => None,
            permit = self.calls.acquire() => permit.ok(),
        }
    }

    async fn call_integration(self: &Arc<Self>, job: &Job, integration: &Integration) -> Result<String, TaskError> {
        if !integration.aws_sdk && integration.service == "lambda" && integration.action == "invoke" {
            return lambda::run_invoke(self, job).await;
        }
        if !integration.aws_sdk && integration.service == "http" {
            return http::invoke(self, job).await;
        }
        integration::run(self, job, integration).await
    }

    /// Calls an operation of ours, unless a member that it requires is null: that is told as the service tells it.
    async fn call_checked(
        &self,
        job: &Job,
        (service, shapes): (&str, &str),
        operation: &str,
        input: Value,
    ) -> Result<(Value, Arc<str>), (Fault, Arc<str>)> {
        let shapes = model::shapes(shapes).and_then(|shapes| shapes.operation(operation));
        let absent = shapes.as_ref().map(|shapes| shapes.absent(&input)).unwrap_or_default();
        if !absent.is_empty() {
            return Err((integration::missing(service, &absent), self.entropy.uuid().into()));
        }
        self.call(job, service, operation, input).await
    }

    /// Calls an operation of ours, again if it was unavailable: with an effect id it happens once all the same.
    /// Answers with the request's id too.
    async fn call(
        &self,
        job: &Job,
        service: &str,
        operation: &str,
        input: Value,
    ) -> Result<(Value, Arc<str>), (Fault, Arc<str>)> {
        let request_id: Arc<str> = self.entropy.uuid().into();
        let (scope, principal) = job.identity();
        let mut call = Call::internal(scope, request_id.clone(), principal);
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
                Ok(output) => return Ok((output, request_id)),
                Err(fault) => return Err((fault, request_id)),
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

    async fn tell_failure(&self, job: &Job, TaskError { error, mut cause }: TaskError) {
        // A function may raise megabytes, and each parent quotes its child's cause in its own.
        cause.truncate(cause.floor_char_boundary(self.options.standard_limits.payload_bytes_max));
        let (error, cause) = (Some(error.into()), (!cause.is_empty()).then(|| cause.into()));
        self.tell(job.id, Told::TaskFailed { task: job.task.task, error, cause }).await;
    }

    /// Tells an execution what happened, until it has taken it in or the server stops.
    async fn tell(&self, id: ExecutionId, input: Told) {
        if self.tell_test(id, &input).await {
            return;
        }
        let Some(cell) = self.cells.wait().await.at(usize::from(id.cell)) else { return };
        if self.is_stopping() && matches!(input, Told::TaskFailed { .. }) {
            return;
        }
        loop {
            let (reply, answer) = cell::Reply::channel();
            if cell.send_waiting(Input::Task { id, input: input.clone(), reply: Some(reply) }).await.is_err() {
                return; // Stopping: the task is open in the store and runs again after the start.
            }
            match answer.await {
                Ok(Err(cell::CellError::NotCommitted(_))) | Err(_) if !cell.is_stopped() => {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                _ => return,
            }
        }
    }
}

/// Calls that end when others' work ends take no place: that work may need one. They are bounded where they wait.
fn waits_for_others(integration: &Integration) -> bool {
    let Integration { service, action, .. } = integration;
    service == "lambda" && action == "invoke"
        || service == "sfn" && matches!(action.as_str(), "startSyncExecution" | "getActivityTask")
        || service == "sqs" && action == "receiveMessage"
}

impl Job {
    /// In whose account and region the task's call runs, and as whom: the machine's role, or that of `Credentials`.
    fn identity(&self) -> (Scope, Arc<str>) {
        let role = self.task.credentials_role_arn.as_deref().and_then(integration::role_account);
        match role {
            Some((account, name)) => (
                Scope::new(account, self.scope.region()),
                format!("arn:aws:sts::{account}:assumed-role/{name}/StepFunctions").into(),
            ),
            None => (self.scope.clone(), self.role_arn.clone()),
        }
    }
}

/// Members that are null are absent to AWS's SDKs.
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(members) => members
            .into_iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(name, value)| (name, without_nulls(value)))
            .collect(),
        Value::Array(items) => items.into_iter().map(without_nulls).collect(),
        other => other,
    }
}

/// A job that is being carried out.
struct UnderWay {
    key: (ExecutionId, TaskId),
    number: u64,
    dispatcher: Arc<Dispatcher>,
    /// Resolves when nobody waits for the job any longer, or nobody can say so any more.
    cancel: Option<oneshot::Receiver<()>>,
    is_cancelled: bool,
}

impl UnderWay {
    /// Waits until nobody waits for the job any longer.
    async fn cancelled(&mut self) {
        if self.is_cancelled {
            return;
        }
        if let Some(cancel) = &mut self.cancel {
            let told = cancel.await;
            self.cancel = None;
            self.is_cancelled = told.is_ok();
        }
        if !self.is_cancelled {
            std::future::pending().await
        }
    }

    /// Whether nobody waits for the job any longer.
    fn is_cancelled(&mut self) -> bool {
        self.is_cancelled |= self.cancel.as_mut().is_some_and(|cancel| cancel.try_recv().is_ok());
        self.is_cancelled
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let mut jobs = self.dispatcher.jobs();
        if jobs.get(&self.key).is_some_and(|(number, _)| *number == self.number) {
            jobs.remove(&self.key);
        }
    }
}
