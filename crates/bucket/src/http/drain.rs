//! What a refused caller still sends is read and dropped, so that it gets to see its refusal.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::{Body, Frame, SizeHint};

use super::{AnswerBody, BoxError};

/// More than this is not read; the connection is closed then.
const DROPPED_BYTES_MAX: usize = 32 * 1024 * 1024;

/// A body that is read to its end even if nobody wants it.
struct Drained {
    inner: Option<AnswerBody>,
}

/// `is_awaited`: the caller sends nothing before it is told to go on, so there is nothing to read.
pub(super) fn body<B>(body: B, is_awaited: bool) -> impl Body<Data = Bytes, Error = BoxError> + Send + 'static
where
    B: Body<Data = Bytes, Error = BoxError> + Send + 'static,
{
    let inner = body.boxed_unsync();
    if is_awaited { inner } else { AnswerBody::new(Drained { inner: Some(inner) }) }
}

impl Body for Drained {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let Some(inner) = &mut self.inner else { return Poll::Ready(None) };
        let polled = Pin::new(inner).poll_frame(cx);
        if let Poll::Ready(None | Some(Err(_))) = &polled {
            self.inner = None;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl Drop for Drained {
    fn drop(&mut self) {
        let Some(mut inner) = self.inner.take().filter(|inner| !inner.is_end_stream()) else { return };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        runtime.spawn(async move {
            let mut left = DROPPED_BYTES_MAX;
            while let Some(Ok(frame)) = inner.frame().await {
                match left.checked_sub(frame.data_ref().map_or(0, Bytes::len)) {
                    Some(rest) => left = rest,
                    None => return,
                }
            }
        });
    }
}
