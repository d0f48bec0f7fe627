//! Which thread does what, and who waits for whom.

mod bench;
mod fake;

use std::collections::HashSet;
use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use super::*;
use crate::record::{Level, Priority, RunId};
use crate::store::conformance::fixture::ByKey as _;
use bench::{Bench, opened};
use fake::Fake;

const HANGS: Duration = Duration::from_secs(30);

fn start(n: u32) -> Start {
    Start {
        key: format!("k{n}"),
        workflow: "w".to_owned(),
        queue: "default".to_owned(),
        level: Level::top(Priority::Normal),
        args: "{}".into(),
        claim: None,
    }
}

fn now() -> jiff::Timestamp {
    jiff::Timestamp::now()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_runs_plans_go_through_one_thread_in_order_and_those_of_many_through_all() {
    let bench = Bench::new(3);
    // Three for batches, and one each for calls, calls that wait, heartbeats and what is set aside.
    assert_eq!(bench.threads.len(), 7);
    let runs: Vec<i64> = (0..30).map(|n| n * 16).collect();
    for number in 1..=10 {
        for run in &runs {
            bench.submit(*run, number);
        }
    }
    let mut through = std::collections::HashMap::new();
    for _ in 0..300 {
        let (run, number) = bench.await_settled();
        let earlier = through.insert(run, number).unwrap_or(0);
        assert_eq!(number, earlier + 1, "{run:?}");
    }
    let threads: HashSet<String> = runs.iter().map(|run| bench.thread_of(*run)).collect();
    let names = ["commit", "2", "3"].map(|name| format!("chrono-forge-{name}"));
    assert_eq!(threads, HashSet::from(names));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn neither_calls_nor_the_heartbeat_nor_other_batches_wait_for_one_that_hangs() {
    let bench = Bench::new(2);
    bench.gate.shut("apply");
    bench.submit(0, 1);
    bench.gate.await_waiting(1);
    // Another thread's run, a call and a heartbeat.
    bench.submit(16, 1);
    assert_eq!(bench.await_settled(), (RunId(16), 1));
    bench.call().await;
    bench.beat().await;
    // A call that hangs does not delay the heartbeat either.
    bench.gate.shut("wake");
    let hanging = bench.committer.call("wake", |w| w.wake("w", "k", now()));
    let (_, ()) = tokio::join!(hanging, async {
        let gate = Arc::clone(&bench.gate);
        let waited = tokio::task::spawn_blocking(move || gate.await_waiting(2));
        waited.await.unwrap();
        bench.beat().await;
        bench.gate.open("wake");
    });
    bench.gate.open("apply");
    assert_eq!(bench.await_settled(), (RunId(0), 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_submitted_is_written_before_a_worker_leaves() {
    for writers in [0, 2] {
        let bench = Bench::new(writers);
        bench.gate.shut("apply");
        for run in 0..40 {
            bench.submit(run * 16, 1);
        }
        bench.gate.await_waiting(1);
        let mut written = Box::pin(bench.committer.written());
        let early = tokio::time::timeout(Duration::from_millis(20), &mut written).await;
        assert!(early.is_err());
        bench.gate.open("apply");
        tokio::time::timeout(HANGS, written).await.unwrap();
        assert_eq!(bench.gate.passed("apply").len(), 40);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_the_database_takes_one_writer_everything_goes_through_one_thread() {
    let bench = Bench::new(0);
    assert_eq!(bench.threads.len(), 1);
    bench.submit(0, 1);
    bench.submit(16, 1);
    bench.call().await;
    bench.beat().await;
    for _ in 0..2 {
        bench.await_settled();
    }
    for name in ["apply", "wake", "heartbeat"] {
        let threads = bench
            .gate
            .passed(name)
            .into_iter()
            .map(|(thread, _)| thread);
        let threads: HashSet<String> = threads.collect();
        assert_eq!(threads, HashSet::from(["chrono-forge-commit".to_owned()]));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_executes_nothing_keeps_two_writers_only() {
    let bench = Bench::of(3, false);
    assert_eq!(bench.gate.opened(), 2);
    bench.call().await;
    bench.beat().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn starts_are_spread_and_each_is_answered() {
    let bench = Bench::new(2);
    for n in 0..20 {
        let started = bench.committer.start(start(n), |_| {}).await.unwrap();
        assert!(matches!(started, Started::Inserted(_)), "{started:?}");
    }
    let again = bench.committer.start(start(3), |_| {}).await.unwrap();
    assert!(matches!(again, Started::Existing { .. }), "{again:?}");
    let threads: HashSet<String> = bench
        .gate
        .passed("start")
        .into_iter()
        .map(|(t, _)| t)
        .collect();
    assert_eq!(threads.len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_somebody_has_to_mend_is_told_to_those_who_wait_and_what_passes_is_not() {
    let bench = Bench::new(2);
    let obstacle = |run: Option<i64>| {
        let obstacle = bench.committer.obstacle(run.map(RunId));
        obstacle.map(|error| error.kind)
    };
    for (kind, told) in [
        (StoreErrorKind::Transient, None),
        (StoreErrorKind::Schema, Some(StoreErrorKind::Schema)),
        (StoreErrorKind::Corrupt, Some(StoreErrorKind::Corrupt)),
    ] {
        let tried = bench.gate.passed("apply").len();
        bench.gate.fail("apply", &[kind]);
        bench.submit(0, 1);
        bench.gate.await_passed("apply", tried + 3);
        assert_eq!(obstacle(Some(0)), told);
        assert_eq!(obstacle(None), told);
        assert_eq!(obstacle(Some(16)), None, "its thread writes");
        // Neither starts nor calls wait behind it.
        bench.call().await;
        bench.gate.fail("apply", &[]);
        assert_eq!(bench.await_settled(), (RunId(0), 1));
        bench.committer.written().await;
        assert_eq!(obstacle(None), None);
    }
    // Nor is it left behind by what is refused for its own bytes.
    let tried = bench.gate.passed("apply").len();
    bench.gate.fail("apply", &[StoreErrorKind::Schema]);
    bench.submit(0, 2);
    bench.gate.await_passed("apply", tried + 2);
    assert!(obstacle(Some(0)).is_some());
    bench.gate.fail("apply", &[StoreErrorKind::Refused]);
    assert_eq!(bench.await_settled(), (RunId(0), 2));
    assert_eq!(obstacle(None), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thread_that_looks_for_the_refused_plan_of_a_batch_ends_when_it_is_halted() {
    let of_two = BatchLimits {
        plans_max: 2,
        ..BatchLimits::default()
    };
    let mut bench = Bench::within(of_two, 0, true);
    bench.gate.shut("apply");
    bench.submit(0, 1);
    bench.gate.await_waiting(1);
    // Meanwhile the next batch comes to be one of two.
    bench.submit(1, 1);
    bench.submit(2, 1);
    let refused = StoreErrorKind::Refused;
    let kinds = [refused, refused, StoreErrorKind::Transient];
    bench.gate.fail("apply", &kinds);
    bench.gate.open("apply");
    bench.gate.await_passed("apply", 5);
    bench.committer.halt();
    for thread in bench.threads.drain(..) {
        thread.join().unwrap();
    }
    assert_eq!(bench.await_settled(), (RunId(0), 1));
    assert!(bench.told.try_recv().is_err());
}

/// However many callers start at once, and however much they bring.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn starts_that_wait_together_have_bounded_transactions() {
    let default = BatchLimits::default();
    let (few, light) = (
        BatchLimits {
            plans_max: 4,
            ..default
        },
        BatchLimits {
            bytes_max: 20,
            ..default
        },
    );
    for limits in [few, light] {
        let bench = Bench::within(limits, 0, true);
        bench.gate.shut("start");
        let start = |n| Box::pin(bench.committer.start(start(n), |_| {}));
        let mut starts: Vec<_> = (0..40).map(start).collect();
        poll_fn(|cx| {
            let are_queued = starts
                .iter_mut()
                .all(|start| start.as_mut().poll(cx).is_pending());
            assert!(are_queued);
            Poll::Ready(())
        })
        .await;
        bench.gate.open("start");
        for start in starts {
            start.await.unwrap();
        }
        let transactions = bench.gate.passed("start").len();
        assert!((8..=40).contains(&transactions), "{transactions}");
    }
}

/// What the database does not write in the time that it gives a statement, it does not write the next time either.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_that_the_database_has_no_patience_for_is_written_in_parts() {
    let bench = Bench::within(BatchLimits::default(), 1, true);
    bench.gate.fail_above(3);
    bench.gate.shut("apply");
    for run in 0..12 {
        bench.submit(run, 1);
    }
    bench.gate.await_waiting(1);
    bench.gate.open("apply");
    // What its pass submits meanwhile is written behind it.
    bench.submit(0, 2);
    let settled: Vec<(RunId, u64)> = (0..13).map(|_| bench.await_settled()).collect();
    let place = |number| settled.iter().position(|it| *it == (RunId(0), number));
    assert!(place(1) < place(2), "{settled:?}");
}

/// Its own later plans wait behind it, and are written in order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plan_that_is_not_written_is_set_aside_and_others_go_on() {
    for writers in [0, 1, 2] {
        let bench = Bench::within(BatchLimits::default(), writers, true);
        bench.gate.lock(&[5]);
        bench.submit(5, 1);
        bench.submit(6, 1);
        assert_eq!(bench.await_settled(), (RunId(6), 1));
        bench.submit(5, 2);
        bench.submit(7, 1);
        assert_eq!(bench.await_settled(), (RunId(7), 1));
        let mut written = Box::pin(bench.committer.written());
        let early = tokio::time::timeout(Duration::from_millis(20), &mut written).await;
        assert!(early.is_err(), "what is set aside is not written");
        bench.gate.lock(&[]);
        tokio::time::timeout(HANGS, written).await.unwrap();
        assert_eq!(bench.await_settled(), (RunId(5), 1));
        assert_eq!(bench.await_settled(), (RunId(5), 2));
        bench.submit(5, 3);
        assert_eq!(bench.await_settled(), (RunId(5), 3));
    }
}

/// However many share their batch, and however many of them are stuck.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_stuck_in_a_batch_is_found_among_the_others() {
    for writers in [0, 1] {
        let bench = Bench::within(BatchLimits::default(), writers, true);
        bench.gate.lock(&[3, 4, 11]);
        bench.gate.shut("apply");
        bench.submit(100, 1);
        bench.gate.await_waiting(1);
        for run in 0..16 {
            bench.submit(run, 1);
        }
        bench.gate.open("apply");
        let mut settled: Vec<i64> = (0..14).map(|_| bench.await_settled().0.0).collect();
        settled.sort_unstable();
        let expected = [0, 1, 2, 5, 6, 7, 8, 9, 10, 12, 13, 14, 15, 100];
        assert_eq!(settled, expected);
        bench.gate.lock(&[]);
        let mut settled: Vec<i64> = (0..3).map(|_| bench.await_settled().0.0).collect();
        settled.sort_unstable();
        assert_eq!(settled, [3, 4, 11]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_heartbeat_passes_by_the_calls_that_wait() {
    let bench = Bench::new(0);
    bench.gate.shut("reset_crashes");
    let call = || {
        let call = |w: &mut dyn Writer| w.reset_crashes("w", "k", now());
        Box::pin(bench.committer.call("reset_crashes", call))
    };
    let mut calls: Vec<_> = (0..200).map(|_| call()).collect();
    let mut beat = Box::pin(bench.beat());
    poll_fn(|cx| {
        for call in &mut calls {
            assert!(call.as_mut().poll(cx).is_pending());
        }
        Poll::Ready(())
    })
    .await;
    // The first call is under way.
    bench.gate.await_waiting(1);
    poll_fn(|cx| {
        assert!(beat.as_mut().poll(cx).is_pending());
        Poll::Ready(())
    })
    .await;
    bench.gate.open("reset_crashes");
    beat.await;
    for call in calls {
        call.await.unwrap();
    }
    assert_eq!(bench.gate.order()[..2], ["reset_crashes", "heartbeat"]);
}

#[cfg(feature = "testing")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_death_in_one_thread_stops_all() {
    let failpoints = Arc::new(Failpoints::default());
    failpoints.arm("commit.before.wake", 1);
    let (committer, threads) = opened(Fake::new(2), BatchLimits::default(), true, failpoints);
    assert!(
        committer
            .call("wake", |w| w.wake("w", "k", now()))
            .await
            .is_err()
    );
    for thread in threads {
        thread.join().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_that_is_stuck_keeps_its_pause_while_the_pipeline_closes() {
    let bench = Bench::new(1);
    bench.gate.fail("apply", &[StoreErrorKind::Transient]);
    bench.submit(1, 1);
    // After so many tries the pause is longer than a tenth of a second.
    bench.gate.await_passed("apply", 8);
    bench.committer.close();
    tokio::time::sleep(Duration::from_millis(400)).await;
    let tries = bench.gate.passed("apply").len();
    bench.gate.fail("apply", &[]);
    assert!(tries < 30, "{tries} tries in less than a second");
    assert_eq!(bench.await_settled(), (RunId(1), 1));
}

/// As where `open` is given up while they connect.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn threads_that_nobody_submits_to_any_more_end() {
    let (committer, threads) = opened(Fake::new(2), BatchLimits::default(), true, Arc::default());
    drop(committer);
    for thread in threads {
        thread.join().unwrap();
    }
}
