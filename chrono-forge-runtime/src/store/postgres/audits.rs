//! Audits of branches: which are open, whose turn it is, and what was found.
//!
//! Nothing here is on the way of a run. Reads are pages of an index, writes touch the auditor's own
//! table, except for the repair of a counter that is provably wrong (`recount`) and the wake-up of a
//! parent that provably waits for nothing (`stranded`). Rows of audits are locked last, by their branches.

mod children;
mod claim;
mod recount;
mod recount_large;
mod states;
mod stranded;

use diesel::data_types::PgTimestamp;
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Nullable, Timestamptz};
use jiff::Timestamp;

use super::bind::{Bind, instant, instants, ints, stored};
use super::statement::Stmt;
use crate::record::{AuditFinding, RecordId, RunId};
use crate::store::AuditWork;
use crate::store::shared::arrivals::Now;
use crate::store::shared::audits;
use crate::store::shared::codes::signed;

pub(super) use children::{count, counters};
pub(super) use claim::{claim, enter};
pub(super) use recount::recount;
pub(super) use recount_large::{correct, look};
pub(super) use states::of_run;

const OPEN: &str = "
SELECT l.id, coalesce(l.started_at <= ? OR l.started_at > ?, false) AND (a.execution_log_id IS NULL OR a.next_at IS NULL)
FROM (
    SELECT o.id, o.started_at FROM chrono_forge_execution_logs AS o
    WHERE o.pending > 0 AND o.id > ? ORDER BY o.id LIMIT ?
) AS l
LEFT JOIN chrono_forge_audits AS a ON a.execution_log_id = l.id
ORDER BY l.id";

/// The next and the last of those that are planned, each by the index.
const PLANNED: &str = "
SELECT
    (SELECT next_at FROM chrono_forge_audits WHERE next_at IS NOT NULL ORDER BY next_at LIMIT 1),
    (SELECT next_at FROM chrono_forge_audits WHERE next_at IS NOT NULL ORDER BY next_at DESC LIMIT 1)";

const RECORD: &str = "
UPDATE chrono_forge_audits AS a SET
    next_at = v.next_at,
    sampled_at = v.sampled_at,
    spawned = v.spawned,
    pending = v.pending,
    audited_at = v.sampled_at,
    never_started = v.never_started,
    rate_micros = v.rate_micros
FROM unnest(?, ?, ?, ?, ?, ?, ?, ?)
    AS v (id, round, next_at, sampled_at, spawned, pending, never_started, rate_micros)
WHERE a.execution_log_id = v.id AND a.round = v.round";

/// A repair stays on record: it is a sign of damage that operators may look for later.
const FORGET: &str = "
DELETE FROM chrono_forge_audits AS a USING unnest(?, ?) AS v (id, round)
WHERE a.execution_log_id = v.id AND a.round = v.round AND a.repairs = 0";

/// For the tests of query plans.
#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[
    OPEN,
    PLANNED,
    RECORD,
    FORGET,
    claim::ENTER,
    claim::DUE,
    claim::NAMED,
    claim::CLAIM,
    children::COUNTERS,
    children::PAGE,
    recount::PARENT,
    recount::BRANCH,
    recount::REPAIR,
    recount::NOTE,
    recount_large::LOOK,
    recount_large::REPAIRS,
    states::STATES,
    stranded::PARENTS,
    stranded::STRANDED,
];

/// What there is to do; see [`Store::audit_work`](crate::store::Store::audit_work).
pub(super) fn work(
    conn: &mut PgConnection,
    after: RecordId,
    limit: u32,
    (opened_by, now): (Timestamp, Timestamp),
) -> QueryResult<AuditWork> {
    let binds = [opened_by.into(), now.into(), after.0.into(), limit.into()];
    let open: Vec<(i64, bool)> = Stmt::<(BigInt, Bool)>::new(OPEN, &binds).load(conn)?;
    type Planned = (Nullable<Timestamptz>, Nullable<Timestamptz>);
    type Row = (Option<PgTimestamp>, Option<PgTimestamp>);
    let planned: Vec<Row> = Stmt::<Planned>::new(PLANNED, &[]).load(conn)?;
    let (next, last) = planned.into_iter().next().unwrap_or_default();
    let planned = (next.map(instant), last.map(instant));
    Ok(audits::work(&open, limit, planned))
}

/// Writes results; see [`Writer::record_audits`](crate::store::Writer::record_audits).
pub(super) fn record(
    conn: &mut PgConnection,
    findings: &[AuditFinding],
    now: Now,
) -> QueryResult<Vec<RunId>> {
    let over = findings.iter().filter(|finding| finding.is_over);
    let over: Vec<RecordId> = over.map(|finding| finding.branch).collect();
    let parents = stranded::wake(conn, &over, now)?;
    let mut findings: Vec<AuditFinding> = findings.to_vec();
    findings.sort_unstable_by_key(|finding| finding.branch);
    for finding in &mut findings {
        finding.is_over &= !parents.at_work.contains(&finding.branch);
    }
    write(conn, &findings)?;
    let over = || findings.iter().filter(|finding| finding.is_over);
    let binds = [
        ints(over().map(|finding| finding.branch.0)),
        ints(over().map(|finding| signed(finding.round))),
    ];
    Stmt::<()>::new(FORGET, &binds).execute(conn)?;
    Ok(parents.woken)
}

fn write(conn: &mut PgConnection, findings: &[AuditFinding]) -> QueryResult<()> {
    let next_at = |finding: &AuditFinding| (!finding.is_over).then(|| stored(finding.next_at));
    let column =
        |value: fn(&AuditFinding) -> u64| ints(findings.iter().map(|it| signed(value(it))));
    let binds = [
        ints(findings.iter().map(|finding| finding.branch.0)),
        column(|finding| finding.round),
        Bind::Instants(findings.iter().map(next_at).collect()),
        instants(findings.iter().map(|finding| finding.sample.at)),
        column(|finding| finding.sample.spawned),
        column(|finding| finding.sample.pending),
        column(|finding| finding.never_started),
        Bind::Ints(
            findings
                .iter()
                .map(|it| it.rate_micros.map(signed))
                .collect(),
        ),
    ];
    Stmt::<()>::new(RECORD, &binds).execute(conn).map(drop)
}
