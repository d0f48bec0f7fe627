//! Which runs keep a run parked at any depth, for operators: from the blocked runs upwards, page by page, as
//! [`shared::blocked`](crate::store::shared::blocked) tells.

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable};

use super::blocked::{self, blocked_child};
use crate::record::{BlockedChild, RunId, RunRow};
use crate::store::postgres::runs::newest_error;
use crate::store::postgres::statement::Stmt;
use crate::store::shared::blocked::PAGE_ROWS;

/// The last blocked run of a page.
pub(in crate::store::postgres) const PAGE_END: &str = "
SELECT max(p.workflow_id) FROM (
    SELECT b.workflow_id FROM chrono_forge_blocked AS b
    WHERE b.workflow_id > ? ORDER BY b.workflow_id LIMIT ?
) AS p";

/// Parents are older than their children, so a way up that has passed the run is over.
pub(super) const BELOW: &str = concat!(
    "
WITH RECURSIVE up (blocked, run) AS (
    SELECT b.workflow_id, l.workflow_id
    FROM chrono_forge_blocked AS b
    JOIN chrono_forge_workflows AS w ON w.id = b.workflow_id
    JOIN chrono_forge_execution_logs AS l ON l.id = b.parent_execution_log_id
    WHERE b.workflow_id > ? AND b.workflow_id <= ?
        AND w.key > ?::text || '$' AND w.key < ?::text || '%'
    UNION ALL
    SELECT up.blocked, l.workflow_id
    FROM up
    JOIN chrono_forge_workflows AS w ON w.id = up.run
    JOIN chrono_forge_execution_logs AS l ON l.id = w.parent_execution_log_id
    WHERE up.run > ?
)",
    blocked_child!(),
    "
FROM up
JOIN chrono_forge_blocked AS b ON b.workflow_id = up.blocked
JOIN chrono_forge_workflows AS w ON w.id = up.blocked
JOIN chrono_forge_execution_logs AS l ON l.id = b.parent_execution_log_id",
    newest_error!("true"),
    "
WHERE up.run = ?
ORDER BY up.blocked"
);

/// The blocked runs below this one in the page behind `after`, and the last run of that page.
pub(in crate::store::postgres) fn blocked_below(
    conn: &mut PgConnection,
    run: &RunRow,
    after: RunId,
) -> QueryResult<Option<(Vec<BlockedChild>, RunId)>> {
    let binds = [after.0.into(), PAGE_ROWS.into()];
    let ends: Vec<(Option<i64>,)> =
        Stmt::<(Nullable<BigInt>,)>::new(PAGE_END, &binds).load(conn)?;
    let Some((Some(end),)) = ends.first().copied() else {
        return Ok(None);
    };
    let key = || (&run.key).into();
    let id = || run.id.0.into();
    let binds = [after.0.into(), end.into(), key(), key(), id(), id()];
    let below = blocked::load(conn, BELOW, &binds)?;
    Ok(Some((below, RunId(end))))
}
