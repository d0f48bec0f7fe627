//! Error rows: one per failed attempt, kept for ever, the first one of an attempt stays.

use diesel::pg::PgConnection;
use diesel::prelude::*;

use super::Batch;
use crate::store::postgres::bind::{instants, ints, messages, opt_texts};
use crate::store::postgres::statement::Stmt;

pub(super) const INSERT: &str = "
INSERT INTO chrono_forge_error_logs
    (workflow_id, step_name, attempt, error_class, error_message, backtrace, context, created_at)
SELECT * FROM unnest(?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (workflow_id, (coalesce(step_name, '')), attempt) DO NOTHING";

impl Batch<'_> {
    pub(super) fn insert_errors(&self, conn: &mut PgConnection) -> QueryResult<()> {
        let rows: Vec<_> = self
            .live()
            .flat_map(|(_, plan)| plan.errors.iter().map(|error| (plan.fence.run.0, error)))
            .collect();
        if rows.is_empty() {
            return Ok(());
        }
        let errors = || rows.iter().map(|(_, error)| *error);
        let binds = [
            ints(rows.iter().map(|(run, _)| *run)),
            opt_texts(errors().map(|error| error.step_name.as_deref())),
            ints(errors().map(|error| error.attempt.into())),
            messages(errors().map(|error| Some(&*error.class))),
            messages(errors().map(|error| Some(&*error.message))),
            messages(errors().map(|error| error.backtrace.as_deref())),
            opt_texts(errors().map(|error| error.context.as_deref())),
            instants(errors().map(|error| error.at)),
        ];
        Stmt::<()>::new(INSERT, &binds).execute(conn).map(drop)
    }
}
