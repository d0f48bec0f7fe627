//! Rows of an export as values. `I` is how the database's instants are read.

use diesel::prelude::*;
use jiff::Timestamp;

use super::codes::{count, level, record_state, run_state, unsigned};
use crate::record::{BranchName, Due, ErrorCopy, RecordCopy, RunCopy, RunId};

type MaybeText = Option<String>;

/// A run, since when it is blocked, and the names of its parent.
pub(in crate::store) type RunRow<I> = (
    (i64, String, String, String, i64, i64, Option<I>, i64),
    (i64, i64, i64, I, Option<I>, Option<I>, Option<I>),
    (MaybeText, MaybeText, MaybeText),
    (String, String, String, MaybeText, String),
    (Option<i64>, MaybeText, MaybeText, MaybeText),
);

/// A record behind its run.
pub(in crate::store) type RecordRow<I> = (
    (i64, String, Option<i64>, i64, i64),
    (Option<I>, Option<I>, Option<I>, Option<I>, i64, i64),
    (MaybeText, MaybeText, MaybeText, MaybeText, MaybeText),
);

/// An error behind its run and its id.
pub(in crate::store) type ErrorRow<I> = (
    (i64, i64, MaybeText, i64),
    (String, String, I, MaybeText, MaybeText),
);

pub(in crate::store) fn run_copy<I>(
    row: RunRow<I>,
    instant: impl Fn(I) -> Timestamp,
) -> QueryResult<(RunId, RunCopy)> {
    let (id, workflow, key, queue, priority, code, wake_at, wake_requested) = row.0;
    let (epoch, attempts, crashes, created_at, started_at, completed_at, blocked_at) = row.1;
    let (stalled_by, definition_hash, trace_parent) = row.2;
    let (retry_counts, options, args, output, context) = row.3;
    let (parent, parent_workflow, parent_key, record) = row.4;
    let branch = parent_workflow.zip(parent_key).zip(record);
    let copy = RunCopy {
        id: Some(id),
        workflow,
        key,
        parent: branch.map(|((workflow, key), record)| BranchName {
            run: parent,
            workflow,
            key,
            record,
        }),
        queue,
        level: level(priority).0,
        state: run_state(code)?,
        wake_at: wake_at.map(|at| Due::of_micros(instant(at).as_microsecond())),
        wake_requested: wake_requested != 0,
        epoch,
        attempts: count(attempts),
        crashes: count(crashes),
        created_at: instant(created_at),
        started_at: started_at.map(&instant),
        completed_at: completed_at.map(&instant),
        blocked_at: blocked_at.map(&instant),
        stalled_by,
        definition_hash,
        trace_parent,
        retry_counts,
        options,
        args,
        output,
        context,
    };
    Ok((RunId(id), copy))
}

pub(in crate::store) fn record_copy<I>(
    row: RecordRow<I>,
    instant: impl Fn(I) -> Timestamp,
) -> QueryResult<(RunId, RecordCopy)> {
    let (run, name, seq, code, attempts) = row.0;
    let (started_at, last_executed_at, wake_at, completed_at, spawned, pending) = row.1;
    let (error_class, error_message, metadata, context_delta, result) = row.2;
    let copy = RecordCopy {
        name,
        seq,
        state: record_state(code)?,
        attempts: count(attempts),
        started_at: started_at.map(&instant),
        last_executed_at: last_executed_at.map(&instant),
        wake_at: wake_at.map(&instant),
        completed_at: completed_at.map(&instant),
        spawned: unsigned(spawned),
        pending: unsigned(pending),
        error_class,
        error_message,
        metadata,
        context_delta,
        result,
    };
    Ok((RunId(run), copy))
}

pub(in crate::store) fn error_copy<I>(
    row: ErrorRow<I>,
    instant: impl Fn(I) -> Timestamp,
) -> (RunId, (i64, ErrorCopy)) {
    let (run, id, name, attempt) = row.0;
    let (class, message, created_at, backtrace, context) = row.1;
    let copy = ErrorCopy {
        name,
        attempt: count(attempt),
        class,
        message,
        created_at: instant(created_at),
        backtrace,
        context,
    };
    (RunId(run), (id, copy))
}
