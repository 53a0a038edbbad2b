//! STS, IAM, Secrets Manager and Systems Manager's Parameter Store: who calls, what is allowed, what is secret.
//!
//! All state is one cell's, `identity/0`: every change is an input of its loop and durable before it is answered; reads
//! ask the store. [`policy`] is pure: it reads policy documents and decides by them. Who may do what is enforced by
//! whoever calls [`Identity::decide`]; this crate only answers.
//!
//! Refuses: users and groups, web identities and SAML, encryption (a KMS key's name is kept and returned, values are
//! stored as they are, in the store's files that only their owner can read), rotation, replication.
//!
//! **Invariants**
//! - An operation that answers an error has changed nothing.
//! - An effect of one of our own cells is done once, and answered the same each time.
//! - A secret's value appears in no log and no error.
//! - Every stored record begins with its format version.

mod check;
mod iam;
mod identity;
mod machine;
mod page;
pub mod policy;
mod record;
mod secrets;
mod ssm;
mod sts;
mod tag;
mod tx;

#[cfg(test)]
mod tests;

pub use identity::{Identity, Session};
