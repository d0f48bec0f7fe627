//! Wake-ups: an idle run becomes due, a running one is told, any other is left alone.

use diesel::prelude::*;
use diesel::sql_types::BigInt;

use super::statement::Batch;
use crate::record::{RunId, RunState};
use crate::store::shared::arrivals::Now;
use crate::store::{Found, Woken};

/// A run that is due already keeps its place in the queue: what it waited for was an instant that is as long ago, or
/// nothing. One that is to wait on is due from now on. One whose body failed and waits to be tried again keeps its
/// instant: a wake-up is no attempt, and would spend the budget of them. That attempt looks at everything.
pub(super) const ROUSE: &str = "
UPDATE chrono_forge_workflows SET
    wake_at = CASE
        WHEN state = 1 THEN NULL
        WHEN options LIKE '%\"waits_to_retry\"%' THEN wake_at
        ELSE min(ifnull(iif(wake_at < -62167219200000000, wake_at,
            wake_at - 126227808000000000), v.column3), v.column3)
    END,
    priority = iif(
        state = 1 OR options LIKE '%\"waits_to_retry\"%' OR priority < 12,
        priority, (priority - 12) * 3 + 1
    ),
    wake_requested = iif(state = 1 OR options LIKE '%\"waits_to_retry\"%', 1, wake_requested),
    updated_at = v.column2
FROM (VALUES {(?, ?, ?)}) AS v
WHERE chrono_forge_workflows.id = v.column1 AND +chrono_forge_workflows.state IN (0, 1)
RETURNING id, state";

/// Wakes these runs; answers those that are idle or running, with their state.
pub(super) fn rouse(
    conn: &mut SqliteConnection,
    runs: &[i64],
    now: Now,
) -> QueryResult<Vec<(RunId, RunState)>> {
    let mut batch = Batch::with_capacity(ROUSE, runs.len());
    for run in runs {
        batch.push([(*run).into(), now.into(), now.due.into()]);
    }
    let mut woken = Vec::new();
    for chunk in batch.chunks::<(BigInt, BigInt)>() {
        for (id, state) in chunk.load::<(i64, i64)>(conn)? {
            let state = if state == 0 {
                RunState::Idle
            } else {
                RunState::Running
            };
            woken.push((RunId(id), state));
        }
    }
    Ok(woken)
}

/// Wakes this run; see [`RunAsks::Wake`](crate::store::RunAsks::Wake).
pub(super) fn wake(conn: &mut SqliteConnection, found: Found, now: Now) -> QueryResult<Woken> {
    let Found { run, state, .. } = found;
    rouse(conn, &[run.0], now)?;
    Ok(Woken { run, state })
}
