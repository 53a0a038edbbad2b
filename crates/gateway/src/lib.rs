//! HTTP on one port: SigV4, AWS JSON 1.0/1.1, Query and REST-JSON to operations of a [`service::Registry`].
//!
//! A request's service is recognised by its `X-Amz-Target`, its signature's scope, its `Action` and `Version`, or its
//! path; whatever is none of these is S3, whose requests go to the [`S3Handler`] as they are. What the protocols need
//! to know of the services is data: `models/*.json`, generated from AWS's own service models.
//!
//! Without credentials configured the signature is only read for account and region, and the gateway refuses to listen
//! beyond loopback and to serve web pages of other origins. With credentials every signature is verified (S3's by the
//! S3 handler).
//!
//! Refuses: CBOR protocols (answered as unsupported), HTTP/2, TLS (put a proxy in front).
//!
//! **Invariants**
//! - No input panics or holds unbounded memory: connections, heads, bodies, their sum, JSON depth and parameters are
//!   bounded by [`GatewayOptions`], and each pause of a peer by a timeout.
//! - An operation that began runs to its end though the caller goes away; only polls end with their caller, so that
//!   nothing is handed to nobody.
//! - Secrets and payloads are never logged.

mod answer;
mod body;
mod handler;
mod host;
mod invoke;
mod io;
mod json;
mod model;
mod options;
mod query;
mod rest;
mod route;
mod server;
mod sign;
mod xml;

#[cfg(test)]
mod tests;

pub use answer::{BoxError, S3Body};
pub use body::RequestBody;
pub use handler::{BoxFuture, Gateway, S3Handler};
pub use host::virtual_bucket;
pub use invoke::{Invocation, InvokeHandler, Invoked};
pub use options::{Credential, GatewayError, GatewayOptions, Identities};
