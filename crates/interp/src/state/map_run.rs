//! A Map state in DISTRIBUTED mode: one Map Run, which the engine carries out.

use std::sync::Arc;

use asl::{Count, ExecutionType, ItemBatcher, ItemReader, Map, State, Template};

use super::Flow;
use super::data::{self, Sight};
use super::map::{self, ItemList};
use crate::context::ContextObject;
use crate::failure::{Failure, names};
use crate::frame::{Activity, Frame, FrameId, OpenItems, OpenMapRun};
use crate::payload::Payload;
use crate::run::Run;
use crate::{Details, Effect, EventType, ExecutionInfo, MapRunBatcher, MapRunItems, MapRunWriter, RunMapRun};
use crate::{SelectorScene, TaskId};

/// Hands the Map Run out; `items` is there unless they are read.
pub(crate) fn execute(
    run: &mut Run<'_, '_>,
    id: FrameId,
    state: &State,
    map: &Map,
    (items, max_concurrency, tolerance): (Option<ItemList>, u64, (u64, f64)),
) -> Result<Flow, Failure> {
    let mut refused = None;
    let items = match (items, &map.reader) {
        (Some(items), _) => OpenItems::Inline(items.text().clone()),
        (None, Some(reader)) => {
            let max_items = max_items(run, id, state, reader)?;
            let parameters = template_text(run, id, state, reader.parameters.as_ref())?;
            let max_items = max_items.unwrap_or_else(|failure| {
                refused = Some(failure);
                None
            });
            OpenItems::Reader { parameters, max_items }
        }
        (None, None) => unreachable!("only a reader replaces the items"),
    };
    let (batch_input, batch_items_max, batch_bytes_max) = match &map.batcher {
        Some(batcher) => batch(run, id, state, batcher)?,
        None => (None, None, None),
    };
    let writer_parameters = match &map.writer {
        Some(writer) => Some(template_text(run, id, state, writer.parameters.as_ref())?),
        None => None,
    };
    let label = map.label.as_deref().map_or_else(|| uuid(run.env.random), Arc::from);
    let open = OpenMapRun {
        id: TaskId(run.next_event_id()),
        map_run_arn: map_run_arn(run.info, &label, &uuid(run.env.random)),
        label,
        items,
        max_concurrency,
        tolerated_failure_count: tolerance.0,
        tolerated_failure_percentage: tolerance.1,
        batch_input,
        batch_items_max,
        batch_bytes_max,
        writer_parameters,
    };
    let details = Details::MapRun { map_run_arn: open.map_run_arn.clone(), redrive_count: None };
    run.record(id, EventType::MapRunStarted, details);
    if let Some(failure) = refused {
        return Err(fail_run(run, id, failure));
    }
    let task = open.id;
    let work = describe(run.info, run.input, run.position.frame(id), state, map, &open);
    run.position.frame_mut(id).activity = Activity::MapRun(Box::new(open));
    run.position.tasks.insert(task, id);
    run.effect(Effect::RunMapRun(Box::new(work)));
    Ok(Flow::Open)
}

/// The Map Run is done.
pub(crate) fn succeeded(run: &mut Run<'_, '_>, id: FrameId, output: Arc<str>) -> bool {
    close(run, id);
    let state = run.state(id);
    if output.len() > run.env.limits.payload_bytes_max {
        let failure = Failure::task_output_too_large(&state.name);
        let failure = fail_run(run, id, failure);
        run.position.map_run_cut = true;
        run.fail(id, failure);
        return true;
    }
    let result = match Payload::parse(output) {
        Err(e) => Err(Failure::runtime(format_args!("The Map Run's output is not valid JSON: {e}"))),
        Ok(result) => {
            run.record(id, EventType::MapRunSucceeded, Details::None);
            run.record_beside(id, EventType::MapStateSucceeded, Details::None);
            run.enter_context(id, state);
            data::finish(run, id, state, result)
        }
    };
    run.position.map_run_cut = result.is_err();
    run.settle(id, state, result);
    true
}

/// The Map Run failed.
pub(crate) fn failed(run: &mut Run<'_, '_>, id: FrameId, error: Option<Arc<str>>, cause: Option<Arc<str>>) -> bool {
    close(run, id);
    let failure = fail_run(run, id, Failure::reported(error, cause));
    run.position.map_run_cut = true;
    run.fail(id, failure);
    true
}

/// The work as the engine gets it, at first or again after a crash.
pub(crate) fn describe(
    info: &ExecutionInfo,
    execution_input: Option<&Payload>,
    frame: &Frame,
    state: &State,
    map: &Map,
    open: &OpenMapRun,
) -> RunMapRun {
    let items = match (&open.items, &map.reader) {
        (OpenItems::Reader { parameters, max_items }, Some(reader)) => MapRunItems::Reader {
            resource: reader.resource.clone(),
            parameters: parameters.clone(),
            config: Box::new(reader.config.clone()),
            max_items: *max_items,
        },
        (OpenItems::Inline(items) | OpenItems::Reader { parameters: items, .. }, _) => {
            MapRunItems::Inline(items.clone())
        }
    };
    let writer = map.writer.as_ref().zip(open.writer_parameters.as_ref());
    RunMapRun {
        task: open.id,
        map_run_arn: open.map_run_arn.clone(),
        label: open.label.clone(),
        state_name: state.name.clone(),
        execution_type: map.config.execution_type.unwrap_or(ExecutionType::Standard),
        items,
        max_concurrency: open.max_concurrency,
        tolerated_failure_count: open.tolerated_failure_count,
        tolerated_failure_percentage: open.tolerated_failure_percentage,
        selector_scene: state.parameters.as_ref().map(|_| selector_scene(info, execution_input, frame, state)),
        batcher: map.batcher.as_ref().map(|_| MapRunBatcher {
            batch_input: open.batch_input.clone(),
            max_items: open.batch_items_max,
            max_input_bytes: open.batch_bytes_max,
        }),
        writer: writer.map(|(writer, parameters)| MapRunWriter {
            resource: writer.resource.clone(),
            parameters: parameters.clone(),
            config: writer.config,
        }),
        region: info.region().into(),
        retry_count: frame.retry_count,
    }
}

/// What the `ItemSelector` reads: it follows from the frame, so it is not stored.
fn selector_scene(
    info: &ExecutionInfo,
    execution_input: Option<&Payload>,
    frame: &Frame,
    state: &State,
) -> SelectorScene {
    let mut context = ContextObject::default();
    context.enter(info, execution_input, frame, state);
    let scene =
        asl::Scene { input: frame.input.value(), context: context.value(), variables: frame.variables.visible() };
    // The state has started, so its InputPath has found something.
    let input = data::select_from(scene, &state.input_path, &frame.input).unwrap_or_else(|_| frame.input.clone());
    SelectorScene {
        entered_event_id: frame.entered_event_id,
        input: input.text().clone(),
        context: context.value().to_string().into(),
        variables: frame.variables.to_json().into(),
    }
}

/// Takes the Map Run off its frame.
fn close(run: &mut Run<'_, '_>, id: FrameId) {
    let frame = run.position.frame_mut(id);
    let activity = std::mem::replace(&mut frame.activity, Activity::Execute);
    if let Some(task) = activity.task() {
        run.position.tasks.remove(&task);
    }
}

/// `MaxItems`: `None` for all. What is wrong with the value of its path fails the Map Run, which looks at it.
fn max_items(
    run: &mut Run<'_, '_>,
    id: FrameId,
    state: &State,
    reader: &ItemReader,
) -> Result<Result<Option<u64>, Failure>, Failure> {
    const AT: &str = "ItemReader/ReaderConfig/MaxItems";
    let count = match &reader.config.max_items {
        None => return Ok(Ok(None)),
        Some(Count::Path(path)) => {
            let input = data::effective_input(run, id, state)?;
            map::integer(AT, path, path.evaluate(data::scene(run.position, run.context, id, &input))?)
        }
        Some(count) => Ok(map::count(run, id, state, AT, count)?),
    };
    let positive = count.map(|count| Some(count).filter(|count| *count > 0));
    Ok(positive.map_err(|failure| Failure::reported(Some(names::ITEM_READER_FAILED.into()), failure.cause)))
}

/// The JSON text of what an optional template gives.
fn template_text(
    run: &mut Run<'_, '_>,
    id: FrameId,
    state: &State,
    template: Option<&Template>,
) -> Result<Arc<str>, Failure> {
    let input = data::effective_input(run, id, state)?;
    let value = match template {
        Some(template) => data::evaluate(run, id, state, template, Sight::of(&input))?,
        None => Payload::empty_object(),
    };
    Ok(value.text().clone())
}

type Batch = (Option<Arc<str>>, Option<u64>, Option<u64>);

fn batch(run: &mut Run<'_, '_>, id: FrameId, state: &State, batcher: &ItemBatcher) -> Result<Batch, Failure> {
    let batch_input = match &batcher.batch_input {
        Some(template) => Some(template_text(run, id, state, Some(template))?),
        None => None,
    };
    let mut limit = |field, count: &Option<Count>| match count {
        Some(count) => map::count(run, id, state, field, count).map(|n| Some(n).filter(|n| *n > 0)),
        None => Ok(None),
    };
    let items = limit("ItemBatcher/MaxItemsPerBatch", &batcher.max_items_per_batch)?;
    Ok((batch_input, items, limit("ItemBatcher/MaxInputBytesPerBatch", &batcher.max_input_bytes_per_batch)?))
}

fn fail_run(run: &mut Run<'_, '_>, id: FrameId, failure: Failure) -> Failure {
    let details = Details::Failure { error: failure.error.clone(), cause: failure.cause.clone() };
    run.record(id, EventType::MapRunFailed, details);
    failure
}

/// `arn:aws:states:REGION:ACCOUNT:mapRun:MACHINE/LABEL:UUID`.
fn map_run_arn(info: &ExecutionInfo, label: &str, uuid: &str) -> Arc<str> {
    let mut parts = info.id.split(':');
    let scope = parts.by_ref().take(5).collect::<Vec<_>>().join(":");
    // A child's machine is called `MACHINE/LABEL`.
    let machine = info.state_machine_name.split('/').next().unwrap_or_default();
    format!("{scope}:mapRun:{machine}/{label}:{uuid}").into()
}

/// A random UUID.
fn uuid(random: &mut dyn FnMut() -> u64) -> Arc<str> {
    let (a, b) = (random(), random());
    let version = (a & 0x0fff) | 0x4000;
    let variant = (b >> 48 & 0x3fff) | 0x8000;
    format!("{:08x}-{:04x}-{version:04x}-{variant:04x}-{:012x}", a >> 32, a >> 16 & 0xffff, b & 0xffff_ffff_ffff).into()
}
