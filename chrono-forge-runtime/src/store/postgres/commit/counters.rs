//! Counters of branches, written last: what was dispatched and what finished. The last child wakes the parent.

use std::collections::BTreeMap;

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::result::Error;
use diesel::sql_types::{BigInt, SmallInt};

use super::branch::{self, Rows};
use super::{Batch, Parents};
use crate::record::{RunId, RunState, Verdict};
use crate::store::postgres::bind::{ints, opt_texts};
use crate::store::postgres::statement::Stmt;
use crate::store::postgres::wake;

/// Bounded at zero: a counter that has gone wrong is the auditor's to repair, and no reason to
/// refuse a child's completion.
pub(super) const COUNT: &str = "
UPDATE chrono_forge_execution_logs AS l SET
    spawned = l.spawned + v.added,
    pending = greatest(l.pending + v.added - v.finished, 0),
    metadata = coalesce(v.metadata, l.metadata)
FROM unnest(?, ?, ?, ?) AS v (id, added, finished, metadata)
WHERE l.id = v.id
RETURNING l.id, l.workflow_id, l.pending, l.state";

/// Locks the parents that nobody else has locked. Branch rows are locked by now, and who holds a parent may be waiting
/// for one of them.
pub(super) const FREE: &str = "
SELECT id FROM chrono_forge_workflows WHERE id = ANY(?) ORDER BY id
FOR NO KEY UPDATE SKIP LOCKED";

/// What one branch row gets.
#[derive(Default)]
struct Change {
    added: i64,
    finished: i64,
    metadata: Option<String>,
}

impl<'a> Batch<'a> {
    /// Counts what this batch dispatched and completed, and wakes the parents of sealed branches whose last
    /// child is among them. Fails when one of these cannot be locked at once; see [`Parents`].
    pub(super) fn count(
        &mut self,
        conn: &mut PgConnection,
        rows: &Rows<'a>,
        locked: Parents,
    ) -> QueryResult<()> {
        let changes = self.changes(rows)?;
        if changes.is_empty() {
            return Ok(());
        }
        let binds = [
            ints(changes.keys().copied()),
            ints(changes.values().map(|change| change.added)),
            ints(changes.values().map(|change| change.finished)),
            opt_texts(changes.values().map(|change| change.metadata.as_deref())),
        ];
        let counted: Vec<(i64, i64, i64, i16)> =
            Stmt::<(BigInt, BigInt, BigInt, SmallInt)>::new(COUNT, &binds).load(conn)?;
        let is_ready = |id: &i64, pending: i64, state: i16| {
            pending == 0 && state == 1 && changes.get(id).is_some_and(|row| row.finished > 0)
        };
        let mut parents: Vec<i64> = counted
            .iter()
            .filter(|(id, _, pending, state)| is_ready(id, *pending, *state))
            .map(|(_, run, ..)| *run)
            .collect();
        // Two branches of one parent may finish together.
        parents.sort_unstable();
        parents.dedup();
        if parents.is_empty() {
            return Ok(());
        }
        if locked == Parents::Last {
            let wanted = [ints(parents.iter().copied())];
            let free: Vec<(i64,)> = Stmt::<(BigInt,)>::new(FREE, &wanted).load(conn)?;
            self.parents_busy = free.len() < parents.len();
            if self.parents_busy {
                return Err(Error::RollbackTransaction);
            }
        }
        for (run, state) in wake::rouse(conn, &parents, self.now)? {
            self.applied.parents_woken.push(run);
            match state {
                RunState::Idle => self.applied.due = true,
                _ => self.note_woken(run),
            }
        }
        Ok(())
    }

    fn changes(&self, rows: &Rows<'a>) -> QueryResult<BTreeMap<i64, Change>> {
        let mut changes: BTreeMap<i64, Change> = BTreeMap::new();
        for (branch, children) in &self.finished {
            if *children > 0 {
                changes.entry(*branch).or_default().finished = *children;
            }
        }
        for dispatched in &rows.dispatches {
            let Some(id) = dispatched.id.filter(|id| !rows.created.contains(&id.0)) else {
                continue;
            };
            let change = changes.entry(id.0).or_default();
            change.added = branch::added(dispatched);
            // A row that is sealed in the same batch has its cursors from there.
            let of = (dispatched.plan.fence.run.0, dispatched.name());
            if !rows.sealed.contains_key(&of) {
                change.metadata = branch::advanced(dispatched)?;
            }
        }
        Ok(changes)
    }

    /// The plan of a run that still runs answers that it was woken.
    fn note_woken(&mut self, run: RunId) {
        let place = self
            .live()
            .find(|(_, plan)| plan.fence.run == run)
            .map(|(place, _)| place);
        if let Some(place) = place {
            self.set_verdict(place, Verdict::Applied { woken: true });
        }
    }
}
