//! An execution that did not succeed goes on where it failed.
//!
//! <https://docs.aws.amazon.com/step-functions/latest/dg/redrive-executions.html>

use std::time::Duration;

use asl::StateKind;

use crate::frame::{Activity, Frame, FrameId, Position};
use crate::run::Run;
use crate::{Details, EventType, Execution, ExecutionStatus};

impl Execution {
    /// Whether [`crate::Input::Redrive`] can bring it back: it ended without success, and cut no Map Run, whose children
    /// are not the interpreter's.
    pub fn is_redrivable(&self) -> bool {
        let ended = !matches!(self.position.status, ExecutionStatus::Running | ExecutionStatus::Succeeded);
        ended && self.position.started && !self.position.map_run_cut
    }
}

impl Activity {
    /// What is to be done again of it when the execution is redriven.
    fn halted(self) -> Activity {
        match self {
            Activity::Task(_) | Activity::Wait(_) | Activity::Backoff(_) | Activity::MapRun(_) => Activity::Execute,
            other => other,
        }
    }
}

impl Position {
    /// Keeps what a redrive starts from: the frames that did not come to their end.
    pub fn halt(&mut self, frames: impl IntoIterator<Item = (FrameId, Frame)>) {
        for (id, frame) in frames {
            let activity = frame.activity.halted();
            self.insert(id, Frame { activity, ..frame });
        }
        let without_children = self.frames.iter().filter(|(id, frame)| {
            let scopes = matches!(frame.activity, Activity::Parallel(_) | Activity::Map(_));
            scopes && !self.frames.values().any(|other| other.parent == Some(**id))
        });
        // Such a state failed by itself, with what its branches or iterations gave: all of them run again.
        for id in without_children.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.frame_mut(id).activity = Activity::Execute;
        }
        let to_do = self.frames.iter().filter(|(_, f)| matches!(f.activity, Activity::Enter | Activity::Execute));
        self.ready = to_do.map(|(id, _)| *id).collect();
    }
}

/// Goes on with what was cut: attempts count anew, and the state machine's own time too.
pub(crate) fn redrive(run: &mut Run<'_, '_>) -> bool {
    run.position.status = ExecutionStatus::Running;
    let details = Details::Redriven { redrive_count: run.info.redrive_count };
    let redriven = run.record_after(run.position.last_event_id, EventType::ExecutionRedriven, details);
    if let Some(seconds) = run.machine.timeout_seconds {
        let at = run.env.now + Duration::from_secs(seconds);
        run.position.execution_timer = Some(run.start_timer(None, at));
    }
    if run.position.frames.is_empty() {
        run.begin();
        return true;
    }
    for id in run.position.frames.keys().copied().collect::<Vec<_>>() {
        let fails = matches!(run.state(id).kind, StateKind::Fail(_));
        let frame = run.position.frame_mut(id);
        frame.retry_count = 0;
        frame.retrier_attempts.clear();
        if matches!(frame.activity, Activity::Enter | Activity::Execute) {
            frame.last_event_id = redriven;
        }
        if fails {
            frame.activity = Activity::Enter;
        }
    }
    true
}
