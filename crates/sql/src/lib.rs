//! The RDS Data API (service `rds-data`) over an embedded SQL database or PostgreSQL, and as much of `rds` as a
//! template needs to name a cluster.
//!
//! Without a PostgreSQL URL each database of a cluster is one SQLite file below the data folder; statements are
//! PostgreSQL's, rewritten as far as that is simple (see `dialect`). With a URL they go to that server as they are.
//!
//! **Invariants**
//! - A statement or transaction that was answered as committed is synced to disk (embedded: WAL, `synchronous=FULL`).
//! - A batch outside a transaction is one transaction: all of its runs or none.
//! - Nothing blocks the runtime: statements of the embedded engine run on a bounded number of threads, writers wait
//!   for each other without holding one.
//! - Results, statements, transactions and their times are bounded as AWS bounds them.
//! - Names of databases and clusters never become paths.
//!
//! Refuses: the deprecated ExecuteSql, arrays as parameters, several statements in one call, snapshots, instances.
//! Calls of state machines are at least once: a statement is not remembered by its effect.

mod cluster;
mod dialect;
mod embedded;
mod engine;
mod fault;
mod field;
mod lexer;
mod machine;
mod operations;
mod outcome;
mod postgres;
mod postgres_types;
mod rds;
mod service;
mod transactions;

#[cfg(test)]
mod tests;

pub use crate::service::{SecretsCaller, Sql, SqlOptions, StartError};
