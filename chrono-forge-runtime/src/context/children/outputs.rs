//! A stream over the results of a spawn.

use std::fmt;
use std::future::poll_fn;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use serde::de::DeserializeOwned;

use super::Handle;
use super::order::Order;
use super::pages::Pages;
use crate::error::JoinError;

/// The results of a `spawn_each!`, each with its child's key; made by
/// [`Children::outputs`](super::Children::outputs) and
/// [`Children::outputs_by_completion`](super::Children::outputs_by_completion).
///
/// Holds one page of at most 500 results (and about 4 MiB) at a time, each read in a transaction of its
/// own, and decodes a result when it is asked for. Owns what it needs, so it may be kept and passed on.
#[must_use = "a stream does nothing until it is polled"]
pub struct Outputs<T> {
    pages: Pages<Order>,
    /// A result did not read as `T`, which ends the run.
    is_broken: bool,
    _output: PhantomData<fn() -> T>,
}

impl<T> Outputs<T> {
    pub(super) fn new(handle: Handle, order: Order) -> Self {
        Self {
            pages: Pages::new(handle, order),
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
        let (_, key, json) = match ready!(self.pages.poll_row(cx)) {
            Some(Ok(row)) => row,
            Some(Err(error)) => return Poll::Ready(Some(Err(error))),
            None => return Poll::Ready(None),
        };
        let Some(value) = self.pages.handle.decode(&key, &json) else {
            self.is_broken = true;
            return Poll::Pending;
        };
        Poll::Ready(Some(Ok((key, value))))
    }

    /// An error may cut it short.
    fn most_left(&self) -> Option<usize> {
        let (rows, children) = self.pages.left();
        usize::try_from(children).ok()?.checked_add(rows)
    }
}

impl<T: DeserializeOwned> Stream for Outputs<T> {
    type Item = Result<(String, T), JoinError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_result(cx)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, self.most_left())
    }
}

impl<T> fmt::Debug for Outputs<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (key, left) = (
            self.pages.handle.key(),
            self.most_left().unwrap_or(usize::MAX),
        );
        write!(f, "Outputs({key:?}, {left} left)")
    }
}
