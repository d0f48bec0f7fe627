//! Items that come in pages behind a token.

use std::fmt;
use std::future::Future;
use std::vec;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{BadCursor, Batch, IntoSource, Source, as_stored, decode, encode_behind, present};
use crate::record::Json;

/// An async pager; see [`pages`].
#[derive(Clone, Debug)]
pub struct Pages<F>(F);

/// Items fetched page by page. `fetch` gets the token of the page to read (`None` for the first) and
/// answers its items with the token of the next page (`None` after the last). The token is the
/// durable cursor, so after a crash fetching goes on at the page that was not dispatched whole.
///
/// A page is dispatched as one batch, or in batches of `of` (or of about 8 MiB) if it is larger: then the cursor is its
/// token and how many of its items were dispatched, so a token must give the same page again. A token is
/// stored as JSON: one that is `null` there, as `Some(None)`, ends the run as unstorable.
///
/// The future that `fetch` makes may borrow from the body, as in `pages(|token| client.list(token))`.
pub fn pages<F, Fut, I, T>(fetch: F) -> Pages<F>
where
    F: FnMut(Option<T>) -> Fut,
    Fut: Future<Output = Result<(Vec<I>, Option<T>), anyhow::Error>>,
{
    Pages(fetch)
}

/// Cursor of a pager: a token, and how many items of its page were dispatched. No token and no items:
/// the source is exhausted.
#[derive(Serialize, Deserialize)]
#[serde(bound(deserialize = "T: DeserializeOwned"))]
struct Paged<T> {
    #[serde(deserialize_with = "present")]
    token: Option<T>,
    #[serde(default, skip_serializing_if = "is_zero")]
    at: usize,
    n: u64,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_zero(at: &usize) -> bool {
    *at == 0
}

/// Tells pagers from other sources. The future of a fetch is not named here, nor its items: what borrows
/// from the body and is named twice has two lifetimes, which a `Send` future cannot reconcile.
#[derive(Debug)]
pub struct ViaPages<T>(T);

/// A function that fetches the page behind a token.
pub trait Fetch<T>: Send {
    /// What a page holds.
    type Item: Send;

    /// The page, and the token of the next one.
    fn fetch(
        &mut self,
        token: Option<T>,
    ) -> impl Future<Output = Result<(Vec<Self::Item>, Option<T>), anyhow::Error>> + Send;
}

impl<F, Fut, I, T> Fetch<T> for F
where
    F: FnMut(Option<T>) -> Fut + Send,
    Fut: Future<Output = Result<(Vec<I>, Option<T>), anyhow::Error>> + Send,
    I: Send,
{
    type Item = I;

    fn fetch(
        &mut self,
        token: Option<T>,
    ) -> impl Future<Output = Result<(Vec<I>, Option<T>), anyhow::Error>> + Send {
        self(token)
    }
}

/// The items of a pager.
pub struct PagedItems<F: Fetch<T>, T> {
    fetch: F,
    /// The page that is being dispatched, or the one to fetch.
    token: Option<T>,
    /// Items of it that were dispatched.
    at: usize,
    /// What is left of it; none before it is fetched.
    page: Option<Rest<F::Item, T>>,
    is_exhausted: bool,
    /// The page of the batch that was answered last, and how many of its items there are up to its end.
    answered: (Option<T>, usize),
}

/// What is left of a page, and the token behind it.
struct Rest<I, T> {
    items: vec::IntoIter<I>,
    next: Option<T>,
}

impl<F, T> IntoSource<ViaPages<T>> for Pages<F>
where
    F: Fetch<T>,
    T: Serialize + DeserializeOwned + Clone + Send + Sync,
{
    type Item = F::Item;
    type Source = PagedItems<F, T>;

    fn into_source(self) -> Self::Source {
        PagedItems {
            fetch: self.0,
            token: None,
            at: 0,
            page: None,
            is_exhausted: false,
            answered: (None, 0),
        }
    }
}

impl<F: Fetch<T>, T: Serialize + DeserializeOwned + Clone> PagedItems<F, T> {
    /// The next `of` items of a page that was fetched; goes on to the next page behind its end.
    fn take(&mut self, mut page: Rest<F::Item, T>, of: usize) -> Batch<F::Item> {
        let items = page.items.by_ref().take(of);
        let items: Vec<_> = items.map(|item| (None, item)).collect();
        self.answered = (self.token.clone(), self.at + items.len());
        if page.items.len() > 0 {
            self.at += items.len();
            self.page = Some(page);
        } else {
            self.at = 0;
            self.is_exhausted = page.next.is_none();
            self.token = page.next.map(as_stored);
        }
        Batch {
            items,
            is_last: self.is_exhausted,
            looks_again: false,
        }
    }
}

impl<F, T> Source for PagedItems<F, T>
where
    F: Fetch<T>,
    T: Serialize + DeserializeOwned + Clone + Send + Sync,
{
    type Item = F::Item;

    fn resume(&mut self, cursor: &str) -> Result<u64, BadCursor> {
        let Paged { token, at, n } = decode(cursor)?;
        self.is_exhausted = token.is_none() && at == 0;
        self.token = token;
        self.at = at;
        Ok(n)
    }

    async fn next_batch(&mut self, of: usize) -> Result<Batch<F::Item>, anyhow::Error> {
        if let Some(rest) = self.page.take() {
            return Ok(self.take(rest, of));
        }
        if self.is_exhausted {
            return Ok(Batch {
                items: Vec::new(),
                is_last: true,
                looks_again: false,
            });
        }
        let (items, next) = self.fetch.fetch(self.token.clone()).await?;
        let mut items = items.into_iter();
        // Dispatched before a crash.
        if let Some(last) = self.at.checked_sub(1) {
            items.nth(last);
        }
        Ok(self.take(Rest { items, next }, of))
    }

    fn cursor(&self, n: u64, left: usize) -> Result<Json, BadCursor> {
        let (token, at) = match left {
            0 => (self.token.as_ref(), self.at),
            _ => (self.answered.0.as_ref(), self.answered.1 - left),
        };
        encode_behind(token, &Paged { token, at, n })
    }
}

impl<F: Fetch<T>, T> fmt::Debug for PagedItems<F, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PagedItems(at {})", self.at)
    }
}
