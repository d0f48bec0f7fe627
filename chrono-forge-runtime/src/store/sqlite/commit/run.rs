//! The run's own row: what a pass leaves on it, and how the pass ends.
//!
//! Completions have a statement of their own: nearly every commit of a large fan-out is one, and it
//! binds three values. None of these statements checks the fence again; it was read in the same
//! transaction.

use diesel::prelude::*;

use super::Batch;
use crate::record::{Due, RunEnd};
use crate::store::shared::claimed::NO_COUNTS;
use crate::store::shared::end::EndRow;
use crate::store::sqlite::statement::{self, sql};

pub(super) const TOUCH: &str = "
UPDATE chrono_forge_workflows SET
    wake_requested = iif(v.column2, 0, wake_requested),
    crashes = iif(v.column3, 0, crashes),
    retry_counts = coalesce(v.column4, retry_counts),
    priority = ifnull(v.column5, priority),
    updated_at = v.column6
FROM (VALUES {(?, ?, ?, ?, ?, ?)}) AS v
WHERE chrono_forge_workflows.id = v.column1";

sql! {
    /// `wake_at` is null already: the run is running.
    pub(super) struct Complete = "
UPDATE chrono_forge_workflows SET
    state = 2,
    locked_by = NULL,
    output = v.column2,
    completed_at = v.column3,
    updated_at = v.column3
FROM (VALUES {(?, ?, ?)}) AS v
WHERE chrono_forge_workflows.id = v.column1";
}

/// Only a body that will be tried again leaves counts; see `wake::ROUSE` on its mark.
pub(super) const END: &str = "
UPDATE chrono_forge_workflows SET
    state = v.column2,
    locked_by = NULL,
    wake_at = v.column3,
    attempts = coalesce(v.column4, attempts),
    retry_counts = coalesce(v.column5, retry_counts),
    stalled_by = v.column6,
    options = CASE
        WHEN v.column5 IS NOT NULL THEN json_set(options, '$.waits_to_retry', json('true'))
        WHEN v.column7 THEN
            json_remove(json_set(options, '$.dropped_foreign_await', json('true')), '$.waits_to_retry')
        WHEN length(options) = 2 THEN options
        ELSE json_remove(options, '$.waits_to_retry')
    END,
    updated_at = v.column8
FROM (VALUES {(?, ?, ?, ?, ?, ?, ?, ?)}) AS v
WHERE chrono_forge_workflows.id = v.column1";

impl Batch<'_> {
    /// Writes what a pass changes while it holds the run.
    pub(super) fn touch_runs(&self, conn: &mut SqliteConnection) -> QueryResult<()> {
        let mut batch = statement::Batch::new(TOUCH);
        for (_, plan) in self.live() {
            let changes = !plan.context.is_empty() || plan.level.is_some();
            if !changes && !plan.consumes_wake && !plan.progress {
                continue;
            }
            batch.push([
                plan.fence.run.0.into(),
                plan.consumes_wake.into(),
                plan.progress.into(),
                plan.progress.then_some(NO_COUNTS).into(),
                plan.level.map(|level| i64::from(level.0)).into(),
                self.now.into(),
            ]);
        }
        batch.execute(conn).map(drop)
    }

    /// Ends the passes whose body returned a value.
    pub(super) fn complete_runs(&self, conn: &mut SqliteConnection) -> QueryResult<()> {
        let mut batch = statement::Batch::<3, Complete>::of(self.plans.len());
        for (_, plan) in self.live() {
            if let Some(RunEnd::Completed { output, at }) = &plan.end {
                batch.push([plan.fence.run.0.into(), output.into(), (*at).into()]);
            }
        }
        batch.execute(conn).map(drop)
    }

    /// Ends all other passes.
    pub(super) fn end_runs(&mut self, conn: &mut SqliteConnection) -> QueryResult<()> {
        let mut batch = statement::Batch::new(END);
        let mut due = false;
        for (place, plan) in self.live() {
            let end = match &plan.end {
                None | Some(RunEnd::Completed { .. }) => continue,
                Some(end) => end,
            };
            let row = EndRow::of(end, self.is_woken(place), self.now);
            due |= row
                .wake_at
                .is_some_and(|due| Due::of_micros(due).is_due(self.now.at));
            batch.push([
                plan.fence.run.0.into(),
                (row.state as i64).into(),
                row.wake_at.into(),
                row.attempts.into(),
                row.retry_counts.into(),
                row.stalled_by.into(),
                row.dropped_foreign.into(),
                self.now.into(),
            ]);
        }
        batch.execute(conn)?;
        drop(batch);
        self.applied.due |= due;
        Ok(())
    }
}
