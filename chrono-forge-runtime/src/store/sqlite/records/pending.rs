//! What a run waits for, for operators.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text};

use super::repeats;
use crate::record::{PendingRow, RunId, RunState};
use crate::store::shared::pending::{BodyColumns, arrange, body_row, ticks_under_way};
use crate::store::sqlite::bind::{instant, name_list};
use crate::store::sqlite::runs::count;
use crate::store::sqlite::statement::Stmt;

/// The newest error is a look-up in the index of attempts, whose expression has no affinity: the unary
/// plus takes it from the other side, too.
macro_rules! pending {
    ($from:literal) => {
        concat!(
            "
SELECT l.step_name, l.attempts, l.metadata, l.last_executed_at, l.wake_at, w.state,
    e.error_class, e.error_message
FROM ",
            $from,
            "
CROSS JOIN chrono_forge_workflows AS w ON w.id = l.workflow_id
LEFT JOIN chrono_forge_error_logs AS e ON e.id = (
    SELECT n.id FROM chrono_forge_error_logs AS n
    WHERE n.workflow_id = l.workflow_id AND ifnull(n.step_name, '') = +l.step_name
    ORDER BY n.attempt DESC LIMIT 1
)
WHERE l.workflow_id = ? AND +l.state = 0"
        )
    };
}

/// In the order of the index, so that nothing is sorted; without what repeats have written.
pub(in crate::store::sqlite) const PENDING: &str = concat!(
    pending!("chrono_forge_execution_logs AS l"),
    " AND l.step_name < 'repeat$'
UNION ALL",
    pending!("chrono_forge_execution_logs AS l"),
    " AND l.step_name >= 'repeat%' LIMIT ?"
);

pub(in crate::store::sqlite) const NAMED: &str = pending!(
    "json_each(?) AS j
CROSS JOIN chrono_forge_execution_logs AS l ON l.workflow_id = ? AND l.step_name = j.value"
);

/// The newest failure of the body has no step.
pub(in crate::store::sqlite) const BODY_OF: &str = "
SELECT w.attempts, w.wake_at, w.state, e.error_class, e.error_message
FROM chrono_forge_workflows AS w
LEFT JOIN chrono_forge_error_logs AS e ON e.id = (
    SELECT n.id FROM chrono_forge_error_logs AS n
    WHERE n.workflow_id = w.id AND ifnull(n.step_name, '') = ''
    ORDER BY n.attempt DESC LIMIT 1
)
WHERE w.id = ? AND w.attempts > 0 AND (w.state = 3 OR w.state IN (0, 1) AND length(w.retry_counts) > 2)";

type BodyTypes = (
    BigInt,
    Nullable<BigInt>,
    BigInt,
    Nullable<Text>,
    Nullable<Text>,
);

type Columns = (
    (Text, BigInt, Nullable<Text>, Nullable<BigInt>),
    (Nullable<BigInt>, BigInt, Nullable<Text>, Nullable<Text>),
);

type Row = (
    (String, i64, Option<String>, Option<i64>),
    (Option<i64>, i64, Option<String>, Option<String>),
);

/// Pending records of a run; see [`Store::pending`](crate::store::Store::pending).
pub(in crate::store::sqlite) fn pending(
    conn: &mut SqliteConnection,
    run: RunId,
    limit: u32,
) -> QueryResult<Vec<PendingRow>> {
    let binds = [run.0.into(), run.0.into(), limit.into()];
    let rows: Vec<Row> = Stmt::<Columns>::new(PENDING, &binds).load(conn)?;
    let mut pending: Vec<PendingRow> = rows.into_iter().map(pending_row).collect();
    let repeats = repeats::names(conn, run)?;
    pending.extend(named(conn, run, &repeats)?);
    let ticks = ticks_under_way(&pending);
    pending.extend(named(conn, run, &ticks)?);
    let body: Vec<BodyColumns> = Stmt::<BodyTypes>::new(BODY_OF, &[run.0.into()]).load(conn)?;
    pending.extend(body.into_iter().map(body_row));
    Ok(arrange(pending, limit))
}

fn named(
    conn: &mut SqliteConnection,
    run: RunId,
    names: &[String],
) -> QueryResult<Vec<PendingRow>> {
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let binds = [name_list(names).into(), run.0.into(), run.0.into()];
    let rows: Vec<Row> = Stmt::<Columns>::new(NAMED, &binds).load(conn)?;
    Ok(rows.into_iter().map(pending_row).collect())
}

fn pending_row((record, rest): Row) -> PendingRow {
    let (step_name, attempts, metadata, last_executed_at) = record;
    let (wake_at, state, class, message) = rest;
    PendingRow {
        step_name,
        attempts: count(attempts),
        metadata: metadata.map(Into::into),
        last_executed_at: last_executed_at.map(instant),
        wake_at: wake_at.map(instant),
        last_error: class.zip(message),
        is_held: state == RunState::Running as i64,
    }
}
