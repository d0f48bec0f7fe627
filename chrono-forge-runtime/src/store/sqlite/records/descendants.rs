//! Which runs keep a run parked at any depth, for operators.
//!
//! From the blocked runs upwards and not from the branches downwards: a branch has a million children of
//! which few are blocked, and no index tells which of the others wait for children of their own. What is
//! below a run was created after it, and its key begins with the run's; nearly every blocked run that is
//! not below it is left out by these two, before any way up is walked. They prove nothing, since runs of
//! other workflows may have the same key, so the links decide.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable};

use super::blocked::{self, blocked_child, newest_error};
use crate::record::{BlockedChild, RunId, RunRow};
use crate::store::StoreResult;
use crate::store::sqlite::statement::Stmt;

/// Blocked runs looked at in one transaction.
pub(in crate::store::sqlite) const PAGE_ROWS: u32 = 1_000;

/// The last blocked run of a page.
pub(super) const PAGE_END: &str = "
SELECT max(workflow_id) FROM (
    SELECT b.workflow_id FROM chrono_forge_blocked AS b
    WHERE b.workflow_id > ? ORDER BY b.workflow_id LIMIT ?
)";

/// Parents are older than their children, so a way up that has passed the run is over.
pub(in crate::store::sqlite) const BELOW: &str = concat!(
    "
WITH RECURSIVE up (blocked, run) AS (
    SELECT b.workflow_id, l.workflow_id
    FROM chrono_forge_blocked AS b
    CROSS JOIN chrono_forge_workflows AS w ON w.id = b.workflow_id
    CROSS JOIN chrono_forge_execution_logs AS l ON l.id = b.parent_execution_log_id
    WHERE b.workflow_id > ? AND b.workflow_id <= ?
        AND w.key > ? || '$' AND w.key < ? || '%'
    UNION ALL
    SELECT up.blocked, l.workflow_id
    FROM up
    CROSS JOIN chrono_forge_workflows AS w ON w.id = up.run
    CROSS JOIN chrono_forge_execution_logs AS l ON l.id = w.parent_execution_log_id
    WHERE up.run > ?
)",
    blocked_child!(),
    "
FROM up
CROSS JOIN chrono_forge_blocked AS b ON b.workflow_id = up.blocked
CROSS JOIN chrono_forge_workflows AS w ON w.id = up.blocked
CROSS JOIN chrono_forge_execution_logs AS l ON l.id = b.parent_execution_log_id",
    newest_error!(),
    "
WHERE up.run = ?
ORDER BY up.blocked"
);

/// The blocked runs below this one in the page behind `after`, and the last run of that page.
pub(in crate::store::sqlite) fn blocked_below(
    conn: &mut SqliteConnection,
    run: &RunRow,
    after: RunId,
) -> QueryResult<Option<(Vec<BlockedChild>, RunId)>> {
    let binds = [after.0.into(), PAGE_ROWS.into()];
    let ends: Vec<(Option<i64>,)> =
        Stmt::<(Nullable<BigInt>,)>::new(PAGE_END, &binds).load(conn)?;
    let Some((Some(end),)) = ends.first().copied() else {
        return Ok(None);
    };
    let binds = [
        after.0.into(),
        end.into(),
        (&run.key).into(),
        (&run.key).into(),
        run.id.0.into(),
        run.id.0.into(),
    ];
    let below = blocked::load(conn, BELOW, &binds)?;
    Ok(Some((below, RunId(end))))
}

/// Page after page; see [`Store::blocked_descendants`](crate::store::Store::blocked_descendants).
pub(in crate::store::sqlite) fn blocked_descendants(
    run: &RunRow,
    limit: u32,
    read: impl Fn(RunId) -> StoreResult<Option<(Vec<BlockedChild>, RunId)>>,
) -> StoreResult<Vec<BlockedChild>> {
    let limit = limit as usize;
    let mut found = Vec::new();
    let mut after = run.id;
    while found.len() < limit {
        let Some((page, last)) = read(after)? else {
            break;
        };
        found.extend(page);
        after = last;
    }
    found.truncate(limit);
    Ok(found)
}
