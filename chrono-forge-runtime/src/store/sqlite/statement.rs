//! Statements that Diesel caches.
//!
//! Diesel keeps no prepared statement for `sql_query` or for inserts of several rows. A [`Stmt`] is
//! keyed in its cache by the SQL text, so each text is prepared once per connection.
//!
//! The few statements of nearly every commit are keyed by a type instead (see [`Sql`]): building
//! and hashing a text of a thousand bytes, only to find what was prepared from it, was a measurable
//! part of each step.
//!
//! Batches are rows of bound values, never JSON: against `json_each` with the same rows, an upsert
//! of records cost a quarter, an insert of children and a completion half as much.

use std::marker::PhantomData;

use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::{BigInt, Nullable, Text};
use diesel::sqlite::Sqlite;

use super::bind::Bind;

/// Rows per statement, largest first. A few sizes keep the number of texts small; beyond 64 rows a
/// longer statement gained nothing.
const CHUNKS: [usize; 3] = [64, 8, 1];

/// A type that stands for one SQL text; see [`sql!`].
pub(super) trait Sql: 'static {
    const TEXT: &'static str;
    /// Whether prepared statements are looked up by this type instead of by their text.
    const IS_KEY: bool = true;
}

/// Stands for no text: statements with this type are looked up by their text.
pub(super) struct Unnamed;

impl Sql for Unnamed {
    const TEXT: &'static str = "";
    const IS_KEY: bool = false;
}

/// Declares a type that stands for this SQL text.
macro_rules! sql {
    ($(#[$doc:meta])* $vis:vis struct $name:ident = $text:expr;) => {
        $(#[$doc])*
        $vis struct $name;

        impl $crate::store::sqlite::statement::Sql for $name {
            const TEXT: &'static str = $text;
        }
    };
}
pub(super) use sql;

/// One SQL text with its values; `ST` are the SQL types of the rows it answers. `Q` is
/// the type that stands for the text, `ROWS` how often the text's row is repeated.
///
/// Values stand at the `?` of the text. In a batch the part in braces is one row, repeated with a
/// comma between: `VALUES {(?, ?, 1)}`.
pub(super) struct Stmt<'a, ST = (), Q = Unnamed, const ROWS: usize = 0> {
    sql: &'static str,
    binds: &'a [Bind<'a>],
    kind: PhantomData<(ST, Q)>,
}

impl<'a, ST> Stmt<'a, ST> {
    /// A statement with one value for each `?`.
    pub(super) fn new(sql: &'static str, binds: &'a [Bind<'a>]) -> Self {
        Self {
            sql,
            binds,
            kind: PhantomData,
        }
    }
}

impl<'a, ST, Q: Sql> Stmt<'a, ST, Q> {
    /// The statement whose text `Q` stands for, with one value for each `?`.
    pub(super) fn of(binds: &'a [Bind<'a>]) -> Self {
        const {
            assert!(Q::IS_KEY, "declare the text with `sql!`");
            // Under one key, 8 rows would run the statement that was prepared for one.
            assert!(
                !has_row(Q::TEXT),
                "run a text with a row in braces as a `Batch`"
            );
        }
        Self {
            sql: Q::TEXT,
            binds,
            kind: PhantomData,
        }
    }
}

/// Whether this text has a part in braces.
const fn has_row(text: &str) -> bool {
    let mut bytes = text.as_bytes();
    while let [byte, rest @ ..] = bytes {
        if *byte == b'{' {
            return true;
        }
        bytes = rest;
    }
    false
}

/// The part of a key that is the number of rows: each number has a prepared statement of its own.
pub(super) struct Rows<const ROWS: usize>;

impl<ST: 'static, Q: Sql, const ROWS: usize> QueryId for Stmt<'_, ST, Q, ROWS> {
    type QueryId = (Q, Rows<ROWS>);
    const HAS_STATIC_QUERY_ID: bool = Q::IS_KEY;
}

impl<ST, Q, const ROWS: usize> Query for Stmt<'_, ST, Q, ROWS> {
    type SqlType = ST;
}

impl<ST, Q, const ROWS: usize> RunQueryDsl<SqliteConnection> for Stmt<'_, ST, Q, ROWS> {}

impl<ST, Q, const ROWS: usize> QueryFragment<Sqlite> for Stmt<'_, ST, Q, ROWS> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        let mut binds = self.binds.iter();
        let Some((head, row, tail)) = row_of(self.sql) else {
            return fill(self.sql.split('?'), &mut binds, &mut out);
        };
        out.push_sql(head);
        let row: Vec<&str> = row.split('?').collect();
        while binds.len() > 0 {
            fill(row.iter().copied(), &mut binds, &mut out)?;
            if binds.len() > 0 {
                out.push_sql(",");
            }
        }
        out.push_sql(tail);
        Ok(())
    }
}

/// A batch's text, taken apart: before the row, the row, after it.
fn row_of(sql: &'static str) -> Option<(&'static str, &'static str, &'static str)> {
    let (head, rest) = sql.split_once('{')?;
    let (row, tail) = rest.split_once('}')?;
    // Braces without a value are text, as in the JSON object `{}`.
    row.contains('?').then_some((head, row, tail))
}

/// Writes these pieces of text with the next value between each two.
fn fill<'b>(
    pieces: impl Iterator<Item = &'static str>,
    binds: &mut std::slice::Iter<'b, Bind<'b>>,
    out: &mut AstPass<'_, 'b, Sqlite>,
) -> QueryResult<()> {
    for (place, piece) in pieces.enumerate() {
        if place > 0 {
            let bind = binds.next().ok_or_else(|| {
                diesel::result::Error::QueryBuilderError("a statement lacks a value".into())
            })?;
            push(bind, out)?;
        }
        out.push_sql(piece);
    }
    Ok(())
}

fn push<'b>(bind: &'b Bind<'b>, out: &mut AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
    match bind {
        Bind::Null => out.push_bind_param::<Nullable<BigInt>, _>(&None::<i64>),
        Bind::Int(value) => out.push_bind_param::<BigInt, _>(value),
        Bind::Text(value) => out.push_bind_param::<Text, _>(*value),
        Bind::Owned(value) => out.push_bind_param::<Text, _>(value),
    }
}

type SqlNumbers = (BigInt, BigInt, BigInt, BigInt);
type Numbers = (i64, i64, i64, i64);

/// A batch: one SQL text with a row in braces, and rows of `N` values, run in a few chunks.
pub(super) struct Batch<'a, const N: usize, Q = Unnamed> {
    sql: &'static str,
    binds: Vec<Bind<'a>>,
    kind: PhantomData<Q>,
}

impl<const N: usize> Batch<'_, N> {
    pub(super) fn new(sql: &'static str) -> Self {
        Self::with_capacity(sql, 0)
    }

    /// A batch that expects this many rows.
    pub(super) fn with_capacity(sql: &'static str, rows: usize) -> Self {
        Self {
            sql,
            binds: Vec::with_capacity(rows * N),
            kind: PhantomData,
        }
    }

    /// The batch as statements, for those that answer rows.
    pub(super) fn chunks<ST>(&self) -> impl Iterator<Item = Stmt<'_, ST>> {
        self.cut().map(|(_, binds)| Stmt::new(self.sql, binds))
    }
}

impl<'a, const N: usize, Q: Sql> Batch<'a, N, Q> {
    /// A batch of the text that `Q` stands for, with room for so many rows.
    pub(super) fn of(rows: usize) -> Self {
        const { assert!(Q::IS_KEY, "declare the text with `sql!`") };
        Self {
            sql: Q::TEXT,
            binds: Vec::with_capacity(rows * N),
            kind: PhantomData,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.binds.is_empty()
    }

    pub(super) fn push(&mut self, row: [Bind<'a>; N]) {
        self.binds.extend(row);
    }

    /// Runs the batch and tells how many rows it changed.
    pub(super) fn execute(&self, conn: &mut SqliteConnection) -> QueryResult<usize> {
        let mut changed = 0;
        for (rows, binds) in self.cut() {
            changed += match rows {
                64 => conn.execute_returning_count(&self.stmt::<(), 64>(binds)),
                8 => conn.execute_returning_count(&self.stmt::<(), 8>(binds)),
                _ => conn.execute_returning_count(&self.stmt::<(), 1>(binds)),
            }?;
        }
        Ok(changed)
    }

    /// Runs the batch and answers its rows, of four numbers each.
    pub(super) fn numbers(&self, conn: &mut SqliteConnection) -> QueryResult<Vec<Numbers>> {
        let mut answers = Vec::new();
        for (rows, binds) in self.cut() {
            answers.append(&mut match rows {
                64 => self.stmt::<SqlNumbers, 64>(binds).load(conn)?,
                8 => self.stmt::<SqlNumbers, 8>(binds).load(conn)?,
                _ => self.stmt::<SqlNumbers, 1>(binds).load(conn)?,
            });
        }
        Ok(answers)
    }

    fn stmt<'b, ST, const ROWS: usize>(&'b self, binds: &'b [Bind<'b>]) -> Stmt<'b, ST, Q, ROWS> {
        Stmt {
            sql: self.sql,
            binds,
            kind: PhantomData,
        }
    }

    /// The values of each chunk, and how many rows they are.
    fn cut(&self) -> impl Iterator<Item = (usize, &[Bind<'a>])> {
        let mut rest = self.binds.as_slice();
        std::iter::from_fn(move || {
            let rows = rest.len() / N;
            let size = CHUNKS.into_iter().find(|size| *size <= rows)?;
            let (binds, after) = rest.split_at(size * N);
            rest = after;
            Some((size, binds))
        })
    }
}

#[cfg(test)]
mod tests {
    use diesel::connection::SimpleConnection;

    use super::*;

    sql! {
        struct Enter = "INSERT INTO t (n, twice) VALUES {(?, ?)}";
    }

    sql! {
        struct Whole = "SELECT count(*), sum(n), sum(twice), max(n) FROM t WHERE n < ?";
    }

    /// A statement that was prepared for another number of rows would refuse the values.
    #[test]
    fn a_named_batch_writes_every_row_whatever_its_chunks() {
        let mut conn = SqliteConnection::establish(":memory:").unwrap();
        conn.batch_execute("CREATE TABLE t (n, twice)").unwrap();
        let mut rows = 0_i64;
        for size in [1, 2, 8, 9, 64, 65, 72, 73, 137, 64, 8, 1] {
            let mut batch = Batch::<2, Enter>::of(size);
            assert!(batch.is_empty());
            for _ in 0..size {
                batch.push([rows.into(), (2 * rows).into()]);
                rows += 1;
            }
            assert_eq!(batch.execute(&mut conn), Ok(size));
            let mut whole = Batch::<1, Whole>::of(1);
            whole.push([rows.into()]);
            let sum = rows * (rows - 1) / 2;
            assert_eq!(
                whole.numbers(&mut conn),
                Ok(vec![(rows, sum, 2 * sum, rows - 1)])
            );
        }
    }
}
