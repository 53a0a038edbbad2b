//! The API over the memory store.

mod list;
mod logs;
mod machines;
mod versions;
