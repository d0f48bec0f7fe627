//! The heartbeat: renews the lease, then compares what the database says with what memory knows.

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool};
use jiff::Timestamp;

use crate::record::{Epoch, RunId, WorkerId};
use crate::store::Heartbeat;
use crate::store::postgres::bind::ints;
use crate::store::postgres::held;
use crate::store::postgres::statement::Stmt;
use crate::store::shared::beats::Beat;
use crate::store::shared::held::{Exception, heartbeat};

pub(super) const RENEW: &str = "
UPDATE chrono_forge_workers SET heartbeat_at = ?, beats = coalesce(?, beats)
WHERE id = ? AND incarnation = ? AND stopped_at IS NULL AND beats BETWEEN ? AND ?";

/// Of the runs that memory holds, those that need a word: lost or woken.
pub(super) const EXCEPTIONS: &str = "
SELECT j.run, j.epoch, coalesce(w.locked_by = ? AND w.lock_epoch = j.epoch, false)
FROM unnest(?, ?) WITH ORDINALITY AS j (run, epoch, place)
LEFT JOIN chrono_forge_workflows AS w ON w.id = j.run
WHERE w.id IS NULL OR w.locked_by IS DISTINCT FROM ? OR w.lock_epoch <> j.epoch OR w.wake_requested
ORDER BY j.place";

/// Renews a worker's lease; `false` when it was declared dead.
pub(in crate::store::postgres) fn renew(
    conn: &mut PgConnection,
    (worker, beat): (WorkerId, Beat),
    now: Timestamp,
) -> QueryResult<bool> {
    let binds = [
        now.into(),
        beat.number.into(),
        worker.0.into(),
        worker.1.0.into(),
        beat.least.into(),
        beat.most.into(),
    ];
    let renewed = Stmt::<()>::new(RENEW, &binds).execute(conn)?;
    Ok(renewed > 0)
}

/// Compares what memory knows with the rows, and prunes the claims.
pub(in crate::store::postgres) fn compare(
    conn: &mut PgConnection,
    worker: WorkerId,
    memory: &[(RunId, Epoch)],
) -> QueryResult<Heartbeat> {
    // Whoever declares this worker dead clears its claims: no row of them may be written after that.
    if super::hold_alive(conn, [worker])?.is_empty() {
        return Ok(Heartbeat {
            worker_dead: true,
            fate: super::fate(conn, worker)?,
            ..Heartbeat::default()
        });
    }
    let held = held::prune(conn, worker)?;
    // Who holds nothing has nothing to be told of.
    if memory.is_empty() {
        return Ok(heartbeat(Vec::new(), held, memory));
    }
    let binds = [
        worker.0.into(),
        ints(memory.iter().map(|(run, _)| run.0)),
        ints(memory.iter().map(|(_, epoch)| epoch.0)),
        worker.0.into(),
    ];
    let exceptions: Vec<Exception> =
        Stmt::<(BigInt, BigInt, Bool)>::new(EXCEPTIONS, &binds).load(conn)?;
    Ok(heartbeat(exceptions, held, memory))
}
