//! Parents that wait at a merge although all of its branches are joined: their wake-up was lost.
//!
//! The commit that joins the last branch makes the parent due, so no healthy database shows one between
//! two commits. Asked when the audit of one of its branches found nothing left to wait for. What is found may
//! change before the parent is locked: one wake-up too many costs a claim.

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, SmallInt};

use crate::record::RecordId;
use crate::store::postgres::bind::ints;
use crate::store::postgres::statement::Stmt;
use crate::store::postgres::wake;
use crate::store::shared::arrivals::Now;
use crate::store::shared::audits::{Over, Parents};

pub(super) const PARENTS: &str = "
SELECT l.id, l.workflow_id
FROM unnest(?) AS v (id)
JOIN chrono_forge_execution_logs AS l ON l.id = v.id";

/// A running parent may be about to record its merge, or hold a wake-up in memory: it is only told.
/// Names are compared between commas, which no branch name contains; a merge that is named by a
/// digest waits for all.
pub(super) const STRANDED: &str = "
SELECT DISTINCT w.id, w.state
FROM unnest(?) AS v (id)
JOIN chrono_forge_workflows AS w ON w.id = v.id
JOIN chrono_forge_execution_logs AS l
    ON l.workflow_id = w.id AND l.step_name >= 'merge$' AND l.step_name < 'merge%'
CROSS JOIN LATERAL (
    SELECT count(*) FROM chrono_forge_execution_logs AS s
    WHERE s.workflow_id = w.id AND s.step_name >= 'branch$' AND s.step_name < 'branch%'
        AND (s.pending > 0 OR s.state <> 1)
        AND (starts_with(l.step_name, 'merge$#') OR strpos(
            ',' || substr(l.step_name, 7) || ',', ',' || substr(s.step_name, 8) || ','
        ) > 0)
) AS unfinished (branches)
WHERE (w.state = 1 OR w.state = 0 AND (w.wake_at IS NULL OR w.wake_at > ?))
    AND l.state = 0 AND unfinished.branches = 0
ORDER BY w.id";

/// Wakes the stranded parents of these branches.
pub(super) fn wake(conn: &mut PgConnection, over: &[RecordId], now: Now) -> QueryResult<Parents> {
    if over.is_empty() {
        return Ok(Parents::default());
    }
    let binds = [ints(over.iter().map(|branch| branch.0))];
    let rows: Vec<(i64, i64)> = Stmt::<(BigInt, BigInt)>::new(PARENTS, &binds).load(conn)?;
    let mut over = Over::of(rows);
    let binds = [ints(over.parents()), now.into()];
    let rows: Vec<(i64, i16)> = Stmt::<(BigInt, SmallInt)>::new(STRANDED, &binds).load(conn)?;
    for (run, state) in rows {
        over.stranded(run, state.into());
    }
    let roused = wake::rouse(conn, over.idle(), now)?;
    Ok(over.settled(roused.into_iter().map(|(run, _)| run)))
}
