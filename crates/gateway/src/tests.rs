mod answers;
mod fuzz;
mod harness;
mod limits;
mod recorded;
mod server;
mod signatures;
