//! Fan-in: finished children count down their branch, and the last one wakes the parent.

use std::collections::BTreeMap;

use diesel::prelude::*;
use diesel::sql_types::BigInt;

use super::Batch;
use crate::record::{RunEnd, RunId, RunState, Verdict};
use crate::store::sqlite::{statement, wake};

/// Bounded at zero: a counter that has gone wrong is the auditor's to repair, and no reason to
/// refuse a child's completion.
pub(super) const COUNT_DOWN: &str = "
UPDATE chrono_forge_execution_logs SET pending = max(pending - v.column2, 0)
FROM (VALUES {(?, ?)}) AS v
WHERE chrono_forge_execution_logs.id = v.column1
RETURNING workflow_id, pending, state";

impl Batch<'_> {
    /// Counts the children that this batch completed, and wakes the parents of sealed branches
    /// whose last child is among them.
    pub(super) fn count_finished(&mut self, conn: &mut SqliteConnection) -> QueryResult<()> {
        let mut finished: BTreeMap<i64, i64> = BTreeMap::new();
        for (_, plan) in self.live() {
            if let (Some(RunEnd::Completed { .. }), Some(parent)) = (&plan.end, plan.parent) {
                *finished.entry(parent.0).or_default() += 1;
            }
        }
        let mut batch = statement::Batch::with_capacity(COUNT_DOWN, finished.len());
        for (branch, children) in finished {
            batch.push([branch.into(), children.into()]);
        }
        let mut parents = Vec::new();
        for chunk in batch.chunks::<(BigInt, BigInt, BigInt)>() {
            let rows = chunk.load::<(i64, i64, i64)>(conn)?;
            let ready = rows
                .iter()
                .filter(|(_, pending, sealed)| *pending == 0 && *sealed == 1);
            parents.extend(ready.map(|(run, _, _)| *run));
        }
        // Two branches of one parent may finish together.
        parents.sort_unstable();
        parents.dedup();
        for (run, state) in wake::rouse(conn, &parents, self.now)? {
            self.applied.parents_woken.push(run);
            match state {
                RunState::Idle => self.applied.due = true,
                _ => self.note_woken(run),
            }
        }
        Ok(())
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
