//! Declaring a worker dead: its runs go back to the queue, and those that keep killing are stopped.

use diesel::prelude::*;
use diesel::sql_types::{Nullable, Text};
use jiff::Timestamp;

use crate::record::{RunId, WorkerId};
use crate::store::shared::arrivals::Now;
use crate::store::shared::held::Estate;
use crate::store::sqlite::bind::id_list;
use crate::store::sqlite::held;
use crate::store::sqlite::statement::Stmt;
use crate::store::{CrashLimits, Recovered};

const STOP: &str = "
UPDATE chrono_forge_workers SET stopped_at = ?
WHERE id = ? AND incarnation = ? AND stopped_at IS NULL AND heartbeat_at = ifnull(?, heartbeat_at)";

const EXECUTES: &str = "SELECT executes FROM chrono_forge_workers WHERE id = ?";

/// The error row of a poisoned run counts as one more workflow-level failure.
pub(super) const POISON: &str = "
UPDATE chrono_forge_workflows SET
    state = 3,
    locked_by = NULL,
    lock_epoch = ((lock_epoch >> 32) + 1) << 32,
    crashes = crashes + 1,
    attempts = attempts + 1,
    updated_at = ?
WHERE id IN (SELECT value FROM json_each(?))";

pub(super) const EXPLAIN: &str = "
INSERT INTO chrono_forge_error_logs
    (workflow_id, attempt, error_class, error_message, created_at)
SELECT id, attempts, 'chrono_forge::Poisoned',
    'the run was held by ' || crashes || ' workers that died, the last ' || ?
        || ' of them while it ran in quarantine: find what kills the process (memory, abort, '
        || 'stack overflow), deploy the remedy, then call forge.retry for this run',
    ?
FROM chrono_forge_workflows WHERE id IN (SELECT value FROM json_each(?))
ON CONFLICT DO NOTHING";

pub(super) const BLOCK: &str = "
INSERT INTO chrono_forge_blocked (workflow_id, parent_execution_log_id, state, since)
SELECT id, parent_execution_log_id, state, ?
FROM chrono_forge_workflows WHERE id IN (SELECT value FROM json_each(?))
ON CONFLICT (workflow_id) DO UPDATE SET state = excluded.state, since = excluded.since";

/// See [`Writer::declare_dead`](crate::store::Writer::declare_dead).
pub(in crate::store::sqlite) fn declare_dead(
    conn: &mut SqliteConnection,
    worker: WorkerId,
    watched: Option<Timestamp>,
    limits: CrashLimits,
    now: Now,
) -> QueryResult<Option<Recovered>> {
    let stop = [
        now.into(),
        worker.0.into(),
        worker.1.0.into(),
        watched.into(),
    ];
    if Stmt::<()>::new(STOP, &stop).execute(conn)? == 0 {
        return Ok(None);
    }
    let executes: Vec<(Option<String>,)> =
        Stmt::<(Nullable<Text>,)>::new(EXECUTES, &[worker.0.into()]).load(conn)?;
    let executes = executes.into_iter().next().and_then(|(pairs,)| pairs);
    let estate = Estate::of(&held::runs(conn, worker)?, executes.as_deref(), limits);
    super::hand_back(conn, &estate.suspected, 1, now)?;
    super::hand_back(conn, &estate.unbegun, 0, now)?;
    poison(conn, &estate.poisoned, limits, now)?;
    held::clear(conn, worker)?;
    Ok(Some(Recovered {
        due: estate.due(),
        poisoned: estate.poisoned.into_iter().map(RunId).collect(),
    }))
}

fn poison(
    conn: &mut SqliteConnection,
    runs: &[i64],
    limits: CrashLimits,
    now: Now,
) -> QueryResult<()> {
    if runs.is_empty() {
        return Ok(());
    }
    let list = || id_list(runs.iter().copied());
    Stmt::<()>::new(POISON, &[now.into(), list().into()]).execute(conn)?;
    let explain = [limits.poison_at.into(), now.into(), list().into()];
    Stmt::<()>::new(EXPLAIN, &explain).execute(conn)?;
    Stmt::<()>::new(BLOCK, &[now.into(), list().into()])
        .execute(conn)
        .map(drop)
}
