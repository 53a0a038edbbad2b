use asl::State;

use super::{Flow, data};
use crate::failure::Failure;
use crate::frame::FrameId;
use crate::run::Run;

/// Ends the scope.
pub(crate) fn execute(run: &mut Run<'_, '_>, id: FrameId, state: &State) -> Result<Flow, Failure> {
    let input = data::effective_input(run, id, state)?;
    Ok(Flow::Exit { output: data::select(run, &state.output_path, &input)?, next: None })
}
