//! Starting and claiming.

use super::backend::Backend;
use super::fixture::*;
use crate::record::*;
use crate::store::{ClaimRequest, Claims, Room, Start, Started};

pub(crate) fn a_start_inserts_once_and_changes_nothing_after(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    let run = forge.start_at("p", 1, at(1));
    let mut other = start("p", "flow", 0, Some(forge.worker));
    other.args = "2".into();
    let twice = [
        other,
        start("q", "flow", 1, None),
        start("q", "flow", 1, None),
    ];
    let answers = forge.writer.start(&twice, at(2)).unwrap();
    assert!(matches!(answers[0], Started::Existing { run: found, .. } if found == run));
    let Started::Inserted(second) = answers[1] else {
        panic!("{answers:?}")
    };
    assert!(matches!(answers[2], Started::Existing { run: found, .. } if found == second));
    let row = forge.row(run);
    assert_eq!(
        (&*row.args, row.level, row.created_at),
        (r#"{"a":1}"#, Level(1), at(1))
    );
    assert_eq!((row.state, row.wake_at), (RunState::Idle, since(1)));
}

pub(crate) fn a_start_tells_whether_the_run_that_it_found_has_other_arguments(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    let of = |key, args: &str| Start {
        args: args.into(),
        ..start(key, "flow", 1, None)
    };
    let found = |answers: Vec<Started>| {
        let same = |answer| match answer {
            Started::Existing { has_same_args, .. } => Some(has_same_args),
            _ => None,
        };
        answers.into_iter().map(same).collect::<Vec<_>>()
    };
    let batch = [
        of("a", "[1]"),
        of("b", "[2]"),
        of("a", "[1]"),
        of("a", "[3]"),
    ];
    let answers = forge.writer.start(&batch, at(1)).unwrap();
    assert_eq!(found(answers), [None, None, Some(true), Some(false)]);
    // More than one statement holds, and each its own.
    let again: Vec<Start> = (0..150)
        .map(|n| of("b", &format!("[ {} ]", n % 3)))
        .collect();
    let answers = forge.writer.start(&again, at(2)).unwrap();
    let expected: Vec<_> = (0..150).map(|n| Some(n % 3 == 2)).collect();
    assert_eq!(found(answers), expected, "as values");
}

pub(crate) fn one_key_may_name_runs_of_several_workflows(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    let starts = [start("p", "flow", 1, None), start("p", "child", 1, None)];
    let answers = forge.writer.start(&starts, at(2)).unwrap();
    assert!(
        answers
            .iter()
            .all(|answer| matches!(answer, Started::Inserted(_)))
    );
}

pub(crate) fn a_start_may_be_claimed_but_not_by_a_dead_worker(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    let run = forge.running("p");
    assert!(run.fresh);
    assert_eq!(run.epoch.claims(), 1);
    let row = forge.row(run.id);
    assert_eq!(
        (row.state, row.locked_by),
        (RunState::Running, Some(forge.worker.0))
    );
    forge
        .writer
        .declare_dead(forge.worker, None, LIMITS, at(3))
        .unwrap();
    let late = start("q", "flow", 1, Some(forge.worker));
    let answers = forge.writer.start(&[late], at(4)).unwrap();
    assert!(matches!(answers[0], Started::Inserted(_)), "{answers:?}");
}

pub(crate) fn a_claim_raises_the_epoch_and_keeps_the_first_start(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    let run = forge.start_at("p", 1, at(1));
    let first = forge.claim(at(2)).remove(0);
    assert_eq!(
        (first.id, first.epoch.claims(), first.fresh),
        (run, 1, true)
    );
    assert!(forge.claim(at(2)).is_empty());
    forge.end(&first, parked(Some(at(20))));
    let second = forge.claim(at(30)).remove(0);
    assert_eq!((second.epoch.claims(), second.fresh), (2, false));
    let row = forge.row(run);
    assert_eq!(
        (row.started_at, row.wake_at, row.state),
        (Some(at(2)), None, RunState::Running)
    );
}

pub(crate) fn levels_come_before_workflows_and_workflows_in_the_order_given(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    for (key, workflow, level) in [
        ("1", "b", 5),
        ("2", "a", 5),
        ("3", "b", 0),
        ("4", "c", 0),
        ("5", "a", 1),
    ] {
        let start = start(key, workflow, level, None);
        forge.writer.start(&[start], at(1)).unwrap();
    }
    let order = |forge: &mut Forge, lowest_first, workflows: &[&str]| {
        let claims = take(forge, 100, lowest_first, workflows, true);
        let keys: Vec<String> = claims.runs.iter().map(|run| run.key.clone()).collect();
        for run in &claims.runs {
            forge.end(run, RunEnd::Released { at: at(1) });
        }
        keys.concat()
    };
    assert_eq!(order(&mut forge, false, &["a", "b"]), "3521");
    assert_eq!(order(&mut forge, false, &["b", "a"]), "3512");
    assert_eq!(order(&mut forge, true, &["a", "b"]), "2153");
}

pub(crate) fn a_claim_takes_no_more_than_asked_for_of_each_queue(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    for index in 0..5 {
        forge.start_at(&format!("k{index}"), 1, at(index));
    }
    let other = crate::store::Start {
        queue: "other".into(),
        ..start("o", "flow", 1, None)
    };
    forge.writer.start(&[other], at(1)).unwrap();
    let claims = take(&mut forge, 2, false, &["flow"], true);
    let keys: Vec<&str> = claims.runs.iter().map(|run| &*run.key).collect();
    assert_eq!(keys, ["k0", "k1"]);
}

/// Whatever their arguments weigh, a worker asks for thousands of runs at once.
pub(crate) fn a_claim_ends_at_bytes_as_well_as_at_runs(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    for index in 0..12 {
        let heavy = crate::store::Start {
            args: format!("{index:<8}").repeat((2 << 20) / 8).into(),
            ..start(&format!("k{index:02}"), "flow", 1, None)
        };
        forge.writer.start(&[heavy], at(0)).unwrap();
    }
    let mut keys = Vec::new();
    let mut claims = 0;
    while keys.len() < 12 {
        let taken = take(&mut forge, 100, false, &["flow"], true).runs;
        assert!((1..=5).contains(&taken.len()), "{} at once", taken.len());
        claims += 1;
        for run in taken {
            assert_eq!((run.args.len(), run.epoch.claims()), (2 << 20, 1));
            keys.push(run.key);
        }
    }
    keys.sort();
    keys.dedup();
    assert!(keys.len() == 12 && claims >= 3, "{keys:?}");
    // One that is larger than the bound is taken, alone.
    let huge = crate::store::Start {
        args: "0".repeat(9 << 20).into(),
        ..start("huge", "flow", 1, None)
    };
    forge.writer.start(&[huge], at(1)).unwrap();
    forge.start_at("after", 1, at(2));
    let alone = take(&mut forge, 100, false, &["flow"], true).runs;
    assert_eq!(alone.len(), 1);
    assert_eq!(take(&mut forge, 100, false, &["flow"], true).runs.len(), 1);
}

pub(crate) fn a_dead_worker_claims_nothing_and_is_told(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    forge.start_at("p", 1, at(1));
    forge
        .writer
        .declare_dead(forge.worker, None, LIMITS, at(3))
        .unwrap();
    let claims = take(&mut forge, 5, false, &["flow"], true);
    assert!(claims.runs.is_empty() && claims.worker_dead);
}

pub(crate) fn half_of_the_suspects_may_be_in_quarantine_at_once(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    for index in 0..10 {
        forge.start_at(&format!("bad{index}"), 0, at(0));
    }
    for _ in 0..2 {
        let worker = forge
            .writer
            .register_worker(&entry("x", "h", 1), at(0))
            .unwrap();
        let mut held = 0;
        while held < 10 {
            held += forge.claim_as(worker, at(5)).len();
        }
        forge
            .writer
            .declare_dead(worker, None, LIMITS, at(5))
            .unwrap();
    }
    forge.start_at("good", 1, at(0));
    let without = take(&mut forge, 1, false, &["flow"], false);
    assert_eq!(without.runs.len(), 1);
    assert_eq!(without.runs[0].key, "good");
    forge.start_at("better", 1, at(0));
    let mut suspects = crate::store::Suspects::none(LIMITS);
    let ask = |forge: &mut Forge, company| {
        let request = ClaimRequest {
            worker: forge.worker,
            now: at(5),
            queues: &[room(20)],
            workflows: &names(&["flow"]),
            lowest_first: false,
            quarantine_slot: true,
            quarantine_from: LIMITS.quarantine_from,
            company,
        };
        forge.writer.claim_due(&request).unwrap().runs
    };
    let first = ask(&mut forge, suspects);
    let is_suspect = |run: &&ClaimedRun| run.crashes == 2;
    assert_eq!(
        (first.iter().filter(is_suspect).count(), first.len()),
        (5, 6)
    );
    (0..5).for_each(|_| suspects.enter(2));
    // As many wait as execute, and what stands behind them is reached all the same.
    forge.start_at("best", 1, at(0));
    let second = ask(&mut forge, suspects);
    assert_eq!(second.iter().filter(is_suspect).count(), 0);
    assert_eq!(second[0].key, "best");
    // Two of them are done.
    suspects.executing -= 2;
    assert_eq!(ask(&mut forge, suspects).len(), 1);
}

pub(crate) fn suspects_with_fewer_crashes_go_first(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    for (key, crashes) in [("worst", 5), ("worse", 4), ("bad", 3), ("worse too", 4)] {
        forge.start_at(key, 1, at(0));
        let run = forge.store.find_run("flow", key).unwrap().unwrap().id;
        forge.writer.quarantine(run, crashes).unwrap();
    }
    forge.start_at("good", 1, at(0));
    let mut keys = |limit| -> Vec<String> {
        let taken = take(&mut forge, limit, false, &["flow"], true).runs;
        taken.into_iter().map(|run| run.key).collect()
    };
    assert_eq!(
        keys(20),
        ["worse", "bad", "good"],
        "half of four, the least suspicious"
    );
    assert_eq!(keys(20), ["worse too"]);
    assert_eq!(keys(20), ["worst"]);
}

pub(crate) fn company_is_halved_by_each_death(_: &dyn Backend) {
    let most: Vec<u32> = (2..8).map(|crashes| LIMITS.company_of(crashes)).collect();
    assert_eq!(most, [16, 8, 4, 2, 1, 1]);
    let mut suspects = crate::store::Suspects::none(LIMITS);
    assert!(suspects.admits(6, 9) && suspects.is_open());
    suspects.enter(6);
    assert!(!suspects.is_open() && !suspects.admits(2, 9), "alone");
}

fn take(
    forge: &mut Forge,
    limit: u32,
    lowest_first: bool,
    workflows: &[&str],
    quarantine_slot: bool,
) -> Claims {
    let request = ClaimRequest {
        worker: forge.worker,
        now: at(5),
        queues: &[room(limit)],
        workflows: &names(workflows),
        lowest_first,
        quarantine_slot,
        quarantine_from: LIMITS.quarantine_from,
        company: crate::store::Suspects::none(LIMITS),
    };
    forge.writer.claim_due(&request).unwrap()
}

pub(crate) fn a_claim_of_urgent_runs_leaves_the_others_where_they_are(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    let late = Level::child(Priority::High, 100);
    let early = Level::child(Priority::Low, 99);
    let returning = Level::top(Priority::High).returning();
    for (key, level) in [("late", late), ("back", returning), ("early", early)] {
        forge.start_at(key, level.0, at(1));
    }
    forge.start_at("top", 1, at(1));
    let request = ClaimRequest {
        worker: forge.worker,
        now: at(2),
        queues: &[Room {
            urgent_only: true,
            ..room(10)
        }],
        workflows: &names(&["flow"]),
        lowest_first: false,
        quarantine_slot: true,
        quarantine_from: LIMITS.quarantine_from,
        company: crate::store::Suspects::none(LIMITS),
    };
    let runs = forge.writer.claim_due(&request).unwrap().runs;
    let keys: Vec<&str> = runs.iter().map(|run| &*run.key).collect();
    assert_eq!(keys, ["top", "early"]);
    let rest = forge.claim(at(2));
    let keys: Vec<&str> = rest.iter().map(|run| &*run.key).collect();
    assert_eq!(keys, ["late", "back"]);
}
