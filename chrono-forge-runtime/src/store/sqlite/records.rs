//! Reading records: what a pass replays.

mod blocked;
mod descendants;
mod existing;
mod pending;
mod repeats;

use diesel::connection::DefaultLoadingMode;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text};

use super::bind::{Bind, instant, name_list};
use super::runs::count;
use super::statement::Stmt;
use crate::record::{BranchRow, Json, RecordId, RecordRow, RecordState, RunId};
use crate::store::shared::codes::record_state;

pub(super) use crate::store::shared::blocked::blocked_descendants;
#[cfg(test)]
pub(super) use blocked::BLOCKED_CHILDREN;
pub(super) use blocked::{blocked_children, blocked_run, branches_of};
#[cfg(test)]
pub(super) use descendants::BELOW;
pub(super) use descendants::{PAGE_END, blocked_below};
#[cfg(test)]
pub(super) use existing::EXISTING_CHILDREN;
pub(super) use existing::existing_children;
#[cfg(test)]
pub(super) use pending::PENDING;
pub(super) use pending::pending;
pub(super) use repeats::names as repeat_names;

/// For the tests of query plans.
#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[
    HISTORY,
    NAMED,
    BRANCHES,
    PENDING,
    BLOCKED_CHILDREN,
    blocked::BLOCKED_RUN,
    blocked::BRANCHES_OF,
    descendants::PAGE_END,
    BELOW,
    EXISTING_CHILDREN,
    pending::NAMED,
    pending::BODY_OF,
    repeats::NEXT,
];

/// `octet_length` reads the row's header only, so a large result that is left out is not loaded.
macro_rules! record {
    () => {
        "
SELECT l.id, l.step_name, l.seq, l.state, l.attempts,
    CASE WHEN octet_length(l.result) <= ? THEN l.result END, ifnull(octet_length(l.result), 0),
    l.metadata, l.context_delta, l.error_class, l.error_message, l.started_at, l.wake_at
FROM "
    };
}

/// Two ranges of the index that leave out what repeats have written; their own rows are read by name.
pub(super) const HISTORY: &str = concat!(
    record!(),
    "chrono_forge_execution_logs AS l WHERE l.workflow_id = ? AND l.step_name < 'repeat$'
UNION ALL",
    record!(),
    "chrono_forge_execution_logs AS l WHERE l.workflow_id = ? AND l.step_name >= 'repeat%'"
);

pub(super) const NAMED: &str = concat!(
    record!(),
    "json_each(?) AS j
CROSS JOIN chrono_forge_execution_logs AS l ON l.workflow_id = ? AND l.step_name = j.value"
);

pub(super) const BRANCHES: &str = "
SELECT l.id, l.step_name, l.state, l.spawned, l.pending
FROM json_each(?) AS j
CROSS JOIN chrono_forge_execution_logs AS l ON l.workflow_id = ? AND l.step_name = j.value";

type Columns = (
    (BigInt, Text, Nullable<BigInt>, BigInt, BigInt),
    (Nullable<Text>, BigInt, Nullable<Text>, Nullable<Text>),
    (
        Nullable<Text>,
        Nullable<Text>,
        Nullable<BigInt>,
        Nullable<BigInt>,
    ),
);

type Row = (
    (i64, String, Option<i64>, i64, i64),
    (Option<String>, i64, Option<String>, Option<String>),
    (Option<String>, Option<String>, Option<i64>, Option<i64>),
);

/// Records of a run.
pub(super) fn history(
    conn: &mut SqliteConnection,
    run: RunId,
    result_bytes_max: u64,
) -> QueryResult<Vec<RecordRow>> {
    let most = i64::try_from(result_bytes_max).unwrap_or(i64::MAX);
    let binds = [most.into(), run.0.into(), most.into(), run.0.into()];
    let mut records = Vec::new();
    load(conn, HISTORY, &binds, &mut records)?;
    let repeats = repeats::names(conn, run)?;
    if !repeats.is_empty() {
        let binds = [most.into(), name_list(&repeats).into(), run.0.into()];
        load(conn, NAMED, &binds, &mut records)?;
    }
    Ok(records)
}

/// One row after the other: there may be many, and each is a few hundred bytes.
fn load(
    conn: &mut SqliteConnection,
    sql: &'static str,
    binds: &[Bind<'_>],
    records: &mut Vec<RecordRow>,
) -> QueryResult<()> {
    let statement = Stmt::<Columns>::new(sql, binds);
    for row in statement.load_iter::<Row, DefaultLoadingMode>(conn)? {
        records.push(record_row(row?)?);
    }
    Ok(())
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
        result_bytes: u64::try_from(result_bytes).unwrap_or(0),
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
    conn: &mut SqliteConnection,
    run: RunId,
    record: RecordId,
) -> QueryResult<Option<Json>> {
    let sql = "SELECT result FROM chrono_forge_execution_logs WHERE id = ? AND +workflow_id = ?";
    let rows: Vec<(Option<String>,)> =
        Stmt::<(Nullable<Text>,)>::new(sql, &[record.0.into(), run.0.into()]).load(conn)?;
    Ok(rows
        .into_iter()
        .next()
        .and_then(|(result,)| result)
        .map(Into::into))
}

/// The branch rows of these step names.
pub(super) fn branches(
    conn: &mut SqliteConnection,
    run: RunId,
    step_names: &[String],
) -> QueryResult<Vec<BranchRow>> {
    let binds = [name_list(step_names).into(), run.0.into()];
    type Columns = (BigInt, Text, BigInt, BigInt, BigInt);
    let rows: Vec<(i64, String, i64, i64, i64)> =
        Stmt::<Columns>::new(BRANCHES, &binds).load(conn)?;
    let branch = |(id, step_name, code, spawned, pending)| {
        Ok(BranchRow {
            id: RecordId(id),
            step_name,
            sealed: record_state(code)? == RecordState::Completed,
            spawned: u64::try_from(spawned).unwrap_or(0),
            pending: u64::try_from(pending).unwrap_or(0),
        })
    };
    rows.into_iter().map(branch).collect()
}
