//! Which records a retry re-arms: what is read to tell it.

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, SmallInt, Text};

use crate::record::{RecordId, RunId};
use crate::store::postgres::bind::{Bind, ints, texts};
use crate::store::postgres::records::repeat_rows;
use crate::store::postgres::statement::Stmt;
use crate::store::shared::tail::{Found, Named, Tails, candidates, listed, resolve};

/// For each run the place of what stalled it and of the last success before that which the body received.
/// A stalled run received its failure last, so what has a later place was dropped unseen and says nothing
/// about the tail.
///
/// Here and below two ranges of the index leave out what repeats have written, of which there may be
/// millions of rows; the repeats' own rows are read by name.
pub(super) const LAST_SUCCESS: &str = "
SELECT t.run, t.place, greatest(before.place, behind.place)
FROM (
    SELECT w.id, coalesce(s.seq, 9223372036854775807)
    FROM unnest(?) AS v (id)
    JOIN chrono_forge_workflows AS w ON w.id = v.id
    LEFT JOIN chrono_forge_execution_logs AS s
        ON s.workflow_id = w.id AND s.step_name = w.stalled_by
) AS t (run, place)
CROSS JOIN LATERAL (
    SELECT coalesce(max(l.seq), 0) FROM chrono_forge_execution_logs AS l
    WHERE l.workflow_id = t.run AND l.step_name < 'repeat$' AND l.state = 1 AND l.seq < t.place
) AS before (place)
CROSS JOIN LATERAL (
    SELECT coalesce(max(l.seq), 0) FROM chrono_forge_execution_logs AS l
    WHERE l.workflow_id = t.run AND l.step_name >= 'repeat%' AND l.state = 1 AND l.seq < t.place
) AS behind (place)";

/// Failed records behind that.
pub(super) const TAIL: &str = "
WITH v AS (SELECT * FROM unnest(?, ?) AS v (run, place))
SELECT v.run, l.seq, l.id, l.step_name
FROM v JOIN chrono_forge_execution_logs AS l ON l.workflow_id = v.run
WHERE l.step_name < 'repeat$' AND l.state = 2 AND l.seq > v.place
UNION ALL
SELECT v.run, l.seq, l.id, l.step_name
FROM v JOIN chrono_forge_execution_logs AS l ON l.workflow_id = v.run
WHERE l.step_name >= 'repeat%' AND l.state = 2 AND l.seq > v.place";

pub(super) const NAMED: &str = "
SELECT v.nth, l.id, l.step_name, l.state, coalesce(l.seq, 0)
FROM unnest(?, ?) AS v (nth, name)
CROSS JOIN LATERAL (
    SELECT * FROM chrono_forge_execution_logs AS o
    WHERE o.workflow_id = ? AND o.step_name = v.name LIMIT 1
) AS l";

/// Nearly no run has any, so all of them are asked at once.
pub(super) const REPEATS: &str = concat!(
    repeat_rows!("unnest(?)"),
    "
SELECT l.workflow_id, l.id, l.step_name, l.state, coalesce(l.seq, 0) FROM repeat_rows AS l"
);

pub(super) const FAILED: &str = "
SELECT l.step_name FROM chrono_forge_execution_logs AS l
WHERE l.workflow_id = ? AND l.step_name < 'repeat$' AND l.state = 2
UNION ALL
SELECT l.step_name FROM chrono_forge_execution_logs AS l
WHERE l.workflow_id = ? AND l.step_name >= 'repeat%' AND l.state = 2
LIMIT 20";

/// In the order of the index.
pub(super) const OTHER: &str = "
SELECT l.id, l.step_name FROM chrono_forge_execution_logs AS l
WHERE l.workflow_id = ? ORDER BY l.step_name LIMIT ?";

/// Failed records at the tails of these runs.
pub(super) fn of_runs(
    conn: &mut PgConnection,
    runs: &[RunId],
) -> QueryResult<Vec<(RecordId, String)>> {
    let repeats = repeats_of(conn, runs)?;
    let binds = [ints(runs.iter().map(|run| run.0))];
    let last: Vec<(i64, i64, i64)> =
        Stmt::<(BigInt, BigInt, BigInt)>::new(LAST_SUCCESS, &binds).load(conn)?;
    let mut tails = Tails::default();
    for run in last {
        tails.add(run, &repeats);
    }
    let binds = [
        ints(tails.successes.iter().map(|(run, _)| *run)),
        ints(tails.successes.iter().map(|(_, place)| *place)),
    ];
    let failed: Vec<(i64, i64, i64, String)> =
        Stmt::<(BigInt, BigInt, BigInt, Text)>::new(TAIL, &binds).load(conn)?;
    Ok(tails.with(failed))
}

/// The rows of the repeats of these runs.
fn repeats_of(conn: &mut PgConnection, runs: &[RunId]) -> QueryResult<Vec<Found>> {
    look_up(conn, REPEATS, &[ints(runs.iter().map(|run| run.0))])
}

fn look_up(
    conn: &mut PgConnection,
    sql: &'static str,
    binds: &[Bind<'_>],
) -> QueryResult<Vec<Found>> {
    type Columns = (BigInt, BigInt, Text, SmallInt, BigInt);
    let rows: Vec<(i64, i64, String, i16, i64)> = Stmt::<Columns>::new(sql, binds).load(conn)?;
    let found = |(nth, id, name, state, seq): (i64, i64, String, i16, i64)| Found {
        nth,
        id,
        name,
        state: state.into(),
        seq,
    };
    Ok(rows.into_iter().map(found).collect())
}

/// The failed records of these names, each once.
pub(super) fn named(conn: &mut PgConnection, run: RunId, names: &[String]) -> QueryResult<Named> {
    let wanted = candidates(names);
    let binds = [
        ints(wanted.iter().map(|(nth, _)| *nth)),
        texts(wanted.iter().map(|(_, name)| name.as_str())),
        run.0.into(),
    ];
    let rows = look_up(conn, NAMED, &binds)?;
    Ok(resolve(names, &rows))
}

/// Failed records of a run, for the message of a refusal.
pub(super) fn failed(conn: &mut PgConnection, run: RunId) -> QueryResult<Vec<String>> {
    let binds = [run.0.into(), run.0.into()];
    let rows: Vec<(String,)> = Stmt::<(Text,)>::new(FAILED, &binds).load(conn)?;
    let repeats = repeats_of(conn, &[run])?;
    let names = rows.into_iter().map(|(name,)| name).collect();
    Ok(listed(names, repeats))
}

/// A record of a run that is none of these, if there is one.
pub(super) fn other_than(
    conn: &mut PgConnection,
    run: RunId,
    records: &[RecordId],
) -> QueryResult<Option<String>> {
    let most = i64::try_from(records.len()).unwrap_or(i64::MAX);
    let binds = [run.0.into(), most.saturating_add(1).into()];
    let rows: Vec<(i64, String)> = Stmt::<(BigInt, Text)>::new(OTHER, &binds).load(conn)?;
    let mut others = rows
        .into_iter()
        .filter(|(id, _)| !records.contains(&RecordId(*id)));
    Ok(others.next().map(|(_, name)| name))
}
