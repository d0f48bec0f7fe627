//! The heartbeat: renews the lease and compares what the database says with what memory knows.

use diesel::prelude::*;
use diesel::sql_types::BigInt;
use jiff::Timestamp;

use crate::record::{Epoch, RunId, WorkerId};
use crate::store::Heartbeat;
use crate::store::shared::beats::Beat;
use crate::store::shared::held::{Exception, HeldRun, heartbeat as answer};
use crate::store::sqlite::bind::pair_list;
use crate::store::sqlite::held;
use crate::store::sqlite::statement::Stmt;

const RENEW: &str = "
UPDATE chrono_forge_workers SET heartbeat_at = ?, beats = ifnull(?, beats)
WHERE id = ? AND incarnation = ? AND stopped_at IS NULL AND beats BETWEEN ? AND ?";

/// Of the runs that memory holds, those that need a word: lost or woken.
pub(super) const EXCEPTIONS: &str = "
SELECT j.value ->> 0, j.value ->> 1, w.locked_by IS ? AND w.lock_epoch IS j.value ->> 1
FROM json_each(?) AS j
LEFT JOIN chrono_forge_workflows AS w ON w.id = j.value ->> 0
WHERE w.locked_by IS NOT ? OR w.lock_epoch IS NOT j.value ->> 1 OR w.wake_requested <> 0";

/// See [`Writer::heartbeat`](crate::store::Writer::heartbeat).
pub(in crate::store::sqlite) fn heartbeat(
    conn: &mut SqliteConnection,
    (worker, beat): (WorkerId, Beat),
    memory: &[(RunId, Epoch)],
    now: Timestamp,
) -> QueryResult<Heartbeat> {
    let renew = [
        now.into(),
        beat.number.into(),
        worker.0.into(),
        worker.1.0.into(),
        beat.least.into(),
        beat.most.into(),
    ];
    if Stmt::<()>::new(RENEW, &renew).execute(conn)? == 0 {
        return Ok(Heartbeat {
            worker_dead: true,
            fate: super::fate(conn, worker)?,
            ..Heartbeat::default()
        });
    }
    let held = held::runs(conn, worker)?;
    prune(conn, worker, &held)?;
    let exceptions = exceptions(conn, worker, memory)?;
    let held = held.into_iter().map(|run| (run.id, run.epoch));
    Ok(answer(exceptions, held, memory))
}

/// Compares what memory knows with the rows.
fn exceptions(
    conn: &mut SqliteConnection,
    worker: WorkerId,
    memory: &[(RunId, Epoch)],
) -> QueryResult<Vec<Exception>> {
    let list = pair_list(memory.iter().map(|(run, epoch)| (run.0, epoch.0)));
    let binds = [worker.0.into(), list.into(), worker.0.into()];
    let rows: Vec<(i64, i64, i64)> =
        Stmt::<(BigInt, BigInt, BigInt)>::new(EXCEPTIONS, &binds).load(conn)?;
    let exception = |(run, epoch, is_ours)| (run, epoch, is_ours != 0);
    Ok(rows.into_iter().map(exception).collect())
}

/// Leaves one claims row with what is still held, so that one long run does not keep the thousand
/// finished ones of its batch on the list. Nothing is written when nothing changed.
fn prune(conn: &mut SqliteConnection, worker: WorkerId, held: &[HeldRun]) -> QueryResult<()> {
    let entries: Vec<(i64, i64)> = Stmt::<(BigInt, BigInt)>::new(
        "SELECT count(*), ifnull(sum(json_array_length(run_ids)), 0)
        FROM chrono_forge_claims WHERE worker_id = ?",
        &[worker.0.into()],
    )
    .load(conn)?;
    let count = held.len() as i64;
    let tidy = (i64::from(count > 0), count);
    if entries == [tidy] {
        return Ok(());
    }
    held::clear(conn, worker)?;
    if held.is_empty() {
        return Ok(());
    }
    let runs: Vec<RunId> = held.iter().map(|run| run.id).collect();
    held::enter(conn, worker, &runs)
}
