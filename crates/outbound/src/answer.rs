//! Reading an HTTP/1.1 answer, with its headers as they were sent.

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::Answer;

/// Status line and headers, and the headers behind a chunked body.
const HEAD_BYTES_MAX: usize = 64 * 1024;
const HEADERS_MAX: usize = 200;
/// Answers that only say that the real one is to come.
const INTERIM_ANSWERS_MAX: usize = 8;

#[derive(Debug)]
pub(crate) enum Fault {
    Io(std::io::Error),
    Malformed(&'static str),
    TooLarge,
}

impl From<std::io::Error> for Fault {
    fn from(error: std::io::Error) -> Fault {
        Fault::Io(error)
    }
}

/// Reads one answer to a request with `method`; the connection is not used again.
pub(crate) async fn read<R: AsyncRead + Unpin>(reader: R, method: &str, body_max: usize) -> Result<Answer, Fault> {
    let mut input = Input { reader, buffer: BytesMut::with_capacity(8 * 1024) };
    let mut answer = input.head().await?;
    for _ in 0..INTERIM_ANSWERS_MAX {
        if !(100..200).contains(&answer.status) {
            break;
        }
        answer = input.head().await?;
    }
    if method == "HEAD" || matches!(answer.status, 100..200 | 204 | 304) {
        return Ok(answer);
    }
    let header = |name: &str| {
        let found = answer.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.trim().to_ascii_lowercase())
    };
    let coding = header("transfer-encoding");
    answer.body = match (coding.as_deref(), header("content-length")) {
        (Some(coding), _) if coding.ends_with("chunked") => input.chunked(body_max).await?,
        (Some(_), _) => return Err(Fault::Malformed("unknown transfer encoding")),
        (None, Some(length)) => {
            let length: usize = length.parse().map_err(|_| Fault::Malformed("invalid Content-Length"))?;
            if length > body_max {
                return Err(Fault::TooLarge);
            }
            input.exactly(length).await?
        }
        (None, None) => input.until_end(body_max).await?,
    }
    .freeze();
    Ok(answer)
}

struct Input<R> {
    reader: R,
    buffer: BytesMut,
}

impl<R: AsyncRead + Unpin> Input<R> {
    /// Reads more; it is an error if there is no more.
    async fn more(&mut self) -> Result<(), Fault> {
        match self.reader.read_buf(&mut self.buffer).await? {
            0 => Err(Fault::Malformed("the connection ended within the answer")),
            _ => Ok(()),
        }
    }

    async fn head(&mut self) -> Result<Answer, Fault> {
        loop {
            let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
            let mut response = httparse::Response::new(&mut headers);
            match response.parse(&self.buffer) {
                Ok(httparse::Status::Complete(length)) => {
                    let headers = response.headers.iter();
                    let text = |bytes: &[u8]| bytes.iter().map(|b| char::from(*b)).collect::<String>();
                    let answer = Answer {
                        status: response.code.unwrap_or_default(),
                        reason: response.reason.unwrap_or_default().to_owned(),
                        headers: headers.map(|h| (h.name.to_owned(), text(h.value))).collect(),
                        body: bytes::Bytes::new(),
                    };
                    self.buffer.advance(length);
                    return Ok(answer);
                }
                Ok(httparse::Status::Partial) if self.buffer.len() >= HEAD_BYTES_MAX => {
                    return Err(Fault::Malformed("the answer's head is too large"));
                }
                Ok(httparse::Status::Partial) => self.more().await?,
                Err(_) => return Err(Fault::Malformed("the answer is no HTTP/1.1")),
            }
        }
    }

    async fn exactly(&mut self, length: usize) -> Result<BytesMut, Fault> {
        while self.buffer.len() < length {
            self.more().await?;
        }
        Ok(self.buffer.split_to(length))
    }

    async fn until_end(&mut self, max: usize) -> Result<BytesMut, Fault> {
        loop {
            if self.buffer.len() > max {
                return Err(Fault::TooLarge);
            }
            match self.reader.read_buf(&mut self.buffer).await {
                Ok(0) => return Ok(self.buffer.split()),
                Ok(_) => {}
                // Servers that close without saying so within TLS.
                Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(self.buffer.split()),
                Err(error) => return Err(error.into()),
            }
        }
    }

    async fn chunked(&mut self, max: usize) -> Result<BytesMut, Fault> {
        let mut body = BytesMut::new();
        loop {
            let size = self.chunk_size().await?;
            if size == 0 {
                self.trailers().await?;
                return Ok(body);
            }
            if size > max.saturating_sub(body.len()) {
                return Err(Fault::TooLarge);
            }
            body.extend_from_slice(&self.exactly(size).await?);
            if self.exactly(2).await?[..] != *b"\r\n" {
                return Err(Fault::Malformed("a chunk has not the size it says"));
            }
        }
    }

    async fn chunk_size(&mut self) -> Result<usize, Fault> {
        loop {
            match httparse::parse_chunk_size(&self.buffer) {
                Ok(httparse::Status::Complete((length, size))) => {
                    self.buffer.advance(length);
                    return usize::try_from(size).map_err(|_| Fault::TooLarge);
                }
                Ok(httparse::Status::Partial) if self.buffer.len() < HEAD_BYTES_MAX => self.more().await?,
                Ok(httparse::Status::Partial) | Err(_) => return Err(Fault::Malformed("invalid chunk size")),
            }
        }
    }

    /// Headers behind the body, which nobody asked for.
    async fn trailers(&mut self) -> Result<(), Fault> {
        loop {
            let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
            match httparse::parse_headers(&self.buffer, &mut headers) {
                Ok(httparse::Status::Complete((length, _))) => {
                    self.buffer.advance(length);
                    return Ok(());
                }
                Ok(httparse::Status::Partial) if self.buffer.len() < HEAD_BYTES_MAX => self.more().await?,
                Ok(httparse::Status::Partial) | Err(_) => return Err(Fault::Malformed("invalid trailers")),
            }
        }
    }
}
