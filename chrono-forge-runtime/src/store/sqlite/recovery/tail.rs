//! Which records a retry re-arms: those at the tail of the history, or those that were named.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};

use crate::record::{RecordId, RecordState, RunId};
use crate::store::sqlite::statement::{Batch, Stmt};

/// The place of the last success that the body received. A stalled run received its failure last, so
/// what has a later place than that was dropped unseen and says nothing about the tail.
pub(super) const LAST_SUCCESS: &str = "
SELECT w.id, ifnull(max(l.seq), 0)
FROM (VALUES {(?)}) AS v
CROSS JOIN chrono_forge_workflows AS w ON w.id = v.column1
LEFT JOIN chrono_forge_execution_logs AS s
    ON s.workflow_id = w.id AND s.step_name = w.stalled_by
LEFT JOIN chrono_forge_execution_logs AS l
    ON l.workflow_id = w.id AND +l.state = 1 AND l.seq < ifnull(s.seq, 9223372036854775807)
GROUP BY w.id";

/// Failed records behind that. Repetitions have no place: their `repeat$k` stands for them.
pub(super) const TAIL: &str = "
SELECT l.id, l.step_name
FROM (VALUES {(?, ?)}) AS v
CROSS JOIN chrono_forge_execution_logs AS l ON l.workflow_id = v.column1
WHERE +l.state = 2 AND l.seq > v.column2
ORDER BY l.workflow_id, l.seq";

pub(super) const NAMED: &str = "
SELECT v.column1, l.id, l.step_name, l.state
FROM (VALUES {(?, ?, ?)}) AS v
CROSS JOIN chrono_forge_execution_logs AS l
    ON l.workflow_id = v.column2 AND l.step_name = v.column3";

pub(super) const FAILED: &str = "
SELECT l.step_name FROM chrono_forge_execution_logs AS l
WHERE l.workflow_id = ? AND +l.state = 2 AND l.step_name NOT GLOB 'repeat$*$*'
ORDER BY l.step_name LIMIT 20";

/// What a bare key may stand behind.
const KINDS: [&str; 7] = [
    "step",
    "wait",
    "wait_until",
    "continue_if",
    "repeat",
    "branch",
    "merge",
];

/// What names mean.
pub(super) enum Named {
    Found(Vec<(RecordId, String)>),
    /// The first name that does not mean one failed record.
    Missing {
        record: String,
        problem: &'static str,
    },
}

/// Failed records at the tails of these runs.
pub(super) fn of_runs(
    conn: &mut SqliteConnection,
    runs: &[RunId],
) -> QueryResult<Vec<(RecordId, String)>> {
    let mut last = Batch::with_capacity(LAST_SUCCESS, runs.len());
    for run in runs {
        last.push([run.0.into()]);
    }
    let mut tail = Batch::with_capacity(TAIL, runs.len());
    for chunk in last.chunks::<(BigInt, BigInt)>() {
        for (run, seq) in chunk.load::<(i64, i64)>(conn)? {
            tail.push([run.into(), seq.into()]);
        }
    }
    let mut records = Vec::new();
    for chunk in tail.chunks::<(BigInt, Text)>() {
        let rows = chunk.load::<(i64, String)>(conn)?;
        records.extend(rows.into_iter().map(|(id, name)| (RecordId(id), name)));
    }
    Ok(records)
}

/// The failed records of these names, each once.
pub(super) fn named(
    conn: &mut SqliteConnection,
    run: RunId,
    names: &[String],
) -> QueryResult<Named> {
    let mut batch = Batch::new(NAMED);
    for (nth, name) in (0_i64..).zip(names) {
        if name.contains('$') {
            batch.push([nth.into(), run.0.into(), name.into()]);
            continue;
        }
        for kind in KINDS {
            batch.push([nth.into(), run.0.into(), format!("{kind}${name}").into()]);
        }
    }
    let mut rows = Vec::new();
    for chunk in batch.chunks::<(BigInt, BigInt, Text, BigInt)>() {
        rows.extend(chunk.load::<(i64, i64, String, i64)>(conn)?);
    }
    let mut found: Vec<(RecordId, String)> = Vec::new();
    for (nth, name) in (0_i64..).zip(names) {
        let mut failed = rows
            .iter()
            .filter(|row| row.0 == nth && row.3 == RecordState::Failed as i64);
        let problem = match (failed.next(), failed.next()) {
            _ if is_repetition(name) => "is one repetition; name its `repeat$<key>`",
            (Some((_, id, name, _)), None) => {
                if found.iter().all(|(known, _)| known.0 != *id) {
                    found.push((RecordId(*id), name.clone()));
                }
                continue;
            }
            (Some(_), Some(_)) => "means several failed records; give the whole row name",
            (None, _) if rows.iter().any(|row| row.0 == nth) => "has not failed",
            (None, _) => "does not exist",
        };
        return Ok(Named::Missing {
            record: name.clone(),
            problem,
        });
    }
    Ok(Named::Found(found))
}

/// Failed records of a run, for the message of a refusal.
pub(super) fn failed(conn: &mut SqliteConnection, run: RunId) -> QueryResult<Vec<String>> {
    let rows: Vec<(String,)> = Stmt::<(Text,)>::new(FAILED, &[run.0.into()]).load(conn)?;
    Ok(rows.into_iter().map(|(name,)| name).collect())
}

/// `repeat$<key>$<instant>`.
fn is_repetition(name: &str) -> bool {
    name.strip_prefix("repeat$")
        .is_some_and(|rest| rest.contains('$'))
}
