//! Which records a retry re-arms: those at the tail of the history, or those that were named.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};

use crate::record::{RecordId, RunId};
use crate::store::shared::tail::{Found, Named, Tails, candidates, listed, resolve};
use crate::store::sqlite::records::repeat_names;
use crate::store::sqlite::statement::{Batch, Stmt};

/// For each run the place of what stalled it and of the last success before that which the body received.
/// A stalled run received its failure last, so what has a later place was dropped unseen and says nothing
/// about the tail.
///
/// Here and below two ranges of the index leave out what repeats have written, of which there may be
/// millions of rows; the repeats' own rows are read by name.
pub(super) const LAST_SUCCESS: &str = "
WITH stalled (run, place) AS (
    SELECT w.id, ifnull(s.seq, 9223372036854775807)
    FROM (VALUES {(?)}) AS v
    CROSS JOIN chrono_forge_workflows AS w ON w.id = v.column1
    LEFT JOIN chrono_forge_execution_logs AS s
        ON s.workflow_id = w.id AND s.step_name = w.stalled_by
)
SELECT stalled.run, stalled.place, max(
    ifnull((
        SELECT max(l.seq) FROM chrono_forge_execution_logs AS l
        WHERE l.workflow_id = stalled.run AND l.step_name < 'repeat$'
            AND +l.state = 1 AND l.seq < stalled.place
    ), 0),
    ifnull((
        SELECT max(l.seq) FROM chrono_forge_execution_logs AS l
        WHERE l.workflow_id = stalled.run AND l.step_name >= 'repeat%'
            AND +l.state = 1 AND l.seq < stalled.place
    ), 0)
)
FROM stalled";

/// Failed records behind that.
pub(super) const TAIL: &str = "
WITH v (run, place) AS (VALUES {(?, ?)})
SELECT v.run, l.seq, l.id, l.step_name
FROM v CROSS JOIN chrono_forge_execution_logs AS l ON l.workflow_id = v.run
WHERE l.step_name < 'repeat$' AND +l.state = 2 AND l.seq > v.place
UNION ALL
SELECT v.run, l.seq, l.id, l.step_name
FROM v CROSS JOIN chrono_forge_execution_logs AS l ON l.workflow_id = v.run
WHERE l.step_name >= 'repeat%' AND +l.state = 2 AND l.seq > v.place";

pub(super) const NAMED: &str = "
SELECT v.column1, l.id, l.step_name, l.state, ifnull(l.seq, 0)
FROM (VALUES {(?, ?, ?)}) AS v
CROSS JOIN chrono_forge_execution_logs AS l
    ON l.workflow_id = v.column2 AND l.step_name = v.column3";

/// Nearly no run has any, so all of them are asked at once.
pub(super) const WITH_REPEATS: &str = "
SELECT v.column1 FROM (VALUES {(?)}) AS v
WHERE EXISTS (
    SELECT 1 FROM chrono_forge_execution_logs AS l
    WHERE l.workflow_id = v.column1 AND l.step_name > 'repeat$' AND l.step_name < 'repeat%'
)";

pub(super) const FAILED: &str = "
SELECT l.step_name FROM chrono_forge_execution_logs AS l
WHERE l.workflow_id = ? AND l.step_name < 'repeat$' AND +l.state = 2
UNION ALL
SELECT l.step_name FROM chrono_forge_execution_logs AS l
WHERE l.workflow_id = ? AND l.step_name >= 'repeat%' AND +l.state = 2
LIMIT 20";

/// In the order of the index.
pub(super) const OTHER: &str = "
SELECT l.id, l.step_name FROM chrono_forge_execution_logs AS l
WHERE l.workflow_id = ? ORDER BY l.step_name LIMIT ?";

/// Failed records at the tails of these runs.
pub(super) fn of_runs(
    conn: &mut SqliteConnection,
    runs: &[RunId],
) -> QueryResult<Vec<(RecordId, String)>> {
    let repeats = repeats_of(conn, runs)?;
    let mut last = Batch::with_capacity(LAST_SUCCESS, runs.len());
    for run in runs {
        last.push([run.0.into()]);
    }
    let mut tails = Tails::default();
    for chunk in last.chunks::<(BigInt, BigInt, BigInt)>() {
        for run in chunk.load::<(i64, i64, i64)>(conn)? {
            tails.add(run, &repeats);
        }
    }
    let mut tail = Batch::with_capacity(TAIL, runs.len());
    for (run, success) in &tails.successes {
        tail.push([(*run).into(), (*success).into()]);
    }
    let mut failed = Vec::new();
    for chunk in tail.chunks::<(BigInt, BigInt, BigInt, Text)>() {
        failed.extend(chunk.load::<(i64, i64, i64, String)>(conn)?);
    }
    Ok(tails.with(failed))
}

/// The rows of the repeats of these runs.
fn repeats_of(conn: &mut SqliteConnection, runs: &[RunId]) -> QueryResult<Vec<Found>> {
    let mut asked = Batch::with_capacity(WITH_REPEATS, runs.len());
    for run in runs {
        asked.push([run.0.into()]);
    }
    let mut batch = Batch::new(NAMED);
    for chunk in asked.chunks::<(BigInt,)>() {
        for (run,) in chunk.load::<(i64,)>(conn)? {
            for name in repeat_names(conn, RunId(run))? {
                batch.push([run.into(), run.into(), name.into()]);
            }
        }
    }
    look_up(conn, &batch)
}

fn look_up(conn: &mut SqliteConnection, batch: &Batch<'_, 3>) -> QueryResult<Vec<Found>> {
    let mut found = Vec::new();
    for chunk in batch.chunks::<(BigInt, BigInt, Text, BigInt, BigInt)>() {
        let rows = chunk.load::<(i64, i64, String, i64, i64)>(conn)?;
        found.extend(rows.into_iter().map(|(nth, id, name, state, seq)| Found {
            nth,
            id,
            name,
            state,
            seq,
        }));
    }
    Ok(found)
}

/// The failed records of these names, each once.
pub(super) fn named(
    conn: &mut SqliteConnection,
    run: RunId,
    names: &[String],
) -> QueryResult<Named> {
    let mut batch = Batch::new(NAMED);
    for (nth, name) in candidates(names) {
        batch.push([nth.into(), run.0.into(), name.into()]);
    }
    let rows = look_up(conn, &batch)?;
    Ok(resolve(names, &rows))
}

/// Failed records of a run, for the message of a refusal.
pub(super) fn failed(conn: &mut SqliteConnection, run: RunId) -> QueryResult<Vec<String>> {
    let binds = [run.0.into(), run.0.into()];
    let rows: Vec<(String,)> = Stmt::<(Text,)>::new(FAILED, &binds).load(conn)?;
    let repeats = repeats_of(conn, &[run])?;
    Ok(listed(
        rows.into_iter().map(|(name,)| name).collect(),
        repeats,
    ))
}

/// A record of a run that is none of these, if there is one.
pub(super) fn other_than(
    conn: &mut SqliteConnection,
    run: RunId,
    records: &[RecordId],
) -> QueryResult<Option<String>> {
    let most = i64::try_from(records.len()).unwrap_or(i64::MAX);
    let binds = [run.0.into(), most.saturating_add(1).into()];
    let rows: Vec<(i64, String)> = Stmt::<(BigInt, Text)>::new(OTHER, &binds).load(conn)?;
    let mut others = rows
        .into_iter()
        .filter(|(id, _)| !records.contains(&RecordId(*id)));
    Ok(others.next().map(|(_, name)| name))
}
