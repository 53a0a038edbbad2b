use std::sync::Arc;

use asl::{IntegrationPattern, ResourceKind};
use interp::Input as Told;

use super::{Dispatcher, TaskError};
use crate::execution::Job;
use crate::mock::Mocked;

impl Dispatcher {
    /// The mocked answer to a job, if the execution runs a test case that names its state.
    pub(super) fn mocked(&self, job: &Job) -> Option<Mocked> {
        let case = job.test_case.as_ref()?;
        self.mocks.get()?.next(case, job.id, &job.task.state_name)
    }

    /// Answers as the service would have, with the events that it would have left.
    pub(super) async fn answer_mocked(self: Arc<Self>, job: Job, answer: Mocked) {
        match answer {
            Mocked::Return(output) => {
                let waits = match &job.task.resource.kind {
                    ResourceKind::Integration(i) => i.pattern != IntegrationPattern::RequestResponse,
                    _ => false,
                };
                if waits {
                    self.tell(job.id, Told::TaskSubmitted { task: job.task.task, output: output.clone() }).await;
                }
                self.tell_result(&job, Ok(output.to_string())).await;
            }
            Mocked::Throw { error, cause } => {
                self.tell_failure(&job, TaskError { error: error.to_string(), cause: cause.to_string() }).await;
            }
        }
    }
}
