//! A stream over what went wrong on the way: failed attempts of the children of a spawn.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;

use super::Handle;
use super::pages::{Pages, Walk};
use crate::engine::reading::Reading;
use crate::error::JoinError;
use crate::record::{ChildFailure, FailurePage, FailurePlace};

/// Children looked at by one read, and the most failures that it answers.
const PAGE_ROWS: u32 = 500;

/// The failed attempts of the children of a `spawn_each!`; made by
/// [`Children::failures`](super::Children::failures).
///
/// Holds one page of at most 500 failures (and about 4 MiB) at a time, read in short transactions that
/// look at 500 children each.
#[must_use = "a stream does nothing until it is polled"]
pub struct Failures {
    pages: Pages<ByChild>,
}

impl Failures {
    pub(super) fn new(handle: Handle, len: u64) -> Self {
        let walk = ByChild {
            place: FailurePlace::START,
            left: len,
        };
        Self {
            pages: Pages::new(handle, walk),
        }
    }

    /// The next failure; `None` after the last. The same as `StreamExt::next`, for those who have no such
    /// trait in scope.
    ///
    /// # Errors
    /// [`JoinError::Child`] when a child is not completed, which a merged branch rules out; nothing
    /// comes after it.
    pub async fn next(&mut self) -> Option<Result<ChildFailure, JoinError>> {
        poll_fn(|cx| self.pages.poll_row(cx)).await
    }
}

impl Stream for Failures {
    type Item = Result<ChildFailure, JoinError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.pages.poll_row(cx)
    }
}

impl fmt::Debug for Failures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (key, (_, left)) = (self.pages.handle.key(), self.pages.left());
        write!(f, "Failures({key:?}, {left} children left)")
    }
}

/// Child by child in order of dispatch.
#[derive(Debug)]
struct ByChild {
    place: FailurePlace,
    left: u64,
}

impl Walk for ByChild {
    type Row = ChildFailure;
    type Page = FailurePage;

    fn left(&self) -> u64 {
        self.left
    }

    /// The last children may have more failures than were read.
    fn is_over(&self) -> bool {
        self.left == 0 && self.place.rest.is_none()
    }

    fn read(&self, handle: &Handle) -> Option<Reading<FailurePage>> {
        let (pass, spawn) = handle.place()?;
        let place = self.place.clone();
        let children = u32::try_from(self.left).map_or(PAGE_ROWS, |left| left.min(PAGE_ROWS));
        Some(Reading::begin(pass, move |store| {
            store.failures(&spawn, &place, children, PAGE_ROWS)
        }))
    }

    fn take(&mut self, page: FailurePage) -> Option<Vec<ChildFailure>> {
        if page.children == 0 && self.place.rest.is_none() {
            return None;
        }
        self.left = self.left.saturating_sub(page.children);
        self.place = page.next;
        Some(page.failures)
    }
}
