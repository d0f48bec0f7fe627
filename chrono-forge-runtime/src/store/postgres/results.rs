//! Reading results of children, in pages.
//!
//! Completed runs do not change any more, so pages that are read in transactions of their own agree.

use diesel::data_types::PgTimestamp;
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text, Timestamptz};

use super::bind::{Bind, ints};
use super::statement::Stmt;
use crate::record::{OutputRow, RunId, SpawnPath};
use crate::store::shared::completions::{Completion, PAGE_BYTES};

pub(super) use crate::store::shared::completions::completion_order;

/// The completed children `w` of a spawn, behind one child and up to another: a range of the index of parents, read in its order. Said
/// as a range and not as one value of the branch: that a planner would gladly find along the primary key, through
/// the children of everybody else. Their keys are its own, or its own and `$` and an index; `%` follows `$`.
macro_rules! of_spawn {
    () => {
        of_spawn!("")
    };
    ($join:literal) => {
        concat!(
            "
FROM chrono_forge_workflows AS w",
            $join,
            "
WHERE (w.parent_execution_log_id, w.id) > (
        (
            SELECT l.id FROM chrono_forge_execution_logs AS l
            WHERE l.workflow_id = ? AND l.step_name = ?
        ), ?
    )
    AND (w.parent_execution_log_id, w.id) <= (
        (
            SELECT l.id FROM chrono_forge_execution_logs AS l
            WHERE l.workflow_id = ? AND l.step_name = ?
        ), ?
    )
    AND w.parent_execution_log_id IS NOT NULL AND w.state = 2
    AND (w.key = ?::text OR (w.key >= ?::text || '$' AND w.key < ?::text || '%'))"
        )
    };
}
pub(super) use of_spawn;

/// The rows of a page, up to the one that fills it. The server adds the lengths up, since it would send all
/// that it selects; a length is known without loading the value.
macro_rules! outputs {
    ($order:literal, $page:expr) => {
        concat!(
            "
SELECT p.id, p.key, p.output
FROM (
    SELECT r.*, sum(octet_length(r.output)) OVER (ORDER BY r.",
            $order,
            " ROWS UNBOUNDED PRECEDING) - octet_length(r.output) AS behind
    FROM (",
            $page,
            "
    ) AS r
) AS p
WHERE p.behind < ?
ORDER BY p.",
            $order
        )
    };
}

pub(super) const OUTPUTS: &str = outputs!(
    "id",
    concat!(
        "
SELECT w.id, w.key, coalesce(w.output, 'null') AS output",
        of_spawn!(),
        "
ORDER BY w.parent_execution_log_id, w.id
LIMIT ?"
    )
);

/// `completed_at` stands before the payloads, so large results are not loaded.
pub(super) const COMPLETED: &str = concat!(
    "
SELECT w.id, w.completed_at",
    of_spawn!(),
    "
ORDER BY w.parent_execution_log_id, w.id
LIMIT ?"
);

pub(super) const OF_RUNS: &str = outputs!(
    "nth",
    "
SELECT j.nth, w.id, w.key, coalesce(w.output, 'null') AS output
FROM unnest(?) WITH ORDINALITY AS j (id, nth)
JOIN chrono_forge_workflows AS w ON w.id = j.id
WHERE w.state = 2"
);

/// For the tests of query plans.
#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[OUTPUTS, COMPLETED, OF_RUNS];

/// No child is behind this one.
pub(super) const LAST: RunId = RunId(i64::MAX);

/// The values of [`of_spawn`].
pub(super) fn spawn_binds(spawn: &SpawnPath, after: RunId, through: RunId) -> Vec<Bind<'_>> {
    let key = || Bind::Text(&spawn.key);
    vec![
        spawn.run.0.into(),
        (&spawn.branch).into(),
        after.0.into(),
        spawn.run.0.into(),
        (&spawn.branch).into(),
        through.0.into(),
        key(),
        key(),
        key(),
    ]
}

/// Outputs in order of dispatch; see [`Store::outputs`](crate::store::Store::outputs).
pub(super) fn outputs(
    conn: &mut PgConnection,
    spawn: &SpawnPath,
    after: RunId,
    limit: u32,
) -> QueryResult<Vec<OutputRow>> {
    let mut binds = spawn_binds(spawn, after, LAST);
    binds.extend([limit.into(), page_bytes()]);
    load(conn, OUTPUTS, &binds)
}

/// Outputs of these runs; see [`Store::outputs_of`](crate::store::Store::outputs_of).
pub(super) fn outputs_of(conn: &mut PgConnection, runs: &[RunId]) -> QueryResult<Vec<OutputRow>> {
    let ids = ints(runs.iter().map(|run| run.0));
    let mut rows = load(conn, OF_RUNS, &[ids, page_bytes()])?;
    // One that is not completed is left out by the statement, so the one behind it stands in its place.
    let expected = rows
        .iter()
        .zip(runs)
        .take_while(|(row, run)| row.0 == **run);
    let expected = expected.count();
    rows.truncate(expected);
    Ok(rows)
}

fn page_bytes<'a>() -> Bind<'a> {
    Bind::Int(PAGE_BYTES as i64)
}

fn load(
    conn: &mut PgConnection,
    sql: &'static str,
    binds: &[Bind<'_>],
) -> QueryResult<Vec<OutputRow>> {
    let rows: Vec<(i64, String, String)> =
        Stmt::<(BigInt, Text, Text)>::new(sql, binds).load(conn)?;
    let output = |(id, key, output): (i64, String, String)| (RunId(id), key, output.into());
    Ok(rows.into_iter().map(output).collect())
}

/// A page of completions in order of dispatch.
pub(super) fn completions(
    conn: &mut PgConnection,
    spawn: &SpawnPath,
    after: RunId,
    limit: u32,
) -> QueryResult<Vec<Completion>> {
    let mut binds = spawn_binds(spawn, after, LAST);
    binds.push(limit.into());
    let rows: Vec<(i64, Option<PgTimestamp>)> =
        Stmt::<(BigInt, Nullable<Timestamptz>)>::new(COMPLETED, &binds).load(conn)?;
    let completion =
        |(id, at): (i64, Option<PgTimestamp>)| (at.map_or(i64::MAX, |at| at.0), RunId(id));
    Ok(rows.into_iter().map(completion).collect())
}
