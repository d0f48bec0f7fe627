//! The statements of an import: one for each kind of row and batch.

use std::borrow::Cow;

use diesel::data_types::PgTimestamp;
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Timestamptz};
use jiff::Timestamp;

use crate::record::{Due, ErrorCopy, RecordCopy, RecordId, RunCopy, RunId};
use crate::store::postgres::bind::{Bind, instant, instants, ints, micros, stored, texts};
use crate::store::postgres::naming::of_key;
use crate::store::postgres::statement::Stmt;
use crate::store::shared::codes::signed;
use crate::store::shared::import::{ImportTables, KnownRun, Name, NewRun, put};

pub(super) const FIND_RUNS: &str = concat!(
    "
SELECT v.place, w.id, w.created_at
FROM unnest(?, ?, ?) WITH ORDINALITY AS v (workflow, key, parent, place)",
    of_key!(
        "w.id, w.created_at",
        " AND coalesce(w.parent_execution_log_id, 0) = v.parent"
    )
);

pub(super) const FIND_RECORDS: &str = "
SELECT v.place, l.id
FROM unnest(?, ?) WITH ORDINALITY AS v (run, name, place)
JOIN chrono_forge_execution_logs AS l ON l.workflow_id = v.run AND l.step_name = v.name";

const NEXT_IDS: &str = "
SELECT nextval(pg_get_serial_sequence('chrono_forge_workflows', 'id'))
FROM generate_series(1, ?)";

/// In the order of their unique keys, as everybody inserts runs.
const INSERT_RUNS: &str = "
INSERT INTO chrono_forge_workflows
    (id, workflow, key, queue, priority, state, wake_at, wake_requested, lock_epoch, attempts, crashes,
     parent_execution_log_id, created_at, started_at, completed_at, updated_at, stalled_by,
     definition_hash, trace_parent, retry_counts, options, args, output, context)
SELECT id, workflow, key, queue, priority::smallint, state::smallint, wake_at, wake_requested, epoch,
    attempts, crashes, parent, created_at, started_at, completed_at, ?, stalled_by, definition_hash,
    trace_parent, retry_counts, options, args, output, context
FROM unnest(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    AS v (id, workflow, key, queue, priority, state, wake_at, wake_requested, epoch, attempts,
        crashes, parent, created_at, started_at, completed_at, stalled_by, definition_hash,
        trace_parent, retry_counts, options, args, output, context)
ORDER BY workflow COLLATE \"C\", key COLLATE \"C\"";

const INSERT_BLOCKED: &str = "
INSERT INTO chrono_forge_blocked (workflow_id, parent_execution_log_id, state, since)
SELECT id, parent, state::smallint, since FROM unnest(?, ?, ?, ?) AS v (id, parent, state, since)";

const INSERT_RECORDS: &str = "
INSERT INTO chrono_forge_execution_logs
    (workflow_id, step_name, seq, state, attempts, started_at, last_executed_at, wake_at, completed_at,
     spawned, pending, error_class, error_message, metadata, context_delta, result)
SELECT run, name, seq, state::smallint, attempts, started_at, last_executed_at, wake_at, completed_at,
    spawned, pending, error_class, error_message, metadata, context_delta, result
FROM unnest(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    AS v (run, name, seq, state, attempts, started_at, last_executed_at, wake_at, completed_at,
        spawned, pending, error_class, error_message, metadata, context_delta, result)
ON CONFLICT (workflow_id, step_name) DO NOTHING";

/// In their order, which their ids tell from now on.
const INSERT_ERRORS: &str = "
INSERT INTO chrono_forge_error_logs
    (workflow_id, step_name, attempt, error_class, error_message, created_at, backtrace, context)
SELECT run, name, attempt, error_class, error_message, created_at, backtrace, context
FROM unnest(?, ?, ?, ?, ?, ?, ?, ?) WITH ORDINALITY
    AS v (run, name, attempt, error_class, error_message, created_at, backtrace, context, place)
ORDER BY place
ON CONFLICT (workflow_id, (coalesce(step_name, '')), attempt) DO NOTHING";

/// The tables, in the middle of a writing transaction.
pub(super) struct Tables<'c> {
    pub(super) conn: &'c mut PgConnection,
    pub(super) now: Timestamp,
}

impl ImportTables for Tables<'_> {
    type Error = diesel::result::Error;

    fn find_runs(&mut self, names: &[Name<'_>]) -> QueryResult<Vec<Option<KnownRun>>> {
        let binds = [
            texts(names.iter().map(|(workflow, _, _)| *workflow)),
            texts(names.iter().map(|(_, key, _)| *key)),
            ints(
                names
                    .iter()
                    .map(|(_, _, parent)| parent.map_or(0, |it| it.0)),
            ),
        ];
        let rows: Vec<(i64, i64, PgTimestamp)> =
            Stmt::<(BigInt, BigInt, Timestamptz)>::new(FIND_RUNS, &binds).load(self.conn)?;
        let mut found = vec![None; names.len()];
        for (place, id, created_at) in rows {
            let known = KnownRun {
                id: RunId(id),
                created_at: instant(created_at),
            };
            // Places count from 1.
            put(&mut found, place - 1, known);
        }
        Ok(found)
    }

    fn next_run_ids(&mut self, count: usize) -> QueryResult<Vec<RunId>> {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        let rows: Vec<(i64,)> =
            Stmt::<(BigInt,)>::new(NEXT_IDS, &[count.into()]).load(self.conn)?;
        let mut ids: Vec<RunId> = rows.into_iter().map(|(id,)| RunId(id)).collect();
        ids.sort_unstable();
        Ok(ids)
    }

    fn find_records(&mut self, names: &[(RunId, &str)]) -> QueryResult<Vec<Option<RecordId>>> {
        let mut found = vec![None; names.len()];
        if names.is_empty() {
            return Ok(found);
        }
        let binds = [
            ints(names.iter().map(|(run, _)| run.0)),
            texts(names.iter().map(|(_, name)| *name)),
        ];
        let rows: Vec<(i64, i64)> =
            Stmt::<(BigInt, BigInt)>::new(FIND_RECORDS, &binds).load(self.conn)?;
        for (place, id) in rows {
            put(&mut found, place - 1, RecordId(id));
        }
        Ok(found)
    }

    fn insert_records(&mut self, rows: &[(RunId, &RecordCopy)]) -> QueryResult<u64> {
        if rows.is_empty() {
            return Ok(0);
        }
        let plain: Vec<[Option<Cow<'_, str>>; 2]> = rows
            .iter()
            .map(|(_, row)| [row.error_class.as_deref(), row.error_message.as_deref()])
            .map(|texts| texts.map(|text| text.map(without_nul)))
            .collect();
        let binds = record_columns(rows, &plain);
        let inserted = Stmt::<()>::new(INSERT_RECORDS, &binds).execute(self.conn)?;
        Ok(inserted as u64)
    }

    fn insert_runs(&mut self, rows: &[NewRun<'_>]) -> QueryResult<()> {
        if rows.is_empty() {
            return Ok(());
        }
        let binds = run_columns(rows, self.now);
        Stmt::<()>::new(INSERT_RUNS, &binds)
            .execute(self.conn)
            .map(drop)
    }

    fn insert_blocked(&mut self, rows: &[NewRun<'_>]) -> QueryResult<()> {
        let since = |new: &NewRun<'_>| new.run.blocked_since(self.now);
        let blocked: Vec<&NewRun<'_>> = rows.iter().filter(|new| since(new).is_some()).collect();
        if blocked.is_empty() {
            return Ok(());
        }
        let binds = [
            ints(blocked.iter().map(|new| new.id.0)),
            Bind::Ints(
                blocked
                    .iter()
                    .map(|new| new.parent.map(|it| it.0))
                    .collect(),
            ),
            ints(blocked.iter().map(|new| new.run.state as i64)),
            instants(blocked.iter().filter_map(|new| since(new))),
        ];
        Stmt::<()>::new(INSERT_BLOCKED, &binds)
            .execute(self.conn)
            .map(drop)
    }

    fn insert_errors(&mut self, rows: &[(RunId, &ErrorCopy)]) -> QueryResult<u64> {
        if rows.is_empty() {
            return Ok(0);
        }
        let plain: Vec<[Option<Cow<'_, str>>; 3]> = rows
            .iter()
            .map(|(_, row)| [Some(&row.class), Some(&row.message), row.backtrace.as_ref()])
            .map(|texts| texts.map(|text| text.map(|text| without_nul(text))))
            .collect();
        let column =
            |nth: usize| Bind::Texts(plain.iter().map(|row| row[nth].as_deref()).collect());
        let errors = || rows.iter().map(|(_, row)| *row);
        let binds = [
            ints(rows.iter().map(|(run, _)| run.0)),
            Bind::Texts(errors().map(|row| row.name.as_deref()).collect()),
            ints(errors().map(|row| row.attempt.into())),
            column(0),
            column(1),
            instants(errors().map(|row| row.created_at)),
            column(2),
            Bind::Texts(errors().map(|row| row.context.as_deref()).collect()),
        ];
        let inserted = Stmt::<()>::new(INSERT_ERRORS, &binds).execute(self.conn)?;
        Ok(inserted as u64)
    }
}

/// Messages may hold a character that SQLite keeps and PostgreSQL does not.
fn without_nul(text: &str) -> Cow<'_, str> {
    match text.contains('\0') {
        true => text.replace('\0', "\u{fffd}").into(),
        false => text.into(),
    }
}

fn run_columns<'a>(rows: &[NewRun<'a>], now: Timestamp) -> Vec<Bind<'a>> {
    let int = |of: fn(&NewRun<'a>) -> i64| ints(rows.iter().map(of));
    let text = |of: fn(&'a RunCopy) -> &'a str| texts(rows.iter().map(|new| of(new.run)));
    let maybe_text = |of: fn(&'a RunCopy) -> &'a Option<String>| {
        Bind::Texts(rows.iter().map(|new| of(new.run).as_deref()).collect())
    };
    let maybe_instant = |of: fn(&RunCopy) -> Option<Timestamp>| {
        Bind::Instants(rows.iter().map(|new| of(new.run).map(stored)).collect())
    };
    vec![
        now.into(),
        int(|new| new.id.0),
        text(|run| &run.workflow),
        text(|run| &run.key),
        text(|run| &run.queue),
        int(|new| new.run.level.into()),
        int(|new| new.run.state as i64),
        micros(rows.iter().map(|new| new.run.wake_at.map(Due::to_micros))),
        Bind::Bools(rows.iter().map(|new| new.run.wake_requested).collect()),
        int(|new| new.run.epoch),
        int(|new| new.run.attempts.into()),
        int(|new| new.run.crashes.into()),
        Bind::Ints(rows.iter().map(|new| new.parent.map(|it| it.0)).collect()),
        maybe_instant(|run| Some(run.created_at)),
        maybe_instant(|run| run.started_at),
        maybe_instant(|run| run.completed_at),
        maybe_text(|run| &run.stalled_by),
        maybe_text(|run| &run.definition_hash),
        maybe_text(|run| &run.trace_parent),
        text(|run| &run.retry_counts),
        text(|run| &run.options),
        text(|run| &run.args),
        maybe_text(|run| &run.output),
        text(|run| &run.context),
    ]
}

fn record_columns<'a>(
    rows: &[(RunId, &'a RecordCopy)],
    errors: &'a [[Option<Cow<'a, str>>; 2]],
) -> [Bind<'a>; 16] {
    let error = |nth: usize| Bind::Texts(errors.iter().map(|row| row[nth].as_deref()).collect());
    let int = |of: fn(&RecordCopy) -> i64| ints(rows.iter().map(|(_, row)| of(row)));
    let maybe_text = |of: fn(&'a RecordCopy) -> &'a Option<String>| {
        Bind::Texts(rows.iter().map(|(_, row)| of(row).as_deref()).collect())
    };
    let maybe_instant = |of: fn(&RecordCopy) -> Option<Timestamp>| {
        Bind::Instants(rows.iter().map(|(_, row)| of(row).map(stored)).collect())
    };
    [
        ints(rows.iter().map(|(run, _)| run.0)),
        texts(rows.iter().map(|(_, row)| &*row.name)),
        Bind::Ints(rows.iter().map(|(_, row)| row.seq).collect()),
        int(|row| row.state as i64),
        int(|row| row.attempts.into()),
        maybe_instant(|row| row.started_at),
        maybe_instant(|row| row.last_executed_at),
        maybe_instant(|row| row.wake_at),
        maybe_instant(|row| row.completed_at),
        ints(rows.iter().map(|(_, row)| signed(row.spawned))),
        ints(rows.iter().map(|(_, row)| signed(row.pending))),
        error(0),
        error(1),
        maybe_text(|row| &row.metadata),
        maybe_text(|row| &row.context_delta),
        maybe_text(|row| &row.result),
    ]
}
