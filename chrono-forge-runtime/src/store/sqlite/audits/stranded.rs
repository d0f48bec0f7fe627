//! Parents that wait at a merge although all of its branches are joined: their wake-up was lost.
//!
//! The commit that joins the last branch makes the parent due, so no healthy database shows one between
//! two commits. Asked when the audit of one of its branches found nothing left to wait for.

use diesel::prelude::*;
use diesel::sql_types::BigInt;

use crate::record::RecordId;
use crate::store::shared::arrivals::Now;
use crate::store::shared::audits::{Over, Parents};
use crate::store::sqlite::statement::Batch;
use crate::store::sqlite::wake;

pub(in crate::store::sqlite) const PARENTS: &str = "
SELECT l.id, l.workflow_id
FROM (VALUES {(?)}) AS v
CROSS JOIN chrono_forge_execution_logs AS l ON l.id = v.column1";

/// A running parent may be about to record its merge, or hold a wake-up in memory: it is only told.
/// Names are compared between commas, which no branch name contains; a merge that is named by a
/// digest waits for all.
pub(in crate::store::sqlite) const STRANDED: &str = "
SELECT DISTINCT w.id, w.state
FROM (VALUES {(?, ?)}) AS v
CROSS JOIN chrono_forge_workflows AS w ON w.id = v.column1
CROSS JOIN chrono_forge_execution_logs AS l
    ON l.workflow_id = w.id AND l.step_name >= 'merge$' AND l.step_name < 'merge%'
WHERE (+w.state = 1 OR +w.state = 0 AND (w.wake_at IS NULL OR +w.wake_at > v.column2))
    AND +l.state = 0
    AND NOT EXISTS (
        SELECT 1 FROM chrono_forge_execution_logs AS s
        WHERE s.workflow_id = w.id AND s.step_name >= 'branch$' AND s.step_name < 'branch%'
            AND (+s.pending > 0 OR +s.state <> 1)
            AND (l.step_name GLOB 'merge$#*' OR instr(
                ',' || substr(l.step_name, 7) || ',', ',' || substr(s.step_name, 8) || ','
            ) > 0)
    )";

/// Wakes the stranded parents of these branches.
pub(super) fn wake(
    conn: &mut SqliteConnection,
    over: &[RecordId],
    now: Now,
) -> QueryResult<Parents> {
    let mut rows: Vec<(i64, i64)> = Vec::new();
    let mut batch = Batch::with_capacity(PARENTS, over.len());
    for branch in over {
        batch.push([branch.0.into()]);
    }
    for chunk in batch.chunks::<(BigInt, BigInt)>() {
        rows.extend(chunk.load::<(i64, i64)>(conn)?);
    }
    let mut over = Over::of(rows);
    let mut batch = Batch::new(STRANDED);
    for run in over.parents() {
        batch.push([run.into(), now.into()]);
    }
    for chunk in batch.chunks::<(BigInt, BigInt)>() {
        for (run, state) in chunk.load::<(i64, i64)>(conn)? {
            over.stranded(run, state);
        }
    }
    let roused = wake::rouse(conn, over.idle(), now)?;
    Ok(over.settled(roused.into_iter().map(|(run, _)| run)))
}
