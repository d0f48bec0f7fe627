//! Connections that are lost at the worst moment: whoever calls never learns whether the commit happened, and
//! does the same again.

use super::wire::{Cut, Wire};
use crate::record::*;
use crate::store::conformance::backend::postgres::Schema;
use crate::store::conformance::fixture::*;
use crate::store::postgres::PostgresStore;
use crate::store::*;

/// A world whose other processes have a wire of their own, and a writer at the end of a wire that can be cut.
struct Broken {
    forge: Forge,
    wire: Wire,
    writer: Box<dyn Writer>,
}

impl Broken {
    fn new() -> Self {
        let schema = Schema::new();
        let wire = Wire::to(&schema);
        let options = wire.options(&schema);
        let forge = Forge::of(Box::new(schema));
        let writer = PostgresStore::open(options).unwrap().writer().unwrap();
        Self {
            forge,
            wire,
            writer,
        }
    }

    /// Calls with the wire cut, again as long as the store says that it may help.
    fn call<T>(&mut self, cut: Cut, mut call: impl FnMut(&mut dyn Writer) -> StoreResult<T>) -> T {
        self.wire.cut(cut);
        let answer = loop {
            match call(self.writer.as_mut()) {
                Ok(answer) => break answer,
                Err(error) => assert!(error.is_transient(), "{error}"),
            }
        };
        assert!(self.wire.was_cut(), "no commit came by");
        answer
    }

    /// What the database holds for the worker and nobody knows.
    fn orphans(&mut self, held: &[&ClaimedRun]) -> Vec<(RunId, Epoch)> {
        let held: Vec<(RunId, Epoch)> = held.iter().map(|run| known(run)).collect();
        let beat = self.forge.writer.heartbeat(self.forge.worker, &held, at(3));
        let beat = beat.unwrap();
        assert!(beat.lost.is_empty(), "{beat:?}");
        beat.orphans
    }
}

const CUTS: [Cut; 2] = [Cut::Before, Cut::After];

#[test]
fn a_completion_is_written_once_and_told() {
    skip_without_server!();
    for cut in CUTS {
        let mut world = Broken::new();
        let parent = world.forge.running("p");
        let children = world.forge.branch(&parent, 2);
        world.forge.seal(&parent);
        world.forge.end(&parent, parked(None));
        let complete = |child: &ClaimedRun| Plan {
            records: vec![completed(1, "1")],
            errors: vec![error(Some("step$s1"), 1, "e")],
            end: Some(done("1")),
            ..world.forge.plan(child)
        };
        let plans: Vec<Plan> = children.iter().map(complete).collect();
        let applied = world.call(cut, |writer| writer.apply(&plans, at(10)));
        for outcome in &applied.outcomes {
            assert_eq!(
                outcome.verdict,
                Verdict::Applied { woken: false },
                "{cut:?}"
            );
        }
        assert_eq!(world.forge.counters(parent.id), (2, 0), "{cut:?}");
        let row = world.forge.row(parent.id);
        assert_eq!((row.state, row.wake_at), (RunState::Idle, since(10)));
        for child in &children {
            assert_eq!(world.forge.row(child.id).state, RunState::Completed);
            assert_eq!(world.forge.store.history(child.id, 10).unwrap().len(), 1);
        }
        assert_eq!(world.forge.count("chrono_forge_error_logs"), 2);
    }
}

#[test]
fn a_park_and_a_failure_are_written_once_and_told() {
    skip_without_server!();
    let failed = RunEnd::Failed {
        at: at(3),
        attempts: 1,
        retry_counts: None,
    };
    for (cut, end) in CUTS
        .into_iter()
        .flat_map(|cut| [parked(Some(at(60))), failed.clone()].map(|end| (cut, end)))
    {
        let mut world = Broken::new();
        let run = world.forge.running("p");
        let plan = Plan {
            records: vec![record("wait$w")],
            end: Some(end),
            ..world.forge.plan(&run)
        };
        let plans = [plan];
        let applied = world.call(cut, |writer| writer.apply(&plans, at(10)));
        let verdict = &applied.outcomes[0].verdict;
        assert_eq!(*verdict, Verdict::Applied { woken: false }, "{cut:?}");
        let row = world.forge.row(run.id);
        assert_eq!((row.locked_by, row.epoch.claims()), (None, 1));
        assert!(row.attempts <= 1);
        assert_eq!(world.forge.store.history(run.id, 10).unwrap().len(), 1);
    }
}

/// Whoever takes the run in between has raised its epoch.
#[test]
fn a_park_that_is_sent_again_after_the_next_claim_is_fenced() {
    skip_without_server!();
    let mut world = Broken::new();
    let run = world.forge.running("p");
    let plans = [Plan {
        end: Some(parked(Some(at(2)))),
        ..world.forge.plan(&run)
    }];
    world.wire.cut(Cut::After);
    // The store itself may have sent it again already.
    let _ = world.writer.apply(&plans, at(10));
    let again = world.forge.claim(at(10)).remove(0);
    assert_eq!(again.epoch.claims(), 2);
    let applied = world.writer.apply(&plans, at(11)).unwrap();
    assert_eq!(applied.outcomes[0].verdict, Verdict::Fenced);
    assert_eq!(world.forge.row(run.id).state, RunState::Running);
}

#[test]
fn a_dispatch_is_counted_once_and_every_child_is_known_or_an_orphan() {
    skip_without_server!();
    for cut in CUTS {
        let mut world = Broken::new();
        let parent = world.forge.running("p");
        let plans = [Plan {
            dispatches: vec![dispatch(5, true)],
            ..world.forge.plan(&parent)
        }];
        let mut applied = world.call(cut, |writer| writer.apply(&plans, at(1)));
        let outcome = applied.outcomes.remove(0);
        assert_eq!(outcome.verdict, Verdict::Applied { woken: false });
        assert_eq!(world.forge.counters(parent.id), (5, 5), "{cut:?}");
        let held: Vec<&ClaimedRun> = outcome.claimed.iter().chain([&parent]).collect();
        let orphans = world.orphans(&held);
        assert_eq!(orphans.len() + outcome.claimed.len(), 5, "{cut:?}");
        let released = world.forge.release(&orphans, at(4));
        assert_eq!(released, orphans.len() as u64);
        assert_eq!(world.forge.claim(at(5)).len(), orphans.len());
    }
}

#[test]
fn a_start_is_one_run_that_is_known_or_an_orphan() {
    skip_without_server!();
    for (cut, claims) in CUTS.into_iter().flat_map(|cut| [(cut, true), (cut, false)]) {
        let mut world = Broken::new();
        let claim = claims.then_some(world.forge.worker);
        let starts = [start("p", "flow", 1, claim)];
        world.wire.cut(cut);
        let answers = loop {
            match world.writer.start(&starts, at(1)) {
                Ok(answers) => break answers,
                Err(error) => assert!(error.is_transient(), "{error}"),
            }
        };
        let run = match &answers[0] {
            Started::Inserted(run) | Started::Existing { run, .. } => *run,
            Started::Claimed(run) => run.id,
        };
        assert_eq!(world.forge.count("chrono_forge_workflows"), 1, "{cut:?}");
        let state = world.forge.row(run).state;
        assert_eq!(
            state,
            if claims {
                RunState::Running
            } else {
                RunState::Idle
            }
        );
        let is_known = !claims || matches!(answers[0], Started::Claimed(_));
        if !is_known {
            assert_eq!(world.orphans(&[]), [(run, world.forge.row(run).epoch)]);
        }
    }
}

#[test]
fn claims_are_known_or_orphans() {
    skip_without_server!();
    for cut in CUTS {
        let mut world = Broken::new();
        for nth in 0..6 {
            world.forge.start_at(&format!("p{nth}"), 1, at(1));
        }
        let worker = world.forge.worker;
        let rooms = [room(4)];
        let workflows = names(&["flow"]);
        world.wire.cut(cut);
        let claims = loop {
            let request = ClaimRequest {
                worker,
                now: at(2),
                queues: &rooms,
                workflows: &workflows,
                lowest_first: false,
                quarantine_slot: true,
                quarantine_from: LIMITS.quarantine_from,
                company: Suspects::none(LIMITS),
            };
            match world.writer.claim_due(&request) {
                Ok(claims) => break claims,
                Err(error) => assert!(error.is_transient(), "{error}"),
            }
        };
        let held: Vec<&ClaimedRun> = claims.runs.iter().collect();
        let orphans = world.orphans(&held);
        let running = world.forge.count("chrono_forge_workflows WHERE state = 1");
        assert_eq!(running, (held.len() + orphans.len()) as u64, "{cut:?}");
        let dead = world.forge.writer.declare_dead(worker, None, LIMITS, at(3));
        assert_eq!(dead.unwrap().unwrap().due, running, "{cut:?}");
    }
}

/// What a second call answers otherwise than its first is not called twice, or says what it found.
#[test]
fn what_operators_do_is_done_once() {
    skip_without_server!();
    for cut in CUTS {
        let mut world = Broken::new();
        let (held, failed) = (world.forge.running("held"), world.forge.running("failed"));
        let end = RunEnd::Failed {
            at: at(3),
            attempts: 1,
            retry_counts: None,
        };
        world.forge.end(&failed, end);
        world.call(cut, |writer| writer.unlock("flow", "held", at(20)));
        let row = world.forge.row(held.id);
        assert_eq!(
            (row.state, row.epoch.claims()),
            (RunState::Idle, 2),
            "{cut:?}"
        );
        world.call(cut, |writer| writer.retry("flow", "failed", None, at(20)));
        let row = world.forge.row(failed.id);
        assert_eq!((row.state, row.wake_at), (RunState::Idle, since(20)));
        assert_eq!(world.forge.count("chrono_forge_blocked"), 0);
        let worker = world.forge.worker;
        let dead = world.call(cut, |writer| {
            writer.declare_dead(worker, None, LIMITS, at(30))
        });
        assert!(cut == Cut::After || dead.is_some());
        assert!(world.forge.store.live_workers().unwrap().is_empty());
    }
}

/// A statement that was sent, cut off from its answer and sent again may be executed a second time, by whoever kept it
/// meanwhile, when its run has gone on.
#[test]
fn a_commit_that_comes_late_takes_nothing_back() {
    skip_without_server!();
    let mut forge = Broken::new().forge;
    let run = forge.running("p");
    let attempt = Plan {
        records: vec![record("step$n")],
        ..forge.plan(&run)
    };
    forge.apply(&attempt);
    let decided = Plan {
        records: vec![Record {
            step_name: "step$n".into(),
            ..completed(1, "1")
        }],
        ..forge.plan(&run)
    };
    forge.apply(&decided);
    forge.apply(&attempt);
    // The same in a batch that is no brief one.
    let batch: Vec<Plan> = std::iter::once(attempt)
        .chain((0..8).map(|nth| {
            let other = forge.running(&format!("q{nth}"));
            forge.plan(&other)
        }))
        .collect();
    forge.writer.apply(&batch, at(10)).unwrap();
    let rows = forge.lines("state || ' ' || result", "chrono_forge_execution_logs");
    assert_eq!(rows, ["1 1"]);
}

#[test]
fn a_connection_that_was_cut_between_two_calls_is_opened_anew() {
    skip_without_server!();
    let schema = Schema::new();
    let mut forge = Forge::of(Box::new(schema));
    let run = forge.start_at("p", 1, at(1));
    for round in 0..3 {
        assert!(forge.count(&backends_of(&forge)) >= 1);
        forge.start_at(&format!("q{round}"), 1, at(1));
        assert_eq!(forge.row(run).state, RunState::Idle);
    }
    assert_eq!(forge.claim(at(2)).len(), 4);
}

/// Ends the server's processes of the store, not the test's own; a table expression.
fn backends_of(forge: &Forge) -> String {
    let name = &forge.lines("current_schema()", "(SELECT 1) AS one")[0];
    format!(
        "(SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE application_name = '{name}' AND pid <> pg_backend_pid()) AS ended"
    )
}
