//! The fence: a plan is written only while its run is held by its worker under its epoch.

use diesel::prelude::*;

use super::Batch;
use crate::record::{Fence, Plan, Verdict};
use crate::store::sqlite::statement::{self, sql};

sql! {
    /// Answers only the runs that are worth a word: lost ones, and woken ones. Not `state` but the
    /// lock tells: it is null on every run that is not running.
    pub(super) struct Exceptions = "
SELECT v.column1, v.column2, v.column3, w.locked_by IS v.column2 AND w.lock_epoch IS v.column3
FROM (VALUES {(?, ?, ?)}) AS v
LEFT JOIN chrono_forge_workflows AS w ON w.id = v.column1
WHERE w.locked_by IS NOT v.column2 OR w.lock_epoch IS NOT v.column3 OR w.wake_requested <> 0";
}

impl Batch<'_> {
    /// Reads the fence and the wake-up flag of every run of the batch.
    pub(super) fn check_fences(&mut self, conn: &mut SqliteConnection) -> QueryResult<()> {
        let mut batch = statement::Batch::<3, Exceptions>::of(self.plans.len());
        for Plan { fence, .. } in self.plans {
            batch.push([
                fence.run.0.into(),
                fence.worker.0.into(),
                fence.epoch.0.into(),
            ]);
        }
        for (run, worker, epoch, held) in batch.numbers(conn)? {
            // The run is not enough: one that was taken back while a plan of its old pass waited
            // may have a plan of its new one in the same batch.
            let asked = (run, worker, epoch);
            let is_asked = |plan: &Plan| {
                let Fence { run, worker, epoch } = plan.fence;
                (run.0, worker.0, epoch.0) == asked
            };
            let Some(place) = self.plans.iter().position(is_asked) else {
                continue;
            };
            let verdict = match held {
                0 => Verdict::Fenced,
                // A plan that consumes the wake-up clears it before it is answered.
                _ => Verdict::Applied {
                    woken: !self.plans[place].consumes_wake,
                },
            };
            self.set_verdict(place, verdict);
        }
        Ok(())
    }
}
