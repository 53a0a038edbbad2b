//! What tasks come to: a pure function of the execution, the state, its parameters and the attempt, so that a run with
//! crashes must end as one without.

use std::sync::Arc;

use asl::{IntegrationPattern, ResourceKind};
use interp::{Input, RunTask};
use serde_json::json;

use crate::chance::hash;

/// What a function does with one attempt.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    Succeeds(Arc<str>),
    Fails {
        error: Arc<str>,
        cause: Arc<str>,
    },
    /// It hangs until it is timed out.
    Never,
}

impl Outcome {
    /// As the execution is told.
    pub fn input(&self, run: &RunTask) -> Option<Input> {
        match self.clone() {
            Outcome::Succeeds(output) => Some(Input::TaskSucceeded { task: run.task, output }),
            Outcome::Fails { error, cause } => {
                Some(Input::TaskFailed { task: run.task, error: Some(error), cause: Some(cause) })
            }
            Outcome::Never => None,
        }
    }
}

/// How a task is carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Function,
    /// A message to our own queue.
    Message,
    /// A message with a task token, which whoever reads it answers.
    MessageWithToken,
}

pub fn kind(run: &RunTask) -> Kind {
    match &run.resource.kind {
        ResourceKind::Integration(i) if i.service == "sqs" => match i.pattern {
            IntegrationPattern::WaitForTaskToken => Kind::MessageWithToken,
            _ => Kind::Message,
        },
        _ => Kind::Function,
    }
}

/// What our own queue answers, whatever number the message got.
pub fn message_answer() -> Arc<str> {
    r#"{"MessageId":"m"}"#.into()
}

/// States of this prefix hang at every attempt; the generator gives them a timeout.
pub const HANGING: &str = "Hang";

/// What the function, or the reader of the message, makes of an attempt.
pub fn of(seed: u64, execution: &str, run: &RunTask) -> Outcome {
    if run.state_name.starts_with(HANGING) {
        return Outcome::Never;
    }
    let parameters = if kind(run) == Kind::Function { &*run.parameters } else { "" };
    let attempt = run.retry_count.to_be_bytes();
    let dice =
        hash(&[&seed.to_be_bytes(), execution.as_bytes(), run.state_name.as_bytes(), parameters.as_bytes(), &attempt]);
    match dice % 10 {
        0 | 1 => Outcome::Fails {
            error: ["Custom.One", "Custom.Two", "Lambda.ServiceException"][(dice >> 8) as usize % 3].into(),
            cause: "as the dice fell".into(),
        },
        _ => Outcome::Succeeds(json!({"k": dice >> 8 & 7, "at": &*run.state_name}).to_string().into()),
    }
}
