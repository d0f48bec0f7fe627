//! What a run stands still at: built from rows, up to the depths and states that workflows reach seldom.

use super::backend::Backend;
use super::fixture::*;
use crate::record::*;
use crate::store::Started;

/// One child of a run under this key, with the run parked at the join of its branch.
fn parked_above(forge: &mut Forge, run: &ClaimedRun) -> ClaimedRun {
    let mut dispatch = dispatch(1, true);
    dispatch.children[0].key = format!("{}$b$s$0", run.key);
    let plan = Plan {
        dispatches: vec![dispatch],
        ..forge.plan(run)
    };
    let mut applied = forge.writer.apply(&[plan], at(1)).unwrap();
    let child = applied.outcomes.remove(0).claimed.remove(0);
    forge.seal(run);
    park(forge, run, &["merge$b"], None);
    child
}

fn park(forge: &mut Forge, run: &ClaimedRun, names: &[&str], until: Option<i64>) {
    let plan = Plan {
        records: names.iter().map(|name| record(name)).collect(),
        end: Some(parked(until.map(at))),
        ..forge.plan(run)
    };
    forge.writer.apply(&[plan], at(2)).unwrap();
}

fn failed() -> RunEnd {
    RunEnd::Failed {
        at: at(3),
        attempts: 1,
        retry_counts: None,
    }
}

fn blocked(forge: &Forge, run: RunId) -> Option<(usize, String)> {
    match forge.store.standstill(&forge.row(run), &[], at(9)).unwrap() {
        None => None,
        Some(Standstill::Blocked { runs, first }) => Some((runs, first.key)),
        Some(other) => panic!("{other:?}"),
    }
}

pub(crate) fn a_run_stands_still_for_what_is_blocked_at_any_depth(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    let root = forge.running("p");
    let mut generations = vec![root.clone()];
    for depth in 0..5 {
        let child = parked_above(&mut forge, &generations[depth]);
        generations.push(child);
    }
    assert_eq!(blocked(&forge, root.id), None, "the last one runs");
    let last = generations.pop().unwrap();
    forge.end(&last, failed());
    for run in &generations {
        assert_eq!(blocked(&forge, run.id), Some((1, last.key.clone())));
    }
    // Canceled is blocked, too.
    forge.edit("UPDATE chrono_forge_blocked SET state = 5");
    assert_eq!(blocked(&forge, root.id), Some((1, last.key.clone())));
    forge.edit("UPDATE chrono_forge_blocked SET state = 3");
    forge.writer.retry("child", &last.key, None, at(4)).unwrap();
    assert_eq!(blocked(&forge, root.id), None, "it is due again");
    let due = forge.claim(at(5)).remove(0);
    forge.end(&due, failed());
    assert!(blocked(&forge, root.id).is_some());
    // One on the way that wakes for another reason goes on.
    forge.edit(&format!(
        "UPDATE chrono_forge_workflows SET wake_at = {} WHERE id = {}",
        forge.database.instant(at(500)),
        generations[3].id
    ));
    assert_eq!(blocked(&forge, root.id), None);
    assert_eq!(blocked(&forge, generations[3].id), None);
    assert!(blocked(&forge, generations[4].id).is_some());
}

pub(crate) fn a_run_that_waits_for_something_else_does_not_stand_still(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    let cases: [(&[&str], Option<i64>, bool); 7] = [
        (&["merge$b"], None, true),
        (&["merge$a,b"], None, true),
        (&["merge$b", "merge$b,c"], None, true),
        (&["merge$b", "merge$c"], None, false),
        (&["merge$c"], None, false),
        (&["merge$b", "continue_if$g"], None, false),
        (&["merge$b", "wait$w"], Some(500), false),
    ];
    for (nth, (names, until, stands_still)) in cases.into_iter().enumerate() {
        let run = forge.running(&format!("r{nth}"));
        let plan = Plan {
            dispatches: vec![family(&run.key, 1, true)],
            ..forge.plan(&run)
        };
        let mut applied = forge.writer.apply(&[plan], at(1)).unwrap();
        let child = applied.outcomes.remove(0).claimed.remove(0);
        forge.seal(&run);
        forge.end(&child, failed());
        assert_eq!(blocked(&forge, run.id), None, "it runs");
        park(&mut forge, &run, names, until);
        let is = blocked(&forge, run.id).is_some();
        assert_eq!(is, stands_still, "{names:?}");
    }
}

pub(crate) fn a_run_stands_still_for_what_nobody_serves_if_the_caller_says_so(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    let root = forge.running("p");
    let middle = parked_above(&mut forge, &root);
    let last = parked_above(&mut forge, &middle);
    forge.release(&[known(&last)], at(3));
    let other = start("q", "child", 10, None);
    let other = match forge.writer.start(&[other], at(3)).unwrap().remove(0) {
        Started::Inserted(run) => run,
        other => panic!("{other:?}"),
    };
    let look = |forge: &Forge, run: RunId, served: &[(&str, &str)]| {
        let name = |(workflow, queue): &(&str, &str)| ((*workflow).into(), (*queue).into());
        let unserved: Vec<(String, String)> = served.iter().map(name).collect();
        let row = forge.row(run);
        forge.store.standstill(&row, &unserved, at(9)).unwrap()
    };
    for run in [root.id, middle.id] {
        assert_eq!(look(&forge, run, &[]), None);
        assert_eq!(look(&forge, run, &[("child", "other")]), None);
        assert_eq!(look(&forge, run, &[("flow", "default")]), None);
        let found = look(&forge, run, &[("flow", "default"), ("child", "default")]);
        assert_eq!(found, Some(Standstill::Unserved(last.id)));
    }
    assert_eq!(
        look(&forge, other, &[("child", "default")]),
        None,
        "it waits for nobody"
    );
    forge.claim(at(9));
    assert_eq!(look(&forge, root.id, &[("child", "default")]), None);
}
