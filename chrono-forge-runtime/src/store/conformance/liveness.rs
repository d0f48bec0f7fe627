//! Workers: heartbeats, deaths, orphans and poison.

use super::backend::Backend;
use super::fixture::*;
use crate::record::*;
use crate::store::{CrashLimits, Fate, Started};

pub(crate) fn a_worker_lives_until_it_retires(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    let live = forge.store.live_workers().unwrap();
    assert_eq!((live[0].id, live[0].heartbeat_at), (forge.worker, at(0)));
    forge.writer.heartbeat(forge.worker, &[], at(7)).unwrap();
    assert_eq!(forge.store.live_workers().unwrap()[0].heartbeat_at, at(7));
    let (run, direct) = (forge.start_at("p", 1, at(1)), forge.running("q"));
    assert_eq!(forge.claim(at(1)).len(), 1);
    forge.writer.retire_worker(forge.worker, at(9)).unwrap();
    forge.writer.retire_worker(forge.worker, at(9)).unwrap();
    assert!(forge.store.live_workers().unwrap().is_empty());
    for run in [run, direct.id] {
        let row = forge.row(run);
        assert_eq!((row.state, row.wake_at), (RunState::Idle, since(9)));
        assert_eq!(
            (row.epoch.claims(), row.crashes, row.locked_by),
            (2, 0, None)
        );
    }
}

pub(crate) fn a_life_has_the_row_of_its_own_incarnation_or_none(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    let held = forge.running("held");
    let me = forge.worker;
    let beat = |forge: &mut Forge, at_second| {
        let memory = [known(&held)];
        let beat = forge.writer.heartbeat(me, &memory, at(at_second)).unwrap();
        (beat.worker_dead, beat.fate)
    };
    assert!(!beat(&mut forge, 1).0);
    // As a copy has it that was made before the first heartbeat.
    forge.edit("UPDATE chrono_forge_workers SET beats = beats - 1");
    assert_eq!(beat(&mut forge, 2), (true, Fate::SetBack));
    forge.edit("UPDATE chrono_forge_workers SET beats = beats + 1");
    assert!(!beat(&mut forge, 2).0);
    forge.edit("UPDATE chrono_forge_workers SET incarnation = 7");
    assert_eq!(beat(&mut forge, 2), (true, Fate::Replaced));
    assert!(forge.claim_as(me, at(2)).is_empty());
    let starts = [start("direct", "flow", 1, Some(me))];
    let started = forge.writer.start(&starts, at(2)).unwrap();
    assert!(matches!(started[0], Started::Inserted(_)), "{started:?}");
    // What is done to the one says nothing to the other.
    let limits = CrashLimits {
        quarantine_from: 2,
        poison_at: 3,
    };
    let dead = forge.writer.declare_dead(me, None, limits, at(3)).unwrap();
    assert!(dead.is_none());
    forge.writer.retire_worker(me, at(3)).unwrap();
    assert_eq!(forge.store.live_workers().unwrap().len(), 1);
    assert_eq!(forge.row(held.id).state, RunState::Running);
    forge.edit("DELETE FROM chrono_forge_workers");
    assert_eq!(beat(&mut forge, 4), (true, Fate::Gone));
    // Nobody else recovers what is held under a row that is not there.
    let orphans = [known(&held)];
    let released = forge.writer.release_orphans(me, &orphans, at(5));
    assert_eq!(released.unwrap(), 1);
    assert_eq!(forge.row(held.id).state, RunState::Idle);
    let again = forge.writer.register_worker(&entry("x", "host", 2), at(6));
    forge
        .writer
        .declare_dead(again.unwrap(), None, limits, at(7))
        .unwrap();
    assert!(beat(&mut forge, 8).0);
}

pub(crate) fn the_runs_of_a_dead_worker_become_due_with_one_more_crash(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    let parent = forge.running("p");
    let children = forge.branch(&parent, 2);
    forge.end(&children[0], done("1"));
    let recovered = forge
        .writer
        .declare_dead(forge.worker, None, LIMITS, at(20))
        .unwrap()
        .unwrap();
    assert_eq!((recovered.due, recovered.poisoned.len()), (2, 0));
    for run in [&parent, &children[1]] {
        let row = forge.row(run.id);
        assert_eq!((row.state, row.wake_at), (RunState::Idle, since(20)));
        assert_eq!((row.epoch.claims(), row.crashes), (2, 1));
        let late = forge.end(run, done("1"));
        assert_eq!(late.outcomes[0].verdict, Verdict::Fenced);
    }
    assert_eq!(forge.row(children[0].id).state, RunState::Completed);
    assert!(
        forge
            .writer
            .declare_dead(forge.worker, None, LIMITS, at(21))
            .unwrap()
            .is_none()
    );
}

pub(crate) fn a_worker_with_a_fresh_heartbeat_is_not_declared_dead(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    forge.writer.heartbeat(forge.worker, &[], at(7)).unwrap();
    let early = forge
        .writer
        .declare_dead(forge.worker, Some(at(6)), LIMITS, at(8))
        .unwrap();
    assert!(early.is_none());
    let late = forge
        .writer
        .declare_dead(forge.worker, Some(at(7)), LIMITS, at(8))
        .unwrap();
    assert!(late.is_some());
    assert!(
        forge
            .writer
            .heartbeat(forge.worker, &[], at(9))
            .unwrap()
            .worker_dead
    );
}

pub(crate) fn progress_forgives_crashes(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    forge.start_at("p", 1, at(1));
    forge.die();
    let run = forge.claim(at(5)).remove(0);
    assert_eq!(run.crashes, 1);
    let plan = Plan {
        progress: true,
        records: vec![completed(1, "1")],
        ..forge.plan(&run)
    };
    forge.apply(&plan);
    assert_eq!(forge.row(run.id).crashes, 0);
}

pub(crate) fn five_deaths_in_quarantine_poison_a_run(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    let run = forge.start_at("p", 1, at(1));
    for deaths in 1..=6 {
        assert_eq!(forge.die().poisoned.len(), 0);
        assert_eq!(forge.row(run).crashes, deaths);
    }
    assert_eq!(forge.die().poisoned.len(), 1);
    let row = forge.row(run);
    assert_eq!(
        (row.state, row.wake_at, row.locked_by),
        (RunState::Failed, None, None)
    );
    assert_eq!((row.crashes, row.attempts), (7, 1));
    let (class, message) = row.last_error.unwrap();
    assert_eq!(class, "chrono_forge::Poisoned");
    assert!(
        message.contains("7 workers") && message.contains("retry"),
        "{message}"
    );
}

pub(crate) fn a_heartbeat_hands_back_what_memory_does_not_know(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    let (kept, orphan) = (forge.running("known"), forge.running("orphan"));
    let answer = forge
        .writer
        .heartbeat(forge.worker, &[known(&kept)], at(4))
        .unwrap();
    assert_eq!(answer.orphans, [known(&orphan)]);
    let released = forge.release(&answer.orphans, at(4));
    assert_eq!(released, 1);
    assert!(answer.lost.is_empty() && answer.woken.is_empty());
    let row = forge.row(orphan.id);
    assert_eq!(
        (row.state, row.wake_at, row.crashes),
        (RunState::Idle, since(4), 0)
    );
    assert_eq!(
        forge.end(&orphan, done("1")).outcomes[0].verdict,
        Verdict::Fenced
    );
    assert_eq!(forge.row(kept.id).state, RunState::Running);
    let again = forge
        .writer
        .heartbeat(forge.worker, &[known(&kept)], at(5))
        .unwrap();
    assert!(again.orphans.is_empty());
}

pub(crate) fn a_heartbeat_tells_what_was_lost(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    let (ended, held) = (forge.running("ended"), forge.running("held"));
    forge.end(&ended, parked(None));
    let nobody = (RunId(999), Epoch(1));
    let memory = [known(&ended), known(&held), nobody];
    let answer = forge
        .writer
        .heartbeat(forge.worker, &memory, at(4))
        .unwrap();
    assert_eq!(answer.lost, [known(&ended), nobody]);
    assert!(answer.orphans.is_empty());
}

pub(crate) fn claims_survive_pruning_as_long_as_their_run_is_held(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    let parent = forge.running("p");
    let children = forge.branch(&parent, 3);
    forge.end(&children[0], done("1"));
    forge.end(&children[1], done("1"));
    let held = [known(&parent), known(&children[2])];
    forge.writer.heartbeat(forge.worker, &held, at(4)).unwrap();
    forge.writer.heartbeat(forge.worker, &held, at(5)).unwrap();
    let recovered = forge
        .writer
        .declare_dead(forge.worker, None, LIMITS, at(6))
        .unwrap()
        .unwrap();
    assert_eq!(recovered.due, 2);
}

/// Side by side, as a fan-out's children, or far from each other with somebody else's run between them.
pub(crate) fn claims_survive_pruning_wherever_their_ids_lie(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    let parent = forge.running("p");
    let other = forge
        .writer
        .register_worker(&entry("x", "h", 2), at(0))
        .unwrap();
    let foreign = forge.start_at("f", 1, at(1));
    assert_eq!(forge.claim_as(other, at(1)).len(), 1);
    let children = forge.branch(&parent, 40);
    for child in &children[1..39] {
        forge.end(child, done("1"));
    }
    let held = [&parent, &children[0], &children[39]].map(known);
    for seconds in [4, 5, 6] {
        let beat = forge.writer.heartbeat(forge.worker, &held, at(seconds));
        let beat = beat.unwrap();
        assert!(beat.lost.is_empty() && beat.orphans.is_empty(), "{beat:?}");
    }
    let orphans = forge.writer.heartbeat(forge.worker, &[], at(7)).unwrap();
    assert_eq!(orphans.orphans, held);
    let recovered = forge
        .writer
        .declare_dead(forge.worker, None, LIMITS, at(8))
        .unwrap()
        .unwrap();
    assert_eq!(recovered.due, 3);
    assert_eq!(forge.row(foreign).locked_by, Some(other.0));
}

pub(crate) fn a_run_claimed_twice_by_one_worker_is_recovered_once(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    let run = forge.running("p");
    forge.end(&run, parked(Some(at(2))));
    assert_eq!(forge.claim(at(5)).len(), 1);
    let recovered = forge
        .writer
        .declare_dead(forge.worker, None, LIMITS, at(6))
        .unwrap()
        .unwrap();
    assert_eq!(recovered.due, 1);
    let row = forge.row(run.id);
    assert_eq!((row.crashes, row.epoch.claims()), (1, 3));
}

pub(crate) fn a_worker_does_not_hand_back_what_another_one_holds(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    let run = forge.running("p");
    forge.end(&run, RunEnd::Released { at: at(2) });
    let other = forge
        .writer
        .register_worker(&entry("x", "h", 2), at(0))
        .unwrap();
    assert_eq!(forge.claim_as(other, at(3)).len(), 1);
    forge.writer.heartbeat(forge.worker, &[], at(4)).unwrap();
    forge.writer.retire_worker(forge.worker, at(4)).unwrap();
    assert_eq!(forge.row(run.id).locked_by, Some(other.0));
}

pub(crate) fn a_suspect_that_had_not_begun_is_not_counted_as_crashed(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    let run = forge.start_at("p", 1, at(1));
    for _ in 0..2 {
        forge.die();
    }
    for _ in 0..9 {
        let worker = forge
            .writer
            .register_worker(&entry("x", "h", 1), at(0))
            .unwrap();
        let held = forge.claim_as(worker, at(5)).remove(0);
        // Begun under another claim, or another run.
        let others = [
            (run, Epoch(held.epoch.0 - 1)),
            (RunId(run.0 + 1), held.epoch),
        ];
        forge.writer.note_suspects(worker, &others).unwrap();
        let recovered = forge.writer.declare_dead(worker, None, LIMITS, at(5));
        let recovered = recovered.unwrap().unwrap();
        assert_eq!((recovered.due, recovered.poisoned.len()), (1, 0));
        assert_eq!(forge.row(run).crashes, 2);
    }
}

pub(crate) fn a_death_that_was_none_is_no_crash(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    let (taken, done_before) = (forge.running("taken"), forge.running("done"));
    forge.end(&done_before, done("1"));
    forge
        .writer
        .declare_dead(forge.worker, None, LIMITS, at(5))
        .unwrap();
    assert_eq!(forge.row(taken.id).crashes, 1);
    let held = [known(&taken), known(&done_before)];
    forge.writer.came_back(&held).unwrap();
    assert_eq!(forge.row(taken.id).crashes, 0);
    forge.writer.came_back(&held).unwrap();
    let row = forge.row(taken.id);
    assert_eq!((row.state, row.crashes), (RunState::Idle, 0));
    assert_eq!(forge.row(done_before.id).state, RunState::Completed);
}

pub(crate) fn what_loses_its_pass_again_and_again_goes_into_quarantine(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    let (run, ended) = (forge.running("p"), forge.running("q"));
    forge.end(&ended, done("1"));
    for id in [run.id, ended.id] {
        forge.writer.quarantine(id, 2).unwrap();
        forge.writer.quarantine(id, 2).unwrap();
    }
    let crashes = [run.id, ended.id].map(|id| forge.row(id).crashes);
    assert_eq!(crashes, [2, 0]);
}
