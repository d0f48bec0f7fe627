//! Where the branches of a run stand, for operators.

use diesel::data_types::PgTimestamp;
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, SmallInt, Text, Timestamptz};

use crate::record::{BranchState, RecordId, RunId};
use crate::store::postgres::bind::instant;
use crate::store::postgres::statement::Stmt;
use crate::store::shared::audits::{Audited, note};
use crate::store::shared::codes::unsigned;

pub(super) const STATES: &str = "
SELECT l.id, substr(l.step_name, 8), l.state, l.spawned, l.pending, (
        SELECT count(*) FROM chrono_forge_blocked AS b WHERE b.parent_execution_log_id = l.id
    ), a.audited_at, a.pending, a.never_started, a.rate_micros, coalesce(a.repairs, 0)
FROM chrono_forge_execution_logs AS l
LEFT JOIN chrono_forge_audits AS a ON a.execution_log_id = l.id
WHERE l.workflow_id = ? AND l.step_name >= 'branch$' AND l.step_name < 'branch%'
ORDER BY l.step_name
LIMIT ?";

type Columns = (
    (BigInt, Text, SmallInt, BigInt, BigInt, BigInt),
    (Nullable<Timestamptz>, Nullable<BigInt>),
    (Nullable<BigInt>, Nullable<BigInt>, BigInt),
);

type Row = (
    (i64, String, i16, i64, i64, i64),
    (Option<PgTimestamp>, Option<i64>),
    (Option<i64>, Option<i64>, i64),
);

/// Branches by name; see [`Store::branch_states`](crate::store::Store::branch_states).
pub(in crate::store::postgres) fn of_run(
    conn: &mut PgConnection,
    run: RunId,
    limit: u32,
) -> QueryResult<Vec<(RecordId, BranchState)>> {
    let rows: Vec<Row> = Stmt::<Columns>::new(STATES, &[run.0.into(), limit.into()]).load(conn)?;
    Ok(rows.into_iter().map(state).collect())
}

fn state(row: Row) -> (RecordId, BranchState) {
    let (id, name, code, spawned, pending, blocked) = row.0;
    let ((audited_at, sampled), (never_started, rate_micros, repairs)) = (row.1, row.2);
    let mut state = BranchState::new(name, code == 1, unsigned(spawned), unsigned(pending));
    state.blocked = unsigned(blocked);
    state.repairs = unsigned(repairs);
    let audited = audited_at.map(|at| Audited {
        at: instant(at),
        pending: sampled,
        never_started,
        rate_micros,
    });
    note(&mut state, audited);
    (RecordId(id), state)
}
