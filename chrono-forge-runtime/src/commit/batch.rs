//! Folding: before SQL, the plans of a batch are folded per pass.
//!
//! The last state of a record wins, error rows are all kept, the end replaces what came before. A
//! folded plan writes what the plans would have written one after the other.

use std::collections::hash_map::Entry;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::PlanSink;
use super::queue::Submission;
use crate::record::{Fence, Plan, Record, RecordState};

/// Plans ready for one transaction, with whom to tell.
#[derive(Default)]
pub(super) struct Batch {
    pub plans: Vec<Plan>,
    pub waiters: Vec<Waiter>,
    /// How often it, or the batch that it is a part of, was not written.
    pub failures: u32,
}

pub(super) struct Waiter {
    pub through: u64,
    pub sink: Arc<dyn PlanSink>,
}

impl Batch {
    /// Folds submissions in order, per fence: beside the plans of a run that was taken back and claimed
    /// again, late ones of its old pass may wait.
    pub(super) fn fold(submissions: impl IntoIterator<Item = Submission>) -> Self {
        let mut batch = Self::default();
        let mut place: FxHashMap<Fence, usize> = FxHashMap::default();
        for submission in submissions {
            match place.entry(submission.plan.fence) {
                Entry::Occupied(place) => {
                    let at = *place.get();
                    fold(&mut batch.plans[at], submission.plan);
                    batch.waiters[at].through = submission.number;
                }
                Entry::Vacant(place) => {
                    place.insert(batch.plans.len());
                    batch.plans.push(submission.plan);
                    batch.waiters.push(Waiter {
                        through: submission.number,
                        sink: submission.sink,
                    });
                }
            }
        }
        batch
    }

    pub(super) fn is_empty(&self) -> bool {
        self.plans.is_empty()
    }

    pub(super) fn fences(&self) -> impl Iterator<Item = Fence> + '_ {
        self.plans.iter().map(|plan| plan.fence)
    }

    /// Cuts the batch in two halves, to find the plan that the database refuses.
    pub(super) fn halve(mut self) -> (Self, Self) {
        let at = self.plans.len() / 2;
        let plans = self.plans.split_off(at);
        let waiters = self.waiters.split_off(at);
        let second = Self {
            plans,
            waiters,
            failures: self.failures,
        };
        (self, second)
    }

    /// Parts the plans at whose place this holds from the others.
    pub(super) fn part(self, is_first: impl Fn(usize) -> bool) -> (Self, Self) {
        let mut parts = (Self::default(), Self::default());
        let plans = self.plans.into_iter().zip(self.waiters).enumerate();
        for (place, (plan, waiter)) in plans {
            let part = match is_first(place) {
                true => &mut parts.0,
                false => &mut parts.1,
            };
            part.plans.push(plan);
            part.waiters.push(waiter);
        }
        parts
    }

    /// Takes in the plans of these.
    pub(super) fn extend(&mut self, others: impl IntoIterator<Item = Self>) {
        for other in others {
            self.plans.extend(other.plans);
            self.waiters.extend(other.waiters);
        }
    }

    /// Each plan in a batch of its own.
    pub(super) fn singles(self) -> impl Iterator<Item = Self> {
        let plans = self.plans.into_iter().zip(self.waiters);
        plans.map(|(plan, waiter)| Self {
            plans: vec![plan],
            waiters: vec![waiter],
            failures: 0,
        })
    }
}

fn fold(plan: &mut Plan, next: Plan) {
    for record in next.records {
        upsert(plan, record);
    }
    for withdrawal in next.withdrawals {
        // A row that was inserted and withdrawn in one batch need never be written; one that an
        // earlier batch wrote must still be deleted.
        plan.records
            .retain(|r| r.step_name != withdrawal.step_name || r.state != RecordState::Pending);
        plan.withdrawals.push(withdrawal);
    }
    plan.errors.extend(next.errors);
    plan.dispatches.extend(next.dispatches);
    plan.context.extend(next.context);
    plan.consumes_wake |= next.consumes_wake;
    plan.level = next.level.or(plan.level.take());
    plan.progress |= next.progress;
    plan.end = next.end.or(plan.end.take());
}

/// The last state of a record wins, but it keeps its first instant.
pub(super) fn upsert(plan: &mut Plan, mut record: Record) {
    let earlier = plan
        .records
        .iter_mut()
        .find(|r| r.step_name == record.step_name);
    match earlier {
        Some(earlier) => {
            record.started_at = earlier.started_at.or(record.started_at);
            *earlier = record;
        }
        None => plan.records.push(record),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Epoch, Incarnation, PlanOutcome, RunId, WorkerId};

    struct Nobody;

    impl PlanSink for Nobody {
        fn settled(self: Arc<Self>, _: u64, _: PlanOutcome) {}
    }

    #[test]
    fn plans_of_one_pass_are_one_also_around_a_late_one_of_an_earlier_pass() {
        let submissions = [(2, 1), (1, 7), (2, 2)].map(|(epoch, number)| {
            let fence = Fence {
                run: RunId(1),
                worker: WorkerId(1, Incarnation(0)),
                epoch: Epoch(epoch),
            };
            Submission {
                plan: Plan::new(fence, None),
                number,
                sink: Arc::new(Nobody),
                after_refusal: false,
                urgent: true,
            }
        });
        let batch = Batch::fold(submissions);
        let epochs: Vec<i64> = batch.fences().map(|fence| fence.epoch.0).collect();
        let through: Vec<u64> = batch.waiters.iter().map(|waiter| waiter.through).collect();
        assert_eq!((epochs, through), (vec![2, 1], vec![2, 7]));
    }
}
