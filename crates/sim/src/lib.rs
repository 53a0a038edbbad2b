//! The product on virtual time: cells of executions and queues on the embedded store, its disk simulated, from one seed.
//!
//! A seed decides everything: the state machines and their inputs, what tasks come to and when, which cell takes its
//! turn, when the log is written, and what goes wrong: crashes between any two steps and within any operation on the
//! log's files, writes that are lost, torn, reordered or damaged for want of a sync, syncs and writes that fail, a full
//! disk, a clock that has jumped at a restart. Everything runs on one thread in one order, so a seed repeats bit for bit.
//!
//! A [`ledger`] holds what was acknowledged and what anybody saw, and compares: see `docs/durability.md` for what must
//! hold. [`Control`]s break the product on purpose, to show that the ledger notices.
//!
//! Not simulated: the index's files (written through the real file system, never torn), the gateway, workers' processes,
//! Map Runs, child executions, tables. What the dispatcher does for a job (once at a time, again after a crash) is done
//! by the [`world`] here in its place.

pub mod chance;
mod faults;
pub mod generate;
pub mod ledger;
pub mod outcome;
pub mod process;
pub mod reference;
pub mod regressions;
mod trace;
pub mod world;

#[cfg(test)]
mod tests;

pub use trace::Trace;
pub use world::{Control, Verdict, run};
