//! Which run is meant: by its key, which runs of different parents may share, or by its id.

use std::collections::BTreeMap;

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, SmallInt, Text};

use super::bind::{ints, texts};
use super::runs;
use super::statement::Stmt;
use crate::record::{Epoch, Namesake, RunId};
use crate::store::shared::namesakes::{NamesakeRow, namesake};
use crate::store::{Found, Named, RunName};

/// The runs `w` of workflow `v.workflow` and key `v.key`, and of no other parent than the third
/// argument says. Short keys are in one index, and hashes of the long ones in another (see the
/// migration): one look-up into one of them.
macro_rules! of_key {
    ($columns:literal) => {
        of_key!($columns, "")
    };
    ($columns:literal, $parent:literal) => {
        concat!(
            "
CROSS JOIN LATERAL (
    SELECT ",
            $columns,
            " FROM chrono_forge_workflows AS w
    WHERE w.key = v.key AND w.workflow = v.workflow AND octet_length(w.key) <= 1024",
            $parent,
            "
    UNION ALL
    SELECT ",
            $columns,
            " FROM chrono_forge_workflows AS w
    WHERE octet_length(v.key) > 1024 AND octet_length(w.key) > 1024
        AND hashtextextended(w.key, 0) = hashtextextended(v.key, 0)
        AND hashtextextended(w.key, 1) = hashtextextended(v.key, 1)
        AND w.key = v.key AND w.workflow = v.workflow",
            $parent,
            "
) AS w"
        )
    };
}
pub(super) use of_key;

/// All runs of a name, which are as many as parents share a key.
pub(super) const IDENTIFY: &str = concat!(
    "
SELECT v.place, w.id, w.lock_epoch, w.state
FROM unnest(?, ?, ?) AS v (place, workflow, key)",
    of_key!("w.id, w.lock_epoch, w.state"),
    "
ORDER BY v.place, w.id"
);

pub(super) const IDENTIFY_IDS: &str = "
SELECT v.place, w.id, w.lock_epoch, w.state
FROM unnest(?, ?) AS v (place, id)
JOIN chrono_forge_workflows AS w ON w.id = v.id";

pub(super) const NAMESAKES: &str = concat!(
    "
SELECT w.id, p.id, p.workflow, p.key, l.step_name
FROM (SELECT ?::text, ?::text) AS v (workflow, key)",
    of_key!("w.id, w.parent_execution_log_id"),
    "
LEFT JOIN chrono_forge_execution_logs AS l ON l.id = w.parent_execution_log_id
LEFT JOIN chrono_forge_workflows AS p ON p.id = l.workflow_id
ORDER BY w.id LIMIT ?"
);

pub(super) const CHILD: &str = concat!(
    "
SELECT w.id
FROM (
    SELECT l.id, ?::text AS workflow, ?::text AS key
    FROM chrono_forge_execution_logs AS l WHERE l.workflow_id = ? AND l.step_name = ?
) AS v",
    of_key!("w.id", " AND coalesce(w.parent_execution_log_id, 0) = v.id")
);

/// For the tests of query plans.
#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[IDENTIFY, IDENTIFY_IDS, NAMESAKES, CHILD];

/// Which runs these names mean, in order, and where they stand. They may stand elsewhere a moment
/// later: who acts on one locks the row and looks again.
pub(super) fn identify_all<'n>(
    conn: &mut PgConnection,
    names: impl ExactSizeIterator<Item = &'n RunName>,
) -> QueryResult<Vec<Named>> {
    let count = names.len();
    let (mut places, mut workflows, mut keys) = (Vec::new(), Vec::new(), Vec::new());
    let mut ids = Vec::new();
    for (place, name) in (0_i64..).zip(names) {
        match name {
            RunName::Key { workflow, key } => {
                places.push(place);
                workflows.push(&**workflow);
                keys.push(&**key);
            }
            RunName::Id(run) => ids.push((place, run.0)),
        }
    }
    let mut found: BTreeMap<i64, Vec<Found>> = BTreeMap::new();
    type Columns = (BigInt, BigInt, BigInt, SmallInt);
    let mut rows: Vec<(i64, i64, i64, i16)> = Vec::new();
    if !keys.is_empty() {
        let binds = [ints(places), texts(workflows), texts(keys)];
        rows.extend(Stmt::<Columns>::new(IDENTIFY, &binds).load::<(i64, i64, i64, i16)>(conn)?);
    }
    if !ids.is_empty() {
        let binds = [
            ints(ids.iter().map(|(place, _)| *place)),
            ints(ids.iter().map(|(_, id)| *id)),
        ];
        rows.extend(Stmt::<Columns>::new(IDENTIFY_IDS, &binds).load::<(i64, i64, i64, i16)>(conn)?);
    }
    for (place, id, epoch, code) in rows {
        let state = runs::state(code)?;
        let (run, epoch) = (RunId(id), Epoch(epoch));
        found
            .entry(place)
            .or_default()
            .push(Found { run, epoch, state });
    }
    let named = |place| {
        found
            .get(&place)
            .map_or(Named::Nobody, |found| Named::of(found))
    };
    Ok((0_i64..).take(count).map(named).collect())
}

/// Runs of one workflow and key; see [`Store::namesakes`](crate::store::Store::namesakes).
pub(super) fn namesakes(
    conn: &mut PgConnection,
    workflow: &str,
    key: &str,
    limit: u32,
) -> QueryResult<Vec<Namesake>> {
    type Columns = (
        BigInt,
        Nullable<BigInt>,
        Nullable<Text>,
        Nullable<Text>,
        Nullable<Text>,
    );
    let binds = [workflow.into(), key.into(), limit.into()];
    let rows: Vec<NamesakeRow> = Stmt::<Columns>::new(NAMESAKES, &binds).load(conn)?;
    Ok(rows.into_iter().map(namesake).collect())
}

/// A branch's child; see [`Store::child`](crate::store::Store::child).
pub(super) fn child(
    conn: &mut PgConnection,
    (run, branch): (RunId, &str),
    workflow: &str,
    key: &str,
) -> QueryResult<Option<RunId>> {
    let binds = [workflow.into(), key.into(), run.0.into(), branch.into()];
    let rows: Vec<(i64,)> = Stmt::<(BigInt,)>::new(CHILD, &binds).load(conn)?;
    Ok(rows.first().map(|(id,)| RunId(*id)))
}
