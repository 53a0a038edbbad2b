//! How data flows through a state: InputPath, Parameters, ResultSelector, ResultPath, OutputPath.

use asl::{ReferencePath, ResultPath, Selection, State, Template};
use serde_json::Value;

use crate::context::ContextObject;
use crate::failure::Failure;
use crate::frame::FrameId;
use crate::payload::Payload;
use crate::run::Run;

/// The state's input as `InputPath` leaves it.
pub(crate) fn effective_input(run: &Run<'_, '_>, id: FrameId, state: &State) -> Result<Payload, Failure> {
    select(run, &state.input_path, &run.position.frame(id).input)
}

/// What the state works on: `Parameters`, or else its effective input.
pub(crate) fn parameters(run: &mut Run<'_, '_>, id: FrameId, state: &State) -> Result<Payload, Failure> {
    let input = effective_input(run, id, state)?;
    match &state.parameters {
        None => Ok(input),
        Some(template) => evaluate(run, state, template, &input),
    }
}

/// The state's output, from its raw input and the result of its work.
pub(crate) fn output(run: &mut Run<'_, '_>, id: FrameId, state: &State, result: Payload) -> Result<Payload, Failure> {
    let result = match &state.result_selector {
        None => result,
        Some(template) => evaluate(run, state, template, &result)?,
    };
    let placed = match &state.result_path {
        ResultPath::Discard => run.position.frame(id).input.clone(),
        ResultPath::At(path) if path.is_whole_input() => result,
        ResultPath::At(path) => {
            // The raw input is moved, not copied; only a failure, which may be tried again, has to read it anew.
            let raw = std::mem::replace(&mut run.position.frame_mut(id).input, Payload::empty_object());
            let text = raw.text().clone();
            match path.insert(raw.into_value(), result.into_value()) {
                Ok(value) => Payload::new(value)?,
                Err(error) => {
                    run.position.frame_mut(id).input = Payload::stored(text).expect("a payload's text is its value");
                    return Err(error.into());
                }
            }
        }
    };
    select(run, &state.output_path, &placed)
}

/// `ResultPath`: the result's place in the raw input.
pub(crate) fn place_result(path: &ResultPath, raw: Payload, result: Payload) -> Result<Payload, Failure> {
    match path {
        ResultPath::Discard => Ok(raw),
        ResultPath::At(path) if path.is_whole_input() => Ok(result),
        ResultPath::At(path) => Payload::new(path.insert(raw.into_value(), result.into_value())?),
    }
}

/// `InputPath` or `OutputPath`.
pub(crate) fn select(run: &Run<'_, '_>, selection: &Selection, from: &Payload) -> Result<Payload, Failure> {
    select_from(run.context, selection, from)
}

/// The same outside a step.
pub(crate) fn select_from(context: &ContextObject, selection: &Selection, from: &Payload) -> Result<Payload, Failure> {
    match selection {
        Selection::Discard => Ok(Payload::empty_object()),
        Selection::Path(path) if path.is_whole_input() => Ok(from.clone()),
        Selection::Path(path) => {
            Payload::new(path.evaluate(asl::Scene::new(from.value(), context.value()))?.into_owned())
        }
    }
}

/// A payload template's value, no larger than a payload may be.
pub(crate) fn evaluate(
    run: &mut Run<'_, '_>,
    state: &State,
    template: &Template,
    input: &Payload,
) -> Result<Payload, Failure> {
    let mut env = env(input, run.context.value(), run.env);
    let value = template.evaluate(&mut env).map_err(|e| Failure::evaluation(&e, input.value(), &state.name))?;
    let payload = Payload::new(value)?;
    if payload.text().len() > run.env.limits.payload_bytes_max {
        return Err(Failure::state_data_too_large(&state.name));
    }
    Ok(payload)
}

/// What a template or expression is evaluated with.
pub(crate) fn env<'a>(input: &'a Payload, context: &'a Value, env: &'a mut crate::Env<'_>) -> asl::Env<'a> {
    asl::Env {
        scene: asl::Scene::new(input.value(), context),
        result: None,
        error_output: None,
        now: env.now,
        random: env.random,
    }
}

/// The value that a `...Path` field refers to.
pub(crate) fn refer<'v>(
    run: &'v Run<'_, '_>,
    path: &ReferencePath,
    field: &str,
    input: &'v Payload,
) -> Result<&'v Value, Failure> {
    path.evaluate(asl::Scene::new(input.value(), run.context.value())).map_err(|_| {
        Failure::runtime(format_args!("The {field} parameter does not reference an input value: {}", path.as_str()))
    })
}

/// The whole number of seconds that a `...SecondsPath` field refers to.
pub(crate) fn refer_to_seconds(
    run: &Run<'_, '_>,
    path: &ReferencePath,
    field: &str,
    input: &Payload,
) -> Result<u64, Failure> {
    let value = refer(run, path, field, input)?;
    if let Some(seconds) = value.as_u64() {
        return Ok(seconds);
    }
    let fault = if value.is_i64() { "references a negative value" } else { "cannot be parsed as a long value" };
    Err(Failure::runtime(format_args!("The {field} parameter {fault}: {} == {}", path.as_str(), bare(value))))
}

/// A value as causes quote it: a string without its quotes, all else as JSON.
pub(crate) fn bare(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
