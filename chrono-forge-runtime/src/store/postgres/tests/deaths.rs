//! Workers that live and die while others are at work on the same rows.

use std::time::Duration;

use super::side::Side;
use crate::record::*;
use crate::store::conformance::fixture::*;
use crate::store::*;

fn declare_dead(writer: &mut dyn Writer, worker: WorkerId) -> Option<Recovered> {
    writer.declare_dead(worker, None, LIMITS, at(20)).unwrap()
}

#[test]
fn a_heartbeat_waits_for_no_claim_start_or_commit_that_is_under_way() {
    skip_without_server!();
    let (mut forge, mut side) = Side::new();
    let run = forge.running("p");
    // What claims and starts hold, and what a commit holds.
    side.run(&format!(
        "BEGIN;
        SELECT id FROM chrono_forge_workers WHERE id = {} FOR KEY SHARE;
        SELECT id FROM chrono_forge_workflows WHERE id = {} FOR NO KEY UPDATE",
        forge.worker, run.id
    ));
    let beat = forge.writer.heartbeat(forge.worker, &[known(&run)], at(3));
    let beat = beat.unwrap();
    assert!(!beat.worker_dead && beat.lost.is_empty() && beat.orphans.is_empty());
    // Nor do they wait for a heartbeat.
    side.run(&format!(
        "COMMIT; BEGIN; UPDATE chrono_forge_workers SET heartbeat_at = now() WHERE id = {}",
        forge.worker
    ));
    let direct = forge.running("q");
    forge.start_at("r", 1, at(1));
    assert_eq!(forge.claim(at(2)).len(), 1);
    forge.end(&direct, done("1"));
    side.run("ROLLBACK");
}

#[test]
fn a_worker_that_stops_is_given_nothing_by_who_asked_before() {
    skip_without_server!();
    let (mut forge, mut side) = Side::new();
    let run = forge.start_at("p", 1, at(1));
    let worker = forge.worker;
    side.run(&format!(
        "BEGIN; SELECT id FROM chrono_forge_workers WHERE id = {worker} FOR UPDATE"
    ));
    let claims = std::thread::scope(|scope| {
        let claim = scope.spawn(|| forge.claim(at(2)));
        side.until_somebody_waits();
        side.run(&format!(
            "UPDATE chrono_forge_workers SET stopped_at = now() WHERE id = {worker}; COMMIT"
        ));
        claim.join().unwrap()
    });
    assert!(claims.is_empty());
    assert_eq!(forge.row(run).state, RunState::Idle);
}

/// The other way round: who asked first gets the run, and the death comes after that.
#[test]
fn what_a_claim_under_way_gives_to_a_worker_is_recovered_too() {
    skip_without_server!();
    let (mut forge, mut side) = Side::new();
    let run = forge.start_at("p", 1, at(1));
    let worker = forge.worker;
    side.run(&format!(
        "BEGIN;
        SELECT id FROM chrono_forge_workers WHERE id = {worker} FOR KEY SHARE;
        UPDATE chrono_forge_workflows
        SET state = 1, wake_at = NULL, locked_by = {worker}, lock_epoch = 1::bigint << 32 WHERE id = {run};
        INSERT INTO chrono_forge_claims (worker_id, run_ids) VALUES ({worker}, '{{{run}}}')"
    ));
    let mut other = forge.other_writer();
    let recovered = std::thread::scope(|scope| {
        let dead = scope.spawn(move || declare_dead(other.as_mut(), worker));
        side.until_somebody_waits();
        side.run("COMMIT");
        dead.join().unwrap().unwrap()
    });
    assert_eq!(recovered.due, 1);
    assert_eq!(forge.row(run).state, RunState::Idle);
}

/// A commit of the worker holds its run's lock when the worker is declared dead, and gives it a child.
#[test]
fn children_of_a_commit_that_was_under_way_are_recovered_too() {
    skip_without_server!();
    let (mut forge, mut side) = Side::new();
    let parent = forge.running("p");
    let worker = forge.worker;
    side.run(&format!(
        "BEGIN;
        SELECT id FROM chrono_forge_workflows WHERE id = {} FOR NO KEY UPDATE;
        INSERT INTO chrono_forge_workflows
            (id, key, workflow, queue, priority, args, state, locked_by, lock_epoch, created_at, updated_at)
        VALUES (900, 'p$b$s$0', 'child', 'default', 4, '0', 1, {worker}, 1::bigint << 32, now(), now());
        INSERT INTO chrono_forge_claims (worker_id, run_ids) VALUES ({worker}, '{{900}}')",
        parent.id
    ));
    let mut other = forge.other_writer();
    let recovered = std::thread::scope(|scope| {
        let dead = scope.spawn(move || declare_dead(other.as_mut(), worker));
        side.until_somebody_waits();
        side.run("COMMIT");
        dead.join().unwrap().unwrap()
    });
    assert_eq!((recovered.due, recovered.poisoned.len()), (2, 0));
    for run in [parent.id, RunId(900)] {
        let row = forge.row(run);
        assert_eq!((row.state, row.epoch.claims()), (RunState::Idle, 2));
        assert_eq!((row.wake_at, row.crashes), (since(20), 1));
    }
    assert_eq!(side.count("SELECT count(*) FROM chrono_forge_claims"), 0);
}

#[test]
fn a_heartbeat_that_comes_first_saves_its_worker() {
    skip_without_server!();
    let (forge, mut side) = Side::new();
    let worker = forge.worker;
    side.run(&format!(
        "BEGIN; UPDATE chrono_forge_workers SET heartbeat_at = heartbeat_at + interval '9 s'
        WHERE id = {worker}"
    ));
    let mut other = forge.other_writer();
    let recovered = std::thread::scope(|scope| {
        let dead = scope.spawn(move || other.declare_dead(worker, Some(at(0)), LIMITS, at(20)));
        side.until_somebody_waits();
        side.run("COMMIT");
        dead.join().unwrap().unwrap()
    });
    assert!(recovered.is_none());
    assert_eq!(forge.store.live_workers().unwrap().len(), 1);
}

#[test]
fn only_a_heartbeat_that_is_the_one_that_was_watched_is_silence() {
    skip_without_server!();
    let (mut forge, _side) = Side::new();
    let worker = forge.worker;
    let now = forge.store.database_now().unwrap().unwrap();
    let day = Duration::from_secs(86_400);
    // Wherever clocks have gone, behind or ahead.
    for beat in [now - day, now, now + day] {
        forge.writer.heartbeat(worker, &[], beat).unwrap();
        for other in [now - day, now, now + day] {
            if other != beat {
                let found = forge.writer.declare_dead(worker, Some(other), LIMITS, now);
                assert!(found.unwrap().is_none());
            }
        }
    }
    let found = forge
        .writer
        .declare_dead(worker, Some(now + day), LIMITS, now);
    assert!(found.unwrap().is_some());
}

#[test]
fn claims_that_are_entered_while_a_heartbeat_prunes_stay() {
    skip_without_server!();
    let (mut forge, mut side) = Side::new();
    let (ended, held) = (forge.running("a"), forge.running("b"));
    let run = forge.start_at("c", 1, at(1));
    forge.end(&ended, done("1"));
    let worker = forge.worker;
    side.run(&format!(
        "BEGIN;
        UPDATE chrono_forge_workflows
        SET state = 1, wake_at = NULL, locked_by = {worker}, lock_epoch = 1::bigint << 32 WHERE id = {run};
        INSERT INTO chrono_forge_claims (worker_id, run_ids) VALUES ({worker}, '{{{run}}}')"
    ));
    let beat = forge.writer.heartbeat(worker, &[known(&held)], at(3));
    assert!(beat.unwrap().orphans.is_empty());
    side.run("COMMIT");
    let rows = "SELECT array_to_string(run_ids, ',') AS text FROM chrono_forge_claims ORDER BY id";
    let mut rows = forge.database.texts(rows);
    rows.sort();
    assert_eq!(rows, [held.id.to_string(), run.to_string()]);
    // One row is left of all of them, however often that is done.
    let memory = [known(&held), (run, Epoch(1 << 32))];
    for _ in 0..2 {
        forge.writer.heartbeat(worker, &memory, at(4)).unwrap();
        assert_eq!(side.count("SELECT count(*) FROM chrono_forge_claims"), 1);
    }
    let recovered = declare_dead(forge.writer.as_mut(), worker).unwrap();
    assert_eq!(recovered.due, 2);
}
