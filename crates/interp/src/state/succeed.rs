use asl::State;

use super::{Flow, data};
use crate::failure::Failure;
use crate::frame::FrameId;
use crate::run::Run;

/// Ends the scope.
pub(crate) fn execute(run: &mut Run<'_, '_>, id: FrameId, state: &State) -> Result<Flow, Failure> {
    data::pass_on(run, id, state, (None, state.output.as_ref()), None)
}
