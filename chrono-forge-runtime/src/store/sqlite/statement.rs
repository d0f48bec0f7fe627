//! Statements that Diesel caches.
//!
//! Diesel keeps no prepared statement for `sql_query` or for inserts of several rows. A [`Stmt`] is
//! keyed in its cache by the SQL text, so each text is prepared once per connection.
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

/// One SQL text with its values; `ST` are the SQL types of the rows it answers.
///
/// Values stand at the `?` of the text. In a batch the part in braces is one row, repeated with a
/// comma between: `VALUES {(?, ?, 1)}`.
pub(super) struct Stmt<'a, ST = ()> {
    sql: &'static str,
    binds: &'a [Bind<'a>],
    answers: PhantomData<ST>,
}

impl<'a, ST> Stmt<'a, ST> {
    /// A statement with one value for each `?`.
    pub(super) fn new(sql: &'static str, binds: &'a [Bind<'a>]) -> Self {
        Self {
            sql,
            binds,
            answers: PhantomData,
        }
    }
}

impl<ST: 'static> QueryId for Stmt<'_, ST> {
    type QueryId = ();
    /// The type does not tell the text: the cache has to compare it.
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<ST> Query for Stmt<'_, ST> {
    type SqlType = ST;
}

impl<ST> RunQueryDsl<SqliteConnection> for Stmt<'_, ST> {}

impl<ST> QueryFragment<Sqlite> for Stmt<'_, ST> {
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

/// A batch: one SQL text with a row in braces, and rows of `N` values, run in a few chunks.
pub(super) struct Batch<'a, const N: usize> {
    sql: &'static str,
    binds: Vec<Bind<'a>>,
}

impl<'a, const N: usize> Batch<'a, N> {
    pub(super) fn new(sql: &'static str) -> Self {
        Self {
            sql,
            binds: Vec::new(),
        }
    }

    /// A batch that expects this many rows.
    pub(super) fn with_capacity(sql: &'static str, rows: usize) -> Self {
        Self {
            sql,
            binds: Vec::with_capacity(rows * N),
        }
    }

    pub(super) fn push(&mut self, row: [Bind<'a>; N]) {
        self.binds.extend(row);
    }

    /// Runs the batch and tells how many rows it changed.
    pub(super) fn execute(&self, conn: &mut SqliteConnection) -> QueryResult<usize> {
        let mut changed = 0;
        for chunk in self.chunks::<()>() {
            changed += conn.execute_returning_count(&chunk)?;
        }
        Ok(changed)
    }

    /// The batch as statements, for those that answer rows.
    pub(super) fn chunks<ST>(&self) -> impl Iterator<Item = Stmt<'_, ST>> {
        let mut rest = self.binds.as_slice();
        std::iter::from_fn(move || {
            let rows = rest.len() / N;
            let size = CHUNKS.into_iter().find(|size| *size <= rows)?;
            let (binds, after) = rest.split_at(size * N);
            rest = after;
            Some(Stmt {
                sql: self.sql,
                binds,
                answers: PhantomData,
            })
        })
    }
}
