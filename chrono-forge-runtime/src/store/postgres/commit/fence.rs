//! The fence: a plan is written only while its run is held by its worker under its epoch, which is read
//! under the run's lock.
//!
//! Nearly every plan of a large fan-out completes its run. Such a run is not locked by itself: the statement that
//! completes it checks the fence and is its lock. So that all locks of runs are still taken in the order of
//! ids, those of the other kind come first, together with completions that have smaller ids than they.

use std::collections::{BTreeSet, HashMap};

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Nullable};

use super::{Batch, Parents};
use crate::record::{Plan, RunEnd, Verdict};
use crate::store::postgres::bind::ints;
use crate::store::postgres::statement::Stmt;

/// Whoever declares a worker dead waits until its new children are in its claims.
pub(super) const SHARE_WORKERS: &str = "
SELECT id FROM chrono_forge_workers WHERE id = ANY(?) ORDER BY id FOR KEY SHARE";

pub(super) const LOCK: &str = "
SELECT id, locked_by, lock_epoch, wake_requested FROM chrono_forge_workflows
WHERE id = ANY(?) ORDER BY id FOR NO KEY UPDATE";

/// What became of runs that could not be completed. Who waited for such a row has seen its last version.
pub(super) const READ: &str = "
SELECT id, locked_by, lock_epoch, wake_requested FROM chrono_forge_workflows WHERE id = ANY(?)";

/// Where a run stands.
struct Row {
    locked_by: Option<i64>,
    epoch: i64,
    is_woken: bool,
}

impl Batch<'_> {
    /// Keeps the workers alive for whom children are inserted already claimed.
    pub(super) fn share_workers(&self, conn: &mut PgConnection) -> QueryResult<()> {
        let claiming = self.live().filter(|(_, plan)| {
            let mut children = plan.dispatches.iter().flat_map(|d| &d.children);
            children.any(|child| child.claimed)
        });
        let workers: BTreeSet<i64> = claiming.map(|(_, plan)| plan.fence.worker.0).collect();
        if workers.is_empty() {
            return Ok(());
        }
        Stmt::<()>::new(SHARE_WORKERS, &[ints(workers)])
            .execute(conn)
            .map(drop)
    }

    /// Locks own runs and, where they could not be had later, the parents that may be woken; checks the fences and
    /// completes what completes.
    pub(super) fn lock_runs(
        &mut self,
        conn: &mut PgConnection,
        parents: Parents,
    ) -> QueryResult<()> {
        let mut locked = match parents {
            Parents::Last => BTreeSet::new(),
            Parents::First => self.parents(conn)?,
        };
        let others = self.live().filter(|(_, plan)| !is_bare_completion(plan));
        locked.extend(others.map(|(_, plan)| plan.fence.run.0));
        let last = locked.last().copied();
        let before = |plan: &Plan| last.is_some_and(|last| plan.fence.run.0 <= last);
        let early = self.live().filter(|(_, plan)| before(plan));
        locked.extend(early.map(|(_, plan)| plan.fence.run.0));
        let checked: Vec<usize> = self
            .live()
            .filter(|(_, plan)| before(plan))
            .map(|(place, _)| place)
            .collect();
        if !locked.is_empty() {
            let found = rows_of(conn, LOCK, locked)?;
            for place in checked {
                self.check(place, found.get(&self.plans[place].fence.run.0));
            }
        }
        let completed: Vec<usize> = self
            .live()
            .filter(|(_, plan)| is_bare_completion(plan))
            .map(|(place, _)| place)
            .collect();
        let missed = self.complete_runs(conn, completed)?;
        if missed.is_empty() {
            return Ok(());
        }
        let runs = missed.iter().map(|place| self.plans[*place].fence.run.0);
        let found = rows_of(conn, READ, runs.collect())?;
        for place in missed {
            self.check(place, found.get(&self.plans[place].fence.run.0));
            // Whatever it is now, this transaction did not complete it.
            if self.live[place] {
                self.leave_out(place, Verdict::Fenced);
            }
        }
        Ok(())
    }

    fn check(&mut self, place: usize, row: Option<&Row>) {
        let plan = &self.plans[place];
        let epoch = plan.fence.epoch.0;
        match row {
            Some(row) if row.epoch == epoch && row.locked_by == Some(plan.fence.worker.0) => {
                // A plan that consumes the wake-up clears it before it is answered.
                let woken = row.is_woken && !plan.consumes_wake;
                self.set_verdict(place, Verdict::Applied { woken });
            }
            // Nobody else can release a run without raising its epoch: this plan was written, and the reply
            // to its commit was lost.
            Some(row) if row.epoch == epoch && row.locked_by.is_none() && plan.end.is_some() => {
                self.leave_out(place, Verdict::Applied { woken: false });
            }
            _ => self.leave_out(place, Verdict::Fenced),
        }
    }
}

/// Whether the statement that completes runs does all that this plan wants of its run's row.
pub(super) fn is_bare_completion(plan: &Plan) -> bool {
    matches!(plan.end, Some(RunEnd::Completed { .. }))
        && plan.dispatches.is_empty()
        && plan.context.is_empty()
        && plan.level.is_none()
        && !plan.progress
        && !plan.consumes_wake
}

fn rows_of(
    conn: &mut PgConnection,
    sql: &'static str,
    runs: BTreeSet<i64>,
) -> QueryResult<HashMap<i64, Row>> {
    type Columns = (BigInt, Nullable<BigInt>, BigInt, Bool);
    let rows: Vec<(i64, Option<i64>, i64, bool)> =
        Stmt::<Columns>::new(sql, &[ints(runs)]).load(conn)?;
    let row = |(id, locked_by, epoch, is_woken)| {
        let row = Row {
            locked_by,
            epoch,
            is_woken,
        };
        (id, row)
    };
    Ok(rows.into_iter().map(row).collect())
}
