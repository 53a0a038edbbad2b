//! Activities: tasks wait here for workers that poll.
//!
//! Nothing here is stored: an open task is part of its execution, which schedules it again after a restart.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cell::Cells;
use interp::TaskId;
use service::Fault;
use tokio::sync::Notify;

use crate::catalog::Catalog;
use crate::execution::{Input, Job};
use crate::keys::ExecutionId;
use crate::task::TaskError;

#[derive(Clone)]
pub(crate) struct Activities {
    catalog: Catalog,
    queues: Arc<Mutex<BTreeMap<String, Arc<Queue>>>>,
    pollers_max: usize,
}

#[derive(Default)]
struct Queue {
    waiting: Mutex<Waiting>,
    arrived: Notify,
}

#[derive(Default)]
struct Waiting {
    /// Bounded by the number of running executions.
    tasks: VecDeque<ActivityTask>,
    pollers: usize,
}

struct ActivityTask {
    id: ExecutionId,
    task: TaskId,
    token: Arc<str>,
    input: Arc<str>,
}

/// What a worker gets.
pub(crate) struct Assignment {
    pub token: Arc<str>,
    pub input: Arc<str>,
}

impl Activities {
    pub fn new(catalog: Catalog, pollers_max: usize) -> Activities {
        Activities { catalog, queues: Arc::default(), pollers_max }
    }

    /// Puts a task where workers find it.
    pub fn schedule(&self, job: &Job) -> Result<(), TaskError> {
        let arn = &job.task.resource.arn;
        let (Some(_), Some(token)) = (self.catalog.activity(arn), job.task.token.clone()) else {
            let cause = format!("The activity {arn} does not exist.");
            return Err(TaskError { error: "ActivityDoesNotExist".to_owned(), cause });
        };
        let task = ActivityTask { id: job.id, task: job.task.task, token, input: job.task.parameters.clone() };
        let queue = self.queue(arn);
        lock(&queue.waiting).tasks.push_back(task);
        queue.arrived.notify_one();
        Ok(())
    }

    /// Waits for a task of an activity; `None` when none came in time.
    pub async fn poll(
        &self,
        arn: &str,
        worker: Option<String>,
        wait: Duration,
        cells: &Cells<Input>,
    ) -> Result<Option<Assignment>, Fault> {
        let queue = self.queue(arn);
        let _place = Place::take(&queue, self.pollers_max)?;
        let deadline = tokio::time::Instant::now() + wait;
        loop {
            let next = lock(&queue.waiting).tasks.pop_front();
            let Some(next) = next else {
                if tokio::time::timeout_at(deadline, queue.arrived.notified()).await.is_err() {
                    return Ok(None);
                }
                continue;
            };
            let started =
                interp::Input::TaskStarted { task: next.task, worker_name: worker.as_deref().map(Into::into) };
            let cell = cells.at(usize::from(next.id.cell)).ok_or_else(|| Fault::internal("unknown cell"))?;
            let told = cell.call(|reply| Input::Task { id: next.id, input: started, reply: Some(reply) }).await;
            // `false`: the task timed out or its execution ended while it waited here.
            if told.map_err(crate::fault::from_cell)? {
                return Ok(Some(Assignment { token: next.token, input: next.input }));
            }
        }
    }

    fn queue(&self, arn: &str) -> Arc<Queue> {
        lock(&self.queues).entry(arn.to_owned()).or_default().clone()
    }
}

/// One poller's place at an activity.
struct Place(Arc<Queue>);

impl Place {
    fn take(queue: &Arc<Queue>, pollers_max: usize) -> Result<Place, Fault> {
        let mut waiting = lock(&queue.waiting);
        if waiting.pollers >= pollers_max {
            let message = "The maximum number of workers concurrently polling for activity tasks has been reached.";
            return Err(Fault::client("ActivityWorkerLimitExceeded", message));
        }
        waiting.pollers += 1;
        Ok(Place(queue.clone()))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        lock(&self.0.waiting).pollers -= 1;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
