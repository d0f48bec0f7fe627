//! The list of blocked runs, read directly, and what is found through it.

use diesel::prelude::*;
use diesel::sql_types::BigInt;

use super::fixture::*;
use crate::record::*;
use crate::store::Started;
use crate::store::sqlite::records::DESCENDANTS_PAGE;

#[derive(QueryableByName, Debug, PartialEq, Eq)]
struct Blocked {
    #[diesel(sql_type = BigInt)]
    workflow_id: i64,
    #[diesel(sql_type = BigInt)]
    parent: i64,
    #[diesel(sql_type = BigInt)]
    state: i64,
    #[diesel(sql_type = BigInt)]
    since: i64,
}

fn blocked(forge: &Forge) -> Vec<Blocked> {
    let path = forge.scratch.0.join("forge.db");
    let mut conn = SqliteConnection::establish(path.to_str().unwrap()).unwrap();
    diesel::sql_query(
        "SELECT workflow_id, ifnull(parent_execution_log_id, 0) AS parent, state, since
        FROM chrono_forge_blocked ORDER BY workflow_id",
    )
    .load(&mut conn)
    .unwrap()
}

#[test]
fn failed_and_stalled_runs_enter_the_list() {
    let mut forge = Forge::new();
    let parent = forge.running("p");
    let children = forge.branch(&parent, 3);
    let failed = RunEnd::Failed {
        at: at(3),
        attempts: 1,
    };
    let stalled = RunEnd::Stalled {
        step_name: "s".into(),
        at: at(4),
    };
    forge.end(&children[0], failed);
    forge.end(&children[1], stalled);
    forge.end(&children[2], done("1"));
    let row = |child: &ClaimedRun, state, since| Blocked {
        workflow_id: child.id.0,
        parent: child.parent.unwrap().0,
        state,
        since: at(since).as_microsecond(),
    };
    assert_eq!(
        blocked(&forge),
        [row(&children[0], 3, 3), row(&children[1], 4, 4)]
    );
}

#[test]
fn a_run_that_goes_on_leaves_the_list() {
    let mut forge = Forge::new();
    let (back, stays) = (forge.running("back"), forge.running("stays"));
    for run in [&back, &stays] {
        forge.end(
            run,
            RunEnd::Failed {
                at: at(3),
                attempts: 1,
            },
        );
    }
    // What a retry does to the run's row.
    let path = forge.scratch.0.join("forge.db");
    let mut conn = SqliteConnection::establish(path.to_str().unwrap()).unwrap();
    diesel::sql_query(
        "UPDATE chrono_forge_workflows SET state = 0, wake_at = 1 WHERE key = 'back'",
    )
    .execute(&mut conn)
    .unwrap();
    let again = forge.claim(at(5)).remove(0);
    forge.end(&again, done("1"));
    assert_eq!(blocked(&forge).len(), 1);
    assert_eq!(blocked(&forge)[0].workflow_id, stays.id.0);
}

#[test]
fn a_poisoned_run_is_on_the_list() {
    let mut forge = Forge::new();
    let run = forge.start_at("p", 1, at(1));
    for _ in 0..7 {
        let worker = forge.writer.register_worker("x", "h", 1, at(0)).unwrap();
        assert_eq!(forge.claim_as(worker, at(5)).len(), 1);
        forge
            .writer
            .declare_dead(worker, None, LIMITS, at(5))
            .unwrap()
            .unwrap();
    }
    let expected = Blocked {
        workflow_id: run.0,
        parent: 0,
        state: 3,
        since: at(5).as_microsecond(),
    };
    assert_eq!(blocked(&forge), [expected]);
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
    };
    forge.end(&run, end);
    run.key
}

#[test]
fn blocked_descendants_are_those_whose_links_lead_up_to_the_run() {
    let mut forge = Forge::new();
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

#[test]
fn blocked_descendants_are_found_over_pages_up_to_the_limit() {
    let mut forge = Forge::new();
    let (root, other) = (forge.running("p"), forge.running("q"));
    let failed = RunEnd::Failed {
        at: at(3),
        attempts: 1,
    };
    let page = DESCENDANTS_PAGE;
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
