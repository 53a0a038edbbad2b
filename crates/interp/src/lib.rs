//! The deterministic interpreter of state machines.
