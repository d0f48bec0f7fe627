//! `Writer::apply`: fences, records, errors and ends.

use super::backend::Backend;
use super::fixture::*;
use crate::record::*;

pub(crate) fn a_plan_applied_twice_equals_once(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    let run = forge.running("p");
    let plan = Plan {
        records: vec![completed(1, "1"), record("wait$w")],
        errors: vec![error(Some("step$s1"), 1, "first")],
        context: written("c", "1"),
        progress: true,
        ..forge.plan(&run)
    };
    forge.apply(&plan);
    let once = forge.store.history(run.id, 1_000).unwrap();
    forge.apply(&plan);
    let twice = forge.store.history(run.id, 1_000).unwrap();
    assert_eq!(format!("{once:?}"), format!("{twice:?}"));
    assert_eq!(once.len(), 2);
    let context = forge.store.context(run.id).unwrap().unwrap();
    assert_eq!(&*context, r#"{"c":1}"#);
}

pub(crate) fn a_plan_under_an_old_epoch_or_another_worker_writes_nothing(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    let (lost, kept) = (forge.running("lost"), forge.running("kept"));
    let other = forge
        .writer
        .register_worker(&entry("x", "host", 2), at(0))
        .unwrap();
    for fence in [
        Fence {
            epoch: Epoch(2),
            ..forge.plan(&lost).fence
        },
        // As many claims, but not this one.
        Fence {
            epoch: Epoch(lost.epoch.0 ^ 1),
            ..forge.plan(&lost).fence
        },
        Fence {
            worker: other,
            ..forge.plan(&lost).fence
        },
        Fence {
            run: RunId(999),
            ..forge.plan(&lost).fence
        },
    ] {
        let write = |plan: Plan| Plan {
            records: vec![completed(1, "1")],
            errors: vec![error(None, 1, "e")],
            dispatches: vec![dispatch(1, true)],
            context: written("c", "2"),
            end: Some(RunEnd::Failed {
                at: at(3),
                attempts: 1,
                retry_counts: None,
            }),
            ..plan
        };
        let plans = [
            write(Plan::new(fence, None)),
            Plan {
                records: vec![completed(1, "1")],
                ..forge.plan(&kept)
            },
        ];
        let applied = forge.writer.apply(&plans, at(3)).unwrap();
        assert_eq!(applied.outcomes[0].verdict, Verdict::Fenced);
        assert_eq!(
            applied.outcomes[1].verdict,
            Verdict::Applied { woken: false }
        );
    }
    assert_eq!(forge.row(lost.id).state, RunState::Running);
    assert!(forge.store.history(lost.id, 10).unwrap().is_empty());
    assert!(forge.store.find_run("child", "p$b$s$0").unwrap().is_none());
    assert_eq!(forge.store.history(kept.id, 10).unwrap().len(), 1);
}

pub(crate) fn of_two_plans_of_a_run_the_one_under_the_old_epoch_is_turned_away(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    let old = forge.running("p");
    forge.writer.unlock("flow", "p", at(1)).unwrap();
    let new = forge.claim(at(2)).remove(0);
    let write = |run: &ClaimedRun, name: &str| Plan {
        records: vec![record(name)],
        ..forge.plan(run)
    };
    let [stale, live] = [write(&old, "step$old"), write(&new, "step$new")];
    // A stale plan may come second: the new pass was urgent, the old one no more.
    for (plans, place) in [([&stale, &live], 1), ([&live, &stale], 0)] {
        let plans = plans.map(Plan::clone);
        let applied = forge.writer.apply(&plans, at(3)).unwrap();
        let verdicts = applied.outcomes.iter().map(|outcome| &outcome.verdict);
        let applied: Vec<bool> = verdicts.map(|it| *it != Verdict::Fenced).collect();
        assert_eq!(applied, [place == 0, place == 1]);
    }
    let rows = forge.store.history(old.id, 10).unwrap();
    let names: Vec<&str> = rows.iter().map(|row| &*row.step_name).collect();
    assert_eq!(names, ["step$new"]);
}

pub(crate) fn a_pass_writes_nothing_after_its_end(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    let run = forge.running("p");
    forge.end(&run, done("1"));
    let again = forge.end(
        &run,
        RunEnd::Failed {
            at: at(4),
            attempts: 1,
            retry_counts: None,
        },
    );
    assert!(changes_nothing(&again.outcomes[0].verdict), "{again:?}");
    assert_eq!(forge.row(run.id).state, RunState::Completed);
    assert_eq!(forge.count("chrono_forge_blocked"), 0);
}

pub(crate) fn an_upsert_replaces_a_record_but_for_its_first_instant(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    let run = forge.running("p");
    let first = Plan {
        records: vec![record("step$s1")],
        ..forge.plan(&run)
    };
    forge.apply(&first);
    let later = Record {
        started_at: Some(at(9)),
        ..completed(1, "7")
    };
    let second = Plan {
        records: vec![later],
        ..forge.plan(&run)
    };
    forge.apply(&second);
    let history = forge.store.history(run.id, 10).unwrap();
    assert_eq!(history.len(), 1);
    assert_eq!(history[0].state, RecordState::Completed);
    assert_eq!(history[0].result.as_deref(), Some("7"));
    assert_eq!(history[0].started_at, Some(at(1)));
    assert_eq!(history[0].seq, Some(1));
}

/// Neither by a plan that comes late nor by one that knows no better.
pub(crate) fn no_plan_makes_a_decided_record_pending_again(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    let run = forge.running("p");
    let failed = Record {
        state: RecordState::Failed,
        error_message: Some("no".to_owned()),
        ..completed(2, "8")
    };
    let failed = Record {
        step_name: "step$s2".into(),
        ..failed
    };
    let decided = Plan {
        records: vec![completed(1, "7"), failed],
        ..forge.plan(&run)
    };
    forge.apply(&decided);
    let before = format!("{:?}", forge.store.history(run.id, 10).unwrap());
    let started = Record {
        metadata: Some(r#"{"executing":true}"#.into()),
        ..record("step$s1")
    };
    for late in [record("step$s1"), started, record("step$s2")] {
        let withdrawal = Withdrawal {
            step_name: late.step_name.clone(),
        };
        let late = Plan {
            records: vec![late],
            withdrawals: vec![withdrawal],
            ..forge.plan(&run)
        };
        forge.apply(&late);
    }
    let after = format!("{:?}", forge.store.history(run.id, 10).unwrap());
    assert_eq!(after, before);
}

pub(crate) fn the_last_upsert_of_a_name_in_a_plan_wins(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    let run = forge.running("p");
    let plan = Plan {
        records: vec![record("step$s1"), completed(1, "7")],
        ..forge.plan(&run)
    };
    forge.apply(&plan);
    let history = forge.store.history(run.id, 10).unwrap();
    assert_eq!(history.len(), 1);
    assert_eq!(history[0].state, RecordState::Completed);
}

/// Its reply was lost; beside it the batch has another first plan, and one that is none.
pub(crate) fn a_first_plan_that_is_written_already_is_written_again(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    let runs = ["p", "q", "r"].map(|key| forge.running(key));
    let plan = |forge: &Forge, nth: usize, is_first| Plan {
        is_first,
        records: vec![completed(1, &nth.to_string())],
        // More than the records, so that the batch takes the long way.
        context: written("c", "2"),
        ..forge.plan(&runs[nth])
    };
    forge.apply(&plan(&forge, 0, true));
    let batch = [
        plan(&forge, 0, true),
        plan(&forge, 1, true),
        plan(&forge, 2, false),
    ];
    let applied = forge.writer.apply(&batch, at(10)).unwrap();
    for outcome in applied.outcomes {
        assert_eq!(outcome.verdict, Verdict::Applied { woken: false });
    }
    for (nth, run) in runs.iter().enumerate() {
        let history = forge.store.history(run.id, 10).unwrap();
        assert_eq!(history.len(), 1);
        assert_eq!(history[0].result.as_deref(), Some(&*nth.to_string()));
    }
}

pub(crate) fn a_withdrawal_deletes_a_pending_record_only(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    let run = forge.running("p");
    let records = vec![record("wait$w"), completed(1, "7")];
    let first = Plan {
        records,
        ..forge.plan(&run)
    };
    forge.apply(&first);
    let withdraw = |name: &str| Withdrawal {
        step_name: name.into(),
    };
    let withdrawals = vec![
        withdraw("wait$w"),
        withdraw("step$s1"),
        withdraw("step$none"),
    ];
    let second = Plan {
        withdrawals,
        ..forge.plan(&run)
    };
    forge.apply(&second);
    let history = forge.store.history(run.id, 10).unwrap();
    assert_eq!(history.len(), 1);
    assert_eq!(history[0].step_name, "step$s1");
}

pub(crate) fn the_first_error_of_an_attempt_stays(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    let run = forge.running("p");
    let errors = vec![error(None, 1, "first"), error(None, 1, "second")];
    let plan = Plan {
        errors,
        end: Some(RunEnd::Failed {
            at: at(3),
            attempts: 1,
            retry_counts: None,
        }),
        ..forge.plan(&run)
    };
    forge.apply(&plan);
    let row = forge.row(run.id);
    assert_eq!(row.last_error, Some(("Broken".into(), "first".into())));
    assert_eq!((row.state, row.attempts), (RunState::Failed, 1));
    assert_eq!(
        (row.locked_by, row.wake_at, row.completed_at),
        (None, None, None)
    );
}

pub(crate) fn a_completed_run_keeps_its_output(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    let run = forge.running("p");
    forge.end(
        &run,
        done(r#"{"n":340282366920938463463374607431768211455}"#),
    );
    let row = forge.row(run.id);
    assert_eq!(row.state, RunState::Completed);
    assert_eq!(
        row.output.as_deref(),
        Some(r#"{"n":340282366920938463463374607431768211455}"#)
    );
    assert_eq!((row.completed_at, row.locked_by), (Some(at(10)), None));
}

pub(crate) fn a_stalled_run_names_its_step_and_a_retrying_one_keeps_its_budget(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    let (stalled, retrying) = (forge.running("a"), forge.running("b"));
    forge.end(
        &stalled,
        RunEnd::Stalled {
            attempts: None,
            step_name: "step$s".into(),
            at: at(3),
        },
    );
    let row = forge.row(stalled.id);
    assert_eq!(
        (row.state, row.stalled_by.as_deref()),
        (RunState::Stalled, Some("step$s"))
    );
    let retry_counts: Json = r#"{"0":1}"#.into();
    forge.end(
        &retrying,
        RunEnd::Retrying {
            wake_at: at(60).into(),
            attempts: 3,
            retry_counts,
        },
    );
    let row = forge.row(retrying.id);
    assert_eq!(
        (row.state, row.wake_at),
        (RunState::Idle, Some(Due::At(at(60))))
    );
    assert_eq!((row.attempts, &*row.retry_counts), (3, r#"{"0":1}"#));
    let again = forge.claim(at(60)).remove(0);
    assert_eq!((again.attempts, &*again.retry_counts), (3, r#"{"0":1}"#));
    let progress = Plan {
        progress: true,
        ..forge.plan(&again)
    };
    forge.apply(&progress);
    let row = forge.row(retrying.id);
    assert_eq!(
        (row.attempts, &*row.retry_counts, row.crashes),
        (3, "{}", 0)
    );
}

pub(crate) fn a_park_that_drops_a_foreign_await_says_so(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    let run = forge.running("p");
    forge.end(
        &run,
        RunEnd::Parked {
            wake_at: None,
            dropped_foreign: true,
        },
    );
    let row = forge.row(run.id);
    assert_eq!(&*row.options, r#"{"dropped_foreign_await":true}"#);
    assert_eq!((row.state, row.wake_at), (RunState::Idle, None));
}

pub(crate) fn a_released_run_is_due_at_once_and_unharmed(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    let run = forge.running("p");
    assert!(forge.end(&run, RunEnd::Released { at: at(10) }).due);
    let row = forge.row(run.id);
    assert_eq!((row.attempts, row.crashes, row.wake_at), (0, 0, since(10)));
    assert_eq!(forge.claim(at(10)).len(), 1);
}

pub(crate) fn what_the_database_refuses_rolls_back_the_batch(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    let (good, bad) = (forge.running("a"), forge.running("b"));
    let mut broken = error(None, 1, "e");
    broken.attempt = 0;
    let plans = [
        Plan {
            end: Some(done("1")),
            ..forge.plan(&good)
        },
        Plan {
            errors: vec![broken],
            ..forge.plan(&bad)
        },
    ];
    let refused = forge.writer.apply(&plans, at(3)).unwrap_err();
    assert_eq!(
        refused.kind,
        crate::error::StoreErrorKind::Refused,
        "{refused}"
    );
    assert_eq!(forge.row(good.id).state, RunState::Running);
    forge.end(&good, done("1"));
    assert_eq!(forge.row(good.id).state, RunState::Completed);
}
