//! Rows of a Parquet file as objects, through the `parquet` crate's record reader (without Arrow).
//!
//! That crate reads synchronously and from any place of the file, so it runs on a blocking thread that asks
//! [`Objects`] for ranges and hands rows over through a small channel. A page at a time is in memory for each column.

mod row;

use std::io::{self, Read};
use std::ops::Range;
use std::sync::Arc;

use bytes::{Buf, Bytes};
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::reader::{ChunkReader, FileReader, Length, SerializedFileReader};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::position::Within;
use crate::{Error, ObjectRef, Objects};
use row::Columns;

/// Rows that wait for the reader.
const ROWS_WAITING_MAX: usize = 64;
/// Size of a page or of the file's directory, compressed.
const RANGE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Bytes read ahead where the crate reads on without saying how far: the headers of pages.
const AHEAD_BYTES: u64 = 4 * 1024;

/// A Parquet file that is being read.
pub(crate) struct ParquetFile {
    rows: mpsc::Receiver<Result<String, Error>>,
    job: Option<JoinHandle<()>>,
    etag: String,
    /// Rows given.
    row: u64,
}

impl ParquetFile {
    pub(crate) async fn open(
        objects: Arc<dyn Objects>,
        object: ObjectRef,
        within: Option<Within>,
        item_bytes_max: usize,
    ) -> Result<ParquetFile, Error> {
        let opened = objects.open(&object, 0).await.map_err(|error| Error::Reader(error.0))?;
        let (size, etag) = (opened.size, opened.etag);
        let row = match within {
            Some(within) if within.etag != etag => {
                return Err(Error::Reader(format!(
                    "The object 's3://{}/{}' was replaced while it was being read.",
                    object.bucket, object.key
                )));
            }
            Some(within) => within.offset,
            None => 0,
        };
        let (sender, rows) = mpsc::channel(ROWS_WAITING_MAX);
        let ranges = Ranges { objects, object, size, runtime: Handle::current() };
        let job = tokio::task::spawn_blocking(move || {
            if let Err(error) = send_rows(ranges, row, item_bytes_max, &sender) {
                // A reader that was dropped wants no error either.
                let _ = sender.blocking_send(Err(error));
            }
        });
        Ok(ParquetFile { rows, job: Some(job), etag, row })
    }

    pub(crate) async fn next(&mut self) -> Result<Option<String>, Error> {
        match self.rows.recv().await {
            Some(row) => {
                let row = row?;
                self.row += 1;
                Ok(Some(row))
            }
            // The crate asserts what a damaged file may not fulfil.
            None => match self.job.take() {
                Some(job) => job.await.map(|()| None).map_err(|_| malformed("its structure is damaged")),
                None => Ok(None),
            },
        }
    }

    pub(crate) fn within(&self) -> Option<Within> {
        (self.row > 0).then(|| Within { etag: self.etag.clone(), offset: self.row, mark: 0 })
    }
}

/// Sends the rows from `first` on, one row group after the other.
fn send_rows(
    ranges: Ranges,
    first: u64,
    item_bytes_max: usize,
    sender: &mpsc::Sender<Result<String, Error>>,
) -> Result<(), Error> {
    let file = SerializedFileReader::new(ranges).map_err(unreadable)?;
    let columns = Columns::new(file.metadata().file_metadata().schema());
    let mut pass = first;
    for number in 0..file.num_row_groups() {
        let rows = u64::try_from(file.metadata().row_group(number).num_rows()).unwrap_or(0);
        if rows <= pass {
            pass -= rows;
            continue;
        }
        let group = file.get_row_group(number).map_err(unreadable)?;
        for row in group.get_row_iter(None).map_err(unreadable)? {
            let row = row.map_err(unreadable)?;
            if pass > 0 {
                pass -= 1;
                continue;
            }
            let item = columns.item(&row);
            if item.len() > item_bytes_max {
                return Err(Error::item_too_large(item_bytes_max));
            }
            if sender.blocking_send(Ok(item)).is_err() {
                return Ok(());
            }
        }
    }
    Ok(())
}

fn unreadable(error: ParquetError) -> Error {
    malformed(&error.to_string())
}

fn malformed(what: &str) -> Error {
    Error::Reader(format!("The Parquet data set cannot be read: {what}."))
}

/// Ranges of an object, waited for on a blocking thread.
struct Ranges {
    objects: Arc<dyn Objects>,
    object: ObjectRef,
    size: u64,
    runtime: Handle,
}

/// Reads on from a place, some bytes ahead at a time.
struct Ahead {
    objects: Arc<dyn Objects>,
    object: ObjectRef,
    runtime: Handle,
    rest: Range<u64>,
    buffer: Bytes,
}

impl Length for Ranges {
    fn len(&self) -> u64 {
        self.size
    }
}

impl ChunkReader for Ranges {
    type T = Ahead;

    fn get_read(&self, start: u64) -> ParquetResult<Ahead> {
        Ok(Ahead {
            objects: self.objects.clone(),
            object: self.object.clone(),
            runtime: self.runtime.clone(),
            rest: start..self.size,
            buffer: Bytes::new(),
        })
    }

    fn get_bytes(&self, start: u64, length: usize) -> ParquetResult<Bytes> {
        if length > RANGE_BYTES_MAX {
            return Err(ParquetError::General(format!("a page or the footer exceeds {RANGE_BYTES_MAX} bytes")));
        }
        let read = self.runtime.block_on(self.objects.read(&self.object, start, length as u64));
        let bytes = read.map_err(|error| ParquetError::General(error.0))?;
        if bytes.len() != length {
            return Err(ParquetError::EOF(format!("{length} bytes expected at {start}, {} read", bytes.len())));
        }
        Ok(bytes)
    }
}

impl Read for Ahead {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.buffer.is_empty() && !self.rest.is_empty() {
            let length = AHEAD_BYTES.min(self.rest.end - self.rest.start);
            let read = self.runtime.block_on(self.objects.read(&self.object, self.rest.start, length));
            self.buffer = read.map_err(|error| io::Error::other(error.0))?;
            self.rest.start += self.buffer.len() as u64;
        }
        let taken = out.len().min(self.buffer.len());
        self.buffer.copy_to_slice(&mut out[..taken]);
        Ok(taken)
    }
}
