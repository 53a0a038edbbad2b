//! CloudFormation's API operations, in the member names of AWS's model.

mod change_sets;
mod describe;
mod exports;
mod input;
mod pages;
mod stacks;
mod template_url;
mod templates;
#[cfg(test)]
mod tests;

use std::future::Future;

use serde::de::DeserializeOwned;
use serde_json::Value;
use service::{Call, Fault, Service};

use crate::Deployer;

/// The service id under which the operations are registered.
pub const SERVICE_ID: &str = "cloudformation";

struct Adder<'a> {
    service: &'a mut Service,
    deployer: &'a Deployer,
}

impl Adder<'_> {
    fn operation<In, Fut, F>(&mut self, name: &'static str, run: F)
    where
        F: Fn(Deployer, Call, In) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Value, Fault>> + Send + 'static,
        In: DeserializeOwned + Send + 'static,
    {
        let deployer = self.deployer.clone();
        self.service.operation(name, move |call, input| run(deployer.clone(), call, input));
    }
}

impl Deployer {
    /// The operations, for the registry.
    pub fn service(&self) -> Service {
        let mut service = Service::new(SERVICE_ID);
        let mut add = Adder { service: &mut service, deployer: self };
        stacks::add(&mut add);
        change_sets::add(&mut add);
        describe::add(&mut add);
        templates::add(&mut add);
        exports::add(&mut add);
        service
    }
}

/// An answer without the members that have no value.
fn compact(mut value: Value) -> Value {
    if let Some(members) = value.as_object_mut() {
        members.retain(|_, v| !v.is_null());
    }
    value
}

/// Milliseconds as answers carry time.
fn seconds(millis: i64) -> f64 {
    base::Timestamp::from_millis(millis).as_seconds_f64()
}
