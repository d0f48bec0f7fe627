//! The commit of a batch of plans: the hot path of the house.
//!
//! One transaction, one kind of statement after the other, each for the whole batch. The order is the order of
//! locks: the worker's row where children are claimed for it; branch rows that may reach zero or are sealed;
//! runs, own ones and parents that may be woken, in one sequence of ids; new rows; counters. Whoever holds
//! a branch row may wait for runs, and nobody who holds a run waits for a branch row that another transaction
//! locks before its runs.
//!
//! Children of a branch and records of a run are written by whoever holds the lock of that run only, so they
//! need no locks of their own.

mod blocked;
mod branch;
mod brief;
mod children;
mod counters;
mod errors;
mod existing;
mod fence;
mod records;
mod run;

use std::collections::BTreeMap;

use diesel::pg::PgConnection;
use diesel::prelude::*;
use jiff::Timestamp;

use crate::record::{Plan, PlanOutcome, RunEnd, Verdict};
use crate::store::Applied;
pub(super) use brief::Brief;

/// For the tests of query plans.
#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[
    branch::LOOK,
    branch::PENDING,
    branch::LOCK,
    branch::INSERT,
    brief::WRITE,
    fence::LOCK,
    fence::SHARE_WORKERS,
    existing::EXISTING,
    children::IDS,
    children::INSERT,
    records::INSERT_NEW,
    records::INSERT_PLAIN,
    records::UPDATE_PLAIN,
    records::UPSERT,
    records::WITHDRAW,
    run::CHANGE,
    run::COMPLETE,
    counters::COUNT,
];

/// What is known about the rows that a batch inserts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trust {
    /// Nearly always: none of them exists. If one does, a unique index says so and the batch is begun again.
    New,
    /// Some exist: ours are left alone, others refuse their plan.
    Unknown,
}

/// Applies these plans; see [`Writer::apply`](crate::store::Writer::apply).
pub(super) fn apply(
    conn: &mut PgConnection,
    plans: &[Plan],
    now: Timestamp,
    trust: Trust,
) -> QueryResult<Applied> {
    Batch::new(plans, now).write(conn, trust)
}

/// The answer for plans that were all written as they are, with what is left on their runs.
pub(super) fn written(plans: &[Plan], woken: &[(i64, bool)]) -> Applied {
    let mut applied = Batch::new(plans, Timestamp::UNIX_EPOCH).applied;
    for (plan, outcome) in plans.iter().zip(&mut applied.outcomes) {
        let is_woken = |(run, woken): &(i64, bool)| *woken && *run == plan.fence.run.0;
        if woken.iter().any(is_woken) {
            outcome.verdict = Verdict::Applied { woken: true };
        }
    }
    applied
}

/// A batch on its way into the database.
struct Batch<'a> {
    plans: &'a [Plan],
    now: Timestamp,
    applied: Applied,
    /// Plans whose rows are to be written: neither refused nor found written.
    live: Vec<bool>,
    /// Children that this transaction completes, by branch.
    finished: BTreeMap<i64, i64>,
}

impl<'a> Batch<'a> {
    fn new(plans: &'a [Plan], now: Timestamp) -> Self {
        let outcome = |_| PlanOutcome {
            verdict: Verdict::Applied { woken: false },
            claimed: Vec::new(),
        };
        let mut finished = BTreeMap::new();
        for parent in plans.iter().filter_map(counted) {
            *finished.entry(parent).or_default() += 1;
        }
        Self {
            plans,
            now,
            applied: Applied {
                outcomes: plans.iter().map(outcome).collect(),
                ..Applied::default()
            },
            live: vec![true; plans.len()],
            finished,
        }
    }

    fn write(mut self, conn: &mut PgConnection, trust: Trust) -> QueryResult<Applied> {
        self.share_workers(conn)?;
        let mut rows = self.lock_branches(conn)?;
        self.lock_runs(conn, &rows)?;
        self.dispatch(conn, &mut rows, trust)?;
        self.insert_records(conn, &rows, trust)?;
        self.withdraw_records(conn)?;
        self.insert_errors(conn)?;
        self.change_runs(conn)?;
        self.enter_blocked(conn)?;
        self.count(conn, &rows)?;
        Ok(self.applied)
    }

    /// The plans that are being written, with their place in the batch.
    fn live(&self) -> impl Iterator<Item = (usize, &'a Plan)> {
        let plans = self.plans.iter().enumerate();
        plans
            .zip(&self.live)
            .filter(|(_, live)| **live)
            .map(|(plan, _)| plan)
    }

    /// Whether a wake-up is left on the run of this plan.
    fn is_woken(&self, place: usize) -> bool {
        self.applied.outcomes[place].verdict == Verdict::Applied { woken: true }
    }

    fn set_verdict(&mut self, place: usize, verdict: Verdict) {
        self.applied.outcomes[place].verdict = verdict;
    }

    /// Leaves this plan's rows alone.
    fn leave_out(&mut self, place: usize, verdict: Verdict) {
        self.set_verdict(place, verdict);
        if !std::mem::take(&mut self.live[place]) {
            return;
        }
        let Some(parent) = counted(&self.plans[place]) else {
            return;
        };
        if let Some(children) = self.finished.get_mut(&parent) {
            *children -= 1;
        }
    }
}

/// The branch row that this plan's completion counts down.
fn counted(plan: &Plan) -> Option<i64> {
    match plan.end {
        Some(RunEnd::Completed { .. }) => plan.parent.map(|parent| parent.0),
        _ => None,
    }
}
