//! Error rows: one per failed attempt, kept for ever, the first one of an attempt stays.

use diesel::prelude::*;

use super::Batch;
use crate::store::sqlite::statement;

const INSERT: &str = "
INSERT INTO chrono_forge_error_logs
    (workflow_id, step_name, attempt, error_class, error_message, backtrace, context, created_at)
VALUES {(?, ?, ?, ?, ?, ?, ?, ?)}
ON CONFLICT DO NOTHING";

impl Batch<'_> {
    pub(super) fn insert_errors(&self, conn: &mut SqliteConnection) -> QueryResult<()> {
        let mut batch = statement::Batch::new(INSERT);
        for (_, plan) in self.live() {
            for error in &plan.errors {
                batch.push([
                    plan.fence.run.0.into(),
                    error.step_name.as_ref().into(),
                    error.attempt.into(),
                    (&error.class).into(),
                    (&error.message).into(),
                    error.backtrace.as_ref().into(),
                    error.context.as_ref().into(),
                    error.at.into(),
                ]);
            }
        }
        batch.execute(conn).map(drop)
    }
}
