//! The way back, and the way out: rollbacks, clean-ups and deletions.

use std::collections::BTreeSet;

use store::Error;
use tracing::warn;

use super::keys::StackKey;
use super::step::{Attempt, Caller};
use super::stored::{Instance, Operation, OperationKind, Phase, Record, StackStatus, StoredPolicy};
use super::{Change, Deployer, Told, dynamic};
use crate::provider;

impl Deployer {
    /// Undoes a failed operation: a creation's resources go, an update's become what they were.
    pub(super) async fn roll_back(&self, key: &StackKey, operation: &Operation) -> Result<(), Error> {
        if operation.kind == OperationKind::Create {
            return self.roll_back_create(key, operation).await;
        }
        let mut records: Vec<Record> = self.repository().records(key)?.into_values().collect();
        records.retain(|r| r.touched.as_ref().is_some_and(|t| t.token == operation.token));
        records.sort_by_key(order_of);
        let mut failed = Vec::new();
        for mut record in records {
            if !self.revert(key, operation, &mut record).await? {
                failed.push(record.logical_id);
            }
        }
        self.write(key, |change| {
            if !failed.is_empty() {
                let reason = format!("The following resource(s) failed to update: [{}]. ", failed.join(", "));
                return change.finish(StackStatus::UpdateRollbackFailed, Some(&reason));
            }
            if let Some(number) = operation.target.source {
                change.batch.delete(change.key.source(number));
            }
            if let Some(operation) = &mut change.stack.operation {
                operation.phase = Phase::RollbackCleanup;
            }
            change.status(StackStatus::UpdateRollbackCompleteCleanupInProgress, None);
        })
        .await
    }

    /// Brings one resource back to what it was before the operation; false where that failed.
    async fn revert(&self, key: &StackKey, operation: &Operation, record: &mut Record) -> Result<bool, Error> {
        let before = record.touched.as_ref().and_then(|t| t.before.clone());
        let id = record.logical_id.clone();
        let (now, before) = match (record.instance.clone(), before) {
            (Some(now), Some(before)) if now.physical_id == before.physical_id => (now, before),
            (now, before) => {
                // Made by the operation: it goes in the clean-up. What it replaced was never touched.
                let replaced = before.is_some();
                record.garbage.extend(now.filter(|n| Some(&n.physical_id) != before.as_ref().map(|b| &b.physical_id)));
                record.instance = before;
                record.touched = None;
                record.intent = None;
                let status = if replaced { "UPDATE_COMPLETE" } else { record.status.as_str() }.to_owned();
                self.write(key, |change| {
                    if replaced {
                        tell(change, record, &status, None);
                    } else {
                        change.put(change.key.resource(&id), record);
                    }
                })
                .await?;
                return Ok(true);
            }
        };
        let result = match provider::find(&record.resource_type) {
            _ if now.properties == before.properties && !now.half_done => Ok(None),
            None => Ok(None),
            Some(provider) => {
                self.write(key, |change| tell(change, record, "UPDATE_IN_PROGRESS", None)).await?;
                let caller = Caller::of(key, operation);
                self.with_context(&caller, Attempt::on(&id, &before.physical_id), async |ctx| {
                    let wanted = dynamic::resolve(ctx, &before.properties).await?;
                    provider.update(ctx, &before.physical_id, &now.properties, &wanted).await.map(Some)
                })
                .await
            }
        };
        record.intent = None;
        match result {
            Ok(made) => {
                let attributes = made.map_or_else(|| before.attributes.clone(), |m| m.attributes);
                record.instance = Some(Instance { attributes, half_done: false, ..before });
                record.touched = None;
                self.write(key, |change| tell(change, record, "UPDATE_COMPLETE", None)).await?;
                Ok(true)
            }
            Err(failure) => {
                self.write(key, |change| tell(change, record, "UPDATE_FAILED", Some(&failure.message))).await?;
                Ok(false)
            }
        }
    }

    async fn roll_back_create(&self, key: &StackKey, operation: &Operation) -> Result<(), Error> {
        let keep_nothing = operation.retain_except_on_create;
        let retained = |policy| policy == StoredPolicy::Retain && !keep_nothing;
        let failed = self.delete_resources(key, operation, &[], &retained).await?;
        self.write(key, |change| {
            if failed.is_empty() {
                change.finish(StackStatus::RollbackComplete, None);
            } else {
                let reason = format!("The following resource(s) failed to delete: [{}]. ", failed.join(", "));
                change.finish(StackStatus::RollbackFailed, Some(&reason));
            }
        })
        .await
    }

    /// Deletes a stack's resources, then the stack.
    pub(super) async fn delete_all(&self, key: &StackKey, operation: &Operation) -> Result<(), Error> {
        let retained = |policy| policy != StoredPolicy::Delete;
        let failed = self.delete_resources(key, operation, &operation.retain, &retained).await?;
        if failed.is_empty() {
            return self.forget(key).await;
        }
        let reason = format!("The following resource(s) failed to delete: [{}]. ", failed.join(", "));
        self.write(key, |change| change.finish(StackStatus::DeleteFailed, Some(&reason))).await
    }

    /// Deletes all resources, last made first; returns those that could not be.
    async fn delete_resources(
        &self,
        key: &StackKey,
        operation: &Operation,
        retain: &[String],
        retained: &(dyn Fn(StoredPolicy) -> bool + Sync),
    ) -> Result<Vec<String>, Error> {
        let mut records: Vec<Record> = self.repository().records(key)?.into_values().collect();
        records.sort_by_key(|r| std::cmp::Reverse(order_of(r)));
        let mut failed = Vec::new();
        // What a resource that stays behind needs must stay too.
        let mut needed: BTreeSet<String> = BTreeSet::new();
        for mut record in records {
            if record.instance.is_none() && record.garbage.is_empty() {
                self.write(key, |change| drop_record(change, &record.logical_id)).await?;
                continue;
            }
            if needed.contains(&record.logical_id) {
                needed.extend(record.needs.iter().cloned());
                continue;
            }
            if retained(record.deletion_policy) || retain.contains(&record.logical_id) {
                self.skip(key, &mut record).await?;
            } else if !self.delete_one(key, operation, &mut record).await? {
                failed.push(record.logical_id.clone());
                needed.extend(record.needs.iter().cloned());
            }
        }
        failed.sort();
        Ok(failed)
    }

    /// Leaves a resource where it is and forgets it.
    async fn skip(&self, key: &StackKey, record: &mut Record) -> Result<(), Error> {
        self.write(key, |change| {
            tell(change, record, "DELETE_SKIPPED", None);
            drop_record(change, &record.logical_id);
        })
        .await
    }

    /// Deletes what a record stands for; false where that failed.
    async fn delete_one(&self, key: &StackKey, operation: &Operation, record: &mut Record) -> Result<bool, Error> {
        self.write(key, |change| tell(change, record, "DELETE_IN_PROGRESS", None)).await?;
        let mut instances: Vec<Instance> = record.garbage.clone();
        instances.extend(record.instance.clone());
        for instance in instances.into_iter().rev() {
            if let Err(message) = self.delete_instance(key, operation, &record.logical_id, &instance).await {
                self.write(key, |change| tell(change, record, "DELETE_FAILED", Some(&message))).await?;
                return Ok(false);
            }
        }
        self.write(key, |change| {
            tell(change, record, "DELETE_COMPLETE", None);
            // The record of a deleted resource is its last event.
            drop_record(change, &record.logical_id);
            if let Some(intent) = &record.intent {
                change.batch.delete(change.key.effect(intent.effect));
            }
        })
        .await?;
        Ok(true)
    }

    pub(super) async fn delete_instance(
        &self,
        key: &StackKey,
        operation: &Operation,
        logical_id: &str,
        instance: &Instance,
    ) -> Result<(), String> {
        let Some(provider) = provider::find(&instance.resource_type) else {
            return Err(format!("the resource type {} is not supported", instance.resource_type));
        };
        let caller = Caller::of(key, operation);
        let result = self
            .with_context(&caller, Attempt::on(logical_id, &instance.physical_id), async |ctx| {
                provider.delete(ctx, &instance.physical_id, &instance.properties).await
            })
            .await;
        result.map_err(|failure| failure.message)
    }

    /// Deletes what an update left over. What cannot be deleted is told of and left, as AWS does.
    pub(super) async fn clean_up(&self, key: &StackKey, operation: &Operation) -> Result<(), Error> {
        let rolled_back = operation.phase == Phase::RollbackCleanup;
        let mut left: Vec<(Record, Instance)> = Vec::new();
        for record in self.repository().records(key)?.into_values() {
            left.extend(record.garbage.iter().map(|g| (record.clone(), g.clone())));
            if record.instance.is_none() && record.garbage.is_empty() {
                self.write(key, |change| drop_record(change, &record.logical_id)).await?;
            }
        }
        left.sort_by_key(|(_, garbage)| std::cmp::Reverse(garbage.order));
        for (record, garbage) in left {
            // A resource without a successor obeys its own policy.
            let stays = record.instance.is_none()
                && match record.deletion_policy {
                    StoredPolicy::Delete => false,
                    StoredPolicy::Retain => !(rolled_back && operation.retain_except_on_create),
                    StoredPolicy::RetainExceptOnCreate => !rolled_back,
                };
            self.remove_garbage(key, operation, &record.logical_id, &garbage, stays).await?;
        }
        self.write(key, |change| {
            let status = if rolled_back { StackStatus::UpdateRollbackComplete } else { StackStatus::UpdateComplete };
            change.finish(status, None);
        })
        .await
    }

    async fn remove_garbage(
        &self,
        key: &StackKey,
        operation: &Operation,
        logical_id: &str,
        garbage: &Instance,
        stays: bool,
    ) -> Result<(), Error> {
        let event = |change: &mut Change<'_>, status: &str, reason: Option<&str>| {
            change.event(Told {
                logical_id,
                physical_id: &garbage.physical_id,
                resource_type: &garbage.resource_type,
                status,
                reason,
                properties: None,
            });
        };
        let outcome = if stays {
            ("DELETE_SKIPPED", None)
        } else {
            self.write(key, |change| event(change, "DELETE_IN_PROGRESS", None)).await?;
            match self.delete_instance(key, operation, logical_id, garbage).await {
                Ok(()) => ("DELETE_COMPLETE", None),
                Err(message) => {
                    warn!(stack = key.uuid, resource = logical_id, reason = message, "clean-up left a resource behind");
                    ("DELETE_FAILED", Some(message))
                }
            }
        };
        let Some(mut record) = self.repository().record(key, logical_id)? else { return Ok(()) };
        record.garbage.retain(|g| g != garbage);
        self.write(key, |change| {
            event(change, outcome.0, outcome.1.as_deref());
            if record.instance.is_none() && record.garbage.is_empty() {
                drop_record(change, logical_id);
            } else {
                change.put(change.key.resource(logical_id), &record);
            }
        })
        .await
    }
}

fn drop_record(change: &mut Change<'_>, logical_id: &str) {
    let key = change.key.resource(logical_id);
    change.batch.delete(key);
}

fn order_of(record: &Record) -> u32 {
    record.instance.as_ref().or(record.garbage.last()).map_or(0, |i| i.order)
}

/// Writes a record together with its event.
fn tell(change: &mut Change<'_>, record: &mut Record, status: &str, reason: Option<&str>) {
    record.status = status.to_owned();
    record.reason = reason.map(str::to_owned);
    record.changed_ms = change.now.as_millis();
    change.event(Told {
        logical_id: &record.logical_id,
        physical_id: record.instance.as_ref().map_or("", |i| &i.physical_id),
        resource_type: &record.resource_type,
        status,
        reason,
        properties: None,
    });
    change.put(change.key.resource(&record.logical_id), record);
}
