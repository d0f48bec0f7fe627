//! Two processes on one file take turns.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::open;
use crate::record::*;
use crate::store::conformance::fixture::*;

#[test]
fn a_busy_process_does_not_starve_another() {
    let (mut forge, _) = open();
    let run = forge.running("p");
    let plan = forge.plan(&run);
    let stop = AtomicBool::new(false);
    let mut other = forge.other_writer();
    let second = other.register_worker(&entry("x", "h", 2), at(0)).unwrap();
    forge
        .writer
        .heartbeat(forge.worker, &[known(&run)], at(1))
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
