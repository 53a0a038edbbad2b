//! Message move tasks: from a dead-letter queue to where its messages came from, or to another queue.

use std::time::Duration;

use cell::Turn;
use service::Fault;
use store::{Error, Range};

use super::QueueCell;
use super::leave::Leaver;
use super::receive::exists;
use crate::index::Cursor;
use crate::message::Message;
use crate::stored::{TaskRecord, TaskStatus};
use crate::{QueueName, fault, key};

/// Messages that one step moves where the caller named no rate, and how often there is a step then.
const STEP_MESSAGES_MAX: u32 = 500;
const STEP_INTERVAL: Duration = Duration::from_millis(100);
/// Tasks that are remembered for one queue.
pub(crate) const TASKS_KEPT_MAX: usize = 10;

enum Step {
    /// More may follow.
    Moved(u64),
    NothingLeft(u64),
    Failed(u64, &'static str),
}

impl QueueCell {
    pub(super) fn start_task(
        &mut self,
        arn: &str,
        destination: Option<String>,
        per_second_max: Option<u32>,
        turn: &mut Turn<'_>,
    ) -> Result<Result<u64, Fault>, Error> {
        let serial = match self.serial(arn) {
            Ok(serial) => serial,
            Err(_) => return Ok(Err(source_does_not_exist())),
        };
        let now = turn.now();
        let queue = self.queue(serial);
        if queue.task.is_some() {
            return Ok(Err(fault::invalid_parameter(
                "There is already a task running. Only one active task is allowed for a source queue arn at a given \
                 time.",
            )));
        }
        queue.index.settle(now);
        let to_move = queue.index.visible() as u64;
        let number = self.number(turn);
        let old = turn.scan(&Range::prefix(&key::tasks(serial)))?;
        for (key, _) in old.iter().take((old.len() + 1).saturating_sub(TASKS_KEPT_MAX)) {
            turn.delete(key.clone());
        }
        let record = TaskRecord {
            status: TaskStatus::Running,
            destination,
            per_second_max,
            started_ms: now.as_millis(),
            moved: 0,
            to_move,
            failure: None,
        };
        turn.put(key::task(serial, number), record.encode());
        self.queue(serial).task = Some((number, now));
        self.touch(serial);
        Ok(Ok(number))
    }

    /// Ends a running task; answers how many messages it had moved.
    pub(super) fn cancel_task(
        &mut self,
        arn: &str,
        number: u64,
        turn: &mut Turn<'_>,
    ) -> Result<Result<u64, Fault>, Error> {
        let serial = match self.serial(arn) {
            Ok(serial) => serial,
            Err(_) => return Ok(Err(source_does_not_exist())),
        };
        let Some(mut record) = read(serial, number, turn)? else {
            return Ok(Err(fault::resource_not_found("Task does not exist.")));
        };
        if record.status != TaskStatus::Running {
            return Ok(Err(fault::invalid_parameter("Only a task that is running can be cancelled.")));
        }
        record.status = TaskStatus::Cancelled;
        turn.put(key::task(serial, number), record.encode());
        self.queue(serial).task = None;
        self.touch(serial);
        Ok(Ok(record.moved))
    }

    /// Goes on with a queue's task, if it is due.
    pub(super) fn step_task(&mut self, serial: u64, turn: &mut Turn<'_>) -> Result<(), Error> {
        let now = turn.now();
        let Some((number, _)) = self.queue(serial).task.filter(|(_, at)| *at <= now) else {
            return Ok(());
        };
        let Some(mut record) = read(serial, number, turn)? else {
            self.queue(serial).task = None;
            return Ok(());
        };
        let interval = if record.per_second_max.is_some() { Duration::from_secs(1) } else { STEP_INTERVAL };
        let step = self.move_some(serial, number, &record, turn)?;
        let (moved, status, failure) = match step {
            Step::Moved(moved) => (moved, TaskStatus::Running, None),
            Step::NothingLeft(moved) => (moved, TaskStatus::Completed, None),
            Step::Failed(moved, failure) => (moved, TaskStatus::Failed, Some(failure.to_owned())),
        };
        self.queue(serial).task = (status == TaskStatus::Running).then(|| (number, now + interval));
        if moved > 0 || status != TaskStatus::Running {
            record.moved += moved;
            record.status = status;
            record.failure = failure;
            turn.put(key::task(serial, number), record.encode());
        }
        Ok(())
    }

    fn move_some(&mut self, serial: u64, number: u64, record: &TaskRecord, turn: &mut Turn<'_>) -> Result<Step, Error> {
        let budget = record.per_second_max.unwrap_or(STEP_MESSAGES_MAX);
        let mut moved = 0;
        let mut cursor = Cursor::default();
        for _ in 0..budget {
            if self.outbox_room() == 0 {
                break;
            }
            let queue = self.queue(serial);
            let Some(seq) = queue.index.next_ready(&mut cursor) else {
                return Ok(Step::NothingLeft(moved));
            };
            let body = self.body(serial, seq, turn)?;
            if !self.may_move(body.len()) {
                break;
            }
            let message = Message::decode(&body)?;
            let arn = record.destination.as_ref().or(message.dead_letter_source.as_ref());
            let Some(target) = arn.and_then(|arn| QueueName::from_arn(arn)) else {
                return Ok(Step::Failed(moved, "CouldNotDetermineMessageSource"));
            };
            if !exists(&target, turn)? {
                return Ok(Step::Failed(moved, "AWS.SimpleQueueService.NonExistentQueue"));
            }
            let queue = self.queue(serial);
            let entry = *queue.index.get(seq).expect("the index gives what it has");
            let group = queue.index.group_of(&entry);
            queue.index.remove(seq);
            moved += u64::from(self.move_out(
                serial,
                Leaver { seq, entry, group, record: body },
                &target,
                Some(number),
                turn,
            )?);
        }
        Ok(Step::Moved(moved))
    }

    /// A message that a task sent to another cell has arrived, or has come back.
    pub(super) fn moved(&mut self, serial: u64, task: u64, arrived: bool, turn: &mut Turn<'_>) -> Result<(), Error> {
        let Some(mut record) = read(serial, task, turn)? else {
            return Ok(());
        };
        if arrived {
            record.moved += 1;
        } else if record.status != TaskStatus::Cancelled {
            record.status = TaskStatus::Failed;
            record.failure = Some("AWS.SimpleQueueService.NonExistentQueue".to_owned());
            if let Some(queue) = self.queues.get_mut(&serial)
                && queue.task.is_some_and(|(number, _)| number == task)
            {
                queue.task = None;
            }
        }
        turn.put(key::task(serial, task), record.encode());
        Ok(())
    }
}

pub(crate) fn source_does_not_exist() -> Fault {
    fault::resource_not_found("The resource that you specified for the SourceArn parameter doesn't exist.")
}

fn read(serial: u64, number: u64, turn: &Turn<'_>) -> Result<Option<TaskRecord>, Error> {
    turn.get(&key::task(serial, number))?.map(|value| TaskRecord::decode(&value)).transpose()
}
