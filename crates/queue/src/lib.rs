//! SQS: queues, messages, visibility, redrive.
//!
//! Queues are spread over a fixed number of cells by their ARN. A cell holds a small index of its queues' messages in
//! memory; bodies stay in the store, written once, and are read beside the cell's loop. Callers use the operations of
//! [`Queues::service`] or, within the process and without JSON, the methods of [`Queues`].
//!
//! **Invariants**
//! - An answered send is durable; a message is in exactly one queue or in one outbox, never in two, never in none.
//! - Receive counts and visibility deadlines are durable: a restart changes nothing that a caller can see.
//! - Of a FIFO queue's message group at most the messages of one receive are in flight, in the order they were sent.
//! - A send with an effect id is done once, whatever is delivered twice.
//! - A message number or a queue's serial is never used again.
//!
//! Refused: KMS encryption (keys are stored, nothing is encrypted beyond what the store does), fair queues (a message
//! group on a standard queue is stored and shown, not balanced), the 60 seconds in which AWS refuses to make a deleted
//! queue again.

mod cache;
mod codec;
mod courier;
mod fault;
mod index;
mod input;
mod key;
mod machine;
mod message;
mod message_attribute;
mod name;
mod operations;
mod policy;
mod queues;
mod receipt;
mod settings;
pub mod sim;
mod stored;
mod waiters;

#[cfg(test)]
mod tests;

pub use input::Counts;
pub use machine::CELLS;
pub use message::{Message, MessageId};
pub use message_attribute::{AttributeValue, MessageAttribute, MessageAttributes};
pub use name::QueueName;
pub use queues::{Options, Outgoing, QueueDescription, Queues, Received, SentMessage, VisibilityChange};
pub use settings::MESSAGE_BYTES_MAX;

/// Entries of one batch request.
pub const BATCH_ENTRIES_MAX: usize = 10;
/// Bytes of all messages of one batch request together.
pub const BATCH_BYTES_MAX: usize = MESSAGE_BYTES_MAX;
