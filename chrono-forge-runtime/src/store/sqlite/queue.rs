//! What the queue holds, without taking anything: look-ups in the `ready` index.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text};
use jiff::Timestamp;

use super::bind::{id_list, instant, name_list};
use super::statement::Stmt;
use crate::record::{Due, Level};
use crate::store::{Outlook, UnservedRow};

/// One look-up at the front of each range, and one for each level that nothing waits in.
macro_rules! next_wake {
    () => {
        "
SELECT min((
    SELECT w.wake_at
    FROM chrono_forge_workflows AS w INDEXED BY chrono_forge_workflows_ready
    WHERE w.queue = queue.value AND w.priority = level.value AND w.workflow = name.value
        AND w.wake_at IS NOT NULL
    ORDER BY w.wake_at LIMIT 1
))
FROM json_each(?) AS queue CROSS JOIN json_each(?) AS level CROSS JOIN json_each(?) AS name
WHERE (
    SELECT 1 FROM chrono_forge_workflows AS f INDEXED BY chrono_forge_workflows_ready
    WHERE f.queue = queue.value AND f.priority = level.value AND f.wake_at IS NOT NULL LIMIT 1
) = 1"
    };
}

pub(super) const NEXT_WAKE: &str = next_wake!();

/// One statement, and so one commit: in between two, what was due could begin, and what ran be due.
pub(super) const OUTLOOK: &str = concat!(
    "
SELECT EXISTS (
    SELECT 1
    FROM chrono_forge_claims AS c
    CROSS JOIN json_each(c.run_ids) AS j
    CROSS JOIN chrono_forge_workflows AS w ON w.id = j.value
    WHERE w.state = 1
        AND w.queue IN (SELECT value FROM json_each(?))
        AND w.workflow IN (SELECT value FROM json_each(?))
), (",
    next_wake!(),
    ")"
);

/// Steps from one range of the index to the next, so that it reads a row per range and not the queue.
/// One look-up per column, since a comparison of all three at once walks the range that it leaves.
macro_rules! fronts {
    () => {
        "
WITH RECURSIVE front (queue, priority, workflow, wake_at) AS (
    SELECT * FROM (
        SELECT queue, priority, workflow, wake_at
        FROM chrono_forge_workflows INDEXED BY chrono_forge_workflows_ready
        WHERE wake_at IS NOT NULL
        ORDER BY queue, priority, workflow, wake_at LIMIT 1
    )
    UNION ALL
    SELECT w.queue, w.priority, w.workflow, w.wake_at
    FROM front AS f
    CROSS JOIN chrono_forge_workflows AS w ON w.id = coalesce(
        (
            SELECT n.id FROM chrono_forge_workflows AS n INDEXED BY chrono_forge_workflows_ready
            WHERE n.wake_at IS NOT NULL AND n.queue = f.queue AND n.priority = f.priority
                AND n.workflow > f.workflow
            ORDER BY n.workflow, n.wake_at LIMIT 1
        ),
        (
            SELECT n.id FROM chrono_forge_workflows AS n INDEXED BY chrono_forge_workflows_ready
            WHERE n.wake_at IS NOT NULL AND n.queue = f.queue AND n.priority > f.priority
            ORDER BY n.priority, n.workflow, n.wake_at LIMIT 1
        ),
        (
            SELECT n.id FROM chrono_forge_workflows AS n INDEXED BY chrono_forge_workflows_ready
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
WHERE wake_at <= ? AND workflow NOT IN (SELECT value FROM json_each(?))
ORDER BY workflow LIMIT ?"
);

/// The last of each range that is due at once.
pub(super) const LATEST: &str = concat!(
    fronts!(),
    "
SELECT max((
    SELECT n.wake_at
    FROM chrono_forge_workflows AS n INDEXED BY chrono_forge_workflows_ready
    WHERE n.queue = f.queue AND n.priority = f.priority AND n.workflow = f.workflow
        AND n.wake_at < -62167219200000000
    ORDER BY n.wake_at DESC LIMIT 1
))
FROM front AS f"
);

/// A range begins with what is due at once; what has waited for an instant may be older.
pub(super) const UNSERVED: &str = concat!(
    fronts!(),
    "
SELECT f.workflow, f.queue,
    min(min(
        iif(f.wake_at < -62167219200000000, f.wake_at + 126227808000000000, f.wake_at),
        ifnull((
            SELECT n.wake_at
            FROM chrono_forge_workflows AS n INDEXED BY chrono_forge_workflows_ready
            WHERE n.queue = f.queue AND n.priority = f.priority AND n.workflow = f.workflow
                AND n.wake_at >= -62167219200000000
            ORDER BY n.wake_at LIMIT 1
        ), 9000000000000000000)
    )),
    EXISTS (
        SELECT 1 FROM chrono_forge_workers AS w
        WHERE w.stopped_at IS NULL AND f.workflow IN (SELECT value FROM json_each(w.workflows))
    ),
    (SELECT a.application FROM chrono_forge_applications AS a WHERE a.workflow = f.workflow)
FROM front AS f
WHERE f.wake_at <= ? AND NOT EXISTS (
    SELECT 1 FROM chrono_forge_workers AS w
    WHERE w.stopped_at IS NULL
        AND f.workflow IN (SELECT value FROM json_each(w.workflows))
        AND f.queue IN (SELECT value FROM json_each(w.queues))
)
GROUP BY f.workflow, f.queue
ORDER BY f.workflow, f.queue LIMIT ?"
);

/// When the first of these runs becomes due.
pub(super) fn next_wake(
    conn: &mut SqliteConnection,
    queues: &[String],
    workflows: &[String],
) -> QueryResult<Option<Due>> {
    let levels = id_list(Level::all().map(|level| level.0.into()));
    let binds = [
        name_list(queues).into(),
        levels.into(),
        name_list(workflows).into(),
    ];
    let rows: Vec<(Option<i64>,)> =
        Stmt::<(Nullable<BigInt>,)>::new(NEXT_WAKE, &binds).load(conn)?;
    Ok(rows.first().and_then(|(at,)| at.map(Due::of_micros)))
}

/// See [`Store::outlook`](crate::store::Store::outlook).
pub(super) fn outlook(
    conn: &mut SqliteConnection,
    queues: &[String],
    workflows: &[String],
) -> QueryResult<Outlook> {
    let levels = id_list(Level::all().map(|level| level.0.into()));
    let binds = [
        name_list(queues).into(),
        name_list(workflows).into(),
        name_list(queues).into(),
        levels.into(),
        name_list(workflows).into(),
    ];
    let rows: Vec<(i64, Option<i64>)> =
        Stmt::<(BigInt, Nullable<BigInt>)>::new(OUTLOOK, &binds).load(conn)?;
    let outlook = rows.first().map(|(runs, next)| Outlook {
        runs: *runs != 0,
        next: next.map(Due::of_micros),
    });
    Ok(outlook.unwrap_or_default())
}

/// The latest arrival of a run that is due at once, as it is stored.
pub(super) fn latest_arrival(conn: &mut SqliteConnection) -> QueryResult<Option<i64>> {
    let rows: Vec<(Option<i64>,)> = Stmt::<(Nullable<BigInt>,)>::new(LATEST, &[]).load(conn)?;
    Ok(rows.first().and_then(|(latest,)| *latest))
}

/// Names beside `workflows` that have due runs.
pub(super) fn unknown_due(
    conn: &mut SqliteConnection,
    workflows: &[String],
    now: Timestamp,
    limit: u32,
) -> QueryResult<Vec<String>> {
    let binds = [now.into(), name_list(workflows).into(), limit.into()];
    let rows: Vec<(String,)> = Stmt::<(Text,)>::new(RANGES, &binds).load(conn)?;
    Ok(rows.into_iter().map(|(name,)| name).collect())
}

/// See [`Store::unserved`](crate::store::Store::unserved).
pub(super) fn unserved(
    conn: &mut SqliteConnection,
    now: Timestamp,
    limit: u32,
) -> QueryResult<Vec<UnservedRow>> {
    type Row = (String, String, i64, i64, Option<String>);
    type Types = (Text, Text, BigInt, BigInt, Nullable<Text>);
    let binds = [now.into(), limit.into()];
    let rows: Vec<Row> = Stmt::<Types>::new(UNSERVED, &binds).load(conn)?;
    let row = |(workflow, queue, due_since, is_known, application)| UnservedRow {
        application,
        workflow,
        queue,
        due_since: instant(due_since),
        is_known: is_known != 0,
    };
    Ok(rows.into_iter().map(row).collect())
}
