//! The operations in the shapes of AWS's service model.

mod message;
mod queue;
mod task;

use std::future::Future;

use serde::Serialize;
use serde::de::DeserializeOwned;
use service::{Call, Fault, Service};

use crate::{QueueName, Queues, fault};

/// An operation without output.
#[derive(Serialize)]
pub(crate) struct Nothing {}

/// The queue that a `QueueUrl` names.
fn named(url: Option<String>, call: &Call) -> Result<QueueName, Fault> {
    QueueName::from_url(&url.ok_or_else(|| fault::missing_parameter("QueueUrl"))?, call)
}

fn required<T>(value: Option<T>, name: &str) -> Result<T, Fault> {
    value.ok_or_else(|| fault::missing_parameter(name))
}

/// A number within bounds, or AWS's words about it.
fn between(value: Option<i64>, name: &str, min: i64, max: i64, reason: &str) -> Result<Option<u32>, Fault> {
    match value {
        None => Ok(None),
        Some(n) if (min..=max).contains(&n) => Ok(u32::try_from(n).ok()),
        Some(n) => Err(fault::invalid_value(n, name, reason)),
    }
}

pub(crate) fn service(queues: &Queues) -> Service {
    let mut service = Service::new("sqs");
    let mut register = Register { queues, service: &mut service };
    queue::register(&mut register);
    message::register(&mut register);
    task::register(&mut register);
    service
}

/// Registers functions that take the service as their first argument.
struct Register<'a> {
    queues: &'a Queues,
    service: &'a mut Service,
}

impl Register<'_> {
    fn add<In, Out, Fut>(&mut self, name: &'static str, run: fn(Queues, Call, In) -> Fut)
    where
        Fut: Future<Output = Result<Out, Fault>> + Send + 'static,
        In: DeserializeOwned + Send + 'static,
        Out: Serialize + Send + 'static,
    {
        let queues = self.queues.clone();
        self.service.operation(name, move |call, input: In| run(queues.clone(), call, input));
    }
}
