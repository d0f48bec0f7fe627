//! A process that is asked to stop by signals.

use chrono_forge_tests::backend::Backend;
use chrono_forge_tests::labour::labour;
use chrono_forge_tests::process::bounded;
use chrono_forge_tests_macros::backends;

use crate::ground;

/// Longer than any test may take.
const FOREVER_MILLIS: u64 = 3_600_000;

/// What is left of the one run: its state, its crashes, whether it is due, attempts of its step.
const LEFT: &str =
    "SELECT w.state || ' ' || w.crashes || ' ' || flag(w.wake_at IS NOT NULL) || ' ' || (
    SELECT coalesce(sum(l.attempts), 0) FROM chrono_forge_execution_logs AS l)
FROM chrono_forge_workflows AS w";

/// The death of no worker frees a run in time: only being handed over does.
const LONG_LEASE: [&str; 2] = ["--lease-ms", "3600000"];

#[backends]
fn a_step_that_is_longer_than_the_grace_is_cut_off_and_runs_elsewhere_at_once(backend: Backend) {
    bounded(async {
        let ground = ground(backend);
        let flags = [&LONG_LEASE[..], &["--grace-ms", "200"]].concat();
        let mut first = ground.victim(&flags, "");
        let forge = ground.observer().await;
        let endless = labour(ground.out(), 1, FOREVER_MILLIS);
        forge.start("r", endless).await.unwrap();
        ground.await_that("the first works", || !ground.lines().is_empty());
        first.signal("TERM");
        assert!(first.ended().success());
        assert_eq!(ground.look().texts(LEFT, &[]), ["0 0 1 0"]);
        let second = ground.victim(&LONG_LEASE, "");
        ground.await_that("the second goes on", || {
            ground.lines().iter().any(|line| line.pid == second.pid())
        });
    });
}

#[backends]
fn a_step_under_way_is_finished_and_recorded_within_the_grace(backend: Backend) {
    bounded(async {
        let ground = ground(backend);
        let mut first = ground.victim(&LONG_LEASE, "");
        let forge = ground.observer().await;
        let run = forge
            .start("r", labour(ground.out(), 2, 400))
            .await
            .unwrap();
        ground.await_that("the first works", || !ground.lines().is_empty());
        first.signal("INT");
        assert!(first.ended().success());
        let edges: Vec<String> = ground.lines().into_iter().map(|line| line.edge).collect();
        assert_eq!(edges, ["begin", "end"]);
        assert_eq!(ground.look().texts(LEFT, &[]), ["0 0 1 1"]);
        let _second = ground.victim(&LONG_LEASE, "");
        assert_eq!(run.result().await.unwrap(), 2);
        ground.assert_whole(0);
    });
}

#[backends]
fn a_second_signal_ends_the_grace(backend: Backend) {
    bounded(async {
        let ground = ground(backend);
        let flags = [&LONG_LEASE[..], &["--grace-ms", "3600000"]].concat();
        let mut first = ground.victim(&flags, "");
        let forge = ground.observer().await;
        let endless = labour(ground.out(), 1, FOREVER_MILLIS);
        forge.start("r", endless).await.unwrap();
        ground.await_that("the first works", || !ground.lines().is_empty());
        // Two that arrive together count as one, so it is told until it ends.
        let pid = first.pid();
        let (over, told) = std::sync::mpsc::channel::<()>();
        let nagging = std::thread::spawn(move || {
            while told
                .recv_timeout(std::time::Duration::from_millis(100))
                .is_err()
            {
                let sent = std::process::Command::new("kill")
                    .args(["-TERM", &pid.to_string()])
                    .stderr(std::process::Stdio::null())
                    .status();
                assert!(sent.is_ok());
            }
        });
        assert!(first.ended().success());
        over.send(()).unwrap();
        nagging.join().unwrap();
        assert_eq!(ground.look().texts(LEFT, &[]), ["0 0 1 0"]);
    });
}
