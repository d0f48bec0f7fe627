//! Reading records: what a pass replays.

mod blocked;
mod existing;
mod pending;
mod repeats;

use diesel::connection::DefaultLoadingMode;
use diesel::prelude::*;
use diesel::result::Error;
use diesel::sql_types::{BigInt, Nullable, Text};

use super::bind::{instant, name_list};
use super::runs::count;
use super::statement::Stmt;
use crate::record::{BranchRow, Json, RecordId, RecordRow, RecordState, RunId};

#[cfg(test)]
pub(super) use blocked::BLOCKED_CHILDREN;
pub(super) use blocked::blocked_children;
#[cfg(test)]
pub(super) use existing::EXISTING_CHILDREN;
pub(super) use existing::existing_children;
#[cfg(test)]
pub(super) use pending::PENDING;
pub(super) use pending::pending;

/// For the tests of query plans.
#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[
    HISTORY,
    NAMED,
    BRANCHES,
    OUTPUTS,
    PENDING,
    BLOCKED_CHILDREN,
    EXISTING_CHILDREN,
    pending::NAMED,
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

/// The keys under a spawn: its own, or its own and `$` and an index; `%` follows `$`.
pub(super) const OUTPUTS: &str = "
SELECT w.id, w.key, w.output
FROM chrono_forge_execution_logs AS l
CROSS JOIN chrono_forge_workflows AS w INDEXED BY chrono_forge_workflows_parent
    ON w.parent_execution_log_id = l.id
WHERE l.workflow_id = ? AND l.step_name = ? AND w.id > ? AND +w.state = 2
    AND (w.key = ? OR (w.key >= ? || '$' AND w.key < ? || '%'))
ORDER BY w.id
LIMIT ?";

/// Outputs after which a page is full, so that a page of large ones is no burden.
pub(super) const OUTPUT_BYTES: usize = 4 << 20;

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

/// Records of a run in the order of their outcomes.
pub(super) fn history(
    conn: &mut SqliteConnection,
    run: RunId,
    result_bytes_max: u64,
) -> QueryResult<Vec<RecordRow>> {
    let most = i64::try_from(result_bytes_max).unwrap_or(i64::MAX);
    let binds = [most.into(), run.0.into(), most.into(), run.0.into()];
    let mut rows: Vec<Row> = Stmt::<Columns>::new(HISTORY, &binds).load(conn)?;
    let repeats = repeats::names(conn, run)?;
    if !repeats.is_empty() {
        let binds = [most.into(), name_list(&repeats).into(), run.0.into()];
        rows.extend(Stmt::<Columns>::new(NAMED, &binds).load::<Row>(conn)?);
    }
    let records: QueryResult<Vec<RecordRow>> = rows.into_iter().map(record_row).collect();
    let mut records = records?;
    // Sorted here: SQLite's sorter copies every row with its result and takes half as long again.
    records.sort_unstable_by_key(|record| (record.seq.is_none(), record.seq, record.id));
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
        state: state(code)?,
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
pub(super) fn result(conn: &mut SqliteConnection, record: RecordId) -> QueryResult<Option<Json>> {
    let sql = "SELECT result FROM chrono_forge_execution_logs WHERE id = ?";
    let rows: Vec<(Option<String>,)> =
        Stmt::<(Nullable<Text>,)>::new(sql, &[record.0.into()]).load(conn)?;
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
            sealed: state(code)? == RecordState::Completed,
            spawned: u64::try_from(spawned).unwrap_or(0),
            pending: u64::try_from(pending).unwrap_or(0),
        })
    };
    rows.into_iter().map(branch).collect()
}

/// Outputs of a branch's completed children; see [`Store::outputs`](crate::store::Store::outputs).
pub(super) fn outputs(
    conn: &mut SqliteConnection,
    branch: (RunId, &str),
    spawn_key: &str,
    after: RunId,
    limit: u32,
) -> QueryResult<Vec<(RunId, String, Json)>> {
    let (run, step_name) = branch;
    let binds = [
        run.0.into(),
        step_name.into(),
        after.0.into(),
        spawn_key.into(),
        spawn_key.into(),
        spawn_key.into(),
        limit.into(),
    ];
    type Row = (i64, String, Option<String>);
    let statement = Stmt::<(BigInt, Text, Nullable<Text>)>::new(OUTPUTS, &binds);
    let mut page = Vec::new();
    let mut bytes = 0;
    for row in statement.load_iter::<Row, DefaultLoadingMode>(conn)? {
        let (id, key, output) = row?;
        let output: Json = output.unwrap_or_else(|| "null".to_owned()).into();
        bytes += output.len();
        page.push((RunId(id), key, output));
        if bytes >= OUTPUT_BYTES {
            break;
        }
    }
    Ok(page)
}

fn state(code: i64) -> QueryResult<RecordState> {
    i16::try_from(code)
        .ok()
        .and_then(RecordState::from_code)
        .ok_or_else(|| {
            Error::DeserializationError(format!("there is no record state {code}").into())
        })
}
