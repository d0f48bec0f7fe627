//! The recount of a branch with too many children to be counted while nobody commits.
//!
//! Whoever completes or dispatches a child changes the counter in the same transaction. So in one snapshot the
//! counter differs from its children by what is wrong with it, and by nothing else, and that difference stays
//! while others go on: it is found without a lock, and taken off under one.
//!
//! A counter that is too low may meanwhile have been kept at zero, and what was counted down there
//! is lost. In a branch that gets more children it then comes out too high: nobody goes on early,
//! and the next recount takes that off. In one that gets no more, zero is where the parent is
//! woken, so there it is left alone. A counter that is too high never gets there.

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::BigInt;

use super::recount::{lock, repair};
use crate::record::{ChildCount, RecordId, Recount};
use crate::store::BranchLook;
use crate::store::postgres::statement::Stmt;
use crate::store::shared::arrivals::Now;
use crate::store::shared::codes::{signed, unsigned};

/// One statement, so that all of it is of one snapshot. The children as [`PAGE`](super::children::PAGE) has them.
pub(super) const LOOK: &str = "
SELECT l.spawned, l.pending, c.children, c.unfinished, c.never_started, coalesce(a.repairs, 0)
FROM chrono_forge_execution_logs AS l
CROSS JOIN LATERAL (
    SELECT count(*) AS children, count(*) FILTER (WHERE w.state <> 2) AS unfinished,
        count(*) FILTER (WHERE w.started_at IS NULL) AS never_started
    FROM chrono_forge_workflows AS w
    WHERE (w.parent_execution_log_id, w.id) > (?, 0)
        AND (w.parent_execution_log_id, w.id) <= (?, 9223372036854775807)
        AND w.parent_execution_log_id IS NOT NULL
) AS c
LEFT JOIN chrono_forge_audits AS a ON a.execution_log_id = l.id
WHERE l.id = ?";

pub(super) const REPAIRS: &str =
    "SELECT repairs::bigint FROM chrono_forge_audits WHERE execution_log_id = ?";

/// Looks without a lock.
pub(in crate::store::postgres) fn look(
    conn: &mut PgConnection,
    branch: RecordId,
) -> QueryResult<Option<BranchLook>> {
    type Columns = (BigInt, BigInt, BigInt, BigInt, BigInt, BigInt);
    let binds = [branch.0.into(), branch.0.into(), branch.0.into()];
    let rows: Vec<(i64, i64, i64, i64, i64, i64)> =
        Stmt::<Columns>::new(LOOK, &binds).load(conn)?;
    let seen = |(spawned, pending, children, unfinished, never_started, repairs)| BranchLook {
        spawned: unsigned(spawned),
        pending: unsigned(pending),
        count: ChildCount {
            children: unsigned(children),
            unfinished: unsigned(unfinished),
            never_started: unsigned(never_started),
        },
        repairs,
    };
    Ok(rows.into_iter().next().map(seen))
}

/// Takes what was wrong then off the counter of now, unless somebody else has repaired it since.
pub(in crate::store::postgres) fn correct(
    conn: &mut PgConnection,
    branch: RecordId,
    seen: &BranchLook,
    now: Now,
) -> QueryResult<Option<Recount>> {
    let Some(found) = lock(conn, branch)? else {
        return Ok(None);
    };
    let repairs: Vec<(i64,)> = Stmt::<(BigInt,)>::new(REPAIRS, &[branch.0.into()]).load(conn)?;
    let is_untouched = repairs.first().map_or(0, |(repairs,)| *repairs) == seen.repairs;
    let missing = signed(seen.count.unfinished) - signed(seen.pending);
    let is_kept = missing <= 0 || !found.sealed || found.pending > 0;
    let (more, missing) = match is_untouched && is_kept {
        true => (
            (signed(seen.count.children) - signed(seen.spawned)).max(0),
            missing,
        ),
        false => (0, 0),
    };
    let count = ChildCount {
        children: unsigned(found.spawned + more),
        unfinished: unsigned((found.pending + missing).max(0)),
        never_started: seen.count.never_started,
    };
    repair(conn, branch, found.against(count), now).map(Some)
}
