//! The whole service through its HTTP API and its operations, over the memory store and a temporary folder.

mod checksums;
mod conditions;
mod crash;
mod formats;
mod fuzz;
mod harness;
mod lifecycle;
mod listing;
mod multipart;
mod objects;
mod operations;
mod settings;
mod signatures;
mod versions;
