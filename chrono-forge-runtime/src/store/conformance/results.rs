//! Pages of results and of failures of children.

use super::backend::Backend;
use super::fixture::*;
use crate::record::*;

/// A page ends where it has about as much.
const PAGE_BYTES: usize = 4 << 20;

fn spawn(parent: &ClaimedRun) -> SpawnPath {
    SpawnPath {
        run: parent.id,
        branch: "branch$b".into(),
        key: "p$b$s".into(),
    }
}

pub(crate) fn outputs_come_by_spawn_in_order_of_dispatch_and_in_pages(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    let parent = forge.running("p");
    let one = |key: &str, args: &str| ChildRow {
        key: key.into(),
        args: args.into(),
        ..child(0, true)
    };
    let children = [
        "p$b$s$10", "p$b$s$9", "p$b$s", "p$b$s2", "p$b$s$11", "p$b$sx$1",
    ];
    let children = children.iter().map(|key| one(key, "0")).collect();
    let dispatches = vec![Dispatch {
        children,
        ..dispatch(0, true)
    }];
    let plan = Plan {
        dispatches,
        ..forge.plan(&parent)
    };
    let mut applied = forge.writer.apply(&[plan], at(1)).unwrap();
    let children = applied.outcomes.remove(0).claimed;
    for (index, child) in children
        .iter()
        .enumerate()
        .filter(|(_, child)| child.key != "p$b$s$11")
    {
        forge.end(child, done(&index.to_string()));
    }
    let page = |after, limit| {
        let outputs = forge.store.outputs(&spawn(&parent), after, limit).unwrap();
        outputs
            .into_iter()
            .map(|(_, key, output)| format!("{key}={output}"))
            .collect::<Vec<_>>()
    };
    assert_eq!(page(RunId(0), 10), ["p$b$s$10=0", "p$b$s$9=1", "p$b$s=2"]);
    assert_eq!(page(RunId(0), 1), ["p$b$s$10=0"]);
    assert_eq!(page(children[0].id, 10), ["p$b$s$9=1", "p$b$s=2"]);
}

pub(crate) fn a_page_of_outputs_ends_when_it_is_large(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    let parent = forge.running("p");
    let children = forge.branch(&parent, 4);
    let large = format!("\"{}\"", "x".repeat(PAGE_BYTES / 2));
    for (child, output) in children.iter().zip([&*large, "1", &*large, "2"]) {
        forge.end(child, done(output));
    }
    let page = |after| {
        let outputs = forge.store.outputs(&spawn(&parent), after, 500).unwrap();
        outputs
            .into_iter()
            .map(|(id, ..)| id)
            .collect::<Vec<RunId>>()
    };
    let ids: Vec<RunId> = children.iter().map(|child| child.id).collect();
    assert_eq!(page(RunId(0)), ids[..3]);
    assert_eq!(page(ids[2]), ids[3..]);
    assert_eq!(page(ids[3]), []);
}

/// Children of one branch that completed at these seconds.
fn completed_at(forge: &mut Forge, parent: &ClaimedRun, seconds: &[i64]) -> Vec<RunId> {
    let children = forge.branch(parent, u32::try_from(seconds.len()).unwrap());
    for (child, second) in children.iter().zip(seconds) {
        let end = RunEnd::Completed {
            output: second.to_string().as_str().into(),
            at: at(*second),
        };
        forge.end(child, end);
    }
    children.iter().map(|child| child.id).collect()
}

pub(crate) fn the_order_of_completion_breaks_ties_by_dispatch_and_has_pages(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    let parent = forge.running("p");
    let ids = completed_at(&mut forge, &parent, &[9, 7, 8, 7, 6]);
    let order = |limit| {
        let order = forge
            .store
            .completion_order(&spawn(&parent), limit)
            .unwrap();
        let place = |id| ids.iter().position(|other| *other == id).unwrap();
        order.into_iter().map(place).collect::<Vec<_>>()
    };
    assert_eq!(order(5), [4, 1, 3, 2, 0]);
    assert_eq!(order(100), [4, 1, 3, 2, 0]);
    assert_eq!(order(3), [1, 2, 0], "of the first three");
    assert_eq!(order(0), [] as [usize; 0]);
    let other = SpawnPath {
        key: "p$b$t".into(),
        ..spawn(&parent)
    };
    assert_eq!(forge.store.completion_order(&other, 5).unwrap(), []);
}

pub(crate) fn outputs_of_runs_come_in_their_order_and_end_at_one_that_has_none(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    let parent = forge.running("p");
    let ids = completed_at(&mut forge, &parent, &[5, 6, 7]);
    let open = forge.running("open").id;
    let outputs = |runs: &[RunId]| {
        let outputs = forge.store.outputs_of(runs).unwrap();
        outputs
            .into_iter()
            .map(|(_, _, json)| json.to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(outputs(&[ids[2], ids[0], ids[1]]), ["7", "5", "6"]);
    assert_eq!(outputs(&[ids[2], open, ids[1]]), ["7"]);
    assert!(outputs(&[RunId(99), ids[1]]).is_empty());
    assert!(outputs(&[]).is_empty());
}

/// Completes a child after these failures: step (empty for the body) and attempt.
fn fail_and_complete(
    forge: &mut Forge,
    child: &ClaimedRun,
    failures: &[(&str, u32)],
    bytes: usize,
) {
    let error = |(step, attempt): &(&str, u32)| ErrorRow {
        step_name: Some(*step).filter(|step| !step.is_empty()).map(Into::into),
        attempt: *attempt,
        class: "E".into(),
        message: "m".repeat(bytes),
        backtrace: None,
        context: None,
        at: at(3),
    };
    let plan = Plan {
        errors: failures.iter().map(error).collect(),
        end: Some(done("1")),
        ..forge.plan(child)
    };
    forge.apply(&plan);
}

/// `<key's end> <step><attempt>` of each failure, and how many pages it took.
fn all_failures(
    forge: &Forge,
    parent: &ClaimedRun,
    children: u32,
    limit: u32,
) -> (Vec<String>, u32) {
    let mut place = FailurePlace::START;
    let (mut seen, mut pages, mut looked_at) = (Vec::new(), 0, 0);
    loop {
        let page = forge
            .store
            .failures(&spawn(parent), &place, children, limit)
            .unwrap();
        if page.children == 0 && place.rest.is_none() {
            assert_eq!(
                (page.failures.len(), looked_at),
                (0, 4),
                "every child, once"
            );
            return (seen, pages);
        }
        assert!(page.failures.len() <= limit as usize && page.children <= u64::from(children));
        pages += 1;
        looked_at += page.children;
        let line = |f: &ChildFailure| {
            let step = f.step.as_deref().unwrap_or("body");
            format!(
                "{} {step}{}",
                f.child.trim_start_matches("p$b$s"),
                f.attempt
            )
        };
        seen.extend(page.failures.iter().map(line));
        place = page.next;
    }
}

pub(crate) fn failures_come_by_child_step_and_attempt_in_pages_of_any_size(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    let parent = forge.running("p");
    let children = forge.branch(&parent, 4);
    // Written in another order than they are read in.
    let first = [
        ("step$b", 1),
        ("step$a", 2),
        ("", 2),
        ("step$a", 1),
        ("", 1),
        ("step$a", 10),
    ];
    fail_and_complete(&mut forge, &children[0], &first, 1);
    fail_and_complete(&mut forge, &children[1], &[], 1);
    fail_and_complete(&mut forge, &children[2], &[("step$z", 1)], 1);
    fail_and_complete(&mut forge, &children[3], &[("step$a", 1), ("step$a", 2)], 1);
    let expected = [
        "$0 body1",
        "$0 body2",
        "$0 step$a1",
        "$0 step$a2",
        "$0 step$a10",
        "$0 step$b1",
        "$2 step$z1",
        "$3 step$a1",
        "$3 step$a2",
    ];
    for children in 1..=5 {
        for limit in 1..=10 {
            let (seen, _) = all_failures(&forge, &parent, children, limit);
            assert_eq!(seen, expected, "pages of {children} and {limit}");
        }
    }
    assert_eq!(all_failures(&forge, &parent, 4, 100).1, 1);
    let other = SpawnPath {
        key: "p$b$t".into(),
        ..spawn(&parent)
    };
    let none = forge
        .store
        .failures(&other, &FailurePlace::START, 9, 9)
        .unwrap();
    assert_eq!((none.children, none.failures.len()), (0, 0));
}

pub(crate) fn a_page_of_failures_ends_when_it_is_large(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    let parent = forge.running("p");
    let children = forge.branch(&parent, 4);
    for child in &children {
        let failures = [("", 1), ("", 2)];
        fail_and_complete(&mut forge, child, &failures, PAGE_BYTES / 3);
    }
    let (seen, pages) = all_failures(&forge, &parent, 10, 100);
    // Three of them are full.
    assert_eq!((seen.len(), pages), (8, 3));
}
