use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use base::Timestamp;
use cell::Turn;
use service::Fault;
use store::Error;

use super::{Queue, QueueCell};
use crate::index::Index;
use crate::input::{Alteration, NewQueue};
use crate::settings::Settings;
use crate::stored::{QueueRecord, encode_number};
use crate::{QueueName, fault, key, policy};

const PURGE_INTERVAL: Duration = Duration::from_secs(60);
pub(crate) const TAGS_MAX: usize = 50;

impl QueueCell {
    /// Makes a queue; one that is there with the same attributes is as good.
    pub(super) fn create(
        &mut self,
        name: QueueName,
        settings: Settings,
        new: NewQueue,
        turn: &mut Turn<'_>,
    ) -> Result<Result<(), Fault>, Error> {
        let arn: Arc<str> = name.arn().into();
        if let Some(serial) = self.serials.get(&arn) {
            let difference = self.queues[serial].settings.first_difference(&new.attributes);
            return Ok(difference.and_then(|name| match name {
                Some(name) => Err(fault::queue_name_exists(&name)),
                None => Ok(()),
            }));
        }
        let now = turn.now();
        let number = self.number(turn);
        let serial = key::serial(self.cell, number);
        let record = QueueRecord {
            serial,
            attributes: settings.attributes(),
            tags: new.tags,
            created_ms: now.as_millis(),
            modified_ms: now.as_millis(),
            purged_ms: None,
            purged_below: 0,
        };
        turn.put(key::queue(&name), record.encode());
        let mut index = Index::new(settings.fifo.is_some());
        index.settle(now);
        let queue = Queue {
            name,
            arn: arn.clone(),
            settings,
            record,
            index,
            known: HashMap::new(),
            known_order: VecDeque::new(),
            attempts: VecDeque::new(),
            task: None,
            retry_at: None,
            timer: None,
        };
        self.serials.insert(arn, serial);
        self.queues.insert(serial, queue);
        Ok(Ok(()))
    }

    /// Changes attributes, tags or permissions.
    pub(super) fn alter(
        &mut self,
        arn: &str,
        alteration: Alteration,
        turn: &mut Turn<'_>,
    ) -> Result<Result<(), Fault>, Error> {
        let serial = match self.serial(arn) {
            Ok(serial) => serial,
            Err(fault) => return Ok(Err(fault)),
        };
        let now = turn.now();
        let queue = self.queue(serial);
        queue.index.settle(now);
        if let Err(fault) = queue.change(alteration, now) {
            return Ok(Err(fault));
        }
        turn.put(key::queue(&queue.name), queue.record.encode());
        self.touch(serial);
        Ok(Ok(()))
    }

    pub(super) fn delete_queue(&mut self, arn: &str, turn: &mut Turn<'_>) -> Result<(), Fault> {
        let serial = self.serial(arn)?;
        self.serials.remove(arn);
        let Some(queue) = self.queues.remove(&serial) else {
            return Ok(());
        };
        if let Some(at) = queue.timer {
            self.timers.remove(&(at, serial));
        }
        self.message_count -= queue.index.len();
        turn.delete(key::queue(&queue.name));
        turn.put(key::garbage(serial), encode_number(u64::MAX));
        self.garbage.insert(serial);
        while let Some(waiter) = self.waiters.take_first(serial) {
            turn.reply(waiter.reply, Err(fault::queue_does_not_exist()));
        }
        Ok(())
    }

    /// Drops all messages at once; their keys follow.
    pub(super) fn purge(&mut self, arn: &str, turn: &mut Turn<'_>) -> Result<Result<(), Fault>, Error> {
        let serial = match self.serial(arn) {
            Ok(serial) => serial,
            Err(fault) => return Ok(Err(fault)),
        };
        let now = turn.now();
        let queue = self.queue(serial);
        let last = queue.record.purged_ms.map(Timestamp::from_millis);
        if last.is_some_and(|last| now < last + PURGE_INTERVAL) {
            return Ok(Err(fault::purge_in_progress(queue.name.name())));
        }
        let purged = queue.index.len();
        let below = self.number(turn);
        let queue = self.queue(serial);
        queue.index = Index::new(queue.settings.fifo.is_some());
        queue.index.settle(now);
        queue.record.purged_ms = Some(now.as_millis());
        queue.record.purged_below = below;
        turn.put(key::queue(&queue.name), queue.record.encode());
        turn.put(key::garbage(serial), encode_number(below));
        self.garbage.insert(serial);
        self.message_count -= purged;
        self.touch(serial);
        Ok(Ok(()))
    }
}

impl Queue {
    fn change(&mut self, alteration: Alteration, now: Timestamp) -> Result<(), Fault> {
        let delay = self.settings.delay_seconds;
        match alteration {
            Alteration::Attributes(attributes) => self.settings.change(&attributes)?,
            Alteration::Tag(tags) => {
                let mut all = self.record.tags.clone();
                all.extend(tags);
                check_tag_count(all.len())?;
                self.record.tags = all;
                return Ok(());
            }
            Alteration::Untag(keys) => {
                self.record.tags.retain(|key, _| !keys.contains(key));
                return Ok(());
            }
            Alteration::AddPermission { label, accounts, actions } => {
                let policy = self.settings.policy.as_deref();
                self.settings.policy = Some(policy::add(policy, &self.arn, &label, &accounts, &actions)?);
            }
            Alteration::RemovePermission { label } => {
                self.settings.policy = policy::remove(self.settings.policy.as_deref(), &label)?;
            }
        }
        self.record.attributes = self.settings.attributes();
        self.record.modified_ms = now.as_millis();
        if self.settings.fifo.is_some() && self.settings.delay_seconds != delay {
            self.index.delay_all(Duration::from_secs(u64::from(self.settings.delay_seconds)));
        }
        Ok(())
    }
}

/// AWS's bound on the tags of one queue.
pub(crate) fn check_tag_count(count: usize) -> Result<(), Fault> {
    if count > TAGS_MAX {
        return Err(fault::invalid_parameter(format!(
            "Too many tags added for queue: at most {TAGS_MAX} are allowed."
        )));
    }
    Ok(())
}
