//! Branches with too many children to be counted while nobody commits.

use super::side::Side;
use crate::record::*;
use crate::store::conformance::fixture::*;
use crate::store::postgres::audits;
use crate::store::shared::arrivals::Arrivals;

const RECORDS: &str = "chrono_forge_execution_logs";

/// A sealed branch of four children whose parent waits; its counter is said to be this.
fn branch(forge: &mut Forge, pending: i64) -> (RunId, Vec<ClaimedRun>, RecordId) {
    let parent = forge.running("p");
    let children = forge.branch(&parent, 4);
    forge.seal(&parent);
    forge.end(&parent, parked(None));
    let branch = forge.store.branch_states(parent.id, 9).unwrap()[0].0;
    forge.edit(&format!(
        "UPDATE chrono_forge_execution_logs SET pending = {pending}, spawned = {}
        WHERE id = {branch}",
        pending.max(4)
    ));
    (parent.id, children, branch)
}

#[test]
fn what_is_wrong_with_a_counter_is_found_without_a_lock_and_taken_off_once() {
    skip_without_server!();
    for (said, left) in [(6, 3), (3, 3), (4, 3)] {
        let (mut forge, mut side) = Side::new();
        let (parent, children, branch) = branch(&mut forge, said);
        let seen = audits::look(side.conn(), branch).unwrap().unwrap();
        // Others go on meanwhile.
        forge.end(&children[0], done("1"));
        let recount =
            audits::correct(side.conn(), branch, &seen, Arrivals::default().at(at(20))).unwrap();
        assert_eq!(recount.unwrap().repaired, said != 4);
        // That a number was dispatched is not taken back.
        let spawned = said.max(4) as u64;
        assert_eq!(forge.counters(parent), (spawned, left));
        let again =
            audits::correct(side.conn(), branch, &seen, Arrivals::default().at(at(20))).unwrap();
        assert!(
            said == 4 || !again.unwrap().repaired,
            "a repair counts once"
        );
        assert_eq!(forge.counters(parent), (spawned, left));
        assert!(audits::look(side.conn(), RecordId(99)).unwrap().is_none());
    }
}

#[test]
fn a_counter_that_was_too_high_for_children_that_are_done_wakes_the_parent() {
    skip_without_server!();
    let (mut forge, mut side) = Side::new();
    let (parent, children, branch) = branch(&mut forge, 5);
    let seen = audits::look(side.conn(), branch).unwrap().unwrap();
    for child in &children {
        forge.end(child, done("1"));
    }
    assert_eq!(forge.counters(parent), (5, 1));
    let recount =
        audits::correct(side.conn(), branch, &seen, Arrivals::default().at(at(20))).unwrap();
    let recount = recount.unwrap();
    assert!(recount.repaired && recount.woken);
    assert_eq!(forge.counters(parent), (5, 0));
    assert_eq!(forge.row(parent).wake_at, since(20));
}

/// Claims come behind it in the same thread.
#[test]
fn what_is_handed_back_waits_for_no_row_that_is_locked() {
    skip_without_server!();
    let (mut forge, mut side) = Side::new();
    let runs = ["a", "b"].map(|key| forge.running(key));
    side.hold_run(runs[0].id);
    let orphans = runs.clone().map(|run| (run.id, run.epoch));
    assert_eq!(forge.release(&orphans, at(5)), 1);
    side.run("COMMIT");
    assert_eq!(forge.release(&orphans, at(6)), 1);
    let states = runs.map(|run| forge.row(run.id).state);
    assert_eq!(states, [RunState::Idle; 2]);
}

/// In a branch that gets more children nobody goes on at zero. What was counted down there is taken
/// off later.
#[test]
fn a_counter_that_is_too_low_is_raised_while_a_branch_gets_more_children() {
    skip_without_server!();
    let (mut forge, _side) = Side::new();
    let parent = forge.running("p");
    let children = forge.branch(&parent, 4);
    let branch = forge.store.branch_states(parent.id, 9).unwrap()[0].0;
    let said = |pending| format!("UPDATE {RECORDS} SET pending = {pending} WHERE id = {branch}");
    let correct = |forge: &mut Forge, between: &[ClaimedRun]| {
        let look = forge.store.look_at_branch(branch).unwrap().unwrap();
        for child in between {
            forge.end(child, done("1"));
        }
        let corrected = forge.writer.correct_branch(branch, &look, at(20));
        corrected.unwrap().unwrap().repaired
    };
    forge.edit(&said(1));
    assert!(correct(&mut forge, &[]));
    assert_eq!(forge.counters(parent.id), (4, 4));
    // Two end at a counter of one, so one of them is not counted.
    forge.edit(&said(1));
    assert!(correct(&mut forge, &children[..2]));
    assert_eq!(forge.counters(parent.id), (4, 3));
    assert!(correct(&mut forge, &[]));
    assert_eq!(forge.counters(parent.id), (4, 2));
    assert!(!correct(&mut forge, &[]));
}

/// Where it was kept at zero nobody knows any more what was missing.
#[test]
fn a_counter_that_was_too_low_is_not_raised_once_it_is_zero() {
    skip_without_server!();
    let (mut forge, mut side) = Side::new();
    let (parent, children, branch) = branch(&mut forge, 1);
    let seen = audits::look(side.conn(), branch).unwrap().unwrap();
    for child in &children[..2] {
        forge.end(child, done("1"));
    }
    let recount =
        audits::correct(side.conn(), branch, &seen, Arrivals::default().at(at(20))).unwrap();
    assert!(!recount.unwrap().repaired);
    assert_eq!(forge.counters(parent), (4, 0));
}
