//! What a run stands still at, as [`shared::standstill`](crate::store::shared::standstill) asks it.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text};

use super::SqliteStore;
use super::bind::Bind;
use super::records::{self, PAGE_END};
use super::statement::{Batch, Stmt};
use crate::record::{BlockedChild, Epoch, RunId, RunRow};
use crate::store::StoreResult;
use crate::store::shared::blocked::PAGE_ROWS;
use crate::store::shared::standstill::{DUE_MAX, JoinRow, Link, Looks, Range};

/// The way up from where `$first` says, each step of it once. Parents are older than their children, so a way up
/// that has passed the run is over.
macro_rules! links {
    ($first:literal) => {
        concat!(
            "
WITH RECURSIVE up (child, run, branch, is_first) AS (
    SELECT w.id, l.workflow_id, l.step_name, 1
    FROM ",
            $first,
            "
    CROSS JOIN chrono_forge_execution_logs AS l ON l.id = w.parent_execution_log_id
    WHERE w.id > ? AND w.key > ? || '$' AND w.key < ? || '%'
    UNION
    SELECT w.id, l.workflow_id, l.step_name, 0
    FROM up
    CROSS JOIN chrono_forge_workflows AS w ON w.id = up.run
    CROSS JOIN chrono_forge_execution_logs AS l ON l.id = w.parent_execution_log_id
    WHERE up.run > ?
)
SELECT up.child, w.lock_epoch, up.run, up.branch, up.is_first
FROM up CROSS JOIN chrono_forge_workflows AS w ON w.id = up.child"
        )
    };
}

pub(super) const BLOCKED_LINKS: &str = links!(
    "(
        SELECT workflow_id FROM chrono_forge_blocked WHERE workflow_id > ? AND workflow_id <= ?
    ) AS b
    CROSS JOIN chrono_forge_workflows AS w ON w.id = b.workflow_id"
);

pub(super) const DUE_LINKS: &str = links!(
    "(
        SELECT n.id FROM chrono_forge_workflows AS n INDEXED BY chrono_forge_workflows_ready
        WHERE n.queue = ? AND n.priority = ? AND n.workflow = ? AND n.wake_at <= ?
        ORDER BY n.wake_at LIMIT ?
    ) AS due
    CROSS JOIN chrono_forge_workflows AS w ON w.id = due.id"
);

/// Whoever is idle without an instant waits for joins and gates alone: polls, waits and repeats have one.
pub(super) const JOINS: &str = "
SELECT w.id, w.lock_epoch, l.step_name, l.metadata
FROM (VALUES {(?)}) AS v
CROSS JOIN chrono_forge_workflows AS w ON w.id = v.column1
CROSS JOIN chrono_forge_execution_logs AS l
    ON l.workflow_id = w.id AND l.step_name >= 'merge$' AND l.step_name < 'merge%'
WHERE +w.state = 0 AND w.wake_at IS NULL AND +l.state = 0 AND NOT EXISTS (
    SELECT 1 FROM chrono_forge_execution_logs AS g
    WHERE g.workflow_id = w.id AND g.step_name >= 'continue_if$' AND g.step_name < 'continue_if%'
        AND +g.state = 0
)";

/// For the tests of query plans.
#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[BLOCKED_LINKS, DUE_LINKS, JOINS];

fn links(
    conn: &mut SqliteConnection,
    sql: &'static str,
    binds: &[Bind<'_>],
) -> QueryResult<Vec<Link>> {
    type Columns = (BigInt, BigInt, BigInt, Text, BigInt);
    let rows: Vec<(i64, i64, i64, String, i64)> = Stmt::<Columns>::new(sql, binds).load(conn)?;
    let link = |(child, epoch, run, branch, is_first)| Link {
        child: RunId(child),
        epoch: Epoch(epoch),
        run: RunId(run),
        branch,
        is_first: is_first != 0,
    };
    Ok(rows.into_iter().map(link).collect())
}

fn blocked_links(
    conn: &mut SqliteConnection,
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

fn due_links(
    conn: &mut SqliteConnection,
    run: &RunRow,
    range: Range<'_>,
) -> QueryResult<Vec<Link>> {
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

fn joins(conn: &mut SqliteConnection, runs: &[RunId]) -> QueryResult<Vec<JoinRow>> {
    type Columns = (BigInt, BigInt, Text, Nullable<Text>);
    let mut batch = Batch::with_capacity(JOINS, runs.len());
    for run in runs {
        batch.push([run.0.into()]);
    }
    let mut joins = Vec::new();
    for chunk in batch.chunks::<Columns>() {
        let rows: Vec<(i64, i64, String, Option<String>)> = chunk.load(conn)?;
        joins.extend(
            rows.into_iter()
                .map(|(run, epoch, step_name, metadata)| JoinRow {
                    run: RunId(run),
                    epoch: Epoch(epoch),
                    step_name,
                    metadata,
                }),
        );
    }
    Ok(joins)
}

impl Looks for SqliteStore {
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
