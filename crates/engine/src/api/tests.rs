//! The API over the memory store.

mod history;
mod list;
mod logs;
mod machines;
mod mocks;
mod redrive;
mod test_state;
mod versions;
