//! Fan-out and fan-in.

use super::backend::Backend;
use super::fixture::*;
use crate::record::*;
use crate::store::Started;

pub(crate) fn children_are_inserted_counted_and_claimed_in_one_commit(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    let parent = forge.running("p");
    let children = forge.branch(&parent, 3);
    assert_eq!(children.len(), 3);
    assert!(children.windows(2).all(|pair| pair[0].id < pair[1].id));
    assert_eq!(children[2].key, "p$b$s$2");
    assert_eq!(forge.counters(parent.id), (3, 3));
    let row = forge.row(children[1].id);
    assert_eq!((row.state, row.epoch.claims()), (RunState::Running, 1));
    assert_eq!(
        (row.locked_by, row.started_at),
        (Some(forge.worker.0), Some(at(1)))
    );
    assert_eq!((row.parent, &*row.args), (children[1].parent, "1"));
    assert!(children.iter().all(|child| child.fresh));
}

pub(crate) fn unclaimed_children_are_due(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    let parent = forge.running("p");
    let plan = Plan {
        dispatches: vec![dispatch(3, false)],
        ..forge.plan(&parent)
    };
    let applied = forge.writer.apply(&[plan], at(1)).unwrap();
    assert!(applied.due);
    assert!(applied.outcomes[0].claimed.is_empty());
    let claimed = forge.claim(at(1));
    assert_eq!(claimed.len(), 3);
    assert!(claimed[0].fresh && claimed[0].parent.is_some());
}

pub(crate) fn a_dispatch_twice_counts_once_and_goes_on(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    let parent = forge.running("p");
    let plan = Plan {
        dispatches: vec![dispatch(3, false)],
        ..forge.plan(&parent)
    };
    forge.apply(&plan);
    forge.apply(&plan);
    assert_eq!(forge.counters(parent.id), (3, 3));
    let longer = Plan {
        dispatches: vec![dispatch(5, true)],
        ..forge.plan(&parent)
    };
    let applied = forge.writer.apply(&[longer], at(1)).unwrap();
    assert_eq!(applied.outcomes[0].claimed.len(), 2);
    assert_eq!(forge.counters(parent.id), (5, 5));
}

pub(crate) fn a_key_twice_in_a_batch_is_one_child(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    let parent = forge.running("p");
    let dispatches = vec![dispatch(2, true), dispatch(3, true)];
    let plan = Plan {
        dispatches,
        ..forge.plan(&parent)
    };
    let applied = forge.writer.apply(&[plan], at(1)).unwrap();
    assert_eq!(applied.outcomes[0].claimed.len(), 3);
    assert_eq!(forge.counters(parent.id), (3, 3));
}

pub(crate) fn cursors_of_several_spawns_stay_beside_each_other(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    let parent = forge.running("p");
    let cursor = |name: &str, value: &str| Dispatch {
        cursor: Some((name.into(), value.into())),
        children: Vec::new(),
        ..dispatch(0, true)
    };
    let dispatches = vec![cursor("a\"x", r#"{"pk":1,"old":2}"#), cursor("b", "3")];
    let first = Plan {
        dispatches,
        ..forge.plan(&parent)
    };
    forge.apply(&first);
    let dispatches = vec![cursor("a\"x", r#"{"pk":null}"#)];
    let second = Plan {
        dispatches,
        ..forge.plan(&parent)
    };
    forge.apply(&second);
    let stored = |forge: &Forge| -> serde_json::Value {
        let history = forge.store.history(parent.id, 10).unwrap();
        serde_json::from_str(history[0].metadata.as_deref().unwrap()).unwrap()
    };
    let cursors = serde_json::json!({"a\"x": {"pk": null}, "b": 3});
    let expected = serde_json::json!({ "cursors": cursors });
    assert_eq!(stored(&forge), expected);
    // The seal brings no metadata, or metadata of its own.
    forge.seal(&parent);
    assert_eq!(stored(&forge), expected);
    let metadata = Some(r#"{"m":1}"#.into());
    let sealed = Record {
        state: RecordState::Completed,
        metadata,
        ..record("branch$b")
    };
    let plan = Plan {
        records: vec![sealed],
        ..forge.plan(&parent)
    };
    forge.apply(&plan);
    let merged = serde_json::json!({ "m": 1, "cursors": cursors });
    assert_eq!(stored(&forge), merged);
}

pub(crate) fn a_key_is_each_parents_own_and_that_of_a_top_level_run(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    let (parent, other) = (forge.running("p"), forge.running("q"));
    let top = start("p$b$s$1", "child", 1, None);
    forge
        .writer
        .start(std::slice::from_ref(&top), at(0))
        .unwrap();
    // Twice: the second time all of them exist.
    for _ in 0..2 {
        let plans = [&parent, &other].map(|run| Plan {
            dispatches: vec![dispatch(3, true)],
            ..forge.plan(run)
        });
        let applied = forge.writer.apply(&plans, at(1)).unwrap();
        for outcome in &applied.outcomes {
            assert_eq!(outcome.verdict, Verdict::Applied { woken: false });
        }
        assert_eq!(forge.counters(parent.id), (3, 3));
        assert_eq!(forge.counters(other.id), (3, 3));
    }
    let again = forge.writer.start(&[top], at(2)).unwrap().remove(0);
    let Started::Existing { run: top, .. } = again else {
        panic!("{again:?}");
    };
    let namesakes = forge.store.namesakes("child", "p$b$s$1", 10).unwrap();
    let parents: Vec<_> = namesakes
        .iter()
        .map(|it| {
            it.parent
                .as_ref()
                .map(|parent| (parent.id, &*parent.branch))
        })
        .collect();
    let expected = [None, Some((parent.id.0, "b")), Some((other.id.0, "b"))];
    assert_eq!((namesakes[0].id, &*parents), (top.0, &expected[..]));
    assert_eq!(
        forge.store.namesakes("child", "p$b$s$1", 2).unwrap().len(),
        2
    );
    for (run, nth) in [(&parent, 1), (&other, 2)] {
        let child = forge.store.child(run.id, "branch$b", "child", "p$b$s$1");
        assert_eq!(child.unwrap(), Some(RunId(namesakes[nth].id)));
    }
    let nobody = [("branch$c", "child"), ("branch$b", "flow")];
    for (branch, workflow) in nobody {
        let child = forge.store.child(parent.id, branch, workflow, "p$b$s$1");
        assert_eq!(child.unwrap(), None);
    }
}

pub(crate) fn branches_of_one_run_may_have_children_of_one_key(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    let parent = forge.running("p");
    forge.branch(&parent, 1);
    let elsewhere = Dispatch {
        branch: "branch$c".into(),
        ..dispatch(1, true)
    };
    let plan = Plan {
        dispatches: vec![elsewhere],
        ..forge.plan(&parent)
    };
    forge.apply(&plan);
    let rows = forge
        .store
        .branches(parent.id, &names(&["branch$b", "branch$c"]));
    let pending: Vec<u64> = rows.unwrap().iter().map(|row| row.pending).collect();
    assert_eq!(pending, [1, 1]);
}

pub(crate) fn the_last_child_of_a_sealed_branch_wakes_a_parked_parent_once(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    let parent = forge.running("p");
    let children = forge.branch(&parent, 3);
    forge.seal(&parent);
    forge.end(&parent, parked(None));
    let plans: Vec<Plan> = children[..2]
        .iter()
        .map(|child| Plan {
            end: Some(done("0")),
            ..forge.plan(child)
        })
        .collect();
    let applied = forge.writer.apply(&plans, at(5)).unwrap();
    assert!(applied.parents_woken.is_empty() && !applied.due);
    assert_eq!(forge.counters(parent.id), (3, 1));
    let again = forge.writer.apply(&plans, at(5)).unwrap();
    assert!(changes_nothing(&again.outcomes[0].verdict), "{again:?}");
    assert_eq!(forge.counters(parent.id), (3, 1));
    let last = forge.end(&children[2], done("0"));
    assert_eq!(last.parents_woken, [parent.id]);
    assert!(last.due);
    assert_eq!(arrived(forge.row(parent.id).wake_at), Some(at(10)));
    let replay = forge.end(&children[2], done("0"));
    assert!(replay.parents_woken.is_empty());
}

pub(crate) fn a_running_parent_is_told(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    let parent = forge.running("p");
    let children = forge.branch(&parent, 1);
    forge.seal(&parent);
    let last = forge.end(&children[0], done("0"));
    assert_eq!(last.parents_woken, [parent.id]);
    assert!(!last.due);
    let row = forge.row(parent.id);
    assert_eq!((row.state, row.wake_requested), (RunState::Running, true));
}

pub(crate) fn an_unsealed_branch_wakes_nobody(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    let parent = forge.running("p");
    let children = forge.branch(&parent, 1);
    let last = forge.end(&children[0], done("0"));
    assert!(last.parents_woken.is_empty());
    assert_eq!(forge.counters(parent.id), (1, 0));
    assert!(!forge.row(parent.id).wake_requested);
}

pub(crate) fn seal_park_and_last_child_may_share_a_batch_in_any_order(on: &dyn Backend) {
    for parent_first in [true, false] {
        let mut forge = Forge::on(on);
        let parent = forge.running("p");
        let children = forge.branch(&parent, 1);
        let sealed = Record {
            state: RecordState::Completed,
            ..record("branch$b")
        };
        let mut plans = vec![
            Plan {
                records: vec![sealed],
                end: Some(parked(None)),
                ..forge.plan(&parent)
            },
            Plan {
                end: Some(done("0")),
                ..forge.plan(&children[0])
            },
        ];
        if !parent_first {
            plans.reverse();
        }
        let applied = forge.writer.apply(&plans, at(5)).unwrap();
        assert_eq!(applied.parents_woken, [parent.id]);
        assert!(applied.due);
        assert_eq!(arrived(forge.row(parent.id).wake_at), Some(at(5)));
    }
}

pub(crate) fn a_failed_or_stalled_child_keeps_its_parent_waiting_until_it_completes(
    on: &dyn Backend,
) {
    let mut forge = Forge::on(on);
    let parent = forge.running("p");
    let children = forge.branch(&parent, 2);
    forge.seal(&parent);
    forge.end(
        &children[0],
        RunEnd::Failed {
            at: at(3),
            attempts: 1,
            retry_counts: None,
        },
    );
    forge.end(
        &children[1],
        RunEnd::Stalled {
            attempts: None,
            step_name: "s".into(),
            at: at(3),
        },
    );
    assert_eq!(forge.counters(parent.id), (2, 2));
}

pub(crate) fn more_children_than_one_statement_holds(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    let parent = forge.running("p");
    let children = forge.branch(&parent, 141);
    assert_eq!(children.len(), 141);
    forge.seal(&parent);
    let plans: Vec<Plan> = children
        .iter()
        .map(|child| Plan {
            records: vec![completed(1, "1")],
            end: Some(done("0")),
            ..forge.plan(child)
        })
        .collect();
    let applied = forge.writer.apply(&plans, at(5)).unwrap();
    assert_eq!(applied.parents_woken, [parent.id]);
    assert_eq!(forge.counters(parent.id), (141, 0));
    for child in &children {
        assert_eq!(forge.row(child.id).state, RunState::Completed);
        assert_eq!(forge.store.history(child.id, 10).unwrap().len(), 1);
    }
}
