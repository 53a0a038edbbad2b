use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use base::{Clock, Entropy};
use cell::{Cell, CellError, CellOptions};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use service::{Call, Fault, Registry, Service};
use store::{Error, Store};
use tokio::sync::SetOnce;
use tracing::warn;

use crate::connection;
use crate::owner::{Answer, CELL, Delivery, Input, Outside, Owner};
use crate::record::Change;

/// Who Secrets Manager is called as.
const PRINCIPAL: &str = "events.amazonaws.com";
const RETRY_PAUSE_MS_MAX: u64 = 5_000;

/// The running service. Clones are the same.
#[derive(Clone)]
pub struct Events {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub store: Arc<dyn Store>,
    pub clock: Arc<dyn Clock>,
    pub entropy: Arc<Entropy>,
    /// Set when the cell has started: what it tells at its start waits for it.
    cell: SetOnce<Cell<Input>>,
    registry: SetOnce<Registry>,
}

impl Events {
    /// Claims the cell `events/0` and starts its loop on the current runtime.
    pub async fn start(store: Arc<dyn Store>, clock: Arc<dyn Clock>, entropy: Arc<Entropy>) -> Result<Events, Error> {
        let inner = Arc::new(Inner {
            store: store.clone(),
            clock: clock.clone(),
            entropy,
            cell: SetOnce::new(),
            registry: SetOnce::new(),
        });
        // The cell does not keep the service alive.
        let told = Arc::downgrade(&inner);
        let outside: Outside = Arc::new(move |delivery| {
            if let Some(inner) = told.upgrade() {
                tokio::spawn(async move { deliver(&inner, delivery).await });
            }
        });
        let cell = Cell::start(CELL, Owner::new(outside), store, clock, CellOptions::default()).await?;
        let _ = inner.cell.set(cell);
        Ok(Events { inner })
    }

    /// Gives the service what it calls: Secrets Manager. Until then changes wait.
    pub fn set_registry(&self, registry: Registry) {
        // The first one stays.
        let _ = self.inner.registry.set(registry);
    }

    /// The service `events`.
    pub fn service(&self) -> Service {
        let mut operations = Operations { service: Service::new("events"), inner: self.inner.clone() };
        connection::register(&mut operations);
        operations.service
    }
}

/// Registers functions that take the service as their first argument.
pub(crate) struct Operations {
    service: Service,
    inner: Arc<Inner>,
}

impl Operations {
    pub fn add<In, Out, Fut>(&mut self, name: &'static str, run: fn(Arc<Inner>, Call, In) -> Fut)
    where
        In: DeserializeOwned + Send + 'static,
        Out: Serialize + Send + 'static,
        Fut: Future<Output = Result<Out, Fault>> + Send + 'static,
    {
        let inner = self.inner.clone();
        self.service.operation(name, move |call: Call, input: In| run(inner.clone(), call, input));
    }
}

impl Inner {
    /// Runs one change in the cell's turn; it answers when what it wants of others is done.
    pub async fn change(
        &self,
        change: impl FnOnce(&mut Owner, &mut cell::Turn<'_>, cell::Reply<Answer>) -> Result<(), Error> + Send + 'static,
    ) -> Answer {
        let cell = self.cell.wait().await;
        let answer = cell.call(|reply| -> Input { Box::new(move |owner, turn| change(owner, turn, reply)) }).await;
        answer.unwrap_or_else(|error| {
            Err(match error {
                CellError::Overloaded => Fault::throttling(error.to_string()),
                CellError::Stopped => Fault::with_status(503, "ServiceUnavailable", error.to_string()),
                CellError::NotCommitted(error) => internal(&error.to_string()),
            })
        })
    }

    /// Asks Secrets Manager for the value of a connection's secret.
    pub async fn secret(&self, call: &Call, secret_arn: &str) -> Result<Value, Fault> {
        let registry = self.registry.wait().await;
        let call = Call::internal(call.scope.clone(), call.request_id.clone(), PRINCIPAL);
        let input = json!({"SecretId": secret_arn});
        let answer = registry.call_value("secretsmanager", "GetSecretValue", call, input).await?;
        let text = answer.get("SecretString").and_then(Value::as_str).unwrap_or_default();
        serde_json::from_str(text).map_err(|_| internal("the connection's secret is not what it was made"))
    }
}

pub(crate) fn internal(message: &str) -> Fault {
    Fault::with_status(500, "InternalException", message)
}

/// Tells Secrets Manager what the cell wants of it, until it has answered, and the cell what came of it.
async fn deliver(inner: &Arc<Inner>, delivery: Delivery) {
    let registry = inner.registry.wait().await;
    let (operation, input) = match &delivery.change {
        Change::Create { value } => (
            "CreateSecret",
            json!({"Name": delivery.secret_name, "SecretString": value, "Description": description(&delivery)}),
        ),
        Change::Put { value } => ("PutSecretValue", json!({"SecretId": secret_id(&delivery), "SecretString": value})),
        Change::Delete { .. } => {
            ("DeleteSecret", json!({"SecretId": secret_id(&delivery), "ForceDeleteWithoutRecovery": true}))
        }
    };
    let mut pause_ms = 20;
    let answer = loop {
        let call = Call::internal(delivery.scope.clone(), inner.entropy.uuid(), PRINCIPAL);
        let call = call.with_effect(delivery.effect.clone());
        match registry.call_value("secretsmanager", operation, call, input.clone()).await {
            Err(fault) if fault.is_retryable() => {
                warn!(connection = delivery.connection, %fault, "secrets manager refused, trying again");
                tokio::time::sleep(Duration::from_millis(pause_ms)).await;
                pause_ms = (pause_ms * 2).min(RETRY_PAUSE_MS_MAX);
            }
            answer => break answer,
        }
    };
    let answer = match (&delivery.change, answer) {
        // It is gone already.
        (Change::Delete { .. }, Err(fault)) if fault.code == "ResourceNotFoundException" => Ok(None),
        (Change::Delete { .. }, Ok(_)) => Ok(None),
        (_, Ok(output)) => Ok(output.get("ARN").and_then(Value::as_str).map(str::to_owned)),
        (_, Err(fault)) => Err(fault),
    };
    let settle: Input = Box::new(move |owner, turn| owner.settle(&delivery, answer, turn));
    // If the cell has ended, the next start delivers again, and is answered the same.
    let _ = inner.cell.wait().await.send_waiting(settle).await;
}

fn secret_id(delivery: &Delivery) -> &str {
    delivery.secret_arn.as_deref().unwrap_or(&delivery.secret_name)
}

fn description(delivery: &Delivery) -> String {
    format!("Auth parameters for Amazon EventBridge connection {}", delivery.connection)
}
