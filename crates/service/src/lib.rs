//! The one shape of an operation: name, typed input, typed output or [`Fault`].
//!
//! Every service registers its API operations once, in a [`Registry`]. The gateway decodes any wire protocol into a
//! call of it; state machine integrations, event source mappings, templates and the command line call the same
//! registry in process. Adding an operation is adding one function.
//!
//! Knows nothing of HTTP: which bytes carry an input is the gateway's business. Inputs and outputs are JSON in the
//! shape of AWS's own service models (member names as there, timestamps as seconds, blobs as base64).

mod call;
mod fault;
mod registry;

pub use call::{Call, EffectId};
pub use fault::Fault;
pub use registry::{OperationFuture, Registry, Service};
