//! Where the items of a `spawn_each!` come from: pulled lazily, resumed from a durable cursor.

use std::future::Future;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::codec;
use crate::record::Json;

/// A batch of items and the cursor behind them.
#[derive(Debug)]
pub struct Batch<T> {
    /// Items, each with the suffix of its child's key; `None` numbers them.
    pub items: Vec<(Option<String>, T)>,
    /// What is stored, in the transaction that inserts these children, to go on from here.
    pub cursor: Json,
    /// Nothing follows.
    pub is_last: bool,
}

/// A stream of items that can go on from a cursor.
pub trait Source: Send {
    /// What a closure gets.
    type Item: Send;

    /// Goes to where a cursor points; answers how many items lie before it.
    fn resume(&mut self, cursor: &str) -> Result<u64, anyhow::Error>;

    /// Up to about `of` more items. `index` counts the items before them.
    fn next_batch(
        &mut self,
        of: usize,
        index: u64,
    ) -> impl Future<Output = Result<Batch<Self::Item>, anyhow::Error>> + Send;
}

/// What stands as the source of a `spawn_each!`: anything that iterates, or [`pages`]. `Via` only
/// tells the two apart.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a source of items",
    note = "give `spawn_each!` anything that implements `IntoIterator`, or `pages(..)`"
)]
pub trait IntoSource<Via> {
    /// What a closure gets.
    type Item: Send;
    /// The source.
    type Source: Source<Item = Self::Item>;
    /// Makes it.
    fn into_source(self) -> Self::Source;
}

/// Cursor of an iterator: how many items were dispatched.
#[derive(serde::Serialize, serde::Deserialize)]
struct Counted {
    n: u64,
}

/// Items of an iterator.
#[derive(Debug)]
pub struct Iter<I>(I);

/// Tells iterators from pagers.
#[derive(Debug)]
pub enum ViaIterator {}

impl<I> IntoSource<ViaIterator> for I
where
    I: IntoIterator,
    I::IntoIter: Send,
    I::Item: Send,
{
    type Item = I::Item;
    type Source = Iter<I::IntoIter>;

    fn into_source(self) -> Self::Source {
        Iter(self.into_iter())
    }
}

impl<I> Source for Iter<I>
where
    I: Iterator + Send,
    I::Item: Send,
{
    type Item = I::Item;

    fn resume(&mut self, cursor: &str) -> Result<u64, anyhow::Error> {
        let Counted { n } = codec::decode(cursor).map_err(anyhow::Error::msg)?;
        // `nth` of a range is arithmetic, so skipping a million costs nothing.
        if let Some(last) = n.checked_sub(1) {
            self.0.nth(usize::try_from(last)?);
        }
        Ok(n)
    }

    async fn next_batch(&mut self, of: usize, index: u64) -> Result<Batch<I::Item>, anyhow::Error> {
        let items: Vec<_> = self.0.by_ref().take(of).map(|item| (None, item)).collect();
        let is_last = items.len() < of;
        let cursor = codec::encode(&Counted {
            n: index + items.len() as u64,
        });
        Ok(Batch {
            items,
            cursor: cursor.map_err(anyhow::Error::msg)?,
            is_last,
        })
    }
}

/// An async pager; see [`pages`].
#[derive(Debug)]
pub struct Pages<F, T> {
    fetch: F,
    next: Option<T>,
    begun: bool,
}

/// Items fetched page by page. `fetch` gets the token of the page to read (`None` for the first) and
/// answers its items with the token of the next page (`None` after the last). The token is the
/// durable cursor, so after a crash fetching goes on at the page that was not dispatched whole.
///
/// A page is dispatched as one batch, whatever `of` says. The future that `fetch` makes owns what it
/// needs: clone a client into it, as in `pages(move |token| fetch(client.clone(), token))`.
pub fn pages<F, Fut, I, T>(fetch: F) -> Pages<F, T>
where
    F: FnMut(Option<T>) -> Fut,
    Fut: Future<Output = Result<(Vec<I>, Option<T>), anyhow::Error>>,
{
    Pages {
        fetch,
        next: None,
        begun: false,
    }
}

impl<F: Clone, T: Clone> Clone for Pages<F, T> {
    fn clone(&self) -> Self {
        Self {
            fetch: self.fetch.clone(),
            next: self.next.clone(),
            begun: self.begun,
        }
    }
}

/// Cursor of a pager: the next token (none: the source is exhausted) and the items before it.
#[derive(serde::Serialize, serde::Deserialize)]
struct Paged<T> {
    token: Option<T>,
    n: u64,
}

/// Tells pagers from iterators.
#[derive(Debug)]
pub enum ViaPages {}

impl<F, Fut, I, T> IntoSource<(ViaPages, I, Fut)> for Pages<F, T>
where
    F: FnMut(Option<T>) -> Fut + Send,
    Fut: Future<Output = Result<(Vec<I>, Option<T>), anyhow::Error>> + Send,
    I: Send,
    T: Serialize + DeserializeOwned + Clone + Send + Sync,
{
    type Item = I;
    type Source = Self;

    fn into_source(self) -> Self {
        self
    }
}

impl<F, Fut, I, T> Source for Pages<F, T>
where
    F: FnMut(Option<T>) -> Fut + Send,
    Fut: Future<Output = Result<(Vec<I>, Option<T>), anyhow::Error>> + Send,
    I: Send,
    T: Serialize + DeserializeOwned + Clone + Send + Sync,
{
    type Item = I;

    fn resume(&mut self, cursor: &str) -> Result<u64, anyhow::Error> {
        let Paged { token, n } = codec::decode(cursor).map_err(anyhow::Error::msg)?;
        self.next = token;
        self.begun = true;
        Ok(n)
    }

    async fn next_batch(&mut self, _of: usize, index: u64) -> Result<Batch<I>, anyhow::Error> {
        if self.begun && self.next.is_none() {
            let cursor = codec::encode(&Paged::<T> {
                token: None,
                n: index,
            });
            let cursor = cursor.map_err(anyhow::Error::msg)?;
            return Ok(Batch {
                items: Vec::new(),
                cursor,
                is_last: true,
            });
        }
        self.begun = true;
        let (items, next) = (self.fetch)(self.next.take()).await?;
        let n = index + items.len() as u64;
        let cursor = codec::encode(&Paged {
            token: next.clone(),
            n,
        })
        .map_err(anyhow::Error::msg)?;
        let is_last = next.is_none();
        self.next = next;
        Ok(Batch {
            items: items.into_iter().map(|item| (None, item)).collect(),
            cursor,
            is_last,
        })
    }
}
