//! History events as bytes: a version byte, then a postcard record.
//!
//! The record is flat: every detail of every type has one of a few optional fields, so that a new event type needs
//! no new format. Fields are only ever appended, with a new version.

use std::borrow::Cow;
use std::sync::Arc;

use base::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Details, EventType, HistoryEvent, RestoreError};

const VERSION: u8 = 1;

/// Which [`Details`] variant a record is. The numbers are stored.
mod shape {
    pub const NONE: u8 = 0;
    pub const EXECUTION_STARTED: u8 = 1;
    pub const STATE_ENTERED: u8 = 2;
    pub const STATE_EXITED: u8 = 3;
    pub const OUTPUT: u8 = 4;
    pub const FAILURE: u8 = 5;
    pub const FUNCTION_SCHEDULED: u8 = 6;
    pub const ACTIVITY_SCHEDULED: u8 = 7;
    pub const ACTIVITY_STARTED: u8 = 8;
    pub const TASK_SCHEDULED: u8 = 9;
    pub const TASK_STARTED: u8 = 10;
    pub const TASK_OUTPUT: u8 = 11;
    pub const TASK_FAILURE: u8 = 12;
    pub const MAP_STARTED: u8 = 13;
    pub const MAP_ITERATION: u8 = 14;
    pub const MAP_RUN: u8 = 15;
    pub const REDRIVEN: u8 = 16;
    pub const EVALUATION_FAILED: u8 = 17;
}

type Text<'a> = Option<Cow<'a, str>>;

#[derive(Serialize, Deserialize, Default)]
struct Record<'a> {
    id: u64,
    previous_event_id: u64,
    timestamp_ms: i64,
    event_type: u8,
    shape: u8,
    /// State or resource.
    #[serde(borrow)]
    name: Text<'a>,
    /// Input, output or parameters.
    #[serde(borrow)]
    data: Text<'a>,
    #[serde(borrow)]
    error: Text<'a>,
    #[serde(borrow)]
    cause: Text<'a>,
    /// Resource type, region, role, alias, version, location: by shape.
    #[serde(borrow)]
    more: Vec<Text<'a>>,
    /// Length, index, count, timeout, heartbeat: by shape.
    numbers: Vec<Option<u64>>,
    #[serde(borrow)]
    variables: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

impl HistoryEvent {
    /// The event as bytes for storage.
    pub fn encode(&self) -> Vec<u8> {
        let mut record = Record {
            id: self.id,
            previous_event_id: self.previous_event_id,
            timestamp_ms: self.timestamp.as_millis(),
            event_type: self.event_type as u8,
            ..Record::default()
        };
        fill(&mut record, &self.details);
        postcard::to_extend(&record, vec![VERSION]).expect("a record of texts and numbers serialises into memory")
    }

    /// The event of bytes that [`HistoryEvent::encode`] made.
    pub fn decode(bytes: &[u8]) -> Result<HistoryEvent, RestoreError> {
        let (version, rest) = bytes.split_first().ok_or(RestoreError::Damaged("empty"))?;
        if *version != VERSION {
            return Err(RestoreError::Version(*version));
        }
        let record: Record<'_> = postcard::from_bytes(rest).map_err(|_| RestoreError::Damaged("history event"))?;
        Ok(HistoryEvent {
            id: record.id,
            previous_event_id: record.previous_event_id,
            timestamp: Timestamp::from_millis(record.timestamp_ms),
            event_type: EventType::from_code(record.event_type).ok_or(RestoreError::Damaged("event type"))?,
            details: details(record)?,
        })
    }
}

fn some(text: &str) -> Text<'_> {
    Some(Cow::Borrowed(text))
}

fn opt(text: &Option<Arc<str>>) -> Text<'_> {
    text.as_deref().map(Cow::Borrowed)
}

fn fill<'a>(record: &mut Record<'a>, details: &'a Details) {
    match details {
        Details::None => record.shape = shape::NONE,
        Details::ExecutionStarted { input, role_arn, state_machine_alias_arn, state_machine_version_arn } => {
            record.shape = shape::EXECUTION_STARTED;
            record.data = some(input);
            record.more = vec![some(role_arn), opt(state_machine_alias_arn), opt(state_machine_version_arn)];
        }
        Details::StateEntered { name, input } => {
            record.shape = shape::STATE_ENTERED;
            record.name = some(name);
            record.data = some(input);
        }
        Details::StateExited { name, output, assigned_variables } => {
            record.shape = shape::STATE_EXITED;
            record.name = some(name);
            record.data = some(output);
            record.variables =
                assigned_variables.iter().map(|(k, v)| (Cow::Borrowed(&**k), Cow::Borrowed(&**v))).collect();
        }
        Details::Output { output } => {
            record.shape = shape::OUTPUT;
            record.data = some(output);
        }
        Details::Failure { error, cause } => {
            record.shape = shape::FAILURE;
            record.error = opt(error);
            record.cause = opt(cause);
        }
        Details::MapStarted { length } => {
            record.shape = shape::MAP_STARTED;
            record.numbers = vec![Some(*length)];
        }
        Details::MapIteration { name, index } => {
            record.shape = shape::MAP_ITERATION;
            record.name = some(name);
            record.numbers = vec![Some(*index)];
        }
        Details::MapRun { map_run_arn, redrive_count } => {
            record.shape = shape::MAP_RUN;
            record.name = some(map_run_arn);
            record.numbers = vec![redrive_count.map(u64::from)];
        }
        Details::Redriven { redrive_count } => {
            record.shape = shape::REDRIVEN;
            record.numbers = vec![Some(u64::from(*redrive_count))];
        }
        Details::EvaluationFailed { state, error, cause, location } => {
            record.shape = shape::EVALUATION_FAILED;
            record.name = some(state);
            record.error = opt(error);
            record.cause = opt(cause);
            record.more = vec![opt(location)];
        }
        _ => fill_task(record, details),
    }
}

/// The details of functions, activities and service integrations.
fn fill_task<'a>(record: &mut Record<'a>, details: &'a Details) {
    match details {
        Details::FunctionScheduled { resource, input, timeout_seconds, credentials_role_arn } => {
            record.shape = shape::FUNCTION_SCHEDULED;
            record.name = some(resource);
            record.data = some(input);
            record.more = vec![opt(credentials_role_arn)];
            record.numbers = vec![*timeout_seconds];
        }
        Details::ActivityScheduled { resource, input, timeout_seconds, heartbeat_seconds } => {
            record.shape = shape::ACTIVITY_SCHEDULED;
            record.name = some(resource);
            record.data = some(input);
            record.numbers = vec![*timeout_seconds, *heartbeat_seconds];
        }
        Details::ActivityStarted { worker_name } => {
            record.shape = shape::ACTIVITY_STARTED;
            record.name = opt(worker_name);
        }
        Details::TaskScheduled {
            resource_type,
            resource,
            region,
            parameters,
            timeout_seconds,
            heartbeat_seconds,
            credentials_role_arn,
        } => {
            record.shape = shape::TASK_SCHEDULED;
            record.name = some(resource);
            record.data = some(parameters);
            record.more = vec![some(resource_type), some(region), opt(credentials_role_arn)];
            record.numbers = vec![*timeout_seconds, *heartbeat_seconds];
        }
        Details::TaskStarted { resource_type, resource } => {
            record.shape = shape::TASK_STARTED;
            record.name = some(resource);
            record.more = vec![some(resource_type)];
        }
        Details::TaskOutput { resource_type, resource, output } => {
            record.shape = shape::TASK_OUTPUT;
            record.name = some(resource);
            record.data = some(output);
            record.more = vec![some(resource_type)];
        }
        Details::TaskFailure { resource_type, resource, error, cause } => {
            record.shape = shape::TASK_FAILURE;
            record.name = some(resource);
            record.error = opt(error);
            record.cause = opt(cause);
            record.more = vec![some(resource_type)];
        }
        _ => unreachable!("every other shape is filled by `fill`"),
    }
}

/// Takes a record's fields apart.
struct Fields<'a>(Record<'a>);

impl Fields<'_> {
    fn name(&mut self) -> Result<Arc<str>, RestoreError> {
        take(&mut self.0.name).ok_or(RestoreError::Damaged("name"))
    }

    fn data(&mut self) -> Result<Arc<str>, RestoreError> {
        take(&mut self.0.data).ok_or(RestoreError::Damaged("data"))
    }

    fn error(&mut self) -> Option<Arc<str>> {
        take(&mut self.0.error)
    }

    fn cause(&mut self) -> Option<Arc<str>> {
        take(&mut self.0.cause)
    }

    fn more(&mut self, i: usize) -> Option<Arc<str>> {
        self.0.more.get_mut(i).and_then(take)
    }

    fn required(&mut self, i: usize) -> Result<Arc<str>, RestoreError> {
        self.more(i).ok_or(RestoreError::Damaged("text"))
    }

    fn number(&self, i: usize) -> Option<u64> {
        self.0.numbers.get(i).copied().flatten()
    }

    fn required_number(&self, i: usize) -> Result<u64, RestoreError> {
        self.number(i).ok_or(RestoreError::Damaged("number"))
    }
}

fn take(text: &mut Text<'_>) -> Option<Arc<str>> {
    text.take().map(Arc::from)
}

fn count(number: u64) -> Result<u32, RestoreError> {
    u32::try_from(number).map_err(|_| RestoreError::Damaged("count"))
}

fn details(record: Record<'_>) -> Result<Details, RestoreError> {
    let mut f = Fields(record);
    Ok(match f.0.shape {
        shape::NONE => Details::None,
        shape::EXECUTION_STARTED => Details::ExecutionStarted {
            input: f.data()?,
            role_arn: f.required(0)?,
            state_machine_alias_arn: f.more(1),
            state_machine_version_arn: f.more(2),
        },
        shape::STATE_ENTERED => Details::StateEntered { name: f.name()?, input: f.data()? },
        shape::STATE_EXITED => Details::StateExited {
            name: f.name()?,
            output: f.data()?,
            assigned_variables: std::mem::take(&mut f.0.variables)
                .into_iter()
                .map(|(name, value)| (Arc::from(name), Arc::from(value)))
                .collect(),
        },
        shape::OUTPUT => Details::Output { output: f.data()? },
        shape::FAILURE => Details::Failure { error: f.error(), cause: f.cause() },
        shape::FUNCTION_SCHEDULED => Details::FunctionScheduled {
            resource: f.name()?,
            input: f.data()?,
            timeout_seconds: f.number(0),
            credentials_role_arn: f.more(0),
        },
        shape::ACTIVITY_SCHEDULED => Details::ActivityScheduled {
            resource: f.name()?,
            input: f.data()?,
            timeout_seconds: f.number(0),
            heartbeat_seconds: f.number(1),
        },
        shape::ACTIVITY_STARTED => Details::ActivityStarted { worker_name: take(&mut f.0.name) },
        shape::TASK_SCHEDULED => Details::TaskScheduled {
            resource_type: f.required(0)?,
            resource: f.name()?,
            region: f.required(1)?,
            parameters: f.data()?,
            timeout_seconds: f.number(0),
            heartbeat_seconds: f.number(1),
            credentials_role_arn: f.more(2),
        },
        shape::TASK_STARTED => Details::TaskStarted { resource_type: f.required(0)?, resource: f.name()? },
        shape::TASK_OUTPUT => {
            Details::TaskOutput { resource_type: f.required(0)?, resource: f.name()?, output: f.data()? }
        }
        shape::TASK_FAILURE => Details::TaskFailure {
            resource_type: f.required(0)?,
            resource: f.name()?,
            error: f.error(),
            cause: f.cause(),
        },
        shape::MAP_STARTED => Details::MapStarted { length: f.required_number(0)? },
        shape::MAP_ITERATION => Details::MapIteration { name: f.name()?, index: f.required_number(0)? },
        shape::MAP_RUN => {
            Details::MapRun { map_run_arn: f.name()?, redrive_count: f.number(0).map(count).transpose()? }
        }
        shape::REDRIVEN => Details::Redriven { redrive_count: count(f.required_number(0)?)? },
        shape::EVALUATION_FAILED => {
            Details::EvaluationFailed { state: f.name()?, error: f.error(), cause: f.cause(), location: f.more(0) }
        }
        _ => return Err(RestoreError::Damaged("shape of details")),
    })
}
