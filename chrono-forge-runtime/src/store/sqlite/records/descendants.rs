//! Which runs keep a run parked at any depth, for operators: from the blocked runs upwards, page by page, as
//! [`shared::blocked`](crate::store::shared::blocked) tells.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable};

use super::blocked::{self, blocked_child, newest_error};
use crate::record::{BlockedChild, RunId, RunRow};
use crate::store::shared::blocked::PAGE_ROWS;
use crate::store::sqlite::statement::Stmt;

/// The last blocked run of a page.
pub(in crate::store::sqlite) const PAGE_END: &str = "
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
