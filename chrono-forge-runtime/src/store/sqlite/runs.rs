//! Reading runs: the row as operators and waiting callers see it.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text};

use super::bind::{Bind, id_list, instant};
use super::statement::Stmt;
use crate::record::{Due, Epoch, Json, RecordId, RunId, RunRow};
use crate::store::AwaitedRow;
pub(super) use crate::store::shared::codes::{count, level, run_state as state};
use crate::store::shared::context::of_rows;

macro_rules! select_run {
    ($filter:literal) => {
        concat!(
            "SELECT w.id, w.key, w.workflow, w.queue, w.priority, w.args, w.output,
                w.options, w.state, w.wake_at, w.wake_requested, w.locked_by, w.lock_epoch,
                w.attempts, w.retry_counts, w.crashes, w.stalled_by, w.parent_execution_log_id,
                w.created_at, w.started_at, w.completed_at, e.error_class, e.error_message
            FROM chrono_forge_workflows AS w
            LEFT JOIN chrono_forge_error_logs AS e ON w.state IN (3, 4) AND e.id = (
                SELECT max(id) FROM chrono_forge_error_logs WHERE workflow_id = w.id
            )
            WHERE ",
            $filter
        )
    };
}

pub(super) const BY_ID: &str = select_run!("w.id = ?");

type Columns = (
    (BigInt, Text, Text, Text, BigInt, Text, Nullable<Text>),
    (
        Text,
        BigInt,
        Nullable<BigInt>,
        BigInt,
        Nullable<BigInt>,
        BigInt,
    ),
    (BigInt, Text, BigInt, Nullable<Text>, Nullable<BigInt>),
    (
        BigInt,
        Nullable<BigInt>,
        Nullable<BigInt>,
        Nullable<Text>,
        Nullable<Text>,
    ),
);

type Row = (
    (i64, String, String, String, i64, String, Option<String>),
    (String, i64, Option<i64>, i64, Option<i64>, i64),
    (i64, String, i64, Option<String>, Option<i64>),
    (
        i64,
        Option<i64>,
        Option<i64>,
        Option<String>,
        Option<String>,
    ),
);

/// Settled is whatever is neither idle nor running.
pub(super) const SETTLED_OF: &str = "SELECT w.id FROM json_each(?) AS run
CROSS JOIN chrono_forge_workflows AS w ON w.id = run.value
WHERE +w.state NOT IN (0, 1)";

/// Those of these runs that have settled.
pub(super) fn settled_of(conn: &mut SqliteConnection, runs: &[RunId]) -> QueryResult<Vec<RunId>> {
    let ids = id_list(runs.iter().map(|run| run.0));
    let rows: Vec<(i64,)> = Stmt::<(BigInt,)>::new(SETTLED_OF, &[ids.into()]).load(conn)?;
    Ok(rows.into_iter().map(|(id,)| RunId(id)).collect())
}

pub(super) const AWAITED: &str =
    "SELECT w.id, w.key, w.workflow, w.queue, w.state, w.wake_at FROM json_each(?) AS run
CROSS JOIN chrono_forge_workflows AS w ON w.id = run.value";

/// How these runs are; see [`Store::awaited`](crate::store::Store::awaited).
pub(super) fn awaited(conn: &mut SqliteConnection, runs: &[RunId]) -> QueryResult<Vec<AwaitedRow>> {
    type Columns = (BigInt, Text, Text, Text, BigInt, Nullable<BigInt>);
    type Row = (i64, String, String, String, i64, Option<i64>);
    let ids = id_list(runs.iter().map(|run| run.0));
    let rows: Vec<Row> = Stmt::<Columns>::new(AWAITED, &[ids.into()]).load(conn)?;
    let row = |(id, key, workflow, queue, code, wake_at): Row| {
        Ok(AwaitedRow {
            id: RunId(id),
            key,
            workflow,
            queue,
            state: state(code)?,
            wake_at: wake_at.map(Due::of_micros),
        })
    };
    rows.into_iter().map(row).collect()
}

/// The largest is found without a walk.
pub(super) const ANY_BLOCKED: &str =
    "SELECT max(b.workflow_id) IS NOT NULL FROM chrono_forge_blocked AS b";

/// Whether any run is blocked.
pub(super) fn any_blocked(conn: &mut SqliteConnection) -> QueryResult<bool> {
    let rows: Vec<(i64,)> = Stmt::<(BigInt,)>::new(ANY_BLOCKED, &[]).load(conn)?;
    Ok(rows == [(1,)])
}

/// The run with this id.
pub(super) fn get(conn: &mut SqliteConnection, run: RunId) -> QueryResult<Option<RunRow>> {
    load(conn, BY_ID, &[run.0.into()])
}

fn load(
    conn: &mut SqliteConnection,
    sql: &'static str,
    binds: &[Bind<'_>],
) -> QueryResult<Option<RunRow>> {
    let rows: Vec<Row> = Stmt::<Columns>::new(sql, binds).load(conn)?;
    rows.into_iter().next().map(run_row).transpose()
}

fn run_row(row: Row) -> QueryResult<RunRow> {
    let (id, key, workflow, queue, priority, args, output) = row.0;
    let (options, code, wake_at, wake_requested, locked_by, epoch) = row.1;
    let (attempts, retry_counts, crashes, stalled_by, parent) = row.2;
    let (created_at, started_at, completed_at, class, message) = row.3;
    Ok(RunRow {
        id: RunId(id),
        key,
        workflow,
        queue,
        level: level(priority),
        args: args.into(),
        output: output.map(Into::into),
        options: options.into(),
        state: state(code)?,
        wake_at: wake_at.map(Due::of_micros),
        wake_requested: wake_requested != 0,
        locked_by,
        epoch: Epoch(epoch),
        attempts: count(attempts),
        retry_counts: retry_counts.into(),
        crashes: count(crashes),
        stalled_by,
        parent: parent.map(RecordId),
        created_at: instant(created_at),
        started_at: started_at.map(instant),
        completed_at: completed_at.map(instant),
        last_error: class.zip(message),
    })
}

pub(super) const CONTEXT: &str = "
SELECT w.context, c.key, c.value
FROM chrono_forge_workflows AS w
LEFT JOIN chrono_forge_context AS c ON c.workflow_id = w.id
WHERE w.id = ?";

/// The context of this run; see [`Store::context`](crate::store::Store::context).
pub(super) fn context(conn: &mut SqliteConnection, run: RunId) -> QueryResult<Option<Json>> {
    type Columns = (Text, Nullable<Text>, Nullable<Text>);
    let rows = Stmt::<Columns>::new(CONTEXT, &[run.0.into()]).load(conn)?;
    of_rows(rows)
}
