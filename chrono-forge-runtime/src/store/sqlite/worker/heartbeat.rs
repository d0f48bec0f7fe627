//! The heartbeat: renews the lease and compares what the database says with what memory knows.

use std::collections::BTreeSet;

use diesel::prelude::*;
use diesel::sql_types::BigInt;
use jiff::Timestamp;

use crate::record::{RunId, WorkerId};
use crate::store::Heartbeat;
use crate::store::sqlite::bind::id_list;
use crate::store::sqlite::held;
use crate::store::sqlite::statement::Stmt;

const RENEW: &str =
    "UPDATE chrono_forge_workers SET heartbeat_at = ? WHERE id = ? AND stopped_at IS NULL";

/// Of the runs that memory holds, those that need a word: lost or woken.
pub(super) const EXCEPTIONS: &str = "
SELECT j.value, w.locked_by IS ?
FROM json_each(?) AS j
LEFT JOIN chrono_forge_workflows AS w ON w.id = j.value
WHERE w.locked_by IS NOT ? OR w.wake_requested <> 0";

/// See [`Writer::heartbeat`](crate::store::Writer::heartbeat).
pub(in crate::store::sqlite) fn heartbeat(
    conn: &mut SqliteConnection,
    worker: WorkerId,
    memory: &[RunId],
    now: Timestamp,
) -> QueryResult<Heartbeat> {
    if Stmt::<()>::new(RENEW, &[now.into(), worker.0.into()]).execute(conn)? == 0 {
        return Ok(Heartbeat {
            worker_dead: true,
            ..Heartbeat::default()
        });
    }
    let memory: BTreeSet<RunId> = memory.iter().copied().collect();
    let (known, orphans): (Vec<RunId>, Vec<RunId>) = held::runs(conn, worker)?
        .into_iter()
        .map(|run| run.id)
        .partition(|run| memory.contains(run));
    let orphans: Vec<i64> = orphans.into_iter().map(|run| run.0).collect();
    super::hand_back(conn, &orphans, 0, now)?;
    prune(conn, worker, &known)?;
    let mut answer = Heartbeat {
        orphans_released: orphans.len() as u64,
        ..Heartbeat::default()
    };
    let list = id_list(memory.iter().map(|run| run.0));
    let rows: Vec<(i64, i64)> =
        Stmt::<(BigInt, BigInt)>::new(EXCEPTIONS, &[worker.0.into(), list.into(), worker.0.into()])
            .load(conn)?;
    for (run, ours) in rows {
        let side = if ours == 0 {
            &mut answer.lost
        } else {
            &mut answer.woken
        };
        side.push(RunId(run));
    }
    Ok(answer)
}

/// Leaves one claims row with what is still held, so that one long run does not keep the thousand
/// finished ones of its batch on the list. Nothing is written when nothing changed.
fn prune(conn: &mut SqliteConnection, worker: WorkerId, known: &[RunId]) -> QueryResult<()> {
    let entries: Vec<(i64, i64)> = Stmt::<(BigInt, BigInt)>::new(
        "SELECT count(*), ifnull(sum(json_array_length(run_ids)), 0)
        FROM chrono_forge_claims WHERE worker_id = ?",
        &[worker.0.into()],
    )
    .load(conn)?;
    let held = known.len() as i64;
    let tidy = (i64::from(held > 0), held);
    if entries == [tidy] {
        return Ok(());
    }
    held::clear(conn, worker)?;
    if known.is_empty() {
        Ok(())
    } else {
        held::enter(conn, worker, known)
    }
}
