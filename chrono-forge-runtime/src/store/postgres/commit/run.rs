//! The run's own row: what a pass leaves on it, and how the pass ends.
//!
//! Each row is written once per transaction, since each write is a new version of it. Completions that change nothing
//! else have a short statement of their own: nearly every commit of a large fan-out is one.

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt};

use super::Batch;
use super::fence::is_bare_completion;
use crate::record::{Due, Plan, RunEnd, Verdict};
use crate::store::postgres::bind::{
    bools, instants, ints, micros, opt_instants, opt_ints, opt_texts, texts,
};
use crate::store::postgres::statement::Stmt;
use crate::store::shared::arrivals::Now;
use crate::store::shared::end::EndRow;

/// Checks the fence, and is the lock. `wake_at` is null already: the run is running. No index names a column
/// that changes, so the new version stays on its page (HOT).
pub(super) const COMPLETE: &str = "
WITH done AS (
    UPDATE chrono_forge_workflows AS w SET
        state = 2,
        locked_by = NULL,
        output = v.output,
        completed_at = v.at,
        updated_at = v.at
    FROM unnest(?, ?, ?, ?, ?, ?) AS v (nth, run, worker, epoch, output, at)
    WHERE w.id = v.run AND w.locked_by = v.worker AND w.lock_epoch = v.epoch
    RETURNING v.nth, w.id, w.wake_requested
), gone AS (
    DELETE FROM chrono_forge_blocked WHERE workflow_id IN (SELECT id FROM done)
)
SELECT
    coalesce(array_agg(nth), '{}'),
    coalesce(array_agg(nth) FILTER (WHERE wake_requested), '{}')
FROM done";

/// What is null stays as it is, but for `wake_at`: it is null on a running run. Only a body that will be tried again
/// leaves counts; see `wake::ROUSE` on its mark.
pub(super) const CHANGE: &str = "
WITH changed AS (
    UPDATE chrono_forge_workflows AS w SET
        state = coalesce(v.state::smallint, w.state),
        locked_by = CASE WHEN v.state IS NULL THEN w.locked_by END,
        wake_at = v.wake_at,
        attempts = coalesce(v.attempts, w.attempts),
        retry_counts = coalesce(v.retry_counts, CASE WHEN v.progress THEN '{}' END, w.retry_counts),
        stalled_by = CASE WHEN v.state IS NULL THEN w.stalled_by ELSE v.stalled_by END,
        options = CASE
            WHEN v.state IS NULL OR w.options = '{}' AND v.retry_counts IS NULL AND NOT v.dropped_foreign
                THEN w.options
            WHEN v.retry_counts IS NOT NULL THEN (w.options::jsonb || '{\"waits_to_retry\":true}')::text
            WHEN w.options = '{}' THEN '{\"dropped_foreign_await\":true}'
            WHEN v.dropped_foreign
                THEN ((w.options::jsonb - 'waits_to_retry') || '{\"dropped_foreign_await\":true}')::text
            ELSE (w.options::jsonb - 'waits_to_retry')::text
        END,
        output = coalesce(v.output, w.output),
        wake_requested = w.wake_requested AND NOT v.consumes_wake,
        crashes = CASE WHEN v.progress THEN 0 ELSE w.crashes END,
        priority = coalesce(v.level::smallint, w.priority),
        completed_at = coalesce(v.completed_at, w.completed_at),
        updated_at = v.at
    FROM unnest(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) AS v
        (run, state, wake_at, attempts, retry_counts, stalled_by, dropped_foreign, output,
         consumes_wake, progress, level, completed_at, at)
    WHERE w.id = v.run
    RETURNING w.id, w.state
), entries AS (
    INSERT INTO chrono_forge_context (workflow_id, key, value)
    SELECT e.run, e.key, e.value FROM unnest(?, ?, ?) AS e (run, key, value)
    ON CONFLICT (workflow_id, key) DO UPDATE SET value = excluded.value
)
DELETE FROM chrono_forge_blocked
WHERE workflow_id IN (SELECT id FROM changed WHERE state NOT IN (3, 4))";

impl Batch<'_> {
    /// Completes these plans' runs if their fences hold, in the order of their ids; answers the plans whose
    /// fences do not.
    pub(super) fn complete_runs(
        &mut self,
        conn: &mut PgConnection,
        mut places: Vec<usize>,
    ) -> QueryResult<Vec<usize>> {
        if places.is_empty() {
            return Ok(places);
        }
        places.sort_unstable_by_key(|place| self.plans[*place].fence.run);
        let plans = || places.iter().map(|place| &self.plans[*place]);
        let ends = || plans().filter_map(completion);
        let binds = [
            ints((0..).take(places.len())),
            ints(plans().map(|plan| plan.fence.run.0)),
            ints(plans().map(|plan| plan.fence.worker.0)),
            ints(plans().map(|plan| plan.fence.epoch.0)),
            texts(ends().map(|(output, _)| output)),
            instants(ends().map(|(_, at)| at)),
        ];
        type Columns = (Array<BigInt>, Array<BigInt>);
        let done: Vec<(Vec<i64>, Vec<i64>)> = Stmt::<Columns>::new(COMPLETE, &binds).load(conn)?;
        let (done, woken) = done.into_iter().next().unwrap_or_default();
        for place in named(&woken, &places) {
            self.set_verdict(place, Verdict::Applied { woken: true });
        }
        let mut is_done = vec![false; self.plans.len()];
        for place in named(&done, &places) {
            is_done[place] = true;
        }
        places.retain(|place| !is_done[*place]);
        Ok(places)
    }

    /// Writes what all other passes leave.
    pub(super) fn change_runs(&mut self, conn: &mut PgConnection) -> QueryResult<()> {
        let mut changes: Vec<(&Plan, Option<EndRow<'_>>)> = Vec::new();
        for (place, plan) in self.live() {
            if is_bare_completion(plan) {
                continue;
            }
            let end = plan.end.as_ref();
            let end = end.map(|end| EndRow::of(end, self.is_woken(place), self.now));
            let touched = !plan.context.is_empty() || plan.level.is_some();
            if end.is_some() || touched || plan.consumes_wake || plan.progress {
                changes.push((plan, end));
            }
        }
        if changes.is_empty() {
            return Ok(());
        }
        let now = self.now.at;
        let due = |end: &EndRow<'_>| {
            let due = end.wake_at.map(Due::of_micros);
            due.is_some_and(|due| due.is_due(now))
        };
        self.applied.due |= changes.iter().filter_map(|(_, end)| end.as_ref()).any(due);
        change(conn, &changes, self.now)
    }
}

/// The places with these numbers.
fn named(numbers: &[i64], places: &[usize]) -> Vec<usize> {
    let numbers = numbers.iter().filter_map(|nth| usize::try_from(*nth).ok());
    numbers.filter_map(|nth| places.get(nth).copied()).collect()
}

fn change(
    conn: &mut PgConnection,
    changes: &[(&Plan, Option<EndRow<'_>>)],
    now: Now,
) -> QueryResult<()> {
    let plans = || changes.iter().map(|(plan, _)| *plan);
    let ends = || changes.iter().map(|(_, end)| end.as_ref());
    // What has changed of the contexts, and not the whole.
    let entries =
        || plans().flat_map(|plan| plan.context.iter().map(|entry| (plan.fence.run.0, entry)));
    let binds = [
        ints(plans().map(|plan| plan.fence.run.0)),
        opt_ints(ends().map(|end| Some(end?.state as i64))),
        micros(ends().map(|end| end?.wake_at)),
        opt_ints(ends().map(|end| end?.attempts.map(i64::from))),
        opt_texts(ends().map(|end| end?.retry_counts)),
        opt_texts(ends().map(|end| end?.stalled_by)),
        bools(ends().map(|end| end.is_some_and(|end| end.dropped_foreign))),
        opt_texts(plans().map(|plan| Some(completion(plan)?.0))),
        bools(plans().map(|plan| plan.consumes_wake)),
        bools(plans().map(|plan| plan.progress)),
        opt_ints(plans().map(|plan| plan.level.map(|level| level.0.into()))),
        opt_instants(plans().map(|plan| Some(completion(plan)?.1))),
        instants(plans().map(|plan| completion(plan).map_or(now.at, |(_, at)| at))),
        ints(entries().map(|(run, _)| run)),
        texts(entries().map(|(_, (key, _))| &**key)),
        opt_texts(entries().map(|(_, (_, value))| value.as_deref())),
    ];
    Stmt::<()>::new(CHANGE, &binds).execute(conn).map(drop)
}

/// Output and instant of a completion.
pub(super) fn completion(plan: &Plan) -> Option<(&str, jiff::Timestamp)> {
    match &plan.end {
        Some(RunEnd::Completed { output, at }) => Some((output, *at)),
        _ => None,
    }
}
