//! What belongs to one request and must find its way around s3s.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use base::Scope;
use http::HeaderMap;
use s3s::{S3Error, S3ErrorCode, S3Request, S3Response, S3Result};
use service::{Call, Fault};

use super::Secrets;

/// One request: who calls, and what was found out on the way.
pub(super) struct Exchange {
    pub(super) call: Call,
    found: Arc<Found>,
}

#[derive(Default)]
struct Found {
    /// Set if s3s verifies signatures: where it finds secrets, and the access key whose token was looked at.
    verifies: OnceLock<(Arc<dyn Secrets>, Option<String>)>,
    /// The error to answer, with the members that s3s's error has no room for.
    fault: Mutex<Option<Fault>>,
    /// Headers that came behind the body.
    trailers: Mutex<Option<HeaderMap>>,
}

impl Exchange {
    pub(super) fn new(call: Call) -> Exchange {
        Exchange { call, found: Arc::default() }
    }

    /// s3s is going to verify the signature; `checked` is the access key that came with the right token.
    pub(super) fn verify(&self, secrets: Arc<dyn Secrets>, checked: Option<String>) {
        let _ = self.found.verifies.set((secrets, checked));
    }

    pub(super) fn of<T>(request: &S3Request<T>) -> S3Result<Arc<Exchange>> {
        let exchange = request.extensions.get::<Arc<Exchange>>().cloned();
        let exchange = exchange.ok_or_else(|| S3Error::new(S3ErrorCode::InternalError))?;
        let Some((secrets, checked)) = exchange.found.verifies.get() else { return Ok(exchange) };
        let denied = || S3Error::new(S3ErrorCode::AccessDenied);
        let key = request.credentials.as_ref().map(|c| c.access_key.as_str()).ok_or_else(denied)?;
        let secret = secrets.find(key).ok().flatten().ok_or_else(denied)?;
        // Signatures of forms come in the body: no token was seen with them.
        if checked.as_deref() != Some(key) && (secret.session_token.is_some() || secret.expires.is_some()) {
            return Err(denied());
        }
        if secret.account == exchange.call.scope.account() {
            return Ok(exchange);
        }
        // The call is what the head of the request claimed; what counts is who signed.
        let mut call = exchange.call.clone();
        call.scope = Scope::new(&secret.account, exchange.call.scope.region());
        Ok(Arc::new(Exchange { call, found: exchange.found.clone() }))
    }

    /// Keeps the first error.
    pub(super) fn fail(&self, fault: Fault) {
        self.found.fault.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(fault);
    }

    pub(super) fn take_fault(&self) -> Option<Fault> {
        self.found.fault.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    pub(super) fn set_trailers(&self, trailers: HeaderMap) {
        *self.found.trailers.lock().unwrap_or_else(PoisonError::into_inner) = Some(trailers);
    }

    pub(super) fn trailer(&self, name: &str) -> Option<String> {
        let trailers = self.found.trailers.lock().unwrap_or_else(PoisonError::into_inner);
        trailers.as_ref().and_then(|t| t.get(name)).and_then(|v| v.to_str().ok()).map(|v| v.trim().to_owned())
    }

    /// An operation's result as s3s takes it; the fault is answered by us.
    pub(super) fn answer<T>(&self, result: Result<S3Response<T>, Fault>) -> S3Result<S3Response<T>> {
        result.map_err(|fault| {
            let error = S3Error::with_message(S3ErrorCode::Custom(fault.code.as_str().into()), fault.message.clone());
            self.fail(fault);
            error
        })
    }
}
