//! Recovery by hand against everything else that may happen at the same moment: whatever the order, the
//! rows are those of one after the other.

pub(crate) mod deadlocks;
pub(crate) mod last_gifts;

use std::sync::Barrier;

use super::backend::Backend;
use super::contention::ear::without_deadlocks;
use super::fixture::*;
use crate::record::*;
use crate::store::*;

/// Races of each pair.
const ROUNDS: i64 = 25;

/// A state, and two calls that meet: each on a connection and a thread of its own.
fn race<S: Sync, A: Send, B: Send>(
    on: &dyn Backend,
    prepare: impl Fn(&mut Forge, &str) -> S,
    one: impl Fn(&mut dyn Writer, &S, WorkerId) -> A + Sync,
    other: impl Fn(&mut dyn Writer, &S, WorkerId) -> B + Sync,
    judge: impl Fn(&mut Forge, &S, A, B),
) {
    let mut forge = Forge::on(on);
    let mut second = forge.other_writer();
    for round in 0..ROUNDS {
        let key = format!("p{round}");
        let state = prepare(&mut forge, &key);
        let worker = forge.worker;
        let barrier = Barrier::new(2);
        let begin = |late: bool| {
            barrier.wait();
            // Which of them is first should not depend on the machine alone.
            for _ in 0..if late { round * 500 } else { 0 } {
                std::hint::spin_loop();
            }
        };
        let (one, other) = std::thread::scope(|scope| {
            let (state, second) = (&state, &mut second);
            let (begin, other) = (&begin, &other);
            let other = scope.spawn(move || {
                begin(round % 2 == 0);
                without_deadlocks(|| other(second.as_mut(), state, worker))
            });
            begin(round % 2 == 1);
            let one = without_deadlocks(|| one(forge.writer.as_mut(), state, worker));
            (one, other.join().unwrap())
        });
        judge(&mut forge, &state, one, other);
    }
}

fn gave_up() -> Record {
    Record {
        state: RecordState::Failed,
        seq: Some(1),
        attempts: 3,
        ..record("step$a")
    }
}

fn plan_of(run: &ClaimedRun, worker: WorkerId, end: RunEnd) -> Plan {
    let fence = Fence {
        run: run.id,
        worker,
        epoch: run.epoch,
    };
    Plan {
        records: vec![gave_up()],
        end: Some(end),
        ..Plan::new(fence, run.parent)
    }
}

fn stalled_end() -> RunEnd {
    RunEnd::Stalled {
        attempts: None,
        step_name: "step$a".into(),
        at: at(4),
    }
}

fn stalled(forge: &mut Forge, key: &str) -> ClaimedRun {
    let run = forge.running(key);
    let plan = plan_of(&run, forge.worker, stalled_end());
    forge.apply(&plan);
    run
}

fn retry(writer: &mut dyn Writer, run: &ClaimedRun, _: WorkerId) -> Rearmed {
    let answer = writer.retry("flow", &run.key, None, at(20));
    answer.unwrap().unwrap()
}

fn is_done(answer: &Rearmed) -> bool {
    matches!(answer, Rearmed::Done { records, .. } if records == &["step$a"])
}

/// The run is due, once, with its step re-armed; it completes.
fn goes_on(forge: &mut Forge, run: &ClaimedRun) {
    let row = forge.row(run.id);
    assert_eq!(
        (row.state, arrived(row.wake_at)),
        (RunState::Idle, Some(at(20)))
    );
    assert_eq!((row.epoch.claims(), row.stalled_by), (1, None));
    let history = forge.store.history(run.id, 0).unwrap();
    assert_eq!(
        (history[0].state, history[0].seq),
        (RecordState::Pending, None)
    );
    let again = forge.claim(at(20));
    assert_eq!(again.len(), 1);
    assert_eq!((again[0].id, again[0].epoch.claims()), (run.id, 2));
    forge.end(&again[0], done("1"));
    assert_eq!(forge.row(run.id).state, RunState::Completed);
}

pub(crate) fn of_two_retries_one_wins(on: &dyn Backend) {
    race(on, stalled, retry, retry, |forge, run, one, other| {
        assert_ne!(is_done(&one), is_done(&other), "{one:?} {other:?}");
        let idle = Rearmed::NotRetryable(RunState::Idle);
        assert!(one == idle || other == idle);
        goes_on(forge, run);
    });
}

pub(crate) fn a_retry_and_a_wake_up_make_the_run_due_once(on: &dyn Backend) {
    let wake = |writer: &mut dyn Writer, run: &ClaimedRun, _: WorkerId| {
        let woken = writer.wake("flow", &run.key, at(20)).unwrap();
        woken.unwrap().state
    };
    race(on, stalled, retry, wake, |forge, run, retried, found| {
        assert!(is_done(&retried), "{retried:?}");
        assert!(matches!(found, RunState::Stalled | RunState::Idle));
        goes_on(forge, run);
    });
}

pub(crate) fn a_retry_meets_the_commit_of_the_stall(on: &dyn Backend) {
    let stall = |writer: &mut dyn Writer, run: &ClaimedRun, worker| {
        let plan = plan_of(run, worker, stalled_end());
        writer.apply(&[plan], at(4)).unwrap().outcomes[0]
            .verdict
            .clone()
    };
    let running = |forge: &mut Forge, key: &str| forge.running(key);
    race(on, running, retry, stall, |forge, run, retried, verdict| {
        assert_eq!(verdict, Verdict::Applied { woken: false });
        if !is_done(&retried) {
            assert_eq!(retried, Rearmed::NotRetryable(RunState::Running));
            assert_eq!(forge.row(run.id).state, RunState::Stalled);
            assert!(is_done(&retry(forge.writer.as_mut(), run, forge.worker)));
        }
        goes_on(forge, run);
    });
}

fn unlock(writer: &mut dyn Writer, run: &ClaimedRun, _: WorkerId) -> RunState {
    let found = writer.unlock("flow", &run.key, at(20)).unwrap();
    found.unwrap().state
}

pub(crate) fn an_unlock_and_the_completion_of_the_pass_exclude_each_other(on: &dyn Backend) {
    let complete = |writer: &mut dyn Writer, run: &ClaimedRun, worker| {
        let plan = plan_of(run, worker, done("1"));
        writer.apply(&[plan], at(10)).unwrap().outcomes[0]
            .verdict
            .clone()
    };
    let running = |forge: &mut Forge, key: &str| forge.running(key);
    race(
        on,
        running,
        unlock,
        complete,
        |forge, run, found, verdict| {
            let row = forge.row(run.id);
            let records = forge.store.history(run.id, 0).unwrap();
            if found == RunState::Running {
                assert_eq!((row.state, verdict), (RunState::Idle, Verdict::Fenced));
                assert_eq!((row.epoch.claims(), records.len()), (2, 0));
                let again = forge.claim(at(20)).remove(0);
                forge.end(&again, done("2"));
            } else {
                assert_eq!(
                    (row.state, found),
                    (RunState::Completed, RunState::Completed)
                );
                assert_eq!((row.epoch.claims(), records.len()), (1, 1));
            }
        },
    );
}

pub(crate) fn a_heartbeat_tells_of_an_unlock_at_the_latest_the_next_time(on: &dyn Backend) {
    let beat = |writer: &mut dyn Writer, run: &ClaimedRun, worker| {
        let beat = writer.heartbeat(worker, &[known(run)], at(10)).unwrap();
        assert_eq!((beat.worker_dead, beat.orphans.len()), (false, 0));
        beat.lost
    };
    let running = |forge: &mut Forge, key: &str| forge.running(key);
    race(on, running, unlock, beat, |forge, run, found, lost| {
        assert_eq!(found, RunState::Running);
        if lost.is_empty() {
            let worker = forge.worker;
            assert_eq!(beat(forge.writer.as_mut(), run, worker), [known(run)]);
        }
        let row = forge.row(run.id);
        assert_eq!((row.state, row.epoch.claims()), (RunState::Idle, 2));
        let again = forge.claim(at(20)).remove(0);
        forge.end(&again, done("1"));
    });
}

pub(crate) fn a_reset_comes_before_or_after_a_death(on: &dyn Backend) {
    let reset = |writer: &mut dyn Writer, run: &ClaimedRun, _: WorkerId| {
        let found = writer.reset_crashes("flow", &run.key, at(20)).unwrap();
        found.unwrap().state
    };
    let held = |forge: &mut Forge, key: &str| {
        forge.start_at(key, 1, at(1));
        let worker = forge
            .writer
            .register_worker(&entry("x", "h", 1), at(0))
            .unwrap();
        forge.claim_as(worker, at(5));
        // The next worker's death is the one that races.
        forge
            .writer
            .declare_dead(worker, None, LIMITS, at(5))
            .unwrap();
        forge.worker = forge
            .writer
            .register_worker(&entry("y", "h", 1), at(0))
            .unwrap();
        forge.claim(at(5)).remove(0)
    };
    let die = |writer: &mut dyn Writer, _: &ClaimedRun, worker| {
        let dead = writer.declare_dead(worker, None, LIMITS, at(6)).unwrap();
        dead.unwrap()
    };
    race(on, held, reset, die, |forge, run, found, recovered| {
        assert_eq!((recovered.due, recovered.poisoned.len()), (1, 0));
        let expected = if found == RunState::Running { 1 } else { 0 };
        assert_eq!(forge.row(run.id).crashes, expected, "{found:?}");
        forge.worker = forge
            .writer
            .register_worker(&entry("z", "h", 1), at(0))
            .unwrap();
        let again = forge.claim(at(20)).remove(0);
        forge.end(&again, done("1"));
    });
}

pub(crate) fn a_run_is_retried_by_the_walk_or_by_its_key(on: &dyn Backend) {
    let all = |writer: &mut dyn Writer, _: &ClaimedRun, _: WorkerId| {
        let page = BlockedPage {
            branch: None,
            filter: &RetryFilter::new(),
            after: RunId(0),
            until: at(4),
            limit: 10,
        };
        writer.retry_blocked(&page, at(20)).unwrap()
    };
    race(on, stalled, all, retry, |forge, run, walked, retried| {
        assert_eq!(walked.retried, u64::from(!is_done(&retried)));
        if walked.retried == 0 {
            // It left the list before the page was read, or after.
            assert!(walked.last.is_none() || walked.last == Some(run.id));
        } else {
            assert_eq!(retried, Rearmed::NotRetryable(RunState::Idle));
        }
        goes_on(forge, run);
    });
}
