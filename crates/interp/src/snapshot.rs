//! An execution's position as bytes: a version byte, then a postcard record.
//!
//! A payload is stored once, as text, however many frames hold it; the execution's own input not at all, it is
//! number 0. What follows from the state machine and the payloads (a Map's items, scopes) is computed again.
//!
//! Records are positional: fields and variants are only ever appended, with a new version.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use asl::{StateKind, StateMachine};
use base::Timestamp;
use serde::{Deserialize, Serialize};

use crate::context::ContextObject;
use crate::frame::{
    Activity, Frame, FrameId, HeartbeatTimer, OpenMap, OpenParallel, OpenTask, Position, ScopeStep, Timer, branch_at,
};
use crate::payload::Payload;
use crate::state::{data, map};
use crate::{Execution, ExecutionInfo, ExecutionStatus, Progress, TaskId, TimerId};

const VERSION: u8 = 1;

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

use RestoreError::{Damaged, Mismatch};

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
}

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
        postcard::to_extend(&record, vec![VERSION]).expect("a record of texts and numbers serialises into memory")
    }

    /// The execution as it was when `snapshot` was taken, given the same `info` and state machine.
    pub fn restore(
        snapshot: &[u8],
        info: ExecutionInfo,
        machine: Arc<StateMachine>,
    ) -> Result<Execution, RestoreError> {
        let (version, rest) = snapshot.split_first().ok_or(Damaged("empty"))?;
        if *version != VERSION {
            return Err(RestoreError::Version(*version));
        }
        let record: Record<'_> = postcard::from_bytes(rest).map_err(|_| Damaged("snapshot"))?;
        let mut payloads = vec![Payload::stored(info.input.clone())];
        for text in &record.payloads {
            payloads.push(Some(Payload::stored(Arc::from(&**text)).ok_or(Damaged("payload"))?));
        }
        let position = Position {
            status: status_of(record.status)?,
            started: record.started,
            last_event_id: record.last_event_id,
            next_timer: record.next_timer,
            next_frame: record.next_frame,
            execution_timer: record.execution_timer.map(Timer::from),
            frames: BTreeMap::new(),
            ready: record.ready.into_iter().map(FrameId).collect(),
        };
        let input = payloads[0].clone();
        let mut execution = Execution { info, machine, input, context: ContextObject::default(), position };
        for frame in record.frames {
            let id = FrameId(frame.id);
            if id.0 >= execution.position.next_frame {
                return Err(Damaged("frame id"));
            }
            let frame = restore_frame(&mut execution, frame, &payloads)?;
            execution.position.frames.insert(id, frame);
        }
        execution.context.leave(&execution.info);
        check(&execution.position)?;
        Ok(execution)
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
        Activity::Map(open) => ActivityRecord::Map {
            concurrency: open.concurrency as u64,
            next: open.next as u64,
            outputs: open.outputs.iter().map(|(index, o)| (*index as u64, payloads.number(o.text()))).collect(),
        },
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

fn payload(payloads: &[Option<Payload>], number: u32) -> Result<Payload, RestoreError> {
    payloads.get(number as usize).cloned().flatten().ok_or(Damaged("number of a payload"))
}

/// Builds a frame; its parent is built already, since it has a smaller id.
fn restore_frame(
    execution: &mut Execution,
    record: FrameRecord<'_>,
    payloads: &[Option<Payload>],
) -> Result<Frame, RestoreError> {
    let machine = Arc::clone(&execution.machine);
    let index = usize::try_from(record.index).map_err(|_| Damaged("index"))?;
    let (scope, map_item) = match record.parent {
        None => (Arc::from([]), None),
        Some(parent) => {
            let parent = execution.position.frames.get(&FrameId(parent)).ok_or(Damaged("parent"))?;
            let (branch, map_item) = match &parent.activity {
                Activity::Parallel(open) if index < open.outputs.len() => (index, parent.map_item.clone()),
                Activity::Map(open) => {
                    let item = open.items.get(index).ok_or(Mismatch("no such item"))?;
                    (0, Some(crate::context::map_item(index, item)))
                }
                _ => return Err(Damaged("parent's activity")),
            };
            let step = ScopeStep { state: parent.state, branch };
            (parent.scope.iter().copied().chain([step]).collect::<Arc<[_]>>(), map_item)
        }
    };
    let branch = branch_at(&machine, &scope).ok_or(Mismatch("no such scope"))?;
    let state = branch.states.get_index_of(&*record.state).ok_or(Mismatch("no such state"))?;
    let mut frame = Frame {
        parent: record.parent.map(FrameId),
        scope,
        index,
        last_event_id: record.last_event_id,
        map_item,
        state,
        input: payload(payloads, record.input)?,
        entered_event_id: record.entered_event_id,
        entered_time: Timestamp::from_millis(record.entered_time_ms),
        retry_count: record.retry_count,
        retrier_attempts: record.retrier_attempts,
        activity: Activity::Execute,
    };
    frame.activity = restore_activity(execution, &frame, &branch.states[state], record.activity, payloads)?;
    Ok(frame)
}

fn restore_activity(
    execution: &mut Execution,
    frame: &Frame,
    state: &asl::State,
    record: ActivityRecord<'_>,
    payloads: &[Option<Payload>],
) -> Result<Activity, RestoreError> {
    Ok(match (record, &state.kind) {
        (ActivityRecord::Enter, _) => Activity::Enter,
        (ActivityRecord::Execute, _) => Activity::Execute,
        (ActivityRecord::Task(task), StateKind::Task(_)) => Activity::Task(Box::new(restore_task(task, payloads)?)),
        (ActivityRecord::Wait(timer), StateKind::Wait(_)) => Activity::Wait(timer.into()),
        (ActivityRecord::Backoff(timer), _) => Activity::Backoff(timer.into()),
        (ActivityRecord::Parallel { outputs }, StateKind::Parallel { branches }) if outputs.len() == branches.len() => {
            let outputs = outputs.into_iter().map(|o| o.map(|o| payload(payloads, o)).transpose());
            Activity::Parallel(OpenParallel { outputs: outputs.collect::<Result<_, _>>()? })
        }
        (ActivityRecord::Map { concurrency, next, outputs }, StateKind::Map(definition)) => {
            execution.context.enter(&execution.info, execution.input.as_ref(), frame, state);
            let input = data::select_from(&execution.context, &state.input_path, &frame.input);
            let items = input.and_then(|input| map::items(definition, &input, &execution.context));
            let items = items.map_err(|_| Mismatch("the items of a Map state are gone"))?;
            let next = usize::try_from(next).ok().filter(|next| *next <= items.len());
            let outputs = outputs.into_iter().map(|(index, number)| match usize::try_from(index) {
                Ok(index) if index < items.len() => Ok((index, payload(payloads, number)?)),
                _ => Err(Damaged("index of an output")),
            });
            Activity::Map(Box::new(OpenMap {
                outputs: outputs.collect::<Result<_, _>>()?,
                concurrency: usize::try_from(concurrency).map_err(|_| Damaged("concurrency"))?,
                next: next.ok_or(Damaged("next item"))?,
                items,
            }))
        }
        _ => return Err(Mismatch("activity of another state type")),
    })
}

fn restore_task(task: TaskRecord<'_>, payloads: &[Option<Payload>]) -> Result<OpenTask, RestoreError> {
    let deadline = Timestamp::from_millis(task.heartbeat_deadline_ms);
    let progress = match (task.submitted, task.started) {
        (Some(output), _) => Progress::Submitted { output: payload(payloads, output)?.text().clone() },
        (None, true) => Progress::Started,
        (None, false) => Progress::Scheduled,
    };
    Ok(OpenTask {
        id: TaskId(task.id),
        parameters: payload(payloads, task.parameters)?.text().clone(),
        token: task.token.map(Arc::from),
        timeout_seconds: task.timeout_seconds,
        heartbeat_seconds: task.heartbeat_seconds,
        credentials_role_arn: task.credentials_role_arn.map(Arc::from),
        timeout_timer: task.timeout_timer.map(Timer::from),
        heartbeat_timer: task.heartbeat_timer.map(|timer| HeartbeatTimer { timer: timer.into(), deadline }),
        progress,
    })
}

/// What steps rely on: one root at most, and just the frames with a transition to do are ready, each once.
fn check(position: &Position) -> Result<(), RestoreError> {
    let ready: BTreeSet<FrameId> = position.ready.iter().copied().collect();
    let to_do = position.frames.iter().filter(|(_, f)| matches!(f.activity, Activity::Enter | Activity::Execute));
    let roots = position.frames.values().filter(|f| f.parent.is_none()).count();
    let counters = [position.last_event_id, position.next_timer];
    if counters.into_iter().any(|n| n > COUNTER_MAX) || position.next_frame == u32::MAX {
        return Err(Damaged("counters"));
    }
    if ready.len() != position.ready.len() || !to_do.map(|(id, _)| *id).eq(ready.iter().copied()) || roots > 1 {
        return Err(Damaged("frames"));
    }
    Ok(())
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

fn status_of(code: u8) -> Result<ExecutionStatus, RestoreError> {
    Ok(match code {
        0 => ExecutionStatus::Running,
        1 => ExecutionStatus::Succeeded,
        2 => ExecutionStatus::Failed,
        3 => ExecutionStatus::TimedOut,
        4 => ExecutionStatus::Aborted,
        _ => return Err(Damaged("status")),
    })
}
