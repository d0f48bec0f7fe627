//! The statements of an import.

use diesel::prelude::*;
use diesel::sql_types::BigInt;
use jiff::Timestamp;

use crate::record::{Due, ErrorCopy, RecordCopy, RecordId, RunCopy, RunId};
use crate::store::shared::codes::signed;
use crate::store::shared::import::{ImportTables, KnownRun, Name, NewRun, put};
use crate::store::sqlite::bind::{Bind, instant};
use crate::store::sqlite::sequence;
use crate::store::sqlite::statement::Batch;

pub(super) const FIND_RUNS: &str = "
SELECT v.column1, w.id, w.created_at
FROM (VALUES {(?, ?, ?, ?)}) AS v
CROSS JOIN chrono_forge_workflows AS w ON w.key = v.column3 AND w.workflow = v.column2
    AND ifnull(w.parent_execution_log_id, 0) = v.column4";

pub(super) const FIND_RECORDS: &str = "
SELECT v.column1, l.id
FROM (VALUES {(?, ?, ?)}) AS v
CROSS JOIN chrono_forge_execution_logs AS l
    ON l.workflow_id = v.column2 AND l.step_name = v.column3";

const INSERT_RUNS: &str = "
INSERT INTO chrono_forge_workflows
    (id, workflow, key, queue, priority, state, wake_at, wake_requested, lock_epoch, attempts, crashes,
     parent_execution_log_id, created_at, started_at, completed_at, updated_at, stalled_by,
     definition_hash, trace_parent, retry_counts, options, args, output, context)
VALUES {(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)}";

const INSERT_BLOCKED: &str = "
INSERT INTO chrono_forge_blocked (workflow_id, parent_execution_log_id, state, since)
VALUES {(?, ?, ?, ?)}";

const INSERT_RECORDS: &str = "
INSERT INTO chrono_forge_execution_logs
    (workflow_id, step_name, seq, state, attempts, started_at, last_executed_at, wake_at, completed_at,
     spawned, pending, error_class, error_message, metadata, context_delta, result)
VALUES {(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)}
ON CONFLICT DO NOTHING";

const INSERT_ERRORS: &str = "
INSERT INTO chrono_forge_error_logs
    (workflow_id, step_name, attempt, error_class, error_message, created_at, backtrace, context)
VALUES {(?, ?, ?, ?, ?, ?, ?, ?)}
ON CONFLICT DO NOTHING";

/// The tables, in the middle of a writing transaction.
pub(super) struct Tables<'c> {
    pub(super) conn: &'c mut SqliteConnection,
    pub(super) now: Timestamp,
}

impl ImportTables for Tables<'_> {
    type Error = diesel::result::Error;

    fn find_runs(&mut self, names: &[Name<'_>]) -> QueryResult<Vec<Option<KnownRun>>> {
        let mut batch = Batch::with_capacity(FIND_RUNS, names.len());
        for (place, (workflow, key, parent)) in (0_i64..).zip(names) {
            let parent = parent.map_or(0, |parent| parent.0);
            batch.push([
                place.into(),
                (*workflow).into(),
                (*key).into(),
                parent.into(),
            ]);
        }
        let mut found = vec![None; names.len()];
        for chunk in batch.chunks::<(BigInt, BigInt, BigInt)>() {
            for (place, id, created_at) in chunk.load::<(i64, i64, i64)>(self.conn)? {
                let known = KnownRun {
                    id: RunId(id),
                    created_at: instant(created_at),
                };
                put(&mut found, place, known);
            }
        }
        Ok(found)
    }

    fn next_run_ids(&mut self, count: usize) -> QueryResult<Vec<RunId>> {
        sequence::next_runs(self.conn, count).map(Iterator::collect)
    }

    fn find_records(&mut self, names: &[(RunId, &str)]) -> QueryResult<Vec<Option<RecordId>>> {
        let mut batch = Batch::with_capacity(FIND_RECORDS, names.len());
        for (place, (run, name)) in (0_i64..).zip(names) {
            batch.push([place.into(), run.0.into(), (*name).into()]);
        }
        let mut found = vec![None; names.len()];
        for chunk in batch.chunks::<(BigInt, BigInt)>() {
            for (place, id) in chunk.load::<(i64, i64)>(self.conn)? {
                put(&mut found, place, RecordId(id));
            }
        }
        Ok(found)
    }

    fn insert_records(&mut self, rows: &[(RunId, &RecordCopy)]) -> QueryResult<u64> {
        let mut batch = Batch::with_capacity(INSERT_RECORDS, rows.len());
        for (run, record) in rows {
            batch.push(record_values(*run, record));
        }
        Ok(batch.execute(self.conn)? as u64)
    }

    fn insert_runs(&mut self, rows: &[NewRun<'_>]) -> QueryResult<()> {
        let mut batch = Batch::with_capacity(INSERT_RUNS, rows.len());
        for new in rows {
            batch.push(run_values(new, self.now));
        }
        batch.execute(self.conn).map(drop)
    }

    fn insert_blocked(&mut self, rows: &[NewRun<'_>]) -> QueryResult<()> {
        let mut batch = Batch::new(INSERT_BLOCKED);
        for NewRun { id, parent, run } in rows {
            if let Some(since) = run.blocked_since(self.now) {
                let state = run.state as i64;
                let parent = parent.map(|parent| parent.0);
                batch.push([id.0.into(), parent.into(), state.into(), since.into()]);
            }
        }
        batch.execute(self.conn).map(drop)
    }

    fn insert_errors(&mut self, rows: &[(RunId, &ErrorCopy)]) -> QueryResult<u64> {
        let mut batch = Batch::with_capacity(INSERT_ERRORS, rows.len());
        for (run, error) in rows {
            batch.push([
                run.0.into(),
                error.name.as_ref().into(),
                error.attempt.into(),
                (&error.class).into(),
                (&error.message).into(),
                error.created_at.into(),
                error.backtrace.as_ref().into(),
                error.context.as_ref().into(),
            ]);
        }
        Ok(batch.execute(self.conn)? as u64)
    }
}

fn run_values<'a>(new: &NewRun<'a>, now: Timestamp) -> [Bind<'a>; 24] {
    let run: &'a RunCopy = new.run;
    [
        new.id.0.into(),
        (&run.workflow).into(),
        (&run.key).into(),
        (&run.queue).into(),
        i64::from(run.level).into(),
        (run.state as i64).into(),
        run.wake_at.map(Due::to_micros).into(),
        run.wake_requested.into(),
        run.epoch.into(),
        run.attempts.into(),
        run.crashes.into(),
        new.parent.map(|parent| parent.0).into(),
        run.created_at.into(),
        run.started_at.into(),
        run.completed_at.into(),
        now.into(),
        run.stalled_by.as_ref().into(),
        run.definition_hash.as_ref().into(),
        run.trace_parent.as_ref().into(),
        (&run.retry_counts).into(),
        (&run.options).into(),
        (&run.args).into(),
        run.output.as_ref().into(),
        (&run.context).into(),
    ]
}

fn record_values(run: RunId, record: &RecordCopy) -> [Bind<'_>; 16] {
    [
        run.0.into(),
        (&record.name).into(),
        record.seq.into(),
        (record.state as i64).into(),
        record.attempts.into(),
        record.started_at.into(),
        record.last_executed_at.into(),
        record.wake_at.into(),
        record.completed_at.into(),
        signed(record.spawned).into(),
        signed(record.pending).into(),
        record.error_class.as_ref().into(),
        record.error_message.as_ref().into(),
        record.metadata.as_ref().into(),
        record.context_delta.as_ref().into(),
        record.result.as_ref().into(),
    ]
}
