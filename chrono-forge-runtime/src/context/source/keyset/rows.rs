//! The source itself: pages read on a blocking thread, and their cursor.

use std::fmt;
use std::future::pending;
use std::panic::resume_unwind;

use serde::{Deserialize, Serialize};

use super::RowKey;
use super::position::Position;
use super::query::ReadPage;
use crate::context::source::{
    BadCursor, Batch, IntoSource, Source, decode, encode_behind, present,
};
use crate::record::Json;

/// Tells keysets from other sources.
#[derive(Debug)]
pub enum ViaKeyset {}

/// The rows of a [`Keyset`](super::Keyset) that has a pool: a source.
pub struct KeysetRows<K, R> {
    reader: Box<dyn ReadPage<K, R>>,
    column: String,
    is_snapshot: bool,
    position: Position<K>,
    /// The second reading of a snapshot has begun.
    looks_again: bool,
    /// The keys of the batch that was answered last, and whether it was of the second reading.
    answered: (Vec<K>, bool),
}

/// Cursor of a keyset: the key of the last row that was passed (none: of no row), the number of children
/// before it, and whether this is the second reading.
#[derive(Serialize, Deserialize)]
#[serde(bound = "K: Serialize + serde::de::DeserializeOwned")]
struct Cursor<K> {
    #[serde(deserialize_with = "present")]
    pk: Option<K>,
    n: u64,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    again: bool,
}

impl<K: RowKey, R> KeysetRows<K, R> {
    pub(super) fn new(reader: Box<dyn ReadPage<K, R>>, column: String, is_snapshot: bool) -> Self {
        Self {
            reader,
            position: Position::new(column.clone(), None),
            column,
            is_snapshot,
            looks_again: false,
            answered: (Vec::new(), false),
        }
    }
}

impl<K: RowKey, R: Send + 'static> IntoSource<ViaKeyset> for KeysetRows<K, R> {
    type Item = R;
    type Source = Self;

    fn into_source(self) -> Self {
        self
    }
}

impl<K: RowKey, R: Send + 'static> Source for KeysetRows<K, R> {
    type Item = R;

    fn resume(&mut self, cursor: &str) -> Result<u64, BadCursor> {
        let Cursor { pk, n, again } = decode(cursor)?;
        self.position = Position::new(self.column.clone(), pk);
        self.looks_again = again;
        Ok(n)
    }

    async fn next_batch(&mut self, of: usize) -> Result<Batch<R>, anyhow::Error> {
        let (reader, after) = (self.reader.boxed(), self.position.after());
        // One row more than is dispatched tells whether this page is the last.
        let page = blocking(move || reader.page(after, of + 1)).await?;
        let is_whole = page.len() <= of;
        let rows = self.position.advance(page, of)?;
        let looks_again = self.looks_again;
        self.answered = (self.position.take_passed(), looks_again);
        if is_whole && self.is_snapshot && !looks_again {
            self.position = Position::new(self.column.clone(), None);
            self.looks_again = true;
        }
        Ok(Batch {
            items: rows
                .into_iter()
                .map(|(text, row)| (Some(text), row))
                .collect(),
            is_last: is_whole && self.looks_again == looks_again,
            looks_again,
        })
    }

    fn cursor(&self, n: u64, left: usize) -> Result<Json, BadCursor> {
        let (pk, again) = match left {
            0 => (self.position.after(), self.looks_again),
            _ => {
                let (keys, looks_again) = &self.answered;
                let reached = keys.len().checked_sub(left + 1);
                (reached.and_then(|at| keys.get(at)).cloned(), *looks_again)
            }
        };
        encode_behind(
            pk.as_ref(),
            &Cursor {
                pk: pk.clone(),
                n,
                again,
            },
        )
    }
}

impl<K: RowKey, R> Clone for KeysetRows<K, R> {
    fn clone(&self) -> Self {
        Self::new(self.reader.boxed(), self.column.clone(), self.is_snapshot)
    }
}

impl<K, R> fmt::Debug for KeysetRows<K, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeysetRows(by {:?})", self.column)
    }
}

/// Waits for work on a blocking thread. A panic of it is a panic of the block.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => resume_unwind(panic),
            // The runtime is shutting down, and with it the pass.
            Err(_) => pending().await,
        },
    }
}
