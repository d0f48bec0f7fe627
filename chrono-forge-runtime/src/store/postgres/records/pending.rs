//! What a run waits for, for operators.

use diesel::data_types::PgTimestamp;
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, SmallInt, Text, Timestamptz};

use super::repeat_rows;
use crate::record::{PendingRow, RunId, RunState};
use crate::store::postgres::bind::{Bind, due_of, instant, names};
use crate::store::postgres::runs::count;
use crate::store::postgres::statement::Stmt;
use crate::store::shared::pending::{arrange, body_row, ticks_under_way};

/// The newest error is a look-up in the index of attempts.
macro_rules! pending {
    ($with:expr, $from:literal) => {
        concat!(
            $with,
            "
SELECT l.step_name, l.attempts, l.metadata, l.last_executed_at, l.wake_at, w.state,
    e.error_class, e.error_message
FROM ",
            $from,
            " AS l
JOIN chrono_forge_workflows AS w ON w.id = l.workflow_id
LEFT JOIN LATERAL (
    SELECT n.error_class, n.error_message FROM chrono_forge_error_logs AS n
    WHERE n.workflow_id = l.workflow_id AND coalesce(n.step_name, '') = l.step_name
    ORDER BY n.attempt DESC LIMIT 1
) AS e ON true"
        )
    };
}

/// In the order of the index, so that nothing is sorted; what repeats have written is left out but for their
/// own rows.
pub(super) const PENDING: &str = pending!(
    repeat_rows!("(VALUES (?::bigint))"),
    "(
    (
        SELECT * FROM chrono_forge_execution_logs
        WHERE workflow_id = ? AND step_name < 'repeat$' AND state = 0
        ORDER BY step_name LIMIT ?
    ) UNION ALL (
        SELECT * FROM chrono_forge_execution_logs
        WHERE workflow_id = ? AND step_name >= 'repeat%' AND state = 0
        ORDER BY step_name LIMIT ?
    ) UNION ALL (
        SELECT * FROM repeat_rows WHERE state = 0
    )
)"
);

pub(super) const NAMED: &str = pending!(
    "",
    "(
    SELECT r.* FROM unnest(?) AS j (step_name)
    CROSS JOIN LATERAL (
        SELECT * FROM chrono_forge_execution_logs AS o
        WHERE o.workflow_id = ? AND o.step_name = j.step_name LIMIT 1
    ) AS r
    WHERE r.state = 0
)"
);

/// The newest failure of the body has no step.
pub(super) const BODY_OF: &str = "
SELECT w.attempts, w.wake_at, w.state::bigint, e.error_class, e.error_message
FROM chrono_forge_workflows AS w
LEFT JOIN LATERAL (
    SELECT n.error_class, n.error_message FROM chrono_forge_error_logs AS n
    WHERE n.workflow_id = w.id AND coalesce(n.step_name, '') = ''
    ORDER BY n.attempt DESC LIMIT 1
) AS e ON true
WHERE w.id = ? AND w.attempts > 0 AND (w.state = 3 OR w.state IN (0, 1) AND length(w.retry_counts) > 2)";

type BodyTypes = (
    BigInt,
    Nullable<Timestamptz>,
    BigInt,
    Nullable<Text>,
    Nullable<Text>,
);

type BodyRow = (
    i64,
    Option<PgTimestamp>,
    i64,
    Option<String>,
    Option<String>,
);

type Columns = (
    (Text, BigInt, Nullable<Text>, Nullable<Timestamptz>),
    (Nullable<Timestamptz>, SmallInt),
    (Nullable<Text>, Nullable<Text>),
);

type Row = (
    (String, i64, Option<String>, Option<PgTimestamp>),
    (Option<PgTimestamp>, i16),
    (Option<String>, Option<String>),
);

/// Pending records of a run; see [`Store::pending`](crate::store::Store::pending).
pub(in crate::store::postgres) fn pending(
    conn: &mut PgConnection,
    run: RunId,
    limit: u32,
) -> QueryResult<Vec<PendingRow>> {
    let (id, most) = (|| run.0.into(), || limit.into());
    let mut pending = load(conn, PENDING, &[id(), id(), most(), id(), most()])?;
    let ticks = ticks_under_way(&pending);
    if !ticks.is_empty() {
        pending.extend(load(conn, NAMED, &[names(&ticks), id()])?);
    }
    let body: Vec<BodyRow> = Stmt::<BodyTypes>::new(BODY_OF, &[id()]).load(conn)?;
    pending.extend(
        body.into_iter()
            .map(|(attempts, at, state, class, message)| {
                let at = at.map(|at| due_of(at).to_micros());
                body_row((attempts, at, state, class, message))
            }),
    );
    Ok(arrange(pending, limit))
}

fn load(
    conn: &mut PgConnection,
    sql: &'static str,
    binds: &[Bind<'_>],
) -> QueryResult<Vec<PendingRow>> {
    let rows: Vec<Row> = Stmt::<Columns>::new(sql, binds).load(conn)?;
    Ok(rows.into_iter().map(pending_row).collect())
}

fn pending_row(row: Row) -> PendingRow {
    let (step_name, attempts, metadata, last_executed_at) = row.0;
    let ((wake_at, state), (class, message)) = (row.1, row.2);
    PendingRow {
        step_name,
        attempts: count(attempts),
        metadata: metadata.map(Into::into),
        last_executed_at: last_executed_at.map(instant),
        wake_at: wake_at.map(instant),
        last_error: class.zip(message),
        is_held: state == RunState::Running as i16,
    }
}
