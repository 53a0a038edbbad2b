use asl::{QueryLanguage, State};
use serde_json::Value;

use super::{Flow, data};
use crate::failure::Failure;
use crate::frame::FrameId;
use crate::payload::Payload;
use crate::run::{Run, next_of};

/// Gives `Result`, or else its parameters, or else its input; in JSONata its `Output`, or else its input.
pub(crate) fn execute(
    run: &mut Run<'_, '_>,
    id: FrameId,
    state: &State,
    result: Option<&Value>,
) -> Result<Flow, Failure> {
    if state.query_language == QueryLanguage::Jsonata {
        return data::pass_on(run, id, state, (state.assign.as_ref(), state.output.as_ref()), next_of(state));
    }
    let parameters = data::parameters(run, id, state)?;
    let result = match result {
        Some(result) => {
            // It may share the raw input, which is then moved instead of copied.
            drop(parameters);
            Payload::new(result.clone())?
        }
        None => parameters,
    };
    data::finish(run, id, state, result)
}
