//! Claims of several sessions at a time, and behind many that came before.

use std::collections::BTreeSet;

use super::side::Side;
use crate::record::*;
use crate::store::conformance::backend::postgres::Postgres;
use crate::store::conformance::fixture::*;
use crate::store::*;

fn start_many(forge: &mut Forge, runs: u32) {
    let starts: Vec<Start> = (0..runs)
        .map(|run| start(&format!("k{run}"), "flow", 1, None))
        .collect();
    forge.writer.start(&starts, at(1)).unwrap();
}

#[test]
fn workers_claim_disjoint_runs() {
    skip_without_server!();
    let mut forge = Forge::on(&Postgres);
    start_many(&mut forge, 1_000);
    let claim_all = |writer: &mut dyn Writer| {
        let worker = writer.register_worker(&entry("x", "h", 1), at(0)).unwrap();
        let request = ClaimRequest {
            worker,
            now: at(2),
            queues: &[room(7)],
            workflows: &names(&["flow"]),
            lowest_first: false,
            quarantine_slot: true,
            quarantine_from: LIMITS.quarantine_from,
            company: Suspects::none(LIMITS),
        };
        let mut runs: Vec<RunId> = Vec::new();
        loop {
            let claims = writer.claim_due(&request).unwrap();
            if claims.runs.is_empty() {
                return (worker, runs);
            }
            assert!(claims.runs.iter().all(|run| run.epoch == Epoch(1)));
            runs.extend(claims.runs.iter().map(|run| run.id));
        }
    };
    let taken: Vec<(WorkerId, Vec<RunId>)> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let mut writer = forge.other_writer();
                scope.spawn(move || claim_all(writer.as_mut()))
            })
            .collect();
        let taken = threads.into_iter().map(|thread| thread.join().unwrap());
        taken.collect()
    });
    // Whoever finds everything locked by others goes away empty-handed; the last one leaves nothing.
    let runs: Vec<RunId> = taken.iter().flat_map(|(_, runs)| runs.clone()).collect();
    assert_eq!(runs.len(), 1_000);
    assert_eq!(runs.iter().collect::<BTreeSet<_>>().len(), 1_000);
    for (worker, runs) in taken {
        let held = format!(
            "SELECT id::text AS text FROM chrono_forge_workflows WHERE locked_by = {worker} ORDER BY id"
        );
        let mut runs: Vec<String> = runs.iter().map(ToString::to_string).collect();
        let mut held = forge.database.texts(&held);
        runs.sort();
        held.sort();
        assert_eq!(runs, held);
    }
}

#[test]
fn a_claim_passes_over_what_is_locked_and_waits_for_nobody() {
    skip_without_server!();
    let (mut forge, mut side) = Side::new();
    let runs = ["a", "b", "c"].map(|key| forge.start_at(key, 1, at(1)));
    // A wake-up that is on its way, a key share lock, which is compatible, and nothing.
    side.run(&format!(
        "BEGIN;
        UPDATE chrono_forge_workflows SET wake_requested = wake_requested WHERE id = {};
        SELECT id FROM chrono_forge_workflows WHERE id = {} FOR KEY SHARE",
        runs[0], runs[1]
    ));
    let ids = |claimed: Vec<ClaimedRun>| claimed.iter().map(|run| run.id).collect::<Vec<_>>();
    assert_eq!(ids(forge.claim(at(2))), runs[1..]);
    side.run("COMMIT");
    assert_eq!(ids(forge.claim(at(2))), runs[..1]);
}

#[test]
fn what_comes_to_lie_before_the_marks_is_found_in_the_end() {
    skip_without_server!();
    let mut forge = Forge::on(&Postgres);
    start_many(&mut forge, 1_500);
    let mut taken = 0;
    while taken < 1_500 {
        let runs = forge.claim(at(2)).len();
        assert!(runs > 0, "{taken}");
        taken += runs;
    }
    // Due before any of them, as a clock that is behind would have it.
    let early = forge.start_at("early", 1, at(0));
    let late = forge.start_at("late", 1, at(1));
    let begun = std::time::Instant::now();
    let mut found = Vec::new();
    while found.len() < 2 {
        assert!(begun.elapsed().as_secs() < 60, "{found:?}");
        found.extend(forge.claim(at(2)).iter().map(|run| run.id));
    }
    found.sort();
    assert_eq!(found, [early, late]);
}
