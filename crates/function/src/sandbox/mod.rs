//! Worker processes: who runs what, the Lambda Runtime API, output, limits, and their end.

mod concurrency;
mod deployment;
mod fleet;
mod guard;
mod interpreters;
mod memory;
mod output;
mod report;
mod roster;
#[cfg(test)]
mod roster_tests;
mod runtime_api;
mod spawn;
mod supervise;
mod worker;

pub(crate) use concurrency::{Concurrency, Limits};
pub(crate) use deployment::{Deployment, Invocation, Outcome, RUNTIMES, Runtime};
pub(crate) use fleet::Fleet;
pub(crate) use output::last_of;
pub(crate) use report::LogFormat;
pub(crate) use spawn::Launcher;
