//! Reading runs: the row as operators and waiting callers see it.

use diesel::data_types::PgTimestamp;
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Nullable, SmallInt, Text, Timestamptz};

use super::bind::{Bind, due_of, instant, ints};
use super::statement::Stmt;
use crate::record::{Epoch, Json, RecordId, RunId, RunRow};
pub(super) use crate::store::shared::codes::{count, level, run_state as state};
use crate::store::shared::context::of_rows;
use crate::store::{AwaitedRow, Found};

/// The newest error of the run `w` as `e`. The sum keeps the planner from walking the primary key from its end
/// until it meets a row of this run.
macro_rules! newest_error {
    ($on:literal) => {
        concat!(
            "
LEFT JOIN LATERAL (
    SELECT n.error_class, n.error_message FROM chrono_forge_error_logs AS n
    WHERE n.workflow_id = w.id ORDER BY n.id + 0 DESC LIMIT 1
) AS e ON ",
            $on
        )
    };
}
pub(super) use newest_error;

macro_rules! select_run {
    ($filter:literal) => {
        concat!(
            "
SELECT w.id, w.key, w.workflow, w.queue, w.priority, w.args, w.output,
    w.options, w.state, w.wake_at, w.wake_requested, w.locked_by, w.lock_epoch,
    w.attempts, w.retry_counts, w.crashes, w.stalled_by, w.parent_execution_log_id,
    w.created_at, w.started_at, w.completed_at, e.error_class, e.error_message
FROM chrono_forge_workflows AS w",
            newest_error!("w.state IN (3, 4)"),
            "
WHERE ",
            $filter
        )
    };
}

pub(super) const BY_ID: &str = select_run!("w.id = ?");

/// For the tests of query plans.
#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[BY_ID, CONTEXT, AWAITED, ANY_BLOCKED];

type Columns = (
    (BigInt, Text, Text, Text, SmallInt),
    (Text, Nullable<Text>, Text, SmallInt),
    (Nullable<Timestamptz>, Bool, Nullable<BigInt>, BigInt),
    (BigInt, Text, BigInt, Nullable<Text>, Nullable<BigInt>),
    (
        Timestamptz,
        Nullable<Timestamptz>,
        Nullable<Timestamptz>,
        Nullable<Text>,
        Nullable<Text>,
    ),
);

type Row = (
    (i64, String, String, String, i16),
    (String, Option<String>, String, i16),
    (Option<PgTimestamp>, bool, Option<i64>, i64),
    (i64, String, i64, Option<String>, Option<i64>),
    (
        PgTimestamp,
        Option<PgTimestamp>,
        Option<PgTimestamp>,
        Option<String>,
        Option<String>,
    ),
);

/// What a statement that answers id, epoch and state found.
pub(super) fn place((id, epoch, code): (i64, i64, i16)) -> QueryResult<Found> {
    Ok(Found {
        run: RunId(id),
        epoch: Epoch(epoch),
        state: state(code)?,
    })
}

/// The run with this id.
pub(super) fn get(conn: &mut PgConnection, run: RunId) -> QueryResult<Option<RunRow>> {
    load(conn, BY_ID, &[run.0.into()])
}

fn load(
    conn: &mut PgConnection,
    sql: &'static str,
    binds: &[Bind<'_>],
) -> QueryResult<Option<RunRow>> {
    let rows: Vec<Row> = Stmt::<Columns>::new(sql, binds).load(conn)?;
    rows.into_iter().next().map(run_row).transpose()
}

fn run_row(row: Row) -> QueryResult<RunRow> {
    let (id, key, workflow, queue, priority) = row.0;
    let (args, output, options, code) = row.1;
    let (wake_at, wake_requested, locked_by, epoch) = row.2;
    let (attempts, retry_counts, crashes, stalled_by, parent) = row.3;
    let (created_at, started_at, completed_at, class, message) = row.4;
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
        wake_at: wake_at.map(due_of),
        wake_requested,
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

pub(super) const AWAITED: &str = "
SELECT w.id, w.key, w.workflow, w.queue, w.state, w.wake_at
FROM unnest(?) AS v (id)
CROSS JOIN LATERAL (
    SELECT r.id, r.key, r.workflow, r.queue, r.state, r.wake_at FROM chrono_forge_workflows AS r
    WHERE r.id = v.id LIMIT 1
) AS w";

/// How these runs are; see [`Store::awaited`](crate::store::Store::awaited).
pub(super) fn awaited(conn: &mut PgConnection, runs: &[RunId]) -> QueryResult<Vec<AwaitedRow>> {
    type Columns = (BigInt, Text, Text, Text, SmallInt, Nullable<Timestamptz>);
    type Row = (i64, String, String, String, i16, Option<PgTimestamp>);
    let ids = ints(runs.iter().map(|run| run.0));
    let rows: Vec<Row> = Stmt::<Columns>::new(AWAITED, &[ids]).load(conn)?;
    let row = |(id, key, workflow, queue, code, wake_at): Row| {
        Ok(AwaitedRow {
            id: RunId(id),
            key,
            workflow,
            queue,
            state: state(code)?,
            wake_at: wake_at.map(due_of),
        })
    };
    rows.into_iter().map(row).collect()
}

/// The largest is found without a walk.
pub(super) const ANY_BLOCKED: &str =
    "SELECT max(b.workflow_id) IS NOT NULL FROM chrono_forge_blocked AS b";

/// Whether any run is blocked.
pub(super) fn any_blocked(conn: &mut PgConnection) -> QueryResult<bool> {
    let rows: Vec<(bool,)> = Stmt::<(Bool,)>::new(ANY_BLOCKED, &[]).load(conn)?;
    Ok(rows == [(true,)])
}

pub(super) const CONTEXT: &str = "
SELECT w.context, c.key, c.value
FROM chrono_forge_workflows AS w
LEFT JOIN chrono_forge_context AS c ON c.workflow_id = w.id
WHERE w.id = ?";

/// The context of this run; see [`Store::context`](crate::store::Store::context).
pub(super) fn context(conn: &mut PgConnection, run: RunId) -> QueryResult<Option<Json>> {
    type Columns = (Text, Nullable<Text>, Nullable<Text>);
    let rows = Stmt::<Columns>::new(CONTEXT, &[run.0.into()]).load(conn)?;
    of_rows(rows)
}
