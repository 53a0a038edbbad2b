//! The operations for callers in the same process: state machines, templates, other services.
//!
//! Inputs and outputs are JSON in the shape of AWS's model, as a state machine sees it: times are ISO 8601 texts, and
//! content is text. Content that is no UTF-8 comes as `BodyBase64`, a member of ours, and is taken so too.

mod objects;
mod settings;
mod uploads;

use std::future::Future;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use service::{Call, Fault, Service};

use crate::Buckets;

pub(crate) use objects::{collect, source as whole};

/// The largest content that is handed over as JSON.
pub const CONTENT_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// The service as operations are added to it.
struct Registration {
    service: Service,
    buckets: Buckets,
}

impl Registration {
    fn operation<In, Out, F, Fut>(&mut self, name: &'static str, run: F)
    where
        F: Fn(Buckets, Call, In) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Out, Fault>> + Send + 'static,
        In: DeserializeOwned + Send + 'static,
        Out: Serialize + Send + 'static,
    {
        let buckets = self.buckets.clone();
        self.service.operation(name, move |call, input: In| run(buckets.clone(), call, input));
    }
}

impl Buckets {
    /// The operations under the id `s3`, for the registry.
    pub fn service(&self) -> Service {
        let mut registration = Registration { service: Service::new("s3"), buckets: self.clone() };
        objects::register(&mut registration);
        settings::register(&mut registration);
        uploads::register(&mut registration);
        registration.service
    }
}

/// Members of an output: those that are there, in the order in which they are put.
#[derive(Default)]
struct Output(Map<String, Value>);

impl Output {
    fn put(&mut self, name: &str, value: impl Into<Value>) {
        self.0.insert(name.to_owned(), value.into());
    }

    fn put_some(&mut self, name: &str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.put(name, value);
        }
    }
}

/// `2026-01-14T09:30:00Z`
fn iso(time: base::Timestamp) -> String {
    let full = time.to_rfc3339();
    full.split('.').next().map_or_else(|| full.clone(), |seconds| format!("{seconds}Z"))
}
