//! Bodies in AWS's own chunked encoding: chunks with a size each, checksums behind them.
//!
//! s3s decodes them when it verifies signatures, and holds each chunk in memory for that. So chunks whose signature
//! must be computed are refused beyond a size; unsigned ones, which some SDKs send as one for the whole object, are cut
//! into small ones before s3s sees them. On a server that verifies nothing they are decoded here.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::{Buf as _, Bytes};
use futures::{StreamExt as _, stream};
use http::header::{CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use service::Fault;

use super::exchange::Exchange;
use super::{BoxError, header_text};

/// The largest chunk with a signature of its own.
const SIGNED_CHUNK_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// The longest line that begins a chunk.
const LINE_BYTES_MAX: usize = 1024;
/// All headers behind the last chunk.
const TRAILER_BYTES_MAX: usize = 16 * 1024;

/// What is done with the chunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// Taken apart, for a server without signatures.
    Decode,
    /// Cut small.
    Cut,
    /// Passed on as they are, if they are not too large.
    Watch,
}

impl Mode {
    /// What the headers say; if the chunks are decoded here, the headers tell of the content from now on.
    pub(super) fn of(headers: &mut HeaderMap, verifies: bool) -> Option<Mode> {
        let kind = header_text(headers, "x-amz-content-sha256").filter(|k| k.starts_with("STREAMING-"))?;
        if verifies {
            return Some(if kind == "STREAMING-UNSIGNED-PAYLOAD-TRAILER" { Mode::Cut } else { Mode::Watch });
        }
        match headers.get("x-amz-decoded-content-length").cloned() {
            Some(length) => headers.insert(CONTENT_LENGTH, length),
            None => headers.remove(CONTENT_LENGTH),
        };
        headers.remove("x-amz-content-sha256");
        Some(Mode::Decode)
    }
}

fn malformed(what: &str) -> Fault {
    Fault::client("InvalidRequest", format!("The body is not in the aws-chunked encoding: {what}"))
}

#[derive(Default)]
struct Decoder {
    /// The line of a chunk, or what is behind the last chunk.
    text: Vec<u8>,
    state: State,
    chunk_bytes_max: Option<u64>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum State {
    #[default]
    Line,
    Data(u64),
    /// The line break behind a chunk.
    Break,
    Trailers,
}

impl Decoder {
    fn push(&mut self, mut input: Bytes, out: &mut VecDeque<Bytes>) -> Result<(), Fault> {
        while !input.is_empty() {
            match self.state {
                State::Data(left) => {
                    let len = usize::try_from(left).unwrap_or(usize::MAX).min(input.len());
                    out.push_back(input.split_to(len));
                    let left = left - len as u64;
                    self.state = if left == 0 { State::Break } else { State::Data(left) };
                }
                State::Break => {
                    match input.get_u8() {
                        b'\r' => {}
                        b'\n' => self.state = State::Line,
                        _ => return Err(malformed("a chunk is longer than its size")),
                    };
                }
                State::Line => match input.iter().position(|b| *b == b'\n') {
                    Some(end) => {
                        self.text.extend_from_slice(&input.split_to(end + 1));
                        self.begin_chunk()?;
                    }
                    None => {
                        self.text.extend_from_slice(&input);
                        input.clear();
                    }
                },
                State::Trailers => {
                    self.text.extend_from_slice(&input);
                    input.clear();
                    if self.text.len() > TRAILER_BYTES_MAX {
                        return Err(malformed("the trailing headers are too long"));
                    }
                }
            }
            if self.state == State::Line && self.text.len() > LINE_BYTES_MAX {
                return Err(malformed("a chunk's line is too long"));
            }
        }
        Ok(())
    }

    fn begin_chunk(&mut self) -> Result<(), Fault> {
        let line = std::mem::take(&mut self.text);
        let size = line.split(|b| b";\r\n".contains(b)).next().unwrap_or_default();
        let size = std::str::from_utf8(size).ok().and_then(|s| u64::from_str_radix(s, 16).ok());
        let size = size.ok_or_else(|| malformed("a chunk without a size"))?;
        if self.chunk_bytes_max.is_some_and(|max| size > max) {
            return Err(malformed("a signed chunk exceeds 16777216 bytes"));
        }
        self.state = if size == 0 { State::Trailers } else { State::Data(size) };
        Ok(())
    }

    /// What came behind the last chunk.
    fn finish(&self) -> Result<&[u8], Fault> {
        if self.state == State::Trailers { Ok(&self.text) } else { Err(crate::fault::incomplete_body()) }
    }
}

fn trailers(text: &[u8]) -> Result<HeaderMap, Fault> {
    let mut headers = HeaderMap::new();
    for line in text.split(|b| *b == b'\n').map(<[u8]>::trim_ascii).filter(|l| !l.is_empty()) {
        let colon =
            line.iter().position(|b| *b == b':').ok_or_else(|| malformed("a trailing header without a colon"))?;
        let name = HeaderName::from_bytes(line[..colon].trim_ascii());
        let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii());
        let (Ok(name), Ok(value)) = (name, value) else { return Err(malformed("a trailing header")) };
        headers.append(name, value);
    }
    Ok(headers)
}

struct Chunks<S> {
    body: S,
    decoder: Decoder,
    mode: Mode,
    ready: VecDeque<Bytes>,
    is_over: bool,
    exchange: Arc<Exchange>,
}

impl<S: futures::Stream<Item = Result<Bytes, BoxError>> + Unpin> Chunks<S> {
    async fn next(&mut self) -> Option<Result<Bytes, BoxError>> {
        loop {
            if let Some(ready) = self.ready.pop_front() {
                return Some(Ok(ready));
            }
            if self.is_over {
                return None;
            }
            let taken = match self.body.next().await {
                Some(Ok(data)) => self.take(data),
                Some(Err(error)) => {
                    self.is_over = true;
                    return Some(Err(error));
                }
                None => self.end(),
            };
            if let Err(fault) = taken {
                self.is_over = true;
                let error: BoxError = fault.message.clone().into();
                self.exchange.fail(fault);
                return Some(Err(error));
            }
        }
    }

    fn take(&mut self, data: Bytes) -> Result<(), Fault> {
        let mut pieces = VecDeque::new();
        self.decoder.push(data.clone(), &mut pieces)?;
        match self.mode {
            Mode::Decode => self.ready.append(&mut pieces),
            Mode::Watch => self.ready.push_back(data),
            Mode::Cut => {
                for piece in pieces {
                    self.ready.push_back(format!("{:x}\r\n", piece.len()).into());
                    self.ready.push_back(piece);
                    self.ready.push_back(Bytes::from_static(b"\r\n"));
                }
            }
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), Fault> {
        self.is_over = true;
        let behind = self.decoder.finish()?;
        match self.mode {
            Mode::Decode => self.exchange.set_trailers(trailers(behind)?),
            Mode::Watch => {}
            Mode::Cut => {
                self.ready.push_back(Bytes::from_static(b"0\r\n"));
                self.ready.push_back(Bytes::copy_from_slice(behind));
            }
        }
        Ok(())
    }
}

pub(super) fn body<B>(body: B, mode: Mode, exchange: Arc<Exchange>) -> s3s::Body
where
    B: hyper::body::Body<Data = Bytes, Error = BoxError> + Send + 'static,
{
    let chunk_bytes_max = (mode == Mode::Watch).then_some(SIGNED_CHUNK_BYTES_MAX);
    let decoder = Decoder { chunk_bytes_max, ..Decoder::default() };
    let body = body.boxed_unsync().into_data_stream();
    let chunks = Chunks { body, decoder, mode, ready: VecDeque::new(), is_over: false, exchange };
    let frames = stream::unfold(chunks, |mut chunks| async move {
        let item = chunks.next().await?;
        Some((item.map(Frame::data), chunks))
    });
    s3s::Body::http_body_unsync(StreamBody::new(frames))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(input: &[u8], piece: usize) -> Result<(Vec<u8>, HeaderMap), Fault> {
        let (mut decoder, mut out) = (Decoder::default(), VecDeque::new());
        for part in input.chunks(piece) {
            decoder.push(Bytes::copy_from_slice(part), &mut out)?;
        }
        let content = out.iter().flat_map(|b| b.to_vec()).collect();
        Ok((content, trailers(decoder.finish()?)?))
    }

    #[test]
    fn chunks_in_any_pieces() {
        let input = b"5;chunk-signature=ab\r\nhello\r\n6\r\n world\r\n0\r\nx-amz-checksum-crc32:DUoRhQ==\r\n\r\n";
        for piece in 1..input.len() {
            let (content, trailers) = decode(input, piece).unwrap();
            assert_eq!(content, b"hello world");
            assert_eq!(trailers["x-amz-checksum-crc32"], "DUoRhQ==");
        }
        assert_eq!(decode(b"0\r\n\r\n", 3).unwrap().0, b"");
    }

    #[test]
    fn what_is_no_chunk() {
        for input in [&b"x\r\n"[..], b"5\r\nhelloo\r\n0\r\n", b"5\r\nhel", b"5\r\nhello\r\n", b"0\r\nnonsense\r\n"] {
            assert!(decode(input, 4).is_err(), "{input:?}");
        }
        assert!(decode(&[b'1'; 2000], 100).is_err());
    }
}
