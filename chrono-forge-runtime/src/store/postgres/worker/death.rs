//! The end of a worker: what it holds goes back to the queue, and what keeps killing workers is stopped.

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text};
use jiff::Timestamp;

use crate::record::{RunId, WorkerId};
use crate::store::postgres::bind::ints;
use crate::store::postgres::held;
use crate::store::postgres::statement::Stmt;
use crate::store::shared::arrivals::Now;
use crate::store::shared::held::{Estate, HeldRun};
use crate::store::{CrashLimits, Recovered};

/// `FOR UPDATE`: changing `stopped_at` alone would not wait for those who are giving it something to hold.
pub(super) const LOCK: &str = "
SELECT id, executes FROM chrono_forge_workers
WHERE id = ? AND incarnation = ? AND stopped_at IS NULL FOR UPDATE";

/// The same if it has not renewed its lease since it was watched. Which instant is written there says nothing: clocks
/// are set, and hosts disagree.
pub(super) const LOCK_UNCHANGED: &str = "
SELECT id, executes FROM chrono_forge_workers
WHERE id = ? AND incarnation = ? AND stopped_at IS NULL AND heartbeat_at = ?
FOR UPDATE";

pub(super) const STOP: &str = "UPDATE chrono_forge_workers SET stopped_at = ? WHERE id = ?";

/// The error row of a poisoned run counts as one more workflow-level failure.
pub(super) const POISON: &str = "
UPDATE chrono_forge_workflows SET
    state = 3,
    locked_by = NULL,
    lock_epoch = ((lock_epoch >> 32) + 1) << 32,
    crashes = crashes + 1,
    attempts = attempts + 1,
    updated_at = ?
WHERE id = ANY(?)";

pub(super) const EXPLAIN: &str = "
INSERT INTO chrono_forge_error_logs
    (workflow_id, attempt, error_class, error_message, created_at)
SELECT id, attempts, 'chrono_forge::Poisoned',
    'the run was held by ' || crashes || ' workers that died, the last ' || ?::text
        || ' of them while it ran in quarantine: find what kills the process (memory, abort, '
        || 'stack overflow), deploy the remedy, then call forge.retry for this run',
    ?
FROM chrono_forge_workflows WHERE id = ANY(?)
ORDER BY id
ON CONFLICT (workflow_id, (coalesce(step_name, '')), attempt) DO NOTHING";

pub(super) const BLOCK: &str = "
INSERT INTO chrono_forge_blocked (workflow_id, parent_execution_log_id, state, since)
SELECT id, parent_execution_log_id, state, ?
FROM chrono_forge_workflows WHERE id = ANY(?)
ORDER BY id
ON CONFLICT (workflow_id) DO UPDATE SET state = excluded.state, since = excluded.since";

type LockedRow = (BigInt, Nullable<Text>);
type Locked = (i64, Option<String>);

/// See [`Writer::declare_dead`](crate::store::Writer::declare_dead).
pub(in crate::store::postgres) fn declare_dead(
    conn: &mut PgConnection,
    worker: WorkerId,
    watched: Option<Timestamp>,
    limits: CrashLimits,
    now: Now,
) -> QueryResult<Option<Recovered>> {
    let life = [worker.0.into(), worker.1.0.into()];
    let found: Vec<Locked> = match watched {
        None => Stmt::<LockedRow>::new(LOCK, &life).load(conn)?,
        Some(watched) => {
            let binds = [worker.0.into(), worker.1.0.into(), watched.into()];
            Stmt::<LockedRow>::new(LOCK_UNCHANGED, &binds).load(conn)?
        }
    };
    let Some((_, executes)) = found.into_iter().next() else {
        return Ok(None);
    };
    let mut recovered = Recovered::default();
    stop(conn, worker, now, |conn, held| {
        let estate = Estate::of(held, executes.as_deref(), limits);
        recovered.due += estate.due();
        let poisoned = estate.poisoned.iter().copied().map(RunId);
        recovered.poisoned.extend(poisoned);
        super::hand_back(conn, &estate.suspected, 1, now)?;
        super::hand_back(conn, &estate.unbegun, 0, now)?;
        poison(conn, &estate.poisoned, limits, now)
    })?;
    Ok(Some(recovered))
}

/// Stops a worker that leaves by itself: what it holds becomes due and counts no crash.
pub(in crate::store::postgres) fn retire(
    conn: &mut PgConnection,
    worker: WorkerId,
    now: Now,
) -> QueryResult<()> {
    let life = [worker.0.into(), worker.1.0.into()];
    let found: Vec<Locked> = Stmt::<LockedRow>::new(LOCK, &life).load(conn)?;
    if found.is_empty() {
        return Ok(());
    }
    stop(conn, worker, now, |conn, held| {
        let runs: Vec<i64> = held.iter().map(|run| run.id.0).collect();
        super::hand_back(conn, &runs, 0, now)
    })
}

/// Stops a worker whose row is locked, and has all that it holds recovered.
///
/// One look is not enough: a commit of the worker that was under way held its run's lock, and may have given the
/// worker new children, which the look that waited for it does not see. Once a look finds nothing there is no run left
/// under whose lock such a commit could be.
fn stop(
    conn: &mut PgConnection,
    worker: WorkerId,
    now: Now,
    mut recover: impl FnMut(&mut PgConnection, &[HeldRun]) -> QueryResult<()>,
) -> QueryResult<()> {
    Stmt::<()>::new(STOP, &[now.into(), worker.0.into()]).execute(conn)?;
    loop {
        let held = held::lock(conn, worker)?;
        if held.is_empty() {
            return held::clear(conn, worker);
        }
        recover(conn, &held)?;
    }
}

fn poison(conn: &mut PgConnection, runs: &[i64], limits: CrashLimits, now: Now) -> QueryResult<()> {
    if runs.is_empty() {
        return Ok(());
    }
    let list = || ints(runs.iter().copied());
    Stmt::<()>::new(POISON, &[now.into(), list()]).execute(conn)?;
    let explain = [limits.poison_at.into(), now.into(), list()];
    Stmt::<()>::new(EXPLAIN, &explain).execute(conn)?;
    Stmt::<()>::new(BLOCK, &[now.into(), list()])
        .execute(conn)
        .map(drop)
}
