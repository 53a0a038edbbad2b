//! Giving content out: found with its record, kept from deletion while it is read, in pieces of bounded size.

use std::collections::VecDeque;
use std::fs::File;
use std::ops;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt as _, stream};
use service::Fault;
use store::{BlobId, Store};
use tokio::sync::Semaphore;

use crate::fault::{self, Error};
use crate::keeper::{Keeper, Pin};
use crate::keys;
use crate::record::{Content, Segment, decode_data, decode_manifest};
use crate::stage::Source;

/// Bytes that are read from a file at once.
const PIECE_BYTES: usize = 256 * 1024;

/// Content that is there, and stays as long as this lives.
pub(crate) struct Opened {
    segments: VecDeque<Held>,
    _pin: Option<Pin>,
    keeper: Arc<Keeper>,
    io: Arc<Semaphore>,
}

/// A piece of the content and which of its bytes are wanted.
struct Held {
    place: Place,
    range: ops::Range<u64>,
}

enum Place {
    Memory(Bytes),
    Blob(BlobId),
    File(Arc<File>),
}

#[derive(Clone)]
pub(crate) struct Opener {
    pub(crate) keeper: Arc<Keeper>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) io: Arc<Semaphore>,
}

impl Opener {
    /// Opens the bytes `range` of `content`; `None` if it was deleted meanwhile, so that its record must be read anew.
    pub(crate) fn open(&self, content: Content, range: ops::Range<u64>) -> Result<Option<Opened>, Error> {
        let mut opened =
            Opened { segments: VecDeque::new(), _pin: None, keeper: self.keeper.clone(), io: self.io.clone() };
        match content {
            Content::Empty => {}
            Content::Inline(id) => {
                let Some(record) = self.store.get(&keys::data(id))? else { return Ok(None) };
                opened.segments.push_back(Held { place: Place::Memory(decode_data(&record)?), range });
            }
            Content::Blob(id) => {
                // Pinned first: if it is still named after that, whoever takes the name away sees the pin.
                opened._pin = Some(self.keeper.pin(id));
                if self.store.get(&keys::blob(id))?.is_none() {
                    return Ok(None);
                }
                opened.segments.push_back(Held { place: Place::Blob(id), range });
            }
            Content::Parts(id) => {
                opened._pin = Some(self.keeper.pin(id));
                let Some(record) = self.store.get(&keys::manifest(id))? else { return Ok(None) };
                let Some(segments) = self.wanted(&decode_manifest(&record)?, &range)? else { return Ok(None) };
                opened.segments = segments;
            }
        }
        Ok(Some(opened))
    }

    /// Small parts are read at once: their records do not wait for readers. There is at most one, the last.
    fn wanted(&self, segments: &[Segment], range: &ops::Range<u64>) -> Result<Option<VecDeque<Held>>, Error> {
        let (mut wanted, mut start) = (VecDeque::new(), 0);
        for segment in segments {
            let end = start + segment.size;
            let (from, to) = (range.start.max(start), range.end.min(end));
            if from < to {
                let place = match segment.content {
                    Content::Inline(id) => match self.store.get(&keys::data(id))? {
                        Some(record) => Place::Memory(decode_data(&record)?),
                        None => return Ok(None),
                    },
                    Content::Blob(id) => Place::Blob(id),
                    Content::Empty | Content::Parts(_) => {
                        return Err(store::Error::Corrupt("manifest: a part without content".to_owned()).into());
                    }
                };
                wanted.push_back(Held { place, range: from - start..to - start });
            }
            start = end;
        }
        Ok(Some(wanted))
    }
}

impl Opened {
    /// The next piece, at most [`PIECE_BYTES`] if it comes from a file.
    async fn next(&mut self) -> Option<Result<Bytes, Fault>> {
        loop {
            let held = self.segments.front_mut()?;
            if held.range.is_empty() {
                self.segments.pop_front();
                continue;
            }
            match &held.place {
                Place::Memory(data) => {
                    let bounds = (usize::try_from(held.range.start), usize::try_from(held.range.end));
                    let piece = match bounds {
                        (Ok(from), Ok(to)) if to <= data.len() => data.slice(from..to),
                        _ => return Some(Err(fault::internal("an object's content is shorter than its record says"))),
                    };
                    self.segments.pop_front();
                    return Some(Ok(piece));
                }
                Place::Blob(_) | Place::File(_) => return Some(self.piece().await),
            }
        }
    }

    async fn piece(&mut self) -> Result<Bytes, Fault> {
        let Some(held) = self.segments.front_mut() else { return Ok(Bytes::new()) };
        let (file, id) = match &held.place {
            Place::File(file) => (Some(file.clone()), None),
            Place::Blob(id) => (None, Some(*id)),
            Place::Memory(_) => (None, None),
        };
        let len = (held.range.end - held.range.start).min(PIECE_BYTES as u64);
        let (start, blobs) = (held.range.start, self.keeper.blobs.clone());
        let _permit = self.io.clone().acquire_owned().await;
        let read = tokio::task::spawn_blocking(move || {
            let file = match (file, id) {
                (Some(file), _) => file,
                (None, Some(id)) => Arc::new(blobs.open_blob(id)?),
                (None, None) => return Err(std::io::ErrorKind::InvalidInput.into()),
            };
            let mut piece = vec![0; usize::try_from(len).unwrap_or(PIECE_BYTES)];
            file.read_exact_at(&mut piece, start)?;
            Ok((file, Bytes::from(piece)))
        });
        let read = read.await.unwrap_or_else(|e| Err(std::io::Error::other(e)));
        let (file, piece) = read.map_err(|e| fault::of_io("read content", &e))?;
        held.place = Place::File(file);
        held.range.start += len;
        Ok(piece)
    }

    /// The content piece by piece; it ends after the first error.
    pub(crate) fn into_source(self) -> Source {
        let pieces = stream::unfold(Some(self), |opened| async move {
            let mut opened = opened?;
            match opened.next().await? {
                Ok(piece) => Some((Ok(piece), Some(opened))),
                Err(fault) => Some((Err(fault), None)),
            }
        });
        pieces.boxed()
    }
}
