//! Counting children: the counters of a branch at one instant, and pages of the rows they stand for.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable};

use crate::record::{BranchCounters, ChildCount, RecordId, RunId};
use crate::store::shared::codes::unsigned;
use crate::store::sqlite::statement::Stmt;

/// One statement, so that counters and newest child belong to the same commit.
pub(in crate::store::sqlite) const COUNTERS: &str = "
SELECT l.state, l.spawned, l.pending, (
    SELECT max(w.id) FROM chrono_forge_workflows AS w INDEXED BY chrono_forge_workflows_parent
    WHERE w.parent_execution_log_id = l.id
)
FROM chrono_forge_execution_logs AS l WHERE l.id = ?";

/// Completed is the one state that ends a child's part in the join.
pub(in crate::store::sqlite) const PAGE: &str = "
SELECT count(*), ifnull(sum(c.state <> 2), 0), ifnull(sum(c.started_at IS NULL), 0), max(c.id)
FROM (
    SELECT w.id, w.state, w.started_at
    FROM chrono_forge_workflows AS w INDEXED BY chrono_forge_workflows_parent
    WHERE w.parent_execution_log_id = ? AND w.id > ? AND w.id <= ?
    ORDER BY w.id LIMIT ?
) AS c";

/// The counters; see [`Store::branch_counters`](crate::store::Store::branch_counters).
pub(in crate::store::sqlite) fn counters(
    conn: &mut SqliteConnection,
    branch: RecordId,
) -> QueryResult<Option<BranchCounters>> {
    type Columns = (BigInt, BigInt, BigInt, Nullable<BigInt>);
    let rows: Vec<(i64, i64, i64, Option<i64>)> =
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
pub(in crate::store::sqlite) fn count(
    conn: &mut SqliteConnection,
    branch: RecordId,
    (after, through): (RunId, RunId),
    limit: u32,
) -> QueryResult<(ChildCount, RunId)> {
    type Columns = (BigInt, BigInt, BigInt, Nullable<BigInt>);
    let binds = [
        branch.0.into(),
        after.0.into(),
        through.0.into(),
        limit.into(),
    ];
    let rows: Vec<(i64, i64, i64, Option<i64>)> = Stmt::<Columns>::new(PAGE, &binds).load(conn)?;
    let (children, unfinished, never_started, last) =
        rows.into_iter().next().unwrap_or((0, 0, 0, None));
    let count = ChildCount {
        children: unsigned(children),
        unfinished: unsigned(unfinished),
        never_started: unsigned(never_started),
    };
    Ok((count, last.map_or(through, RunId)))
}
