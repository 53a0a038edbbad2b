use std::collections::BTreeMap;
use std::sync::Arc;

use asl::{Count, Items, JsonataField, Map, Part, Percentage, ProcessorMode, QueryLanguage, ReferencePath, State};
use serde_json::Value;

use super::data::{self, Sight};
use super::{Flow, map_run};
use crate::context::MapItem;
use crate::failure::{Evaluation, Failure};
use crate::frame::{Activity, Frame, FrameId, OpenMap};
use crate::payload::Payload;
use crate::run::{Child, Run};
use crate::{Details, EventType};

/// Starts as many iterations as may run at a time, or a Map Run.
pub(crate) fn execute(run: &mut Run<'_, '_>, id: FrameId, state: &State, map: &Map) -> Result<Flow, Failure> {
    let (items, max_concurrency) = prepare(run, id, state, map).map_err(before_start)?;
    let length = items.as_ref().map_or(0, |items| items.list().len());
    run.record(id, EventType::MapStateStarted, Details::MapStarted { length: length as u64 });
    let count = match &map.tolerated_failure_count {
        Some(tolerated) => count(run, id, state, "ToleratedFailureCount", tolerated)?,
        None => 0,
    };
    let tolerance = (count, tolerated_percentage(run, id, state, map)?);
    if run.test.is_some() {
        see(run, id, state, map, (items.as_ref(), max_concurrency, tolerance));
        if let Some(tested) = test(run, id, state, map, (items.as_ref(), tolerance)) {
            return tested;
        }
    }
    if map.config.mode == ProcessorMode::Distributed {
        return map_run::execute(run, id, state, map, (items, max_concurrency, tolerance));
    }
    let items = items.expect("only a reader replaces the items, and an inline Map state has none");
    let most = run.env.limits.map_concurrency_max.max(1);
    let concurrency = match max_concurrency {
        0 => most,
        n => usize::try_from(n).unwrap_or(most).min(most),
    };
    let stored_items = may_vary(map).then(|| items.text().clone());
    let open = OpenMap { items, stored_items, concurrency, next: 0, outputs: BTreeMap::new() };
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

/// Notes what a tested state works on.
fn see(
    run: &mut Run<'_, '_>,
    id: FrameId,
    state: &State,
    map: &Map,
    (items, max_concurrency, (count, percentage)): (Option<&ItemList>, u64, (u64, f64)),
) {
    let selected = items.and_then(|items| {
        state.parameters.as_ref()?;
        let inputs = (0..items.list().len()).map(|index| {
            let item = MapItem { items: items.clone(), index };
            select(run, id, state, &item).map(Payload::into_value)
        });
        let inputs: Result<Vec<Value>, Failure> = inputs.collect();
        Some(Payload::new(Value::Array(inputs.ok()?)).ok()?.text().clone())
    });
    let by_path = items.filter(|_| state.query_language == QueryLanguage::JsonPath);
    run.see(|seen| {
        seen.after_items_path = by_path.map(|items| items.text().clone());
        seen.after_item_selector = selected;
        seen.max_concurrency = Some(max_concurrency);
        seen.tolerated_failure_count = map.tolerated_failure_count.as_ref().map(|_| count);
        seen.tolerated_failure_percentage = map.tolerated_failure_percentage.as_ref().map(|_| percentage);
    });
}

/// What a tested state comes to without its iterations.
fn test(
    run: &mut Run<'_, '_>,
    id: FrameId,
    state: &State,
    map: &Map,
    (items, (count, percentage)): (Option<&ItemList>, (u64, f64)),
) -> Option<Result<Flow, Failure>> {
    let failed = run.test.as_ref().map_or(0, |test| test.given.failed_iterations);
    let share = items.map_or(0.0, |items| failed as f64 * 100.0 / items.list().len().max(1) as f64);
    let tolerated = failed <= count || (percentage > 0.0 && share <= percentage);
    if map.config.mode == ProcessorMode::Distributed && !tolerated {
        let error = "States.ExceedToleratedFailureThreshold".into();
        let cause = "The specified tolerated failure threshold was exceeded".into();
        return Some(Err(Failure::reported(Some(error), Some(cause))));
    }
    run.mocked(id, state)
}

/// What is computed before the state counts as started: its items, unless they are read, and `MaxConcurrency`.
fn prepare(run: &mut Run<'_, '_>, id: FrameId, state: &State, map: &Map) -> Result<(Option<ItemList>, u64), Failure> {
    let items = match map.reader {
        Some(_) => None,
        None => {
            let input = data::effective_input(run, id, state)?;
            Some(data::with_env(run, id, Sight::of(&input), |env| items(state, map, &input, env))?)
        }
    };
    Ok((items, count(run, id, state, "MaxConcurrency", &map.max_concurrency)?))
}

fn before_start(failure: Failure) -> Failure {
    let evaluation = failure.evaluation.map(|evaluation| Evaluation { before_start: true, ..evaluation });
    Failure { evaluation, ..failure }
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
    if open.outputs.len() == open.items.list().len() {
        return succeed(run, id, state);
    }
    if open.next < open.items.list().len() {
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
    data::finish(run, id, state, Payload::new(result)?)
}

/// Starts the next iteration; its first event follows `previous_event_id`.
fn start_next(run: &mut Run<'_, '_>, id: FrameId, state: &State, previous_event_id: u64) -> Result<(), Failure> {
    let Activity::Map(open) = &mut run.position.frame_mut(id).activity else {
        unreachable!("only an open Map state starts iterations");
    };
    let item = MapItem { items: open.items.clone(), index: open.next };
    let index = item.index;
    open.next += 1;
    let details = Details::MapIteration { name: state.name.clone(), index: index as u64 };
    let started = run.record_after(previous_event_id, EventType::MapIterationStarted, details);
    let input = match select(run, id, state, &item) {
        Ok(input) => input,
        // Nothing catches it: the execution ends here.
        Err(failure) if !failure.catchable => return Err(failure),
        Err(failure) => {
            run.position.frame_mut(id).last_event_id = started;
            let failure = run.tell(id, state, failure);
            let details = Details::MapIteration { name: state.name.clone(), index: index as u64 };
            run.record_beside(id, EventType::MapIterationFailed, details);
            return Err(failure);
        }
    };
    run.start_child(id, Child { branch: 0, index, last_event_id: started, map_item: Some(item), input });
    Ok(())
}

/// The input of an iteration: what the `ItemSelector` gives, or else the item.
fn select(run: &mut Run<'_, '_>, id: FrameId, state: &State, item: &MapItem) -> Result<Payload, Failure> {
    let Some(selector) = &state.parameters else { return Payload::new(item.value().clone()) };
    run.context.set_map_item(Some(item));
    let input = data::effective_input(run, id, state)?;
    data::evaluate(run, id, state, selector, Sight::of(&input))
}

/// The items of a Map state: a JSON array.
#[derive(Debug, Clone)]
pub(crate) struct ItemList(Payload);

impl ItemList {
    /// `None` if it is no array.
    pub fn new(payload: Payload) -> Option<ItemList> {
        payload.value().is_array().then_some(ItemList(payload))
    }

    pub fn list(&self) -> &[Value] {
        self.0.value().as_array().map_or(&[], Vec::as_slice)
    }

    pub fn text(&self) -> &Arc<str> {
        self.0.text()
    }
}

/// The items to iterate over: what `ItemsPath` or `Items` finds, or else the state's input.
pub(crate) fn items(state: &State, map: &Map, input: &Payload, env: &mut asl::Env<'_>) -> Result<ItemList, Failure> {
    let path = match &map.items {
        Items::Path(path) => path,
        Items::Template(template) => {
            let items = template.evaluate_items(env);
            let items = items.map_err(|e| Failure::evaluation(&e, input.value(), &state.name))?;
            return Ok(ItemList(Payload::new(Value::Array(items))?));
        }
    };
    let found =
        if path.is_whole_input() { input.clone() } else { Payload::new(path.evaluate(env.scene)?.into_owned())? };
    let text = |found: &Payload| found.text().clone();
    ItemList::new(found.clone()).ok_or_else(|| match state.query_language {
        QueryLanguage::JsonPath => {
            Failure::runtime(format_args!("Reference path \"{}\" must point to array.", path.as_str()))
        }
        QueryLanguage::Jsonata => {
            Failure::query(format_args!("Map state input must be an array but was: {}", text(&found)))
        }
    })
}

/// Whether the items may differ when they are computed again.
fn may_vary(map: &Map) -> bool {
    /// What answers differently from time to time; however it is called, its name is in the text.
    const FICKLE: [&str; 6] = ["$now", "$millis", "$random", "$shuffle", "$uuid", "$eval"];
    let fickle = |text: &str| FICKLE.iter().any(|name| text.contains(name));
    match &map.items {
        Items::Path(_) => false,
        Items::Template(template) => template.any(&mut |part| match part {
            Part::Jsonata(expression) => fickle(expression.as_str()),
            Part::Expression(_) => false,
        }),
    }
}

/// A count, from where the definition says; `at` is the field from the state down.
pub(crate) fn count(
    run: &mut Run<'_, '_>,
    id: FrameId,
    state: &State,
    at: &str,
    count: &Count,
) -> Result<u64, Failure> {
    match count {
        Count::Literal(n) => Ok(*n),
        Count::Path(path) => {
            let input = data::effective_input(run, id, state)?;
            integer(at, path, path.evaluate(data::scene(run.position, run.context, id, &input))?)
        }
        Count::Jsonata(expression) => {
            let field = JsonataField::new(&at, expression);
            data::query(run, id, state, field, |field, env| field.integer(0..=u64::MAX, env))
        }
    }
}

/// What the path of a `...Path` field has found, as a count.
pub(crate) fn integer(at: &str, path: &ReferencePath, value: &Value) -> Result<u64, Failure> {
    let field = at.rsplit('/').next().unwrap_or(at);
    match whole(value) {
        Some(n) => u64::try_from(n).map_err(|_| match field {
            "MaxItems" => Failure::runtime("field MaxItems must be positive"),
            _ => Failure::runtime(format_args!("{field} cannot be negative.")),
        }),
        None => Err(Failure::runtime(format_args!(
            "The {field}Path field refers to value \"{}\" which is not a valid integer: {}",
            data::bare(value),
            path.as_str()
        ))),
    }
}

/// A whole number, or a string that is one: AWS takes both.
fn whole(value: &Value) -> Option<i128> {
    match value {
        Value::Number(n) => n.as_u64().map(i128::from).or_else(|| n.as_i64().map(i128::from)),
        Value::String(text) => text.parse::<i64>().ok().map(i128::from),
        _ => None,
    }
}

/// Tolerated failures count in distributed mode alone, but AWS refuses wrong ones in any.
fn tolerated_percentage(run: &mut Run<'_, '_>, id: FrameId, state: &State, map: &Map) -> Result<f64, Failure> {
    let percentage = match &map.tolerated_failure_percentage {
        None => return Ok(0.0),
        Some(Percentage::Literal(percentage)) => *percentage,
        Some(Percentage::Jsonata(expression)) => {
            let field = JsonataField::new(&"ToleratedFailurePercentage", expression);
            return data::query(run, id, state, field, |field, env| field.number(0.0..=100.0, env));
        }
        Some(Percentage::Path(path)) => {
            let input = data::effective_input(run, id, state)?;
            let value = path.evaluate(data::scene(run.position, run.context, id, &input))?;
            let number = value.as_f64().or_else(|| value.as_str()?.parse().ok());
            number.ok_or_else(|| {
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
    Ok(percentage)
}
