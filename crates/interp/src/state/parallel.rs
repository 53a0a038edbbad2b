use asl::State;
use serde_json::Value;

use super::{Flow, data};
use crate::failure::Failure;
use crate::frame::{Activity, Frame, FrameId, OpenParallel};
use crate::payload::Payload;
use crate::run::{Child, Run};
use crate::{Details, EventType};

/// Starts all branches.
pub(crate) fn execute(run: &mut Run<'_, '_>, id: FrameId, state: &State, branches: usize) -> Result<Flow, Failure> {
    let input = data::parameters(run, id, state)?;
    if let Some(mocked) = run.mocked(id, state) {
        return mocked;
    }
    let started = run.record(id, EventType::ParallelStateStarted, Details::None);
    run.position.frame_mut(id).activity = Activity::Parallel(OpenParallel { outputs: vec![None; branches] });
    for branch in 0..branches {
        let child = Child { branch, index: branch, last_event_id: started, map_item: None, input: input.clone() };
        run.start_child(id, child);
    }
    Ok(Flow::Open)
}

/// A branch is done; with the last one, so is the state.
pub(crate) fn branch_ended(
    run: &mut Run<'_, '_>,
    id: FrameId,
    state: &State,
    branch: &Frame,
    output: Payload,
) -> Result<Flow, Failure> {
    let frame = run.position.frame_mut(id);
    let Activity::Parallel(open) = &mut frame.activity else {
        unreachable!("a branch runs below a Parallel state only");
    };
    open.outputs[branch.index] = Some(output);
    if open.outputs.iter().any(Option::is_none) {
        return Ok(Flow::Open);
    }
    let outputs = std::mem::take(&mut open.outputs);
    frame.last_event_id = branch.last_event_id;
    run.record_beside(id, EventType::ParallelStateSucceeded, Details::None);
    let result = Value::Array(outputs.into_iter().flatten().map(Payload::into_value).collect());
    data::finish(run, id, state, Payload::new(result)?)
}
