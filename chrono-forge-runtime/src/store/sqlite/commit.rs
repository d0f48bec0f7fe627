//! The commit of a batch of plans: the hot path of the house.
//!
//! One transaction, one kind of statement after the other, each for the whole batch. The order
//! matters in three places: fences are read first; children are inserted before anything else, so
//! that a conflict costs no more than starting over; parents are woken last, when their own parks and
//! seals of the same batch are in place.

mod blocked;
mod branch;
mod children;
mod entries;
mod errors;
mod existing;
mod fence;
mod parents;
mod records;
mod run;

use std::time::Duration;

use diesel::prelude::*;

use super::connection::immediate;
use super::fault;
#[cfg(test)]
use super::statement::Sql;
use crate::record::{Plan, PlanOutcome, Verdict};
use crate::store::Applied;
use crate::store::shared::arrivals::Now;
use children::Trust;

/// For the tests of query plans.
#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[
    fence::Exceptions::TEXT,
    branch::READ,
    branch::RAISE,
    existing::EXISTING,
    children::INSERT_IDLE,
    children::InsertClaimed::TEXT,
    records::UPSERT,
    records::UpsertPlain::TEXT,
    records::WITHDRAW,
    entries::ENTER,
    run::TOUCH,
    run::Complete::TEXT,
    run::END,
    blocked::LEAVE,
    parents::COUNT_DOWN,
];

/// Applies these plans; see [`Writer::apply`](crate::store::Writer::apply).
pub(super) fn apply(
    conn: &mut SqliteConnection,
    patience: Duration,
    plans: &[Plan],
    now: Now,
) -> QueryResult<Applied> {
    let mut attempt = |trust| {
        immediate(conn, patience, |conn| {
            Batch::new(plans, now).write(conn, trust)
        })
    };
    match attempt(Trust::New) {
        // A child was dispatched before, or by someone else: look at each one.
        Err(error) if fault::is_duplicate(&error) => attempt(Trust::Unknown),
        done => done,
    }
}

/// A batch on its way into the database.
struct Batch<'a> {
    plans: &'a [Plan],
    now: Now,
    applied: Applied,
}

impl<'a> Batch<'a> {
    fn new(plans: &'a [Plan], now: Now) -> Self {
        let outcome = |_| PlanOutcome {
            verdict: Verdict::Applied { woken: false },
            claimed: Vec::new(),
        };
        let outcomes = plans.iter().map(outcome).collect();
        Self {
            plans,
            now,
            applied: Applied {
                outcomes,
                ..Applied::default()
            },
        }
    }

    fn write(mut self, conn: &mut SqliteConnection, trust: Trust) -> QueryResult<Applied> {
        self.check_fences(conn)?;
        self.dispatch(conn, trust)?;
        self.upsert_records(conn)?;
        self.withdraw_records(conn)?;
        self.insert_errors(conn)?;
        self.enter_context(conn)?;
        self.touch_runs(conn)?;
        self.complete_runs(conn)?;
        self.end_runs(conn)?;
        self.keep_blocked(conn)?;
        self.count_finished(conn)?;
        Ok(self.applied)
    }

    /// The plans that are being written, with their place in the batch.
    fn live(&self) -> impl Iterator<Item = (usize, &'a Plan)> {
        let outcomes = self.applied.outcomes.iter();
        self.plans
            .iter()
            .zip(outcomes)
            .enumerate()
            .filter(|(_, (_, outcome))| matches!(outcome.verdict, Verdict::Applied { .. }))
            .map(|(place, (plan, _))| (place, plan))
    }

    /// Whether a wake-up is left on the run of this plan.
    fn is_woken(&self, place: usize) -> bool {
        self.applied.outcomes[place].verdict == Verdict::Applied { woken: true }
    }

    fn set_verdict(&mut self, place: usize, verdict: Verdict) {
        self.applied.outcomes[place].verdict = verdict;
    }
}
