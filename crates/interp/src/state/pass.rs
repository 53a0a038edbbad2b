use asl::State;
use serde_json::Value;

use super::{Flow, data};
use crate::failure::Failure;
use crate::frame::FrameId;
use crate::payload::Payload;
use crate::run::{Run, next_of};

/// Gives `Result`, or else its parameters, or else its input.
pub(crate) fn execute(
    run: &mut Run<'_, '_>,
    id: FrameId,
    state: &State,
    result: Option<&Value>,
) -> Result<Flow, Failure> {
    let parameters = data::parameters(run, id, state)?;
    let result = match result {
        Some(result) => {
            // It may share the raw input, which is then moved instead of copied.
            drop(parameters);
            Payload::new(result.clone())?
        }
        None => parameters,
    };
    Ok(Flow::Exit { output: data::output(run, id, state, result)?, next: next_of(state) })
}
