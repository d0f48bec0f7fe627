//! The recount of a branch whose counter looks wrong, under the lock of the branch's row, and before it, as
//! everywhere, its run's: it may have to be woken.
//!
//! Who completes a child or dispatches one changes the counter in the same transaction, with this row locked. So
//! while the lock is held nobody commits either, and what is counted is what the counter has to say. A completion
//! that has its run already and waits here for the counter is counted as running, and counts down later from
//! what is set right now. The children are counted by a statement of their own, whose snapshot begins when
//! the lock is held.
//!
//! That statement has little time, since the commits of all children wait for it. A branch that has too many is
//! counted without the lock; see [`recount_large`](super::recount_large).

use std::time::Duration;

use diesel::connection::SimpleConnection;
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, SmallInt, Text};

use super::children;
use crate::record::{RecordId, Recount, RunId};
use crate::store::postgres::statement::Stmt;
use crate::store::postgres::wake;
use crate::store::shared::arrivals::Now;
use crate::store::shared::audits::BranchFound;
use crate::store::shared::codes::signed;

/// A branch stays with its run.
pub(super) const PARENT: &str = "
SELECT w.id FROM chrono_forge_workflows AS w
WHERE w.id = (SELECT workflow_id FROM chrono_forge_execution_logs WHERE id = ?)
FOR NO KEY UPDATE OF w";

pub(super) const BRANCH: &str = "
SELECT workflow_id, step_name, state, spawned, pending
FROM chrono_forge_execution_logs WHERE id = ? FOR NO KEY UPDATE";

pub(super) const REPAIR: &str =
    "UPDATE chrono_forge_execution_logs SET spawned = ?, pending = ? WHERE id = ?";

pub(super) const NOTE: &str = "
INSERT INTO chrono_forge_audits AS a
    (execution_log_id, next_at, sampled_at, spawned, pending, repairs)
VALUES (?, ?, ?, ?, ?, 1)
ON CONFLICT (execution_log_id) DO UPDATE SET repairs = a.repairs + 1";

/// Every child, in one page.
const ALL: (RunId, RunId) = (RunId(0), RunId(i64::MAX));

/// Recounts; see [`Writer::recount_branch`](crate::store::Writer::recount_branch).
pub(in crate::store::postgres) fn recount(
    conn: &mut PgConnection,
    branch: RecordId,
    most: Duration,
    now: Now,
) -> QueryResult<Option<Recount>> {
    let Some(found) = lock(conn, branch)? else {
        return Ok(None);
    };
    conn.batch_execute(&format!(
        "SET LOCAL statement_timeout TO {}",
        most.as_millis().max(1)
    ))?;
    let (count, _) = children::count(conn, branch, ALL, u32::MAX)?;
    repair(conn, branch, found.against(count), now).map(Some)
}

/// Locks the branch, and before it its run; answers what the counter says.
pub(super) fn lock(conn: &mut PgConnection, branch: RecordId) -> QueryResult<Option<BranchFound>> {
    Stmt::<(BigInt,)>::new(PARENT, &[branch.0.into()]).load::<(i64,)>(conn)?;
    type Columns = (BigInt, Text, SmallInt, BigInt, BigInt);
    let rows: Vec<(i64, String, i16, i64, i64)> =
        Stmt::<Columns>::new(BRANCH, &[branch.0.into()]).load(conn)?;
    let found = |(run, step_name, state, spawned, pending)| BranchFound {
        run,
        step_name,
        sealed: state == 1,
        spawned,
        pending,
    };
    Ok(rows.into_iter().next().map(found))
}

/// Sets the counter right, if it is wrong, while the branch is locked.
pub(super) fn repair(
    conn: &mut PgConnection,
    branch: RecordId,
    mut recount: Recount,
    now: Now,
) -> QueryResult<Recount> {
    if !recount.repaired {
        return Ok(recount);
    }
    let count = recount.count;
    let (spawned, unfinished) = (signed(recount.spawned), signed(count.unfinished));
    let binds = [spawned.into(), unfinished.into(), branch.0.into()];
    Stmt::<()>::new(REPAIR, &binds).execute(conn)?;
    if recount.sealed && count.unfinished == 0 {
        // What the last child would have done.
        recount.woken = !wake::rouse(conn, &[recount.run.0], now)?.is_empty();
    }
    let branch = branch.0.into();
    let binds = [
        branch,
        now.into(),
        now.into(),
        spawned.into(),
        unfinished.into(),
    ];
    Stmt::<()>::new(NOTE, &binds).execute(conn)?;
    Ok(recount)
}
