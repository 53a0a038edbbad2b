//! The operations in the shapes of AWS's service model.

mod event;
mod group;
mod stream;

use std::future::Future;

use serde::Serialize;
use serde::de::DeserializeOwned;
use service::{Call, Fault, Service};

use crate::{Logs, fault};

/// An operation without output.
#[derive(Serialize)]
pub(crate) struct Nothing {}

fn required<T>(value: Option<T>, member: &str) -> Result<T, Fault> {
    value.ok_or_else(|| fault::missing(member))
}

/// A page's size within AWS's bounds.
fn limit(value: Option<i64>, max: i64, default: i64) -> Result<usize, Fault> {
    match value.unwrap_or(default) {
        n if n > max => {
            let constraint = format!("Member must have value less than or equal to {max}");
            Err(fault::constraint(n, "limit", &constraint))
        }
        n if n < 1 => Err(fault::constraint(n, "limit", "Member must have value greater than or equal to 1")),
        n => Ok(n as usize),
    }
}

pub(crate) fn service(logs: &Logs) -> Service {
    let mut service = Service::new("logs");
    let mut register = Register { logs, service: &mut service };
    group::register(&mut register);
    stream::register(&mut register);
    event::register(&mut register);
    service
}

/// Registers functions that take the service as their first argument.
struct Register<'a> {
    logs: &'a Logs,
    service: &'a mut Service,
}

impl Register<'_> {
    fn add<In, Out, Fut>(&mut self, name: &'static str, run: fn(Logs, Call, In) -> Fut)
    where
        Fut: Future<Output = Result<Out, Fault>> + Send + 'static,
        In: DeserializeOwned + Send + 'static,
        Out: Serialize + Send + 'static,
    {
        let logs = self.logs.clone();
        self.service.operation(name, move |call, input: In| run(logs.clone(), call, input));
    }
}
