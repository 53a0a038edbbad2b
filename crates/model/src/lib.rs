//! AWS's services as names and shapes: which operations there are, what their members are called and of what type.
//!
//! State machines name members as AWS's Java SDK does (`Md5OfBody`), our operations as the service model does
//! (`MD5OfBody`). This crate knows both, says what is wrong with parameters in AWS's words, and turns parameters into
//! inputs and outputs into results.
//!
//! Refuses to know what an operation does, and whether we have it. The data is generated: see `data/README.md`.
//!
//! **Invariants**
//! - Keys of maps are a user's data and never change; only members of structures are renamed.
//! - What [`Operation::check`] accepts is converted without loss; anything else is passed on as it is.

mod check;
mod convert;
mod names;
mod shape;
#[cfg(test)]
mod tests;

pub use check::Template;
pub use names::{actions, exception_class, service_class, services};
pub use shape::{Naming, Operation, Shapes, shapes};
