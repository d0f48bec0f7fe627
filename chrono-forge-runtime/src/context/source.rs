//! Where the items of a `spawn_each!` come from: pulled lazily, resumed from a durable cursor.

mod iterator;
mod keyset;
pub mod paging;
pub mod streaming;

use std::any::type_name;
use std::future::Future;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};

use super::codec;
use crate::record::Json;

pub use iterator::{Iter, ViaIterator};
pub use keyset::{
    Columns, CompositeKey, CompositeKeyOf, Connections, Keyset, KeysetQuery, KeysetRows, Named,
    Natural, NaturalKey, PrimaryKeyOf, RowKey, ViaKeyset,
};
pub use paging::{Fetch, PagedItems, Pages, ViaPages, pages};
pub use streaming::{Open, StreamItems, Streamed, ViaStream, stream};

/// A batch of items.
#[derive(Debug)]
pub struct Batch<T> {
    /// Items, each with the suffix of its child's key; `None` numbers them.
    pub items: Vec<(Option<String>, T)>,
    /// Nothing follows.
    pub is_last: bool,
    /// Some of these items may have a child: those are left out.
    pub looks_again: bool,
}

/// A stream of items that can go on from a cursor.
pub trait Source: Send {
    /// What a closure gets.
    type Item: Send;

    /// Goes to where a cursor points; answers how many items lie before it.
    fn resume(&mut self, cursor: &str) -> Result<u64, BadCursor>;

    /// At most `of` more items.
    fn next_batch(
        &mut self,
        of: usize,
    ) -> impl Future<Output = Result<Batch<Self::Item>, anyhow::Error>> + Send;

    /// What is stored, in the transaction that inserts children of the batch that was answered last, to
    /// go on behind it, or before the last `left` of its items. `n` counts the children up to there.
    fn cursor(&self, n: u64, left: usize) -> Result<Json, BadCursor>;
}

/// A place that what is stored of it does not lead back to, or stored text that is no place.
#[derive(Debug)]
pub struct BadCursor {
    /// What stands for the place.
    pub type_name: &'static str,
    /// What is wrong with its JSON.
    pub problem: String,
}

fn decode<T: DeserializeOwned>(cursor: &str) -> Result<T, BadCursor> {
    codec::decode(cursor).map_err(|problem| BadCursor {
        type_name: type_name::<T>(),
        problem,
    })
}

/// Reads a field that every cursor of its kind has. Serde takes an option that is missing for `None`, and
/// so the cursor of another kind of source for one at the start or at the end.
fn present<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned,
{
    Option::deserialize(deserializer)
}

/// The token as it reads back from the database, so that who fetches behind it is given the same by
/// this pass as by one that goes on from there. One that does not read back stays, and its cursor
/// is refused.
fn as_stored<T: Serialize + DeserializeOwned>(token: T) -> T {
    let stored = codec::encode(&token).and_then(|json| codec::decode(&json));
    stored.unwrap_or(token)
}

/// The cursor, whose token was checked to read back as one: `null` would stand for the place where there
/// is none, at the start or at the end, and items would be dispatched twice or not at all.
fn encode_behind<T>(token: Option<&T>, cursor: &impl Serialize) -> Result<Json, BadCursor>
where
    T: Serialize + DeserializeOwned,
{
    let bad = |problem| BadCursor {
        type_name: type_name::<T>(),
        problem,
    };
    if let Some(token) = token {
        let json = codec::encode(token).map_err(bad)?;
        if &*json == "null" {
            return Err(bad("its JSON is null, as if there were no token".to_owned()));
        }
        codec::decode::<T>(&json).map_err(bad)?;
    }
    let cursor = codec::encode(cursor).map_err(bad)?;
    // It stands one level deeper there than alone.
    codec::check_depth(&cursor, 0).map_err(bad)?;
    Ok(cursor)
}

/// What stands as the source of a `spawn_each!`: anything that iterates, a [`Keyset`], [`pages`] or [`stream`].
/// `Via` only tells them apart.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a source of items",
    note = "give `spawn_each!` anything that implements `IntoIterator`, a `Keyset`, `pages(..)` or `stream(..)`",
    note = "a `Keyset` is one once it has its pool: `Keyset::new(..).pool(&pool)`"
)]
pub trait IntoSource<Via> {
    /// What a closure gets.
    type Item: Send;
    /// The source.
    type Source: Source<Item = Self::Item>;
    /// Makes it.
    fn into_source(self) -> Self::Source;
}
