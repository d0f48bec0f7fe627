use super::*;
use crate::record::{Incarnation, Level, Priority};

const ME: WorkerId = WorkerId(7, Incarnation(0));

fn run(id: i64, epoch: i64) -> ClaimedRun {
    ClaimedRun {
        id: RunId(id),
        key: "k".into(),
        workflow: "w".into(),
        queue: "default".into(),
        level: Level::top(Priority::Normal),
        epoch: Epoch(epoch),
        args: "{}".into(),
        attempts: 0,
        retry_counts: "{}".into(),
        crashes: 0,
        parent: None,
        created_at: jiff::Timestamp::UNIX_EPOCH,
        fresh: true,
    }
}

fn registered() -> Holdings {
    let holdings = Holdings::default();
    holdings.enter(ME);
    holdings
}

const ORPHAN: [(RunId, Epoch); 1] = [(RunId(1), Epoch(3))];

#[test]
fn a_run_is_released_at_the_second_heartbeat_that_does_not_know_it() {
    let holdings = registered();
    assert!(holdings.disown(&ORPHAN).is_empty());
    assert_eq!(holdings.disown(&ORPHAN), ORPHAN);
}

#[test]
fn a_claim_whose_reply_arrives_between_two_heartbeats_is_kept() {
    let holdings = registered();
    assert!(holdings.disown(&ORPHAN).is_empty());
    holdings.hold(ME, &[run(1, 3)]);
    // The database was asked before the reply had arrived.
    assert!(holdings.disown(&ORPHAN).is_empty());
    assert_eq!(holdings.runs(), ORPHAN);
}

#[test]
fn a_claim_whose_reply_arrives_after_it_was_given_away_is_refused() {
    let holdings = registered();
    holdings.disown(&ORPHAN);
    holdings.disown(&ORPHAN);
    holdings.hold(ME, &[run(1, 3), run(2, 1)]);
    assert_eq!(holdings.runs(), [(RunId(2), Epoch(1))]);
    // The next claim of the same run is another one.
    holdings.hold(ME, &[run(1, 5)]);
    assert_eq!(holdings.runs().len(), 2);
}

#[test]
fn another_epoch_is_another_suspicion() {
    let holdings = registered();
    holdings.disown(&ORPHAN);
    assert!(holdings.disown(&[(RunId(1), Epoch(5))]).is_empty());
    assert!(holdings.disown(&[]).is_empty());
    assert!(holdings.disown(&[(RunId(1), Epoch(5))]).is_empty());
}

#[test]
fn what_a_dead_worker_claimed_is_not_held_by_the_one_that_follows() {
    let holdings = registered();
    holdings.hold(ME, &[run(1, 1)]);
    holdings.leave();
    holdings.hold(ME, &[run(2, 1)]);
    assert!(holdings.runs().is_empty());
    holdings.enter(WorkerId(8, Incarnation(0)));
    holdings.hold(ME, &[run(3, 1)]);
    assert!(holdings.runs().is_empty());
    holdings.hold(WorkerId(8, Incarnation(0)), &[run(4, 1)]);
    assert_eq!(holdings.runs(), [(RunId(4), Epoch(1))]);
}

#[test]
fn a_loss_is_that_of_one_epoch() {
    let holdings = registered();
    holdings.hold(ME, &[run(1, 3)]);
    holdings.lose(&[(RunId(1), Epoch(1))]);
    assert_eq!(holdings.runs(), ORPHAN);
    holdings.lose(&ORPHAN);
    assert!(holdings.runs().is_empty());
}
