//! What belongs to one request and must find its way around s3s.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use http::HeaderMap;
use s3s::{S3Error, S3ErrorCode, S3Request, S3Response, S3Result};
use service::{Call, Fault};

/// One request: who calls, and what was found out on the way.
pub(super) struct Exchange {
    pub(super) call: Call,
    is_verified: AtomicBool,
    /// The error to answer, with the members that s3s's error has no room for.
    fault: Mutex<Option<Fault>>,
    /// Headers that came behind the body.
    trailers: Mutex<Option<HeaderMap>>,
}

impl Exchange {
    pub(super) fn new(call: Call) -> Exchange {
        Exchange { call, is_verified: AtomicBool::new(false), fault: Mutex::default(), trailers: Mutex::default() }
    }

    /// s3s is going to verify the signature.
    pub(super) fn verify(&self) {
        self.is_verified.store(true, Ordering::Relaxed);
    }

    pub(super) fn of<T>(request: &S3Request<T>) -> S3Result<Arc<Exchange>> {
        let exchange = request.extensions.get::<Arc<Exchange>>().cloned();
        let exchange = exchange.ok_or_else(|| S3Error::new(S3ErrorCode::InternalError))?;
        if exchange.is_verified.load(Ordering::Relaxed) && request.credentials.is_none() {
            return Err(S3Error::new(S3ErrorCode::AccessDenied));
        }
        Ok(exchange)
    }

    /// Keeps the first error.
    pub(super) fn fail(&self, fault: Fault) {
        self.fault.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(fault);
    }

    pub(super) fn take_fault(&self) -> Option<Fault> {
        self.fault.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    pub(super) fn set_trailers(&self, trailers: HeaderMap) {
        *self.trailers.lock().unwrap_or_else(PoisonError::into_inner) = Some(trailers);
    }

    pub(super) fn trailer(&self, name: &str) -> Option<String> {
        let trailers = self.trailers.lock().unwrap_or_else(PoisonError::into_inner);
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
