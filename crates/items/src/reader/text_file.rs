use bytes::{Bytes, BytesMut};
use futures::StreamExt;

use crate::decode::Decoder;
use crate::inflate::Inflate;
use crate::position::Within;
use crate::{Error, ObjectError, ObjectRef, Objects, Opened, Source};

/// Bytes that tell the compression and whether there is a byte order mark.
const HEAD_BYTES: usize = 4;
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// A text file that is being read.
pub(super) struct TextFile {
    pieces: Pieces,
    decoder: Decoder,
    etag: String,
    /// Where the last item ended; `None` before the first one.
    item_end: Option<(u64, u8)>,
    finished: bool,
}

/// The uncompressed content of an object.
struct Pieces {
    source: Source,
    inflate: Option<Inflate>,
    /// Compressed bytes that are still to be undone.
    packed: Bytes,
    /// What is to be read next.
    piece: Bytes,
    /// Of `piece` in the uncompressed content.
    offset: u64,
    source_ended: bool,
}

impl TextFile {
    pub(super) async fn open(
        objects: &dyn Objects,
        object: &ObjectRef,
        mut decoder: Decoder,
        within: Option<Within>,
    ) -> Result<TextFile, Error> {
        let Opened { etag, source, .. } = objects.open(object, 0).await.map_err(unreadable)?;
        let mut pieces = Pieces::begin(source).await?;
        let mut item_end = None;
        if let Some(Within { etag: expected, offset, mark }) = within {
            if etag != expected {
                return Err(replaced(object));
            }
            while decoder.needs_start() && pieces.fill().await? {
                let (used, _) = decoder.decode(&pieces.piece)?;
                pieces.take(used);
            }
            if pieces.inflate.is_none() {
                let again = objects.open(object, offset).await.map_err(unreadable)?;
                if again.etag != expected {
                    return Err(replaced(object));
                }
                pieces = Pieces { offset, ..Pieces::raw(again.source) };
            } else {
                pieces.pass_to(offset).await?;
            }
            decoder.resume(mark)?;
            item_end = Some((offset, mark));
        }
        Ok(TextFile { pieces, decoder, etag, item_end, finished: false })
    }

    /// Opens a file that is read from its start again, and passes over what was dealt with.
    pub(super) async fn open_at(
        objects: &dyn Objects,
        object: &ObjectRef,
        decoder: Decoder,
        offset: u64,
    ) -> Result<TextFile, Error> {
        let mut file = TextFile::open(objects, object, decoder, None).await?;
        file.pieces.pass_to(offset).await?;
        Ok(file)
    }

    pub(super) async fn next(&mut self) -> Result<Option<String>, Error> {
        while !self.finished {
            if self.decoder.is_done() || !self.pieces.fill().await? {
                self.finished = true;
                let item = self.decoder.finish()?;
                return Ok(self.given(item));
            }
            let (used, item) = self.decoder.decode(&self.pieces.piece)?;
            self.pieces.take(used);
            if item.is_some() {
                return Ok(self.given(item));
            }
        }
        Ok(None)
    }

    pub(super) fn within(&self) -> Option<Within> {
        self.item_end.map(|(offset, mark)| Within { etag: self.etag.clone(), offset, mark })
    }

    fn given(&mut self, item: Option<String>) -> Option<String> {
        if item.is_some() {
            self.item_end = Some((self.pieces.offset, self.decoder.mark()));
        }
        item
    }
}

impl Pieces {
    /// Uncompressed content from anywhere.
    fn raw(source: Source) -> Pieces {
        Pieces { source, inflate: None, packed: Bytes::new(), piece: Bytes::new(), offset: 0, source_ended: false }
    }

    /// The content of a whole object, without compression and byte order mark.
    async fn begin(source: Source) -> Result<Pieces, Error> {
        let mut pieces = Pieces::raw(source);
        pieces.gather_head().await?;
        pieces.inflate = Inflate::detect(&pieces.piece).map_err(unpacked)?;
        if pieces.inflate.is_some() {
            pieces.packed = std::mem::take(&mut pieces.piece);
            pieces.gather_head().await?;
        }
        if pieces.piece.starts_with(BYTE_ORDER_MARK) {
            pieces.take(BYTE_ORDER_MARK.len());
        }
        Ok(pieces)
    }

    /// Makes the piece as long as the head, if the content is.
    async fn gather_head(&mut self) -> Result<(), Error> {
        let mut head = BytesMut::new();
        while head.len() < HEAD_BYTES && self.fill().await? {
            head.extend_from_slice(&std::mem::take(&mut self.piece));
        }
        self.piece = head.freeze();
        Ok(())
    }

    /// Sees to it that there is a piece; false at the end.
    async fn fill(&mut self) -> Result<bool, Error> {
        while self.piece.is_empty() {
            match &mut self.inflate {
                None => match self.receive().await? {
                    Some(piece) => self.piece = piece,
                    None => return Ok(false),
                },
                Some(inflate) if !self.packed.is_empty() => {
                    self.piece = inflate.step(&mut self.packed).map_err(unpacked)?;
                }
                Some(inflate) if self.source_ended => {
                    self.piece = inflate.finish().map_err(unpacked)?;
                    return Ok(!self.piece.is_empty());
                }
                Some(_) => {
                    if let Some(packed) = self.receive().await? {
                        self.packed = packed;
                    }
                }
            }
        }
        Ok(true)
    }

    async fn receive(&mut self) -> Result<Option<Bytes>, Error> {
        if self.source_ended {
            return Ok(None);
        }
        // An object in memory always has its next piece; others must have their turn all the same.
        tokio::task::coop::consume_budget().await;
        let received = self.source.next().await.transpose().map_err(unreadable)?;
        self.source_ended = received.is_none();
        Ok(received)
    }

    fn take(&mut self, bytes: usize) {
        let _ = self.piece.split_to(bytes);
        self.offset += bytes as u64;
    }

    /// Passes over content up to this offset.
    async fn pass_to(&mut self, offset: u64) -> Result<(), Error> {
        while self.offset < offset && self.fill().await? {
            let ahead = usize::try_from(offset - self.offset).unwrap_or(usize::MAX);
            self.take(self.piece.len().min(ahead));
        }
        Ok(())
    }
}

pub(super) fn unreadable(error: ObjectError) -> Error {
    Error::Reader(error.0)
}

fn unpacked(error: std::io::Error) -> Error {
    Error::Reader(format!("The compressed data set is malformed: {error}."))
}

fn replaced(object: &ObjectRef) -> Error {
    Error::Reader(format!("The object 's3://{}/{}' was replaced while it was being read.", object.bucket, object.key))
}
