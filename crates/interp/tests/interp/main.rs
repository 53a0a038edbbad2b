//! The interpreter from outside: browsable cases, and properties of any order of inputs.

mod cases;
mod formats;
mod machines;
mod properties;
mod redrive;
mod simulator;
