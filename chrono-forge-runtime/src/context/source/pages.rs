//! Items that come in pages behind a token.

use std::future::Future;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Batch, IntoSource, Source};
use crate::context::codec;

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
