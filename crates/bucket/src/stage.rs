//! Taking content in: hashed while it streams, small content kept in memory, larger content written to a file, all of
//! it checked before anything names it.

use std::io::Write as _;
use std::pin::Pin;
use std::sync::Arc;

use base::Entropy;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use service::Fault;
use store::{BlobId, BlobWriter};
use tokio::sync::Semaphore;

use crate::checksum::{Algorithm, Checksum, Digests, Found};
use crate::fault::{self, bad_digest, incomplete_body, too_large};
use crate::keeper::{InFlight, Keeper};
use crate::record::Content;

/// Content up to this size lies in a record of the store: it saves the file and its sync.
pub const INLINE_BYTES_MAX: usize = 16 * 1024;
/// Content gathers to about this much before it is hashed and written.
const BATCH_BYTES: usize = 1024 * 1024;

/// Bytes as they arrive.
pub(crate) type Source = Pin<Box<dyn Stream<Item = Result<Bytes, Fault>> + Send>>;

/// Reads a checksum that comes behind the content.
pub(crate) type Trailer = Box<dyn FnOnce() -> Option<String> + Send>;

/// What the caller claims about content.
#[derive(Default)]
pub(crate) struct Expected {
    pub(crate) length: Option<u64>,
    pub(crate) md5: Option<[u8; 16]>,
    /// In base64, before the content.
    pub(crate) checksum: Option<(Algorithm, Vec<u8>)>,
    /// In base64, behind the content.
    pub(crate) trailer: Option<(Algorithm, Trailer)>,
}

impl Expected {
    pub(crate) fn algorithm(&self) -> Option<Algorithm> {
        self.checksum.as_ref().map(|(a, _)| *a).or(self.trailer.as_ref().map(|(a, _)| *a))
    }

    fn check_length(&self, size: u64) -> Result<(), Fault> {
        if self.length.is_some_and(|l| l != size) { Err(incomplete_body()) } else { Ok(()) }
    }

    /// To be called when the content has ended.
    fn check(self, found: &Found) -> Result<(), Fault> {
        if let Some(md5) = self.md5
            && md5 != found.md5
        {
            return Err(Fault::client("BadDigest", "The Content-MD5 you specified did not match what we received.")
                .member("ExpectedDigest", BASE64_STANDARD.encode(md5))
                .member("CalculatedDigest", BASE64_STANDARD.encode(found.md5)));
        }
        let trailer = match self.trailer {
            Some((algorithm, read)) => {
                let text = read().ok_or_else(|| {
                    Fault::client(
                        "MalformedTrailerError",
                        "The request contained trailing data that was not well-formed",
                    )
                })?;
                Some((algorithm, algorithm.parse(&text).ok_or_else(|| invalid_value(algorithm))?))
            }
            None => None,
        };
        for (algorithm, value) in self.checksum.into_iter().chain(trailer) {
            if found.get(algorithm) != Some(value.as_slice()) {
                return Err(bad_digest(algorithm.name()));
            }
        }
        Ok(())
    }
}

pub(crate) fn invalid_value(algorithm: Algorithm) -> Fault {
    fault::invalid_request(format!("Value for {} header is invalid.", algorithm.header()))
}

/// Content that is here, checked, and not yet named by anything.
pub(crate) struct Staged {
    pub(crate) size: u64,
    pub(crate) md5: [u8; 16],
    /// Of the algorithm that the object gets.
    pub(crate) checksum: Checksum,
    found: Found,
    body: StagedBody,
}

enum StagedBody {
    Empty,
    Inline(BlobId, Bytes),
    Blob(InFlight),
}

/// How staged content is named: to be put into a batch.
pub(crate) struct Naming {
    pub(crate) content: Content,
    pub(crate) data: Option<Bytes>,
    pub(crate) in_flight: Option<InFlight>,
}

impl Staged {
    pub(crate) fn checksum_of(&self, algorithm: Algorithm) -> Option<Checksum> {
        self.found.get(algorithm).map(|value| Checksum::full(algorithm, value.to_vec()))
    }

    pub(crate) fn naming(self) -> Naming {
        match self.body {
            StagedBody::Empty => Naming { content: Content::Empty, data: None, in_flight: None },
            StagedBody::Inline(id, data) => Naming { content: Content::Inline(id), data: Some(data), in_flight: None },
            StagedBody::Blob(in_flight) => {
                Naming { content: Content::Blob(in_flight.id()), data: None, in_flight: Some(in_flight) }
            }
        }
    }
}

/// Takes content in. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Stager {
    pub(crate) keeper: Arc<Keeper>,
    pub(crate) entropy: Arc<Entropy>,
    /// Bounds the threads that wait for files.
    pub(crate) io: Arc<Semaphore>,
    /// Bounds the uploads that hold memory.
    pub(crate) uploads: Arc<Semaphore>,
}

/// A file being written.
struct Job {
    digests: Digests,
    file: Option<(InFlight, BlobWriter)>,
}

impl Job {
    fn take(&mut self, keeper: &Arc<Keeper>, entropy: &Entropy, chunks: &[Bytes]) -> std::io::Result<()> {
        let (_, writer) = match &mut self.file {
            Some(file) => file,
            None => {
                let in_flight = keeper.announce(BlobId::from_random(entropy.next_u64(), entropy.next_u64()));
                let writer = keeper.blobs.create(in_flight.id())?;
                self.file.insert((in_flight, writer))
            }
        };
        for chunk in chunks {
            self.digests.update(chunk);
            writer.write_all(chunk)?;
        }
        Ok(())
    }
}

impl Stager {
    /// Takes `source` in whole: at most `bytes_max`, with the checksum of `algorithm`, as `expected`.
    pub(crate) async fn stage(
        &self,
        mut source: Source,
        bytes_max: u64,
        algorithm: Algorithm,
        expected: Expected,
    ) -> Result<Staged, Fault> {
        if let Some(length) = expected.length
            && length > bytes_max
        {
            return Err(too_large(length, bytes_max));
        }
        let _upload = self.uploads.clone().try_acquire_owned().map_err(|_| fault::slow_down())?;
        let algorithms: Vec<Algorithm> = expected.algorithm().into_iter().chain([algorithm]).collect();
        let mut job = Job { digests: Digests::new(&algorithms), file: None };
        let mut writing: Option<tokio::task::JoinHandle<Result<Job, Fault>>> = None;
        let (mut chunks, mut waiting, mut size) = (Vec::new(), 0, 0u64);
        while let Some(chunk) = source.next().await {
            let chunk = chunk?;
            size += chunk.len() as u64;
            if size > bytes_max || expected.length.is_some_and(|l| size > l) {
                return Err(if size > bytes_max { too_large(size, bytes_max) } else { incomplete_body() });
            }
            waiting += chunk.len();
            chunks.push(chunk);
            if waiting >= BATCH_BYTES {
                // One batch is written while the next arrives.
                let current = match writing.take() {
                    Some(before) => joined(before.await)?,
                    None => std::mem::replace(&mut job, Job { digests: Digests::new(&[]), file: None }),
                };
                writing = Some(self.write(current, std::mem::take(&mut chunks)));
                waiting = 0;
            }
        }
        expected.check_length(size)?;
        if let Some(before) = writing {
            job = joined(before.await)?;
        }
        if job.file.is_none() && size <= INLINE_BYTES_MAX as u64 {
            return self.in_memory(job.digests, &chunks, size, algorithm, expected);
        }
        self.finish(job, chunks, size, algorithm, expected).await
    }

    fn in_memory(
        &self,
        mut digests: Digests,
        chunks: &[Bytes],
        size: u64,
        algorithm: Algorithm,
        expected: Expected,
    ) -> Result<Staged, Fault> {
        let data = match chunks {
            [one] => one.clone(),
            many => many.concat().into(),
        };
        digests.update(&data);
        let found = digests.finish();
        expected.check(&found)?;
        let id = BlobId::from_random(self.entropy.next_u64(), self.entropy.next_u64());
        let body = if data.is_empty() { StagedBody::Empty } else { StagedBody::Inline(id, data) };
        Ok(staged(found, size, algorithm, body))
    }

    fn write(&self, mut job: Job, chunks: Vec<Bytes>) -> tokio::task::JoinHandle<Result<Job, Fault>> {
        let (keeper, entropy, io) = (self.keeper.clone(), self.entropy.clone(), self.io.clone());
        tokio::spawn(async move {
            let _permit = io.acquire_owned().await;
            let writing = tokio::task::spawn_blocking(move || {
                job.take(&keeper, &entropy, &chunks).map_err(|e| fault::of_io("write content", &e))?;
                Ok(job)
            });
            joined(writing.await)
        })
    }

    async fn finish(
        &self,
        mut job: Job,
        chunks: Vec<Bytes>,
        size: u64,
        algorithm: Algorithm,
        expected: Expected,
    ) -> Result<Staged, Fault> {
        let (keeper, entropy) = (self.keeper.clone(), self.entropy.clone());
        let _permit = self.io.clone().acquire_owned().await;
        let finishing = tokio::task::spawn_blocking(move || {
            let failed = |e: std::io::Error| fault::of_io("write content", &e);
            job.take(&keeper, &entropy, &chunks).map_err(failed)?;
            let found = job.digests.finish();
            expected.check(&found)?;
            let Some((in_flight, writer)) = job.file else { return Err(fault::internal("content without a file")) };
            writer.finish().map_err(failed)?;
            Ok(staged(found, size, algorithm, StagedBody::Blob(in_flight)))
        });
        joined(finishing.await)
    }
}

fn staged(found: Found, size: u64, algorithm: Algorithm, body: StagedBody) -> Staged {
    let value = found.get(algorithm).map(<[u8]>::to_vec).unwrap_or_default();
    Staged { size, md5: found.md5, checksum: Checksum::full(algorithm, value), found, body }
}

fn joined<T>(result: Result<Result<T, Fault>, tokio::task::JoinError>) -> Result<T, Fault> {
    result.unwrap_or_else(|e| Err(fault::internal(&format!("write content: {e}"))))
}
