//! Workers: a row each, alive until it is stopped by itself or declared dead.

mod death;
mod heartbeat;
pub(super) mod trouble;

use std::collections::BTreeMap;

use diesel::prelude::*;
use diesel::sql_types::BigInt;
use jiff::Timestamp;

use super::bind::{id_list, instant, name_list, pair_list};
use super::held;
use super::statement::Stmt;
use crate::record::{Epoch, RunId, WorkerId};
use crate::store::shared::codes::{lease_of, micros_of};
use crate::store::{WorkerEntry, WorkerRow};

pub(super) use death::declare_dead;
pub(super) use heartbeat::heartbeat;

/// Makes runs due that their worker no longer holds. The epoch rises, so that whatever their passes
/// still send is fenced.
const HAND_BACK: &str = "
UPDATE chrono_forge_workflows SET
    state = 0,
    wake_at = ?,
    locked_by = NULL,
    lock_epoch = lock_epoch + 1,
    crashes = crashes + ?,
    updated_at = ?
WHERE id IN (SELECT value FROM json_each(?))";

/// For the tests of query plans.
#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[
    HAND_BACK,
    STILL_HELD,
    heartbeat::EXCEPTIONS,
    death::POISON,
    trouble::CAME_BACK,
    trouble::QUARANTINE,
    death::EXPLAIN,
    death::BLOCK,
];

/// Enters a worker as alive.
pub(super) fn register(
    conn: &mut SqliteConnection,
    worker: &WorkerEntry<'_>,
    now: Timestamp,
) -> QueryResult<WorkerId> {
    let rows: Vec<(i64,)> = Stmt::<(BigInt,)>::new(
        "INSERT INTO chrono_forge_workers
            (name, host, pid, workflows, queues, started_at, heartbeat_at, lease_micros)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?) RETURNING id",
        &[
            worker.name.into(),
            worker.host.into(),
            worker.pid.into(),
            name_list(worker.workflows).into(),
            name_list(worker.queues).into(),
            now.into(),
            now.into(),
            micros_of(worker.lease).into(),
        ],
    )
    .load(conn)?;
    rows.first()
        .map(|(id,)| WorkerId(*id))
        .ok_or(diesel::result::Error::NotFound)
}

/// Stops a worker that leaves by itself: what it holds becomes due and counts no crash.
pub(super) fn retire(
    conn: &mut SqliteConnection,
    worker: WorkerId,
    now: Timestamp,
) -> QueryResult<()> {
    Stmt::<()>::new(
        "UPDATE chrono_forge_workers SET stopped_at = ? WHERE id = ? AND stopped_at IS NULL",
        &[now.into(), worker.0.into()],
    )
    .execute(conn)?;
    let runs: Vec<i64> = held::runs(conn, worker)?
        .iter()
        .map(|run| run.id.0)
        .collect();
    hand_back(conn, &runs, 0, now)?;
    held::clear(conn, worker)
}

/// Makes these runs due, each with so many more crashes.
pub(super) fn hand_back(
    conn: &mut SqliteConnection,
    runs: &[i64],
    crashes: i64,
    now: Timestamp,
) -> QueryResult<()> {
    if runs.is_empty() {
        return Ok(());
    }
    let list = id_list(runs.iter().copied());
    Stmt::<()>::new(
        HAND_BACK,
        &[now.into(), crashes.into(), now.into(), list.into()],
    )
    .execute(conn)
    .map(drop)
}

/// Of these runs, those that this worker still holds under these epochs.
pub(super) const STILL_HELD: &str = "
SELECT w.id FROM json_each(?) AS j
CROSS JOIN chrono_forge_workflows AS w ON w.id = j.value ->> 0
WHERE +w.locked_by = ? AND w.lock_epoch = j.value ->> 1";

/// See [`Writer::release_orphans`](crate::store::Writer::release_orphans).
pub(super) fn release_orphans(
    conn: &mut SqliteConnection,
    worker: WorkerId,
    orphans: &[(RunId, Epoch)],
    now: Timestamp,
) -> QueryResult<u64> {
    let pairs = pair_list(orphans.iter().map(|(run, epoch)| (run.0, epoch.0)));
    let held: Vec<(i64,)> =
        Stmt::<(BigInt,)>::new(STILL_HELD, &[pairs.into(), worker.0.into()]).load(conn)?;
    let held: Vec<i64> = held.into_iter().map(|(run,)| run).collect();
    hand_back(conn, &held, 0, now)?;
    Ok(held.len() as u64)
}

/// Workers that have not stopped.
pub(super) fn live(conn: &mut SqliteConnection) -> QueryResult<Vec<WorkerRow>> {
    let rows: Vec<(i64, i64, i64)> = Stmt::<(BigInt, BigInt, BigInt)>::new(
        "SELECT id, heartbeat_at, lease_micros FROM chrono_forge_workers
        WHERE stopped_at IS NULL ORDER BY id",
        &[],
    )
    .load(conn)?;
    let worker = |(id, at, lease)| WorkerRow {
        id: WorkerId(id),
        heartbeat_at: instant(at),
        lease: lease_of(lease),
    };
    Ok(rows.into_iter().map(worker).collect())
}

/// Whether a worker may hold runs.
pub(super) fn is_alive(conn: &mut SqliteConnection, worker: WorkerId) -> QueryResult<bool> {
    let rows: Vec<(i64,)> = Stmt::<(BigInt,)>::new(
        "SELECT 1 FROM chrono_forge_workers WHERE id = ? AND stopped_at IS NULL",
        &[worker.0.into()],
    )
    .load(conn)?;
    Ok(!rows.is_empty())
}

/// Whether workers other than this one live on the database.
pub(super) fn others_live(conn: &mut SqliteConnection, worker: WorkerId) -> QueryResult<bool> {
    let rows: Vec<(i64,)> = Stmt::<(BigInt,)>::new(
        "SELECT 1 FROM chrono_forge_workers WHERE stopped_at IS NULL AND id <> ? LIMIT 1",
        &[worker.0.into()],
    )
    .load(conn)?;
    Ok(!rows.is_empty())
}

/// [`is_alive`], asked once per worker of a batch.
#[derive(Default)]
pub(super) struct Alive(BTreeMap<WorkerId, bool>);

impl Alive {
    pub(super) fn contains(
        &mut self,
        conn: &mut SqliteConnection,
        worker: WorkerId,
    ) -> QueryResult<bool> {
        if let Some(alive) = self.0.get(&worker) {
            return Ok(*alive);
        }
        let alive = is_alive(conn, worker)?;
        self.0.insert(worker, alive);
        Ok(alive)
    }
}
