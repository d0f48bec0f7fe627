//! What the queue holds, without taking anything: look-ups in the `ready` index.

use diesel::data_types::PgTimestamp;
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{Bool, Nullable, Text, Timestamptz};
use jiff::Timestamp;

use super::bind::{due_of, instant, instants, ints, names, texts};
use super::claim::Marks;
use super::statement::Stmt;
use crate::record::{Due, Level};
use crate::store::{Outlook, UnservedRow};

/// One look-up at the front of each range, and one for each level that nothing waits in; where a claim would
/// look, so that dead entries in front cost nothing here either.
pub(super) const NEXT_WAKE: &str = "
WITH mark AS MATERIALIZED (
    SELECT * FROM unnest(?, ?, ?, ?) AS m (queue, level, workflow, at)
)
SELECT min(w.wake_at)
FROM unnest(?) AS queue (value)
CROSS JOIN unnest(?) AS level (value)
CROSS JOIN LATERAL (
    SELECT 1 FROM mark AS m WHERE m.queue = queue.value AND m.level = level.value
    UNION ALL
    SELECT 1 FROM chrono_forge_workflows AS f
    WHERE f.queue = queue.value AND f.priority = level.value::smallint AND f.wake_at IS NOT NULL
    LIMIT 1
) AS something_waits
CROSS JOIN unnest(?) AS name (value)
CROSS JOIN LATERAL (
    SELECT coalesce(max(m.at) FILTER (WHERE m.at < '0001-01-01 00:00:00+00 BC'), '-infinity') AS at_once,
        coalesce(max(m.at) FILTER (WHERE m.at >= '0001-01-01 00:00:00+00 BC'), '0001-01-01 00:00:00+00 BC') AS instant
    FROM mark AS m
    WHERE m.queue = queue.value AND m.level = level.value AND m.workflow = name.value
) AS came_to
CROSS JOIN LATERAL (VALUES
    (came_to.at_once, timestamptz '0001-01-01 00:00:00+00 BC' - interval '1 us'),
    (came_to.instant, 'infinity')
) AS part (first, last)
CROSS JOIN LATERAL (
    SELECT w.wake_at FROM chrono_forge_workflows AS w
    WHERE w.queue = queue.value AND w.priority = level.value::smallint AND w.workflow = name.value
        AND w.wake_at >= part.first AND w.wake_at <= part.last
    ORDER BY w.wake_at LIMIT 1
) AS w";

/// One statement, and so one commit: in between two, what was due could begin, and what ran be due. It trusts no
/// mark of where dead entries end, since whoever asks has time.
pub(super) const OUTLOOK: &str = "
SELECT EXISTS (
    SELECT 1
    FROM chrono_forge_claims AS c
    CROSS JOIN LATERAL unnest(c.run_ids) AS r (id)
    CROSS JOIN LATERAL (
        SELECT 1 FROM chrono_forge_workflows AS w
        WHERE w.id = r.id AND w.state = 1 AND w.queue = ANY(?) AND w.workflow = ANY(?)
        LIMIT 1
    ) AS w
), (
    SELECT min(w.wake_at)
    FROM unnest(?) AS queue (value)
    CROSS JOIN unnest(?) AS level (value)
    CROSS JOIN unnest(?) AS name (value)
    CROSS JOIN LATERAL (
        SELECT w.wake_at FROM chrono_forge_workflows AS w
        WHERE w.queue = queue.value AND w.priority = level.value::smallint AND w.workflow = name.value
            AND w.wake_at IS NOT NULL
        ORDER BY w.wake_at LIMIT 1
    ) AS w
)";

/// Steps from one range of the index to the next, so that it reads a row per range and not the queue.
/// One look-up per column, since a comparison of all three at once walks the range that it leaves.
macro_rules! fronts {
    () => {
        "
WITH RECURSIVE front (queue, priority, workflow, wake_at) AS (
    (
        SELECT w.queue, w.priority, w.workflow, w.wake_at FROM chrono_forge_workflows AS w
        WHERE w.wake_at IS NOT NULL
        ORDER BY w.queue, w.priority, w.workflow, w.wake_at LIMIT 1
    )
    UNION ALL
    SELECT w.queue, w.priority, w.workflow, w.wake_at
    FROM front AS f
    JOIN chrono_forge_workflows AS w ON w.id = coalesce(
        (
            SELECT n.id FROM chrono_forge_workflows AS n
            WHERE n.wake_at IS NOT NULL AND n.queue = f.queue AND n.priority = f.priority
                AND n.workflow > f.workflow
            ORDER BY n.workflow, n.wake_at LIMIT 1
        ),
        (
            SELECT n.id FROM chrono_forge_workflows AS n
            WHERE n.wake_at IS NOT NULL AND n.queue = f.queue AND n.priority > f.priority
            ORDER BY n.priority, n.workflow, n.wake_at LIMIT 1
        ),
        (
            SELECT n.id FROM chrono_forge_workflows AS n
            WHERE n.wake_at IS NOT NULL AND n.queue > f.queue
            ORDER BY n.queue, n.priority, n.workflow, n.wake_at LIMIT 1
        )
    )
)"
    };
}

pub(super) const RANGES: &str = concat!(
    fronts!(),
    "
SELECT DISTINCT workflow FROM front
WHERE wake_at <= ? AND workflow <> ALL(?)
ORDER BY workflow LIMIT ?"
);

/// The last of each range that is due at once.
pub(super) const LATEST: &str = concat!(
    fronts!(),
    "
SELECT max((
    SELECT n.wake_at FROM chrono_forge_workflows AS n
    WHERE n.queue = f.queue AND n.priority = f.priority AND n.workflow = f.workflow
        AND n.wake_at < '0001-01-01 00:00:00+00 BC'
    ORDER BY n.wake_at DESC LIMIT 1
))
FROM front AS f"
);

/// A range begins with what is due at once; what has waited for an instant may be older.
pub(super) const UNSERVED: &str = concat!(
    fronts!(),
    "
SELECT f.workflow, f.queue,
    min(least(
        CASE WHEN f.wake_at < '0001-01-01 00:00:00+00 BC' THEN f.wake_at + interval '35063280 hours'
            ELSE f.wake_at END,
        (
            SELECT n.wake_at FROM chrono_forge_workflows AS n
            WHERE n.queue = f.queue AND n.priority = f.priority AND n.workflow = f.workflow
                AND n.wake_at >= '0001-01-01 00:00:00+00 BC'
            ORDER BY n.wake_at LIMIT 1
        )
    )),
    EXISTS (
        SELECT 1 FROM chrono_forge_workers AS w
        WHERE w.stopped_at IS NULL
            AND f.workflow IN (SELECT json_array_elements_text(w.workflows::json))
    ),
    (SELECT a.application FROM chrono_forge_applications AS a WHERE a.workflow = f.workflow)
FROM front AS f
WHERE f.wake_at <= ? AND NOT EXISTS (
    SELECT 1 FROM chrono_forge_workers AS w
    WHERE w.stopped_at IS NULL
        AND f.workflow IN (SELECT json_array_elements_text(w.workflows::json))
        AND f.queue IN (SELECT json_array_elements_text(w.queues::json))
)
GROUP BY f.workflow, f.queue
ORDER BY f.workflow, f.queue LIMIT ?"
);

/// For the tests of query plans.
#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[NEXT_WAKE, OUTLOOK, RANGES, LATEST, UNSERVED];

/// When the first of these runs becomes due.
pub(super) fn next_wake(
    conn: &mut PgConnection,
    queues: &[String],
    workflows: &[String],
    marks: &Marks,
) -> QueryResult<Option<Due>> {
    let marks = marks.list();
    let binds = [
        texts(marks.iter().map(|(range, _)| &*range.queue)),
        ints(marks.iter().map(|(range, _)| range.level.0.into())),
        texts(marks.iter().map(|(range, _)| &*range.workflow)),
        instants(marks.iter().map(|(_, at)| *at)),
        names(queues),
        ints(Level::all().map(|level| level.0.into())),
        names(workflows),
    ];
    let rows: Vec<(Option<PgTimestamp>,)> =
        Stmt::<(Nullable<Timestamptz>,)>::new(NEXT_WAKE, &binds).load(conn)?;
    Ok(rows.first().and_then(|(at,)| at.map(due_of)))
}

/// See [`Store::outlook`](crate::store::Store::outlook).
pub(super) fn outlook(
    conn: &mut PgConnection,
    queues: &[String],
    workflows: &[String],
) -> QueryResult<Outlook> {
    let binds = [
        names(queues),
        names(workflows),
        names(queues),
        ints(Level::all().map(|level| level.0.into())),
        names(workflows),
    ];
    let rows: Vec<(bool, Option<PgTimestamp>)> =
        Stmt::<(Bool, Nullable<Timestamptz>)>::new(OUTLOOK, &binds).load(conn)?;
    let outlook = rows.first().map(|(runs, next)| Outlook {
        runs: *runs,
        next: next.map(due_of),
    });
    Ok(outlook.unwrap_or_default())
}

/// The latest arrival of a run that is due at once, as it is stored.
pub(super) fn latest_arrival(conn: &mut PgConnection) -> QueryResult<Option<i64>> {
    let rows: Vec<(Option<PgTimestamp>,)> =
        Stmt::<(Nullable<Timestamptz>,)>::new(LATEST, &[]).load(conn)?;
    Ok(rows
        .first()
        .and_then(|(at,)| at.map(|at| due_of(at).to_micros())))
}

/// Names beside `workflows` that have due runs.
pub(super) fn unknown_due(
    conn: &mut PgConnection,
    workflows: &[String],
    now: Timestamp,
    limit: u32,
) -> QueryResult<Vec<String>> {
    let binds = [now.into(), names(workflows), limit.into()];
    let rows: Vec<(String,)> = Stmt::<(Text,)>::new(RANGES, &binds).load(conn)?;
    Ok(rows.into_iter().map(|(name,)| name).collect())
}

/// See [`Store::unserved`](crate::store::Store::unserved).
pub(super) fn unserved(
    conn: &mut PgConnection,
    now: Timestamp,
    limit: u32,
) -> QueryResult<Vec<UnservedRow>> {
    type Row = (String, String, PgTimestamp, bool, Option<String>);
    type Types = (Text, Text, Timestamptz, Bool, Nullable<Text>);
    let binds = [now.into(), limit.into()];
    let rows: Vec<Row> = Stmt::<Types>::new(UNSERVED, &binds).load(conn)?;
    let row = |(workflow, queue, due_since, is_known, application)| UnservedRow {
        application,
        workflow,
        queue,
        due_since: instant(due_since),
        is_known,
    };
    Ok(rows.into_iter().map(row).collect())
}
