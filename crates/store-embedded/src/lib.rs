//! The storage contract on local disk: a write-ahead log with an index behind it.
