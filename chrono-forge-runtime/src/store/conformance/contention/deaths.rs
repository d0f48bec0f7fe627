//! Declarations of death against commits, claims and heartbeats of the same worker.

use super::*;
use crate::store::conformance::backend::Backend;

/// Nobody is poisoned here.
const PATIENT: CrashLimits = CrashLimits {
    quarantine_from: u32::MAX,
    poison_at: 1,
};

pub(crate) fn workers_declared_dead_at_work_lose_their_runs_and_no_commit(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    let mut random = fastrand::Rng::with_seed(21);
    let mut deaths = 0;
    play(&mut forge, FAMILIES, |store, writer| {
        let workers = insist(|| store.live_workers());
        // Each takes a process its work; without a bound nobody would get to an end.
        if let Some(worker) = random.choice(&workers).filter(|_| deaths < 60) {
            let dead = insist(|| writer.declare_dead(worker.id, None, PATIENT, at(50)));
            deaths += u32::from(dead.is_some_and(|dead| dead.due > 0));
        }
        std::thread::yield_now();
    });
}

/// Of two that find a worker dead one declares it, and its runs count one crash.
pub(crate) fn a_worker_dies_once(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    for round in 0..20_u32 {
        let runs: Vec<ClaimedRun> = (0..5)
            .map(|n| forge.running(&format!("p{round}.{n}")))
            .collect();
        let worker = forge.worker;
        let declare =
            |writer: &mut dyn Writer| insist(|| writer.declare_dead(worker, None, LIMITS, at(5)));
        let mut other = forge.other_writer();
        let (one, other) = std::thread::scope(|scope| {
            let other = scope.spawn(|| declare(other.as_mut()));
            (declare(forge.writer.as_mut()), other.join().unwrap())
        });
        let due: Vec<u64> = [one, other]
            .into_iter()
            .flatten()
            .map(|it| it.due)
            .collect();
        assert_eq!(due, [5], "round {round}");
        for run in runs {
            let row = forge.row(run.id);
            assert_eq!((row.crashes, row.epoch.claims()), (1, 2));
        }
        forge.worker = enter(forge.writer.as_mut()).unwrap();
    }
}
