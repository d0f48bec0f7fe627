//! Workers: a row each, alive until it is stopped by itself or declared dead.

mod death;
mod heartbeat;

use std::collections::BTreeMap;

use diesel::prelude::*;
use diesel::sql_types::BigInt;
use jiff::Timestamp;

use super::bind::{id_list, instant};
use super::held;
use super::statement::Stmt;
use crate::record::WorkerId;
use crate::store::WorkerRow;

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
    heartbeat::EXCEPTIONS,
    death::POISON,
    death::EXPLAIN,
    death::BLOCK,
];

/// Enters a worker as alive.
pub(super) fn register(
    conn: &mut SqliteConnection,
    name: &str,
    host: &str,
    pid: u32,
    now: Timestamp,
) -> QueryResult<WorkerId> {
    let rows: Vec<(i64,)> = Stmt::<(BigInt,)>::new(
        "INSERT INTO chrono_forge_workers (name, host, pid, started_at, heartbeat_at)
        VALUES (?, ?, ?, ?, ?) RETURNING id",
        &[name.into(), host.into(), pid.into(), now.into(), now.into()],
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

/// Workers that have not stopped.
pub(super) fn live(conn: &mut SqliteConnection) -> QueryResult<Vec<WorkerRow>> {
    let rows: Vec<(i64, i64)> = Stmt::<(BigInt, BigInt)>::new(
        "SELECT id, heartbeat_at FROM chrono_forge_workers WHERE stopped_at IS NULL ORDER BY id",
        &[],
    )
    .load(conn)?;
    let worker = |(id, at)| WorkerRow {
        id: WorkerId(id),
        heartbeat_at: instant(at),
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
