//! Claims: due runs, read in order from the `ready` index, one range per queue, level and workflow.
//!
//! Sleepers are behind the end of their range and runs of names that nobody here serves are in no
//! range, so neither costs anything.

use std::collections::HashMap;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text};

use super::bind::{Bind, id_list, instant, name_list};
use super::statement::Stmt;
use super::{held, worker};
use crate::record::{ClaimedRun, Level, RunId};
use crate::store::shared::claim::{CLAIM_BYTES_MAX, DueRow, claimed, visits};
use crate::store::{ClaimRequest, Claims};

/// The nesting of the loops is the order of the answer: levels, then workflows, then the instant.
/// `CROSS JOIN` keeps the nesting, the unary plus keeps `state` out of the choice of an index. A level
/// that nothing waits in is left after one look, however many workflows are served. Of arguments only the length is
/// looked at, which is told without reading them: they come with the runs that are taken.
pub(super) const DUE: &str = "
SELECT w.id, w.key, w.workflow, w.priority, w.lock_epoch, '', w.attempts, w.retry_counts,
    w.crashes, w.parent_execution_log_id, w.created_at, octet_length(w.args)
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
WHERE id IN (SELECT value FROM json_each(?))
RETURNING id, args";

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
    let mut left = Left {
        quarantine: request.quarantine_slot,
        bytes: CLAIM_BYTES_MAX,
        is_first: true,
    };
    for room in request.queues {
        for (levels, limit) in visits(room, request.lowest_first) {
            let from = (&*room.queue, &*levels, limit);
            claims.runs.extend(due(conn, request, from, &mut left)?);
        }
    }
    if claims.runs.is_empty() {
        return Ok(claims);
    }
    let ids: Vec<RunId> = claims.runs.iter().map(|run| run.id).collect();
    let list = id_list(ids.iter().map(|id| id.0));
    let (worker, now) = (request.worker.0, request.now);
    let binds = [worker.into(), now.into(), now.into(), list.into()];
    let args: Vec<(i64, String)> = Stmt::<(BigInt, Text)>::new(TAKE, &binds).load(conn)?;
    let mut args: HashMap<i64, String> = args.into_iter().collect();
    for run in &mut claims.runs {
        run.args = args.remove(&run.id.0).unwrap_or_default().into();
    }
    held::enter(conn, request.worker, &ids)?;
    Ok(claims)
}

/// What a claim may still take beside so many runs.
struct Left {
    /// The one place for a run that keeps killing its workers; it is used up by the first such run.
    quarantine: bool,
    bytes: i64,
    /// A run is taken whatever it weighs, if it is the only one.
    is_first: bool,
}

impl Left {
    fn fits(&mut self, bytes: i64) -> bool {
        self.bytes -= bytes;
        std::mem::take(&mut self.is_first) || self.bytes >= 0
    }
}

/// Due runs of one queue and of these levels in the order asked for.
fn due(
    conn: &mut SqliteConnection,
    request: &ClaimRequest<'_>,
    (queue, levels, limit): (&str, &[Level], u32),
    left: &mut Left,
) -> QueryResult<Vec<ClaimedRun>> {
    if limit == 0 || left.bytes < 0 {
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
        let rows: Vec<(DueRow, i64, i64)> = Stmt::<Due>::new(DUE, &binds).load(conn)?;
        let last = (rows.len() as i64) < window;
        let mut open = left.quarantine;
        let mut taken: Vec<(ClaimedRun, i64)> = rows
            .into_iter()
            .map(|(row, created_at, bytes)| {
                let run = claimed(row, queue.to_owned(), instant(created_at));
                (run, bytes)
            })
            .filter(|(run, _)| run.crashes < request.quarantine_from || std::mem::take(&mut open))
            .collect();
        // Runs that must wait for quarantine stood in front of others: look further.
        if taken.len() < wanted && !last {
            window = window.saturating_mul(2);
            continue;
        }
        taken.truncate(wanted);
        let fits = |(_, bytes): &(ClaimedRun, i64)| left.fits(*bytes);
        let taken = taken.into_iter().take_while(fits);
        let taken: Vec<ClaimedRun> = taken.map(|(run, _)| run).collect();
        let suspect = taken
            .iter()
            .any(|run| run.crashes >= request.quarantine_from);
        left.quarantine &= !suspect;
        return Ok(taken);
    }
}
