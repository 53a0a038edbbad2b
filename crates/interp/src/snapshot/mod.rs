//! An execution's position as bytes: a version byte, then a postcard record.
//!
//! A payload is stored once, as text, however many frames hold it; the execution's own input not at all, it is
//! number 0. What follows from the state machine and the payloads (a Map's items, scopes) is computed again.
//!
//! Records are positional: fields and variants are only ever appended, with a new version. Version 2 appends a second
//! record: each scope's variables.

mod restore;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use asl::StateMachine;
use base::Timestamp;
use serde::{Deserialize, Serialize};

use crate::frame::{Activity, Frame, FrameId, OpenItems, OpenMapRun, OpenTask, Timer};
use crate::{Execution, ExecutionStatus, Progress, TimerId};

const VERSION: u8 = 2;
/// Still read: it has no variables.
const VERSION_WITHOUT_VARIABLES: u8 = 1;

/// No execution counts that far; what is read from disk must not make a step overflow.
const COUNTER_MAX: u64 = 1 << 60;

/// Why stored bytes are not a position in this state machine, or not an event.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    #[error("unknown format version {0}")]
    Version(u8),
    #[error("damaged record: {0}")]
    Damaged(&'static str),
    #[error("the position does not fit the state machine: {0}")]
    Mismatch(&'static str),
}

#[derive(Serialize, Deserialize)]
struct Record<'a> {
    status: u8,
    started: bool,
    last_event_id: u64,
    next_timer: u64,
    next_frame: u32,
    execution_timer: Option<TimerRecord>,
    /// Payloads 1, 2, 3, ...
    #[serde(borrow)]
    payloads: Vec<Cow<'a, str>>,
    #[serde(borrow)]
    frames: Vec<FrameRecord<'a>>,
    ready: Vec<u32>,
}

#[derive(Serialize, Deserialize)]
struct FrameRecord<'a> {
    id: u32,
    parent: Option<u32>,
    index: u64,
    last_event_id: u64,
    #[serde(borrow)]
    state: Cow<'a, str>,
    input: u32,
    entered_event_id: u64,
    entered_time_ms: i64,
    retry_count: u32,
    retrier_attempts: Vec<u64>,
    #[serde(borrow)]
    activity: ActivityRecord<'a>,
}

#[derive(Serialize, Deserialize)]
enum ActivityRecord<'a> {
    Enter,
    Execute,
    #[serde(borrow)]
    Task(TaskRecord<'a>),
    Wait(TimerRecord),
    Backoff(TimerRecord),
    Parallel {
        outputs: Vec<Option<u32>>,
    },
    Map {
        concurrency: u64,
        next: u64,
        outputs: Vec<(u64, u32)>,
    },
    /// Of items that cannot be computed again.
    MapOf {
        items: u32,
        concurrency: u64,
        next: u64,
        outputs: Vec<(u64, u32)>,
    },
    #[serde(borrow)]
    MapRun(MapRunRecord<'a>),
}

#[derive(Serialize, Deserialize)]
struct MapRunRecord<'a> {
    id: u64,
    #[serde(borrow)]
    map_run_arn: Cow<'a, str>,
    #[serde(borrow)]
    label: Cow<'a, str>,
    /// Their text, or the reader's parameters.
    items: u32,
    read: bool,
    max_items: Option<u64>,
    max_concurrency: u64,
    tolerated_failure_count: u64,
    tolerated_failure_percentage: f64,
    batch_input: Option<u32>,
    batch_items_max: Option<u64>,
    batch_bytes_max: Option<u64>,
    writer_parameters: Option<u32>,
}

/// What version 2 appends.
#[derive(Serialize, Deserialize, Default)]
struct Appendix<'a> {
    /// By frame: the names of its own variables, and the numbers of their payloads.
    #[serde(borrow)]
    variables: Vec<(u32, OwnVariables<'a>)>,
}

type OwnVariables<'a> = Vec<(Cow<'a, str>, u32)>;

#[derive(Serialize, Deserialize)]
struct TaskRecord<'a> {
    id: u64,
    parameters: u32,
    #[serde(borrow)]
    token: Option<Cow<'a, str>>,
    timeout_seconds: Option<u64>,
    heartbeat_seconds: Option<u64>,
    #[serde(borrow)]
    credentials_role_arn: Option<Cow<'a, str>>,
    timeout_timer: Option<TimerRecord>,
    heartbeat_timer: Option<TimerRecord>,
    heartbeat_deadline_ms: i64,
    started: bool,
    submitted: Option<u32>,
}

#[derive(Serialize, Deserialize)]
struct TimerRecord {
    id: u64,
    at_ms: i64,
}

impl From<Timer> for TimerRecord {
    fn from(timer: Timer) -> TimerRecord {
        TimerRecord { id: timer.id.0, at_ms: timer.at.as_millis() }
    }
}

impl From<TimerRecord> for Timer {
    fn from(record: TimerRecord) -> Timer {
        Timer { id: TimerId(record.id), at: Timestamp::from_millis(record.at_ms) }
    }
}

impl Execution {
    /// The position as bytes, to be stored with each step. It holds neither `info` nor the state machine.
    pub fn snapshot(&self) -> Vec<u8> {
        let mut payloads = Payloads::new(&self.info.input);
        let position = &self.position;
        let frames = position.frames.iter().map(|(id, f)| frame_record(&self.machine, *id, f, &mut payloads)).collect();
        let variables = position.frames.iter().filter(|(_, frame)| !frame.variables.texts().is_empty());
        let variables = variables.map(|(id, frame)| {
            let texts = frame.variables.texts().iter();
            (id.0, texts.map(|(name, text)| (Cow::Borrowed(&**name), payloads.number(text))).collect())
        });
        let appendix = Appendix { variables: variables.collect() };
        let record = Record {
            status: status_code(position.status),
            started: position.started,
            last_event_id: position.last_event_id,
            next_timer: position.next_timer,
            next_frame: position.next_frame,
            execution_timer: position.execution_timer.map(TimerRecord::from),
            payloads: payloads.texts,
            frames,
            ready: position.ready.iter().map(|id| id.0).collect(),
        };
        let bytes = postcard::to_extend(&record, vec![VERSION]);
        let bytes = bytes.and_then(|bytes| postcard::to_extend(&appendix, bytes));
        bytes.expect("records of texts and numbers serialise into memory")
    }
}

/// The payloads of a snapshot, each once: told apart by the address of their text.
struct Payloads<'a> {
    texts: Vec<Cow<'a, str>>,
    numbers: BTreeMap<*const u8, u32>,
}

impl<'a> Payloads<'a> {
    fn new(input: &Arc<str>) -> Payloads<'a> {
        Payloads { texts: Vec::new(), numbers: BTreeMap::from([(input.as_ptr(), 0)]) }
    }

    fn number(&mut self, text: &'a Arc<str>) -> u32 {
        let next = u32::try_from(self.texts.len() + 1).expect("fewer payloads than 2^32");
        *self.numbers.entry(text.as_ptr()).or_insert_with(|| {
            self.texts.push(Cow::Borrowed(text));
            next
        })
    }
}

fn frame_record<'a>(
    machine: &'a StateMachine,
    id: FrameId,
    frame: &'a Frame,
    payloads: &mut Payloads<'a>,
) -> FrameRecord<'a> {
    let activity = match &frame.activity {
        Activity::Enter => ActivityRecord::Enter,
        Activity::Execute => ActivityRecord::Execute,
        Activity::Task(open) => ActivityRecord::Task(task_record(open, payloads)),
        Activity::Wait(timer) => ActivityRecord::Wait((*timer).into()),
        Activity::Backoff(timer) => ActivityRecord::Backoff((*timer).into()),
        Activity::Parallel(open) => ActivityRecord::Parallel {
            outputs: open.outputs.iter().map(|o| o.as_ref().map(|o| payloads.number(o.text()))).collect(),
        },
        Activity::Map(open) => {
            let (concurrency, next) = (open.concurrency as u64, open.next as u64);
            let items = open.stored_items.as_ref().map(|items| payloads.number(items));
            let outputs = open.outputs.iter().map(|(index, o)| (*index as u64, payloads.number(o.text()))).collect();
            match items {
                None => ActivityRecord::Map { concurrency, next, outputs },
                Some(items) => ActivityRecord::MapOf { items, concurrency, next, outputs },
            }
        }
        Activity::MapRun(open) => ActivityRecord::MapRun(map_run_record(open, payloads)),
    };
    let state = crate::frame::state_at(machine, &frame.scope, frame.state);
    FrameRecord {
        id: id.0,
        parent: frame.parent.map(|parent| parent.0),
        index: frame.index as u64,
        last_event_id: frame.last_event_id,
        state: Cow::Borrowed(&state.expect("a frame's state is in its state machine").name),
        input: payloads.number(frame.input.text()),
        entered_event_id: frame.entered_event_id,
        entered_time_ms: frame.entered_time.as_millis(),
        retry_count: frame.retry_count,
        retrier_attempts: frame.retrier_attempts.clone(),
        activity,
    }
}

fn task_record<'a>(open: &'a OpenTask, payloads: &mut Payloads<'a>) -> TaskRecord<'a> {
    TaskRecord {
        id: open.id.0,
        parameters: payloads.number(&open.parameters),
        token: open.token.as_deref().map(Cow::Borrowed),
        timeout_seconds: open.timeout_seconds,
        heartbeat_seconds: open.heartbeat_seconds,
        credentials_role_arn: open.credentials_role_arn.as_deref().map(Cow::Borrowed),
        timeout_timer: open.timeout_timer.map(TimerRecord::from),
        heartbeat_timer: open.heartbeat_timer.map(|h| h.timer.into()),
        heartbeat_deadline_ms: open.heartbeat_timer.map_or(0, |h| h.deadline.as_millis()),
        started: open.progress == Progress::Started,
        submitted: match &open.progress {
            Progress::Submitted { output } => Some(payloads.number(output)),
            Progress::Scheduled | Progress::Started => None,
        },
    }
}

fn map_run_record<'a>(open: &'a OpenMapRun, payloads: &mut Payloads<'a>) -> MapRunRecord<'a> {
    let (items, max_items, read) = match &open.items {
        OpenItems::Inline(items) => (items, None, false),
        OpenItems::Reader { parameters, max_items } => (parameters, *max_items, true),
    };
    MapRunRecord {
        id: open.id.0,
        map_run_arn: Cow::Borrowed(&open.map_run_arn),
        label: Cow::Borrowed(&open.label),
        items: payloads.number(items),
        read,
        max_items,
        max_concurrency: open.max_concurrency,
        tolerated_failure_count: open.tolerated_failure_count,
        tolerated_failure_percentage: open.tolerated_failure_percentage,
        batch_input: open.batch_input.as_ref().map(|text| payloads.number(text)),
        batch_items_max: open.batch_items_max,
        batch_bytes_max: open.batch_bytes_max,
        writer_parameters: open.writer_parameters.as_ref().map(|text| payloads.number(text)),
    }
}

fn status_code(status: ExecutionStatus) -> u8 {
    match status {
        ExecutionStatus::Running => 0,
        ExecutionStatus::Succeeded => 1,
        ExecutionStatus::Failed => 2,
        ExecutionStatus::TimedOut => 3,
        ExecutionStatus::Aborted => 4,
    }
}
