//! From bytes back to a position.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use asl::{State, StateKind, StateMachine};
use base::Timestamp;

use super::{
    ActivityRecord, Appendix, COUNTER_MAX, FrameRecord, MapRunRecord, OwnVariables, Record, TaskRecord, VERSION,
    VERSION_WITHOUT_VARIABLES,
};
use crate::context::{ContextObject, MapItem};
use crate::frame::{
    Activity, Frame, FrameId, HeartbeatTimer, OpenItems, OpenMap, OpenMapRun, OpenParallel, OpenTask, Position,
    ScopeStep, Timer, branch_at,
};
use crate::payload::Payload;
use crate::state::data;
use crate::state::map::{self, ItemList};
use crate::variables::{Assigned, Scope};
use crate::{Execution, ExecutionInfo, ExecutionStatus, Progress, RestoreError, TaskId};

use RestoreError::{Damaged, Mismatch};

impl Execution {
    /// The execution as it was when `snapshot` was taken, given the same `info` and state machine.
    pub fn restore(
        snapshot: &[u8],
        info: ExecutionInfo,
        machine: Arc<StateMachine>,
    ) -> Result<Execution, RestoreError> {
        let (version, rest) = snapshot.split_first().ok_or(Damaged("empty"))?;
        if !matches!(*version, VERSION | VERSION_WITHOUT_VARIABLES) {
            return Err(RestoreError::Version(*version));
        }
        let (record, rest): (Record<'_>, _) = postcard::take_from_bytes(rest).map_err(|_| Damaged("snapshot"))?;
        let appendix = match *version {
            VERSION => postcard::from_bytes(rest).map_err(|_| Damaged("variables"))?,
            _ => Appendix::default(),
        };
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
            ready: record.ready.into_iter().map(FrameId).collect(),
            ..Position::new()
        };
        let mut variables = restore_variables(appendix, &payloads)?;
        let input = payloads[0].clone();
        let mut execution = Execution { info, machine, input, context: ContextObject::default(), position, test: None };
        for frame in record.frames {
            let id = FrameId(frame.id);
            if id.0 >= execution.position.next_frame {
                return Err(Damaged("frame id"));
            }
            let own = variables.remove(&id).unwrap_or_default();
            let frame = restore_frame(&mut execution, frame, &own, &payloads)?;
            execution.position.insert(id, frame);
        }
        if !variables.is_empty() {
            return Err(Damaged("frame of variables"));
        }
        execution.context.leave(&execution.info);
        check(&execution.position)?;
        Ok(execution)
    }
}

fn payload(payloads: &[Option<Payload>], number: u32) -> Result<Payload, RestoreError> {
    payloads.get(number as usize).cloned().flatten().ok_or(Damaged("number of a payload"))
}

/// What a frame has assigned, by frame.
fn restore_variables(
    appendix: Appendix<'_>,
    payloads: &[Option<Payload>],
) -> Result<BTreeMap<FrameId, Assigned>, RestoreError> {
    let one = |(id, own): (u32, OwnVariables<'_>)| {
        let own = own.into_iter().map(|(name, number)| Ok((asl::Name::from(&*name), payload(payloads, number)?)));
        Ok((FrameId(id), own.collect::<Result<Assigned, RestoreError>>()?))
    };
    appendix.variables.into_iter().map(one).collect()
}

/// Builds a frame; its parent is built already, since it has a smaller id.
fn restore_frame(
    execution: &mut Execution,
    record: FrameRecord<'_>,
    own: &Assigned,
    payloads: &[Option<Payload>],
) -> Result<Frame, RestoreError> {
    let machine = Arc::clone(&execution.machine);
    let index = usize::try_from(record.index).map_err(|_| Damaged("index"))?;
    let (scope, map_item, mut variables) = match record.parent {
        None => (Arc::from([]), None, Scope::default()),
        Some(parent) => {
            let parent = execution.position.frames.get(&FrameId(parent)).ok_or(Damaged("parent"))?;
            let (branch, map_item) = match &parent.activity {
                Activity::Parallel(open) if index < open.outputs.len() => (index, parent.map_item.clone()),
                Activity::Map(open) => {
                    open.items.list().get(index).ok_or(Mismatch("no such item"))?;
                    (0, Some(MapItem { items: open.items.clone(), index }))
                }
                _ => return Err(Damaged("parent's activity")),
            };
            let step = ScopeStep { state: parent.state, branch };
            (parent.scope.iter().copied().chain([step]).collect::<Arc<[_]>>(), map_item, parent.variables.inner())
        }
    };
    variables.assign(own);
    let branch = branch_at(&machine, &scope).ok_or(Mismatch("no such scope"))?;
    let state = branch.states.get_index_of(&*record.state).ok_or(Mismatch("no such state"))?;
    let mut frame = Frame {
        parent: record.parent.map(FrameId),
        scope,
        index,
        last_event_id: record.last_event_id,
        map_item,
        variables,
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
    state: &State,
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
            let items = restore_items(execution, frame, state, definition)?;
            Activity::Map(Box::new(restore_map(items, None, (concurrency, next, outputs), payloads)?))
        }
        (ActivityRecord::MapOf { items, concurrency, next, outputs }, StateKind::Map(_)) => {
            let items = payload(payloads, items)?;
            let text = items.text().clone();
            let items = ItemList::new(items).ok_or(Damaged("items"))?;
            Activity::Map(Box::new(restore_map(items, Some(text), (concurrency, next, outputs), payloads)?))
        }
        (ActivityRecord::MapRun(run), StateKind::Map(_)) => Activity::MapRun(Box::new(restore_map_run(run, payloads)?)),
        _ => return Err(Mismatch("activity of another state type")),
    })
}

/// The items of a Map state, which follow from its input.
fn restore_items(
    execution: &mut Execution,
    frame: &Frame,
    state: &State,
    definition: &asl::Map,
) -> Result<ItemList, RestoreError> {
    execution.context.enter(&execution.info, execution.input.as_ref(), frame, state);
    let scene = |input| {
        let variables = frame.variables.visible();
        asl::Scene { input, context: execution.context.value(), variables }
    };
    let gone = |_| Mismatch("the items of a Map state are gone");
    let input = data::select_from(scene(frame.input.value()), &state.input_path, &frame.input).map_err(gone)?;
    // What would answer differently now is stored.
    let (result, error_output, now, random) = (None, None, frame.entered_time, &mut || 0);
    let mut env = asl::Env { scene: scene(input.value()), result, error_output, now, random };
    map::items(state, definition, &input, &mut env).map_err(gone)
}

fn restore_map(
    items: ItemList,
    stored_items: Option<Arc<str>>,
    (concurrency, next, outputs): (u64, u64, Vec<(u64, u32)>),
    payloads: &[Option<Payload>],
) -> Result<OpenMap, RestoreError> {
    let length = items.list().len();
    let next = usize::try_from(next).ok().filter(|next| *next <= length);
    let outputs = outputs.into_iter().map(|(index, number)| match usize::try_from(index) {
        Ok(index) if index < length => Ok((index, payload(payloads, number)?)),
        _ => Err(Damaged("index of an output")),
    });
    Ok(OpenMap {
        outputs: outputs.collect::<Result<_, _>>()?,
        concurrency: usize::try_from(concurrency).map_err(|_| Damaged("concurrency"))?,
        next: next.ok_or(Damaged("next item"))?,
        items,
        stored_items,
    })
}

fn restore_map_run(run: MapRunRecord<'_>, payloads: &[Option<Payload>]) -> Result<OpenMapRun, RestoreError> {
    let text = |number| payload(payloads, number).map(|payload| payload.text().clone());
    let items = text(run.items)?;
    Ok(OpenMapRun {
        id: TaskId(run.id),
        map_run_arn: Arc::from(&*run.map_run_arn),
        label: Arc::from(&*run.label),
        items: match run.read {
            true => OpenItems::Reader { parameters: items, max_items: run.max_items },
            false => OpenItems::Inline(items),
        },
        max_concurrency: run.max_concurrency,
        tolerated_failure_count: run.tolerated_failure_count,
        tolerated_failure_percentage: run.tolerated_failure_percentage,
        batch_input: run.batch_input.map(text).transpose()?,
        batch_items_max: run.batch_items_max,
        batch_bytes_max: run.batch_bytes_max,
        writer_parameters: run.writer_parameters.map(text).transpose()?,
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
