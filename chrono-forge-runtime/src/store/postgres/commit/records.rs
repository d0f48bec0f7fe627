//! Records: upserted by name, withdrawn while they are pending.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::result::Error;
use jiff::Timestamp;

use super::branch::{self, Rows};
use super::{Batch, Trust};
use crate::record::{Plan, Record};
use crate::store::postgres::bind::{
    Bind, deadlines, ints, messages, opt_instants, opt_ints, opt_texts, texts,
};
use crate::store::postgres::statement::Stmt;
use crate::store::shared::dispatch::with_cursors;
use crate::store::shared::plain::is_plain;

/// The columns of a completed step with nothing to tell but its result, as arrays.
macro_rules! plain {
    () => {
        "unnest(?, ?, ?, ?, ?, ?, ?, ?) AS v
    (run, name, seq, attempts, started_at, executed_at, completed_at, result)"
    };
}

/// What comes before them in an insert.
macro_rules! insert_plain {
    () => {
        "INSERT INTO chrono_forge_execution_logs
    (workflow_id, step_name, seq, state, attempts, started_at, last_executed_at, completed_at, result)
SELECT v.run, v.name, v.seq, 1, v.attempts, v.started_at, v.executed_at, v.completed_at, v.result
FROM "
    };
}

/// What a run's first plan records cannot be there. If it is, because the reply to that plan was lost, the unique
/// index says so and the batch is begun again.
pub(super) const INSERT_NEW: &str = concat!(insert_plain!(), plain!());

/// Looked up and not inserted on trust: a conflict that the index has to settle (`ON CONFLICT`) writes each row
/// twice into the log, and the run's lock keeps everybody else from inserting it meanwhile.
pub(super) const INSERT_PLAIN: &str = concat!(
    insert_plain!(),
    plain!(),
    "
WHERE NOT EXISTS (
    SELECT 1 FROM chrono_forge_execution_logs AS l
    WHERE l.workflow_id = v.run AND l.step_name = v.name
)"
);

/// Leaves alone what says the same already, such as the rows just inserted.
pub(super) const UPDATE_PLAIN: &str = concat!(
    "
UPDATE chrono_forge_execution_logs AS l SET
    seq = v.seq,
    state = 1,
    attempts = v.attempts,
    started_at = coalesce(l.started_at, v.started_at),
    last_executed_at = v.executed_at,
    wake_at = NULL,
    completed_at = v.completed_at,
    error_class = NULL,
    error_message = NULL,
    metadata = NULL,
    context_delta = NULL,
    result = v.result
FROM ",
    plain!(),
    "
WHERE l.workflow_id = v.run AND l.step_name = v.name
    AND (l.state, l.seq, l.attempts, l.last_executed_at, l.completed_at, l.result)
        IS DISTINCT FROM (1::smallint, v.seq, v.attempts, v.executed_at, v.completed_at, v.result)"
);

/// The columns of a record, as arrays.
macro_rules! columns {
    () => {
        "unnest(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) AS v
    (run, name, seq, state, attempts, started_at, executed_at, wake_at, completed_at, error_class,
     error_message, metadata, context_delta, result)"
    };
}

/// What comes before the rows of an upsert.
macro_rules! insert {
    () => {
        "INSERT INTO chrono_forge_execution_logs
    (workflow_id, step_name, seq, state, attempts, started_at, last_executed_at, wake_at,
     completed_at, error_class, error_message, metadata, context_delta, result)
SELECT v.run, v.name, v.seq, v.state::smallint, v.attempts, v.started_at, v.executed_at, v.wake_at,
    v.completed_at, v.error_class, v.error_message, v.metadata, v.context_delta, v.result
FROM "
    };
}

/// What comes after them. A branch row keeps its counters. No plan makes a decided record pending again: one that seems
/// to was cut off from its answer, sent again, and comes late itself, behind what its run recorded since.
macro_rules! on_conflict {
    () => {
        "
ON CONFLICT (workflow_id, step_name) DO UPDATE SET
    seq = excluded.seq,
    state = excluded.state,
    attempts = excluded.attempts,
    started_at = coalesce(chrono_forge_execution_logs.started_at, excluded.started_at),
    last_executed_at = excluded.last_executed_at,
    wake_at = excluded.wake_at,
    completed_at = excluded.completed_at,
    error_class = excluded.error_class,
    error_message = excluded.error_message,
    metadata = excluded.metadata,
    context_delta = excluded.context_delta,
    result = excluded.result
WHERE chrono_forge_execution_logs.state = 0 OR excluded.state <> 0"
    };
}

pub(super) use {columns, insert, on_conflict};

pub(super) const UPSERT: &str = concat!(insert!(), columns!(), on_conflict!());

pub(super) const WITHDRAW: &str = "
DELETE FROM chrono_forge_execution_logs AS l
USING unnest(?, ?) AS v (run, name)
WHERE l.workflow_id = v.run AND l.step_name = v.name AND l.state = 0";

/// A record of a run.
#[derive(Clone, Copy)]
pub(super) struct Of<'a> {
    run: i64,
    record: &'a Record,
    started_at: Option<Timestamp>,
    is_new: bool,
}

impl<'a> Of<'a> {
    /// The record's own metadata.
    pub(super) fn metadata(&self) -> Option<&'a str> {
        self.record.metadata.as_deref()
    }
}

/// The records of a plan; of those with one name the last, since a statement writes a row once.
pub(super) fn of_plan(plan: &Plan) -> Vec<Of<'_>> {
    let of = |record| Of {
        run: plan.fence.run.0,
        record,
        started_at: record.started_at,
        is_new: plan.is_first,
    };
    if plan.records.len() < 2 {
        return plan.records.iter().map(of).collect();
    }
    let mut places: HashMap<&str, usize> = HashMap::with_capacity(plan.records.len());
    let mut records: Vec<Of<'_>> = Vec::with_capacity(plan.records.len());
    for next in plan.records.iter().map(of) {
        match places.entry(&next.record.step_name) {
            Entry::Vacant(name) => {
                name.insert(records.len());
                records.push(next);
            }
            Entry::Occupied(place) => {
                let earlier = &mut records[*place.get()];
                earlier.record = next.record;
                earlier.started_at = earlier.started_at.or(next.started_at);
            }
        }
    }
    records
}

impl<'a> Batch<'a> {
    /// Upserts the records of all plans.
    pub(super) fn insert_records(
        &self,
        conn: &mut PgConnection,
        rows: &Rows<'a>,
        trust: Trust,
    ) -> QueryResult<()> {
        let all = self.live().flat_map(|(_, plan)| of_plan(plan));
        let (plain, others): (Vec<Of<'a>>, Vec<Of<'a>>) =
            all.partition(|of| is_plain(of.record) && !branch::is_branch(&of.record.step_name));
        if !others.is_empty() {
            let metadata = others
                .iter()
                .map(|of| metadata(of, rows))
                .collect::<QueryResult<Vec<_>>>()?;
            let metadata = opt_texts(metadata.iter().map(Option::as_deref));
            Stmt::<()>::new(UPSERT, &binds(&others, metadata)).execute(conn)?;
        }
        let (new, plain): (Vec<Of<'a>>, Vec<Of<'a>>) = plain
            .into_iter()
            .partition(|of| of.is_new && trust == Trust::New);
        if !new.is_empty() {
            Stmt::<()>::new(INSERT_NEW, &plain_binds(&new)).execute(conn)?;
        }
        insert_plain(conn, &plain)
    }

    /// Deletes what the bodies dropped, unless it has an outcome.
    pub(super) fn withdraw_records(&self, conn: &mut PgConnection) -> QueryResult<()> {
        let withdrawn = || {
            self.live().flat_map(|(_, plan)| {
                let run = plan.fence.run.0;
                plan.withdrawals.iter().map(move |of| (run, &*of.step_name))
            })
        };
        if withdrawn().next().is_none() {
            return Ok(());
        }
        let binds = [
            ints(withdrawn().map(|(run, _)| run)),
            texts(withdrawn().map(|(_, name)| name)),
        ];
        Stmt::<()>::new(WITHDRAW, &binds).execute(conn).map(drop)
    }
}

fn insert_plain(conn: &mut PgConnection, records: &[Of<'_>]) -> QueryResult<()> {
    if records.is_empty() {
        return Ok(());
    }
    let binds = plain_binds(records);
    let inserted = Stmt::<()>::new(INSERT_PLAIN, &binds).execute(conn)?;
    if inserted < records.len() {
        Stmt::<()>::new(UPDATE_PLAIN, &binds).execute(conn)?;
    }
    Ok(())
}

/// The values of [`plain`].
fn plain_binds<'b>(records: &[Of<'b>]) -> [Bind<'b>; 8] {
    let each = || records.iter().map(|of| of.record);
    [
        ints(records.iter().map(|of| of.run)),
        texts(each().map(|record| &*record.step_name)),
        opt_ints(each().map(|record| record.seq)),
        ints(each().map(|record| record.attempts.into())),
        opt_instants(records.iter().map(|of| of.started_at)),
        opt_instants(each().map(|record| record.last_executed_at)),
        opt_instants(each().map(|record| record.completed_at)),
        opt_texts(each().map(|record| record.result.as_deref())),
    ]
}

/// The values of [`columns`].
pub(super) fn binds<'b>(records: &[Of<'b>], metadata: Bind<'b>) -> [Bind<'b>; 14] {
    let each = || records.iter().map(|of| of.record);
    [
        ints(records.iter().map(|of| of.run)),
        texts(each().map(|record| &*record.step_name)),
        opt_ints(each().map(|record| record.seq)),
        ints(each().map(|record| record.state as i64)),
        ints(each().map(|record| record.attempts.into())),
        opt_instants(records.iter().map(|of| of.started_at)),
        opt_instants(each().map(|record| record.last_executed_at)),
        deadlines(each().map(|record| record.wake_at)),
        opt_instants(each().map(|record| record.completed_at)),
        messages(each().map(|record| record.error_class.as_deref())),
        messages(each().map(|record| record.error_message.as_deref())),
        metadata,
        opt_texts(each().map(|record| record.context_delta.as_deref())),
        opt_texts(each().map(|record| record.result.as_deref())),
    ]
}

/// A branch row keeps the cursors that dispatch maintains in its metadata.
fn metadata(of: &Of<'_>, rows: &Rows<'_>) -> QueryResult<Option<String>> {
    let Of { run, record, .. } = *of;
    let new = record.metadata.as_deref();
    if !branch::is_branch(&record.step_name) {
        return Ok(new.map(str::to_owned));
    }
    let dispatched = rows
        .dispatches
        .iter()
        .find(|branch| branch.plan.fence.run.0 == run && *branch.name() == *record.step_name);
    let stored = match dispatched {
        Some(branch) => branch::advanced(branch)?,
        None => rows
            .sealed
            .get(&(run, &*record.step_name))
            .cloned()
            .flatten(),
    };
    with_cursors(new, stored.as_deref()).map_err(|error| Error::SerializationError(Box::new(error)))
}
