//! Wake-ups: an idle run becomes due, a running one is told, any other is left alone.

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, SmallInt};
use jiff::Timestamp;

use super::bind::ints;
use super::runs;
use super::statement::Stmt;
use crate::record::{RunId, RunState};
use crate::store::{Found, Woken};

/// A run that is due already keeps its place in the queue (`least` passes over null). One whose body failed and
/// waits to be tried again keeps its instant: a wake-up is no attempt, and would spend the budget of them. That
/// attempt looks at everything. Whoever has the row locked is waited for, and the row then read anew: a park either
/// sees the flag or is made due.
pub(super) const ROUSE: &str = "
UPDATE chrono_forge_workflows AS w SET
    wake_at = CASE
        WHEN w.state = 1 THEN NULL
        WHEN w.options LIKE '%\"waits_to_retry\"%' THEN w.wake_at
        ELSE least(w.wake_at, ?)
    END,
    wake_requested = w.wake_requested OR w.state = 1 OR w.options LIKE '%\"waits_to_retry\"%',
    updated_at = ?
FROM unnest(?) AS v (id)
WHERE w.id = v.id AND w.state IN (0, 1)
RETURNING w.id, w.state";

/// Wakes these runs, one by one in the order of their ids; answers those that are idle or running, with their
/// state.
pub(super) fn rouse(
    conn: &mut PgConnection,
    runs: &[i64],
    now: Timestamp,
) -> QueryResult<Vec<(RunId, RunState)>> {
    if runs.is_empty() {
        return Ok(Vec::new());
    }
    let mut ids = runs.to_vec();
    ids.sort_unstable();
    ids.dedup();
    let binds = [now.into(), now.into(), ints(ids)];
    let rows: Vec<(i64, i16)> = Stmt::<(BigInt, SmallInt)>::new(ROUSE, &binds).load(conn)?;
    let woken = |(id, code)| Ok((RunId(id), runs::state(code)?));
    rows.into_iter().map(woken).collect()
}

/// Wakes the run with this identity; see [`Writer::wake`](crate::store::Writer::wake).
pub(super) fn wake(
    conn: &mut PgConnection,
    workflow: &str,
    key: &str,
    now: Timestamp,
) -> QueryResult<Option<Woken>> {
    let Some(Found { run, .. }) = runs::identify(conn, workflow, key)? else {
        return Ok(None);
    };
    if let Some((run, state)) = rouse(conn, &[run.0], now)?.pop() {
        return Ok(Some(Woken { run, state }));
    }
    // It settled, perhaps only just now.
    let found = runs::identify(conn, workflow, key)?;
    Ok(found.map(|Found { run, state, .. }| Woken { run, state }))
}
