//! The source itself: pages read on a blocking thread, and their cursor.

use std::future::pending;
use std::marker::PhantomData;
use std::panic::resume_unwind;

use serde::{Deserialize, Serialize};

use super::Keyset;
use super::position::Position;
use super::query::ReadPage;
use crate::context::codec;
use crate::context::source::{BadCursor, Batch, IntoSource, Source, encode_behind};
use crate::record::Json;

/// Tells keysets from other sources, and says what a row is read as.
#[derive(Debug)]
pub struct ViaKeyset<R>(R);

/// The rows of a keyset.
#[derive(Debug)]
pub struct KeysetRows<T: ReadPage<R>, R> {
    reader: T,
    position: Position<T::Key>,
    /// The second reading of a snapshot has begun.
    looks_again: bool,
    _row: PhantomData<fn() -> R>,
}

/// Cursor of a keyset: the key of the last row that was passed (none: of no row), the number of children
/// before it, and whether this is the second reading.
#[derive(Serialize, Deserialize)]
#[serde(bound = "K: Serialize + serde::de::DeserializeOwned")]
struct Cursor<K> {
    pk: Option<K>,
    n: u64,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    again: bool,
}

impl<Q, PK, S, P, K, R> IntoSource<ViaKeyset<R>> for Keyset<Q, PK, S, P, K>
where
    Self: ReadPage<R>,
    R: Send + 'static,
{
    type Item = R;
    type Source = KeysetRows<Self, R>;

    fn into_source(self) -> Self::Source {
        KeysetRows {
            position: Position::new(Self::COLUMN, None),
            reader: self,
            looks_again: false,
            _row: PhantomData,
        }
    }
}

impl<T: ReadPage<R>, R: Send + 'static> Source for KeysetRows<T, R> {
    type Item = R;

    fn resume(&mut self, cursor: &str) -> Result<u64, anyhow::Error> {
        let Cursor { pk, n, again } = codec::decode(cursor).map_err(anyhow::Error::msg)?;
        self.position = Position::new(T::COLUMN, pk);
        self.looks_again = again;
        Ok(n)
    }

    async fn next_batch(&mut self, of: usize) -> Result<Batch<R>, anyhow::Error> {
        let (reader, after) = (self.reader.clone(), self.position.after());
        // One row more than is dispatched tells whether this page is the last.
        let page = blocking(move || reader.page(after, of + 1)).await?;
        let is_whole = page.len() <= of;
        let rows = self.position.advance(page, of)?;
        let looks_again = self.looks_again;
        if is_whole && self.reader.reads_twice() && !looks_again {
            self.position = Position::new(T::COLUMN, None);
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

    fn cursor(&self, n: u64) -> Result<Json, BadCursor> {
        let (pk, again) = (self.position.after(), self.looks_again);
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
