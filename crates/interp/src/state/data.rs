//! How data flows through a state: in JSONPath InputPath, Parameters, ResultSelector, ResultPath and OutputPath, in
//! JSONata Arguments and Output, in both Assign.

use asl::{JsonataField, QueryLanguage, ReferencePath, ResultPath, Selection, State, Template};
use serde_json::Value;

use super::{Exit, Flow};
use crate::context::ContextObject;
use crate::failure::Failure;
use crate::frame::{FrameId, Position};
use crate::payload::Payload;
use crate::run::{Run, next_of};
use crate::variables::Assigned;

/// What an expression sees besides the context and the variables.
#[derive(Clone, Copy)]
pub(crate) struct Sight<'a> {
    /// `$`, or `$states.input`.
    pub input: &'a Payload,
    /// `$states.result`.
    pub result: Option<&'a Payload>,
    /// `$states.errorOutput`.
    pub error_output: Option<&'a Payload>,
}

impl<'a> Sight<'a> {
    /// Of a state before it has a result.
    pub fn of(input: &'a Payload) -> Sight<'a> {
        Sight { input, result: None, error_output: None }
    }
}

/// What expressions of a JSONPath state read, and a JSONata state works on: the input as `InputPath` leaves it.
pub(crate) fn effective_input(run: &Run<'_, '_>, id: FrameId, state: &State) -> Result<Payload, Failure> {
    select(run, id, &state.input_path, &run.position.frame(id).input)
}

/// What the state works on: `Parameters` or `Arguments`, or else its effective input.
pub(crate) fn parameters(run: &mut Run<'_, '_>, id: FrameId, state: &State) -> Result<Payload, Failure> {
    let input = effective_input(run, id, state)?;
    parameters_of(run, id, state, input)
}

/// The same of an effective input that is known.
pub(crate) fn parameters_of(
    run: &mut Run<'_, '_>,
    id: FrameId,
    state: &State,
    input: Payload,
) -> Result<Payload, Failure> {
    let parameters = match &state.parameters {
        None => input,
        Some(template) => evaluate(run, id, state, template, Sight::of(&input))?,
    };
    run.see(|seen| match (state.query_language, &state.parameters) {
        (QueryLanguage::JsonPath, _) => seen.after_parameters = Some(parameters.text().clone()),
        (QueryLanguage::Jsonata, Some(_)) => seen.after_arguments = Some(parameters.text().clone()),
        (QueryLanguage::Jsonata, None) => {}
    });
    Ok(parameters)
}

/// The end of a state that has a result of its own: of Task, Parallel, Map, and in JSONPath of Pass.
pub(crate) fn finish(run: &mut Run<'_, '_>, id: FrameId, state: &State, result: Payload) -> Result<Flow, Failure> {
    let next = next_of(state);
    run.see(|seen| seen.result = Some(result.text().clone()));
    if state.query_language == QueryLanguage::JsonPath {
        let assigned = assign(run, id, state, state.assign.as_ref(), Sight::of(&result))?;
        let output = json_path_output(run, id, state, result)?;
        return Ok(Flow::Exit(Exit { output, assigned, next }));
    }
    let input = run.position.frame(id).input.clone();
    let sight = Sight { result: Some(&result), ..Sight::of(&input) };
    let assigned = assign(run, id, state, state.assign.as_ref(), sight)?;
    let output = match &state.output {
        None => result,
        Some(template) => evaluate(run, id, state, template, sight)?,
    };
    Ok(Flow::Exit(Exit { output, assigned, next }))
}

/// The end of a state, or of a rule of a Choice state, that only hands its input on.
pub(crate) fn pass_on(
    run: &mut Run<'_, '_>,
    id: FrameId,
    state: &State,
    (template, output): (Option<&Template>, Option<&Template>),
    next: Option<asl::Name>,
) -> Result<Flow, Failure> {
    let input = effective_input(run, id, state)?;
    let assigned = assign(run, id, state, template, Sight::of(&input))?;
    let output = match output {
        Some(template) => evaluate(run, id, state, template, Sight::of(&input))?,
        None => select(run, id, &state.output_path, &input)?,
    };
    Ok(Flow::Exit(Exit { output, assigned, next }))
}

/// What `Assign` gives.
pub(crate) fn assign(
    run: &mut Run<'_, '_>,
    id: FrameId,
    state: &State,
    template: Option<&Template>,
    sight: Sight<'_>,
) -> Result<Assigned, Failure> {
    let Some(template) = template else { return Ok(Assigned::default()) };
    let value = with_env(run, id, sight, |env| template.evaluate(env));
    Assigned::new(value.map_err(|e| Failure::evaluation(&e, sight.input.value(), &state.name))?)
}

/// The output of a JSONPath state, from its raw input and the result of its work.
fn json_path_output(run: &mut Run<'_, '_>, id: FrameId, state: &State, result: Payload) -> Result<Payload, Failure> {
    let result = match &state.result_selector {
        None => result,
        Some(template) => evaluate(run, id, state, template, Sight::of(&result))?,
    };
    run.see(|seen| seen.after_result_selector = Some(result.text().clone()));
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
    run.see(|seen| seen.after_result_path = Some(placed.text().clone()));
    select(run, id, &state.output_path, &placed)
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
fn select(run: &Run<'_, '_>, id: FrameId, selection: &Selection, from: &Payload) -> Result<Payload, Failure> {
    select_from(scene(run.position, run.context, id, from), selection, from)
}

/// The same outside a step.
pub(crate) fn select_from(scene: asl::Scene<'_>, selection: &Selection, from: &Payload) -> Result<Payload, Failure> {
    match selection {
        Selection::Discard => Ok(Payload::empty_object()),
        Selection::Path(path) if path.is_whole_input() => Ok(from.clone()),
        Selection::Path(path) => Payload::new(path.evaluate(scene)?.into_owned()),
    }
}

/// A template's value, no larger than a payload may be.
pub(crate) fn evaluate(
    run: &mut Run<'_, '_>,
    id: FrameId,
    state: &State,
    template: &Template,
    sight: Sight<'_>,
) -> Result<Payload, Failure> {
    let value = with_env(run, id, sight, |env| template.evaluate(env));
    let payload = Payload::new(value.map_err(|e| Failure::evaluation(&e, sight.input.value(), &state.name))?)?;
    if payload.text().len() > run.env.limits.payload_bytes_max {
        return Err(Failure::state_data_too_large(&state.name));
    }
    Ok(payload)
}

/// The value of a field that is one JSONata expression, as `take` wants it.
pub(crate) fn query<'f, T>(
    run: &mut Run<'_, '_>,
    id: FrameId,
    state: &State,
    field: JsonataField<'f>,
    take: impl FnOnce(JsonataField<'f>, &mut asl::Env<'_>) -> Result<T, asl::EvalError>,
) -> Result<T, Failure> {
    let input = run.position.frame(id).input.clone();
    let value = with_env(run, id, Sight::of(&input), |env| take(field, env));
    value.map_err(|e| Failure::evaluation(&e, input.value(), &state.name))
}

/// Calls `evaluate` with what an expression of the frame's state reads.
pub(crate) fn with_env<T>(
    run: &mut Run<'_, '_>,
    id: FrameId,
    sight: Sight<'_>,
    evaluate: impl FnOnce(&mut asl::Env<'_>) -> T,
) -> T {
    evaluate(&mut asl::Env {
        scene: scene(run.position, run.context, id, sight.input),
        result: sight.result.map(Payload::value),
        error_output: sight.error_output.map(Payload::value),
        now: run.env.now,
        random: run.env.random,
    })
}

/// What paths of the frame's state start from.
pub(crate) fn scene<'v>(
    position: &'v Position,
    context: &'v ContextObject,
    id: FrameId,
    input: &'v Payload,
) -> asl::Scene<'v> {
    asl::Scene { input: input.value(), context: context.value(), variables: position.frame(id).variables.visible() }
}

/// The value that a `...Path` field refers to.
pub(crate) fn refer<'v>(
    run: &'v Run<'_, '_>,
    id: FrameId,
    path: &ReferencePath,
    field: &str,
    input: &'v Payload,
) -> Result<&'v Value, Failure> {
    path.evaluate(scene(run.position, run.context, id, input)).map_err(|_| {
        Failure::runtime(format_args!("The {field} parameter does not reference an input value: {}", path.as_str()))
    })
}

/// The whole number of seconds that a `...SecondsPath` field refers to.
pub(crate) fn refer_to_seconds(
    run: &Run<'_, '_>,
    id: FrameId,
    path: &ReferencePath,
    field: &str,
    input: &Payload,
) -> Result<u64, Failure> {
    let value = refer(run, id, path, field, input)?;
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
