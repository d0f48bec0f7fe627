//! What a worker holds, by its claims rows: one row per batch of claims, never a scan of the runs.

use diesel::prelude::*;
use diesel::sql_types::BigInt;

use super::bind::id_list;
#[cfg(test)]
use super::statement::Sql;
use super::statement::{Stmt, sql};
use crate::record::{Epoch, RunId, WorkerId};
use crate::store::shared::codes::count;
use crate::store::shared::held::HeldRun;

sql! {
    struct Enter = "
INSERT INTO chrono_forge_claims (worker_id, id, run_ids)
SELECT ?, ifnull(max(id), 0) + 1, ? FROM chrono_forge_claims WHERE worker_id = ?";
}

/// A run that two rows name (claimed, parked and claimed again) is answered once.
const RUNS: &str = "
SELECT DISTINCT w.id, w.lock_epoch, w.crashes
FROM chrono_forge_claims AS c
CROSS JOIN json_each(c.run_ids) AS j
CROSS JOIN chrono_forge_workflows AS w ON w.id = j.value
WHERE c.worker_id = ? AND +w.locked_by = ?
ORDER BY w.id";

/// For the tests of query plans.
#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[Enter::TEXT, RUNS];

/// Enters a batch of claims.
pub(super) fn enter(
    conn: &mut SqliteConnection,
    worker: WorkerId,
    runs: &[RunId],
) -> QueryResult<()> {
    let runs = id_list(runs.iter().map(|run| run.0));
    Stmt::<(), Enter>::of(&[worker.0.into(), runs.into(), worker.0.into()])
        .execute(conn)
        .map(drop)
}

/// What this worker holds.
pub(super) fn runs(conn: &mut SqliteConnection, worker: WorkerId) -> QueryResult<Vec<HeldRun>> {
    let rows: Vec<(i64, i64, i64)> =
        Stmt::<(BigInt, BigInt, BigInt)>::new(RUNS, &[worker.0.into(), worker.0.into()])
            .load(conn)?;
    let held = |(id, epoch, crashes)| HeldRun {
        id: RunId(id),
        epoch: Epoch(epoch),
        crashes: count(crashes),
    };
    Ok(rows.into_iter().map(held).collect())
}

/// Forgets a worker's claims.
pub(super) fn clear(conn: &mut SqliteConnection, worker: WorkerId) -> QueryResult<()> {
    Stmt::<()>::new(
        "DELETE FROM chrono_forge_claims WHERE worker_id = ?",
        &[worker.0.into()],
    )
    .execute(conn)
    .map(drop)
}
