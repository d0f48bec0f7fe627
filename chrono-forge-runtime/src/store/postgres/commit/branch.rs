//! Branch rows: found and, where their order matters, locked before any run; created by the first dispatch.
//!
//! A completion far from the last one of its branch does not lock the branch row before its runs: the counter
//! is lowered last, so that two writers with children of one branch meet only there. Near zero the row is
//! locked first, since the transaction that reaches zero wakes the parent, whose lock comes before or after those
//! of its own runs. When the guess is wrong the result is right all the same, and only the order of two locks
//! is not: the server finds a deadlock, if there is one, and the batch is run again.

use std::collections::{BTreeMap, BTreeSet};

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::result::Error;
use diesel::sql_types::{BigInt, Nullable, SmallInt, Text};

use super::Batch;
use crate::record::RecordId;
use crate::store::postgres::bind::{instants, ints, opt_texts, texts};
use crate::store::postgres::statement::Stmt;
use crate::store::shared::dispatch::{Branch, branches_of};

/// Children that all writers together hardly complete while one transaction lasts.
const NEAR: i64 = 8_192;

pub(super) const LOOK: &str = "
SELECT v.nth, l.id, l.pending, l.metadata
FROM unnest(?, ?, ?) AS v (nth, run, name)
JOIN chrono_forge_execution_logs AS l ON l.workflow_id = v.run AND l.step_name = v.name";

pub(super) const PENDING: &str =
    "SELECT id, pending FROM chrono_forge_execution_logs WHERE id = ANY(?)";

pub(super) const LOCK: &str = "
SELECT id, workflow_id, pending, state FROM chrono_forge_execution_logs
WHERE id = ANY(?) ORDER BY id FOR NO KEY UPDATE";

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
    /// Parents of sealed branches whose last child may be in this batch.
    pub(super) ending: BTreeSet<i64>,
}

/// Whether a record of this name is a branch's.
pub(super) fn is_branch(step_name: &str) -> bool {
    step_name.starts_with("branch$")
}

impl<'a> Batch<'a> {
    /// Finds the branch rows of this batch, and locks those whose order matters.
    pub(super) fn lock_branches(&self, conn: &mut PgConnection) -> QueryResult<Rows<'a>> {
        let mut rows = Rows {
            dispatches: self
                .live()
                .flat_map(|(place, plan)| branches_of(place, plan))
                .collect(),
            ..Rows::default()
        };
        let mut pending = self.look(conn, &mut rows)?;
        if !self.finished.is_empty() {
            let all = [ints(self.finished.keys().copied())];
            let found: Vec<(i64, i64)> = Stmt::<(BigInt, BigInt)>::new(PENDING, &all).load(conn)?;
            for (id, left) in found {
                let left = left - self.finished.get(&id).unwrap_or(&0);
                pending
                    .entry(id)
                    .and_modify(|least| *least = left.min(*least))
                    .or_insert(left);
            }
        }
        // Those that are left for last have the larger ids, so that these locks, too, are taken in one order.
        let near = pending.iter().rfind(|(_, pending)| **pending <= NEAR);
        let Some((last, _)) = near else {
            return Ok(rows);
        };
        let first = pending.range(..=last).map(|(id, _)| *id);
        let all = [ints(first)];
        let locked: Vec<(i64, i64, i64, i16)> =
            Stmt::<(BigInt, BigInt, BigInt, SmallInt)>::new(LOCK, &all).load(conn)?;
        let ending = locked.into_iter().filter(|(id, _, pending, state)| {
            let finished = self.finished.get(id).copied().unwrap_or(0);
            *state == 1 && finished > 0 && *pending <= finished
        });
        rows.ending = ending.map(|(_, run, _, _)| run).collect();
        Ok(rows)
    }

    /// Finds the rows that this batch dispatches to or seals; answers how many children each of them waits for,
    /// one that is sealed as if it were none.
    fn look(
        &self,
        conn: &mut PgConnection,
        rows: &mut Rows<'a>,
    ) -> QueryResult<BTreeMap<i64, i64>> {
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
            return Ok(BTreeMap::new());
        }
        let binds = [
            ints((0..).take(wanted.len())),
            ints(wanted.iter().map(|(run, _)| *run)),
            texts(wanted.iter().map(|(_, name)| *name)),
        ];
        type Columns = (BigInt, BigInt, BigInt, Nullable<Text>);
        let found: Vec<(i64, i64, i64, Option<String>)> =
            Stmt::<Columns>::new(LOOK, &binds).load(conn)?;
        let mut pending = BTreeMap::new();
        rows.sealed = wanted[count..].iter().map(|of| (*of, None)).collect();
        for (nth, id, left, metadata) in found {
            let nth = usize::try_from(nth).unwrap_or(usize::MAX);
            match rows.dispatches.get_mut(nth) {
                Some(branch) => {
                    branch.id = Some(RecordId(id));
                    branch.metadata = metadata;
                    pending.entry(id).or_insert(left);
                }
                None => {
                    pending.insert(id, 0);
                    if let Some(of) = wanted.get(nth) {
                        rows.sealed.insert(*of, metadata);
                    }
                }
            }
        }
        Ok(pending)
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
