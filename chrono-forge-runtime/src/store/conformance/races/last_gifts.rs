//! What a worker is given at the moment of its death, or of its heartbeat: it is recovered with the rest, or was
//! not given.

use super::*;

/// A run that its worker holds; the worker is one of its own round.
fn held(forge: &mut Forge, key: &str) -> ClaimedRun {
    forge.worker = enter(forge.writer.as_mut()).unwrap();
    forge.running(key)
}

fn die(writer: &mut dyn Writer, _: &ClaimedRun, worker: WorkerId) -> u64 {
    let dead = writer.declare_dead(worker, None, LIMITS, at(5)).unwrap();
    dead.unwrap().due
}

/// Nothing is held by the dead, and what is due can be taken.
fn nothing_is_left_behind(forge: &mut Forge) {
    assert_eq!(forge.count("chrono_forge_workflows WHERE state = 1"), 0);
    let dead = forge.worker;
    let claims = format!("chrono_forge_claims WHERE worker_id = {dead}");
    assert_eq!(forge.count(&claims), 0);
    forge.worker = enter(forge.writer.as_mut()).unwrap();
    for run in forge.claim(at(20)) {
        forge.end(&run, done("1"));
    }
}

pub(crate) fn children_claimed_at_the_death_of_their_worker(on: &dyn Backend) {
    let spawn = |writer: &mut dyn Writer, run: &ClaimedRun, worker| {
        let fence = Fence {
            run: run.id,
            worker,
            epoch: run.epoch,
        };
        let plan = Plan {
            dispatches: vec![family(&run.key, 60, true)],
            ..Plan::new(fence, None)
        };
        writer.apply(&[plan], at(5)).unwrap().outcomes.remove(0)
    };
    race(on, held, spawn, die, |forge, _, outcome, due| {
        let children = match outcome.verdict {
            Verdict::Fenced => 0,
            _ => 60,
        };
        assert_eq!(
            (outcome.claimed.len(), due),
            (children, 1 + children as u64)
        );
        nothing_is_left_behind(forge);
    });
}

pub(crate) fn runs_claimed_at_the_death_of_their_worker(on: &dyn Backend) {
    let prepare = |forge: &mut Forge, key: &str| {
        for nth in 0..20 {
            forge.start_at(&format!("{key}.{nth}"), 1, at(5));
        }
        held(forge, key)
    };
    let claim = |writer: &mut dyn Writer, _: &ClaimedRun, worker| {
        let request = ClaimRequest {
            worker,
            now: at(5),
            queues: &[room(100)],
            workflows: &names(&["flow"]),
            lowest_first: false,
            quarantine_slot: true,
            quarantine_from: LIMITS.quarantine_from,
            company: Suspects::none(CrashLimits {
                quarantine_from: 2,
                poison_at: 5,
            }),
        };
        writer.claim_due(&request).unwrap()
    };
    race(on, prepare, claim, die, |forge, _, claims, due| {
        assert_eq!(claims.worker_dead, claims.runs.is_empty());
        assert_eq!(due, 1 + claims.runs.len() as u64);
        nothing_is_left_behind(forge);
    });
}

pub(crate) fn runs_started_at_the_death_of_their_worker(on: &dyn Backend) {
    let begin = |writer: &mut dyn Writer, run: &ClaimedRun, worker| {
        let one = |nth| start(&format!("{}.{nth}", run.key), "flow", 1, Some(worker));
        let starts: Vec<Start> = (0..20).map(one).collect();
        let answers = writer.start(&starts, at(5)).unwrap();
        let claimed = answers
            .iter()
            .filter(|it| matches!(it, Started::Claimed(_)));
        claimed.count()
    };
    race(on, held, begin, die, |forge, _, claimed, due| {
        assert_eq!(due, 1 + claimed as u64);
        nothing_is_left_behind(forge);
    });
}

/// A heartbeat tidies the list of what its worker holds, and must not tidy away what is entered meanwhile.
pub(crate) fn a_heartbeat_keeps_what_is_claimed_beside_it(on: &dyn Backend) {
    let prepare = |forge: &mut Forge, key: &str| {
        let run = held(forge, key);
        for nth in 0..3 {
            let over = forge.running(&format!("{key}.{nth}"));
            forge.end(&over, done("1"));
            forge.start_at(&format!("{key}!{nth}"), 1, at(5));
        }
        run
    };
    let claim = |writer: &mut dyn Writer, run: &ClaimedRun, worker| {
        let request = ClaimRequest {
            worker,
            now: at(5),
            queues: &[room(2)],
            workflows: &names(&["flow"]),
            lowest_first: false,
            quarantine_slot: true,
            quarantine_from: LIMITS.quarantine_from,
            company: Suspects::none(CrashLimits {
                quarantine_from: 2,
                poison_at: 5,
            }),
        };
        let direct = start(&format!("{}?", run.key), "flow", 1, Some(worker));
        let claimed = writer.claim_due(&request).unwrap().runs.len();
        writer.start(&[direct], at(5)).unwrap();
        claimed as u64 + 1
    };
    let beat = |writer: &mut dyn Writer, run: &ClaimedRun, worker| {
        let beat = writer.heartbeat(worker, &[known(run)], at(5)).unwrap();
        assert!(!beat.worker_dead && beat.lost.is_empty(), "{beat:?}");
    };
    race(on, prepare, claim, beat, |forge, run, claimed, ()| {
        assert_eq!(die(forge.writer.as_mut(), run, forge.worker), 1 + claimed);
        nothing_is_left_behind(forge);
    });
}
