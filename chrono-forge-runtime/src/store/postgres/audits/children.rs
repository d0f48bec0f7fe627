//! Counting children: the counters of a branch at one instant, and pages of the rows they stand for.

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, SmallInt};

use crate::record::{BranchCounters, ChildCount, RecordId, RunId};
use crate::store::postgres::statement::Stmt;
use crate::store::shared::codes::unsigned;

/// One statement, so that counters and newest child belong to the same commit.
pub(super) const COUNTERS: &str = "
SELECT l.state, l.spawned, l.pending, (
    SELECT w.id FROM chrono_forge_workflows AS w
    WHERE w.parent_execution_log_id >= l.id AND w.parent_execution_log_id <= l.id
    ORDER BY w.parent_execution_log_id DESC, w.id DESC LIMIT 1
)
FROM chrono_forge_execution_logs AS l WHERE l.id = ?";

/// Completed is the one state that ends a child's part in the join. The branch is said as a range, here and above: as one
/// value it lets a planner walk the primary key instead of the index of parents.
pub(super) const PAGE: &str = "
SELECT count(*), count(*) FILTER (WHERE c.state <> 2), count(*) FILTER (WHERE c.started_at IS NULL),
    max(c.id)
FROM (
    SELECT w.id, w.state, w.started_at
    FROM chrono_forge_workflows AS w
    WHERE (w.parent_execution_log_id, w.id) > (?, ?)
        AND (w.parent_execution_log_id, w.id) <= (?, ?)
        AND w.parent_execution_log_id IS NOT NULL
    ORDER BY w.parent_execution_log_id, w.id LIMIT ?
) AS c";

/// The counters; see [`Store::branch_counters`](crate::store::Store::branch_counters).
pub(in crate::store::postgres) fn counters(
    conn: &mut PgConnection,
    branch: RecordId,
) -> QueryResult<Option<BranchCounters>> {
    type Columns = (SmallInt, BigInt, BigInt, Nullable<BigInt>);
    let rows: Vec<(i16, i64, i64, Option<i64>)> =
        Stmt::<Columns>::new(COUNTERS, &[branch.0.into()]).load(conn)?;
    let found = rows.into_iter().next();
    Ok(found.map(|(state, spawned, pending, last)| BranchCounters {
        sealed: state == 1,
        spawned: unsigned(spawned),
        pending: unsigned(pending),
        last_child: RunId(last.unwrap_or(0)),
    }))
}

/// One page; see [`Store::count_children`](crate::store::Store::count_children).
pub(in crate::store::postgres) fn count(
    conn: &mut PgConnection,
    branch: RecordId,
    (after, through): (RunId, RunId),
    limit: u32,
) -> QueryResult<(ChildCount, RunId)> {
    type Columns = (BigInt, BigInt, BigInt, Nullable<BigInt>);
    let branch = || branch.0.into();
    let range = [branch(), after.0.into(), branch(), through.0.into()];
    let mut binds = Vec::from(range);
    binds.push(limit.into());
    let rows: Vec<(i64, i64, i64, Option<i64>)> = Stmt::<Columns>::new(PAGE, &binds).load(conn)?;
    let (children, unfinished, never_started, last) = rows.into_iter().next().unwrap_or_default();
    let count = ChildCount {
        children: unsigned(children),
        unfinished: unsigned(unfinished),
        never_started: unsigned(never_started),
    };
    Ok((count, last.map_or(through, RunId)))
}
