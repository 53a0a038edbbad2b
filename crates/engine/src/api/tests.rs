//! The API over the memory store.

mod logs;
mod machines;
mod versions;
