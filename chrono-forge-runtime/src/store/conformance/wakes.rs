//! Wake-ups in every state.

use jiff::Timestamp;

use super::backend::Backend;
use super::fixture::*;
use crate::record::*;

pub(crate) fn an_idle_run_becomes_due(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    let run = forge.running("p");
    forge.end(&run, parked(Some(at(3600))));
    let woken = forge.writer.wake("flow", "p", at(20)).unwrap().unwrap();
    assert_eq!((woken.run, woken.state), (run.id, RunState::Idle));
    let row = forge.row(run.id);
    assert_eq!((row.wake_at, row.wake_requested), (since(20), false));
}

pub(crate) fn a_run_that_is_due_already_keeps_its_place(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    let run = forge.start_at("p", 1, at(5));
    forge.writer.wake("flow", "p", at(20)).unwrap();
    assert_eq!(forge.row(run).wake_at, since(5));
}

pub(crate) fn a_running_run_is_told_with_its_next_commit_until_it_consumes_the_wake_up(
    on: &dyn Backend,
) {
    let mut forge = Forge::on(on);
    let run = forge.running("p");
    let woken = forge.writer.wake("flow", "p", at(2)).unwrap().unwrap();
    assert_eq!(woken.state, RunState::Running);
    let plan = forge.plan(&run);
    assert!(forge.apply(&plan));
    assert!(forge.apply(&plan));
    assert_eq!(
        forge
            .writer
            .heartbeat(forge.worker, &[known(&run)], at(3))
            .unwrap()
            .woken,
        [run.id]
    );
    let consumes = Plan {
        consumes_wake: true,
        ..plan.clone()
    };
    assert!(!forge.apply(&consumes));
    assert!(!forge.apply(&plan));
    assert!(!forge.row(run.id).wake_requested);
}

pub(crate) fn a_park_that_meets_a_wake_up_is_due_at_once(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    let run = forge.running("p");
    forge.writer.wake("flow", "p", at(2)).unwrap();
    let applied = forge.end(&run, parked(Some(at(3600))));
    assert!(applied.due);
    let row = forge.row(run.id);
    assert_eq!((row.wake_at, row.wake_requested), (since(10), true));
    let again = forge.claim(at(10)).remove(0);
    assert_eq!(again.epoch.claims(), 2);
    assert!(!again.fresh);
    assert!(!forge.row(run.id).wake_requested);
}

pub(crate) fn a_park_that_consumes_the_wake_up_sleeps(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    let run = forge.running("p");
    forge.writer.wake("flow", "p", at(2)).unwrap();
    let plan = Plan {
        consumes_wake: true,
        end: Some(parked(None)),
        ..forge.plan(&run)
    };
    let applied = forge.writer.apply(&[plan], at(10)).unwrap();
    assert!(!applied.due);
    assert_eq!(forge.row(run.id).wake_at, None);
}

pub(crate) fn a_park_without_a_wake_up_is_not_due_before_its_instant(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    let run = forge.running("p");
    assert!(!forge.end(&run, parked(Some(at(60)))).due);
    assert!(forge.claim(at(59)).is_empty());
    assert_eq!(forge.claim(at(60)).len(), 1);
}

pub(crate) fn other_states_are_left_alone_and_nobody_is_none(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    let (done_run, failed, stalled) = (forge.running("a"), forge.running("b"), forge.running("c"));
    forge.end(&done_run, done("1"));
    forge.end(
        &failed,
        RunEnd::Failed {
            at: at(3),
            attempts: 1,
            retry_counts: None,
        },
    );
    forge.end(
        &stalled,
        RunEnd::Stalled {
            attempts: None,
            step_name: "s".into(),
            at: at(3),
        },
    );
    for (key, state) in [
        ("a", RunState::Completed),
        ("b", RunState::Failed),
        ("c", RunState::Stalled),
    ] {
        let woken = forge.writer.wake("flow", key, at(4)).unwrap().unwrap();
        assert_eq!(woken.state, state);
        let row = forge.row(woken.run);
        assert_eq!(
            (row.state, row.wake_at, row.wake_requested),
            (state, None, false)
        );
    }
    assert!(forge.writer.wake("flow", "none", at(4)).unwrap().is_none());
    assert!(forge.writer.wake("other", "a", at(4)).unwrap().is_none());
}

fn retrying(wake_at: Timestamp) -> RunEnd {
    RunEnd::Retrying {
        wake_at: Due::At(wake_at),
        attempts: 1,
        retry_counts: r#"{"*":1}"#.into(),
    }
}

pub(crate) fn a_body_that_waits_to_be_tried_again_keeps_its_instant(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    let run = forge.running("p");
    forge.end(&run, retrying(at(3600)));
    for _ in 0..3 {
        let woken = forge.writer.wake("flow", "p", at(20)).unwrap().unwrap();
        assert_eq!(woken.state, RunState::Idle);
        let row = forge.row(run.id);
        assert_eq!(
            (row.wake_at, row.wake_requested),
            (Some(Due::At(at(3600))), true)
        );
    }
    assert!(forge.claim(at(20)).is_empty());
    let again = forge.claim(at(3600)).remove(0);
    assert_eq!(&*again.retry_counts, r#"{"*":1}"#);
    assert!(!forge.row(run.id).wake_requested);
    // It got to its gate this time: whoever wakes it wants it to look.
    forge.end(&again, parked(Some(at(7200))));
    forge.writer.wake("flow", "p", at(3700)).unwrap();
    assert_eq!(forge.row(run.id).wake_at, since(3700));
    assert_eq!(&*forge.row(run.id).retry_counts, r#"{"*":1}"#);
}

pub(crate) fn the_last_child_spends_nothing_of_a_parent_that_waits_to_be_tried_again(
    on: &dyn Backend,
) {
    let mut forge = Forge::on(on);
    let parent = forge.running("p");
    let children = forge.branch(&parent, 2);
    forge.seal(&parent);
    forge.end(&parent, retrying(at(3600)));
    for child in &children {
        forge.end(child, done("1"));
    }
    let row = forge.row(parent.id);
    assert_eq!(
        (row.wake_at, row.wake_requested),
        (Some(Due::At(at(3600))), true)
    );
    assert_eq!(forge.claim(at(3600)).len(), 1);
}

pub(crate) fn a_run_that_was_handed_back_between_two_tries_is_due_and_stays_so(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    let run = forge.running("p");
    forge.end(&run, retrying(at(30)));
    let again = forge.claim(at(30)).remove(0);
    forge.end(&again, RunEnd::Released { at: at(40) });
    forge.writer.wake("flow", "p", at(50)).unwrap();
    assert_eq!(forge.claim(at(50)).len(), 1);
}
