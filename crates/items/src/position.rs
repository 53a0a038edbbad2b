use serde::{Deserialize, Serialize};

/// The format of [`Position::to_bytes`].
const VERSION: u8 = 1;

/// Where a reader is between two items; enough to go on from there after a crash.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Position {
    pub(crate) record: Record,
}

/// The stored form; a new field is a new version.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Record {
    /// Items given before.
    pub(crate) index: u64,
    pub(crate) file: File,
    pub(crate) within: Option<Within>,
    pub(crate) ended: bool,
}

/// Which of several files is being read.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) enum File {
    /// There is one file only.
    #[default]
    One,
    /// The first of a listing behind this key.
    After(Option<String>),
    /// This file of an inventory's manifest.
    Number(u64),
    /// The file that a list names at this byte.
    Line(u64),
}

/// Where in a file.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Within {
    pub(crate) etag: String,
    /// Bytes of the uncompressed content, or rows of a Parquet file.
    pub(crate) offset: u64,
    /// What the decoder needs besides.
    pub(crate) mark: u8,
}

impl Position {
    /// The index of the next item.
    pub fn index(&self) -> u64 {
        self.record.index
    }

    /// A form to store; later versions of this crate read it.
    pub fn to_bytes(&self) -> Vec<u8> {
        // Writing to a vector cannot fail for this type: it has no map and no unknown length.
        postcard::to_extend(&self.record, vec![VERSION]).unwrap_or_default()
    }

    /// Reads [`Position::to_bytes`]; `None` if it is damaged or of a later version.
    pub fn from_bytes(bytes: &[u8]) -> Option<Position> {
        let (version, rest) = bytes.split_first()?;
        let record = (*version == VERSION).then(|| postcard::from_bytes(rest).ok()).flatten()?;
        Some(Position { record })
    }
}
