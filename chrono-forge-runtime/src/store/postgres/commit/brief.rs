//! A small batch as one statement: one round trip instead of six, which is what the latency of an idle system
//! is made of.

use std::collections::HashSet;

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool};

use super::records::{self, Of};
use super::run::completion;
use super::{branch, fence};
use crate::record::Plan;
use crate::store::postgres::bind::{Bind, instants, ints, opt_texts, texts};
use crate::store::postgres::statement::Stmt;

/// Rows are matched with their runs one by one, so only as many as cost less than the round trips.
const PLANS_MAX: usize = 4;
const RECORDS_MAX: usize = 16;

/// The runs that go on, with their fence; locked.
macro_rules! held {
    () => {
        "
    SELECT w.id, w.wake_requested
    FROM unnest(?, ?, ?) AS v (run, worker, epoch)
    JOIN chrono_forge_workflows AS w
        ON w.id = v.run AND w.locked_by = v.worker AND w.lock_epoch = v.epoch
    ORDER BY w.id FOR NO KEY UPDATE OF w"
    };
}

/// The runs that end, with their fence; completed.
macro_rules! done {
    () => {
        "
    UPDATE chrono_forge_workflows AS w SET
        state = 2,
        locked_by = NULL,
        output = v.output,
        completed_at = v.at,
        updated_at = v.at
    FROM unnest(?, ?, ?, ?, ?) AS v (run, worker, epoch, output, at)
    WHERE w.id = v.run AND w.locked_by = v.worker AND w.lock_epoch = v.epoch
    RETURNING w.id, w.wake_requested"
    };
}

/// A run that ends is blocked no more.
macro_rules! gone {
    ($done:literal) => {
        concat!(
            "
), gone AS (
    DELETE FROM chrono_forge_blocked WHERE workflow_id IN (SELECT id FROM ",
            $done,
            ")"
        )
    };
}

/// The records of `own`, and what is told.
macro_rules! noted {
    () => {
        concat!(
            "
), noted AS (
    ",
            records::insert!(),
            records::columns!(),
            "
    WHERE v.run IN (SELECT id FROM own)",
            records::on_conflict!(),
            "
)
SELECT id, wake_requested FROM own"
        )
    };
}

/// The fence first; everything else depends on its rows. A server prepares each part of a statement anew for
/// each execution, so there is one without those that have nothing to do.
pub(super) const HELD: &str = concat!("WITH own AS (", held!(), noted!());

pub(super) const DONE: &str = concat!("WITH own AS (", done!(), gone!("own"), noted!());

pub(super) const BOTH: &str = concat!(
    "WITH held AS (",
    held!(),
    "
), done AS (",
    done!(),
    gone!("done"),
    "
), own AS (
    SELECT id, wake_requested FROM held UNION ALL SELECT id, wake_requested FROM done",
    noted!()
);

/// A batch that fits.
pub(crate) struct Brief<'a> {
    held: Vec<&'a Plan>,
    done: Vec<&'a Plan>,
    records: Vec<Of<'a>>,
}

impl<'a> Brief<'a> {
    /// `None` for a batch that is too large, or that writes more than records and completions of runs that nobody
    /// waits for.
    pub(in crate::store::postgres) fn of(plans: &'a [Plan]) -> Option<Self> {
        if plans.len() > PLANS_MAX || !plans.iter().all(is_brief) {
            return None;
        }
        let (done, held): (Vec<&Plan>, Vec<&Plan>) = plans
            .iter()
            .partition(|plan| fence::is_bare_completion(plan));
        let records: Vec<Of<'a>> = plans.iter().flat_map(records::of_plan).collect();
        let runs: HashSet<_> = plans.iter().map(|plan| plan.fence.run).collect();
        let last = held.iter().map(|plan| plan.fence.run).max();
        let first = done.iter().map(|plan| plan.fence.run).min();
        // `held` is read first, so locks are taken in the order of ids if its ids are the smaller ones.
        let in_order = match (last, first) {
            (Some(last), Some(first)) => last < first,
            _ => true,
        };
        let fits = in_order && runs.len() == plans.len() && records.len() <= RECORDS_MAX;
        fits.then_some(Self {
            held,
            done,
            records,
        })
    }

    /// Writes those plans whose fences hold, in a transaction of its own; answers their runs, with whether a wake-up is
    /// left on them. Of the others nothing is written.
    pub(in crate::store::postgres) fn write(
        &self,
        conn: &mut PgConnection,
    ) -> QueryResult<Vec<(i64, bool)>> {
        let held = || self.held.iter();
        let mut done: Vec<&Plan> = self.done.clone();
        done.sort_unstable_by_key(|plan| plan.fence.run);
        let done = || done.iter();
        let ends = || done().filter_map(|plan| completion(plan));
        let metadata = self.records.iter().map(Of::metadata);
        let of_held = [
            ints(held().map(|plan| plan.fence.run.0)),
            ints(held().map(|plan| plan.fence.worker.0)),
            ints(held().map(|plan| plan.fence.epoch.0)),
        ];
        let of_done = [
            ints(done().map(|plan| plan.fence.run.0)),
            ints(done().map(|plan| plan.fence.worker.0)),
            ints(done().map(|plan| plan.fence.epoch.0)),
            texts(ends().map(|(output, _)| output)),
            instants(ends().map(|(_, at)| at)),
        ];
        let (sql, mut binds): (_, Vec<Bind<'_>>) = match (self.held.len(), self.done.len()) {
            (_, 0) => (HELD, of_held.into()),
            (0, _) => (DONE, of_done.into()),
            _ => (BOTH, of_held.into_iter().chain(of_done).collect()),
        };
        binds.extend(records::binds(&self.records, opt_texts(metadata)));
        Stmt::<(BigInt, Bool)>::new(sql, &binds).load(conn)
    }
}

/// Whether this plan writes nothing but records and the completion of its run, and its completion counts
/// nowhere.
fn is_brief(plan: &Plan) -> bool {
    let completes = fence::is_bare_completion(plan) && plan.parent.is_none();
    let goes_on = plan.end.is_none()
        && plan.dispatches.is_empty()
        && plan.context.is_empty()
        && plan.level.is_none()
        && !plan.progress
        && !plan.consumes_wake;
    let records = || plan.records.iter();
    (completes || goes_on)
        && plan.withdrawals.is_empty()
        && plan.errors.is_empty()
        && !records().any(|record| branch::is_branch(&record.step_name))
}
