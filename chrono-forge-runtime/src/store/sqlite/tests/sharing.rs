//! Several processes on one file; here threads, each with a store of its own.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::fixture::*;
use crate::record::*;
use crate::store::sqlite::SqliteStore;
use crate::store::{ClaimRequest, Store};

#[test]
fn a_due_run_is_claimed_by_one_worker_only() {
    let mut forge = Forge::new();
    for index in 0..200 {
        forge.start_at(&format!("k{index}"), 1, at(1));
    }
    let taken: Vec<Vec<RunId>> = std::thread::scope(|scope| {
        let claimants: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| drain(&forge.scratch)))
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
fn drain(scratch: &Scratch) -> Vec<RunId> {
    let mut writer = SqliteStore::open(scratch.options())
        .unwrap()
        .writer()
        .unwrap();
    let worker = writer.register_worker("x", "h", 1, at(0)).unwrap();
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
        };
        let claims = writer.claim_due(&request).unwrap();
        if claims.runs.is_empty() {
            return taken;
        }
        taken.extend(claims.runs.iter().map(|run| run.id));
    }
}

#[test]
fn a_busy_process_does_not_starve_another() {
    let mut forge = Forge::new();
    let run = forge.running("p");
    let plan = forge.plan(&run);
    let stop = AtomicBool::new(false);
    let mut other = SqliteStore::open(forge.scratch.options())
        .unwrap()
        .writer()
        .unwrap();
    let second = other.register_worker("x", "h", 2, at(0)).unwrap();
    forge
        .writer
        .heartbeat(forge.worker, &[run.id], at(1))
        .unwrap();
    let waits = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                let records = (1..200).map(|seq| completed(seq, "1")).collect();
                forge.apply(&Plan {
                    records,
                    ..plan.clone()
                });
            }
        });
        let mut beat = || {
            let begun = Instant::now();
            other.heartbeat(second, &[], at(2)).unwrap();
            begun.elapsed()
        };
        let begun = Instant::now();
        let mut waits: Vec<Duration> = Vec::new();
        while begun.elapsed() < Duration::from_millis(600) {
            waits.push(beat());
        }
        stop.store(true, Ordering::Relaxed);
        waits
    });
    // Generous, since the machine may be busy too; without turns one wait takes it all.
    assert!(waits.len() > 10, "{waits:?}");
}

#[test]
fn readers_see_whole_commits_while_the_writer_works() {
    let mut forge = Forge::new();
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
