//! HTTPS calls to the outside: one request, one answer, one connection.
//!
//! What is called comes from users' definitions and data, so where it leads is checked: a host's addresses are looked up
//! once, those that lead into this machine or its link are refused unless allowed, and the connection goes to an address
//! that was checked. A name that changes its address in between gains nothing.
//!
//! Headers keep their case and order, on the way out and back, for callers show them.
//!
//! Refuses: redirects (they are answers), proxies, cookies, content codings, HTTP/2, connections that are kept.
//!
//! **Invariants**
//! - Nothing is sent before the address is checked, and no second address is tried after something was sent.
//! - Time, the answer's head and its body are bounded by [`Options`].

mod address;
mod answer;
mod client;
#[cfg(test)]
mod tests;
mod tls;

pub use client::{Answer, Client, Options, Request};

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not `https://host/path`, or a method or header that cannot be written.
    #[error("invalid request: {0}")]
    Invalid(String),
    /// The address may not be called.
    #[error("{0}")]
    Refused(String),
    #[error("Unable to resolve {0}")]
    Resolve(String),
    #[error("Unable to connect to {0}: {1}")]
    Connect(String, String),
    /// The connection broke, or what came is no HTTP.
    #[error("Unable to exchange HTTP with {0}: {1}")]
    Broken(String, String),
    #[error("The request to {0} timed out")]
    TimedOut(String),
    #[error("The answer has more than {0} bytes")]
    TooLarge(usize),
}
