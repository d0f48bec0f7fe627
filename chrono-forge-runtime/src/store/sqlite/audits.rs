//! Audits of branches: which are open, whose turn it is, and what was found.
//!
//! Nothing here is on the way of a run. Reads are pages of an index, writes touch the auditor's own
//! table, except for the repair of a counter that is provably wrong (`recount`) and the wake-up of a
//! parent that provably waits for nothing (`stranded`).

mod children;
mod recount;
mod states;
mod stranded;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable};
use jiff::Timestamp;

use super::bind::instant;
use super::statement::{Batch, Stmt};
use crate::record::{AuditClaim, AuditFinding, BranchSample, RecordId, RunId};
use crate::store::shared::arrivals::Now;
use crate::store::shared::audits::{self, AuditRow, few_children};
use crate::store::shared::codes::{signed, unsigned};
use crate::store::{AuditRequest, AuditScope, AuditWork};

pub(super) use children::{count, counters};
pub(super) use recount::recount;
pub(super) use states::of_run;

/// The index by its name: without it the planner walks the records by their ids, finished ones and all.
const OPEN: &str = "
SELECT o.id, (l.started_at <= ? OR l.started_at > ?) AND (a.execution_log_id IS NULL OR a.next_at IS NULL)
FROM (
    SELECT id FROM chrono_forge_execution_logs INDEXED BY chrono_forge_execution_logs_open
    WHERE pending > 0 AND id > ? ORDER BY id LIMIT ?
) AS o
CROSS JOIN chrono_forge_execution_logs AS l ON l.id = o.id
LEFT JOIN chrono_forge_audits AS a ON a.execution_log_id = o.id
ORDER BY o.id";

/// The next and the last of those that are planned, each by the index.
const PLANNED: &str = "
SELECT
    (SELECT next_at FROM chrono_forge_audits WHERE next_at IS NOT NULL ORDER BY next_at LIMIT 1),
    (SELECT next_at FROM chrono_forge_audits WHERE next_at IS NOT NULL ORDER BY next_at DESC LIMIT 1)";

/// A branch that has a row keeps it, unless it was over.
const ENTER: &str = "
INSERT INTO chrono_forge_audits (execution_log_id, next_at, sampled_at, spawned, pending)
SELECT l.id, v.column2, v.column3, l.spawned, l.pending
FROM (VALUES {(?, ?, ?)}) AS v
CROSS JOIN chrono_forge_execution_logs AS l ON l.id = v.column1
WHERE true
ON CONFLICT (execution_log_id) DO UPDATE SET
    next_at = excluded.next_at,
    sampled_at = excluded.sampled_at,
    spawned = excluded.spawned,
    pending = excluded.pending
WHERE next_at IS NULL";

macro_rules! select_audits {
    ($from:literal, $filter:literal) => {
        concat!(
            "SELECT a.execution_log_id, a.round, a.sampled_at, a.spawned, a.pending, l.spawned FROM ",
            $from,
            " LEFT JOIN chrono_forge_execution_logs AS l ON l.id = a.execution_log_id ",
            $filter
        )
    };
}

/// A row whose record is gone is answered, too, so that its audit removes it.
const DUE: &str = select_audits!(
    "chrono_forge_audits AS a",
    "WHERE a.next_at <= ? ORDER BY a.next_at LIMIT ?"
);

const NAMED: &str = select_audits!(
    "(VALUES {(?)}) AS v CROSS JOIN chrono_forge_audits AS a ON a.execution_log_id = v.column1",
    ""
);

const CLAIM: &str = "
UPDATE chrono_forge_audits SET round = v.column2 + 1, next_at = v.column3
FROM (VALUES {(?, ?, ?)}) AS v
WHERE execution_log_id = v.column1 AND round = v.column2";

const RECORD: &str = "
UPDATE chrono_forge_audits SET
    next_at = v.column3,
    sampled_at = v.column4,
    spawned = v.column5,
    pending = v.column6,
    audited_at = v.column4,
    never_started = v.column7,
    rate_micros = v.column8
FROM (VALUES {(?, ?, ?, ?, ?, ?, ?, ?)}) AS v
WHERE execution_log_id = v.column1 AND round = v.column2";

/// A repair stays on record: it is a sign of damage that operators may look for later.
const FORGET: &str = "
DELETE FROM chrono_forge_audits
WHERE execution_log_id IN (
    SELECT a.execution_log_id
    FROM (VALUES {(?, ?)}) AS v
    CROSS JOIN chrono_forge_audits AS a ON a.execution_log_id = v.column1
    WHERE a.round = v.column2 AND a.repairs = 0
)";

/// For the tests of query plans.
#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[
    OPEN,
    PLANNED,
    ENTER,
    DUE,
    NAMED,
    CLAIM,
    RECORD,
    FORGET,
    children::COUNTERS,
    children::PAGE,
    recount::BRANCH,
    recount::REPAIR,
    recount::NOTE,
    states::STATES,
    stranded::PARENTS,
    stranded::STRANDED,
];

/// What there is to do; see [`Store::audit_work`](crate::store::Store::audit_work).
pub(super) fn work(
    conn: &mut SqliteConnection,
    after: RecordId,
    limit: u32,
    (opened_by, now): (Timestamp, Timestamp),
) -> QueryResult<AuditWork> {
    let binds = [opened_by.into(), now.into(), after.0.into(), limit.into()];
    let open: Vec<(i64, i64)> = Stmt::<(BigInt, BigInt)>::new(OPEN, &binds).load(conn)?;
    type Planned = (Nullable<BigInt>, Nullable<BigInt>);
    let planned: Vec<(Option<i64>, Option<i64>)> = Stmt::<Planned>::new(PLANNED, &[]).load(conn)?;
    let (next, last) = planned.into_iter().next().unwrap_or_default();
    let open: Vec<(i64, bool)> = open
        .into_iter()
        .map(|(id, is_new)| (id, is_new != 0))
        .collect();
    let planned = (next.map(instant), last.map(instant));
    Ok(audits::work(&open, limit, planned))
}

/// Enters branches; see [`Writer::enter_audits`](crate::store::Writer::enter_audits).
pub(super) fn enter(
    conn: &mut SqliteConnection,
    branches: &[RecordId],
    due_at: Timestamp,
    now: Timestamp,
) -> QueryResult<()> {
    let mut batch = Batch::with_capacity(ENTER, branches.len());
    for branch in branches {
        batch.push([branch.0.into(), due_at.into(), now.into()]);
    }
    batch.execute(conn).map(drop)
}

/// Takes audits; see [`Writer::claim_audits`](crate::store::Writer::claim_audits).
pub(super) fn claim(
    conn: &mut SqliteConnection,
    request: &AuditRequest<'_>,
    now: Timestamp,
) -> QueryResult<Vec<AuditClaim>> {
    let rows = match request.scope {
        AuditScope::Due {
            limit,
            children_max,
        } => {
            let binds = [now.into(), limit.into()];
            few_children(load(conn, Stmt::new(DUE, &binds))?, children_max)
        }
        AuditScope::Of(branches) => {
            enter(conn, branches, request.lease_until, now)?;
            let mut batch = Batch::with_capacity(NAMED, branches.len());
            for branch in branches {
                batch.push([branch.0.into()]);
            }
            let mut rows = Vec::new();
            for chunk in batch.chunks() {
                rows.extend(load(conn, chunk)?);
            }
            rows
        }
    };
    let mut batch = Batch::with_capacity(CLAIM, rows.len());
    for row in &rows {
        let until = request.lease_until.into();
        batch.push([row.branch.into(), row.round.into(), until]);
    }
    batch.execute(conn)?;
    Ok(rows.into_iter().map(AuditRow::claimed).collect())
}

type Columns = (BigInt, BigInt, BigInt, BigInt, BigInt, Nullable<BigInt>);

fn load(conn: &mut SqliteConnection, statement: Stmt<'_, Columns>) -> QueryResult<Vec<AuditRow>> {
    let rows: Vec<(i64, i64, i64, i64, i64, Option<i64>)> = statement.load(conn)?;
    let audit = |(branch, round, at, spawned, pending, children)| AuditRow {
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

/// Writes results; see [`Writer::record_audits`](crate::store::Writer::record_audits).
pub(super) fn record(
    conn: &mut SqliteConnection,
    findings: &[AuditFinding],
    now: Now,
) -> QueryResult<Vec<RunId>> {
    let over: Vec<RecordId> = findings
        .iter()
        .filter(|finding| finding.is_over)
        .map(|finding| finding.branch)
        .collect();
    let parents = stranded::wake(conn, &over, now)?;
    let mut write = Batch::with_capacity(RECORD, findings.len());
    let mut forget = Batch::with_capacity(FORGET, over.len());
    for finding in findings {
        let is_over = finding.is_over && !parents.at_work.contains(&finding.branch);
        write.push([
            finding.branch.0.into(),
            signed(finding.round).into(),
            (!is_over).then_some(finding.next_at).into(),
            finding.sample.at.into(),
            signed(finding.sample.spawned).into(),
            signed(finding.sample.pending).into(),
            signed(finding.never_started).into(),
            finding.rate_micros.map(signed).into(),
        ]);
        if is_over {
            forget.push([finding.branch.0.into(), signed(finding.round).into()]);
        }
    }
    write.execute(conn)?;
    forget.execute(conn)?;
    Ok(parents.woken)
}
