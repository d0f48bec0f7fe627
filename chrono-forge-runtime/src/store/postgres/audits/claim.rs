//! Entering branches into the audits, and taking audits from there.

use diesel::data_types::PgTimestamp;
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Timestamptz};
use jiff::Timestamp;

use crate::record::{AuditClaim, BranchSample, RecordId};
use crate::store::postgres::bind::{Bind, instant, ints};
use crate::store::postgres::statement::Stmt;
use crate::store::shared::audits::{AuditRow, few_children};
use crate::store::shared::codes::unsigned;
use crate::store::{AuditRequest, AuditScope};

/// A branch that has a row keeps it, unless it was over.
pub(super) const ENTER: &str = "
INSERT INTO chrono_forge_audits AS a (execution_log_id, next_at, sampled_at, spawned, pending)
SELECT l.id, ?::timestamptz, ?::timestamptz, l.spawned, l.pending
FROM unnest(?) AS v (id)
JOIN chrono_forge_execution_logs AS l ON l.id = v.id
ON CONFLICT (execution_log_id) DO UPDATE SET
    next_at = excluded.next_at,
    sampled_at = excluded.sampled_at,
    spawned = excluded.spawned,
    pending = excluded.pending
WHERE a.next_at IS NULL";

macro_rules! select_audits {
    ($from:literal, $filter:literal) => {
        concat!(
            "
SELECT a.execution_log_id, a.round, a.sampled_at, a.spawned, a.pending, l.spawned
FROM ",
            $from,
            "
LEFT JOIN chrono_forge_execution_logs AS l ON l.id = a.execution_log_id
",
            $filter
        )
    };
}

/// A row whose record is gone is answered, too, so that its audit removes it. One that another process is
/// taking just now is its own.
pub(super) const DUE: &str = select_audits!(
    "chrono_forge_audits AS a",
    "WHERE a.next_at <= ? ORDER BY a.next_at LIMIT ? FOR UPDATE OF a SKIP LOCKED"
);

pub(super) const NAMED: &str = select_audits!(
    "unnest(?) AS v (id) JOIN chrono_forge_audits AS a ON a.execution_log_id = v.id",
    "FOR UPDATE OF a"
);

pub(super) const CLAIM: &str = "
UPDATE chrono_forge_audits AS a SET round = v.round + 1, next_at = ?
FROM unnest(?, ?) AS v (id, round)
WHERE a.execution_log_id = v.id AND a.round = v.round";

/// Enters branches; see [`Writer::enter_audits`](crate::store::Writer::enter_audits).
pub(in crate::store::postgres) fn enter(
    conn: &mut PgConnection,
    branches: &[RecordId],
    due_at: Timestamp,
    now: Timestamp,
) -> QueryResult<()> {
    let binds = [due_at.into(), now.into(), in_order(branches)];
    Stmt::<()>::new(ENTER, &binds).execute(conn).map(drop)
}

/// Each once, in the order in which everybody locks them.
fn in_order<'a>(branches: &[RecordId]) -> Bind<'a> {
    let mut ids: Vec<i64> = branches.iter().map(|branch| branch.0).collect();
    ids.sort_unstable();
    ids.dedup();
    ints(ids)
}

/// Takes audits; see [`Writer::claim_audits`](crate::store::Writer::claim_audits).
pub(in crate::store::postgres) fn claim(
    conn: &mut PgConnection,
    request: &AuditRequest<'_>,
    now: Timestamp,
) -> QueryResult<Vec<AuditClaim>> {
    let rows = match request.scope {
        AuditScope::Due {
            limit,
            children_max,
        } => few_children(load(conn, DUE, &[now.into(), limit.into()])?, children_max),
        AuditScope::Of(branches) => {
            enter(conn, branches, request.lease_until, now)?;
            load(conn, NAMED, &[in_order(branches)])?
        }
    };
    let binds = [
        request.lease_until.into(),
        ints(rows.iter().map(|row| row.branch)),
        ints(rows.iter().map(|row| row.round)),
    ];
    Stmt::<()>::new(CLAIM, &binds).execute(conn)?;
    Ok(rows.into_iter().map(AuditRow::claimed).collect())
}

fn load(
    conn: &mut PgConnection,
    sql: &'static str,
    binds: &[Bind<'_>],
) -> QueryResult<Vec<AuditRow>> {
    type Columns = (
        BigInt,
        BigInt,
        Timestamptz,
        BigInt,
        BigInt,
        Nullable<BigInt>,
    );
    type Row = (i64, i64, PgTimestamp, i64, i64, Option<i64>);
    let rows: Vec<Row> = Stmt::<Columns>::new(sql, binds).load(conn)?;
    let audit = |(branch, round, at, spawned, pending, children): Row| AuditRow {
        branch,
        round,
        before: BranchSample {
            at: instant(at),
            spawned: unsigned(spawned),
            pending: unsigned(pending),
        },
        children,
    };
    Ok(rows.into_iter().map(audit).collect())
}
