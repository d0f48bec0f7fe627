//! One state of the database, read in pages.

use std::time::Duration;

use diesel::connection::DefaultLoadingMode;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text};

use crate::record::{ErrorCopy, RecordCopy, RunCopy, RunId};
use crate::store::StoreResult;
use crate::store::shared::context::{CONTEXTS, Contexts};
use crate::store::shared::copies::{
    ErrorRow, RecordRow, RunRow, error_copy, record_copy, run_copy,
};
use crate::store::shared::import::put;
use crate::store::sqlite::bind::{id_list, instant};
use crate::store::sqlite::statement::{Batch, Stmt};
use crate::store::sqlite::{connection, fault};
use crate::store::transfer::{CopyName, Snapshot};

/// Bytes after which a page is full.
const PAGE_BYTES: usize = 1 << 20;

type MaybeInt = Nullable<BigInt>;
type MaybeText = Nullable<Text>;

type RunColumns = (
    (BigInt, Text, Text, Text, BigInt, BigInt, MaybeInt, BigInt),
    (BigInt, BigInt, BigInt, BigInt, MaybeInt, MaybeInt, MaybeInt),
    (MaybeText, MaybeText, MaybeText),
    (Text, Text, Text, MaybeText, Text),
    (MaybeInt, MaybeText, MaybeText, MaybeText),
);

type RecordColumns = (
    (BigInt, Text, MaybeInt, BigInt, BigInt),
    (MaybeInt, MaybeInt, MaybeInt, MaybeInt, BigInt, BigInt),
    (MaybeText, MaybeText, MaybeText, MaybeText, MaybeText),
);

type ErrorColumns = (
    (BigInt, BigInt, MaybeText, BigInt),
    (Text, Text, BigInt, MaybeText, MaybeText),
);

macro_rules! select_runs {
    ($from:literal, $rest:literal) => {
        concat!(
            "
SELECT w.id, w.workflow, w.key, w.queue, w.priority, w.state, w.wake_at, w.wake_requested,
    w.lock_epoch, w.attempts, w.crashes, w.created_at, w.started_at, w.completed_at, b.since,
    w.stalled_by, w.definition_hash, w.trace_parent, w.retry_counts, w.options, w.args, w.output,
    w.context, p.id, p.workflow, p.key, l.step_name
FROM ",
            $from,
            "
LEFT JOIN chrono_forge_blocked AS b ON b.workflow_id = w.id
LEFT JOIN chrono_forge_execution_logs AS l ON l.id = w.parent_execution_log_id
LEFT JOIN chrono_forge_workflows AS p ON p.id = l.workflow_id
",
            $rest
        )
    };
}

/// Ids are given out in the order of creation, and a child is created under a parent that is there.
pub(super) const RUNS: &str = select_runs!(
    "chrono_forge_workflows AS w",
    "WHERE w.id > ? ORDER BY w.id LIMIT ?"
);

pub(super) const COPIES: &str = select_runs!(
    "json_each(?) AS v
CROSS JOIN chrono_forge_workflows AS w ON w.id = v.value",
    ""
);

/// Those whose parent's branch is not there are not looked for under any other: no record has a
/// number below 0.
pub(super) const FIND: &str = "
SELECT v.column1, w.id
FROM (VALUES {(?, ?, ?, ?, ?)}) AS v
CROSS JOIN chrono_forge_workflows AS w ON w.key = v.column3 AND w.workflow = v.column2
    AND ifnull(w.parent_execution_log_id, 0) = iif(v.column4 IS NULL, 0, ifnull((
        SELECT l.id FROM chrono_forge_execution_logs AS l
        WHERE l.workflow_id = v.column4 AND l.step_name = v.column5
    ), -1))";

/// In the order of the index that makes them unique, so that nothing is sorted.
pub(super) const RECORDS: &str = "
SELECT workflow_id, step_name, seq, state, attempts, started_at, last_executed_at, wake_at,
    completed_at, spawned, pending, error_class, error_message, metadata, context_delta, result
FROM chrono_forge_execution_logs AS l
WHERE (workflow_id, step_name) > (?, ?) AND workflow_id <= ?
ORDER BY workflow_id, step_name
LIMIT ?";

/// Sorted within their run: the newest error is the one with the highest id, and has to be again.
pub(super) const ERRORS: &str = "
SELECT workflow_id, id, step_name, attempt, error_class, error_message, created_at, backtrace,
    context
FROM chrono_forge_error_logs AS e
WHERE workflow_id >= ? AND (workflow_id > ? OR id > ?) AND workflow_id <= ?
ORDER BY workflow_id, id
LIMIT ?";

/// Begins the transaction and has it choose its state, which it does at the first read.
pub(super) fn begin(conn: &mut SqliteConnection) -> QueryResult<()> {
    Stmt::<()>::new("BEGIN", &[]).execute(conn)?;
    let first = Stmt::<(BigInt,)>::new("SELECT id FROM chrono_forge_workflows LIMIT 1", &[]);
    first.load::<(i64,)>(conn).map(drop)
}

/// Those of these runs that exist.
pub(super) fn copies(
    conn: &mut SqliteConnection,
    runs: &[RunId],
) -> QueryResult<Vec<(RunId, RunCopy)>> {
    let list = id_list(runs.iter().map(|run| run.0));
    let rows: Vec<RunRow<i64>> = Stmt::<RunColumns>::new(COPIES, &[list.into()]).load(conn)?;
    let copies = rows.into_iter().map(|row| run_copy(row, instant));
    with_contexts(conn, copies.collect::<QueryResult<_>>()?, usize::MAX)
}

/// Which of these runs have entries of contexts.
pub(super) const HAVE_ENTRIES: &str = "
SELECT v.value FROM json_each(?) AS v
WHERE EXISTS (SELECT 1 FROM chrono_forge_context AS c WHERE c.workflow_id = v.value)";

pub(super) const ENTRIES: &str = "
SELECT c.workflow_id, c.key, c.value
FROM json_each(?) AS v
CROSS JOIN chrono_forge_context AS c ON c.workflow_id = v.value
ORDER BY c.workflow_id, c.key";

/// Puts the whole context into each copy. The page ends behind the runs that make it full.
fn with_contexts(
    conn: &mut SqliteConnection,
    mut page: Vec<(RunId, RunCopy)>,
    bytes_max: usize,
) -> QueryResult<Vec<(RunId, RunCopy)>> {
    let all = [id_list(page.iter().map(|(run, _)| run.0)).into()];
    let found: Vec<(i64,)> = Stmt::<(BigInt,)>::new(HAVE_ENTRIES, &all).load(conn)?;
    let mut found: Vec<i64> = found.into_iter().map(|(run,)| run).collect();
    found.sort_unstable();
    let mut contexts = Contexts::default();
    for runs in found.chunks(CONTEXTS) {
        if contexts.bytes() >= bytes_max {
            page.retain(|(run, _)| run.0 < runs[0]);
            break;
        }
        let rows = Stmt::<(BigInt, Text, MaybeText)>::new(
            ENTRIES,
            &[id_list(runs.iter().copied()).into()],
        )
        .load(conn)?;
        contexts.take(rows);
    }
    contexts.put_into(&mut page)?;
    Ok(page)
}

/// The runs with these names, each at the place of its name.
pub(super) fn find(
    conn: &mut SqliteConnection,
    names: &[CopyName<'_>],
) -> QueryResult<Vec<Option<RunId>>> {
    let mut batch = Batch::with_capacity(FIND, names.len());
    for (place, name) in (0_i64..).zip(names) {
        let parent = name.parent.map(|(run, _)| run.0);
        let record = name.parent.map_or("", |(_, record)| record);
        let (workflow, key) = (name.workflow.into(), name.key.into());
        batch.push([place.into(), workflow, key, parent.into(), record.into()]);
    }
    let mut found = vec![None; names.len()];
    for chunk in batch.chunks::<(BigInt, BigInt)>() {
        for (place, id) in chunk.load::<(i64, i64)>(conn)? {
            put(&mut found, place, RunId(id));
        }
    }
    Ok(found)
}

/// A connection in the middle of a reading transaction; closing it ends that.
pub(super) struct Reading {
    conn: SqliteConnection,
    patience: Duration,
}

impl Reading {
    pub(super) fn new(conn: SqliteConnection, patience: Duration) -> Self {
        Self { conn, patience }
    }

    fn read<T>(
        &mut self,
        mut read: impl FnMut(&mut SqliteConnection) -> QueryResult<T>,
    ) -> StoreResult<T> {
        let Self { conn, patience } = self;
        connection::patiently(*patience, || read(conn))
            .map_err(|error| fault::statement("snapshot", &error))
    }
}

impl Snapshot for Reading {
    fn runs(&mut self, after: RunId, limit: u32) -> StoreResult<Vec<(RunId, RunCopy)>> {
        self.read(|conn| {
            let binds = [after.0.into(), limit.into()];
            let statement = Stmt::<RunColumns>::new(RUNS, &binds);
            let rows = statement.load_iter::<RunRow<i64>, DefaultLoadingMode>(conn)?;
            let page = page(rows, |row| run_copy(row, instant), RunCopy::bytes)?;
            with_contexts(conn, page, PAGE_BYTES)
        })
    }

    fn records(
        &mut self,
        (run, name): (RunId, &str),
        through: RunId,
        limit: u32,
    ) -> StoreResult<Vec<(RunId, RecordCopy)>> {
        self.read(|conn| {
            let binds = [run.0.into(), name.into(), through.0.into(), limit.into()];
            let statement = Stmt::<RecordColumns>::new(RECORDS, &binds);
            let rows = statement.load_iter::<RecordRow<i64>, DefaultLoadingMode>(conn)?;
            page(rows, |row| record_copy(row, instant), RecordCopy::bytes)
        })
    }

    fn errors(
        &mut self,
        (run, id): (RunId, i64),
        through: RunId,
        limit: u32,
    ) -> StoreResult<Vec<(RunId, (i64, ErrorCopy))>> {
        self.read(|conn| {
            let binds = [run.0, run.0, id, through.0, i64::from(limit)].map(Into::into);
            let statement = Stmt::<ErrorColumns>::new(ERRORS, &binds);
            let rows = statement.load_iter::<ErrorRow<i64>, DefaultLoadingMode>(conn)?;
            page(
                rows,
                |row| Ok(error_copy(row, instant)),
                |(_, error)| error.bytes(),
            )
        })
    }
}

/// Rows until the page is full.
fn page<Row, T>(
    rows: impl Iterator<Item = QueryResult<Row>>,
    copy: impl Fn(Row) -> QueryResult<(RunId, T)>,
    bytes_of: impl Fn(&T) -> usize,
) -> QueryResult<Vec<(RunId, T)>> {
    let mut page = Vec::new();
    let mut bytes = 0;
    for row in rows {
        let (run, copy) = copy(row?)?;
        bytes += bytes_of(&copy);
        page.push((run, copy));
        if bytes >= PAGE_BYTES {
            break;
        }
    }
    Ok(page)
}
