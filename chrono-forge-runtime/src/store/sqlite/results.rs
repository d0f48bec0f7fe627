//! Reading results of children, in pages.
//!
//! Completed runs do not change any more, so pages that are read in transactions of their own agree.

use diesel::connection::DefaultLoadingMode;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text};

use super::bind::{Bind, id_list};
use super::statement::Stmt;
use crate::record::{Json, OutputRow, RunId, SpawnPath};
use crate::store::shared::completions::{Completion, PAGE_BYTES};

pub(super) use crate::store::shared::completions::completion_order;

/// The completed children of a spawn, behind a child: a range of the index of parents. Their keys are
/// its own, or its own and `$` and an index; `%` follows `$`.
macro_rules! of_spawn {
    () => {
        of_spawn!("")
    };
    ($join:literal) => {
        concat!(
            "
FROM chrono_forge_execution_logs AS l
CROSS JOIN chrono_forge_workflows AS w INDEXED BY chrono_forge_workflows_parent
    ON w.parent_execution_log_id = l.id
",
            $join,
            "
WHERE l.workflow_id = ? AND l.step_name = ? AND w.id > ? AND +w.state = 2
    AND (w.key = ? OR (w.key >= ? || '$' AND w.key < ? || '%'))"
        )
    };
}
pub(super) use of_spawn;

pub(super) const OUTPUTS: &str = concat!(
    "
SELECT w.id, w.key, w.output",
    of_spawn!(),
    "
ORDER BY w.id
LIMIT ?"
);

/// `completed_at` stands before the payloads, so large results are not loaded.
pub(super) const COMPLETED: &str = concat!(
    "
SELECT w.id, w.completed_at",
    of_spawn!(),
    "
ORDER BY w.id
LIMIT ?"
);

pub(super) const OF_RUNS: &str = "
SELECT w.id, w.key, w.output
FROM json_each(?) AS j
CROSS JOIN chrono_forge_workflows AS w ON w.id = j.value
WHERE +w.state = 2";

/// For the tests of query plans.
#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[OUTPUTS, COMPLETED, OF_RUNS];

/// The values of [`of_spawn`].
pub(super) fn spawn_binds(spawn: &SpawnPath, after: RunId) -> [Bind<'_>; 6] {
    let key = || Bind::Text(&spawn.key);
    [
        spawn.run.0.into(),
        (&spawn.branch).into(),
        after.0.into(),
        key(),
        key(),
        key(),
    ]
}

/// Outputs in order of dispatch; see [`Store::outputs`](crate::store::Store::outputs).
pub(super) fn outputs(
    conn: &mut SqliteConnection,
    spawn: &SpawnPath,
    after: RunId,
    limit: u32,
) -> QueryResult<Vec<OutputRow>> {
    let [a, b, c, d, e, f] = spawn_binds(spawn, after);
    load(conn, OUTPUTS, &[a, b, c, d, e, f, limit.into()], |_, _| {
        true
    })
}

/// Outputs of these runs; see [`Store::outputs_of`](crate::store::Store::outputs_of).
pub(super) fn outputs_of(
    conn: &mut SqliteConnection,
    runs: &[RunId],
) -> QueryResult<Vec<OutputRow>> {
    let list = id_list(runs.iter().map(|run| run.0));
    // One that is not completed is left out by the statement, so the one behind it stands in its place.
    load(conn, OF_RUNS, &[list.into()], |nth, id| {
        runs.get(nth) == Some(&id)
    })
}

/// Rows until the page is full, or until one is not expected at its place.
fn load(
    conn: &mut SqliteConnection,
    sql: &'static str,
    binds: &[Bind<'_>],
    is_expected: impl Fn(usize, RunId) -> bool,
) -> QueryResult<Vec<OutputRow>> {
    type Row = (i64, String, Option<String>);
    let statement = Stmt::<(BigInt, Text, Nullable<Text>)>::new(sql, binds);
    let mut page = Vec::new();
    let mut bytes = 0;
    for row in statement.load_iter::<Row, DefaultLoadingMode>(conn)? {
        let (id, key, output) = row?;
        let id = RunId(id);
        if !is_expected(page.len(), id) {
            break;
        }
        let output: Json = output.unwrap_or_else(|| "null".to_owned()).into();
        bytes += output.len();
        page.push((id, key, output));
        if bytes >= PAGE_BYTES {
            break;
        }
    }
    Ok(page)
}

/// A page of completions in order of dispatch.
pub(super) fn completions(
    conn: &mut SqliteConnection,
    spawn: &SpawnPath,
    after: RunId,
    limit: u32,
) -> QueryResult<Vec<Completion>> {
    let [a, b, c, d, e, f] = spawn_binds(spawn, after);
    let binds = [a, b, c, d, e, f, limit.into()];
    let rows: Vec<(i64, Option<i64>)> =
        Stmt::<(BigInt, Nullable<BigInt>)>::new(COMPLETED, &binds).load(conn)?;
    let completion = |(id, at): (i64, Option<i64>)| (at.unwrap_or(i64::MAX), RunId(id));
    Ok(rows.into_iter().map(completion).collect())
}
