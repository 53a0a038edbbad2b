/// Why the store refused; a variant for each thing a caller does about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Nothing was written; the same call may succeed later (disk full, store busy).
    #[error("store: {0}")]
    Retryable(String),
    /// Another owner has taken over; this one must stop.
    #[error("store: fenced, another owner holds the lease")]
    Fenced,
    /// What is stored cannot be read back; an operator must look.
    #[error("store: corrupt: {0}")]
    Corrupt(String),
}
