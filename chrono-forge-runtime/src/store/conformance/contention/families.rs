//! Commits against commits.

use super::*;
use crate::store::conformance::backend::Backend;

/// A run is itself in one batch and a parent in another, and no two batches have the same order.
pub(crate) fn families_complete_in_batches_of_any_order(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    play(&mut forge, FAMILIES, |_, _| std::thread::yield_now());
}

pub(crate) fn children_of_one_branch_are_completed_by_many_writers(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    let plot = Plot {
        processes: 4,
        roots: 1,
        children: &[200],
        ..FAMILIES
    };
    play(&mut forge, plot, |_, _| std::thread::yield_now());
}

/// Commits are sent again by another way, claims are found by the next heartbeat.
pub(crate) fn lost_replies_neither_lose_nor_double_anything(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    let plot = Plot {
        replies_lost: 30,
        ..FAMILIES
    };
    play(&mut forge, plot, |_, _| std::thread::yield_now());
}

/// A branch so large that a store may count its children late, outside the order of its locks; the last ones are
/// completed while others still count.
pub(crate) fn the_children_of_a_large_branch_are_counted_by_many_writers(on: &dyn Backend) {
    const CHILDREN: u32 = 10_000;
    let mut forge = Forge::on(on);
    let parent = forge.running("p");
    let mut children = Vec::new();
    for upto in [CHILDREN / 2, CHILDREN] {
        let mut dispatch = dispatch(upto, true);
        dispatch.children.drain(..children.len());
        let plan = Plan {
            dispatches: vec![dispatch],
            ..forge.plan(&parent)
        };
        let mut applied = forge.writer.apply(&[plan], at(1)).unwrap();
        children.append(&mut applied.outcomes.remove(0).claimed);
    }
    forge.seal(&parent);
    forge.end(&parent, parked(None));
    let branch = children[0].parent.unwrap();
    let plans: Vec<Plan> = children
        .iter()
        .map(|child| Plan {
            end: Some(done("1")),
            ..forge.plan(child)
        })
        .collect();
    let woken = at_once(&forge, |writer, nth| {
        let mine: Vec<Plan> = plans
            .iter()
            .skip(nth as usize)
            .step_by(CALLERS as usize)
            .cloned()
            .collect();
        let mut woken = 0;
        for (round, batch) in mine.chunks(125).enumerate() {
            let applied = insist(|| writer.apply(batch, at(10)));
            woken += applied.parents_woken.len();
            if round % 4 == nth as usize {
                let recount = insist(|| writer.recount_branch(branch, at(10))).unwrap();
                assert!(!recount.repaired, "{recount:?}");
            }
        }
        woken
    });
    assert_eq!(woken.iter().sum::<usize>(), 1, "{woken:?}");
    assert_eq!(forge.counters(parent.id), (CHILDREN.into(), 0));
    let row = forge.row(parent.id);
    assert_eq!((row.state, row.wake_at), (RunState::Idle, since(10)));
}
