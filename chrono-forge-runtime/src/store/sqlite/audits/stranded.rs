//! Parents that wait at a merge although all of its branches are joined: their wake-up was lost.
//!
//! The commit that joins the last branch makes the parent due, so no healthy database shows one between
//! two commits. Asked when the audit of one of its branches found nothing left to wait for.

use std::collections::{BTreeMap, BTreeSet};

use diesel::prelude::*;
use diesel::sql_types::BigInt;
use jiff::Timestamp;

use crate::record::{RecordId, RunId};
use crate::store::sqlite::statement::Batch;
use crate::store::sqlite::wake;

pub(in crate::store::sqlite) const PARENTS: &str = "
SELECT l.id, l.workflow_id
FROM (VALUES {(?)}) AS v
CROSS JOIN chrono_forge_execution_logs AS l ON l.id = v.column1";

/// A running parent may be about to record its merge, or hold a wake-up in memory: it is only told.
/// Names are compared between commas, which no branch name contains.
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
            AND instr(',' || substr(l.step_name, 7) || ',', ',' || substr(s.step_name, 8) || ',') > 0
    )";

/// What was done about the parents of branches that are over.
#[derive(Debug, Default)]
pub(super) struct Parents {
    /// They are due now.
    pub(super) woken: Vec<RunId>,
    /// Branches whose parent runs and has not recorded its merge: looked at again.
    pub(super) at_work: BTreeSet<RecordId>,
}

/// Wakes the stranded parents of these branches.
pub(super) fn wake(
    conn: &mut SqliteConnection,
    over: &[RecordId],
    now: Timestamp,
) -> QueryResult<Parents> {
    let mut branches: BTreeMap<i64, Vec<RecordId>> = BTreeMap::new();
    let mut batch = Batch::with_capacity(PARENTS, over.len());
    for branch in over {
        batch.push([branch.0.into()]);
    }
    for chunk in batch.chunks::<(BigInt, BigInt)>() {
        for (branch, run) in chunk.load::<(i64, i64)>(conn)? {
            branches.entry(run).or_default().push(RecordId(branch));
        }
    }
    let mut batch = Batch::with_capacity(STRANDED, branches.len());
    for run in branches.keys() {
        batch.push([(*run).into(), now.into()]);
    }
    let (mut idle, mut parents) = (Vec::new(), Parents::default());
    for chunk in batch.chunks::<(BigInt, BigInt)>() {
        for (run, state) in chunk.load::<(i64, i64)>(conn)? {
            match state {
                0 => idle.push(run),
                _ => parents
                    .at_work
                    .extend(branches.remove(&run).unwrap_or_default()),
            }
        }
    }
    let roused = wake::rouse(conn, &idle, now)?;
    parents.woken = roused.into_iter().map(|(run, _)| run).collect();
    Ok(parents)
}
