//! Branch rows: found under the locks of their runs; created by the first dispatch.
//!
//! They are locked as late as can be, when the counters are lowered: writers with children of one branch meet only
//! there. A seal writes its row earlier, so a batch with a seal locks this row, and all of its rows with smaller ids,
//! before.

use std::collections::{BTreeMap, BTreeSet};

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::result::Error;
use diesel::sql_types::{BigInt, Nullable, Text};

use super::Batch;
use crate::record::RecordId;
use crate::store::postgres::bind::{instants, ints, opt_texts, texts};
use crate::store::postgres::statement::Stmt;
use crate::store::shared::dispatch::{Branch, branches_of};

pub(super) const LOOK: &str = "
SELECT v.nth, l.id, l.metadata
FROM unnest(?, ?, ?) AS v (nth, run, name)
JOIN chrono_forge_execution_logs AS l ON l.workflow_id = v.run AND l.step_name = v.name";

pub(super) const PARENTS: &str =
    "SELECT workflow_id FROM chrono_forge_execution_logs WHERE id = ANY(?)";

pub(super) const LOCK: &str = "
SELECT id FROM chrono_forge_execution_logs WHERE id = ANY(?) ORDER BY id FOR NO KEY UPDATE";

pub(super) const INSERT: &str = "
INSERT INTO chrono_forge_execution_logs
    (workflow_id, step_name, started_at, spawned, pending, metadata)
SELECT v.run, v.name, v.at, v.added, v.added, v.metadata
FROM unnest(?, ?, ?, ?, ?) AS v (run, name, at, added, metadata)
RETURNING id";

/// The branch rows that a batch is concerned with.
#[derive(Default)]
pub(super) struct Rows<'a> {
    /// What is dispatched, by branch.
    pub(super) dispatches: Vec<Branch<'a>>,
    /// Rows that records of this batch write (a seal), with what they keep: by run and step name.
    pub(super) sealed: BTreeMap<(i64, &'a str), Option<String>>,
    /// Rows that this batch creates, with their counters.
    pub(super) created: Vec<i64>,
    /// Some are locked already, because of a seal.
    pub(super) are_locked: bool,
}

/// Whether a record of this name is a branch's.
pub(super) fn is_branch(step_name: &str) -> bool {
    step_name.starts_with("branch$")
}

impl<'a> Batch<'a> {
    /// The runs whose branches the completions of this batch count down.
    pub(super) fn parents(&self, conn: &mut PgConnection) -> QueryResult<BTreeSet<i64>> {
        if self.finished.is_empty() {
            return Ok(BTreeSet::new());
        }
        let branches = [ints(self.finished.keys().copied())];
        let parents: Vec<(i64,)> = Stmt::<(BigInt,)>::new(PARENTS, &branches).load(conn)?;
        Ok(parents.into_iter().map(|(run,)| run).collect())
    }

    /// Finds the rows that this batch dispatches to or seals; locks them if it seals one.
    pub(super) fn find_branches(&self, conn: &mut PgConnection) -> QueryResult<Rows<'a>> {
        let mut rows = Rows {
            dispatches: self
                .live()
                .flat_map(|(place, plan)| branches_of(place, plan))
                .collect(),
            ..Rows::default()
        };
        let sealed = self.look(conn, &mut rows)?;
        let Some(last) = sealed.last() else {
            return Ok(rows);
        };
        let dispatched = rows.dispatches.iter().filter_map(|branch| branch.id);
        let mut locked: BTreeSet<i64> = dispatched.map(|id| id.0).collect();
        locked.extend(self.finished.keys());
        locked.extend(&sealed);
        // The others are locked by their counters, in the order of ids, too.
        let locked = [ints(locked.range(..=last).copied())];
        Stmt::<(BigInt,)>::new(LOCK, &locked).load::<(i64,)>(conn)?;
        rows.are_locked = true;
        Ok(rows)
    }

    /// Looks them up; answers the rows that are sealed.
    fn look(&self, conn: &mut PgConnection, rows: &mut Rows<'a>) -> QueryResult<BTreeSet<i64>> {
        let dispatched = rows.dispatches.iter().map(|branch| {
            let run = branch.plan.fence.run.0;
            (run, branch.name())
        });
        let sealed = self.live().flat_map(|(_, plan)| {
            let names = plan.records.iter().map(|record| &*record.step_name);
            names
                .filter(|name| is_branch(name))
                .map(|name| (plan.fence.run.0, name))
        });
        let count = rows.dispatches.len();
        let wanted: Vec<(i64, &str)> = dispatched.chain(sealed).collect();
        if wanted.is_empty() {
            return Ok(BTreeSet::new());
        }
        let binds = [
            ints((0..).take(wanted.len())),
            ints(wanted.iter().map(|(run, _)| *run)),
            texts(wanted.iter().map(|(_, name)| *name)),
        ];
        let found: Vec<(i64, i64, Option<String>)> =
            Stmt::<(BigInt, BigInt, Nullable<Text>)>::new(LOOK, &binds).load(conn)?;
        let mut sealed = BTreeSet::new();
        rows.sealed = wanted[count..].iter().map(|of| (*of, None)).collect();
        for (nth, id, metadata) in found {
            let nth = usize::try_from(nth).unwrap_or(usize::MAX);
            match rows.dispatches.get_mut(nth) {
                Some(branch) => {
                    branch.id = Some(RecordId(id));
                    branch.metadata = metadata;
                }
                None => {
                    sealed.insert(id);
                    if let Some(of) = wanted.get(nth) {
                        rows.sealed.insert(*of, metadata);
                    }
                }
            }
        }
        Ok(sealed)
    }
}

/// Creates the rows that are missing, with their counters and cursors.
pub(super) fn create(
    conn: &mut PgConnection,
    branches: &mut [Branch<'_>],
) -> QueryResult<Vec<i64>> {
    let mut missing: Vec<&mut Branch<'_>> = branches
        .iter_mut()
        .filter(|branch| branch.id.is_none())
        .collect();
    if missing.is_empty() {
        return Ok(Vec::new());
    }
    let metadata = missing
        .iter()
        .map(|branch| advanced(branch))
        .collect::<QueryResult<Vec<_>>>()?;
    let binds = [
        ints(missing.iter().map(|branch| branch.plan.fence.run.0)),
        texts(missing.iter().map(|branch| branch.name())),
        instants(missing.iter().map(|branch| branch.first().at)),
        ints(missing.iter().map(|branch| added(branch))),
        opt_texts(metadata.iter().map(Option::as_deref)),
    ];
    let ids: Vec<(i64,)> = Stmt::<(BigInt,)>::new(INSERT, &binds).load(conn)?;
    drop(binds);
    for (branch, (id,)) in missing.iter_mut().zip(&ids) {
        branch.id = Some(RecordId(*id));
    }
    Ok(ids.into_iter().map(|(id,)| id).collect())
}

/// Children that this batch adds.
pub(super) fn added(branch: &Branch<'_>) -> i64 {
    i64::try_from(branch.children.len()).unwrap_or(i64::MAX)
}

pub(super) fn advanced(branch: &Branch<'_>) -> QueryResult<Option<String>> {
    branch
        .advanced()
        .map_err(|error| Error::SerializationError(Box::new(error)))
}
