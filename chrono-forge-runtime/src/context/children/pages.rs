//! Reading page after page, whatever the pages hold.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::vec;

use super::Handle;
use crate::engine::reading::Reading;
use crate::error::JoinError;

/// The way through the rows of a spawn: which page comes next. Does no I/O by itself.
pub(super) trait Walk {
    /// What a page holds.
    type Row;
    /// A page as it is read.
    type Page: Send + 'static;

    /// How many children are still to be read.
    fn left(&self) -> u64;

    /// Whether the last page was taken.
    fn is_over(&self) -> bool {
        self.left() == 0
    }

    /// Begins to read the next page; `None` for a handle that was not decoded in a body.
    fn read(&self, handle: &Handle) -> Option<Reading<Self::Page>>;

    /// Takes a page that was read. It may hold no row; `None` when children are missing.
    fn take(&mut self, page: Self::Page) -> Option<Vec<Self::Row>>;
}

/// A walk under way, with one page in memory.
pub(super) struct Pages<W: Walk> {
    pub(super) handle: Handle,
    walk: W,
    page: vec::IntoIter<W::Row>,
    /// Kept between polls, so that a poll that nobody waits for any more loses nothing.
    reading: Option<Reading<W::Page>>,
    is_cut_short: bool,
}

impl<W: Walk> Pages<W> {
    pub(super) fn new(handle: Handle, walk: W) -> Self {
        Self {
            handle,
            walk,
            page: Vec::new().into_iter(),
            reading: None,
            is_cut_short: false,
        }
    }

    /// Rows in memory, and children whose rows are still to be read.
    pub(super) fn left(&self) -> (usize, u64) {
        let children = if self.is_cut_short {
            0
        } else {
            self.walk.left()
        };
        (self.page.len(), children)
    }

    /// The next row; [`JoinError::Child`] once when children are missing, and nothing after it.
    pub(super) fn poll_row(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<W::Row, JoinError>>> {
        loop {
            if let Some(row) = self.page.next() {
                return Poll::Ready(Some(Ok(row)));
            }
            if let Some(reading) = &mut self.reading {
                let page = ready!(Pin::new(reading).poll(cx));
                self.reading = None;
                match self.walk.take(page) {
                    Some(rows) => self.page = rows.into_iter(),
                    None => return self.missing(),
                }
                continue;
            }
            if self.is_cut_short || self.walk.is_over() {
                return Poll::Ready(None);
            }
            self.reading = self.walk.read(&self.handle);
            if self.reading.is_none() {
                return self.missing();
            }
        }
    }

    fn missing(&mut self) -> Poll<Option<Result<W::Row, JoinError>>> {
        self.is_cut_short = true;
        Poll::Ready(Some(Err(self.handle.missing())))
    }
}
