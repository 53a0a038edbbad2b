use std::sync::Arc;

use base::{Clock, Entropy, Timestamp};
use cell::{Cell, CellError, CellOptions};
use serde::Serialize;
use serde::de::DeserializeOwned;
use service::{Call, Fault, Service};
use store::{Error, Store};

use crate::machine::{Answer, Job, Machine, job};
use crate::policy::{Context, Decision, Policy};
use crate::tx::{Committed, Failure, Outcome, Tx, View};
use crate::{iam, secrets, ssm, sts};

/// The running services. Clones are the same.
#[derive(Clone)]
pub struct Identity {
    inner: Arc<Inner>,
}

struct Inner {
    cell: Cell<Job>,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    entropy: Arc<Entropy>,
}

/// Temporary credentials that STS gave out.
#[derive(Clone, PartialEq, Eq)]
pub struct Session {
    pub access_key_id: String,
    pub secret_access_key: String,
    pub session_token: String,
    pub account: String,
    /// ARN of the caller that these credentials stand for.
    pub principal: String,
    pub expires: Timestamp,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Session({}, {}, until {})", self.access_key_id, self.principal, self.expires)
    }
}

impl Identity {
    /// Claims the cell `identity/0` and starts its loop on the current runtime.
    pub async fn start(store: Arc<dyn Store>, clock: Arc<dyn Clock>, entropy: Arc<Entropy>) -> Result<Identity, Error> {
        let options = CellOptions::default();
        let cell = Cell::start("identity/0", Machine::default(), store.clone(), clock.clone(), options).await?;
        Ok(Identity { inner: Arc::new(Inner { cell, store, clock, entropy }) })
    }

    /// `iam`, `sts`, `secretsmanager` and `ssm`, to be added to the registry.
    pub fn services(&self) -> Vec<Service> {
        vec![iam::service(self), sts::service(self), secrets::service(self), ssm::service(self)]
    }

    /// The credentials of an access key that STS gave out, though they may have expired.
    pub fn session(&self, access_key_id: &str) -> Result<Option<Session>, Error> {
        sts::find_session(&*self.inner.store, access_key_id)
    }

    /// Credentials for code of ours that runs under a role, such as a function: like AssumeRole by the service itself.
    ///
    /// Does not ask for the role's trust policy, nor whether the role exists: its ARN names account and principal.
    pub async fn session_for_role(
        &self,
        role_arn: &str,
        session_name: &str,
        duration_seconds: u64,
    ) -> Result<Session, Fault> {
        sts::session_for_role(self, role_arn, session_name, duration_seconds).await
    }

    /// Whether `principal` may do `action` on `resource`, by its own policies and permissions boundary.
    ///
    /// An account's root may do everything. Policies of the resource are the resource's service's to ask.
    pub fn decide(&self, principal: &str, action: &str, resource: &str, context: &Context) -> Result<Decision, Fault> {
        let call = Call::internal(base::Scope::default(), "", principal);
        self.with_view(&call, |view| iam::decide(view, principal, action, resource, context))
    }

    /// The identity policies of a role, inline and attached; those of AWS that we do not know are left out.
    pub fn policies_of_role(&self, role_arn: &str) -> Result<Vec<Policy>, Fault> {
        let call = Call::internal(base::Scope::default(), "", role_arn);
        self.with_view(&call, |view| iam::policies_of_role(view, role_arn))
    }

    fn with_view<T>(&self, call: &Call, read: impl FnOnce(&View<'_>) -> Outcome<T>) -> Result<T, Fault> {
        let Inner { store, clock, entropy, .. } = &*self.inner;
        let source = Committed(&**store);
        read(&View::new(&source, call, clock.now(), entropy)).map_err(|failure| match failure {
            Failure::Fault(fault) => fault,
            Failure::Store(error) => Fault::internal(error.to_string()),
        })
    }

    /// Runs one change through the cell's loop.
    pub(crate) async fn change<In, Out>(
        &self,
        call: Call,
        input: In,
        run: fn(&mut Tx<'_>, In) -> Outcome<Out>,
    ) -> Answer
    where
        In: Send + 'static,
        Out: Serialize + 'static,
    {
        let entropy = self.inner.entropy.clone();
        let answered = self.inner.cell.call(|reply| job(call, entropy, input, run, reply)).await;
        answered.unwrap_or_else(|error| {
            Err(match error {
                CellError::Overloaded => Fault::throttling(error.to_string()),
                CellError::Stopped => Fault::with_status(503, "ServiceUnavailable", error.to_string()),
                CellError::NotCommitted(error) => Fault::internal(error.to_string()),
            })
        })
    }
}

/// Registers a service's operations as plain functions.
pub(crate) struct Operations {
    service: Service,
    identity: Identity,
}

impl Operations {
    pub fn new(id: &'static str, identity: &Identity) -> Operations {
        Operations { service: Service::new(id), identity: identity.clone() }
    }

    /// An operation that only reads: it asks the store, beside the cell's loop.
    pub fn read<In, Out>(&mut self, name: &'static str, run: fn(&View<'_>, In) -> Outcome<Out>) -> &mut Operations
    where
        In: DeserializeOwned + Send + 'static,
        Out: Serialize + Send + 'static,
    {
        let identity = self.identity.clone();
        self.service.operation(name, move |call: Call, input: In| {
            let result = identity.with_view(&call, |view| run(view, input));
            async move { result }
        });
        self
    }

    /// An operation that changes something: an input of the cell's loop.
    pub fn write<In, Out>(&mut self, name: &'static str, run: fn(&mut Tx<'_>, In) -> Outcome<Out>) -> &mut Operations
    where
        In: DeserializeOwned + Send + 'static,
        Out: Serialize + 'static,
    {
        let identity = self.identity.clone();
        self.service.operation(name, move |call: Call, input: In| {
            let identity = identity.clone();
            async move { identity.change(call, input, run).await }
        });
        self
    }

    pub fn done(self) -> Service {
        self.service
    }
}
