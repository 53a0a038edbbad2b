use std::sync::Arc;

use asl::{Fail, JsonataField, State, TextSource};
use serde_json::Value;

use super::{Flow, data};
use crate::failure::Failure;
use crate::frame::FrameId;
use crate::run::Run;

/// Fails the scope.
pub(crate) fn execute(run: &mut Run<'_, '_>, id: FrameId, state: &State, fail: &Fail) -> Result<Flow, Failure> {
    let error = text(run, id, state, "Error", fail.error.as_ref())?;
    let cause = text(run, id, state, "Cause", fail.cause.as_ref())?;
    Err(Failure::reported(error, cause))
}

fn text(
    run: &mut Run<'_, '_>,
    id: FrameId,
    state: &State,
    field: &str,
    source: Option<&TextSource>,
) -> Result<Option<Arc<str>>, Failure> {
    let expression = match source {
        None => return Ok(None),
        Some(TextSource::Literal(text)) => return Ok(Some(text.as_str().into())),
        Some(TextSource::Expression(expression)) => expression,
        Some(TextSource::Jsonata(expression)) => {
            let text = data::query(run, id, state, JsonataField::new(&field, expression), JsonataField::text)?;
            return Ok(Some(text.into()));
        }
    };
    let input = run.position.frame(id).input.clone();
    let path_field = format!("{field}Path");
    let value = data::with_env(run, id, data::Sight::of(&input), |env| expression.evaluate(&path_field, env))
        .map_err(|e| Failure { catchable: false, ..Failure::evaluation(&e, input.value(), &state.name) })?;
    match value {
        Value::String(text) => Ok(Some(text.into())),
        other => Err(Failure::runtime(format_args!(
            "The {path_field} parameter does not reference a string value: {} == {other}",
            expression.as_str()
        ))),
    }
}
