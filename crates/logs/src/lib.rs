//! CloudWatch Logs: groups, streams, events, filter patterns.
//!
//! Groups are spread over a fixed number of cells by their ARN. Events that come together are stored together, in
//! *chunks* of one stream and at most a minute; readers merge chunks into the order of time, beside the cells' loops.
//! The process's own parts (functions, executions) hand their lines to [`Logs::put`], which never waits: a bounded
//! buffer collects them, one job writes them, and what did not fit is counted and said in the stream.
//!
//! **Invariants**
//! - An answered PutLogEvents is durable.
//! - Within a group every event has its own number; readers see events by timestamp, then number.
//! - Expired events are never shown, whether they have been removed yet or not.
//!
//! Refused: metric filters (only TestMetricFilter is there), subscription filters, Insights queries, exports,
//! transformers, data protection, live tail over HTTP.

mod buffer;
mod fault;
mod input;
mod key;
mod logs;
mod machine;
mod name;
mod operations;
mod pattern;
mod read;
mod record;
mod tail;

#[cfg(test)]
mod tests;

pub use input::EventPosition;
pub use logs::{FilterQuery, FilteredEvent, FilteredPage, Logs, Options};
pub use machine::CELLS;
pub use name::GroupName;
pub use pattern::{Pattern, PatternError};
pub use tail::Tail;
