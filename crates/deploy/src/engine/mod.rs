//! Stacks: their operations, carried out step by step and resumed after a crash.
//!
//! **Invariants**
//! - One job carries out a stack's operation; nobody else changes its resources meanwhile.
//! - Before a call that makes or changes a resource its intent is durable, with the physical name that it will have;
//!   after it the outcome. A restart calls again what has an intent and no outcome.
//! - Every record of a stack is written together with the event that tells of it.
//! - Stacks are changed under one lock; the lock is never held across a call of a service.
//!
//! Does not use cells: operations are few, and a step awaits calls of other services, which a cell's turn must not.

mod admit;
mod capabilities;
mod change_set;
mod dynamic;
mod environment;
pub(crate) mod keys;
mod names;
mod plan;
mod prepare;
mod repository;
mod rollback;
mod run;
mod step;
pub(crate) mod stored;
#[cfg(test)]
mod tests;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use base::{Clock, Entropy, Scope, Timestamp};
use serde::Serialize;
use service::Registry;
use store::{Batch, Store};
use tokio::sync::{Mutex, watch};

pub(crate) use admit::{CreateRequest, DeleteRequest, Template, UpdateRequest, broken, faulty, pseudo, refused};
pub(crate) use capabilities::required as required_capabilities;
pub(crate) use change_set::{ChangeSetRequest, Found};
use keys::StackKey;
pub(crate) use plan::Plan;
pub(crate) use prepare::{Prepared, prepare, read};
pub(crate) use repository::Repository;
pub use stored::StackStatus;
use stored::{Stack, StoredEvent, encode};

/// A stack keeps so many events; older ones go.
const EVENTS_MAX: u64 = 20_000;
/// A scope has so many live stacks, as in AWS.
pub(crate) const STACKS_MAX: usize = 2000;
/// Deleted stacks can be described by their id for so long, and so many of them.
const DELETED_KEPT: Duration = Duration::from_secs(90 * 24 * 3600);
const DELETED_MAX: usize = 500;

/// How the deployer behaves.
#[derive(Clone, Debug)]
pub struct Options {
    /// CreateStack, UpdateStack, DeleteStack and ExecuteChangeSet answer when the operation has ended, or after this
    /// long while it goes on: clients poll every 5 to 30 seconds, and most operations take less than one.
    pub linger: Duration,
    /// A resource's create, update or delete may take so long.
    pub resource_timeout: Duration,
}

impl Default for Options {
    fn default() -> Options {
        Options { linger: Duration::from_secs(5), resource_timeout: Duration::from_secs(15 * 60) }
    }
}

/// Stacks over a store and a registry of services. Cheap to clone.
#[derive(Clone)]
pub struct Deployer {
    inner: Arc<Inner>,
}

struct Inner {
    options: Options,
    repository: Repository,
    registry: OnceLock<Registry>,
    clock: Arc<dyn Clock>,
    entropy: Arc<Entropy>,
    /// Held while a stack's record is read, changed and committed.
    lock: Mutex<()>,
    /// Counts commits, so that whoever waits for a stack looks again.
    changes: watch::Sender<u64>,
}

/// A goal with nothing but capabilities.
pub(crate) fn goal_of(capabilities: &[String]) -> stored::Goal {
    stored::Goal { capabilities: capabilities.to_vec(), ..stored::Goal::default() }
}

/// What happens to a resource or a stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StackEvent {
    pub stack_id: String,
    pub stack_name: String,
    pub event_id: String,
    pub logical_resource_id: String,
    pub physical_resource_id: String,
    pub resource_type: String,
    pub timestamp: Timestamp,
    pub resource_status: String,
    pub resource_status_reason: Option<String>,
}

impl StackEvent {
    pub(crate) fn of(stack: &Stack, event: StoredEvent) -> StackEvent {
        StackEvent {
            stack_id: stack.id(),
            stack_name: stack.name.clone(),
            event_id: event.event_id,
            logical_resource_id: event.logical_id,
            physical_resource_id: event.physical_id,
            resource_type: event.resource_type,
            timestamp: Timestamp::from_millis(event.timestamp_ms),
            resource_status: event.status,
            resource_status_reason: event.reason,
        }
    }
}

impl Deployer {
    /// A deployer that can describe stacks; it carries out operations once it is [started](Deployer::start).
    pub fn new(options: Options, store: Arc<dyn Store>, clock: Arc<dyn Clock>, entropy: Arc<Entropy>) -> Deployer {
        let inner = Inner {
            options,
            repository: Repository { store },
            registry: OnceLock::new(),
            clock,
            entropy,
            lock: Mutex::new(()),
            changes: watch::Sender::new(0),
        };
        Deployer { inner: Arc::new(inner) }
    }

    /// Gives the deployer the services that its resources live in, and goes on with what a stop interrupted.
    ///
    /// Call it once, when every service is registered and answers. A second call changes nothing.
    pub fn start(&self, registry: Registry) -> Result<(), store::Error> {
        if self.inner.registry.set(registry).is_ok() {
            self.resume()?;
        }
        Ok(())
    }

    pub(crate) fn repository(&self) -> &Repository {
        &self.inner.repository
    }

    pub(crate) fn options(&self) -> &Options {
        &self.inner.options
    }

    pub(crate) fn entropy(&self) -> &Entropy {
        &self.inner.entropy
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.inner.clock.now()
    }

    /// The services; none before the start.
    pub(crate) fn registry(&self) -> Registry {
        self.inner.registry.get().cloned().unwrap_or_default()
    }

    /// Holds the lock under which stacks change.
    pub(crate) async fn lock(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.inner.lock.lock().await
    }

    /// Commits, then wakes whoever waits for a change. The caller holds the lock.
    pub(crate) async fn commit(&self, batch: Batch) -> Result<(), store::Error> {
        self.inner.repository.store.commit(batch).await?;
        self.inner.changes.send_modify(|n| *n += 1);
        Ok(())
    }

    pub(crate) fn watch(&self) -> watch::Receiver<u64> {
        self.inner.changes.subscribe()
    }

    /// Reads a stack, changes it, and commits it with what else `change` puts into the batch.
    pub(crate) async fn write<T>(
        &self,
        key: &StackKey,
        change: impl FnOnce(&mut Change<'_>) -> T,
    ) -> Result<T, store::Error> {
        let _guard = self.lock().await;
        let Some(mut stack) = self.repository().stack(key)? else {
            return Err(store::Error::Corrupt(format!("stack {} is gone while it is worked on", key.uuid)));
        };
        let mut change_of = Change {
            key: key.clone(),
            stack: &mut stack,
            batch: Batch::new(),
            now: self.now(),
            entropy: &self.inner.entropy,
        };
        let result = change(&mut change_of);
        let mut batch = change_of.batch;
        batch.put(key.stack(), encode(&stack));
        self.commit(batch).await?;
        Ok(result)
    }

    /// Waits until the stack has no operation, or `limit` is over.
    pub(crate) async fn linger(&self, key: &StackKey, limit: Duration) -> Result<(), store::Error> {
        let mut changes = self.watch();
        let wait = async {
            loop {
                changes.borrow_and_update();
                match self.repository().stack(key)? {
                    Some(stack) if stack.operation.is_some() => {}
                    _ => return Ok(()),
                }
                if changes.changed().await.is_err() {
                    return Ok(());
                }
            }
        };
        tokio::time::timeout(limit, wait).await.unwrap_or(Ok(()))
    }
}

/// One commit of one stack.
pub(crate) struct Change<'a> {
    pub key: StackKey,
    pub stack: &'a mut Stack,
    pub batch: Batch,
    pub now: Timestamp,
    pub entropy: &'a Entropy,
}

/// What an event tells, besides whose it is.
#[derive(Default)]
pub(crate) struct Told<'a> {
    pub logical_id: &'a str,
    pub physical_id: &'a str,
    pub resource_type: &'a str,
    pub status: &'a str,
    pub reason: Option<&'a str>,
    pub properties: Option<String>,
}

impl Change<'_> {
    /// Adds an event to the stack's history.
    pub fn event(&mut self, told: Told<'_>) {
        let number = self.stack.event_count;
        self.stack.event_count += 1;
        let event = StoredEvent {
            event_id: match told.resource_type {
                "AWS::CloudFormation::Stack" => self.entropy.uuid(),
                _ => format!("{}-{}-{}", told.logical_id, told.status, self.entropy.uuid()),
            },
            logical_id: told.logical_id.to_owned(),
            physical_id: told.physical_id.to_owned(),
            resource_type: told.resource_type.to_owned(),
            timestamp_ms: self.now.as_millis(),
            status: told.status.to_owned(),
            reason: told.reason.map(str::to_owned),
            properties: told.properties,
            token: self.stack.operation.as_ref().map(|o| o.token.clone()),
        };
        self.batch.put(self.key.event(number), encode(&event));
        if number >= EVENTS_MAX {
            self.batch.delete(self.key.event(number - EVENTS_MAX));
        }
    }

    /// Sets the stack's status and tells of it.
    pub fn status(&mut self, status: StackStatus, reason: Option<&str>) {
        self.stack.status = status;
        self.stack.reason = reason.map(str::to_owned);
        let (name, id) = (self.stack.name.clone(), self.stack.id());
        self.event(Told {
            logical_id: &name,
            physical_id: &id,
            resource_type: "AWS::CloudFormation::Stack",
            status: status.name(),
            reason,
            properties: None,
        });
    }

    /// The operation is over.
    pub fn finish(&mut self, status: StackStatus, reason: Option<&str>) {
        self.status(status, reason);
        self.stack.operation = None;
        let running = self.key.running();
        self.batch.delete(running);
    }

    pub fn put<T: Serialize>(&mut self, key: Vec<u8>, value: &T) {
        self.batch.put(key, encode(value));
    }
}

/// The scope that a stored stack belongs to.
pub(crate) fn scope_of(stack: &Stack) -> Scope {
    Scope::new(&stack.account, &stack.region)
}
