//! Claims: due runs, read in order from the `ready` index, one range per queue, level and workflow, and taken in
//! the same statement. Runs that another session has locked are skipped: two workers never wait for each other here.
//!
//! Sleepers are behind the end of their range and runs of names that nobody here serves are in no
//! range, so neither costs anything.

mod marks;

use std::time::Instant;

use diesel::data_types::PgTimestamp;
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text, Timestamptz};
use jiff::Timestamp;

use super::bind::{Bind, instant, instants, ints, names, texts};
use super::statement::Stmt;
use crate::record::{ClaimedRun, Due, Nonce, WorkerId};
use crate::store::shared::claim::{CLAIM_BYTES_MAX, DueRow, claimed, visits};
use crate::store::{ClaimRequest, Claims};
pub(super) use marks::{Marks, Range};

/// The nesting of the loops is the order of the answer: what was asked for, levels, workflows, then how long runs
/// wait. In the index what is due at once comes before every instant, so each range is read in three parts: instants that
/// are longer ago than the first run at once has waited (`longest`), what is due at once, and the other instants that have
/// come. Whoever is in the middle goes first in the next claim. A run in front that may not be taken holds up nobody.
/// `OFFSET 0` keeps the planner from looking there once for each part that asks.
/// After a clock was set back the first has arrived in the future, which tells nothing: then the two kinds go first by
/// turns, and neither starves.
///
/// Each `LIMIT` ends its loop early and keeps the planner from changing the nesting. A level that nothing waits in is
/// left after one look, however many workflows are served; one that has marks is looked at by them, since its own
/// beginning may be behind a million dead entries.
///
/// A claim ends at bytes of arguments, too, whose length is told without reading them; the first run is taken whatever it
/// weighs.
///
/// Only what is read is locked, and only what there is room for is read. Of the suspects among them
/// as many are taken as [`Suspects`](crate::store::Suspects) lets be beside each other, those with
/// the fewest crashes first; the others stay as they are.
pub(super) const CLAIM: &str = "
WITH worker AS MATERIALIZED (
    SELECT id FROM chrono_forge_workers
    WHERE id = ? AND incarnation = ? AND stopped_at IS NULL FOR KEY SHARE
), mark AS MATERIALIZED (
    SELECT * FROM unnest(?, ?, ?, ?) AS m (queue, level, workflow, at)
), due AS MATERIALIZED (
    SELECT d.id, d.crashes, d.wake_at, d.lock_epoch, row_number() OVER () AS place,
        sum(d.bytes) OVER (ROWS UNBOUNDED PRECEDING) AS bytes
    FROM worker
    CROSS JOIN (
        SELECT ?::timestamptz AS now, ?::bigint AS healthy_below, ?::boolean AS instants_first
    ) AS asked
    CROSS JOIN unnest(?, ?) WITH ORDINALITY AS visit (queue, most, place)
    CROSS JOIN LATERAL (
        SELECT of_level.*
        FROM unnest(?, ?) AS level (visit, value)
        CROSS JOIN LATERAL (
            SELECT w.*
            FROM (
                SELECT 1 FROM mark AS m WHERE m.queue = visit.queue AND m.level = level.value
                UNION ALL
                SELECT 1 FROM chrono_forge_workflows AS f
                WHERE f.queue = visit.queue AND f.priority = level.value::smallint
                    AND f.wake_at IS NOT NULL
                LIMIT 1
            ) AS something_waits
            CROSS JOIN unnest(?) AS name (value)
            CROSS JOIN LATERAL (
                SELECT coalesce(max(m.at) FILTER (WHERE m.at < '0001-01-01 00:00:00+00 BC'), '-infinity') AS at_once,
                    coalesce(max(m.at) FILTER (WHERE m.at >= '0001-01-01 00:00:00+00 BC'), '0001-01-01 00:00:00+00 BC') AS instant
                FROM mark AS m
                WHERE m.queue = visit.queue AND m.level = level.value AND m.workflow = name.value
            ) AS came_to
            CROSS JOIN LATERAL (
                SELECT coalesce((
                    SELECT f.wake_at + interval '35063280 hours'
                    FROM chrono_forge_workflows AS f
                    WHERE f.queue = visit.queue AND f.priority = level.value::smallint
                        AND f.workflow = name.value AND f.wake_at < '0001-01-01 00:00:00+00 BC'
                        AND f.wake_at >= came_to.at_once AND f.crashes < asked.healthy_below
                    ORDER BY f.wake_at LIMIT 1
                ), 'infinity') AS since
                OFFSET 0
            ) AS front
            CROSS JOIN LATERAL (
                SELECT CASE WHEN front.since <= asked.now OR asked.instants_first
                    THEN front.since ELSE timestamptz '0001-01-01 00:00:00+00 BC' - interval '1 us' END AS since
                OFFSET 0
            ) AS longest
            CROSS JOIN LATERAL (VALUES
                (came_to.instant, least(longest.since, asked.now)),
                (came_to.at_once, timestamptz '0001-01-01 00:00:00+00 BC' - interval '1 us'),
                (greatest(came_to.instant, longest.since + interval '1 us'), asked.now)
            ) AS part (first, last)
            CROSS JOIN LATERAL (
                SELECT w.id, w.crashes, w.wake_at, w.lock_epoch, octet_length(w.args) AS bytes
                FROM chrono_forge_workflows AS w
                WHERE w.queue = visit.queue AND w.priority = level.value::smallint
                    AND w.workflow = name.value
                    AND w.wake_at >= part.first AND w.wake_at <= part.last
                    AND w.state = 0 AND w.crashes < asked.healthy_below
                ORDER BY w.wake_at
                LIMIT visit.most
                FOR NO KEY UPDATE SKIP LOCKED
            ) AS w
            LIMIT visit.most
        ) AS of_level
        WHERE level.visit = visit.place
        LIMIT visit.most
    ) AS d
), taken AS (
    UPDATE chrono_forge_workflows AS w SET
        state = 1,
        wake_at = NULL,
        wake_requested = false,
        locked_by = worker.id,
        lock_epoch = (((w.lock_epoch >> 32) + 1) << 32) | ?,
        started_at = coalesce(w.started_at, ?),
        updated_at = ?
    FROM due CROSS JOIN worker CROSS JOIN (
        SELECT ?::bigint AS suspect_from, ?::bigint AS alone_from, ?::bigint AS most, ?::bigint AS executing
    ) AS asked
    WHERE w.id = due.id AND (due.bytes <= ? OR due.place = 1)
        AND (due.crashes < asked.suspect_from OR (
            SELECT count(*) FILTER (WHERE (s.crashes, s.place) <= (due.crashes, due.place))
                <= least(
                    least(1 << least(greatest(asked.alone_from - due.crashes, 0), 16)::int, asked.most) - asked.executing,
                    (count(*) + 1 - asked.executing) / 2
                )
            FROM due AS s WHERE s.crashes >= asked.suspect_from
        ))
    RETURNING due.place, due.wake_at, w.id, w.key, w.workflow, w.priority, due.lock_epoch, w.args,
        w.attempts, w.retry_counts, w.crashes, w.parent_execution_log_id, w.queue, w.created_at
), entered AS (
    INSERT INTO chrono_forge_claims (worker_id, run_ids)
    SELECT ?, array_agg(id ORDER BY place) FROM taken HAVING count(*) > 0
)
SELECT id, key, workflow, priority::bigint, lock_epoch, args, attempts, retry_counts, crashes,
    parent_execution_log_id, queue, created_at, wake_at
FROM taken ORDER BY place";

pub(super) const IS_ALIVE: &str =
    "SELECT id FROM chrono_forge_workers WHERE id = ? AND incarnation = ? AND stopped_at IS NULL";

type Columns = (
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
    Text,
    Timestamptz,
    Timestamptz,
);

/// Runs that a claim has taken, and their places in the index.
#[derive(Default)]
pub(super) struct Taken {
    pub(super) claims: Claims,
    places: Vec<Timestamp>,
}

impl Taken {
    /// Moves the marks; once the claim is committed.
    pub(super) fn note(&self, marks: &Marks) {
        let range = |(run, at): (&ClaimedRun, Timestamp)| {
            let range = Range {
                queue: run.queue.clone(),
                level: run.level,
                workflow: run.workflow.clone(),
                at_once: matches!(Due::of_micros(at.as_microsecond()), Due::AtOnce { .. }),
            };
            (range, at)
        };
        let runs = self.claims.runs.iter();
        marks.took(runs.zip(self.places.iter().copied()).map(range));
    }
}

/// Takes due runs; see [`Writer::claim_due`](crate::store::Writer::claim_due).
pub(super) fn claim_due(
    conn: &mut PgConnection,
    request: &ClaimRequest<'_>,
    instants_first: bool,
    marks: &Marks,
) -> QueryResult<Taken> {
    let known = marks.list();
    if !known.is_empty() && !marks.whole_is_due(Instant::now()) {
        return look(conn, request, (&known, instants_first));
    }
    let begun = Instant::now();
    let taken = look(conn, request, (&[], instants_first));
    // One that was cut off for its length counts, too: the next looks begin at the marks.
    let ended = Instant::now();
    marks.looked_whole(ended, ended - begun);
    taken
}

/// Where looks begin, and whether runs whose instant has come go first where nothing else decides.
type Look<'a> = (&'a [(Range, Timestamp)], bool);

/// Looks, and looks further if runs that must wait for quarantine stood in front of others.
fn look(conn: &mut PgConnection, request: &ClaimRequest<'_>, how: Look<'_>) -> QueryResult<Taken> {
    let mut visits = Visits::new(request);
    let mut taken = Taken::default();
    take(
        conn,
        request,
        (&visits, how, request.quarantine_slot),
        &mut taken,
    )?;
    let is_suspect = |run: &ClaimedRun| run.crashes >= request.quarantine_from;
    let stand_in_front = request.company.executing > 0 || taken.claims.runs.iter().any(is_suspect);
    if request.quarantine_slot && stand_in_front && visits.subtract(&taken.claims.runs) {
        take(conn, request, (&visits, how, false), &mut taken)?;
    }
    if taken.claims.runs.is_empty() {
        taken.claims.worker_dead = !is_alive(conn, request.worker)?;
    }
    Ok(taken)
}

fn take(
    conn: &mut PgConnection,
    request: &ClaimRequest<'_>,
    (visits, (marks, instants_first), quarantine): (&Visits<'_>, Look<'_>, bool),
    taken: &mut Taken,
) -> QueryResult<()> {
    let (now, suspect_from): (Timestamp, u32) = (request.now, request.quarantine_from);
    let healthy_below = if quarantine { u32::MAX } else { suspect_from };
    let nonce = Nonce::draw();
    let company = request.company;
    let binds: [Bind<'_>; 23] = [
        request.worker.0.into(),
        request.worker.1.0.into(),
        texts(marks.iter().map(|(range, _)| &*range.queue)),
        ints(marks.iter().map(|(range, _)| range.level.0.into())),
        texts(marks.iter().map(|(range, _)| &*range.workflow)),
        instants(marks.iter().map(|(_, at)| *at)),
        now.into(),
        healthy_below.into(),
        instants_first.into(),
        texts(visits.rooms.iter().map(|(queue, _)| *queue)),
        ints(visits.rooms.iter().map(|(_, most)| *most)),
        ints(visits.levels.iter().map(|(visit, _)| *visit)),
        ints(visits.levels.iter().map(|(_, level)| *level)),
        names(request.workflows),
        nonce.bits().into(),
        now.into(),
        now.into(),
        suspect_from.into(),
        company.limits.last_of_company().into(),
        company.most.into(),
        company.executing.into(),
        CLAIM_BYTES_MAX.into(),
        request.worker.0.into(),
    ];
    type Row = (DueRow, String, PgTimestamp, PgTimestamp);
    let rows: Vec<Row> = Stmt::<Columns>::new(CLAIM, &binds).load(conn)?;
    for (row, queue, created_at, place) in rows {
        let run = claimed(row, nonce, queue.into(), instant(created_at));
        taken.claims.runs.push(run);
        taken.places.push(instant(place));
    }
    Ok(())
}

/// What is asked for, as the statement takes it.
struct Visits<'a> {
    /// Queue and the most to take from it.
    rooms: Vec<(&'a str, i64)>,
    /// Number of the visit, from 1, and level.
    levels: Vec<(i64, i64)>,
}

impl<'a> Visits<'a> {
    fn new(request: &ClaimRequest<'a>) -> Self {
        let mut all = Self {
            rooms: Vec::new(),
            levels: Vec::new(),
        };
        for room in request.queues {
            for (levels, most) in visits(room, request.lowest_first) {
                all.rooms.push((&room.queue, most.into()));
                let visit = all.rooms.len() as i64;
                let levels = levels.into_iter().map(|level| (visit, level.0.into()));
                all.levels.extend(levels);
            }
        }
        all
    }

    /// Leaves room for what is not taken yet; tells whether there is any.
    fn subtract(&mut self, taken: &[ClaimedRun]) -> bool {
        for (place, (queue, most)) in self.rooms.iter_mut().enumerate() {
            let is_of_returning = place % 2 == 1;
            let of_visit = |run: &&ClaimedRun| {
                *run.queue == **queue && run.level.is_returning() == is_of_returning
            };
            *most -= taken.iter().filter(of_visit).count() as i64;
        }
        self.rooms.iter().any(|(_, most)| *most > 0)
    }
}

fn is_alive(conn: &mut PgConnection, worker: WorkerId) -> QueryResult<bool> {
    let binds = [worker.0.into(), worker.1.0.into()];
    let found: Vec<(i64,)> = Stmt::<(BigInt,)>::new(IS_ALIVE, &binds).load(conn)?;
    Ok(!found.is_empty())
}
