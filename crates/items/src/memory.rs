use std::collections::BTreeMap;

use async_trait::async_trait;
use base::Timestamp;
use bytes::Bytes;

use crate::{Listed, Listing, ListingPage, ObjectError, ObjectRef, Objects, Opened};

/// Keys a page of [`MemoryObjects`] has at most, as S3's.
const PAGE_KEYS_MAX: usize = 1_000;

/// Objects held in memory: for tests, and for data that a caller gives in place of the object (`TestState`).
#[derive(Debug, Clone, Default)]
pub struct MemoryObjects {
    objects: BTreeMap<(String, String), Bytes>,
    /// How large the pieces are that [`Objects::open`] gives; 0 is all at once.
    pub piece_bytes: usize,
}

impl MemoryObjects {
    pub fn new() -> MemoryObjects {
        MemoryObjects::default()
    }

    /// Puts an object, or replaces it.
    pub fn put(&mut self, bucket: &str, key: &str, content: impl Into<Bytes>) {
        self.objects.insert((bucket.to_owned(), key.to_owned()), content.into());
    }

    fn get(&self, object: &ObjectRef) -> Result<&Bytes, ObjectError> {
        let key = (object.bucket.clone(), object.key.clone());
        self.objects.get(&key).ok_or_else(|| ObjectError("The specified key does not exist.".to_owned()))
    }
}

#[async_trait]
impl Objects for MemoryObjects {
    async fn open(&self, object: &ObjectRef, offset: u64) -> Result<Opened, ObjectError> {
        let content = self.get(object)?;
        let mut rest = content.slice(content.len().min(usize::try_from(offset).unwrap_or(usize::MAX))..);
        let piece_bytes = if self.piece_bytes == 0 { usize::MAX } else { self.piece_bytes };
        let pieces = std::iter::from_fn(move || {
            let piece = rest.split_to(rest.len().min(piece_bytes));
            (!piece.is_empty()).then_some(Ok(piece))
        });
        let source = Box::pin(futures::stream::iter(pieces));
        Ok(Opened { size: content.len() as u64, etag: etag(content), source })
    }

    async fn read(&self, object: &ObjectRef, offset: u64, length: u64) -> Result<Bytes, ObjectError> {
        let content = self.get(object)?;
        let clip = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(content.len());
        Ok(content.slice(clip(offset)..clip(offset.saturating_add(length))))
    }

    async fn list(&self, listing: &Listing, start_after: Option<&str>) -> Result<ListingPage, ObjectError> {
        let prefix = listing.prefix.as_deref().unwrap_or("");
        let found = self.objects.iter().filter(|((bucket, key), _)| {
            *bucket == listing.bucket && key.starts_with(prefix) && start_after.is_none_or(|after| key.as_str() > after)
        });
        let mut objects: Vec<Listed> = found
            .take(PAGE_KEYS_MAX + 1)
            .map(|((_, key), content)| Listed {
                key: key.clone(),
                etag: etag(content),
                size: content.len() as u64,
                modified: Timestamp::from_millis(0),
                storage_class: "STANDARD".to_owned(),
            })
            .collect();
        let more = objects.len() > PAGE_KEYS_MAX;
        objects.truncate(PAGE_KEYS_MAX);
        Ok(ListingPage { objects, more })
    }
}

/// FNV-1a: enough to tell one content from another here.
fn etag(content: &[u8]) -> String {
    let hash =
        content.iter().fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(*b)).wrapping_mul(0x0100_0000_01b3));
    format!("\"{hash:016x}\"")
}
