//! AWS Lambda on this machine: packages, worker processes, the Lambda Runtime API, and the Lambda API.
//!
//! A function's code is a ZIP archive, stored under its SHA-256 and unpacked once. Each version has a pool of worker
//! processes that stay warm; each worker speaks the Runtime API over a port of its own on loopback. `provided.*`
//! runtimes run the package's `bootstrap`, Python and Node.js handlers run under small programs of ours on the
//! machine's interpreters. There are no containers: a worker is a process of the server's own user, with a clean
//! environment, a process group, a folder and bounds of its own, but it sees the machine's file system and network.
//!
//! Refuses container images, runtimes other than `provided.*`, `python3.*` and `nodejs*`, and file system mounts.
//! Knows nothing of HTTP towards callers, of executions, and of event source mappings.
//!
//! **Invariants**
//! - A worker has one invocation at a time; one that took too long, failed to answer or used too much memory is killed
//!   with its process group before its caller is told.
//! - Workers do not outlive the server, however it ends (a guard process watches).
//! - An asynchronous invocation is stored before it is accepted, and forgotten only when it has succeeded, was told
//!   to its destination, or was dropped with a line in the log. It may run more than once, with the same request id.
//! - A call that one of our outboxes sends again has the request id of the first: the handler's idempotency key.
//! - What a function names (package, layers) is there as long as the function.
//! - Every queue, output, body and number of processes has its bound in [`Options`].

mod api;
mod catalogue;
mod events;
mod fault;
mod functions;
mod invoke;
mod name;
mod options;
mod package;
mod sandbox;

#[cfg(test)]
mod tests;

pub use functions::{Functions, StartError};
pub use invoke::{InvocationType, InvokeRequest, InvokeResponse, LogType};
pub use options::{CredentialSource, Credentials, LogSink, OpenCredentials, Options, PackageSource, Ports};
