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
