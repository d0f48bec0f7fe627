//! Statements that Diesel caches.
//!
//! Diesel keeps no prepared statement for `sql_query`. A [`Stmt`] is keyed in its cache by the SQL text, so
//! each text is prepared once per connection. A batch is one statement whatever its size: its columns are
//! bound as arrays and taken apart by `unnest`.

use std::cell::Cell;
use std::marker::PhantomData;

use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::{Array, BigInt, Bool, Nullable, Text, Timestamptz};

use super::bind::Bind;

thread_local! {
    /// The intent of the store that this thread carries out.
    static INTENT: Cell<&'static str> = const { Cell::new("open") };
}

/// From here on this thread's statements say that they are for this: each begins with a comment,
/// which the server's log, `pg_stat_activity` and `pg_stat_statements` show.
pub(super) fn are_for(intent: &'static str) {
    INTENT.set(intent);
}

/// One SQL text with its values, which stand at its `?`; `ST` are the SQL types of the rows it answers.
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

impl<ST> RunQueryDsl<PgConnection> for Stmt<'_, ST> {}

impl<ST> QueryFragment<Pg> for Stmt<'_, ST> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        #[cfg(test)]
        recorder::note(self.sql, self.binds);
        let mut binds = self.binds.iter();
        out.push_sql("/* chrono_forge ");
        out.push_sql(INTENT.get());
        out.push_sql(" */ ");
        for (place, piece) in self.sql.trim_start().split('?').enumerate() {
            if place > 0 {
                let bind = binds.next().ok_or_else(|| unbalanced("lacks a value"))?;
                push(bind, &mut out)?;
            }
            out.push_sql(piece);
        }
        match binds.next() {
            None => Ok(()),
            Some(_) => Err(unbalanced("has a value too many")),
        }
    }
}

fn unbalanced(problem: &str) -> diesel::result::Error {
    diesel::result::Error::QueryBuilderError(format!("a statement {problem}").into())
}

fn push<'b>(bind: &'b Bind<'b>, out: &mut AstPass<'_, 'b, Pg>) -> QueryResult<()> {
    match bind {
        Bind::Null => {
            // Without a type of its own: the statement's place for it decides.
            out.push_sql("NULL");
            Ok(())
        }
        Bind::Int(value) => out.push_bind_param::<BigInt, _>(value),
        Bind::Bool(value) => out.push_bind_param::<Bool, _>(value),
        Bind::Text(value) => out.push_bind_param::<Text, _>(*value),
        Bind::Owned(value) => out.push_bind_param::<Text, _>(value),
        Bind::Instant(value) => out.push_bind_param::<Timestamptz, _>(value),
        Bind::Ints(values) => out.push_bind_param::<Array<Nullable<BigInt>>, _>(values),
        Bind::Bools(values) => out.push_bind_param::<Array<Bool>, _>(values),
        Bind::Texts(values) => out.push_bind_param::<Array<Nullable<Text>>, _>(values),
        Bind::OwnedTexts(values) => out.push_bind_param::<Array<Nullable<Text>>, _>(values),
        Bind::Instants(values) => out.push_bind_param::<Array<Nullable<Timestamptz>>, _>(values),
    }
}

/// What a test's thread has asked the database for.
#[cfg(test)]
pub(super) mod recorder {
    use std::cell::RefCell;
    use std::collections::BTreeMap;

    use super::Bind;

    /// Statements with the types of their values.
    pub(in crate::store::postgres) type Recorded = BTreeMap<&'static str, Vec<&'static str>>;

    thread_local! {
        static RECORDED: RefCell<Option<Recorded>> = const { RefCell::new(None) };
    }

    /// The statements of this piece of work.
    pub(in crate::store::postgres) fn record(work: impl FnOnce()) -> Recorded {
        RECORDED.set(Some(Recorded::new()));
        work();
        RECORDED.take().unwrap_or_default()
    }

    pub(super) fn note(sql: &'static str, binds: &[Bind<'_>]) {
        RECORDED.with_borrow_mut(|recorded| {
            if let Some(recorded) = recorded {
                let types = binds.iter().map(type_of).collect();
                recorded.insert(sql, types);
            }
        });
    }

    fn type_of(bind: &Bind<'_>) -> &'static str {
        match bind {
            Bind::Null => "NULL",
            Bind::Int(_) => "bigint",
            Bind::Bool(_) => "boolean",
            Bind::Text(_) | Bind::Owned(_) => "text",
            Bind::Instant(_) => "timestamptz",
            Bind::Ints(_) => "bigint[]",
            Bind::Bools(_) => "boolean[]",
            Bind::Texts(_) | Bind::OwnedTexts(_) => "text[]",
            Bind::Instants(_) => "timestamptz[]",
        }
    }
}
