//! Children that finish while somebody else holds their parent's row.

use super::side::Side;
use crate::record::*;
use crate::store::conformance::fixture::*;

/// Who holds the parent may be on the way to the branch's row: its own next commit is.
#[test]
fn a_busy_parent_is_waited_for_without_its_branch() {
    skip_without_server!();
    let (mut forge, mut side) = Side::new();
    let parent = forge.running("p");
    let child = forge.branch(&parent, 1).remove(0);
    forge.seal(&parent);
    forge.end(&parent, parked(None));
    let branch = forge.store.branches_of(parent.id).unwrap()[0];
    side.hold_run(parent.id);
    let last = std::thread::scope(|scope| {
        let last = scope.spawn(|| forge.end(&child, done("1")));
        side.until_somebody_waits();
        side.run(&format!(
            "SELECT id FROM chrono_forge_execution_logs WHERE id = {branch} FOR NO KEY UPDATE NOWAIT;
            COMMIT"
        ));
        last.join().unwrap()
    });
    assert_eq!(last.parents_woken, [parent.id]);
    assert_eq!(forge.counters(parent.id), (1, 0));
    assert_eq!(forge.row(parent.id).wake_at, since(10));
    assert_eq!(forge.row(child.id).state, RunState::Completed);
}

/// What a writer of a large fan-out must not do: keep the others from their children until its commit.
#[test]
fn completions_meet_at_their_branch_only_at_last() {
    skip_without_server!();
    let (mut forge, mut side) = Side::new();
    let parent = forge.running("p");
    let children = forge.branch(&parent, 2);
    forge.seal(&parent);
    let branch = forge.store.branches_of(parent.id).unwrap()[0];
    side.hold_run(children[1].id);
    let mut other = forge.other_writer();
    let plan = |nth: usize| Plan {
        end: Some(done("1")),
        ..forge.plan(&children[nth])
    };
    let (first, second) = (plan(0), plan(1));
    std::thread::scope(|scope| {
        let blocked = scope.spawn(move || other.apply(&[second], at(10)));
        side.until_somebody_waits();
        // One that has got that far waits for the other's run, and not the other way round.
        side.run(&format!(
            "SELECT id FROM chrono_forge_execution_logs WHERE id = {branch} FOR NO KEY UPDATE NOWAIT;
            ROLLBACK"
        ));
        blocked.join().unwrap().unwrap();
    });
    assert!(!forge.apply(&first));
    assert_eq!(forge.counters(parent.id), (2, 0));
}
