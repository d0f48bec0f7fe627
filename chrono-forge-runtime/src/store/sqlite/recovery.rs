//! Recovery by hand: blocked runs are re-armed, hanging ones are taken from their worker.
//!
//! Each function reads the state and writes in one transaction that held the write lock from its start:
//! that is the compare-and-set.

mod tail;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text};

use super::bind::instant;
use super::statement::{Batch, Stmt};
use super::{naming, runs, wake, worker};
use crate::record::{BlockedRun, Json, RecordId, RunId, RunState};
use crate::store::shared::arrivals::Now;
use crate::store::shared::tail::Records;
use crate::store::{BlockedPage, Named, RetriedPage, RunAnswer, RunAsks, RunCall};

/// The newest error of a run is the one that its result tells.
macro_rules! page {
    ($which:literal) => {
        concat!(
            "
SELECT b.workflow_id, b.since, w.workflow, w.state, w.stalled_by, e.error_class
FROM (
    SELECT workflow_id, since FROM chrono_forge_blocked
    WHERE ",
            $which,
            " ORDER BY workflow_id LIMIT ?
) AS b
CROSS JOIN chrono_forge_workflows AS w ON w.id = b.workflow_id
LEFT JOIN chrono_forge_error_logs AS e ON e.id = (
    SELECT max(id) FROM chrono_forge_error_logs WHERE workflow_id = w.id
)
ORDER BY b.workflow_id"
        )
    };
}

/// By the primary key.
pub(super) const PAGE: &str = page!("workflow_id > ?");

/// By the index of blocked children.
pub(super) const PAGE_OF_BRANCH: &str = page!("parent_execution_log_id = ? AND workflow_id > ?");

/// As if it had never finished: attempts number the error rows, so they go on; what a branch or a
/// repetition has reached is not done again. Text that is no JSON tells nothing and stays.
/// `json_object()` is `{}`, which would be taken for the row of a batch.
const REARM: &str = "
UPDATE chrono_forge_execution_logs SET
    state = 0,
    seq = NULL,
    wake_at = NULL,
    completed_at = NULL,
    error_class = NULL,
    error_message = NULL,
    result = NULL,
    context_delta = iif(step_name GLOB 'repeat$*', context_delta, NULL),
    metadata = iif(
        json_valid(metadata),
        nullif(json_remove(metadata, '$.timeout_at', '$.timed_out', '$.executing', '$.retry_counts',
            '$.tick.retry_counts', '$.tick.timeout_at', '$.tick.retry_at'), json_object()),
        metadata
    )
WHERE id IN (VALUES {(?)}) AND +state = 2";

const RESUME: &str = "
UPDATE chrono_forge_workflows SET
    state = 0,
    wake_at = v.column3,
    stalled_by = NULL,
    retry_counts = json_object(),
    crashes = 0,
    updated_at = v.column2
FROM (VALUES {(?, ?, ?)}) AS v
WHERE chrono_forge_workflows.id = v.column1 AND +chrono_forge_workflows.state IN (3, 4)";

const UNBLOCK: &str = "DELETE FROM chrono_forge_blocked WHERE workflow_id IN (VALUES {(?)})";

const GIVE_ARGS: &str = "UPDATE chrono_forge_workflows SET args = ? WHERE id = ?";

const RESET: &str = "UPDATE chrono_forge_workflows SET crashes = 0, updated_at = ? WHERE id = ? AND +state IN (0, 1)";

/// For the tests of query plans.
#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[
    PAGE,
    PAGE_OF_BRANCH,
    REARM,
    RESUME,
    UNBLOCK,
    GIVE_ARGS,
    RESET,
    tail::LAST_SUCCESS,
    tail::TAIL,
    tail::NAMED,
    tail::WITH_REPEATS,
    tail::FAILED,
    tail::OTHER,
];

/// Those of them that read the records of whole runs.
#[cfg(test)]
pub(super) const TAIL_STATEMENTS: &[&str] = &[tail::LAST_SUCCESS, tail::TAIL, tail::FAILED];

const RECORDS: Records<SqliteConnection> = Records {
    of_runs: tail::of_runs,
    named: tail::named,
    failed: tail::failed,
    other_than: tail::other_than,
    rearm,
    give_args,
};

/// Does what is asked of one run; see [`Writer::call_runs`](crate::store::Writer::call_runs).
pub(super) fn call_run(
    conn: &mut SqliteConnection,
    call: &RunCall,
    now: Now,
) -> QueryResult<RunAnswer> {
    let found = match naming::identify(conn, &call.run)? {
        Named::Nobody => return Ok(RunAnswer::Missing),
        Named::Several => return Ok(RunAnswer::Ambiguous),
        Named::One(found) => found,
    };
    Ok(match &call.asks {
        RunAsks::Wake => RunAnswer::Woken(wake::wake(conn, found, now)?),
        RunAsks::Retry(rearm) => {
            let run = (found.run, found.state);
            RunAnswer::Retried(RECORDS.retry(conn, run, rearm, now)?)
        }
        RunAsks::Unlock => {
            if found.state == RunState::Running {
                worker::hand_back(conn, &[found.run.0], 0, now)?;
            }
            RunAnswer::Unlocked(found)
        }
        RunAsks::ResetCrashes => {
            Stmt::<()>::new(RESET, &[now.into(), found.run.0.into()]).execute(conn)?;
            RunAnswer::CrashesReset(found)
        }
    })
}

/// Re-arms the runs of a page; see [`Writer::retry_blocked`](crate::store::Writer::retry_blocked).
pub(super) fn retry_blocked(
    conn: &mut SqliteConnection,
    page: &BlockedPage<'_>,
    now: Now,
) -> QueryResult<RetriedPage> {
    let blocked = blocked(conn, page)?;
    let runs: Vec<RunId> = blocked
        .iter()
        .filter(|run| run.since <= page.until && page.filter.covers(run))
        .map(|run| run.id)
        .collect();
    let ids: Vec<RecordId> = tail::of_runs(conn, &runs)?
        .into_iter()
        .map(|(id, _)| id)
        .collect();
    rearm(conn, &runs, &ids, now)?;
    Ok(RetriedPage {
        retried: runs.len() as u64,
        last: blocked.last().map(|run| run.id),
    })
}

fn blocked(conn: &mut SqliteConnection, page: &BlockedPage<'_>) -> QueryResult<Vec<BlockedRun>> {
    type Columns = (BigInt, BigInt, Text, BigInt, Nullable<Text>, Nullable<Text>);
    type Row = (i64, i64, String, i64, Option<String>, Option<String>);
    let (after, limit) = (page.after.0.into(), page.limit.into());
    let rows: Vec<Row> = match page.branch {
        None => Stmt::<Columns>::new(PAGE, &[after, limit]).load(conn)?,
        Some(branch) => {
            Stmt::<Columns>::new(PAGE_OF_BRANCH, &[branch.0.into(), after, limit]).load(conn)?
        }
    };
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

/// Writes it; the runs are known to be failed or stalled, the records to be failed ones of theirs.
fn rearm(
    conn: &mut SqliteConnection,
    runs: &[RunId],
    records: &[RecordId],
    now: Now,
) -> QueryResult<()> {
    let mut rearm = Batch::with_capacity(REARM, records.len());
    for record in records {
        rearm.push([record.0.into()]);
    }
    rearm.execute(conn)?;
    let mut resume = Batch::with_capacity(RESUME, runs.len());
    let mut unblock = Batch::with_capacity(UNBLOCK, runs.len());
    for run in runs {
        resume.push([run.0.into(), now.into(), now.due.into()]);
        unblock.push([run.0.into()]);
    }
    resume.execute(conn)?;
    unblock.execute(conn).map(drop)
}

/// The run is known to be failed or stalled.
fn give_args(conn: &mut SqliteConnection, run: RunId, args: &Json) -> QueryResult<()> {
    let binds = [args.into(), run.0.into()];
    Stmt::<()>::new(GIVE_ARGS, &binds).execute(conn).map(drop)
}
