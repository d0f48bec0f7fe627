//! Several processes on one database; here threads, each with a store of its own.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};

use super::backend::{Backend, Database};
use super::fixture::*;
use crate::record::*;
use crate::store::ClaimRequest;

pub(crate) fn a_due_run_is_claimed_by_one_worker_only(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    for index in 0..200 {
        forge.start_at(&format!("k{index}"), 1, at(1));
    }
    let taken: Vec<Vec<RunId>> = std::thread::scope(|scope| {
        let claimants: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| drain(&*forge.database)))
            .collect();
        claimants
            .into_iter()
            .map(|claimant| claimant.join().unwrap())
            .collect()
    });
    let all: Vec<RunId> = taken.concat();
    assert_eq!(all.len(), 200);
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), 200);
}

/// Claims in small bites until nothing is due.
fn drain(database: &dyn Database) -> Vec<RunId> {
    let mut writer = database.open().writer().unwrap();
    let worker = writer.register_worker(&entry("x", "h", 1), at(0)).unwrap();
    let mut taken = Vec::new();
    loop {
        let request = ClaimRequest {
            worker,
            now: at(5),
            queues: &[room(7)],
            workflows: &names(&["flow"]),
            lowest_first: false,
            quarantine_slot: false,
            quarantine_from: 2,
            company: crate::store::Suspects::none(LIMITS),
        };
        let claims = writer.claim_due(&request).unwrap();
        if claims.runs.is_empty() {
            return taken;
        }
        taken.extend(claims.runs.iter().map(|run| run.id));
    }
}

pub(crate) fn readers_see_whole_commits_while_the_writer_works(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    let parent = forge.running("p");
    forge.branch(&parent, 1);
    let store = std::sync::Arc::clone(&forge.store);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let branch = store.branches(parent.id, &names(&["branch$b"])).unwrap();
                    assert_eq!(branch[0].spawned, branch[0].pending);
                }
            });
        }
        for round in 2..30 {
            let plan = Plan {
                dispatches: vec![dispatch(round, false)],
                ..forge.plan(&parent)
            };
            forge.apply(&plan);
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert_eq!(forge.counters(parent.id), (29, 29));
}

pub(crate) fn many_may_open_a_new_database_at_once(on: &dyn Backend) {
    for _ in 0..3 {
        let database = on.fresh();
        std::thread::scope(|scope| {
            for _ in 0..6 {
                scope.spawn(|| {
                    let mut writer = database.open().writer().unwrap();
                    writer.register_worker(&entry("w", "h", 1), at(0)).unwrap();
                });
            }
        });
        assert_eq!(database.open().live_workers().unwrap().len(), 6);
    }
}

pub(crate) fn a_name_belongs_to_the_application_that_entered_it_first(on: &dyn Backend) {
    let forge = Forge::on(on);
    let of = |workflow: &str, application: &str| {
        Belonging::from((workflow.to_owned(), application.to_owned()))
    };
    let owners = |workflows: &[&str]| {
        let mut owners = forge.store.applications(&names(workflows)).unwrap();
        owners.sort();
        owners
    };
    assert_eq!(owners(&["one", "two"]), []);
    // Those who enter the same names at the same time agree.
    let enter = |application: &str, workflows: [&str; 3]| {
        let mut writer = forge.database.open().writer().unwrap();
        let wanted = workflows.map(|workflow| of(workflow, application));
        let mut answer = writer.enter_workflows(&wanted, at(1)).unwrap();
        answer.sort();
        answer
    };
    let (left, right) = std::thread::scope(|scope| {
        let left = scope.spawn(|| enter("left", ["one", "two", "three"]));
        let right = scope.spawn(|| enter("right", ["three", "two", "one"]));
        (left.join().unwrap(), right.join().unwrap())
    });
    assert_eq!(left, right);
    assert_eq!(left.len(), 3);
    assert!(left.iter().all(|it| it.application == left[0].application));
    // Whoever asks for a name that another one owns is told so, and gets none of the others.
    let refused = enter("late", ["one", "four", "two"]);
    assert_eq!(refused.len(), 2);
    assert!(
        refused
            .iter()
            .all(|it| it.application == left[0].application)
    );
    assert_eq!(owners(&["four"]), []);
    // What is new is entered beside what one owns already.
    let own = left[0].application.clone();
    let more = enter(&own, ["one", "four", "two"]);
    assert_eq!(more[0], of("four", &own));
    assert_eq!(owners(&["four", "five"]), [of("four", &own)]);
}
