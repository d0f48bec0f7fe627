//! What a worker holds, by its claims rows: one row per batch of claims, never a scan of the runs.

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::BigInt;

use super::bind::ints;
use super::statement::Stmt;
use crate::record::{Epoch, RunId, WorkerId};
use crate::store::shared::codes::count;
use crate::store::shared::held::HeldRun;

const ENTER: &str = "INSERT INTO chrono_forge_claims (worker_id, run_ids) VALUES (?, ?)";

/// A run that two rows name (claimed, parked and claimed again) is answered once. Locked in the order that
/// every transaction locks runs in.
const LOCK: &str = "
SELECT w.id, w.lock_epoch, w.crashes
FROM chrono_forge_workflows AS w
WHERE w.id IN (SELECT unnest(c.run_ids) FROM chrono_forge_claims AS c WHERE c.worker_id = ?)
    AND w.locked_by = ?
ORDER BY w.id
FOR NO KEY UPDATE OF w";

/// One snapshot for all of it: it replaces the rows that it has read, and leaves alone those that other sessions
/// of this worker enter meanwhile.
///
/// A fan-out claims its children as it inserts them, a hundred thousand between two heartbeats, so their ids lie
/// side by side: such a batch is read as a range, for a tenth of what it costs to look each of them up.
const PRUNE: &str = "
WITH old AS (
    DELETE FROM chrono_forge_claims WHERE worker_id = ? RETURNING run_ids
), batch AS (
    SELECT o.run_ids, s.first, s.last, s.last - s.first < 2 * cardinality(o.run_ids) AS is_dense
    FROM old AS o
    CROSS JOIN LATERAL (SELECT min(id) AS first, max(id) AS last FROM unnest(o.run_ids) AS r (id)) AS s
), held AS MATERIALIZED (
    SELECT w.id, w.lock_epoch
    FROM batch AS b
    JOIN chrono_forge_workflows AS w ON w.id BETWEEN b.first AND b.last
    WHERE b.is_dense AND w.locked_by = ?
    UNION
    SELECT w.id, w.lock_epoch
    FROM (SELECT unnest(run_ids) AS id FROM batch WHERE NOT is_dense) AS o
    JOIN chrono_forge_workflows AS w ON w.id = o.id
    WHERE w.locked_by = ?
), kept AS (
    INSERT INTO chrono_forge_claims (worker_id, run_ids)
    SELECT ?, array_agg(id ORDER BY id) FROM held HAVING count(*) > 0
)
SELECT id, lock_epoch FROM held ORDER BY id";

const CLEAR: &str = "DELETE FROM chrono_forge_claims WHERE worker_id = ?";

/// For the tests of query plans.
#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[ENTER, LOCK, PRUNE, CLEAR];

/// Enters a batch of claims.
pub(super) fn enter(conn: &mut PgConnection, worker: WorkerId, runs: &[RunId]) -> QueryResult<()> {
    let runs = ints(runs.iter().map(|run| run.0));
    Stmt::<()>::new(ENTER, &[worker.0.into(), runs])
        .execute(conn)
        .map(drop)
}

/// Locks what this worker holds.
pub(super) fn lock(conn: &mut PgConnection, worker: WorkerId) -> QueryResult<Vec<HeldRun>> {
    let rows: Vec<(i64, i64, i64)> =
        Stmt::<(BigInt, BigInt, BigInt)>::new(LOCK, &[worker.0.into(), worker.0.into()])
            .load(conn)?;
    let held = |(id, epoch, crashes)| HeldRun {
        id: RunId(id),
        epoch: Epoch(epoch),
        crashes: count(crashes),
    };
    Ok(rows.into_iter().map(held).collect())
}

/// Leaves one claims row with what is still held, so that one long run does not keep the thousand finished
/// ones of its batch on the list; answers what is held.
pub(super) fn prune(conn: &mut PgConnection, worker: WorkerId) -> QueryResult<Vec<(RunId, Epoch)>> {
    let worker = worker.0;
    let binds = [worker; 4].map(Into::into);
    let rows: Vec<(i64, i64)> = Stmt::<(BigInt, BigInt)>::new(PRUNE, &binds).load(conn)?;
    let run = |(id, epoch)| (RunId(id), Epoch(epoch));
    Ok(rows.into_iter().map(run).collect())
}

/// Forgets a worker's claims.
pub(super) fn clear(conn: &mut PgConnection, worker: WorkerId) -> QueryResult<()> {
    Stmt::<()>::new(CLEAR, &[worker.0.into()])
        .execute(conn)
        .map(drop)
}
