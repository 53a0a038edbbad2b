//! Activities: tasks wait here for workers that poll.
//!
//! Nothing here is stored: an open task is part of its execution, which schedules it again after a restart.

use std::collections::{BTreeMap, HashMap};
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
    waiting: Arc<Mutex<Waiting>>,
    pollers_max: usize,
}

/// Bounded by the tasks that running executions have open.
#[derive(Default)]
struct Waiting {
    /// By the activity's ARN; there while it has a task or a poller.
    queues: BTreeMap<String, Queue>,
    /// Where each task waits: its activity and its number there.
    places: HashMap<(ExecutionId, TaskId), (String, u64)>,
    next_number: u64,
}

#[derive(Default)]
struct Queue {
    tasks: BTreeMap<u64, ActivityTask>,
    pollers: usize,
    arrived: Arc<Notify>,
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

impl Waiting {
    fn put(&mut self, arn: &str, number: u64, task: ActivityTask) {
        let key = (task.id, task.task);
        if self.places.contains_key(&key) {
            return;
        }
        self.places.insert(key, (arn.to_owned(), number));
        let queue = self.queues.entry(arn.to_owned()).or_default();
        queue.tasks.insert(number, task);
        queue.arrived.notify_one();
    }

    fn take(&mut self, arn: &str) -> Option<(u64, ActivityTask)> {
        let (number, task) = self.queues.get_mut(arn)?.tasks.pop_first()?;
        self.places.remove(&(task.id, task.task));
        Some((number, task))
    }

    fn tidy(&mut self, arn: &str) {
        if self.queues.get(arn).is_some_and(|q| q.pollers == 0 && q.tasks.is_empty()) {
            self.queues.remove(arn);
        }
    }
}

impl Activities {
    pub fn new(catalog: Catalog, pollers_max: usize) -> Activities {
        Activities { catalog, waiting: Arc::default(), pollers_max }
    }

    /// Puts a task where workers find it, unless it is there.
    pub fn schedule(&self, job: &Job) -> Result<(), TaskError> {
        let arn = &job.task.resource.arn;
        let (Some(_), Some(token)) = (self.catalog.activity(arn), job.task.token.clone()) else {
            let cause = format!("The activity {arn} does not exist.");
            return Err(TaskError { error: "ActivityDoesNotExist".to_owned(), cause });
        };
        let task = ActivityTask { id: job.id, task: job.task.task, token, input: job.task.parameters.clone() };
        let mut waiting = self.lock();
        waiting.next_number += 1;
        let number = waiting.next_number;
        waiting.put(arn, number, task);
        Ok(())
    }

    /// Nobody waits for the task any longer.
    pub fn forget(&self, id: ExecutionId, task: TaskId) {
        let mut waiting = self.lock();
        let Some((arn, number)) = waiting.places.remove(&(id, task)) else { return };
        if let Some(queue) = waiting.queues.get_mut(&arn) {
            queue.tasks.remove(&number);
        }
        waiting.tidy(&arn);
    }

    /// Waits for a task of an activity; `None` when none came in time.
    pub async fn poll(
        &self,
        arn: &str,
        worker: Option<String>,
        wait: Duration,
        cells: &Cells<Input>,
    ) -> Result<Option<Assignment>, Fault> {
        let place = Place::take(self, arn)?;
        let deadline = tokio::time::Instant::now() + wait;
        loop {
            let next = self.lock().take(arn);
            let Some((number, next)) = next else {
                if tokio::time::timeout_at(deadline, place.arrived.notified()).await.is_err() {
                    return Ok(None);
                }
                continue;
            };
            let started =
                interp::Input::TaskStarted { task: next.task, worker_name: worker.as_deref().map(Into::into) };
            let cell = cells.at(usize::from(next.id.cell)).ok_or_else(|| Fault::internal("unknown cell"))?;
            match cell.call(|reply| Input::Task { id: next.id, input: started, reply: Some(reply) }).await {
                Ok(true) => return Ok(Some(Assignment { token: next.token, input: next.input })),
                // The task timed out or its execution ended while it waited here.
                Ok(false) => {}
                Err(error) => {
                    // Nothing was done: another poller is to get it.
                    self.lock().put(arn, number, next);
                    return Err(crate::fault::from_cell(error));
                }
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One poller's place at an activity.
struct Place<'a> {
    activities: &'a Activities,
    arn: &'a str,
    arrived: Arc<Notify>,
}

impl<'a> Place<'a> {
    fn take(activities: &'a Activities, arn: &'a str) -> Result<Place<'a>, Fault> {
        let mut waiting = activities.lock();
        let queue = waiting.queues.entry(arn.to_owned()).or_default();
        if queue.pollers >= activities.pollers_max {
            let message = "The maximum number of workers concurrently polling for activity tasks has been reached.";
            return Err(Fault::client("ActivityWorkerLimitExceeded", message));
        }
        queue.pollers += 1;
        Ok(Place { activities, arn, arrived: queue.arrived.clone() })
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut waiting = self.activities.lock();
        if let Some(queue) = waiting.queues.get_mut(self.arn) {
            queue.pollers -= 1;
        }
        waiting.tidy(self.arn);
    }
}
