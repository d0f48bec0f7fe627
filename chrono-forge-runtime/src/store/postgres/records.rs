//! Reading records: what a pass replays.

mod blocked;
mod descendants;
mod existing;
mod pending;
mod repeats;

use diesel::connection::DefaultLoadingMode;
use diesel::data_types::PgTimestamp;
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Integer, Nullable, SmallInt, Text, Timestamptz};

use super::bind::{instant, names};
use super::runs::count;
use super::statement::Stmt;
use crate::record::{BranchRow, Json, RecordId, RecordRow, RecordState, RunId};
use crate::store::shared::codes::{record_state, unsigned};

pub(super) use crate::store::shared::blocked::blocked_descendants;
pub(super) use blocked::{blocked_children, blocked_run, branches_of};
pub(super) use descendants::{PAGE_END, blocked_below};
pub(super) use existing::existing_children;
pub(super) use pending::pending;
pub(super) use repeats::repeat_rows;

/// For the tests of query plans.
#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[
    HISTORY,
    RESULT,
    BRANCHES,
    blocked::BLOCKED_CHILDREN,
    blocked::BLOCKED_RUN,
    blocked::BRANCHES_OF,
    descendants::PAGE_END,
    descendants::BELOW,
    existing::EXISTING_CHILDREN,
    pending::PENDING,
    pending::NAMED,
    pending::BODY_OF,
];

/// `octet_length` reads the head of a large value only, so one that is left out is not loaded.
macro_rules! record {
    ($from:expr) => {
        concat!(
            "
SELECT l.id, l.step_name, l.seq, l.state, l.attempts,
    CASE WHEN octet_length(l.result) <= ? THEN l.result END, coalesce(octet_length(l.result), 0),
    l.metadata, l.context_delta, l.error_class, l.error_message, l.started_at, l.wake_at
FROM ",
            $from
        )
    };
}

/// Two ranges of the index that leave out what repeats have written, and their own rows by name: one round
/// trip, since every claimed run begins with it.
pub(super) const HISTORY: &str = concat!(
    repeat_rows!("(VALUES (?::bigint))"),
    record!("chrono_forge_execution_logs AS l WHERE l.workflow_id = ? AND l.step_name < 'repeat$'"),
    "
UNION ALL",
    record!(
        "chrono_forge_execution_logs AS l WHERE l.workflow_id = ? AND l.step_name >= 'repeat%'"
    ),
    "
UNION ALL",
    record!("repeat_rows AS l")
);

pub(super) const RESULT: &str = "
SELECT result FROM chrono_forge_execution_logs WHERE id = ? AND workflow_id + 0 = ?";

/// Here and where else names are looked up in one run: without the limit a planner that expects few records of a
/// run reads all of them once and compares the names.
pub(super) const BRANCHES: &str = "
SELECT l.id, l.step_name, l.state, l.spawned, l.pending
FROM unnest(?) AS j (step_name)
CROSS JOIN LATERAL (
    SELECT * FROM chrono_forge_execution_logs AS o
    WHERE o.workflow_id = ? AND o.step_name = j.step_name LIMIT 1
) AS l";

type Columns = (
    (BigInt, Text, Nullable<BigInt>, SmallInt, BigInt),
    (Nullable<Text>, Integer, Nullable<Text>, Nullable<Text>),
    (
        Nullable<Text>,
        Nullable<Text>,
        Nullable<Timestamptz>,
        Nullable<Timestamptz>,
    ),
);

type Row = (
    (i64, String, Option<i64>, i16, i64),
    (Option<String>, i32, Option<String>, Option<String>),
    (
        Option<String>,
        Option<String>,
        Option<PgTimestamp>,
        Option<PgTimestamp>,
    ),
);

/// Records of a run.
pub(super) fn history(
    conn: &mut PgConnection,
    run: RunId,
    result_bytes_max: u64,
) -> QueryResult<Vec<RecordRow>> {
    let most = || i64::try_from(result_bytes_max).unwrap_or(i64::MAX).into();
    let run = || run.0.into();
    let binds = [run(), most(), run(), most(), run(), most()];
    let statement = Stmt::<Columns>::new(HISTORY, &binds);
    let mut records = Vec::new();
    // One row after the other: there may be many, and each is a few hundred bytes.
    for row in statement.load_iter::<Row, DefaultLoadingMode>(conn)? {
        records.push(record_row(row?)?);
    }
    Ok(records)
}

fn record_row(row: Row) -> QueryResult<RecordRow> {
    let (id, step_name, seq, code, attempts) = row.0;
    let (result, result_bytes, metadata, context_delta) = row.1;
    let (error_class, error_message, started_at, wake_at) = row.2;
    Ok(RecordRow {
        id: RecordId(id),
        step_name,
        seq,
        state: record_state(code)?,
        attempts: count(attempts),
        result: result.map(Into::into),
        result_bytes: unsigned(result_bytes.into()),
        metadata: metadata.map(Into::into),
        context_delta: context_delta.map(Into::into),
        error_class,
        error_message,
        started_at: started_at.map(instant),
        wake_at: wake_at.map(instant),
    })
}

/// The stored value of one record.
pub(super) fn result(
    conn: &mut PgConnection,
    run: RunId,
    record: RecordId,
) -> QueryResult<Option<Json>> {
    let rows: Vec<(Option<String>,)> =
        Stmt::<(Nullable<Text>,)>::new(RESULT, &[record.0.into(), run.0.into()]).load(conn)?;
    let result = rows.into_iter().next().and_then(|(result,)| result);
    Ok(result.map(Into::into))
}

/// The branch rows of these step names.
pub(super) fn branches(
    conn: &mut PgConnection,
    run: RunId,
    step_names: &[String],
) -> QueryResult<Vec<BranchRow>> {
    type Columns = (BigInt, Text, SmallInt, BigInt, BigInt);
    let binds = [names(step_names), run.0.into()];
    let rows: Vec<(i64, String, i16, i64, i64)> =
        Stmt::<Columns>::new(BRANCHES, &binds).load(conn)?;
    let branch = |(id, step_name, code, spawned, pending)| {
        Ok(BranchRow {
            id: RecordId(id),
            step_name,
            sealed: record_state::<i16>(code)? == RecordState::Completed,
            spawned: unsigned(spawned),
            pending: unsigned(pending),
        })
    };
    rows.into_iter().map(branch).collect()
}
