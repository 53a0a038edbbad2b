//! DynamoDB: tables, items, expressions, indexes.
//!
//! Speaks AWS's operations of service `dynamodb` with AWS's shapes, limits and messages. Items lie as keys in the
//! store, entries of indexes as further keys written in the same batch, so that an index is never behind its table.
//!
//! **Invariants**
//! - Every change of a table goes through the cell that owns it; conditions, ADD and counters are free of races.
//! - Reads go to the store beside the cells and see committed data only: every read is a consistent one.
//! - A transaction is one batch, also over tables of several cells (see `machine`).
//! - An effect delivered twice is done once and answered alike, a refused one too.
//! - What a table or index leaves behind when it is dropped is removed in the background; its id is never used again.
//!
//! Refuses: replicas, backups, exports, PartiQL. Streams are stored as a setting; nothing reads them yet.

pub mod expression;

mod capacity;
mod catalog;
mod counts;
mod fault;
mod key;
mod legacy;
mod machine;
mod number;
mod operations;
mod schema;
mod service;
mod stored;
mod stored_table;
mod value;
mod wire;

#[cfg(test)]
mod tests;

pub use crate::service::{TableOptions, Tables};
pub use number::{Number, NumberError};
pub use value::{AttributeValue, ITEM_BYTES_MAX, Item, Kind, item_size_bytes};
pub use wire::Checked;
