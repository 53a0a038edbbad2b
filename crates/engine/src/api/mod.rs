//! The operations of Step Functions.
//!
//! <https://docs.aws.amazon.com/step-functions/latest/apireference/API_Operations.html>

mod activities;
mod executions;
mod history;
mod machines;
mod page;

use std::future::Future;

use serde::Serialize;
use serde::de::DeserializeOwned;
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
        executions::add(&mut add);
        activities::add(&mut add);
        service
    }
}

/// Registers functions that take the engine as their first argument.
struct Adder<'a> {
    service: &'a mut Service,
    engine: &'a Engine,
}

impl Adder<'_> {
    fn operation<In, Out, Fut>(&mut self, name: &'static str, run: fn(std::sync::Arc<Inner>, Call, In) -> Fut)
    where
        In: DeserializeOwned + Send + 'static,
        Out: Serialize + Send + 'static,
        Fut: Future<Output = Result<Out, Fault>> + Send + 'static,
    {
        let inner = self.engine.inner.clone();
        self.service.operation(name, move |call: Call, input: In| run(inner.clone(), call, input));
    }
}

/// An empty answer.
#[derive(Serialize)]
struct Empty {}

/// The Standard execution that an ARN names.
pub(crate) fn execution_id(store: &dyn Store, arn: &str) -> Result<ExecutionId, Fault> {
    let express = arn.split(':').nth(5) == Some("express");
    if express {
        return Err(fault::type_not_supported());
    }
    let (parsed, parts) = fault::parse_arn(arn, "execution")?;
    let [machine, name] = &parts[..] else {
        return Err(Fault::client("InvalidArn", format!("Invalid Arn: 'Invalid ARN: {arn}'")));
    };
    let found = execution::find(store, &parsed.scope(), machine, name).map_err(fault::from_store)?;
    found.ok_or_else(|| fault::execution_does_not_exist(arn))
}
