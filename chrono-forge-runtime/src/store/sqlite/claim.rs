//! Claims: due runs, read in order from the `ready` index, one range per queue, level and workflow.
//!
//! Sleepers are behind the end of their range and runs of names that nobody here serves are in no
//! range, so neither costs anything.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text};

use super::bind::{Bind, id_list, instant, name_list};
use super::statement::Stmt;
use super::{held, worker};
use crate::record::{ClaimedRun, Level, RunId};
use crate::store::shared::claim::{DueRow, claimed, visits};
use crate::store::{ClaimRequest, Claims, Suspects};

/// The nesting of the loops is the order of the answer: levels, then workflows, then the instant.
/// `CROSS JOIN` keeps the nesting, the unary plus keeps `state` out of the choice of an index. A level
/// that nothing waits in is left after one look, however many workflows are served.
pub(super) const DUE: &str = "
SELECT w.id, w.key, w.workflow, w.priority, w.lock_epoch, w.args, w.attempts, w.retry_counts,
    w.crashes, w.parent_execution_log_id, w.created_at
FROM (SELECT ? AS value) AS queue
CROSS JOIN json_each(?) AS level
CROSS JOIN json_each(?) AS name
CROSS JOIN chrono_forge_workflows AS w INDEXED BY chrono_forge_workflows_ready
    ON w.queue = queue.value AND w.priority = level.value AND w.workflow = name.value
WHERE w.wake_at <= ? AND +w.state = 0 AND (
    SELECT 1 FROM chrono_forge_workflows AS f INDEXED BY chrono_forge_workflows_ready
    WHERE f.queue = queue.value AND f.priority = level.value AND f.wake_at IS NOT NULL LIMIT 1
) = 1
LIMIT ?";

pub(super) const TAKE: &str = "
UPDATE chrono_forge_workflows SET
    state = 1,
    wake_at = NULL,
    wake_requested = 0,
    locked_by = ?,
    lock_epoch = lock_epoch + 1,
    started_at = ifnull(started_at, ?),
    updated_at = ?
WHERE id IN (SELECT value FROM json_each(?))";

type Due = (
    (
        BigInt,
        Text,
        Text,
        BigInt,
        BigInt,
        Text,
        BigInt,
        Text,
        BigInt,
        Nullable<BigInt>,
    ),
    BigInt,
);

/// Takes due runs; see [`Writer::claim_due`](crate::store::Writer::claim_due).
pub(super) fn claim_due(
    conn: &mut SqliteConnection,
    request: &ClaimRequest<'_>,
) -> QueryResult<Claims> {
    if !worker::is_alive(conn, request.worker)? {
        return Ok(Claims {
            worker_dead: true,
            ..Claims::default()
        });
    }
    let mut claims = Claims::default();
    let mut quarantine = request.quarantine_slot.then_some(request.company);
    for room in request.queues {
        for (levels, limit) in visits(room, request.lowest_first) {
            let from = (&*room.queue, &*levels, limit);
            claims
                .runs
                .extend(due(conn, request, from, &mut quarantine)?);
        }
    }
    if claims.runs.is_empty() {
        return Ok(claims);
    }
    let ids: Vec<RunId> = claims.runs.iter().map(|run| run.id).collect();
    let list = id_list(ids.iter().map(|id| id.0));
    let (worker, now) = (request.worker.0, request.now);
    Stmt::<()>::new(TAKE, &[worker.into(), now.into(), now.into(), list.into()]).execute(conn)?;
    held::enter(conn, request.worker, &ids)?;
    Ok(claims)
}

/// Due runs of one queue and of these levels in the order asked for. `quarantine` is the company of those that may be
/// killing their workers, if any may be taken.
fn due(
    conn: &mut SqliteConnection,
    request: &ClaimRequest<'_>,
    (queue, levels, limit): (&str, &[Level], u32),
    quarantine: &mut Option<Suspects>,
) -> QueryResult<Vec<ClaimedRun>> {
    if limit == 0 {
        return Ok(Vec::new());
    }
    let wanted = limit as usize;
    let mut window = i64::from(limit);
    loop {
        let binds: [Bind<'_>; 5] = [
            queue.into(),
            id_list(levels.iter().map(|level| level.0.into())).into(),
            name_list(request.workflows).into(),
            request.now.into(),
            window.into(),
        ];
        let rows: Vec<(DueRow, i64)> = Stmt::<Due>::new(DUE, &binds).load(conn)?;
        let last = (rows.len() as i64) < window;
        let mut company = *quarantine;
        let rows: Vec<ClaimedRun> = rows
            .into_iter()
            .map(|(row, created_at)| claimed(row, queue.to_owned(), instant(created_at)))
            .collect();
        let is_suspect = |run: &ClaimedRun| run.crashes >= request.quarantine_from;
        let mut waiting = rows.iter().filter(|run| is_suspect(run)).count() as u32;
        let mut may_take = |run: &ClaimedRun| {
            let Some(company) = company.as_mut().filter(|_| is_suspect(run)) else {
                return !is_suspect(run);
            };
            let admitted = company.admits(run.crashes, waiting);
            if admitted {
                company.enter(run.crashes);
                waiting -= 1;
            }
            admitted
        };
        let mut taken: Vec<ClaimedRun> = rows.into_iter().filter(|run| may_take(run)).collect();
        // Runs that must wait for quarantine stood in front of others: look further.
        if taken.len() < wanted && !last {
            window = window.saturating_mul(2);
            continue;
        }
        taken.truncate(wanted);
        if let Some(company) = quarantine {
            let suspects = taken.iter().filter(|run| is_suspect(run));
            suspects.for_each(|run| company.enter(run.crashes));
        }
        return Ok(taken);
    }
}
