//! What a worker's row says of its trouble, and what a run is suspected of.

use diesel::pg::PgConnection;
use diesel::prelude::*;

use crate::record::{Epoch, RunId, WorkerId};
use crate::store::postgres::bind::ints;
use crate::store::postgres::statement::Stmt;
use crate::store::shared::held::executes;

pub(super) const NOTE_SUSPECTS: &str =
    "UPDATE chrono_forge_workers SET executes = ? WHERE id = ? AND stopped_at IS NULL";

/// Each epoch that is higher was given by whoever took the run away, or by who came later. A run that is locked just
/// now is skipped in the order of locks: it keeps a crash too many, which its progress forgives.
pub(super) const CAME_BACK: &str = "
WITH held AS MATERIALIZED (
    SELECT w.id
    FROM unnest(?, ?) AS v (id, epoch)
    JOIN chrono_forge_workflows AS w ON w.id = v.id AND w.lock_epoch > v.epoch
    WHERE w.crashes > 0 AND w.state < 2
    ORDER BY w.id
    FOR NO KEY UPDATE OF w SKIP LOCKED
)
UPDATE chrono_forge_workflows AS w SET crashes = w.crashes - 1 FROM held WHERE w.id = held.id";

pub(super) const QUARANTINE: &str = "
UPDATE chrono_forge_workflows SET crashes = greatest(crashes, ?) WHERE id = ? AND state < 2";

pub(super) const NOTE_STUCK: &str = "UPDATE chrono_forge_workers SET stuck = ? WHERE id = ?";

/// See [`Writer::note_suspects`](crate::store::Writer::note_suspects).
pub(in crate::store::postgres) fn note_suspects(
    conn: &mut PgConnection,
    worker: WorkerId,
    suspects: &[(RunId, Epoch)],
) -> QueryResult<()> {
    let binds = [executes(suspects).into(), worker.0.into()];
    Stmt::<()>::new(NOTE_SUSPECTS, &binds)
        .execute(conn)
        .map(drop)
}

/// See [`Writer::came_back`](crate::store::Writer::came_back).
pub(in crate::store::postgres) fn came_back(
    conn: &mut PgConnection,
    held: &[(RunId, Epoch)],
) -> QueryResult<()> {
    let binds = [
        ints(held.iter().map(|(run, _)| run.0)),
        ints(held.iter().map(|(_, epoch)| epoch.0)),
    ];
    Stmt::<()>::new(CAME_BACK, &binds).execute(conn).map(drop)
}

/// See [`Writer::quarantine`](crate::store::Writer::quarantine).
pub(in crate::store::postgres) fn quarantine(
    conn: &mut PgConnection,
    run: RunId,
    crashes: u32,
) -> QueryResult<()> {
    Stmt::<()>::new(QUARANTINE, &[crashes.into(), run.0.into()])
        .execute(conn)
        .map(drop)
}

/// See [`Writer::note_stuck`](crate::store::Writer::note_stuck).
pub(in crate::store::postgres) fn note_stuck(
    conn: &mut PgConnection,
    worker: WorkerId,
    stuck: Option<&str>,
) -> QueryResult<()> {
    Stmt::<()>::new(NOTE_STUCK, &[stuck.into(), worker.0.into()])
        .execute(conn)
        .map(drop)
}
