use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{Call, Fault};

/// What an erased operation returns.
pub type OperationFuture<T> = Pin<Box<dyn Future<Output = Result<T, Fault>> + Send>>;

/// One operation, callable with JSON text (from the wire) or with a JSON value (from within).
trait Operation: Send + Sync {
    fn call_text(&self, call: Call, input: Bytes) -> OperationFuture<Vec<u8>>;
    fn call_value(&self, call: Call, input: Value) -> OperationFuture<Value>;
}

struct Typed<F> {
    run: F,
}

impl<F, In, Out, Fut, E> Operation for Typed<(F, std::marker::PhantomData<fn(In) -> (Out, E)>)>
where
    F: Fn(Call, In) -> Fut + Send + Sync,
    Fut: Future<Output = Result<Out, E>> + Send + 'static,
    In: DeserializeOwned + Send + 'static,
    Out: Serialize + Send + 'static,
    E: Into<Fault> + Send + 'static,
{
    fn call_text(&self, call: Call, input: Bytes) -> OperationFuture<Vec<u8>> {
        let text: &[u8] = if input.is_empty() { b"{}" } else { &input };
        match serde_json::from_slice::<In>(text) {
            Ok(input) => {
                let run = (self.run.0)(call, input);
                Box::pin(async move { serde_json::to_vec(&run.await.map_err(Into::into)?).map_err(unwritable) })
            }
            Err(error) => Box::pin(std::future::ready(Err(unreadable(&error)))),
        }
    }

    fn call_value(&self, call: Call, input: Value) -> OperationFuture<Value> {
        match serde_json::from_value::<In>(input) {
            Ok(input) => {
                let run = (self.run.0)(call, input);
                Box::pin(async move { serde_json::to_value(run.await.map_err(Into::into)?).map_err(unwritable) })
            }
            Err(error) => Box::pin(std::future::ready(Err(unreadable(&error)))),
        }
    }
}

fn unreadable(error: &serde_json::Error) -> Fault {
    if error.is_data() && error.to_string().starts_with("missing field") {
        return Fault::validation(format!("1 validation error detected: {error}"));
    }
    Fault::client("SerializationException", error.to_string())
}

#[allow(clippy::needless_pass_by_value)]
fn unwritable(error: serde_json::Error) -> Fault {
    Fault::internal(format!("write the answer: {error}"))
}

/// One service's operations by name.
pub struct Service {
    id: &'static str,
    operations: BTreeMap<&'static str, Box<dyn Operation>>,
}

impl Service {
    /// `id` is the service's name in signatures and integrations, lower case: `sqs`, `dynamodb`, `states`, `lambda`.
    pub fn new(id: &'static str) -> Service {
        Service { id, operations: BTreeMap::new() }
    }

    /// Registers `run` under AWS's operation name.
    ///
    /// # Panics
    /// If the name is taken: two functions for one operation is a mistake of ours.
    pub fn operation<F, In, Out, Fut, E>(&mut self, name: &'static str, run: F) -> &mut Service
    where
        F: Fn(Call, In) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Out, E>> + Send + 'static,
        In: DeserializeOwned + Send + 'static,
        Out: Serialize + Send + 'static,
        E: Into<Fault> + Send + 'static,
    {
        let typed = Typed { run: (run, std::marker::PhantomData) };
        let old = self.operations.insert(name, Box::new(typed));
        assert!(old.is_none(), "operation {}:{name} registered twice", self.id);
        self
    }
}

/// All operations of all services.
#[derive(Default, Clone)]
pub struct Registry {
    services: BTreeMap<&'static str, Arc<Service>>,
}

impl Registry {
    pub fn new() -> Registry {
        Registry::default()
    }

    /// Adds a service whose operations are complete.
    ///
    /// # Panics
    /// If a service of that id is there already.
    pub fn add(&mut self, service: Service) {
        let old = self.services.insert(service.id, Arc::new(service));
        assert!(old.is_none(), "a service is registered twice");
    }

    pub fn has_service(&self, service: &str) -> bool {
        self.services.contains_key(service)
    }

    pub fn has_operation(&self, service: &str, operation: &str) -> bool {
        self.services.get(service).is_some_and(|s| s.operations.contains_key(operation))
    }

    /// Every `(service, operation)`, in order.
    pub fn operations(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        self.services.values().flat_map(|s| s.operations.keys().map(|o| (s.id, *o)))
    }

    /// Calls with JSON text; an unknown name answers `UnknownOperationException`.
    pub fn call_text(&self, service: &str, operation: &str, call: Call, input: Bytes) -> OperationFuture<Vec<u8>> {
        match self.find(service, operation) {
            Ok(found) => found.call_text(call, input),
            Err(fault) => Box::pin(std::future::ready(Err(fault))),
        }
    }

    /// Calls with a JSON value, for callers in the same process.
    pub fn call_value(&self, service: &str, operation: &str, call: Call, input: Value) -> OperationFuture<Value> {
        match self.find(service, operation) {
            Ok(found) => found.call_value(call, input),
            Err(fault) => Box::pin(std::future::ready(Err(fault))),
        }
    }

    fn find(&self, service: &str, operation: &str) -> Result<&dyn Operation, Fault> {
        self.services.get(service).and_then(|s| s.operations.get(operation)).map(|o| &**o).ok_or_else(|| {
            Fault::client(
                "UnknownOperationException",
                format!("operation {operation} of service {service} is not supported; COMPAT.md lists what is"),
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::Scope;
    use serde::Deserialize;
    use serde_json::json;

    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct AddInput {
        left: i64,
        right: i64,
    }

    #[derive(Serialize)]
    #[serde(rename_all = "PascalCase")]
    struct AddOutput {
        sum: i64,
    }

    async fn add(_: Call, input: AddInput) -> Result<AddOutput, Fault> {
        let sum = input.left.checked_add(input.right).ok_or_else(|| Fault::client("Overflow", "too large"))?;
        Ok(AddOutput { sum })
    }

    fn registry() -> Registry {
        let mut service = Service::new("sums");
        service.operation("Add", add);
        let mut registry = Registry::new();
        registry.add(service);
        registry
    }

    fn call() -> Call {
        Call::internal(Scope::default(), "r-1", "tester")
    }

    #[test]
    fn text_and_value_reach_the_same_function() {
        let registry = registry();
        let text = registry.call_text("sums", "Add", call(), Bytes::from_static(br#"{"Left":1,"Right":2}"#));
        assert_eq!(futures::executor::block_on(text).unwrap(), br#"{"Sum":3}"#);
        let value = registry.call_value("sums", "Add", call(), json!({"Left": 40, "Right": 2}));
        assert_eq!(futures::executor::block_on(value).unwrap(), json!({"Sum": 42}));
    }

    #[test]
    fn faults_have_aws_codes() {
        let registry = registry();
        let code = |input: Value, name: &str| {
            futures::executor::block_on(registry.call_value("sums", name, call(), input)).unwrap_err().code
        };
        assert_eq!(code(json!({"Left": 1}), "Add"), "ValidationException");
        assert_eq!(code(json!({"Left": 1, "Right": "x"}), "Add"), "SerializationException");
        assert_eq!(code(json!({"Left": i64::MAX, "Right": 1}), "Add"), "Overflow");
        assert_eq!(code(json!({}), "Sub"), "UnknownOperationException");
    }
}
