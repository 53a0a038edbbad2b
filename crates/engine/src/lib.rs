//! Executions as cells that drive the interpreter; task dispatch, activities and event source mappings.
//!
//! Step Functions without its wire format: state machines and executions are stored, [`interp`] says what happens, and
//! tasks call functions through an [`Invoker`] and every other service through the registry.
//!
//! **Invariants**
//! - A Standard execution's position and history are stored in the batch that lets its effects out; after a crash it
//!   goes on where that batch left it, and tasks that were open are carried out (again).
//! - A task on one of our own services carries the key of its outbox entry, so that the service does it once.
//! - An Express execution runs in memory. Its asynchronous start is stored and runs again after a crash.
//! - A Map Run's children are started once each and its items read once each, whatever crashes.
//! - A running execution keeps the definition it began with.
//!
//! Knows nothing of HTTP, and of the language only what [`asl`] and [`interp`] say.

mod activity;
mod api;
mod catalog;
mod engine;
mod execution;
mod fault;
mod http_client;
mod invoker;
mod keys;
mod logging;
mod map_run;
mod mapping;
mod mock;
mod options;
mod record;
pub mod sim;
mod task;
#[cfg(test)]
mod testing;
mod token;

pub use engine::Engine;
pub use execution::StatusChange;
pub use http_client::{HttpClient, HttpFuture};
pub use invoker::{Invocation, InvokeFuture, Invoked, Invoker};
pub use mapping::{Mappings, ReceivedMessage, SourceQueue};
pub use mock::MockConfig;
pub use options::Options;
pub use task::{LogSink, StatusSink};
