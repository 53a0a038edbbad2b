use std::io;
use std::path::{Path, PathBuf};

/// Why a store could not be opened; says which file, where in it, and what is wrong.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process, or another store in this one, has the folder open.
    #[error("open store: {} is in use by another process", dir.display())]
    Locked { dir: PathBuf },
    /// A file does not hold what was written there. Nothing was changed; an operator must look.
    #[error("open store: {} is damaged at byte {offset}: {what}", file.display())]
    Corrupt { file: PathBuf, offset: u64, what: String },
    /// A newer release wrote this.
    #[error("open store: {} has format {found}, this release reads up to {supported}: use a newer release", file.display())]
    NewerFormat { file: PathBuf, found: u16, supported: u16 },
    /// The system refused.
    #[error("open store: {doing} {}: {source}", file.display())]
    Io { doing: &'static str, file: PathBuf, source: io::Error },
}

impl OpenError {
    pub(crate) fn io<'a>(doing: &'static str, file: &'a Path) -> impl FnOnce(io::Error) -> OpenError + 'a {
        move |source| OpenError::Io { doing, file: file.to_owned(), source }
    }
}
