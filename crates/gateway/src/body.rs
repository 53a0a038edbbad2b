use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use service::Fault;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Sleep;

use crate::answer::BoxError;

/// Bodies up to this size are not counted against the sum of all bodies; connections bound them.
const SMALL_BYTES: usize = 64 * 1024;
const COUNTED_UNIT_BYTES: usize = 1024;

/// A request's body as it arrives; a peer that pauses too long is an error.
pub struct RequestBody {
    inner: Incoming,
    pause_max: Duration,
    pause: Option<Pin<Box<Sleep>>>,
}

impl RequestBody {
    pub(crate) fn new(inner: Incoming, pause_ms_max: u64) -> RequestBody {
        RequestBody { inner, pause_max: Duration::from_millis(pause_ms_max), pause: None }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        if let Poll::Ready(frame) = Pin::new(&mut this.inner).poll_frame(cx) {
            this.pause = None;
            return Poll::Ready(frame.map(|f| f.map_err(Into::into)));
        }
        let pause_max = this.pause_max;
        let pause = this.pause.get_or_insert_with(|| Box::pin(tokio::time::sleep(pause_max)));
        match pause.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Some(Err("the body did not arrive in time".into()))),
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// A whole body, and its share of the memory for bodies.
pub(crate) struct Held {
    pub bytes: Bytes,
    _share: Option<OwnedSemaphorePermit>,
}

/// The memory that all larger bodies share.
pub(crate) fn shared_bytes(bodies_bytes_max: usize) -> Arc<Semaphore> {
    Arc::new(Semaphore::new((bodies_bytes_max / COUNTED_UNIT_BYTES).min(Semaphore::MAX_PERMITS)))
}

/// Reads a body of at most `bytes_max`. One that arrives in one piece is not copied.
pub(crate) async fn read(mut body: RequestBody, bytes_max: usize, shared: &Arc<Semaphore>) -> Result<Held, Fault> {
    let declared = body.size_hint().lower();
    if declared > bytes_max as u64 {
        discard(body, bytes_max).await;
        return Err(too_large(bytes_max));
    }
    let declared = usize::try_from(declared).unwrap_or(usize::MAX);
    let (mut share, mut counted) = (None, SMALL_BYTES);
    let mut first = Bytes::new();
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|e| Fault::with_status(400, "RequestTimeout", format!("read the body: {e}")))?;
        let Ok(data) = frame.into_data() else { continue };
        let total = first.len().max(whole.len()) + data.len();
        if total > bytes_max {
            discard(body, bytes_max).await;
            return Err(too_large(bytes_max));
        }
        // What was declared counts at once, so that no body starves halfway; others count in steps.
        let wanted = total.max(declared).next_multiple_of(SMALL_BYTES);
        if wanted > counted {
            count(&mut share, wanted - counted, shared)?;
            counted = wanted;
        }
        if first.is_empty() {
            first = data;
            continue;
        }
        if whole.is_empty() {
            whole.reserve(total.max(declared));
            whole.extend_from_slice(&first);
        }
        whole.extend_from_slice(&data);
    }
    let bytes = if whole.is_empty() { first } else { whole.freeze() };
    Ok(Held { bytes, _share: share })
}

fn count(share: &mut Option<OwnedSemaphorePermit>, bytes: usize, shared: &Arc<Semaphore>) -> Result<(), Fault> {
    let units = u32::try_from(bytes.div_ceil(COUNTED_UNIT_BYTES)).unwrap_or(u32::MAX);
    let more = shared.clone().try_acquire_many_owned(units).map_err(|_| {
        Fault::with_status(503, "ThrottlingException", "too many large requests at once; try again later")
    })?;
    match share {
        Some(share) => share.merge(more),
        None => *share = Some(more),
    }
    Ok(())
}

fn too_large(bytes_max: usize) -> Fault {
    Fault::with_status(413, "RequestEntityTooLargeException", format!("the request body exceeds {bytes_max} bytes"))
}

/// Reads on and drops what comes, so that a caller who is still sending gets to see its refusal.
pub(crate) async fn discard(mut body: RequestBody, bytes_max: usize) {
    let mut left = bytes_max;
    while let Some(Ok(frame)) = body.frame().await {
        let length = frame.data_ref().map_or(0, Bytes::len);
        if length > left {
            return;
        }
        left -= length;
    }
}
