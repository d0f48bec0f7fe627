//! One state of the database, read in pages.
//!
//! A page is bounded before its rows are read: the length of a text is known without reading it.

use diesel::data_types::PgTimestamp;
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text, Timestamptz};

use crate::record::{ErrorCopy, RecordCopy, RunCopy, RunId};
use crate::store::StoreResult;
use crate::store::postgres::bind::{Bind, instant, ints, opt_ints, texts};
use crate::store::postgres::connection::Session;
use crate::store::postgres::fault;
use crate::store::postgres::naming::of_key;
use crate::store::postgres::statement::Stmt;
use crate::store::shared::context::{CONTEXTS, Contexts};
use crate::store::shared::copies::{
    ErrorRow, RecordRow, RunRow, error_copy, record_copy, run_copy,
};
use crate::store::shared::import::put;
use crate::store::transfer::{CopyName, Snapshot};

/// Bytes after which a page is full.
const PAGE_BYTES: usize = 1 << 20;

type MaybeInstant = Nullable<Timestamptz>;
type MaybeText = Nullable<Text>;

type RunColumns = (
    (
        BigInt,
        Text,
        Text,
        Text,
        BigInt,
        BigInt,
        MaybeInstant,
        BigInt,
    ),
    (
        BigInt,
        BigInt,
        BigInt,
        Timestamptz,
        MaybeInstant,
        MaybeInstant,
        MaybeInstant,
    ),
    (MaybeText, MaybeText, MaybeText),
    (Text, Text, Text, MaybeText, Text),
    (Nullable<BigInt>, MaybeText, MaybeText, MaybeText),
);

type RecordColumns = (
    (BigInt, Text, Nullable<BigInt>, BigInt, BigInt),
    (
        MaybeInstant,
        MaybeInstant,
        MaybeInstant,
        MaybeInstant,
        BigInt,
        BigInt,
    ),
    (MaybeText, MaybeText, MaybeText, MaybeText, MaybeText),
);

type ErrorColumns = (
    (BigInt, BigInt, MaybeText, BigInt),
    (Text, Text, Timestamptz, MaybeText, MaybeText),
);

macro_rules! select_runs {
    ($from:literal, $rest:literal) => {
        concat!(
            "
SELECT w.id, w.workflow, w.key, w.queue, w.priority::bigint, w.state::bigint, w.wake_at,
    w.wake_requested::int::bigint, w.lock_epoch, w.attempts, w.crashes, w.created_at, w.started_at,
    w.completed_at, b.since, w.stalled_by, w.definition_hash, w.trace_parent, w.retry_counts,
    w.options, w.args, w.output, w.context, p.id, p.workflow, p.key, l.step_name
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

/// Ids are given out in the order of creation, and a child is created under a parent that is there. The page
/// ends behind the row that makes it a megabyte.
pub(super) const RUNS: &str = select_runs!(
    "(
    SELECT id, sum(bytes) OVER (ORDER BY id) - bytes AS before
    FROM (
        SELECT id, 256 + octet_length(args) + octet_length(context)
            + coalesce(octet_length(output), 0) AS bytes
        FROM chrono_forge_workflows WHERE id > ? ORDER BY id LIMIT ?
    ) AS sizes
) AS page
JOIN chrono_forge_workflows AS w ON w.id = page.id",
    "WHERE page.before < 1048576 ORDER BY w.id"
);

pub(super) const COPIES: &str = select_runs!(
    "unnest(?) AS v (id)
JOIN chrono_forge_workflows AS w ON w.id = v.id",
    ""
);

/// Those whose parent's branch is not there are not looked for under any other: no record has a
/// number below 0.
pub(super) const FIND: &str = concat!(
    "
SELECT v.place, w.id
FROM (
    SELECT u.place, u.workflow, u.key, CASE WHEN u.run IS NULL THEN 0 ELSE coalesce((
        SELECT l.id FROM chrono_forge_execution_logs AS l
        WHERE l.workflow_id = u.run AND l.step_name = u.record
    ), -1) END AS parent
    FROM unnest(?, ?, ?, ?, ?) AS u (place, workflow, key, run, record)
) AS v",
    of_key!(
        "w.id",
        " AND coalesce(w.parent_execution_log_id, 0) = v.parent"
    )
);

/// In the order of the index that makes them unique, so that nothing is sorted.
pub(super) const RECORDS: &str = "
SELECT l.workflow_id, l.step_name, l.seq, l.state::bigint, l.attempts, l.started_at,
    l.last_executed_at, l.wake_at, l.completed_at, l.spawned, l.pending, l.error_class,
    l.error_message, l.metadata, l.context_delta, l.result
FROM (
    SELECT id, sum(bytes) OVER (ORDER BY workflow_id, step_name) - bytes AS before
    FROM (
        SELECT id, workflow_id, step_name, 192 + coalesce(octet_length(result), 0)
            + coalesce(octet_length(metadata), 0) + coalesce(octet_length(context_delta), 0)
            + coalesce(octet_length(error_message), 0) AS bytes
        FROM chrono_forge_execution_logs
        WHERE (workflow_id, step_name) > (?, ?) AND workflow_id <= ?
        ORDER BY workflow_id, step_name
        LIMIT ?
    ) AS sizes
) AS page
JOIN chrono_forge_execution_logs AS l ON l.id = page.id
WHERE page.before < 1048576
ORDER BY l.workflow_id, l.step_name";

/// Sorted within their run: the newest error is the one with the highest id, and has to be again.
pub(super) const ERRORS: &str = "
SELECT e.workflow_id, e.id, e.step_name, e.attempt, e.error_class, e.error_message, e.created_at,
    e.backtrace, e.context
FROM (
    SELECT id, sum(bytes) OVER (ORDER BY workflow_id, id) - bytes AS before
    FROM (
        SELECT id, workflow_id, 192 + octet_length(error_message)
            + coalesce(octet_length(backtrace), 0) + coalesce(octet_length(context), 0) AS bytes
        FROM chrono_forge_error_logs
        WHERE workflow_id >= ? AND (workflow_id > ? OR id > ?) AND workflow_id <= ?
        ORDER BY workflow_id, id
        LIMIT ?
    ) AS sizes
) AS page
JOIN chrono_forge_error_logs AS e ON e.id = page.id
WHERE page.before < 1048576
ORDER BY e.workflow_id, e.id";

/// Those of these runs that exist.
pub(super) fn copies(
    conn: &mut PgConnection,
    runs: &[RunId],
) -> QueryResult<Vec<(RunId, RunCopy)>> {
    let binds = [ints(runs.iter().map(|run| run.0))];
    let rows: Vec<RunRow<PgTimestamp>> = Stmt::<RunColumns>::new(COPIES, &binds).load(conn)?;
    let copies = rows.into_iter().map(|row| run_copy(row, instant));
    with_contexts(conn, copies.collect::<QueryResult<_>>()?, usize::MAX)
}

/// Which of these runs have entries of contexts.
pub(super) const HAVE_ENTRIES: &str = "
SELECT v.id FROM unnest(?) AS v (id)
WHERE EXISTS (SELECT 1 FROM chrono_forge_context AS c WHERE c.workflow_id = v.id)";

pub(super) const ENTRIES: &str = "
SELECT c.workflow_id, c.key, c.value
FROM unnest(?) AS v (id)
JOIN chrono_forge_context AS c ON c.workflow_id = v.id
ORDER BY c.workflow_id, c.key";

/// Puts the whole context into each copy. The page ends behind the runs that make it full.
fn with_contexts(
    conn: &mut PgConnection,
    mut page: Vec<(RunId, RunCopy)>,
    bytes_max: usize,
) -> QueryResult<Vec<(RunId, RunCopy)>> {
    let all = [ints(page.iter().map(|(run, _)| run.0))];
    let found: Vec<(i64,)> = Stmt::<(BigInt,)>::new(HAVE_ENTRIES, &all).load(conn)?;
    let mut found: Vec<i64> = found.into_iter().map(|(run,)| run).collect();
    found.sort_unstable();
    let mut contexts = Contexts::default();
    for runs in found.chunks(CONTEXTS) {
        if contexts.bytes() >= bytes_max {
            page.retain(|(run, _)| run.0 < runs[0]);
            break;
        }
        let rows = Stmt::<(BigInt, Text, MaybeText)>::new(ENTRIES, &[ints(runs.iter().copied())])
            .load(conn)?;
        contexts.take(rows);
    }
    contexts.put_into(&mut page)?;
    Ok(page)
}

/// The runs with these names, each at the place of its name.
pub(super) fn find(
    conn: &mut PgConnection,
    names: &[CopyName<'_>],
) -> QueryResult<Vec<Option<RunId>>> {
    let parent = |name: &CopyName<'_>| name.parent.map(|(run, _)| run.0);
    let binds = [
        ints((0_i64..).take(names.len())),
        texts(names.iter().map(|name| name.workflow)),
        texts(names.iter().map(|name| name.key)),
        opt_ints(names.iter().map(parent)),
        texts(
            names
                .iter()
                .map(|name| name.parent.map_or("", |(_, record)| record)),
        ),
    ];
    let rows: Vec<(i64, i64)> = Stmt::<(BigInt, BigInt)>::new(FIND, &binds).load(conn)?;
    let mut found = vec![None; names.len()];
    for (place, id) in rows {
        put(&mut found, place, RunId(id));
    }
    Ok(found)
}

/// A session in the middle of a reading transaction.
pub(super) struct Reading {
    session: Session,
}

impl Reading {
    /// Has the transaction choose its state, which it does at the first look.
    pub(super) fn begin(mut session: Session) -> StoreResult<Self> {
        session.begin_snapshot()?;
        let mut reading = Self { session };
        reading.runs(RunId(0), 1)?;
        Ok(reading)
    }

    /// A connection that is lost takes the state with it, so nothing is tried again.
    fn read<T>(
        &mut self,
        read: impl FnOnce(&mut PgConnection) -> QueryResult<Vec<T>>,
    ) -> StoreResult<Vec<T>> {
        let conn = self.session.connected("snapshot")?;
        read(conn).map_err(|error| fault::statement("snapshot", &error))
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.session.end_snapshot();
    }
}

impl Snapshot for Reading {
    fn runs(&mut self, after: RunId, limit: u32) -> StoreResult<Vec<(RunId, RunCopy)>> {
        let binds: [Bind<'_>; 2] = [after.0.into(), limit.into()];
        self.read(|conn| {
            let rows: Vec<RunRow<PgTimestamp>> =
                Stmt::<RunColumns>::new(RUNS, &binds).load(conn)?;
            let page = rows.into_iter().map(|row| run_copy(row, instant));
            with_contexts(conn, page.collect::<QueryResult<_>>()?, PAGE_BYTES)
        })
    }

    fn records(
        &mut self,
        (run, name): (RunId, &str),
        through: RunId,
        limit: u32,
    ) -> StoreResult<Vec<(RunId, RecordCopy)>> {
        let binds: [Bind<'_>; 4] = [run.0.into(), name.into(), through.0.into(), limit.into()];
        self.read(|conn| {
            let rows: Vec<RecordRow<PgTimestamp>> =
                Stmt::<RecordColumns>::new(RECORDS, &binds).load(conn)?;
            rows.into_iter()
                .map(|row| record_copy(row, instant))
                .collect()
        })
    }

    fn errors(
        &mut self,
        (run, id): (RunId, i64),
        through: RunId,
        limit: u32,
    ) -> StoreResult<Vec<(RunId, (i64, ErrorCopy))>> {
        let binds: [Bind<'_>; 5] = [run.0, run.0, id, through.0, i64::from(limit)].map(Into::into);
        self.read(|conn| {
            let rows: Vec<ErrorRow<PgTimestamp>> =
                Stmt::<ErrorColumns>::new(ERRORS, &binds).load(conn)?;
            let errors = rows.into_iter().map(|row| error_copy(row, instant));
            Ok(errors.collect())
        })
    }
}
