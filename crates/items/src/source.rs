use std::pin::Pin;

use async_trait::async_trait;
use base::Timestamp;
use bytes::Bytes;
use futures::Stream;
use tokio::io::{AsyncRead, AsyncReadExt};

/// The content of an object, piece by piece; it ends after the first error.
pub type Source = Pin<Box<dyn Stream<Item = Result<Bytes, ObjectError>> + Send>>;

/// Where a reader gets objects from. Every call may be repeated after a crash.
#[async_trait]
pub trait Objects: Send + Sync {
    /// Opens an object from byte `offset` to its end; an offset at or behind the end gives no bytes.
    async fn open(&self, object: &ObjectRef, offset: u64) -> Result<Opened, ObjectError>;

    /// Bytes of an object, fewer only at its end. Parquet needs it: its directory is at the end.
    async fn read(&self, object: &ObjectRef, offset: u64, length: u64) -> Result<Bytes, ObjectError>;

    /// One page of a listing in the order of the keys, as `ListObjectsV2` with `StartAfter` gives it.
    async fn list(&self, listing: &Listing, start_after: Option<&str>) -> Result<ListingPage, ObjectError>;
}

/// One object, and if need be one version of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectRef {
    pub bucket: String,
    pub key: String,
    pub version_id: Option<String>,
}

/// An object that is being read.
pub struct Opened {
    /// Of the whole object, not of what is left behind the offset.
    pub size: u64,
    /// Tells one content of the key from another.
    pub etag: String,
    pub source: Source,
}

/// What a `listObjectsV2` item reader lists.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Listing {
    pub bucket: String,
    pub prefix: Option<String>,
    pub start_after: Option<String>,
}

/// A page of a listing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ListingPage {
    pub objects: Vec<Listed>,
    /// Whether there is more behind the last key.
    pub more: bool,
}

/// An object of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    pub key: String,
    /// With the quotes, as S3 lists it.
    pub etag: String,
    pub size: u64,
    pub modified: Timestamp,
    pub storage_class: String,
}

/// Why an object cannot be read; becomes the cause of `States.ItemReaderFailed`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ObjectError(pub String);

/// Bytes taken off an `AsyncRead` at a time.
const READ_BYTES: usize = 64 * 1024;

/// The pieces of a byte reader.
pub fn from_read(reader: impl AsyncRead + Send + Unpin + 'static) -> Source {
    Box::pin(futures::stream::unfold(Some(reader), |reader| async {
        let mut reader = reader?;
        let mut buffer = bytes::BytesMut::with_capacity(READ_BYTES);
        match reader.read_buf(&mut buffer).await {
            Ok(0) => None,
            Ok(_) => Some((Ok(buffer.freeze()), Some(reader))),
            Err(error) => Some((Err(ObjectError(format!("The object cannot be read: {error}."))), None)),
        }
    }))
}
