use std::collections::BTreeMap;
use std::sync::Arc;

use asl::{Count, Items, Map, Percentage, ProcessorMode, State};
use serde_json::Value;

use super::{Flow, data};
use crate::context::{ContextObject, map_item};
use crate::failure::Failure;
use crate::frame::{Activity, Frame, FrameId, OpenMap};
use crate::payload::Payload;
use crate::run::{Child, Run, next_of};
use crate::{Details, EventType};

/// Starts as many iterations as may run at a time.
pub(crate) fn execute(run: &mut Run<'_, '_>, id: FrameId, state: &State, map: &Map) -> Result<Flow, Failure> {
    let input = data::effective_input(run, id, state)?;
    let items = items(map, &input, run.context)?;
    let concurrency = concurrency(run, map, &input)?;
    let length = items.len();
    run.record(id, EventType::MapStateStarted, Details::MapStarted { length: length as u64 });
    check_tolerance(run, map, &input)?;
    if map.config.mode == ProcessorMode::Distributed {
        return Err(Failure::runtime("A Map state in DISTRIBUTED mode is not supported."));
    }
    let open = OpenMap { items, concurrency, next: 0, outputs: BTreeMap::new() };
    run.position.frame_mut(id).activity = Activity::Map(Box::new(open));
    if length == 0 {
        return succeed(run, id, state);
    }
    let started = run.position.frame(id).last_event_id;
    for _ in 0..length.min(concurrency) {
        start_next(run, id, state, started)?;
    }
    Ok(Flow::Open)
}

/// An iteration is done: another one may start; with the last one the state is done.
pub(crate) fn iteration_ended(
    run: &mut Run<'_, '_>,
    id: FrameId,
    state: &State,
    iteration: &Frame,
    output: Payload,
) -> Result<Flow, Failure> {
    let details = Details::MapIteration { name: state.name.clone(), index: iteration.index as u64 };
    let succeeded = run.record_after(iteration.last_event_id, EventType::MapIterationSucceeded, details);
    let frame = run.position.frame_mut(id);
    frame.last_event_id = succeeded;
    let Activity::Map(open) = &mut frame.activity else {
        unreachable!("an iteration runs below a Map state only");
    };
    open.outputs.insert(iteration.index, output);
    if open.outputs.len() == open.items.len() {
        return succeed(run, id, state);
    }
    if open.next < open.items.len() {
        start_next(run, id, state, iteration.last_event_id)?;
    }
    Ok(Flow::Open)
}

fn succeed(run: &mut Run<'_, '_>, id: FrameId, state: &State) -> Result<Flow, Failure> {
    run.record_beside(id, EventType::MapStateSucceeded, Details::None);
    let Activity::Map(open) = &mut run.position.frame_mut(id).activity else {
        unreachable!("a Map state that succeeds is open");
    };
    let outputs = std::mem::take(&mut open.outputs);
    let result = Value::Array(outputs.into_values().map(Payload::into_value).collect());
    Ok(Flow::Exit { output: data::output(run, id, state, Payload::new(result)?)?, next: next_of(state) })
}

/// Starts the next iteration; its first event follows `previous_event_id`.
fn start_next(run: &mut Run<'_, '_>, id: FrameId, state: &State, previous_event_id: u64) -> Result<(), Failure> {
    let Activity::Map(open) = &mut run.position.frame_mut(id).activity else {
        unreachable!("only an open Map state starts iterations");
    };
    let (items, index) = (open.items.clone(), open.next);
    open.next += 1;
    let details = Details::MapIteration { name: state.name.clone(), index: index as u64 };
    let started = run.record_after(previous_event_id, EventType::MapIterationStarted, details);
    let item = map_item(index, &items[index]);
    let input = match &state.parameters {
        None => Payload::new(items[index].clone())?,
        Some(selector) => {
            run.context.set_map_item(Some(&item));
            let input = data::effective_input(run, id, state)?;
            data::evaluate(run, state, selector, &input)?
        }
    };
    run.start_child(id, Child { branch: 0, index, last_event_id: started, map_item: Some(item), input });
    Ok(())
}

/// The items to iterate over: what `ItemsPath` finds in the state's effective input.
pub(crate) fn items(map: &Map, input: &Payload, context: &ContextObject) -> Result<Arc<Vec<Value>>, Failure> {
    let Items::Path(path) = &map.items else {
        return Err(Failure::runtime("The query language JSONata is not supported."));
    };
    let found = path.evaluate(asl::Scene::new(input.value(), context.value()))?;
    match found.into_owned() {
        Value::Array(items) => Ok(Arc::new(items)),
        _ => Err(Failure::runtime(format_args!("Reference path \"{}\" must point to array.", path.as_str()))),
    }
}

/// How many iterations may run at a time.
fn concurrency(run: &Run<'_, '_>, map: &Map, input: &Payload) -> Result<usize, Failure> {
    let most = run.env.limits.map_concurrency_max.max(1);
    match count(run, &map.max_concurrency, "MaxConcurrency", input)? {
        0 => Ok(most),
        n => Ok(usize::try_from(n).unwrap_or(most).min(most)),
    }
}

fn count(run: &Run<'_, '_>, count: &Count, field: &str, input: &Payload) -> Result<u64, Failure> {
    let path = match count {
        Count::Literal(n) => return Ok(*n),
        Count::Path(path) => path,
        Count::Jsonata(_) => return Err(Failure::runtime("The query language JSONata is not supported.")),
    };
    let value = path.evaluate(asl::Scene::new(input.value(), run.context.value()))?;
    match (value.as_u64(), value.as_i64()) {
        (Some(n), _) => Ok(n),
        (None, Some(_)) => Err(Failure::runtime(format_args!("{field} cannot be negative."))),
        (None, None) => Err(Failure::runtime(format_args!(
            "The {field}Path field refers to value \"{}\" which is not a valid integer: {}",
            data::bare(value),
            path.as_str()
        ))),
    }
}

/// Tolerated failures count in distributed mode alone, but AWS refuses wrong ones in any.
fn check_tolerance(run: &Run<'_, '_>, map: &Map, input: &Payload) -> Result<(), Failure> {
    if let Some(tolerated) = &map.tolerated_failure_count {
        count(run, tolerated, "ToleratedFailureCount", input)?;
    }
    let percentage = match &map.tolerated_failure_percentage {
        None => return Ok(()),
        Some(Percentage::Literal(percentage)) => *percentage,
        Some(Percentage::Jsonata(_)) => return Err(Failure::runtime("The query language JSONata is not supported.")),
        Some(Percentage::Path(path)) => {
            let value = path.evaluate(asl::Scene::new(input.value(), run.context.value()))?;
            value.as_f64().ok_or_else(|| {
                Failure::runtime(format_args!(
                    "The ToleratedFailurePercentagePath field refers to value \"{}\" which is not a valid float: {}",
                    data::bare(value),
                    path.as_str()
                ))
            })?
        }
    };
    if !(0.0..=100.0).contains(&percentage) {
        return Err(Failure::runtime("ToleratedFailurePercentage must be between 0 and 100."));
    }
    Ok(())
}
