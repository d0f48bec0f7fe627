//! Retry, unlock and reset: what they change, what they refuse, what they leave alone.

pub(crate) mod pages;
pub(crate) mod tails;
pub(crate) mod together;
pub(crate) mod unlock;

use super::backend::Backend;
use super::fixture::*;
use crate::record::*;
use crate::store::{Rearm, Rearmed, RunAnswer, RunAsks, RunCall, RunName};

fn stalled(step: &str) -> RunEnd {
    RunEnd::Stalled {
        attempts: None,
        step_name: step.into(),
        at: at(4),
    }
}

fn failed(attempts: u32) -> RunEnd {
    RunEnd::Failed {
        at: at(4),
        attempts,
        retry_counts: None,
    }
}

fn outcome(name: &str, seq: Option<i64>, state: RecordState) -> Record {
    let gave_up = state == RecordState::Failed;
    Record {
        state,
        seq,
        attempts: 3,
        error_class: gave_up.then(|| "E".into()),
        error_message: gave_up.then(|| "m".into()),
        completed_at: Some(at(3)),
        last_executed_at: Some(at(2)),
        ..record(name)
    }
}

fn gave_up(name: &str, seq: i64) -> Record {
    outcome(name, Some(seq), RecordState::Failed)
}

fn succeeded(name: &str, seq: i64) -> Record {
    outcome(name, Some(seq), RecordState::Completed)
}

impl Forge {
    /// A run that ended so, with these records.
    fn ended(&mut self, key: &str, records: Vec<Record>, end: RunEnd) -> RunId {
        let run = self.running(key);
        let plan = Plan {
            records,
            end: Some(end),
            ..self.plan(&run)
        };
        self.apply(&plan);
        run.id
    }

    fn retry(&mut self, key: &str, names: Option<&[&str]>) -> Rearmed {
        let names = names.map(super::fixture::names);
        let answer = self.writer.retry("flow", key, names.as_deref(), at(20));
        answer.unwrap().unwrap()
    }

    fn rearmed(&mut self, key: &str, names: Option<&[&str]>) -> Vec<String> {
        match self.retry(key, names) {
            Rearmed::Done { records, .. } => records,
            other => panic!("{other:?}"),
        }
    }

    fn blocked(&self) -> u64 {
        self.count("chrono_forge_blocked")
    }
}

pub(crate) fn a_retried_run_is_idle_due_and_as_good_as_new(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    let run = forge.ended("p", vec![gave_up("step$a", 1)], stalled("step$a"));
    forge.edit("UPDATE chrono_forge_workflows SET crashes = 7, retry_counts = '{\"*\":2}'");
    assert_eq!(forge.blocked(), 1);
    assert_eq!(forge.rearmed("p", None), ["step$a"]);
    let row = forge.row(run);
    assert_eq!((row.state, row.wake_at), (RunState::Idle, since(20)));
    assert_eq!((row.stalled_by, row.crashes), (None, 0));
    assert_eq!((&*row.retry_counts, row.epoch.claims()), ("{}", 1));
    assert_eq!(forge.blocked(), 0);
    let again = forge.claim(at(20)).remove(0);
    assert_eq!((again.epoch.claims(), again.fresh), (2, false));
}

pub(crate) fn a_second_retry_is_refused_and_changes_nothing(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    let run = forge.ended("p", vec![gave_up("step$a", 1)], stalled("step$a"));
    forge.rearmed("p", None);
    let refused = Rearmed::NotRetryable(RunState::Idle);
    let later = forge.writer.retry("flow", "p", None, at(30)).unwrap();
    assert_eq!(later, Some(refused));
    assert_eq!(forge.row(run).wake_at, since(20));
}

pub(crate) fn other_arguments_are_for_a_run_that_has_recorded_nothing_else(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    let failed = Record {
        state: RecordState::Failed,
        seq: Some(2),
        ..record("step$bad")
    };
    let (clean, other) = (forge.running("clean"), forge.running("other"));
    for (run, others) in [(&clean, vec![]), (&other, vec![completed(1, "1")])] {
        let records = others.into_iter().chain([failed.clone()]).collect();
        let plan = Plan {
            records,
            end: Some(stalled("step$bad")),
            ..forge.plan(run)
        };
        forge.apply(&plan);
    }
    let asks = || {
        RunAsks::Retry(Rearm {
            args: Some("[7]".into()),
            ..Rearm::default()
        })
    };
    let ask = |forge: &mut Forge, run: &ClaimedRun| {
        let call = RunCall {
            run: RunName::Id(run.id),
            asks: asks(),
        };
        match forge.writer.call_runs(&[call], at(5)).unwrap().remove(0) {
            RunAnswer::Retried(rearmed) => rearmed,
            other => panic!("{other:?}"),
        }
    };
    let record = "step$s1".to_owned();
    assert_eq!(ask(&mut forge, &other), Rearmed::HasRecorded { record });
    let row = forge.row(other.id);
    assert_eq!((row.state, &*row.args), (RunState::Stalled, r#"{"a":1}"#));
    let records = vec!["step$bad".to_owned()];
    let run = clean.id;
    assert_eq!(ask(&mut forge, &clean), Rearmed::Done { run, records });
    let row = forge.row(clean.id);
    assert_eq!((row.state, &*row.args), (RunState::Idle, "[7]"));
    let claimed = forge.claim(at(6));
    assert_eq!((claimed[0].id, &*claimed[0].args), (clean.id, "[7]"));
}

pub(crate) fn other_states_are_refused_and_nobody_is_none(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    forge.start_at("idle", 1, at(1));
    forge.running("running");
    forge.ended("completed", Vec::new(), done("1"));
    forge.ended("canceled", Vec::new(), failed(1));
    forge.edit("UPDATE chrono_forge_workflows SET state = 5 WHERE key = 'canceled'");
    let rows = |forge: &Forge| {
        let columns = "key, state, wake_at, lock_epoch";
        forge.lines(columns, "chrono_forge_workflows ORDER BY id")
    };
    let before = rows(&forge);
    for (key, state) in [
        ("idle", RunState::Idle),
        ("running", RunState::Running),
        ("completed", RunState::Completed),
        ("canceled", RunState::Canceled),
    ] {
        assert_eq!(
            forge.retry(key, None),
            Rearmed::NotRetryable(state),
            "{key}"
        );
        assert_eq!(forge.retry(key, Some(&["a"])), Rearmed::NotRetryable(state));
    }
    assert_eq!(before, rows(&forge));
    assert!(
        forge
            .writer
            .retry("flow", "none", None, at(4))
            .unwrap()
            .is_none()
    );
    assert!(
        forge
            .writer
            .retry("other", "idle", None, at(4))
            .unwrap()
            .is_none()
    );
}

pub(crate) fn a_record_loses_its_outcome_and_keeps_its_attempts_and_cursors(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    let full = |name: &str, seq, metadata: &str| Record {
        metadata: Some(metadata.into()),
        context_delta: Some(r#"{"x":1}"#.into()),
        result: Some("1".into()),
        wake_at: Some(at(9)),
        ..gave_up(name, seq)
    };
    let records = vec![
        full(
            "wait_until$w",
            1,
            r#"{"timeout_at":7,"timed_out":true,"executing":true,"retry_counts":{"*":3}}"#,
        ),
        full(
            "branch$b",
            2,
            r#"{"cursors":{"s":{"n":40}},"retry_counts":{"*":3}}"#,
        ),
        full(
            "repeat$r",
            3,
            r#"{"frontier":5,"tick":{"at":6,"retry_counts":{"*":1},"timeout_at":8}}"#,
        ),
        full("step$nonsense", 4, "no JSON"),
    ];
    let run = forge.ended("p", records, stalled("step$nonsense"));
    assert_eq!(forge.rearmed("p", None).len(), 4);
    let mut history = forge.store.history(run, 100).unwrap();
    history.sort_unstable_by_key(|row| row.id);
    for row in &history {
        assert_eq!(
            (row.state, row.seq),
            (RecordState::Pending, None),
            "{row:?}"
        );
        assert_eq!((row.attempts, row.wake_at), (3, None), "{row:?}");
        assert_eq!((&row.error_class, &row.error_message), (&None, &None));
        assert_eq!((&row.result, row.result_bytes), (&None, 0), "{row:?}");
        assert_eq!(row.started_at, Some(at(1)));
    }
    let kept: Vec<_> = history
        .iter()
        .map(|row| (row.metadata.as_deref(), row.context_delta.as_deref()))
        .collect();
    assert_eq!(
        kept,
        [
            (None, None),
            (Some(r#"{"cursors":{"s":{"n":40}}}"#), None),
            (
                Some(r#"{"frontier":5,"tick":{"at":6}}"#),
                Some(r#"{"x":1}"#)
            ),
            (Some("no JSON"), None),
        ]
    );
    assert_eq!(
        forge.lines("completed_at", "chrono_forge_execution_logs"),
        ["-", "-", "-", "-"]
    );
}

fn mixed(forge: &mut Forge) -> RunId {
    let records = vec![
        gave_up("step$a", 1),
        gave_up("wait_until$a", 2),
        gave_up("step$b", 3),
        succeeded("branch$b", 4),
        succeeded("step$c", 5),
        record("wait$d"),
        outcome("repeat$r$7", None, RecordState::Failed),
    ];
    forge.ended("p", records, failed(1))
}

pub(crate) fn named_records_are_re_armed_wherever_they_stand(on: &dyn Backend) {
    let cases: [(&[&str], &[&str]); 5] = [
        (&["step$a"], &["step$a"]),
        (&["b", "step$b"], &["step$b"]),
        (&["step$b", "wait_until$a"], &["step$b", "wait_until$a"]),
        (&["b"], &["step$b"]),
        (&[], &[]),
    ];
    for (names, expected) in cases {
        let mut forge = Forge::on(on);
        let run = mixed(&mut forge);
        assert_eq!(forge.rearmed("p", Some(names)), expected, "{names:?}");
        let history = forge.store.history(run, 0).unwrap();
        let pending = history
            .iter()
            .filter(|row| row.state == RecordState::Pending);
        assert_eq!(pending.count(), expected.len() + 1, "{names:?}");
    }
}

pub(crate) fn a_name_that_means_no_failed_record_changes_nothing(on: &dyn Backend) {
    let cases = [
        ("step$x", "does not exist"),
        ("x", "does not exist"),
        ("step$c", "has not failed"),
        ("wait$d", "has not failed"),
        ("c", "has not failed"),
        ("a", "means several failed records; give the whole row name"),
        ("repeat$r$7", "is one repetition; name its `repeat$<key>`"),
        ("", "does not exist"),
    ];
    let mut forge = Forge::on(on);
    let run = mixed(&mut forge);
    for (name, problem) in cases {
        let refused = Rearmed::NoSuchRecord {
            record: name.into(),
            problem,
            failed: names(&["step$a", "step$b", "wait_until$a"]),
        };
        assert_eq!(forge.retry("p", Some(&["step$b", name])), refused);
        assert_eq!(forge.row(run).state, RunState::Failed);
    }
    // What the body waits for, and that the body itself failed.
    let pending = forge.store.pending(run, 10).unwrap();
    let names: Vec<&str> = pending.iter().map(|row| &*row.step_name).collect();
    assert_eq!(names, [BODY, "wait$d"]);
    assert_eq!(forge.blocked(), 1);
}

pub(crate) fn a_stalled_child_that_completes_after_its_retry_counts_once(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    let parent = forge.running("p");
    let children = forge.branch(&parent, 2);
    forge.seal(&parent);
    forge.end(&children[0], done("1"));
    forge.end(&children[1], stalled("step$a"));
    forge.end(&parent, parked(None));
    assert_eq!(forge.counters(parent.id), (2, 1));
    let child = &children[1];
    let again = forge
        .writer
        .retry("child", &child.key, None, at(20))
        .unwrap();
    assert!(matches!(again, Some(Rearmed::Done { .. })), "{again:?}");
    assert_eq!(forge.counters(parent.id), (2, 1));
    let again = forge.claim(at(20)).remove(0);
    let late = forge.end(child, done("late"));
    assert_eq!(late.outcomes[0].verdict, Verdict::Fenced, "its first pass");
    let applied = forge.end(&again, done("1"));
    assert_eq!(applied.parents_woken, [parent.id]);
    assert_eq!(forge.counters(parent.id), (2, 0));
    let twice = forge
        .writer
        .retry("child", &child.key, None, at(30))
        .unwrap();
    assert_eq!(twice, Some(Rearmed::NotRetryable(RunState::Completed)));
}
