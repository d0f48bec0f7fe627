//! Inserts of the same keys.

use std::collections::BTreeSet;

use super::*;
use crate::store::conformance::backend::Backend;

const KEYS: usize = 400;

fn is_new(answer: &Started) -> bool {
    !matches!(answer, Started::Existing { .. })
}

fn id(answer: &Started) -> RunId {
    match answer {
        Started::Inserted(run) | Started::Existing { run, .. } => *run,
        Started::Claimed(run) => run.id,
    }
}

pub(crate) fn a_key_that_many_start_at_once_is_one_run(on: &dyn Backend) {
    let forge = Forge::on(on);
    let answers = at_once(&forge, |writer, nth| {
        let mut keys: Vec<usize> = (0..KEYS).collect();
        fastrand::Rng::with_seed(nth).shuffle(&mut keys);
        let claim = (nth > 1).then_some(forge.worker);
        let starts: Vec<Start> = keys
            .iter()
            .map(|key| start(&format!("k{key}"), "flow", 1, claim))
            .collect();
        let answers = insist(|| writer.start(&starts, at(1)));
        keys.into_iter().zip(answers).collect::<Vec<_>>()
    });
    let answers: Vec<(usize, Started)> = answers.into_iter().flatten().collect();
    for key in 0..KEYS {
        let of_key = answers.iter().filter(|(nth, _)| *nth == key);
        let of_key: Vec<&Started> = of_key.map(|(_, answer)| answer).collect();
        assert_eq!(of_key.len() as u64, CALLERS);
        assert_eq!(of_key.iter().filter(|it| is_new(it)).count(), 1, "k{key}");
        let ids: BTreeSet<RunId> = of_key.iter().map(|it| id(it)).collect();
        assert_eq!(ids.len(), 1, "k{key}");
    }
    assert_eq!(forge.count("chrono_forge_workflows"), KEYS as u64);
}

/// The second one finds what the first one, whose reply was lost, has inserted; what that claimed is an orphan.
pub(crate) fn a_start_whose_reply_was_lost_is_found(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    let run = forge.running("p");
    let again = start("p", "flow", 1, Some(forge.worker));
    let answers = forge.other_writer().start(&[again], at(1)).unwrap();
    assert!(matches!(answers[0], Started::Existing { run: found, .. } if found == run.id));
    let beat = forge.writer.heartbeat(forge.worker, &[], at(3)).unwrap();
    assert_eq!(beat.orphans, [known(&run)]);
    assert_eq!(forge.release(&beat.orphans, at(3)), 1);
    assert_eq!(forge.release(&beat.orphans, at(4)), 0, "once");
    let row = forge.row(run.id);
    assert_eq!((row.state, row.wake_at), (RunState::Idle, since(3)));
    assert_eq!((row.epoch.claims(), row.crashes), (2, 0));
}

/// Where nothing is locked it is a start like any other, whose claim counts.
pub(crate) fn what_is_started_at_once_is_inserted_claimed_or_found(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    let run = forge.running("known");
    let claim = Some(forge.worker);
    let keys = ["known", "claimed"].map(|key| start(key, "flow", 1, claim));
    let mut starts = keys.to_vec();
    starts.push(start("idle", "flow", 1, None));
    let answers = forge.writer.start_at_once(&starts, at(1)).unwrap();
    assert_eq!(id(&answers[0]), run.id);
    let kinds = (&answers[0], &answers[1], &answers[2]);
    assert!(
        matches!(
            kinds,
            (
                Started::Existing { .. },
                Started::Claimed(_),
                Started::Inserted(_)
            )
        ),
        "{answers:?}"
    );
    let again = forge.writer.start(&starts, at(2)).unwrap();
    let ids = |answers: &[Started]| answers.iter().map(id).collect::<Vec<_>>();
    assert_eq!(ids(&again), ids(&answers));
    let dead = forge.writer.declare_dead(forge.worker, None, LIMITS, at(5));
    assert_eq!(dead.unwrap().unwrap().due, 2);
}

/// What one more parent of the key `p` wants written: its children in an order of its own, and a record.
fn rival(forge: &mut Forge, workflow: &str, order: u64) -> (ClaimedRun, Plan) {
    let start = start("p", workflow, 1, Some(forge.worker));
    let run = match forge.writer.start(&[start], at(0)).unwrap().remove(0) {
        Started::Claimed(run) => *run,
        other => panic!("{other:?}"),
    };
    let mut dispatch = dispatch(KEYS as u32, order.is_multiple_of(2));
    fastrand::Rng::with_seed(order).shuffle(&mut dispatch.children);
    let plan = Plan {
        dispatches: vec![dispatch],
        records: vec![completed(1, "1")],
        ..forge.plan(&run)
    };
    (run, plan)
}

/// Parents of different workflows may have one key, and then their children have the same keys.
pub(crate) fn parents_that_dispatch_one_key_at_once_have_a_child_each(on: &dyn Backend) {
    for _ in 0..3 {
        let mut forge = Forge::on(on);
        let rivals: Vec<(ClaimedRun, Plan)> = (0..CALLERS)
            .map(|nth| rival(&mut forge, &format!("w{nth}"), nth))
            .collect();
        let verdicts = at_once(&forge, |writer, nth| {
            let plans = [rivals[nth as usize].1.clone()];
            insist(|| writer.apply(&plans, at(1)))
                .outcomes
                .remove(0)
                .verdict
        });
        for ((run, _), verdict) in rivals.iter().zip(verdicts) {
            assert!(matches!(verdict, Verdict::Applied { .. }), "{verdict:?}");
            assert_eq!(forge.counters(run.id), (KEYS as u64, KEYS as u64));
            let records = forge.store.history(run.id, 10).unwrap().len();
            assert_eq!(records, 2, "its branch and its step");
        }
        let runs = CALLERS + CALLERS * KEYS as u64;
        assert_eq!(forge.count("chrono_forge_workflows"), runs);
    }
}

pub(crate) fn a_key_is_a_childs_and_that_of_a_run_that_is_started_meanwhile(on: &dyn Backend) {
    for _ in 0..5 {
        let mut forge = Forge::on(on);
        let (run, plan) = rival(&mut forge, "flow", 0);
        let started = [start("p$b$s$7", "child", 1, None)];
        let answers = at_once(&forge, |writer, nth| match nth {
            0 => Err(insist(|| writer.apply(std::slice::from_ref(&plan), at(1)))),
            _ => Ok(insist(|| writer.start(&started, at(1)))),
        });
        let mut starts = 0;
        for answer in answers {
            match answer {
                Ok(started) => starts += u32::from(is_new(&started[0])),
                Err(applied) => {
                    let verdict = &applied.outcomes[0].verdict;
                    assert!(matches!(verdict, Verdict::Applied { .. }), "{verdict:?}");
                }
            }
        }
        assert_eq!(starts, 1);
        assert_eq!(
            forge.store.namesakes("child", "p$b$s$7", 9).unwrap().len(),
            2
        );
        let children = forge.count("chrono_forge_workflows WHERE parent_execution_log_id > 0");
        assert_eq!(children, KEYS as u64);
        assert!(!forge.store.history(run.id, 10).unwrap().is_empty());
    }
}

/// The same bytes on their way more than once, the first reply not waited for.
pub(crate) fn a_plan_that_many_apply_at_once_is_written_once(on: &dyn Backend) {
    for _ in 0..3 {
        let mut forge = Forge::on(on);
        let (run, plan) = rival(&mut forge, "flow", 0);
        let outcomes = at_once(&forge, |writer, _| {
            let plans = std::slice::from_ref(&plan);
            insist(|| writer.apply(plans, at(1))).outcomes.remove(0)
        });
        let verdict = Verdict::Applied { woken: false };
        assert!(outcomes.iter().all(|outcome| outcome.verdict == verdict));
        let claimed: Vec<RunId> = outcomes
            .iter()
            .flat_map(|outcome| outcome.claimed.iter().map(|run| run.id))
            .collect();
        assert_eq!(claimed.len(), KEYS);
        assert_eq!(claimed.iter().collect::<BTreeSet<_>>().len(), KEYS);
        assert_eq!(forge.counters(run.id), (KEYS as u64, KEYS as u64));
        assert_eq!(forge.store.history(run.id, 10).unwrap().len(), 2);
        let claims = forge.writer.declare_dead(forge.worker, None, LIMITS, at(5));
        assert_eq!(claims.unwrap().unwrap().due, 1 + KEYS as u64, "each once");
    }
}
