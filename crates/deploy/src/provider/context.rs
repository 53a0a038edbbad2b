//! What a provider is told beside the properties, and how it calls the services.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use base::{Arn, Entropy, Scope};
use serde_json::Value;
use service::{Call, EffectId, Fault, Registry};

/// Calls again after throttling and our own faults: so often, beginning with so long a pause.
const ATTEMPTS_MAX: u32 = 5;
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// A resource that takes its time is asked after so often.
const POLLS_MAX: u32 = 600;
const POLL_PAUSE: Duration = Duration::from_millis(100);

/// One step of one resource.
pub struct Context<'a> {
    pub registry: &'a Registry,
    pub scope: Scope,
    pub principal: Arc<str>,
    pub endpoint: Arc<str>,
    pub request_id: Arc<str>,
    pub logical_id: &'a str,
    /// The physical name: from the properties, or generated for this instance.
    pub name: &'a str,
    /// Whether the template gave that name.
    pub named: bool,
    /// An earlier attempt at this very step may have been interrupted: what it made is ours.
    pub retry: bool,
    pub entropy: &'a Entropy,
    /// The key under which this step is stored while it runs; steps that make nothing have none.
    pub(crate) effect: Option<EffectId>,
    pub(crate) effect_used: AtomicBool,
}

/// Why a step failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub message: String,
    /// What was made before the failure, for the rollback to remove.
    pub physical_id: Option<String>,
}

impl Failure {
    pub fn new(message: impl Into<String>) -> Failure {
        Failure { message: message.into(), physical_id: None }
    }

    /// Names what exists in spite of the failure.
    pub fn made(mut self, physical_id: &str) -> Failure {
        self.physical_id = Some(physical_id.to_owned());
        self
    }
}

/// A service's refusal, with what was asked of it.
#[derive(Clone, Debug)]
pub struct Refusal {
    pub fault: Fault,
    service: String,
    operation: String,
}

impl Refusal {
    /// Whether the error's code is one of these.
    pub fn is(&self, codes: &[&str]) -> bool {
        codes.contains(&self.fault.code.as_str())
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Failure {
        let Refusal { fault, service, operation } = refusal;
        Failure::new(format!(
            "Resource handler returned message: \"{}\" (Service: {service}, Operation: {operation}, Status Code: {}, \
             Error Code: {})",
            fault.message, fault.status, fault.code
        ))
    }
}

impl Context<'_> {
    /// Calls an operation; throttling and server faults are tried again.
    pub async fn call(&self, service: &str, operation: &str, input: Value) -> Result<Value, Refusal> {
        self.attempt(service, operation, input, None).await
    }

    /// Calls the operation that makes the resource: delivered twice, it makes one.
    ///
    /// # Panics
    /// At a second use in one step: one id names one effect.
    pub async fn create(&self, service: &str, operation: &str, input: Value) -> Result<Value, Refusal> {
        assert!(!self.effect_used.swap(true, Ordering::Relaxed), "a step has one effect with an id");
        self.attempt(service, operation, input, self.effect.clone()).await
    }

    async fn attempt(
        &self,
        service: &str,
        operation: &str,
        input: Value,
        effect: Option<EffectId>,
    ) -> Result<Value, Refusal> {
        let mut pause = FIRST_PAUSE;
        let mut attempt = 1;
        loop {
            let call = Call {
                scope: self.scope.clone(),
                request_id: self.request_id.clone(),
                principal: self.principal.clone(),
                endpoint: self.endpoint.clone(),
                effect: effect.clone(),
            };
            match self.registry.call_value(service, operation, call, input.clone()).await {
                Ok(answer) => return Ok(answer),
                Err(fault) if fault.is_retryable() && attempt < ATTEMPTS_MAX => {
                    tokio::time::sleep(pause).await;
                    pause *= 2;
                    attempt += 1;
                }
                Err(fault) => {
                    return Err(Refusal { fault, service: service.to_owned(), operation: operation.to_owned() });
                }
            }
        }
    }

    /// Fails where a resource that the template names is there already: operations that answer as if they had just
    /// made it would give the stack what is not its own, and take it away with it.
    pub async fn refuse_existing(&self, resource_type: &str, look: (&str, &str), input: Value) -> Result<(), Failure> {
        let (service, operation) = look;
        // An interrupted attempt's own is taken over; a generated name is nobody else's.
        if self.retry || !self.named || !self.supports(service, operation) {
            return Ok(());
        }
        match self.call(service, operation, input).await {
            Ok(_) => Err(Failure::new(format!(
                "Resource of type '{resource_type}' with identifier '{}' already exists.",
                self.name
            ))),
            // Whatever keeps it from being seen will be said when it is made.
            Err(_) => Ok(()),
        }
    }

    /// Calls an operation and takes these errors for success: deleting what is gone is done.
    pub async fn call_unless(
        &self,
        service: &str,
        operation: &str,
        input: Value,
        done: &[&str],
    ) -> Result<Option<Value>, Refusal> {
        match self.call(service, operation, input).await {
            Ok(answer) => Ok(Some(answer)),
            Err(refusal) if refusal.is(done) => Ok(None),
            Err(refusal) => Err(refusal),
        }
    }

    /// Asks again until `ready` says so.
    pub async fn until(
        &self,
        service: &str,
        operation: &str,
        input: Value,
        ready: impl Fn(&Value) -> Result<bool, String>,
    ) -> Result<Value, Failure> {
        for _ in 0..POLLS_MAX {
            let answer = self.call(service, operation, input.clone()).await?;
            if ready(&answer).map_err(Failure::new)? {
                return Ok(answer);
            }
            tokio::time::sleep(POLL_PAUSE).await;
        }
        Err(Failure::new(format!("{operation} did not show the resource ready in time")))
    }

    /// Whether a service has an operation.
    pub fn supports(&self, service: &str, operation: &str) -> bool {
        self.registry.has_operation(service, operation)
    }

    /// An ARN in the stack's account and region.
    pub fn arn(&self, service: &str, resource: &str) -> Arn {
        self.scope.arn(service, resource)
    }
}
