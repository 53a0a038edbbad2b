use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::sync::oneshot;

use crate::Error;

/// One change of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    Put(Bytes, Bytes),
    Delete(Bytes),
}

/// A condition on a whole batch: `key` holds exactly `value` when it is committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fence {
    pub key: Bytes,
    /// `None`: the key must be absent.
    pub value: Option<Bytes>,
}

/// Changes that become durable and visible together. A later write of the same key wins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    pub writes: Vec<Write>,
    pub fence: Option<Fence>,
}

impl Batch {
    pub fn new() -> Batch {
        Batch::default()
    }

    pub fn put(&mut self, key: impl Into<Bytes>, value: impl Into<Bytes>) -> &mut Batch {
        self.writes.push(Write::Put(key.into(), value.into()));
        self
    }

    pub fn delete(&mut self, key: impl Into<Bytes>) -> &mut Batch {
        self.writes.push(Write::Delete(key.into()));
        self
    }

    pub fn fenced(mut self, fence: Fence) -> Batch {
        self.fence = Some(fence);
        self
    }

    pub fn is_empty(&self) -> bool {
        self.writes.is_empty()
    }
}

/// The acknowledgement to come: await it, or [`Commit::wait`] on a thread of your own.
#[must_use = "nothing is known to be durable before the commit resolves"]
pub struct Commit(Inner);

enum Inner {
    Done(Option<Result<u64, Error>>),
    Pending(oneshot::Receiver<Result<u64, Error>>),
}

/// A backend's end of a [`Commit`].
pub struct CommitSender(oneshot::Sender<Result<u64, Error>>);

/// A commit and the end that resolves it.
pub fn commit_channel() -> (CommitSender, Commit) {
    let (tx, rx) = oneshot::channel();
    (CommitSender(tx), Commit(Inner::Pending(rx)))
}

impl CommitSender {
    /// Resolves with the batch's sequence number, or the refusal.
    pub fn send(self, result: Result<u64, Error>) {
        // The caller may have gone away; the batch stands all the same.
        let _ = self.0.send(result);
    }
}

impl Commit {
    /// A commit whose outcome is known.
    pub fn done(result: Result<u64, Error>) -> Commit {
        Commit(Inner::Done(Some(result)))
    }

    /// Blocks this thread until the outcome is known. Not for async code.
    pub fn wait(self) -> Result<u64, Error> {
        match self.0 {
            Inner::Done(result) => result.expect("a commit resolves once"),
            Inner::Pending(rx) => rx.blocking_recv().unwrap_or_else(|_| Err(stopped())),
        }
    }
}

impl Future for Commit {
    type Output = Result<u64, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            Inner::Done(result) => Poll::Ready(result.take().expect("a commit resolves once")),
            Inner::Pending(rx) => Pin::new(rx).poll(cx).map(|r| r.unwrap_or_else(|_| Err(stopped()))),
        }
    }
}

fn stopped() -> Error {
    Error::Retryable("the store has stopped".to_owned())
}
