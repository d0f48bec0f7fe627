//! Keys that a source of rows cannot be read by.

/// The keys of a [`Keyset`](crate::context::source::Keyset) are not what its promise stands on. It is an
/// error of the block, tried again as its policy says; what was dispatched before it stays.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeysetError {
    /// A row without a key, which SQLite lets into a primary key that is no INTEGER; or with a null in
    /// another column that is declared `NOT NULL`, which a database does not tell apart.
    #[error(
        "a row holds NULL where its table declares none: if it is its primary key `{column}`, give it one or leave such rows out: `.filter({column}.is_not_null())`"
    )]
    Null { column: String },

    /// The key is not the same once it was stored as JSON, so reading would go on somewhere else.
    #[error(
        "key {key:?} of `{column}` cannot be a cursor: {problem}; read the column as a type that survives JSON: `Keyset::new(..).key::<Type>()`"
    )]
    Unstorable {
        column: String,
        key: String,
        problem: String,
    },

    /// Rows after a key contain that key: the database compares the bound value with the column in
    /// another way than the column's values with each other. Reading on would never end.
    #[error(
        "key {key:?} of `{column}` came back behind itself: the database does not order the column as it compares it with this key; read it as the type that it is stored as: `Keyset::new(..).key::<Type>()`, or give column and comparison one collation"
    )]
    NotIncreasing { column: String, key: String },

    /// Two rows have the same key, or keys that display alike: they would share a child.
    #[error(
        "two rows have the key {key:?} of `{column}`: page over a column that is unique, or read it as a type whose values display differently: `Keyset::new(..).key::<Type>()`"
    )]
    Doubled { column: String, key: String },
}
