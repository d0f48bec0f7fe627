//! Wake-ups: an idle run becomes due, a running one is told, any other is left alone.

use std::collections::{BTreeMap, BTreeSet};

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, SmallInt};

use super::bind::{due, ints, texts};
use super::runs;
use super::statement::Stmt;
use crate::record::{RunId, RunState};
use crate::store::shared::arrivals::Now;
use crate::store::{Found, RunCall, Woken};

/// A run that is due already keeps its place in the queue: what it waited for was an instant that is as long ago, or
/// nothing. One that is to wait on is due from now on (`least` passes over null). One whose body failed and waits to be
/// tried again keeps its instant: a wake-up is no attempt, and would spend the budget of them. That attempt looks at
/// everything. Whoever has the row locked is waited for, and the row then read anew: a park either sees the flag or is
/// made due.
pub(super) const ROUSE: &str = "
UPDATE chrono_forge_workflows AS w SET
    wake_at = CASE
        WHEN w.state = 1 THEN NULL
        WHEN w.options LIKE '%\"waits_to_retry\"%' THEN w.wake_at
        ELSE least(
            CASE WHEN w.wake_at < '0001-01-01 00:00:00+00 BC' THEN w.wake_at
                ELSE w.wake_at - interval '35063280 hours' END,
            ?
        )
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
    now: Now,
) -> QueryResult<Vec<(RunId, RunState)>> {
    if runs.is_empty() {
        return Ok(Vec::new());
    }
    let mut ids = runs.to_vec();
    ids.sort_unstable();
    ids.dedup();
    let binds = [due(now.due), now.into(), ints(ids)];
    let rows: Vec<(i64, i16)> = Stmt::<(BigInt, SmallInt)>::new(ROUSE, &binds).load(conn)?;
    let woken = |(id, code)| Ok((RunId(id), runs::state(code)?));
    rows.into_iter().map(woken).collect()
}

/// The runs with these identities, each with the place of what was asked for.
pub(super) const IDENTIFY_ALL: &str = "
SELECT v.place, w.id, w.state
FROM unnest(?, ?) WITH ORDINALITY AS v (workflow, key, place)
JOIN chrono_forge_workflows AS w ON w.workflow = v.workflow AND w.key = v.key";

/// Wakes the runs of these calls; see [`Writer::call_runs`](crate::store::Writer::call_runs). Who is called twice is
/// woken once.
pub(super) fn wake_all(
    conn: &mut PgConnection,
    calls: &[RunCall],
    now: Now,
) -> QueryResult<Vec<Option<Woken>>> {
    if let [call] = calls {
        return Ok(vec![wake(conn, &call.workflow, &call.key, now)?]);
    }
    let mut found = identify_all(conn, calls)?;
    let runs: BTreeSet<i64> = found.iter().flatten().map(|woken| woken.run.0).collect();
    let runs: Vec<i64> = runs.into_iter().collect();
    let roused: BTreeMap<i64, RunState> = rouse(conn, &runs, now)?
        .into_iter()
        .map(|(run, state)| (run.0, state))
        .collect();
    if roused.len() < runs.len() {
        // Some settled, perhaps only just now.
        found = identify_all(conn, calls)?;
    }
    for woken in found.iter_mut().flatten() {
        woken.state = roused.get(&woken.run.0).copied().unwrap_or(woken.state);
    }
    Ok(found)
}

fn identify_all(conn: &mut PgConnection, calls: &[RunCall]) -> QueryResult<Vec<Option<Woken>>> {
    let binds = [
        texts(calls.iter().map(|call| &*call.workflow)),
        texts(calls.iter().map(|call| &*call.key)),
    ];
    let rows: Vec<(i64, i64, i16)> =
        Stmt::<(BigInt, BigInt, SmallInt)>::new(IDENTIFY_ALL, &binds).load(conn)?;
    let mut found = vec![None; calls.len()];
    for (place, run, code) in rows {
        let state = runs::state(code)?;
        let run = RunId(run);
        // Places count from 1.
        if let Some(found) = found.get_mut(place as usize - 1) {
            *found = Some(Woken { run, state });
        }
    }
    Ok(found)
}

/// Wakes the run with this identity; see [`Writer::wake`](crate::store::Writer::wake).
pub(super) fn wake(
    conn: &mut PgConnection,
    workflow: &str,
    key: &str,
    now: Now,
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
