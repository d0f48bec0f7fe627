//! The recount of a branch whose counter looks wrong, under the lock that all commits need.
//!
//! While it is held no child can finish and none can be dispatched, so what is counted is what the
//! counter has to say. That costs every writer about a microsecond a child, which is why nothing but a
//! mismatch leads here.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};

use super::children;
use crate::record::{RecordId, Recount, RunId};
use crate::store::shared::arrivals::Now;
use crate::store::shared::audits::BranchFound;
use crate::store::shared::codes::signed;
use crate::store::sqlite::statement::Stmt;
use crate::store::sqlite::wake;

pub(in crate::store::sqlite) const BRANCH: &str = "
SELECT workflow_id, step_name, state, spawned, pending
FROM chrono_forge_execution_logs WHERE id = ?";

pub(in crate::store::sqlite) const REPAIR: &str =
    "UPDATE chrono_forge_execution_logs SET spawned = ?, pending = ? WHERE id = ?";

pub(in crate::store::sqlite) const NOTE: &str = "
INSERT INTO chrono_forge_audits (execution_log_id, next_at, sampled_at, spawned, pending, repairs)
VALUES (?, ?, ?, ?, ?, 1)
ON CONFLICT (execution_log_id) DO UPDATE SET repairs = repairs + 1";

/// Every child, in one page.
const ALL: (RunId, RunId) = (RunId(0), RunId(i64::MAX));

/// Recounts; see [`Writer::recount_branch`](crate::store::Writer::recount_branch).
pub(in crate::store::sqlite) fn recount(
    conn: &mut SqliteConnection,
    branch: RecordId,
    now: Now,
) -> QueryResult<Option<Recount>> {
    type Columns = (BigInt, Text, BigInt, BigInt, BigInt);
    let rows: Vec<(i64, String, i64, i64, i64)> =
        Stmt::<Columns>::new(BRANCH, &[branch.0.into()]).load(conn)?;
    let Some((run, step_name, state, spawned, pending)) = rows.into_iter().next() else {
        return Ok(None);
    };
    let found = BranchFound {
        run,
        step_name,
        sealed: state == 1,
        spawned,
        pending,
    };
    let (count, _) = children::count(conn, branch, ALL, u32::MAX)?;
    let mut recount = found.against(count);
    if !recount.repaired {
        return Ok(Some(recount));
    }
    let (spawned, unfinished) = (signed(recount.spawned), signed(count.unfinished));
    let binds = [spawned.into(), unfinished.into(), branch.0.into()];
    Stmt::<()>::new(REPAIR, &binds).execute(conn)?;
    let binds = [
        branch.0.into(),
        now.into(),
        now.into(),
        spawned.into(),
        unfinished.into(),
    ];
    Stmt::<()>::new(NOTE, &binds).execute(conn)?;
    if recount.sealed && count.unfinished == 0 {
        // What the last child would have done.
        recount.woken = !wake::rouse(conn, &[run], now)?.is_empty();
    }
    Ok(Some(recount))
}
