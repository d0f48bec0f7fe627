//! Items of anything that iterates, counted.

use super::{BadCursor, Batch, IntoSource, Source, decode, encode_behind};
use crate::record::Json;

/// Cursor of an iterator: how many items were dispatched.
#[derive(serde::Serialize, serde::Deserialize)]
struct Counted {
    n: u64,
}

/// Items of an iterator.
#[derive(Debug)]
pub struct Iter<I>(I);

/// Tells iterators from other sources.
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

    fn resume(&mut self, cursor: &str) -> Result<u64, BadCursor> {
        let Counted { n } = decode(cursor)?;
        // `nth` of a range is arithmetic, so skipping a million costs nothing.
        if let Some(last) = n.checked_sub(1) {
            self.0.nth(usize::try_from(last).unwrap_or(usize::MAX));
        }
        Ok(n)
    }

    async fn next_batch(&mut self, of: usize) -> Result<Batch<I::Item>, anyhow::Error> {
        let items: Vec<_> = self.0.by_ref().take(of).map(|item| (None, item)).collect();
        Ok(Batch {
            is_last: items.len() < of,
            items,
            looks_again: false,
        })
    }

    fn cursor(&self, n: u64, _left: usize) -> Result<Json, BadCursor> {
        encode_behind(None::<&()>, &Counted { n })
    }
}
