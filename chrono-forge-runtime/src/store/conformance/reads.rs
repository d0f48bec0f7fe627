//! What the store answers to readers.

use super::backend::Backend;
use super::fixture::*;
use crate::record::*;
use crate::store::{Start, Started, UnservedRow, WorkerEntry};

pub(crate) fn history_comes_in_the_order_of_outcomes_and_the_open_ones_last(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    let run = forge.running("p");
    let records = vec![
        record("wait$w"),
        completed(2, "2"),
        completed(1, "1"),
        record("repeat$r"),
        record("repeat$r$1800000000"),
    ];
    let plan = Plan {
        records,
        ..forge.plan(&run)
    };
    forge.apply(&plan);
    let history = forge.store.history(run.id, 100).unwrap();
    let names: Vec<&str> = history.iter().map(|record| &*record.step_name).collect();
    assert_eq!(names, ["step$s1", "step$s2", "wait$w", "repeat$r"]);
}

pub(crate) fn a_history_walks_around_the_repetitions_and_finds_every_repeat(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    let run = forge.running("p");
    // `#`, `$` and `%` are neighbours; a repeat that was dropped leaves repetitions without its row.
    let names = [
        "repeat$a",
        "repeat$a#b",
        "repeat$a#b$1",
        "repeat$a%",
        "repeat$a$1",
        "repeat$a$2.5",
        "repeat$a$-7",
        "repeat$gone$1",
        "repeat$gone$2",
        "repeat$z",
        "repeat$é",
        "step$x",
    ];
    let plan = Plan {
        records: names.map(record).into(),
        ..forge.plan(&run)
    };
    forge.apply(&plan);
    let history = forge.store.history(run.id, 100).unwrap();
    let mut found: Vec<&str> = history.iter().map(|row| &*row.step_name).collect();
    found.sort_unstable();
    let expected = [
        "repeat$a",
        "repeat$a#b",
        "repeat$a%",
        "repeat$z",
        "repeat$é",
        "step$x",
    ];
    assert_eq!(found, expected);
}

pub(crate) fn large_results_are_read_when_they_are_asked_for(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    let run = forge.running("p");
    // Two bytes a letter: the limit counts bytes.
    let plan = Plan {
        records: vec![completed(1, "\"éé\""), completed(2, "1")],
        ..forge.plan(&run)
    };
    forge.apply(&plan);
    let history = forge.store.history(run.id, 5).unwrap();
    assert_eq!(
        (history[0].result.as_deref(), history[0].result_bytes),
        (None, 6)
    );
    assert_eq!(
        (history[1].result.as_deref(), history[1].result_bytes),
        (Some("1"), 1)
    );
    let value = forge.store.result(run.id, history[0].id).unwrap();
    assert_eq!(value.as_deref(), Some("\"éé\""));
    assert_eq!(forge.store.result(run.id, RecordId(999)).unwrap(), None);
}

pub(crate) fn runs_are_found_by_identity_and_id(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    let run = forge.start_at("p", 1, at(1));
    assert_eq!(forge.store.find_run("flow", "p").unwrap().unwrap().id, run);
    assert!(forge.store.find_run("flow", "q").unwrap().is_none());
    assert!(forge.store.run(RunId(99)).unwrap().is_none());
}

pub(crate) fn branches_tell_whether_they_are_sealed(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    let parent = forge.running("p");
    forge.branch(&parent, 2);
    let read = |forge: &Forge| {
        let names = names(&["branch$b", "branch$none"]);
        forge.store.branches(parent.id, &names).unwrap().remove(0)
    };
    let open = read(&forge);
    assert_eq!((open.sealed, open.spawned, open.pending), (false, 2, 2));
    forge.seal(&parent);
    let sealed = read(&forge);
    assert_eq!(
        (sealed.sealed, sealed.spawned, sealed.pending),
        (true, 2, 2)
    );
    assert_eq!(sealed.id, open.id);
}

pub(crate) fn children_exist_by_key_whatever_their_workflow_and_only_in_their_branch(
    on: &dyn Backend,
) {
    let mut forge = Forge::on(on);
    let parent = forge.running("p");
    let one = |workflow: &str, key: &str| ChildRow {
        key: key.into(),
        workflow: workflow.into(),
        ..child(0, false)
    };
    let in_branch = |name: &str, children| Dispatch {
        branch: format!("branch${name}").into(),
        children,
        ..dispatch(0, false)
    };
    let ours = [
        ("a", "p$b$s$1"),
        ("z", "p$b$s$2"),
        ("a", "p$b$s"),
        ("a", "p$b$s2$3"),
    ];
    let ours = ours.map(|(workflow, key)| one(workflow, key)).into();
    let plan = Plan {
        dispatches: vec![
            in_branch("b", ours),
            in_branch("c", vec![one("a", "p$c$s$4")]),
        ],
        ..forge.plan(&parent)
    };
    forge.apply(&plan);
    let existing = |branch: &str, keys: &[&str]| {
        let keys = names(keys);
        let found = forge.store.existing_children(parent.id, branch, &keys);
        let mut found = found.unwrap();
        found.sort_unstable();
        found
    };
    let asked = ["p$b$s$0", "p$b$s$1", "p$b$s$2", "p$b$s$3", "p$b$s$\u{e4}\""];
    assert_eq!(existing("branch$b", &asked), ["p$b$s$1", "p$b$s$2"]);
    assert!(existing("branch$b", &[]).is_empty());
    assert!(existing("branch$c", &asked).is_empty());
    assert!(existing("branch$none", &asked).is_empty());
    assert_eq!(existing("branch$c", &["p$c$s$4"]), ["p$c$s$4"]);
}

pub(crate) fn blocked_children_are_those_of_all_branches_of_one_run(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    let (parent, other) = (forge.running("p"), forge.running("q"));
    let mut branch = |run: &ClaimedRun, name: &str, spawn: &str| {
        let mut dispatch = dispatch(3, true);
        dispatch.branch = format!("branch${name}").into();
        for child in &mut dispatch.children {
            child.key = child.key.replace("p$b$s", spawn);
        }
        let plan = Plan {
            dispatches: vec![dispatch],
            ..forge.plan(run)
        };
        let mut applied = forge.writer.apply(&[plan], at(1)).unwrap();
        let children = applied.outcomes.remove(0).claimed;
        let plan = Plan {
            errors: vec![ErrorRow {
                step_name: None,
                attempt: 1,
                class: "Declined".into(),
                message: "no".into(),
                backtrace: None,
                context: None,
                at: at(2),
            }],
            end: Some(RunEnd::Failed {
                at: at(3),
                attempts: 1,
                retry_counts: None,
            }),
            ..forge.plan(&children[2])
        };
        forge.writer.apply(&[plan], at(3)).unwrap();
        let stalled = RunEnd::Stalled {
            attempts: None,
            step_name: "step$s".into(),
            at: at(4),
        };
        forge.end(&children[0], stalled);
        forge.end(&children[1], done("1"));
    };
    branch(&parent, "c", "p$c$s");
    branch(&parent, "b", "p$b$s");
    branch(&other, "b", "q$b$s");
    let blocked = forge.store.blocked_children(parent.id, 3).unwrap();
    let keys: Vec<&str> = blocked.iter().map(|child| &*child.key).collect();
    assert_eq!(keys, ["p$b$s$0", "p$b$s$2", "p$c$s$0"], "three of four");
    let first = forge.store.find_run("child", "p$b$s$0").unwrap().unwrap();
    let stalled = BlockedChild {
        id: first.id.0,
        branch: "b".into(),
        key: "p$b$s$0".into(),
        workflow: "child".into(),
        state: RunState::Stalled,
        since: at(4),
        stalled_by: Some("step$s".into()),
        last_error: None,
    };
    assert_eq!(blocked[0], stalled);
    let failed = (blocked[1].state, &blocked[1].last_error);
    let error = Some(("Declined".to_owned(), "no".to_owned()));
    assert_eq!(failed, (RunState::Failed, &error));
    assert_eq!(blocked[2].branch, "c");
}

pub(crate) fn the_next_wake_is_the_earliest_of_what_may_be_claimed_here(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    let next = |forge: &Forge, workflows: &[&str]| {
        forge
            .store
            .next_wake(&names(&["default"]), &names(workflows))
            .unwrap()
    };
    assert_eq!(next(&forge, &["flow"]), None);
    for (key, wake_at) in [("a", Some(at(60))), ("b", Some(at(50))), ("c", None)] {
        let run = forge.running(key);
        forge.end(&run, parked(wake_at));
    }
    let _running = forge.running("d");
    assert_eq!(next(&forge, &["flow"]), Some(Due::At(at(50))));
    forge.start_at("e", 1, at(500));
    assert_eq!(next(&forge, &["flow"]), since(500));
    assert_eq!(next(&forge, &["child"]), None);
    assert_eq!(
        forge
            .store
            .next_wake(&names(&["other"]), &names(&["flow"]))
            .unwrap(),
        None
    );
}

pub(crate) fn the_outlook_tells_what_runs_and_what_is_due_next(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    let outlook = |forge: &Forge, queue: &str, workflow: &str| {
        let store = &forge.store;
        let outlook = store.outlook(&names(&[queue]), &names(&[workflow]));
        let outlook = outlook.unwrap();
        (outlook.runs, outlook.next)
    };
    let here = |forge: &Forge| outlook(forge, "default", "flow");
    assert_eq!(here(&forge), (false, None));
    let (a, b) = (forge.running("a"), forge.running("b"));
    assert_eq!(here(&forge), (true, None));
    assert_eq!(outlook(&forge, "default", "child"), (false, None));
    assert_eq!(outlook(&forge, "other", "flow"), (false, None));
    forge.end(&a, parked(Some(at(60))));
    assert_eq!(here(&forge), (true, Some(Due::At(at(60)))));
    forge.end(&b, parked(None));
    assert_eq!(here(&forge), (false, Some(Due::At(at(60)))));
    forge.start_at("c", 1, at(20));
    assert_eq!(here(&forge), (false, since(20)));
    assert_eq!(outlook(&forge, "other", "flow"), (false, None));
}

/// A run of this name that waits for an instant.
fn sleeper(forge: &mut Forge, workflow: &str) {
    let start = start("asleep", workflow, 1, Some(forge.worker));
    match forge.writer.start(&[start], at(1)).unwrap().remove(0) {
        Started::Claimed(run) => forge.end(&run, parked(Some(at(500)))),
        other => panic!("{other:?}"),
    };
}

pub(crate) fn due_runs_of_other_names_are_named(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    for (key, workflow, level) in [
        ("1", "flow", 1),
        ("2", "gone", 1),
        ("3", "gone", 0),
        ("4", "lost", 5),
    ] {
        forge
            .writer
            .start(&[start(key, workflow, level, None)], at(1))
            .unwrap();
    }
    sleeper(&mut forge, "later");
    let unknown = |limit| {
        forge
            .store
            .unknown_due(&names(&["flow"]), at(5), limit)
            .unwrap()
    };
    assert_eq!(unknown(10), ["gone", "lost"]);
    assert_eq!(unknown(1), ["gone"]);
    let early = forge.store.unknown_due(&[], at(0), 10).unwrap();
    assert_eq!(early, ["flow", "gone", "lost"], "due at once");
}

pub(crate) fn due_runs_that_no_live_worker_serves_are_told_by_name_and_queue(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    for (key, workflow, queue, second) in [
        ("1", "flow", "default", 1),
        ("5", "child", "default", 1),
        ("6", "child", "slow", 1),
        ("3", "flow", "slow", 2),
        ("4", "gone", "default", 3),
        ("2", "flow", "slow", 4),
    ] {
        let start = Start {
            queue: queue.into(),
            ..start(key, workflow, 1, None)
        };
        forge.writer.start(&[start], at(second)).unwrap();
    }
    sleeper(&mut forge, "later");
    let mut serve = |workflows: &[&str], queues: &[&str]| {
        let worker = WorkerEntry {
            workflows: &names(workflows),
            queues: &names(queues),
            ..entry("w", "host", 2)
        };
        forge.writer.register_worker(&worker, at(0)).unwrap()
    };
    serve(&["flow", "child"], &["default"]);
    let leaves = serve(&["child"], &["default", "slow"]);
    let unserved = |forge: &Forge, limit| {
        let rows = forge.store.unserved(at(5), limit).unwrap();
        let line = |row: UnservedRow| (row.workflow, row.queue, row.due_since);
        rows.into_iter().map(line).collect::<Vec<_>>()
    };
    let row =
        |workflow: &str, queue: &str, second| (workflow.to_owned(), queue.to_owned(), at(second));
    let left = [row("flow", "slow", 2), row("gone", "default", 3)];
    assert_eq!(unserved(&forge, 10), left);
    assert_eq!(unserved(&forge, 1), left[..1]);
    forge.writer.retire_worker(leaves, at(5)).unwrap();
    assert_eq!(unserved(&forge, 1), [row("child", "slow", 1)]);
    assert_eq!(unserved(&forge, 10).len(), 3);
}
