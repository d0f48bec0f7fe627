//! What hangs, and what was taken for a killer.

use super::*;
use crate::store::Found;
use crate::store::conformance::backend::Backend;

pub(crate) fn an_unlocked_run_is_due_and_its_holder_fenced(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    let run = forge.running("p");
    let found = forge.writer.unlock("flow", "p", at(20)).unwrap().unwrap();
    assert_eq!((found.run, found.state), (run.id, RunState::Running));
    let row = forge.row(run.id);
    assert_eq!((row.state, row.wake_at), (RunState::Idle, since(20)));
    assert_eq!(
        (row.epoch.claims(), row.crashes, row.locked_by),
        (2, 0, None)
    );
    let beat = forge
        .writer
        .heartbeat(forge.worker, &[known(&run)], at(21))
        .unwrap();
    assert_eq!((beat.lost, beat.orphans.len()), (vec![known(&run)], 0));
    let late = forge.end(&run, done("1"));
    assert_eq!(late.outcomes[0].verdict, Verdict::Fenced);
    let again = forge.claim(at(20)).remove(0);
    assert_eq!(again.epoch.claims(), 3);
    let late = forge.end(&run, done("1"));
    assert_eq!(
        late.outcomes[0].verdict,
        Verdict::Fenced,
        "its worker holds it again"
    );
    forge.end(&again, done("1"));
}

pub(crate) fn what_nobody_holds_cannot_be_unlocked(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    let idle = forge.start_at("idle", 1, at(1));
    let stalled = forge.ended("stalled", Vec::new(), stalled("step$a"));
    for (key, run, state) in [
        ("idle", idle, RunState::Idle),
        ("stalled", stalled, RunState::Stalled),
    ] {
        let found = forge.writer.unlock("flow", key, at(20)).unwrap();
        let epoch = forge.row(run).epoch;
        assert_eq!(found, Some(Found { run, epoch, state }));
        assert_ne!(forge.row(run).wake_at, since(20));
    }
    assert!(
        forge
            .writer
            .unlock("flow", "none", at(4))
            .unwrap()
            .is_none()
    );
}

pub(crate) fn crashes_are_forgotten_of_runs_that_go_on(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    let (idle, running) = (forge.start_at("idle", 1, at(1)), forge.running("running"));
    let over = forge.ended("over", Vec::new(), failed(1));
    let crashes = "UPDATE chrono_forge_workflows SET crashes = 3";
    assert_eq!(forge.database.execute(crashes), 3);
    for (key, run, left) in [
        ("idle", idle, 0),
        ("running", running.id, 0),
        ("over", over, 3),
    ] {
        let found = forge
            .writer
            .reset_crashes("flow", key, at(20))
            .unwrap()
            .unwrap();
        assert_eq!((found.run, forge.row(run).crashes), (run, left), "{key}");
    }
    assert!(
        forge
            .writer
            .reset_crashes("flow", "none", at(4))
            .unwrap()
            .is_none()
    );
}

pub(crate) fn pending_records_come_by_name_with_their_newest_error(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    let run = forge.running("p");
    let executing = Record {
        attempts: 1,
        last_executed_at: Some(at(5)),
        metadata: Some(r#"{"executing":true}"#.into()),
        ..record("step$b")
    };
    let error = |attempt, message: &str| ErrorRow {
        step_name: Some("step$b".into()),
        attempt,
        class: "E".into(),
        message: message.into(),
        backtrace: None,
        context: None,
        at: at(4),
    };
    let plan = Plan {
        records: vec![
            executing,
            completed(1, "1"),
            record("merge$a"),
            record("wait$c"),
        ],
        errors: vec![error(2, "second"), error(1, "first")],
        ..forge.plan(&run)
    };
    forge.apply(&plan);
    let rows = forge.store.pending(run.id, 10).unwrap();
    let names: Vec<_> = rows.iter().map(|row| &*row.step_name).collect();
    assert_eq!(names, ["merge$a", "step$b", "wait$c"]);
    assert_eq!(rows[1].last_error, Some(("E".into(), "second".into())));
    assert_eq!(rows[1].last_executed_at, Some(at(5)));
    assert!(rows.iter().all(|row| row.is_held) && rows[0].last_error.is_none());
    assert_eq!(forge.store.pending(run.id, 2).unwrap().len(), 2);
    forge.end(&run, parked(None));
    assert!(!forge.store.pending(run.id, 10).unwrap()[1].is_held);
    assert!(forge.store.pending(RunId(99), 10).unwrap().is_empty());
}

pub(crate) fn a_poisoned_run_is_claimed_like_any_other_after_its_retry(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    let run = forge.start_at("p", 1, at(1));
    for _ in 0..7 {
        forge.die();
    }
    let (_, message) = forge.row(run).last_error.unwrap();
    assert!(message.contains("forge.retry"), "{message}");
    assert_eq!(forge.rearmed("p", None), [""; 0]);
    let again = forge.claim(at(20)).remove(0);
    assert_eq!((again.crashes, again.attempts), (0, 1));
    let worker = forge.worker;
    let dead = forge.writer.declare_dead(worker, None, LIMITS, at(21));
    assert_eq!(dead.unwrap().unwrap().poisoned, []);
}
