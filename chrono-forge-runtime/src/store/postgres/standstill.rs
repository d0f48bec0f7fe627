//! What a run stands still at, as [`shared::standstill`](crate::store::shared::standstill) asks it.

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Nullable, Text};

use super::PostgresStore;
use super::bind::{Bind, ints};
use super::records::{self, PAGE_END};
use super::statement::Stmt;
use crate::record::{BlockedChild, Epoch, RunId, RunRow};
use crate::store::StoreResult;
use crate::store::shared::blocked::PAGE_ROWS;
use crate::store::shared::standstill::{DUE_MAX, JoinRow, Link, Looks, Range};

/// The way up from where `$first` says, each step of it once. Parents are older than their children, so a way up
/// that has passed the run is over. Each step is a look-up: a planner that expects many steps would rather read
/// every run than look for them.
macro_rules! links {
    ($first:literal) => {
        concat!(
            "
WITH RECURSIVE up (child, run, branch, is_first) AS (
    SELECT w.id, l.workflow_id, l.step_name, true
    FROM ",
            $first,
            " AS v (id)
    CROSS JOIN LATERAL (
        SELECT r.id, r.key, r.parent_execution_log_id FROM chrono_forge_workflows AS r
        WHERE r.id = v.id LIMIT 1
    ) AS w
    CROSS JOIN LATERAL (
        SELECT o.workflow_id, o.step_name FROM chrono_forge_execution_logs AS o
        WHERE o.id = w.parent_execution_log_id LIMIT 1
    ) AS l
    WHERE w.id > ? AND w.key > ?::text || '$' AND w.key < ?::text || '%'
    UNION
    SELECT w.id, l.workflow_id, l.step_name, false
    FROM up
    CROSS JOIN LATERAL (
        SELECT r.id, r.parent_execution_log_id FROM chrono_forge_workflows AS r
        WHERE r.id = up.run LIMIT 1
    ) AS w
    CROSS JOIN LATERAL (
        SELECT o.workflow_id, o.step_name FROM chrono_forge_execution_logs AS o
        WHERE o.id = w.parent_execution_log_id LIMIT 1
    ) AS l
    WHERE up.run > ?
)
SELECT up.child, w.lock_epoch, up.run, up.branch, up.is_first
FROM up
CROSS JOIN LATERAL (
    SELECT r.lock_epoch FROM chrono_forge_workflows AS r WHERE r.id = up.child LIMIT 1
) AS w"
        )
    };
}

pub(super) const BLOCKED_LINKS: &str = links!(
    "(
        SELECT b.workflow_id FROM chrono_forge_blocked AS b
        WHERE b.workflow_id > ? AND b.workflow_id <= ?
    )"
);

pub(super) const DUE_LINKS: &str = links!(
    "(
        SELECT n.id FROM chrono_forge_workflows AS n
        WHERE n.queue = ? AND n.priority = ?::smallint AND n.workflow = ? AND n.wake_at <= ?
        ORDER BY n.wake_at LIMIT ?
    )"
);

/// Whoever is idle without an instant waits for joins and gates alone: polls, waits and repeats have one.
pub(super) const JOINS: &str = "
SELECT w.id, w.lock_epoch, l.step_name, l.metadata
FROM unnest(?) AS v (id)
CROSS JOIN LATERAL (
    SELECT r.id, r.lock_epoch, r.state, r.wake_at FROM chrono_forge_workflows AS r
    WHERE r.id = v.id LIMIT 1
) AS w
CROSS JOIN LATERAL (
    SELECT count(*) FROM chrono_forge_execution_logs AS g
    WHERE g.workflow_id = w.id AND g.step_name >= 'continue_if$' AND g.step_name < 'continue_if%'
        AND g.state = 0
) AS gates (open)
CROSS JOIN LATERAL (
    SELECT o.step_name, o.metadata FROM chrono_forge_execution_logs AS o
    WHERE o.workflow_id = w.id AND o.step_name >= 'merge$' AND o.step_name < 'merge%' AND o.state = 0
    LIMIT 1000
) AS l
WHERE w.state = 0 AND w.wake_at IS NULL AND gates.open = 0";

/// For the tests of query plans.
#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[BLOCKED_LINKS, DUE_LINKS, JOINS];

fn links(conn: &mut PgConnection, sql: &'static str, binds: &[Bind<'_>]) -> QueryResult<Vec<Link>> {
    type Columns = (BigInt, BigInt, BigInt, Text, Bool);
    let rows: Vec<(i64, i64, i64, String, bool)> = Stmt::<Columns>::new(sql, binds).load(conn)?;
    let link = |(child, epoch, run, branch, is_first)| Link {
        child: RunId(child),
        epoch: Epoch(epoch),
        run: RunId(run),
        branch,
        is_first,
    };
    Ok(rows.into_iter().map(link).collect())
}

fn blocked_links(
    conn: &mut PgConnection,
    run: &RunRow,
    after: RunId,
) -> QueryResult<Option<(Vec<Link>, RunId)>> {
    let binds = [after.0.into(), PAGE_ROWS.into()];
    let ends: Vec<(Option<i64>,)> =
        Stmt::<(Nullable<BigInt>,)>::new(PAGE_END, &binds).load(conn)?;
    let Some((Some(end),)) = ends.first().copied() else {
        return Ok(None);
    };
    let (id, key) = (|| run.id.0.into(), || (&run.key).into());
    let binds = [after.0.into(), end.into(), id(), key(), key(), id()];
    Ok(Some((links(conn, BLOCKED_LINKS, &binds)?, RunId(end))))
}

fn due_links(conn: &mut PgConnection, run: &RunRow, range: Range<'_>) -> QueryResult<Vec<Link>> {
    let (id, key) = (|| run.id.0.into(), || (&run.key).into());
    let binds = [
        range.queue.into(),
        i64::from(range.level.0).into(),
        range.workflow.into(),
        range.now.into(),
        DUE_MAX.into(),
        id(),
        key(),
        key(),
        id(),
    ];
    links(conn, DUE_LINKS, &binds)
}

fn joins(conn: &mut PgConnection, runs: &[RunId]) -> QueryResult<Vec<JoinRow>> {
    type Columns = (BigInt, BigInt, Text, Nullable<Text>);
    let binds = [ints(runs.iter().map(|run| run.0))];
    let rows: Vec<(i64, i64, String, Option<String>)> =
        Stmt::<Columns>::new(JOINS, &binds).load(conn)?;
    let join = |(run, epoch, step_name, metadata)| JoinRow {
        run: RunId(run),
        epoch: Epoch(epoch),
        step_name,
        metadata,
    };
    Ok(rows.into_iter().map(join).collect())
}

impl Looks for PostgresStore {
    fn blocked_links(&self, run: &RunRow, after: RunId) -> StoreResult<Option<(Vec<Link>, RunId)>> {
        self.read("standstill", |conn| blocked_links(conn, run, after))
    }

    fn due_links(&self, run: &RunRow, range: Range<'_>) -> StoreResult<Vec<Link>> {
        self.read("standstill", |conn| due_links(conn, run, range))
    }

    fn joins(&self, runs: &[RunId]) -> StoreResult<Vec<JoinRow>> {
        self.read("standstill", |conn| joins(conn, runs))
    }

    fn blocked_run(&self, run: RunId) -> StoreResult<Option<BlockedChild>> {
        self.read("standstill", |conn| records::blocked_run(conn, run))
    }
}
