//! A connection that the application's pool lends: told our settings for as long as it is borrowed,
//! and given back with those that it had.

use std::ops::{Deref, DerefMut};

use diesel::connection::{AnsiTransactionManager, CacheSize, SimpleConnection, TransactionManager};
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{Array, Nullable, Text};

use super::lender::{Borrowed, Lender};
use super::{Setting, Source};
use crate::error::{StoreError, StoreErrorKind};
use crate::store::StoreResult;
use crate::store::postgres::bind::names;
use crate::store::postgres::fault;
use crate::store::postgres::statement::Stmt;

/// Of these settings, what they are now; then they are what they are told.
const TELL: &str = "
SELECT array_agg(was ORDER BY place), count(set_config(name, value, false))
FROM (
    SELECT s.place, s.name, s.value, current_setting(s.name) AS was
    FROM unnest(?, ?) WITH ORDINALITY AS s (name, value, place) OFFSET 0
) AS s";

/// What they were.
const RESTORE: &str =
    "SELECT count(set_config(name, value, false)) FROM unnest(?, ?) AS s (name, value)";

/// See the module. It goes back when it is dropped.
pub(super) struct LentLine {
    conn: Borrowed,
    /// Names and values of settings that were others.
    before: (Vec<String>, Vec<String>),
}

impl LentLine {
    /// Borrows one. Before a pooler in transaction mode nothing may be told to a session: then each
    /// transaction is.
    pub(super) fn borrow(
        source: &Source,
        lender: &Lender,
        settings: &[Setting],
    ) -> StoreResult<Self> {
        let conn = lender.lend().map_err(|error| {
            let needed = source.options.connections(source.options.executes);
            let message = format!(
                "the pool lends none of its {}, of which this engine keeps up to {needed}: {error}",
                lender.told()
            );
            StoreError::new("open", StoreErrorKind::Transient, message)
        })?;
        let mut lent = Self {
            conn,
            before: (Vec::new(), Vec::new()),
        };
        if source.options.pooler {
            // The application's own would be lost in the same way.
            lent.set_prepared_statement_cache_size(CacheSize::Disabled);
        } else {
            lent.tell(settings)
                .map_err(|error| fault::statement("open", &error))?;
        }
        Ok(lent)
    }

    fn tell(&mut self, settings: &[Setting]) -> QueryResult<()> {
        let of = |part: fn(&Setting) -> String| settings.iter().map(part).collect::<Vec<String>>();
        let told = of(|(name, _)| (*name).to_owned());
        let values = of(|(_, value)| value.trim_matches('\'').to_owned());
        type Types = (Nullable<Array<Text>>, diesel::sql_types::BigInt);
        let binds = [names(&told), names(&values)];
        let rows: Vec<(Option<Vec<String>>, i64)> =
            Stmt::<Types>::new(TELL, &binds).load(&mut *self.conn)?;
        let before = rows.into_iter().next().and_then(|(before, _)| before);
        self.before = (told, before.unwrap_or_default());
        Ok(())
    }

    /// Makes it one that the pool finds broken, and replaces; what was begun on it is rolled back,
    /// also where the pool does not look.
    pub(super) fn end(&mut self) {
        self.before = (Vec::new(), Vec::new());
        let end = ["ROLLBACK", "SELECT pg_terminate_backend(pg_backend_pid())"];
        for sql in end {
            let _ = self.batch_execute(sql);
        }
        self.mark_broken();
    }

    /// As [`end`](Self::end), without waiting for the server: it may be one that is gone.
    pub(super) fn leave(mut self) {
        self.before = (Vec::new(), Vec::new());
        self.mark_broken();
    }

    /// Diesel's own pool, and those that ask Diesel, replace such a connection.
    fn mark_broken(&mut self) {
        AnsiTransactionManager::transaction_manager_status_mut(&mut **self).set_in_error();
    }
}

impl Deref for LentLine {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.conn
    }
}

impl DerefMut for LentLine {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.conn
    }
}

impl Drop for LentLine {
    fn drop(&mut self) {
        let (told, before) = std::mem::take(&mut self.before);
        if told.is_empty() {
            return;
        }
        let binds = [names(&told), names(&before)];
        let restored = Stmt::<()>::new(RESTORE, &binds).execute(&mut *self.conn);
        if restored.is_err() {
            self.end();
        }
    }
}
