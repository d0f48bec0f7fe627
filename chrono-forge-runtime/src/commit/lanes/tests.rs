//! Which plans a transaction takes.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::*;
use crate::commit::PlanSink;
use crate::commit::queue::Queue;
use crate::record::{Epoch, Fence, Incarnation, Plan, PlanOutcome, Record, RunId, WorkerId};

struct Nobody;

impl PlanSink for Nobody {
    fn settled(self: Arc<Self>, _: u64, _: PlanOutcome) {}
}

const LIMITS: BatchLimits = BatchLimits {
    plans_max: 4,
    bytes_max: 1_000,
    alone_bytes: 500,
    pause_max: Duration::ZERO,
};

/// Urgent runs have even ids.
fn submission(run: i64) -> Submission {
    let fence = Fence {
        run: RunId(run),
        worker: WorkerId(1, Incarnation(0)),
        epoch: Epoch(1),
    };
    Submission {
        plan: Plan::new(fence, None),
        number: 1,
        sink: Arc::new(Nobody),
        after_refusal: false,
        urgent: run % 2 == 0,
    }
}

fn large(run: i64) -> Submission {
    let mut submission = submission(run);
    let record = Record {
        result: Some("1".repeat(600).into()),
        ..Record::pending("step$s".into(), jiff::Timestamp::UNIX_EPOCH)
    };
    submission.plan.records.push(record);
    submission
}

fn lanes(submissions: impl IntoIterator<Item = Submission>) -> Lanes {
    let mut lanes = Lanes::default();
    submissions.into_iter().for_each(|it| lanes.push(it));
    lanes
}

fn batch(lanes: &mut Lanes) -> Vec<i64> {
    let batch = lanes.take_batch(LIMITS);
    batch.iter().map(|it| it.plan.fence.run.0).collect()
}

#[test]
fn an_urgent_plan_passes_the_others_by() {
    let mut lanes = lanes([1, 3, 5, 7, 9, 2].map(submission));
    assert_eq!(batch(&mut lanes), [2, 1, 3, 5]);
    assert_eq!(batch(&mut lanes), [7, 9]);
    assert!(lanes.is_empty() && batch(&mut lanes).is_empty());
}

#[test]
fn urgent_plans_have_half_of_a_batch_and_what_the_others_leave() {
    let mut lanes = lanes([2, 4, 6, 8, 10, 1, 3, 5].map(submission));
    assert_eq!(batch(&mut lanes), [2, 4, 1, 3]);
    assert_eq!(batch(&mut lanes), [6, 8, 5, 10]);
}

#[test]
fn a_large_plan_travels_alone_and_urgent_ones_do_not_keep_the_others_out() {
    let mut lanes = lanes([2, 4].map(large).into_iter().chain([1, 3].map(submission)));
    assert_eq!(batch(&mut lanes), [2]);
    assert_eq!(batch(&mut lanes), [1], "passed by, so first");
    assert_eq!(batch(&mut lanes), [4]);
    assert_eq!(batch(&mut lanes), [3]);
}

#[test]
fn plans_of_one_lane_keep_their_order() {
    let mut lanes = lanes((0..20).map(submission));
    let mut all = Vec::new();
    while !lanes.is_empty() {
        all.extend(batch(&mut lanes));
    }
    for lane in [0, 1] {
        let of_lane: Vec<i64> = all.iter().copied().filter(|run| run % 2 == lane).collect();
        assert!(of_lane.is_sorted() && of_lane.len() == 10, "{all:?}");
    }
}

#[test]
fn nothing_waits_in_a_queue_that_was_halted() {
    let queue = Queue::new(LIMITS);
    let waiting = || [&queue.urgent, &queue.others].map(|it| it.load(Ordering::Relaxed));
    (0..7).map(submission).for_each(|it| queue.push_plan(it));
    assert_eq!(waiting(), [4, 3]);
    assert_eq!(
        queue
            .next_turn(super::super::queue::Rest::Idle(None))
            .plans
            .len(),
        4
    );
    assert_eq!(waiting(), [2, 1]);
    queue.halt();
    queue.push_plan(submission(1));
    assert_eq!(waiting(), [0, 0]);
}
