use std::sync::Arc;
use std::time::Duration;

use asl::{IntegrationPattern, JsonataField, ResourceKind, Seconds, State, StateKind, Task, Template};

use super::data::Sight;
use super::wait::SECONDS_MAX;
use super::{Flow, data};
use crate::failure::{Failure, names};
use crate::frame::{Activity, FrameId, HeartbeatTimer, OpenTask};
use crate::payload::Payload;
use crate::run::Run;
use crate::{Admission, Details, Effect, EventType, Progress, RunTask, TaskId, TimerId};

/// Hands the task out.
pub(crate) fn execute(run: &mut Run<'_, '_>, id: FrameId, state: &State, task: &Task) -> Result<Flow, Failure> {
    let task_id = TaskId(run.next_event_id());
    let waits_for_token = matches!(&task.resource.kind, ResourceKind::Integration(i)
        if i.pattern == IntegrationPattern::WaitForTaskToken);
    let is_activity = matches!(task.resource.kind, ResourceKind::Activity { .. });
    let token: Option<Arc<str>> = (waits_for_token || is_activity).then(|| (run.env.token)(task_id).into());
    if let (true, Some(token)) = (waits_for_token, &token) {
        run.context.set_token(token);
    }
    let input = data::effective_input(run, id, state)?;
    let parameters = data::parameters_of(run, id, state, input.clone())?;
    let open = OpenTask {
        id: task_id,
        parameters: parameters.text().clone(),
        token,
        timeout_seconds: seconds(run, id, state, "TimeoutSeconds", task.timeout.as_ref())?,
        heartbeat_seconds: seconds(run, id, state, "HeartbeatSeconds", task.heartbeat.as_ref())?,
        credentials_role_arn: role(run, id, state, task.credentials.as_ref(), &input)?,
        timeout_timer: None,
        heartbeat_timer: None,
        progress: Progress::Scheduled,
    };
    if let Some(mocked) = run.mocked(id, state) {
        return mocked;
    }
    let admission = Admission {
        resource: &task.resource,
        parameters: parameters.value(),
        credentials_role_arn: open.credentials_role_arn.as_deref(),
    };
    (run.env.admit)(&admission).map_err(Failure::runtime)?;
    record_scheduled(run, id, task, &open);
    let work = describe(run.info.region(), run.position.frame(id).retry_count, state, task, &open);
    run.position.frame_mut(id).activity = Activity::Task(Box::new(open));
    run.position.tasks.insert(task_id, id);
    run.effect(Effect::RunTask(Box::new(work)));
    if !is_activity {
        record_started(run, id, task, None);
        start_timers(run, id);
    }
    Ok(Flow::Open)
}

/// A worker took an activity's task: its time begins to run.
pub(crate) fn started(run: &mut Run<'_, '_>, id: FrameId, worker_name: Option<Arc<str>>) -> bool {
    let (_, task) = definition(run, id);
    let open = open_task(run, id);
    if !matches!(task.resource.kind, ResourceKind::Activity { .. }) || open.progress != Progress::Scheduled {
        return false;
    }
    open.progress = Progress::Started;
    record_started(run, id, task, worker_name);
    start_timers(run, id);
    true
}

/// A service took the request of a job or a callback.
pub(crate) fn submitted(run: &mut Run<'_, '_>, id: FrameId, output: Arc<str>) -> bool {
    let (_, task) = definition(run, id);
    let ResourceKind::Integration(integration) = &task.resource.kind else { return false };
    let open = open_task(run, id);
    if integration.pattern == IntegrationPattern::RequestResponse || open.progress != Progress::Scheduled {
        return false;
    }
    let task_id = open.id;
    if output.len() > run.env.limits.payload_bytes_max {
        run.cancel_task(task_id);
        return too_large(run, id, task);
    }
    open_task(run, id).progress = Progress::Submitted { output: output.clone() };
    let details = Details::TaskOutput {
        resource_type: integration.resource_type().into(),
        resource: integration.resource_name().into(),
        output,
    };
    run.record(id, EventType::TaskSubmitted, details);
    true
}

/// The task is done.
pub(crate) fn succeeded(run: &mut Run<'_, '_>, id: FrameId, output: Arc<str>) -> bool {
    let (state, task) = definition(run, id);
    if output.len() > run.env.limits.payload_bytes_max {
        return too_large(run, id, task);
    }
    let open = close(run, id, None);
    let result = match Payload::parse(output.clone()) {
        Err(e) => Err(Failure::runtime(format_args!("The task's output is not valid JSON: {e}"))),
        Ok(result) => {
            let (event_type, details) = match &task.resource.kind {
                ResourceKind::Function => (EventType::LambdaFunctionSucceeded, Details::Output { output }),
                ResourceKind::Activity { .. } => (EventType::ActivitySucceeded, Details::Output { output }),
                ResourceKind::Integration(i) => {
                    let (resource_type, resource) = (i.resource_type().into(), i.resource_name().into());
                    (EventType::TaskSucceeded, Details::TaskOutput { resource_type, resource, output })
                }
            };
            run.record(id, event_type, details);
            run.enter_context(id, state);
            if let (ResourceKind::Integration(_), Some(token)) = (&task.resource.kind, &open.token) {
                run.context.set_token(token);
            }
            data::finish(run, id, state, result)
        }
    };
    run.settle(id, state, result);
    true
}

/// In which way a task failed: each has its own event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FailureKind {
    Task,
    Schedule,
    Start,
    Submit,
    TimedOut,
}

/// The task failed.
pub(crate) fn failed(
    run: &mut Run<'_, '_>,
    id: FrameId,
    kind: FailureKind,
    error: Option<Arc<str>>,
    cause: Option<Arc<str>>,
) -> bool {
    let (_, task) = definition(run, id);
    close(run, id, None);
    report_failure(run, id, task, kind, Failure::reported(error, cause));
    true
}

/// One of the task's timers has fired.
pub(crate) fn timer_fired(run: &mut Run<'_, '_>, id: FrameId, timer: TimerId) -> bool {
    let (_, task) = definition(run, id);
    let heartbeat = open_task(run, id).heartbeat_timer.filter(|h| h.timer.id == timer);
    if let Some(HeartbeatTimer { deadline, .. }) = heartbeat
        && deadline > run.env.now
    {
        // A heartbeat came since the timer was set.
        let timer = run.start_timer(Some(id), deadline);
        open_task(run, id).heartbeat_timer = Some(HeartbeatTimer { timer, deadline });
        return true;
    }
    let error = if heartbeat.is_some() { names::HEARTBEAT_TIMEOUT } else { names::TIMEOUT };
    let closed = close(run, id, Some(timer));
    run.cancel_task(closed.id);
    report_failure(run, id, task, FailureKind::TimedOut, Failure::reported(Some(error.into()), None));
    true
}

/// A worker said that the task is alive.
pub(crate) fn heartbeat(run: &mut Run<'_, '_>, id: FrameId) -> bool {
    let now = run.env.now;
    let open = open_task(run, id);
    let Some((seconds, heartbeat)) = open.heartbeat_seconds.zip(open.heartbeat_timer.as_mut()) else { return false };
    heartbeat.deadline = now + Duration::from_secs(seconds);
    true
}

/// The work as the engine gets it, at first or again after a crash.
pub(crate) fn describe(region: &str, retry_count: u32, state: &State, task: &Task, open: &OpenTask) -> RunTask {
    RunTask {
        task: open.id,
        scheduled_event_id: open.id.0,
        state_name: state.name.clone(),
        resource: task.resource.clone(),
        parameters: open.parameters.clone(),
        token: open.token.clone(),
        timeout_seconds: open.timeout_seconds,
        heartbeat_seconds: open.heartbeat_seconds,
        credentials_role_arn: open.credentials_role_arn.clone(),
        region: region.into(),
        retry_count,
        progress: open.progress.clone(),
    }
}

/// The Task state in which an open task's frame is.
fn definition<'a>(run: &Run<'a, '_>, id: FrameId) -> (&'a State, &'a Task) {
    let state = run.state(id);
    match &state.kind {
        StateKind::Task(task) => (state, task),
        _ => unreachable!("tasks are open in Task states only"),
    }
}

fn open_task<'r>(run: &'r mut Run<'_, '_>, id: FrameId) -> &'r mut OpenTask {
    match &mut run.position.frame_mut(id).activity {
        Activity::Task(open) => open,
        _ => unreachable!("the caller has found the task open in this frame"),
    }
}

/// Takes the task off its frame and cancels its timers, but for one that has fired.
fn close(run: &mut Run<'_, '_>, id: FrameId, fired: Option<TimerId>) -> OpenTask {
    let activity = std::mem::replace(&mut run.position.frame_mut(id).activity, Activity::Execute);
    for timer in activity.timers().filter(|timer| Some(timer.id) != fired) {
        run.cancel_timer(timer.id);
    }
    match activity {
        Activity::Task(open) => {
            run.position.tasks.remove(&open.id);
            *open
        }
        _ => unreachable!("the caller has found the task open in this frame"),
    }
}

fn start_timers(run: &mut Run<'_, '_>, id: FrameId) {
    let now = run.env.now;
    let open = open_task(run, id);
    let (timeout, heartbeat) = (open.timeout_seconds, open.heartbeat_seconds);
    let timeout = timeout.map(|seconds| run.start_timer(Some(id), now + Duration::from_secs(seconds)));
    let heartbeat = heartbeat.map(|seconds| {
        let deadline = now + Duration::from_secs(seconds);
        HeartbeatTimer { timer: run.start_timer(Some(id), deadline), deadline }
    });
    let open = open_task(run, id);
    open.timeout_timer = timeout;
    open.heartbeat_timer = heartbeat;
}

fn record_scheduled(run: &mut Run<'_, '_>, id: FrameId, task: &Task, open: &OpenTask) {
    let (event_type, details) = match &task.resource.kind {
        ResourceKind::Function => (
            EventType::LambdaFunctionScheduled,
            Details::FunctionScheduled {
                resource: task.resource.arn.as_str().into(),
                input: open.parameters.clone(),
                timeout_seconds: open.timeout_seconds,
                credentials_role_arn: open.credentials_role_arn.clone(),
            },
        ),
        ResourceKind::Activity { .. } => (
            EventType::ActivityScheduled,
            Details::ActivityScheduled {
                resource: task.resource.arn.as_str().into(),
                input: open.parameters.clone(),
                timeout_seconds: open.timeout_seconds,
                heartbeat_seconds: open.heartbeat_seconds,
            },
        ),
        ResourceKind::Integration(integration) => (
            EventType::TaskScheduled,
            Details::TaskScheduled {
                resource_type: integration.resource_type().into(),
                resource: integration.resource_name().into(),
                region: run.info.region().into(),
                parameters: open.parameters.clone(),
                timeout_seconds: open.timeout_seconds,
                heartbeat_seconds: open.heartbeat_seconds,
                credentials_role_arn: open.credentials_role_arn.clone(),
            },
        ),
    };
    run.record(id, event_type, details);
}

fn record_started(run: &mut Run<'_, '_>, id: FrameId, task: &Task, worker_name: Option<Arc<str>>) {
    let (event_type, details) = match &task.resource.kind {
        ResourceKind::Function => (EventType::LambdaFunctionStarted, Details::None),
        ResourceKind::Activity { .. } => (EventType::ActivityStarted, Details::ActivityStarted { worker_name }),
        ResourceKind::Integration(i) => {
            let (resource_type, resource) = (i.resource_type().into(), i.resource_name().into());
            (EventType::TaskStarted, Details::TaskStarted { resource_type, resource })
        }
    };
    run.record(id, event_type, details);
}

/// Records that a closed task failed, and lets its state fail.
fn report_failure(run: &mut Run<'_, '_>, id: FrameId, task: &Task, kind: FailureKind, failure: Failure) {
    let (error, cause) = (failure.error.clone(), failure.cause.clone());
    let (event_type, details) = match &task.resource.kind {
        ResourceKind::Function => {
            let event_type = match kind {
                FailureKind::Task | FailureKind::Submit => EventType::LambdaFunctionFailed,
                FailureKind::Schedule => EventType::LambdaFunctionScheduleFailed,
                FailureKind::Start => EventType::LambdaFunctionStartFailed,
                FailureKind::TimedOut => EventType::LambdaFunctionTimedOut,
            };
            (event_type, Details::Failure { error, cause })
        }
        ResourceKind::Activity { .. } => {
            let event_type = match kind {
                FailureKind::Task | FailureKind::Start | FailureKind::Submit => EventType::ActivityFailed,
                FailureKind::Schedule => EventType::ActivityScheduleFailed,
                FailureKind::TimedOut => EventType::ActivityTimedOut,
            };
            (event_type, Details::Failure { error, cause })
        }
        ResourceKind::Integration(i) => {
            let event_type = match kind {
                FailureKind::Task => EventType::TaskFailed,
                FailureKind::Schedule | FailureKind::Start => EventType::TaskStartFailed,
                FailureKind::Submit => EventType::TaskSubmitFailed,
                FailureKind::TimedOut => EventType::TaskTimedOut,
            };
            let (resource_type, resource) = (i.resource_type().into(), i.resource_name().into());
            (event_type, Details::TaskFailure { resource_type, resource, error, cause })
        }
    };
    run.record(id, event_type, details);
    run.fail(id, failure);
}

/// The task answered more than a payload may hold.
fn too_large(run: &mut Run<'_, '_>, id: FrameId, task: &Task) -> bool {
    close(run, id, None);
    let name = match &task.resource.kind {
        ResourceKind::Integration(integration) => integration.resource_type(),
        ResourceKind::Function | ResourceKind::Activity { .. } => task.resource.arn.clone(),
    };
    report_failure(run, id, task, FailureKind::Task, Failure::task_output_too_large(&name));
    true
}

/// `TimeoutSeconds`, `HeartbeatSeconds`, or what their `...Path` refers to.
fn seconds(
    run: &mut Run<'_, '_>,
    id: FrameId,
    state: &State,
    field: &str,
    source: Option<&Seconds>,
) -> Result<Option<u64>, Failure> {
    match source {
        None => Ok(None),
        Some(Seconds::Literal(seconds)) => Ok(Some(*seconds)),
        Some(Seconds::Jsonata(expression)) => {
            let field = JsonataField::new(&field, expression);
            data::query(run, id, state, field, |field, env| field.integer(1..=SECONDS_MAX, env)).map(Some)
        }
        Some(Seconds::Path(path)) => {
            let field = format!("{field}Path");
            let input = data::effective_input(run, id, state)?;
            match data::refer_to_seconds(run, id, path, &field, &input)? {
                0 => Err(Failure::runtime(format_args!(
                    "The {field} parameter references a value that is not positive: {} == 0",
                    path.as_str()
                ))),
                seconds => Ok(Some(seconds)),
            }
        }
    }
}

/// `Credentials.RoleArn`.
fn role(
    run: &mut Run<'_, '_>,
    id: FrameId,
    state: &State,
    credentials: Option<&Template>,
    input: &Payload,
) -> Result<Option<Arc<str>>, Failure> {
    let Some(template) = credentials else { return Ok(None) };
    let value = data::evaluate(run, id, state, template, Sight::of(input))?;
    match value.value().get("RoleArn").and_then(|role| role.as_str()) {
        Some(role) => Ok(Some(role.into())),
        None => Err(Failure::runtime("The Credentials field has no RoleArn that is a string.")),
    }
}
