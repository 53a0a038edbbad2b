//! Lambda: packages, worker processes, the Runtime API.
