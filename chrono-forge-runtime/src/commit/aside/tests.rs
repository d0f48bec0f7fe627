//! What is tried again, in which order, and when it is given up.

use std::sync::Arc;

use super::*;
use crate::commit::PlanSink;
use crate::record::{Epoch, Plan, PlanOutcome, RunId, WorkerId};

struct Nobody;

impl PlanSink for Nobody {
    fn settled(self: Arc<Self>, _: u64, _: PlanOutcome) {}
}

fn fence(run: i64) -> Fence {
    Fence {
        run: RunId(run),
        worker: WorkerId(1, crate::record::Incarnation(1)),
        epoch: Epoch(1),
    }
}

fn submission(run: i64, number: u64) -> Submission {
    Submission {
        plan: Plan::new(fence(run), None),
        number,
        sink: Arc::new(Nobody),
        after_refusal: false,
        urgent: true,
    }
}

fn single(run: i64, number: u64) -> Batch {
    Batch::fold([submission(run, number)])
}

/// Everything is due.
fn take(aside: &Aside) -> Option<Batch> {
    aside.hurry();
    aside.take_due()
}

/// Fails so often, if nobody gives it up before; answers how often it failed.
fn fail(aside: &Aside, how: &Failed, times: u32, others_are_written: bool) -> u32 {
    for failed in 1..=times {
        if others_are_written {
            aside.note_written();
        }
        let batch = take(aside).unwrap();
        if aside.failed(batch, how).is_some() {
            return failed;
        }
    }
    times + 1
}

#[test]
fn a_plan_is_given_up_only_if_it_is_too_slow_ten_times_while_others_are_written() {
    let aside = Aside::new(Duration::from_secs(5));
    aside.set_aside(single(1, 1));
    assert_eq!(fail(&aside, &Failed::Waits, 100, true), 101);
    assert_eq!(fail(&aside, &Failed::Away, 100, true), 101);
    assert_eq!(fail(&aside, &Failed::TooSlow, 100, false), 101);
    // The first of these counted once.
    assert_eq!(fail(&aside, &Failed::TooSlow, 100, true), LIMITS_MAX - 1);
}

#[test]
fn plans_are_tried_together_until_they_fail() {
    let aside = Aside::new(Duration::from_secs(5));
    (1..=3).for_each(|run| aside.set_aside(single(run, 1)));
    let together = take(&aside).unwrap();
    assert_eq!(together.plans.len(), 3);
    aside.failed_together(together);
    aside.set_aside(single(4, 1));
    aside.set_aside(single(5, 1));
    let mut sizes = Vec::new();
    while let Some(batch) = take(&aside) {
        sizes.push(batch.plans.len());
        let fences: Vec<Fence> = batch.fences().collect();
        fences.into_iter().for_each(|fence| aside.written(fence));
    }
    sizes.sort_unstable();
    assert_eq!((sizes, aside.waiting()), (vec![1, 1, 1, 2], 0));
}

#[test]
fn what_follows_of_a_pass_waits_and_comes_in_order() {
    let aside = Aside::new(Duration::from_secs(5));
    assert_eq!(aside.admit(vec![submission(1, 1)]).len(), 1);
    aside.set_aside(single(1, 1));
    let admitted = aside.admit(vec![submission(1, 2), submission(2, 1), submission(1, 3)]);
    assert_eq!(admitted.len(), 1, "another run's goes on");
    for number in 1..=3 {
        assert_eq!(aside.waiting() as u64, 4 - number);
        let batch = take(&aside).unwrap();
        assert!(aside.take_due().is_none(), "one of a pass at a time");
        assert_eq!(batch.waiters[0].through, number);
        aside.written(fence(1));
    }
    assert_eq!(aside.admit(vec![submission(1, 4)]).len(), 1);
}

#[test]
fn of_a_refused_pass_only_its_failure_is_written() {
    let aside = Aside::new(Duration::from_secs(5));
    aside.set_aside(single(1, 1));
    aside.admit(vec![submission(1, 2)]);
    drop(take(&aside));
    aside.refuse(fence(1));
    assert_eq!((aside.waiting(), aside.next_due()), (0, None));
    assert!(aside.admit(vec![submission(1, 3)]).is_empty());
    let failure = Submission {
        after_refusal: true,
        ..submission(1, 4)
    };
    assert_eq!(aside.admit(vec![failure, submission(1, 5)]).len(), 2);
}

/// The thread that tries it is told of the halt once it has come back from the database.
#[test]
fn a_plan_that_is_written_while_all_are_dropped_is_not_counted_twice() {
    let aside = Aside::new(Duration::from_secs(5));
    aside.set_aside(single(1, 1));
    aside.set_aside(single(2, 1));
    let batch = take(&aside).unwrap();
    aside.halt();
    for fence in batch.fences() {
        aside.written(fence);
    }
    assert_eq!(aside.waiting(), 0);
}
