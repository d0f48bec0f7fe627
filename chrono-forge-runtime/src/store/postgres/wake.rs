//! Wake-ups: an idle run becomes due, a running one is told, any other is left alone.

use std::collections::{BTreeMap, BTreeSet};

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, SmallInt};

use super::bind::{due, ints};
use super::statement::Stmt;
use super::{naming, runs};
use crate::record::{RunId, RunState};
use crate::store::shared::arrivals::Now;
use crate::store::{Found, Named, RunAnswer, RunCall, Woken};

/// A run that is due already keeps its place in the queue: what it waited for was an instant that
/// is as long ago, or nothing. One that is to wait on is due from now on (`least` passes over
/// null). One whose body failed and waits to be tried again keeps its instant: a wake-up is no
/// attempt, and would spend the budget of them. That attempt looks at everything. Whose step waits
/// to be tried again has sunk to the levels of those that return, and comes back from there to what
/// its children have done: to the middle of its tier, since a row does not say which priority its
/// workflow has ([`Level`](crate::record::Level)). Whoever has the row locked is waited for, and
/// the row then read anew: a park either sees the flag or is made due.
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
    priority = CASE
        WHEN w.state = 1 OR w.options LIKE '%\"waits_to_retry\"%' OR w.priority < 12 THEN w.priority
        ELSE (w.priority - 12) * 3 + 1
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

/// Wakes the runs of these calls; see [`Writer::call_runs`](crate::store::Writer::call_runs). Who is called twice is
/// woken once.
pub(super) fn wake_all(
    conn: &mut PgConnection,
    calls: &[RunCall],
    now: Now,
) -> QueryResult<Vec<RunAnswer>> {
    let mut found = naming::identify_all(conn, calls.iter().map(|call| &call.run))?;
    let runs: BTreeSet<i64> = found.iter().filter_map(id).collect();
    let runs: Vec<i64> = runs.into_iter().collect();
    let roused: BTreeMap<i64, RunState> = rouse(conn, &runs, now)?
        .into_iter()
        .map(|(run, state)| (run.0, state))
        .collect();
    if roused.len() < runs.len() {
        // Some settled, perhaps only just now.
        found = naming::identify_all(conn, calls.iter().map(|call| &call.run))?;
    }
    let answer = |named| match named {
        Named::Nobody => RunAnswer::Missing,
        Named::Several => RunAnswer::Ambiguous,
        Named::One(Found { run, state, .. }) => {
            let state = roused.get(&run.0).copied().unwrap_or(state);
            RunAnswer::Woken(Woken { run, state })
        }
    };
    Ok(found.into_iter().map(answer).collect())
}

fn id(named: &Named) -> Option<i64> {
    match named {
        Named::One(found) => Some(found.run.0),
        _ => None,
    }
}
