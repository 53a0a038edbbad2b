//! Documents whose digest the caller sent: compared when they have come whole.

use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use futures::{StreamExt as _, stream};
use http::HeaderMap;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use service::Fault;

use super::exchange::Exchange;
use super::{BoxError, header_text};
use crate::checksum::{Algorithm, Digests};
use crate::fault::bad_digest;
use crate::stage::invalid_value;

/// What the caller claims about a body.
pub(super) struct Claims {
    md5: Option<[u8; 16]>,
    checksum: Option<(Algorithm, Vec<u8>)>,
    sha256: Option<Vec<u8>>,
}

impl Claims {
    pub(super) fn of(headers: &HeaderMap) -> Result<Option<Claims>, Fault> {
        let sha256 = header_text(headers, "x-amz-content-sha256").and_then(|t| hex::decode(t).ok());
        let claims = Claims {
            md5: md5_claim(headers)?,
            checksum: checksum_claim(headers)?,
            sha256: sha256.filter(|v| v.len() == Algorithm::Sha256.len()),
        };
        let is_any = claims.md5.is_some() || claims.checksum.is_some() || claims.sha256.is_some();
        Ok(is_any.then_some(claims))
    }

    fn digests(&self) -> Digests {
        let sha256 = self.sha256.as_ref().map(|_| Algorithm::Sha256);
        let algorithms: Vec<Algorithm> = self.checksum.iter().map(|(a, _)| *a).chain(sha256).collect();
        Digests::new(&algorithms)
    }

    fn check(&self, digests: Digests) -> Result<(), Fault> {
        let found = digests.finish();
        if self.md5.is_some_and(|md5| md5 != found.md5) {
            let message = "The Content-MD5 you specified did not match what we received.";
            return Err(Fault::client("BadDigest", message));
        }
        if let Some((algorithm, value)) = &self.checksum
            && found.get(*algorithm) != Some(value)
        {
            return Err(bad_digest(algorithm.name()));
        }
        if let Some(sha256) = &self.sha256
            && found.get(Algorithm::Sha256) != Some(sha256)
        {
            return Err(sha256_mismatch());
        }
        Ok(())
    }
}

pub(super) fn sha256_mismatch() -> Fault {
    let message = "The provided 'x-amz-content-sha256' header does not match what was computed.";
    Fault::client("XAmzContentSHA256Mismatch", message)
}

pub(super) fn md5_claim(headers: &HeaderMap) -> Result<Option<[u8; 16]>, Fault> {
    let Some(text) = header_text(headers, "content-md5") else { return Ok(None) };
    let invalid = || Fault::client("InvalidDigest", "The Content-MD5 you specified was invalid.");
    let bytes = BASE64_STANDARD.decode(text).map_err(|_| invalid())?;
    bytes.try_into().map(Some).map_err(|_| invalid())
}

/// The checksum in the headers, of which there may be one.
pub(super) fn checksum_claim(headers: &HeaderMap) -> Result<Option<(Algorithm, Vec<u8>)>, Fault> {
    let mut claims = Algorithm::ALL.into_iter().filter_map(|a| header_text(headers, a.header()).map(|text| (a, text)));
    let Some((algorithm, text)) = claims.next() else { return Ok(None) };
    if claims.next().is_some() {
        let message = "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.";
        return Err(crate::fault::invalid_request(message));
    }
    let value = algorithm.parse(text).ok_or_else(|| invalid_value(algorithm))?;
    Ok(Some((algorithm, value)))
}

/// A document that is passed on while it is digested.
struct Watched<S> {
    body: S,
    digests: Option<Digests>,
    /// Bytes still to come, if that is known.
    left: Option<u64>,
    claims: Claims,
    exchange: Arc<Exchange>,
}

impl<S: futures::Stream<Item = Result<Bytes, BoxError>> + Unpin> Watched<S> {
    async fn next(&mut self) -> Option<Result<Bytes, BoxError>> {
        let data = match self.body.next().await {
            Some(Ok(data)) => data,
            Some(Err(error)) => return Some(Err(error)),
            // At the end at the latest.
            None => return self.check().err().map(Err),
        };
        if let Some(digests) = &mut self.digests {
            digests.update(&data);
        }
        self.left = self.left.map(|left| left.saturating_sub(data.len() as u64));
        // With the last bytes, if these are known to be the last: s3s may not ask for more.
        if self.left == Some(0)
            && let Err(error) = self.check()
        {
            return Some(Err(error));
        }
        Some(Ok(data))
    }

    fn check(&mut self) -> Result<(), BoxError> {
        let Some(digests) = self.digests.take() else { return Ok(()) };
        self.claims.check(digests).map_err(|fault| {
            let error: BoxError = fault.message.clone().into();
            self.exchange.fail(fault);
            error
        })
    }
}

/// Passes the body on; a claim that does not hold is the exchange's fault.
pub(super) fn body<B>(body: B, claims: Claims, exchange: Arc<Exchange>) -> s3s::Body
where
    B: hyper::body::Body<Data = Bytes, Error = BoxError> + Send + 'static,
{
    let left = body.size_hint().exact();
    if left == Some(0) {
        // s3s tells an empty document by its length.
        return s3s::Body::empty();
    }
    let digests = Some(claims.digests());
    let body = body.boxed_unsync().into_data_stream();
    let frames = stream::unfold(Watched { body, digests, left, claims, exchange }, |mut watched| async move {
        let item = watched.next().await?;
        Some((item.map(Frame::data), watched))
    });
    s3s::Body::http_body_unsync(StreamBody::new(frames))
}
