//! What a worker's row says of its trouble, and what a run is suspected of.

use diesel::prelude::*;

use crate::record::{Epoch, RunId, WorkerId};
use crate::store::shared::held::executes;
use crate::store::sqlite::bind::pair_list;
use crate::store::sqlite::statement::Stmt;

const NOTE_SUSPECTS: &str =
    "UPDATE chrono_forge_workers SET executes = ? WHERE id = ? AND stopped_at IS NULL";

/// Each epoch that is higher was given by whoever took the run away, or by who came later.
pub(super) const CAME_BACK: &str = "
UPDATE chrono_forge_workflows SET crashes = crashes - 1
WHERE crashes > 0 AND state < 2 AND id IN (
    SELECT w.id FROM json_each(?) AS j
    CROSS JOIN chrono_forge_workflows AS w ON w.id = j.value ->> 0
    WHERE w.lock_epoch > j.value ->> 1)";

pub(super) const QUARANTINE: &str = "
UPDATE chrono_forge_workflows SET crashes = max(crashes, ?) WHERE id = ? AND state < 2";

const NOTE_STUCK: &str = "UPDATE chrono_forge_workers SET stuck = ? WHERE id = ?";

/// See [`Writer::note_suspects`](crate::store::Writer::note_suspects).
pub(in crate::store::sqlite) fn note_suspects(
    conn: &mut SqliteConnection,
    worker: WorkerId,
    suspects: &[(RunId, Epoch)],
) -> QueryResult<()> {
    let binds = [executes(suspects).into(), worker.0.into()];
    Stmt::<()>::new(NOTE_SUSPECTS, &binds)
        .execute(conn)
        .map(drop)
}

/// See [`Writer::came_back`](crate::store::Writer::came_back).
pub(in crate::store::sqlite) fn came_back(
    conn: &mut SqliteConnection,
    held: &[(RunId, Epoch)],
) -> QueryResult<()> {
    let pairs = pair_list(held.iter().map(|(run, epoch)| (run.0, epoch.0)));
    Stmt::<()>::new(CAME_BACK, &[pairs.into()])
        .execute(conn)
        .map(drop)
}

/// See [`Writer::quarantine`](crate::store::Writer::quarantine).
pub(in crate::store::sqlite) fn quarantine(
    conn: &mut SqliteConnection,
    run: RunId,
    crashes: u32,
) -> QueryResult<()> {
    Stmt::<()>::new(QUARANTINE, &[crashes.into(), run.0.into()])
        .execute(conn)
        .map(drop)
}

/// See [`Writer::note_stuck`](crate::store::Writer::note_stuck).
pub(in crate::store::sqlite) fn note_stuck(
    conn: &mut SqliteConnection,
    worker: WorkerId,
    stuck: Option<&str>,
) -> QueryResult<()> {
    Stmt::<()>::new(NOTE_STUCK, &[stuck.into(), worker.0.into()])
        .execute(conn)
        .map(drop)
}
