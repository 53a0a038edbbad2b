use std::collections::VecDeque;

use futures::StreamExt;

use super::text_file::{TextFile, unreadable};
use crate::config::CsvHeaders;
use crate::decode::{Decoder, Lines};
use crate::inventory::{Inventory, MANIFEST_BYTES_MAX};
use crate::position::File;
use crate::{Error, Listed, Listing, ObjectRef, Objects};

/// Length of a line of a list of objects.
const URI_BYTES_MAX: usize = 4 * 1024;

/// Which files a data set consists of, one after the other.
pub(super) enum Files {
    One { object: Option<ObjectRef> },
    Listing(Pages),
    Inventory { manifest: ObjectRef, read: Option<Inventory>, number: u64 },
    Athena { manifest: ObjectRef, lines: Option<Box<TextFile>>, line: u64, behind: u64 },
}

/// What comes next of the files.
pub(super) enum Next {
    /// An object whose metadata is the item.
    Item(Listed),
    File(ObjectRef),
}

/// The pages of a listing.
pub(super) struct Pages {
    listing: Listing,
    page: VecDeque<Listed>,
    /// The last key that was dealt with.
    after: Option<String>,
    /// The key of the file that is being read.
    reading: Option<String>,
    /// The last key of the page.
    last: Option<String>,
    more: bool,
}

impl Files {
    pub(super) fn one(object: ObjectRef) -> Files {
        Files::One { object: Some(object) }
    }

    pub(super) fn listing(listing: Listing, file: File) -> Result<Files, Error> {
        let after = match file {
            File::One => listing.start_after.clone(),
            File::After(key) => key,
            _ => return Err(foreign()),
        };
        let last = after.clone();
        Ok(Files::Listing(Pages { listing, page: VecDeque::new(), after, reading: None, last, more: true }))
    }

    pub(super) fn inventory(manifest: ObjectRef, file: File) -> Result<Files, Error> {
        let number = match file {
            File::One => 0,
            File::Number(number) => number,
            _ => return Err(foreign()),
        };
        Ok(Files::Inventory { manifest, read: None, number })
    }

    pub(super) fn athena(manifest: ObjectRef, file: File) -> Result<Files, Error> {
        let line = match file {
            File::One => 0,
            File::Line(line) => line,
            _ => return Err(foreign()),
        };
        Ok(Files::Athena { manifest, lines: None, line, behind: line })
    }

    /// Where the file that is being read is found again.
    pub(super) fn at(&self) -> File {
        match self {
            Files::One { .. } => File::One,
            Files::Listing(pages) => File::After(pages.after.clone()),
            Files::Inventory { number, .. } => File::Number(*number),
            Files::Athena { line, .. } => File::Line(*line),
        }
    }

    /// Says that the file was read to its end.
    pub(super) fn pass(&mut self) {
        match self {
            Files::One { .. } => {}
            Files::Listing(pages) => {
                if let Some(key) = pages.reading.take() {
                    pages.after = Some(key);
                }
            }
            Files::Inventory { number, .. } => *number += 1,
            Files::Athena { line, behind, .. } => *line = *behind,
        }
    }

    /// The columns of the files where a manifest has them.
    pub(super) fn headers(&self) -> Option<CsvHeaders> {
        match self {
            Files::Inventory { read: Some(inventory), .. } => Some(CsvHeaders::Given(inventory.headers.clone())),
            _ => None,
        }
    }

    pub(super) async fn next(&mut self, objects: &dyn Objects, flatten: bool) -> Result<Option<Next>, Error> {
        match self {
            Files::One { object } => Ok(object.take().map(Next::File)),
            Files::Listing(pages) => pages.next(objects, flatten).await,
            Files::Inventory { manifest, read, number } => {
                let inventory = match read {
                    Some(inventory) => inventory,
                    None => read.insert(read_inventory(objects, manifest).await?),
                };
                let key = usize::try_from(*number).ok().and_then(|number| inventory.keys.get(number));
                let bucket = inventory.bucket.as_ref().unwrap_or(&manifest.bucket);
                Ok(key.map(|key| Next::File(ObjectRef { bucket: bucket.clone(), key: key.clone(), version_id: None })))
            }
            Files::Athena { manifest, lines, line, behind } => {
                let lines = match lines {
                    Some(lines) => lines,
                    None => lines.insert(open_lines(objects, manifest, *line).await?),
                };
                *line = *behind;
                let Some(text) = lines.next().await? else { return Ok(None) };
                *behind = lines.within().map_or(*behind, |within| within.offset);
                parse_uri(&text).map(Next::File).map(Some)
            }
        }
    }
}

impl Pages {
    async fn next(&mut self, objects: &dyn Objects, flatten: bool) -> Result<Option<Next>, Error> {
        loop {
            while let Some(listed) = self.page.pop_front() {
                if !flatten {
                    self.after = Some(listed.key.clone());
                    return Ok(Some(Next::Item(listed)));
                }
                // What a console makes for a folder has no items.
                if listed.size == 0 && listed.key.ends_with('/') {
                    continue;
                }
                self.reading = Some(listed.key.clone());
                let bucket = self.listing.bucket.clone();
                return Ok(Some(Next::File(ObjectRef { bucket, key: listed.key, version_id: None })));
            }
            if !self.more {
                return Ok(None);
            }
            let page = objects.list(&self.listing, self.last.as_deref()).await.map_err(unreadable)?;
            self.more = page.more && !page.objects.is_empty();
            self.last = page.objects.last().map(|listed| listed.key.clone());
            self.page = page.objects.into();
        }
    }
}

async fn read_inventory(objects: &dyn Objects, manifest: &ObjectRef) -> Result<Inventory, Error> {
    let mut source = objects.open(manifest, 0).await.map_err(unreadable)?.source;
    let mut text = Vec::new();
    while let Some(piece) = source.next().await {
        let piece = piece.map_err(unreadable)?;
        if text.len() + piece.len() > MANIFEST_BYTES_MAX {
            return Err(Error::Reader(format!(
                "The S3 inventory manifest exceeds the maximum size of {MANIFEST_BYTES_MAX} bytes."
            )));
        }
        text.extend_from_slice(&piece);
    }
    Inventory::parse(&text)
}

async fn open_lines(objects: &dyn Objects, manifest: &ObjectRef, line: u64) -> Result<Box<TextFile>, Error> {
    let decoder = Decoder::Lines(Lines::new(URI_BYTES_MAX));
    TextFile::open_at(objects, manifest, decoder, line).await.map(Box::new)
}

/// `s3://bucket/key`.
fn parse_uri(text: &str) -> Result<ObjectRef, Error> {
    let place = text.strip_prefix("s3://").and_then(|rest| rest.split_once('/'));
    let (bucket, key) = place
        .filter(|(bucket, key)| !bucket.is_empty() && !key.is_empty())
        .ok_or_else(|| Error::Reader(format!("The manifest has a line that is not an S3 URI: '{text}'.")))?;
    Ok(ObjectRef { bucket: bucket.to_owned(), key: key.to_owned(), version_id: None })
}

fn foreign() -> Error {
    Error::Reader("The position does not belong to this data set.".to_owned())
}
