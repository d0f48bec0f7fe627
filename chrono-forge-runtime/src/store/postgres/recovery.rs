//! Recovery by hand: blocked runs are re-armed, hanging ones are taken from their worker.
//!
//! Each function locks what it may change, in the order that everybody keeps to, and looks again under the
//! locks: that is the compare-and-set. Nothing is skipped. A blocked run may be locked by a child of its
//! that has just finished, and would be left out without a reason.

mod records;
mod tail;

use diesel::data_types::PgTimestamp;
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, SmallInt, Text, Timestamptz};

use super::bind::{Bind, due, instant, ints};
use super::runs::newest_error;
use super::statement::Stmt;
use super::{naming, runs, wake, worker};
use crate::record::{BlockedRun, Json, RecordId, RunId, RunState};
use crate::store::shared::arrivals::Now;
use crate::store::shared::tail::Records;
use crate::store::{BlockedPage, Found, Named, RetriedPage, RunAnswer, RunAsks, RunCall, Woken};

/// The newest error of a run is the one that its result tells.
macro_rules! blocked {
    ($which:literal) => {
        concat!(
            "
SELECT b.workflow_id, b.since, w.workflow, w.state, w.stalled_by, e.error_class
FROM (",
            $which,
            ") AS b
JOIN chrono_forge_workflows AS w ON w.id = b.workflow_id",
            newest_error!("true"),
            "
ORDER BY b.workflow_id"
        )
    };
}

/// By the primary key.
pub(super) const PAGE: &str = blocked!(
    "
    SELECT p.workflow_id, p.since FROM chrono_forge_blocked AS p
    WHERE p.workflow_id > ? ORDER BY p.workflow_id LIMIT ?"
);

/// By the index of blocked children, as a range: with one value of the branch a planner may walk all that is blocked.
pub(super) const PAGE_OF_BRANCH: &str = blocked!(
    "
    SELECT p.workflow_id, p.since FROM chrono_forge_blocked AS p
    WHERE (p.parent_execution_log_id, p.workflow_id) > (?, ?) AND p.parent_execution_log_id <= ?
    ORDER BY p.parent_execution_log_id, p.workflow_id LIMIT ?"
);

pub(super) const OF_RUNS: &str = blocked!(
    "
    SELECT p.workflow_id, p.since FROM chrono_forge_blocked AS p WHERE p.workflow_id = ANY(?)"
);

const LOCK_RUNS: &str = "
SELECT w.id, w.lock_epoch, w.state
FROM unnest(?) AS v (id)
JOIN chrono_forge_workflows AS w ON w.id = v.id
FOR NO KEY UPDATE OF w";

const RESUME: &str = "
UPDATE chrono_forge_workflows AS w SET
    state = 0,
    wake_at = ?,
    stalled_by = NULL,
    retry_counts = '{}',
    crashes = 0,
    updated_at = ?
FROM unnest(?) AS v (id)
WHERE w.id = v.id AND w.state IN (3, 4)";

const UNBLOCK: &str = "
DELETE FROM chrono_forge_blocked AS b USING unnest(?) AS v (id) WHERE b.workflow_id = v.id";

const GIVE_ARGS: &str = "UPDATE chrono_forge_workflows SET args = ? WHERE id = ?";

const RESET: &str = "
UPDATE chrono_forge_workflows SET crashes = 0, updated_at = ? WHERE id = ? AND state IN (0, 1)";

/// For the tests of query plans.
#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[
    PAGE,
    PAGE_OF_BRANCH,
    OF_RUNS,
    LOCK_RUNS,
    RESUME,
    UNBLOCK,
    GIVE_ARGS,
    RESET,
    records::NOTES,
    records::REARM,
    tail::LAST_SUCCESS,
    tail::TAIL,
    tail::NAMED,
    tail::REPEATS,
    tail::FAILED,
    tail::OTHER,
];

const RECORDS: Records<PgConnection> = Records {
    of_runs: tail::of_runs,
    named: tail::named,
    failed: tail::failed,
    other_than: tail::other_than,
    rearm,
    give_args,
};

/// Does what is asked, one run after the other in the order of their ids, which is the order of locks; answers in the
/// order of the calls.
pub(super) fn call_runs(
    conn: &mut PgConnection,
    calls: &[RunCall],
    now: Now,
) -> QueryResult<Vec<RunAnswer>> {
    let found = naming::identify_all(conn, calls.iter().map(|call| &call.run))?;
    let mut answers = vec![RunAnswer::Missing; calls.len()];
    let mut order = Vec::with_capacity(calls.len());
    for (place, named) in found.into_iter().enumerate() {
        match named {
            Named::Nobody => {}
            Named::Several => answers[place] = RunAnswer::Ambiguous,
            Named::One(found) => order.push((found.run, place)),
        }
    }
    order.sort_unstable();
    for (run, place) in order {
        if let Some(answer) = call_run(conn, run, &calls[place].asks, now)? {
            answers[place] = answer;
        }
    }
    Ok(answers)
}

/// `None` when the run is gone by now.
fn call_run(
    conn: &mut PgConnection,
    run: RunId,
    asks: &RunAsks,
    now: Now,
) -> QueryResult<Option<RunAnswer>> {
    let Some(found) = lock(conn, &[run])?.pop() else {
        return Ok(None);
    };
    Ok(Some(match asks {
        RunAsks::Wake => {
            let state = wake::rouse(conn, &[run.0], now)?.pop();
            let state = state.map_or(found.state, |(_, state)| state);
            RunAnswer::Woken(Woken { run, state })
        }
        RunAsks::Retry(rearm) => {
            let run = (run, found.state);
            RunAnswer::Retried(RECORDS.retry(conn, run, rearm, now)?)
        }
        RunAsks::Unlock => {
            if found.state == RunState::Running {
                worker::hand_back(conn, &[run.0], 0, now)?;
            }
            RunAnswer::Unlocked(found)
        }
        RunAsks::ResetCrashes => {
            Stmt::<()>::new(RESET, &[now.into(), run.0.into()]).execute(conn)?;
            RunAnswer::CrashesReset(found)
        }
    }))
}

/// Locks what a retry of these runs may change; answers where they stand then.
fn lock(conn: &mut PgConnection, runs: &[RunId]) -> QueryResult<Vec<Found>> {
    let rows: Vec<(i64, i64, i16)> =
        Stmt::<(BigInt, BigInt, SmallInt)>::new(LOCK_RUNS, &[in_order(runs)]).load(conn)?;
    rows.into_iter().map(runs::place).collect()
}

fn in_order<'a>(runs: &[RunId]) -> Bind<'a> {
    let mut ids: Vec<i64> = runs.iter().map(|run| run.0).collect();
    ids.sort_unstable();
    ints(ids)
}

/// Re-arms the runs of a page; see [`Writer::retry_blocked`](crate::store::Writer::retry_blocked). Which runs
/// it covers is told before they are locked, and again then: somebody else may have retried them.
pub(super) fn retry_blocked(
    conn: &mut PgConnection,
    page: &BlockedPage<'_>,
    now: Now,
) -> QueryResult<RetriedPage> {
    let limits = [page.after.0.into(), page.limit.into()];
    let found = match page.branch {
        None => blocked(conn, PAGE, &limits)?,
        Some(branch) => {
            let [after, limit] = limits;
            let branch = || branch.0.into();
            blocked(conn, PAGE_OF_BRANCH, &[branch(), after, branch(), limit])?
        }
    };
    let mut runs = covered(page, &found);
    if !runs.is_empty() {
        lock(conn, &runs)?;
        runs = covered(page, &blocked(conn, OF_RUNS, &[in_order(&runs)])?);
    }
    let records = tail::of_runs(conn, &runs)?;
    let records: Vec<RecordId> = records.into_iter().map(|(id, _)| id).collect();
    rearm(conn, &runs, &records, now)?;
    Ok(RetriedPage {
        retried: runs.len() as u64,
        last: found.last().map(|run| run.id),
    })
}

fn covered(page: &BlockedPage<'_>, blocked: &[BlockedRun]) -> Vec<RunId> {
    blocked
        .iter()
        .filter(|run| run.since <= page.until && page.filter.covers(run))
        .map(|run| run.id)
        .collect()
}

fn blocked(
    conn: &mut PgConnection,
    sql: &'static str,
    binds: &[Bind<'_>],
) -> QueryResult<Vec<BlockedRun>> {
    type Columns = (
        BigInt,
        Timestamptz,
        Text,
        SmallInt,
        Nullable<Text>,
        Nullable<Text>,
    );
    type Row = (
        i64,
        PgTimestamp,
        String,
        i16,
        Option<String>,
        Option<String>,
    );
    let rows: Vec<Row> = Stmt::<Columns>::new(sql, binds).load(conn)?;
    let run = |(id, since, workflow, state, stalled_by, error_class): Row| {
        Ok(BlockedRun {
            id: RunId(id),
            workflow,
            state: runs::state(state)?,
            since: instant(since),
            stalled_by,
            error_class,
        })
    };
    rows.into_iter().map(run).collect()
}

/// Writes it; the runs are locked and known to be failed or stalled, the records to be failed ones of theirs.
fn rearm(
    conn: &mut PgConnection,
    runs: &[RunId],
    records: &[RecordId],
    now: Now,
) -> QueryResult<()> {
    if runs.is_empty() {
        return Ok(());
    }
    records::rearm(conn, records)?;
    let binds = [due(now.due), now.into(), in_order(runs)];
    Stmt::<()>::new(RESUME, &binds).execute(conn)?;
    let binds = [in_order(runs)];
    Stmt::<()>::new(UNBLOCK, &binds).execute(conn).map(drop)
}

/// The run is known to be failed or stalled, and locked.
fn give_args(conn: &mut PgConnection, run: RunId, args: &Json) -> QueryResult<()> {
    let binds = [args.into(), run.0.into()];
    Stmt::<()>::new(GIVE_ARGS, &binds).execute(conn).map(drop)
}
