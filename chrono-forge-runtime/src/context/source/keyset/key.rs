//! The type of a key: what its column says, or what the user names.

use std::fmt::Display;

use diesel::Expression;
use diesel::sql_types::{BigInt, Integer, SmallInt, Text};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A key of a row: its text ends the key of its child, its JSON is the durable cursor.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the key of a `Keyset`",
    note = "a key is `Clone`, `PartialEq`, `Display`, `Serialize`, `DeserializeOwned`, `Send` and owned"
)]
pub trait RowKey:
    Clone + PartialEq + Display + Serialize + DeserializeOwned + Send + 'static
{
}

impl<T> RowKey for T where
    T: Clone + PartialEq + Display + Serialize + DeserializeOwned + Send + 'static
{
}

/// A type of SQL whose keys have one obvious type in Rust.
#[diagnostic::on_unimplemented(
    message = "the type of the keys is not known: a column of type `{Self}` may be read as several",
    note = "name the one that you mean, as in `Keyset::new(..).key::<Uuid>()`"
)]
pub trait NaturalKey {
    /// The type in Rust.
    type Key: RowKey;
}

impl NaturalKey for SmallInt {
    type Key = i16;
}

impl NaturalKey for Integer {
    type Key = i32;
}

impl NaturalKey for BigInt {
    type Key = i64;
}

impl NaturalKey for Text {
    type Key = String;
}

/// The key's type is that of its column.
#[derive(Debug)]
pub enum Natural {}

/// The key's type is `T`.
#[derive(Debug)]
pub struct Named<T>(T);

/// How the key of column `PK` is read.
pub trait KeyOf<PK> {
    /// As this type.
    type Key: RowKey;
}

impl<PK> KeyOf<PK> for Natural
where
    PK: Expression,
    PK::SqlType: NaturalKey,
{
    type Key = <PK::SqlType as NaturalKey>::Key;
}

impl<PK, T: RowKey> KeyOf<PK> for Named<T> {
    type Key = T;
}
