//! EventBridge. So far its connections: who an API is called as, for state machines' `http:invoke`.
//!
//! A connection's record is one cell's, `events/0`; what is secret of it lies in Secrets Manager alone, under the name
//! that AWS gives it, `events!connection/NAME/UUID`. What a change wants of Secrets Manager is stored with the change and
//! delivered after it, once.
//!
//! Refuses: buses, rules, archives, API destinations (they come later), connections to private APIs.
//!
//! **Invariants**
//! - A secret's value is in no record but while it is on its way to Secrets Manager, and in no log and no error.
//! - An operation that answers an error has changed nothing.
//! - A connection has one change under way at most.

mod check;
mod connection;
mod events;
mod input;
mod owner;
mod record;
#[cfg(test)]
mod tests;

pub use events::Events;
