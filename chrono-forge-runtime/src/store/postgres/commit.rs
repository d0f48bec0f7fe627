//! The commit of a batch of plans: the hot path of the house.
//!
//! One transaction, one kind of statement after the other, each for the whole batch. The order is the order of
//! locks: the worker's row where children are claimed for it; runs by id; branch rows by id; new rows. The
//! counters of branches are written last of all, since all writers of a large fan-out meet there: they hold such
//! a row for one statement and the commit.
//!
//! Only then is known whose last child has finished, and its parent's lock should have come first. Nobody waits
//! against the order: the parent is locked if it is free, as it nearly always is while it waits for its
//! children. If it is not, the batch is begun again and locks all its parents with its own runs.
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
mod held_up;
mod records;
mod run;

use std::collections::BTreeMap;

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::result::Error;

use crate::record::{Plan, PlanOutcome, RunEnd, Verdict};
use crate::store::Applied;
use crate::store::postgres::fault;
use crate::store::shared::arrivals::Now;
pub(super) use brief::Brief;
pub(super) use held_up::{free_runs, held_up};

/// For the tests of query plans.
#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[
    branch::LOOK,
    branch::PARENTS,
    branch::LOCK,
    branch::INSERT,
    brief::HELD,
    brief::DONE,
    brief::BOTH,
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
    counters::FREE,
    held_up::BRANCHES,
    held_up::ABOVE,
];

/// What is known about the rows that a batch inserts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trust {
    /// Nearly always: none of them exists. If one does, a unique index says so and the batch is begun again.
    New,
    /// Some exist, and are left alone.
    Unknown,
}

/// When the parents of children that this batch completes are locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Parents {
    /// Those whose last child it is, if they are free.
    Last,
    /// All of them, together with its own runs: one was not free.
    First,
}

/// How a batch is begun; from now on, if it has to be begun again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Approach {
    pub(super) trust: Trust,
    pub(super) parents: Parents,
}

impl Approach {
    /// What nearly always succeeds.
    pub(super) const FIRST: Self = Self {
        trust: Trust::New,
        parents: Parents::Last,
    };
}

/// Applies these plans; see [`Writer::apply`](crate::store::Writer::apply). Says in `approach` what was in the way
/// if the batch has to be begun again.
pub(super) fn apply(
    conn: &mut PgConnection,
    plans: &[Plan],
    now: Now,
    approach: &mut Approach,
) -> QueryResult<Applied> {
    let mut batch = Batch::new(plans, now);
    let written = batch.write(conn, *approach);
    if written.as_ref().is_err_and(fault::is_duplicate) {
        // A child was dispatched before, or by someone else: look at each one.
        approach.trust = Trust::Unknown;
    }
    if batch.parents_busy {
        approach.parents = Parents::First;
    }
    written.map(|()| batch.applied)
}

/// Whether a batch that failed so was begun in a way that did not fit.
pub(super) fn is_worth_beginning_again(error: &Error) -> bool {
    fault::is_duplicate(error) || matches!(error, Error::RollbackTransaction)
}

/// The answer for plans that were all written as they are, with what is left on their runs.
pub(super) fn written(plans: &[Plan], woken: &[(i64, bool)]) -> Applied {
    let outcome = |_| PlanOutcome {
        verdict: Verdict::Applied { woken: false },
        claimed: Vec::new(),
    };
    let mut applied = Applied {
        outcomes: plans.iter().map(outcome).collect(),
        ..Applied::default()
    };
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
    now: Now,
    applied: Applied,
    /// Plans whose rows are to be written: neither refused nor found written.
    live: Vec<bool>,
    /// Children that this transaction completes, by branch.
    finished: BTreeMap<i64, i64>,
    /// A parent is to be woken that somebody else has locked.
    parents_busy: bool,
}

impl<'a> Batch<'a> {
    fn new(plans: &'a [Plan], now: Now) -> Self {
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
            parents_busy: false,
        }
    }

    fn write(&mut self, conn: &mut PgConnection, approach: Approach) -> QueryResult<()> {
        let Approach { trust, parents } = approach;
        self.share_workers(conn)?;
        self.lock_runs(conn, parents)?;
        let mut rows = self.find_branches(conn)?;
        self.dispatch(conn, &mut rows, trust)?;
        self.insert_records(conn, &rows, trust)?;
        self.withdraw_records(conn)?;
        self.insert_errors(conn)?;
        self.change_runs(conn)?;
        self.enter_blocked(conn)?;
        self.count(conn, &rows, parents)
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
