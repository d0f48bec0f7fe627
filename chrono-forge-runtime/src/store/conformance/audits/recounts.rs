//! Counting and repairing.

use super::*;
use crate::store::conformance::backend::Backend;

pub(crate) fn pages_count_every_child_once_up_to_the_last_one_asked_for(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    let (_, children, branch) = waiting(&mut forge, 7);
    forge.end(&children[1], done("1"));
    let stalled = RunEnd::Stalled {
        attempts: None,
        step_name: "s".into(),
        at: at(4),
    };
    forge.end(&children[2], stalled);
    let counters = forge.store.branch_counters(branch).unwrap().unwrap();
    let expected = BranchCounters {
        sealed: true,
        spawned: 7,
        pending: 6,
        last_child: children[6].id,
    };
    assert_eq!(counters, expected);
    let through = children[5].id;
    let (mut after, mut count, mut pages) = (RunId(0), ChildCount::default(), 0);
    while after < through {
        let page = forge.store.count_children(branch, after, through, 4);
        let (counted, last) = page.unwrap();
        count += counted;
        after = last;
        pages += 1;
    }
    assert_eq!((count.children, count.unfinished, pages), (6, 5, 2));
    assert_eq!(count.never_started, 0);
    assert_eq!(forge.store.branch_counters(RecordId(99)).unwrap(), None);
}

pub(crate) fn children_that_nobody_took_are_told_apart(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    let parent = forge.running("p");
    let plan = Plan {
        dispatches: vec![dispatch(3, false)],
        ..forge.plan(&parent)
    };
    forge.apply(&plan);
    let branch = forge.store.branch_states(parent.id, 9).unwrap()[0].0;
    let never_started = |forge: &Forge| {
        let page = forge.store.count_children(branch, RunId(0), ALL, 10);
        page.unwrap().0.never_started
    };
    assert_eq!(never_started(&forge), 3);
    forge.claim(at(2));
    assert_eq!(never_started(&forge), 0);
}

pub(crate) fn a_recount_of_a_counter_that_is_right_changes_nothing(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    let (_, children, branch) = waiting(&mut forge, 3);
    forge.end(&children[0], done("1"));
    let before = rows(&forge);
    let recount = forge.writer.recount_branch(branch, at(20)).unwrap();
    let recount = recount.unwrap();
    assert_eq!((recount.repaired, recount.woken), (false, false));
    assert_eq!((recount.pending, recount.count.unfinished), (2, 2));
    assert_eq!(rows(&forge), before);
    assert_eq!(audits(&forge), 0);
    let gone = forge.writer.recount_branch(RecordId(99), at(20)).unwrap();
    assert_eq!(gone, None);
}

pub(crate) fn a_counter_that_is_too_high_is_set_right_and_the_parent_goes_on(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    let (parent, children, branch) = waiting(&mut forge, 3);
    forge.end(&children[0], done("1"));
    corrupt(&forge, 3);
    forge.end(&children[1], done("1"));
    forge.end(&children[2], done("1"));
    assert_eq!(forge.counters(parent.id), (3, 1));
    assert_eq!(forge.row(parent.id).wake_at, None, "it is stranded");
    let repair = forge.writer.recount_branch(branch, at(20)).unwrap();
    let repair = repair.unwrap();
    assert!(repair.repaired && repair.woken);
    assert_eq!(
        (repair.run, repair.step_name.as_str()),
        (parent.id, "branch$b")
    );
    assert_eq!((repair.pending, repair.count.unfinished), (1, 0));
    assert_eq!(forge.counters(parent.id), (3, 0));
    assert_eq!(forge.row(parent.id).wake_at, since(20));
    let again = forge.writer.recount_branch(branch, at(21)).unwrap();
    assert!(!again.unwrap().repaired, "twice is once");
    assert_eq!(forge.row(parent.id).wake_at, since(20));
    let states = forge.store.branch_states(parent.id, 9).unwrap();
    assert_eq!(states[0].1.repairs, 1);
}

pub(crate) fn a_running_parent_is_told(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    let parent = forge.running("p");
    let children = forge.branch(&parent, 1);
    forge.seal(&parent);
    forge.end(&children[0], done("1"));
    forge.claim(at(11));
    let heed = Plan {
        consumes_wake: true,
        ..forge.plan(&parent)
    };
    forge.apply(&heed);
    corrupt(&forge, 1);
    let branch = forge.store.branch_states(parent.id, 9).unwrap()[0].0;
    let repair = forge.writer.recount_branch(branch, at(20)).unwrap();
    assert!(repair.unwrap().woken);
    let row = forge.row(parent.id);
    assert_eq!((row.state, row.wake_requested), (RunState::Running, true));
}

pub(crate) fn a_counter_that_is_too_low_is_set_right_and_nobody_is_woken(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    let (parent, children, branch) = waiting(&mut forge, 3);
    corrupt(&forge, 1);
    let failed = RunEnd::Failed {
        at: at(3),
        attempts: 1,
        retry_counts: None,
    };
    forge.end(&children[0], failed);
    let repair = forge.writer.recount_branch(branch, at(20)).unwrap();
    let repair = repair.unwrap();
    assert!(repair.repaired && !repair.woken);
    assert_eq!(forge.counters(parent.id), (3, 3), "a failed child counts");
    for child in &children[1..] {
        forge.end(child, done("1"));
    }
    assert_eq!(forge.row(parent.id).wake_at, None);
    assert_eq!(forge.counters(parent.id), (3, 1));
}

pub(crate) fn an_unsealed_branch_is_set_right_and_its_parent_left_alone(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    let parent = forge.running("p");
    let children = forge.branch(&parent, 2);
    for child in &children {
        forge.end(child, done("1"));
    }
    corrupt(&forge, 2);
    forge.end(&parent, parked(None));
    let branch = forge.store.branch_states(parent.id, 9).unwrap()[0].0;
    let repair = forge.writer.recount_branch(branch, at(20)).unwrap();
    let repair = repair.unwrap();
    assert!(repair.repaired && !repair.woken && !repair.sealed);
    assert_eq!(forge.counters(parent.id), (2, 0));
    assert_eq!(forge.row(parent.id).wake_at, None);
}

pub(crate) fn children_that_exist_were_dispatched_and_those_that_are_missing_prove_nothing(
    on: &dyn Backend,
) {
    let mut forge = Forge::on(on);
    let (parent, _, branch) = waiting(&mut forge, 3);
    forge.edit(
        "UPDATE chrono_forge_execution_logs SET spawned = 1, pending = 1
        WHERE step_name = 'branch$b'",
    );
    forge.writer.recount_branch(branch, at(20)).unwrap();
    assert_eq!(forge.counters(parent.id), (3, 3));
    forge.edit("UPDATE chrono_forge_execution_logs SET spawned = 5 WHERE step_name = 'branch$b'");
    let recount = forge.writer.recount_branch(branch, at(21)).unwrap();
    assert!(!recount.unwrap().repaired);
    assert_eq!(forge.counters(parent.id), (5, 3));
}
