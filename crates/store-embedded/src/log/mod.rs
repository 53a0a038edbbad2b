//! The write-ahead log: the authority for what was acknowledged.

pub(crate) mod frame;
pub(crate) mod recovery;
pub(crate) mod segment;
pub(crate) mod segments;
pub(crate) mod wal;
