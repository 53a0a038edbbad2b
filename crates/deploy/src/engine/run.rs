//! The job of one stack's operation.

use std::collections::BTreeMap;
use std::time::Duration;

use store::{Error, Range};
use tracing::{error, info, warn};

use super::admit::pseudo;
use super::environment::Live;
use super::keys::{self, StackKey};
use super::plan::outputs;
use super::prepare::{Prepared, prepare};
use super::stored::{
    OnFailure, Operation, OperationKind, Phase, Record, Stack, StackStatus, StoredOutput, StoredPolicy,
};
use super::{DELETED_KEPT, DELETED_MAX, Deployer, scope_of};
use crate::template::Diagnostics;

/// A store that is busy is asked again after so long.
const STORE_PAUSE: Duration = Duration::from_millis(500);

impl Deployer {
    /// Starts a job for every operation that a stop interrupted.
    pub(super) fn resume(&self) -> Result<(), Error> {
        for (key, _) in self.repository().store.scan(&Range::prefix(&keys::all_running()))? {
            let mut parts = store::KeyReader::new(&key[keys::all_running().len()..]);
            let scope = base::Scope::new(&parts.str()?, &parts.str()?);
            let key = StackKey::new(&scope, &parts.str()?);
            info!(stack = key.uuid, "stack operation goes on");
            self.spawn(key);
        }
        Ok(())
    }

    /// Carries out a stack's operation beside its caller.
    pub(crate) fn spawn(&self, key: StackKey) {
        if self.inner.registry.get().is_none() {
            // The start will find it.
            return;
        }
        let deployer = self.clone();
        tokio::spawn(async move {
            loop {
                match deployer.run(&key).await {
                    Ok(()) => break,
                    Err(Error::Retryable(reason)) => {
                        warn!(stack = key.uuid, reason, "store is busy, stack operation waits");
                        tokio::time::sleep(STORE_PAUSE).await;
                    }
                    Err(error) => {
                        error!(stack = key.uuid, %error, "stack operation stopped; it goes on at the next start");
                        break;
                    }
                }
            }
        });
    }

    /// Carries an operation to its end, phase by phase.
    async fn run(&self, key: &StackKey) -> Result<(), Error> {
        while let Some(stack) = self.repository().stack(key)? {
            let Some(operation) = stack.operation.clone() else { break };
            match operation.phase {
                Phase::Forward => self.forward(key, &stack, &operation).await?,
                Phase::Cleanup | Phase::RollbackCleanup => self.clean_up(key, &operation).await?,
                Phase::Rollback => self.roll_back(key, &operation).await?,
                Phase::Delete => self.delete_all(key, &operation).await?,
            }
        }
        Ok(())
    }

    /// Makes and changes resources in the order of what they need.
    async fn forward(&self, key: &StackKey, stack: &Stack, operation: &Operation) -> Result<(), Error> {
        let prepared = match self.target(key, stack, operation)? {
            Ok(prepared) => prepared,
            Err(found) => return self.failed(key, &found.message()).await,
        };
        let exports = self.export_values(key)?;
        let mut records = self.repository().records(key)?;
        let order = match prepared.order() {
            Ok(order) => order,
            Err(found) => return self.failed(key, &found.message()).await,
        };
        for (index, (resource, needs)) in order.iter().enumerate() {
            // An interrupted call is brought to its outcome first: what it made must be known.
            let interrupted = records.values().any(|r| r.intent.is_some());
            if !interrupted && self.asked_to_stop(key, stack, operation).await? {
                return Ok(());
            }
            let order = u32::try_from(index).unwrap_or(u32::MAX);
            let job = super::step::Job { key, stack, operation, prepared: &prepared, exports: &exports };
            if let Err(failed) = job.step(self, &mut records, resource, needs, order).await? {
                let message =
                    format!("The following resource(s) failed to {}: [{}]. ", failed.verb, resource.logical_id);
                return self.failed(key, &message).await;
            }
        }
        let live = Live::new(&records, &exports);
        match outputs(&prepared, &live) {
            Ok(outputs) => {
                // Evaluated once more for the sake of what they import.
                for (resource, _) in &order {
                    let _ = prepared.evaluator(&live).evaluate(&resource.properties);
                }
                let imports = live.imported.borrow().iter().cloned().collect();
                self.succeed(key, stack, operation, &prepared, outputs, imports).await
            }
            Err(found) => self.failed(key, &found.to_string()).await,
        }
    }

    /// The template of the operation's target.
    fn target(
        &self,
        key: &StackKey,
        stack: &Stack,
        operation: &Operation,
    ) -> Result<Result<Prepared, Diagnostics>, Error> {
        let number = operation.target.source.unwrap_or_default();
        let Some(source) = self.repository().source(key, number)? else {
            return Err(Error::Corrupt(format!("template {number} of stack {} is gone", stack.name)));
        };
        Ok(prepare(&source, &operation.target.parameters, pseudo(stack, &operation.target)))
    }

    fn export_values(&self, key: &StackKey) -> Result<BTreeMap<String, String>, Error> {
        let exports = self.repository().exports(&key.scope)?;
        Ok(exports.into_iter().map(|(name, (value, _))| (name, value)).collect())
    }

    /// A deletion that came in between, or a time that is over.
    async fn asked_to_stop(&self, key: &StackKey, stack: &Stack, operation: &Operation) -> Result<bool, Error> {
        let now = self.repository().stack(key)?;
        if now.and_then(|s| s.operation).is_some_and(|o| o.delete_next) {
            self.write(key, |change| {
                if let Some(operation) = &mut change.stack.operation {
                    operation.kind = OperationKind::Delete;
                    operation.phase = Phase::Delete;
                    operation.delete_next = false;
                }
                change.status(StackStatus::DeleteInProgress, Some("User Initiated"));
            })
            .await?;
            return Ok(true);
        }
        let started = base::Timestamp::from_millis(operation.started_ms);
        let limit = stack.timeout_minutes.filter(|_| operation.kind == OperationKind::Create);
        if limit.is_some_and(|minutes| self.now().since(started) > Duration::from_secs(minutes.saturating_mul(60))) {
            self.failed(key, "Stack creation time exceeded the specified timeout.").await?;
            return Ok(true);
        }
        Ok(false)
    }

    /// The operation failed: what comes next is what its caller chose.
    async fn failed(&self, key: &StackKey, reason: &str) -> Result<(), Error> {
        self.write(key, |change| {
            let Some(operation) = &mut change.stack.operation else { return };
            let create = operation.kind == OperationKind::Create;
            match (operation.on_failure, create) {
                (OnFailure::Nothing, true) => change.finish(StackStatus::CreateFailed, Some(reason)),
                (OnFailure::Nothing, false) => change.finish(StackStatus::UpdateFailed, Some(reason)),
                (OnFailure::Delete, true) => {
                    operation.phase = Phase::Delete;
                    change.status(StackStatus::DeleteInProgress, Some(reason));
                }
                (_, true) => {
                    operation.phase = Phase::Rollback;
                    let reason = format!("{reason}Rollback requested by user.");
                    change.status(StackStatus::RollbackInProgress, Some(&reason));
                }
                (_, false) => {
                    operation.phase = Phase::Rollback;
                    change.status(StackStatus::UpdateRollbackInProgress, Some(reason));
                }
            }
        })
        .await
    }

    /// Everything is made: outputs and exports become visible, and what is left over goes.
    async fn succeed(
        &self,
        key: &StackKey,
        stack: &Stack,
        operation: &Operation,
        prepared: &Prepared,
        outputs: Vec<StoredOutput>,
        imports: Vec<String>,
    ) -> Result<(), Error> {
        if let Some(reason) = self.export_conflict(key, stack, &outputs)? {
            return self.failed(key, &format!("{reason}. ")).await;
        }
        let records = self.repository().records(key)?;
        let active: Vec<String> = match prepared.order() {
            Ok(order) => order.into_iter().map(|(r, _)| r.logical_id.clone()).collect(),
            Err(found) => return self.failed(key, &found.message()).await,
        };
        self.write(key, |change| {
            let mut garbage = false;
            for mut record in records.into_values() {
                let kept = active.contains(&record.logical_id);
                settle(&mut record, kept);
                garbage |= !record.garbage.is_empty() || !kept;
                change.put(change.key.resource(&record.logical_id), &record);
            }
            let previous = change.stack.current.source;
            change.stack.current = operation.target.clone();
            change.stack.outputs = outputs;
            change.stack.imports = imports;
            if let Some(previous) = previous.filter(|p| Some(*p) != operation.target.source) {
                change.batch.delete(change.key.source(previous));
            }
            match (operation.kind, garbage, &mut change.stack.operation) {
                (OperationKind::Update, true, Some(running)) => {
                    running.phase = Phase::Cleanup;
                    change.status(StackStatus::UpdateCompleteCleanupInProgress, None);
                }
                (OperationKind::Update, ..) => {
                    change.status(StackStatus::UpdateCompleteCleanupInProgress, None);
                    change.finish(StackStatus::UpdateComplete, None);
                }
                _ => change.finish(StackStatus::CreateComplete, None),
            }
        })
        .await
    }

    /// An export that another stack has, or that another stack still uses.
    fn export_conflict(
        &self,
        key: &StackKey,
        stack: &Stack,
        outputs: &[StoredOutput],
    ) -> Result<Option<String>, Error> {
        let exports = self.repository().exports(&key.scope)?;
        for name in outputs.iter().filter_map(|o| o.export.as_ref()) {
            if let Some((_, owner)) = exports.get(name).filter(|(_, owner)| owner.uuid != stack.uuid) {
                return Ok(Some(format!("Export with name {name} is already exported by stack {}", owner.name)));
            }
        }
        for old in &stack.outputs {
            let Some(name) = &old.export else { continue };
            let now = outputs.iter().find(|o| o.export.as_ref() == Some(name));
            if now.is_some_and(|n| n.value == old.value) {
                continue;
            }
            let importers = self.repository().importers(&key.scope, name)?;
            if let Some(importer) = importers.iter().find(|i| **i != stack.name) {
                let verb = if now.is_some() { "updated" } else { "deleted" };
                return Ok(Some(format!("Export {name} cannot be {verb} as it is in use by {importer}")));
            }
        }
        Ok(None)
    }

    /// Takes away the parts of a deleted stack, and stacks deleted long ago.
    pub(super) async fn forget(&self, key: &StackKey) -> Result<(), Error> {
        let repository = self.repository();
        self.write(key, |change| {
            change.stack.deleted_ms = Some(change.now.as_millis());
            change.stack.outputs.clear();
            change.stack.imports.clear();
            change.finish(StackStatus::DeleteComplete, None);
            let name = keys::name(&change.key.scope, &change.stack.name);
            change.batch.delete(name);
        })
        .await?;
        let oldest = self.now() - DELETED_KEPT;
        let _guard = self.lock().await;
        let mut deleted = repository.stacks(&key.scope)?;
        deleted.retain(|s| s.status == StackStatus::DeleteComplete);
        deleted.sort_by_key(|s| std::cmp::Reverse(s.deleted_ms));
        let mut batch = store::Batch::new();
        for (rank, stack) in deleted.iter().enumerate() {
            if rank < DELETED_MAX && stack.deleted_ms.is_none_or(|at| at >= oldest.as_millis()) {
                continue;
            }
            let old = StackKey::new(&scope_of(stack), &stack.uuid);
            for prefix in old.all_parts() {
                for (part, _) in repository.store.scan(&Range::prefix(&prefix))? {
                    batch.delete(part);
                }
            }
            batch.delete(old.stack());
        }
        if !batch.is_empty() {
            self.commit(batch).await?;
        }
        Ok(())
    }
}

/// After success: what was replaced, and what the template no longer has, waits for its deletion.
fn settle(record: &mut Record, kept: bool) {
    if let Some(before) = record.touched.take().and_then(|t| t.before) {
        let replaced = record.instance.as_ref().is_none_or(|i| i.physical_id != before.physical_id);
        if replaced && record.update_replace_policy == StoredPolicy::Delete {
            record.garbage.push(before);
        }
    }
    if !kept && let Some(instance) = record.instance.take() {
        // Deleted in the cleanup, or left there by its policy.
        record.garbage.push(instance);
    }
}
