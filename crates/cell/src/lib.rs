//! The loop that owns state: inputs in batches, one commit, then replies and effects.
//!
//! A *cell* is the unit of ownership. One loop owns it: it takes the inputs that wait, lets a [`Machine`] (a service or
//! the engine) apply each to its state, commits all their writes in one batch, and only then answers callers and lets
//! effects out. The loop is written once, here; a machine is plain code without async, I/O, clock or chance, which the
//! simulator can call as well as the loop ([`Core`]).
//!
//! **Invariants**
//! - Nothing leaves a cell (reply or effect) before the batch that holds its cause is durable.
//! - Every batch is fenced by the cell's lease: an owner that was replaced writes nothing.
//! - A batch that could not be committed has not happened: its callers are told so and the machine reads its state
//!   anew from the store.
//! - An effect that one of our own cells sends to another is done once: see [`Turn::earlier_answer`].
//! - Inputs that wait are bounded; beyond that the caller gets [`CellError::Overloaded`].
//!
//! Absent on purpose: reads. Whoever only reads asks the store, beside the loop.

mod core;
mod handle;
mod lease;
mod turn;

#[cfg(test)]
mod tests;

pub use crate::core::{Core, Machine, Outcome};
pub use handle::{Cell, CellError, CellOptions, Cells, Reply, shard_of};
pub use lease::Lease;
pub use turn::{Turn, outbox_key, outbox_prefix};
