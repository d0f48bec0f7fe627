//! Who has room, and who goes first.

use super::*;
use crate::record::{Epoch, Priority, RunId};

pub(super) fn run(level: Level) -> ClaimedRun {
    ClaimedRun {
        id: RunId(1),
        key: "k".to_owned(),
        workflow: "flow".into(),
        queue: "q".into(),
        level,
        epoch: Epoch(1),
        args: "null".into(),
        attempts: 0,
        retry_counts: "{}".into(),
        crashes: 0,
        parent: None,
        created_at: jiff::Timestamp::UNIX_EPOCH,
        fresh: true,
    }
}

const TOP: Level = Level(1);

fn late_child() -> Level {
    Level::child(Priority::Normal, 10_000)
}

fn busy() -> Slots {
    let slots = Slots::new(&[("q".to_owned(), 4)]);
    for _ in 0..100 {
        slots.finished("q", false);
    }
    slots
}

fn room(healthy: u32, returning: u32) -> Room {
    Room {
        queue: "q".to_owned(),
        healthy,
        returning,
        urgent_only: false,
    }
}

fn urgent_room(urgent: u32) -> Room {
    Room {
        urgent_only: true,
        ..room(urgent, 0)
    }
}

/// Tells the slots of a claim that took so many healthy runs of this level.
fn claim(slots: &Slots, room: &Room, level: Level, runs: usize) {
    let taken = vec![run(level); runs];
    slots.claimed(room, &taken.iter().collect::<Vec<_>>(), false);
}

#[test]
fn claims_run_ahead_by_what_was_finished_lately() {
    let idle = Slots::new(&[("q".to_owned(), 4)]);
    assert_eq!(idle.wanted(), [room(4, 4)]);
    assert_eq!(busy().wanted(), [room(104, 3)]);
}

#[test]
fn who_returns_takes_the_slots_of_its_queue_that_are_free() {
    let slots = Slots::new(&[("q".to_owned(), 64)]);
    assert_eq!(slots.wanted(), [room(64, 64)]);
    for _ in 0..3 {
        assert!(slots.reserve_direct("q", TOP).is_some());
    }
    assert_eq!(slots.wanted(), [room(61, 61)]);
    assert_eq!(slots.reserve("q", 50, 0).count, 50);
    assert_eq!(slots.wanted(), [room(11, 11)]);
}

#[test]
fn a_full_queue_takes_no_slot_from_those_that_return_to_another() {
    let slots = Slots::new(&[("full".to_owned(), 64), ("q".to_owned(), 8)]);
    assert_eq!(slots.reserve("full", 64, 0).count, 64);
    assert_eq!(slots.wanted(), [room(8, 8)]);
}

#[test]
fn a_body_that_ends_asks_for_those_that_return_unless_the_queue_is_busy() {
    let returning = TOP.returning();
    let slots = Slots::new(&[("q".to_owned(), 4)]);
    claim(&slots, &room(4, 4), returning, 4);
    assert!(slots.has_more_due("q"));
    let busy = busy();
    claim(&busy, &room(104, 3), returning, 3);
    assert!(!busy.has_more_due("q"));
}

#[test]
fn beside_thirty_two_healthy_runs_one_returns() {
    let slots = Slots::new(&[("q".to_owned(), 64)]);
    for _ in 0..160 {
        slots.finished("q", false);
    }
    assert_eq!(slots.wanted(), [room(224, 5)]);
    claim(&slots, &room(224, 5), TOP.returning(), 3);
    assert_eq!(slots.wanted(), [room(224, 2)]);
    claim(&slots, &room(224, 2), TOP.returning(), 2);
    assert_eq!(slots.wanted(), [room(224, 0)]);
}

#[test]
fn after_a_death_no_more_is_held_than_executes() {
    let slots = busy();
    slots.be_cautious(Duration::from_secs(60));
    assert_eq!(slots.wanted(), [room(4, 3)]);
    assert_eq!(slots.reserve("q", 1_000, 1_000).count, 4);
    assert!(slots.reserve_direct("q", TOP).is_none());
    assert!(slots.wanted().is_empty());
}

#[test]
fn a_direct_start_takes_a_free_slot_unless_others_wait() {
    let slots = Slots::new(&[("q".to_owned(), 1)]);
    let taken = slots.reserve_direct("q", TOP).unwrap();
    assert!(
        slots.reserve_direct("q", TOP).is_none(),
        "the slot is taken"
    );
    slots.unreserve(&taken);
    claim(&slots, &room(1, 1), TOP.returning(), 1);
    let taken = slots.reserve_direct("q", TOP);
    slots.unreserve(&taken.expect("only runs that return wait"));
    claim(&slots, &room(1, 1), TOP, 1);
    assert!(
        slots.reserve_direct("q", TOP).is_none(),
        "others wait in the database"
    );
    assert!(
        slots.reserve_direct("elsewhere", TOP).is_none(),
        "a queue that is not served"
    );
}

#[test]
fn who_is_urgent_has_room_beside_whatever_was_claimed_ahead() {
    let slots = busy();
    let fan_out = slots.reserve("q", 1_000, 0);
    assert_eq!(fan_out.count, 104);
    assert_eq!(slots.wanted(), [urgent_room(4)]);
    let one = slots.reserve_direct("q", TOP).unwrap();
    assert_eq!(
        slots.reserve("q", 1_000, 0).count,
        0,
        "it is for urgent ones"
    );
    assert_eq!(
        slots.reserve("q", 10, 10).count,
        3,
        "as many as there are slots"
    );
    assert!(slots.reserve_direct("q", TOP).is_none());
    assert!(slots.wanted().is_empty());
    slots.unreserve(&one);
    assert_eq!(slots.wanted(), [urgent_room(1)]);
}

#[test]
fn no_one_is_started_past_urgent_runs_that_are_known_to_wait() {
    let slots = busy();
    let _fan_out = slots.reserve("q", 1_000, 0);
    claim(&slots, &urgent_room(4), TOP, 4);
    assert!(slots.reserve_direct("q", TOP).is_none());
    assert!(
        slots.has_more_due("q"),
        "the next body that ends asks for them"
    );
    claim(&slots, &urgent_room(4), TOP, 3);
    assert!(slots.reserve_direct("q", TOP).is_some());
    assert!(!slots.has_more_due("q"));
}

#[test]
fn a_full_claim_of_less_urgent_runs_leaves_no_urgent_one_behind() {
    let slots = busy();
    claim(&slots, &room(104, 3), late_child(), 104);
    assert!(slots.reserve_direct("q", TOP).is_some());
}

#[test]
fn in_a_queue_of_slow_runs_nobody_is_claimed_ahead() {
    let slots = Slots::new(&[("q".to_owned(), 4)]);
    let _all = slots.reserve("q", 4, 0);
    assert!(slots.wanted().is_empty());
    assert_eq!(slots.reserve("q", 10, 10).count, 0);
}

#[test]
fn who_is_urgent_goes_past_what_waits_for_a_slot() {
    let slots = Slots::new(&[("q".to_owned(), 1)]);
    let runs = vec![run(late_child()), run(late_child()), run(TOP)];
    assert_eq!(slots.offer(runs, Instant::now()), ["q"], "one slot is free");
    let first = slots.take_first("q").map(|run| run.level);
    let order = [(); 3].map(|()| slots.take("q").map(|run| run.level));
    let child = Some(late_child());
    assert_eq!((first, order), (Some(TOP), [child, child, None]));
}

/// Else the scheduler sees no room between the two, and sleeps through a run that is due.
#[test]
fn a_run_that_was_offered_to_a_slot_is_counted_once() {
    let slots = Slots::new(&[("q".to_owned(), 2)]);
    let started = slots.offer(vec![run(TOP)], Instant::now());
    assert_eq!(started, ["q"], "the slot is free");
    assert_eq!(slots.wanted(), [room(1, 1)]);
    assert!(slots.reserve_direct("q", TOP).is_some());
}

/// It takes the next run of the buffer: a claim for it alone would be a transaction for every run.
#[test]
fn a_slot_between_two_runs_is_no_room() {
    let slots = Slots::new(&[("q".to_owned(), 1)]);
    let started = slots.offer(vec![run(TOP)], Instant::now());
    assert_eq!(started, ["q"], "the slot is free");
    assert!(slots.take_first("q").is_some());
    slots.finished("q", false);
    assert!(slots.reserve_direct("q", late_child()).is_none());
    assert!(slots.take("q").is_none(), "nothing waits");
    assert!(slots.reserve_direct("q", late_child()).is_some());
}

#[test]
fn room_that_was_reserved_comes_back_after_a_second() {
    let slots = Slots::new(&[("q".to_owned(), 4)]);
    let kept = slots.reserve("q", 4, 0);
    assert!(slots.wanted().is_empty());
    std::thread::sleep(Duration::from_millis(1_100));
    assert_eq!(slots.wanted(), [room(4, 4)]);
    // Its commit came late: it gives back nothing a second time.
    let others = slots.reserve("q", 3, 0);
    slots.unreserve(&kept);
    assert_eq!((others.count, slots.wanted()), (3, vec![room(1, 1)]));
}
