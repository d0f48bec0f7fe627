//! What is due, and in which order: "at once" is no instant, and a clock may be set.

use super::backend::Backend;
use super::fixture::*;
use crate::record::*;
use crate::store::{ClaimRequest, Start, Started};

/// Before everything else that these cases do.
const EARLY: i64 = -3_600;

fn take(forge: &mut Forge, limit: u32, second: i64) -> Vec<String> {
    let request = ClaimRequest {
        worker: forge.worker,
        now: at(second),
        queues: &[room(limit)],
        workflows: &names(&["flow", "child"]),
        lowest_first: false,
        quarantine_slot: true,
        quarantine_from: LIMITS.quarantine_from,
        company: crate::store::Suspects::none(LIMITS),
    };
    let claims = forge.writer.claim_due(&request).unwrap();
    claims.runs.into_iter().map(|run| run.key).collect()
}

/// A run that waits for an instant, or for none.
fn sleeper(forge: &mut Forge, key: &str, second: Option<i64>) -> ClaimedRun {
    let run = forge.running(key);
    forge.end(&run, parked(second.map(at)));
    run
}

pub(crate) fn what_never_had_a_deadline_is_due_whatever_the_clock_says(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    forge.start_at("started", 1, at(20));
    let parent = forge.running("parent");
    let plan = Plan {
        dispatches: vec![dispatch(1, false)],
        ..forge.plan(&parent)
    };
    forge.writer.apply(&[plan], at(20)).unwrap();
    let released = forge.running("released");
    forge.end(&released, RunEnd::Released { at: at(20) });
    sleeper(&mut forge, "woken", Some(7_200));
    forge.writer.wake("flow", "woken", at(20)).unwrap();
    let told = forge.running("told");
    forge.writer.wake("flow", "told", at(20)).unwrap();
    forge.end(&told, parked(None));
    let failed = forge.running("retried");
    let attempts = 1;
    forge.end(
        &failed,
        RunEnd::Failed {
            at: at(20),
            attempts,
            retry_counts: None,
        },
    );
    forge.writer.retry("flow", "retried", None, at(20)).unwrap();
    forge.running("unlocked");
    forge.writer.unlock("flow", "unlocked", at(20)).unwrap();
    let orphan = forge.running("orphan");
    forge.release(&[known(&orphan)], at(20));
    let mut keys = take(&mut forge, 100, EARLY);
    keys.sort_unstable();
    let all = [
        "orphan", "p$b$s$0", "released", "retried", "started", "told", "unlocked", "woken",
    ];
    assert_eq!(keys, all);
    // All of them, and the parent, again.
    let limits = (forge.worker, LIMITS);
    let died = forge.writer.declare_dead(limits.0, None, limits.1, at(20));
    assert_eq!(died.unwrap().unwrap().due, 9);
    forge.worker = enter(&mut *forge.writer).unwrap();
    assert_eq!(take(&mut forge, 100, EARLY).len(), 9);
    forge.writer.retire_worker(forge.worker, at(20)).unwrap();
    forge.worker = enter(&mut *forge.writer).unwrap();
    assert_eq!(take(&mut forge, 100, EARLY).len(), 9);
}

pub(crate) fn a_wait_for_an_instant_ends_when_the_clock_reaches_it(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    sleeper(&mut forge, "waits", Some(60));
    let tries = forge.running("tries");
    let retrying = RunEnd::Retrying {
        wake_at: at(60).into(),
        attempts: 1,
        retry_counts: r#"{"errors":1}"#.into(),
    };
    forge.end(&tries, retrying);
    for second in [59, EARLY, 59] {
        assert!(take(&mut forge, 10, second).is_empty());
    }
    assert_eq!(take(&mut forge, 10, 60).len(), 2);
}

pub(crate) fn ten_thousand_due_runs_are_claimed_in_the_order_of_their_arrival_across_leaps(
    on: &dyn Backend,
) {
    const BATCH: usize = 250;
    let mut forge = Forge::on(on);
    let mut other = forge.other_writer();
    // Starts little, and so knows little of what others start.
    let mut third = forge.other_writer();
    third
        .start(&[start("first", "nobodys", 1, None)], at(0))
        .unwrap();
    for batch in 0..40_usize {
        // The clock goes back by an hour in the middle, and later forward by half a day.
        let second = batch as i64
            + match batch {
                0..20 => 0,
                20..30 => -3_600,
                _ => 43_200,
            };
        let start = |nth: usize| start(&format!("{:05}", batch * BATCH + nth), "flow", 1, None);
        let starts: Vec<Start> = (0..BATCH).map(start).collect();
        // A process that has begun after the leap knows of those before it.
        if batch == 20 {
            other = forge.other_writer();
        }
        let writer = match batch {
            0..20 => &mut forge.writer,
            25..30 => &mut third,
            _ => &mut other,
        };
        for started in writer.start(&starts, at(second)).unwrap() {
            assert!(matches!(started, Started::Inserted(_)), "{started:?}");
        }
    }
    let mut keys: Vec<String> = Vec::new();
    while keys.len() < 40 * BATCH {
        let taken = take(&mut forge, 500, EARLY);
        assert_eq!(taken.len(), 500, "after {}", keys.len());
        keys.extend(taken);
    }
    let batch_of = |key: &String| key.parse::<usize>().unwrap() / BATCH;
    assert!(keys.is_sorted_by_key(batch_of));
}

pub(crate) fn of_due_runs_the_one_that_has_waited_longest_goes_first_whatever_it_waits_for(
    on: &dyn Backend,
) {
    let mut forge = Forge::on(on);
    sleeper(&mut forge, "b", Some(30));
    sleeper(&mut forge, "d", Some(50));
    for (key, second) in [("a", 20), ("c", 40), ("e", 60)] {
        forge.start_at(key, 1, at(second));
    }
    let mut keys = Vec::new();
    for _ in 0..5 {
        keys.extend(take(&mut forge, 1, 70));
    }
    assert_eq!(keys.concat(), "abcde");
}

pub(crate) fn neither_kind_of_due_runs_starves_the_other(on: &dyn Backend) {
    // With the clock as it was, an hour back, and an hour forward.
    for leap in [0, -3_600, 3_600] {
        let mut forge = Forge::on(on);
        for key in ["asleep 1", "asleep 2"] {
            sleeper(&mut forge, key, Some(30 + leap));
        }
        for nth in 0..4 {
            forge.start_at(&format!("first {nth}"), 1, at(40));
        }
        let mut left = vec![
            "asleep 1", "asleep 2", "first 0", "first 1", "first 2", "first 3",
        ];
        // More of both kinds arrive than are taken.
        for nth in 0..12 {
            let second = 41 + leap + nth;
            forge.start_at(&format!("later {nth}"), 1, at(second));
            sleeper(&mut forge, &format!("later asleep {nth}"), Some(second));
            let taken = take(&mut forge, 1, second).remove(0);
            left.retain(|key| *key != taken);
        }
        assert!(left.is_empty(), "{left:?} starve with a leap of {leap} s");
    }
}

pub(crate) fn what_an_older_binary_wrote_is_due_when_its_instant_has_passed(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    let old = forge.start_at("old", 1, at(20));
    let wake_at = forge.database.instant(at(20));
    forge.edit(&format!(
        "UPDATE chrono_forge_workflows SET wake_at = {wake_at} WHERE id = {}",
        old.0
    ));
    assert!(take(&mut forge, 10, 19).is_empty());
    forge.start_at("new", 1, at(30));
    assert_eq!(take(&mut forge, 10, 40), ["old", "new"]);
}

pub(crate) fn the_age_of_what_waits_is_told_whatever_it_waits_for(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    forge.start_at("a", 1, at(20));
    sleeper(&mut forge, "b", Some(10));
    let gone = start("c", "gone", 1, None);
    forge.writer.start(&[gone], at(30)).unwrap();
    let since = |forge: &Forge| {
        let rows = forge.store.unserved(at(40), 10).unwrap();
        let rows = rows.into_iter();
        rows.map(|row| (row.workflow, row.due_since))
            .collect::<Vec<_>>()
    };
    let told = [("flow".to_owned(), at(10)), ("gone".to_owned(), at(30))];
    assert_eq!(since(&forge), told);
    assert_eq!(
        forge.store.unknown_due(&[], at(EARLY), 10).unwrap(),
        ["flow", "gone"]
    );
}
