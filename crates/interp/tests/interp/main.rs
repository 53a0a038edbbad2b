//! The interpreter from outside: browsable cases, and properties of any order of inputs.

mod cases;
mod formats;
mod properties;
mod simulator;
