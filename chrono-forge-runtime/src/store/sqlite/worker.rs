//! Workers: a row each, alive until it is stopped by itself or declared dead.

mod death;
mod heartbeat;
pub(super) mod trouble;

use std::collections::BTreeMap;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use jiff::Timestamp;

use super::bind::{id_list, instant, name_list, pair_list};
use super::held;
use super::statement::{Stmt, sql};
use crate::record::{Epoch, Incarnation, RunId, WorkerId};
use crate::store::shared::arrivals::Now;
use crate::store::shared::codes::{lease_of, micros_of};
use crate::store::shared::held::fate_of;
use crate::store::shared::serving::{ServingColumns, serving_row};
use crate::store::{Fate, ServingRow, WorkerEntry, WorkerRow};

type ServingTypes = (BigInt, BigInt, Text, Text, BigInt, Text, Text);

pub(super) use death::declare_dead;
pub(super) use heartbeat::heartbeat;

/// Makes runs due that their worker no longer holds. The epoch rises, so that whatever their passes
/// still send is fenced.
const HAND_BACK: &str = "
UPDATE chrono_forge_workflows SET
    state = 0,
    wake_at = ?,
    locked_by = NULL,
    lock_epoch = ((lock_epoch >> 32) + 1) << 32,
    crashes = crashes + ?,
    updated_at = ?
WHERE id IN (SELECT value FROM json_each(?))";

pub(super) const SERVING: &str = "
SELECT id, incarnation, name, host, pid, workflows, queues FROM chrono_forge_workers
WHERE stopped_at IS NULL ORDER BY id";

const LEAVE: &str = "
UPDATE chrono_forge_workers SET stopped_at = ?
WHERE id = ? AND incarnation = ? AND stopped_at IS NULL";

/// For the tests of query plans.
#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[
    HAND_BACK,
    SERVING,
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
    let incarnation = Incarnation::draw();
    let rows: Vec<(i64,)> = Stmt::<(BigInt,)>::new(
        "INSERT INTO chrono_forge_workers
            (name, host, pid, workflows, queues, started_at, heartbeat_at, incarnation, lease_micros)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id",
        &[
            worker.name.into(),
            worker.host.into(),
            worker.pid.into(),
            name_list(worker.workflows).into(),
            name_list(worker.queues).into(),
            now.into(),
            now.into(),
            incarnation.0.into(),
            micros_of(worker.lease).into(),
        ],
    )
    .load(conn)?;
    rows.first()
        .map(|(id,)| WorkerId(*id, incarnation))
        .ok_or(diesel::result::Error::NotFound)
}

/// Stops a worker that leaves by itself: what it holds becomes due and counts no crash.
pub(super) fn retire(conn: &mut SqliteConnection, worker: WorkerId, now: Now) -> QueryResult<()> {
    let stop = [now.into(), worker.0.into(), worker.1.0.into()];
    if Stmt::<()>::new(LEAVE, &stop).execute(conn)? == 0 {
        // Declared dead meanwhile, or another life's: nothing here is its own.
        return Ok(());
    }
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
    now: Now,
) -> QueryResult<()> {
    if runs.is_empty() {
        return Ok(());
    }
    let list = id_list(runs.iter().copied());
    Stmt::<()>::new(
        HAND_BACK,
        &[now.due.into(), crashes.into(), now.into(), list.into()],
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
    now: Now,
) -> QueryResult<u64> {
    let pairs = pair_list(orphans.iter().map(|(run, epoch)| (run.0, epoch.0)));
    let held: Vec<(i64,)> =
        Stmt::<(BigInt,)>::new(STILL_HELD, &[pairs.into(), worker.0.into()]).load(conn)?;
    let held: Vec<i64> = held.into_iter().map(|(run,)| run).collect();
    hand_back(conn, &held, 0, now)?;
    Ok(held.len() as u64)
}

/// What became of a worker that no longer lives.
fn fate(conn: &mut SqliteConnection, worker: WorkerId) -> QueryResult<Fate> {
    let rows: Vec<(i64, i64)> = Stmt::<(BigInt, BigInt)>::new(
        "SELECT incarnation, stopped_at IS NOT NULL FROM chrono_forge_workers WHERE id = ?",
        &[worker.0.into()],
    )
    .load(conn)?;
    let row = |(incarnation, stopped): &(i64, i64)| (*incarnation, *stopped != 0);
    Ok(fate_of(worker, rows.first().map(row)))
}

/// Workers that have not stopped.
pub(super) fn live(conn: &mut SqliteConnection) -> QueryResult<Vec<WorkerRow>> {
    type Columns = (BigInt, BigInt, BigInt, BigInt);
    let rows: Vec<(i64, i64, i64, i64)> = Stmt::<Columns>::new(
        "SELECT id, incarnation, heartbeat_at, lease_micros FROM chrono_forge_workers
        WHERE stopped_at IS NULL ORDER BY id",
        &[],
    )
    .load(conn)?;
    let worker = |(id, incarnation, at, lease)| WorkerRow {
        id: WorkerId(id, Incarnation(incarnation)),
        heartbeat_at: instant(at),
        lease: lease_of(lease),
    };
    Ok(rows.into_iter().map(worker).collect())
}

/// See [`Store::serving`](crate::store::Store::serving).
pub(super) fn serving(conn: &mut SqliteConnection) -> QueryResult<Vec<ServingRow>> {
    let rows: Vec<ServingColumns> = Stmt::<ServingTypes>::new(SERVING, &[]).load(conn)?;
    Ok(rows.into_iter().map(serving_row).collect())
}

sql! {
    struct IsAlive = "
SELECT 1 FROM chrono_forge_workers WHERE id = ? AND incarnation = ? AND stopped_at IS NULL";
}

/// Whether a worker may hold runs.
pub(super) fn is_alive(conn: &mut SqliteConnection, worker: WorkerId) -> QueryResult<bool> {
    let binds = [worker.0.into(), worker.1.0.into()];
    let rows: Vec<(i64,)> = Stmt::<(BigInt,), IsAlive>::of(&binds).load(conn)?;
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
