//! Claims: due runs, read in order from the `ready` index, one range per queue, level and workflow.
//!
//! Sleepers are behind the end of their range and runs of names that nobody here serves are in no
//! range, so neither costs anything.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text};

use super::bind::{Bind, id_list, instant, name_list};
use super::statement::Stmt;
use super::{held, worker};
use crate::record::{ClaimedRun, Level, Nonce, RunId};
use crate::store::shared::claim::{CLAIM_BYTES_MAX, DueRow, claimed, visits};
use crate::store::{ClaimRequest, Claims, Suspects};

/// Since when the run waits that is due at once and goes first in its range: whoever waited for an instant that is
/// longer ago goes before it. A run in front that may not be taken holds up nobody. After a clock was set back it has
/// arrived in the future, which tells nothing: then the two kinds go first by turns, and neither starves.
macro_rules! longest {
    () => {
        "(
        SELECT iif(since > queue.now AND NOT queue.instants_first, -62167219200000001, since)
        FROM (SELECT ifnull((
            SELECT f.wake_at + 126227808000000000
            FROM chrono_forge_workflows AS f INDEXED BY chrono_forge_workflows_ready
            WHERE f.queue = queue.value AND f.priority = level.value AND f.workflow = name.value
                AND f.wake_at < -62167219200000000 AND +f.crashes < queue.healthy_below
            ORDER BY f.wake_at LIMIT 1
        ), 9000000000000000000) AS since)
    )"
    };
}

/// The nesting of the loops is the order of the answer: levels, then workflows, then how long runs wait. In the index
/// what is due at once comes before every instant, so each range is read in two parts: instants that are longer ago than
/// the first run at once has waited, then everything else. Whoever is in the middle goes first in the next claim.
///
/// `CROSS JOIN` keeps the nesting, the unary plus keeps `state` out of the choice of an index. A level
/// that nothing waits in is left after one look, however many workflows are served, and so is a range. Of arguments only
/// the length is looked at, which is told without reading them: they come with the runs that are taken.
pub(super) const DUE: &str = concat!(
    "
SELECT w.id, w.key, w.workflow, w.priority, w.lock_epoch, '', w.attempts, w.retry_counts,
    w.crashes, w.parent_execution_log_id, w.created_at, octet_length(w.args)
FROM (SELECT ? AS value, ? AS now, ? AS healthy_below, ? AS instants_first) AS queue
CROSS JOIN json_each(?) AS level
CROSS JOIN json_each(?) AS name
CROSS JOIN (VALUES (0), (1)) AS part
CROSS JOIN chrono_forge_workflows AS w INDEXED BY chrono_forge_workflows_ready
    ON w.queue = queue.value AND w.priority = level.value AND w.workflow = name.value
WHERE w.wake_at >= iif(part.column1 = 0, -62167219200000000, -9223372036854775808)
    AND w.wake_at <= iif(part.column1 = 0, min(",
    longest!(),
    ", queue.now), queue.now)
    AND (part.column1 = 0 OR w.wake_at < -62167219200000000 OR w.wake_at > ",
    longest!(),
    ")
    AND +w.state = 0
    AND (
        SELECT 1 FROM chrono_forge_workflows AS f INDEXED BY chrono_forge_workflows_ready
        WHERE f.queue = queue.value AND f.priority = level.value AND f.wake_at IS NOT NULL LIMIT 1
    ) = 1
    AND (
        SELECT 1 FROM chrono_forge_workflows AS f INDEXED BY chrono_forge_workflows_ready
        WHERE f.queue = queue.value AND f.priority = level.value AND f.workflow = name.value
            AND f.wake_at IS NOT NULL
        LIMIT 1
    ) = 1
LIMIT ?"
);

pub(super) const TAKE: &str = "
UPDATE chrono_forge_workflows SET
    state = 1,
    wake_at = NULL,
    wake_requested = 0,
    locked_by = ?,
    lock_epoch = (((lock_epoch >> 32) + 1) << 32) | ?,
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
    instants_first: bool,
) -> QueryResult<Claims> {
    if !worker::is_alive(conn, request.worker)? {
        return Ok(Claims {
            worker_dead: true,
            ..Claims::default()
        });
    }
    let mut claims = Claims::default();
    let nonce = Nonce::draw();
    let mut left = Left {
        company: request.quarantine_slot.then_some(request.company),
        bytes: CLAIM_BYTES_MAX,
        is_first: true,
    };
    for room in request.queues {
        for (levels, limit) in visits(room, request.lowest_first) {
            let from = (&*room.queue, &*levels, limit, instants_first);
            claims
                .runs
                .extend(due(conn, (request, nonce), from, &mut left)?);
        }
    }
    if claims.runs.is_empty() {
        return Ok(claims);
    }
    let ids: Vec<RunId> = claims.runs.iter().map(|run| run.id).collect();
    let list = id_list(ids.iter().map(|id| id.0));
    let (worker, now) = (request.worker.0, request.now);
    let take = [
        worker.into(),
        nonce.bits().into(),
        now.into(),
        now.into(),
        list.into(),
    ];
    let args: Vec<(i64, String)> = Stmt::<(BigInt, Text)>::new(TAKE, &take).load(conn)?;
    let mut args: HashMap<i64, String> = args.into_iter().collect();
    for run in &mut claims.runs {
        run.args = args.remove(&run.id.0).unwrap_or_default().into();
    }
    held::enter(conn, request.worker, &ids)?;
    Ok(claims)
}

/// What a claim may still take beside so many runs.
struct Left {
    /// The company of those that may be killing their workers, if any may be taken.
    company: Option<Suspects>,
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
    (request, nonce): (&ClaimRequest<'_>, Nonce),
    (queue, levels, limit, instants_first): (&str, &[Level], u32, bool),
    left: &mut Left,
) -> QueryResult<Vec<ClaimedRun>> {
    if limit == 0 || left.bytes < 0 {
        return Ok(Vec::new());
    }
    let wanted = limit as usize;
    let mut window = i64::from(limit);
    loop {
        let healthy_below = match left.company.is_some() {
            true => u32::MAX,
            false => request.quarantine_from,
        };
        let binds: [Bind<'_>; 7] = [
            queue.into(),
            request.now.into(),
            healthy_below.into(),
            instants_first.into(),
            id_list(levels.iter().map(|level| level.0.into())).into(),
            name_list(request.workflows).into(),
            window.into(),
        ];
        let rows: Vec<(DueRow, i64, i64)> = Stmt::<Due>::new(DUE, &binds).load(conn)?;
        let last = (rows.len() as i64) < window;
        let name: Arc<str> = queue.into();
        let rows: Vec<(ClaimedRun, i64)> = rows
            .into_iter()
            .map(|(row, created_at, bytes)| {
                let run = claimed(row, nonce, Arc::clone(&name), instant(created_at));
                (run, bytes)
            })
            .collect();
        let is_suspect = |run: &ClaimedRun| run.crashes >= request.quarantine_from;
        let suspects = rows
            .iter()
            .map(|(run, _)| run)
            .filter(|run| is_suspect(run));
        let admitted = admitted(suspects, left.company);
        let may_take =
            |(run, _): &(ClaimedRun, i64)| !is_suspect(run) || admitted.contains(&run.id);
        let mut taken: Vec<(ClaimedRun, i64)> = rows.into_iter().filter(may_take).collect();
        // Runs that must wait for quarantine stood in front of others: look further.
        if taken.len() < wanted && !last {
            window = window.saturating_mul(2);
            continue;
        }
        taken.truncate(wanted);
        let fits = |(_, bytes): &(ClaimedRun, i64)| left.fits(*bytes);
        let taken = taken.into_iter().take_while(fits);
        let taken: Vec<ClaimedRun> = taken.map(|(run, _)| run).collect();
        if let Some(company) = &mut left.company {
            let suspects = taken.iter().filter(|run| is_suspect(run));
            suspects.for_each(|run| company.enter(run.crashes));
        }
        return Ok(taken);
    }
}

/// Which of the suspects in front may enter. Those with the fewest crashes go first: were it always
/// the same ones, deaths that have nothing to do with them would sooner or later prove them guilty.
fn admitted<'a>(
    suspects: impl Iterator<Item = &'a ClaimedRun>,
    company: Option<Suspects>,
) -> BTreeSet<RunId> {
    let Some(mut company) = company else {
        return BTreeSet::new();
    };
    let mut suspects: Vec<&ClaimedRun> = suspects.collect();
    suspects.sort_by_key(|run| run.crashes);
    let waiting = (1..=suspects.len() as u32).rev();
    let mut enters = |run: &ClaimedRun, waiting| {
        let admits = company.admits(run.crashes, waiting);
        if admits {
            company.enter(run.crashes);
        }
        admits
    };
    let inside = suspects.iter().zip(waiting);
    inside
        .take_while(|(run, waiting)| enters(run, *waiting))
        .map(|(run, _)| run.id)
        .collect()
}
