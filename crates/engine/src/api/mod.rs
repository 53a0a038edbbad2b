//! The operations of Step Functions.
//!
//! <https://docs.aws.amazon.com/step-functions/latest/apireference/API_Operations.html>

mod activities;
mod aliases;
mod constraints;
mod executions;
mod history;
mod list;
mod machines;
mod map_runs;
mod page;
mod tags;
mod target;
mod test_state;
mod validate;
mod versions;

#[cfg(test)]
mod tests;

use std::future::Future;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use service::{Call, Fault, Service};
use store::Store;

use crate::engine::{Engine, Inner};
use crate::keys::ExecutionId;
use crate::{execution, fault};

impl Engine {
    /// The service `states`.
    pub fn service(&self) -> Service {
        let mut service = Service::new("states");
        let mut add = Adder { service: &mut service, engine: self };
        machines::add(&mut add);
        versions::add(&mut add);
        aliases::add(&mut add);
        tags::add(&mut add);
        validate::add(&mut add);
        executions::add(&mut add);
        test_state::add(&mut add);
        map_runs::add(&mut add);
        activities::add(&mut add);
        service
    }
}

/// Registers functions that take the engine as their first argument, behind the constraints of AWS's model.
struct Adder<'a> {
    service: &'a mut Service,
    engine: &'a Engine,
}

impl Adder<'_> {
    fn operation<In, Out, Fut>(&mut self, name: &'static str, run: fn(Arc<Inner>, Call, In) -> Fut)
    where
        In: DeserializeOwned + Send + 'static,
        Out: Serialize + Send + 'static,
        Fut: Future<Output = Result<Out, Fault>> + Send + 'static,
    {
        let inner = self.engine.inner.clone();
        let rules = constraints::rules(name);
        let bounds = constraints::Bounds {
            payload_bytes_max: inner.options.standard_limits.payload_bytes_max,
            definition_bytes_max: inner.options.definition_bytes_max,
        };
        self.service.operation(name, move |call: Call, input: Value| {
            let input = constraints::check(&rules, &input, bounds).and_then(|()| decode::<In>(input));
            let inner = inner.clone();
            async move { run(inner, call, input?).await }
        });
    }
}

/// A member that is null is not there.
fn decode<In: DeserializeOwned>(mut input: Value) -> Result<In, Fault> {
    if let Value::Object(members) = &mut input {
        members.retain(|_, value| !value.is_null());
    }
    serde_json::from_value(input).map_err(|error| Fault::client("SerializationException", error.to_string()))
}

pub(crate) use executions::uuid_of;

/// An empty answer.
#[derive(Serialize)]
struct Empty {}

/// The Standard execution that an ARN names.
pub(crate) fn execution_id(store: &dyn Store, arn: &str) -> Result<ExecutionId, Fault> {
    let (parsed, parts) = fault::parse_arn(arn, "execution")?;
    let [machine, name] = &parts[..] else {
        return Err(Fault::client("InvalidArn", format!("Invalid Arn: 'Invalid ARN: {arn}'")));
    };
    let found = execution::find(store, &parsed.scope(), machine, name).map_err(fault::from_store)?;
    found.ok_or_else(|| fault::execution_does_not_exist(arn))
}
