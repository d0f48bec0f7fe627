//! Workers: a row each, alive until it is stopped by itself or declared dead.
//!
//! Whoever gives a worker something to hold has its row locked `FOR KEY SHARE` and found it alive; whoever stops
//! it locks the row `FOR UPDATE`. So nothing is given to a worker that stops. A heartbeat changes no key and waits
//! for neither of the former.

mod death;
mod heartbeat;
pub(super) mod trouble;

use std::collections::BTreeSet;

use diesel::data_types::PgTimestamp;
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Text, Timestamptz};
use jiff::Timestamp;

use super::bind::{due, instant, ints};
use super::statement::Stmt;
use crate::record::{Epoch, Incarnation, RunId, WorkerId};
use crate::store::shared::arrivals::Now;
use crate::store::shared::codes::{lease_of, micros_of};
use crate::store::shared::held::fate_of;
use crate::store::shared::serving::{ServingColumns, serving_row};
use crate::store::{Fate, ServingRow, WorkerEntry, WorkerRow};

type ServingTypes = (BigInt, BigInt, Text, Text, BigInt, Text, Text);

pub(super) use death::{declare_dead, retire};
pub(super) use heartbeat::{compare, renew};

const REGISTER: &str = "
INSERT INTO chrono_forge_workers
    (name, host, pid, workflows, queues, started_at, heartbeat_at, incarnation, lease_micros)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id";

const HOLD_ALIVE: &str = "
SELECT id, incarnation FROM chrono_forge_workers
WHERE id = ANY(?) AND stopped_at IS NULL
ORDER BY id
FOR KEY SHARE";

/// Makes runs due that their worker no longer holds. The epoch rises, so that whatever their passes still send
/// is fenced.
const HAND_BACK: &str = "
UPDATE chrono_forge_workflows SET
    state = 0,
    wake_at = ?,
    locked_by = NULL,
    lock_epoch = ((lock_epoch >> 32) + 1) << 32,
    crashes = crashes + ?,
    updated_at = ?
WHERE id = ANY(?)";

/// The same for those that are still held so. They are visited, and locked, in the order of the array.
/// Whose row somebody else has locked is left to a later heartbeat, which finds it again: nobody waits here, since claims
/// come after.
const RELEASE: &str = "
UPDATE chrono_forge_workflows AS w SET
    state = 0,
    wake_at = ?,
    locked_by = NULL,
    lock_epoch = ((w.lock_epoch >> 32) + 1) << 32,
    updated_at = ?
FROM (
    SELECT o.id FROM unnest(?, ?) AS v (id, epoch)
    JOIN chrono_forge_workflows AS o ON o.id = v.id AND o.lock_epoch = v.epoch
    WHERE o.locked_by = ?
    FOR NO KEY UPDATE OF o SKIP LOCKED
) AS free
WHERE w.id = free.id";

const LIVE: &str = "
SELECT id, incarnation, heartbeat_at, lease_micros FROM chrono_forge_workers WHERE stopped_at IS NULL ORDER BY id";

const SERVING: &str = "
SELECT id, incarnation, name, host, pid, workflows, queues FROM chrono_forge_workers
WHERE stopped_at IS NULL ORDER BY id";

/// What became of a worker that no longer lives.
const FATE: &str =
    "SELECT incarnation, stopped_at IS NOT NULL FROM chrono_forge_workers WHERE id = ?";

/// For the tests of query plans.
#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[
    REGISTER,
    HOLD_ALIVE,
    HAND_BACK,
    RELEASE,
    SERVING,
    FATE,
    heartbeat::RENEW,
    heartbeat::EXCEPTIONS,
    death::LOCK,
    death::LOCK_UNCHANGED,
    death::STOP,
    death::POISON,
    trouble::CAME_BACK,
    trouble::QUARANTINE,
    trouble::NOTE_SUSPECTS,
    trouble::NOTE_STUCK,
    death::EXPLAIN,
    death::BLOCK,
];

/// Enters a worker as alive.
pub(super) fn register(
    conn: &mut PgConnection,
    worker: &WorkerEntry<'_>,
    now: Timestamp,
) -> QueryResult<WorkerId> {
    let incarnation = Incarnation::draw();
    let list = |names: &[String]| serde_json::Value::from(names.to_vec()).to_string();
    let binds = [
        worker.name.into(),
        worker.host.into(),
        worker.pid.into(),
        list(worker.workflows).into(),
        list(worker.queues).into(),
        now.into(),
        now.into(),
        incarnation.0.into(),
        micros_of(worker.lease).into(),
    ];
    let rows: Vec<(i64,)> = Stmt::<(BigInt,)>::new(REGISTER, &binds).load(conn)?;
    rows.first()
        .map(|(id,)| WorkerId(*id, incarnation))
        .ok_or(diesel::result::Error::NotFound)
}

/// Of these workers, those that may hold runs; none of them stops before this transaction ends.
pub(super) fn hold_alive(
    conn: &mut PgConnection,
    workers: impl IntoIterator<Item = WorkerId>,
) -> QueryResult<BTreeSet<WorkerId>> {
    let asked: BTreeSet<WorkerId> = workers.into_iter().collect();
    let ids = ints(asked.iter().map(|worker| worker.0));
    let rows: Vec<(i64, i64)> = Stmt::<(BigInt, BigInt)>::new(HOLD_ALIVE, &[ids]).load(conn)?;
    let found = |(id, incarnation)| WorkerId(id, Incarnation(incarnation));
    let found: BTreeSet<WorkerId> = rows.into_iter().map(found).collect();
    Ok(found.intersection(&asked).copied().collect())
}

/// Makes these runs due, each with so many more crashes. The caller has locked them.
pub(super) fn hand_back(
    conn: &mut PgConnection,
    runs: &[i64],
    crashes: i64,
    now: Now,
) -> QueryResult<()> {
    if runs.is_empty() {
        return Ok(());
    }
    let runs = ints(runs.iter().copied());
    Stmt::<()>::new(HAND_BACK, &[due(now.due), crashes.into(), now.into(), runs])
        .execute(conn)
        .map(drop)
}

/// See [`Writer::release_orphans`](crate::store::Writer::release_orphans).
pub(super) fn release_orphans(
    conn: &mut PgConnection,
    worker: WorkerId,
    orphans: &[(RunId, Epoch)],
    now: Now,
) -> QueryResult<u64> {
    let orphans: BTreeSet<_> = orphans.iter().collect();
    let binds = [
        due(now.due),
        now.into(),
        ints(orphans.iter().map(|(run, _)| run.0)),
        ints(orphans.iter().map(|(_, epoch)| epoch.0)),
        worker.0.into(),
    ];
    let released = Stmt::<()>::new(RELEASE, &binds).execute(conn)?;
    Ok(released as u64)
}

/// See [`FATE`].
pub(super) fn fate(conn: &mut PgConnection, worker: WorkerId) -> QueryResult<Fate> {
    let rows: Vec<(i64, bool)> =
        Stmt::<(BigInt, Bool)>::new(FATE, &[worker.0.into()]).load(conn)?;
    Ok(fate_of(worker, rows.into_iter().next()))
}

/// Workers that have not stopped.
pub(super) fn live(conn: &mut PgConnection) -> QueryResult<Vec<WorkerRow>> {
    type Columns = (BigInt, BigInt, Timestamptz, BigInt);
    let rows: Vec<(i64, i64, PgTimestamp, i64)> = Stmt::<Columns>::new(LIVE, &[]).load(conn)?;
    let worker = |(id, incarnation, at, lease)| WorkerRow {
        id: WorkerId(id, Incarnation(incarnation)),
        heartbeat_at: instant(at),
        lease: lease_of(lease),
    };
    Ok(rows.into_iter().map(worker).collect())
}

/// See [`Store::serving`](crate::store::Store::serving).
pub(super) fn serving(conn: &mut PgConnection) -> QueryResult<Vec<ServingRow>> {
    let rows: Vec<ServingColumns> = Stmt::<ServingTypes>::new(SERVING, &[]).load(conn)?;
    Ok(rows.into_iter().map(serving_row).collect())
}
