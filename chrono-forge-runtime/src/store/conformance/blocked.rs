//! The list of blocked runs, read directly, and what is found through it.

use super::backend::Backend;
use super::fixture::*;
use crate::record::*;
use crate::store::Started;

/// Run, branch, state and instant of each row.
fn blocked(forge: &Forge) -> Vec<String> {
    let columns = "workflow_id, parent_execution_log_id, state, since";
    forge.lines(columns, "chrono_forge_blocked ORDER BY workflow_id")
}

fn line(run: RunId, branch: Option<RecordId>, state: RunState, since: i64) -> String {
    let branch = branch.map_or("-".to_owned(), |branch| branch.to_string());
    let since = at(since).as_microsecond();
    format!("{run} {branch} {} {since}", state as i16)
}

pub(crate) fn failed_and_stalled_runs_enter_the_list(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    let parent = forge.running("p");
    let children = forge.branch(&parent, 3);
    let failed = RunEnd::Failed {
        at: at(3),
        attempts: 1,
        retry_counts: None,
    };
    let stalled = RunEnd::Stalled {
        attempts: None,
        step_name: "s".into(),
        at: at(4),
    };
    forge.end(&children[0], failed);
    forge.end(&children[1], stalled);
    forge.end(&children[2], done("1"));
    let expected = [
        line(children[0].id, children[0].parent, RunState::Failed, 3),
        line(children[1].id, children[1].parent, RunState::Stalled, 4),
    ];
    assert_eq!(blocked(&forge), expected);
}

pub(crate) fn a_run_that_goes_on_leaves_the_list(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    let (back, stays) = (forge.running("back"), forge.running("stays"));
    for run in [&back, &stays] {
        forge.end(
            run,
            RunEnd::Failed {
                at: at(3),
                attempts: 1,
                retry_counts: None,
            },
        );
    }
    // What a retry does to the run's row.
    let now = forge.database.instant(at(4));
    forge.edit(&format!(
        "UPDATE chrono_forge_workflows SET state = 0, wake_at = {now} WHERE key = 'back'"
    ));
    let again = forge.claim(at(5)).remove(0);
    forge.end(&again, done("1"));
    assert_eq!(blocked(&forge), [line(stays.id, None, RunState::Failed, 3)]);
}

pub(crate) fn a_poisoned_run_is_on_the_list(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    let run = forge.start_at("p", 1, at(1));
    for _ in 0..7 {
        forge.die();
    }
    assert_eq!(blocked(&forge), [line(run, None, RunState::Failed, 5)]);
}

/// `depth` generations of one child each below a run, the last of which fails; answers its key.
fn generations(forge: &mut Forge, root: &ClaimedRun, depth: u32) -> String {
    let mut run = root.clone();
    for _ in 0..depth {
        let mut dispatch = dispatch(1, true);
        dispatch.children[0].key = format!("{}$b$s$0", run.key);
        let plan = Plan {
            dispatches: vec![dispatch],
            ..forge.plan(&run)
        };
        let mut applied = forge.writer.apply(&[plan], at(1)).unwrap();
        run = applied.outcomes.remove(0).claimed.remove(0);
    }
    let end = RunEnd::Failed {
        at: at(3),
        attempts: 1,
        retry_counts: None,
    };
    forge.end(&run, end);
    run.key
}

pub(crate) fn blocked_descendants_are_those_whose_links_lead_up_to_the_run(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    let older = forge.running("older");
    let root = forge.running("p");
    // A run of another workflow may have the same key, and so may what is below it but for a branch's name.
    let twin = start("p", "child", 1, Some(forge.worker));
    let twin = match forge.writer.start(&[twin], at(0)).unwrap().remove(0) {
        Started::Claimed(run) => *run,
        other => panic!("{other:?}"),
    };
    let longer = forge.running("pp");
    let direct = generations(&mut forge, &root, 1);
    let mut foreign = dispatch(1, true);
    foreign.children[0].key = "p$other$s$0".into();
    let plan = Plan {
        dispatches: vec![foreign],
        ..forge.plan(&twin)
    };
    let child = forge.writer.apply(&[plan], at(1)).unwrap().outcomes[0]
        .claimed
        .remove(0);
    generations(&mut forge, &child, 2);
    generations(&mut forge, &longer, 3);
    generations(&mut forge, &older, 1);
    let below = |forge: &Forge, run: &ClaimedRun, limit| {
        let row = forge.row(run.id);
        let found = forge.store.blocked_descendants(&row, limit).unwrap();
        found
            .into_iter()
            .map(|child| (child.branch, child.key))
            .collect::<Vec<_>>()
    };
    assert_eq!(below(&forge, &root, 10), [("b".to_owned(), direct)]);
    let of_twin = ("b".to_owned(), "p$other$s$0$b$s$0$b$s$0".to_owned());
    assert_eq!(below(&forge, &twin, 10), [of_twin]);
    assert_eq!(below(&forge, &longer, 10).len(), 1);
    assert_eq!(below(&forge, &longer, 0), []);
}

pub(crate) fn blocked_descendants_are_found_over_pages_up_to_the_limit(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    let (root, other) = (forge.running("p"), forge.running("q"));
    let failed = RunEnd::Failed {
        at: at(3),
        attempts: 1,
        retry_counts: None,
    };
    // More than a store looks at in one transaction.
    let page = 1_001;
    for (run, children) in [(&root, 1), (&other, page), (&root, 3)] {
        let mut dispatch = dispatch(children, true);
        dispatch.branch = format!("branch$b{children}").into();
        for child in &mut dispatch.children {
            child.key = format!(
                "{}$b{children}{}",
                run.key,
                child.key.trim_start_matches("p$b")
            );
        }
        let plan = Plan {
            dispatches: vec![dispatch],
            ..forge.plan(run)
        };
        let applied = forge.writer.apply(&[plan], at(1)).unwrap();
        let end = |child: &ClaimedRun| Plan {
            end: Some(failed.clone()),
            ..forge.plan(child)
        };
        let ends: Vec<Plan> = applied.outcomes[0].claimed.iter().map(end).collect();
        forge.writer.apply(&ends, at(3)).unwrap();
    }
    let row = forge.row(root.id);
    let keys = |limit| {
        let found = forge.store.blocked_descendants(&row, limit).unwrap();
        found.into_iter().map(|child| child.key).collect::<Vec<_>>()
    };
    assert_eq!(keys(9), ["p$b1$s$0", "p$b3$s$0", "p$b3$s$1", "p$b3$s$2"]);
    assert_eq!(keys(2), ["p$b1$s$0", "p$b3$s$0"]);
    let other = forge.row(other.id);
    let found = forge.store.blocked_descendants(&other, page * 2).unwrap();
    assert_eq!(found.len(), page as usize);
}
