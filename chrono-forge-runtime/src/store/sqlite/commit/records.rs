//! Records: upserted by name, withdrawn while they are pending.

use diesel::prelude::*;

use super::Batch;
use crate::store::shared::plain::is_plain;
use crate::store::sqlite::bind::deadline;
use crate::store::sqlite::statement::{self, sql};

/// What both upserts do with a row that exists. A branch row keeps its counters, and keeps the cursors
/// that dispatch maintains in its metadata. No plan makes a decided record pending again: one that seems to
/// comes late, behind what its run recorded since.
macro_rules! on_conflict {
    () => {
        "
ON CONFLICT (workflow_id, step_name) DO UPDATE SET
    seq = excluded.seq,
    state = excluded.state,
    attempts = excluded.attempts,
    started_at = coalesce(started_at, excluded.started_at),
    last_executed_at = excluded.last_executed_at,
    wake_at = excluded.wake_at,
    completed_at = excluded.completed_at,
    error_class = excluded.error_class,
    error_message = excluded.error_message,
    metadata = CASE
        WHEN step_name NOT GLOB 'branch$*' THEN excluded.metadata
        WHEN metadata -> '$.cursors' IS NULL THEN excluded.metadata
        ELSE json_set(ifnull(excluded.metadata, '{}'), '$.cursors', metadata -> '$.cursors')
    END,
    context_delta = excluded.context_delta,
    result = excluded.result
WHERE state = 0 OR excluded.state <> 0"
    };
}

pub(super) const UPSERT: &str = concat!(
    "
INSERT INTO chrono_forge_execution_logs
    (workflow_id, step_name, seq, state, attempts, started_at, last_executed_at, wake_at,
     completed_at, error_class, error_message, metadata, context_delta, result)
VALUES {(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)}",
    on_conflict!()
);

sql! {
    /// Nearly every record: a completed step with nothing to tell but its result.
    pub(super) struct UpsertPlain = concat!(
        "
INSERT INTO chrono_forge_execution_logs
    (workflow_id, step_name, seq, state, attempts, started_at, last_executed_at, completed_at, result)
VALUES {(?, ?, ?, 1, ?, ?, ?, ?, ?)}",
        on_conflict!()
    );
}

pub(super) const WITHDRAW: &str = "
DELETE FROM chrono_forge_execution_logs
WHERE id IN (
    SELECT l.id
    FROM (VALUES {(?, ?)}) AS v
    CROSS JOIN chrono_forge_execution_logs AS l
        ON l.workflow_id = v.column1 AND l.step_name = v.column2
    WHERE l.state = 0
)";

impl Batch<'_> {
    /// Upserts the records of all plans; a plan names each record once.
    pub(super) fn upsert_records(&self, conn: &mut SqliteConnection) -> QueryResult<()> {
        let mut plain = statement::Batch::<8, UpsertPlain>::of(self.plans.len());
        let mut batch = statement::Batch::new(UPSERT);
        for (_, plan) in self.live() {
            for record in &plan.records {
                if is_plain(record) {
                    plain.push([
                        plan.fence.run.0.into(),
                        (&record.step_name).into(),
                        record.seq.into(),
                        record.attempts.into(),
                        record.started_at.into(),
                        record.last_executed_at.into(),
                        record.completed_at.into(),
                        record.result.as_ref().into(),
                    ]);
                    continue;
                }
                batch.push([
                    plan.fence.run.0.into(),
                    (&record.step_name).into(),
                    record.seq.into(),
                    (record.state as i64).into(),
                    record.attempts.into(),
                    record.started_at.into(),
                    record.last_executed_at.into(),
                    record.wake_at.map(deadline).into(),
                    record.completed_at.into(),
                    record.error_class.as_ref().into(),
                    record.error_message.as_ref().into(),
                    record.metadata.as_ref().into(),
                    record.context_delta.as_ref().into(),
                    record.result.as_ref().into(),
                ]);
            }
        }
        // A record that is pending here and completed there ends completed.
        batch.execute(conn)?;
        plain.execute(conn).map(drop)
    }

    /// Deletes what the bodies dropped, unless it has an outcome.
    pub(super) fn withdraw_records(&self, conn: &mut SqliteConnection) -> QueryResult<()> {
        let mut batch = statement::Batch::new(WITHDRAW);
        for (_, plan) in self.live() {
            for withdrawal in &plan.withdrawals {
                batch.push([plan.fence.run.0.into(), (&withdrawal.step_name).into()]);
            }
        }
        batch.execute(conn).map(drop)
    }
}
