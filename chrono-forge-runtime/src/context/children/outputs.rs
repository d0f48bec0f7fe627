//! A stream over the results of a spawn.

use std::fmt;
use std::future::poll_fn;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use serde::de::DeserializeOwned;

use super::Handle;
use super::pages::{Next, Pages, Row};
use crate::engine::reading::Reading;
use crate::error::JoinError;

/// The results of a `spawn_each!`, each with its child's key, in order of dispatch; made by
/// [`Children::outputs`](super::Children::outputs).
///
/// Holds one page of at most 500 results (and about 4 MiB) at a time, each read in a transaction of its
/// own, and decodes a result when it is asked for. Owns what it needs, so it may be kept and passed on.
#[must_use = "a stream does nothing until it is polled"]
pub struct Outputs<T> {
    handle: Handle,
    pages: Pages,
    reading: Option<Reading<Vec<Row>>>,
    /// A result did not read as `T`, which ends the run.
    is_broken: bool,
    _output: PhantomData<fn() -> T>,
}

impl<T> Outputs<T> {
    pub(super) fn new(handle: Handle, len: u64) -> Self {
        Self {
            handle,
            pages: Pages::new(len),
            reading: None,
            is_broken: false,
            _output: PhantomData,
        }
    }

    /// The next result with its child's key, which `forge.get` takes; `None` after the last. The same as
    /// `StreamExt::next`, for those who have no such trait in scope.
    ///
    /// # Errors
    /// [`JoinError::Child`] when a child is not completed, which a merged branch rules out; nothing
    /// comes after it.
    pub async fn next(&mut self) -> Option<Result<(String, T), JoinError>>
    where
        T: DeserializeOwned,
    {
        poll_fn(|cx| self.poll_result(cx)).await
    }

    fn poll_result(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<(String, T), JoinError>>>
    where
        T: DeserializeOwned,
    {
        if self.is_broken {
            return Poll::Pending;
        }
        loop {
            if let Some(reading) = &mut self.reading {
                let page = ready!(Pin::new(reading).poll(cx));
                self.reading = None;
                if !self.pages.fill(page) {
                    return Poll::Ready(Some(Err(self.handle.missing())));
                }
            }
            match self.pages.next() {
                Next::Row((_, key, json)) => {
                    let Some(value) = self.handle.decode(&key, &json) else {
                        self.is_broken = true;
                        return Poll::Pending;
                    };
                    return Poll::Ready(Some(Ok((key, value))));
                }
                Next::Read { after, limit } => {
                    self.reading = self.handle.read(after, limit);
                    if self.reading.is_none() && !self.pages.fill(Vec::new()) {
                        return Poll::Ready(Some(Err(self.handle.missing())));
                    }
                }
                Next::End => return Poll::Ready(None),
            }
        }
    }
}

impl<T: DeserializeOwned> Stream for Outputs<T> {
    type Item = Result<(String, T), JoinError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_result(cx)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        // An error may cut it short.
        (0, usize::try_from(self.pages.left()).ok())
    }
}

impl<T> fmt::Debug for Outputs<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (key, left) = (self.handle.key(), self.pages.left());
        write!(f, "Outputs({key:?}, {left} left)")
    }
}
