//! Tests of the whole crate, with real workers on loopback.

mod api;
mod asynchronous;
mod crash;
mod limits;
mod node;
mod provided;
mod python;
mod world;
